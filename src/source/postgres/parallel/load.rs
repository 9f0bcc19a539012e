//! The way back: the streams of a dump by several workers, loaded by several `psql`s at once.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::feed::{Destination, Dump};
use super::super::restore::{PostgresRestoreOptions, PostgresRestoreReport, replace, target_of};
use super::super::target::Target;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Result};
use crate::source::SourceContext;

/// The most streams that are loaded at once: each is a session of the server and holds blocks of its own in memory.
const LOADED_AT_ONCE_MAX: usize = 8;

/// One stream of a dump.
pub trait DumpStream: Read + Send {
    /// After the last byte: whether it was what had been backed up.
    ///
    /// # Errors
    /// If it was not.
    fn verify(&mut self) -> Result<()>;
}

/// Opens a stream by its number, of which so many are read at the same time.
pub type OpenStream<'a> = &'a (dyn Fn(usize, usize) -> Result<Box<dyn DumpStream>> + Sync);

/// Restores a dump of `count` streams into a new database, then gives it the target's name: the first stream alone, those
/// with the rows several at once, the last one alone. Each is screened, judged and verified like a whole dump.
///
/// # Errors
/// As [`super::super::restore_database`]; whatever fails, the new database is dropped again, and the one that stands there
/// is as it was.
pub fn restore_streams(
    count: usize,
    open: OpenStream<'_>,
    options: &PostgresRestoreOptions,
    context: &SourceContext<'_>,
) -> Result<PostgresRestoreReport> {
    let target = target_of(options, context)?;
    let stream = Mutex::new(open(0, 1)?);
    let mut reader = Locked(&stream);
    let dump = Dump::open(&mut reader)?;
    let encoding = dump.encoding();
    replace(target, encoding.as_deref(), options, context, |target, new| {
        let mut warnings = pour_dump(dump, &stream, target, new, context)?;
        warnings.extend(pour_rows(1..count.saturating_sub(1), open, target, new, context)?);
        if count > 1 {
            warnings.extend(pour(open(count - 1, 1)?, target, new, context)?);
        }
        Ok(warnings)
    })
}

/// Loads the streams with the rows, as many at once as there are, within bounds.
fn pour_rows(
    numbers: std::ops::Range<usize>,
    open: OpenStream<'_>,
    target: &Target,
    new: &str,
    context: &SourceContext<'_>,
) -> Result<Vec<String>> {
    let at_once = numbers.len().min(LOADED_AT_ONCE_MAX);
    let next = AtomicUsize::new(numbers.start);
    // The first failure ends the others, which are not the run's own to end.
    let local = Cancel::new();
    let ends_too = local.clone();
    let _guard = context.cancel.on_cancel(move || ends_too.cancel());
    let own = SourceContext {
        cancel: &local,
        reporter: context.reporter,
    };
    let warnings: Mutex<Vec<String>> = Mutex::default();
    let first: Mutex<Option<Failure>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while !local.is_cancelled() {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= numbers.end {
                        break;
                    }
                    match open(number, at_once).and_then(|stream| pour(stream, target, new, &own)) {
                        Ok(said) => warnings.lock().unwrap_or_else(PoisonError::into_inner).extend(said),
                        Err(failure) => {
                            first
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(failure);
                            local.cancel();
                        }
                    }
                }
            });
        }
    });
    context.cancel.check()?;
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(warnings.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Loads one stream in a transaction of its own.
fn pour(stream: Box<dyn DumpStream>, target: &Target, new: &str, context: &SourceContext<'_>) -> Result<Vec<String>> {
    let stream = Mutex::new(stream);
    let mut reader = Locked(&stream);
    let dump = Dump::open(&mut reader)?;
    pour_dump(dump, &stream, target, new, context)
}

fn pour_dump(
    dump: Dump<'_>,
    stream: &Mutex<Box<dyn DumpStream>>,
    target: &Target,
    new: &str,
    context: &SourceContext<'_>,
) -> Result<Vec<String>> {
    let psql = dump.choose_psql(&target.psqls)?;
    let mut verify = || stream.lock().unwrap_or_else(PoisonError::into_inner).verify();
    dump.pour(
        &target.server,
        &psql,
        Destination::NewDatabase(new),
        target.version,
        &mut verify,
        context,
    )
}

/// A stream in two hands: whoever reads it, and whoever asks at its end whether it was whole.
struct Locked<'a>(&'a Mutex<Box<dyn DumpStream>>);

impl Read for Locked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}
