//! The contract of stores, against every store there is.

use std::sync::Arc;
use std::time::Duration;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::report::Recorder;
use backup_cli::base::secret::Secret;
use backup_cli::store::Store;
use backup_cli::store::contract::{CASES, Case, ContractOptions, check_case, check_contract};
use backup_cli::store::local::LocalStore;
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::s3::{S3Options, S3Store, StaticCredentials};

use crate::support::fault_s3::{FaultS3, Options};
use crate::support::s3_client::S3Access;
use crate::support::server::fresh_folder;
use crate::support::weed::Bucket;

/// A store on a server, as the command line would open it.
pub fn s3_store(access: &S3Access, bucket: &str, provider: Option<&str>) -> S3Store {
    let options = s3_options(access, bucket, provider);
    S3Store::open(options, Cancel::new(), Arc::new(Recorder::default())).expect("the options make sense")
}

/// The options of [`s3_store`].
pub fn s3_options(access: &S3Access, bucket: &str, provider: Option<&str>) -> S3Options {
    let mut options = S3Options::new(bucket, "backups");
    options.region = Some(access.region.clone());
    options.endpoint_url = Some(access.endpoint.clone());
    options.path_style = Some(true);
    options.provider = provider.map(str::to_owned);
    // The waits of real life would make up most of the suite's time.
    options.retry.first_wait = Duration::from_millis(20);
    options.retry.max_wait = Duration::from_secs(1);
    options.credentials = Some(StaticCredentials {
        access_key_id: access.access_key.clone(),
        secret_access_key: Secret::new(access.secret_key.clone()),
        session_token: None,
    });
    options
}

#[track_caller]
fn holds(store: &dyn Store, list_objects: usize) {
    if let Err(broken) = check_contract(store, &ContractOptions { list_objects }) {
        panic!("{broken}");
    }
}

#[test]
fn memory_holds_it() {
    holds(&MemoryStore::new(), 1100);
    holds(&MemoryStore::new().with_prefix("some/prefix"), 1100);
}

#[test]
fn a_local_folder_holds_it() {
    let folder = fresh_folder("contract");
    holds(&LocalStore::open(folder.path().join("not/there/yet")).unwrap(), 1100);
}

#[test]
fn seaweedfs_holds_it() {
    let bucket = Bucket::fresh();
    holds(&s3_store(&bucket.access, &bucket.name, Some("seaweedfs")), 1100);
    assert_eq!(bucket.keys(), Vec::<String>::new());
    assert_eq!(bucket.uploads(), Vec::<String>::new());
}

#[test]
fn seaweedfs_holds_it_as_a_server_of_which_nothing_is_known() {
    let bucket = Bucket::fresh();
    holds(&s3_store(&bucket.access, &bucket.name, None), 30);
}

#[test]
fn a_strict_server_holds_it_under_every_habit_that_it_can_have() {
    for (provider, options) in [
        ("aws", Options::default()),
        (
            "other",
            Options {
                page_keys_max: 7,
                ..Options::default()
            },
        ),
        (
            "minio",
            Options {
                complete_twice: false,
                ..Options::default()
            },
        ),
        (
            "r2",
            Options {
                parts_equal: true,
                etags_are_md5: false,
                ..Options::default()
            },
        ),
        (
            "garage",
            Options {
                conditions: false,
                complete_twice: false,
                ..Options::default()
            },
        ),
        (
            "scaleway",
            Options {
                parts_max: 1000,
                ..Options::default()
            },
        ),
    ] {
        let server = FaultS3::with(options);
        let bucket = server.bucket();
        let store = s3_store(&server.access(), &bucket, Some(provider));
        // Without conditions nobody can keep two writes apart that meet in one moment; every other promise holds.
        let cannot_hold = |case: &Case| provider == "garage" && case.name == "of_many_who_put_at_once_one_wins";
        let broken: Vec<String> = CASES
            .iter()
            .copied()
            .flatten()
            .filter(|case| !cannot_hold(case))
            .filter_map(|case| check_case(case, &store, &ContractOptions { list_objects: 30 }).err())
            .collect();
        assert!(broken.is_empty(), "{provider}:\n{}", broken.join("\n"));
    }
}
