//! What a backup in a folder needs to outlive a power cut: every file is on the disk before it has its name, and the name
//! before the next file counts on it.

use crate::support::cli::Cli;
use crate::support::server::fresh_folder;
use crate::support::system_tool;
use crate::support::trees::make_small_tree;

/// One call of the trace: `fsync` of a path, or a path that got its name.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Synced(String),
    Named(String),
}

/// What a line of `strace -y` tells: `1234 fsync(9</store/x>) = 0`, `1234 linkat(…, …, 7</store>, "y", 0) = 0`.
fn step_of(line: &str) -> Option<Step> {
    let call = line.split_whitespace().nth(1)?.split('(').next()?;
    let paths: Vec<&str> = line
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .collect();
    match call {
        "fsync" | "fdatasync" => Some(Step::Synced((*paths.first()?).to_owned())),
        "linkat" | "link" | "rename" | "renameat" | "renameat2" => {
            let name = line.rsplit('"').nth(1)?;
            Some(Step::Named(match paths.last() {
                Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
                _ => name.to_owned(),
            }))
        }
        _ => None,
    }
}

#[test]
fn every_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_next() {
    let scratch = fresh_folder("durable");
    let (tree, store, trace) = ["tree", "store", "trace"].map(|name| scratch.path().join(name)).into();
    make_small_tree(&tree);
    let strace = system_tool("strace").display().to_string();
    let trace_text = trace.to_str().expect("a path in UTF-8");
    let calls = "trace=fsync,fdatasync,link,linkat,rename,renameat,renameat2";
    Cli::new()
        .env("BACKUP_STORE", &store)
        .through([strace.as_str(), "-f", "-y", "-qqq", "-o", trace_text, "-e", calls, "--"])
        .run(["backup", tree.to_str().expect("a path in UTF-8"), "--name", "app"])
        .success();

    let store = std::fs::canonicalize(&store).expect("the store").display().to_string();
    let text = std::fs::read_to_string(&trace).expect("the trace");
    let steps: Vec<Step> = text
        .lines()
        .filter_map(step_of)
        .filter(|step| matches!(step, Step::Synced(path) | Step::Named(path) if path.starts_with(&store)))
        .collect();
    let named: Vec<(usize, &str)> = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step {
            Step::Named(path) => Some((at, path.as_str())),
            Step::Synced(_) => None,
        })
        .collect();
    let ends = [".tar.gz", ".tar.gz.index.gz", ".tar.gz.manifest.json"];
    assert_eq!(named.len(), ends.len(), "{steps:#?}");
    let mut from = 0;
    for (number, ((at, path), end)) in named.iter().zip(ends).enumerate() {
        assert!(path.ends_with(end), "{path} and not {end}: {steps:#?}");
        let folder = path.rsplit_once('/').expect("a folder").0;
        // Its content, under whatever name or none it had until then.
        let is_content = |step: &Step| matches!(step, Step::Synced(synced) if synced != folder && !folder.starts_with(synced.as_str()));
        assert!(
            steps[from..*at].iter().any(is_content),
            "the content of {path}: {steps:#?}"
        );
        let until = named.get(number + 1).map_or(steps.len(), |(next, _)| *next);
        assert!(
            steps[*at..until].contains(&Step::Synced(folder.to_owned())),
            "the name of {path}: {steps:#?}"
        );
        from = *at;
    }
}
