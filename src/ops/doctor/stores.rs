//! The stores, each by itself.

use std::path::PathBuf;
use std::sync::Arc;

use super::Section;
use super::TRIAL_NAME;
use super::check::{Status, in_order};
use super::local;
use super::s3::facts::Advice;
use super::s3::{self, bucket, habits, lifecycle, look, rights, way};
use crate::base::failure::Result;
use crate::bucket::Bucket;
use crate::ops::Run;
use crate::store::local::LocalStore;
use crate::store::s3::S3Store;
use crate::store::{Key, Store};

/// How long backups are meant to be kept, as far as settings say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For how many days the policy of `prune` keeps a backup at most.
    pub keep_days: Option<u64>,
    /// After how many days the bucket is to remove them.
    pub delete_days: Option<u64>,
}

/// A store to be looked at.
pub enum StoreToCheck {
    /// A bucket.
    S3 {
        /// The store.
        store: Arc<S3Store>,
        /// Where the credentials of the settings were written; `None` leaves it to AWS's own chain.
        credentials_origin: Option<String>,
        /// Whether requests carry checksums besides their MD5.
        sends_checksums: bool,
        /// The encryption that each object asks for.
        encryption: Option<String>,
    },
    /// A folder.
    Local {
        /// The store.
        store: Arc<LocalStore>,
        /// Its folder.
        folder: PathBuf,
    },
}

/// What is known of the run besides the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// How long backups are kept.
    pub retention: Retention,
    /// Whether backups are encrypted before they leave.
    pub is_sealed: bool,
    /// Whether this machine has something to back up.
    pub makes_backups: bool,
    /// How much a backup holds, in bytes, where that is known.
    pub plain_bytes: Option<u64>,
}

/// What came out for a store.
#[derive(Clone, Debug)]
pub struct StoreVerdict {
    /// The checks.
    pub section: Section,
    /// Settings for the profile that fit the store better, by name.
    pub advice: std::collections::BTreeMap<&'static str, String>,
    /// Whether the store answers, so that more can be asked of it.
    pub answers: bool,
}

/// Looks at a store.
///
/// # Errors
/// [`crate::base::failure::Kind::Interrupted`]; everything else is a check that went badly.
pub fn check_store(store: &StoreToCheck, beside: Beside, run: &Run) -> Result<StoreVerdict> {
    match store {
        StoreToCheck::S3 {
            store,
            credentials_origin,
            sends_checksums,
            encryption,
        } => {
            let trial_key = Key::new(format!("{}{TRIAL_NAME}", look::folder(store.prefix())));
            let facts = look::look(store, &trial_key)?;
            let bucket = Bucket::of(store);
            let around = way::Around {
                endpoint: bucket.endpoint(),
                credentials_origin: credentials_origin.clone(),
                now: run.clock.now(),
            };
            let mut advice = Advice::new();
            let mut checks = way::judge(&facts, &around, &mut advice);
            if let Some(reached) = &facts.reached {
                let expected = habits::Expected {
                    provider: store.provider(),
                    sends_checksums: *sends_checksums,
                    encryption: encryption.as_deref(),
                    server: facts.heads.server.as_deref(),
                };
                let folder = look::folder(store.prefix());
                let seen = reached.trial.seen.is();
                checks.extend(rights::judge(reached, beside.makes_backups, run.clock.now()));
                checks.extend(habits::judge(reached, expected, &mut advice));
                checks.extend(bucket::judge(
                    &reached.settings,
                    bucket::Beside {
                        retention: beside.retention,
                        is_sealed: beside.is_sealed,
                        encrypted_with: seen.and_then(|seen| seen.encryption.as_deref()),
                        folder: &folder,
                    },
                ));
                checks.extend(lifecycle::judge(&reached.settings.lifecycle, beside.retention, &folder));
            }
            let checks = in_order(s3::IDS, checks, way::why_not(&facts));
            Ok(StoreVerdict {
                section: Section::new(store.url(), checks),
                advice,
                answers: facts.reached.is_some(),
            })
        }
        StoreToCheck::Local { store, folder } => {
            let checks = local::look(store, folder, beside.plain_bytes, run)?;
            let answers = folder.is_dir();
            // The first backup makes it.
            let is_to_come = checks
                .iter()
                .any(|check| check.id == "store.folder" && check.status == Status::Warning);
            let why_not = match is_to_come {
                true => "there is no such folder yet",
                false => "the folder cannot be used",
            };
            Ok(StoreVerdict {
                section: Section::new(store.url(), in_order(local::IDS, checks, why_not)),
                advice: Advice::new(),
                answers,
            })
        }
    }
}
