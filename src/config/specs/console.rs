//! Settings: what is said and how.

use super::super::table::{Chapter, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// The configuration file.
    CONFIG = {
        key: "config",
        in_file: false,
        shape: Shape::Path,
        environment: &["BACKUP_CONFIG"],
        chapter: Chapter::Console,
        unset: "the first that exists of those under FILES",
        doc: "The configuration file.",
        example: r#""/etc/backup-cli/config.toml""#,
    }
    /// The profiles.
    PROFILE = {
        key: "profile",
        in_file: false,
        shape: Shape::List,
        environment: &["BACKUP_PROFILE"],
        chapter: Chapter::Console,
        doc: "The profiles to use, one run for each.",
        example: r#"["web"]"#,
    }
    /// The dotenv file.
    ENV_FILE = {
        key: "env-file",
        in_file: false,
        shape: Shape::Path,
        environment: &["BACKUP_ENV_FILE"],
        chapter: Chapter::Console,
        doc: "A dotenv file whose variables count where the environment does not have them.",
        example: r#""/srv/app/.env""#,
    }
    /// Machine-readable output.
    JSON = {
        key: "json",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_JSON"],
        default: Some("false"),
        chapter: Chapter::Console,
        doc: "Print JSON.",
        example: "true",
    }
    /// Silence.
    QUIET = {
        key: "quiet",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_QUIET"],
        default: Some("false"),
        chapter: Chapter::Console,
        doc: "Print errors only.",
        example: "true",
    }
    /// More words.
    VERBOSE = {
        key: "verbose",
        in_file: false,
        shape: Shape::Integer { min: 0, max: 3 },
        environment: &["BACKUP_VERBOSE"],
        default: Some("0"),
        chapter: Chapter::Console,
        doc: "How much to log, from 0 to 3.",
        example: "1",
    }
    /// No progress.
    NO_PROGRESS = {
        key: "no-progress",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_NO_PROGRESS"],
        default: Some("false"),
        chapter: Chapter::Console,
        doc: "Do not show progress.",
        example: "true",
    }
    /// The format of standard error.
    LOG_FORMAT = {
        key: "log-format",
        in_file: false,
        shape: Shape::Choice(&["text", "json"]),
        environment: &["BACKUP_LOG_FORMAT"],
        default: Some("text"),
        chapter: Chapter::Console,
        doc: "How messages on standard error look: text or json.",
        example: r#""json""#,
    }
    /// Colour.
    COLOR = {
        key: "color",
        in_file: false,
        shape: Shape::Choice(&["auto", "always", "never"]),
        environment: &["BACKUP_COLOR"],
        default: Some("auto"),
        chapter: Chapter::Console,
        doc: "When to use colour: auto, always or never. NO_COLOR is honoured too.",
        example: r#""never""#,
    }
}
