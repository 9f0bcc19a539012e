//! The storage classes that objects can move to, as far as rules have to know them.

/// A storage class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// Its place in the order in which objects can move: to a later one only.
    rank: u8,
    /// How many days an object must have lain elsewhere before it may move here, and here before it moves on.
    pub rest_days: u32,
    /// For how many days each object is billed at least.
    pub billed_days: u32,
    /// Whether objects have to be thawed before they can be read.
    pub is_archive: bool,
}

/// By AWS's documentation, in the order in which objects can move.
const CLASSES: &[Class] = &[
    Class {
        name: "STANDARD_IA",
        rank: 1,
        rest_days: 30,
        billed_days: 30,
        is_archive: false,
    },
    Class {
        name: "INTELLIGENT_TIERING",
        rank: 2,
        rest_days: 0,
        billed_days: 0,
        is_archive: false,
    },
    Class {
        name: "ONEZONE_IA",
        rank: 3,
        rest_days: 30,
        billed_days: 30,
        is_archive: false,
    },
    Class {
        name: "GLACIER_IR",
        rank: 4,
        rest_days: 0,
        billed_days: 90,
        is_archive: false,
    },
    Class {
        name: "GLACIER",
        rank: 5,
        rest_days: 0,
        billed_days: 90,
        is_archive: true,
    },
    Class {
        name: "DEEP_ARCHIVE",
        rank: 6,
        rest_days: 0,
        billed_days: 180,
        is_archive: true,
    },
];

/// The names of all classes.
#[must_use]
pub fn class_names() -> String {
    CLASSES.iter().map(|class| class.name).collect::<Vec<_>>().join(", ")
}

/// What is known of a class.
#[must_use]
pub fn class(name: &str) -> Option<&'static Class> {
    CLASSES.iter().find(|class| class.name == name)
}

impl Class {
    /// Whether an object can move on from here to `next`.
    #[must_use]
    pub fn leads_to(&self, next: &Self) -> bool {
        // The one zone's copies do not go into the archive that is read at once.
        self.rank < next.rank && !(self.name == "ONEZONE_IA" && next.name == "GLACIER_IR")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn objects_move_down_only() {
        for (from, to, moves) in [
            ("STANDARD_IA", "GLACIER_IR", true),
            ("GLACIER_IR", "GLACIER", true),
            ("GLACIER", "DEEP_ARCHIVE", true),
            ("ONEZONE_IA", "GLACIER", true),
            ("ONEZONE_IA", "GLACIER_IR", false),
            ("GLACIER", "GLACIER", false),
            ("DEEP_ARCHIVE", "STANDARD_IA", false),
        ] {
            assert_eq!(class(from).unwrap().leads_to(class(to).unwrap()), moves, "{from} {to}");
        }
    }
}
