//! Looks at what a user wants `pg_dump` to do beyond the ordinary, and refuses what would break the backup.

use crate::base::failure::{Failure, Kind, Result};

/// Options that a backup depends on: long name, short letter, why it may not be given.
const REFUSED: &[(&str, char, &str)] = &[
    ("file", 'f', "the dump is taken from standard output"),
    (
        "format",
        'F',
        "the format is chosen by the option `--format` of `backup`",
    ),
    ("jobs", 'j', "a plain dump has one stream"),
    ("compress", 'Z', "the backup is compressed as a whole"),
    (
        "create",
        'C',
        "the dump could only be restored over the database that it came from",
    ),
    ("dbname", 'd', "the database is named by the URL"),
    ("host", 'h', "the server is named by the URL"),
    ("port", 'p', "the server is named by the URL"),
    ("username", 'U', "the user is named by the URL"),
    ("password", 'W', "nobody is there to answer a prompt"),
];

/// Letters of `pg_dump` that take a value.
const LETTERS_WITH_VALUE: &str = "EFTUZdefhjnNpStl";

/// Options that leave something of the database out: long name, short letter.
const SELECTING: &[(&str, char)] = &[
    ("data-only", 'a'),
    ("exclude-extension", '-'),
    ("exclude-schema", 'N'),
    ("exclude-table", 'T'),
    ("exclude-table-and-children", '-'),
    ("exclude-table-data", '-'),
    ("exclude-table-data-and-children", '-'),
    ("extension", 'e'),
    ("filter", '-'),
    ("no-blobs", 'B'),
    ("no-large-objects", 'B'),
    ("no-unlogged-table-data", '-'),
    ("schema", 'n'),
    ("schema-only", 's'),
    ("section", '-'),
    ("table", 't'),
    ("table-and-children", '-'),
];

/// Those among the arguments of a `pg_dump` that make its dump a part of the database; none for a whole one.
#[must_use]
pub fn selecting(arguments: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if let Some(long) = argument.strip_prefix("--") {
            let name = long.split_once('=').map_or(long, |(name, _)| name);
            let selects = SELECTING
                .iter()
                .any(|(full, _)| *full == name || (name.len() > 2 && full.starts_with(name)));
            if selects {
                found.push(argument.clone());
            }
            continue;
        }
        let letters = argument.strip_prefix('-').unwrap_or_default();
        for (index, letter) in letters.char_indices() {
            let takes_value = LETTERS_WITH_VALUE.contains(letter);
            let rest = &letters[index + letter.len_utf8()..];
            let value = match (takes_value, rest) {
                (true, "") => arguments.next().map_or("", String::as_str),
                (true, rest) => rest,
                (false, _) => "",
            };
            if SELECTING.iter().any(|(_, short)| *short == letter) {
                found.push(format!("-{letter} {value}").trim_end().to_owned());
            }
            if takes_value {
                break;
            }
        }
    }
    found
}

/// Checks arguments for `pg_dump`.
///
/// # Errors
/// [`Kind::Config`] for one that changes where the dump comes from, where it goes, or whether it can be restored.
pub fn check_arguments(arguments: &[String]) -> Result<()> {
    let refuse = |argument: &str, why: &str| {
        Err(Failure::new(
            Kind::Config,
            format!("`pg_dump` cannot be given `{argument}` here: {why}"),
        )
        .hint("Remove it from the extra arguments"))
    };
    let mut cleans = None;
    let mut cleans_if_exists = false;
    let mut takes_next = false;
    for argument in arguments {
        if std::mem::take(&mut takes_next) {
            continue;
        }
        if let Some(long) = argument.strip_prefix("--") {
            let name = long.split_once('=').map_or(long, |(name, _)| name);
            // `getopt_long` takes any beginning that is not ambiguous.
            let refused = REFUSED
                .iter()
                .find(|(full, _, _)| name.len() > 1 && full.starts_with(name));
            if let Some((_, _, why)) = refused {
                return refuse(argument, why);
            }
            cleans_if_exists |= name == "if-exists";
            if name == "clean" {
                cleans = Some(argument);
            }
        } else if let Some(letters) = argument.strip_prefix('-') {
            for (index, letter) in letters.char_indices() {
                if let Some((_, _, why)) = REFUSED.iter().find(|(_, short, _)| *short == letter) {
                    return refuse(argument, why);
                }
                if letter == 'c' {
                    cleans = Some(argument);
                }
                if LETTERS_WITH_VALUE.contains(letter) {
                    takes_next = index + letter.len_utf8() == letters.len();
                    break;
                }
            }
        } else {
            return refuse(argument, "the database is named by the URL");
        }
    }
    match cleans {
        Some(argument) if !cleans_if_exists => refuse(
            argument,
            "dropping what a new database does not have would fail; add `--if-exists`",
        ),
        _ => Ok(()),
    }
}

/// What the user should know about a dump that was made with these arguments.
#[must_use]
pub fn warnings(arguments: &[String]) -> Vec<String> {
    let has = |long: &str, letter: char| {
        arguments.iter().any(|argument| match argument.strip_prefix("--") {
            Some(name) => name.split_once('=').map_or(name, |(name, _)| name) == long,
            None => argument
                .strip_prefix('-')
                .is_some_and(|letters| letters.starts_with(letter)),
        })
    };
    let mut warnings = Vec::new();
    if has("data-only", 'a') {
        warnings.push("The dump holds rows without tables; it cannot be restored into a new database.".to_owned());
    }
    if has("schema-only", 's') {
        warnings.push("The dump holds no rows.".to_owned());
    }
    let selects = has("table", 't') || has("schema", 'n');
    if selects && !has("large-objects", 'b') && !has("blobs", 'b') {
        warnings.push("The dump holds selected objects only, and no large objects.".to_owned());
    } else if !selecting(arguments).is_empty() && warnings.is_empty() {
        warnings.push("The dump is not of the whole database.".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<()> {
        check_arguments(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_that_would_break_the_backup_are_refused() {
        for line in [
            "-Fc",
            "-F c",
            "--format=c",
            "--form=d",
            "-f x",
            "--file x",
            "-sFd",
            "-j2",
            "-Z9",
            "--compress=gzip",
            "-C",
            "--create",
            "-d x",
            "-hx",
            "-p 5",
            "-U me",
            "-W",
            "other",
            "-c",
            "--clean",
            "-n s other",
        ] {
            let failure = check(line).unwrap_err();
            assert_eq!(failure.kind(), Kind::Config, "{line}");
        }
        for line in [
            "",
            "-n s",
            "-ns",
            "-t file",
            "--table=x",
            "--exclude-table-data=y",
            "--inserts",
            "--no-owner",
            "-Ox",
            "-c --if-exists",
            "--clean --if-exists",
            "-E UTF8",
            "-v",
            "--lock-wait-timeout=5s",
            "-T C",
        ] {
            assert!(check(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_makes_a_dump_a_part_is_found_however_it_is_written() {
        for (line, found) in [
            ("--no-owner -O -v --if-exists -E UTF8 -b", &[][..]),
            ("--table=a --tab b", &["--table=a", "--tab"]),
            ("-t a -nb -OT c", &["-t a", "-n b", "-T c"]),
            ("-E -t", &[]),
            ("-as", &["-a", "-s"]),
            ("--section=data -B", &["--section=data", "-B"]),
        ] {
            let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(selecting(&arguments), found, "{line}");
        }
    }

    #[test]
    fn a_selection_has_a_warning() {
        let arguments = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(warnings(&arguments("-n app")).len(), 1);
        assert_eq!(warnings(&arguments("-n app --blobs")).len(), 1);
        assert_eq!(warnings(&arguments("-T app")).len(), 1);
        assert_eq!(warnings(&arguments("--inserts")).len(), 0);
    }
}
