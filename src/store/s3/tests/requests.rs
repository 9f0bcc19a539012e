//! Regions, credentials, clocks, retries, cancellation: what every request has in common.

use super::*;
use std::time::Instant;

#[test]
fn opening_a_store_sends_nothing_and_knows_its_names() {
    let bench = Bench::new(|_| Reply::new(500));
    assert_eq!(bench.store.url(), "s3://bucket/backups");
    assert_eq!(bench.store.prefix(), "backups");
    assert_eq!(bench.store.limits().parts_max, 10_000);
    assert_eq!(bench.store.provider().name, "minio");
    assert!(bench.requests().is_empty());
    let nameless = S3Store::open(S3Options::new("a b", ""), Cancel::new(), Arc::new(Recorder::default()));
    assert_eq!(nameless.unwrap_err().kind(), Kind::Config);
}

fn signed_region(seen: &Seen) -> String {
    let authorization = seen.header("authorization").unwrap();
    authorization.split('/').nth(2).unwrap().to_owned()
}

/// Answers `wrong` until a request is signed for the right region.
fn in_region(wrong: impl Fn(&Seen) -> Reply + Send + 'static) -> Bench {
    Bench::with(
        move |seen| match signed_region(seen) == "eu-west-3" {
            true => Reply::object(5, TOKEN),
            false => wrong(seen),
        },
        |options| options.region = Some("us-east-1".to_owned()),
    )
}

#[test]
fn a_wrong_region_is_repaired_once_and_noted() {
    for wrong in [
        |_: &Seen| Reply::error(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-3"),
        |_: &Seen| Reply::error_with(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
        |seen: &Seen| match seen.line().as_str() {
            "HeadBucket" => Reply::new(301).header("x-amz-bucket-region", "eu-west-3"),
            "Head" => Reply::new(400),
            _ => Reply::error(400, "IllegalLocationConstraintException"),
        },
        |_: &Seen| Reply::new(400).header("x-amz-bucket-region", "eu-west-3"),
    ] {
        let bench = in_region(wrong);
        assert_eq!(bench.store.head(&Key::new(KEY)).unwrap().unwrap().bytes, 5);
        let before = bench.requests().len();
        assert!(bench.store.head(&Key::new(KEY)).unwrap().is_some());
        assert_eq!(bench.requests().len(), before + 1, "the region is remembered");
        assert_eq!(bench.notes().len(), 1);
        assert!(bench.notes()[0].contains("`eu-west-3`"), "{:?}", bench.notes());
    }
}

#[test]
fn many_threads_repair_the_region_together() {
    let bench = in_region(|_| Reply::new(301).header("x-amz-bucket-region", "eu-west-3"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| bench.store.head(&Key::new(KEY)).unwrap().unwrap());
        }
    });
    assert_eq!(bench.notes().len(), 1);
}

#[test]
fn a_region_that_stays_wrong_is_a_failure_that_names_it() {
    let bench = Bench::new(|_| Reply::error(301, "PermanentRedirect").header("x-amz-bucket-region", "eu-west-3"));
    let failure = bench.put().unwrap_err();
    assert_eq!(failure.kind(), Kind::Config);
    assert_eq!(bench.requests(), ["Put", "Put"]);
}

#[test]
fn errors_have_their_kinds_and_say_what_to_do() {
    for (status, code, kind, hint) in [
        (404, "NoSuchBucket", Kind::NotFound, "name"),
        (403, "AccessDenied", Kind::Denied, "s3:PutObject"),
        (403, "InvalidAccessKeyId", Kind::Denied, "access key id"),
        (403, "SignatureDoesNotMatch", Kind::Denied, "secret access key"),
        (400, "ExpiredToken", Kind::Denied, "fixed"),
        (501, "NotImplemented", Kind::Unsupported, "MinIO"),
        (400, "EntityTooLarge", Kind::Failed, ""),
    ] {
        let bench = Bench::new(move |seen| match seen.line().as_str() {
            "Put" => Reply::error(status, code).header("x-amz-request-id", "ID-7"),
            _ => Reply::error(404, "NoSuchKey"),
        });
        let failure = bench.put().unwrap_err();
        assert_eq!(failure.kind(), kind, "{code}");
        assert!(failure.causes().join(" ").contains(code), "{failure:?}");
        assert!(failure.causes().join(" ").contains("ID-7"), "{failure:?}");
        assert!(
            failure.hints().join(" ").contains(hint),
            "{code}: {:?}",
            failure.hints()
        );
        assert_eq!(bench.retries(), 0, "{code}");
    }
}

#[test]
fn a_wrong_clock_is_measured() {
    let in_half_an_hour = || {
        let time = std::time::SystemTime::now() + Duration::from_secs(1800);
        aws_sdk_s3::primitives::DateTime::from(time)
            .fmt(aws_sdk_s3::primitives::DateTimeFormat::HttpDate)
            .unwrap()
    };
    let stubborn = Bench::new(move |_| Reply::error(403, "RequestTimeTooSkewed").header("Date", in_half_an_hour()));
    let failure = stubborn.put().unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(failure.message().contains("clock"), "{failure:?}");
    assert!(
        failure.hints()[0].contains("min") && failure.hints()[0].contains("behind"),
        "{:?}",
        failure.hints()
    );

    let mut puts = 0;
    let understanding = Bench::new(move |_| {
        puts += 1;
        match puts {
            1 => Reply::error(403, "RequestTimeTooSkewed").header("Date", in_half_an_hour()),
            _ => Reply::new(200).header("ETag", "\"e\""),
        }
    });
    understanding.put().unwrap();
    let dates: Vec<_> = understanding
        .server
        .seen()
        .iter()
        .map(|seen| seen.header("x-amz-date").unwrap().to_owned())
        .collect();
    assert_ne!(
        dates[0][..13],
        dates[1][..13],
        "the second is signed by the server's clock: {dates:?}"
    );
}

#[test]
fn passing_failures_are_retried_and_reported() {
    let mut puts = 0;
    let bench = Bench::new(move |_| {
        puts += 1;
        match puts {
            1 => Reply::error(503, "SlowDown"),
            2 => Reply::error(500, "InternalError"),
            3 => Reply::Hangup,
            4 => Reply::new(502).body("<html>Bad gateway</html>"),
            _ => Reply::new(200).header("ETag", "\"e\""),
        }
    });
    bench.put().unwrap();
    assert_eq!(bench.retries(), 4);
    let events = bench.recorder.events();
    let Event::Retrying {
        what, attempt, cause, ..
    } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!(what, &format!("write `s3://bucket/{KEY}`"));
    assert_eq!(*attempt, 1);
    assert!(cause.contains("503 SlowDown"), "{cause}");
}

#[test]
fn a_store_that_keeps_failing_is_given_up_after_the_budget() {
    let bench = Bench::with(
        |_| Reply::error(503, "SlowDown"),
        |options| {
            options.provider = Some("minio".to_owned());
            options.retry.budget = Duration::from_secs(1);
        },
    );
    let begun = Instant::now();
    assert_eq!(bench.put().unwrap_err().kind(), Kind::Unreachable);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(bench.retries() >= 3);
}

#[test]
fn a_part_that_arrives_damaged_is_sent_three_times() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Create" => Reply::created(),
        _ => Reply::error(400, "BadDigest"),
    });
    let failure = bench.upload().put_part(part(1, b"hello")).unwrap_err();
    assert_eq!(failure.kind(), Kind::Failed);
    assert_eq!(bench.requests(), ["Create", "Part", "Part", "Part"]);
}

#[test]
fn an_endpoint_that_was_never_reached_is_given_up_soon() {
    let bench = Bench::with(
        |_| Reply::new(500),
        |options| {
            let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            options.endpoint_url = Some(format!("http://{}", unused.local_addr().unwrap()));
            options.retry = RetryOptions {
                max_wait: Duration::from_millis(20),
                ..RetryOptions::default()
            };
        },
    );
    let failure = bench.store.head(&Key::new(KEY)).unwrap_err();
    assert_eq!(failure.kind(), Kind::Unreachable);
    assert!(
        failure.message().starts_with("Nothing answers at `http://127.0.0.1:"),
        "{failure:?}"
    );
    assert_eq!(bench.retries(), 2);
}

#[test]
fn a_cancellation_ends_a_request_and_a_wait_at_once() {
    let silent = Bench::new(|_| Reply::Silence);
    let waiting = Bench::with(
        |_| Reply::error(503, "SlowDown"),
        |options| {
            options.provider = Some("minio".to_owned());
            options.retry = RetryOptions::default();
        },
    );
    for bench in [&silent, &waiting] {
        let (failure, took) = std::thread::scope(|scope| {
            let putting = scope.spawn(|| bench.put().unwrap_err());
            bench.server.wait_for(1);
            std::thread::sleep(Duration::from_millis(50));
            let cancelled = Instant::now();
            bench.cancel.cancel();
            (putting.join().unwrap(), cancelled.elapsed())
        });
        assert_eq!(failure.kind(), Kind::Interrupted);
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn looking_and_removing_still_work_after_a_cancellation() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Head" => Reply::object(5, TOKEN),
        _ => Reply::new(204),
    });
    bench.cancel.cancel();
    let meta = bench.store.head(&Key::new(KEY)).unwrap();
    assert_eq!(meta.and_then(|meta| meta.token).as_deref(), Some(TOKEN));
    bench.store.delete(&Key::new(KEY)).unwrap();
    assert_eq!(bench.requests(), ["Head", "Delete"]);
    assert_eq!(
        bench.put().unwrap_err().kind(),
        Kind::Interrupted,
        "nothing new is begun"
    );
}

#[test]
fn removing_what_is_not_there_is_a_success() {
    let bench = Bench::new(|_| Reply::error(404, "NoSuchKey"));
    bench.store.delete(&Key::new(KEY)).unwrap();
    let denied = Bench::new(|_| Reply::error(403, "AccessDenied"));
    let failure = denied.store.delete(&Key::new(KEY)).unwrap_err();
    assert!(failure.hints()[0].contains("s3:DeleteObject"), "{:?}", failure.hints());
}

#[test]
fn no_more_parts_are_on_their_way_than_the_provider_takes() {
    let on_their_way = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = on_their_way.clone();
    let bench = Bench::with(
        move |seen| {
            if seen.line() == "Part" {
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            match seen.line().as_str() {
                "Create" => Reply::created(),
                "Part" => Reply::Silence,
                "Head" => Reply::new(404),
                "Get" => Reply::error(404, "NoSuchKey"),
                "Abort" => Reply::new(204),
                _ => Reply::error(404, "NoSuchUpload"),
            }
        },
        |options| options.provider = Some("r2".to_owned()),
    );
    let upload = bench.upload();
    std::thread::scope(|scope| {
        for number in 1..=6 {
            let upload = &upload;
            scope.spawn(move || upload.put_part(part(number, b"hello")).unwrap_err());
        }
        // Head, Get and Create came before.
        bench.server.wait_for(3 + 3);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(on_their_way.load(std::sync::atomic::Ordering::SeqCst), 3);
        upload.abort().unwrap();
    });
}

#[test]
fn a_head_that_is_refused_without_a_reason_is_made_again() {
    for (mute, is_told) in [(2, true), (3, false)] {
        let mut heads = 0;
        let bench = Bench::new(move |_| {
            heads += 1;
            match heads <= mute {
                true => Reply::new(400),
                false => Reply::error(404, "NoSuchKey").header("Date", "Sat, 31 Jan 2026 02:00:00 GMT"),
            }
        });
        let told = bench.store.now();
        assert_eq!(told.is_ok(), is_told, "{mute}: {told:?}");
        assert_eq!(bench.requests().len(), 3);
    }
}
