//! The cost tables of the scripts that this tool grew out of, computed.
//!
//! Their inputs: us-east-1, one backup a day, sizes in GB of which 50 MB are 0.05. Where our figures differ it is because
//! theirs are of before December 2021, when Glacier cost $0.004 instead of $0.0036, and because their last row adds $0.035 and
//! $0.012 to $0.06.

use std::path::Path;

use jiff::SignedDuration;

use super::*;
use crate::retention::{KeepSpan, Policy};

fn daily(gb: f64) -> Rhythm {
    Rhythm {
        interval: SignedDuration::from_hours(24),
        pieces: vec![Piece {
            object_bytes: (gb * GB_BYTES).round() as u64,
            objects: 1.0,
            parts: 1,
            class: STANDARD.to_owned(),
        }],
    }
}

fn step(after_days: u64, class: &str) -> Step {
    Step {
        after_days,
        class: class.to_owned(),
    }
}

fn days(days: u32) -> Policy {
    Policy {
        retention: KeepSpan::days(days),
        ..Policy::default()
    }
}

fn kept(policy: &Policy) -> Kept {
    Kept::by_policy(policy, 1, SignedDuration::from_hours(24)).unwrap()
}

/// The storage of a class in a bill, as a table shows it.
fn storage(state: &SteadyState, class: &str) -> f64 {
    let line = state.bill.classes.iter().find(|line| line.class == class);
    line.map_or(0.0, |line| line.storage)
}

fn rounded(amount: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    // Half a cent is rounded up, as in the tables: 1.035 is a little less in binary.
    (amount * factor + 1e-6).round() / factor
}

#[test]
fn the_rows_of_the_standard_class_come_out() {
    let prices = Prices::builtin().unwrap();
    for (of_days, gb_a_day, gb, standard, month, year) in [
        (30, 0.05, 1.5, (0.035, 3), 0.04, 0.48),
        (90, 0.1, 9.0, (0.21, 2), 0.21, 2.52),
        (90, 0.5, 45.0, (1.04, 2), 1.04, 12.48),
    ] {
        let state = steady_state(&daily(gb_a_day), &kept(&days(of_days)), &Aging::default(), prices);
        assert!(!state.is_endless);
        assert_eq!(rounded(state.tally.bytes() as f64 / GB_BYTES, 6), gb);
        assert_eq!(
            rounded(storage(&state, STANDARD), standard.1),
            standard.0,
            "{of_days} days"
        );
        // Their sums are of the rounded figures, so that 1.5 GB are four cents: 0.0345, 0.035, 0.04.
        let total = rounded(rounded(storage(&state, STANDARD), 3), 2);
        assert_eq!(total, month, "{of_days} days");
        assert_eq!(rounded(total * 12.0, 2), year, "{of_days} days");
    }
}

/// 30 days in the standard class, 60 in Glacier.
fn with_glacier(prices: &Prices) -> SteadyState {
    let aging = Aging {
        rules: vec![AgingRule {
            steps: vec![step(30, "GLACIER")],
            expires_after_days: Some(90),
            ..AgingRule::default()
        }],
        ..Aging::default()
    };
    steady_state(&daily(0.05), &kept(&Policy::default()), &aging, prices)
}

/// The built-in table with a price of Glacier that the scripts' tables have, and without what they leave out: that whatever
/// enters is billed for 90 days, and what each object takes beside its content.
fn prices_of_then() -> Prices {
    let text = Prices::builtin_text()
        .replace("storage = 0.0036", "storage = 0.004")
        .replace("minimum-days = 90", "minimum-days = 0")
        .replace("overhead-bytes = 32768", "overhead-bytes = 0")
        .replace("overhead-standard-bytes = 8192", "overhead-standard-bytes = 0");
    Prices::parse(&text, Path::new("then.toml")).unwrap()
}

#[test]
fn the_row_with_glacier_comes_out_by_the_prices_of_its_time() {
    let then = with_glacier(&prices_of_then());
    assert!(!then.is_endless);
    assert_eq!(rounded(then.tally.bytes() as f64 / GB_BYTES, 6), 4.5);
    assert_eq!(rounded(storage(&then, STANDARD), 3), 0.035);
    assert_eq!(rounded(storage(&then, "GLACIER"), 3), 0.012);
    // They say 0.06 a month and 0.72 a year, which is not the sum of their own columns.
    let storage_of_all = storage(&then, STANDARD) + storage(&then, "GLACIER");
    assert_eq!(rounded(storage_of_all, 3), 0.047);
}

#[test]
fn the_row_with_glacier_is_dearer_than_it_says() {
    let now = with_glacier(Prices::builtin().unwrap());
    assert_eq!(rounded(storage(&now, STANDARD), 3), 0.035);
    // Cheaper since 2021, with 40 KiB beside each object.
    assert_eq!(rounded(storage(&now, "GLACIER"), 3), 0.011);
    let glacier = now.bill.classes.iter().find(|line| line.class == "GLACIER").unwrap();
    // Removed after 60 of the 90 days that are billed: 30 backups more are paid for than are there.
    assert_eq!(rounded(glacier.early, 4), 0.0054);
    // A move of one object a day.
    assert_eq!(rounded(glacier.transitions, 6), 0.000_913);
    assert_eq!(rounded(now.bill.per_month(), 3), 0.052);
}

#[test]
fn a_backup_a_day_costs_as_many_requests_as_the_scripts_say() {
    let state = steady_state(
        &daily(0.05),
        &kept(&days(30)),
        &Aging::default(),
        Prices::builtin().unwrap(),
    );
    let requests: f64 = state.bill.classes.iter().map(|line| line.requests).sum();
    assert_eq!(rounded(requests, 5), 0.000_15);
    let prices = Prices::builtin().unwrap();
    let standard = prices.class(STANDARD).unwrap();
    assert_eq!((standard.put, standard.get), (0.005, 0.0004));
}

#[test]
fn by_bytes_of_ten_a_gigabyte_is_less_than_one_of_the_bill() {
    // 30 files of 50,000,000 bytes are 1.397 GB on the bill, not 1.5.
    let prices = Prices::builtin().unwrap();
    let mut tally = Tally::default();
    tally.add(STANDARD, 50_000_000, 30, Some(prices));
    assert_eq!(rounded(prices.bill(&tally).per_month(), 3), 0.032);
}

#[test]
fn what_is_removed_goes_on_costing_in_a_bucket_that_keeps_versions() {
    let prices = Prices::builtin().unwrap();
    let state = |noncurrent| {
        let aging = Aging {
            noncurrent,
            ..Aging::default()
        };
        steady_state(&daily(1.0), &kept(&days(30)), &aging, prices)
    };
    assert_eq!(rounded(storage(&state(Noncurrent::Gone), STANDARD), 4), 0.69);
    assert_eq!(rounded(storage(&state(Noncurrent::Days(30)), STANDARD), 4), 1.38);
    assert!(state(Noncurrent::Forever).is_endless);
}

#[test]
fn small_objects_stay_where_they_are() {
    let prices = Prices::builtin().unwrap();
    let aging = Aging {
        rules: vec![AgingRule {
            steps: vec![step(60, "DEEP_ARCHIVE"), step(30, "STANDARD_IA")],
            expires_after_days: Some(365),
            ..AgingRule::default()
        }],
        moves_from_bytes: 128 << 10,
        ..Aging::default()
    };
    let mut rhythm = daily(1.0);
    rhythm.pieces.push(Piece {
        object_bytes: 2000,
        objects: 2.0,
        parts: 1,
        class: STANDARD.to_owned(),
    });
    let state = steady_state(&rhythm, &kept(&Policy::default()), &aging, prices);
    let classes: Vec<(&str, u64)> = state
        .tally
        .classes()
        .map(|(class, objects, _)| (class, objects))
        .collect();
    assert_eq!(
        classes,
        [("DEEP_ARCHIVE", 305), ("STANDARD", 30 + 2 * 365), ("STANDARD_IA", 30)]
    );
    // 30 days there are just the minimum, and 305 more than it.
    assert!(
        state.bill.classes.iter().all(|line| line.early == 0.0),
        "{:?}",
        state.bill
    );
}

#[test]
fn rules_hold_for_objects_of_their_size() {
    // As `lifecycle apply` writes them: data moves, and goes two days after the records.
    let aging = Aging {
        rules: vec![
            AgingRule {
                below_bytes: Some((1 << 20) + 1),
                expires_after_days: Some(90),
                ..AgingRule::default()
            },
            AgingRule {
                above_bytes: Some(1 << 20),
                steps: vec![step(30, "GLACIER_IR")],
                expires_after_days: Some(92),
                ..AgingRule::default()
            },
        ],
        ..Aging::default()
    };
    let mut rhythm = daily(1.0);
    rhythm.pieces.push(Piece {
        object_bytes: 1 << 20,
        objects: 2.0,
        parts: 1,
        class: STANDARD.to_owned(),
    });
    let state = steady_state(&rhythm, &kept(&Policy::default()), &aging, Prices::builtin().unwrap());
    let classes: Vec<(&str, u64)> = state
        .tally
        .classes()
        .map(|(class, objects, _)| (class, objects))
        .collect();
    assert_eq!(classes, [("GLACIER_IR", 62), ("STANDARD", 30 + 2 * 90)]);
    assert_eq!((state.backups, state.is_endless), (92.0, false));
    assert_eq!(aging.expires_after_days(), Some(90));
}

#[test]
fn an_upload_to_an_archive_pays_its_parts_as_the_standard_class() {
    let prices = Prices::builtin().unwrap();
    let mut rhythm = daily(1.0);
    rhythm.pieces[0].class = "DEEP_ARCHIVE".to_owned();
    rhythm.pieces[0].parts = 64;
    let state = steady_state(&rhythm, &kept(&days(365)), &Aging::default(), prices);
    let line = &state.bill.classes[0];
    let monthly = MONTH_DAYS / 1000.0 * (0.05 + 65.0 * 0.005);
    assert!((line.requests - monthly).abs() < 1e-12, "{}", line.requests);
}
