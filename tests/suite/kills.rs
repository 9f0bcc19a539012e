//! `kill -9` of backups, restores and prunes, at random times and at system calls one by one: nothing that was committed is
//! lost, nothing is committed falsely, a target is the old one or the new one, and the next run works and takes away what
//! was left.
//!
//! `BACKUP_CLI_TEST_SEED=n` chooses other times and calls, `BACKUP_CLI_TEST_FULL=1` goes through all calls up to a bound that
//! [`calls`] names.

mod calls;
mod scene;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use scene::{Scene, WAYS};

/// How many runs are ended at random times, of each of the six ways.
const KILLS_EACH: u64 = 50;

const WORKERS: usize = 3;

/// How a run's expected length follows the runs, for the machine may be busier at one time than at another: it grows with
/// each that was killed and shrinks with each that had ended before, so that most are killed and some are not.
const LENGTHENED: f64 = 1.03;
const SHORTENED: f64 = 0.9;

/// Calls a function for every number below a bound, several at a time.
fn in_parallel(count: usize, act: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    act(number);
                }
            });
        }
    });
}

fn seed() -> u64 {
    std::env::var("BACKUP_CLI_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1)
}

#[test]
fn a_run_that_is_killed_at_any_time_loses_nothing_and_leaves_nothing_half() {
    let seed = seed();
    let took: BTreeMap<usize, Duration> = WAYS
        .iter()
        .enumerate()
        .map(|(number, way)| {
            let scene = Scene::new(*way);
            (number, scene.start().wait().success().took())
        })
        .collect();
    let took = Mutex::new(took);
    let ends = Mutex::new((0, 0));
    in_parallel(WAYS.len() * usize::try_from(KILLS_EACH).unwrap(), |number| {
        let which = number % WAYS.len();
        let scene = Scene::new(WAYS[which]);
        // From the very beginning to a little after the end, spread evenly and shifted by the seed.
        let share = ((number / WAYS.len()) as u64 * 7_919 + seed * 104_729) % 1000;
        let time = took.lock().unwrap()[&which].mul_f64(1.3 * share as f64 / 1000.0);
        let mut run = scene.start();
        std::thread::sleep(time);
        let ended = run.has_ended();
        if !ended {
            run.signal(Signal::KILL);
        }
        let outcome = run.wait();
        let factor = if outcome.code() == 0 { SHORTENED } else { LENGTHENED };
        took.lock()
            .unwrap()
            .entry(which)
            .and_modify(|length| *length = length.mul_f64(factor));
        let mut ends = ends.lock().unwrap();
        match outcome.code() {
            0 => ends.1 += 1,
            137 => ends.0 += 1,
            other => panic!("it ended with {other}\n{outcome}"),
        }
        drop(ends);
        scene.check(&format!("killed after {time:?}"), &outcome);
    });
    let (killed, ended) = ends.into_inner().unwrap();
    println!(
        "{} runs: {killed} were killed, {ended} had ended before, 0 violations",
        killed + ended
    );
    assert!(killed > 100, "{killed} were killed, {ended} had ended before");
}
