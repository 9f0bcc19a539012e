//! Rules in words.

use crate::base::units::format_bytes;
use crate::bucket::{LifecycleRule, Transition};

/// For which objects a rule is.
#[must_use]
pub fn scope(rule: &LifecycleRule) -> String {
    let mut words = match rule.prefix.as_str() {
        "" => "everything".to_owned(),
        prefix => prefix.to_owned(),
    };
    match (rule.above_bytes, rule.below_bytes) {
        (None, None) => {}
        (Some(above), None) => words += &format!(", above {}", exact_bytes(above)),
        (None, Some(below)) => words += &format!(", up to {}", exact_bytes(below.saturating_sub(1))),
        (Some(above), Some(below)) => {
            words += &format!(
                ", above {} up to {}",
                exact_bytes(above),
                exact_bytes(below.saturating_sub(1))
            );
        }
    }
    for (key, value) in &rule.tags {
        words += &format!(", tagged {key}={value}");
    }
    words
}

/// What a rule does, a phrase for each thing.
#[must_use]
pub fn actions(rule: &LifecycleRule) -> Vec<String> {
    let mut phrases = Vec::new();
    phrases.extend(rule.transitions.iter().map(|step| moved("moves", step)));
    phrases.extend(rule.expires_days.map(|days| format!("removed after {}", in_days(days))));
    if rule.expires_on_date {
        phrases.push("removed on a day that is set".to_owned());
    }
    phrases.extend(
        rule.noncurrent_transitions
            .iter()
            .map(|step| moved("older versions move", step)),
    );
    match (rule.noncurrent_days, rule.noncurrent_kept) {
        (Some(days), None) => phrases.push(format!("older versions removed after {}", in_days(days))),
        (days, Some(kept)) => phrases.push(format!(
            "older versions but the newest {kept} removed after {}",
            in_days(days.unwrap_or(0))
        )),
        (None, None) => {}
    }
    if rule.removes_lone_markers {
        phrases.push("marks of removed objects removed with their last version".to_owned());
    }
    phrases.extend(
        rule.abort_days
            .map(|days| format!("unfinished uploads removed after {}", in_days(days))),
    );
    phrases.extend(
        rule.unknown
            .iter()
            .map(|name| format!("and `{name}`, which this version does not know")),
    );
    if phrases.is_empty() {
        phrases.push("nothing".to_owned());
    }
    phrases
}

/// A rule in one line: for what it is, what it does, and whether it is in force.
#[must_use]
pub fn sentence(rule: &LifecycleRule) -> String {
    let off = if rule.is_enabled { "" } else { " (switched off)" };
    format!("{}: {}{off}", scope(rule), actions(rule).join("; "))
}

fn moved(verb: &str, step: &Transition) -> String {
    match step.days {
        Some(days) => format!("{verb} to {} after {}", step.class, in_days(days)),
        None => format!("{verb} to {} on a day that is set", step.class),
    }
}

/// `1 day`, `30 days`.
#[must_use]
pub fn in_days(days: u32) -> String {
    match days {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}

/// A size that rules go by: exact, where the usual way of writing would round it.
fn exact_bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    UNITS
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(
            || match bytes < 1024 {
                true => format_bytes(bytes),
                false => format!("{bytes} bytes"),
            },
            |(unit, name)| format!("{} {name}", bytes / unit),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_as_sentences() {
        let step = |days, class: &str| Transition {
            days,
            class: class.to_owned(),
        };
        let rule = LifecycleRule {
            is_enabled: true,
            prefix: "backups/".to_owned(),
            above_bytes: Some(1 << 20),
            transitions: vec![step(Some(30), "GLACIER_IR"), step(None, "GLACIER")],
            expires_days: Some(92),
            noncurrent_days: Some(1),
            removes_lone_markers: true,
            abort_days: Some(7),
            ..LifecycleRule::default()
        };
        assert_eq!(
            sentence(&rule),
            "backups/, above 1 MiB: moves to GLACIER_IR after 30 days; moves to GLACIER on a day that is set; \
             removed after 92 days; older versions removed after 1 day; marks of removed objects removed with their last \
             version; unfinished uploads removed after 7 days"
        );
        let odd = LifecycleRule {
            tags: vec![("k".to_owned(), "v".to_owned())],
            above_bytes: Some(5),
            below_bytes: Some(131_071),
            noncurrent_kept: Some(3),
            noncurrent_transitions: vec![step(Some(0), "GLACIER")],
            unknown: vec!["Shredding".to_owned()],
            ..LifecycleRule::default()
        };
        assert_eq!(
            sentence(&odd),
            "everything, above 5 B up to 131070 bytes, tagged k=v: older versions move to GLACIER after 0 days; \
             older versions but the newest 3 removed after 0 days; and `Shredding`, which this version does not know \
             (switched off)"
        );
        assert_eq!(
            sentence(&LifecycleRule::default()),
            "everything: nothing (switched off)"
        );
    }
}
