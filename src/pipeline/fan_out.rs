//! Several stores as one to write to: each part is sent to all of them at once, and its bytes are shared.
//!
//! A store that fails is left out from then on, and the others go on; only when the last one fails does the writer see a
//! failure. A slow store holds the others up as soon as all parts that may be in memory wait for it: memory is that of one
//! store. Reading calls go to the first store that has not failed.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::digest::multipart_etag;
use super::upload::{compare, not_kept};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::{Event, Reporter};
use crate::store::archive::ThawRequest;
use crate::store::{Key, Limits, ObjectMeta, Part, PartReceipt, PutOptions, Store, UnfinishedUpload, Upload};

/// One of the stores, and where the backup's first data object goes in it.
#[derive(Clone)]
pub struct Branch {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The key there of what the writer knows as the first branch's data key.
    pub data_key: Key,
}

/// The stores, as one. Clones share what is known of them.
#[derive(Clone)]
pub struct FanOut(Arc<Shared>);

struct Shared {
    arms: Vec<Arm>,
    limits: Limits,
    reporter: Arc<dyn Reporter>,
}

struct Arm {
    /// What the writer's token is followed by here. Two branches may turn out to be one place under two names: what the one
    /// has made there must not pass for what the other one has.
    token_suffix: String,
    branch: Branch,
    is_out: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// Uploads that were begun; aborting one that was completed does nothing.
    uploads: Mutex<Vec<Arc<dyn Upload>>>,
    /// What was completed and looked at again, by the writer's keys; with the token of whoever made it.
    completed: Mutex<BTreeMap<Key, ObjectMeta>>,
    /// Keys whose completion was tried, which may stand there in spite of a failure.
    tried: Mutex<Vec<(Key, String)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FanOut {
    /// All of these stores; the writer uses the keys of the first one.
    ///
    /// # Errors
    /// [`Kind::Usage`] if there are none, or if no part would suit all of them.
    pub fn new(branches: Vec<Branch>, reporter: Arc<dyn Reporter>) -> Result<Self> {
        let limits = branches
            .iter()
            .map(|branch| branch.store.limits())
            .reduce(within_both)
            .ok_or_else(|| Failure::new(Kind::Usage, "There is no store to write to"))?;
        if limits.part_bytes_min > limits.part_bytes_max {
            return Err(
                Failure::new(Kind::Usage, "There is no part size that all of the stores take")
                    .hint("Back up to one of them, and `backup-cli copy` to the other"),
            );
        }
        let arms = branches.into_iter().enumerate().map(|(place, branch)| Arm {
            token_suffix: match place {
                0 => String::new(),
                place => format!("-{}", place + 1),
            },
            branch,
            is_out: AtomicBool::new(false),
            failure: Mutex::default(),
            uploads: Mutex::default(),
            completed: Mutex::default(),
            tried: Mutex::default(),
        });
        Ok(Self(Arc::new(Shared {
            arms: arms.collect(),
            limits,
            reporter,
        })))
    }

    /// What a branch holds under the writer's key, once it was completed there.
    #[must_use]
    pub fn meta_of(&self, branch: usize, key: &Key) -> Option<ObjectMeta> {
        lock(&self.0.arms.get(branch)?.completed).get(key).cloned()
    }

    /// Whether a branch has failed.
    #[must_use]
    pub fn is_out(&self, branch: usize) -> bool {
        self.0.arms.get(branch).is_none_or(Arm::is_out)
    }

    /// Why a branch was left out; told once.
    #[must_use]
    pub fn take_failure(&self, branch: usize) -> Option<Failure> {
        lock(&self.0.arms.get(branch)?.failure).take()
    }

    /// Leaves a branch out.
    pub fn leave_out(&self, branch: usize, failure: Failure) {
        if let Some(arm) = self.0.arms.get(branch) {
            self.0.leave_out(arm, failure);
        }
    }

    /// Removes what branches that were left out may still hold, or all branches if the run has failed: to be called when
    /// nothing is on the way to them any more. What cannot be removed is reported as a warning.
    pub fn clear_up(&self, everywhere: bool) {
        for arm in self.0.arms.iter().filter(|arm| everywhere || arm.is_out()) {
            arm.clear(|message| self.0.reporter.event(Event::Warning(message)));
        }
    }
}

/// Limits that both keep.
#[must_use]
pub fn within_both(one: Limits, other: Limits) -> Limits {
    Limits {
        part_bytes_min: one.part_bytes_min.max(other.part_bytes_min),
        part_bytes_max: one.part_bytes_max.min(other.part_bytes_max),
        parts_max: one.parts_max.min(other.parts_max),
        parts_equal: one.parts_equal || other.parts_equal,
        object_bytes_max: one.object_bytes_max.min(other.object_bytes_max),
    }
}

impl Arm {
    fn is_out(&self) -> bool {
        self.is_out.load(Ordering::SeqCst)
    }

    /// What an object of the writer's is put with here.
    fn options(&self, options: &PutOptions) -> PutOptions {
        PutOptions {
            token: self.token(&options.token),
            ..options.clone()
        }
    }

    fn token(&self, token: &str) -> String {
        format!("{token}{}", self.token_suffix)
    }

    /// An object here as the writer knows it.
    fn as_the_writers(&self, meta: ObjectMeta) -> ObjectMeta {
        let own = meta
            .token
            .as_deref()
            .map(|token| token.strip_suffix(&self.token_suffix).unwrap_or(token).to_owned());
        ObjectMeta { token: own, ..meta }
    }

    /// The key here of what the writer calls `key`.
    fn key(&self, shared: &Shared, key: &Key) -> Key {
        let base = shared.arms.first().map_or("", |first| first.branch.data_key.as_str());
        match key.as_str().strip_prefix(base) {
            Some(suffix) => self.branch.data_key.with_suffix(suffix),
            None => key.clone(),
        }
    }

    /// Aborts the uploads and removes the objects that are ours.
    fn clear(&self, warn: impl Fn(String)) {
        let url = self.branch.store.url();
        for upload in lock(&self.uploads).drain(..) {
            if let Err(failure) = upload.abort() {
                warn(format!(
                    "Parts of an upload may be left over in {url} and cost money: {}. `backup-cli cleanup --store {url}` throws them away.",
                    failure.in_one_line()
                ));
            }
        }
        for (key, token) in lock(&self.tried).drain(..) {
            let removed = self.branch.store.head(&key).and_then(|meta| match meta {
                Some(meta) if meta.token.as_deref() == Some(token.as_str()) => self.branch.store.delete(&key),
                _ => Ok(()),
            });
            if let Err(failure) = removed {
                warn(format!(
                    "The object `{key}` may be left over in {url}: {}. `backup-cli cleanup --store {url}` removes it.",
                    failure.in_one_line()
                ));
            }
        }
    }
}

impl Shared {
    fn live(&self) -> impl Iterator<Item = (usize, &Arm)> {
        self.arms.iter().enumerate().filter(|(_, arm)| !arm.is_out())
    }

    fn first(&self) -> Result<&Arm> {
        self.live()
            .map(|(_, arm)| arm)
            .next()
            .ok_or_else(|| Failure::new(Kind::Failed, "All stores have failed"))
    }

    fn leave_out(&self, arm: &Arm, failure: Failure) {
        if arm.is_out.swap(true, Ordering::SeqCst) {
            return;
        }
        self.reporter.event(Event::Warning(format!(
            "The backup to {} failed and is given up there: {}.",
            arm.branch.store.url(),
            failure.in_one_line()
        )));
        *lock(&arm.failure) = Some(failure);
        // Parts on their way to it hold the others up. That all is gone is seen to in the end.
        let uploads: Vec<_> = lock(&arm.uploads).clone();
        for upload in uploads {
            let _ = upload.abort();
        }
    }

    /// Does the same in every store that has not failed, at once. Those that fail are left out; it fails with the last.
    fn each<T: Send>(&self, work: impl Fn(usize, &Arm) -> Result<T> + Sync) -> Result<Vec<T>> {
        let live: Vec<(usize, &Arm)> = self.live().collect();
        let outcomes: Vec<(&Arm, Result<T>)> = match live.as_slice() {
            [(place, arm)] => vec![(*arm, work(*place, arm))],
            several => std::thread::scope(|scope| {
                let work = &work;
                let threads: Vec<_> = several
                    .iter()
                    .map(|(place, arm)| (*arm, scope.spawn(move || work(*place, arm))))
                    .collect();
                threads
                    .into_iter()
                    .map(|(arm, thread)| {
                        let outcome = thread.join().unwrap_or_else(|_| {
                            Err(Failure::new(Kind::Failed, "A thread ended by a panic, which is a bug"))
                        });
                        (arm, outcome)
                    })
                    .collect()
            }),
        };
        let mut done = Vec::with_capacity(outcomes.len());
        let mut last = None;
        for (arm, outcome) in outcomes {
            match outcome {
                Ok(value) => done.push(value),
                // The run ends, not the store.
                Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
                Err(failure) => {
                    let told = Failure::new(failure.kind(), failure.message());
                    self.leave_out(arm, failure);
                    last = Some(told);
                }
            }
        }
        match (done.is_empty(), last) {
            (false, _) => Ok(done),
            (true, last) => Err(last.unwrap_or_else(|| Failure::new(Kind::Failed, "All stores have failed"))),
        }
    }
}

impl Store for FanOut {
    fn url(&self) -> String {
        let urls: Vec<String> = self.0.arms.iter().map(|arm| arm.branch.store.url()).collect();
        urls.join(" and ")
    }

    fn prefix(&self) -> &str {
        self.0.arms.first().map_or("", |arm| arm.branch.store.prefix())
    }

    fn limits(&self) -> Limits {
        self.0.limits
    }

    fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        let shared = &self.0;
        let metas = shared.each(|_, arm| {
            let put = arm
                .branch
                .store
                .put(&arm.key(shared, key), body.clone(), &arm.options(options))?;
            Ok(arm.as_the_writers(put))
        })?;
        first_of(metas, key)
    }

    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        let shared = &self.0;
        let mut uploads: Vec<Option<Arc<dyn Upload>>> = shared.arms.iter().map(|_| None).collect();
        let begun = shared.each(|place, arm| {
            let upload: Arc<dyn Upload> = Arc::from(
                arm.branch
                    .store
                    .start_upload(&arm.key(shared, key), &arm.options(options))?,
            );
            lock(&arm.uploads).push(upload.clone());
            Ok((place, upload))
        })?;
        for (place, upload) in begun {
            uploads[place] = Some(upload);
        }
        Ok(Box::new(SeveralUploads {
            receipts: uploads.iter().map(|_| Mutex::default()).collect(),
            uploads,
            shared: shared.clone(),
            key: key.clone(),
            token: options.token.clone(),
        }))
    }

    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        let arm = self.0.first()?;
        arm.branch.store.get(&arm.key(&self.0, key), range)
    }

    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        // What stores that have failed may hold is seen to by `clear_up`.
        let Ok(arm) = self.0.first() else { return Ok(None) };
        // What was completed was looked at in each store.
        let known = lock(&arm.completed).get(key).cloned();
        let meta = match known {
            Some(meta) => Some(meta),
            None => arm.branch.store.head(&arm.key(&self.0, key))?,
        };
        Ok(meta.map(|meta| ObjectMeta {
            key: key.clone(),
            ..arm.as_the_writers(meta)
        }))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        self.0.first()?.branch.store.list(prefix, visit)
    }

    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        self.0.first()?.branch.store.list_folders(prefix, visit)
    }

    /// Removes it from every store that has not failed; those that have are cleared by [`FanOut::clear_up`].
    fn delete(&self, key: &Key) -> Result<()> {
        let mut outcome = Ok(());
        for (_, arm) in self.0.live() {
            lock(&arm.completed).remove(key);
            outcome = outcome.and(arm.branch.store.delete(&arm.key(&self.0, key)));
        }
        outcome
    }

    fn thaw(&self, key: &Key, request: &ThawRequest) -> Result<()> {
        let arm = self.0.first()?;
        arm.branch.store.thaw(&arm.key(&self.0, key), request)
    }

    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        self.0.first()?.branch.store.unfinished_uploads(prefix)
    }
}

fn first_of(metas: Vec<ObjectMeta>, key: &Key) -> Result<ObjectMeta> {
    let meta = metas
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new(Kind::Failed, "All stores have failed"))?;
    Ok(ObjectMeta {
        key: key.clone(),
        ..meta
    })
}

/// An object that is being written to several stores.
struct SeveralUploads {
    shared: Arc<Shared>,
    key: Key,
    token: String,
    /// By the branch; none where the branch was out already.
    uploads: Vec<Option<Arc<dyn Upload>>>,
    receipts: Vec<Mutex<Vec<PartReceipt>>>,
}

impl SeveralUploads {
    fn upload_of(&self, place: usize) -> Result<&Arc<dyn Upload>> {
        self.uploads[place]
            .as_ref()
            .ok_or_else(|| Failure::new(Kind::Failed, "The upload was never begun"))
    }
}

impl Upload for SeveralUploads {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        let receipt = PartReceipt {
            number: part.number,
            bytes: part.body.len() as u64,
            md5: part.md5,
            etag: None,
        };
        self.shared.each(|place, _| {
            let own = self.upload_of(place)?.put_part(part.clone())?;
            if (own.number, own.bytes, own.md5) != (receipt.number, receipt.bytes, receipt.md5) {
                return Err(Failure::new(
                    Kind::Failed,
                    format!(
                        "The store acknowledged another part than part {}, which is a bug",
                        receipt.number
                    ),
                ));
            }
            lock(&self.receipts[place]).push(own);
            Ok(())
        })?;
        Ok(receipt)
    }

    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        let md5s: Vec<[u8; 16]> = receipts.iter().map(|receipt| receipt.md5).collect();
        let etag_expected = multipart_etag(&md5s);
        let metas = self.shared.each(|place, arm| {
            let mut own = lock(&self.receipts[place]).clone();
            own.sort_by_key(|receipt| receipt.number);
            if own.len() != receipts.len() {
                return Err(Failure::new(
                    Kind::Failed,
                    format!("Not every part of `{}` was acknowledged, which is a bug", self.key),
                ));
            }
            let key = arm.key(&self.shared, &self.key);
            let token = arm.token(&self.token);
            lock(&arm.tried).push((key.clone(), token.clone()));
            let completed = self.upload_of(place)?.complete(&own, object_bytes)?;
            let mut meta = match arm.branch.store.head(&key) {
                // Who may only write cannot look; the acknowledgement has the tag that follows from the parts.
                Err(failure) if failure.kind() == Kind::Denied => completed.clone(),
                found => found?.ok_or_else(|| not_kept(&key))?,
            };
            meta.version_id = meta.version_id.or(completed.version_id);
            compare(&key, object_bytes, &token, &meta, &etag_expected)?;
            lock(&arm.completed).insert(self.key.clone(), meta.clone());
            Ok(arm.as_the_writers(meta))
        })?;
        first_of(metas, &self.key)
    }

    /// Throws the parts away everywhere; what may be left is reported as a warning with the store that holds it.
    fn abort(&self) -> Result<()> {
        for (arm, upload) in self.shared.arms.iter().zip(&self.uploads) {
            if let Some(Err(failure)) = upload.as_ref().map(|upload| upload.abort()) {
                let url = arm.branch.store.url();
                self.shared.reporter.event(Event::Warning(format!(
                    "Parts of `{}` may be left over in {url} and cost money: {}. `backup-cli cleanup --store {url}` throws them away.",
                    arm.key(&self.shared, &self.key),
                    failure.in_one_line()
                )));
            }
        }
        Ok(())
    }
}
