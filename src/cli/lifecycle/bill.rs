//! What the rules come to by the month, before and after.

use serde::Serialize;

use super::super::Context;
use super::super::assemble::layout;
use super::{AMAZON, Place};
use crate::base::failure::{Kind, Result};
use crate::bucket::{Lifecycle, Reading, Versioning};
use crate::ops::Run;
use crate::ops::cost::{CostOptions, CostReport, aging_of_bucket, cost};
use crate::ops::lifecycle::LifecyclePlan;
use crate::pricing::{Prices, STANDARD};

/// An estimate of the bill.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Estimate {
    /// Of which day the prices are.
    pub(super) prices_date: String,
    pub(super) currency: String,
    /// What is there now costs so much a month.
    pub(super) per_month_now: f64,
    /// In the long run, by the rules as they stand.
    pub(super) per_month_before: f64,
    /// In the long run, by the rules as they will be.
    pub(super) per_month_after: f64,
    /// Whether nothing ends the growth, so that it is what the first year comes to.
    pub(super) is_endless_before: bool,
    /// The same, by the rules as they will be.
    pub(super) is_endless_after: bool,
    /// Of how many series too little is known.
    pub(super) series_unforeseen: u64,
    #[serde(skip)]
    words: String,
}

impl Estimate {
    /// The estimate in a sentence or two.
    pub(super) fn words(&self) -> &str {
        &self.words
    }
}

/// Estimates the bill from what the listing shows. Why it cannot be done is a sentence.
///
/// # Errors
/// [`Kind::Interrupted`], and [`Kind::Config`] for a file of prices that makes no sense.
pub(super) fn estimate(
    plan: &LifecyclePlan,
    versioning: &Reading<Versioning>,
    place: &Place<'_>,
    context: &Context,
    run: &Run,
) -> Result<Result<Estimate, String>> {
    let file = context.settings.prices.value.as_deref();
    if file.is_none() && place.store.provider().name != AMAZON {
        return Ok(Err(
            "There is no estimate of the cost: the built-in prices are Amazon's. Name those that hold here with --prices FILE."
                .to_owned(),
        ));
    }
    let prices = Prices::load(file)?;
    let now = plan.before.as_ref().map(|document| document.lifecycle());
    let looked = report(&now.unwrap_or_default(), versioning, &prices, place, context, run).and_then(|before| {
        Ok((
            before,
            report(&plan.after.lifecycle(), versioning, &prices, place, context, run)?,
        ))
    });
    let (before, after) = match looked {
        Ok(both) => both,
        Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
        Err(failure) => return Ok(Err(format!("There is no estimate of the cost: {}.", failure.message()))),
    };
    let later = |report: &CostReport| report.per_month_later().unwrap_or(0.0);
    let mut estimate = Estimate {
        prices_date: prices.date.clone(),
        currency: prices.currency.clone(),
        per_month_now: before.bill.as_ref().map_or(0.0, |bill| bill.per_month()),
        per_month_before: later(&before),
        per_month_after: later(&after),
        is_endless_before: before.is_endless(),
        is_endless_after: after.is_endless(),
        series_unforeseen: before.unforeseen(),
        words: String::new(),
    };
    estimate.words = told(&estimate, &prices);
    Ok(Ok(estimate))
}

fn report(
    lifecycle: &Lifecycle,
    versioning: &Reading<Versioning>,
    prices: &Prices,
    place: &Place<'_>,
    context: &Context,
    run: &Run,
) -> Result<CostReport> {
    let settings = &context.settings;
    // What of the versions cannot be known counts for nothing on both sides.
    let versioning = match versioning {
        Reading::Is(versioning) => Reading::Is(*versioning),
        _ => Reading::NotConfigured,
    };
    let found = aging_of_bucket(
        &Reading::Is(lifecycle.clone()),
        &versioning,
        &place.folder,
        settings.purge_versions.value,
    );
    let own = place.settings;
    let options = CostOptions {
        name: None,
        layout: layout(settings, &place.store)?,
        policy: settings.policy.clone(),
        keep_min: settings.min_keep.value,
        every: None,
        arrives_in: own.storage_class.value.clone().unwrap_or_else(|| STANDARD.to_owned()),
        part_bytes: own.part_bytes.value,
        aging: found.aging,
        has_versions: false,
        prices: Some(prices.clone()),
    };
    cost(&place.store, &options, run)
}

fn told(estimate: &Estimate, prices: &Prices) -> String {
    let money = |amount: f64, is_endless: bool| match is_endless {
        true => format!("{} after a year and growing", prices.money(amount)),
        false => prices.money(amount),
    };
    let mut words = format!(
        "Estimated cost a month: {} now; in the long run {} by the rules as they stand, {} by the new ones. Prices of {} ({}), without traffic and taxes.",
        prices.money(estimate.per_month_now),
        money(estimate.per_month_before, estimate.is_endless_before),
        money(estimate.per_month_after, estimate.is_endless_after),
        prices.date,
        prices.region
    );
    if estimate.series_unforeseen > 0 {
        words += &format!(
            " Of {} series there are too few backups to tell how often they are made.",
            estimate.series_unforeseen
        );
    }
    words
}
