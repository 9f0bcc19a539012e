//! Runs that are ended at their Nth system call of each name: before it has any effect.
//!
//! Which calls there are, and how many of each a thread makes at most, is measured once for each way. `strace` counts for each
//! thread by itself, so that the Nth call is that of the first thread that gets so far. By default a share that a seed draws is gone
//! through; the long form goes through every number of every name, of the names that change nothing up to [`READS_MAX`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use super::scene::{Scene, WAYS, Way};
use super::{in_parallel, seed};
use crate::support::server::fresh_folder;
use crate::support::system_tool;
use crate::support::trees::Noise;

/// How many runs are ended by default.
const POINTS: usize = 60;

/// So many numbers of one name are tried in the long form, spread over all, where the calls change nothing outside the process.
const READS_MAX: usize = 12;

/// So many where they do.
const EFFECTS_MAX: usize = 400;

/// What changes something that others can see.
const EFFECTS: [&str; 25] = [
    "sendto",
    "sendmsg",
    "writev",
    "write",
    "pwrite64",
    "openat",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "symlinkat",
    "ftruncate",
    "fallocate",
    "fchmod",
    "utimensat",
    "flock",
    "connect",
];

/// What ends or begins the process itself, before or after the program has its say.
const NOT_OF_THE_PROGRAM: [&str; 3] = ["execve", "exit", "exit_group"];

/// One point: a way, a call by name, its number.
type Point = (Way, String, usize);

fn strace(options: &[&str]) -> Vec<String> {
    let mut words = vec![system_tool("strace").display().to_string()];
    words.extend(["-f", "-qqq"].map(str::to_owned));
    words.extend(options.iter().map(|option| (*option).to_owned()));
    words.push("--".to_owned());
    words
}

fn start(scene: &Scene, words: &[String]) -> crate::support::cli::RunningCli {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.start_under(&words)
}

/// The most calls of each name that one thread makes in a run that nothing ends.
fn calls_of(way: Way, out: &Path) -> BTreeMap<String, usize> {
    let scene = Scene::new(way);
    let trace = out.join(format!("{way:?}"));
    let words = strace(&["-o", trace.to_str().expect("a path"), "-e", "trace=all"]);
    let _ = start(&scene, &words).wait().success();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in std::fs::read_to_string(&trace).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(call)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((name, _)) = call.split_once('(') else {
            continue;
        };
        if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            *counts.entry((name.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((name, _), count) in counts {
        let entry = most.entry(name).or_insert(0);
        *entry = count.max(*entry);
    }
    most.retain(|name, _| !NOT_OF_THE_PROGRAM.contains(&name.as_str()));
    most
}

/// Numbers from 1 to `count`, at most so many, spread evenly, the first and the last among them.
fn ladder(count: usize, numbers_max: usize) -> Vec<usize> {
    if count <= numbers_max {
        return (1..=count).collect();
    }
    (0..numbers_max)
        .map(|step| 1 + step * (count - 1) / (numbers_max - 1))
        .collect()
}

fn points(calls: &[(Way, BTreeMap<String, usize>)]) -> Vec<Point> {
    let mut effects = Vec::new();
    let mut others = Vec::new();
    for (way, names) in calls {
        for (name, count) in names {
            let is_effect = EFFECTS.contains(&name.as_str());
            let numbers = ladder(*count, if is_effect { EFFECTS_MAX } else { READS_MAX });
            let all = if is_effect { &mut effects } else { &mut others };
            all.extend(numbers.into_iter().map(|number| (*way, name.clone(), number)));
        }
    }
    if std::env::var_os("BACKUP_CLI_TEST_FULL").is_some() {
        effects.append(&mut others);
        return effects;
    }
    // Three of four are calls that change something; every way gets its share.
    let mut random = Noise::new(seed());
    let mut drawn = Vec::new();
    for (all, share) in [(effects, POINTS * 3 / 4), (others, POINTS / 4)] {
        for way in WAYS {
            let mut of_way: Vec<&Point> = all.iter().filter(|point| point.0 == way).collect();
            for _ in 0..share.div_ceil(WAYS.len()).min(of_way.len()) {
                let which = usize::try_from(random.number() % of_way.len() as u64).expect("an index");
                drawn.push(of_way.swap_remove(which).clone());
            }
        }
    }
    drawn
}

#[test]
fn a_run_that_is_killed_at_any_system_call_loses_nothing_and_leaves_nothing_half() {
    let out = fresh_folder("calls");
    let measured: Mutex<Vec<(Way, BTreeMap<String, usize>)>> = Mutex::default();
    in_parallel(WAYS.len(), |number| {
        let calls = calls_of(WAYS[number], out.path());
        measured.lock().unwrap().push((WAYS[number], calls));
    });
    let mut measured = measured.into_inner().unwrap();
    measured.sort_by_key(|(way, _)| WAYS.iter().position(|one| one == way));
    let points = points(&measured);
    assert!(points.len() >= POINTS, "{}", points.len());
    let ends: Mutex<BTreeMap<String, [usize; 2]>> = Mutex::default();
    in_parallel(points.len(), |number| {
        let (way, name, nth) = &points[number];
        let scene = Scene::new(*way);
        let words = strace(&[
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={name}"),
            "-e",
            &format!("inject={name}:signal=KILL:when={nth}"),
        ]);
        let outcome = start(&scene, &words).wait();
        let mut ends_now = ends.lock().unwrap();
        let end = ends_now.entry(format!("{way:?}")).or_default();
        match outcome.code() {
            137 => end[0] += 1,
            // Threads share the work differently each time.
            0 => end[1] += 1,
            other => panic!("{way:?} at {name} {nth}: it ended with {other}\n{outcome}"),
        }
        drop(ends_now);
        scene.check(&format!("killed at {name} {nth}"), &outcome);
    });
    let ends = ends.into_inner().unwrap();
    let sum = |column: usize| ends.values().map(|end| end[column]).sum::<usize>();
    println!(
        "{} runs: {} were killed at a call, {} did not get so far, 0 violations; by way: {ends:?}",
        points.len(),
        sum(0),
        sum(1)
    );
    assert!(sum(0) * 3 > points.len() * 2, "{ends:?}");
}
