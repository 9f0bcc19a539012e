//! Reads a table of prices from TOML, and says of every mistake where it stands.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::prices::{ClassPrices, KNOWN_CLASSES, Prices, StoragePrice};
use crate::base::failure::{Failure, IoContext as _, Kind, Result};
use crate::base::units::MIB;

/// A table larger than this is none.
const FILE_BYTES_MAX: u64 = MIB;

/// The keys of a class that are prices, apart from that of storage.
const PRICE_KEYS: [&str; 7] = [
    "put",
    "part",
    "get",
    "transition",
    "retrieval",
    "retrieval-requests",
    "monitoring",
];

/// The keys of a class that are whole numbers.
const NUMBER_KEYS: [&str; 5] = [
    "monitored-from-bytes",
    "minimum-days",
    "minimum-bytes",
    "overhead-bytes",
    "overhead-standard-bytes",
];

pub(super) fn read_file(path: &Path) -> Result<Prices> {
    let config = |failure: Failure| {
        failure.with_kind(Kind::Config).hint(
            "`backup-cli cost --print-prices` prints the built-in table, which can be changed and named by --prices",
        )
    };
    let doing = || format!("read the prices in `{}`", path.display());
    let bytes = std::fs::metadata(path).doing(doing).map_err(config)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(config(Failure::new(
            Kind::Config,
            format!(
                "The file of prices `{}` is larger than {FILE_BYTES_MAX} bytes",
                path.display()
            ),
        )));
    }
    let text = std::fs::read_to_string(path).doing(doing).map_err(config)?;
    read(&text, path)
}

pub(super) fn read(text: &str, path: &Path) -> Result<Prices> {
    let place = Place { text, path };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        place
            .wrong(at, "Not TOML")
            .caused_by(anyhow::anyhow!("{}", error.message().trim().to_owned()))
    })?;
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let mut classes = BTreeMap::new();
    for (key, value) in root.get_ref() {
        let at = key.span().start;
        match (key.get_ref().as_ref(), value.get_ref()) {
            (name @ ("date" | "currency" | "source" | "region"), DeValue::String(said)) => {
                if name == "date" && said.parse::<jiff::civil::Date>().is_err() {
                    return Err(place
                        .wrong(at, "Not a date: `date`")
                        .hint("Write it as YYYY-MM-DD, in quotes"));
                }
                if said.trim().is_empty() {
                    return Err(place.wrong(at, &format!("`{name}` is empty")));
                }
                texts.insert(name, said.trim().to_owned());
            }
            (name @ ("date" | "currency" | "source" | "region"), _) => {
                return Err(place
                    .wrong(at, &format!("Not a text: `{name}`"))
                    .hint("Put it in quotes"));
            }
            ("class", DeValue::Table(table)) => {
                for (name, value) in table {
                    let prices = class(&place, name, value)?;
                    classes.insert(name.get_ref().to_string(), prices);
                }
            }
            ("class", _) => {
                return Err(place
                    .wrong(at, "`class` is not a table")
                    .hint("Begin each class with [class.NAME], for example [class.STANDARD]"));
            }
            (name, _) => {
                return Err(place
                    .wrong(at, &format!("Unknown key: `{name}`"))
                    .hint("The keys are date, currency, source and region, and a table [class.NAME] for each class"));
            }
        }
    }
    if classes.is_empty() {
        return Err(place
            .wrong(text.len(), "No class has a price")
            .hint("Begin each class with [class.NAME], for example [class.STANDARD]"));
    }
    let mut text_of = |name: &str| {
        texts
            .remove(name)
            .ok_or_else(|| place.wrong(0, &format!("`{name}` is missing")))
    };
    Ok(Prices::new(
        text_of("date")?,
        text_of("currency")?,
        text_of("source")?,
        text_of("region")?,
        classes,
    ))
}

/// Where mistakes stand.
struct Place<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Place<'_> {
    fn wrong(&self, offset: usize, message: &str) -> Failure {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::new(
            Kind::Config,
            format!("{message} in `{}`, line {line}", self.path.display()),
        )
    }
}

fn class(place: &Place<'_>, name: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) -> Result<ClassPrices> {
    let (at, name) = (name.span().start, name.get_ref().as_ref());
    if !KNOWN_CLASSES.contains(&name) {
        return Err(place
            .wrong(at, &format!("Unknown storage class: `{name}`"))
            .hint(format!("The classes are {}", KNOWN_CLASSES.join(", "))));
    }
    let DeValue::Table(table) = value.get_ref() else {
        return Err(place
            .wrong(at, &format!("`{name}` is not a table"))
            .hint(format!("Begin it with [class.{name}]")));
    };
    let mut prices = ClassPrices::default();
    let mut part = None;
    for (key, value) in table {
        let at = key.span().start;
        match key.get_ref().as_ref() {
            "storage" => prices.storage = storage(place, at, value)?,
            key if PRICE_KEYS.contains(&key) => {
                let price = price(place, at, key, value)?;
                match key {
                    "put" => prices.put = price,
                    "part" => part = Some(price),
                    "get" => prices.get = price,
                    "transition" => prices.transition = price,
                    "retrieval" => prices.retrieval = price,
                    "retrieval-requests" => prices.retrieval_requests = price,
                    _ => prices.monitoring = price,
                }
            }
            key if NUMBER_KEYS.contains(&key) => {
                let number = number(place, at, key, value)?;
                match key {
                    "monitored-from-bytes" => prices.monitored_from_bytes = number,
                    "minimum-days" => prices.minimum_days = number,
                    "minimum-bytes" => prices.minimum_bytes = number,
                    "overhead-bytes" => prices.overhead_bytes = number,
                    _ => prices.overhead_standard_bytes = number,
                }
            }
            other => {
                return Err(place.wrong(at, &format!("Unknown key: `{other}`")).hint(format!(
                    "The keys of a class are storage, {}, {}",
                    PRICE_KEYS.join(", "),
                    NUMBER_KEYS.join(", ")
                )));
            }
        }
    }
    if prices.storage.is_empty() {
        return Err(place.wrong(at, &format!("`{name}` has no price of `storage`")));
    }
    prices.part = part.unwrap_or(prices.put);
    Ok(prices)
}

/// One price, or steps of it.
fn storage(place: &Place<'_>, at: usize, value: &Spanned<DeValue<'_>>) -> Result<Vec<StoragePrice>> {
    let DeValue::Array(items) = value.get_ref() else {
        let price = price(place, at, "storage", value)?;
        return Ok(vec![StoragePrice { up_to_gb: None, price }]);
    };
    let mut steps: Vec<StoragePrice> = Vec::new();
    for item in items {
        let at = item.span().start;
        let DeValue::Table(table) = item.get_ref() else {
            return Err(place
                .wrong(at, "A step of `storage` is not a table")
                .hint("Write steps as storage = [{ up-to-gb = 51200, price = 0.023 }, { price = 0.022 }]"));
        };
        let (mut up_to_gb, mut of_step) = (None, None);
        for (key, value) in table {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                "up-to-gb" => up_to_gb = Some(price(place, at, "up-to-gb", value)?),
                "price" => of_step = Some(price(place, at, "storage", value)?),
                other => return Err(place.wrong(at, &format!("Unknown key: `{other}`"))),
            }
        }
        let price = of_step.ok_or_else(|| place.wrong(at, "A step of `storage` has no price"))?;
        let rises = match (steps.last(), up_to_gb) {
            (None, _) => true,
            (Some(last), up_to) => match (last.up_to_gb, up_to) {
                (Some(last), Some(up_to)) => last < up_to,
                (Some(_), None) => true,
                (None, _) => false,
            },
        };
        if !rises {
            return Err(place.wrong(at, "The steps of `storage` do not rise"));
        }
        steps.push(StoragePrice { up_to_gb, price });
    }
    match steps.last() {
        None => Err(place.wrong(at, "`storage` has no step")),
        Some(last) if last.up_to_gb.is_some() => Err(place
            .wrong(at, "The last step of `storage` has an end")
            .hint("Leave `up-to-gb` out of the last step")),
        Some(_) => Ok(steps),
    }
}

fn price(place: &Place<'_>, at: usize, key: &str, value: &Spanned<DeValue<'_>>) -> Result<f64> {
    let parsed = match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number as f64),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
        _ => None,
    };
    match parsed.filter(|price| price.is_finite()) {
        None => Err(place
            .wrong(at, &format!("Not a number: `{key}`"))
            .hint("Write it without quotes and without a currency: 0.023")),
        Some(price) if price < 0.0 => Err(place.wrong(at, &format!("Below zero: `{key}`"))),
        Some(price) => Ok(price),
    }
}

fn number(place: &Place<'_>, at: usize, key: &str, value: &Spanned<DeValue<'_>>) -> Result<u64> {
    let parsed = match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    match parsed {
        None => Err(place
            .wrong(at, &format!("Not a whole number: `{key}`"))
            .hint("Write it without quotes")),
        Some(number) => u64::try_from(number).map_err(|_| place.wrong(at, &format!("Below zero: `{key}`"))),
    }
}
