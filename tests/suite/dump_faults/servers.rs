//! Servers that go away in the middle of a dump. (Ended sessions are in `dying_sources`, MariaDB's in `mysql::dying`.)

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::stage::Stage;
use crate::support::cli::Cli;
use crate::support::place::{Place, PlaceKind};
use crate::support::postgres::{PASSWORD, PostgresServer, server_programs};

/// Lets the first bytes through, says so, waits for leave to go on, and ends as the real program did.
const WAITING: &str = "'REAL' \"$@\" | { head -c 1000000; : >\"$AT/reached\"; until [ -e \"$AT/gate\" ]; do sleep 0.01; done; exec cat; }\n\
    exit ${PIPESTATUS[0]}\n";

fn fill(server: &PostgresServer) {
    server.psql("postgres", "CREATE DATABASE doomed");
    server.psql(
        "doomed",
        "CREATE TABLE large AS SELECT n, repeat(md5(n::text), 20) AS v FROM generate_series(1, 15000) n",
    );
    // The tests' servers do not wait for the disk, so that a crash would take what was committed last.
    server.psql("doomed", "CHECKPOINT");
}

fn waiting() -> Stage {
    let real = server_programs().join("pg_dump");
    let stage = Stage::new("pg_dump", &real, b"");
    // The status of the first program of a pipe is asked for, which only this shell tells.
    let text = std::fs::read_to_string(stage.path("pg_dump")).expect("the script");
    stage.script("pg_dump", &text.replace("#!/bin/sh", "#!/bin/bash"));
    stage.order(&WAITING.replace("REAL", &real.display().to_string()));
    stage
}

fn user(place: &Place, stage: &Stage) -> Cli {
    std::fs::create_dir_all(place.store_folder()).expect("a folder");
    let path = std::env::var("PATH").expect("a PATH");
    place.cli().env("PATH", format!("{}:{path}", stage.folder().display()))
}

/// Runs a backup, does something to the server in the middle of the dump, and expects nothing to be left of the run.
fn in_the_middle(place: &Place, server: &PostgresServer, harm: impl FnOnce()) {
    let stage = waiting();
    let cli = user(place, &stage);
    let mut running = cli
        .command(["backup", &server.url("doomed"), "--part-size", "5MiB"])
        .start();
    running.wait_until("the middle of the dump", |_| stage.path("reached").exists());
    harm();
    std::fs::write(stage.path("gate"), "").expect("the gate opens");
    let run = running.wait().exits_with(1).nowhere(PASSWORD);
    assert!(
        run.stderr().contains("pg_dump") && run.stderr().contains("Hint: "),
        "{run}"
    );
    assert_eq!(place.leftovers(), Vec::<String>::new(), "{run}");
    let listed = place.cli().run(["list", "--json"]).success();
    assert_eq!(listed.json(), serde_json::json!([]), "{run}");
}

#[test]
fn a_server_that_restarts_or_is_shut_down_at_once_during_the_dump_leaves_nothing() {
    let server = PostgresServer::start();
    fill(&server);
    let place = Place::fresh(PlaceKind::UnknownS3);
    // A backend that crashes makes the server end every session and start anew.
    in_the_middle(&place, &server, || {
        let backend = server.psql(
            "postgres",
            "SELECT pid FROM pg_stat_activity WHERE datname = 'doomed' AND query LIKE 'COPY%'",
        );
        let backend = backend
            .trim()
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .expect("the backend of the dump");
        kill_process(backend, Signal::KILL).expect("it is there");
        server
            .server()
            .wait_until("its recovery", || {
                std::thread::sleep(Duration::from_millis(50));
                server.try_psql("doomed", PASSWORD, "SELECT 1").is_ok()
            })
            .expect("it recovers");
    });
    // What it can do after that, it does.
    place.cli().run(["backup", &server.url("doomed")]).success();
    let before = place.leftovers();
    assert_eq!(before.len(), 3);
    let other = Place::fresh(PlaceKind::Folder);
    in_the_middle(&other, &server, || {
        kill_process(server.server().pid(), Signal::QUIT).expect("it is there");
        while server.server().is_running() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    // And the backup that was there is there.
    assert_eq!(place.leftovers(), before);
}
