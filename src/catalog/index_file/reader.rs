//! An index that is read: line by line, and never believed without its end.

use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::Line;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index::{FOLLOWS, INDEX_FORMAT};
use crate::catalog::private::Private;

/// The longest line that is read: a run of members or an entry with two paths of 4 KiB stays far below it.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a line. Nearly all are entries, in the form in which this program writes them, and there may be a million: these are
/// read as what they are at once, instead of being kept until it is clear what they are.
fn parse(line: &[u8]) -> serde_json::Result<Line> {
    if line.starts_with(br#"{"t":"e","#) {
        serde_json::from_slice(line).map(Line::Entry)
    } else if line.starts_with(br#"{"t":"m","#) {
        serde_json::from_slice(line).map(Line::Members)
    } else {
        serde_json::from_slice(line)
    }
}

/// Reads an index line by line and checks its end.
pub struct IndexReader<R: Read> {
    lines: BufReader<MultiGzDecoder<BufReader<R>>>,
    line: Vec<u8>,
    what: String,
    entries: u64,
    members: u64,
    /// Where the last entry ended in the plaintext.
    entries_end: u64,
    ended: bool,
}

impl<R: Read> IndexReader<R> {
    /// Opens an index; `what` names it in messages.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if a later version made it, [`Kind::Damaged`] if it is no index.
    pub fn open(input: R, what: impl Into<String>) -> Result<Self> {
        let mut reader = Self {
            lines: BufReader::new(MultiGzDecoder::new(BufReader::new(input))),
            line: Vec::new(),
            what: what.into(),
            entries: 0,
            members: 0,
            entries_end: 0,
            ended: false,
        };
        match reader.read_line()? {
            Some(Line::Index { format }) if (1..=INDEX_FORMAT).contains(&format) => Ok(reader),
            Some(Line::Index { format }) => Err(Failure::new(
                Kind::Unsupported,
                format!(
                    "The index {} has format {format}; this version of backup-cli reads up to {INDEX_FORMAT}",
                    reader.what
                ),
            )
            .hint("Install a newer backup-cli, or restore the whole backup, which needs no index")),
            _ => Err(reader.damaged(anyhow::anyhow!("It does not begin like an index"))),
        }
    }

    fn damaged(&self, cause: impl Into<anyhow::Error>) -> Failure {
        Failure::new(Kind::Damaged, format!("The index {} is damaged", self.what))
            .caused_by(cause)
            .hint("The data does not need it: restore the whole backup, without --include")
    }

    fn read_line(&mut self) -> Result<Option<Line>> {
        self.line.clear();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => match crate::base::failure::from_io("read the index", error) {
                // The store's own failure says more than "damaged" would.
                failure if !matches!(failure.kind(), Kind::Failed) => return Err(failure),
                failure => return Err(self.damaged(failure)),
            },
        };
        if bytes == 0 {
            return Ok(None);
        }
        parse(&self.line).map(Some).map_err(|error| self.damaged(error))
    }

    /// What the manifest of an encrypted backup does not say; `None` if this index has nothing private. To be asked for
    /// before any line.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the index is cut short or is not consistent.
    pub fn private(&mut self) -> Result<Option<Private>> {
        let mut private: Option<Private> = None;
        loop {
            match (self.next_line()?, &mut private) {
                (Some(Line::Private(core)), None) => {
                    private = Some(Private {
                        core,
                        ..Private::default()
                    });
                }
                (Some(Line::Warning { text }), Some(private)) => private.warnings.push(text),
                (Some(Line::Problem(problem)), Some(private)) => private.problems.push(problem),
                _ => return Ok(private),
            }
        }
    }

    /// The next line; `None` after a good end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the index is cut short or is not consistent.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        if self.ended {
            return Ok(None);
        }
        match self.read_line()? {
            Some(Line::Entry(mut entry)) => {
                self.entries += 1;
                if entry.offset == FOLLOWS {
                    entry.offset = self.entries_end;
                }
                self.entries_end = entry.range().end;
                Ok(Some(Line::Entry(entry)))
            }
            Some(line @ (Line::Private(_) | Line::Warning { .. } | Line::Problem(_)))
                if self.entries == 0 && self.members == 0 =>
            {
                Ok(Some(line))
            }
            Some(Line::Private(_) | Line::Warning { .. } | Line::Problem(_)) => {
                Err(self.damaged(anyhow::anyhow!("Something private stands among its lines")))
            }
            Some(Line::Members(run)) => {
                self.members += run.members.len() as u64;
                Ok(Some(Line::Members(run)))
            }
            Some(Line::End { entries, members, .. }) if entries == self.entries && members == self.members => {
                self.ended = true;
                match self.read_line()? {
                    None => Ok(None),
                    Some(_) => Err(self.damaged(anyhow::anyhow!("Something stands after its end"))),
                }
            }
            Some(Line::End { .. }) => Err(self.damaged(anyhow::anyhow!("Its sums do not agree with its lines"))),
            Some(Line::Index { .. }) => Err(self.damaged(anyhow::anyhow!("A second beginning stands inside it"))),
            None => Err(self.damaged(anyhow::anyhow!("Its end is missing"))),
        }
    }
}
