//! A share of the data in the place of all of it: a random one, or one of several that together are everything.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::super::Run;
use super::index::MemberTable;
use super::{Checked, Reached};
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::catalog::index::{MemberRun, MemberSize};
use crate::pipeline::check::IndexedMember;
use crate::pipeline::digest::sha256_of;
use crate::pipeline::download::DownloadOptions;
use crate::pipeline::ranges::RangesReader;
use crate::pipeline::stored::StoredData;
use crate::store::Store;

/// How many members are asked for in one go: their places are in memory.
const MEMBERS_AT_ONCE: usize = 4096;

/// Which share of the data is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// One of `of` shares, from 1 on, that are disjoint and together everything.
    Share {
        /// Which.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// Each member with this chance, at least one.
    Random {
        /// From 0 to 1.
        chance: f64,
        /// With the same seed the same members are chosen.
        seed: u64,
    },
}

impl Sample {
    /// Reads `10%` or `2/7`.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub fn parse(text: &str, seed: u64) -> Result<Self> {
        let wrong = || {
            Failure::new(Kind::Usage, format!("Not a share of the data: `{text}`"))
                .hint("Write a percentage, for example 10%, or one of several shares, for example 2/7")
        };
        if let Some(percent) = text.trim().strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| wrong())?;
            return match percent > 0.0 && percent <= 100.0 {
                true => Ok(Self::Random {
                    chance: percent / 100.0,
                    seed,
                }),
                false => Err(wrong()),
            };
        }
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let number: u32 = number.trim().parse().map_err(|_| wrong())?;
        let of: u32 = of.trim().parse().map_err(|_| wrong())?;
        match (1..=of).contains(&number) {
            true => Ok(Self::Share { number, of }),
            false => Err(wrong()),
        }
    }

    /// Whether what cannot be divided is read in this share.
    pub(super) fn takes_whole(&self, id: &str, what: &str) -> bool {
        match self {
            Self::Share { number, of } => hash(&[id, what]) % u64::from(*of) == u64::from(number - 1),
            Self::Random { chance, seed } => is_below(hash(&[&seed.to_string(), id, what]), *chance),
        }
    }

    /// Whether the member that begins at `stored_offset` of `total` stored bytes is in this share. Where the first share
    /// begins differs from backup to backup, so that small ones do not all fall into it.
    fn takes_member(&self, id: &str, number: u64, stored_offset: u64, total: u64) -> bool {
        match self {
            Self::Share { number, of } => {
                let of = u64::from(*of);
                let place = u128::from(stored_offset) * u128::from(of) / u128::from(total.max(1));
                let rotated = (u128::from(hash(&[id])) + place) % u128::from(of);
                rotated == u128::from(number - 1)
            }
            Self::Random { chance, seed } => is_below(self.lot(id, number, *seed), *chance),
        }
    }

    fn lot(&self, id: &str, number: u64, seed: u64) -> u64 {
        hash(&[&seed.to_string(), id, &number.to_string()])
    }
}

impl std::fmt::Display for Sample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Share { number, of } => write!(f, "share {number} of {of}"),
            Self::Random { chance, seed } => write!(f, "a random {} % (--seed {seed})", chance * 100.0),
        }
    }
}

fn is_below(lot: u64, chance: f64) -> bool {
    (lot as f64) < chance * (u64::MAX as f64)
}

/// A number that depends on all of these texts, the same on every machine.
fn hash(texts: &[&str]) -> u64 {
    let digest = sha256_of(texts.join("\n").as_bytes());
    digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A backup of which a share is read.
pub(super) struct Sampled<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) id: &'a str,
    pub(super) data: &'a StoredData,
    pub(super) table: Option<&'a MemberTable>,
    pub(super) threads: usize,
    pub(super) run: &'a Run,
}

/// Reads the share. `false` if all of the data has to be read instead: because it cannot be divided and its turn has come,
/// or because something in the share is damaged.
///
/// # Errors
/// The store's failures.
pub(super) fn check(sampled: &Sampled<'_>, sample: &Sample, checked: &mut Checked) -> Result<bool> {
    let Some(table) = sampled.table else {
        if sample.takes_whole(sampled.id, "data") {
            return Ok(false);
        }
        checked.remark(format!(
            "Its data cannot be divided and is not in {sample}; it was not read."
        ));
        return Ok(true);
    };
    let mut batch = Batch::default();
    let mut at = (0u64, 0u64);
    let (mut taken, mut least): (u64, Option<(u64, Place)>) = (0, None);
    for (number, member) in (0u64..).zip(table.iter()) {
        let member = member?;
        let place = Place {
            plain: at.0,
            stored: at.1,
            member,
        };
        at = (
            at.0 + u64::from(member.size.plain),
            at.1 + u64::from(member.size.stored),
        );
        if let (Sample::Random { seed, .. }, 0) = (sample, taken) {
            let lot = sample.lot(sampled.id, number, *seed);
            if least.as_ref().is_none_or(|(least, _)| lot < *least) {
                least = Some((lot, place));
            }
        }
        if !sample.takes_member(sampled.id, number, place.stored, table.stored_bytes) {
            continue;
        }
        taken += 1;
        batch.add(place);
        if batch.members >= MEMBERS_AT_ONCE && !batch.read(sampled, checked)? {
            return Ok(false);
        }
    }
    if let (0, Some((_, place))) = (taken, least) {
        taken = 1;
        batch.add(place);
    }
    if !batch.read(sampled, checked)? {
        return Ok(false);
    }
    checked.reached = Reached::Sample;
    checked.remark(format!(
        "Of its data {sample} was read: {taken} of {} members; the digests of whole objects were not compared.",
        table.members()
    ));
    Ok(true)
}

#[derive(Clone, Copy)]
struct Place {
    plain: u64,
    stored: u64,
    member: IndexedMember,
}

/// Members that are asked for in one go.
#[derive(Default)]
struct Batch {
    runs: Vec<MemberRun>,
    ranges: Vec<Range<u64>>,
    members: usize,
    stored_bytes: u64,
    /// Where the last one ended.
    end: (u64, u64),
}

impl Batch {
    fn add(&mut self, place: Place) {
        let IndexedMember { size, crc32 } = place.member;
        let MemberSize { plain, stored } = size;
        let range = place.plain..place.plain + u64::from(plain);
        match (self.runs.last_mut(), self.ranges.last_mut()) {
            (Some(run), Some(last)) if self.end == (place.plain, place.stored) => {
                run.members.push(size);
                run.crc32s.extend(crc32);
                last.end = range.end;
            }
            _ => {
                self.runs.push(MemberRun {
                    plain_offset: place.plain,
                    stored_offset: place.stored,
                    members: vec![size],
                    crc32s: crc32.into_iter().collect(),
                });
                self.ranges.push(range.clone());
            }
        }
        self.end = (range.end, place.stored + u64::from(stored));
        self.members += 1;
        self.stored_bytes += u64::from(stored);
    }

    /// Reads and empties it; `false` if something of it is damaged.
    fn read(&mut self, sampled: &Sampled<'_>, checked: &mut Checked) -> Result<bool> {
        let batch = std::mem::take(self);
        if batch.members == 0 {
            return Ok(true);
        }
        let read = || -> Result<(u64, u64)> {
            let mut reader = RangesReader::new(
                sampled.store.clone(),
                sampled.data,
                &batch.runs,
                batch.ranges.clone(),
                &DownloadOptions::default(),
                sampled.threads,
                sampled.run.cancel.clone(),
                sampled.run.reporter.clone(),
            )?;
            let plain = io::copy(&mut reader, &mut io::sink()).map_err(|error| from_io("read the data", error))?;
            Ok((plain, reader.transferred_bytes()))
        };
        match read() {
            Ok((plain_bytes, stored_bytes)) => {
                sampled.run.reporter.progress().add_plain(batch.stored_bytes);
                checked.amount.members += batch.members as u64;
                checked.amount.plain_bytes += plain_bytes;
                checked.amount.stored_bytes += stored_bytes;
                Ok(true)
            }
            Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::NotFound) => {
                checked.remark("A member of the sample is damaged, so that all of the data was read.");
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_disjoint_and_together_everything() {
        for id in ["a", "b", "app_backup_20260131_020000"] {
            for (members, of) in [(1u64, 7u32), (3, 7), (7, 7), (1000, 7), (999, 13), (50, 1)] {
                for number in 0..members {
                    let taken = (1..=of)
                        .filter(|share| {
                            let sample = Sample::Share { number: *share, of };
                            sample.takes_member(id, number, number * 1000, members * 1000)
                        })
                        .count();
                    assert_eq!(taken, 1, "{id}: member {number} of {members} in {of} shares");
                }
            }
        }
    }

    #[test]
    fn shares_are_about_equal() {
        let share = |number| {
            let sample = Sample::Share { number, of: 7 };
            (0..7000u64)
                .filter(|member| sample.takes_member("x", *member, member * 10, 70_000))
                .count()
        };
        for number in 1..=7 {
            assert_eq!(share(number), 1000);
        }
    }

    #[test]
    fn a_random_share_is_the_same_with_the_same_seed() {
        let taken = |seed| {
            let sample = Sample::parse("10%", seed).unwrap();
            (0..10_000u64)
                .filter(|member| sample.takes_member("x", *member, 0, 1))
                .collect::<Vec<_>>()
        };
        assert_eq!(taken(1), taken(1));
        assert_ne!(taken(1), taken(2));
        assert!((800..1200).contains(&taken(3).len()), "{}", taken(3).len());
    }

    #[test]
    fn samples_read_as_people_write_them() {
        assert_eq!(Sample::parse("2/7", 0).unwrap(), Sample::Share { number: 2, of: 7 });
        assert_eq!(
            Sample::parse("2.5%", 9).unwrap(),
            Sample::Random { chance: 0.025, seed: 9 }
        );
        for text in ["", "0%", "101%", "0/7", "8/7", "x/7", "7", "-1%", "NaN%"] {
            assert!(Sample::parse(text, 0).is_err(), "{text}");
        }
    }
}
