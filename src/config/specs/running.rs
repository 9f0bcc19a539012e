//! Settings: how bytes are moved and how a run behaves.

use super::super::table::{Chapter, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// Threads for compression.
    THREADS = {
        key: "threads",
        shape: Shape::Integer { min: 1, max: 1024 },
        environment: &["BACKUP_THREADS"],
        chapter: Chapter::Transfer,
        unset: "one for each core",
        doc: "How many threads compress or inflate.",
        example: "4",
    }
    /// The size of parts.
    PART_SIZE = {
        key: "part-size",
        shape: Shape::Bytes,
        environment: &["BACKUP_PART_SIZE"],
        chapter: Chapter::Transfer,
        unset: "chosen from the expected size",
        doc: "The size of a part of a multipart upload.",
        example: r#""16MiB""#,
    }
    /// Parts in flight.
    PARTS_IN_FLIGHT = {
        key: "parts-in-flight",
        shape: Shape::Integer { min: 1, max: 256 },
        environment: &["BACKUP_PARTS_IN_FLIGHT"],
        chapter: Chapter::Transfer,
        unset: "chosen from the memory",
        doc: "How many parts are sent or fetched at the same time.",
        example: "4",
    }
    /// The bound of memory.
    MEMORY = {
        key: "memory",
        shape: Shape::Bytes,
        environment: &["BACKUP_MEMORY"],
        default: Some("128MiB"),
        chapter: Chapter::Transfer,
        doc: "How much memory a run may take; part size and parts in flight follow from it.",
        example: r#""64MiB""#,
    }
    /// The expected size.
    EXPECTED_SIZE = {
        key: "expected-size",
        shape: Shape::Bytes,
        environment: &["BACKUP_EXPECTED_SIZE"],
        chapter: Chapter::Transfer,
        unset: "asked of the source, else the series' last backup",
        doc: "How large the backup may become before compression, where the source cannot tell.",
        example: r#""2TiB""#,
    }
    /// The first delay between attempts.
    RETRY_DELAY = {
        key: "retry-delay",
        shape: Shape::Duration,
        environment: &["BACKUP_RETRY_DELAY"],
        default: Some("5s"),
        chapter: Chapter::Transfer,
        doc: "How long to wait before a part is sent again; doubled each time.",
        example: r#""5s""#,
    }
    /// The longest delay between attempts.
    RETRY_DELAY_MAX = {
        key: "retry-delay-max",
        shape: Shape::Duration,
        environment: &["BACKUP_RETRY_DELAY_MAX"],
        default: Some("60s"),
        chapter: Chapter::Transfer,
        doc: "The longest wait between two attempts.",
        example: r#""60s""#,
    }
    /// How long to try without progress.
    RETRY_BUDGET = {
        key: "retry-budget",
        shape: Shape::Duration,
        environment: &["BACKUP_RETRY_BUDGET"],
        default: Some("15m"),
        chapter: Chapter::Transfer,
        doc: "How long to go on trying without any progress.",
        example: r#""15m""#,
    }
    /// How long an attempt of a request may take at least.
    REQUEST_TIMEOUT = {
        key: "request-timeout",
        shape: Shape::Duration,
        environment: &["BACKUP_REQUEST_TIMEOUT"],
        default: Some("60s"),
        chapter: Chapter::Transfer,
        doc: "How long to wait for the answer to a request before it is sent again; one that carries much, or completes an upload, is given more.",
        example: r#""60s""#,
    }
    /// How long nothing may arrive of an answer.
    STALL_TIMEOUT = {
        key: "stall-timeout",
        shape: Shape::Duration,
        environment: &["BACKUP_STALL_TIMEOUT"],
        default: Some("30s"),
        chapter: Chapter::Transfer,
        doc: "How long an answer may stand still before the rest of it is asked for anew.",
        example: r#""30s""#,
    }
    /// How long to wait for a lock.
    LOCK_TIMEOUT = {
        key: "lock-timeout",
        shape: Shape::Duration,
        environment: &["BACKUP_LOCK_TIMEOUT"],
        default: Some("0s"),
        chapter: Chapter::Run,
        doc: "How long to wait for another run of the same series on this machine; 0s refuses at once.",
        example: r#""10m""#,
    }
    /// When a backup is flagged for its shape.
    SHAPE_GUARD = {
        key: "shape-guard",
        shape: Shape::PercentOrOff,
        environment: &["BACKUP_SHAPE_GUARD"],
        default: Some("50%"),
        chapter: Chapter::Run,
        doc: "Flag a backup whose size, tables, rows or files are below this part of the median of the series' last ones; it is published all the same. `off` compares nothing.",
        example: r#""50%""#,
    }
    /// Where locks are kept.
    LOCK_FOLDER = {
        key: "lock-folder",
        shape: Shape::Path,
        environment: &["BACKUP_LOCK_FOLDER"],
        chapter: Chapter::Run,
        unset: "a folder under the user's state directory",
        doc: "Where the locks of running backups are kept.",
        example: r#""/run/lock/backup-cli""#,
    }
    /// The recorded host name.
    HOST = {
        key: "host",
        environment: &["BACKUP_HOST"],
        chapter: Chapter::Run,
        unset: "this machine's name",
        doc: "The host name that is recorded with a backup; never used to group backups.",
        example: r#""web-1""#,
    }
    /// Whether a restore backs up first what it replaces.
    SAFETY_BACKUP = {
        key: "safety-backup",
        shape: Shape::Switch,
        environment: &["BACKUP_SAFETY_BACKUP"],
        default: Some("true"),
        chapter: Chapter::Run,
        doc: "Back up first what a restore will replace.",
        example: "false",
    }
}
