//! Bad input, each with one clear error, the documented exit code, and nothing half-written.
//!
//! [`CASES`] lists them all. Every case runs the real binary in a folder of its own. Besides the words and the code, each
//! is held to this: one `Error:` that says what failed on which thing, a `Hint:` that says what to do now, nothing on
//! standard output, no secret anywhere, and store, target, temporary folder, bucket and database just as they were.

mod scene;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::fault_s3::{Fault, FaultS3, When};
use crate::support::postgres::PostgresServer;
use crate::support::trees::Noise;
use scene::{Scene, closed_port, web_server};

struct Case {
    name: &'static str,
    /// Arranges the scene and returns the command line.
    arrange: fn(&mut Scene) -> Vec<String>,
    code: i32,
    /// All of standard error.
    says: &'static str,
}

fn line(text: &str) -> Vec<String> {
    shell_words::split(text).expect("a command line")
}

/// A backup of an SQL script, and its end for a database.
const SQL: &str = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE t (i int);\nINSERT INTO t VALUES (1);\n\n--\n-- PostgreSQL database dump complete\n--\n";

/// A key pair, and the secret half of another one.
const PUBLIC_KEY: &str = "age12amkmurnm7ytzzf8m56zrhwwlu338uufwsll0mcqej7g9r7r5v5qn98jlt";
const SECRET_KEY: &str = "AGE-SECRET-KEY-15H5LT8R2CMUWPCGZTJAS5MFJPEUPKWH6QCASP75E3PVLHSTX0GSQ5LYH4Z";
const OTHER_KEY: &str = "AGE-SECRET-KEY-1RLSGGQ7EH5GXXZ9VSD0TDPP2CVGUXAKG2G80JGVFCN8E4NCKWFUSLTZZU8";

const CASES: &[Case] = &[
    Case {
        name: "no key for an encrypted backup",
        arrange: |s| {
            s.encrypted_tree();
            line("restore latest --to out")
        },
        code: 12,
        says: "\
Error: `[DAY]/tree_backup_[STAMP].tar.gz.age.index.gz.age` is encrypted, and no key was given
Hint: It was encrypted for age12amkmurnm7ytzzf8m56zrhwwlu338uufwsll0mcqej7g9r7r5v5qn98jlt
Hint: Name the file that holds a matching key: --identity FILE, or BACKUP_IDENTITY
",
    },
    Case {
        name: "another key than that of the backup",
        arrange: |s| {
            s.encrypted_tree().write("other.txt", OTHER_KEY);
            line("restore latest --to out --identity other.txt")
        },
        code: 12,
        says: "\
Error: None of the given keys opens `[DAY]/tree_backup_[STAMP].tar.gz.age.index.gz.age`
Hint: It was encrypted for age12amkmurnm7ytzzf8m56zrhwwlu338uufwsll0mcqej7g9r7r5v5qn98jlt
Hint: Name the file that holds a matching key: --identity FILE, or BACKUP_IDENTITY
",
    },
    Case {
        name: "a file of keys that holds none",
        arrange: |s| {
            s.encrypted_tree().write("key.txt", PUBLIC_KEY);
            line("ls latest --identity key.txt")
        },
        code: 12,
        says: "\
Error: The identity file `key.txt` cannot be used
Caused by: identity file contains non-identity data on line 1
Hint: It holds lines that begin with AGE-SECRET-KEY-1, as `backup-cli key generate` or age-keygen writes them
",
    },
    Case {
        name: "a file of keys that is not there",
        arrange: |s| {
            s.encrypted_tree();
            line("ls latest --identity nowhere.txt")
        },
        code: 12,
        says: "\
Error: Could not read the identity file `nowhere.txt`
Caused by: No such file or directory (os error 2)
Hint: Check the path and its permissions: --identity, BACKUP_IDENTITY
",
    },
    Case {
        name: "an empty passphrase",
        arrange: |s| {
            s.tree().env("BACKUP_PASSPHRASE", "");
            line("backup tree")
        },
        code: 2,
        says: "\
Error: `BACKUP_PASSPHRASE` is set and empty, so it cannot be told whether backups are to be encrypted
Hint: Give it its value: what was to fill it may have failed
Hint: Or unset `BACKUP_PASSPHRASE`
",
    },
    Case {
        name: "no passphrase for a backup that is encrypted by one",
        arrange: |s| {
            s.tree().env("BACKUP_PASSPHRASE", "canary words").backed_up("tree").without_env("BACKUP_PASSPHRASE");
            line("restore latest --to out")
        },
        code: 12,
        says: "\
Error: `[DAY]/tree_backup_[STAMP].tar.gz.age.index.gz.age` is encrypted by a passphrase, which was not given
Hint: Set BACKUP_PASSPHRASE_FILE or BACKUP_PASSPHRASE_COMMAND, or run it on a terminal, where it is asked for
",
    },
    Case {
        name: "a wrong passphrase",
        arrange: |s| {
            s.tree()
                .env("BACKUP_PASSPHRASE", "canary words")
                .backed_up("tree")
                .env("BACKUP_PASSPHRASE", "other canary words");
            line("restore latest --to out")
        },
        code: 12,
        says: "\
Error: The passphrase does not open `[DAY]/tree_backup_[STAMP].tar.gz.age.index.gz.age`
Hint: Check BACKUP_PASSPHRASE, its file or its command; a passphrase counts to its last character
",
    },
    Case {
        name: "a recipient that is none",
        arrange: |s| {
            s.tree();
            line("backup tree --recipient bob")
        },
        code: 2,
        says: "\
Error: Not a recipient: `bob`
Caused by: invalid Bech32 encoding
Hint: A recipient is a public key that begins with age1, as `backup-cli key generate` or age-keygen prints it
",
    },
    Case {
        name: "a secret key as a recipient",
        arrange: |s| {
            s.tree().env("BACKUP_RECIPIENT", SECRET_KEY);
            line("backup tree")
        },
        code: 2,
        says: "\
Error: A secret key stands where a recipient is expected
Hint: A recipient is a public key, age1…; `backup-cli key public FILE` prints it. Treat the secret key as known to others if it was on a command line
",
    },
    Case {
        name: "a file of recipients that names nobody",
        arrange: |s| {
            s.tree().write("recipients", "# nobody\n");
            line("backup tree --recipients-file recipients")
        },
        code: 2,
        says: "\
Error: The recipients file `recipients` names nobody
Hint: It holds one public key a line, as `age-keygen -y` prints it
",
    },
    Case {
        name: "a codec that there is not",
        arrange: |s| {
            s.tree().env("BACKUP_COMPRESSION", "lz4");
            line("backup tree")
        },
        code: 2,
        says: "\
Error: Wrong value of `BACKUP_COMPRESSION`
Caused by: Expected one of gzip, zstd, none, found `lz4`
Hint: How backups are compressed: gzip, zstd or none. For example: \"zstd\"
",
    },
    Case {
        name: "a key over another one",
        arrange: |s| {
            s.write("key.txt", "mine");
            line("key generate --output key.txt")
        },
        code: 21,
        says: "\
Error: `key.txt` exists already, and a key is never overwritten
Hint: Choose another path: what is encrypted for a key that is lost cannot be read any more
",
    },
    // What to back up.
    Case {
        name: "a path that is not there",
        arrange: |_| line("backup nowhere"),
        code: 1,
        says: "\
Error: No such file or folder: `nowhere`
Caused by: No such file or directory (os error 2)
Hint: Check the spelling; a relative path starts at the current folder
",
    },
    Case {
        name: "one of several paths is not there",
        arrange: |s| {
            s.tree();
            line("backup tree nowhere")
        },
        code: 1,
        says: "\
Error: No such file or folder: `nowhere`
Caused by: No such file or directory (os error 2)
Hint: Check the spelling; a relative path starts at the current folder
",
    },
    Case {
        name: "a folder that may not be read",
        arrange: |s| {
            s.tree().mode("tree", 0o000).bound_by_modes();
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not read `tree`
Caused by: Permission denied (os error 13)
Hint: Run the backup as a user that may read it
",
    },
    Case {
        name: "a file that may not be read",
        arrange: |s| {
            s.tree().mode("tree/a.txt", 0o000).bound_by_modes();
            s.leaves_something = true;
            line("backup tree --quiet")
        },
        code: 3,
        says: "\
Error: Could not archive `tree/a.txt`: Permission denied
Warning: The backup `tree_backup_[STAMP]` is partial: 1 item is missing or changed
Hint: It can be restored as it is; `backup-cli show tree_backup_[STAMP]` names what is missing
",
    },
    Case {
        name: "nothing to back up was named",
        arrange: |_| line("backup"),
        code: 2,
        says: "\
Error: Nothing to back up was named
Hint: Name a folder, postgres://…, mysql://…, --command 'PROGRAM …' or `-` for standard input; or set `sources` in the profile, or DATABASE_URL
",
    },
    Case {
        name: "a source of a kind that this version does not know",
        arrange: |_| line("backup mongodb://root:canary@db/app"),
        code: 2,
        says: "\
Error: This version cannot back up `mongodb://…` directly
Hint: Use the program that dumps it: `backup-cli backup --command 'mongodump --archive' --extension archive`
",
    },
    Case {
        name: "a MySQL URL that is none",
        arrange: |_| line("backup mysql://user:canary@[::1/app"),
        code: 2,
        says: "\
Error: Not a MySQL URL: an IPv6 address has no closing bracket
Hint: Write mysql://USER@HOST:3306/DATABASE; special characters in a part are percent-encoded, such as %40 for @
",
    },
    Case {
        name: "a MySQL URL without a database",
        arrange: |_| line("backup mariadb://user:canary@db"),
        code: 2,
        says: "\
Error: The URL names no database: `mariadb://user@db`
Hint: Write for example mysql://user@host/database
",
    },
    Case {
        name: "a database of the MySQL server itself",
        arrange: |_| line("backup mysql://user:canary@db/mysql"),
        code: 1,
        says: "\
Error: The database `mysql` belongs to the server itself
Hint: Accounts and rights of MariaDB: --command 'mariadb-dump --system=users' --extension sql
",
    },
    Case {
        name: "an argument for the dumper that would break the backup",
        arrange: |_| line("backup mysql://user:canary@db/app --mysql-dump-arg=--skip-comments"),
        code: 2,
        says: "\
Error: The dumper cannot be given `--skip-comments` here: the dump's end marker is a comment
Hint: Remove it from the extra arguments
",
    },
    Case {
        name: "a MySQL port on which nobody listens",
        arrange: |s| {
            let port = closed_port();
            s.replace(port.to_string(), "PORT");
            line(&format!("backup mysql://user:canary@127.0.0.1:{port}/app"))
        },
        code: 1,
        says: "\
Error: The MySQL or MariaDB server at `mysql://user@127.0.0.1:[PORT]/app` cannot be reached
Caused by: ERROR 2002 (HY000): Can't connect to server on '127.0.0.1' ([N])
Hint: Is the server running, and does a firewall let this host through?
",
    },
    Case {
        name: "a URL that is none",
        arrange: |_| line("backup postgres://user:canary@[::1/app"),
        code: 2,
        says: "\
Error: Not a PostgreSQL URL: an IPv6 address has no closing bracket
Hint: Write postgres://USER@HOST:5432/DATABASE; special characters in a part are percent-encoded, such as %40 for @
",
    },
    Case {
        name: "a command that is not there",
        arrange: |_| line("backup --command 'no-such-program --flag'"),
        code: 1,
        says: "\
Error: The command's program is not there: `no-such-program`
Hint: Is it installed, in PATH and executable?
",
    },
    Case {
        name: "a command that fails after its output",
        arrange: |_| line("backup --shell --command 'echo half; echo the disk caught fire >&2; exit 7'"),
        code: 1,
        says: "\
Error: `sh` failed with exit status 7
Caused by: the disk caught fire
Hint: These are `sh`'s own last words; run it by hand to see more
",
    },
    Case {
        name: "a command that is killed",
        arrange: |_| line("backup --shell --command 'echo half; kill -9 $$'"),
        code: 1,
        says: "\
Error: `sh` failed with signal 9
Hint: `sh` said nothing on standard error; run it by hand to see why
",
    },
    Case {
        name: "a command without output",
        arrange: |_| line("backup --command true"),
        code: 1,
        says: "\
Error: `true` exited with 0 but wrote nothing
Hint: Does it write to a file instead of standard output?
",
    },
    Case {
        name: "standard input without a byte",
        arrange: |_| line("backup - --stdin-name dump.sql"),
        code: 1,
        says: "\
Error: Standard input was empty
Hint: Did the program before the pipe fail? With --command its exit status counts
",
    },
    Case {
        name: "an unbalanced quote in a command",
        arrange: |_| line(r#"backup --command "echo 'oops""#),
        code: 2,
        says: r#"Error: Wrong value of `--command`
Caused by: Expected an array of arguments, found `echo 'oops` (missing closing quote)
Hint: A program whose standard output is backed up, instead of `sources`; its exit status is judged. For example: ["mongodump", "--archive"]
"#,
    },
    Case {
        name: "a file of patterns that is not there",
        arrange: |s| {
            s.tree();
            line("backup tree --exclude-file none")
        },
        code: 1,
        says: "\
Error: Could not read the exclude file `none`
Caused by: No such file or directory (os error 2)
Hint: Nothing of this run was kept; mend the cause and run it again
",
    },
    Case {
        name: "a pattern that is none",
        arrange: |s| {
            s.tree();
            line("backup tree --exclude '{a,b'")
        },
        code: 2,
        says: "\
Error: Not an exclude pattern: `{a,b`
Caused by: error parsing glob '{a,b': unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
Hint: Patterns follow gitignore: `*.tmp`, `/cache/`, `**/node_modules`, `!keep.tmp`
",
    },
    Case {
        name: "both a source and a command",
        arrange: |s| {
            s.tree();
            line("backup tree --command 'echo x'")
        },
        code: 2,
        says: "\
Error: The argument `[SOURCE]...` cannot be used with `--command <COMMAND>`
Hint: Usage: backup-cli backup <SOURCE>...; `backup-cli backup --help` explains it
",
    },
    // Databases.
    Case {
        name: "a database host that is not there",
        arrange: |_| line("backup postgres://user:canary@db.invalid/app"),
        code: 1,
        says: r#"Error: The PostgreSQL server at `postgres://user@db.invalid/app` cannot be reached
Caused by: psql: error: could not translate host name "db.invalid" to address: Name or service not known
Hint: Check the host's name in the URL
"#,
    },
    Case {
        name: "a database port on which nobody listens",
        arrange: |s| {
            let port = closed_port();
            s.replace(port.to_string(), "PORT");
            line(&format!("backup postgres://user:canary@127.0.0.1:{port}/app"))
        },
        code: 1,
        says: r#"Error: The PostgreSQL server at `postgres://user@127.0.0.1:[PORT]/app` cannot be reached
Caused by: psql: error: connection to server at "127.0.0.1", port [PORT] failed: Connection refused
  	Is the server running on that host and accepting TCP/IP connections?
Hint: Is the server running, and are host and port right?
"#,
    },
    Case {
        name: "a wrong password",
        arrange: |s| {
            let server = PostgresServer::shared();
            s.database();
            line(&format!("backup {}", server.url_with("canary wrong", "postgres")))
        },
        code: 1,
        says: r#"Error: The PostgreSQL server at `postgres://backup_tests@127.0.0.1:[PORT]/postgres` refused the connection
Caused by: psql: error: connection to server at "127.0.0.1", port [PORT] failed: FATAL:  password authentication failed for user "backup_tests"
Hint: Check user and password (from the URL, where special characters must be percent-encoded, PGPASSWORD or ~/.pgpass)
"#,
    },
    Case {
        name: "no password",
        arrange: |s| {
            let port = PostgresServer::shared().port();
            s.replace(port.to_string(), "PORT");
            line(&format!("backup postgres://backup_tests@127.0.0.1:{port}/postgres"))
        },
        code: 1,
        says: r#"Error: The PostgreSQL server at `postgres://backup_tests@127.0.0.1:[PORT]/postgres` refused the connection
Caused by: psql: error: connection to server at "127.0.0.1", port [PORT] failed: fe_sendauth: no password supplied
Hint: Put the password into the URL, PGPASSWORD or a password file (~/.pgpass, mode 0600)
"#,
    },
    Case {
        name: "a database that is not there",
        arrange: |s| {
            let url = PostgresServer::shared().url("no_such_database");
            s.database();
            line(&format!("backup {url}"))
        },
        code: 1,
        says: r#"Error: The PostgreSQL server has no such database: `postgres://backup_tests@127.0.0.1:[PORT]/no_such_database`
Caused by: psql: error: connection to server at "127.0.0.1", port [PORT] failed: FATAL:  database "no_such_database" does not exist
Hint: List the databases with `psql -l`; a name with special characters must be percent-encoded in the URL
"#,
    },
    Case {
        name: "a user that is not there",
        arrange: |s| {
            let port = PostgresServer::shared().port();
            s.replace(port.to_string(), "PORT");
            line(&format!("backup postgres://nobody:canary@127.0.0.1:{port}/postgres"))
        },
        code: 1,
        says: r#"Error: The PostgreSQL server at `postgres://nobody@127.0.0.1:[PORT]/postgres` refused the connection
Caused by: psql: error: connection to server at "127.0.0.1", port [PORT] failed: FATAL:  password authentication failed for user "nobody"
Hint: Check user and password (from the URL, where special characters must be percent-encoded, PGPASSWORD or ~/.pgpass)
"#,
    },
    Case {
        name: "an SQLite database that is not there",
        arrange: |_| line("backup sqlite:///no/such/app.db"),
        code: 1,
        says: "\
Error: There is no database at `/no/such/app.db`
Caused by: No such file or directory (os error 2)
Hint: Check the path; a database that is not there is never created
",
    },
    Case {
        name: "a relative path in an SQLite URL with a slash too many",
        arrange: |s| {
            s.sqlite("tmp/app.db");
            line("backup sqlite:///tmp/app.db")
        },
        code: 1,
        says: "\
Error: There is no database at `/tmp/app.db`
Caused by: No such file or directory (os error 2)
Hint: Check the path; a database that is not there is never created
Hint: A path from here is written with two slashes: sqlite://tmp/app.db
",
    },
    Case {
        name: "an SQLite URL without a file",
        arrange: |_| line("backup sqlite://:memory:"),
        code: 2,
        says: "\
Error: A database in memory cannot be reached from outside of its application: `sqlite://:memory:`
Hint: Write sqlite:///absolute/path or sqlite://relative/path
",
    },
    Case {
        name: "a file that is no SQLite database, or an encrypted one",
        arrange: |s| {
            s.noise("app.db", 8192);
            line("backup sqlite://app.db")
        },
        code: 1,
        says: "\
Error: `[FOLDER]/app.db` is not an SQLite database, or is encrypted
Hint: An encrypted one is dumped by a program that has its key: `backup-cli backup --command 'PROGRAM …'`
Hint: As a plain file it is backed up by its path, while nobody writes to it
",
    },
    Case {
        name: "an empty SQLite database",
        arrange: |s| {
            s.write("app.db", "");
            line("backup sqlite://app.db")
        },
        code: 1,
        says: "\
Error: The database `app.db` is empty: it has not a single byte
Hint: Nothing was ever written to it; is it the file that the application uses?
",
    },
    Case {
        name: "a folder instead of an SQLite database",
        arrange: |s| {
            s.tree();
            line("backup sqlite://tree")
        },
        code: 1,
        says: "\
Error: `tree` is a folder, not an SQLite database
Hint: Name the database file itself
",
    },
    Case {
        name: "an SQLite database of which only the beginning is there",
        arrange: |s| {
            s.write("app.db", b"SQLite format 3\0");
            line("backup app.db")
        },
        code: 1,
        says: "\
Error: Could not read the database `[FOLDER]/app.db`
Caused by: file is not a database (SQLite code 26)
Hint: It is encrypted, or damaged from its first page on
",
    },
    Case {
        name: "an SQLite database over a file that is none",
        arrange: |s| {
            s.sqlite("app.db").backed_up("app.db").write("notes.txt", "years of work");
            line("restore app@latest --to notes.txt --confirm")
        },
        code: 21,
        says: "\
Error: `notes.txt` exists, and is not an SQLite database
Hint: Choose another path, or add --replace if the file is to be replaced whatever it is
",
    },
    Case {
        name: "files into an SQLite database",
        arrange: |s| {
            s.tree().sqlite("app.db").backed_up("tree");
            line("restore tree@latest --to sqlite://app.db --confirm")
        },
        code: 2,
        says: "\
Error: `tree_backup_[STAMP]` is an archive of files, not an SQLite database
Hint: It holds files: `backup-cli restore tree_backup_[STAMP] --to DIR`
",
    },
    Case {
        name: "PostgreSQL's programs are not installed",
        arrange: |s| {
            s.with_mounts("for folder in /usr/lib/postgresql /usr/libexec; do [ ! -d $folder ] || mount -t tmpfs tmpfs $folder; done; PATH=/nonexistent");
            line("backup postgres://user:canary@127.0.0.1/app")
        },
        code: 1,
        says: "\
Error: `pg_dump` is not installed
Hint: Install PostgreSQL's client programs, for example: apt-get install postgresql-client
",
    },
    Case {
        name: "PostgreSQL's programs are not where they should be",
        arrange: |s| {
            s.env("BACKUP_PG_CLIENT_FOLDER", "clients");
            line("backup postgres://user:canary@127.0.0.1/app")
        },
        code: 1,
        says: "\
Error: There is no `pg_dump` in `clients`
Hint: Mend the setting `pg-client-folder` (BACKUP_PG_CLIENT_FOLDER), or leave it out
",
    },
    Case {
        name: "a server that is newer than pg_dump",
        arrange: |s| {
            let url = s.database().url();
            s.clients("echo 'pg_dump (PostgreSQL) 9.6.24'");
            line(&format!("backup {url}"))
        },
        code: 1,
        says: "\
Error: The server is PostgreSQL [N], and `pg_dump` must not be older; the newest found is 9.6 at `clients/pg_dump`
Hint: Install it, for example: apt-get install postgresql-client-[N]
",
    },
    Case {
        name: "pg_dump fails in the middle",
        arrange: |s| {
            let url = s.database().url();
            s.clients("case $1 in --version) echo 'pg_dump (PostgreSQL) 99.1';; *) echo '-- PostgreSQL database dump'; echo 'pg_dump: error: the network went away' >&2; exit 1;; esac");
            line(&format!("backup {url}"))
        },
        code: 1,
        says: "\
Error: `pg_dump` of `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]` failed with exit status 1
Caused by: pg_dump: error: the network went away
Hint: The server's log may say more; run the backup again when it is well
",
    },
    Case {
        name: "pg_dump ends too early and calls it success",
        arrange: |s| {
            let url = s.database().url();
            s.clients(
                "case $1 in --version) echo 'pg_dump (PostgreSQL) 99.1';; *) echo '-- PostgreSQL database dump';; esac",
            );
            line(&format!("backup {url}"))
        },
        code: 1,
        says: "\
Error: The dump of `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]` is not whole, although `pg_dump` exited with 0: its end marker `-- PostgreSQL database dump complete` is missing
Hint: Was `pg_dump` replaced by a script, or told to leave something out? Run it by hand and look at its last lines
",
    },
    Case {
        name: "pg_dump does not know an argument",
        arrange: |s| {
            let url = s.database().url();
            line(&format!("backup {url} --pg-dump-arg=--frobnicate"))
        },
        code: 1,
        says: r#"Error: `pg_dump` of `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]` failed with exit status 1
Caused by: [PROGRAMS]/pg_dump: unrecognized option '--frobnicate'
  pg_dump: hint: Try "pg_dump --help" for more information.
Hint: Check the extra arguments against this version of `pg_dump`
"#,
    },
    // The store.
    Case {
        name: "a bucket that is not there",
        arrange: |s| {
            s.tree().on_s3();
            s.env("BACKUP_STORE", "s3://no-such-bucket/backups");
            line("backup tree")
        },
        code: 10,
        says: "\
Error: No such bucket: `no-such-bucket`
Caused by: The store answered 404 NoSuchBucket: The specified bucket does not exist (request [ID])
Hint: Check the bucket's name; it was looked for at `[ENDPOINT]`
Hint: Create it with `backup-cli bucket create`, or in the provider's console
",
    },
    Case {
        name: "a listing of a bucket that is not there",
        arrange: |s| {
            s.on_s3();
            s.env("BACKUP_STORE", "s3://no-such-bucket/backups");
            line("list")
        },
        code: 10,
        says: "\
Error: No such bucket: `no-such-bucket`
Caused by: The store answered 404 NoSuchBucket: The specified bucket does not exist (request [ID])
Hint: Check the bucket's name; it was looked for at `[ENDPOINT]`
Hint: Create it with `backup-cli bucket create`, or in the provider's console
",
    },
    Case {
        name: "an access key that the store does not know",
        arrange: |s| {
            s.tree().on_s3();
            s.env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN000000001");
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not begin the upload of `s3://[BUCKET]/backups/[DAY]/tree_backup_[STAMP].tar.gz`
Caused by: The store answered 403 InvalidAccessKeyId: The access key ID you provided does not exist in our records. (request [ID])
Hint: `[ENDPOINT]` does not know the access key id
Hint: Check BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY, which win over AWS_* and over the profile
",
    },
    Case {
        name: "a wrong secret",
        arrange: |s| {
            s.tree().on_s3();
            s.env("AWS_SECRET_ACCESS_KEY", "canary/wrong+secret");
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not begin the upload of `s3://[BUCKET]/backups/[DAY]/tree_backup_[STAMP].tar.gz`
Caused by: The store answered 403 SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check your key and signing method. (request [ID])
Hint: The secret access key does not belong to the access key id
Hint: Check BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY, which win over AWS_* and over the profile
",
    },
    Case {
        name: "a wrong secret of a listing",
        arrange: |s| {
            s.on_s3();
            s.env("AWS_SECRET_ACCESS_KEY", "canary/wrong+secret");
            line("list")
        },
        code: 1,
        says: "\
Error: Could not list the objects of `s3://[BUCKET]/backups/`
Caused by: The store answered 403 SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check your key and signing method. (request [ID])
Hint: The secret access key does not belong to the access key id
Hint: Check BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY, which win over AWS_* and over the profile
",
    },
    Case {
        name: "half of the credentials",
        arrange: |s| {
            s.tree()
                .env("BACKUP_STORE", "s3://bucket/backups")
                .env("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTNOBODY00000001");
            line("backup tree")
        },
        code: 2,
        says: "\
Error: The credentials have no secret access key
Hint: A part of them is set by environment BACKUP_AWS_ACCESS_KEY_ID; set the rest in the same place
",
    },
    Case {
        name: "no credentials, and a metadata service that does not answer",
        arrange: |s| {
            let port = web_server(None);
            s.tree()
                .env("BACKUP_STORE", "s3://bucket/backups")
                .env("AWS_EC2_METADATA_DISABLED", "false");
            s.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("http://127.0.0.1:{port}"));
            s.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
            s.replace(port.to_string(), "PORT");
            s.time_max = Duration::from_secs(15);
            line("backup tree")
        },
        code: 1,
        says: "\
Error: No credentials for `s3://bucket`
Caused by: Neither the environment nor a profile, a web identity, a container or an instance has [N]ny
Hint: Set BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)
Hint: Or name a profile of ~/.aws/config with AWS_PROFILE; roles of containers and instances are found by themselves
",
    },
    Case {
        name: "credentials, but a bucket of somebody else",
        arrange: |s| {
            let server = FaultS3::start();
            server.fault(When::everything(), Fault::ACCESS_DENIED);
            s.on_faults(server);
            line("list")
        },
        code: 1,
        says: "\
Error: Could not list the objects of `s3://[BUCKET]/backups/`
Caused by: The store answered 403 AccessDenied: A fault of the test's choice
Hint: The credentials need the permission s3:ListBucket on `arn:aws:s3:::[BUCKET]`
",
    },
    Case {
        name: "a profile of AWS's configuration that is not there",
        arrange: |s| {
            s.tree()
                .env("BACKUP_STORE", "s3://bucket/backups")
                .env("BACKUP_AWS_PROFILE", "no-such-profile");
            line("backup tree")
        },
        code: 1,
        says: "\
Error: No credentials for `s3://bucket`
Caused by: Neither the environment nor a profile, a web identity, a container or an instance has [N]ny
Hint: Is there a profile `no-such-profile` in ~/.aws/config or ~/.aws/credentials?
Hint: Set BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)
Hint: Or name a profile of ~/.aws/config with AWS_PROFILE; roles of containers and instances are found by themselves
",
    },
    Case {
        name: "credentials without the permission",
        arrange: |s| {
            let server = FaultS3::start();
            server.fault(When::everything(), Fault::ACCESS_DENIED);
            s.tree().on_faults(server);
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not begin the upload of `s3://[BUCKET]/backups/[DAY]/tree_backup_[STAMP].tar.gz`
Caused by: The store answered 403 AccessDenied: A fault of the test's choice
Hint: The credentials need the permission s3:PutObject on `arn:aws:s3:::[BUCKET]/backups/[DAY]/tree_backup_[STAMP].tar.gz`
",
    },
    Case {
        name: "credentials that have expired",
        arrange: |s| {
            let server = FaultS3::start();
            server.fault(When::everything(), Fault::EXPIRED_TOKEN);
            s.tree().on_faults(server);
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not begin the upload of `s3://[BUCKET]/backups/[DAY]/tree_backup_[STAMP].tar.gz`: the credentials have expired
Caused by: The store answered 400 ExpiredToken: A fault of the test's choice
Hint: The credentials are fixed ones with an end: take new ones, or let a role or a profile supply them
",
    },
    Case {
        name: "a clock that is wrong",
        arrange: |s| {
            let server = FaultS3::start();
            server.fault(When::everything(), Fault::CLOCK_SKEW);
            s.tree().on_faults(server);
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not begin the upload of `s3://[BUCKET]/backups/[DAY]/tree_backup_[STAMP].tar.gz`: this machine's clock is wrong
Caused by: The store answered 403 RequestTimeTooSkewed: A fault of the test's choice
Hint: Let NTP set the clock, for example with `timedatectl set-ntp true`
",
    },
    Case {
        name: "an endpoint at which nobody listens",
        arrange: |s| {
            let port = closed_port();
            s.tree()
                .s3_at(&format!("http://127.0.0.1:{port}"))
                .replace(port.to_string(), "PORT");
            s.time_max = Duration::from_secs(15);
            line("backup tree")
        },
        code: 1,
        says: "\
Warning: Trying again in [DURATION] to look at `s3://bucket/backups/[DAY]/tree_backup_[STAMP].tar.gz`, after attempt 1 failed: tcp connect error: Connection refused (os error 111).
Warning: Trying again in [DURATION] to look at `s3://bucket/backups/[DAY]/tree_backup_[STAMP].tar.gz`, after attempt 2 failed: tcp connect error: Connection refused (os error 111).
Error: Nothing answers at `http://127.0.0.1:[PORT]`
Caused by: tcp connect error: Connection refused (os error 111)
Hint: Check the endpoint's host and port, and that the server is running
",
    },
    Case {
        name: "an endpoint whose host is not there",
        arrange: |s| {
            s.tree().s3_at("http://s3.invalid");
            s.time_max = Duration::from_secs(15);
            line("backup tree")
        },
        code: 1,
        says: "\
Warning: Trying again in [DURATION] to look at `s3://bucket/backups/[DAY]/tree_backup_[STAMP].tar.gz`, after attempt 1 failed: dns error: failed to lookup address information: Name or service not known.
Warning: Trying again in [DURATION] to look at `s3://bucket/backups/[DAY]/tree_backup_[STAMP].tar.gz`, after attempt 2 failed: dns error: failed to lookup address information: Name or service not known.
Error: Could not find the host of `http://s3.invalid`
Caused by: dns error: failed to lookup address information: Name or service not known
Hint: Check the endpoint's spelling, and that this machine can resolve names
",
    },
    Case {
        name: "an endpoint that speaks no TLS",
        arrange: |s| {
            let port = web_server(Some("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
            s.tree()
                .s3_at(&format!("https://127.0.0.1:{port}"))
                .replace(port.to_string(), "PORT");
            line("backup tree")
        },
        code: 1,
        says: "\
Error: No secure connection to `https://127.0.0.1:[PORT]`
Caused by: What answers there does not speak TLS: TLS handshake failed: received corrupt message of type InvalidContentType
Hint: If the server speaks plain HTTP, write http:// in the endpoint; if it speaks HTTPS elsewhere, write that port
",
    },
    Case {
        name: "an endpoint that is a web page",
        arrange: |s| {
            let port = web_server(Some(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 28\r\n\r\n<html>Welcome to us!</html>\n",
            ));
            s.tree()
                .s3_at(&format!("http://127.0.0.1:{port}"))
                .replace(port.to_string(), "PORT");
            line("backup tree")
        },
        code: 1,
        says: "\
Error: What answers at `http://127.0.0.1:[PORT]` is no S3 server
Caused by: The store answered 200: A web page, or something else that S3 never sends
Hint: The endpoint is the address of the S3 API; a console or a web site has [N]nother host or port
",
    },
    Case {
        name: "a listing of an endpoint that is a web page",
        arrange: |s| {
            let port = web_server(Some(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 28\r\n\r\n<html>Welcome to us!</html>\n",
            ));
            s.s3_at(&format!("http://127.0.0.1:{port}"))
                .replace(port.to_string(), "PORT");
            line("list")
        },
        code: 1,
        says: "\
Error: What answers at `http://127.0.0.1:[PORT]` is no S3 server
Caused by: The store answered 200: A web page, or something else that S3 never sends
Hint: The endpoint is the address of the S3 API; a console or a web site has [N]nother host or port
",
    },
    Case {
        name: "an endpoint that knows nothing of buckets",
        arrange: |s| {
            let port = web_server(Some(
                "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 14\r\n\r\n<html></html>\n",
            ));
            s.s3_at(&format!("http://127.0.0.1:{port}"))
                .replace(port.to_string(), "PORT");
            line("list")
        },
        code: 1,
        says: "\
Error: What answers at `http://127.0.0.1:[PORT]` is no S3 server
Caused by: The store answered 404: A web page, or something else that S3 never sends
Hint: The endpoint is the address of the S3 API; a console or a web site has [N]nother host or port
",
    },
    Case {
        name: "a region that cannot be repaired",
        arrange: |s| {
            let server = FaultS3::start();
            server.fault(
                When::everything(),
                Fault::WrongRegion {
                    status: 301,
                    region: "eu-north-1".to_owned(),
                },
            );
            s.tree().on_faults(server);
            line("backup tree")
        },
        code: 2,
        says: "\
The bucket `[BUCKET]` is in the region `eu-north-1`, not in `us-east-1`; going on there. Set the region to save the detour.
Error: The bucket `[BUCKET]` is in another region than `eu-north-1`
Caused by: The store answered 301
Hint: Set the bucket's region and, off AWS, the endpoint that belongs to it
",
    },
    Case {
        name: "a store that is a file",
        arrange: |s| {
            s.tree().write("store", "in the way");
            line("backup tree")
        },
        code: 2,
        says: "\
Error: Not a folder: `[FOLDER]/store`
Hint: A store is a folder, and so is everything above it
",
    },
    Case {
        name: "a store that may not be written",
        arrange: |s| {
            s.tree();
            std::fs::create_dir(s.path("store")).expect("a folder");
            s.mode("store", 0o555).bound_by_modes();
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not begin the object `[DAY]/tree_backup_[STAMP].tar.gz`
Caused by: Could not create the folder `[FOLDER]/store/[DAY]`
Caused by: Permission denied (os error 13)
Hint: Run it as a user that may write there, or give that user the folder
",
    },
    Case {
        name: "a store of a kind that this version does not know",
        arrange: |s| {
            s.tree();
            line("--store gs://bucket/x backup tree")
        },
        code: 2,
        says: "\
Error: Wrong value of `--store`
Caused by: Not the address of a store: `gs://bucket/x`; `gs:` is not a kind of store
Hint: Write s3://BUCKET/PREFIX for a bucket, or file:///FOLDER or a path with a slash for a folder
",
    },
    Case {
        name: "a store without a bucket",
        arrange: |s| {
            s.tree();
            line("--store s3:// backup tree")
        },
        code: 2,
        says: "\
Error: Wrong value of `--store`
Caused by: Not the address of a store: `s3://`; It names no bucket
Hint: Write s3://BUCKET/PREFIX
",
    },
    Case {
        name: "a rule of the bucket for no days",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups").env("BACKUP_S3_DELETE_DAYS", "0");
            line("lifecycle apply")
        },
        code: 2,
        says: "\
Error: Wrong value of `BACKUP_S3_DELETE_DAYS`
Caused by: Expected a whole number from 1 to 36500, found `0`
Hint: After how many days the bucket removes backups, by their age alone; `prune` never removes the newest, the bucket does. For example: 90
",
    },
    Case {
        name: "a move at once",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups");
            line("lifecycle apply --transition 0:GLACIER")
        },
        code: 2,
        says: "\
Error: Wrong value of `--transition`
Caused by: Expected at least 1 day before a move, found `0:GLACIER`; data that is to be in GLACIER at once is written there by `storage-class`
Hint: To which storage classes the bucket moves data as it grows old, each as DAYS:CLASS; written into the bucket by `lifecycle apply`. In a table [profile.NAME.lifecycle], this and the next keys are called transitions, glacier-days and so on. For example: [\"30:GLACIER_IR\", \"120:DEEP_ARCHIVE\"]
",
    },
    Case {
        name: "a move without a class, in a profile's table",
        arrange: |s| {
            s.write("c.toml", "[profile.app.lifecycle]\ntransitions = [\"30\"]\n");
            line("--config c.toml lifecycle show")
        },
        code: 2,
        says: "\
Error: Wrong value of `lifecycle-transitions` in `[FOLDER]/c.toml`, line 2
Caused by: Expected DAYS:CLASS such as 30:GLACIER_IR, found `30`
Hint: To which storage classes the bucket moves data as it grows old, each as DAYS:CLASS; written into the bucket by `lifecycle apply`. In a table [profile.NAME.lifecycle], this and the next keys are called transitions, glacier-days and so on. For example: [\"30:GLACIER_IR\", \"120:DEEP_ARCHIVE\"]
",
    },
    Case {
        name: "a class that does not exist",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups");
            line("lifecycle apply --transition 30:GLACIAL")
        },
        code: 2,
        says: "\
Error: No such storage class to move to: `GLACIAL`
Hint: The classes are STANDARD_IA, INTELLIGENT_TIERING, ONEZONE_IA, GLACIER_IR, GLACIER, DEEP_ARCHIVE
",
    },
    Case {
        name: "moves in an order that does not exist",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups").env("BACKUP_S3_GLACIER_DAYS", "30");
            line("lifecycle apply --transition 120:GLACIER_IR --dry-run")
        },
        code: 2,
        says: "\
Error: Data cannot move from GLACIER (after 30 days) to GLACIER_IR (after 120 days)
Hint: Data moves in this order only: STANDARD_IA, INTELLIGENT_TIERING, ONEZONE_IA, GLACIER_IR, GLACIER, DEEP_ARCHIVE
",
    },
    Case {
        name: "removal before a move",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups")
                .env("BACKUP_S3_GLACIER_DAYS", "30")
                .env("BACKUP_S3_DELETE_DAYS", "30");
            line("lifecycle apply -y")
        },
        code: 2,
        says: "\
Error: Backups are to be removed after 30 days, and to move to GLACIER after 30
Hint: Remove them later, or leave the move out
",
    },
    Case {
        name: "the lifecycle of a folder",
        arrange: |_| line("lifecycle apply"),
        code: 2,
        says: "\
Error: The store is no bucket, and has no lifecycle: file://[FOLDER]/store
Hint: Name one with --store s3://BUCKET/PREFIX; in a folder `backup-cli prune` removes what is old
",
    },
    Case {
        name: "a local store that is full",
        arrange: |s| {
            s.noise("big/noise", 3 << 20)
                .small_disk("1m", &["./store"])
                .env("BACKUP_STORE", "./disk/store");
            line("backup big")
        },
        code: 1,
        says: "\
Error: Could not write `[FOLDER]/disk/store/[DAY]/big_backup_[STAMP].tar.gz`
Caused by: No space left on device (os error 28)
Hint: Free some space on that file system, or choose another one, and run it again
",
    },
    Case {
        name: "a temporary folder that is full",
        arrange: |s| {
            for number in 0..800 {
                s.write(&format!("tree/{number}-{:x}", u64::MAX / (number + 1)), "");
            }
            std::fs::create_dir(s.path("store")).expect("a folder");
            s.small_disk("4k", &[]).env("TMPDIR", "disk");
            line("backup tree")
        },
        code: 1,
        says: "\
Error: Could not write the index to a temporary file
Caused by: No space left on device (os error 28)
Hint: Free some space on that file system, or choose another one, and run it again
",
    },
    // The configuration.
    Case {
        name: "a key that does not exist",
        arrange: |s| {
            s.write("c.toml", "[defaults]\nlevel = 3\n\n[profile.web]\nsource = \"/srv\"\n");
            line("--config c.toml list")
        },
        code: 2,
        says: "\
Error: Unknown key: `source` in `[FOLDER]/c.toml`, line 5
Hint: Did you mean `sources`?
",
    },
    Case {
        name: "a file that is not TOML",
        arrange: |s| {
            s.write("c.toml", "[defaults]\nlevel = 3\nname = \"web\n");
            line("--config c.toml list")
        },
        code: 2,
        says: r#"Error: Not TOML: `[FOLDER]/c.toml`, line 3
Caused by: Invalid basic string, expected `"`
Hint: Texts stand in quotes: name = "web"; `backup-cli config init -` prints a whole example
"#,
    },
    Case {
        name: "a value of the wrong type",
        arrange: |s| {
            s.write("c.toml", "[defaults]\nexclude-caches = \"perhaps\"\n");
            line("--config c.toml list")
        },
        code: 2,
        says: "\
Error: Wrong value of `exclude-caches` in `[FOLDER]/c.toml`, line 2
Caused by: Expected true or false, found a text; write true or false without quotes
Hint: Leave out the content of folders that hold a CACHEDIR.TAG. For example: true
",
    },
    Case {
        name: "a value that is out of range",
        arrange: |s| {
            s.write("c.toml", "[defaults]\nlevel = 20\n");
            line("--config c.toml list")
        },
        code: 2,
        says: "\
Error: Wrong value of `level` in `[FOLDER]/c.toml`, line 2
Caused by: Expected a whole number from 1 to 19, found `20`
Hint: The level of compression, from 1 (fast) to 12 (small) for gzip, to 19 for zstd. For example: 6
",
    },
    Case {
        name: "a level of zstd for gzip",
        arrange: |s| {
            s.write("c.toml", "[defaults]\nlevel = 13\n");
            line("--config c.toml list")
        },
        code: 2,
        says: "\
Error: Wrong value of `level` (defaults ([FOLDER]/c.toml:2))
Caused by: Expected a whole number from 1 to 12, found `13`
Hint: The level of compression, from 1 (fast) to 12 (small) for gzip, to 19 for zstd. For example: 6
",
    },
    Case {
        name: "a value that is none of the choices",
        arrange: |s| {
            s.write("c.toml", "[defaults]\nsse = \"rot13\"\n");
            line("--config c.toml list")
        },
        code: 2,
        says: r#"Error: Wrong value of `sse` in `[FOLDER]/c.toml`, line 2
Caused by: Expected one of AES256, aws:kms, found `rot13`
Hint: Encryption by the server: AES256 or aws:kms. For example: "aws:kms"
"#,
    },
    Case {
        name: "a configuration file that is not there",
        arrange: |_| line("--config none.toml list"),
        code: 2,
        says: "\
Error: Could not read the configuration file `none.toml`
Caused by: No such file or directory (os error 2)
Hint: `backup-cli config init` writes an example
",
    },
    Case {
        name: "a profile that does not exist",
        arrange: |s| {
            s.write("c.toml", "[profile.web]\nname = \"web\"\n");
            line("--config c.toml -p wep list")
        },
        code: 10,
        says: "\
Error: No such profile: `wep`
Hint: Did you mean `web`?
Hint: The profiles of `[FOLDER]/c.toml` are: web
",
    },
    Case {
        name: "a wrong value in the environment",
        arrange: |s| {
            s.env("BACKUP_LEVEL", "best");
            line("list")
        },
        code: 2,
        says: "\
Error: Wrong value of `BACKUP_LEVEL`
Caused by: Expected a whole number from 1 to 19, found `best`
Hint: The level of compression, from 1 (fast) to 12 (small) for gzip, to 19 for zstd. For example: 6
",
    },
    Case {
        name: "a file of variables with a line that is none",
        arrange: |s| {
            s.write(".env", "BACKUP_NAME=web\nthis is nothing\n");
            line("--env-file .env list")
        },
        code: 2,
        says: r#"Error: Not a variable in `.env`, line 2: there is no `=`
Hint: Write NAME=value, NAME='literal value' or NAME="value"; # begins a comment
"#,
    },
    Case {
        name: "a secret's file that is not there",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups")
                .env("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTNOBODY00000001")
                .env("BACKUP_AWS_SECRET_ACCESS_KEY_FILE", "none");
            line("list")
        },
        code: 2,
        says: "\
Error: Could not take `aws-secret-access-key` from environment BACKUP_AWS_SECRET_ACCESS_KEY_FILE
Caused by: Could not read the secret file `none`
Caused by: No such file or directory (os error 2)
Hint: Check the path and its permissions; the file holds nothing but the secret
",
    },
    Case {
        name: "a secret's program that fails",
        arrange: |s| {
            s.env("BACKUP_STORE", "s3://bucket/backups")
                .env("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTNOBODY00000001")
                .env(
                    "BACKUP_AWS_SECRET_ACCESS_KEY_COMMAND",
                    "sh -c 'echo locked >&2; exit 4'",
                );
            line("list")
        },
        code: 2,
        says: "\
Error: Could not take `aws-secret-access-key` from environment BACKUP_AWS_SECRET_ACCESS_KEY_COMMAND
Caused by: The command that should print a secret failed
Caused by: `sh` ended with exit status: 4: locked
Hint: Run that command by hand: it has to print the secret and to exit with 0
",
    },
    Case {
        name: "a name with a slash",
        arrange: |s| {
            s.tree();
            line("backup tree --name ../web")
        },
        code: 2,
        says: "\
Error: Not a name for a backup: `../web`
Hint: Use up to 128 letters, digits, `.`, `_` and `-`, beginning with a letter or a digit, for example --name app
",
    },
    Case {
        name: "a level that is too high",
        arrange: |s| {
            s.tree();
            line("backup tree --level 13")
        },
        code: 2,
        says: "\
Error: Wrong value of `--level`
Caused by: Expected a whole number from 1 to 12, found `13`
Hint: The level of compression, from 1 (fast) to 12 (small) for gzip, to 19 for zstd. For example: 6
",
    },
    Case {
        name: "a part that is too small",
        arrange: |s| {
            s.tree().on_s3();
            line("backup tree --part-size 1MiB")
        },
        code: 2,
        says: "\
Error: This store does not take parts of 1 MiB ([N] bytes)
Hint: Choose a part size from 5 MiB to 5 GiB
",
    },
    Case {
        name: "a size that is none",
        arrange: |s| {
            s.tree();
            line("backup tree --part-size many")
        },
        code: 2,
        says: r#"Error: Wrong value of `--part-size`
Caused by: Expected a size such as 64MiB, found `many`
Hint: The size of a part of a multipart upload. For example: "16MiB"
"#,
    },
    Case {
        name: "a template of keys without a date",
        arrange: |s| {
            s.tree();
            line("backup tree --key-template '{name}'")
        },
        code: 2,
        says: "\
Error: Not a usable key template: `{name}`
Caused by: `{date}` is missing, so that two backups could get one key
Hint: The built-in template is `{date}/{name}_backup_{date}_{time}`
",
    },
    Case {
        name: "a command that does not exist",
        arrange: |_| line("backupp tree"),
        code: 2,
        says: "\
Error: Unrecognized subcommand `backupp`
Hint: A similar subcommand exists: `backup`
Hint: Usage: backup-cli [OPTIONS] <COMMAND>; `backup-cli --help` explains it
",
    },
    Case {
        name: "an option that does not exist",
        arrange: |_| line("backup tree --levle 3"),
        code: 2,
        says: "\
Error: Unexpected argument `--levle` found
Hint: A similar argument exists: `--level`
Hint: Usage: backup-cli backup --level <LEVEL> <SOURCE>...; `backup-cli backup --help` explains it
",
    },
    // Choosing a backup.
    Case {
        name: "no backup at all",
        arrange: |_| line("restore latest --to out"),
        code: 10,
        says: "\
Error: The folder of the store does not exist: `[FOLDER]/store`
Hint: The first backup creates it; if it should be there, check that its disk is mounted and the path is right
",
    },
    Case {
        name: "no backup of a name",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("restore web@latest --to out")
        },
        code: 10,
        says: "\
Error: No backup of `web` in `file://[FOLDER]/store`
Hint: `backup-cli list` shows what is there; check --store, --profile and --name
",
    },
    Case {
        name: "an id that does not exist",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("show web_backup_20200101_000000")
        },
        code: 10,
        says: "\
Error: No backup with the id `web_backup_[STAMP]` in `file://[FOLDER]/store`
Hint: `backup-cli list` shows what is there; check --store, --profile and --name
Hint: For a file on this machine, write a path with a slash: ./web_backup_[STAMP]
",
    },
    Case {
        name: "an id that could be several",
        arrange: |s| {
            s.tree().backed_up("tree").backed_up("tree");
            line("show tree_")
        },
        code: 2,
        says: "\
Error: `tree_` begins 2 ids, among them tree_backup_[STAMP], tree_backup_[STAMP]
Hint: Write more of the id
",
    },
    Case {
        name: "latest among several names",
        arrange: |s| {
            s.tree().backed_up("tree --name web").backed_up("tree --name app");
            line("restore latest --to out")
        },
        code: 2,
        says: "\
Error: There are backups of several names here, among them `app` and `web`
Hint: Say which: --name app, or `app@latest`
",
    },
    Case {
        name: "no backup that is old enough",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("restore latest --at 2001-01-01 --to out")
        },
        code: 10,
        says: "\
Error: No backup that was begun by [TIME] in `file://[FOLDER]/store`
Hint: `backup-cli list` shows what is there; check --store, --profile and --name
",
    },
    Case {
        name: "a time that is none",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("restore latest --at yesterday-ish --to out")
        },
        code: 2,
        says: "\
Error: Not a time: `yesterday-ish`
Caused by: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y
Hint: Write for example `[TIME]`, `[TIME]` or `[DATE]`
",
    },
    Case {
        name: "a backup file that is not there",
        arrange: |_| line("restore --backup-file ./none.sql.gz --to out"),
        code: 10,
        says: "\
Error: No backup file at `./none.sql.gz`
Caused by: No such file or directory (os error 2)
Hint: Check the path; `backup-cli list` shows the backups of the store
",
    },
    Case {
        name: "an object that is not there",
        arrange: |s| {
            s.on_s3().put("backups/other", b"x");
            let bucket = s.bucket();
            line(&format!(
                "restore --from-s3 s3://{bucket}/backups/20250120/a_backup_20250120_143000.sql.gz --to out"
            ))
        },
        code: 10,
        says: "\
Error: No object `backups/[DAY]/a_backup_[STAMP].sql.gz` in `s3://[BUCKET]/backups`
Hint: `backup-cli list` shows what is there
",
    },
    Case {
        name: "a folder that is not there for a file",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql");
            line("restore latest --to nowhere/dump.sql")
        },
        code: 1,
        says: r#"Error: Could not restore `cat_backup_[STAMP]` to `nowhere/dump.sql`
Caused by: Could not make a file in `nowhere`
Caused by: No such file or directory (os error 2) at path "[FOLDER]/nowhere/.backup-cli-restore-[ID]"
Hint: Make the folder first
Hint: The target is as it was before
"#,
    },
    Case {
        name: "a path that is not inside",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("ls latest tree/none")
        },
        code: 10,
        says: "\
Error: Nothing at `tree/none` in `tree_backup_[STAMP]`
Hint: Paths begin with the source's base name; `backup-cli ls tree_backup_[STAMP]` shows them all
",
    },
    // The target.
    Case {
        name: "no target was said",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("restore latest")
        },
        code: 2,
        says: "\
Error: Where `tree_backup_[STAMP]` is to be restored to was not said
Hint: Write --to DIR for files, --to postgres://…/NAME or mysql://…/NAME (or DATABASE_URL) for a database, --to FILE or --to - for the plain content
",
    },
    Case {
        name: "a folder that is not empty",
        arrange: |s| {
            s.tree().backed_up("tree").write("out/mine", "precious");
            line("restore latest --to out")
        },
        code: 21,
        says: "\
Error: The target `out` is not empty: it holds `mine`
Hint: Restore into an empty or a new folder
Hint: Use --merge to put the backup's files among those, or --replace to replace what has the same name
",
    },
    Case {
        name: "a prune without a rule",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("prune --confirm")
        },
        code: 2,
        says: "\
Error: No rule says what is to be kept, so that everything would go
Hint: Name what to keep, for example --keep-daily 7 --keep-weekly 5 --keep-monthly 12, or --keep-within 30d
Hint: The same can stand in the profile: keep-daily = 7
",
    },
    Case {
        name: "a prune that keeps nothing of anything",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("prune --keep-last 0 --keep-daily 0 --retention-days 0 --confirm")
        },
        code: 2,
        says: "\
Error: No rule says what is to be kept, so that everything would go
Hint: Name what to keep, for example --keep-daily 7 --keep-weekly 5 --keep-monthly 12, or --keep-within 30d
Hint: The same can stand in the profile: keep-daily = 7
",
    },
    Case {
        name: "a number of backups that is none",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("prune --keep-last=-2 --confirm")
        },
        code: 2,
        says: "\
Error: Wrong value of `--keep-last`
Caused by: Expected a whole number, or unlimited, found `-2`
Hint: How many of the newest backups of a series `prune` keeps; a whole number or unlimited. For example: 3
",
    },
    Case {
        name: "a span in weeks",
        arrange: |s| {
            s.tree().backed_up("tree").env("BACKUP_KEEP_WITHIN", "2w");
            line("prune --confirm")
        },
        code: 2,
        says: "\
Error: Wrong value of `BACKUP_KEEP_WITHIN`
Caused by: Expected years, months, days and hours such as 2y5m7d3h, found `2w`
Hint: `prune` keeps everything within this span of the newest backup of the series: years, months, days, hours. For example: \"2y5m7d3h\"
",
    },
    Case {
        name: "tags to keep that are none",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("prune --keep-tag , --confirm")
        },
        code: 2,
        says: "\
Error: Wrong value of `--keep-tag`
Caused by: Expected tags, separated by commas, found `,`
Hint: `prune` keeps every backup that carries all tags of one of these lists; the tags of a list are separated by commas. For example: [\"release\", \"monthly,audited\"]
",
    },
    Case {
        name: "a backup that is to prune without a rule",
        arrange: |s| {
            s.tree();
            line("backup tree --prune")
        },
        code: 2,
        says: "\
Error: The series is to be pruned afterwards, but no rule says what is to be kept
Hint: Set rules in the profile, for example keep-daily = 7, or leave --prune out
",
    },
    Case {
        name: "a pin on a backup that is not there",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("pin tree@20990101")
        },
        code: 10,
        says: "\
Error: No backup with the id `tree@20990101` in `file://[FOLDER]/store`
Hint: `backup-cli list` shows what is there; check --store, --profile and --name
Hint: For a file on this machine, write a path with a slash: ./tree@20990101
",
    },
    Case {
        name: "replacing without a confirmation",
        arrange: |s| {
            s.tree().backed_up("tree").write("out/tree/mine", "precious");
            line("restore latest --to out --replace")
        },
        code: 21,
        says: "\
Error: This needs a confirmation, and there is no terminal to ask on
Caused by: What `out` holds under the same top-level names will be replaced
Hint: Add --confirm to go ahead without a question, or --dry-run to see what would happen
",
    },
    Case {
        name: "a target that is a file",
        arrange: |s| {
            s.tree().backed_up("tree").write("out", "precious");
            line("restore latest --to out")
        },
        code: 2,
        says: "\
Error: The target `out` is not a folder
Hint: Name a folder; a single file is restored into a folder with --include
",
    },
    Case {
        name: "a target that may not be written",
        arrange: |s| {
            s.tree().backed_up("tree");
            std::fs::create_dir(s.path("locked")).expect("a folder");
            s.mode("locked", 0o555).bound_by_modes();
            line("restore latest --to locked/out")
        },
        code: 1,
        says: "\
Error: Could not write into `[FOLDER]/locked`
Caused by: Permission denied (os error 13)
Hint: Restore into a folder that you may write to, or run the restore as its owner
",
    },
    Case {
        name: "a file in the place of the dump",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql");
            line("restore latest --to dump.sql")
        },
        code: 21,
        says: "\
Error: `dump.sql` exists already
Hint: Choose another path, or add --replace
",
    },
    Case {
        name: "a folder for a dump",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql");
            std::fs::create_dir(s.path("out")).expect("a folder");
            line("restore latest --to out")
        },
        code: 2,
        says: "\
Error: `cat_backup_[STAMP]` is an SQL dump, not an archive of files, and cannot be unpacked into a folder
Hint: Restore it into a database with --to postgres://…/NAME or mysql://…/NAME, or write it to a file: `backup-cli restore cat_backup_[STAMP] --to ./dump.sql`
",
    },
    Case {
        name: "a database for files",
        arrange: |s| {
            s.tree().backed_up("tree");
            let url = s.database().url();
            line(&format!("restore latest --to {url}"))
        },
        code: 2,
        says: "\
Error: `tree_backup_[STAMP]` is an archive of files, which cannot be loaded into `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]`
Hint: It holds files: `backup-cli restore tree_backup_[STAMP] --to DIR`
",
    },
    Case {
        name: "a database for something unknown",
        arrange: |s| {
            s.noise("noise", 4000).backed_up("--command 'cat noise'");
            let url = s.database().url();
            line(&format!("restore latest --to {url}"))
        },
        code: 2,
        says: "\
Error: `cat_backup_[STAMP]` is of an unknown kind, which cannot be loaded into `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]`
Hint: Write it to a file first: `backup-cli restore cat_backup_[STAMP] --to ./FILE`
",
    },
    Case {
        name: "a target of a kind that this version does not know",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("restore latest --to mongodb://root:canary@db/app")
        },
        code: 2,
        says: "\
Error: This version cannot restore to `mongodb://root:********@db/app`
Hint: Write a folder, a file, postgres://…/NAME, mysql://…/NAME, sqlite:///PATH, or `-` for standard output
",
    },
    Case {
        name: "nothing inside matches",
        arrange: |s| {
            s.tree().backed_up("tree");
            line("restore latest --to out --include '*.conf'")
        },
        code: 10,
        says: "\
Error: Nothing in `tree_backup_[STAMP]` matches the selection
Hint: Paths begin with the source's base name, as `backup-cli ls tree_backup_[STAMP]` shows them; `**/NAME` finds a name anywhere
",
    },
    Case {
        name: "choosing files of a dump",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql");
            line("restore latest --to out.sql --include '*.conf'")
        },
        code: 2,
        says: "\
Error: Paths, --include and --exclude choose among files, but `cat_backup_[STAMP]` is an SQL dump
Hint: Leave them out, or restore an archive of files with --to DIR
",
    },
    Case {
        name: "a database that is not empty, without a confirmation",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql");
            let database = s.database();
            database.psql("CREATE TABLE precious (i int)");
            let url = database.url();
            line(&format!("restore latest --to {url}"))
        },
        code: 21,
        says: "\
Error: This needs a confirmation, and there is no terminal to ask on
Caused by: The database `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]` ([N] MiB) will be replaced; the old one is kept under a dated name, and sessions on it are ended
Hint: Add --confirm to go ahead without a question, or --dry-run to see what would happen
",
    },
    Case {
        name: "a script that fails half way",
        arrange: |s| {
            s.write("dump.sql", SQL.replace("INSERT INTO t", "INSERT INTO nowhere"))
                .backed_up("--command 'cat dump.sql' --extension sql");
            let database = s.database();
            database.psql("CREATE TABLE precious (i int)");
            let url = database.url();
            line(&format!("restore latest --to {url} --confirm --no-safety-backup"))
        },
        code: 1,
        says: r#"Warning: No safety backup of the database that is replaced, as asked.
Error: Could not restore `cat_backup_[STAMP]` to `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]`
Caused by: The dump could not be restored into the new database `[DATABASE]__restore_[STAMP]_[ID]`: `psql` ended with exit status 3
Caused by: psql:<stdin>:6: ERROR: relation "nowhere" does not exist
  LINE 1: INSERT INTO nowhere VALUES ([N]);
                      ^
Hint: The target is as it was before
"#,
    },
    Case {
        name: "a script that is cut off",
        arrange: |s| {
            let cut = SQL.split("INSERT").next().expect("its beginning");
            s.write("cut.sql.gz", gzipped(cut.as_bytes()));
            let database = s.database();
            database.psql("CREATE TABLE precious (i int)");
            let url = database.url();
            line(&format!(
                "restore --backup-file cut.sql.gz --to {url} --confirm --no-safety-backup"
            ))
        },
        code: 20,
        says: "\
`cut.sql.gz` is unmanaged: it has no manifest, so only its own checksums can be checked.
Warning: No safety backup of the database that is replaced, as asked.
Error: Could not restore `cut` to `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]`
Caused by: The dump is not whole: its end marker `-- PostgreSQL database dump complete` is missing
Hint: It was cut off when it was made or copied; restore another backup
Hint: The target is as it was before
",
    },
    Case {
        name: "the target's server is not there",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql");
            let port = closed_port();
            s.replace(port.to_string(), "PORT");
            line(&format!(
                "restore latest --to postgres://user:canary@127.0.0.1:{port}/app"
            ))
        },
        code: 1,
        says: r#"Error: The PostgreSQL server at `postgres://user@127.0.0.1:[PORT]/app` cannot be reached
Caused by: psql: error: connection to server at "127.0.0.1", port [PORT] failed: Connection refused
  	Is the server running on that host and accepting TCP/IP connections?
Hint: Is the server running, and are host and port right?
"#,
    },
    Case {
        name: "a disk that is full during the restore of a folder",
        arrange: |s| {
            s.noise("big/noise", 3 << 20).backed_up("big").small_disk("1m", &[]);
            line("restore latest --to disk/out")
        },
        code: 1,
        says: "\
Error: Could not restore `big_backup_[STAMP]` to `disk/out`
Caused by: Could not write `big/noise`
Caused by: No space left on device (os error 28)
Hint: Free some space on that file system, or choose another one, and run it again
Hint: The target is as it was before
",
    },
    Case {
        name: "a disk that is full during the restore of a file",
        arrange: |s| {
            s.noise("noise", 3 << 20)
                .backed_up("--command 'cat noise'")
                .small_disk("1m", &[]);
            line("restore latest --to disk/out.bin")
        },
        code: 1,
        says: "\
Error: Could not restore `cat_backup_[STAMP]` to `disk/out.bin`
Caused by: Could not write `disk/out.bin`
Caused by: No space left on device (os error 28)
Hint: Free some space on that file system, or choose another one, and run it again
Hint: The target is as it was before
",
    },
    Case {
        name: "standard output that is full",
        arrange: |s| {
            s.noise("noise", 3 << 20).backed_up("--command 'cat noise'");
            let shell = crate::support::system_tool("sh").display().to_string();
            s.through([&shell, "-c", "exec \"$@\" >/dev/full", "sh"]);
            line("restore latest --to -")
        },
        code: 1,
        says: "\
Error: Could not restore `cat_backup_[STAMP]` to standard output
Caused by: Could not write to standard output
Caused by: No space left on device (os error 28)
Hint: Free some space on that file system, or choose another one, and run it again
Hint: What was written to standard output is not to be trusted; throw it away
",
    },
    // What is stored.
    Case {
        name: "a flipped bit in the data",
        arrange: |s| {
            s.noise("noise", 300_000)
                .tree()
                .backed_up("noise tree")
                .damage(".tar.gz", |bytes| {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                });
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `noise_backup_[STAMP]` to `out`
Caused by: The gzip member at byte [N] is damaged: its checksum is wrong
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "a flipped bit in the first header",
        arrange: |s| {
            s.tree().backed_up("tree").damage(".tar.gz", |bytes| bytes[1] ^= 1);
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `tree_backup_[STAMP]` to `out`
Caused by: The stream is not gzip: its first bytes are wrong
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "a flipped bit in a trailer",
        arrange: |s| {
            s.tree().backed_up("tree").damage(".tar.gz", |bytes| {
                let last = bytes.len() - 6;
                bytes[last] ^= 1;
            });
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `tree_backup_[STAMP]` to `out`
Caused by: The gzip member at byte [N] is damaged: its checksum is wrong
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "damage below a single file",
        arrange: |s| {
            s.noise("noise", 300_000)
                .tree()
                .backed_up("noise tree")
                .damage(".tar.gz", |bytes| {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                });
            line("restore latest --to out --include noise")
        },
        code: 20,
        says: "\
Error: Could not restore `noise_backup_[STAMP]` to `out`
Caused by: The data at byte [N] is not the member that the index says
Caused by: Of that member, its checksum is wrong
Hint: Restore without a selection, which needs no index; if that fails too, choose an older backup
Hint: The target is as it was before
",
    },
    Case {
        name: "damage on the way to standard output",
        arrange: |s| {
            s.noise("noise", 3_000_000)
                .backed_up("noise")
                .damage(".tar.gz", |bytes| {
                    let end = bytes.len() - 1000;
                    bytes[end] ^= 1;
                });
            s.leaves_something = true;
            line("restore latest --to -")
        },
        code: 20,
        says: "\
Error: Could not restore `noise_backup_[STAMP]` to standard output
Caused by: The gzip member at byte [N] is damaged: its checksum is wrong
Hint: Choose an older backup: `backup-cli list` shows them
Hint: What was written to standard output is not to be trusted; throw it away
",
    },
    Case {
        name: "damage of what psql reads",
        arrange: |s| {
            s.write("dump.sql", SQL)
                .backed_up("--command 'cat dump.sql' --extension sql")
                .damage(".sql.gz", |bytes| {
                    let last = bytes.len() - 6;
                    bytes[last] ^= 1;
                });
            let database = s.database();
            database.psql("CREATE TABLE precious (i int)");
            let url = database.url();
            line(&format!("restore latest --to {url} --confirm --no-safety-backup"))
        },
        code: 20,
        says: "\
Error: Could not restore `cat_backup_[STAMP]` to `postgres://backup_tests@127.0.0.1:[PORT]/[DATABASE]`
Caused by: The gzip member at byte [N] is damaged: its checksum is wrong
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "a data object that was cut off",
        arrange: |s| {
            s.noise("noise", 300_000)
                .backed_up("noise")
                .damage(".tar.gz", |bytes| bytes.truncate(bytes.len() / 2));
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `noise_backup_[STAMP]` to `out`
Caused by: The backup `noise_backup_[STAMP]` is damaged
Caused by: The data object `[DAY]/noise_backup_[STAMP].tar.gz` has [N] bytes instead of [N]
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "a data object that grew",
        arrange: |s| {
            s.tree().backed_up("tree").damage(".tar.gz", |bytes| bytes.push(0));
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `tree_backup_[STAMP]` to `out`
Caused by: The backup `tree_backup_[STAMP]` is damaged
Caused by: The data object `[DAY]/tree_backup_[STAMP].tar.gz` has [N] bytes instead of [N]
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "a data object that is missing",
        arrange: |s| {
            s.tree().backed_up("tree").lose(".tar.gz");
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `tree_backup_[STAMP]` to `out`
Caused by: The backup `tree_backup_[STAMP]` is damaged
Caused by: The data object `[DAY]/tree_backup_[STAMP].tar.gz` is missing
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "a data object of another backup",
        arrange: |s| {
            s.noise("tree/noise", 1000).backed_up("tree --name web");
            let other = Noise::new(8).bytes(1000);
            s.write("tree/noise", other)
                .backed_up("tree --name app")
                .swap("web_", "app_", ".tar.gz");
            line("restore web@latest --to out")
        },
        code: 20,
        says: "\
Error: Could not restore `web_backup_[STAMP]` to `out`
Caused by: The backup `web_backup_[STAMP]` is damaged
Caused by: The data object `[DAY]/web_backup_[STAMP].tar.gz` has [N] bytes instead of [N]
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "an object of no manifest that was cut off",
        arrange: |s| {
            s.tree()
                .backed_up("tree")
                .lose(".manifest.json")
                .lose(".index.gz")
                .damage(".tar.gz", |bytes| bytes.truncate(bytes.len() - 40));
            let file = s.stored(".tar.gz").display().to_string();
            line(&format!("restore --backup-file {file} --to out"))
        },
        code: 20,
        says: "\
Error: Could not restore `tree_backup_[STAMP]` to `out`
Caused by: The stream ends at byte [N], inside the gzip member that begins at byte [N]
Hint: Choose an older backup: `backup-cli list` shows them
Hint: The target is as it was before
",
    },
    Case {
        name: "an index that is damaged",
        arrange: |s| {
            s.tree().backed_up("tree").damage(".index.gz", |bytes| {
                let last = bytes.len() - 6;
                bytes[last] ^= 1;
            });
            line("ls latest")
        },
        code: 20,
        says: "\
Error: The index `[DAY]/tree_backup_[STAMP].tar.gz.index.gz` is damaged
Caused by: Could not read the index
Caused by: corrupt gzip stream does not have a matching checksum
Hint: The data does not need it: restore the whole backup, without --include
",
    },
    Case {
        name: "an index that was cut off",
        arrange: |s| {
            s.tree()
                .backed_up("tree")
                .damage(".index.gz", |bytes| bytes.truncate(bytes.len() / 2));
            line("ls latest")
        },
        code: 20,
        says: "\
Error: The index `[DAY]/tree_backup_[STAMP].tar.gz.index.gz` is damaged
Caused by: Could not read the index
Caused by: incomplete deflate stream
Hint: The data does not need it: restore the whole backup, without --include
",
    },
    Case {
        name: "an index that is missing",
        arrange: |s| {
            s.tree().backed_up("tree").lose(".index.gz");
            line("ls latest")
        },
        code: 10,
        says: "\
Error: `tree_backup_[STAMP]` has no index, so what is inside cannot be listed
Caused by: No such object: `[DAY]/tree_backup_[STAMP].tar.gz.index.gz` in file://[FOLDER]/store
Hint: Restore the whole backup instead; that needs no index
",
    },
    Case {
        name: "a manifest that is no JSON",
        arrange: |s| {
            s.tree()
                .backed_up("tree")
                .damage(".manifest.json", |bytes| bytes.truncate(20));
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Not a readable manifest: `[DAY]/tree_backup_[STAMP].tar.gz.manifest.json`
Caused by: EOF while parsing a string at line 2 column 18
Hint: The data beside it may be whole: `backup-cli adopt` with the backup's id makes a new manifest from it; or name that object itself, by its s3:// URL or its path, and it is restored without one
",
    },
    Case {
        name: "a manifest that says nothing",
        arrange: |s| {
            s.tree()
                .backed_up("tree")
                .damage(".manifest.json", |bytes| *bytes = b"{}".to_vec());
            line("show latest")
        },
        code: 20,
        says: "\
Error: Not a readable manifest: `[DAY]/tree_backup_[STAMP].tar.gz.manifest.json`
Caused by: missing field `format` at line 1 column 2
Hint: The data beside it may be whole: `backup-cli adopt` with the backup's id makes a new manifest from it; or name that object itself, by its s3:// URL or its path, and it is restored without one
",
    },
    Case {
        name: "a manifest of a newer format",
        arrange: |s| {
            s.tree().backed_up("tree").damage(".manifest.json", |bytes| {
                *bytes = String::from_utf8_lossy(bytes)
                    .replace("\"format\": 1", "\"format\": 99")
                    .replace("\"seal", "\"other_seal")
                    .into_bytes()
            });
            line("restore latest --to out")
        },
        code: 1,
        says: "\
Error: The manifest `[DAY]/tree_backup_[STAMP].tar.gz.manifest.json` has [N]ormat 99; this version of backup-cli reads up to 2
Hint: Install a newer backup-cli; or fetch the data object itself, which stock tools open
",
    },
    Case {
        name: "a manifest without data",
        arrange: |s| {
            s.tree().backed_up("tree").damage(".manifest.json", |bytes| {
                let mut manifest: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
                manifest["objects"] = serde_json::json!([]);
                *bytes = manifest.to_string().into_bytes();
            });
            line("restore latest --to out")
        },
        code: 20,
        says: "\
Error: Not a readable manifest: `[DAY]/tree_backup_[STAMP].tar.gz.manifest.json`
Caused by: It names no data object
Hint: The data beside it may be whole: `backup-cli adopt` with the backup's id makes a new manifest from it; or name that object itself, by its s3:// URL or its path, and it is restored without one
",
    },
    // Two at once.
    Case {
        name: "another run of the same series",
        arrange: |s| {
            s.tree().meanwhile(&[
                "backup",
                "--name",
                "web",
                "--shell",
                "--command",
                "touch started; sleep 60",
            ]);
            line("backup tree --name web")
        },
        code: 11,
        says: "\
Error: Another run is backing up `web` to the same store
Hint: Wait for it with --lock-timeout 1h, or look for the other backup-cli process
",
    },
    Case {
        name: "another run that does not end in time",
        arrange: |s| {
            s.tree().meanwhile(&[
                "backup",
                "--name",
                "web",
                "--shell",
                "--command",
                "touch started; sleep 60",
            ]);
            line("backup tree --name web --lock-timeout 1s")
        },
        code: 11,
        says: "\
Another run is backing up `web`; waiting up to [DURATION].
Error: Another run is backing up `web` to the same store (waited [DURATION])
Hint: Wait for it with --lock-timeout 1h, or look for the other backup-cli process
",
    },
];

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// How many cases run at the same time.
const WORKERS: usize = 3;

/// Part of every secret of the fixtures.
const CANARY: &str = "canary";

#[test]
fn every_bad_input_has_one_clear_error_its_exit_code_and_leaves_nothing() {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let checked = std::panic::catch_unwind(|| check(case));
                    let wrong = checked.unwrap_or_else(|_| vec!["it panicked; see above".to_owned()]);
                    if !wrong.is_empty() {
                        let text = format!("== {}\n{}", case.name, wrong.join("\n"));
                        complaints.lock().expect("no worker panics").push(text);
                    }
                }
            });
        }
    });
    let complaints = complaints.into_inner().expect("no worker panics");
    assert!(
        complaints.is_empty(),
        "{} of {} cases are wrong:\n\n{}",
        complaints.len(),
        CASES.len(),
        complaints.join("\n\n")
    );
}

/// Runs a case and says what is wrong with it.
fn check(case: &Case) -> Vec<String> {
    let mut scene = Scene::new();
    let arguments = (case.arrange)(&mut scene);
    let before = scene.state();
    let outcome = scene.run(&arguments);
    let words = scene.words(outcome.stderr());
    let mut wrong = Vec::new();
    if outcome.code() != case.code {
        wrong.push(format!("the exit code is {}, not {}", outcome.code(), case.code));
    }
    if words != case.says {
        wrong.push(format!("it said:\n{words}instead of:\n{}", case.says));
    }
    let starts = |heading: &str| words.lines().filter(|line| line.starts_with(heading)).count();
    let errors = match case.code {
        // Done, but not all of it: the error is that of an item.
        3 => starts("Warning: "),
        _ => starts("Error: "),
    };
    // The parser of the command line has words of its own.
    let usage = words.contains("\nUsage: ");
    if errors != 1 && !usage {
        wrong.push(format!("it names {errors} errors, not one"));
    }
    if starts("Hint: ") == 0 && !usage {
        wrong.push("it gives no hint".to_owned());
    }
    if !outcome.stdout_bytes().is_empty() && !scene.leaves_something {
        wrong.push(format!("it printed an answer: {}", outcome.stdout()));
    }
    if words.contains(CANARY) || String::from_utf8_lossy(outcome.stdout_bytes()).contains(CANARY) {
        wrong.push("it printed a secret".to_owned());
    }
    let after = scene.state();
    if before != after && !scene.leaves_something {
        wrong.push(format!("it changed something\nbefore: {before:#?}\nafter: {after:#?}"));
    }
    wrong
}

/// What a run that goes well said, and where it was done.
fn done(scene: &Scene, text: &str) -> (String, String) {
    let outcome = scene.run(&line(text)).success();
    (outcome.stdout().to_owned(), scene.words(outcome.stderr()))
}

#[test]
fn a_damaged_index_costs_the_listing_and_nothing_else() {
    let mut scene = Scene::new();
    scene
        .tree()
        .backed_up("tree")
        .damage(".index.gz", |bytes| bytes.truncate(bytes.len() / 2));
    done(&scene, "restore latest --to whole");
    let (_, words) = done(&scene, "restore latest --to part --include **/b.txt");
    assert_eq!(
        words,
        "The index cannot be used, so the whole backup is read instead: \
         The index `[DAY]/tree_backup_[STAMP].tar.gz.index.gz` is damaged.\n"
    );
    for (path, content) in [
        ("whole/tree/a.txt", "alpha\n"),
        ("whole/tree/below/b.txt", "beta\n"),
        ("part/tree/below/b.txt", "beta\n"),
    ] {
        assert_eq!(
            std::fs::read_to_string(scene.path(path)).expect("it was restored"),
            content
        );
    }
    assert!(!scene.path("part/tree/a.txt").exists());
    scene.lose(".index.gz");
    let (_, words) = done(&scene, "restore latest --to without --include **/b.txt");
    assert!(
        words.starts_with("The index cannot be used, so the whole backup is read instead: "),
        "{words}"
    );
    assert!(scene.path("without/tree/below/b.txt").exists());
    for arguments in ["--include **/none", "tree/none", "tree/a.txt tree/none"] {
        let line = format!("restore latest --to none {arguments}");
        scene
            .run(&self::line(&line))
            .exits_with(10)
            .stderr_has("Hint: Paths begin with");
        assert!(!scene.path("none").exists());
    }
}

#[test]
fn a_bad_manifest_is_a_line_of_the_list_and_hides_no_other_backup() {
    let mut scene = Scene::new();
    scene.tree();
    scene
        .backed_up("tree --name broken")
        .damage("json", |bytes| bytes.truncate(20));
    let broken = scene.stored(".tar.gz");
    scene.backed_up("tree --name newer");
    let newer = scene.stored_of("newer_", ".manifest.json");
    let text = std::fs::read_to_string(&newer).expect("the manifest");
    let text = text
        .replace("\"format\": 1", "\"format\": 99")
        .replace("\"seal", "\"other_seal");
    std::fs::write(&newer, text).expect("the manifest");
    scene.backed_up("tree --name gone");
    std::fs::remove_file(scene.stored_of("gone_", ".tar.gz")).expect("the data");
    scene.backed_up("tree --name good");
    let (listed, _) = done(&scene, "list --json");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let mut states: Vec<(String, String)> = listed
        .as_array()
        .expect("an array")
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("state"))
        })
        .collect();
    states.sort();
    let states: Vec<(&str, &str)> = states
        .iter()
        .map(|(name, state)| (name.as_str(), state.as_str()))
        .collect();
    assert_eq!(
        states,
        [
            ("broken", "damaged"),
            ("gone", "damaged"),
            ("good", "complete"),
            ("newer", "newer")
        ]
    );
    done(&scene, "restore good@latest --to good");
    // The data outlives its record.
    let (_, words) = done(&scene, &format!("restore {} --to broken", broken.display()));
    assert!(
        words.contains("The manifest of ") && words.contains(" cannot be read, so only the data's own"),
        "{words}"
    );
    assert!(scene.path("broken/tree/a.txt").exists());
}

#[test]
fn secrets_are_in_no_output_no_command_line_and_no_manifest() {
    let mut scene = Scene::new();
    // A password on the command line is everybody's, whatever a program does; in the environment it is the user's own.
    let url = scene.database().url();
    // It shows what it was given, takes its time, and then fails with everything it knows.
    scene.clients(
        "case $1 in --version) echo 'pg_dump (PostgreSQL) 99.1'; exit;; esac\n\
         tr '\\0' '\\n' </proc/$$/cmdline >argv; env >environment; touch started; sleep 1\n\
         [ -z \"$FAIL\" ] || { env >&2; tr '\\0' ' ' </proc/$PPID/environ >&2; exit 1; }\n\
         exec \"$REAL\" \"$@\"",
    );
    let real = crate::support::postgres::server_programs().join("pg_dump");
    scene.env("REAL", real.display().to_string());
    for (name, value) in [
        ("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTNOBODY00000001"),
        ("BACKUP_AWS_SECRET_ACCESS_KEY", "canary/aws+secret"),
        ("BACKUP_AWS_SESSION_TOKEN", "canary/aws+token"),
        ("DATABASE_URL", url.as_str()),
    ] {
        scene.env(name, value);
    }
    let password = crate::support::postgres::PASSWORD;
    let secrets = |text: &str| text.contains(CANARY) || text.contains(password);
    let running = scene.start(&line("backup -vv --name app"));
    let lines = scene.wait_for("started", running, |running| running.command_lines());
    assert!(lines.0.len() >= 2, "{lines:?}");
    assert!(!lines.0.iter().any(|line| secrets(line)), "{lines:?}");
    let outcome = lines.1.success();
    assert!(!secrets(outcome.stderr()) && !secrets(outcome.stdout()), "{outcome}");
    let argv = std::fs::read_to_string(scene.path("argv")).expect("what it was given");
    assert!(!secrets(&argv), "{argv}");
    let manifest = std::fs::read_to_string(scene.stored(".manifest.json")).expect("the manifest");
    assert!(!secrets(&manifest), "{manifest}");
    let (shown, words) = done(&scene, "config show");
    assert!(!secrets(&shown) && !secrets(&words), "{shown}");
    let (shown, _) = done(&scene, "config show --json");
    assert!(!secrets(&shown), "{shown}");
    scene.env("FAIL", "1");
    let outcome = scene.run(&line("backup -vvv --name app")).exits_with(1);
    assert!(!secrets(outcome.stderr()), "{outcome}");
}
