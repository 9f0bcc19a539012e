//! Generated files are committed, and are what this version of the code generates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use backup_cli::cli::generate;

#[test]
fn committed_files_are_what_the_code_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = generate::files().expect("the files can be generated");
    let stale: Vec<&PathBuf> = files
        .iter()
        .filter(|(path, content)| std::fs::read(root.join(path)).ok().as_ref() != Some(content))
        .map(|(path, _)| path)
        .collect();
    assert!(
        stale.is_empty(),
        "stale: {stale:?}; run `cargo run -- generate .` and commit the result"
    );
}

#[test]
fn folders_of_generated_files_hold_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = generate::files().expect("the files can be generated");
    let known: BTreeSet<PathBuf> = files.into_keys().collect();
    for folder in generate::FOLDERS {
        for entry in std::fs::read_dir(root.join(folder)).expect("the folder is committed") {
            let path = Path::new(folder).join(entry.expect("the folder can be read").file_name());
            assert!(
                known.contains(&path),
                "{} is not generated any more; remove it",
                path.display()
            );
        }
    }
}
