//! Settings: what storing backups costs.

use super::super::table::{Chapter, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// The file of prices.
    PRICES = {
        key: "prices",
        shape: Shape::Path,
        environment: &["BACKUP_PRICES"],
        chapter: Chapter::Retention,
        unset: "the built-in list prices of Amazon S3",
        doc: "A file of prices by storage class, in place of the built-in one; `backup-cli cost --print-prices` prints that as an example.",
        example: r#""/etc/backup-cli/prices.toml""#,
    }
}
