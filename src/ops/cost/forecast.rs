//! What a series comes to in the long run: how often a backup is made, how large it is, and what ends it.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::CostOptions;
use super::holdings::{Recent, SeriesHoldings};
use crate::pipeline::plan::PART_BYTES_DEFAULT;
use crate::pricing::{Bill, Kept, Piece, Prices, Rhythm, STANDARD, steady_state};

/// Backups of a series are not made more often than this.
pub const EVERY_MIN: std::time::Duration = std::time::Duration::from_mins(1);

/// Backups that follow each other faster than [`EVERY_MIN`] are taken to be made so often.
const INTERVAL_MIN: SignedDuration = SignedDuration::from_mins(1);

/// Why nothing can be said of a series in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unforeseen {
    /// There is one backup, so that nothing tells how often one is made.
    NoRhythm,
    /// So many would be kept that they cannot be looked at one by one.
    TooMany,
}

impl Unforeseen {
    /// The reason in a phrase.
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::NoRhythm => "one backup does not tell how often they are made",
            Self::TooMany => "the rules keep too many backups to look at",
        }
    }
}

/// What a series comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// How often a backup is made.
    pub interval: SignedDuration,
    /// How many backups there are at any time.
    pub backups: f64,
    /// What lies there at any time, in bytes, with older versions.
    pub bytes: u64,
    /// What it costs a month.
    pub per_month: f64,
    /// Whether nothing ends it, so that it grows for ever: then this is what it comes to after a year.
    pub is_endless: bool,
}

/// Foresees many series, of which many are alike.
pub(super) struct Forecaster<'a> {
    options: &'a CostOptions,
    prices: &'a Prices,
    kept: BTreeMap<i64, Option<Kept>>,
    /// All series together.
    bill: Bill,
}

impl<'a> Forecaster<'a> {
    pub(super) fn new(options: &'a CostOptions, prices: &'a Prices) -> Self {
        Self {
            options,
            prices,
            kept: BTreeMap::new(),
            bill: Bill::default(),
        }
    }

    /// What all series that were asked for cost a month, class by class.
    pub(super) fn into_bill(self) -> Bill {
        self.bill
    }

    pub(super) fn of(&mut self, series: &SeriesHoldings) -> Result<Forecast, Unforeseen> {
        let interval = match self.options.every {
            Some(every) => SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX),
            None => usual_interval(&series.recent).ok_or(Unforeseen::NoRhythm)?,
        };
        let interval = interval.max(INTERVAL_MIN);
        let options = self.options;
        let kept = self
            .kept
            .entry(interval.as_secs())
            .or_insert_with(|| Kept::by_policy(&options.policy, options.keep_min, interval));
        let kept = kept.as_ref().ok_or(Unforeseen::TooMany)?;
        let rhythm = Rhythm {
            interval,
            pieces: pieces(&series.recent, options),
        };
        let state = steady_state(&rhythm, kept, &options.aging, self.prices);
        self.bill.extend(&state.bill);
        Ok(Forecast {
            interval,
            backups: state.backups,
            bytes: state.tally.bytes(),
            per_month: state.bill.per_month(),
            is_endless: state.is_endless,
        })
    }
}

/// The median of the gaps between the newest backups: retention has thinned out the older ones, and a run now and then by
/// hand says nothing.
fn usual_interval(recent: &[Recent]) -> Option<SignedDuration> {
    let mut gaps: Vec<SignedDuration> = recent
        .windows(2)
        .map(|pair| pair[0].time.duration_since(pair[1].time))
        .collect();
    gaps.sort();
    gaps.get(gaps.len() / 2).copied()
}

/// What a backup adds, by the means of the newest.
fn pieces(recent: &[Recent], options: &CostOptions) -> Vec<Piece> {
    let number = recent.len().max(1) as f64;
    let mean = |of: fn(&Recent) -> u64| recent.iter().map(of).sum::<u64>() as f64 / number;
    let each = |bytes: f64, objects: f64| match objects > 0.0 {
        true => (bytes / objects).round() as u64,
        false => 0,
    };
    let objects = mean(|backup| u64::from(backup.data_objects));
    let object_bytes = each(mean(|backup| backup.data_bytes), objects);
    let data = Piece {
        object_bytes,
        objects,
        parts: object_bytes.div_ceil(options.part_bytes.unwrap_or(PART_BYTES_DEFAULT).max(1)),
        class: options.arrives_in.clone(),
    };
    let objects = mean(|backup| u64::from(backup.side_objects));
    let side = Piece {
        object_bytes: each(mean(|backup| backup.side_bytes), objects),
        objects,
        parts: 1,
        class: STANDARD.to_owned(),
    };
    vec![data, side]
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn at(hours: &[i64]) -> Vec<Recent> {
        let one = |hour: &i64| Recent {
            time: Timestamp::constant(1_700_000_000 - hour * 3600, 0),
            data_bytes: 100,
            data_objects: 1,
            side_bytes: 30,
            side_objects: 2,
        };
        hours.iter().map(one).collect()
    }

    #[test]
    fn the_rhythm_is_that_of_the_newest_whatever_was_thinned_out() {
        for (hours, expected) in [
            (&[0, 24, 48, 72, 96, 120, 288, 456][..], Some(24)),
            (&[0, 1, 24, 48, 72], Some(24)),
            (&[0, 168], Some(168)),
            (&[0], None),
            (&[], None),
        ] {
            let interval = usual_interval(&at(hours));
            assert_eq!(interval.map(|interval| interval.as_hours()), expected, "{hours:?}");
        }
    }
}
