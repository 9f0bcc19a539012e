//! Damage that was found is remembered, counts for nothing, and is taken back by a look as deep.

use std::sync::Arc;

use backup_cli::base::failure::{Failure, Kind};
use backup_cli::catalog::listing::load_manifest;
use backup_cli::catalog::notes::{Depth, NoteKind, known_damage, notes_beside};
use backup_cli::catalog::selection::{BackupRef, Choice, OnDamage, choose_with};
use backup_cli::ops::drill::check::{CheckOutcome, Open};
use backup_cli::ops::drill::{DrillOptions, drill};
use backup_cli::ops::list::ListedState;
use backup_cli::ops::prune::{PruneOptions, plan_prune};
use backup_cli::ops::verify::{
    Checked, Guards, Known, Level, Remembered, Subject, VerifyOptions, find_all, remember, remember_drill, verify,
    watch,
};
use backup_cli::retention::{Count, Policy};
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::{Key, Store};

use crate::support::cli::Cli;
use crate::support::library::{Bytes, back_up, find, layout, list_all, options, run_at};
use crate::support::server::fresh_folder;
use crate::support::trees::{Noise, make_small_tree};

const OLDER: &str = "app_backup_20260130_020000";
const NEWER: &str = "app_backup_20260131_020000";
const DATA: &str = "20260131/app_backup_20260131_020000.bin.gz";

/// Two backups of one series.
fn two_backups() -> (MemoryStore, Arc<dyn Store>) {
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    for time in ["2026-01-30T02:00:00Z", "2026-01-31T02:00:00Z"] {
        let (run, _) = run_at(time);
        let source = Bytes::new(Noise::new(7).bytes(50_000));
        back_up(&store, source, &options("app", None), &run).unwrap();
    }
    (memory, store)
}

/// Flips a bit in the middle of an object; called twice it mends it.
fn flip(memory: &MemoryStore, key: &str) {
    let mut body = memory.body(key).unwrap().to_vec();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    memory.decay(key, body);
}

fn look(level: Level) -> VerifyOptions {
    VerifyOptions {
        level,
        sample: None,
        client_folder: None,
        threads: 1,
    }
}

fn check(store: &Arc<dyn Store>, reference: &str, level: Level, time: &str) -> Result<Checked, Failure> {
    let (run, _) = run_at(time);
    let choice = Choice::default();
    let reference = BackupRef::parse(reference);
    let chosen = choose_with(
        store.as_ref(),
        &layout(),
        &reference,
        &choice,
        OnDamage::Take,
        &run.cancel,
    )?;
    let mut all = Vec::new();
    let subjects = vec![Subject::Chosen(Box::new(chosen))];
    verify(store, subjects, None, &look(level), &run, &mut |_, checked| {
        all.push(checked);
        Ok(())
    })?;
    all.pop().unwrap()
}

/// Verifies a backup and remembers what was found.
fn verified(store: &Arc<dyn Store>, reference: &str, level: Level, time: &str) -> Remembered {
    let checked = check(store, reference, level, time).unwrap();
    let (run, _) = run_at(time);
    remember(store, &checked, Known::Unlisted, "here", &run).unwrap()
}

fn stands(store: &Arc<dyn Store>) -> Option<Depth> {
    let notes = notes_beside(store.as_ref(), &Key::new(DATA)).unwrap();
    known_damage(&notes).map(|known| known.depth)
}

fn verdicts(store: &Arc<dyn Store>) -> usize {
    let notes = notes_beside(store.as_ref(), &Key::new(DATA)).unwrap();
    let is_verdict = |kind| matches!(kind, NoteKind::Damaged(..) | NoteKind::Whole(..));
    notes.iter().filter(|note| is_verdict(note.kind)).count()
}

#[test]
fn damage_that_was_found_counts_until_a_look_as_deep_finds_none() {
    let (memory, store) = two_backups();
    assert_eq!(
        verified(&store, NEWER, Level::Deep, "2026-02-01T00:00:00Z"),
        Remembered::Nothing
    );
    assert_eq!(verdicts(&store), 0, "what was always whole needs no note");
    flip(&memory, DATA);
    let note = Key::new(format!("{DATA}.damaged-data-20260202_000000.json"));
    assert_eq!(
        verified(&store, NEWER, Level::Deep, "2026-02-02T00:00:00Z"),
        Remembered::Damaged(note.clone())
    );
    let text = String::from_utf8(memory.body(note.as_str()).unwrap().to_vec()).unwrap();
    for part in ["\"kind\": \"damaged\"", "\"depth\": \"data\"", "SHA-256", DATA, NEWER] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // The same again is nothing new.
    assert_eq!(
        verified(&store, NEWER, Level::Data, "2026-02-03T00:00:00Z"),
        Remembered::Nothing
    );

    let (run, _) = run_at("2026-02-03T00:00:00Z");
    let listed = list_all(&store, &run).unwrap();
    assert_eq!(listed.backups[0].state, ListedState::Damaged);
    assert_eq!(
        listed.backups[0].damaged_since,
        Some("2026-02-02T00:00:00Z".parse().unwrap())
    );
    assert_eq!(listed.backups[1].state, ListedState::Complete);

    // It cannot be seen by a look at the objects, so such a look takes nothing back, before and after it is mended.
    for time in ["2026-02-04T00:00:00Z", "2026-02-05T00:00:00Z"] {
        assert_eq!(
            verified(&store, NEWER, Level::Quick, time),
            Remembered::Stands(Depth::Data)
        );
        flip(&memory, DATA);
    }
    flip(&memory, DATA);
    let mended = verified(&store, NEWER, Level::Data, "2026-02-06T00:00:00Z");
    assert!(matches!(mended, Remembered::Whole(_, None)), "{mended:?}");
    let listed = list_all(&store, &run).unwrap();
    assert_eq!(listed.backups[0].state, ListedState::Complete);
    assert_eq!(find(&store, "app@latest", &run).unwrap().found.id, NEWER);
    // A note of a clock that goes wrong stands behind those that are there.
    flip(&memory, DATA);
    verified(&store, NEWER, Level::Data, "2025-01-01T00:00:00Z");
    assert_eq!(stands(&store), Some(Depth::Data));
}

#[test]
fn a_damaged_backup_is_not_the_latest_and_is_told() {
    let (memory, store) = two_backups();
    flip(&memory, DATA);
    verified(&store, "app@latest", Level::Data, "2026-02-02T00:00:00Z");
    let (run, _) = run_at("2026-02-02T00:00:00Z");
    let mut told = Vec::new();
    let mut tell = |found: &backup_cli::catalog::listing::Found| told.push(found.id.clone());
    for reference in ["latest", "app@latest"] {
        let chosen = choose_with(
            store.as_ref(),
            &layout(),
            &BackupRef::parse(reference),
            &Choice::default(),
            OnDamage::PassOver(&mut tell),
            &run.cancel,
        );
        assert_eq!(chosen.unwrap().found.id, OLDER, "{reference}");
    }
    assert_eq!(told, [NEWER, NEWER]);
    assert_eq!(find(&store, "oldest", &run).unwrap().found.id, OLDER);
    assert_eq!(find(&store, NEWER, &run).unwrap().found.id, NEWER);
    // A monitor is not satisfied by it, either.
    let found = find_all(&store, &layout(), None, &run).unwrap();
    let guards = Guards {
        max_age: Some(std::time::Duration::from_secs(60 * 3600)),
        ..Guards::default()
    };
    let (then, _) = run_at("2026-02-02T00:00:00Z");
    let alarms = watch(&store, &found, None, &guards, &then).unwrap();
    assert!(alarms[0].what.contains("found damaged and do not count"), "{alarms:?}");
    // With none left there is no latest, and which can be tried is said.
    let older = DATA.replace("20260131", "20260130");
    flip(&memory, &older);
    verified(&store, OLDER, Level::Data, "2026-02-02T00:00:00Z");
    let failure = find(&store, "latest", &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged);
    assert!(failure.hints()[0].contains(NEWER), "{failure:?}");
}

#[test]
fn prune_never_gives_a_good_backup_for_a_damaged_one() {
    let (memory, store) = two_backups();
    let options = |time: &str| PruneOptions {
        name: None,
        layout: layout(),
        policy: Policy {
            counts: [
                Count::Number(1),
                Count::default(),
                Count::default(),
                Count::default(),
                Count::default(),
                Count::default(),
            ],
            ..Policy::default()
        },
        keep_min: 1,
        purge_versions: false,
        leftovers_older_than: std::time::Duration::from_secs(7 * 86_400),
        lock_folder: fresh_folder(&format!("known-damage-{}", &time[..10])).path().to_owned(),
        lock_timeout: std::time::Duration::ZERO,
    };
    let clocked = |time: &str| -> (Arc<dyn Store>, backup_cli::ops::Run) {
        let (run, _) = run_at(time);
        (Arc::new(memory.clone().with_clock(run.clock.clone())), run)
    };
    let (store_then, run) = clocked("2026-02-01T12:00:00Z");
    let removed = |store: &Arc<dyn Store>, run: &backup_cli::ops::Run| -> Vec<String> {
        let plan = plan_prune(store, &options("2026-02-01"), run).unwrap();
        plan.series
            .iter()
            .flat_map(|series| series.removals())
            .map(|backup| backup.id.clone())
            .collect()
    };
    assert_eq!(removed(&store_then, &run), [OLDER]);
    flip(&memory, DATA);
    verified(&store, NEWER, Level::Data, "2026-02-01T00:00:00Z");
    assert_eq!(
        removed(&store_then, &run),
        Vec::<String>::new(),
        "the last good one stays"
    );
    flip(&memory, DATA);
    verified(&store, NEWER, Level::Data, "2026-02-01T06:00:00Z");
    assert_eq!(removed(&store_then, &run), [OLDER]);
}

#[test]
fn what_is_wrong_on_its_way_is_never_remembered() {
    for level in [Level::Quick, Level::Data, Level::Deep] {
        for method in [Method::Get, Method::Head] {
            for nth in 1.. {
                let (memory, behind) = two_backups();
                let faulty = FaultyStore::new(Arc::new(memory));
                let store: Arc<dyn Store> = Arc::new(faulty.clone());
                let before = faulty.calls(method);
                let fault = match method {
                    Method::Get => Fault::Flip { offset: 40 },
                    _ => Fault::Lie,
                };
                faulty.fail_nth(method, before + nth, fault);
                if let Ok(checked) = check(&store, NEWER, level, "2026-02-02T00:00:00Z") {
                    assert_eq!(checked.damage, [], "{level}, {method:?} {nth}");
                    let (run, _) = run_at("2026-02-02T00:00:00Z");
                    remember(&store, &checked, Known::Unlisted, "here", &run).unwrap();
                }
                assert_eq!(stands(&behind), None, "{level}, {method:?} {nth}");
                if faulty.calls(method) < before + nth {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_finding_that_cannot_be_written_down_is_a_failure_of_its_own() {
    let (memory, _) = two_backups();
    flip(&memory, DATA);
    let faulty = FaultyStore::new(Arc::new(memory));
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    faulty.fail(Method::Put, When::Always, Fault::Before(Kind::Denied));
    let checked = check(&store, NEWER, Level::Data, "2026-02-02T00:00:00Z").unwrap();
    let (run, _) = run_at("2026-02-02T00:00:00Z");
    let failure = remember(&store, &checked, Known::Unlisted, "here", &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(checked.is_damaged());
}

#[test]
fn notes_of_verifications_do_not_pile_up() {
    let (memory, store) = two_backups();
    for day in 1..=28 {
        flip(&memory, DATA);
        verified(&store, NEWER, Level::Data, &format!("2026-03-{day:02}T00:00:00Z"));
        assert_eq!(stands(&store).is_some(), day % 2 == 1, "{day}");
        assert!(verdicts(&store) <= 17, "{day}: {}", verdicts(&store));
    }
}

/// Drills of files, below a folder.
fn drills_in(folder: &std::path::Path) -> DrillOptions {
    DrillOptions {
        places: backup_cli::ops::drill::DrillPlaces {
            folder: Some(folder.to_owned()),
            ..Default::default()
        },
        threads: 1,
        lock_folder: folder.join("locks"),
        ..DrillOptions::default()
    }
}

#[test]
fn a_failed_drill_counts_if_what_was_restored_is_wrong_and_not_for_bytes_that_changed_on_their_way() {
    let folder = fresh_folder("known-damage-drill");
    let drill_options = drills_in(folder.path());
    let drilled = |store: &Arc<dyn Store>, time: &str| {
        let (run, _) = run_at(time);
        let chosen = find(store, NEWER, &run).unwrap();
        let report = drill(store, chosen.clone(), &drill_options, &run).unwrap();
        let passed = report.passed();
        let remembered = remember_drill(store, &chosen, &report, &look(Level::Deep), "here", &run).unwrap();
        (passed, remembered)
    };
    let (memory, behind) = two_backups();
    assert_eq!(drilled(&behind, "2026-02-01T00:00:00Z"), (true, Remembered::Nothing));
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    // The manifest first, then the beginning of the data to see what it is, then all of it.
    faulty.fail_nth(Method::Get, 3, Fault::Flip { offset: 5000 });
    assert_eq!(drilled(&store, "2026-02-02T00:00:00Z"), (false, Remembered::Nothing));
    assert_eq!(stands(&behind), None);
    flip(&memory, DATA);
    let (passed, remembered) = drilled(&behind, "2026-02-03T00:00:00Z");
    assert!(
        !passed && matches!(remembered, Remembered::Damaged(_)),
        "{remembered:?}"
    );
    assert_eq!(stands(&behind), Some(Depth::Data));

    // What was restored is not what was recorded: the manifest is the witness, and it is whole.
    flip(&memory, DATA);
    verified(&behind, NEWER, Level::Data, "2026-02-04T00:00:00Z");
    assert_eq!(stands(&behind), None);
    let (run, _) = run_at("2026-02-05T00:00:00Z");
    let chosen = find(&behind, NEWER, &run).unwrap();
    let mut report = drill(&behind, chosen.clone(), &drill_options, &run).unwrap();
    report.compared.differs("rows of `users`", "7", "6");
    let remembered = remember_drill(&behind, &chosen, &report, &look(Level::Deep), "here", &run).unwrap();
    assert!(matches!(remembered, Remembered::Damaged(_)), "{remembered:?}");
    assert_eq!(stands(&behind), Some(Depth::Restore));
    // Only a drill answers a drill.
    let deep = verified(&behind, NEWER, Level::Deep, "2026-02-06T00:00:00Z");
    assert_eq!(deep, Remembered::Stands(Depth::Restore));
    let (passed, remembered) = drilled(&behind, "2026-02-07T00:00:00Z");
    assert!(
        passed && matches!(remembered, Remembered::Whole(_, None)),
        "{remembered:?}"
    );
    assert_eq!(stands(&behind), None);
}

#[test]
fn a_drill_that_asks_less_takes_back_nothing() {
    let folder = fresh_folder("known-damage-asked");
    let drill_options = drills_in(folder.path());
    let (memory, store) = two_backups();
    let (run, _) = run_at("2026-02-01T00:00:00Z");
    let chosen = find(&store, NEWER, &run).unwrap();
    let whole = drill(&store, chosen.clone(), &drill_options, &run).unwrap();
    let asked = |checks: &[(&str, bool)]| {
        let mut report = whole.clone();
        report.checks = checks
            .iter()
            .map(|(check, holds)| CheckOutcome {
                check: (*check).to_owned(),
                holds: *holds,
                found: "f".to_owned(),
                open: None,
            })
            .collect();
        report
    };
    let told = |report: &backup_cli::ops::drill::DrillReport, time: &str| {
        let (run, _) = run_at(time);
        remember_drill(&store, &chosen, report, &look(Level::Deep), "here", &run).unwrap()
    };
    let stands = Remembered::Stands(Depth::Restore);
    let Remembered::Damaged(key) = told(&asked(&[("a", false), ("b", true)]), "2026-02-01T00:00:00Z") else {
        panic!("it was not remembered");
    };
    let text = String::from_utf8(memory.body(key.as_str()).unwrap().to_vec()).unwrap();
    assert!(text.contains("\"failed_checks\""), "{text}");
    assert_eq!(told(&whole, "2026-02-02T00:00:00Z"), stands);
    assert_eq!(told(&asked(&[("b", true)]), "2026-02-02T00:00:00Z"), stands);
    // The same again is nothing new, and another check is.
    assert_eq!(
        told(&asked(&[("a", false)]), "2026-02-03T00:00:00Z"),
        Remembered::Nothing
    );
    let more = told(&asked(&[("a", true), ("c", false)]), "2026-02-04T00:00:00Z");
    assert!(matches!(more, Remembered::Damaged(_)), "{more:?}");
    assert_eq!(told(&asked(&[("a", true)]), "2026-02-05T00:00:00Z"), stands);
    let mut incomplete = asked(&[("a", true), ("c", true), ("d", false)]);
    incomplete.checks[2].open = Some(Open::Unanswered);
    assert_eq!(told(&incomplete, "2026-02-05T00:00:00Z"), stands);
    let good = told(&asked(&[("a", true), ("c", true)]), "2026-02-06T00:00:00Z");
    assert!(matches!(good, Remembered::Whole(_, None)), "{good:?}");
}

#[test]
fn a_note_beside_an_encrypted_backup_quotes_nothing_of_it() {
    use backup_cli::pipeline::crypt::Recipients;
    let folder = fresh_folder("known-damage-encrypted");
    make_small_tree(&folder.path().join("secret-tree"));
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    let (_, public) = backup_cli::pipeline::crypt::generate_identity();
    let mut backup_options = options("app", None);
    backup_options.recipients = Some(Recipients::of_keys(&[public.0]).unwrap());
    let mut source =
        backup_cli::source::directory::DirectorySource::new(backup_cli::source::directory::DirectoryOptions {
            paths: vec![folder.path().join("secret-tree")],
            ..Default::default()
        });
    backup_cli::ops::backup::backup(&store, &mut source, &backup_options, &run).unwrap();
    let data = memory
        .keys()
        .into_iter()
        .find(|key| key.ends_with(".tar.gz.age"))
        .unwrap();
    flip(&memory, &data);
    let remembered = verified(&store, "app@latest", Level::Data, "2026-02-02T00:00:00Z");
    let Remembered::Damaged(key) = remembered else {
        panic!("{remembered:?}");
    };
    // Without a key the stored bytes are all that could be compared, and a look as deep answers them.
    assert!(key.as_str().contains(".damaged-stored-"), "{key}");
    let text = String::from_utf8(memory.body(key.as_str()).unwrap().to_vec()).unwrap();
    assert!(!text.contains("\"what\"") && text.contains(&data), "{text}");
    flip(&memory, &data);
    let mended = verified(&store, "app@latest", Level::Data, "2026-02-03T00:00:00Z");
    assert!(matches!(mended, Remembered::Whole(_, None)), "{mended:?}");
    let manifest = Key::new(format!("{data}.manifest.json"));
    assert!(load_manifest(store.as_ref(), &manifest).is_ok());
}

#[test]
fn the_commands_say_what_is_known() {
    let cli = Cli::new();
    let tree = cli.home().join("www");
    make_small_tree(&tree);
    let tree = tree.to_str().unwrap();
    let store = cli.home().join("store");
    let store_text = store.to_str().unwrap();
    for _ in 0..2 {
        cli.run(["--store", store_text, "backup", tree, "--name", "www"])
            .success();
    }
    let list = cli.run(["--store", store_text, "list", "--json"]).success().json();
    let (newer, older) = (list[0]["id"].as_str().unwrap(), list[1]["id"].as_str().unwrap());
    let data = store.join(list[0]["key"].as_str().unwrap());
    let mut body = std::fs::read(&data).unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    std::fs::write(&data, &body).unwrap();
    let metrics = cli.home().join("m.prom");
    let metrics = metrics.to_str().unwrap();
    let found = cli.run(["--store", store_text, "verify", newer, "--metrics-file", metrics]);
    let found = found.exits_with(20);
    assert!(found.stderr().contains("It is remembered beside"), "{}", found.stderr());
    let told = std::fs::read_to_string(metrics).unwrap();
    assert!(
        told.contains("backup_cli_damaged_backups{profile=\"\",source=\"www\"} 1\n"),
        "{told}"
    );
    assert!(
        told.contains("backup_cli_last_verify_success{profile=\"\",source=\"www\"} 0\n"),
        "{told}"
    );
    let listed = cli.run(["--store", store_text, "list"]).success();
    assert!(listed.stdout().contains("damaged since "), "{}", listed.stdout());
    let shown = cli.run(["--store", store_text, "show", newer]).success();
    assert!(shown.stdout().contains("damaged, known since"), "{}", shown.stdout());
    assert!(shown.stdout().contains("SHA-256"), "{}", shown.stdout());
    let target = cli.home().join("back");
    let restored = cli
        .run([
            "--store",
            store_text,
            "restore",
            "latest",
            "--to",
            target.to_str().unwrap(),
        ])
        .success();
    assert!(restored.stderr().contains("It is passed over"), "{}", restored.stderr());
    assert!(restored.stderr().contains(older) || restored.stdout().contains(older));
    // Named, it is tried all the same.
    let other = cli.home().join("other");
    let named = cli.run(["--store", store_text, "restore", newer, "--to", other.to_str().unwrap()]);
    let named = named.exits_with(20);
    assert!(
        named.stderr().contains("What is not lost of it can be restored"),
        "{}",
        named.stderr()
    );
}

#[test]
fn a_repair_answers_the_damage_that_it_mends_and_no_other() {
    let home = Cli::new();
    let tree = home.home().join("www");
    make_small_tree(&tree);
    let store = home.home().join("store");
    let cli = home.env("BACKUP_STORE", &store);
    let _ = cli.run(["backup", tree.to_str().unwrap(), "--name", "www"]).success();
    let listed = || cli.run(["list", "--json"]).success().json()[0].clone();
    let id = listed()["id"].as_str().unwrap().to_owned();
    let data = store.join(listed()["key"].as_str().unwrap());
    let beside = |suffix: &str| std::path::PathBuf::from(format!("{}{suffix}", data.display()));
    let is_passed_over = || !listed()["damage"].is_null() || listed()["state"] == "damaged";

    std::fs::write(beside(".manifest.json"), "{").unwrap();
    let _ = cli.run(["verify", &id]).exits_with(20).stderr_has("backup-cli adopt");
    let _ = cli
        .run(["verify", "--all"])
        .exits_with(20)
        .stderr_has("It is remembered");
    let _ = cli.run(["adopt", &id, "--dry-run"]).success();
    assert!(is_passed_over());
    let _ = cli.run(["adopt", &id]).success().stderr_has("it counts as good again");
    assert!(!is_passed_over(), "{:#}", listed());

    for level in ["quick", "data"] {
        std::fs::remove_file(beside(".index.gz")).unwrap();
        let _ = cli.run(["verify", &id, "--level", level]).exits_with(20);
        let _ = cli.run(["rebuild-index", &id, "--dry-run"]).success();
        assert!(is_passed_over());
        let outcome = cli.run(["rebuild-index", &id, "--json"]).success();
        assert_eq!(outcome.json()["rebuilt"], true);
        assert!(!is_passed_over(), "{:#}", listed());
    }

    // What the data no longer holds, a new manifest of it does not bring back.
    std::fs::write(
        &data,
        std::fs::read(tree.join("hello.txt")).unwrap_or_else(|_| b"other".to_vec()),
    )
    .unwrap();
    let _ = cli.run(["verify", &id, "--level", "data"]).exits_with(20);
    std::fs::write(beside(".manifest.json"), "{").unwrap();
    let _ = cli
        .run(["adopt", &id])
        .success()
        .stderr_has("only `verify --level data`");
    assert!(is_passed_over());
    let _ = cli.run(["verify", &id, "--level", "data"]).success();
    assert!(!is_passed_over());
}
