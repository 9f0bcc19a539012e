//! Removing: one object, many in one request, versions, and uploads that nobody ended.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsOutput;
use aws_sdk_s3::types::{Delete, EncodingType, ObjectIdentifier, ObjectLockLegalHoldStatus};
use jiff::Timestamp;

use crate::base::failure::{Failure, Kind, Result};
use crate::store::removal::{Deletion, Doomed, Retained, Version};
use crate::store::{Key, UnfinishedUpload};

use super::errors::{Class, Problem};
use super::list::{decoded, incomplete, is_encoded};
use super::session::{Request, Session, Stop};
use super::stat::{special_class, timestamp};

/// How many objects one request may name.
const BATCH_KEYS: usize = 1000;

/// What S3 gives at most per page of versions.
const PAGE_VERSIONS: i32 = 1000;

/// Whether a server was found not to know requests that remove many objects.
#[derive(Debug, Default)]
pub(super) struct BatchHabit(AtomicBool);

impl BatchHabit {
    fn is_off(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn give_up(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Session {
    /// Removes many objects, up to a thousand in a request where the server can.
    pub(super) fn remove_many(&self, objects: &[Doomed]) -> Result<Vec<Deletion>> {
        let mut outcomes = Vec::with_capacity(objects.len());
        for batch in objects.chunks(BATCH_KEYS) {
            let stop = self.stop_from_now();
            match self.block_on(self.remove_batch(batch, &stop))? {
                Some(done) => outcomes.extend(done),
                None => {
                    for doomed in batch {
                        outcomes.push(self.block_on(self.remove_one(doomed, &stop))?);
                    }
                }
            }
        }
        Ok(outcomes)
    }

    /// One request for many; `None` if they have to be removed one by one.
    async fn remove_batch(&self, batch: &[Doomed], stop: &Stop) -> Result<Option<Vec<Deletion>>> {
        // XML has no way to write these characters.
        let is_writable = |doomed: &Doomed| !doomed.key.as_str().chars().any(char::is_control);
        if batch.len() < 2 || self.batches.is_off() || !batch.iter().all(is_writable) {
            return Ok(None);
        }
        let request = Request::new(
            format!("remove {} objects of `s3://{}`", batch.len(), self.options.bucket),
            "s3:DeleteObject",
            None,
        )
        .stopped_by(stop);
        let mut identifiers = Vec::with_capacity(batch.len());
        for doomed in batch {
            let identifier = ObjectIdentifier::builder()
                .key(doomed.key.as_str())
                .set_version_id(doomed.version_id.clone())
                .build();
            identifiers.push(identifier.map_err(|error| unbuilt(error.into()))?);
        }
        let delete = Delete::builder()
            .set_objects(Some(identifiers))
            .build()
            .map_err(|error| unbuilt(error.into()))?;
        let outcome = self
            .call(&request, |client: Client, overrides| {
                client
                    .delete_objects()
                    .bucket(&self.options.bucket)
                    .delete(delete.clone())
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match outcome {
            Ok(answer) => self.read_batch(batch, &answer, stop).await.map(Some),
            // Some servers do not know the request, others want a header that the client does not send.
            Err(problem) if may_lack_batches(&problem) => {
                self.batches.give_up();
                Ok(None)
            }
            Err(problem) => Err(self.explain(&request, &problem)),
        }
    }

    /// What the answer says of each object. One that it does not name may still be there.
    async fn read_batch(&self, batch: &[Doomed], answer: &DeleteObjectsOutput, stop: &Stop) -> Result<Vec<Deletion>> {
        let name = |key: Option<&str>, version: Option<&str>| {
            (
                key.unwrap_or_default().to_owned(),
                version.unwrap_or_default().to_owned(),
            )
        };
        let deleted: HashMap<_, bool> = answer
            .deleted()
            .iter()
            .map(|deleted| {
                let is_marked = deleted.delete_marker().unwrap_or(false);
                (name(deleted.key(), deleted.version_id()), is_marked)
            })
            .collect();
        let errors: HashMap<_, _> = answer
            .errors()
            .iter()
            .map(|error| (name(error.key(), error.version_id()), error))
            .collect();
        let mut outcomes = Vec::with_capacity(batch.len());
        for doomed in batch {
            let exact = name(Some(doomed.key.as_str()), doomed.version_id.as_deref());
            let unversioned = name(Some(doomed.key.as_str()), None);
            let error = errors.get(&exact).or_else(|| errors.get(&unversioned));
            let success = deleted.get(&exact).or_else(|| deleted.get(&unversioned));
            outcomes.push(match (error, success) {
                (None, Some(true)) if doomed.version_id.is_none() => Deletion::Covered,
                (None, Some(_)) => Deletion::Gone,
                (Some(error), _) => match error.code().unwrap_or_default() {
                    "NoSuchKey" | "NoSuchVersion" => Deletion::Gone,
                    // By itself it is tried again, and its lock is looked at.
                    "InternalError" | "SlowDown" | "ServiceUnavailable" | "AccessDenied" => {
                        self.remove_one(doomed, stop).await?
                    }
                    code => Deletion::Failed(
                        Failure::new(
                            Kind::Failed,
                            format!("Could not remove {}", self.object(doomed.key.as_str())),
                        )
                        .caused_by(anyhow::anyhow!(
                            "The store answered {code}: {}",
                            error.message().unwrap_or_default()
                        )),
                    ),
                },
                (None, None) => Deletion::Failed(
                    Failure::new(
                        Kind::Failed,
                        format!("Could not remove {}", self.object(doomed.key.as_str())),
                    )
                    .caused_by(anyhow::anyhow!("The store's answer does not say what became of it")),
                ),
            });
        }
        Ok(outcomes)
    }

    /// One request for one object; a failure that would befall every other one, too, is an error.
    async fn remove_one(&self, doomed: &Doomed, stop: &Stop) -> Result<Deletion> {
        let request = Request::new(
            format!("remove {}", self.object(doomed.key.as_str())),
            match doomed.version_id {
                None => "s3:DeleteObject",
                Some(_) => "s3:DeleteObjectVersion",
            },
            Some(doomed.key.as_str()),
        )
        .stopped_by(stop);
        let outcome = self
            .call(&request, |client: Client, overrides| {
                client
                    .delete_object()
                    .bucket(&self.options.bucket)
                    .key(doomed.key.as_str())
                    .set_version_id(doomed.version_id.clone())
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        let problem = match outcome {
            Ok(answer) if doomed.version_id.is_none() && answer.delete_marker().unwrap_or(false) => {
                return Ok(Deletion::Covered);
            }
            Ok(_) => return Ok(Deletion::Gone),
            Err(problem) if problem.class == Class::NoKey => return Ok(Deletion::Gone),
            Err(problem) => problem,
        };
        if problem.status.is_some()
            && let Ok(Some(retained)) = self.retained(&doomed.key, doomed.version_id.as_deref(), stop).await
        {
            return Ok(Deletion::Retained(retained));
        }
        if names_a_lock(&problem) {
            return Ok(Deletion::Retained(Retained { until: None }));
        }
        let failure = self.explain(&request, &problem);
        match failure.kind() {
            Kind::Unreachable | Kind::Interrupted | Kind::NotFound => Err(failure),
            _ => Ok(Deletion::Failed(failure)),
        }
    }

    /// Whether an object or one version of it is locked now.
    pub(super) async fn retained(&self, key: &Key, version_id: Option<&str>, stop: &Stop) -> Result<Option<Retained>> {
        let request = Request::new(
            format!("look at the lock of {}", self.object(key.as_str())),
            "s3:GetObjectRetention",
            Some(key.as_str()),
        )
        .stopped_by(stop);
        let outcome = self.head(&request, key, version_id).await;
        let answer = match outcome {
            Ok(answer) => answer,
            Err(problem) if problem.class == Class::NoKey => return Ok(None),
            Err(problem) => return Err(self.explain(&request, &problem)),
        };
        let until = answer.object_lock_retain_until_date().and_then(timestamp);
        let is_held = answer.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On);
        let is_locked = until.is_some_and(|until| until > Timestamp::now());
        Ok((is_held || is_locked).then_some(Retained {
            until: until.filter(|_| is_locked),
        }))
    }

    /// Visits every version of the objects below a prefix, and every marker, in the order of the keys within each page.
    pub(super) fn versions(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Version) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let request = Request::new(
            format!("list the versions of `s3://{}/{prefix}`", self.options.bucket),
            "s3:ListBucketVersions",
            None,
        );
        let mut marker: Option<(String, Option<String>)> = None;
        loop {
            let page = self.block_on(async {
                self.call(&request, |client: Client, overrides| {
                    client
                        .list_object_versions()
                        .bucket(&self.options.bucket)
                        .prefix(prefix)
                        .encoding_type(EncodingType::Url)
                        .set_key_marker(marker.as_ref().map(|(key, _)| key.clone()))
                        .set_version_id_marker(marker.as_ref().and_then(|(_, id)| id.clone()))
                        .max_keys(PAGE_VERSIONS)
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await
                .map_err(|problem| self.explain(&request, &problem))
            })?;
            let encoded = is_encoded(page.encoding_type());
            let contents = page.versions().iter().map(|version| {
                let bytes = version.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                let class = special_class(version.storage_class().map(|class| class.as_str()));
                (
                    version.key(),
                    version.version_id(),
                    version.is_latest(),
                    false,
                    bytes,
                    class,
                )
            });
            let markers = page
                .delete_markers()
                .iter()
                .map(|marker| (marker.key(), marker.version_id(), marker.is_latest(), true, 0, None));
            for (key, version_id, is_latest, is_marker, bytes, storage_class) in contents.chain(markers) {
                let (Some(key), Some(version_id)) = (key, version_id) else {
                    return Err(incomplete(&request, "a version without a key or an id"));
                };
                let key = decoded(key, encoded)?;
                if !key.starts_with(prefix) {
                    continue;
                }
                let version = Version {
                    key: Key::new(key),
                    version_id: version_id.to_owned(),
                    is_latest: is_latest.unwrap_or(false),
                    is_marker,
                    bytes,
                    storage_class,
                };
                if visit(version)?.is_break() {
                    return Ok(());
                }
            }
            if !page.is_truncated().unwrap_or(false) {
                return Ok(());
            }
            let next = match page.next_key_marker().filter(|key| !key.is_empty()) {
                Some(key) => (decoded(key, encoded)?, page.next_version_id_marker().map(str::to_owned)),
                None => return Err(incomplete(&request, "a page without a way on")),
            };
            if marker.as_ref() == Some(&next) {
                return Err(incomplete(&request, "the same page again"));
            }
            marker = Some(next);
        }
    }

    /// Throws away an upload that nobody will end.
    pub(super) fn abort_unfinished(&self, upload: &UnfinishedUpload) -> Result<()> {
        let stop = self.stop_from_now();
        let request = Request::new(
            format!("abort the upload of {}", self.object(upload.key.as_str())),
            "s3:AbortMultipartUpload",
            Some(upload.key.as_str()),
        )
        .stopped_by(&stop);
        self.block_on(async {
            let outcome = self
                .call(&request, |client: Client, overrides| {
                    client
                        .abort_multipart_upload()
                        .bucket(&self.options.bucket)
                        .key(upload.key.as_str())
                        .upload_id(&upload.upload_id)
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await;
            match outcome {
                Ok(_) => Ok(()),
                Err(problem) if matches!(problem.class, Class::NoUpload | Class::NoKey) => Ok(()),
                Err(problem) => Err(self.explain(&request, &problem)),
            }
        })
    }

    /// The store's time: every answer carries it, and that to a question for what is not there says nothing else.
    pub(super) fn store_time(&self) -> Result<Timestamp> {
        let key = match self.prefix.as_str() {
            "" => format!("backup-cli-clock-{:016x}", rand::random::<u64>()),
            prefix => format!("{prefix}/backup-cli-clock-{:016x}", rand::random::<u64>()),
        };
        let request = Request::new("learn the store's time".to_owned(), "s3:ListBucket", None);
        self.block_on(async {
            let outcome = self.head(&request, &Key::new(key), None).await;
            let ahead_secs = match outcome {
                Err(problem) if matches!(problem.class, Class::NoKey | Class::Denied | Class::Skew) => {
                    problem.server_ahead_secs
                }
                Err(problem) => return Err(self.explain(&request, &problem)),
                Ok(_) => None,
            };
            ahead_secs
                .and_then(|secs| Timestamp::now().checked_add(jiff::SignedDuration::from_secs(secs)).ok())
                .ok_or_else(|| {
                    Failure::new(Kind::Failed, "The store does not tell its time")
                        .hint("That is no answer of an S3 server: look for a proxy or a log-in page on the way to it")
                })
        })
    }
}

fn unbuilt(error: anyhow::Error) -> Failure {
    Failure::new(Kind::Failed, "Could not make the request to remove objects").caused_by(error)
}

/// Whether a refusal may be aimed at the request itself.
fn may_lack_batches(problem: &Problem) -> bool {
    problem.status.is_some()
        && matches!(
            problem.class,
            Class::NotImplemented | Class::InvalidArgument | Class::Fatal | Class::NoKey
        )
}

/// Whether the words of a refusal are about a lock. Who may not look at locks is told no more.
fn names_a_lock(problem: &Problem) -> bool {
    let words = problem.message.to_ascii_lowercase();
    problem.class == Class::Denied
        && ["object lock", "worm", "retention", "legal hold", "locked"]
            .iter()
            .any(|word| words.contains(word))
}
