//! `cost`: what the store holds, and what it costs.

use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::ser::SerializeSeq as _;
use serde::{Serialize, Serializer};

use super::assemble::{layout, of_first_store, open_store_at, s3_store};
use super::retention::RetentionArgs;
use super::words::count;
use super::{Context, help};
use crate::base::failure::Result;
use crate::base::units::{format_bytes, format_duration, parse_duration};
use crate::bucket::Bucket;
use crate::config::{Flags, Settings, table};
use crate::ops::Run;
use crate::ops::cost::{
    AgingFound, CostOptions, CostReport, EVERY_MIN, Forecast, SeriesHoldings, Sort, Unforeseen, aging_of_bucket, cost,
};
use crate::pricing::{Bill, Prices, STANDARD, Tally};
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::ui::Console;
use crate::ui::escape::escape_text;
use crate::ui::table::{Column, render, render_long};

/// Show what the store holds, and what it costs a month
///
/// Adds up the objects by series and storage class, and by what they are for, and estimates the monthly bill: now, and in
/// the long run, when as many backups leave the store as arrive. For that it goes by how often and how large the newest
/// backups of a series are, by the retention rules (of the profile, the environment and this command line) as `prune` would
/// apply them, and by the bucket's own lifecycle rules and versions. Only listings are read, and no object.
///
/// The built-in prices are Amazon's list prices of us-east-1, with the day on which they were looked up; GB are 2^30 bytes, as
/// on Amazon's bills. Other regions and other providers have other prices: --prices FILE replaces the table
/// (--print-prices prints it). Without such a file there is no bill for folders and for other providers; with one, what lies
/// in a folder costs what it says of STANDARD. Taxes, discounts, traffic and restores are left out, and what lies elsewhere in
/// the bucket is not seen. Tags (--keep-tag) and pins cannot be foreseen and count for nothing in the long run.
///
/// Permissions: s3:ListBucket; and s3:ListBucketMultipartUploads, s3:ListBucketVersions, s3:GetBucketVersioning and
/// s3:GetLifecycleConfiguration, without which it says what is left out.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("cost"))]
pub struct Args {
    /// Take the prices from this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub prices: Option<std::path::PathBuf>,

    /// Print the built-in prices as a file to start from, and look at no store
    #[arg(long)]
    pub print_prices: bool,

    /// How often a backup of each series is made, such as 1d or 6h [default: as its newest backups tell]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub every: Option<std::time::Duration>,

    /// Look at every series, whatever name the profile or the environment sets
    #[arg(long)]
    pub all: bool,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub retention: RetentionArgs,
}

fn duration(text: &str) -> std::result::Result<std::time::Duration, String> {
    let duration = parse_duration(text).map_err(|failure| failure.message().to_owned())?;
    match duration < EVERY_MIN {
        true => Err("Backups of one series are a minute apart or more".to_owned()),
        false => Ok(duration),
    }
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let prices = self.prices.as_ref().map(|path| path.to_string_lossy());
        Flags::default()
            .text(&table::PRICES, "--prices", prices.as_deref())
            .and(self.retention.flags())
    }
}

/// Prints the built-in prices, which takes no settings.
///
/// # Errors
/// If the output cannot be written.
pub fn print_prices(console: &Console) -> Result<()> {
    console.answer(Prices::builtin_text())
}

/// Looks, and prints the bill.
///
/// # Errors
/// If the store cannot be listed; [`crate::base::failure::Kind::Config`] for a file of prices that makes no sense.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let settings = &context.settings;
    let own = of_first_store(settings);
    let Opened { store, found, region } = open(settings, &run)?;
    let file = settings.prices.value.as_deref();
    // Amazon's prices say nothing of a folder or of another provider.
    let prices = match (file, &region) {
        (Some(_), _) | (None, Some(_)) => Some(Prices::load(file)?),
        (None, None) => None,
    };
    let options = CostOptions {
        name: settings.name.value.clone().filter(|_| !args.all),
        layout: layout(settings, store.as_ref())?,
        policy: settings.policy.clone(),
        keep_min: settings.min_keep.value,
        every: args.every,
        arrives_in: own.storage_class.value.clone().unwrap_or_else(|| STANDARD.to_owned()),
        part_bytes: own.part_bytes.value,
        aging: found.aging,
        has_versions: found.has_versions,
        prices,
    };
    let mut report = cost(store.as_ref(), &options, &run)?;
    context.listener.end();
    let mut notes = found.notes;
    notes.append(&mut report.notes);
    if file.is_none() {
        notes.extend(note_on_region(region.as_deref(), options.prices.as_ref()));
    }
    let page = Page {
        report: &report,
        options: &options,
        url: store.url(),
        notes: &notes,
    };
    match context.console.is_json() {
        true => context.console.answer_json_streamed(&page.document()),
        false => page.print(context),
    }
}

struct Opened {
    store: Arc<dyn Store>,
    found: AgingFound,
    /// Of a bucket at AWS.
    region: Option<String>,
}

fn open(settings: &Settings, run: &Run) -> Result<Opened> {
    let own = of_first_store(settings);
    let StoreAddress::S3 { bucket, prefix } = &settings.store.value else {
        return Ok(Opened {
            store: open_store_at(&settings.store.value, own, run)?,
            found: AgingFound::default(),
            region: None,
        });
    };
    let store = s3_store(own, bucket, prefix, run, |_| {})?;
    let folder = match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let bucket = Bucket::of(&store);
    let found = aging_of_bucket(
        &bucket.lifecycle(),
        &bucket.versioning(),
        &folder,
        settings.purge_versions.value,
    );
    let region = (store.provider().name == "aws").then(|| bucket.region_in_use());
    Ok(Opened {
        store: Arc::new(store),
        found,
        region,
    })
}

/// Where the built-in prices are not those of the bucket.
fn note_on_region(region: Option<&str>, prices: Option<&Prices>) -> Option<String> {
    match (region, prices) {
        (None, _) => Some(
            "There is no bill: the built-in prices are Amazon's. Name the prices that hold here with --prices FILE."
                .to_owned(),
        ),
        (Some(region), Some(prices)) if region != prices.region => Some(format!(
            "The prices are those of {}, and the bucket is in {region}. Name its own with --prices FILE.",
            prices.region
        )),
        _ => None,
    }
}

/// The answer.
struct Page<'a> {
    report: &'a CostReport,
    options: &'a CostOptions,
    url: String,
    notes: &'a [String],
}

type Row<'a> = (&'a String, &'a SeriesHoldings);

impl<'a> Page<'a> {
    fn money(&self, amount: Option<f64>) -> String {
        match (&self.options.prices, amount) {
            (Some(prices), Some(amount)) => prices.money(amount),
            _ => "-".to_owned(),
        }
    }

    /// What a part of all costs a month now.
    fn share(&self, part: &Tally) -> Option<f64> {
        self.report.bill.as_ref().map(|bill| bill.share_of(part))
    }

    fn print(&self, context: &Context) -> Result<()> {
        let console = &context.console;
        for note in self.notes {
            console.note(note);
        }
        if self.report.total.is_empty() {
            return console.answer(&escape_text(&format!("There is nothing in {}.", self.url)));
        }
        self.print_series(context)?;
        console.answer(&self.sorts())?;
        if let Some(prices) = &self.options.prices {
            console.answer(&self.bills(prices))?;
        }
        console.answer(&escape_text(&self.closing()))
    }

    fn print_series(&self, context: &Context) -> Result<()> {
        let rows: Vec<Row<'_>> = self.report.holdings.series.iter().collect();
        if rows.is_empty() {
            return Ok(());
        }
        let columns = [
            Column::left("SERIES"),
            Column::left("CLASSES"),
            Column::right("BACKUPS"),
            Column::right("STORED"),
            Column::right("A MONTH"),
            Column::right("EVERY"),
            Column::right("LATER BACKUPS"),
            Column::right("LATER STORED"),
            Column::right("LATER A MONTH"),
        ];
        let cells = |(name, series): &Row<'_>| {
            let classes: Vec<&str> = series.tally.classes().map(|(class, _, _)| class).collect();
            let mut row = vec![
                (*name).clone(),
                classes.join(","),
                series.backups.to_string(),
                format_bytes(series.tally.bytes()),
                self.money(self.share(&series.tally)),
            ];
            row.extend(match series.forecast {
                Some(Ok(forecast)) => self.later(&forecast),
                _ => ["-"; 4].map(str::to_owned),
            });
            row
        };
        render_long(&columns, &rows, cells, |piece| context.console.answer(piece))?;
        context.console.answer("")
    }

    /// What a series comes to; what grows for ever is marked.
    fn later(&self, forecast: &Forecast) -> [String; 4] {
        let mark = if forecast.is_endless { "+" } else { "" };
        [
            format_duration(forecast.interval.unsigned_abs()),
            format!("{:.0}{mark}", forecast.backups),
            format!("{}{mark}", format_bytes(forecast.bytes)),
            format!("{}{mark}", self.money(Some(forecast.per_month))),
        ]
    }

    fn sorts(&self) -> String {
        let columns = [
            Column::left("WHAT"),
            Column::left("CLASS"),
            Column::right("OBJECTS"),
            Column::right("STORED"),
        ];
        let rows = self.report.holdings.sorts.iter().flat_map(|(sort, tally)| {
            tally.classes().map(|(class, objects, bytes)| {
                vec![
                    sort.word().to_owned(),
                    class.to_owned(),
                    objects.to_string(),
                    format_bytes(bytes),
                ]
            })
        });
        format!("{}\n", render(&columns, rows))
    }

    fn bills(&self, prices: &Prices) -> String {
        let columns = [
            Column::left("BILL"),
            Column::left("CLASS"),
            Column::right("STORAGE"),
            Column::right("EARLY REMOVAL"),
            Column::right("REQUESTS"),
            Column::right("MOVES"),
            Column::right("A MONTH"),
        ];
        let rows = |name: &'static str, bill: &'a Option<Bill>| {
            let lines = bill.iter().flat_map(|bill| &bill.classes);
            lines.map(move |line| {
                vec![
                    name.to_owned(),
                    line.class.clone(),
                    prices.money(line.storage + line.monitoring),
                    prices.money(line.early),
                    prices.money(line.requests),
                    prices.money(line.transitions),
                    prices.money(line.per_month()),
                ]
            })
        };
        let all = rows("now", &self.report.bill).chain(rows("later", &self.report.later));
        format!("{}\n", render(&columns, all))
    }

    /// The sums, in sentences.
    fn closing(&self) -> String {
        let report = self.report;
        let mut text = format!(
            "{} of {} in {}",
            count(report.total.objects(), "object", "objects"),
            format_bytes(report.total.bytes()),
            self.url
        );
        if let (Some(prices), Some(bill)) = (&self.options.prices, &report.bill) {
            text.push_str(&format!(
                " cost {} a month for storage, by the prices of {} ({}, {}).",
                prices.estimate(bill.per_month()),
                prices.region,
                prices.date,
                prices.source
            ));
            for class in &bill.unpriced {
                text.push_str(&format!(" What lies in {class} has no price and is not in it."));
            }
            text.push_str(&self.closing_later(prices));
        } else {
            text.push('.');
        }
        if let Some(uploads) = report.unfinished_uploads.filter(|uploads| *uploads > 0) {
            text.push_str(&format!(
                " {} besides, whose parts cost as much as stored objects: `backup-cli cleanup` removes what was left behind.",
                count(uploads, "upload is unfinished", "uploads are unfinished")
            ));
        }
        text
    }

    fn closing_later(&self, prices: &Prices) -> String {
        let report = self.report;
        let Some(later) = report.per_month_later().filter(|_| !report.holdings.series.is_empty()) else {
            return String::new();
        };
        let rules = match (self.options.policy.is_empty(), self.options.aging.expires_after_days()) {
            (true, None) => "With nothing that removes any".to_owned(),
            (true, Some(days)) => format!("With the bucket removing them after {days} d"),
            (false, None) => format!("By {}", self.options.policy),
            (false, Some(days)) => format!(
                "By {}, and with the bucket removing them after {days} d",
                self.options.policy
            ),
        };
        let mut text = match report.is_endless() {
            true => format!(
                " {rules} it grows for ever (+): after a year to {} a month, requests and moves included.",
                prices.estimate(later)
            ),
            false => format!(
                " {rules} it comes to {} a month in the long run, requests and moves included.",
                prices.estimate(later)
            ),
        };
        if report.unforeseen() > 0 {
            let reasons = report
                .holdings
                .series
                .values()
                .filter_map(|series| match series.forecast {
                    Some(Err(reason)) => Some(reason),
                    _ => None,
                });
            let why = reasons.map(Unforeseen::why).next().unwrap_or_default();
            text.push_str(&format!(
                " That is without {}, because {why}; --every DURATION says how often.",
                count(report.unforeseen(), "series", "series")
            ));
        }
        text
    }

    fn document(&'a self) -> Document<'a> {
        let report = self.report;
        Document {
            store: &self.url,
            prices: self.options.prices.as_ref().map(|prices| PricesUsed {
                date: &prices.date,
                currency: &prices.currency,
                source: &prices.source,
                region: &prices.region,
            }),
            series: AllSeries(self),
            holdings: Sort::ALL
                .iter()
                .filter_map(|sort| Some((sort, report.holdings.sorts.get(sort)?)))
                .flat_map(|(sort, tally)| {
                    tally.classes().map(|(class, objects, bytes)| Held {
                        what: Some(sort.word()),
                        class,
                        objects,
                        bytes,
                    })
                })
                .collect(),
            unfinished_uploads: report.unfinished_uploads,
            bill: report.bill.as_ref().map(BillShown::of),
            later: report.later.as_ref().map(|later| Later {
                per_month: report.per_month_later(),
                grows_for_ever: report.is_endless(),
                series_unforeseen: report.unforeseen(),
                bill: BillShown::of(later),
            }),
            notes: self.notes,
        }
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Document<'a> {
    store: &'a str,
    prices: Option<PricesUsed<'a>>,
    series: AllSeries<'a>,
    holdings: Vec<Held<'a>>,
    unfinished_uploads: Option<u64>,
    bill: Option<BillShown<'a>>,
    later: Option<Later<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct PricesUsed<'a> {
    date: &'a str,
    currency: &'a str,
    source: &'a str,
    region: &'a str,
}

#[derive(Serialize)]
struct Held<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<&'static str>,
    class: &'a str,
    objects: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct BillShown<'a> {
    per_month: f64,
    classes: Vec<ClassShown<'a>>,
    classes_without_price: &'a [String],
}

#[derive(Serialize)]
struct ClassShown<'a> {
    class: &'a str,
    objects: u64,
    bytes: u64,
    storage: f64,
    early_removal: f64,
    monitoring: f64,
    requests: f64,
    transitions: f64,
    per_month: f64,
}

impl<'a> BillShown<'a> {
    fn of(bill: &'a Bill) -> Self {
        let shown = |line: &'a crate::pricing::ClassBill| ClassShown {
            class: &line.class,
            objects: line.objects.round() as u64,
            bytes: line.bytes.round() as u64,
            storage: line.storage,
            early_removal: line.early,
            monitoring: line.monitoring,
            requests: line.requests,
            transitions: line.transitions,
            per_month: line.per_month(),
        };
        Self {
            per_month: bill.per_month(),
            classes: bill.classes.iter().map(shown).collect(),
            classes_without_price: &bill.unpriced,
        }
    }
}

#[derive(Serialize)]
struct Later<'a> {
    per_month: Option<f64>,
    grows_for_ever: bool,
    series_unforeseen: u64,
    bill: BillShown<'a>,
}

/// The series, written one after the other: there may be very many.
struct AllSeries<'a>(&'a Page<'a>);

#[derive(Serialize)]
struct SeriesShown<'a> {
    name: &'a str,
    backups: u64,
    objects: u64,
    bytes: u64,
    classes: Vec<Held<'a>>,
    per_month: Option<f64>,
    later: Option<SeriesLater>,
    unforeseen: Option<&'static str>,
}

#[derive(Serialize)]
struct SeriesLater {
    every_secs: i64,
    backups: f64,
    bytes: u64,
    per_month: f64,
    grows_for_ever: bool,
}

impl Serialize for AllSeries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let page = self.0;
        let mut list = serializer.serialize_seq(None)?;
        for (name, series) in &page.report.holdings.series {
            let held = |(class, objects, bytes)| Held {
                what: None,
                class,
                objects,
                bytes,
            };
            list.serialize_element(&SeriesShown {
                name,
                backups: series.backups,
                objects: series.tally.objects(),
                bytes: series.tally.bytes(),
                classes: series.tally.classes().map(held).collect(),
                per_month: page.share(&series.tally),
                later: series
                    .forecast
                    .and_then(std::result::Result::ok)
                    .map(|forecast| SeriesLater {
                        every_secs: forecast.interval.as_secs(),
                        backups: forecast.backups,
                        bytes: forecast.bytes,
                        per_month: forecast.per_month,
                        grows_for_ever: forecast.is_endless,
                    }),
                unforeseen: series.forecast.and_then(std::result::Result::err).map(Unforeseen::why),
            })?;
        }
        list.end()
    }
}
