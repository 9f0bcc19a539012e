//! Counting what a source holds while it is being backed up, so that nobody waits for it.

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::base::cancel::Cancel;
use crate::base::report::Reporter;
use crate::pipeline::plan::PART_BYTES_DEFAULT;
use crate::source::{Bounded, Count};
use crate::store::Limits;

/// A source may hold so many times what its file systems have in use: those that compress, or that share the blocks of equal
/// files. If it is more all the same, parts grow, or the stream goes on in a further object.
const OVERCOMMITMENT: u64 = 2;

/// Whether parts of the usual size carry whatever a source can hold, so that nobody has to count before the first byte.
pub(super) fn is_small(bounded: &Bounded, limits: Limits) -> bool {
    let room = u64::from(limits.parts_max).saturating_mul(PART_BYTES_DEFAULT.max(limits.part_bytes_min));
    bounded.plain_bytes_max.saturating_mul(OVERCOMMITMENT) <= room.min(limits.object_bytes_max)
}

/// A count that goes on beside the backup and then tells what is expected. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Counting {
    cancel: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Counting {
    /// Starts to count; without a thread to count in, nobody learns how much there is.
    pub(super) fn start(count: Count, reporter: Arc<dyn Reporter>) -> Self {
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let thread = std::thread::Builder::new().name("count".to_owned()).spawn(move || {
            let estimate = count(&stop);
            if !stop.is_cancelled() {
                reporter
                    .progress()
                    .set_totals(estimate.plain_bytes.unwrap_or(0), estimate.items.unwrap_or(0));
            }
        });
        Self {
            cancel,
            thread: thread.ok(),
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Recorder;
    use crate::base::units::{GIB, MIB};
    use crate::source::Estimate;

    fn bounded(plain_bytes_max: u64) -> Bounded {
        Bounded {
            plain_bytes_max,
            count: Box::new(|_| Estimate::default()),
        }
    }

    #[test]
    fn what_ten_thousand_parts_carry_is_small() {
        let limits = Limits {
            part_bytes_min: 5 * MIB,
            part_bytes_max: 5 * GIB,
            parts_max: 10_000,
            parts_equal: false,
            object_bytes_max: 5 * 1024 * GIB,
        };
        assert!(is_small(&bounded(78 * GIB), limits));
        assert!(!is_small(&bounded(79 * GIB), limits));
        assert!(!is_small(&bounded(u64::MAX), limits));
        assert!(!is_small(
            &bounded(8 * GIB),
            Limits {
                parts_max: 1_000,
                ..limits
            }
        ));
        let small_objects = Limits {
            object_bytes_max: GIB,
            ..limits
        };
        assert!(!is_small(&bounded(GIB), small_objects));
    }

    #[test]
    fn a_count_tells_what_is_expected_and_one_that_is_dropped_tells_nothing() {
        let recorder = Arc::new(Recorder::default());
        let (told, heard) = crossbeam_channel::bounded(0);
        let count: Count = Box::new(move |_| {
            let _ = told.send(());
            Estimate {
                plain_bytes: Some(7),
                items: Some(2),
            }
        });
        let mut counting = Counting::start(count, recorder.clone());
        heard.recv().unwrap();
        counting.thread.take().unwrap().join().unwrap();
        let totals = recorder.progress().snapshot();
        assert_eq!((totals.total_plain_bytes, totals.total_items), (7, 2));

        let endless: Count = Box::new(|cancel| {
            while !cancel.is_cancelled() {
                std::thread::yield_now();
            }
            Estimate {
                plain_bytes: Some(9),
                items: Some(9),
            }
        });
        drop(Counting::start(endless, recorder.clone()));
        assert_eq!(recorder.progress().snapshot().total_plain_bytes, 7);
    }
}
