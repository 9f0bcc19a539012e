//! `config`: looks at the settings, and nothing else; the network is never touched.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};

use super::help;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::config::{
    ConfigFile, Environment, Flags, Loaded, Secrets, Settings, early, example, file_to_write, first_problem, table,
};
use crate::ui::Console;
use crate::ui::table::{Column, render};

/// Show, check or create the configuration
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("config"), arg_required_else_help = true)]
pub struct Args {
    /// What to do with it.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Print every setting with its value and where it came from; secrets are masked
    #[command(after_long_help = help::closing("config show"))]
    Show,

    /// Check the whole configuration and report every problem, without touching the network
    ///
    /// Every profile is checked, or those that are named by --profile.
    #[command(after_long_help = help::closing("config check"))]
    Check,

    /// Write an example configuration, with every key and its explanation
    ///
    /// A file that exists is never overwritten.
    #[command(after_long_help = help::closing("config init"))]
    Init {
        /// The file to write, or `-` for standard output [default: the user's configuration file]
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
}

/// Does it.
///
/// # Errors
/// [`Kind::Config`] for what is wrong with the settings, [`Kind::Refused`] rather than overwrite a file.
pub fn run(args: &Args, flags: &Flags, environment: &Environment, console: &Console) -> Result<()> {
    match &args.action {
        Action::Show => show(flags, environment, console),
        Action::Check => check(flags, environment, console),
        Action::Init { file } => init(file.as_deref(), flags, environment, console),
    }
}

fn show(flags: &Flags, environment: &Environment, console: &Console) -> Result<()> {
    let loaded = Loaded::load(flags, environment.clone()).map_err(first_problem)?;
    let mut documents = Vec::new();
    for profile in loaded.runs() {
        let settings = loaded.settings(flags, profile, Secrets::Leave).map_err(first_problem)?;
        documents.push(settings);
    }
    if let Some(first) = documents.first() {
        first.warnings.iter().for_each(|warning| console.warning(warning));
    }
    if console.is_json() {
        let file = loaded.file.path.as_ref().map(|path| path.display().to_string());
        let documents: Vec<_> = documents
            .iter()
            .map(|settings| as_json(settings, file.as_deref()))
            .collect();
        return match documents.as_slice() {
            [one] => console.answer_json(one),
            several => console.answer_json(&several),
        };
    }
    for (index, settings) in documents.iter().enumerate() {
        if index > 0 {
            console.answer("\n")?;
        }
        console.answer(&as_text(settings, &loaded.file))?;
    }
    Ok(())
}

fn as_text(settings: &Settings, file: &ConfigFile) -> String {
    let mut text = match &file.path {
        Some(path) => format!("Configuration file: {}\n", path.display()),
        None => "Configuration file: none\n".to_owned(),
    };
    if let Some(profile) = &settings.profile {
        text.push_str(&format!("Profile: {profile}\n"));
    }
    let rows = settings.shown().iter().map(|shown| {
        let unset = || {
            let note = table::by_key(shown.key).map_or("", |spec| spec.unset);
            if note.is_empty() {
                "-".to_owned()
            } else {
                format!("- ({note})")
            }
        };
        let value = match &shown.text {
            Some(value) if value.is_empty() => "-".to_owned(),
            Some(value) => value.clone(),
            None => unset(),
        };
        vec![shown.key.to_owned(), value, shown.origin.clone()]
    });
    let columns = [Column::left("SETTING"), Column::left("VALUE"), Column::left("ORIGIN")];
    text + "\n" + &render(&columns, rows)
}

fn as_json(settings: &Settings, file: Option<&str>) -> serde_json::Value {
    let values: serde_json::Map<String, serde_json::Value> = settings
        .shown()
        .iter()
        .map(|shown| {
            let value = serde_json::json!({ "value": shown.json, "origin": shown.origin });
            (shown.key.to_owned(), value)
        })
        .collect();
    serde_json::json!({
        "message_type": "config",
        "file": file,
        "profile": settings.profile,
        "settings": values,
        "warnings": settings.warnings,
    })
}

fn check(flags: &Flags, environment: &Environment, console: &Console) -> Result<()> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let mut file = None;
    let mut checked = 0;
    match Loaded::load(flags, environment.clone()) {
        Err(found) => problems = found,
        Ok(loaded) => {
            file.clone_from(&loaded.file.path);
            let mut runs = loaded.runs();
            if loaded.profiles.is_empty() {
                runs.extend(loaded.file.profiles.keys().map(|name| Some(name.as_str())));
            }
            for profile in runs {
                checked += usize::from(profile.is_some());
                match loaded.settings(flags, profile, Secrets::Leave) {
                    Ok(settings) => warnings = settings.warnings,
                    Err(found) => problems.extend(found),
                }
            }
        }
    }
    // What is wrong in [defaults] or in the environment is wrong in every profile; once is enough.
    let mut seen = std::collections::BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
    warnings.iter().for_each(|warning| console.warning(warning));
    let place = file
        .as_ref()
        .map_or_else(|| "no configuration file".to_owned(), |path| path.display().to_string());
    let mut problems = problems.into_iter();
    let Some(first) = problems.next() else {
        if console.is_json() {
            return console.answer_json(&serde_json::json!({
                "message_type": "config_check",
                "file": file,
                "profiles": checked,
                "problems": 0,
            }));
        }
        return console.answer(&match checked {
            0 => format!("The configuration is valid: {place}."),
            1 => format!("The configuration is valid: {place}, 1 profile."),
            profiles => format!("The configuration is valid: {place}, {profiles} profiles."),
        });
    };
    let others: Vec<Failure> = problems.collect();
    if others.is_empty() {
        return Err(first);
    }
    let count = others.len() + 1;
    let kind = first.kind();
    console.failure(&first);
    others.iter().for_each(|problem| console.failure(problem));
    Err(Failure::new(kind, format!("The configuration has {count} problems")))
}

fn init(file: Option<&Path>, flags: &Flags, environment: &Environment, console: &Console) -> Result<()> {
    let text = example::example();
    if file == Some(Path::new("-")) {
        return console.answer(&text);
    }
    let named = early::find::<PathBuf>(&table::CONFIG, flags, environment)?;
    let path = file_to_write(file.or(named.as_ref().map(|named| named.value.as_path())), environment)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).doing(|| format!("create the folder `{}`", folder.display()))?;
    }
    use std::os::unix::fs::OpenOptionsExt;
    // Only its owner may read it: sooner or later a password ends up in there.
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let mut created = match created {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(
                Failure::new(Kind::Refused, format!("There is a file already: `{}`", path.display()))
                    .hint("Name another file, or `-` to print the example"),
            );
        }
        other => other.doing(|| format!("create `{}`", path.display()))?,
    };
    created
        .write_all(text.as_bytes())
        .and_then(|()| created.sync_all())
        .doing(|| format!("write `{}`", path.display()))?;
    if console.is_json() {
        return console.answer_json(&serde_json::json!({ "message_type": "config_init", "file": path }));
    }
    console.answer(&format!("Wrote {}.", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ui::ConsoleSettings;
    use crate::ui::console::Shared;

    fn run_in(home: &Path, action: Action, flags: &Flags, json: bool) -> (Result<()>, String, String) {
        let (out, err) = (Shared::default(), Shared::default());
        let settings = ConsoleSettings {
            json,
            ..ConsoleSettings::default()
        };
        let console = Console::with_sinks(settings, false, false, Box::new(out.clone()), Box::new(err.clone()));
        let environment = Environment::from_pairs([("HOME", home.to_str().unwrap())]);
        let result = run(&Args { action }, flags, &environment, &console);
        (result, out.text(), err.text())
    }

    #[test]
    fn init_writes_a_valid_file_once() {
        let home = tempfile::tempdir().unwrap();
        let init = || Action::Init { file: None };
        let (result, out, _) = run_in(home.path(), init(), &Flags::default(), false);
        result.unwrap();
        let path = home.path().join(".config/backup-cli/config.toml");
        assert_eq!(out, format!("Wrote {}.\n", path.display()));
        let (result, out, _) = run_in(home.path(), Action::Check, &Flags::default(), false);
        result.unwrap();
        assert_eq!(out, format!("The configuration is valid: {}.\n", path.display()));
        let (result, ..) = run_in(home.path(), init(), &Flags::default(), false);
        assert_eq!(result.unwrap_err().kind(), Kind::Refused);
    }

    #[test]
    fn show_prints_every_value_with_its_origin() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags::default().text(&table::LEVEL, "--level", Some("9"));
        let (result, out, _) = run_in(home.path(), Action::Show, &flags, false);
        result.unwrap();
        assert!(out.starts_with("Configuration file: none\n\nSETTING "), "{out}");
        let level = out.lines().find(|line| line.starts_with("level ")).unwrap();
        assert_eq!(
            level.split_whitespace().collect::<Vec<_>>(),
            ["level", "9", "flag", "--level"]
        );
        let (_, out, _) = run_in(home.path(), Action::Show, &flags, true);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            document["settings"]["level"],
            serde_json::json!({"value": 9, "origin": "flag --level"})
        );
        assert_eq!(document["settings"]["memory"]["value"], 128 << 20);
    }

    #[test]
    fn check_reports_every_problem() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("c.toml");
        std::fs::write(&path, "[defaults]\nlevell = 1\n[profile.a]\nstore = 1\n").unwrap();
        let flags = Flags::default().text(&table::CONFIG, "--config", path.to_str());
        let (result, _, err) = run_in(home.path(), Action::Check, &flags, false);
        let failure = result.unwrap_err();
        assert_eq!(failure.kind(), Kind::Config);
        assert_eq!(failure.message(), "The configuration has 2 problems");
        assert_eq!(err.matches("Error: ").count(), 2, "{err}");
        assert!(err.contains("line 2\nHint: Did you mean `level`?"), "{err}");
    }
}
