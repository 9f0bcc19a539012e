//! The corpus of the fuzzer, as plain tests: every file goes through the function that the fuzzer calls, and so do some
//! hundred changed versions of it, the same ones each time.
//!
//! Each target runs in a process of its own whose memory is limited, so that one that takes too much fails its test.
//! `BACKUP_CLI_TEST_FUZZ_SECS=60` goes on changing files for so long. `fuzz/README.md` says how to fuzz in earnest.

mod targets {
    include!("../../fuzz/src/targets.rs");
}

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::trees::Noise;
use crate::support::{project, system_tool};

/// What one target may hold: the plaintext that it reads twice and compares, and the threads that read it.
const MEMORY_MAX: &str = "384MiB";

/// How long one input may take: some hundred milliseconds would be long, and machines are busy.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);

/// How many changed versions of each file are tried.
const CHANGES: u64 = 40;

/// Says to the test binary that it is the process with the limit.
const INSIDE: &str = "BACKUP_CLI_TEST_FUZZ_INSIDE";

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = project().join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{}: {files:?}", folder.display());
    files
        .into_iter()
        .map(|path| {
            let bytes = std::fs::read(&path).expect("a file of the corpus");
            (path, bytes)
        })
        .collect()
}

/// One change of a kind that finds mistakes: bits, lengths, numbers, and pieces that are missing, doubled or swapped.
fn changed(bytes: &[u8], noise: &mut Noise) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut below = |most: usize| usize::try_from(noise.number() >> 1).unwrap_or(0) % most.max(1);
    for _ in 0..=below(4) {
        let (at, to, byte) = (below(bytes.len()), below(bytes.len()), below(256));
        let (from, upto) = (at.min(to), at.max(to));
        match below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 0xff, 0x7f, 0x80, b'9', b'0', b'/', b'.'][below(8)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(from..upto)),
            4 => {
                let piece = bytes[from..upto.min(from + 4096)].to_vec();
                let _ = bytes.splice(to..to, piece);
            }
            5 => bytes.insert(at, u8::try_from(byte).unwrap_or(0)),
            6 if !bytes.is_empty() => bytes.swap(at, to),
            _ => bytes.extend(std::iter::repeat_n(u8::try_from(byte).unwrap_or(0), below(600))),
        }
    }
    bytes
}

fn run(name: &str, target: &str, call: fn(&[u8])) {
    if std::env::var_os(INSIDE).is_some() {
        return inside(target, call);
    }
    let mut limited = Command::new(system_tool("prlimit"));
    let bytes: u64 = 384 << 20;
    let output = limited
        .arg(format!("--data={bytes}"))
        .arg(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("prlimit starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{target} within {MEMORY_MAX}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

fn inside(target: &str, call: fn(&[u8])) {
    let files = corpus(target);
    let measured = |what: &str, bytes: &[u8]| {
        let began = Instant::now();
        call(bytes);
        assert!(began.elapsed() < INPUT_TIME_MAX, "{what}: {:?}", began.elapsed());
    };
    for (path, bytes) in &files {
        measured(&path.display().to_string(), bytes);
    }
    let seconds = std::env::var("BACKUP_CLI_TEST_FUZZ_SECS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut round = 0;
    loop {
        for (number, (path, bytes)) in files.iter().enumerate() {
            // The seed is all that is needed to see the same again.
            let seed = round * 10_000 + number as u64;
            let changed = changed(bytes, &mut Noise::new(seed));
            measured(&format!("{} with seed {seed}", path.display()), &changed);
        }
        round += 1;
        let is_over = until.map_or(round >= CHANGES, |until| Instant::now() >= until);
        if is_over {
            return;
        }
    }
}

#[test]
fn members() {
    run("fuzz_corpus::members", "member", targets::member);
}

#[test]
fn indexes() {
    run("fuzz_corpus::indexes", "index", targets::index);
}

#[test]
fn manifests() {
    run("fuzz_corpus::manifests", "manifest", targets::manifest);
}

#[test]
fn archives() {
    run("fuzz_corpus::archives", "tar", targets::tar);
}

#[test]
fn configurations() {
    run("fuzz_corpus::configurations", "config", targets::config);
}
