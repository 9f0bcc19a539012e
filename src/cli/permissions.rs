//! The section of the help and of the manual that says what a command asks of the credentials, from the table of needs.

use std::fmt::Write as _;

use crate::bucket::iam::{COMMANDS, CommandNeeds, Grant, Need, Role, needs_of};

/// What a command asks of the credentials: of each permission, where and when it is needed, what for, and what becomes of
/// it without.
#[must_use]
pub fn listed(command: &str) -> Vec<(String, String)> {
    let needs = needs_of(command).map_or(&[][..], |needs| needs.needs);
    needs
        .iter()
        .map(|need| {
            let title = format!("{} on {}", need.action, need.on.words());
            let when = match need.when.words() {
                "" => String::new(),
                words => format!(", {words}"),
            };
            let without = match need.grant {
                Grant::Required => String::new(),
                Grant::Advised(loss) => format!("; without it, {loss}"),
                Grant::Withheld(loss) => format!("; not in the role: {loss}"),
            };
            (format!("{title}{when}"), format!("{}{without}", need.why))
        })
        .collect()
}

/// What else is to be known of the permissions of a command.
#[must_use]
pub fn note(command: &str) -> &'static str {
    needs_of(command).map_or("", |needs| needs.note)
}

/// The section of a command's long help; empty for one that does not talk to the store.
pub fn section(command: &str) -> String {
    let mut text = String::new();
    let all = listed(command);
    if all.is_empty() {
        return text;
    }
    text.push_str("\nPERMISSIONS (in AWS; `backup-cli iam policy` prints policies):\n");
    for (title, meaning) in all {
        let _ = writeln!(text, "  {title}\n      {meaning}");
    }
    let note = note(command);
    if !note.is_empty() {
        let _ = writeln!(text, "  {note}");
    }
    text
}

/// The table for the README: of each command what it needs, what it is better with, and who runs it.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| command | needs | works without | role |\n|---|---|---|---|\n");
    for needs in COMMANDS {
        let required = names(needs, |grant| *grant == Grant::Required);
        let advised = names(needs, |grant| *grant != Grant::Required);
        let roles: Vec<&str> = Role::ALL
            .into_iter()
            .filter(|role| role.commands().contains(&needs.command))
            .map(Role::word)
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {required} | {advised} | {} |",
            needs.command,
            roles.join(", ")
        );
    }
    text
}

/// The permissions of a command whose grants are such ones, each once.
fn names(needs: &CommandNeeds, is_one: impl Fn(&Grant) -> bool) -> String {
    let mut names: Vec<String> = Vec::new();
    for need in needs.needs.iter().filter(|need| is_one(&need.grant)) {
        let name = name(need);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

fn name(need: &Need) -> String {
    let action = need.action.strip_prefix("s3:").unwrap_or(need.action);
    match need.when.words() {
        "" => action.to_owned(),
        words => format!("{action} ({words})"),
    }
}
