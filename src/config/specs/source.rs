//! Settings: what is backed up.

use super::super::table::{Chapter, Privacy, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// See the documentation in the table itself; so for all that follow.
    SOURCES = {
        key: "sources",
        shape: Shape::Sources,
        environment: &["BACKUP_SOURCES", "BACKUP_SOURCE"],
        chapter: Chapter::Source,
        unset: "DATABASE_URL, if that is set",
        doc: "What to back up: directories, files (one that is an SQLite database is copied consistently), or URLs such as postgres://user@host/database or sqlite:///path.",
        example: r#"["/srv/www"]"#,
    }
    /// A program whose output is the backup.
    COMMAND = {
        key: "command",
        shape: Shape::Words,
        environment: &["BACKUP_COMMAND"],
        chapter: Chapter::Source,
        doc: "A program whose standard output is backed up, instead of `sources`; its exit status is judged.",
        example: r#"["mongodump", "--archive"]"#,
    }
    /// Whether the command goes through a shell.
    SHELL = {
        key: "shell",
        shape: Shape::Switch,
        environment: &["BACKUP_SHELL"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Hand the command to `sh -c` instead of running it directly.",
        example: "true",
    }
    /// The database that sources and restores fall back to.
    DATABASE_URL = {
        key: "database-url",
        shape: Shape::Text,
        environment: &["BACKUP_DATABASE_URL"],
        fallback: &["DATABASE_URL"],
        privacy: Privacy::Url,
        chapter: Chapter::Source,
        doc: "The database that is backed up when no source is named, and restored into when no target is: postgres://… or sqlite://….",
        example: r#""postgres://backup@localhost/app""#,
    }
    /// The name for standard input.
    STDIN_NAME = {
        key: "stdin-name",
        in_file: false,
        environment: &["BACKUP_STDIN_NAME"],
        chapter: Chapter::Source,
        unset: "`stdin`",
        doc: "The name of a backup of standard input.",
        example: r#""dump""#,
    }
    /// The extension of a command's or stdin's output.
    EXTENSION = {
        key: "extension",
        environment: &["BACKUP_EXTENSION"],
        chapter: Chapter::Source,
        unset: "told by the source, `bin` for a command",
        doc: "The extension of what a command or standard input yields, such as `sql` or `archive`.",
        example: r#""archive""#,
    }
    /// Patterns to leave out.
    EXCLUDES = {
        key: "excludes",
        shape: Shape::Lines,
        environment: &["BACKUP_EXCLUDE", "BACKUP_EXCLUDES"],
        chapter: Chapter::Source,
        doc: "Leave out what matches, in the syntax of .gitignore.",
        example: r#"["node_modules/", "*.tmp"]"#,
    }
    /// Files of patterns to leave out.
    EXCLUDE_FILES = {
        key: "exclude-files",
        shape: Shape::Paths,
        environment: &["BACKUP_EXCLUDE_FILE", "BACKUP_EXCLUDE_FILES"],
        chapter: Chapter::Source,
        doc: "Files with patterns to leave out, one a line.",
        example: r#"["/etc/backup-cli/excludes"]"#,
    }
    /// Whether tagged caches are left out.
    EXCLUDE_CACHES = {
        key: "exclude-caches",
        shape: Shape::Switch,
        environment: &["BACKUP_EXCLUDE_CACHES"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Leave out the content of folders that hold a CACHEDIR.TAG.",
        example: "true",
    }
    /// Whether mount points are crossed.
    ONE_FILE_SYSTEM = {
        key: "one-file-system",
        shape: Shape::Switch,
        environment: &["BACKUP_ONE_FILE_SYSTEM"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Do not descend into other file systems.",
        example: "true",
    }
    /// The format of PostgreSQL dumps.
    PG_FORMAT = {
        key: "format",
        shape: Shape::Choice(&["plain", "custom"]),
        environment: &["BACKUP_FORMAT"],
        default: Some("plain"),
        chapter: Chapter::Source,
        doc: "What pg_dump writes: plain (SQL, for psql) or custom (an archive, for pg_restore).",
        example: r#""custom""#,
    }
    /// How many workers dump a PostgreSQL database.
    JOBS = {
        key: "jobs",
        shape: Shape::Integer { min: 1, max: 8 },
        environment: &["BACKUP_JOBS"],
        default: Some("1"),
        chapter: Chapter::Source,
        doc: "How many workers dump the rows of a PostgreSQL database at once, up to 8, on one snapshot, each into a stream of its own.",
        example: "2",
    }
    /// Whether the globals of a PostgreSQL server are backed up.
    GLOBALS = {
        key: "globals",
        shape: Shape::Switch,
        environment: &["BACKUP_GLOBALS"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Back up the roles and tablespaces of the PostgreSQL server instead of a database.",
        example: "true",
    }
    /// Whether every database of a PostgreSQL server is backed up.
    ALL_DATABASES = {
        key: "all-databases",
        shape: Shape::Switch,
        environment: &["BACKUP_ALL_DATABASES"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Back up every database of the PostgreSQL server, each as a backup of its own, and its roles and tablespaces.",
        example: "true",
    }
    /// The tables of a PostgreSQL database that are dumped.
    TABLES = {
        key: "tables",
        shape: Shape::Lines,
        environment: &["BACKUP_TABLE", "BACKUP_TABLES"],
        chapter: Chapter::Source,
        unset: "all",
        doc: "Of a PostgreSQL database only the tables that match, without large objects, as patterns of pg_dump.",
        example: r#"["app.*"]"#,
    }
    /// The tables of a PostgreSQL database that are left out.
    EXCLUDE_TABLES = {
        key: "exclude-tables",
        shape: Shape::Lines,
        environment: &["BACKUP_EXCLUDE_TABLE", "BACKUP_EXCLUDE_TABLES"],
        chapter: Chapter::Source,
        doc: "Leave out the tables of a PostgreSQL database that match.",
        example: r#"["audit.*"]"#,
    }
    /// The schemas of a PostgreSQL database that are dumped.
    SCHEMAS = {
        key: "schemas",
        shape: Shape::Lines,
        environment: &["BACKUP_SCHEMA", "BACKUP_SCHEMAS"],
        chapter: Chapter::Source,
        unset: "all",
        doc: "Of a PostgreSQL database only the schemas that match, without large objects.",
        example: r#"["app"]"#,
    }
    /// The schemas of a PostgreSQL database that are left out.
    EXCLUDE_SCHEMAS = {
        key: "exclude-schemas",
        shape: Shape::Lines,
        environment: &["BACKUP_EXCLUDE_SCHEMA", "BACKUP_EXCLUDE_SCHEMAS"],
        chapter: Chapter::Source,
        doc: "Leave out the schemas of a PostgreSQL database that match.",
        example: r#"["scratch"]"#,
    }
    /// The tables of a PostgreSQL database whose rows are left out.
    EXCLUDE_TABLE_DATA = {
        key: "exclude-table-data",
        shape: Shape::Lines,
        environment: &["BACKUP_EXCLUDE_TABLE_DATA"],
        chapter: Chapter::Source,
        doc: "Leave out the rows of the tables of a PostgreSQL database that match, but not their definitions.",
        example: r#"["app.sessions"]"#,
    }
    /// Further arguments of pg_dump.
    PG_DUMP_ARGUMENTS = {
        key: "pg-dump-args",
        shape: Shape::Words,
        environment: &["BACKUP_PG_DUMP_ARG", "BACKUP_PG_DUMP_ARGS"],
        chapter: Chapter::Source,
        doc: "Further arguments for pg_dump.",
        example: r#"["--no-owner"]"#,
    }
    /// Where PostgreSQL's clients are.
    PG_CLIENT_FOLDER = {
        key: "pg-client-folder",
        shape: Shape::Path,
        environment: &["BACKUP_PG_CLIENT_FOLDER"],
        chapter: Chapter::Source,
        unset: "PATH and the distributions' folders",
        doc: "The one folder in which pg_dump, psql and PostgreSQL's other clients are looked for.",
        example: r#""/usr/lib/postgresql/17/bin""#,
    }
    /// Further arguments of mariadb-dump or mysqldump.
    MYSQL_DUMP_ARGUMENTS = {
        key: "mysql-dump-args",
        shape: Shape::Words,
        environment: &["BACKUP_MYSQL_DUMP_ARG", "BACKUP_MYSQL_DUMP_ARGS"],
        chapter: Chapter::Source,
        doc: "Further arguments for mariadb-dump or mysqldump.",
        example: r#"["--ignore-table-data=shop.sessions"]"#,
    }
    /// Where MySQL's and MariaDB's clients are.
    MYSQL_CLIENT_FOLDER = {
        key: "mysql-client-folder",
        shape: Shape::Path,
        environment: &["BACKUP_MYSQL_CLIENT_FOLDER"],
        chapter: Chapter::Source,
        unset: "PATH and the usual folders",
        doc: "The one folder in which mariadb-dump or mysqldump, and mariadb or mysql, are looked for.",
        example: r#""/usr/local/mysql/bin""#,
    }
    /// The password of a MySQL or MariaDB account.
    MYSQL_PASSWORD = {
        key: "mysql-password",
        environment: &["BACKUP_MYSQL_PASSWORD"],
        fallback: &["MYSQL_PWD"],
        privacy: Privacy::Secret,
        chapter: Chapter::Source,
        unset: "the clients' own option files",
        doc: "The password for MySQL or MariaDB, where the URL has none.",
        example: r#""…""#,
    }
}
