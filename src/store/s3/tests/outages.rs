//! Outages against the budget, in time that passes by itself: nothing here waits, and every wait is the real one.

use std::future::poll_fn;
use std::task::Poll;

use super::virtual_time::{Line, Outage};
use super::*;
use crate::base::units::{KIB, MIB};
use crate::store::s3::session::Session;

/// When the outage begins: in the middle of the second part.
const BEGINS: Duration = Duration::from_secs(24);

const PART_BYTES: u64 = 4 * MIB;

const OUTAGES: [Outage; 5] = [
    Outage::Refusing,
    Outage::Silent,
    Outage::Swallowing,
    Outage::Busy,
    Outage::Breaking,
];

/// A store at the end of a line; the budget and all else are as they are by default unless a test says otherwise.
fn store_on(line: &Line, change: impl FnOnce(&mut S3Options)) -> S3Store {
    reporting_store_on(line, change).0
}

fn reporting_store_on(line: &Line, change: impl FnOnce(&mut S3Options)) -> (S3Store, Arc<Recorder>) {
    let mut options = S3Options::new("bucket", "/backups/");
    options.endpoint_url = Some("http://s3.example.com".to_owned());
    options.provider = Some("minio".to_owned());
    options.credentials = Some(credentials());
    change(&mut options);
    let recorder = Arc::new(Recorder::default());
    let session = Session::on(line.network(), options, &Cancel::new(), recorder.clone()).unwrap();
    let store = S3Store {
        session: Arc::new(session),
    };
    (store, recorder)
}

/// A line that takes 16 s for a part.
fn outage(secs: u64, outage: Outage) -> Line {
    let mut line = Line::new(PART_BYTES / 16);
    line.outage = Some((BEGINS, BEGINS + Duration::from_secs(secs), outage));
    line
}

fn part(number: u32, bytes: u64) -> Part {
    Part {
        number,
        offset: 0,
        body: Bytes::from(vec![0; bytes as usize]),
        md5: [0; 16],
    }
}

fn send(upload: &dyn Upload, number: u32, bytes: u64) -> Result<PartReceipt> {
    upload.put_part(part(number, bytes))
}

/// How sending failed.
struct Broken {
    failure: Failure,
    /// When that was known.
    secs: f64,
    /// What giving up came to.
    aborted: Result<()>,
}

/// Sends parts.
fn back_up(line: &Line, store: &S3Store, parts: u32) -> Result<(), Box<Broken>> {
    let upload = store.start_upload(&Key::new(KEY), &data()).unwrap();
    let broken = |failure| {
        Box::new(Broken {
            failure,
            secs: line.time.secs(),
            aborted: upload.abort(),
        })
    };
    let sent = (1..=parts).map(|number| send(upload.as_ref(), number, PART_BYTES));
    let receipts: Vec<PartReceipt> = sent.collect::<Result<_>>().map_err(broken)?;
    upload
        .complete(&receipts, u64::from(parts) * PART_BYTES)
        .map(drop)
        .map_err(broken)
}

#[test]
fn an_outage_of_fourteen_minutes_and_fifty_seconds_is_survived() {
    for how in OUTAGES {
        let line = outage(14 * 60 + 50, how);
        let store = store_on(&line, |_| {});
        back_up(&line, &store, 4).unwrap_or_else(|broken| panic!("{how:?}: {:?}", broken.failure));
        let over = BEGINS.as_secs_f64() + 890.0;
        // The next attempt comes within a minute, and sends the rest.
        assert!(
            (over..over + 120.0).contains(&line.time.secs()),
            "{how:?}: {}",
            line.time.secs()
        );
    }
}

#[test]
fn sixteen_minutes_of_silence_end_the_run_and_what_it_made() {
    for how in OUTAGES {
        let line = outage(24 * 3600, how);
        let store = store_on(&line, |_| {});
        let Broken { failure, secs, aborted } = *back_up(&line, &store, 4).unwrap_err();
        // The budget runs from the last byte. An attempt that hangs at its end (a part's 16 s and a silence of 15 s) may have missed
        // that the store is back, so that one more follows.
        let took = secs - BEGINS.as_secs_f64();
        assert!(
            (890.0..=8.0 + 900.0 + 2.0 * (16.0 + 15.0) + 1.0).contains(&took),
            "{how:?}: {took} s"
        );
        let cleaning = line.time.secs() - secs;
        assert!(cleaning <= 61.0, "{how:?}: {cleaning} s");
        assert_eq!(failure.kind(), Kind::Unreachable, "{how:?}: {failure:?}");
        assert!(!failure.hints().is_empty(), "{failure:?}");
        // Nobody can remove the parts now: it is said how.
        let left = aborted.unwrap_err();
        assert!(
            left.hints().iter().any(|hint| hint.contains("backup-cli cleanup")),
            "{left:?}"
        );
    }
}

#[test]
fn an_attempt_does_not_outlive_a_small_budget_by_much() {
    for how in OUTAGES {
        let line = outage(24 * 3600, how);
        let store = store_on(&line, |options| options.retry.budget = Duration::from_secs(6));
        let secs = back_up(&line, &store, 4).unwrap_err().secs;
        let took = secs - BEGINS.as_secs_f64();
        // The budget, a silence and the clean-up; where all bytes of a part are taken in vain, 16 s for each attempt besides.
        let most = match how {
            Outage::Refusing | Outage::Silent => 15.0,
            Outage::Swallowing | Outage::Busy | Outage::Breaking => 60.0,
        };
        assert!((4.0..=most).contains(&took), "{how:?}: {took} s");
    }
}

#[test]
fn the_slowest_line_that_counts_as_alive_is_fast_enough() {
    let line = Line::new(MIN_THROUGHPUT_BYTES_PER_SEC);
    let store = store_on(&line, |_| {});
    let upload = store.start_upload(&Key::new(KEY), &data()).unwrap();
    let receipt = send(upload.as_ref(), 1, 160 * MIB).unwrap();
    // Longer than the budget without an answer, but never silent.
    assert!((1280.0..1290.0).contains(&line.time.secs()), "{}", line.time.secs());
    upload.complete(&[receipt], 160 * MIB).unwrap();
    let asked = line.asked.lock().unwrap().len();
    assert_eq!(asked, 3, "something was repeated");
}

#[test]
fn parts_that_share_a_slow_line_are_given_the_time_of_all() {
    let line = Line::new(MIN_THROUGHPUT_BYTES_PER_SEC);
    let store = store_on(&line, |_| {});
    let upload = upload::start(&store.session, &Key::new(KEY), &data()).unwrap();
    // On one thread: time would pass while another has something to do.
    let mut sending: Vec<_> = (1..=4)
        .map(|number| Box::pin(upload.send_part(part(number, 32 * MIB))))
        .collect();
    let all_sent = poll_fn(|context| {
        sending.retain_mut(|sent| match sent.as_mut().poll(context) {
            Poll::Ready(sent) => sent.map(|_| false).unwrap(),
            Poll::Pending => true,
        });
        if sending.is_empty() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    });
    store.session.block_on(all_sent).unwrap();
    let asked = line.asked.lock().unwrap().len();
    assert_eq!(asked, 5, "something was repeated");
    assert!(line.time.secs() > 1000.0);
}

#[test]
fn a_line_that_is_slower_than_that_is_said_to_be_too_slow() {
    let line = Line::new(20 * KIB);
    let (store, recorder) = reporting_store_on(&line, |options| options.retry.budget = Duration::from_secs(60));
    let upload = store.start_upload(&Key::new(KEY), &data()).unwrap();
    let _ = send(upload.as_ref(), 1, 16 * MIB).unwrap_err();
    let events = recorder.events();
    let is_said = |event: &Event| matches!(event, Event::Retrying { cause, .. } if cause.contains("too slow"));
    assert!(events.iter().any(is_said), "{events:?}");
}

#[test]
fn the_completion_of_a_very_large_object_may_be_silent_for_longer_than_the_budget() {
    let mut line = Line::new(MIB);
    line.completing = Duration::from_secs(1200);
    let store = store_on(&line, |_| {});
    let upload = store.start_upload(&Key::new(KEY), &data()).unwrap();
    let bytes = 1000 * 1300 * MIN_THROUGHPUT_BYTES_PER_SEC;
    let receipts = [PartReceipt {
        bytes,
        ..receipt(1, b"x")
    }];
    upload.complete(&receipts, bytes).unwrap();
    let completions = line
        .asked
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, what)| what == "Complete")
        .count();
    assert_eq!(completions, 1);
}

#[test]
fn a_source_that_pauses_for_hours_costs_nothing_of_the_budget() {
    let mut line = Line::new(MIB);
    line.outage = Some((
        Duration::from_secs(4 * 3600),
        Duration::from_secs(4 * 3600 + 600),
        Outage::Silent,
    ));
    let store = store_on(&line, |_| {});
    let upload = store.start_upload(&Key::new(KEY), &data()).unwrap();
    send(upload.as_ref(), 1, 16 * MIB).unwrap();
    store
        .session
        .block_on(async {
            let request = Request::new(String::new(), "", None);
            let _ = store.session.wait(&request, Duration::from_secs(4 * 3600)).await;
            Ok(())
        })
        .unwrap();
    send(upload.as_ref(), 2, 16 * MIB).unwrap();
}
