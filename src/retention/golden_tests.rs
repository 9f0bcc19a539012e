//! Golden tables: for every rule histories whose outcome was worked out by hand from the rule's words.

use super::policy::{Count, FOREVER_DAYS, Policy};
use super::rules::{Item, Verdict, apply};

/// A policy from rules as they are written on a command line, without the dashes.
pub(super) fn policy(text: &str) -> Policy {
    let mut policy = Policy::default();
    for rule in text.split(", ").filter(|rule| !rule.is_empty()) {
        let (name, value) = rule.split_once(' ').unwrap();
        let periods = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];
        let place = periods.iter().position(|period| name.ends_with(period));
        match (name, place) {
            ("keep-within", _) => policy.within = Some(value.parse().unwrap()),
            ("retention-days", _) => policy.retention = Some(format!("{value}d").parse().unwrap()),
            ("keep-tag", _) => policy.tags.push(value.split(',').map(str::to_owned).collect()),
            (_, Some(place)) if name.starts_with("keep-within-") => {
                policy.within_periods[place] = Some(value.parse().unwrap());
            }
            (_, Some(place)) => policy.counts[place] = value.parse().unwrap(),
            _ => panic!("{name}"),
        }
    }
    policy
}

/// Times as `YYYY-MM-DD` or `YYYY-MM-DDTHH` or `YYYY-MM-DDTHH:MM`, perhaps with tags behind an `@`; sorted newest first.
fn judge(rules: &str, history: &[&str]) -> Vec<(String, Verdict)> {
    let mut items: Vec<(jiff::Timestamp, &str, Vec<String>)> = history
        .iter()
        .map(|text| {
            let (time, tags) = text.split_once('@').unwrap_or((text, ""));
            let full = match time.len() {
                10 => format!("{time}T00:00:00Z"),
                13 => format!("{time}:00:00Z"),
                _ => format!("{time}:00Z"),
            };
            let tags = tags
                .split('+')
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect();
            (full.parse().unwrap(), time, tags)
        })
        .collect();
    items.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
    let newest = items[0].0;
    let given: Vec<Item<'_>> = items.iter().map(|(time, _, tags)| Item { time: *time, tags }).collect();
    let verdicts = apply(&policy(rules), &given, newest);
    items
        .iter()
        .map(|(_, name, _)| (*name).to_owned())
        .zip(verdicts)
        .collect()
}

fn kept(rules: &str, history: &[&str]) -> Vec<String> {
    let judged = judge(rules, history);
    judged
        .into_iter()
        .filter(|(_, verdict)| verdict.is_kept())
        .map(|(name, _)| name)
        .collect()
}

#[track_caller]
fn check(rules: &str, history: &[&str], expected: &[&str]) {
    assert_eq!(kept(rules, history), expected, "{rules} of {history:?}");
}

#[test]
fn the_vectors_of_the_conventions() {
    check(
        "keep-daily 2",
        &[
            "2026-01-01T01",
            "2026-01-01T13",
            "2026-01-02T01",
            "2026-01-02T13",
            "2026-01-05",
        ],
        &["2026-01-05", "2026-01-02T13"],
    );
    check(
        "keep-daily 7",
        &["2026-01-01T01", "2026-01-01T13", "2026-01-02"],
        &["2026-01-02", "2026-01-01T13", "2026-01-01T01"],
    );
    check(
        "keep-weekly 2",
        &[
            "2025-12-28",
            "2025-12-29",
            "2025-12-31",
            "2026-01-01",
            "2026-01-04",
            "2026-01-05",
        ],
        &["2026-01-05", "2026-01-04"],
    );
    check(
        "keep-daily 3",
        &["2025-01-01", "2025-01-02", "2025-01-03", "2026-06-01"],
        &["2026-06-01", "2025-01-03", "2025-01-02"],
    );
}

/// Two a day for four days, over the end of a month and of a year.
const HISTORY: &[&str] = &[
    "2025-12-30T02",
    "2025-12-30T14",
    "2025-12-31T02",
    "2025-12-31T14",
    "2026-01-01T02",
    "2026-01-01T14",
    "2026-01-02T02",
    "2026-01-02T14",
];

#[test]
fn last_keeps_the_newest_by_number() {
    check("keep-last 1", HISTORY, &["2026-01-02T14"]);
    check(
        "keep-last 3",
        HISTORY,
        &["2026-01-02T14", "2026-01-02T02", "2026-01-01T14"],
    );
    check("keep-last 8", &HISTORY[..2], &["2025-12-30T14", "2025-12-30T02"]);
    assert_eq!(kept("keep-last unlimited", HISTORY).len(), 8);
    // Two of the very same second are two.
    check("keep-last 1", &["2026-01-01", "2026-01-01"], &["2026-01-01"]);
}

#[test]
fn hourly_keeps_the_newest_of_each_hour() {
    let history = [
        "2026-01-01T02:10",
        "2026-01-01T02:50",
        "2026-01-01T03:00",
        "2026-01-02T02:30",
    ];
    check("keep-hourly 2", &history, &["2026-01-02T02:30", "2026-01-01T03:00"]);
    check(
        "keep-hourly 3",
        &history,
        &["2026-01-02T02:30", "2026-01-01T03:00", "2026-01-01T02:50"],
    );
    // The oldest is kept while the count lasts.
    assert_eq!(kept("keep-hourly 4", &history).len(), 4);
    assert_eq!(kept("keep-hourly unlimited", &history).len(), 4);
}

#[test]
fn daily_keeps_the_newest_of_each_day_and_empty_days_use_up_nothing() {
    check("keep-daily 1", HISTORY, &["2026-01-02T14"]);
    check(
        "keep-daily 3",
        HISTORY,
        &["2026-01-02T14", "2026-01-01T14", "2025-12-31T14"],
    );
    check(
        "keep-daily unlimited",
        HISTORY,
        &[
            "2026-01-02T14",
            "2026-01-01T14",
            "2025-12-31T14",
            "2025-12-30T14",
            "2025-12-30T02",
        ],
    );
    check(
        "keep-daily 2",
        &["2020-02-29", "2024-02-29", "2026-01-01"],
        &["2026-01-01", "2024-02-29"],
    );
}

#[test]
fn weekly_goes_by_iso_weeks_from_monday_on_across_new_year() {
    // 2026-01-04 is a Sunday; Monday the 29th of December begins the same week.
    let history = [
        "2025-12-28",
        "2025-12-29",
        "2026-01-04",
        "2026-01-05",
        "2026-01-11",
        "2026-01-12",
    ];
    check("keep-weekly 3", &history, &["2026-01-12", "2026-01-11", "2026-01-04"]);
    check(
        "keep-weekly 4",
        &history,
        &["2026-01-12", "2026-01-11", "2026-01-04", "2025-12-28"],
    );
    // 2020 has 53 weeks: the 1st of January 2021 is in the last of them.
    check(
        "keep-weekly 2",
        &["2020-12-27", "2020-12-28", "2021-01-01", "2021-01-04"],
        &["2021-01-04", "2021-01-01"],
    );
}

#[test]
fn monthly_and_yearly_keep_the_newest_of_each() {
    check("keep-monthly 2", HISTORY, &["2026-01-02T14", "2025-12-31T14"]);
    check("keep-yearly 2", HISTORY, &["2026-01-02T14", "2025-12-31T14"]);
    check(
        "keep-yearly 3",
        HISTORY,
        &["2026-01-02T14", "2025-12-31T14", "2025-12-30T02"],
    );
    check(
        "keep-monthly 3",
        &["2025-01-31", "2025-03-01", "2026-01-15", "2026-03-31"],
        &["2026-03-31", "2026-01-15", "2025-03-01"],
    );
}

#[test]
fn one_backup_uses_up_the_counts_of_several_rules() {
    check(
        "keep-daily 2, keep-weekly 2, keep-monthly 2",
        &["2025-11-30", "2025-12-20", "2025-12-31", "2026-01-01", "2026-01-02"],
        &["2026-01-02", "2026-01-01", "2025-12-31", "2025-12-20"],
    );
}

#[test]
fn within_counts_from_the_newest_and_leaves_its_own_edge_out() {
    check("keep-within 1d", HISTORY, &["2026-01-02T14", "2026-01-02T02"]);
    check("keep-within 24h", HISTORY, &["2026-01-02T14", "2026-01-02T02"]);
    check(
        "keep-within 1d1h",
        HISTORY,
        &["2026-01-02T14", "2026-01-02T02", "2026-01-01T14"],
    );
    assert_eq!(kept("keep-within 2y5m7d3h", HISTORY).len(), 8);
    // An outage of years removes nothing of the last days before it but what lies outside of the span.
    check(
        "keep-within 7d",
        &["2020-01-01", "2020-01-05", "2026-01-01"],
        &["2026-01-01"],
    );
    // The 31st less a month runs over into March.
    check(
        "keep-within 1m",
        &["2026-03-03", "2026-03-04", "2026-03-31"],
        &["2026-03-31", "2026-03-04"],
    );
}

#[test]
fn retention_days_is_within_so_many_days_and_both_may_stand() {
    check("retention-days 1", HISTORY, &["2026-01-02T14", "2026-01-02T02"]);
    check(
        "retention-days 1, keep-within 25h",
        HISTORY,
        &["2026-01-02T14", "2026-01-02T02", "2026-01-01T14"],
    );
}

#[test]
fn within_periods_keep_one_of_each_without_a_count() {
    check("keep-within-daily 2d", HISTORY, &["2026-01-02T14", "2026-01-01T14"]);
    check(
        "keep-within-daily 1y",
        HISTORY,
        &[
            "2026-01-02T14",
            "2026-01-01T14",
            "2025-12-31T14",
            "2025-12-30T14",
            "2025-12-30T02",
        ],
    );
    check("keep-within-hourly 13h", HISTORY, &["2026-01-02T14", "2026-01-02T02"]);
    check("keep-within-weekly 1m", HISTORY, &["2026-01-02T14", "2025-12-30T02"]);
    check(
        "keep-within-monthly 1m",
        HISTORY,
        &["2026-01-02T14", "2025-12-31T14", "2025-12-30T02"],
    );
    check("keep-within-yearly 3d", HISTORY, &["2026-01-02T14", "2025-12-31T14"]);
}

#[test]
fn tags_are_all_of_one_list_and_any_of_several() {
    let history = [
        "2026-01-01@a",
        "2026-01-02@a+b",
        "2026-01-03@b",
        "2026-01-04@c",
        "2026-01-05",
    ];
    check("keep-tag a", &history, &["2026-01-02", "2026-01-01"]);
    check("keep-tag a,b", &history, &["2026-01-02"]);
    check("keep-tag a,b, keep-tag c", &history, &["2026-01-04", "2026-01-02"]);
    check("keep-tag d", &history, &[]);
    check("keep-tag d, keep-last 1", &history, &["2026-01-05"]);
}

#[test]
fn a_count_of_nothing_is_no_rule() {
    assert!(policy("keep-last 0, keep-daily 0").is_empty());
    assert!(!policy("keep-last 0, keep-daily unlimited").is_empty());
    assert_eq!("-1".parse::<Count>().unwrap(), Count::Unlimited);
    for text in ["", "-2", "1.5", "x", "99999999999999999999"] {
        assert!(text.parse::<Count>().is_err(), "{text}");
    }
}

#[test]
fn every_backup_has_its_reasons() {
    let judged = judge("keep-last 1, keep-daily 3, keep-within-monthly 1d", HISTORY);
    let told: Vec<String> = judged
        .iter()
        .map(|(name, verdict)| {
            let matches: Vec<String> = verdict.matches.iter().map(ToString::to_string).collect();
            let misses: Vec<String> = verdict.misses.iter().map(ToString::to_string).collect();
            format!("{name}: {} / {}", matches.join(", "), misses.join(", "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "2026-01-02T14: last snapshot, daily snapshot, monthly within 1d / ",
            "2026-01-02T02:  / a newer one is kept, a newer daily one is kept, a newer monthly one is kept",
            "2026-01-01T14: daily snapshot / a newer one is kept, older than 1d",
            "2026-01-01T02:  / a newer one is kept, a newer daily one is kept, older than 1d",
            "2025-12-31T14: daily snapshot / a newer one is kept, older than 1d",
            "2025-12-31T02:  / a newer one is kept, 3 newer daily ones are kept, older than 1d",
            "2025-12-30T14:  / a newer one is kept, 3 newer daily ones are kept, older than 1d",
            "2025-12-30T02:  / a newer one is kept, 3 newer daily ones are kept, older than 1d",
        ]
    );
    let oldest = judge("keep-daily 7", &HISTORY[..2]);
    assert_eq!(oldest[1].1.matches[0].to_string(), "oldest daily snapshot");
}

#[test]
fn a_policy_is_written_as_its_rules() {
    let text = "keep-last 1, keep-daily unlimited, keep-within 2y5m, retention-days 30, keep-within-weekly 1y, keep-tag a,b, keep-tag c";
    assert_eq!(policy(text).to_string(), text);
}

#[test]
fn the_longest_rule_says_for_how_many_days_backups_are_kept() {
    for (rules, days) in [
        ("", None),
        ("keep-last 9", None),
        ("keep-tag a", None),
        ("keep-last 9, keep-hourly 49", Some(3)),
        ("keep-daily 7, keep-weekly 4, keep-monthly 12", Some(372)),
        ("keep-within 1y2m3d25h, retention-days 90", Some(366 + 62 + 3 + 2)),
        ("keep-daily 7, retention-days 90", Some(90)),
        ("keep-daily 7, keep-monthly unlimited", Some(FOREVER_DAYS)),
        ("keep-within-yearly 1000y", Some(FOREVER_DAYS)),
    ] {
        assert_eq!(policy(rules).days_max(), days, "{rules}");
    }
}
