//! The closing sections of each command's help and manual page: examples, permissions and exit status, from tables.

use std::fmt::Write as _;

use super::permissions;

/// What every exit status means; frozen, the first eight as restic's.
pub const EXIT_STATUS: [(u8, &str); 11] = [
    (0, "done"),
    (1, "failed"),
    (2, "wrong usage or configuration"),
    (
        3,
        "done, but incomplete or doubtful: some items could not be read, restored or removed, or the backup is far smaller than those before it",
    ),
    (10, "no such bucket, prefix, profile or backup"),
    (11, "locked by another run"),
    (12, "wrong or missing decryption key"),
    (20, "damage found in stored data"),
    (
        21,
        "refused by a guard: target not empty, no confirmation, a backup too small",
    ),
    (22, "the newest backup is too old"),
    (130, "interrupted"),
];

/// What closes the help of one command.
struct Closing {
    command: &'static str,
    exit_status: &'static [u8],
    examples: &'static [(&'static str, &'static str)],
}

const CLOSINGS: &[Closing] = &[
    Closing {
        command: "backup-cli",
        exit_status: &[0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 130],
        examples: &[
            (
                "backup-cli backup /srv/www",
                "Back up a directory into a folder of the user's",
            ),
            (
                "backup-cli --store s3://my-backups/web backup postgres://backup@db/app",
                "Back up a database to S3",
            ),
            (
                "backup-cli restore latest --to /tmp/www",
                "Bring the newest backup back",
            ),
        ],
    },
    Closing {
        command: "backup",
        exit_status: &[0, 1, 2, 3, 10, 11, 21, 130],
        examples: &[
            ("backup-cli backup /srv/www --exclude node_modules/", "A directory"),
            (
                "backup-cli backup postgres://backup@db/app",
                "A database; the password comes from PGPASSWORD or ~/.pgpass",
            ),
            (
                "backup-cli backup ./app.db",
                "An SQLite database, while others write to it",
            ),
            (
                "backup-cli backup --command 'mongodump --archive' --name mongo",
                "The output of a program",
            ),
            (
                "backup-cli backup /srv/www --recipient age1… --compression zstd",
                "Encrypted for the holder of a key, compressed by zstd",
            ),
            (
                "backup-cli backup -p www -p app",
                "Two profiles of the configuration file, one after the other",
            ),
        ],
    },
    Closing {
        command: "accept",
        exit_status: &[0, 1, 2, 10, 20, 21, 130],
        examples: &[(
            "backup-cli accept shop@latest --why 'the old orders were archived'",
            "A backup that is rightly so much smaller than those before it",
        )],
    },
    Closing {
        command: "list",
        exit_status: &[0, 1, 2, 10, 130],
        examples: &[
            ("backup-cli list", "All backups, newest first"),
            (
                "backup-cli list --name www --limit 10 --json",
                "The newest ten of one series, for a program",
            ),
        ],
    },
    Closing {
        command: "show",
        exit_status: &[0, 1, 2, 10, 20, 130],
        examples: &[("backup-cli show www@latest", "What the newest backup of a series is")],
    },
    Closing {
        command: "ls",
        exit_status: &[0, 1, 2, 10, 12, 20, 130],
        examples: &[(
            "backup-cli ls latest www/static --long",
            "The files below a folder of the newest backup",
        )],
    },
    Closing {
        command: "copy",
        exit_status: &[0, 1, 2, 10, 11, 20, 21, 130],
        examples: &[
            (
                "backup-cli copy www@latest --to /mnt/disk/backups",
                "The newest backup of a series, into a folder",
            ),
            (
                "backup-cli copy --all --last 7 --to @offsite",
                "What the second site lacks of the newest seven of each series; for cron",
            ),
        ],
    },
    Closing {
        command: "find",
        exit_status: &[0, 1, 2, 3, 10, 12, 130],
        examples: &[
            ("backup-cli find nginx.conf", "Every backup that has such a file"),
            (
                "backup-cli find 'www/**/*.php' --name www --since 2026-01-01 --type f",
                "Files of one series, since the beginning of the year",
            ),
            ("backup-cli find orders --type table", "Every dump that has the table"),
        ],
    },
    Closing {
        command: "diff",
        exit_status: &[0, 1, 2, 10, 12, 20, 130],
        examples: &[
            (
                "backup-cli diff www@oldest www@latest",
                "All that has changed in a series",
            ),
            (
                "backup-cli diff www_backup_20260130_020000 latest www/img",
                "What has changed below a folder since a backup",
            ),
        ],
    },
    Closing {
        command: "restore",
        exit_status: &[0, 1, 2, 3, 10, 12, 20, 21, 130],
        examples: &[
            (
                "backup-cli restore latest --to /tmp/www",
                "A directory, into a new folder",
            ),
            (
                "backup-cli restore latest --to /tmp/www --include '*.conf'",
                "Some files, fetching only these",
            ),
            (
                "backup-cli restore www@latest www/index.html --to - | less",
                "One file, to standard output; a folder comes as a tar archive",
            ),
            (
                "backup-cli restore app@latest --to postgres://admin@db/app_new",
                "A database, under a new name",
            ),
            (
                "backup-cli restore app@latest --table public.orders --with-schema --to postgres://admin@db/scratch",
                "One table with its indexes and constraints, into another database",
            ),
            (
                "backup-cli restore app@latest --to ./app.db",
                "An SQLite database, in the place of the one that is there",
            ),
            (
                "backup-cli restore latest --to - | less",
                "The plain content, to standard output",
            ),
            (
                "backup-cli restore www@oldest --thaw --tier bulk --wait --to /tmp/www",
                "What lies in an archive: ask for it, wait until it is there, restore it",
            ),
            (
                "backup-cli restore --from-s3-latest --dry-run",
                "What would happen, without doing it",
            ),
        ],
    },
    Closing {
        command: "doctor",
        exit_status: &[0, 1, 2, 130],
        examples: &[
            (
                "backup-cli doctor",
                "The store and the sources of the settings, and this machine",
            ),
            (
                "backup-cli doctor -p shop --json",
                "Those of a profile, for monitoring: each check has an id that stays the same",
            ),
            (
                "backup-cli --store s3://my-backups/web doctor /srv/www",
                "Another store and source, before they are used for the first time",
            ),
        ],
    },
    Closing {
        command: "verify",
        exit_status: &[0, 1, 2, 3, 10, 12, 20, 21, 22, 130],
        examples: &[
            ("backup-cli verify", "A look at the newest backup of every series"),
            ("backup-cli verify www@latest", "Every stored byte of one backup"),
            (
                "backup-cli verify --all --level data --sample 2/7",
                "On Tuesdays the second seventh of everything there is; for cron",
            ),
            (
                "backup-cli verify --max-age 26h --max-shrink 50%",
                "For a monitor: is every series young enough, and not collapsed",
            ),
            (
                "backup-cli verify app@latest --level deep",
                "The content too: to the end marker of a dump, to the end of an archive",
            ),
            (
                "backup-cli verify --restore shop@latest --to postgres://admin@scratch/",
                "A drill: into a database of its own, compared and asked there, and dropped again",
            ),
            (
                "backup-cli verify --restore www@latest --check 'www/index.html'",
                "A drill of files, in a temporary folder",
            ),
        ],
    },
    Closing {
        command: "rebuild-index",
        exit_status: &[0, 1, 2, 10, 11, 12, 20, 130],
        examples: &[
            (
                "backup-cli rebuild-index www@latest --dry-run",
                "Whether its data is whole, and what a new index would hold",
            ),
            (
                "backup-cli rebuild-index www_backup_20260131_020000 --identity key.txt",
                "The index of an encrypted backup",
            ),
        ],
    },
    Closing {
        command: "adopt",
        exit_status: &[0, 1, 2, 10, 11, 12, 20, 21, 130],
        examples: &[
            (
                "backup-cli adopt s3://my-backups/backups/20250128/shop_backup_20250128_143000.sql.gz",
                "What an earlier script has left, as a backup of `shop`",
            ),
            (
                "backup-cli --store /var/backups adopt /var/backups/www-20250128.tar.gz --name www --dry-run",
                "Whether an archive is whole, and what would become of it",
            ),
        ],
    },
    Closing {
        command: "cost",
        exit_status: &[0, 1, 2, 10, 130],
        examples: &[
            (
                "backup-cli --store s3://my-backups/web cost",
                "What is there, what it costs a month, and what it comes to",
            ),
            (
                "backup-cli cost --keep-daily 7 --keep-weekly 5 --keep-monthly 12",
                "What these rules would come to",
            ),
            (
                "backup-cli cost --print-prices > prices.toml",
                "The prices, to be changed and named by --prices",
            ),
        ],
    },
    Closing {
        command: "bucket",
        exit_status: &[0, 1, 2, 3, 10, 21, 130],
        examples: &[(
            "backup-cli bucket check",
            "What the bucket should be set to otherwise, and why",
        )],
    },
    Closing {
        command: "bucket create",
        exit_status: &[0, 1, 2, 3, 21, 130],
        examples: &[
            (
                "backup-cli --store s3://my-backups/web bucket create --dry-run",
                "What would be created and changed",
            ),
            (
                "backup-cli bucket create --create-only --object-lock governance:30 --confirm",
                "A bucket in which backups can neither be replaced nor removed before their time",
            ),
        ],
    },
    Closing {
        command: "bucket check",
        exit_status: &[0, 1, 2, 3, 10, 130],
        examples: &[(
            "backup-cli --store s3://my-backups/web bucket check --json",
            "The same for a program; exit status 1 if anything differs",
        )],
    },
    Closing {
        command: "lifecycle",
        exit_status: &[0, 1, 2, 10, 21, 130],
        examples: &[("backup-cli lifecycle show", "All rules of the bucket, ours and others'")],
    },
    Closing {
        command: "lifecycle apply",
        exit_status: &[0, 1, 2, 10, 21, 130],
        examples: &[
            (
                "backup-cli lifecycle apply --transition 30:GLACIER_IR --transition 120:DEEP_ARCHIVE --delete-days 730 --dry-run",
                "What would become of each rule, and what to look into",
            ),
            (
                "backup-cli lifecycle apply -p app --confirm",
                "The rules of a profile, without a question",
            ),
        ],
    },
    Closing {
        command: "lifecycle show",
        exit_status: &[0, 1, 2, 10, 130],
        examples: &[(
            "backup-cli --store s3://my-backups/web lifecycle show --json",
            "For a program, each rule also to the byte",
        )],
    },
    Closing {
        command: "lifecycle remove",
        exit_status: &[0, 1, 2, 10, 21, 130],
        examples: &[(
            "backup-cli lifecycle remove --confirm",
            "Those of this store; the others stay",
        )],
    },
    Closing {
        command: "iam",
        exit_status: &[0, 1, 2, 21, 130],
        examples: &[(
            "backup-cli iam policy --role writer",
            "What a machine that makes backups may do, and no more",
        )],
    },
    Closing {
        command: "iam policy",
        exit_status: &[0, 2],
        examples: &[
            (
                "backup-cli --store s3://my-backups/web iam policy --role writer --format terraform",
                "For another store, as Terraform reads it",
            ),
            (
                "backup-cli iam policy --role writer --role pruner > policy.json",
                "For a machine that runs `backup --prune`",
            ),
        ],
    },
    Closing {
        command: "iam trust",
        exit_status: &[0, 2],
        examples: &[
            (
                "backup-cli iam trust --for github --repo acme/web --environment prod --account-id 210987654321",
                "Jobs of one environment of one repository",
            ),
            (
                "backup-cli iam trust --for fly --org acme --app web --format terraform",
                "The machines of one app",
            ),
        ],
    },
    Closing {
        command: "iam apply",
        exit_status: &[0, 1, 2, 21, 130],
        examples: &[(
            "backup-cli iam apply --role writer --for github --repo acme/web --environment prod --dry-run",
            "What would be made or changed in the account",
        )],
    },
    Closing {
        command: "prune",
        exit_status: &[0, 1, 2, 3, 10, 11, 21, 130],
        examples: &[
            (
                "backup-cli prune --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run",
                "What would go, and why all else would stay",
            ),
            (
                "backup-cli prune --name app --keep-within 30d --min-keep 3 --confirm",
                "One series, without a question; for cron",
            ),
            (
                "backup-cli prune -p app -p www --confirm",
                "By the rules of two profiles",
            ),
        ],
    },
    Closing {
        command: "pin",
        exit_status: &[0, 1, 2, 10, 20, 130],
        examples: &[(
            "backup-cli pin app@latest --why 'before the migration'",
            "The newest backup of a series stays",
        )],
    },
    Closing {
        command: "unpin",
        exit_status: &[0, 1, 2, 10, 20, 130],
        examples: &[(
            "backup-cli unpin app_backup_20260131_020000",
            "The backup is under the retention again",
        )],
    },
    Closing {
        command: "cleanup",
        exit_status: &[0, 1, 2, 3, 10, 21, 130],
        examples: &[
            ("backup-cli cleanup --dry-run", "What was left behind"),
            (
                "backup-cli cleanup --older-than 3d --confirm",
                "Take it away without a question; for cron",
            ),
        ],
    },
    Closing {
        command: "key",
        exit_status: &[0, 1, 2, 12, 21],
        examples: &[
            ("backup-cli key generate --output key.txt", "A new key pair"),
            ("backup-cli key public key.txt", "Its public key, for --recipient"),
        ],
    },
    Closing {
        command: "key generate",
        exit_status: &[0, 1, 2, 21],
        examples: &[(
            "backup-cli key generate --output key.age --passphrase",
            "A key pair whose file is of no use without the passphrase",
        )],
    },
    Closing {
        command: "key public",
        exit_status: &[0, 1, 2, 12],
        examples: &[("backup-cli key public key.txt", "What to encrypt for")],
    },
    Closing {
        command: "config",
        exit_status: &[0, 1, 2, 10, 21],
        examples: &[(
            "backup-cli config show --profile www",
            "Every setting and where it came from",
        )],
    },
    Closing {
        command: "config show",
        exit_status: &[0, 1, 2, 10],
        examples: &[(
            "backup-cli config show --profile www",
            "Every setting and where it came from",
        )],
    },
    Closing {
        command: "config check",
        exit_status: &[0, 1, 2, 10],
        examples: &[(
            "backup-cli config check --config new.toml",
            "Every problem of a file before it is used",
        )],
    },
    Closing {
        command: "config init",
        exit_status: &[0, 1, 2, 21],
        examples: &[(
            "backup-cli config init",
            "An example, where configuration files are looked for",
        )],
    },
    Closing {
        command: "completions",
        exit_status: &[0, 1, 2],
        examples: &[(
            "backup-cli completions bash > /etc/bash_completion.d/backup-cli",
            "Completions for bash, for all users",
        )],
    },
    Closing {
        command: "version",
        exit_status: &[0, 1, 2],
        examples: &[("backup-cli version --json", "The version, for a program")],
    },
    Closing {
        command: "generate",
        exit_status: &[0, 1, 2],
        examples: &[("backup-cli generate .", "Bring the committed files up to date")],
    },
];

fn closing_of(command: &str) -> Option<&'static Closing> {
    CLOSINGS.iter().find(|closing| closing.command == command)
}

/// The exit statuses of a command with their meaning.
pub fn exit_status(command: &str) -> impl Iterator<Item = (u8, &'static str)> {
    let codes = closing_of(command).map_or(&[][..], |closing| closing.exit_status);
    EXIT_STATUS.into_iter().filter(move |(code, _)| codes.contains(code))
}

/// The examples of a command with their explanation.
#[must_use]
pub fn examples(command: &str) -> &'static [(&'static str, &'static str)] {
    closing_of(command).map_or(&[], |closing| closing.examples)
}

/// The closing sections of a command's long help.
#[must_use]
pub fn closing(command: &str) -> String {
    let mut text = String::from("EXAMPLES:\n");
    for (line, meaning) in examples(command) {
        let _ = writeln!(text, "  {line}\n      {meaning}");
    }
    text.push_str(&permissions::section(command));
    text.push_str("\nEXIT STATUS:\n");
    for (code, meaning) in exit_status(command) {
        let _ = writeln!(text, "  {code:<4} {meaning}");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::failure::Kind;
    use clap::Parser;

    #[test]
    fn exit_codes_are_frozen() {
        for (kind, code) in [
            (Kind::Failed, 1),
            (Kind::Usage, 2),
            (Kind::Config, 2),
            (Kind::Incomplete, 3),
            (Kind::NotFound, 10),
            (Kind::Locked, 11),
            (Kind::WrongKey, 12),
            (Kind::Damaged, 20),
            (Kind::Refused, 21),
            (Kind::TooOld, 22),
            (Kind::Interrupted, 130),
            (Kind::Denied, 1),
            (Kind::Unreachable, 1),
            (Kind::Conflict, 1),
            (Kind::NoSpace, 1),
            (Kind::Source, 1),
            (Kind::Tool, 1),
            (Kind::Unsupported, 1),
            (Kind::Archived, 1),
        ] {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
            assert!(EXIT_STATUS.iter().any(|(known, _)| *known == code));
        }
    }

    #[test]
    fn every_example_is_a_valid_command_line() {
        for (line, _) in CLOSINGS.iter().flat_map(|closing| closing.examples) {
            let ours = line.split(['|', '>']).next().unwrap_or_default();
            let words = shell_words::split(ours).unwrap_or_default();
            let parsed = super::super::Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }
}
