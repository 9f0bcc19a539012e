//! Which members hold the wanted ranges, and which requests bring them. Pure functions.

use std::ops::Range;

use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::codec::Codec;
use crate::catalog::index::MemberRun;
use crate::pipeline::codec::{Expected, is_possible};

/// Members that are no further apart than this are fetched by one request: so much arrives in about the time that another
/// request would take to be answered.
const GAP_BYTES: u64 = 512 * 1024;

/// Where one member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) plain_offset: u64,
    pub(super) stored_offset: u64,
    pub(super) plain_bytes: u32,
    pub(super) stored_bytes: u32,
    pub(super) crc32: Option<u32>,
}

impl Member {
    /// What the index says of its plaintext.
    pub(super) fn expected(&self) -> Expected {
        Expected {
            plain_bytes: Some(self.plain_bytes),
            crc32: self.crc32,
        }
    }

    fn plain_end(&self) -> u64 {
        self.plain_offset + u64::from(self.plain_bytes)
    }

    fn stored_end(&self) -> u64 {
        self.stored_offset + u64::from(self.stored_bytes)
    }

    /// The beginning of `range`, as far as this member with the plaintext `plain` holds it; `None` if it does not hold the
    /// range's first byte.
    pub(super) fn slice<'a>(&self, plain: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
        if range.start < self.plain_offset || range.start >= self.plain_end() || range.is_empty() {
            return None;
        }
        let begin = usize::try_from(range.start - self.plain_offset).ok()?;
        let end = usize::try_from(range.end.min(self.plain_end()) - self.plain_offset).ok()?;
        plain.get(begin..end)
    }
}

/// One request, and the members that it brings, as places in the list of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) range: Range<u64>,
    pub(super) members: Range<usize>,
}

/// Drops empty ranges and joins those that touch.
pub(super) fn tidy(wanted: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut tidied: Vec<Range<u64>> = Vec::with_capacity(wanted.len());
    for range in wanted.into_iter().filter(|range| !range.is_empty()) {
        match tidied.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => tidied.push(range),
        }
    }
    tidied
}

/// Walks over the members of the index from a given place on.
struct Walk<'a> {
    codec: Codec,
    runs: &'a [&'a MemberRun],
    run: usize,
    index: usize,
    member: Option<Member>,
}

impl<'a> Walk<'a> {
    fn new(codec: Codec, runs: &'a [&'a MemberRun]) -> Self {
        Self {
            codec,
            runs,
            run: 0,
            index: 0,
            member: None,
        }
    }

    /// The first member of the last run that begins at or before `plain_offset`.
    fn seek(&mut self, plain_offset: u64) -> Result<Option<Member>> {
        let after = self.runs.partition_point(|run| run.plain_offset <= plain_offset);
        let Some(run) = after.checked_sub(1) else {
            self.member = None;
            return Ok(None);
        };
        (self.run, self.index) = (run, 0);
        self.load(self.runs[run].plain_offset, self.runs[run].stored_offset)
    }

    /// The member after this one, in its run or the next.
    fn step(&mut self) -> Result<Option<Member>> {
        let Some(last) = self.member else {
            return Ok(None);
        };
        self.index += 1;
        if self.index < self.runs[self.run].members.len() {
            return self.load(last.plain_end(), last.stored_end());
        }
        (self.run, self.index) = (self.run + 1, 0);
        match self.runs.get(self.run) {
            Some(next) if next.plain_offset < last.plain_end() => Err(contradiction()),
            Some(next) => self.load(next.plain_offset, next.stored_offset),
            None => {
                self.member = None;
                Ok(None)
            }
        }
    }

    fn load(&mut self, plain_offset: u64, stored_offset: u64) -> Result<Option<Member>> {
        self.member = match self.runs[self.run].members.get(self.index) {
            None => None,
            Some(size) => {
                // Members that hold no checksum are read only if the index has it.
                let crc32 = self.runs[self.run].crc32s.get(self.index).copied();
                let possible = is_possible(self.codec, size.plain, size.stored)
                    && (self.codec != Codec::None || crc32.is_some())
                    && plain_offset.checked_add(u64::from(size.plain)).is_some()
                    && stored_offset.checked_add(u64::from(size.stored)).is_some();
                if !possible {
                    return Err(contradiction());
                }
                Some(Member {
                    plain_offset,
                    stored_offset,
                    plain_bytes: size.plain,
                    stored_bytes: size.stored,
                    crc32,
                })
            }
        };
        Ok(self.member)
    }
}

/// The members that hold the wanted ranges, in the order in which they are wanted; one that is wanted by several ranges in
/// a row is named once.
pub(super) fn members_for(
    codec: Codec,
    runs: &[MemberRun],
    wanted: &[Range<u64>],
    stored_total: u64,
) -> Result<Vec<Member>> {
    let mut sorted: Vec<&MemberRun> = runs.iter().filter(|run| !run.members.is_empty()).collect();
    sorted.sort_by_key(|run| (run.plain_offset, run.stored_offset));
    let mut members: Vec<Member> = Vec::new();
    let mut walk = Walk::new(codec, &sorted);
    for range in wanted {
        // Going on from the last place spares the walk from the beginning of its run.
        let mut at = match walk.member {
            Some(last) if last.plain_offset <= range.start => Some(last),
            _ => walk.seek(range.start)?,
        };
        if at.is_some_and(|member| needs_seek(&sorted, walk.run, member, range.start)) {
            at = walk.seek(range.start)?;
        }
        let mut covered = range.start;
        while covered < range.end {
            let Some(member) = at else {
                return Err(missing(covered));
            };
            if member.plain_end() > covered {
                if member.plain_offset > covered {
                    return Err(missing(covered));
                }
                if member.stored_end() > stored_total {
                    return Err(contradiction());
                }
                if members.last() != Some(&member) {
                    members.push(member);
                }
                covered = member.plain_end();
            }
            if covered < range.end {
                at = walk.step()?;
            }
        }
    }
    Ok(members)
}

/// Whether a later run than the walk's begins at or before `plain_offset`.
fn needs_seek(runs: &[&MemberRun], run: usize, member: Member, plain_offset: u64) -> bool {
    member.plain_end() <= plain_offset && runs.get(run + 1).is_some_and(|next| next.plain_offset <= plain_offset)
}

/// The requests that bring the members, in their order: neighbours together, up to `block_bytes` at once.
pub(super) fn fetches_for(members: &[Member], block_bytes: u64) -> Vec<Fetch> {
    let mut fetches: Vec<Fetch> = Vec::new();
    for (index, member) in members.iter().enumerate() {
        match fetches.last_mut() {
            Some(last)
                if member.stored_offset >= last.range.end
                    && member.stored_offset - last.range.end <= GAP_BYTES
                    && member.stored_end() - last.range.start <= block_bytes =>
            {
                last.range.end = member.stored_end();
                last.members.end = index + 1;
            }
            _ => fetches.push(Fetch {
                range: member.stored_offset..member.stored_end(),
                members: index..index + 1,
            }),
        }
    }
    fetches
}

fn missing(plain_offset: u64) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!("The index does not say where byte {plain_offset} of the content is"),
    )
    .hint("Restore without a selection, which needs no index; if that fails too, choose an older backup")
}

fn contradiction() -> Failure {
    Failure::new(Kind::Damaged, "The index contradicts itself or the data's length")
        .hint("Restore without a selection, which needs no index; if that fails too, choose an older backup")
}
