//! Every request of every command × every kind of fault, once and for ever: what passes is survived, what does not ends
//! cleanly, and in either case nothing is called complete that is not and nothing is lost.
//!
//! Which requests a command makes is learnt from a run that nothing befalls. A share of every command ×
//! operation × kind runs by default; which, the request, and whether the fault stays are chosen by a seed. `BACKUP_CLI_TEST_SEED=n` chooses
//! another selection, `BACKUP_CLI_TEST_FULL=1` runs the whole product, `BACKUP_CLI_TEST_ONLY=text` only the cells in whose
//! name the text stands.

mod cell;
mod commands;
mod kinds;
mod listed;
mod mended;
mod papers;
mod site;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cell::{Cell, Times, Verdict, clean_run};
use commands::COMMANDS;

/// Runs wait most of their time.
const WORKERS: usize = 16;

/// One of so many cells runs by default; of the commands whose cells take several runs one of twice as many.
const SHARE: u64 = 10;

/// The selection that runs unless told otherwise.
const SEED: u64 = 1;

/// Cells in which the whole product has found something to mend; they always run.
const MENDED: [&str; 10] = [
    "prune: 400 RequestTimeout at HeadObject 1 Once",
    "cleanup: 400 BadDigest at HeadObject 5 Once",
    "backup to several stores: 404 NoSuchKey at HeadObject 2 ForEver",
    "bucket create of an older one: corrupted byte of the reply at ReadSetting 24 Once",
    "doctor: 409 conflict at PutObject 5 Once",
    "doctor: 412 PreconditionFailed at CompleteMultipartUpload 2 Once",
    "doctor: truncated reply at GetObject 1 Once",
    "doctor: 404 NoSuchBucket at DeleteObject 1 ForEver",
    "doctor: 301 with the right region at DeleteObject 1 ForEver",
    "doctor: the answer before this one at CompleteMultipartUpload 3 Once",
];

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The cells to run.
fn selection() -> Vec<Cell> {
    let full = setting("BACKUP_CLI_TEST_FULL").is_some();
    let seed = setting("BACKUP_CLI_TEST_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
    let only = setting("BACKUP_CLI_TEST_ONLY");
    let mut cells = Vec::new();
    let mut turn = seed;
    for command in COMMANDS {
        let requests = &clean_run(command).requests;
        for (op, count) in requests {
            for kind in kinds::all().into_iter().filter(|kind| kind.befalls(*op)) {
                let cell = |nth, times| Cell {
                    command,
                    op: *op,
                    nth,
                    kind: kind.clone(),
                    times,
                };
                let all = (1..=*count).flat_map(|nth| [Times::Once, Times::ForEver].map(|times| cell(nth, times)));
                if full {
                    cells.extend(all);
                    continue;
                }
                if only.is_none() {
                    cells.extend(all.filter(|cell| MENDED.contains(&cell.to_string().as_str())));
                }
                // Neighbours differ in both: consecutive turns alternate the times and walk through the requests.
                turn = turn
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let times = match turn >> 63 {
                    0 => Times::Once,
                    _ => Times::ForEver,
                };
                let share = if command.is_run_again() { 2 * SHARE } else { SHARE };
                if only.is_some() || (turn >> 40).is_multiple_of(share) {
                    cells.push(cell((turn >> 33) % count + 1, times));
                }
            }
        }
    }
    cells.retain(|cell| {
        only.as_ref()
            .is_none_or(|text| cell.to_string().contains(text.as_str()))
    });
    if !full && only.is_none() {
        let names: Vec<String> = cells.iter().map(Cell::to_string).collect();
        let gone: Vec<_> = MENDED
            .iter()
            .filter(|name| !names.iter().any(|cell| cell == *name))
            .collect();
        assert!(gone.is_empty(), "these requests are not made any more: {gone:?}");
    }
    // What takes longest is not to be waited for at the end.
    cells.sort_by_key(|cell| !cell.kind.waits());
    cells
}

#[test]
fn no_fault_of_any_request_loses_a_backup_or_makes_a_false_one() {
    let cells = selection();
    assert!(!cells.is_empty());
    let began = Instant::now();
    let waiting = Mutex::new(cells.iter());
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(cell) = waiting.lock().unwrap().next() else {
                        return;
                    };
                    let began = Instant::now();
                    let result = cell.run();
                    results.lock().unwrap().push((cell, result, began.elapsed()));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut violations = Vec::new();
    let mut longest = Duration::ZERO;
    for (cell, result, took) in &results {
        let count = counts.entry(cell.command.name).or_default();
        longest = longest.max(*took);
        match result {
            Ok(Verdict::Survived) => count[0] += 1,
            Ok(Verdict::FailedCleanly) => count[1] += 1,
            Err(why) => {
                count[2] += 1;
                violations.push(why.as_str());
            }
        }
    }
    for (command, [survived, failed, violated]) in &counts {
        println!("{command}: {survived} survived, {failed} failed cleanly, {violated} violations");
    }
    let sum = |column: usize| counts.values().map(|count| count[column]).sum::<usize>();
    println!(
        "{} of {} cells run in {:.0} s: {} survived, {} failed cleanly, {} violations; the longest took {:.1} s",
        results.len(),
        cells.len(),
        began.elapsed().as_secs_f64(),
        sum(0),
        sum(1),
        sum(2),
        longest.as_secs_f64()
    );
    assert!(violations.is_empty(), "{}", violations.join("\n----\n"));
    assert_eq!(results.len(), cells.len());
}
