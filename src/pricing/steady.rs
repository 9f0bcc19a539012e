//! What a series costs a month in the long run, when as much leaves the store as arrives.

use jiff::SignedDuration;

use super::MONTH_DAYS;
use super::bill::{Bill, Tally};
use super::kept::Kept;
use super::prices::Prices;

/// Objects of one sort that every backup of a series adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The mean length of one, in bytes.
    pub object_bytes: u64,
    /// How many there are of each backup, on average.
    pub objects: f64,
    /// In how many parts one is sent; 0 or 1 is in one request.
    pub parts: u64,
    /// The storage class in which they arrive.
    pub class: String,
}

/// What a series adds to a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Rhythm {
    /// How often a backup is made.
    pub interval: SignedDuration,
    /// What each adds.
    pub pieces: Vec<Piece>,
}

/// A move to another storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// At this age, in days.
    pub after_days: u64,
    /// The class.
    pub class: String,
}

/// What becomes of what was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Noncurrent {
    /// It is gone.
    #[default]
    Gone,
    /// It stays as an older version for so many days.
    Days(u64),
    /// It stays as an older version.
    Forever,
}

/// What a bucket does to some objects as they age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgingRule {
    /// It is for longer objects only, in bytes.
    pub above_bytes: Option<u64>,
    /// It is for shorter objects only, in bytes.
    pub below_bytes: Option<u64>,
    /// The moves, in any order.
    pub steps: Vec<Step>,
    /// At this age, in days, objects are removed.
    pub expires_after_days: Option<u64>,
}

impl AgingRule {
    fn holds_for(&self, object_bytes: u64) -> bool {
        self.above_bytes.is_none_or(|bound| object_bytes > bound)
            && self.below_bytes.is_none_or(|bound| object_bytes < bound)
    }
}

/// What a bucket does to objects as they age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aging {
    /// The rules; of several for the same objects all hold.
    pub rules: Vec<AgingRule>,
    /// Objects below this length, in bytes, are not moved.
    pub moves_from_bytes: u64,
    /// What becomes of what was removed, by whatever.
    pub noncurrent: Noncurrent,
}

impl Aging {
    /// The earliest age, in days, at which any object is removed.
    #[must_use]
    pub fn expires_after_days(&self) -> Option<u64> {
        self.rules.iter().filter_map(|rule| rule.expires_after_days).min()
    }

    fn rules_for(&self, object_bytes: u64) -> impl Iterator<Item = &AgingRule> {
        self.rules.iter().filter(move |rule| rule.holds_for(object_bytes))
    }

    /// The age, in days, at which objects of this length are removed.
    fn expires_at(&self, object_bytes: u64) -> Option<u64> {
        self.rules_for(object_bytes)
            .filter_map(|rule| rule.expires_after_days)
            .min()
    }

    /// The stages of an object that arrives in a class: at what age they begin.
    fn stages<'a>(&'a self, piece: &'a Piece) -> Vec<(u64, &'a str)> {
        let mut stages: Vec<(u64, &str)> = vec![(0, piece.class.as_str())];
        let mut steps: Vec<&Step> = match piece.object_bytes < self.moves_from_bytes {
            true => Vec::new(),
            false => self
                .rules_for(piece.object_bytes)
                .flat_map(|rule| &rule.steps)
                .collect(),
        };
        steps.sort_by_key(|step| step.after_days);
        for step in steps {
            match stages.last_mut() {
                Some((_, class)) if *class == step.class => {}
                // Of two at the same age the later one counts.
                Some((begin, class)) if *begin == step.after_days && *begin > 0 => *class = &step.class,
                _ => stages.push((step.after_days, &step.class)),
            }
        }
        stages
    }

    /// Whether removed objects pile up.
    fn piles_up(&self) -> bool {
        self.noncurrent == Noncurrent::Forever
    }

    /// For how many days removed objects stay; of what piles up those of the first year.
    fn noncurrent_days(&self) -> u64 {
        match self.noncurrent {
            Noncurrent::Gone => 0,
            Noncurrent::Days(days) => days,
            Noncurrent::Forever => 365,
        }
    }
}

/// What a series comes to in the long run.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyState {
    /// How many backups there are at any time, by the objects that stay longest.
    pub backups: f64,
    /// What lies there, by class.
    pub tally: Tally,
    /// What it costs a month.
    pub bill: Bill,
    /// Whether nothing ends it, so that the store grows for ever: then this is what it comes to after a year.
    pub is_endless: bool,
}

/// What a series costs a month in the long run.
#[must_use]
pub fn steady_state(rhythm: &Rhythm, kept: &Kept, aging: &Aging, prices: &Prices) -> SteadyState {
    let mut tally = Tally::default();
    let mut flows: Vec<Flow<'_>> = Vec::new();
    let mut backups = 0.0f64;
    let mut is_endless = aging.piles_up();
    for piece in &rhythm.pieces {
        let kept = match aging.expires_at(piece.object_bytes) {
            Some(days) => kept.until(days),
            None => kept.clone(),
        };
        backups = backups.max(kept.count());
        is_endless |= kept.is_endless;
        let stages = aging.stages(piece);
        for (place, (begin, class)) in stages.iter().enumerate() {
            let end = stages.get(place + 1).map(|(begin, _)| *begin);
            let stage = Stage { begin: *begin, end };
            let removed = stage.removed(&kept) * aging.noncurrent_days() as f64;
            tally.add_times(
                class,
                piece.object_bytes,
                (stage.stock(&kept) + removed) * piece.objects,
                Some(prices),
            );
            let minimum_days = prices.class(class).map_or(0, |class| class.minimum_days);
            flows.push(Flow {
                piece,
                class,
                is_first: place == 0,
                entering_per_day: stage.survivors(&kept, *begin),
                early_days: stage.early(&kept, minimum_days.saturating_sub(aging.noncurrent_days())),
            });
        }
    }
    let mut bill = prices.bill(&tally);
    for flow in flows {
        flow.charge(&mut bill, rhythm, prices);
    }
    bill.classes.retain(|line| line.objects > 0.0 || line.per_month() > 0.0);
    SteadyState {
        backups,
        tally,
        bill,
        is_endless,
    }
}

/// Some days in the life of an object: from `begin` until before `end`.
#[derive(Clone, Copy)]
struct Stage {
    begin: u64,
    end: Option<u64>,
}

impl Stage {
    /// How many backups reach this age, of those of one day.
    fn survivors(self, kept: &Kept, age: u64) -> f64 {
        let at = usize::try_from(age).ok().and_then(|age| kept.by_day.get(age));
        match (at, kept.is_endless) {
            (Some(count), _) => *count,
            (None, true) => kept.by_day.last().copied().unwrap_or(0.0),
            (None, false) => 0.0,
        }
    }

    /// How many backups are in this stage at any time.
    fn stock(self, kept: &Kept) -> f64 {
        let len = kept.by_day.len();
        let clip = |day: u64| usize::try_from(day).unwrap_or(len).min(len);
        let (begin, end) = (clip(self.begin), self.end.map_or(len, clip));
        kept.by_day.get(begin..end).map_or(0.0, |days| days.iter().sum())
    }

    /// How many backups are removed each day while they are in it.
    fn removed(self, kept: &Kept) -> f64 {
        let left = match self.end {
            Some(end) => self.survivors(kept, end),
            None if kept.is_endless => kept.by_day.last().copied().unwrap_or(0.0),
            None => 0.0,
        };
        (self.survivors(kept, self.begin) - left).max(0.0)
    }

    /// The days, of all backups together, that are billed although they are not there any more: whatever enters is billed
    /// for the minimum of days.
    fn early(self, kept: &Kept, minimum_days: u64) -> f64 {
        let entering = self.survivors(kept, self.begin);
        let until = self.begin.saturating_add(minimum_days);
        let stays = self.end.map_or(until, |end| end.min(until));
        let there: f64 = (self.begin..stays).map(|age| self.survivors(kept, age)).sum();
        (entering * minimum_days as f64 - there).max(0.0)
    }
}

/// What a piece costs in one stage beside its storage.
struct Flow<'a> {
    piece: &'a Piece,
    class: &'a str,
    is_first: bool,
    entering_per_day: f64,
    early_days: f64,
}

impl Flow<'_> {
    fn charge(&self, bill: &mut Bill, rhythm: &Rhythm, prices: &Prices) {
        let Some(class) = prices.class(self.class) else {
            return;
        };
        let per_month = MONTH_DAYS * self.piece.objects / 1000.0;
        let line = bill.line(self.class);
        if self.is_first {
            let per_day = 86_400.0 / rhythm.interval.as_secs_f64().max(1.0);
            let of_parts = match self.piece.parts {
                0 | 1 => 0.0,
                // One more begins the upload.
                parts => (parts as f64 + 1.0) * class.part,
            };
            line.requests += per_day * per_month * (class.put + of_parts);
        } else {
            line.transitions += self.entering_per_day * per_month * class.transition;
        }
        let billed = class.billed_bytes(self.piece.object_bytes) as f64 * self.piece.objects;
        line.early += class.storage_of(billed * self.early_days);
    }
}
