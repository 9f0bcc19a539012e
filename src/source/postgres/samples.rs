//! What `pg_dump` 15 wrote of one database with names and rows that look like its own marks.

/// With `\restrict`.
pub const RESTRICTED: &str = include_str!("samples/restricted.sql");
/// As versions before `\restrict` wrote it.
pub const OLDER: &str = include_str!("samples/older.sql");
/// With `--rows-per-insert=2`.
pub const INSERTS: &str = include_str!("samples/inserts.sql");
/// With `--inserts`, from a server with `standard_conforming_strings = off`.
pub const ESCAPES: &str = include_str!("samples/escapes.sql");
