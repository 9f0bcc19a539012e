//! Settings: which backups are kept, and what is cleared up.

use super::super::table::{Chapter, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// The rule `keep-last`.
    KEEP_LAST = {
        key: "keep-last",
        shape: Shape::Count,
        environment: &["BACKUP_KEEP_LAST"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "How many of the newest backups of a series `prune` keeps; a whole number or unlimited.",
        example: "3",
    }
    /// The rule `keep-hourly`.
    KEEP_HOURLY = {
        key: "keep-hourly",
        shape: Shape::Count,
        environment: &["BACKUP_KEEP_HOURLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "For how many hours that have backups `prune` keeps the newest of each.",
        example: "24",
    }
    /// The rule `keep-daily`.
    KEEP_DAILY = {
        key: "keep-daily",
        shape: Shape::Count,
        environment: &["BACKUP_KEEP_DAILY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "For how many days that have backups `prune` keeps the newest of each; days are those of UTC.",
        example: "7",
    }
    /// The rule `keep-weekly`.
    KEEP_WEEKLY = {
        key: "keep-weekly",
        shape: Shape::Count,
        environment: &["BACKUP_KEEP_WEEKLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "For how many weeks that have backups `prune` keeps the newest of each; a week begins on Monday.",
        example: "5",
    }
    /// The rule `keep-monthly`.
    KEEP_MONTHLY = {
        key: "keep-monthly",
        shape: Shape::Count,
        environment: &["BACKUP_KEEP_MONTHLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "For how many months that have backups `prune` keeps the newest of each.",
        example: "12",
    }
    /// The rule `keep-yearly`.
    KEEP_YEARLY = {
        key: "keep-yearly",
        shape: Shape::Count,
        environment: &["BACKUP_KEEP_YEARLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "For how many years that have backups `prune` keeps the newest of each.",
        example: r#""unlimited""#,
    }
    /// The rule `keep-within`.
    KEEP_WITHIN = {
        key: "keep-within",
        shape: Shape::Span,
        environment: &["BACKUP_KEEP_WITHIN"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps everything within this span of the newest backup of the series: years, months, days, hours.",
        example: r#""2y5m7d3h""#,
    }
    /// The rule `keep-within-hourly`.
    KEEP_WITHIN_HOURLY = {
        key: "keep-within-hourly",
        shape: Shape::Span,
        environment: &["BACKUP_KEEP_WITHIN_HOURLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps the newest backup of each hour within this span of the newest backup of the series.",
        example: r#""1y""#,
    }
    /// The rule `keep-within-daily`.
    KEEP_WITHIN_DAILY = {
        key: "keep-within-daily",
        shape: Shape::Span,
        environment: &["BACKUP_KEEP_WITHIN_DAILY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps the newest backup of each day within this span of the newest backup of the series.",
        example: r#""1y""#,
    }
    /// The rule `keep-within-weekly`.
    KEEP_WITHIN_WEEKLY = {
        key: "keep-within-weekly",
        shape: Shape::Span,
        environment: &["BACKUP_KEEP_WITHIN_WEEKLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps the newest backup of each week within this span of the newest backup of the series.",
        example: r#""1y""#,
    }
    /// The rule `keep-within-monthly`.
    KEEP_WITHIN_MONTHLY = {
        key: "keep-within-monthly",
        shape: Shape::Span,
        environment: &["BACKUP_KEEP_WITHIN_MONTHLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps the newest backup of each month within this span of the newest backup of the series.",
        example: r#""1y""#,
    }
    /// The rule `keep-within-yearly`.
    KEEP_WITHIN_YEARLY = {
        key: "keep-within-yearly",
        shape: Shape::Span,
        environment: &["BACKUP_KEEP_WITHIN_YEARLY"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps the newest backup of each year within this span of the newest backup of the series.",
        example: r#""1y""#,
    }
    /// The rule `keep-tag`.
    KEEP_TAGS = {
        key: "keep-tag",
        shape: Shape::Lines,
        environment: &["BACKUP_KEEP_TAG"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps every backup that carries all tags of one of these lists; the tags of a list are separated by commas.",
        example: r#"["release", "monthly,audited"]"#,
    }
    /// The days of retention.
    RETENTION_DAYS = {
        key: "retention-days",
        shape: Shape::Integer { min: 0, max: 1_000_000 },
        environment: &["BACKUP_RETENTION_DAYS", "BACKUP_S3_RETENTION_DAYS"],
        chapter: Chapter::Retention,
        unset: "no such rule",
        doc: "`prune` keeps everything within so many days of the newest backup of the series, as keep-within does; 0 is no rule.",
        example: "30",
    }
    /// How many stay whatever the rules say.
    MIN_KEEP = {
        key: "min-keep",
        shape: Shape::Integer { min: 1, max: 1_000_000 },
        environment: &["BACKUP_MIN_KEEP"],
        default: Some("1"),
        chapter: Chapter::Retention,
        doc: "How many of the newest complete backups of a series `prune` never removes, whatever the rules say.",
        example: "3",
    }
    /// Whether a backup prunes its series afterwards.
    PRUNE = {
        key: "prune",
        shape: Shape::Switch,
        environment: &["BACKUP_PRUNE"],
        default: Some("false"),
        chapter: Chapter::Retention,
        doc: "Prune the series after a backup that was made without any trouble.",
        example: "true",
    }
    /// Whether versions go, too.
    PURGE_VERSIONS = {
        key: "purge-versions",
        shape: Shape::Switch,
        environment: &["BACKUP_PURGE_VERSIONS"],
        default: Some("false"),
        chapter: Chapter::Retention,
        doc: "In a bucket that keeps versions, remove all versions of what is pruned; else it is only hidden and goes on costing money.",
        example: "true",
    }
    /// How old leftovers must be.
    CLEANUP_OLDER_THAN = {
        key: "cleanup-older-than",
        shape: Shape::Duration,
        environment: &["BACKUP_CLEANUP_OLDER_THAN"],
        default: Some("7d"),
        chapter: Chapter::Retention,
        doc: "How old an unfinished upload, or data without a manifest, must be before it counts as left behind; longer than any run can last.",
        example: r#""7d""#,
    }
}
