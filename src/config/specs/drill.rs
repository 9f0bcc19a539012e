//! Settings: drills, and what is told about runs to those who watch them.

use super::super::table::{Chapter, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// Where drills may restore into.
    DRILL_TO = {
        key: "drill-to",
        shape: Shape::Sources,
        environment: &["BACKUP_DRILL_TO"],
        chapter: Chapter::Run,
        unset: "the system's folder for temporary files; no server",
        doc: "Where `verify --restore` makes its scratch target: a PostgreSQL or MySQL server, a folder, or one of each; in a table `[profile.NAME.drill]` it is called `to`.",
        example: r#"["postgres://drill@scratch-host/", "/var/tmp"]"#,
    }
    /// What must hold of a backup that a drill has restored.
    DRILL_CHECKS = {
        key: "drill-checks",
        shape: Shape::Checks,
        environment: &["BACKUP_DRILL_CHECKS"],
        chapter: Chapter::Run,
        doc: "What must hold of a restored backup: questions that a database answers with true, or `{ query = \"…\", expect = \">= 1000\" }`; paths that must be there, or `{ path = \"…\", min-size = \"1KiB\" }`. One that does not go with what a backup holds leaves its drill incomplete (3), so give each profile its own: in a table `[profile.NAME.drill]` it is called `checks`.",
        example: r#"["select count(*) > 0 from users", "select max(created) > '2026-01-01' from orders"]"#,
    }
    /// Where metrics are written.
    METRICS_FILE = {
        key: "metrics-file",
        shape: Shape::Path,
        environment: &["BACKUP_METRICS_FILE"],
        chapter: Chapter::Run,
        doc: "A file that receives metrics of backups and drills in Prometheus' text format, for node_exporter's textfile collector; other metrics in it stay.",
        example: r#""/var/lib/node_exporter/backup-cli.prom""#,
    }
}
