//! What the bytes are: an archive walked to its end, a dump read to its end marker, a database checked.

use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};

use super::super::Run;
use super::super::ls::{IndexItem, read_index};
use super::{Checked, Reached, VerifyOptions};
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io};
use crate::catalog::index::{Entry, EntryKind};
use crate::catalog::selection::Chosen;
use crate::source::detect::{Content as Detected, SqlDialect, detect, sql_dialect};
use crate::source::directory::scan_archive;
use crate::source::postgres::check_archive;
use crate::source::script::check_dump;
use crate::source::sqlite::check_copy;
use crate::store::Store;

/// How many entries of the index wait for the content to come to them.
const ENTRIES_AHEAD: usize = 256;

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// What was found out about the content.
pub(super) enum Verdict {
    /// It is whole.
    Good,
    /// It is not, and why, in a sentence without a stop.
    Faulty(String),
    /// Nothing could be found out, and why, in a sentence with a stop; whether the user asked for more than can be.
    Unknown(String, bool),
}

impl Verdict {
    /// Tells what was found out.
    pub(super) fn tell(self, checked: &mut Checked) {
        match self {
            Self::Good => checked.reached = Reached::Deep,
            // What is wrong with the bytes has been told, and the content is a consequence.
            Self::Faulty(_) if checked.is_damaged() => {
                checked.remark("What its content is was not checked: damaged bytes come first.");
            }
            Self::Faulty(why) => {
                checked.reached = Reached::Deep;
                let key = checked.data_key.clone();
                checked.damaged(Some(&key), why);
            }
            Self::Unknown(why, is_incomplete) => {
                checked.remark(why);
                checked.is_incomplete |= is_incomplete;
            }
        }
    }
}

/// A content that is to be checked.
pub(super) struct Content<'a> {
    is: Detected,
    store: &'a Arc<dyn Store>,
    chosen: &'a Chosen,
    options: &'a VerifyOptions,
    run: &'a Run,
}

impl<'a> Content<'a> {
    pub(super) fn of(
        head: &[u8],
        store: &'a Arc<dyn Store>,
        chosen: &'a Chosen,
        options: &'a VerifyOptions,
        run: &'a Run,
    ) -> Self {
        Self {
            is: detect(head),
            store,
            chosen,
            options,
            run,
        }
    }

    /// Reads the content, of which `head` has been read already, as far as it takes to judge it.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if it is not what it begins as; the input's own failure.
    pub(super) fn check(&self, head: &[u8], rest: &mut dyn Read) -> Result<Verdict> {
        let mut plain = Cursor::new(head).chain(rest);
        match self.is {
            Detected::Tar => self.beside_index(|compare| {
                scan_archive(&mut plain, &mut |entry| compare(&entry).map(ControlFlow::Continue))?;
                Ok(Verdict::Good)
            }),
            Detected::Sql => self.beside_index(|compare| {
                let fault = check_dump(&mut plain, sql_dialect(head), &mut |entry| {
                    compare(&entry).map(ControlFlow::Continue)
                })?;
                Ok(match fault {
                    None if sql_dialect(head) == SqlDialect::Other => Verdict::Unknown(
                        "Its content is an SQL dump of an unknown program: nothing can tell whether it is whole, so it was checked to `data` only."
                            .to_owned(),
                        false,
                    ),
                    None => Verdict::Good,
                    Some(fault) => Verdict::Faulty(format!("The dump is not whole: {fault}")),
                })
            }),
            Detected::PgDumpCustom => {
                match check_archive(&mut plain, self.options.client_folder.as_deref(), &self.run.cancel) {
                    Ok(None) => Ok(Verdict::Good),
                    Ok(Some(fault)) => Ok(Verdict::Faulty(format!("The archive is not whole: {fault}"))),
                    Err(failure) if failure.kind() == Kind::Tool => Ok(Verdict::Unknown(
                        format!(
                            "Its content was checked to `data` only, because `pg_restore` could not read it: {failure}."
                        ),
                        true,
                    )),
                    Err(failure) => Err(failure),
                }
            }
            Detected::Sqlite => self.database(&mut plain),
            Detected::Empty => Ok(Verdict::Good),
            Detected::Gzip | Detected::Zstd | Detected::Age | Detected::Unknown => Ok(Verdict::Unknown(
                format!(
                    "Its content is {}: nothing can tell whether it is whole, so it was checked to `data` only.",
                    self.is.describe()
                ),
                false,
            )),
        }
    }

    fn database(&self, plain: &mut dyn Read) -> Result<Verdict> {
        let mut file = tempfile::NamedTempFile::new().doing(|| "make a temporary file for the database")?;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let read = plain
                .read(&mut buffer)
                .map_err(|error| from_io("read the content", error))?;
            if read == 0 {
                break;
            }
            file.write_all(&buffer[..read])
                .doing(|| format!("write the database to `{}`", file_name(&file)))?;
        }
        Ok(match check_copy(file.path(), &self.run.cancel)? {
            None => Verdict::Good,
            Some(fault) => Verdict::Faulty(format!("The database is damaged: {fault}")),
        })
    }

    /// Whether the entries of the index can be compared: a dump of several streams has its lines from each of them.
    fn has_comparable_index(&self) -> bool {
        let manifest = self.chosen.manifest.as_ref();
        manifest.is_some_and(|manifest| manifest.index_object().is_some() && manifest.streams.is_empty())
    }

    /// Reads the content with a function that compares each of its entries with the next of the index.
    fn beside_index(
        &self,
        read: impl FnOnce(&mut dyn FnMut(&Entry) -> Result<()>) -> Result<Verdict>,
    ) -> Result<Verdict> {
        if !self.has_comparable_index() {
            return read(&mut |_| Ok(()));
        }
        let (sender, entries) = bounded(ENTRIES_AHEAD);
        std::thread::scope(|scope| {
            let index = scope.spawn(move || {
                read_index(self.store, self.chosen, self.run, |item| {
                    let IndexItem::Entry(entry) = item else {
                        return Ok(ControlFlow::Continue(()));
                    };
                    // Older indexes name only the tables of a dump, and nothing else in it.
                    if entry.kind == EntryKind::Object {
                        return Ok(ControlFlow::Continue(()));
                    }
                    Ok(match sender.send(entry) {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(()),
                    })
                })
            });
            let mut comparing = Comparing {
                entries,
                has_none: true,
                difference: None,
            };
            let verdict = read(&mut |entry| {
                comparing.next(entry);
                Ok(())
            });
            let left = comparing.entries.recv().ok();
            drop(comparing.entries);
            let index = index.join().map_err(|_| {
                Failure::new(
                    Kind::Failed,
                    "The thread that reads the index ended early, which is a bug",
                )
            })?;
            let verdict = verdict?;
            match index {
                Ok(()) => {}
                // An index that is damaged has been told of; the content stands by itself.
                Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::NotFound) => return Ok(verdict),
                Err(failure) => return Err(failure),
            }
            let difference = comparing.difference.or_else(|| {
                left.map(|entry| {
                    format!(
                        "The index names `{}`, which the content does not hold",
                        entry.path.display()
                    )
                })
            });
            Ok(match (verdict, difference) {
                (Verdict::Good, Some(difference)) => Verdict::Faulty(difference),
                (verdict, _) => verdict,
            })
        })
    }
}

fn file_name(file: &tempfile::NamedTempFile) -> String {
    file.path().display().to_string()
}

struct Comparing {
    entries: Receiver<Entry>,
    /// Whether the index has named nothing so far.
    has_none: bool,
    difference: Option<String>,
}

impl Comparing {
    fn next(&mut self, found: &Entry) {
        if self.difference.is_some() || found.kind == EntryKind::Object {
            return;
        }
        let place = |entry: &Entry| format!("`{}` at {}, {} bytes", entry.path.display(), entry.offset, entry.length);
        self.difference = match self.entries.recv() {
            Ok(indexed) => {
                self.has_none = false;
                (!is_same(&indexed, found)).then(|| {
                    format!(
                        "The index names {} where the content holds {}",
                        place(&indexed),
                        place(found)
                    )
                })
            }
            // Of what came from a command or a pipe the index may name no entries at all.
            Err(_) if self.has_none => None,
            Err(_) => Some(format!(
                "The content holds {}, which the index does not name",
                place(found)
            )),
        };
    }
}

/// Whether the index and the content mean the same thing at the same place.
fn is_same(indexed: &Entry, found: &Entry) -> bool {
    // What an index calls the size of a link or a table is not in the archive.
    let sizes_count = found.kind == EntryKind::File;
    indexed.path == found.path
        && indexed.kind == found.kind
        && indexed.range() == found.range()
        && (indexed.size == found.size || !sizes_count)
}
