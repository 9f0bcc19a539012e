//! Pruning: what goes, what must never go, and what a crash in the midst of it leaves.
//!
//! The accidents of other tools that are known stand here as tests with their names.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use backup_cli::base::clock::FixedClock;
use backup_cli::base::failure::Kind;
use backup_cli::catalog::manifest::{Manifest, State};
use backup_cli::catalog::notes::{NoteKind, PinBody, note_key};
use backup_cli::catalog::shape::Shape;
use backup_cli::ops::Run;
use backup_cli::ops::list::ListedState;
use backup_cli::ops::lock::SeriesLock;
use backup_cli::ops::pin::{pin, unpin};
use backup_cli::ops::prune::{PruneOptions, PrunePlan, Removal, plan_prune, prune};
use backup_cli::retention::{Count, Policy};
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::{Key, Store};
use jiff::Timestamp;

use crate::support::library::{Bytes, back_up, find, layout, list_all, options, read_back, run_at};

const NOW: &str = "2026-01-31T12:00:00Z";

/// Long before [`NOW`]: what the store received then is older than any run can last.
const LONG_AGO: &str = "2026-01-10T12:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn keep_last(number: u64) -> Policy {
    let mut policy = Policy::default();
    policy.counts[0] = Count::Number(number);
    policy
}

pub fn prune_options(policy: Policy) -> PruneOptions {
    PruneOptions {
        name: None,
        layout: layout(),
        policy,
        keep_min: 1,
        purge_versions: false,
        leftovers_older_than: Duration::from_secs(7 * 86_400),
        lock_folder: options("app", None).lock_folder,
        lock_timeout: Duration::ZERO,
    }
}

/// A store with a wrapper that can fail, and a run at [`NOW`].
struct Scene {
    memory: MemoryStore,
    faulty: FaultyStore,
    store: Arc<dyn Store>,
    run: Run,
}

impl Scene {
    fn new() -> Self {
        let memory = MemoryStore::new().with_clock(Arc::new(FixedClock(time(NOW))));
        let faulty = FaultyStore::new(Arc::new(memory.clone()));
        let (run, _) = run_at(NOW);
        Self {
            store: Arc::new(faulty.clone()),
            memory,
            faulty,
            run,
        }
    }

    /// Daily backups of a series, received long ago.
    fn with_days(days: std::ops::RangeInclusive<u32>) -> Self {
        let scene = Self::new();
        for day in days {
            scene.back_up("app", &format!("2026-01-{day:02}T02:00:00Z"));
        }
        scene
    }

    /// The store as it was long ago, behind the wrapper.
    fn old_store(&self) -> Arc<dyn Store> {
        Arc::new(self.memory.clone().with_clock(Arc::new(FixedClock(time(LONG_AGO)))))
    }

    fn back_up(&self, name: &str, at: &str) -> Manifest {
        let (run, _) = run_at(at);
        let source = Bytes::new(format!("content of {name} at {at}"));
        back_up(&self.old_store(), source, &options(name, None), &run)
            .unwrap()
            .manifest
    }

    /// Rewrites a manifest behind the tool's back.
    fn edit(&self, manifest: &Manifest, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        let key = manifest.objects[0].key.with_suffix(".manifest.json");
        self.memory.set_body(key.as_str(), manifest.to_json().unwrap());
    }

    fn plan(&self, options: &PruneOptions) -> PrunePlan {
        plan_prune(&self.store, options, &self.run).unwrap()
    }

    fn prune(&self, options: &PruneOptions) -> backup_cli::base::failure::Result<Removal> {
        let plan = plan_prune(&self.store, options, &self.run)?;
        prune(&self.store, &plan, options, &self.run)
    }

    fn refused(&self, options: &PruneOptions) {
        let keys = self.memory.keys();
        let failure = plan_prune(&self.store, options, &self.run).unwrap_err();
        assert_eq!(failure.kind(), Kind::Refused, "{failure:?}");
        assert_eq!(self.memory.keys(), keys);
    }

    /// The days of the backups that stand, oldest first; each of them is whole and comes back.
    fn days(&self) -> Vec<String> {
        let memory: Arc<dyn Store> = Arc::new(self.memory.clone());
        let mut ids: Vec<String> = list_all(&memory, &self.run)
            .unwrap()
            .backups
            .into_iter()
            .map(|backup| {
                assert_eq!(backup.state, ListedState::Complete, "{backup:?}");
                backup.id
            })
            .collect();
        ids.reverse();
        for id in &ids {
            read_back(&memory, id, &self.run).unwrap_or_else(|failure| panic!("{id}: {failure:?}"));
        }
        ids.iter().map(|id| id[id.len() - 9..id.len() - 7].to_owned()).collect()
    }
}

fn gone(plan: &PrunePlan) -> Vec<String> {
    let removals = plan.series.iter().flat_map(|series| series.removals());
    removals.map(|backup| backup.id.clone()).collect()
}

#[test]
fn what_no_rule_keeps_goes_with_all_its_objects_and_notes() {
    let scene = Scene::with_days(1..=5);
    let chosen = find(&scene.store, "app_backup_20260102", &scene.run).unwrap();
    assert!(pin(scene.store.as_ref(), &chosen, "here", PinBody::default(), &scene.run).unwrap());
    assert!(!pin(scene.store.as_ref(), &chosen, "here", PinBody::default(), &scene.run).unwrap());
    let drill = note_key(
        &Key::new("20260101/app_backup_20260101_020000.bin.gz"),
        NoteKind::Drill(time(NOW)),
    )
    .unwrap();
    scene.memory.set_body(drill.as_str(), "{}");
    scene.memory.set_body("20260101/other.txt", "somebody else's");
    scene
        .memory
        .set_body("20260101/app_backup_20260101_020000.bin.gz2", "a neighbour");

    let removal = scene.prune(&prune_options(keep_last(2))).unwrap();
    assert!(removal.is_complete());
    assert_eq!(removal.removed.len(), 2);
    assert_eq!(scene.memory.keys().len(), 3 * 3 + 1 + 2, "{:?}", scene.memory.keys());
    assert!(scene.memory.keys().iter().any(|key| key == "20260101/other.txt"));
    assert!(
        scene
            .memory
            .body("20260101/app_backup_20260101_020000.bin.gz2")
            .is_some()
    );

    assert!(unpin(scene.store.as_ref(), &chosen.found.data_key).unwrap());
    assert!(!unpin(scene.store.as_ref(), &chosen.found.data_key).unwrap());
    assert_eq!(
        gone(&scene.plan(&prune_options(keep_last(2)))),
        ["app_backup_20260102_020000"]
    );
}

#[test]
fn manifests_go_first_and_data_last_in_batches() {
    let scene = Scene::with_days(1..=9);
    let _ = scene.prune(&prune_options(keep_last(1))).unwrap();
    let batches: Vec<String> = scene
        .faulty
        .log()
        .into_iter()
        .filter(|(method, _)| *method == Method::DeleteMany)
        .map(|(_, key)| key)
        .collect();
    assert_eq!(
        batches,
        [
            "20260101/app_backup_20260101_020000.bin.gz.manifest.json",
            "20260101/app_backup_20260101_020000.bin.gz.index.gz",
            "20260101/app_backup_20260101_020000.bin.gz",
        ]
    );
    assert_eq!(scene.faulty.calls(Method::Delete), 0);
    assert_eq!(scene.days(), ["09"]);
}

#[test]
fn a_series_is_its_name_and_never_its_host() {
    let scene = Scene::with_days(1..=3);
    let manifest = scene.back_up("app", "2026-01-04T02:00:00Z");
    scene.edit(&manifest, |manifest| manifest.host = "7f3a91c0de11".to_owned());
    let _ = scene.back_up("app_two", "2026-01-01T03:00:00Z");
    let plan = scene.plan(&prune_options(keep_last(1)));
    let names: Vec<&str> = plan.series.iter().map(|series| series.name.as_str()).collect();
    assert_eq!(names, ["app", "app_two"]);
    assert_eq!(plan.removal_count(), 3);
    let named = PruneOptions {
        name: Some("app_two".to_owned()),
        ..prune_options(keep_last(1))
    };
    assert_eq!(scene.plan(&named).series.len(), 1);
    assert_eq!(scene.plan(&named).removal_count(), 0);
}

#[test]
fn a_policy_without_a_rule_is_an_error() {
    let scene = Scene::with_days(1..=2);
    let failure = plan_prune(&scene.store, &prune_options(keep_last(0)), &scene.run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Usage);
    assert!(!failure.hints().is_empty());
}

#[test]
fn orca_204_nights_of_failed_runs_leave_every_good_backup() {
    let scene = Scene::with_days(1..=3);
    for day in 4..=18 {
        let (run, _) = run_at(&format!("2026-01-{day:02}T02:00:00Z"));
        let source = Bytes {
            ends_well: false,
            ..Bytes::new("half of it")
        };
        assert!(back_up(&scene.old_store(), source, &options("app", None), &run).is_err());
    }
    let policy = Policy {
        within: Some("7d".parse().unwrap()),
        ..Policy::default()
    };
    let _ = scene.prune(&prune_options(policy)).unwrap();
    assert_eq!(scene.days(), ["01", "02", "03"]);
}

#[test]
fn portabase_332_partial_and_flagged_runs_are_not_counted() {
    let scene = Scene::with_days(1..=3);
    for day in 4..=8 {
        let manifest = scene.back_up("app", &format!("2026-01-{day:02}T02:00:00Z"));
        scene.edit(&manifest, |manifest| match day % 2 {
            0 => manifest.state = State::Partial,
            _ => {
                manifest.shape = Some(Shape {
                    flagged: true,
                    ..Shape::default()
                });
            }
        });
    }
    let plan = scene.plan(&prune_options(keep_last(2)));
    assert_eq!(
        gone(&plan),
        [
            "app_backup_20260106_020000",
            "app_backup_20260105_020000",
            "app_backup_20260104_020000",
            "app_backup_20260101_020000",
        ]
    );
}

#[test]
fn dbackup_154_an_empty_dump_costs_no_good_backup_until_it_is_accepted() {
    let scene = Scene::with_days(1..=3);
    let manifest = scene.back_up("app", "2026-01-04T02:00:00Z");
    scene.edit(&manifest, |manifest| {
        manifest.shape = Some(Shape {
            flagged: true,
            ..Shape::default()
        });
    });
    assert!(scene.plan(&prune_options(keep_last(1))).is_idle());
    let note = note_key(&manifest.objects[0].key, NoteKind::Accepted).unwrap();
    scene.memory.set_body(note.as_str(), "{}");
    assert_eq!(scene.plan(&prune_options(keep_last(1))).removal_count(), 3);
}

#[test]
fn restic_4612_a_listing_that_fails_anywhere_removes_nothing() {
    let scene = Scene::with_days(1..=4);
    let keys = u64::try_from(scene.memory.keys().len()).unwrap();
    for after in 0..keys {
        scene.faulty.heal();
        scene.faulty.fail_always(Method::List, Fault::Break { after });
        scene.refused(&prune_options(keep_last(1)));
    }
    for kind in [Kind::Unreachable, Kind::Denied, Kind::Failed] {
        scene.faulty.heal();
        scene.faulty.fail_always(Method::List, Fault::Before(kind));
        scene.refused(&prune_options(keep_last(1)));
    }
}

#[test]
fn a_listing_that_is_cut_short_and_looks_whole_costs_no_backup_that_it_shows() {
    let whole = Scene::with_days(1..=4);
    let keys = u64::try_from(whole.memory.keys().len()).unwrap();
    for after in 0..keys {
        let scene = Scene::with_days(1..=4);
        scene.faulty.fail_always(Method::List, Fault::Cut { after });
        let _ = scene.prune(&prune_options(keep_last(1))).unwrap();
        let days = scene.days();
        assert!(days.contains(&"04".to_owned()) && !days.is_empty(), "{after}: {days:?}");
    }
}

#[test]
fn clocks_that_are_apart_stop_everything() {
    let scene = Scene::with_days(1..=3);
    let options = prune_options(keep_last(1));
    for (at, is_refused) in [
        ("2026-01-31T12:04:59Z", false),
        ("2026-01-31T11:55:01Z", false),
        ("2026-01-31T12:05:01Z", true),
        ("2026-01-31T11:54:59Z", true),
        ("1970-01-01T00:00:00Z", true),
    ] {
        let (run, _) = run_at(at);
        let planned = plan_prune(&scene.store, &options, &run);
        assert_eq!(
            planned.as_ref().err().map(|failure| failure.kind()),
            is_refused.then_some(Kind::Refused),
            "{at}"
        );
    }
    scene.faulty.fail_always(Method::Now, Fault::Before(Kind::Unreachable));
    scene.refused(&options);
}

#[test]
fn manifests_that_cannot_be_read_keep_their_backups_and_count_for_nothing() {
    let scene = Scene::with_days(1..=6);
    let key = |day: u32| format!("202601{day:02}/app_backup_202601{day:02}_020000.bin.gz.manifest.json");
    scene.memory.set_body(&key(1), "no manifest");
    let manifest_key = Key::new(key(5));
    let newer = Manifest::from_json(&manifest_key, &scene.memory.body(&key(5)).unwrap()).unwrap();
    scene.edit(&newer, |manifest| manifest.format = 99);
    scene
        .faulty
        .fail(Method::Get, When::KeyContains(key(6)), Fault::Before(Kind::Unreachable));
    // Its data is not what the manifest says.
    scene
        .memory
        .set_body("20260102/app_backup_20260102_020000.bin.gz", "short");
    let plan = scene.plan(&prune_options(keep_last(1)));
    assert_eq!(gone(&plan), ["app_backup_20260103_020000"]);
    let told: Vec<String> = plan.series[0]
        .backups
        .iter()
        .map(|backup| {
            backup
                .decision
                .reasons
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    assert!(told[0].starts_with("its manifest cannot be read: "), "{told:?}");
    assert_eq!(told[1], "its manifest is of a newer format");
    assert_eq!(told[2], "last snapshot, newest complete");
    assert!(told[4].starts_with("damaged: "), "{told:?}");
    assert_eq!(told[5], "its manifest is damaged");
    // What the store did not give is no news of the backup; damage and newer formats are.
    assert_eq!(plan.unread.map(|unread| unread.count), Some(1));
}

#[test]
fn pgbackrest_2622_a_backup_in_progress_on_another_host_is_left_alone() {
    let scene = Scene::with_days(1..=3);
    let (run, _) = run_at("2026-01-31T11:00:00Z");
    let fresh: Arc<dyn Store> = Arc::new(scene.memory.clone());
    let manifest = back_up(&fresh, Bytes::new("not yet committed"), &options("app", None), &run)
        .unwrap()
        .manifest;
    let key = manifest.objects[0].key.with_suffix(".manifest.json");
    fresh.delete(&key).unwrap();
    let removal = scene.prune(&prune_options(keep_last(1))).unwrap();
    assert_eq!((removal.removed.len(), removal.leftovers.len()), (2, 0));
    assert!(
        manifest
            .objects
            .iter()
            .all(|object| scene.memory.body(object.key.as_str()).is_some())
    );
}

#[test]
fn what_a_crashed_run_left_long_ago_is_taken_away_and_the_objects_of_others_are_not() {
    let scene = Scene::with_days(1..=3);
    let manifest = scene.back_up("app", "2026-01-04T02:00:00Z");
    let key = manifest.objects[0].key.with_suffix(".manifest.json");
    scene.memory.delete(&key).unwrap();
    let other = scene.memory.clone().with_clock(Arc::new(FixedClock(time(LONG_AGO))));
    // The name is ours, the token is not there.
    other.set_body("20260105/app_backup_20260105_020000.sql.gz", "an older script's");
    other.set_body("20260105/app_backup_20260105_020000.sql.gz.index.gz", "?");
    let plan = scene.plan(&prune_options(keep_last(9)));
    assert_eq!((plan.leftovers.len(), plan.unmanaged), (1, 1));
    let removal = scene.prune(&prune_options(keep_last(9))).unwrap();
    assert_eq!(removal.leftovers.len(), 1);
    assert!(
        scene
            .memory
            .body("20260105/app_backup_20260105_020000.sql.gz")
            .is_some()
    );
    assert!(
        scene
            .memory
            .body("20260105/app_backup_20260105_020000.sql.gz.index.gz")
            .is_some()
    );
    assert!(
        manifest
            .objects
            .iter()
            .all(|object| scene.memory.body(object.key.as_str()).is_none())
    );
}

#[test]
fn a_locked_series_is_not_pruned() {
    let scene = Scene::with_days(1..=3);
    let options = prune_options(keep_last(1));
    let _lock = SeriesLock::take(
        &options.lock_folder,
        &scene.store.url(),
        "app",
        Duration::ZERO,
        &scene.run,
    )
    .unwrap();
    assert_eq!(scene.prune(&options).unwrap_err().kind(), Kind::Locked);
    assert_eq!(scene.days(), ["01", "02", "03"]);
    // Another series goes on.
    scene.back_up("web", "2026-01-01T02:00:00Z");
    scene.back_up("web", "2026-01-02T02:00:00Z");
    let removal = scene.prune(&options).unwrap();
    assert_eq!((removal.removed.len(), removal.skipped.len()), (1, 1));
    assert!(!removal.is_complete());
}

#[test]
fn objects_that_cannot_be_removed_are_named_and_what_keeps_its_manifest_stays_whole() {
    for after in 0..3 {
        let scene = Scene::with_days(1..=4);
        scene.faulty.fail_nth(Method::DeleteMany, 1, Fault::Cut { after });
        let removal = scene.prune(&prune_options(keep_last(1))).unwrap();
        assert_eq!(removal.failed.len() as u64, 3 - after);
        assert_eq!(removal.removed.len() as u64, after);
        assert!(!removal.is_complete());
        assert_eq!(scene.days().len() as u64, 4 - after);
        // The next run does the rest.
        let removal = scene.prune(&prune_options(keep_last(1))).unwrap();
        assert!(removal.is_complete());
        assert_eq!(scene.memory.keys().len(), 3);
    }
}

#[test]
fn what_has_lost_its_manifest_and_not_its_data_is_told() {
    // The third batch is that of the data.
    let scene = Scene::with_days(1..=4);
    scene.faulty.fail_nth(Method::DeleteMany, 3, Fault::Cut { after: 1 });
    let removal = scene.prune(&prune_options(keep_last(1))).unwrap();
    assert_eq!((removal.removed.len(), removal.unlisted.len()), (1, 2));
    let scene = Scene::with_days(1..=4);
    scene
        .faulty
        .fail_nth(Method::DeleteMany, 3, Fault::Before(Kind::Unreachable));
    let failure = scene.prune(&prune_options(keep_last(1))).unwrap_err();
    assert!(
        failure.message().contains("3 backups are in no list any more"),
        "{failure:?}"
    );
    assert!(failure.hints().join(" ").contains("backup-cli cleanup"), "{failure:?}");
}

#[test]
fn what_is_pinned_while_the_user_thinks_stays() {
    let scene = Scene::with_days(1..=4);
    let options = prune_options(keep_last(1));
    let shown = scene.plan(&options);
    let chosen = find(&scene.store, "app_backup_20260102", &scene.run).unwrap();
    let _ = pin(scene.store.as_ref(), &chosen, "here", PinBody::default(), &scene.run).unwrap();
    let plan = shown.and(&scene.plan(&options));
    let _ = prune(&scene.store, &plan, &options, &scene.run).unwrap();
    assert_eq!(scene.days(), ["02", "04"]);
}

#[test]
fn a_restore_of_a_backup_that_is_removed_meanwhile_fails_cleanly() {
    let scene = Scene::with_days(1..=3);
    let (options, run) = (prune_options(keep_last(1)), scene.run.clone());
    let behind: Arc<dyn Store> = Arc::new(scene.memory.clone());
    let remove = move || {
        let plan = plan_prune(&behind, &options, &run).unwrap();
        let _ = prune(&behind, &plan, &options, &run).unwrap();
    };
    scene.faulty.fail(
        Method::Get,
        When::KeyContains("20260101_020000.bin.gz".to_owned()),
        Fault::Hook(Arc::new(remove)),
    );
    let failure = read_back(&scene.store, "app_backup_20260101", &scene.run).unwrap_err();
    assert!(matches!(failure.kind(), Kind::NotFound | Kind::Damaged), "{failure:?}");
    assert_eq!(scene.days(), ["03"]);
}

#[test]
fn a_backup_beside_a_prune_is_committed() {
    let scene = Scene::with_days(1..=5);
    let behind: Arc<dyn Store> = Arc::new(scene.memory.clone());
    let make = move || {
        let (run, _) = run_at("2026-01-31T11:59:00Z");
        let _ = back_up(&behind, Bytes::new("made meanwhile"), &options("app", None), &run).unwrap();
    };
    scene
        .faulty
        .fail_nth(Method::DeleteMany, 1, Fault::Hook(Arc::new(make)));
    let _ = scene.prune(&prune_options(keep_last(1))).unwrap();
    assert_eq!(scene.days(), ["05", "31"]);
}

/// Every request of a prune fails once, before and after its effect, and each batch at every place inside; then whatever
/// stands is whole, and the next run ends what was begun.
#[test]
fn after_a_crash_at_any_request_the_newest_restores_and_the_next_run_finishes() {
    let build = || {
        let scene = Scene::with_days(1..=4);
        let manifest = scene.back_up("app", "2026-01-05T02:00:00Z");
        let key = manifest.objects[0].key.with_suffix(".manifest.json");
        scene.memory.delete(&key).unwrap();
        scene
    };
    let clean = build();
    let options = prune_options(keep_last(2));
    let _ = clean.prune(&options).unwrap();
    let expected = clean.memory.keys();
    assert_eq!(expected.len(), 6);
    let mut faults: Vec<(Method, u64, Fault)> = Vec::new();
    for method in [Method::Now, Method::List, Method::Get, Method::Head, Method::DeleteMany] {
        let calls = clean.faulty.calls(method);
        assert!(calls > 0, "{method:?} is never called");
        for nth in 1..=calls {
            faults.push((method, nth, Fault::Before(Kind::Unreachable)));
            // A reader has no effect to lose the reply of, but the reply can be lost.
            if method != Method::Get {
                faults.push((method, nth, Fault::After(Kind::Unreachable)));
            }
            if method == Method::DeleteMany {
                faults.extend((0..3).map(|after| (method, nth, Fault::Break { after })));
            }
        }
    }
    for (method, nth, fault) in faults {
        let scene = build();
        scene.faulty.fail_nth(method, nth, fault.clone());
        let outcome = scene.prune(&options);
        scene.faulty.heal();
        let what = format!("{method:?} {nth} {fault:?}: {:?}", outcome.err());
        let days = scene.days();
        assert!(days.ends_with(&["03".to_owned(), "04".to_owned()]), "{what}: {days:?}");
        let removal = scene
            .prune(&options)
            .unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
        assert!(removal.is_complete(), "{what}");
        let (left, wanted): (BTreeSet<_>, BTreeSet<_>) = (
            scene.memory.keys().into_iter().collect(),
            expected.iter().cloned().collect(),
        );
        assert_eq!(left, wanted, "{what}");
    }
}
