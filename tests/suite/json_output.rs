//! `--json` of every command: which keys a program may rely on, and of which types. Keys may be added, never taken away.

use serde_json::Value;

use crate::support::cli::{Cli, Outcome};

/// A user with a small tree and a store in a folder.
fn user() -> Cli {
    let cli = Cli::new();
    let tree = cli.home().join("www");
    std::fs::create_dir_all(tree.join("below")).expect("folders");
    std::fs::write(tree.join("a.txt"), "alpha\n").expect("a file");
    std::fs::write(tree.join("below/b.txt"), "beta\n").expect("a file");
    std::os::unix::fs::symlink("a.txt", tree.join("link")).expect("a link");
    let store = format!("file://{}/store", cli.home().display());
    cli.env("BACKUP_STORE", store).env("BACKUP_HOST", "web-1")
}

/// The type of a value in a word: `string`, `number`, `time` and so on.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => "time",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Asserts that a document has exactly these keys, each of one of these types (`number|null`).
#[track_caller]
fn has_shape(document: &Value, shape: &str) {
    let object = document.as_object().expect("an object");
    let wanted: Vec<(&str, &str)> = shape
        .split_whitespace()
        .map(|word| word.split_once(':').expect("key:type"))
        .collect();
    for (key, types) in &wanted {
        let found = object.get(*key).map_or("missing", kind);
        assert!(
            types.split('|').any(|one| one == found),
            "`{key}` is {found}, not {types}: {document:#}"
        );
    }
    for key in object.keys() {
        assert!(
            wanted.iter().any(|(known, _)| known == key),
            "`{key}` is not documented here: {document:#}"
        );
    }
}

/// The last line of a long command's output.
#[track_caller]
fn summary(outcome: &Outcome) -> Value {
    let lines = outcome.json_lines();
    let last = lines.last().expect("a summary").clone();
    assert_eq!(last["message_type"], "summary", "{outcome}");
    for line in &lines[..lines.len() - 1] {
        assert!(
            ["status", "verbose_status"].contains(&line["message_type"].as_str().unwrap_or_default()),
            "{line}"
        );
    }
    last
}

#[test]
fn backup_ends_with_a_summary() {
    let cli = user();
    let planned = cli.run(["backup", "www", "--json", "--dry-run"]).success();
    has_shape(
        &summary(&planned),
        "message_type:string dry_run:bool name:string source:object key:string store:string \
         total_bytes_processed:number|null expected_items:number|null part_bytes:number parts_in_flight:number remarks:array",
    );
    let made = cli.run(["backup", "www", "--json", "--tag", "nightly"]).success();
    let made = summary(&made);
    has_shape(
        &made,
        "message_type:string dry_run:bool snapshot_id:string name:string state:string store:string key:string \
         total_files_processed:number|null total_bytes_processed:number data_added:number data_added_packed:number \
         counts:object error_count:number warnings:array backup_start:time backup_end:time total_duration:number",
    );
    assert_eq!(made["dry_run"], false);
    assert_eq!(made["name"], "www");
    assert_eq!(made["state"], "complete");
    assert_eq!(
        made["counts"],
        serde_json::json!({"files": 2, "folders": 2, "others": 1, "skipped": 0})
    );
}

#[test]
fn a_long_backup_tells_its_status_once_a_second() {
    let cli = user();
    let made = cli
        .run([
            "backup",
            "--json",
            "-v",
            "--shell",
            "--command",
            "echo x; sleep 2.5; echo y",
        ])
        .success();
    let lines = made.json_lines();
    let of = |kind: &str| {
        lines
            .iter()
            .filter(|line| line["message_type"] == kind)
            .collect::<Vec<_>>()
    };
    let status = of("status");
    assert!((1..=4).contains(&status.len()), "{made}");
    has_shape(
        status[0],
        "message_type:string action:string seconds_elapsed:number percent_done:number bytes_stored:number \
         error_count:number files_done:number bytes_done:number",
    );
    let phases: Vec<&str> = of("verbose_status")
        .iter()
        .filter_map(|line| line["action"].as_str())
        .collect();
    assert_eq!(phases, ["preparing", "backing_up", "committing"]);
}

#[test]
fn list_show_and_ls_are_documents() {
    let cli = user();
    let empty = cli.run(["list", "--json"]).exits_with(10);
    assert_eq!(empty.stdout(), "");
    let made = summary(&cli.run(["backup", "www", "--json", "--tag", "nightly"]).success());
    let listed = cli.run(["list", "--json"]).success().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    has_shape(
        &listed[0],
        "id:string name:string time:time plain_bytes:number|null stored_bytes:number state:string trouble:null|string \
         storage_class:null|string archive:null|string thawed_until:null|time key:string source:string|null host:string|null tags:array",
    );
    assert_eq!(listed[0]["id"], made["snapshot_id"]);
    assert_eq!(listed[0]["tags"], serde_json::json!(["nightly"]));
    assert_eq!(cli.run(["restore", "--list-s3", "--json"]).success().json(), listed);

    let shown = cli.run(["show", "latest", "--json"]).success().json();
    has_shape(
        &shown,
        "format:number id:string name:string host:string source:object started:time finished:time state:string \
         problem_count:number objects:array extension:string plain_bytes:number plain_sha256:string codec:string \
         level:number members:number tags:array counts:object tool_version:string",
    );
    has_shape(
        &shown["objects"][0],
        "role:string key:string bytes:number sha256:string md5:string part_bytes:number parts:number token:string",
    );

    let nodes = cli.run(["ls", "latest", "--json"]).success().json_lines();
    let paths: Vec<&str> = nodes.iter().filter_map(|node| node["path"].as_str()).collect();
    assert_eq!(paths, ["www", "www/a.txt", "www/link", "www/below", "www/below/b.txt"]);
    has_shape(
        &nodes[1],
        "message_type:string path:string kind:string offset:number length:number size:number mode:number uid:number \
         gid:number user:string group:string mtime:number mtime_nanos:number",
    );
    assert_eq!(nodes[2]["link"], "a.txt");
}

#[test]
fn find_and_diff_are_lines_with_sums_at_the_end() {
    const ENTRY: &str = "path:string kind:string offset:number length:number size:number mode:number uid:number \
         gid:number user:string group:string mtime:number mtime_nanos:number";
    let cli = user();
    let _ = cli.run(["backup", "www"]).success();
    std::fs::write(cli.home().join("www/a.txt"), "longer").expect("a file");
    let _ = cli.run(["backup", "www"]).success();
    let found = cli.run(["find", "a.txt", "--json"]).success().json_lines();
    assert_eq!(found.len(), 3);
    has_shape(
        &found[0],
        &format!("message_type:string snapshot_id:string name:string time:time {ENTRY}"),
    );
    has_shape(
        &found[2],
        "message_type:string matches:number snapshots_with_matches:number snapshots_searched:number \
         snapshots_unreadable:number unmanaged:number",
    );
    std::fs::write(cli.home().join("www/new.txt"), "").expect("a file");
    let _ = cli.run(["backup", "www"]).success();
    let changes = cli.run(["diff", "oldest", "latest", "--json"]).success().json_lines();
    let [changed, added, statistics] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    has_shape(
        changed,
        "message_type:string path:string modifier:string before:object after:object",
    );
    has_shape(
        added,
        "message_type:string path:string modifier:string before:null after:object",
    );
    has_shape(
        statistics,
        "message_type:string source_snapshot:string target_snapshot:string changed_files:number added:object \
         removed:object changed:object",
    );
    has_shape(
        &statistics["added"],
        "files:number dirs:number others:number tables:number bytes:number",
    );
}

#[test]
fn restore_ends_with_a_summary() {
    let cli = user();
    let made = summary(&cli.run(["backup", "www", "--json"]).success());
    let planned = summary(&cli.run(["restore", "--to", "out", "--dry-run", "--json"]).success());
    has_shape(
        &planned,
        "message_type:string dry_run:bool snapshot_id:string name:string time:time store:string target:string \
         content:string total_bytes:number total_files:number destructive:null|string",
    );
    assert!(!cli.home().join("out").exists());
    let done = summary(&cli.run(["restore", "--to", "out", "--json"]).success());
    has_shape(
        &done,
        "message_type:string dry_run:bool snapshot_id:string target:string total_files:number|null \
         files_restored:number|null tables:null|number bytes_restored:number error_count:number replaced_as:null|string \
         safety_backup:null|string total_duration:number",
    );
    assert_eq!(done["snapshot_id"], made["snapshot_id"]);
    assert_eq!(done["files_restored"], 2);
}

#[test]
fn content_on_standard_output_is_not_mixed_with_messages() {
    let cli = user();
    let _ = cli.run(["backup", "--command", "printf payload"]).success();
    let streamed = cli.run(["restore", "--to", "-", "--json"]).success();
    assert_eq!(streamed.stdout_bytes(), b"payload");
    let last = streamed.stderr().lines().last().expect("a summary").to_owned();
    let last: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(last["message_type"], "summary");
    assert_eq!(last["bytes_restored"], 7);
}

#[test]
fn config_and_version_are_documents() {
    let cli = user();
    let shown = cli.run(["config", "show", "--json"]).success().json();
    has_shape(
        &shown,
        "message_type:string file:null|string profile:null|string settings:object warnings:array",
    );
    for setting in shown["settings"].as_object().expect("an object").values() {
        assert!(
            setting.get("value").is_some() && setting["origin"].is_string(),
            "{setting}"
        );
    }
    let created = cli.run(["config", "init", "c.toml", "--json"]).success().json();
    has_shape(&created, "message_type:string file:string");
    let checked = cli
        .run(["config", "check", "--config", "c.toml", "--json"])
        .success()
        .json();
    has_shape(
        &checked,
        "message_type:string file:string profiles:number problems:number",
    );
    let version = cli.run(["version", "--json"]).success().json();
    has_shape(
        &version,
        "message_type:string name:string version:string format:number os:string arch:string",
    );
}

#[test]
fn failures_are_the_last_line_on_standard_error() {
    let cli = user();
    let _ = cli.run(["backup", "www"]).success();
    std::fs::create_dir(cli.home().join("out")).expect("a folder");
    std::fs::write(cli.home().join("out/mine"), "precious").expect("a file");
    for (arguments, code) in [
        (&["backup", "nowhere", "--json"][..], 1),
        (&["backup", "www", "--level", "13", "--json"], 2),
        (&["show", "none", "--json"], 10),
        (&["restore", "--to", "out", "--json"], 21),
        (&["restore", "--to", "out", "--replace", "--json"], 21),
        (&["backup", "--frobnicate", "--json"], 2),
        (&["ls", "latest", "none", "--json"], 10),
        (&["config", "check", "--config", "none.toml", "--json"], 2),
    ] {
        let outcome = cli.run(arguments).exits_with(code);
        let last = outcome.stderr().lines().last().expect("a line");
        let last: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("not JSON\n{outcome}"));
        assert_eq!(last["message_type"], "exit_error", "{outcome}");
        assert_eq!(last["code"], code, "{outcome}");
        assert!(last["message"].is_string() && last["hints"].is_array(), "{outcome}");
        assert_eq!(outcome.stdout(), "", "{outcome}");
    }
}
