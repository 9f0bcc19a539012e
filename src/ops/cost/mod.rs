//! What a store holds, what it costs a month now, and what it comes to in the long run.

use std::time::Duration;

use super::Run;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::{Layout, place_of};
use crate::pricing::{Aging, Bill, Prices, Tally};
use crate::retention::Policy;
use crate::store::{Key, Store};

mod aging;
mod forecast;
mod holdings;

pub use aging::{AgingFound, aging_of_bucket};
pub use forecast::{EVERY_MIN, Forecast, Unforeseen};
pub use holdings::{Holdings, SeriesHoldings, Sort};

use forecast::Forecaster;
use holdings::{add_old_versions, add_up};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct CostOptions {
    /// Only this series.
    pub name: Option<String>,
    /// Where keys lie.
    pub layout: Layout,
    /// What prune keeps; empty if nothing is pruned.
    pub policy: Policy,
    /// How many of the newest stay whatever the policy says.
    pub keep_min: usize,
    /// How often a backup is made; `None` if the newest backups of each series are to tell.
    pub every: Option<Duration>,
    /// The storage class in which data arrives.
    pub arrives_in: String,
    /// The size of the parts in which it is sent, in bytes; `None` for the usual one.
    pub part_bytes: Option<u64>,
    /// What the bucket does to objects as they age.
    pub aging: Aging,
    /// Whether the bucket may hold older versions, which are looked for then.
    pub has_versions: bool,
    /// What things cost; without it only sizes are told.
    pub prices: Option<Prices>,
}

/// What a store holds and costs.
#[derive(Debug)]
pub struct CostReport {
    /// What there is.
    pub holdings: Holdings,
    /// Everything together.
    pub total: Tally,
    /// What it costs a month now.
    pub bill: Option<Bill>,
    /// What all series of which anything can be said cost a month in the long run.
    pub later: Option<Bill>,
    /// How many uploads are unfinished; `None` if the store does not say.
    pub unfinished_uploads: Option<u64>,
    /// Why something is not counted, in full sentences.
    pub notes: Vec<String>,
}

impl CostReport {
    fn forecasts(&self) -> impl Iterator<Item = Result<Forecast, Unforeseen>> + '_ {
        self.holdings.series.values().filter_map(|series| series.forecast)
    }

    /// What everything costs a month in the long run, with what belongs to no series; `None` without prices.
    #[must_use]
    pub fn per_month_later(&self) -> Option<f64> {
        let (bill, later) = (self.bill.as_ref()?, self.later.as_ref()?);
        let unmanaged = self.holdings.sorts.get(&Sort::Unmanaged);
        Some(later.per_month() + unmanaged.map_or(0.0, |tally| bill.share_of(tally)))
    }

    /// Of how many series nothing can be said in the long run.
    #[must_use]
    pub fn unforeseen(&self) -> u64 {
        self.forecasts().filter(|forecast| forecast.is_err()).count() as u64
    }

    /// Whether any series grows for ever.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        self.forecasts()
            .any(|forecast| forecast.is_ok_and(|forecast| forecast.is_endless))
    }
}

/// With what all keys begin that are looked at.
fn prefix_of(store: &dyn Store, options: &CostOptions) -> String {
    match &options.name {
        Some(name) => options.layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    }
}

fn not_counted(what: &str, failure: &Failure) -> String {
    let hint = failure
        .hints()
        .first()
        .map(|hint| format!(" {hint}."))
        .unwrap_or_default();
    format!("{what} are not counted: {}.{hint}", failure.message())
}

/// Looks at the keys of a store and says what they cost. Nothing is read but listings.
///
/// # Errors
/// If the listing fails anywhere; what else cannot be looked at is a note.
pub fn cost(store: &dyn Store, options: &CostOptions, run: &Run) -> Result<CostReport> {
    let prefix = prefix_of(store, options);
    let mut notes = Vec::new();
    let mut holdings = add_up(store, &prefix, options, run)?;
    if options.has_versions {
        match add_old_versions(store, &prefix, &mut holdings, options, run) {
            Err(failure) if matches!(failure.kind(), Kind::Denied | Kind::Unsupported) => {
                notes.push(not_counted("Old versions", &failure));
            }
            outcome => outcome?,
        }
    }
    let unfinished_uploads = match store.unfinished_uploads(&prefix) {
        Ok(uploads) => {
            let of_series = |key: &Key| options.layout.own_series_of(&place_of(key).0);
            let is_wanted = |key: &Key| options.name.is_none() || of_series(key) == options.name;
            Some(uploads.iter().filter(|upload| is_wanted(&upload.key)).count() as u64)
        }
        Err(failure) if matches!(failure.kind(), Kind::Denied | Kind::Unsupported) => {
            notes.push(not_counted("Unfinished uploads", &failure));
            None
        }
        Err(failure) => return Err(failure),
    };
    let total = holdings.total();
    let bill = options.prices.as_ref().map(|prices| prices.bill(&total));
    let later = options.prices.as_ref().map(|prices| {
        let mut forecaster = Forecaster::new(options, prices);
        for series in holdings.series.values_mut() {
            series.forecast = Some(forecaster.of(series));
        }
        forecaster.into_bill()
    });
    Ok(CostReport {
        holdings,
        total,
        bill,
        later,
        unfinished_uploads,
        notes,
    })
}
