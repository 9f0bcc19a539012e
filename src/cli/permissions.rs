//! The section of the help and of the manual that says what a command asks of the credentials, from the table of needs.

use std::fmt::Write as _;

use crate::bucket::iam::{Grant, needs_of};

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
