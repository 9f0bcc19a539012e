//! Faults by chance, replayable by seed: small histories on a store whose calls, or whose every request on the wire, may
//! go wrong; afterwards everything that is listed restores, and nothing that was committed is lost.
//!
//! `BACKUP_CLI_TEST_SEED=n` replays one seed, `BACKUP_CLI_TEST_FULL=1` runs ten times as many.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::clock::SystemClock;
use backup_cli::base::failure::{Kind, Result};
use backup_cli::catalog::layout::Layout;
use backup_cli::ops::Run;
use backup_cli::ops::backup::{BackupOptions, BackupOutcome, TransferOptions};
use backup_cli::ops::copy::{CopyOptions, CopyTarget, copy};
use backup_cli::ops::list::{ListOptions, ListedState, list};
use backup_cli::ops::prune::{PruneOptions, plan_prune, prune};
use backup_cli::store::Store;
use backup_cli::store::faulty::{Fault as CallFault, FaultyStore, Method, When};
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::s3::{S3Options, S3Store};

use crate::prune::{keep_last, prune_options};
use crate::support::fault_s3::{Content, Fault, FaultS3, Op};
use crate::support::library::{Bytes, back_up, find, layout, list_all, options, read_back, run_at};
use crate::support::server::process_folder;
use crate::support::trees::Noise;

/// Seeds whose faults are on the wire; each takes some thirty requests and its own connections.
const WIRE_SEEDS: u64 = 150;

/// Seeds whose faults are in the calls of the store.
const CALL_SEEDS: u64 = 850;

/// How many seeds run at the same time: those on the wire wait much of their time.
const WORKERS: usize = 6;

const EARLIER: &str = "app_backup_20260130_020000";

/// Enough for several blocks of a stream; what more of it costs in a thousand histories proves nothing more.
const CONTENT_BYTES: usize = 24_000;

/// Bytes that do not compress.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| Noise::new(11).bytes(CONTENT_BYTES))
}

/// The backups of a series that a history prunes to its newest one.
const PRUNED: &str = "old_backup_20260101_020000";
const KEPT: &str = "old_backup_20260102_020000";

fn small() -> &'static [u8] {
    &content()[..700]
}

/// What there is before a history begins.
fn begin(store: &Arc<dyn Store>) -> Result<()> {
    for (time, name, content) in [
        ("2026-01-30T02:00:00Z", "app", content()),
        ("2026-01-01T02:00:00Z", "old", small()),
        ("2026-01-02T02:00:00Z", "old", small()),
    ] {
        let (run, _) = run_at(time);
        back_up(store, Bytes::new(content), &options_for(name), &run)?;
    }
    Ok(())
}

/// Prunes the series to its newest backup; whether the other one was removed. What cannot be read is kept.
fn prune_old(store: &Arc<dyn Store>) -> Result<bool> {
    let options = PruneOptions {
        name: Some("old".to_owned()),
        leftovers_older_than: Duration::ZERO,
        ..prune_options(keep_last(1))
    };
    // What the store says of the time is compared with this machine's.
    let run = Run {
        clock: Arc::new(SystemClock),
        ..run_at("2026-01-31T02:00:00Z").0
    };
    let plan = plan_prune(store, &options, &run)?;
    let removal = prune(store, &plan, &options, &run)?;
    Ok(removal.is_complete() && removal.removed.iter().any(|key| key.as_str().contains(PRUNED)))
}

/// How a number of 64 bits that are all alike decides a chance.
struct Dice(u64);

impl Dice {
    /// The next number below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What befalls a request on the wire: 15 % errors, 20 % throttles, 10 % delays, 0.5 % corrupted bytes.
fn draw_on_the_wire(number: u64, op: Op) -> Option<Fault> {
    let mut dice = Dice(number);
    let after_bytes = dice.below(200);
    let with_body = matches!(op, Op::GetObject | Op::ListObjects | Op::ListParts);
    let sends_body = matches!(op, Op::UploadPart | Op::PutObject | Op::CompleteMultipartUpload);
    match dice.below(1000) {
        0..150 => Some(match dice.below(11) {
            0 => Fault::INTERNAL_ERROR,
            1 => Fault::REQUEST_TIMEOUT,
            2 => Fault::ResetBefore,
            3 => Fault::ResetAfterEffect,
            4 => Fault::CloseAfterEffect,
            5 => Fault::ErrorAfterEffect {
                status: 500,
                code: "InternalError",
            },
            6 if sends_body => Fault::ResetInBody { after_bytes },
            7 if with_body => Fault::TruncateReply { after_bytes },
            8 if with_body => Fault::ResetReply { after_bytes },
            9 if op == Op::CompleteMultipartUpload => Fault::OkWithError {
                code: "InternalError",
                effect: after_bytes.is_multiple_of(2),
            },
            10 if after_bytes < 20 => Fault::ACCESS_DENIED,
            _ => Fault::INTERNAL_ERROR,
        }),
        150..350 => Some(Fault::SLOW_DOWN),
        350..450 => Some(Fault::Delay {
            time: Duration::from_millis(1 + after_bytes % 8),
        }),
        450..455 if sends_body => Some(Fault::FlipRequest { at_byte: after_bytes }),
        450..455 if op == Op::GetObject => Some(Fault::FlipReply { at_byte: after_bytes }),
        _ => None,
    }
}

/// Backup options whose lock folder is this seed's alone.
fn options_for(name: &str) -> BackupOptions {
    options(name, None)
}

fn copy_options() -> CopyOptions {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    CopyOptions {
        transfer: TransferOptions {
            threads: 1,
            part_bytes: None,
            parts_in_flight: Some(1),
            memory_bytes: 64 << 20,
        },
        lock: None,
        lock_folder: process_folder().join(format!("chaos-{}", NEXT.fetch_add(1, Ordering::Relaxed))),
        lock_timeout: Duration::ZERO,
    }
}

fn elsewhere() -> Layout {
    Layout::with_prefix("elsewhere").expect("a layout")
}

/// A history while faults happen; `store` is befallen by them and `behind` is the same without.
fn live_through(
    store: &Arc<dyn Store>,
    copies: &Arc<dyn Store>,
    behind: &Arc<dyn Store>,
    behind_copies: &Arc<dyn Store>,
    seed: u64,
    heal: &dyn Fn(),
) -> std::result::Result<Tally, String> {
    let mut tally = Tally::default();
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    let source = Bytes {
        // Every third backup is one of several streams.
        streams: if seed.is_multiple_of(3) { 3 } else { 1 },
        ..Bytes::new(content())
    };
    let made = back_up(store, source, &options_for("app"), &run);
    tally.count(made.is_ok());
    // One half of the histories prunes, the other one copies.
    let pruned = seed.is_multiple_of(2).then(|| prune_old(store));
    if let Some(pruned) = &pruned {
        tally.count(matches!(pruned, Ok(true)));
    }
    let (run, _) = run_at("2026-01-31T03:00:00Z");
    let listed = list(store, &layout(), &ListOptions::default(), &run);
    tally.count(listed.is_ok());
    if let Ok(listed) = &listed
        && !listed.backups.iter().any(|backup| backup.id == EARLIER)
    {
        return Err(format!("a list that succeeded lacks `{EARLIER}`: {listed:?}"));
    }
    let read = read_back(store, EARLIER, &run);
    tally.count(read.is_ok());
    if let Ok(read) = &read
        && read != content()
    {
        return Err("a restore that succeeded restored something else".to_owned());
    }
    let to = CopyTarget {
        store: copies.clone(),
        layout: elsewhere(),
    };
    let copied = pruned
        .is_none()
        .then(|| find(store, EARLIER, &run).and_then(|chosen| copy(store, &chosen, &to, &copy_options(), &run)));
    if let Some(copied) = &copied {
        tally.count(copied.is_ok());
    }
    heal();
    check(behind, &run, &made)?;
    let there = list(behind_copies, &elsewhere(), &ListOptions::default(), &run).map_err(|why| format!("{why:?}"))?;
    if matches!(pruned, Some(Ok(true))) && there_are(behind, PRUNED)? {
        return Err(format!("`{PRUNED}` was pruned and is there"));
    }
    if matches!(copied, Some(Ok(_))) && there.backups.len() != 1
        || there.backups.iter().any(|one| one.state != ListedState::Complete)
    {
        return Err(format!("of the copy: {copied:?} {there:?}"));
    }
    // What was left lies in nobody's way, and the next prune takes it away.
    if pruned.is_some() {
        match prune_old(behind) {
            Ok(_) if !there_are(behind, PRUNED)? => {}
            outcome => return Err(format!("`{PRUNED}` is left after the next prune: {outcome:?}")),
        }
    }
    let (run, _) = run_at("2026-01-31T04:00:00Z");
    let next = back_up(behind, Bytes::new(content()), &options_for("app"), &run).map_err(|why| format!("{why:?}"))?;
    let again = read_back(behind, &next.manifest.id, &run).map_err(|why| format!("{why:?}"))?;
    match again == content() {
        true => Ok(tally),
        false => Err("the next backup holds something else".to_owned()),
    }
}

/// Whether any object of a backup is in the store.
fn there_are(store: &Arc<dyn Store>, id: &str) -> std::result::Result<bool, String> {
    let mut found = false;
    let mut visit = |meta: backup_cli::store::ObjectMeta| {
        found |= meta.key.as_str().contains(id);
        Ok(std::ops::ControlFlow::Continue(()))
    };
    let prefix = match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    store.list(&prefix, &mut visit).map_err(|why| format!("{why:?}"))?;
    Ok(found)
}

/// The invariants after a history.
fn check(behind: &Arc<dyn Store>, run: &Run, made: &Result<BackupOutcome>) -> std::result::Result<(), String> {
    let listed = list_all(behind, run).map_err(|why| format!("{why:?}"))?;
    let ids: Vec<&str> = listed.backups.iter().map(|backup| backup.id.as_str()).collect();
    if !ids.contains(&EARLIER) || !ids.contains(&KEPT) {
        return Err(format!("an earlier backup is lost: {ids:?}"));
    }
    for backup in &listed.backups {
        if backup.state != ListedState::Complete {
            return Err(format!("`{}` is {:?}: {:?}", backup.id, backup.state, backup.trouble));
        }
        let read = read_back(behind, &backup.id, run).map_err(|why| format!("`{}`: {why:?}", backup.id))?;
        let expected = if backup.id.starts_with("old") {
            small()
        } else {
            content()
        };
        if read != expected {
            return Err(format!("`{}` holds something else", backup.id));
        }
    }
    let ids: Vec<&str> = ids.into_iter().filter(|id| id.starts_with("app")).collect();
    match made {
        Ok(outcome) if !ids.contains(&outcome.manifest.id.as_str()) => {
            Err(format!("`{}` was reported and is not listed", outcome.manifest.id))
        }
        // Whether the manifest arrived could not be told, and that was said.
        Err(failure) if ids.len() > 1 && !failure.message().contains("cannot be told") => {
            Err(format!("it failed, and yet it is listed: {failure:?}"))
        }
        _ => Ok(()),
    }
}

/// How many steps succeeded and failed.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    succeeded: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, is_ok: bool) {
        match is_ok {
            true => self.succeeded += 1,
            false => self.failed += 1,
        }
    }
}

/// A bucket with one backup, made once.
fn history() -> &'static Content {
    static HISTORY: OnceLock<Content> = OnceLock::new();
    HISTORY.get_or_init(|| {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let store: Arc<dyn Store> = Arc::new(open(&server, &bucket, ""));
        begin(&store).expect("backups");
        server.content(&bucket)
    })
}

fn open(server: &FaultS3, bucket: &str, prefix: &str) -> S3Store {
    let mut options: S3Options = crate::store_contract::s3_options(&server.access(), bucket, Some("aws"));
    options.prefix = prefix.to_owned();
    options.retry.first_wait = Duration::from_millis(1);
    options.retry.max_wait = Duration::from_millis(4);
    options.retry.budget = Duration::from_secs(5);
    options.retry.sdk_attempts = 1;
    let recorder = Arc::new(backup_cli::base::report::Recorder::default());
    S3Store::open(options, Cancel::new(), recorder).expect("a store")
}

fn on_the_wire(seed: u64) -> std::result::Result<Tally, String> {
    let server = FaultS3::start();
    let bucket = server.bucket_with(history());
    let store: Arc<dyn Store> = Arc::new(open(&server, &bucket, ""));
    let second = server.bucket();
    let copies: Arc<dyn Store> = Arc::new(open(&server, &second, "elsewhere"));
    server.chaos(seed, draw_on_the_wire);
    let outcome = live_through(&store, &copies, &store, &copies, seed, &|| server.heal());
    let operations = || format!("{:?}", server.operations());
    let tally = outcome.map_err(|why| format!("{why}\n{}", operations()))?;
    // Nobody knows the id of an upload whose creation got no answer; no others are left.
    let unknown = server
        .requests_of(Op::CreateMultipartUpload)
        .iter()
        .filter(|request| request.faulty)
        .count();
    let aborts_failed = server
        .requests_of(Op::AbortMultipartUpload)
        .iter()
        .any(|request| request.status == Some(403));
    let left = [server.open_uploads(&bucket), server.open_uploads(&second)].concat();
    match left.len() > unknown && !aborts_failed {
        true => Err(format!("unfinished uploads are left: {left:?}\n{}", operations())),
        false => Ok(tally),
    }
}

/// What may befall the calls of a store, each with its own rate.
const METHODS: [Method; 12] = [
    Method::Put,
    Method::StartUpload,
    Method::PutPart,
    Method::Complete,
    Method::Abort,
    Method::Get,
    Method::Head,
    Method::List,
    Method::Delete,
    Method::DeleteMany,
    Method::UnfinishedUploads,
    Method::Now,
];

/// The calls of one method that are looked ahead.
const CALLS: u64 = 24;

fn in_the_calls(seed: u64) -> std::result::Result<Tally, String> {
    let memory = MemoryStore::new();
    let behind: Arc<dyn Store> = Arc::new(memory);
    begin(&behind).map_err(|why| format!("{why:?}"))?;
    let faulty = FaultyStore::new(behind.clone());
    let mut dice = Dice(seed);
    // Nothing repeats a call here as the S3 client does: with the rates of the wire hardly anything would succeed.
    let per_mille = [10, 40, 150][usize::try_from(seed % 3).unwrap_or(0)];
    for method in METHODS {
        for nth in 1..=CALLS {
            let writes = !matches!(method, Method::Get | Method::List);
            let fault = match dice.below(1000) {
                chance if chance < per_mille => match dice.below(5) {
                    0 | 1 => CallFault::Before(Kind::Unreachable),
                    2 => CallFault::Before(Kind::Denied),
                    3 if writes => CallFault::After(Kind::Unreachable),
                    3 => CallFault::Break { after: dice.below(300) },
                    _ => CallFault::Before(Kind::Failed),
                },
                995..1000 if method == Method::Get => CallFault::Flip {
                    offset: dice.below(CONTENT_BYTES as u64),
                },
                _ => continue,
            };
            faulty.fail(method, When::Nth(nth), fault);
        }
    }
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    let copies_behind: Arc<dyn Store> = Arc::new(MemoryStore::new().with_prefix("elsewhere"));
    let heal = || faulty.heal();
    live_through(&store, &copies_behind, &behind, &copies_behind, seed, &heal)
}

fn run_seeds(name: &str, count: u64, history: fn(u64) -> std::result::Result<Tally, String>) -> String {
    let seeds: Vec<u64> = match std::env::var("BACKUP_CLI_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => (1..=match std::env::var_os("BACKUP_CLI_TEST_FULL") {
            Some(_) => count * 10,
            None => count,
        })
            .collect(),
    };
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<u64, std::result::Result<Tally, String>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = history(*seed);
                    results.lock().unwrap().insert(*seed, outcome);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    assert_eq!(results.len(), seeds.len());
    let mut tally = Tally::default();
    let mut violations = Vec::new();
    for (seed, outcome) in &results {
        match outcome {
            Ok(one) => {
                tally.succeeded += one.succeeded;
                tally.failed += one.failed;
            }
            Err(why) => violations.push(format!("seed {seed}: {why}")),
        }
    }
    let summary = format!(
        "{name}: {} seeds, {} steps succeeded, {} failed cleanly, {} violations",
        results.len(),
        tally.succeeded,
        tally.failed,
        violations.len()
    );
    assert!(violations.is_empty(), "{}", violations.join("\n----\n"));
    if seeds.len() > 1 {
        assert!(tally.succeeded > 0 && tally.failed > 0, "{tally:?}: nothing was tried");
    }
    summary
}

#[test]
fn no_seed_of_faults_on_the_wire_loses_a_backup_or_makes_a_false_one() {
    println!("{}", run_seeds("on the wire", WIRE_SEEDS, on_the_wire));
}

#[test]
fn no_seed_of_faults_in_the_calls_loses_a_backup_or_makes_a_false_one() {
    println!("{}", run_seeds("in the calls", CALL_SEEDS, in_the_calls));
}
