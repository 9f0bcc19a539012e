//! The rows of the table of settings, a file for each part of it.

use super::table::{Chapter, Privacy, Spec};
use super::value::Shape;

/// What most settings have in common.
const BASE: Spec = Spec {
    key: "",
    in_file: true,
    shape: Shape::Text,
    environment: &[],
    fallback: &[],
    default: None,
    unset: "",
    privacy: Privacy::Open,
    chapter: Chapter::Run,
    doc: "",
    example: "",
};

macro_rules! specs {
    ($($(#[$attribute:meta])* $constant:ident = { $($field:ident: $value:expr),* $(,)? })*) => {
        $($(#[$attribute])* pub const $constant: Spec = Spec { $($field: $value,)* ..BASE };)*
        /// The settings of this part, in the order in which they are shown.
        pub(super) const ROWS: &[&Spec] = &[$(&$constant),*];
    };
}

mod console;
mod drill;
mod encryption;
mod lifecycle;
mod pricing;
mod retention;
mod running;
mod source;
mod store;

pub use console::*;
pub use drill::*;
pub use encryption::*;
pub use lifecycle::*;
pub use pricing::*;
pub use retention::*;
pub use running::*;
pub use source::*;
pub use store::*;

const PARTS: [&[&Spec]; 9] = [
    source::ROWS,
    store::ROWS,
    encryption::ROWS,
    retention::ROWS,
    lifecycle::ROWS,
    pricing::ROWS,
    running::ROWS,
    drill::ROWS,
    console::ROWS,
];

/// Every setting, in the order in which they are shown.
pub const ALL: &[&Spec] = &joined();

const fn joined() -> [&'static Spec; row_count()] {
    let mut rows = [PARTS[0][0]; row_count()];
    let (mut part, mut filled) = (0, 0);
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            rows[filled] = PARTS[part][at];
            filled += 1;
            at += 1;
        }
        part += 1;
    }
    rows
}

const fn row_count() -> usize {
    let (mut part, mut rows) = (0, 0);
    while part < PARTS.len() {
        rows += PARTS[part].len();
        part += 1;
    }
    rows
}

/// The prefix in a bucket that was named by itself.
pub const S3_PREFIX_DEFAULT: &str = "backups";

/// The layout that the seeds of this project used already.
pub const KEY_TEMPLATE_DEFAULT: &str = "{date}/{name}_backup_{date}_{time}";

/// Variables of this tool that are in use in the field and that this version knows but does not act on.
pub const NOT_YET: &[&str] = &["BACKUP_HEALTHCHECK_URL", "BACKUP_HEALTHCHECK_FAIL_URL"];
