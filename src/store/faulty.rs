//! A store that fails on purpose, for the tests of what is built above stores.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;

use super::archive::ThawRequest;
use super::object_lock::{LockSeen, ObjectLock};
use super::removal::{Deletion, Doomed, Retained, Version};
use super::{Key, Limits, ObjectMeta, Part, PartReceipt, PutOptions, Store, UnfinishedUpload, Upload};
use crate::base::failure::{Failure, Kind, Result, into_io};

/// A method of [`Store`] or [`Upload`] that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// [`Store::put`].
    Put,
    /// [`Store::replace_if`].
    ReplaceIf,
    /// [`Store::start_upload`].
    StartUpload,
    /// [`Upload::put_part`].
    PutPart,
    /// [`Upload::complete`].
    Complete,
    /// [`Upload::abort`].
    Abort,
    /// [`Store::get`].
    Get,
    /// [`Store::head`].
    Head,
    /// [`Store::list`].
    List,
    /// [`Store::list_folders`].
    ListFolders,
    /// [`Store::delete`].
    Delete,
    /// [`Store::thaw`].
    Thaw,
    /// [`Store::unfinished_uploads`].
    UnfinishedUploads,
    /// [`Store::abort_unfinished`].
    AbortUnfinished,
    /// [`Store::now`].
    Now,
    /// [`Store::delete_many`]; the key is that of the first object. A cut removes some and says of the rest that they
    /// could not be removed; a break removes some and loses the reply.
    DeleteMany,
    /// [`Store::retained`].
    Retained,
    /// [`Store::list_versions`].
    ListVersions,
    /// [`Store::lock_of`].
    LockOf,
    /// [`Store::extend_lock`].
    ExtendLock,
}

/// Which calls of a method are hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Every call.
    Always,
    /// One call, counted from 1.
    Nth(u64),
    /// This call and every later one, counted from 1.
    From(u64),
    /// Every call whose key (of a listing: whose prefix) contains the text.
    KeyContains(String),
}

/// What happens to a call that is hit.
#[derive(Clone)]
pub enum Fault {
    /// It fails without an effect.
    Before(Kind),
    /// It has its effect, and fails all the same: the reply is lost.
    After(Kind),
    /// It lies: a writing call reports a success and does nothing, a reading one reports that there is nothing.
    Lie,
    /// A get or a listing ends as if it were whole, after so many bytes or visits.
    Cut {
        /// Bytes of a get; visits of a listing.
        after: u64,
    },
    /// A get or a listing fails as [`Kind::Unreachable`] after so many bytes or visits.
    Break {
        /// Bytes of a get; visits of a listing.
        after: u64,
    },
    /// A get delivers one byte inverted.
    Flip {
        /// Where the byte stands in the object, whatever range is read.
        offset: u64,
    },
    /// A function runs first (it cancels the run, or changes the store behind its back), then the call goes on.
    Hook(Arc<dyn Fn() + Send + Sync>),
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Before(kind) => write!(f, "Before({kind:?})"),
            Self::After(kind) => write!(f, "After({kind:?})"),
            Self::Lie => f.write_str("Lie"),
            Self::Cut { after } => write!(f, "Cut({after})"),
            Self::Break { after } => write!(f, "Break({after})"),
            Self::Flip { offset } => write!(f, "Flip({offset})"),
            Self::Hook(_) => f.write_str("Hook"),
        }
    }
}

/// A call that was made: the method and the key, or the prefix of a listing.
pub type Call = (Method, String);

#[derive(Default)]
struct Plan {
    rules: Vec<(Method, When, Fault)>,
    counts: BTreeMap<Method, u64>,
    log: Vec<Call>,
}

/// Wraps a store; without rules it changes nothing and only counts.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<Plan>>,
    /// The limits that it says it has instead of its own; it does not enforce them.
    pub limits: Option<Limits>,
}

impl FaultyStore {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            plan: Arc::default(),
            limits: None,
        }
    }

    /// Adds a rule. Of several that hit a call, the one that was added first counts.
    pub fn fail(&self, method: Method, when: When, fault: Fault) {
        plan(&self.plan).rules.push((method, when, fault));
    }

    /// Fails one call of a method, counted from 1 since the store was wrapped.
    pub fn fail_nth(&self, method: Method, nth: u64, fault: Fault) {
        self.fail(method, When::Nth(nth), fault);
    }

    /// Fails every call of a method.
    pub fn fail_always(&self, method: Method, fault: Fault) {
        self.fail(method, When::Always, fault);
    }

    /// Removes all rules; counts and log stay.
    pub fn heal(&self) {
        plan(&self.plan).rules.clear();
    }

    /// How often a method was called.
    #[must_use]
    pub fn calls(&self, method: Method) -> u64 {
        plan(&self.plan).counts.get(&method).copied().unwrap_or(0)
    }

    /// Every call, in the order in which they began.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        plan(&self.plan).log.clone()
    }
}

fn plan(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a call and finds the fault that hits it. A hook has run when this returns.
fn enter(shared: &Mutex<Plan>, method: Method, key: &str) -> Option<Fault> {
    let fault = {
        let mut plan = plan(shared);
        plan.log.push((method, key.to_owned()));
        let count = plan.counts.entry(method).or_insert(0);
        *count += 1;
        let count = *count;
        plan.rules
            .iter()
            .find(|(hit, when, _)| {
                *hit == method
                    && match when {
                        When::Always => true,
                        When::Nth(nth) => count == *nth,
                        When::From(nth) => count >= *nth,
                        When::KeyContains(text) => key.contains(text),
                    }
            })
            .map(|(_, _, fault)| fault.clone())
    };
    // Outside of the lock: the hook may call this very store.
    if let Some(Fault::Hook(hook)) = fault {
        hook();
        return None;
    }
    fault
}

fn failure(kind: Kind, method: Method, when: &str, key: &str) -> Failure {
    Failure::new(kind, format!("A fault was injected {when} {method:?} of `{key}`"))
}

/// A rule that makes no sense is a mistake in the test, which should not pass by accident.
fn senseless(method: Method, fault: &Fault) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("The fault {fault:?} cannot be injected into {method:?}"),
    )
}

/// A call that writes: it has an effect, and an answer that can be made up.
fn write<T>(
    shared: &Mutex<Plan>,
    method: Method,
    key: &str,
    act: impl FnOnce() -> Result<T>,
    lie: impl FnOnce() -> Result<T>,
) -> Result<T> {
    match enter(shared, method, key) {
        None => act(),
        Some(Fault::Before(kind)) => Err(failure(kind, method, "before", key)),
        Some(Fault::After(kind)) => {
            act()?;
            Err(failure(kind, method, "after", key))
        }
        Some(Fault::Lie) => lie(),
        Some(other) => Err(senseless(method, &other)),
    }
}

/// A call that visits: it can be ended early, truthfully or not.
fn walk<T: ?Sized>(
    shared: &Mutex<Plan>,
    method: Method,
    prefix: &str,
    act: impl FnOnce(&mut dyn FnMut(&T) -> Result<ControlFlow<()>>) -> Result<()>,
    visit: &mut dyn FnMut(&T) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let (visits_max, is_break) = match enter(shared, method, prefix) {
        None => return act(visit),
        Some(Fault::Before(kind)) => return Err(failure(kind, method, "before", prefix)),
        Some(Fault::After(kind)) => {
            act(visit)?;
            return Err(failure(kind, method, "after", prefix));
        }
        Some(Fault::Lie) => return Ok(()),
        Some(Fault::Cut { after }) => (after, false),
        Some(Fault::Break { after }) => (after, true),
        Some(other) => return Err(senseless(method, &other)),
    };
    let mut visits = 0;
    act(&mut |item| {
        if visits == visits_max {
            return if is_break {
                Err(failure(Kind::Unreachable, method, "in the midst of", prefix))
            } else {
                Ok(ControlFlow::Break(()))
            };
        }
        visits += 1;
        visit(item)
    })
}

fn made_up(key: &Key, bytes: u64, token: Option<String>) -> ObjectMeta {
    ObjectMeta {
        key: key.clone(),
        bytes,
        modified: None,
        etag: None,
        etag_is_md5: false,
        version_id: None,
        storage_class: None,
        archive: None,
        token,
    }
}

impl Store for FaultyStore {
    fn url(&self) -> String {
        self.inner.url()
    }

    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn limits(&self) -> Limits {
        self.limits.unwrap_or_else(|| self.inner.limits())
    }

    fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        let bytes = body.len() as u64;
        write(
            &self.plan,
            Method::Put,
            key.as_str(),
            || self.inner.put(key, body, options),
            || Ok(made_up(key, bytes, Some(options.token.clone()))),
        )
    }

    fn replace_if(&self, key: &Key, body: Bytes, options: &PutOptions, expected: &ObjectMeta) -> Result<ObjectMeta> {
        let bytes = body.len() as u64;
        write(
            &self.plan,
            Method::ReplaceIf,
            key.as_str(),
            || self.inner.replace_if(key, body, options, expected),
            || Ok(made_up(key, bytes, Some(options.token.clone()))),
        )
    }

    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        let start = |inner: Option<Box<dyn Upload>>| -> Box<dyn Upload> {
            Box::new(FaultyUpload {
                inner,
                key: key.clone(),
                plan: self.plan.clone(),
            })
        };
        write(
            &self.plan,
            Method::StartUpload,
            key.as_str(),
            || self.inner.start_upload(key, options).map(|inner| start(Some(inner))),
            || Ok(start(None)),
        )
    }

    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        let method = Method::Get;
        let fault = enter(&self.plan, method, key.as_str());
        match &fault {
            Some(Fault::Before(kind)) => return Err(failure(*kind, method, "before", key.as_str())),
            Some(Fault::Lie) => return Err(Failure::new(Kind::NotFound, format!("No such object: `{key}`"))),
            Some(Fault::Cut { .. } | Fault::Break { .. } | Fault::Flip { .. }) | None => {}
            Some(other) => return Err(senseless(method, other)),
        }
        let start = range.as_ref().map_or(0, |range| range.start);
        let inner = self.inner.get(key, range)?;
        Ok(match fault {
            Some(fault) => Box::new(FaultyReader {
                inner,
                start,
                position: 0,
                fault,
                key: key.clone(),
            }),
            None => inner,
        })
    }

    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        write(
            &self.plan,
            Method::Head,
            key.as_str(),
            || self.inner.head(key),
            || Ok(None),
        )
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        walk::<ObjectMeta>(
            &self.plan,
            Method::List,
            prefix,
            |visit| self.inner.list(prefix, &mut |meta| visit(&meta)),
            &mut |meta| visit(meta.clone()),
        )
    }

    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        walk::<str>(
            &self.plan,
            Method::ListFolders,
            prefix,
            |visit| self.inner.list_folders(prefix, visit),
            visit,
        )
    }

    fn delete(&self, key: &Key) -> Result<()> {
        write(
            &self.plan,
            Method::Delete,
            key.as_str(),
            || self.inner.delete(key),
            || Ok(()),
        )
    }

    fn thaw(&self, key: &Key, request: &ThawRequest) -> Result<()> {
        write(
            &self.plan,
            Method::Thaw,
            key.as_str(),
            || self.inner.thaw(key, request),
            || Ok(()),
        )
    }

    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        write(
            &self.plan,
            Method::UnfinishedUploads,
            prefix,
            || self.inner.unfinished_uploads(prefix),
            || Ok(Vec::new()),
        )
    }

    fn abort_unfinished(&self, upload: &UnfinishedUpload) -> Result<()> {
        write(
            &self.plan,
            Method::AbortUnfinished,
            upload.key.as_str(),
            || self.inner.abort_unfinished(upload),
            || Ok(()),
        )
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        write(&self.plan, Method::Now, "", || self.inner.now(), || Ok(None))
    }

    fn delete_many(&self, objects: &[Doomed]) -> Result<Vec<Deletion>> {
        let method = Method::DeleteMany;
        let key = objects.first().map_or("", |doomed| doomed.key.as_str());
        let (after, is_break) = match enter(&self.plan, method, key) {
            None => return self.inner.delete_many(objects),
            Some(Fault::Before(kind)) => return Err(failure(kind, method, "before", key)),
            Some(Fault::After(kind)) => {
                self.inner.delete_many(objects)?;
                return Err(failure(kind, method, "after", key));
            }
            Some(Fault::Lie) => return Ok(objects.iter().map(|_| Deletion::Gone).collect()),
            Some(Fault::Cut { after }) => (after, false),
            Some(Fault::Break { after }) => (after, true),
            Some(other) => return Err(senseless(method, &other)),
        };
        let done = objects.len().min(usize::try_from(after).unwrap_or(usize::MAX));
        let mut outcomes = self.inner.delete_many(&objects[..done])?;
        if is_break {
            return Err(failure(Kind::Unreachable, method, "in the midst of", key));
        }
        outcomes.extend(
            objects[done..]
                .iter()
                .map(|doomed| Deletion::Failed(failure(Kind::Denied, method, "before", doomed.key.as_str()))),
        );
        Ok(outcomes)
    }

    fn retained(&self, key: &Key) -> Result<Option<Retained>> {
        write(
            &self.plan,
            Method::Retained,
            key.as_str(),
            || self.inner.retained(key),
            || Ok(None),
        )
    }

    fn prepare_locks(&self) -> Result<bool> {
        self.inner.prepare_locks()
    }

    fn lock_of(&self, key: &Key, version_id: Option<&str>) -> Result<LockSeen> {
        write(
            &self.plan,
            Method::LockOf,
            key.as_str(),
            || self.inner.lock_of(key, version_id),
            || Ok(LockSeen::Unlocked),
        )
    }

    fn extend_lock(&self, key: &Key, version_id: Option<&str>, lock: &ObjectLock) -> Result<()> {
        write(
            &self.plan,
            Method::ExtendLock,
            key.as_str(),
            || self.inner.extend_lock(key, version_id, lock),
            || Ok(()),
        )
    }

    fn list_versions(&self, prefix: &str, visit: &mut dyn FnMut(Version) -> Result<ControlFlow<()>>) -> Result<()> {
        walk::<Version>(
            &self.plan,
            Method::ListVersions,
            prefix,
            |visit| self.inner.list_versions(prefix, &mut |version| visit(&version)),
            &mut |version| visit(version.clone()),
        )
    }
}

/// An upload of a [`FaultyStore`]; without an inner one it only pretends.
struct FaultyUpload {
    inner: Option<Box<dyn Upload>>,
    key: Key,
    plan: Arc<Mutex<Plan>>,
}

impl Upload for FaultyUpload {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        let receipt = PartReceipt {
            number: part.number,
            bytes: part.body.len() as u64,
            md5: part.md5,
            etag: Some(hex::encode(part.md5)),
        };
        let lie = || Ok(receipt.clone());
        let act = || match &self.inner {
            Some(inner) => inner.put_part(part),
            None => lie(),
        };
        write(&self.plan, Method::PutPart, self.key.as_str(), act, lie)
    }

    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        let lie = || Ok(made_up(&self.key, object_bytes, None));
        let act = || match &self.inner {
            Some(inner) => inner.complete(receipts, object_bytes),
            None => lie(),
        };
        write(&self.plan, Method::Complete, self.key.as_str(), act, lie)
    }

    fn abort(&self) -> Result<()> {
        let act = || self.inner.as_ref().map_or(Ok(()), |inner| inner.abort());
        write(&self.plan, Method::Abort, self.key.as_str(), act, || Ok(()))
    }
}

/// A reader that is cut, broken, or delivers a wrong byte.
struct FaultyReader {
    inner: Box<dyn Read + Send>,
    /// Where in the object the reader begins.
    start: u64,
    /// How many bytes it has delivered.
    position: u64,
    fault: Fault,
    key: Key,
}

impl Read for FaultyReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut wanted = buffer.len();
        if let Fault::Cut { after } | Fault::Break { after } = self.fault {
            let left = after.saturating_sub(self.position);
            if left == 0 && wanted > 0 {
                return match self.fault {
                    Fault::Break { .. } => Err(into_io(failure(
                        Kind::Unreachable,
                        Method::Get,
                        "in the midst of",
                        self.key.as_str(),
                    ))),
                    _ => Ok(0),
                };
            }
            wanted = wanted.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let count = self.inner.read(&mut buffer[..wanted])?;
        if let Fault::Flip { offset } = self.fault {
            let here = self.start + self.position;
            if let Some(at) = offset.checked_sub(here).and_then(|at| usize::try_from(at).ok())
                && at < count
            {
                buffer[at] = !buffer[at];
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
