//! What the dumper is told: what every dump needs, what its maker needs, and what a user may add.

use super::clients::{Client, Maker, Version};
use super::history::History;
use super::server::{About, PACKET};
use crate::base::failure::{Failure, Kind, Result};

/// Options that a backup depends on: long name, short letter, why it may not be given.
const REFUSED: &[(&str, char, &str)] = &[
    ("result-file", 'r', "the dump is taken from standard output"),
    ("tab", 'T', "the dump is taken from standard output"),
    ("xml", 'X', "the dump is plain SQL, which every client can load"),
    ("all-databases", 'A', "the database is named by the URL"),
    (
        "databases",
        'B',
        "the dump could only be restored over the database that it came from",
    ),
    ("tables", '\0', "the database is named by the URL"),
    ("system", '\0', "the database is named by the URL"),
    ("comments", 'i', "the dump's end marker is a comment"),
    ("compact", '\0', "the dump's end marker is a comment"),
    ("force", 'f', "errors must end the dump"),
    ("ignore-error", '\0', "errors must end the dump"),
    ("log-error", '\0', "errors are read from standard error"),
    ("quote-names", 'Q', "the names of tables are looked for in their quotes"),
    ("compatible", '\0', "the dump could not be restored as it was"),
    ("default-character-set", '\0', "utf8mb4 holds every character"),
    ("no-set-names", 'N', "the dump has to say in which characters it is"),
    ("host", 'h', "the server is named by the URL"),
    ("port", 'P', "the server is named by the URL"),
    ("socket", 'S', "the server is named by the URL"),
    ("protocol", '\0', "the server is named by the URL"),
    ("user", 'u', "the user is named by the URL"),
    (
        "password",
        'p',
        "a command line can be read by everybody on this machine",
    ),
    (
        "defaults-file",
        '\0',
        "it belongs to the connection, which the URL describes",
    ),
    (
        "defaults-extra-file",
        '\0',
        "it belongs to the connection, which the URL describes",
    ),
    (
        "no-defaults",
        '\0',
        "it belongs to the connection, which the URL describes",
    ),
];

/// Beginnings that turn an option off or on, or forgive it.
const PREFIXES: &[&str] = &["loose-", "skip-", "disable-", "enable-", "maximum-"];

/// Options of which another one's name is the beginning, and which are not it.
const HARMLESS: &[&str] = &[
    "ssl",
    "where",
    "no-data",
    "no-create-info",
    "events",
    "routines",
    "triggers",
];

/// Checks arguments for the dumper.
///
/// # Errors
/// [`Kind::Config`] for one that changes where the dump comes from, where it goes, or whether it can be restored.
pub fn check_arguments(arguments: &[String]) -> Result<()> {
    for argument in arguments {
        let found = match argument.strip_prefix("--") {
            Some(long) => {
                let name = plain_name(long);
                REFUSED.iter().find(|(full, _, _)| {
                    // The option parser takes any beginning that is not ambiguous.
                    *full == name || (name.len() > 2 && full.starts_with(&name) && !HARMLESS.contains(&name.as_str()))
                })
            }
            None => match argument.strip_prefix('-').and_then(|letters| letters.chars().next()) {
                Some(letter) => REFUSED.iter().find(|(_, short, _)| *short == letter),
                None => Some(&(
                    "",
                    '\0',
                    "the database is named by the URL; `--ignore-table=DATABASE.TABLE` leaves tables out",
                )),
            },
        };
        if let Some((_, _, why)) = found {
            return Err(Failure::new(
                Kind::Config,
                format!("The dumper cannot be given `{argument}` here: {why}"),
            )
            .hint("Remove it from the extra arguments"));
        }
    }
    Ok(())
}

/// An option's name as the parser compares it.
fn plain_name(long: &str) -> String {
    let mut name = long.split_once('=').map_or(long, |(name, _)| name).replace('_', "-");
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest.to_owned();
    }
    name
}

/// Whether an argument switches a kind of object off.
#[must_use]
pub fn skips(arguments: &[String], what: &str) -> bool {
    arguments.iter().any(|argument| {
        let argument = argument.replace('_', "-");
        [
            format!("--skip-{what}"),
            format!("--disable-{what}"),
            format!("--{what}=0"),
        ]
        .contains(&argument)
    })
}

/// Of options that made a dump, those that make it a part of its database.
#[must_use]
pub fn selecting(arguments: &[String]) -> Vec<&str> {
    const PARTS: &[&str] = &[
        "--ignore-table",
        "--no-data",
        "--no-create-info",
        "--skip-events",
        "--skip-routines",
        "--skip-triggers",
        "--where",
        "-d",
        "-t",
        "-w",
    ];
    arguments
        .iter()
        .map(String::as_str)
        .filter(|argument| PARTS.iter().any(|part| argument.replace('_', "-").starts_with(part)))
        .collect()
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
    if has("no-create-info", 't') {
        warnings.push("The dump holds rows without tables; it cannot be restored into a new database.".to_owned());
    }
    if has("no-data", 'd') {
        warnings.push("The dump holds no rows.".to_owned());
    }
    if has("where", 'w') {
        warnings.push("The dump holds selected rows only.".to_owned());
    }
    for (what, told) in [
        ("triggers", "triggers"),
        ("events", "events"),
        ("routines", "routines"),
        ("dump-history", "earlier rows of system-versioned tables"),
    ] {
        if skips(arguments, what) {
            warnings.push(format!("The dump holds no {told}, as asked."));
        }
    }
    warnings
}

/// The dumper's arguments, without the connection.
#[must_use]
pub fn dump_arguments(
    dumper: &Client,
    server: &About,
    history: &History,
    extra: &[String],
    database: &str,
) -> Vec<String> {
    let mut arguments: Vec<String> = [
        // Whatever an option file says: the usual form, every error, the end marker.
        "--opt",
        "--skip-force",
        "--comments",
        "--single-transaction",
        "--quick",
        "--routines",
        "--events",
        "--triggers",
        "--hex-blob",
        "--default-character-set=utf8mb4",
        // Whoever loads a dump into a database that others use has worse to fear than what a lock keeps out; and a table
        // whose default is taken from a sequence cannot be filled under one.
        "--skip-add-locks",
        // They belong to the server and would need a right (PROCESS) that a backup account need not have.
        "--no-tablespaces",
        PACKET,
    ]
    .map(str::to_owned)
    .to_vec();
    if dumper.maker == Maker::MySql {
        if dumper.version >= Version(5, 6, 9) {
            // Else the dump would want to change the whole server that it is restored on.
            arguments.push("--set-gtid-purged=OFF".to_owned());
        }
        // Its own question about statistics is one that other servers do not understand.
        let server_knows = server.maker == Maker::MySql && server.version >= Version(8, 0, 2);
        if dumper.version >= Version(8, 0, 2) && !server_knows {
            arguments.push("--column-statistics=0".to_owned());
        }
    }
    if *history == History::Dumped {
        arguments.push("--dump-history".to_owned());
    }
    arguments.extend(extra.iter().cloned());
    arguments.push("--".to_owned());
    arguments.push(database.to_owned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_that_would_break_the_backup_are_refused() {
        for line in [
            "-r/x",
            "--result-file=/x",
            "--result=/x",
            "-T /x",
            "-B x",
            "--databases x",
            "-A",
            "--skip-comments",
            "--skip_comments",
            "--compact",
            "--force",
            "-f",
            "-psecret",
            "--password=x",
            "-u root",
            "--skip-quote-names",
            "--loose-skip-comments",
            "a_table",
            "--defaults-file=/x",
        ] {
            let failure = check_arguments(&words(line)).unwrap_err();
            assert_eq!(failure.kind(), Kind::Config, "{line}");
        }
        for line in [
            "--ignore-table=a.b",
            "--skip-triggers --skip-events --skip-routines",
            "--where=a=1",
            "-w1=1",
            "-d",
            "--no-data",
            "--skip-extended-insert",
            "--skip-add-locks",
            "--no-autocommit",
            "--lock-all-tables",
            "--compress",
            "--ssl",
        ] {
            assert!(check_arguments(&words(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(warnings(&words("--ignore-table=a.b")), Vec::<String>::new());
        assert_eq!(warnings(&words("-d -t -w1 --skip_events --triggers=0")).len(), 5);
    }

    #[test]
    fn each_maker_is_told_what_it_needs() {
        let about = |maker, version| About {
            maker,
            version,
            version_text: String::new(),
        };
        let arguments = |maker: Maker, version: Version, server: &About| {
            let dumper = Client {
                path: "mysqldump".into(),
                maker,
                version,
            };
            dump_arguments(&dumper, server, &History::None, &words("--more"), "my db").join(" ")
        };
        let mariadb = about(Maker::MariaDb, Version(10, 11, 6));
        let mysql8 = about(Maker::MySql, Version(8, 0, 36));
        let mysql5 = about(Maker::MySql, Version(5, 7, 44));
        let own = arguments(Maker::MariaDb, Version(10, 11, 6), &mariadb);
        assert!(own.ends_with("1073741824 --more -- my db"), "{own}");
        assert!(
            own.contains("--single-transaction --quick --routines --events --triggers --hex-blob"),
            "{own}"
        );
        assert!(!own.contains("gtid") && !own.contains("statistics"), "{own}");
        let own = arguments(Maker::MySql, Version(8, 0, 36), &mysql8);
        assert!(
            own.contains("--set-gtid-purged=OFF") && !own.contains("--column-statistics"),
            "{own}"
        );
        for server in [&mysql5, &mariadb] {
            let newer = arguments(Maker::MySql, Version(8, 0, 36), server);
            assert!(newer.contains("--set-gtid-purged=OFF --column-statistics=0"), "{newer}");
        }
        let old = arguments(Maker::MySql, Version(5, 5, 62), &mysql5);
        assert!(!old.contains("gtid") && !old.contains("statistics"), "{old}");
    }
}
