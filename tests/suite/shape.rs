//! The shape guard: a backup that is far smaller than those before it is made, flagged, and accepted by a person.

use std::sync::Arc;
use std::time::Duration;

use backup_cli::base::failure::{Kind, Result, from_io};
use backup_cli::base::report::Event;
use backup_cli::catalog::manifest::{Counts, Manifest, Problem, ProblemKind, SourceInfo};
use backup_cli::catalog::shape::Shape;
use backup_cli::ops::backup::{BackupOptions, backup};
use backup_cli::ops::shape::{Acceptance, accept, flag_of, last_good_before};
use backup_cli::pipeline::crypt::Recipients;
use backup_cli::source::{Estimate, Source, SourceContext, SourceReport, SourceSink};
use backup_cli::store::Store;
use backup_cli::store::faulty::{Fault, FaultyStore, Method};
use backup_cli::store::memory::MemoryStore;

use crate::support::cli::Cli;
use crate::support::library::{find, layout, list_all, options, run_at, warnings};
use crate::support::place::{Place, PlaceKind};

/// A source that claims to hold so many rows.
struct Rows {
    rows: u64,
    is_partial: bool,
}

impl Source for Rows {
    fn prepare(&mut self, _: &SourceContext<'_>) -> Result<()> {
        Ok(())
    }
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "command".to_owned(),
            what: "rows".to_owned(),
            ..SourceInfo::default()
        }
    }
    fn extension(&self) -> &str {
        "sql"
    }
    fn estimate(&mut self, _: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate::default())
    }
    fn stream(&mut self, sink: &mut dyn SourceSink, _: &SourceContext<'_>) -> Result<SourceReport> {
        sink.write_all(b"always the same length")
            .map_err(|error| from_io("write", error))?;
        let mut report = SourceReport {
            counts: Counts {
                tables: Some(3),
                rows: Some(self.rows),
                ..Counts::default()
            },
            ..SourceReport::default()
        };
        if self.is_partial {
            report.problem_count = 1;
            report.problems.push(Problem {
                item: "x".to_owned(),
                kind: ProblemKind::Unreadable,
                message: "no".to_owned(),
            });
        }
        Ok(report)
    }
}

fn guarded() -> BackupOptions {
    let mut options = options("app", None);
    options.shape_guard_percent = Some(50);
    // A child that another test starts holds the lock of the last backup until it has become another program.
    options.lock_timeout = Duration::from_secs(10);
    options
}

/// A series, of which each backup is a day after the one before.
struct Series {
    store: Arc<dyn Store>,
    options: BackupOptions,
    day: u32,
}

impl Series {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            options: guarded(),
            day: 0,
        }
    }

    fn add_as(&mut self, rows: u64, is_partial: bool) -> Manifest {
        self.day += 1;
        let (run, _) = run_at(&format!("2026-01-{:02}T02:00:00Z", self.day));
        let mut source = Rows { rows, is_partial };
        backup(&self.store, &mut source, &self.options, &run).unwrap().manifest
    }

    fn add(&mut self, rows: u64) -> Option<Shape> {
        self.add_as(rows, false).shape
    }

    fn flagged(&mut self, rows: u64) -> bool {
        self.add(rows).expect("it is compared").flagged
    }
}

#[test]
fn flagged_and_partial_backups_are_compared_and_never_compared_with() {
    let mut series = Series::new(Arc::new(MemoryStore::new()));
    assert_eq!(series.add(1000), None);
    assert_eq!(series.add(1000), None);
    assert_eq!(series.add_as(1000, true).shape, None);
    assert_eq!(series.add(1000), None);
    // Three complete ones stand there now.
    let partial = series.add_as(10, true).shape.unwrap();
    assert!(partial.flagged);
    assert_eq!(partial.medians.rows, Some(1000));
    // Not even many collapsed ones become normal by themselves.
    for _ in 0..8 {
        assert!(series.flagged(10));
    }
    assert!(!series.flagged(800));
    let (run, _) = run_at("2026-02-01T02:00:00Z");
    let listed = list_all(&series.store, &run).unwrap();
    let flagged = listed.backups.iter().filter(|backup| backup.flagged.is_some());
    assert_eq!((listed.backups.len(), flagged.count()), (14, 9));
}

#[test]
fn an_accepted_backup_is_what_the_next_ones_are_compared_with() {
    let mut series = Series::new(Arc::new(MemoryStore::new()));
    for _ in 0..3 {
        series.add(1000);
    }
    assert!(series.flagged(100));
    let (run, _) = run_at("2026-02-01T02:00:00Z");
    let chosen = find(&series.store, "app@latest", &run).unwrap();
    let good = last_good_before(&series.store, &layout(), &chosen, &run).unwrap();
    assert_eq!(good.as_deref(), Some("app_backup_20260103_020000"));
    assert!(flag_of(&series.store, &chosen).unwrap().is_some());
    let why = Some("archived".to_owned());
    assert!(matches!(
        accept(&series.store, &chosen, "here", why, &run).unwrap(),
        Acceptance::Written(_)
    ));
    assert!(flag_of(&series.store, &chosen).unwrap().is_none());
    let again = accept(&series.store, &chosen, "here", None, &run).unwrap();
    assert_eq!(again, Acceptance::Stands);
    assert!(!series.flagged(100));
    assert!(series.flagged(10));
    let chosen = find(&series.store, "app_backup_20260105", &run).unwrap();
    let nothing = accept(&series.store, &chosen, "here", None, &run).unwrap();
    assert_eq!(nothing, Acceptance::NotFlagged);
}

#[test]
fn encrypted_backups_are_compared_by_what_everybody_may_know() {
    let mut series = Series::new(Arc::new(MemoryStore::new()));
    let key = age::x25519::Identity::generate().to_public().to_string();
    series.options.recipients = Some(Recipients::of_keys(&[key]).unwrap());
    for _ in 0..3 {
        series.add(1000);
    }
    assert!(series.flagged(100));
}

#[test]
fn who_may_not_look_backs_up_and_is_told_once() {
    for (kind, is_note) in [(Kind::Denied, true), (Kind::Unreachable, false)] {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut series = Series::new(memory.clone());
        for _ in 0..3 {
            series.add(1000);
        }
        let faulty = FaultyStore::new(memory);
        for method in [Method::ListFolders, Method::Get] {
            faulty.fail_always(method, Fault::Before(kind));
        }
        if kind == Kind::Denied {
            faulty.fail_always(Method::List, Fault::Before(kind));
        }
        let store: Arc<dyn Store> = Arc::new(faulty);
        let (run, recorder) = run_at("2026-01-20T02:00:00Z");
        let mut source = Rows {
            rows: 1,
            is_partial: false,
        };
        let made = backup(&store, &mut source, &guarded(), &run).unwrap();
        assert_eq!(made.manifest.shape, None);
        let notes = recorder
            .events()
            .into_iter()
            .filter(|event| matches!(event, Event::Note(text) if text.contains("not compared")))
            .count();
        let warned = warnings(&recorder)
            .iter()
            .filter(|text| text.contains("could not be compared"))
            .count();
        assert_eq!(
            (notes, warned),
            (usize::from(is_note), usize::from(!is_note)),
            "{kind:?}"
        );
    }
}

fn fill(cli: &Cli, files: usize) {
    let folder = cli.home().join("www");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    for number in 0..files {
        std::fs::write(folder.join(number.to_string()), "content").unwrap();
    }
}

#[test]
fn a_collapse_is_said_by_the_exit_code_and_shown_until_it_is_accepted() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    fill(&cli, 40);
    for _ in 0..3 {
        cli.run(["backup", "www"]).success();
    }
    fill(&cli, 2);
    let last = cli.run(["list", "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    let collapsed = cli
        .run(["backup", "www", "--json"])
        .exits_with(3)
        .stderr_has("files 2 instead of about 40")
        .stderr_has("backup-cli accept www_backup_");
    let id = collapsed.json_lines().last().unwrap()["snapshot_id"]
        .as_str()
        .unwrap()
        .to_owned();
    cli.run(["list"])
        .success()
        .stdout_has("complete, flagged")
        .stderr_has("files 2 instead");
    cli.run(["show", "latest"]).success().stdout_has("FLAGGED: ");
    let target = cli.home().join("restored");
    cli.run(["restore", "latest", "--to", target.to_str().unwrap()])
        .success()
        .stderr_has(&format!("`{id}` is flagged."))
        .stderr_has(&format!("`{last}`"));
    cli.run(["accept", "latest", "--why", "it was tidied up"])
        .success()
        .stdout_has("is accepted");
    cli.run(["accept", &id]).success().stdout_has("accepted before");
    cli.run(["show", "latest"]).success().stdout_has("accepted: ");
    let listed = cli.run(["list"]).success();
    assert!(!listed.stdout().contains("flagged"), "{listed}");
    cli.run(["backup", "www"]).success();
    fill(&cli, 0);
    cli.run(["backup", "www", "--shape-guard", "off"]).success();
    cli.run(["backup", "www"]).exits_with(3).stderr_has("files 0 instead");
    cli.run(["backup", "www", "--shape-guard", "120%"])
        .exits_with(2)
        .stderr_has("from 1% to 99%");
    cli.run(["accept", &last]).success().stdout_has("not flagged");
}
