//! The lock of what is written, from its several settings.

use jiff::Timestamp;

use super::layers::Layer;
use super::resolve::Resolver;
use super::table::{self, Spec};
use super::value::{Origin, Setting};
use crate::base::clock::{DayTime, parse_time};
use crate::base::failure::{Failure, Kind, Result};
use crate::ops::lock_until::{LockRequest, LockSpan};
use crate::retention::{FOREVER_DAYS, Policy};
use crate::store::object_lock::LockMode;

/// Until when, as a setting says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// Not at all.
    Off,
    /// As long as the policy of retention may keep it.
    Retention,
    /// Until a time.
    Until(Timestamp),
    /// For so many days.
    Days(u64),
}

/// What the settings say about locks. Whether they fit together is judged when something is to be locked: a profile for
/// lists needs no lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockSettings {
    mode: Option<LockMode>,
    /// Of the nearest layer that says how long, each with its name.
    terms: Vec<(String, Term)>,
    /// For how many days the policy keeps a backup at most.
    days_kept: Option<u64>,
    policy: String,
    /// Whether a tag alone keeps backups.
    keeps_by_tag: bool,
    days_max: u64,
}

impl LockSettings {
    /// The lock that is asked for; `None` if none is.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the settings contradict each other, or leave the mode or the time out.
    pub fn request(&self) -> Result<Option<LockRequest>> {
        let term = match self.terms.as_slice() {
            [] => None,
            [(_, term)] => Some(*term),
            [(first, _), (second, _), ..] => {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("Both {first} and {second} say until when a lock lasts"),
                )
                .hint("Leave one of them out"));
            }
        };
        let (mode, span) = match (self.mode, term) {
            (_, Some(Term::Off)) | (None, None) => return Ok(None),
            (Some(mode), None) => {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("A lock by {mode} is asked for, but not until when"),
                )
                .hint("Add --lock-days or --lock-until, or --lock retention for as long as `prune` may keep it"));
            }
            // Governance is the mode that can be taken back.
            (mode, Some(Term::Retention)) => (mode.unwrap_or(LockMode::Governance), LockSpan::Days(self.days_kept()?)),
            (Some(mode), Some(Term::Until(until))) => (mode, LockSpan::Until(until)),
            (Some(mode), Some(Term::Days(days))) => (mode, LockSpan::Days(days)),
            (None, Some(_)) => {
                return Err(
                    Failure::new(Kind::Usage, "It is said until when a lock lasts, but not how firm it is").hint(
                        "Add --lock-mode governance, which a special right overrides, or compliance, which nobody can take back",
                    ),
                );
            }
        };
        Ok(Some(LockRequest {
            mode,
            span,
            days_max: self.days_max,
        }))
    }

    /// For how long the policy may keep a backup.
    fn days_kept(&self) -> Result<u64> {
        let why = match (self.days_kept, self.policy.as_str()) {
            (_, rules) if self.keeps_by_tag => format!("what has the tags is kept for ever: {rules}"),
            (Some(days), _) if days < FOREVER_DAYS => return Ok(days),
            (Some(_), rules) => format!("these rules keep some backups for ever: {rules}"),
            (None, "") => "no rule says how long backups are kept".to_owned(),
            (None, rules) => format!("these rules count backups, or go by tags, and tell no time: {rules}"),
        };
        Err(Failure::new(
            Kind::Usage,
            "A backup is to be locked as long as it is kept, but nobody can say how long that is",
        )
        .caused_by(anyhow::anyhow!("{}{}", why[..1].to_uppercase(), &why[1..]))
        .hint("Name a time, with --lock-days and --lock-mode, or rules that go by time, for example keep-daily = 7 or keep-within = \"30d\""))
    }
}

impl Resolver<'_> {
    /// The settings of locks. `--lock off` of a nearer layer undoes what a farther one asks for, and so does another time.
    pub(super) fn lock(&mut self, policy: &Policy) -> LockSettings {
        const TERMS: [&Spec; 3] = [&table::LOCK, &table::LOCK_UNTIL, &table::LOCK_DAYS];
        let word: Setting<Option<String>> = self.optional(&table::LOCK);
        let until: Setting<Option<String>> = self.optional(&table::LOCK_UNTIL);
        let days: Setting<Option<u64>> = self.optional(&table::LOCK_DAYS);
        let mode: Setting<Option<String>> = self.optional(&table::LOCK_MODE);
        let days_max: Setting<u64> = self.required(&table::LOCK_DAYS_MAX);
        let said_in = |layer: Layer| -> Vec<&'static str> {
            let is_said = |spec: &&&'static Spec| matches!(self.layers.in_layer(spec, layer), Ok(Some(_)));
            TERMS.iter().filter(is_said).map(|spec| spec.key).collect()
        };
        let nearest = Layer::ALL.into_iter().map(said_in).find(|said| !said.is_empty());
        let mut terms = Vec::new();
        for key in nearest.unwrap_or_default() {
            let (origin, term) = if key == table::LOCK.key {
                let term = match word.value.as_deref() {
                    Some("retention") => Term::Retention,
                    _ => Term::Off,
                };
                (&word.origin, Some(term))
            } else if key == table::LOCK_DAYS.key {
                (&days.origin, days.value.map(Term::Days))
            } else {
                let text = until.value.as_deref().unwrap_or_default();
                let term = match parse_time(text, DayTime::Last) {
                    Ok(until) => Some(Term::Until(until)),
                    Err(failure) => {
                        let why = format!("{}, such as 2030-12-31 or 2030-12-31T12:00:00Z", failure.message());
                        self.problem(&table::LOCK_UNTIL, &until.origin, &why);
                        None
                    }
                };
                (&until.origin, term)
            };
            let name = match origin {
                Origin::Flag(flag) => format!("`{flag}`"),
                Origin::Environment(variable) => format!("`{variable}`"),
                _ => format!("`{key}`"),
            };
            terms.extend(term.map(|term| (name, term)));
        }
        LockSettings {
            mode: mode.value.and_then(|mode| mode.parse().ok()),
            terms,
            days_kept: policy.days_max(),
            policy: policy.to_string(),
            keeps_by_tag: policy.needs_tags(),
            days_max: days_max.value,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::retention::Count;

    fn settings(mode: Option<LockMode>, terms: &[Term]) -> LockSettings {
        LockSettings {
            mode,
            terms: terms.iter().map(|term| (format!("`{term:?}`"), *term)).collect(),
            days_kept: None,
            policy: String::new(),
            keeps_by_tag: false,
            days_max: 3660,
        }
    }

    #[test]
    fn a_lock_needs_a_mode_and_one_time() {
        let span = |settings: LockSettings| settings.request().map(|request| request.map(|request| request.span));
        let mode = Some(LockMode::Compliance);
        assert_eq!(span(settings(None, &[])).unwrap(), None);
        assert_eq!(span(settings(mode, &[Term::Off])).unwrap(), None);
        assert_eq!(span(settings(mode, &[Term::Days(3)])).unwrap(), Some(LockSpan::Days(3)));
        for wrong in [
            settings(mode, &[]),
            settings(None, &[Term::Days(3)]),
            settings(None, &[Term::Until(Timestamp::UNIX_EPOCH)]),
            settings(mode, &[Term::Until(Timestamp::UNIX_EPOCH), Term::Days(3)]),
            settings(mode, &[Term::Retention]),
        ] {
            assert_eq!(span(wrong.clone()).unwrap_err().kind(), Kind::Usage, "{wrong:?}");
        }
    }

    #[test]
    fn a_lock_lasts_as_long_as_a_policy_of_time_keeps() {
        let of = |policy: &Policy| {
            LockSettings {
                days_kept: policy.days_max(),
                policy: policy.to_string(),
                keeps_by_tag: policy.needs_tags(),
                ..settings(None, &[Term::Retention])
            }
            .request()
        };
        let mut policy = Policy::default();
        policy.counts[0] = Count::Number(5);
        let counted = of(&policy).unwrap_err();
        assert!(counted.causes()[0].contains("keep-last 5"), "{:?}", counted.causes());
        policy.counts[2] = Count::Number(7);
        policy.counts[3] = Count::Number(4);
        let request = of(&policy).unwrap().unwrap();
        assert_eq!((request.mode, request.span), (LockMode::Governance, LockSpan::Days(28)));
        policy.counts[5] = Count::Unlimited;
        assert!(of(&policy).unwrap_err().causes()[0].contains("for ever"));
        // What has the tag stays for ever, whatever the other rules say.
        policy.tags.push(vec!["release".to_owned()]);
        let tagged = of(&policy).unwrap_err();
        assert!(tagged.causes().join(" ").contains("for ever"), "{tagged:?}");
    }
}
