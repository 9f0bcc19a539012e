//! The manual pages, made from the commands, the table of settings and the closing sections of the help.

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{help, permissions as rights};
use crate::base::failure::{IoContext, Result};
use crate::config::example::explanation;
use crate::config::table::{self, Chapter, Spec};

/// A page of the manual: its file name and its text.
pub(super) type Page = (String, Vec<u8>);

/// The pages of all commands that are not hidden.
///
/// # Errors
/// If a page cannot be rendered.
pub(super) fn pages(mut root: clap::Command) -> Result<Vec<Page>> {
    root.build();
    let mut pages = Vec::new();
    let mut stack = vec![(root.clone(), Vec::<String>::new())];
    while let Some((command, path)) = stack.pop() {
        pages.push(page(&command, &path)?);
        for sub in command
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
        {
            let mut path = path.clone();
            path.push(sub.get_name().to_owned());
            stack.push((sub.clone(), path));
        }
    }
    Ok(pages)
}

fn page(command: &clap::Command, path: &[String]) -> Result<Page> {
    let is_main = path.is_empty();
    let key = if is_main {
        "backup-cli".to_owned()
    } else {
        path.join(" ")
    };
    let file = format!(
        "{}.1",
        std::iter::once("backup-cli")
            .chain(path.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join("-")
    );
    let mut text = Vec::new();
    // The options that go with every command are explained once, on the main page.
    let command = command.clone().mut_args(|argument| {
        let hide = !is_main && argument.is_global_set();
        // A manual explains what the short help leaves out.
        argument.hide_short_help(false).hide(hide)
    });
    let man = Man::new(command.clone())
        .source(format!("backup-cli {}", env!("CARGO_PKG_VERSION")))
        .manual("Manual of backup-cli");
    let rendered: std::io::Result<()> = (|| {
        man.render_title(&mut text)?;
        man.render_name_section(&mut text)?;
        man.render_synopsis_section(&mut text)?;
        man.render_description_section(&mut text)?;
        man.render_options_section(&mut text)?;
        if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
            man.render_subcommands_section(&mut text)?;
        }
        let mut rest = Roff::new();
        if is_main {
            environment(&mut rest);
            files(&mut rest);
        } else {
            rest.control("SH", ["GLOBAL OPTIONS"]);
            rest.text([roman("Those of "), bold("backup-cli"), roman("(1).")]);
        }
        examples(&mut rest, &key);
        permissions(&mut rest, &key);
        exit_status(&mut rest, &key);
        see_also(&mut rest, is_main);
        rest.to_writer(&mut text)
    })();
    rendered.doing(|| format!("render the manual page `{file}`"))?;
    Ok((file, text))
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(
        "A setting comes from the first of: a flag, a variable that begins with BACKUP_, the profile, the defaults of the \
         configuration file, a variable of another tool, the built-in value. A variable that is empty counts as not set. \
         Lists are separated by commas, or where their items may hold commas, by line ends. Of the settings below that are \
         marked as secret, each variable X has the twins X_FILE, a file that holds the value, and X_COMMAND, a command that \
         prints it.",
    )]);
    for chapter in Chapter::ALL {
        roff.control("SS", [chapter.title()]);
        for spec in table::ALL.iter().filter(|spec| spec.chapter == chapter) {
            setting(roff, spec);
        }
    }
    roff.control("SS", ["Others"]);
    roff.text([roman(
        "All variables of the AWS SDK (AWS_PROFILE, AWS_ROLE_ARN, …) and of libpq (PGHOST, PGPASSWORD, PGPASSFILE, …) have \
         their usual effect. NO_COLOR turns colour off. XDG_CONFIG_HOME, XDG_DATA_HOME and XDG_STATE_HOME move the user's \
         folders.",
    )]);
    roff.control("TP", []);
    roff.text([bold(table::NOT_YET.join(", "))]);
    roff.text([roman("Known, but without effect in this version.")]);
}

fn setting(roff: &mut Roff, spec: &Spec) {
    let names: Vec<&str> = spec.environment.iter().chain(spec.fallback).copied().collect();
    let mut title: Vec<Inline> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            title.push(roman(", "));
        }
        title.push(bold(*name));
    }
    roff.control("TP", []);
    roff.text(title);
    let mut text = explanation(spec);
    if spec.privacy.has_twins() {
        text.push_str(" Secret.");
    }
    if spec.in_file {
        text.push_str(" In configuration files: ");
        roff.text([roman(text), italic(spec.key), roman(".")]);
    } else {
        roff.text([roman(text)]);
    }
}

fn files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    roff.text([roman("The first configuration file that exists is read:")]);
    for (file, meaning) in [
        ("FILE", "of --config, or of the variable BACKUP_CONFIG; it must exist"),
        (
            "$XDG_CONFIG_HOME/backup-cli/config.toml",
            "(~/.config/backup-cli/config.toml) the user's",
        ),
        ("/etc/backup-cli/config.toml", "the system's"),
        (
            "$XDG_DATA_HOME/backup-cli/backups",
            "(~/.local/share/backup-cli/backups) where backups live if no store is configured",
        ),
        (
            "$XDG_STATE_HOME/backup-cli/locks",
            "(~/.local/state/backup-cli/locks) the locks of running backups",
        ),
    ] {
        roff.control("TP", []);
        roff.text([italic(file)]);
        roff.text([roman(meaning)]);
    }
    roff.control("PP", []);
    roff.text([
        roman("A configuration file has a table [defaults] and tables [profile.NAME] with settings. "),
        bold("backup-cli config init"),
        roman(" writes an example with all of them."),
    ]);
}

fn examples(roff: &mut Roff, key: &str) {
    roff.control("SH", ["EXAMPLES"]);
    for (line, meaning) in help::examples(key) {
        roff.control("TP", []);
        roff.text([bold(*line)]);
        roff.text([roman(*meaning)]);
    }
}

fn permissions(roff: &mut Roff, key: &str) {
    let all = rights::listed(key);
    if all.is_empty() {
        return;
    }
    roff.control("SH", ["PERMISSIONS"]);
    roff.text([
        roman("What the credentials need in AWS; "),
        bold("backup-cli iam policy"),
        roman(" prints policies that grant it."),
    ]);
    for (title, meaning) in all {
        roff.control("TP", []);
        roff.text([bold(title)]);
        roff.text([roman(meaning)]);
    }
    let note = rights::note(key);
    if !note.is_empty() {
        roff.control("PP", []);
        roff.text([roman(note)]);
    }
}

fn exit_status(roff: &mut Roff, key: &str) {
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in help::exit_status(key) {
        roff.control("TP", []);
        roff.text([bold(code.to_string())]);
        roff.text([roman(meaning)]);
    }
}

fn see_also(roff: &mut Roff, is_main: bool) {
    roff.control("SH", ["SEE ALSO"]);
    let mut others = Vec::new();
    if !is_main {
        others.push(("backup-cli", "1"));
    }
    others.extend([
        ("backup-cli-format", "5"),
        ("pg_dump", "1"),
        ("tar", "1"),
        ("gzip", "1"),
    ]);
    let mut inline = Vec::new();
    for (index, (name, section)) in others.iter().enumerate() {
        if index > 0 {
            inline.push(roman(", "));
        }
        inline.push(bold(*name));
        inline.push(roman(format!("({section})")));
    }
    roff.text(inline);
}
