//! The plan for one series: the rules, and the guards around them.
//!
//! Only good backups count. What is partial or flagged is judged by the same rules, but among its own, so that it never
//! pushes a good one out and yet does not pile up; so is, among its own again, what a verification found damaged. What
//! cannot be read, lacks objects or is dated in the future is left alone.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::policy::Policy;
use super::rules::{Item, Match, Miss, Verdict, apply};

/// What is known of a backup, as far as it decides how far it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Committed, whole, and nothing speaks against it.
    Good,
    /// Committed without some items.
    Partial,
    /// Its shape was flagged, and nobody has accepted it.
    Flagged,
    /// A verification found damage in it, and none has found it whole since.
    Damaged,
    /// Its manifest cannot be read, is of a newer format, or its objects are not what the manifest says; in words.
    Doubtful(String),
}

/// One backup of a series.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was begun.
    pub time: Timestamp,
    /// What is known of it.
    pub standing: Standing,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether somebody pinned it.
    pub is_pinned: bool,
}

/// The bounds of the guards.
#[derive(Clone, Copy, Debug)]
pub struct Guards {
    /// The time by the store's clock.
    pub now: Timestamp,
    /// How many of the newest good backups stay whatever the policy says; one at least.
    pub keep_min: usize,
    /// What was begun less than this before now stays: somebody may just be reading it.
    pub settling: SignedDuration,
}

/// Why a backup is kept or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A rule keeps it.
    Rule(Match),
    /// It was pinned.
    Pinned,
    /// It is among the newest good ones, of which so many stay.
    Newest(usize),
    /// There is no good one in the series, and it is among the newest that there are.
    NothingBetter,
    /// It is the newest of all, good or not.
    NewestOfAll,
    /// It is dated after the store's time.
    Future,
    /// It was begun just now.
    Settling,
    /// It is not certain what it is.
    Doubtful(String),
    /// The newest backup of the series is flagged, so nothing older goes.
    FlaggedNewest,
    /// It is partial; a remark beside the others.
    Partial,
    /// It is flagged; a remark beside the others.
    Flagged,
    /// It was found damaged; a remark beside the others.
    Damaged,
    /// A rule does not keep it.
    Missed(Miss),
    /// No rule but those on tags, none of which it has.
    NoTag,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::Pinned => f.write_str("pinned"),
            Self::Newest(1) => f.write_str("newest complete"),
            Self::Newest(number) => write!(f, "one of the newest {number} complete"),
            Self::NothingBetter => f.write_str("the series has no complete one"),
            Self::NewestOfAll => f.write_str("newest"),
            Self::Future => f.write_str("dated in the future"),
            Self::Settling => f.write_str("begun just now"),
            Self::Doubtful(why) => f.write_str(why),
            Self::FlaggedNewest => f.write_str("the newest one is flagged and not accepted"),
            Self::Partial => f.write_str("partial"),
            Self::Flagged => f.write_str("flagged"),
            Self::Damaged => f.write_str("found damaged"),
            Self::Missed(miss) => miss.fmt(f),
            Self::NoTag => f.write_str("has not the tags that keep one"),
        }
    }
}

/// What becomes of a backup, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it stays.
    pub keep: bool,
    /// Why; never empty.
    pub reasons: Vec<Reason>,
}

impl Decision {
    fn keep_because(&mut self, reason: Reason) {
        if !self.keep {
            self.keep = true;
            self.reasons
                .retain(|reason| matches!(reason, Reason::Partial | Reason::Flagged | Reason::Damaged));
        }
        self.reasons.push(reason);
    }
}

/// Decides about every backup of one series, which stand newest first; the decisions stand in the same order.
#[must_use]
pub fn plan_series(entries: &[Entry], policy: &Policy, guards: &Guards) -> Vec<Decision> {
    let is_future = |entry: &Entry| entry.time > guards.now;
    let mut decisions: Vec<Decision> = entries.iter().map(first_word).collect();
    let places = |wanted: &dyn Fn(&Entry) -> bool| -> Vec<usize> {
        let known = entries.iter().enumerate();
        known
            .filter(|(_, entry)| !is_future(entry) && wanted(entry))
            .map(|(place, _)| place)
            .collect()
    };
    let good = places(&|entry| entry.standing == Standing::Good);
    let second = places(&|entry| matches!(entry.standing, Standing::Partial | Standing::Flagged));
    let damaged = places(&|entry| entry.standing == Standing::Damaged);
    for list in [&good, &second, &damaged] {
        judge(entries, list, policy, &mut decisions);
    }

    let keep_min = guards.keep_min.max(1);
    for place in good.iter().take(keep_min) {
        decisions[*place].keep_because(Reason::Newest(keep_min));
    }
    if good.is_empty() {
        // Of a damaged one something can be restored; it is all there is if nothing else is left.
        let best = if second.is_empty() { &damaged } else { &second };
        for place in best.iter().take(keep_min) {
            decisions[*place].keep_because(Reason::NothingBetter);
        }
    }
    let newest_of = |is_wanted: fn(&Standing) -> bool| {
        entries
            .iter()
            .position(|entry| !is_future(entry) && is_wanted(&entry.standing))
    };
    // A damaged one that is newer hides no other.
    let newest = newest_of(|standing| !matches!(standing, Standing::Doubtful(_) | Standing::Damaged));
    let newest_of_all = newest_of(|standing| !matches!(standing, Standing::Doubtful(_)));
    for place in [newest, newest_of_all].into_iter().flatten() {
        if !decisions[place].keep {
            decisions[place].keep_because(Reason::NewestOfAll);
        }
    }
    let is_frozen = newest.is_some_and(|place| entries[place].standing == Standing::Flagged);
    for (entry, decision) in entries.iter().zip(&mut decisions) {
        if let Standing::Doubtful(why) = &entry.standing {
            decision.keep_because(Reason::Doubtful(why.clone()));
        }
        if entry.is_pinned {
            decision.keep_because(Reason::Pinned);
        }
        if is_future(entry) {
            decision.keep_because(Reason::Future);
        } else if guards.now.duration_since(entry.time) < guards.settling {
            decision.keep_because(Reason::Settling);
        }
        if is_frozen && !decision.keep {
            decision.keep_because(Reason::FlaggedNewest);
        }
    }
    decisions
}

/// What is to be remarked of a backup, whatever the rules say.
fn first_word(entry: &Entry) -> Decision {
    Decision {
        keep: false,
        reasons: match entry.standing {
            Standing::Partial => vec![Reason::Partial],
            Standing::Flagged => vec![Reason::Flagged],
            Standing::Damaged => vec![Reason::Damaged],
            Standing::Good | Standing::Doubtful(_) => Vec::new(),
        },
    }
}

/// Applies the rules to some of the entries, as if there were no others.
fn judge(entries: &[Entry], places: &[usize], policy: &Policy, decisions: &mut [Decision]) {
    let items: Vec<Item<'_>> = places
        .iter()
        .map(|place| Item {
            time: entries[*place].time,
            tags: &entries[*place].tags,
        })
        .collect();
    let Some(newest) = items.first().map(|item| item.time) else {
        return;
    };
    for (place, verdict) in places.iter().zip(apply(policy, &items, newest)) {
        let decision = &mut decisions[*place];
        let Verdict { matches, misses } = verdict;
        decision.keep = !matches.is_empty();
        match decision.keep {
            true => decision.reasons.extend(matches.into_iter().map(Reason::Rule)),
            false if misses.is_empty() => decision.reasons.push(Reason::NoTag),
            false => decision.reasons.extend(misses.into_iter().map(Reason::Missed)),
        }
    }
}
