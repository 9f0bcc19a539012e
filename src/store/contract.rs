//! The contract of [`Store`] as a suite of named cases that runs against any store, real servers included.
//!
//! It is part of the library so that the unit tests of the stores and the integration tests with servers run the same
//! cases. Every case works below a key prefix of its own and removes what it made.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use md5::{Digest, Md5};

use super::{Key, ObjectMeta, PutOptions, Role, Store};
use crate::base::failure::{self, Failure, Kind};

mod listings;
mod objects;
mod uploads;

/// What differs between runs of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractOptions {
    /// How many objects the long listing has; above 1,000 it spans several pages of S3.
    pub list_objects: usize,
}

impl Default for ContractOptions {
    fn default() -> Self {
        Self { list_objects: 1100 }
    }
}

/// Why a case failed, in words for the one who mends the store.
pub type Verdict<T = ()> = Result<T, String>;

/// One sentence of the contract.
pub struct Case {
    /// The sentence, with underscores.
    pub name: &'static str,
    run: fn(&Bench<'_>) -> Verdict,
}

/// Every case, in the order in which they are best read.
pub const CASES: &[&[Case]] = &[objects::CASES, uploads::CASES, listings::CASES];

/// Runs every case, whatever the others say.
///
/// # Errors
/// One line for each case that failed.
pub fn check_contract(store: &dyn Store, options: &ContractOptions) -> Verdict {
    let failed: Vec<String> = CASES
        .iter()
        .copied()
        .flatten()
        .filter_map(|case| check_case(case, store, options).err())
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("{} breaks its contract:\n{}", store.url(), failed.join("\n")))
    }
}

/// Runs one case and removes what it made.
///
/// # Errors
/// What the store did and what it should have done.
pub fn check_case(case: &Case, store: &dyn Store, options: &ContractOptions) -> Verdict {
    let run: u64 = rand::random();
    let prefix = match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let bench = Bench {
        store,
        folder: format!("{prefix}contract-{run:016x}/{}/", case.name),
        options: *options,
    };
    let verdict = (case.run)(&bench).and(bench.sweep());
    verdict.map_err(|why| format!("  {}: {why}", case.name))
}

/// Fails the case unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
use ensure;

/// What a case works with.
struct Bench<'a> {
    store: &'a dyn Store,
    /// The case's own key prefix, with a slash at its end.
    folder: String,
    options: ContractOptions,
}

/// How many threads fill and sweep the store, and send parts.
const THREADS: usize = 4;

impl Bench<'_> {
    fn key(&self, name: &str) -> Key {
        Key::new(format!("{}{name}", self.folder))
    }

    fn put(&self, name: &str, body: &[u8]) -> failure::Result<ObjectMeta> {
        let body = Bytes::copy_from_slice(body);
        // A token is ASCII, whatever the name is: it travels in a header.
        self.store.put(
            &self.key(name),
            body,
            &put_options(&format!("token of {}", name.escape_default())),
        )
    }

    /// Reads an object or a range of it to its end.
    fn read(&self, name: &str, range: Option<Range<u64>>) -> failure::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.store
            .get(&self.key(name), range)?
            .read_to_end(&mut body)
            .map_err(|error| failure::from_io("read an object", error))?;
        Ok(body)
    }

    fn head(&self, name: &str) -> Verdict<Option<ObjectMeta>> {
        told("head", self.store.head(&self.key(name)))
    }

    /// Tells whether an object has exactly this content and token, by every way to look at it.
    fn check_object(&self, name: &str, body: &[u8], token: &str) -> Verdict {
        let Some(meta) = self.head(name)? else {
            return Err(format!("`{name}` is not there"));
        };
        ensure!(meta.key == self.key(name), "head names another key: {}", meta.key);
        ensure!(
            meta.bytes == body.len() as u64,
            "head gives {} bytes for {}",
            meta.bytes,
            body.len()
        );
        ensure!(
            meta.token.as_deref() == Some(token),
            "head gives the token {:?} for {token:?}",
            meta.token
        );
        ensure!(meta.modified.is_some(), "head does not say when the object was made");
        let content = told("get", self.read(name, None))?;
        ensure!(
            content == body,
            "`{name}` has other content: {} bytes for {}",
            content.len(),
            body.len()
        );
        Ok(())
    }

    fn check_absent(&self, name: &str) -> Verdict {
        ensure!(self.head(name)?.is_none(), "head finds `{name}`");
        expect_kind("get of what is not there", self.read(name, None), Kind::NotFound)?;
        ensure!(!self.list(name)?.contains(&name.to_owned()), "a listing shows `{name}`");
        Ok(())
    }

    /// The names below the case's folder that begin so, without that folder.
    fn list(&self, prefix: &str) -> Verdict<Vec<String>> {
        let mut names = Vec::new();
        let listed = self.store.list(&self.key(prefix).to_string(), &mut |meta| {
            names.push(meta.key.as_str().strip_prefix(&self.folder).map(str::to_owned));
            Ok(ControlFlow::Continue(()))
        });
        told("list", listed)?;
        names
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| "a listing shows keys outside of its prefix".to_owned())
    }

    fn list_folders(&self, prefix: &str) -> Verdict<Vec<String>> {
        let mut names = Vec::new();
        let listed = self.store.list_folders(&self.key(prefix).to_string(), &mut |folder| {
            names.push(folder.strip_prefix(&self.folder).map(str::to_owned));
            Ok(ControlFlow::Continue(()))
        });
        told("list_folders", listed)?;
        names
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| "the folders do not begin with the prefix".to_owned())
    }

    fn unfinished(&self) -> Verdict<Vec<Key>> {
        let uploads = told("unfinished_uploads", self.store.unfinished_uploads(&self.folder))?;
        Ok(uploads.into_iter().map(|upload| upload.key).collect())
    }

    /// Does something with every index, on several threads, and stops at the first failure.
    fn each(&self, count: usize, act: &(dyn Fn(usize) -> Verdict + Sync)) -> Verdict {
        let next = AtomicUsize::new(0);
        let first_failure: Mutex<Option<String>> = Mutex::new(None);
        let failed = || first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            for _ in 0..THREADS.min(count) {
                scope.spawn(|| {
                    while failed().is_none() {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return;
                        }
                        if let Err(why) = act(index) {
                            failed().get_or_insert(why);
                        }
                    }
                });
            }
        });
        first_failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .map_or(Ok(()), Err)
    }

    /// Removes every object of the case. A store whose folder was never created has none.
    fn sweep(&self) -> Verdict {
        let mut keys = Vec::new();
        let listed = self.store.list(&self.folder, &mut |meta| {
            keys.push(meta.key);
            Ok(ControlFlow::Continue(()))
        });
        match listed {
            Err(failure) if failure.kind() == Kind::NotFound => return Ok(()),
            other => told("list for the clean-up", other)?,
        }
        self.each(keys.len(), &|index| told("delete", self.store.delete(&keys[index])))
    }
}

fn put_options(token: &str) -> PutOptions {
    PutOptions {
        role: Role::Data,
        token: token.to_owned(),
        content_type: "application/octet-stream",
        metadata: BTreeMap::from([("contract".to_owned(), "yes".to_owned())]),
        lock: None,
    }
}

/// Puts a name to a failure that the contract does not allow.
fn told<T>(what: impl Display, result: failure::Result<T>) -> Verdict<T> {
    result.map_err(|failure| format!("{what} fails: {failure:?}"))
}

fn expect_kind<T>(what: &str, result: failure::Result<T>, kind: Kind) -> Verdict<Failure> {
    match result {
        Ok(_) => Err(format!("{what} succeeds; it should fail as {kind:?}")),
        Err(failure) if failure.kind() == kind => Ok(failure),
        Err(failure) => Err(format!("{what} should fail as {kind:?}: {failure:?}")),
    }
}

/// Content that is different at every place and in every object, so that nothing is mistaken for something else.
fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn md5(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::faulty::{Fault, FaultyStore, Method};
    use crate::store::memory::MemoryStore;
    use std::sync::Arc;

    const OPTIONS: ContractOptions = ContractOptions { list_objects: 20 };

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = CASES.iter().copied().flatten().map(|case| case.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_store_that_breaks_a_promise_is_caught() {
        for (method, fault) in [
            (Method::Get, Fault::Cut { after: 3 }),
            (Method::Get, Fault::Flip { offset: 2 }),
            (Method::Head, Fault::Lie),
            (Method::List, Fault::Cut { after: 1 }),
            (Method::ListFolders, Fault::Cut { after: 1 }),
            (Method::Complete, Fault::Lie),
            (Method::Put, Fault::Lie),
            (Method::ReplaceIf, Fault::Lie),
            (Method::Delete, Fault::Lie),
            (Method::Abort, Fault::Lie),
        ] {
            let store = FaultyStore::new(Arc::new(MemoryStore::new()));
            store.fail_always(method, fault.clone());
            let verdict = check_contract(&store, &OPTIONS);
            assert!(verdict.is_err(), "{method:?} with {fault:?} passes");
        }
    }

    #[test]
    fn a_store_that_replaces_objects_is_caught() {
        for (method, case) in [
            (Method::Put, "put_never_replaces"),
            (Method::Complete, "complete_never_replaces"),
            (Method::Complete, "two_uploads_of_one_key_make_one_object"),
        ] {
            let memory = MemoryStore::new();
            let store = FaultyStore::new(Arc::new(memory.clone()));
            // With the old object out of the way just before, the new one replaces it.
            let make_way = move || {
                for key in memory.keys() {
                    memory.delete(&Key::new(key)).unwrap();
                }
            };
            store.fail_always(method, Fault::Hook(Arc::new(make_way)));
            let verdict = check_contract(&store, &OPTIONS).unwrap_err();
            assert!(verdict.contains(case), "{verdict}");
        }
    }
}
