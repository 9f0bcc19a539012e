//! Passes the output of any program on, and judges its end where the content itself says whether it is whole.
//!
//! An exit status can get lost: in a pipe of a shell, in an `ssh`, in a wrapper. A dump's end marker cannot.

use super::SourceSink;
use super::detect::{Content, DETECT_BYTES, SqlDialect, detect, sql_dialect};
use super::dump_writer::{DumpSummary, DumpWriter};
use super::mysql::watch::MysqlWatch;
use super::postgres::watch::PostgresWatch;
use super::sqlite::ending::Ending as SqliteEnding;
use crate::base::failure::{Result, from_io};
use crate::base::report::Progress;
use crate::catalog::manifest::Counts;

/// What went through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentReport {
    /// How many bytes.
    pub bytes: u64,
    /// Tables and rows, where they could be counted.
    pub counts: Counts,
    /// Why the content is not whole, where it could be told.
    pub fault: Option<String>,
}

/// Between a program and a sink.
pub struct ContentWriter<'a> {
    progress: &'a Progress,
    bytes: u64,
    state: State<'a>,
}

enum State<'a> {
    Deciding(&'a mut dyn SourceSink, Vec<u8>),
    Postgres(Box<DumpWriter<'a, PostgresWatch>>),
    Mysql(Box<DumpWriter<'a, MysqlWatch>>),
    Sqlite(&'a mut dyn SourceSink, SqliteEnding),
    Other(&'a mut dyn SourceSink),
    // The sink is on its way from one state to the next.
    Moving,
}

impl<'a> ContentWriter<'a> {
    /// Begins at the sink's position.
    pub fn new(sink: &'a mut dyn SourceSink, progress: &'a Progress) -> Self {
        Self {
            progress,
            bytes: 0,
            state: State::Deciding(sink, Vec::new()),
        }
    }

    /// Passes the next bytes on.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes += bytes.len() as u64;
        match &mut self.state {
            State::Deciding(_, first) => {
                first.extend_from_slice(bytes);
                if first.len() >= DETECT_BYTES {
                    self.decide()?;
                }
                Ok(())
            }
            _ => self.pass(bytes),
        }
    }

    /// Says what went through, once it has come to its end.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn finish(mut self) -> Result<ContentReport> {
        self.decide()?;
        let mut report = ContentReport {
            bytes: self.bytes,
            ..ContentReport::default()
        };
        let summary: Option<DumpSummary> = match self.state {
            State::Postgres(writer) => Some(writer.finish()?),
            State::Mysql(writer) => Some(writer.finish()?),
            State::Sqlite(_, ending) => {
                report.fault = ending.fault();
                None
            }
            State::Deciding(..) | State::Other(_) | State::Moving => None,
        };
        if let Some(summary) = summary {
            report.counts.tables = Some(summary.tables);
            report.counts.rows = Some(summary.rows);
            report.fault = summary.fault;
        }
        Ok(report)
    }

    fn decide(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Deciding(sink, first) => {
                let dialect = match detect(&first) {
                    Content::Sql => sql_dialect(&first),
                    _ => SqlDialect::Other,
                };
                self.state = match dialect {
                    SqlDialect::Postgres => {
                        State::Postgres(Box::new(DumpWriter::new(sink, self.progress, PostgresWatch::default())))
                    }
                    SqlDialect::Mysql => {
                        State::Mysql(Box::new(DumpWriter::new(sink, self.progress, MysqlWatch::default())))
                    }
                    SqlDialect::Sqlite => State::Sqlite(sink, SqliteEnding::new()),
                    SqlDialect::Other => State::Other(sink),
                };
                self.pass(&first)
            }
            decided => {
                self.state = decided;
                Ok(())
            }
        }
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<()> {
        let sink = match &mut self.state {
            State::Postgres(writer) => return writer.write(bytes),
            State::Mysql(writer) => return writer.write(bytes),
            State::Sqlite(sink, ending) => {
                ending.scan(bytes);
                sink
            }
            State::Other(sink) => sink,
            State::Deciding(..) | State::Moving => return Ok(()),
        };
        sink.write_all(bytes)
            .map_err(|error| from_io("pass the stream on", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::{Recorder, Reporter};
    use crate::source::testing::MemorySink;

    fn through(content: &[u8], piece: usize) -> (MemorySink, ContentReport) {
        let mut sink = MemorySink::default();
        let recorder = Recorder::default();
        let mut writer = ContentWriter::new(&mut sink, recorder.progress());
        for piece in content.chunks(piece) {
            writer.write(piece).unwrap();
        }
        let report = writer.finish().unwrap();
        (sink, report)
    }

    #[test]
    fn any_content_passes_unchanged() {
        let mysql = "-- MySQL dump 10.13\n".to_owned() + &"INSERT INTO t VALUES (1);\n".repeat(200);
        for content in [&b"x"[..], b"", &[7; 5000], mysql.as_bytes()] {
            for piece in [1, 7, 4096] {
                let (sink, report) = through(content, piece);
                assert_eq!(sink.bytes, content);
                assert_eq!(report.bytes, content.len() as u64);
            }
        }
    }

    #[test]
    fn a_dump_without_its_end_marker_is_not_whole() {
        let whole = "-- MariaDB dump 10.19\n\nINSERT INTO t VALUES (1);\n-- Dump completed on 2026-01-02  3:04:05\n\n";
        assert_eq!(through(whole.as_bytes(), 5).1.fault, None);
        assert!(through(&whole.as_bytes()[..60], 5).1.fault.is_some());
        let postgres = "--\n-- PostgreSQL database dump\n--\n\nSELECT 1;\n";
        assert!(through(postgres.as_bytes(), 5).1.fault.is_some());
        let whole = format!("{postgres}--\n-- PostgreSQL database dump complete\n--\n\n");
        let report = through(whole.as_bytes(), 5).1;
        assert_eq!(report.fault, None);
        assert_eq!(report.counts.tables, Some(0));
        let sqlite = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\n";
        assert!(through(sqlite.as_bytes(), 5).1.fault.is_some());
        let (sink, report) = through(format!("{sqlite}COMMIT;\n").as_bytes(), 5);
        assert_eq!((sink.bytes.len(), report.fault), (sqlite.len() + 8, None));
    }
}
