//! Plain dumps as scripts of which parts are taken: what is in one that has no index, and what has to stand around a part.

use std::io::{ErrorKind, Read};
use std::ops::ControlFlow;

use super::detect::SqlDialect;
use super::dump_writer::{READ_BYTES, Watch};
use super::mysql::watch::MysqlWatch;
use super::postgres::watch::PostgresWatch;
use super::sqlite::ending::Ending as SqliteEnding;
use crate::base::failure::{Result, from_io};
use crate::catalog::index::Entry;

/// What stands before and after the parts of a dump, so that they are a script of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Settings and first comments, as the dump has them.
    pub head: Vec<u8>,
    /// What takes the settings back, and the end marker.
    pub tail: Vec<u8>,
}

fn watch(dialect: SqlDialect) -> Box<dyn Watch> {
    match dialect {
        SqlDialect::Mysql => Box::new(MysqlWatch::default()),
        _ => Box::new(PostgresWatch::default()),
    }
}

/// Visits the tables and objects of a dump, as an index would name them, in order.
///
/// # Errors
/// The input's own failure and the visitor's.
pub fn scan_dump(
    dump: &mut dyn Read,
    dialect: SqlDialect,
    visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>,
) -> Result<()> {
    scan(dump, watch(dialect).as_mut(), visit)
}

/// Visits the tables and objects of a whole dump, and says why it is not whole; `None` if it is.
///
/// # Errors
/// The input's own failure and the visitor's.
pub fn check_dump(
    dump: &mut dyn Read,
    dialect: SqlDialect,
    visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>,
) -> Result<Option<String>> {
    // What the shell of SQLite writes names no tables, and has an end of its own.
    if dialect == SqlDialect::Sqlite {
        return check_sqlite(dump);
    }
    let mut watch = watch(dialect);
    scan(dump, watch.as_mut(), visit)?;
    Ok(watch.summary().fault)
}

fn check_sqlite(dump: &mut dyn Read) -> Result<Option<String>> {
    let mut ending = SqliteEnding::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match dump.read(&mut buffer) {
            Ok(0) => return Ok(ending.fault()),
            Ok(count) => ending.scan(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(from_io("read the dump", error)),
        }
    }
}

fn scan(
    dump: &mut dyn Read,
    watch: &mut dyn Watch,
    visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match dump.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(from_io("read the dump", error)),
        };
        if count == 0 {
            watch.finish();
        } else {
            watch.scan(&buffer[..count]);
        }
        for mark in watch.take_marks() {
            if let Some(entry) = mark.entry
                && visit(entry)?.is_break()
            {
                return Ok(());
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// The frame of a dump that begins with these bytes: all that stands before its first table or object, and more.
#[must_use]
pub fn frame_of(dialect: SqlDialect, beginning: &[u8]) -> Frame {
    let mut watch = watch(dialect);
    watch.scan(beginning);
    watch.finish();
    let starts = watch.take_marks().into_iter().map(|mark| match mark.entry {
        Some(entry) => entry.offset,
        None => mark.offset,
    });
    let end = starts.min().and_then(|start| usize::try_from(start).ok());
    let head = &beginning[..end.unwrap_or(beginning.len()).min(beginning.len())];
    Frame {
        head: head.to_vec(),
        tail: match dialect {
            SqlDialect::Postgres => postgres_tail(head),
            SqlDialect::Mysql => mysql_tail(head),
            SqlDialect::Sqlite | SqlDialect::Other => Vec::new(),
        },
    }
}

fn lines(head: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end)
}

fn postgres_tail(head: &[u8]) -> Vec<u8> {
    let mut tail = b"--\n-- PostgreSQL database dump complete\n--\n\n".to_vec();
    if let Some(key) = lines(head).find_map(|line| line.strip_prefix(b"\\restrict ")) {
        tail.extend_from_slice(b"\\unrestrict ");
        tail.extend_from_slice(key);
        tail.extend_from_slice(b"\n\n");
    }
    tail
}

/// Takes `/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='…' */;` back by `/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;`.
fn mysql_tail(head: &[u8]) -> Vec<u8> {
    const SAVES: &[u8] = b" SET @OLD_";
    let mut tail = b"\n".to_vec();
    for line in lines(head).rev() {
        let Some(at) = memchr::memmem::find(line, SAVES).filter(|_| line.starts_with(b"/*")) else {
            continue;
        };
        let rest = &line[at + SAVES.len()..];
        let name_bytes = rest
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let (name, value) = rest.split_at(name_bytes);
        let Some(variable) = value.strip_prefix(b"=@@") else {
            continue;
        };
        let variable_bytes = variable
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count();
        let parts: [&[u8]; 6] = [
            &line[..at],
            b" SET ",
            &variable[..variable_bytes],
            b"=@OLD_",
            name,
            b" */;\n",
        ];
        tail.extend(parts.concat());
    }
    tail.extend_from_slice(b"\n-- Dump completed\n");
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_of_a_postgres_dump_restricts_and_unrestricts() {
        let head = "--\n-- PostgreSQL database dump\n--\n\n\\restrict KEY\n\nSET a = 1;\n\n";
        let dump =
            format!("{head}--\n-- Name: t; Type: TABLE; Schema: public; Owner: me\n--\n\nCREATE TABLE public.t ();\n");
        let frame = frame_of(SqlDialect::Postgres, dump.as_bytes());
        assert_eq!(String::from_utf8(frame.head).unwrap(), head);
        let tail = String::from_utf8(frame.tail).unwrap();
        assert!(tail.ends_with("dump complete\n--\n\n\\unrestrict KEY\n\n"), "{tail}");
        // Only rows are indexed by older versions; what stands before them is no head.
        let cut = frame_of(SqlDialect::Postgres, &dump.as_bytes()[..dump.len() - 5]);
        assert_eq!(cut.head, head.as_bytes());
    }

    #[test]
    fn the_frame_of_a_mysql_dump_takes_its_settings_back() {
        let head = "-- MariaDB dump 10.19\n--\n-- Host: h\n-- ------\n\n\
            /*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!40101 SET NAMES utf8mb4 */;\n\
            /*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;\n\n";
        let dump = format!("{head}--\n-- Table structure for table `t`\n--\n\nDROP TABLE IF EXISTS `t`;\n");
        let frame = frame_of(SqlDialect::Mysql, dump.as_bytes());
        assert_eq!(String::from_utf8(frame.head).unwrap(), head);
        assert_eq!(
            String::from_utf8(frame.tail).unwrap(),
            "\n/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;\n\
             /*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;\n\n-- Dump completed\n"
        );
    }
}
