//! Tells what a stream is by its first bytes, never by its name.

/// How many bytes from the beginning are enough for [`detect`].
pub const DETECT_BYTES: usize = 1024;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// `pg_dump`'s custom format.
    PgDumpCustom,
    /// SQL as text.
    Sql,
    /// An SQLite database file.
    Sqlite,
    /// A tar archive of any kind.
    Tar,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
    /// An age file, binary or armored.
    Age,
    /// Nothing at all.
    Empty,
    /// Something else.
    Unknown,
}

impl Content {
    /// What it is, with its article, for sentences.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::PgDumpCustom => "a dump in pg_dump's custom format",
            Self::Sql => "an SQL dump",
            Self::Sqlite => "an SQLite database",
            Self::Tar => "an archive of files",
            Self::Gzip => "compressed by gzip",
            Self::Zstd => "compressed by zstd",
            Self::Age => "encrypted by age",
            Self::Empty => "empty",
            Self::Unknown => "of an unknown kind",
        }
    }
}

/// Who wrote a plain SQL dump, where its end can be judged or its restore needs other words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlDialect {
    /// `pg_dump` or `pg_dumpall`.
    Postgres,
    /// `mysqldump` or `mariadb-dump`.
    Mysql,
    /// `sqlite3 .dump`.
    Sqlite,
    /// Nobody known.
    Other,
}

const TAR_BLOCK_BYTES: usize = 512;
const TAR_CHECKSUM: std::ops::Range<usize> = 148..156;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Words with which an SQL script begins.
const SQL_WORDS: &[&str] = &[
    "alter", "begin", "comment", "commit", "copy", "create", "delete", "do", "drop", "grant", "insert", "lock",
    "pragma", "replace", "revoke", "select", "set", "start", "truncate", "update", "use", "with",
];

/// Tells what begins with these bytes: the first [`DETECT_BYTES`], or all if there are fewer.
#[must_use]
pub fn detect(first_bytes: &[u8]) -> Content {
    let begins = |magic: &[u8]| first_bytes.starts_with(magic);
    if first_bytes.is_empty() {
        Content::Empty
    } else if begins(b"PGDMP") {
        Content::PgDumpCustom
    } else if begins(b"SQLite format 3\0") {
        Content::Sqlite
    } else if begins(b"\x1f\x8b") {
        Content::Gzip
    } else if begins(b"\x28\xb5\x2f\xfd") || is_skippable_zstd(first_bytes) {
        Content::Zstd
    } else if begins(b"age-encryption.org/v1\n") || begins(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        Content::Age
    } else if is_tar(first_bytes) {
        Content::Tar
    } else if is_sql(first_bytes) {
        Content::Sql
    } else {
        Content::Unknown
    }
}

/// Tells who wrote a script that [`detect`] calls SQL, from the same bytes.
#[must_use]
pub fn sql_dialect(first_bytes: &[u8]) -> SqlDialect {
    let text = first_bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(first_bytes);
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| {
            !line.is_empty() && *line != b"--" && !line.starts_with(b"/*M!999999") && !line.starts_with(b"/*!999999")
        });
    let line = lines.next().unwrap_or_default();
    let begins = |text: &str| line.starts_with(text.as_bytes());
    if begins("-- PostgreSQL database dump") || begins("-- PostgreSQL database cluster dump") {
        SqlDialect::Postgres
    } else if begins("-- MySQL dump") || begins("-- MariaDB dump") {
        SqlDialect::Mysql
    } else if begins("PRAGMA foreign_keys=OFF;") {
        SqlDialect::Sqlite
    } else {
        SqlDialect::Other
    }
}

fn is_skippable_zstd(bytes: &[u8]) -> bool {
    matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A header block: the POSIX and GNU magic, or, for the archives from before both, a checksum that fits.
fn is_tar(bytes: &[u8]) -> bool {
    let Some(block) = bytes.get(..TAR_BLOCK_BYTES) else {
        return false;
    };
    let field = block[TAR_CHECKSUM]
        .split(|byte| matches!(byte, 0 | b' '))
        .find(|part| !part.is_empty());
    let said = field
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let sum = |value: fn(u8) -> i64| -> i64 {
        block
            .iter()
            .enumerate()
            .map(|(at, byte)| value(if TAR_CHECKSUM.contains(&at) { b' ' } else { *byte }))
            .sum()
    };
    // Some old writers summed signed bytes.
    let fits =
        |said: u32| i64::from(said) == sum(i64::from) || i64::from(said) == sum(|byte| i64::from(byte.cast_signed()));
    // An archive's first name is never empty, which keeps zeros and tables of numbers out.
    block[0] != 0 && said.is_some_and(fits)
}

fn is_sql(bytes: &[u8]) -> bool {
    if bytes.contains(&0) {
        return false;
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    if text.starts_with(b"/*") || text.starts_with(b"\\restrict ") {
        return true;
    }
    if let Some(comment) = text.strip_prefix(b"--") {
        // Three dashes begin YAML, four and more a PEM block.
        return !comment.starts_with(b"-");
    }
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let separated = rest
        .first()
        .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b';');
    separated
        && SQL_WORDS
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_known_by_its_first_bytes() {
        for (bytes, content) in [
            (&b""[..], Content::Empty),
            (b"PGDMP\x01\x0e\x00", Content::PgDumpCustom),
            (b"SQLite format 3\0\x10\0", Content::Sqlite),
            (b"\x1f\x8b\x08\0", Content::Gzip),
            (b"\x28\xb5\x2f\xfd\x24", Content::Zstd),
            (b"\x50\x2a\x4d\x18\x24", Content::Zstd),
            (b"age-encryption.org/v1\n-> X25519 ", Content::Age),
            (b"-----BEGIN AGE ENCRYPTED FILE-----\n", Content::Age),
            (b"--\n-- PostgreSQL database dump\n--\n", Content::Sql),
            (b"\xef\xbb\xbf\n\n-- MySQL dump 10.19", Content::Sql),
            (b"/*M!999999\\- enable the sandbox mode */\n", Content::Sql),
            (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;", Content::Sql),
            (b"BEGIN;", Content::Sql),
            (b"create table t(i int);", Content::Sql),
            (b"---\nyaml: true\n", Content::Unknown),
            (b"selected text", Content::Unknown),
            (b"hello", Content::Unknown),
            (b"SET x = '\0'", Content::Unknown),
            (&[0; 1024], Content::Unknown),
            (&[b'0'; 1024], Content::Unknown),
        ] {
            assert_eq!(detect(bytes), content, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn tar_is_known_with_and_without_a_magic() {
        for mut header in [tar::Header::new_ustar(), tar::Header::new_gnu(), tar::Header::new_old()] {
            header.set_path("some/file-\u{fc}").unwrap();
            header.set_size(3);
            header.set_cksum();
            assert_eq!(detect(header.as_bytes()), Content::Tar);
            assert_eq!(detect(&header.as_bytes()[..511]), Content::Unknown);
            header.as_mut_bytes()[0] ^= 1;
            assert_eq!(detect(header.as_bytes()), Content::Unknown);
        }
    }

    #[test]
    fn dumps_name_their_maker() {
        for (text, dialect) in [
            ("--\n-- PostgreSQL database dump\n--\n", SqlDialect::Postgres),
            (
                "--\r\n-- PostgreSQL database cluster dump\r\n--\r\n",
                SqlDialect::Postgres,
            ),
            ("-- MySQL dump 10.13  Distrib 8.0", SqlDialect::Mysql),
            (
                "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19",
                SqlDialect::Mysql,
            ),
            ("PRAGMA foreign_keys=OFF;\nBEGIN", SqlDialect::Sqlite),
            ("CREATE TABLE t();\n-- PostgreSQL database dump", SqlDialect::Other),
        ] {
            assert_eq!(sql_dialect(text.as_bytes()), dialect, "{text}");
        }
    }
}
