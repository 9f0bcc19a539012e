//! The table of prices.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use super::{GB_BYTES, reader};
use crate::base::failure::Result;

/// The class of objects of which no other is said.
pub const STANDARD: &str = "STANDARD";

/// The classes that S3 knows; a price of another is a mistake of writing.
pub const KNOWN_CLASSES: [&str; 11] = [
    STANDARD,
    "INTELLIGENT_TIERING",
    "STANDARD_IA",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
    "OUTPOSTS",
    "SNOW",
];

/// The built-in table as it stands in the repository.
const BUILTIN: &str = include_str!("prices.toml");

/// One step of a price that falls as more is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoragePrice {
    /// Up to how many GB in all it holds; `None` for whatever is beyond the steps before it.
    pub up_to_gb: Option<f64>,
    /// For a GB and a month.
    pub price: f64,
}

/// What one storage class costs. Requests are priced by the thousand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassPrices {
    /// Storage, in steps; never empty.
    pub storage: Vec<StoragePrice>,
    /// To write an object.
    pub put: f64,
    /// To send a part of one; as `put` where nothing is said.
    pub part: f64,
    /// To read one.
    pub get: f64,
    /// To move an object here by a lifecycle rule.
    pub transition: f64,
    /// To read a GB, or to have it thawed in the usual way.
    pub retrieval: f64,
    /// To ask for a thousand objects to be thawed.
    pub retrieval_requests: f64,
    /// To have a thousand objects watched, a month.
    pub monitoring: f64,
    /// The length in bytes from which on an object is watched.
    pub monitored_from_bytes: u64,
    /// For how many days an object is billed at least.
    pub minimum_days: u64,
    /// As how long an object is billed at least, in bytes.
    pub minimum_bytes: u64,
    /// What each object takes beside its content, in bytes of this class.
    pub overhead_bytes: u64,
    /// What each object takes beside its content, in bytes of the standard class.
    pub overhead_standard_bytes: u64,
}

impl ClassPrices {
    /// What so many bytes cost a month.
    #[must_use]
    pub fn storage_of(&self, bytes: f64) -> f64 {
        let gb = bytes / GB_BYTES;
        let mut below = 0.0;
        let mut sum = 0.0;
        for step in &self.storage {
            let above = step.up_to_gb.unwrap_or(f64::INFINITY);
            if gb > below {
                sum += (gb.min(above) - below) * step.price;
            }
            below = above;
        }
        sum
    }

    /// As how many bytes an object of this length is billed, without what is in the standard class.
    #[must_use]
    pub fn billed_bytes(&self, bytes: u64) -> u64 {
        bytes.max(self.minimum_bytes).saturating_add(self.overhead_bytes)
    }
}

/// A table of prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// The day for which they hold, as `YYYY-MM-DD`.
    pub date: String,
    /// The currency, as ISO 4217 has it.
    pub currency: String,
    /// Where they were published.
    pub source: String,
    /// The region that they are of.
    pub region: String,
    classes: BTreeMap<String, ClassPrices>,
}

impl Prices {
    /// The built-in table: Amazon's list prices of one region.
    ///
    /// # Errors
    /// None that a build with passing tests has: the table is read by a test.
    pub fn builtin() -> Result<&'static Self> {
        static TABLE: OnceLock<Prices> = OnceLock::new();
        if let Some(table) = TABLE.get() {
            return Ok(table);
        }
        let table = Self::parse(BUILTIN, Path::new("prices.toml"))?;
        Ok(TABLE.get_or_init(|| table))
    }

    /// The text of the built-in table, from which another can be made.
    #[must_use]
    pub fn builtin_text() -> &'static str {
        BUILTIN
    }

    /// Reads a table; `path` is for messages only.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Config`] with the line, for whatever is unknown, missing, or below zero.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        reader::read(text, path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Config`] if it cannot be read, and as [`Prices::parse`].
    pub fn read_file(path: &Path) -> Result<Self> {
        reader::read_file(path)
    }

    /// The table of a file, or else the built-in one.
    ///
    /// # Errors
    /// As [`Prices::read_file`].
    pub fn load(file: Option<&Path>) -> Result<Self> {
        match file {
            Some(file) => Self::read_file(file),
            None => Self::builtin().cloned(),
        }
    }

    pub(super) fn new(
        date: String,
        currency: String,
        source: String,
        region: String,
        classes: BTreeMap<String, ClassPrices>,
    ) -> Self {
        Self {
            date,
            currency,
            source,
            region,
            classes,
        }
    }

    /// The prices of a class; `None` if the table has none.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&ClassPrices> {
        self.classes.get(name)
    }

    /// The classes that have prices.
    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.classes.keys().map(String::as_str)
    }

    /// An amount for people: `$1.04`, `0.12 EUR`; small ones with as many digits as say something.
    #[must_use]
    pub fn money(&self, amount: f64) -> String {
        // Half a cent is rounded up, though many of them are a little less in binary.
        let number = match amount * (1.0 + 1e-12) {
            0.0 => "0.00".to_owned(),
            a if a.abs() < 0.00001 => return format!("{BELOW}{}", self.with_currency("0.00001")),
            a if a.abs() < 0.01 => format!("{a:.5}"),
            a if a.abs() < 1.0 => format!("{a:.3}"),
            a => grouped(&format!("{a:.2}")),
        };
        self.with_currency(&number)
    }

    /// An amount that is an estimate, in a sentence: `about $1.04`, `less than $0.00001`.
    #[must_use]
    pub fn estimate(&self, amount: f64) -> String {
        let text = self.money(amount);
        match text.strip_prefix(BELOW) {
            Some(least) => format!("less than {least}"),
            None => format!("about {text}"),
        }
    }

    fn with_currency(&self, number: &str) -> String {
        match self.currency.as_str() {
            "USD" => format!("${number}"),
            other => format!("{number} {other}"),
        }
    }
}

/// What stands before the least amount that is worth digits.
const BELOW: &str = "below ";

/// The same number with commas between its thousands.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
    let mut text = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text}.{rest}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::failure::Kind;

    fn parse(text: &str) -> Result<Prices> {
        Prices::parse(text, Path::new("own.toml"))
    }

    const HEAD: &str = "date = \"2026-01-01\"\ncurrency = \"EUR\"\nsource = \"the contract\"\nregion = \"fsn1\"\n";

    #[test]
    fn the_built_in_table_has_a_price_for_every_class_that_backups_can_lie_in() {
        let table = Prices::builtin().unwrap();
        for class in &KNOWN_CLASSES[..8] {
            assert!(!table.class(class).unwrap().storage.is_empty(), "{class}");
        }
        assert_eq!((table.currency.as_str(), table.region.as_str()), ("USD", "us-east-1"));
        let glacier = table.class("GLACIER").unwrap();
        assert_eq!((glacier.minimum_days, glacier.overhead_bytes), (90, 32 << 10));
        assert_eq!(table.class("STANDARD_IA").unwrap().part, 0.01);
    }

    #[test]
    fn a_price_falls_in_steps_as_more_is_stored() {
        let standard = Prices::builtin().unwrap().class(STANDARD).unwrap();
        let of_gb = |gb: f64| standard.storage_of(gb * GB_BYTES);
        assert_eq!(of_gb(0.0), 0.0);
        assert!((of_gb(100.0) - 2.3).abs() < 1e-9);
        assert!((of_gb(51_200.0) - 1177.6).abs() < 1e-6);
        assert!((of_gb(51_201.0) - 1177.622).abs() < 1e-6);
        assert!((of_gb(612_000.0) - (1177.6 + 460_800.0 * 0.022 + 100_000.0 * 0.021)).abs() < 1e-6);
    }

    #[test]
    fn a_file_takes_the_place_of_the_whole_table() {
        let table = parse(&format!("{HEAD}[class.STANDARD]\nstorage = 0.005\n")).unwrap();
        assert_eq!(table.classes().collect::<Vec<_>>(), [STANDARD]);
        assert_eq!(table.money(0.5), "0.500 EUR");
        assert!((table.class(STANDARD).unwrap().storage_of(2.0 * GB_BYTES) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        for (rest, line, says) in [
            (
                "[class.STANDRAD]\nstorage = 1\n",
                5,
                "Unknown storage class: `STANDRAD`",
            ),
            ("[class.STANDARD]\nstorage = -0.1\n", 6, "Below zero: `storage`"),
            ("[class.STANDARD]\nstorage = 1\nputt = 1\n", 7, "Unknown key: `putt`"),
            ("[class.STANDARD]\nput = 1\n", 5, "`STANDARD` has no price of `storage`"),
            ("[class.STANDARD]\nstorage = \"1\"\n", 6, "Not a number: `storage`"),
            ("[class.STANDARD]\nstorage = nan\n", 6, "Not a number: `storage`"),
            ("[class.STANDARD]\nstorage = inf\n", 6, "Not a number: `storage`"),
            ("[class.STANDARD]\nstorage = []\n", 6, "`storage` has no step"),
            (
                "[class.STANDARD]\nstorage = [{ up-to-gb = 9, price = 1 }, { up-to-gb = 5, price = 1 }, { price = 1 }]\n",
                6,
                "The steps of `storage` do not rise",
            ),
            (
                "[class.STANDARD]\nstorage = [{ up-to-gb = 9, price = 1 }]\n",
                6,
                "The last step of `storage` has an end",
            ),
            (
                "[class.STANDARD]\nstorage = 1\nminimum-days = 1.5\n",
                7,
                "Not a whole number: `minimum-days`",
            ),
            ("classes = 1\n", 5, "Unknown key: `classes`"),
            ("class = 1\n", 5, "`class` is not a table"),
            ("[class.STANDARD\n", 5, "Not TOML"),
        ] {
            let failure = parse(&format!("{HEAD}{rest}")).unwrap_err();
            assert_eq!(failure.kind(), Kind::Config);
            let message = failure.message();
            assert!(message.contains(says), "{rest}: {message}");
            assert!(
                message.contains(&format!("`own.toml`, line {line}")),
                "{rest}: {message}"
            );
        }
        let failure = parse("[class.STANDARD]\nstorage = 1\n").unwrap_err();
        assert!(failure.message().contains("`date` is missing"), "{failure:?}");
        let failure = parse(HEAD).unwrap_err();
        assert!(failure.message().contains("No class has a price"), "{failure:?}");
        let failure = parse(&HEAD.replace("2026-01-01", "soon")).unwrap_err();
        assert!(failure.message().contains("Not a date: `date`"), "{failure:?}");
    }

    #[test]
    fn amounts_read_well() {
        let table = Prices::builtin().unwrap();
        for (amount, text) in [
            (0.0, "$0.00"),
            (0.000_000_1, "below $0.00001"),
            (0.000_15, "$0.00015"),
            (0.0345, "$0.035"),
            (1.035, "$1.04"),
            (1234.5, "$1,234.50"),
        ] {
            assert_eq!(table.money(amount), text);
            let estimate = table.estimate(amount);
            assert!(!estimate.contains("about below"), "{estimate}");
        }
    }
}
