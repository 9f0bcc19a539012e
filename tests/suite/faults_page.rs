//! The page of faults cannot rot: each test that it names exists, and each entry of the catalogue is on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::project;

/// Bugs of other projects that must have a row, as the page writes them.
const CATALOGUE: &[&str] = &[
    "DBackup#154",
    "db-backup#366",
    "schickling/dockerfiles#13",
    "django-pgclone#38",
    "cagriekin/charts#159",
    "autopostgresqlbackup#2",
    "Debian#956083",
    "metagraphed#2157",
    "restic#4612",
    "restic#1246",
    "orca#204",
    "pgbackweb#121",
    "Portabase#332",
    "pgBackRest#2622",
    "mysql-backup#395",
    "WAL-G#636",
    "aws-sdk-java-v2#7068",
    "aws-sdk-java-v2#7084",
    "arrow-rs#4965",
    "rusoto#1936",
    "duckdb-httpfs#393",
    "aws-sdk-rust#910",
    "aws-sdk-rust#1163",
    "arrow-rs#2795",
    "CVE-2023-36811",
    "restic#4523",
    "restic#4677",
    "beads#5972",
    "geolens#710",
    "DBeaver#15068",
    "duplicacy#691",
    "findajob#960",
    "keysync#132",
    "RUSTSEC-2026-0067",
    "RUSTSEC-2026-0068",
    "RUSTSEC-2025-0110",
    "RUSTSEC-2025-0111",
    "RUSTSEC-2026-0066",
    "RUSTSEC-2026-0112",
    "RUSTSEC-2026-0113",
    "RUSTSEC-2026-0145",
    "dbtrail#811",
    "VMaNGOS#86",
    "spatie/laravel-backup#6",
    "pterodactyl#3582",
    "owncloud/ocis#4968",
    "restic-robot#19",
    "github/backup-utils#36",
    "btrfs-send-to-s3#19",
    "aws-cli#4562",
    "aws-sdk-php#1895",
    "source.coop#402",
    "scaleway-ops#80",
    "minio#13318",
    "ydb#49947",
    "FoundationDB#14027",
    "tar-rs#352",
    "tar-rs#282",
    "omicron#4010",
    "super-productivity#9836",
    "tusd#1137",
    "Cap#2275",
    "aws-sdk-rust#1052",
    "CVE-2025-8714",
    "CVE-2026-18408",
    "litestream#1344",
    "litestream#1282",
    "litestream#1322",
    "litestream#1286",
    "litestream#1433",
    "litestream#1432",
    "kafka-backup#169",
    "borg#3444",
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of all functions with the attribute of a test.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        rust_files(&project().join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of the project");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line == "#[test]" {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                names.insert(rest.split('(').next().unwrap_or_default().to_owned());
                is_test = false;
            }
        }
    }
    names
}

fn page() -> String {
    std::fs::read_to_string(project().join("tests/FAULTS.md")).expect("the page")
}

/// The rows of the page that name a test, cell by cell. A bar in a cell is written `\|`.
fn rows(page: &str) -> Vec<Vec<String>> {
    page.lines()
        .filter(|line| line.contains("`tests/run "))
        .filter(|line| line.starts_with('|'))
        .map(|line| {
            let line = line.replace("\\|", "\u{0}");
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().replace('\u{0}', "|"))
                .collect()
        })
        .collect()
}

#[test]
fn every_test_that_the_page_of_faults_names_exists() {
    let (page, tests) = (page(), tests());
    let rows = rows(&page);
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let [place, what, test, command] = row.as_slice() else {
            panic!("a row has other cells: {row:?}");
        };
        assert!(!place.is_empty() && !what.is_empty(), "{row:?}");
        let name = test.trim_matches('`');
        assert!(tests.contains(name), "there is no test `{name}`");
        assert_eq!(*command, format!("`tests/run {name}`"), "{row:?}");
    }
}

#[test]
fn every_entry_of_the_catalogue_is_on_the_page_of_faults() {
    let page = page();
    let places: Vec<String> = rows(&page).into_iter().map(|row| row[0].clone()).collect();
    for entry in CATALOGUE {
        let is_there = places.iter().any(|place| {
            place
                .split([',', ' ', '(', ')'])
                .any(|word| word == *entry || word.ends_with(&format!("/{entry}")))
        });
        assert!(is_there, "`{entry}` has no row");
    }
}

#[test]
fn one_place_alone_writes_the_lifecycle_of_a_bucket() {
    let mut files = Vec::new();
    rust_files(&project().join("src"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file of the project");
        let is_the_place = file.ends_with("src/bucket/lifecycle/requests.rs");
        assert_eq!(
            text.contains("put_bucket_lifecycle"),
            is_the_place,
            "{}",
            file.display()
        );
    }
}
