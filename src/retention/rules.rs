//! The rules of a policy, applied to one list of backups; the guards stand in [`super::plan`].

use std::fmt;

use jiff::Timestamp;

use super::policy::{Count, Period, Policy};
use super::span::KeepSpan;

/// Why a rule keeps a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// It is the newest of its period, of which more may be kept.
    Newest(Period),
    /// It is the oldest of all, and more may be kept.
    Oldest(Period),
    /// It is younger than this, counted from the newest.
    Within(KeepSpan),
    /// It is the newest of its period within the span.
    NewestWithin(Period, KeepSpan),
    /// It is the oldest of all, within the span.
    OldestWithin(Period, KeepSpan),
    /// It has all of these tags.
    Tags(Vec<String>),
}

impl fmt::Display for Match {
    /// In restic's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(period) => write!(f, "{} snapshot", period.word()),
            Self::Oldest(period) => write!(f, "oldest {} snapshot", period.word()),
            Self::Within(span) => write!(f, "within {span}"),
            Self::NewestWithin(period, span) => write!(f, "{} within {span}", period.word()),
            Self::OldestWithin(period, span) => write!(f, "oldest {} within {span}", period.word()),
            Self::Tags(tags) => write!(f, "has tags [{}]", tags.join(", ")),
        }
    }
}

/// Why a rule does not keep a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// All that the rule keeps are newer.
    UsedUp(Period, u64),
    /// A newer one of the same period is kept.
    SamePeriod(Period),
    /// It is older than the span, counted from the newest.
    Older(KeepSpan),
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedUp(Period::Each, 1) => f.write_str("a newer one is kept"),
            Self::UsedUp(Period::Each, kept) => write!(f, "{kept} newer ones are kept"),
            Self::UsedUp(period, kept) => write!(f, "{kept} newer {} ones are kept", period.word()),
            Self::SamePeriod(period) => write!(f, "a newer {} one is kept", period.word()),
            Self::Older(span) => write!(f, "older than {span}"),
        }
    }
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// When the backup was begun.
    pub time: Timestamp,
    /// Its tags.
    pub tags: &'a [String],
}

/// What the rules say of one backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The rules that keep it; if there are none, it may go.
    pub matches: Vec<Match>,
    /// The rules that do not.
    pub misses: Vec<Miss>,
}

impl Verdict {
    /// Whether any rule keeps it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.matches.is_empty()
    }
}

/// A rule that keeps one backup of each period, and what it has kept so far.
struct PeriodRule {
    period: Period,
    left: Count,
    span: Option<KeepSpan>,
    last: Option<i64>,
    kept: u64,
}

impl PeriodRule {
    fn judge(&mut self, item: &Item<'_>, place: usize, is_oldest: bool, newest: Timestamp, verdict: &mut Verdict) {
        if let Some(span) = self.span
            && item.time <= span.before(newest)
        {
            return verdict.misses.push(Miss::Older(span));
        }
        if !self.left.is_left() {
            return verdict.misses.push(Miss::UsedUp(self.period, self.kept));
        }
        let period = self.period.of(item.time, place);
        let is_new = self.last != Some(period);
        if !is_new && !is_oldest {
            return verdict.misses.push(Miss::SamePeriod(self.period));
        }
        self.last = Some(period);
        self.left.use_one();
        self.kept += 1;
        verdict.matches.push(match (self.span, is_new) {
            (None, true) => Match::Newest(self.period),
            (None, false) => Match::Oldest(self.period),
            (Some(span), true) => Match::NewestWithin(self.period, span),
            (Some(span), false) => Match::OldestWithin(self.period, span),
        });
    }
}

/// Applies a policy to backups of one series, which stand newest first; spans count from `newest`.
///
/// Each rule looks at every backup by itself, and what any of them keeps is kept: a backup may use up several counts. A
/// rule with a count keeps the newest of each of the last periods that have any, and the very oldest while its count lasts.
#[must_use]
pub fn apply(policy: &Policy, items: &[Item<'_>], newest: Timestamp) -> Vec<Verdict> {
    let rule = |period, left, span| PeriodRule {
        period,
        left,
        span,
        last: None,
        kept: 0,
    };
    let counted = Period::ALL.into_iter().zip(policy.counts);
    let mut rules: Vec<PeriodRule> = counted
        .filter(|(_, count)| count.is_left())
        .map(|(period, count)| rule(period, count, None))
        .collect();
    let spanned = Period::ALL.into_iter().zip(policy.within_periods);
    rules.extend(spanned.filter_map(|(period, span)| span.map(|span| rule(period, Count::Unlimited, Some(span)))));

    let mut verdicts = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let mut verdict = Verdict::default();
        for tags in &policy.tags {
            if tags.iter().all(|tag| item.tags.contains(tag)) {
                verdict.matches.push(Match::Tags(tags.clone()));
            }
        }
        for span in policy.within.into_iter().chain(policy.retention) {
            match item.time > span.before(newest) {
                true => verdict.matches.push(Match::Within(span)),
                false => verdict.misses.push(Miss::Older(span)),
            }
        }
        let is_oldest = place + 1 == items.len();
        for rule in &mut rules {
            rule.judge(item, place, is_oldest, newest, &mut verdict);
        }
        verdicts.push(verdict);
    }
    verdicts
}
