//! The matrix has a row for every command that talks to a store.

use std::collections::{BTreeMap, BTreeSet};

use clap::CommandFactory;

use super::commands::COMMANDS;

/// Commands without a row, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("completions", "it prints what the shell needs"),
    ("config check", "it reads files of this machine"),
    ("config init", "it writes a file of this machine"),
    ("config show", "it reads files of this machine"),
    ("generate", "it writes files of this machine"),
    ("iam policy", "it prints a document"),
    ("iam trust", "it prints a document"),
    ("key public", "it reads a file of this machine"),
    ("key generate", "it writes a file of this machine"),
    ("version", "it prints what was built in"),
];

/// The commands that do something themselves, by their words.
fn leaves(command: &clap::Command, words: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for below in command.get_subcommands() {
        let words = format!("{words} {}", below.get_name()).trim_start().to_owned();
        match below.has_subcommands() {
            true => found.extend(leaves(below, &words)),
            false => drop(found.insert(words)),
        }
    }
    found
}

#[test]
fn every_command_that_talks_to_a_store_has_a_row() {
    let commands = leaves(&backup_cli::cli::Cli::command(), "");
    let without: BTreeMap<&str, &str> = WITHOUT.iter().copied().collect();
    let rows: BTreeSet<String> = COMMANDS
        .iter()
        .map(|row| {
            let both = row.words[..2.min(row.words.len())].join(" ");
            match commands.contains(&both) {
                true => both,
                false => row.words[0].to_owned(),
            }
        })
        .collect();
    let excused: BTreeSet<String> = without.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(rows.intersection(&excused).count(), 0, "a row and an excuse");
    let both: BTreeSet<String> = rows.union(&excused).cloned().collect();
    assert_eq!(both, commands);
}
