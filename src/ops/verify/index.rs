//! The index against its backup: every run and every entry in its bounds, no gap, all sums right; and where the members are.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::super::Run;
use super::super::ls::{IndexItem, read_index};
use super::Checked;
use crate::base::failure::{IoContext, Kind, Result};
use crate::catalog::codec::Codec;
use crate::catalog::index::{Entry, MemberRun, MemberSize};
use crate::catalog::kinds::KindCounts;
use crate::catalog::manifest::{Manifest, StreamRecord};
use crate::catalog::selection::Chosen;
use crate::pipeline::check::IndexedMember;
use crate::pipeline::codec::is_possible;
use crate::store::Store;

/// A member in the table: its two lengths and its checksum, four bytes each.
const RECORD_BYTES: usize = 12;

/// How many members are read from the table at once.
const RECORDS_AT_ONCE: usize = 4096;

/// What the index of a backup says, as far as it is right.
#[derive(Default)]
pub(super) struct IndexFacts {
    /// Its entries.
    pub(super) entries: u64,
    /// Where the members are, if it names all of them and contradicts nothing.
    pub(super) table: Option<MemberTable>,
    /// What it contradicts.
    pub(super) contradictions: Vec<String>,
}

/// All members in a temporary file, so that a million of them cost no memory.
#[derive(Clone)]
pub(super) struct MemberTable {
    file: Arc<File>,
    members: u64,
    has_checksums: bool,
    /// The length of all members, compressed.
    pub(super) stored_bytes: u64,
}

impl MemberTable {
    /// How many members there are.
    pub(super) fn members(&self) -> u64 {
        self.members
    }

    /// The members in order; several walks do not disturb each other.
    pub(super) fn iter(&self) -> impl Iterator<Item = Result<IndexedMember>> + Send + use<> {
        let table = self.clone();
        let (mut at, mut read, mut buffer) = (0u64, 0usize, Vec::new());
        std::iter::from_fn(move || {
            if read == buffer.len() {
                let left = usize::try_from(table.members - at).unwrap_or(usize::MAX);
                buffer.resize(left.min(RECORDS_AT_ONCE) * RECORD_BYTES, 0);
                let position = at * RECORD_BYTES as u64;
                let filled = table.file.read_exact_at(&mut buffer, position);
                if let Err(failure) = filled.doing(|| "read the table of members back") {
                    return Some(Err(failure));
                }
                read = 0;
            }
            let record = buffer.get(read..read + RECORD_BYTES)?;
            read += RECORD_BYTES;
            at += 1;
            let number = |from: usize| {
                let bytes = record.get(from..from + 4).and_then(|bytes| bytes.first_chunk::<4>());
                bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
            };
            Some(Ok(IndexedMember {
                size: MemberSize {
                    plain: number(0),
                    stored: number(4),
                },
                crc32: table.has_checksums.then(|| number(8)),
            }))
        })
    }
}

/// Reads the whole index and compares it with the manifest. An index that cannot be used is damage, which is told of
/// `checked`; the data is read without it then.
///
/// # Errors
/// [`Kind::WrongKey`]; the store's failures.
pub(super) fn read_facts(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    manifest: &Manifest,
    checked: &mut Checked,
    run: &Run,
) -> Result<IndexFacts> {
    let Some(record) = manifest.index_object() else {
        return Ok(IndexFacts::default());
    };
    let mut looked = read_once(store, chosen, manifest, run);
    let is_doubtful = match &looked {
        Ok(facts) => !facts.contradictions.is_empty(),
        Err(failure) => matches!(failure.kind(), Kind::Damaged | Kind::NotFound),
    };
    // Only what is wrong twice is wrong where it lies.
    if is_doubtful {
        looked = read_once(store, chosen, manifest, run);
    }
    match looked {
        Ok(facts) => {
            for contradiction in &facts.contradictions {
                checked.damaged(
                    Some(&record.key),
                    format!("The index contradicts the manifest: {contradiction}"),
                );
            }
            checked.amount.entries += facts.entries;
            checked.amount.stored_bytes += record.bytes;
            Ok(facts)
        }
        Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::NotFound) => {
            // A look at the objects has told of one that is gone.
            let is_told = checked
                .damage
                .iter()
                .any(|damage| damage.object.as_ref() == Some(&record.key));
            if failure.kind() == Kind::Damaged || !is_told {
                checked.damaged(Some(&record.key), failure.in_one_line());
            }
            checked.remark(
                "The data does not need the index: a restore of all of it works without, one of a part reads everything.",
            );
            Ok(IndexFacts::default())
        }
        Err(failure) => Err(failure),
    }
}

/// Why the index of a backup cannot be used; `None` if it can.
///
/// # Errors
/// [`Kind::WrongKey`]; the store's failures.
pub(in crate::ops) fn index_trouble(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    manifest: &Manifest,
    run: &Run,
) -> Result<Option<String>> {
    let Some(record) = manifest.index_object() else {
        return Ok(Some("It has none".to_owned()));
    };
    if store.head(&record.key)?.is_none() {
        return Ok(Some(format!("The object `{}` is missing", record.key)));
    }
    match read_once(store, chosen, manifest, run) {
        Ok(facts) => Ok(facts.contradictions.first().cloned()),
        Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::NotFound) => Ok(Some(failure.in_one_line())),
        Err(failure) => Err(failure),
    }
}

fn read_once(store: &Arc<dyn Store>, chosen: &Chosen, manifest: &Manifest, run: &Run) -> Result<IndexFacts> {
    let mut walk = Walk::new(manifest)?;
    read_index(store, chosen, run, |item| walk.take(item))?;
    walk.finish(manifest)
}

/// Goes along the lines of an index.
struct Walk {
    codec: Codec,
    plain_total: u64,
    plain: u64,
    stored: u64,
    members: u64,
    kinds: KindCounts,
    entries: u64,
    /// Where streams end in the plaintext and in the compressed bytes; each has to be the end of a member.
    ends: std::vec::IntoIter<(u64, u64)>,
    end: Option<(u64, u64)>,
    table: BufWriter<File>,
    contradictions: Vec<String>,
    has_checksums: bool,
}

impl Walk {
    fn new(manifest: &Manifest) -> Result<Self> {
        let (mut plain, mut stored) = (0u64, 0u64);
        let end = |stream: &StreamRecord| {
            plain = plain.saturating_add(stream.plain_bytes);
            stored = stored.saturating_add(stream.compressed_bytes);
            (plain, stored)
        };
        let mut ends = manifest.streams.iter().map(end).collect::<Vec<_>>().into_iter();
        let table = tempfile::tempfile().doing(|| "make a temporary file for the table of members")?;
        Ok(Self {
            codec: manifest.codec,
            plain_total: manifest.plain_bytes,
            plain: 0,
            stored: 0,
            members: 0,
            kinds: KindCounts::default(),
            entries: 0,
            end: ends.next(),
            ends,
            table: BufWriter::new(table),
            contradictions: Vec::new(),
            has_checksums: manifest.codec == Codec::None,
        })
    }

    /// The first of each kind of contradiction is enough.
    fn contradict(&mut self, text: impl FnOnce() -> String) {
        const CONTRADICTIONS_MAX: usize = 5;
        if self.contradictions.len() < CONTRADICTIONS_MAX {
            self.contradictions.push(text());
        }
    }

    fn take(&mut self, item: IndexItem) -> Result<ControlFlow<()>> {
        match item {
            IndexItem::Entry(entry) => self.entry(&entry),
            IndexItem::Members(run) => self.run(&run)?,
        }
        Ok(ControlFlow::Continue(()))
    }

    fn entry(&mut self, entry: &Entry) {
        self.entries += 1;
        self.kinds.add(entry.kind);
        let Range { start, end } = entry.range();
        let total = self.plain_total;
        if end > total || end - start != entry.length {
            self.contradict(|| {
                format!(
                    "`{}` lies at {start} to {end} of a plaintext of {total} bytes",
                    entry.path.display()
                )
            });
        }
    }

    fn run(&mut self, run: &MemberRun) -> Result<()> {
        if run.plain_offset != self.plain || run.stored_offset != self.stored {
            let (plain, stored) = (self.plain, self.stored);
            self.contradict(|| {
                format!(
                    "Members begin at {} of the plaintext and {} of the data, where {plain} and {stored} come next",
                    run.plain_offset, run.stored_offset
                )
            });
            (self.plain, self.stored) = (run.plain_offset, run.stored_offset);
        }
        if self.has_checksums && run.crc32s.len() != run.members.len() {
            self.contradict(|| "Checksums of members are missing".to_owned());
        }
        for (at, size) in run.members.iter().enumerate() {
            if !is_possible(self.codec, size.plain, size.stored) {
                let members = self.members;
                self.contradict(|| format!("Member {members} has a length that none can have"));
            }
            self.members += 1;
            self.plain = self.plain.saturating_add(u64::from(size.plain));
            self.stored = self.stored.saturating_add(u64::from(size.stored));
            let crc32 = run.crc32s.get(at).copied().unwrap_or(0);
            for number in [size.plain, size.stored, crc32] {
                self.table
                    .write_all(&number.to_le_bytes())
                    .doing(|| "write the table of members")?;
            }
            while let Some((plain, stored)) = self.end
                && self.stored >= stored
                && self.plain >= plain
            {
                if self.stored != stored || self.plain != plain {
                    self.contradict(|| "A member reaches over the end of a stream".to_owned());
                }
                self.end = self.ends.next();
            }
        }
        Ok(())
    }

    fn finish(mut self, manifest: &Manifest) -> Result<IndexFacts> {
        if manifest.source.kind == "directory" {
            for (what, said, found) in self.kinds.contradictions(&manifest.counts) {
                self.contradict(|| format!("It names {found} {what} instead of {said}"));
            }
        }
        // What was adopted may have members that no index can name.
        let names_members = self.members > 0;
        if names_members {
            let stored = match (manifest.is_encrypted(), manifest.streams.is_empty()) {
                (false, _) => Some(manifest.data_bytes()),
                (true, false) => Some(manifest.streams.iter().map(|stream| stream.compressed_bytes).sum()),
                // Only the encrypted stream itself tells.
                (true, true) => None,
            };
            for (what, said, found) in [
                ("members", Some(manifest.members), self.members),
                ("bytes of plaintext", Some(manifest.plain_bytes), self.plain),
                ("bytes of data", stored, self.stored),
            ] {
                if said.is_some_and(|said| said != found) {
                    self.contradict(|| format!("It names {found} {what} instead of {}", said.unwrap_or(0)));
                }
            }
        }
        let file = self
            .table
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .doing(|| "write the table of members")?;
        let table = MemberTable {
            file: Arc::new(file),
            members: self.members,
            has_checksums: self.has_checksums,
            stored_bytes: self.stored,
        };
        Ok(IndexFacts {
            entries: self.entries,
            table: (names_members && self.contradictions.is_empty()).then_some(table),
            contradictions: self.contradictions,
        })
    }
}
