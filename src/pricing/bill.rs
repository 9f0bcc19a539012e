//! What lies in a store, and what it costs a month.

use std::sync::{Arc, OnceLock};

use super::prices::{KNOWN_CLASSES, Prices, STANDARD};

/// What lies in one storage class. Numbers are fractions where they are means of a long time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Amount {
    /// How many objects.
    pub(super) objects: f64,
    /// Their length in bytes.
    pub(super) bytes: f64,
    /// As how many bytes of the class they are billed.
    pub(super) billed_bytes: f64,
    /// How many of them are watched.
    pub(super) monitored: f64,
}

impl Amount {
    fn add(&mut self, other: Self, times: f64) {
        self.objects += other.objects * times;
        self.bytes += other.bytes * times;
        self.billed_bytes += other.billed_bytes * times;
        self.monitored += other.monitored * times;
    }
}

/// The names of classes, each once in memory.
fn shared(class: &str) -> Arc<str> {
    static NAMES: OnceLock<Vec<Arc<str>>> = OnceLock::new();
    let names = NAMES.get_or_init(|| KNOWN_CLASSES.iter().map(|class| Arc::from(*class)).collect());
    let known = names.iter().find(|name| ***name == *class);
    known.cloned().unwrap_or_else(|| Arc::from(class))
}

/// Objects by their storage classes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Few, so that they stand in a row: a store may have very many series.
    pub(super) classes: Vec<(Arc<str>, Amount)>,
}

impl Tally {
    /// Adds objects that are all so long. Without prices, and of a class that has none, only lengths are counted.
    pub fn add(&mut self, class: &str, object_bytes: u64, objects: u64, prices: Option<&Prices>) {
        self.add_times(class, object_bytes, objects as f64, prices);
    }

    /// The same, of a mean number of objects.
    pub(super) fn add_times(&mut self, class: &str, object_bytes: u64, objects: f64, prices: Option<&Prices>) {
        let priced = prices.and_then(|prices| prices.class(class));
        let is_monitored =
            priced.is_some_and(|class| class.monitoring > 0.0 && object_bytes >= class.monitored_from_bytes);
        let one = Amount {
            objects: 1.0,
            bytes: object_bytes as f64,
            billed_bytes: priced.map_or(object_bytes, |class| class.billed_bytes(object_bytes)) as f64,
            monitored: f64::from(u8::from(is_monitored)),
        };
        self.amount_of(class).add(one, objects);
    }

    fn amount_of(&mut self, class: &str) -> &mut Amount {
        let place = self.classes.binary_search_by(|(name, _)| (**name).cmp(class));
        let place = match place {
            Ok(place) => place,
            Err(place) => {
                self.classes.reserve_exact(1);
                self.classes.insert(place, (shared(class), Amount::default()));
                place
            }
        };
        &mut self.classes[place].1
    }

    fn of(&self, class: &str) -> Option<&Amount> {
        let place = self.classes.binary_search_by(|(name, _)| (**name).cmp(class)).ok()?;
        self.classes.get(place).map(|(_, amount)| amount)
    }

    /// Adds everything of another tally.
    pub fn extend(&mut self, other: &Self) {
        for (class, amount) in &other.classes {
            self.amount_of(class).add(*amount, 1.0);
        }
    }

    /// The classes with how many objects and bytes lie in each.
    pub fn classes(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.classes.iter().map(|(class, amount)| {
            (
                class.as_ref(),
                amount.objects.round() as u64,
                amount.bytes.round() as u64,
            )
        })
    }

    /// How many objects there are.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.classes
            .iter()
            .map(|(_, amount)| amount.objects)
            .sum::<f64>()
            .round() as u64
    }

    /// Their length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.classes.iter().map(|(_, amount)| amount.bytes).sum::<f64>().round() as u64
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

/// What one storage class costs a month, in the currency of the prices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassBill {
    /// The class.
    pub class: String,
    /// How many objects lie in it, on average.
    pub objects: f64,
    /// Their length in bytes, on average.
    pub bytes: f64,
    /// Storage, with what small objects are rounded up to and what each object takes beside its content.
    pub storage: f64,
    /// Storage that is billed although what was in it left before the class's minimum of days.
    pub early: f64,
    /// Watching the objects.
    pub monitoring: f64,
    /// Writing new objects.
    pub requests: f64,
    /// Moving objects here by lifecycle rules.
    pub transitions: f64,
    billed_bytes: f64,
    monitored: f64,
    overhead_standard: f64,
}

impl ClassBill {
    /// All of it.
    #[must_use]
    pub fn per_month(&self) -> f64 {
        self.storage + self.early + self.monitoring + self.requests + self.transitions
    }
}

/// What a store costs a month.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bill {
    /// Class by class.
    pub classes: Vec<ClassBill>,
    /// Classes that something lies in and that have no price: the bill is higher.
    pub unpriced: Vec<String>,
}

impl Bill {
    /// All of it, in the currency of the prices.
    #[must_use]
    pub fn per_month(&self) -> f64 {
        self.classes.iter().map(ClassBill::per_month).sum()
    }

    /// How much of the storage of a bill falls to a part of what it is for.
    #[must_use]
    pub fn share_of(&self, part: &Tally) -> f64 {
        let share = |of: f64, part: f64, whole: f64| match whole > 0.0 {
            true => of * (part / whole),
            false => 0.0,
        };
        self.classes
            .iter()
            .filter_map(|bill| Some((bill, part.of(&bill.class)?)))
            .map(|(bill, amount)| {
                share(
                    bill.storage - bill.overhead_standard,
                    amount.billed_bytes,
                    bill.billed_bytes,
                ) + share(bill.overhead_standard, amount.objects, bill.objects)
                    + share(bill.monitoring, amount.monitored, bill.monitored)
            })
            .sum()
    }

    /// Adds another bill, class by class.
    pub fn extend(&mut self, other: &Self) {
        for theirs in &other.classes {
            let line = self.line(&theirs.class);
            line.objects += theirs.objects;
            line.bytes += theirs.bytes;
            line.storage += theirs.storage;
            line.early += theirs.early;
            line.monitoring += theirs.monitoring;
            line.requests += theirs.requests;
            line.transitions += theirs.transitions;
            line.billed_bytes += theirs.billed_bytes;
            line.monitored += theirs.monitored;
            line.overhead_standard += theirs.overhead_standard;
        }
        for class in &other.unpriced {
            if !self.unpriced.contains(class) {
                self.unpriced.push(class.clone());
            }
        }
    }

    /// The line of a class, made if there is none.
    pub(super) fn line(&mut self, class: &str) -> &mut ClassBill {
        let at = match self.classes.iter().position(|line| line.class == class) {
            Some(at) => at,
            None => {
                self.classes.push(ClassBill {
                    class: class.to_owned(),
                    ..ClassBill::default()
                });
                self.classes.len() - 1
            }
        };
        &mut self.classes[at]
    }
}

impl Prices {
    /// What it costs a month that all this lies there.
    #[must_use]
    pub fn bill(&self, tally: &Tally) -> Bill {
        let mut bill = Bill::default();
        for (name, amount) in &tally.classes {
            let Some(class) = self.class(name) else {
                bill.unpriced.push(name.to_string());
                continue;
            };
            let overhead = amount.objects * class.overhead_standard_bytes as f64;
            let overhead_standard = self
                .class(STANDARD)
                .map_or(0.0, |standard| standard.storage_of(overhead));
            let line = bill.line(name);
            line.objects = amount.objects;
            line.bytes = amount.bytes;
            line.storage = class.storage_of(amount.billed_bytes) + overhead_standard;
            line.monitoring = amount.monitored / 1000.0 * class.monitoring;
            line.billed_bytes = amount.billed_bytes;
            line.monitored = amount.monitored;
            line.overhead_standard = overhead_standard;
        }
        bill
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::units::{GIB, KIB};

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn small_objects_are_billed_as_larger_and_archived_ones_with_what_they_take_beside() {
        let prices = Prices::builtin().unwrap();
        let of = |class: &str, bytes: u64, objects: u64| {
            let mut tally = Tally::default();
            tally.add(class, bytes, objects, Some(prices));
            prices.bill(&tally).per_month()
        };
        let gb = GIB as f64;
        assert!(close(of("STANDARD", GIB, 10), 0.23));
        assert!(close(of("STANDARD_IA", KIB, 8192), 0.0125));
        assert!(close(of("STANDARD_IA", GIB, 1), 0.0125));
        let glacier = 1000.0 * ((GIB + 32 * KIB) as f64 / gb * 0.0036 + 8192.0 / gb * 0.023);
        assert!(close(of("GLACIER", GIB, 1000), glacier));
        assert!(close(of("INTELLIGENT_TIERING", GIB, 1000), 23.0 + 0.0025));
        assert!(close(
            of("INTELLIGENT_TIERING", 131_071, 1000),
            131_071_000.0 / gb * 0.023
        ));
    }

    #[test]
    fn the_shares_of_the_parts_are_the_whole() {
        let prices = Prices::builtin().unwrap();
        let (mut a, mut b, mut whole) = (Tally::default(), Tally::default(), Tally::default());
        a.add("STANDARD", 60_000 * GIB, 1, Some(prices));
        a.add("GLACIER", KIB, 7, Some(prices));
        b.add("STANDARD", GIB, 3, Some(prices));
        b.add("INTELLIGENT_TIERING", GIB, 3, Some(prices));
        b.add("GLACIER", GIB, 2, Some(prices));
        whole.extend(&a);
        whole.extend(&b);
        let bill = prices.bill(&whole);
        assert!((bill.share_of(&a) + bill.share_of(&b) - bill.per_month()).abs() < 1e-6);
        assert_eq!((whole.objects(), whole.bytes()), (16, 60_008 * GIB + 7 * KIB));
    }

    #[test]
    fn a_class_without_a_price_is_named_and_costs_nothing() {
        let prices = Prices::builtin().unwrap();
        let mut tally = Tally::default();
        tally.add("COLDEST", GIB, 1, Some(prices));
        let bill = prices.bill(&tally);
        assert_eq!((bill.unpriced, bill.classes.len()), (vec!["COLDEST".to_owned()], 0));
    }
}
