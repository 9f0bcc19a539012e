//! Settings: what the bucket does by itself as objects grow old.

use super::super::table::{Chapter, Spec};
use super::super::value::Shape;
use super::BASE;

/// Whole days from one to a hundred years.
const DAYS: Shape = Shape::Integer {
    min: 1,
    max: crate::ops::lifecycle::DAYS_MAX as u64,
};

specs! {
    /// The moves to other classes.
    LIFECYCLE_TRANSITIONS = {
        key: "lifecycle-transitions",
        shape: Shape::Transitions,
        environment: &["BACKUP_LIFECYCLE_TRANSITIONS"],
        chapter: Chapter::Retention,
        unset: "data stays in its class",
        doc: "To which storage classes the bucket moves data as it grows old, each as DAYS:CLASS; written into the bucket by `lifecycle apply`. In a table [profile.NAME.lifecycle], this and the next keys are called transitions, glacier-days and so on.",
        example: r#"["30:GLACIER_IR", "120:DEEP_ARCHIVE"]"#,
    }
    /// The move to the archive, as the scripts of old name it.
    LIFECYCLE_GLACIER_DAYS = {
        key: "lifecycle-glacier-days",
        shape: DAYS,
        environment: &["BACKUP_LIFECYCLE_GLACIER_DAYS", "BACKUP_S3_GLACIER_DAYS"],
        chapter: Chapter::Retention,
        unset: "no such step",
        doc: "After how many days the bucket moves data to GLACIER: a step beside those of lifecycle-transitions.",
        example: "30",
    }
    /// When backups are removed.
    LIFECYCLE_DELETE_DAYS = {
        key: "lifecycle-delete-days",
        shape: DAYS,
        environment: &["BACKUP_LIFECYCLE_DELETE_DAYS", "BACKUP_S3_DELETE_DAYS"],
        chapter: Chapter::Retention,
        unset: "the bucket removes no backups",
        doc: "After how many days the bucket removes backups, by their age alone; `prune` never removes the newest, the bucket does.",
        example: "90",
    }
    /// When older versions are removed.
    LIFECYCLE_NONCURRENT_DAYS = {
        key: "lifecycle-noncurrent-days",
        shape: DAYS,
        environment: &["BACKUP_LIFECYCLE_NONCURRENT_DAYS"],
        chapter: Chapter::Retention,
        unset: "the bucket removes no versions",
        doc: "In a bucket that keeps versions: how many days after its removal an object is gone for good.",
        example: "30",
    }
    /// When unfinished uploads are removed.
    LIFECYCLE_ABORT_DAYS = {
        key: "lifecycle-abort-days",
        shape: DAYS,
        environment: &["BACKUP_LIFECYCLE_ABORT_DAYS"],
        default: Some("7"),
        chapter: Chapter::Retention,
        doc: "After how many days the bucket throws unfinished uploads away; longer than any backup takes.",
        example: "7",
    }
}
