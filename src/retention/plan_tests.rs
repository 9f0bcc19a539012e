//! The guards around the rules, each against the accident that it is there for.

use jiff::{SignedDuration, Timestamp};

use super::golden_tests::policy;
use super::plan::{Entry, Guards, Standing, plan_series};

const NOW: &str = "2026-01-31T12:00:00Z";

fn entry(day: &str, standing: Standing) -> Entry {
    Entry {
        time: format!("{day}T02:00:00Z").parse().unwrap(),
        standing,
        tags: Vec::new(),
        is_pinned: false,
    }
}

fn good(day: &str) -> Entry {
    entry(day, Standing::Good)
}

fn partial(day: &str) -> Entry {
    entry(day, Standing::Partial)
}

fn guards(keep_min: usize) -> Guards {
    Guards {
        now: NOW.parse().unwrap(),
        keep_min,
        settling: SignedDuration::from_mins(10),
    }
}

/// `+` or `-`, the day of the month, and the reasons.
fn told_with(rules: &str, guards: &Guards, mut entries: Vec<Entry>) -> Vec<String> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.time));
    plan_series(&entries, &policy(rules), guards)
        .iter()
        .zip(&entries)
        .map(|(decision, entry)| {
            let reasons: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
            assert!(!reasons.is_empty(), "{entry:?} has no reason");
            let sign = if decision.keep { '+' } else { '-' };
            format!("{sign}{} {}", &entry.time.to_string()[8..10], reasons.join(", "))
        })
        .collect()
}

fn told(rules: &str, entries: Vec<Entry>) -> Vec<String> {
    told_with(rules, &guards(1), entries)
}

#[test]
fn the_newest_complete_one_stays_whatever_the_policy_says() {
    assert_eq!(
        told("keep-tag none", vec![good("2026-01-01"), good("2026-01-02")]),
        ["+02 newest complete", "-01 has not the tags that keep one"]
    );
    // However old it is.
    assert_eq!(told("keep-tag none", vec![good("2019-01-01")]), ["+01 newest complete"]);
    assert_eq!(
        told_with("keep-last 1", &guards(0), vec![good("2026-01-02")]),
        ["+02 last snapshot, newest complete"]
    );
}

#[test]
fn so_many_of_the_newest_complete_ones_stay_as_is_asked_for() {
    assert_eq!(
        told_with(
            "keep-last 1",
            &guards(2),
            vec![
                good("2026-01-01"),
                good("2026-01-02"),
                partial("2026-01-03"),
                good("2026-01-04")
            ]
        ),
        [
            "+04 last snapshot, one of the newest 2 complete",
            "+03 partial, last snapshot",
            "+02 one of the newest 2 complete",
            "-01 a newer one is kept",
        ]
    );
}

#[test]
fn an_outage_of_weeks_removes_nothing_within_the_span_of_the_newest() {
    assert_eq!(
        told(
            "keep-within 7d",
            vec![good("2025-11-01"), good("2025-11-06"), good("2025-11-07")]
        ),
        ["+07 within 7d, newest complete", "+06 within 7d", "+01 within 7d"]
    );
}

#[test]
fn nights_of_partial_backups_push_no_good_one_out() {
    let mut entries: Vec<Entry> = (10..=25).map(|day| partial(&format!("2026-01-{day}"))).collect();
    entries.extend([good("2026-01-01"), good("2026-01-02"), good("2026-01-03")]);
    let told = told("keep-last 2, keep-within 3d", entries);
    assert!(
        told[16].starts_with("+03") && told[17].starts_with("+02") && told[18].starts_with("+01"),
        "{told:?}"
    );
    // They are thinned out among themselves, so that they do not pile up.
    let kept = told[..16].iter().filter(|line| line.starts_with('+')).count();
    assert_eq!(kept, 3, "{told:?}");
    assert_eq!(told[5], "-20 partial, older than 3d, 2 newer ones are kept");
}

#[test]
fn a_series_of_partial_backups_alone_keeps_its_newest() {
    assert_eq!(
        told("keep-tag none", vec![partial("2026-01-01"), partial("2026-01-02")]),
        [
            "+02 partial, the series has no complete one",
            "-01 partial, has not the tags that keep one"
        ]
    );
}

#[test]
fn a_partial_one_that_is_the_newest_of_all_stays() {
    assert_eq!(
        told("keep-tag none", vec![good("2026-01-01"), partial("2026-01-02")]),
        ["+02 partial, newest", "+01 newest complete"]
    );
}

#[test]
fn damaged_ones_push_nothing_out_and_count_for_nothing() {
    let damaged = |day: &str| entry(day, Standing::Damaged);
    // Nights of damage cost neither a good nor a partial one, and do not pile up.
    let mut entries: Vec<Entry> = (10..=20).map(|day| damaged(&format!("2026-01-{day}"))).collect();
    entries.extend([good("2026-01-01"), good("2026-01-02"), good("2026-01-03")]);
    entries.extend([partial("2026-01-04"), partial("2026-01-05")]);
    let lines = told("keep-last 2", entries);
    let kept: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix('+')).collect();
    assert_eq!(
        kept,
        [
            "20 found damaged, last snapshot",
            "19 found damaged, last snapshot",
            "05 partial, last snapshot",
            "04 partial, last snapshot",
            "03 last snapshot, newest complete",
            "02 last snapshot",
        ]
    );
    assert_eq!(lines[2], "-18 found damaged, 2 newer ones are kept");
    // The last good one stays, however many damaged ones are newer.
    assert_eq!(
        told_with(
            "keep-last 1",
            &guards(2),
            vec![good("2025-01-01"), damaged("2026-01-02"), damaged("2026-01-03")]
        ),
        [
            "+03 found damaged, last snapshot",
            "-02 found damaged, a newer one is kept",
            "+01 last snapshot, one of the newest 2 complete",
        ]
    );
    // Where there is nothing better, the newest are kept.
    assert_eq!(
        told("keep-tag none", vec![damaged("2026-01-01"), damaged("2026-01-02")]),
        [
            "+02 found damaged, the series has no complete one",
            "-01 found damaged, has not the tags that keep one"
        ]
    );
    assert_eq!(
        told("keep-tag none", vec![partial("2026-01-01"), damaged("2026-01-02")]),
        [
            "+02 found damaged, newest",
            "+01 partial, the series has no complete one"
        ]
    );
}

#[test]
fn a_damaged_one_does_not_hide_that_the_newest_other_is_flagged() {
    assert_eq!(
        told(
            "keep-last 1",
            vec![
                good("2026-01-01"),
                good("2026-01-02"),
                entry("2026-01-03", Standing::Flagged),
                entry("2026-01-04", Standing::Damaged),
            ]
        ),
        [
            "+04 found damaged, last snapshot",
            "+03 flagged, last snapshot",
            "+02 last snapshot, newest complete",
            "+01 the newest one is flagged and not accepted",
        ]
    );
}

#[test]
fn while_the_newest_is_flagged_nothing_older_goes() {
    let flagged = || entry("2026-01-04", Standing::Flagged);
    let older = || vec![good("2026-01-01"), good("2026-01-02"), good("2026-01-03")];
    let mut entries = older();
    entries.push(flagged());
    assert_eq!(
        told("keep-last 1", entries.clone()),
        [
            "+04 flagged, last snapshot",
            "+03 last snapshot, newest complete",
            "+02 the newest one is flagged and not accepted",
            "+01 the newest one is flagged and not accepted",
        ]
    );
    // One that cannot be read does not hide it, and a newer good one ends it.
    entries.push(entry("2026-01-05", Standing::Doubtful("damaged".to_owned())));
    assert!(
        told("keep-last 1", entries.clone())
            .iter()
            .all(|line| line.starts_with('+'))
    );
    entries.push(good("2026-01-06"));
    assert_eq!(
        told("keep-last 1", entries),
        [
            "+06 last snapshot, newest complete",
            "+05 damaged",
            "+04 flagged, last snapshot",
            "-03 a newer one is kept",
            "-02 a newer one is kept",
            "-01 a newer one is kept",
        ]
    );
}

#[test]
fn what_is_dated_in_the_future_stays_and_moves_no_window() {
    assert_eq!(
        told(
            "keep-last 1, keep-within 2d",
            vec![
                good("2026-01-29"),
                good("2026-01-30"),
                good("2031-01-01"),
                partial("2031-01-02")
            ]
        ),
        [
            "+02 partial, dated in the future",
            "+01 dated in the future",
            "+30 within 2d, last snapshot, newest complete",
            "+29 within 2d",
        ]
    );
}

#[test]
fn what_cannot_be_read_stays_and_counts_for_nothing() {
    let newer = entry("2026-01-03", Standing::Doubtful("of a newer format".to_owned()));
    assert_eq!(
        told("keep-last 1", vec![good("2026-01-01"), good("2026-01-02"), newer]),
        [
            "+03 of a newer format",
            "+02 last snapshot, newest complete",
            "-01 a newer one is kept"
        ]
    );
}

#[test]
fn pinned_ones_stay_and_count() {
    let mut pinned = good("2026-01-01");
    pinned.is_pinned = true;
    assert_eq!(
        told(
            "keep-last 1",
            vec![pinned.clone(), good("2026-01-02"), good("2026-01-03")]
        ),
        [
            "+03 last snapshot, newest complete",
            "-02 a newer one is kept",
            "+01 pinned"
        ]
    );
    pinned.standing = Standing::Partial;
    assert_eq!(
        told("keep-tag none", vec![pinned, good("2026-01-02")]),
        ["+02 newest complete", "+01 partial, pinned"]
    );
}

#[test]
fn what_was_begun_just_now_stays() {
    let at = |text: &str| Entry {
        time: text.parse::<Timestamp>().unwrap(),
        ..good("2026-01-01")
    };
    assert_eq!(
        told(
            "keep-last 1",
            vec![
                at("2026-01-31T11:58:00Z"),
                at("2026-01-31T11:51:00Z"),
                at("2026-01-31T11:50:00Z")
            ]
        ),
        [
            "+31 last snapshot, newest complete, begun just now",
            "+31 begun just now",
            "-31 a newer one is kept"
        ]
    );
}

#[test]
fn nothing_and_one_backup_are_planned_too() {
    assert!(told("keep-last 1", Vec::new()).is_empty());
    assert_eq!(
        told("keep-last 1", vec![good("2026-01-01")]),
        ["+01 last snapshot, newest complete"]
    );
}
