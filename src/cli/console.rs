//! How to talk to the user, from flags and environment.

use crate::base::failure::Result;
use crate::config::{Environment, Flags, early, table};
use crate::ui::console::{ColorChoice, ConsoleSettings};

/// Resolves the settings of the console; configuration files do not hold them.
///
/// # Errors
/// [`crate::base::failure::Kind::Usage`] or [`crate::base::failure::Kind::Config`] if one has a wrong value.
pub fn resolve(flags: &Flags, environment: &Environment) -> Result<ConsoleSettings> {
    let switch = |spec| early::get::<bool>(spec, flags, environment);
    let word = |spec| early::get::<String>(spec, flags, environment);
    let verbose = early::get::<u64>(&table::VERBOSE, flags, environment)?;
    Ok(ConsoleSettings {
        json: switch(&table::JSON)?,
        quiet: switch(&table::QUIET)?,
        verbose: u8::try_from(verbose).unwrap_or(u8::MAX),
        no_progress: switch(&table::NO_PROGRESS)?,
        log_json: word(&table::LOG_FORMAT)? == "json",
        color: match word(&table::COLOR)?.as_str() {
            "always" => ColorChoice::Always,
            "never" => ColorChoice::Never,
            _ => ColorChoice::Auto,
        },
        no_color: environment.get("NO_COLOR").is_some(),
        dumb_terminal: environment.get("TERM") == Some("dumb"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::failure::Kind;

    #[test]
    fn flags_win_over_the_environment_and_both_over_nothing() {
        let environment =
            Environment::from_pairs([("BACKUP_JSON", "1"), ("BACKUP_COLOR", "always"), ("NO_COLOR", "1")]);
        let flags = Flags::default().text(&table::COLOR, "--color", Some("never"));
        let settings = resolve(&flags, &environment).unwrap();
        assert!(settings.json && settings.no_color && !settings.quiet);
        assert_eq!(settings.color, ColorChoice::Never);
    }

    #[test]
    fn a_wrong_word_is_named_with_its_origin() {
        let environment = Environment::from_pairs([("BACKUP_LOG_FORMAT", "xml")]);
        let failure = resolve(&Flags::default(), &environment).unwrap_err();
        assert_eq!(failure.message(), "Wrong value of environment BACKUP_LOG_FORMAT");
        assert_eq!(failure.causes(), ["Expected one of text, json, found `xml`"]);
        assert_eq!(failure.kind(), Kind::Config);
    }
}
