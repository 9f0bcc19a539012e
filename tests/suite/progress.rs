//! The progress bar: on a terminal and nowhere else.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::server::fresh_folder;
use crate::support::system_tool;
use crate::support::trees::Noise;

/// What a command says on a terminal of its own, a hundred columns wide.
fn on_a_terminal(home: &Path, arguments: &str) -> String {
    let tool = env!("CARGO_BIN_EXE_backup-cli");
    let line = format!("stty cols 100 rows 40; exec {tool} {arguments}");
    let output = Command::new(system_tool("script"))
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TERM", "xterm")
        .env("HOME", home)
        .env("SHELL", "/bin/sh")
        .env("BACKUP_STORE", home.join("store"))
        .stdin(Stdio::null())
        .output()
        .expect("script starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// Whether some piece of what was drawn looks like this: each word in its order, with whatever between them.
fn has_drawn(said: &str, words: &[&str]) -> bool {
    said.split('\r').any(|drawn| {
        let mut rest = drawn;
        words.iter().all(|word| match rest.split_once(word) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    })
}

#[test]
fn a_terminal_sees_bytes_rate_files_and_the_time_that_is_left() {
    let scratch = fresh_folder("progress");
    let tree = scratch.path().join("tree");
    std::fs::create_dir(&tree).expect("a folder");
    // Enough for some seconds at the slowest level.
    for number in 0..24 {
        let text = Noise::new(number).text(2 << 20);
        std::fs::write(tree.join(format!("file-{number}")), text).expect("the file is written");
    }
    let backup = format!("backup {} --name app --level 12", tree.display());
    let said = on_a_terminal(scratch.path(), &backup);
    let facts = ["MiB / ", "/s", "ETA ", "/25 files"];
    assert!(has_drawn(&said, &facts), "{said:?}");
    let said = on_a_terminal(scratch.path(), &format!("{backup} --no-progress"));
    assert!(!said.contains("ETA "), "{said:?}");

    // Elsewhere nothing is drawn over anything.
    let piped = Command::new(env!("CARGO_BIN_EXE_backup-cli"))
        .args(["backup", tree.to_str().expect("a path in UTF-8"), "--name", "piped"])
        .env_clear()
        .env("HOME", scratch.path())
        .env("BACKUP_STORE", scratch.path().join("store"))
        .output()
        .expect("the tool starts");
    assert!(piped.status.success());
    let said = String::from_utf8_lossy(&piped.stderr);
    assert!(
        !said.contains('\r') && !said.contains('\u{1b}') && !said.contains("ETA "),
        "{said:?}"
    );
}
