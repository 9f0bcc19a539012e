//! Bodies that break, and listings that lie.

use super::*;

fn read(bench: &Bench, range: Option<Range<u64>>) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = bench
        .store
        .get(&Key::new(KEY), range)
        .map_err(crate::base::failure::into_io)?;
    reader.read_to_end(&mut out)?;
    Ok(out)
}

fn kind_of(error: std::io::Error) -> Kind {
    crate::base::failure::from_io("read", error).kind()
}

const CONTENT: &[u8] = b"0123456789";

/// Serves `CONTENT` by ranges, breaking off each answer after `at_most` bytes.
fn ranged(at_most: usize) -> impl FnMut(&Seen) -> Reply + Send {
    move |seen| {
        let (status, start, end) = match seen.header("range").and_then(|range| range.strip_prefix("bytes=")) {
            None => (200, 0, CONTENT.len()),
            Some(range) => {
                let (start, last) = range.split_once('-').unwrap();
                (206, start.parse().unwrap(), last.parse::<usize>().unwrap() + 1)
            }
        };
        let body = &CONTENT[start..end.min(start + at_most)];
        let mut reply = Reply::new(status)
            .header("ETag", "\"v1\"")
            .body(body)
            .claiming(end - start);
        if status == 206 {
            reply = reply.header("Content-Range", format!("bytes {start}-{}/{}", end - 1, CONTENT.len()));
        }
        reply
    }
}

#[test]
fn a_body_that_breaks_off_is_resumed_where_it_broke() {
    let bench = Bench::new(ranged(4));
    assert_eq!(read(&bench, None).unwrap(), CONTENT);
    let seen = bench.server.seen();
    let ranges: Vec<_> = seen.iter().map(|seen| seen.header("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=4-9"), Some("bytes=8-9")]);
    assert_eq!(seen[0].header("if-match"), None);
    assert_eq!(seen[1].header("if-match"), Some("\"v1\""));
    assert_eq!(bench.retries(), 2);

    let bench = Bench::new(ranged(3));
    assert_eq!(read(&bench, Some(2..9)).unwrap(), &CONTENT[2..9]);
    assert_eq!(bench.server.seen()[1].header("range"), Some("bytes=5-8"));
}

#[test]
fn a_body_that_never_comes_is_given_up_after_the_budget() {
    let bench = Bench::with(ranged(0), |options| {
        options.retry.budget = Duration::from_secs(1);
    });
    assert_eq!(kind_of(read(&bench, None).unwrap_err()), Kind::Unreachable);
    assert!(bench.retries() >= 3);
}

#[test]
fn an_object_that_changes_while_it_is_read_is_damage() {
    let mut whole = ranged(4);
    let bench = Bench::new(move |seen| match seen.header("if-match") {
        None => whole(seen),
        Some(_) => Reply::error(412, "PreconditionFailed"),
    });
    assert_eq!(kind_of(read(&bench, None).unwrap_err()), Kind::Damaged);
}

#[test]
fn an_answer_that_is_not_the_range_is_refused() {
    let whole = Bench::new(|_| Reply::new(200).header("ETag", "\"v1\"").body(CONTENT));
    assert_eq!(kind_of(read(&whole, Some(2..5)).unwrap_err()), Kind::Unsupported);
    assert_eq!(kind_of(read(&whole, Some(0..5)).unwrap_err()), Kind::Unsupported);
    assert_eq!(read(&whole, Some(0..10)).unwrap(), CONTENT, "the whole is the range");
    let shorter = Bench::new(|_| {
        Reply::new(206)
            .header("Content-Range", "bytes 2-9/10")
            .body(&CONTENT[2..])
    });
    assert_eq!(kind_of(read(&shorter, Some(2..50)).unwrap_err()), Kind::Damaged);
}

#[test]
fn an_archived_object_says_how_to_thaw_it() {
    let bench = Bench::new(|_| Reply::error(403, "InvalidObjectState"));
    let failure = bench.store.get(&Key::new(KEY), None).err().unwrap();
    assert_eq!(failure.kind(), Kind::Archived);
    assert!(failure.hints()[0].contains("restore BACKUP --thaw"));
}

#[test]
fn an_empty_range_of_a_missing_object_is_an_error() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Head" => Reply::new(404),
        _ => Reply::error(404, "NoSuchKey"),
    });
    assert_eq!(kind_of(read(&bench, Some(3..3)).unwrap_err()), Kind::NotFound);
}

#[test]
fn a_head_tells_missing_from_forbidden_and_from_no_bucket() {
    let key = Key::new(KEY);
    let bare = |get: fn() -> Reply, head: u16| {
        Bench::new(move |seen| match seen.line().as_str() {
            "Head" => Reply::new(head),
            _ => get(),
        })
    };
    let missing = bare(|| Reply::error(404, "NoSuchKey"), 404);
    assert_eq!(missing.store.head(&key).unwrap(), None);
    assert_eq!(missing.store.head(&key).unwrap(), None);
    assert_eq!(
        missing.requests(),
        ["Head", "Get", "Head"],
        "the bucket is asked for once"
    );
    let no_bucket = bare(|| Reply::error(404, "NoSuchBucket"), 404);
    let failure = no_bucket.store.head(&key).unwrap_err();
    assert_eq!(
        (failure.kind(), failure.message()),
        (Kind::NotFound, "No such bucket: `bucket`")
    );
    let forbidden = bare(|| Reply::error(403, "AccessDenied"), 403);
    let failure = forbidden.store.head(&key).unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(failure.hints()[0].contains("s3:GetObject"), "{:?}", failure.hints());
    let wrong_secret = bare(|| Reply::error(403, "SignatureDoesNotMatch"), 403);
    let failure = wrong_secret.store.head(&key).unwrap_err();
    assert!(failure.causes()[0].contains("SignatureDoesNotMatch"), "{failure:?}");
}

#[test]
fn an_etag_counts_as_md5_only_without_foreign_keys() {
    for (header, value, is_md5) in [
        ("x-none", "", true),
        ("x-amz-server-side-encryption", "AES256", true),
        ("x-amz-server-side-encryption", "aws:kms", false),
        ("x-amz-server-side-encryption", "aws:kms:dsse", false),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", false),
    ] {
        let bench = Bench::new(move |_| {
            Reply::object(5, TOKEN)
                .header(header, value)
                .header("x-amz-storage-class", "GLACIER_IR")
                .header("x-amz-version-id", "null")
        });
        let meta = bench.store.head(&Key::new(KEY)).unwrap().unwrap();
        assert_eq!(meta.etag_is_md5, is_md5, "{header}: {value}");
        assert_eq!(meta.etag.as_deref(), Some("abc-1"));
        assert_eq!(meta.storage_class.as_deref(), Some("GLACIER_IR"));
        assert_eq!(meta.version_id, None);
    }
}

/// One page of a listing.
fn page(keys: &[&str], next: Option<&str>, truncated: bool) -> Reply {
    let contents: String = keys
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
        .collect();
    let next = next.map_or_else(String::new, |token| {
        format!("<NextContinuationToken>{token}</NextContinuationToken>")
    });
    Reply::new(200).body(format!(
        "<?xml version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{contents}{next}</ListBucketResult>"
    ))
}

fn listed(bench: &Bench) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    bench.store.list("a", &mut |meta| {
        keys.push(meta.key.as_str().to_owned());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(keys)
}

#[test]
fn a_listing_follows_its_pages_and_survives_a_failing_one() {
    let mut requests = 0;
    let bench = Bench::new(move |seen| {
        requests += 1;
        match (requests, seen.query.contains("continuation-token=t2")) {
            (1, false) => page(&["a+1", "a%2B2"], Some("t2"), true),
            (2, true) => Reply::error(503, "SlowDown"),
            (3, true) => page(&["a3"], None, false),
            _ => Reply::error(400, "Unexpected"),
        }
    });
    assert_eq!(listed(&bench).unwrap(), ["a 1", "a+2", "a3"]);
    assert_eq!(bench.retries(), 1);
}

#[test]
fn a_listing_that_may_lack_something_is_an_error() {
    let no_way_on = Bench::new(|_| page(&["a1"], None, true));
    assert!(listed(&no_way_on).unwrap_err().message().contains("way on"));
    let same_token = Bench::new(|_| page(&["a1"], Some("t"), true));
    assert!(listed(&same_token).is_err());
    let mut count = 0;
    let ignores_token = Bench::new(move |_| {
        count += 1;
        page(&["a1", "a2"], Some(&format!("t{count}")), count < 5)
    });
    assert!(listed(&ignores_token).unwrap_err().message().contains("order"));
    let other_prefix = Bench::new(|_| page(&["b"], None, false));
    assert!(listed(&other_prefix).is_err());
    let html = Bench::new(|_| Reply::new(200).body("<html><body>Welcome</body></html>"));
    assert!(listed(&html).is_err());
    let silent_about_more = "<ListBucketResult><NextContinuationToken>t</NextContinuationToken>\
                             <Contents><Key>a1</Key><Size>1</Size></Contents></ListBucketResult>";
    let silent_about_more = Bench::new(move |_| Reply::new(200).body(silent_about_more));
    assert!(listed(&silent_about_more).is_err());
    let empty = Bench::new(|_| Reply::new(200));
    assert!(listed(&empty).is_err());
}

#[test]
fn a_listing_whose_document_is_cut_is_an_error_wherever_it_is_cut() {
    let whole = "<?xml version=\"1.0\"?><ListBucketResult><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>\
                 <Contents><Key>a1</Key><Size>1</Size></Contents><Contents><Key>a2</Key><Size>1</Size></Contents>";
    let bench = Bench::new(move |_| Reply::new(200).body(format!("{whole}</ListBucketResult>")));
    assert_eq!(listed(&bench).unwrap(), ["a1", "a2"]);
    // The SDK reads it as if it were whole.
    for tag in ["</KeyCount>", "</IsTruncated>", "<Contents>", "</Key>", "</Contents>"] {
        let end = whole.find(tag).unwrap() + tag.len();
        let cut = whole[..end].to_owned();
        let bench = Bench::new(move |_| Reply::new(200).body(cut.clone()));
        assert!(listed(&bench).is_err(), "{}", &whole[..end]);
    }
}

#[test]
fn a_small_object_that_is_read_wrong_is_read_again_and_one_that_is_stored_wrong_is_damaged() {
    let tag = format!("\"{}\"", hex::encode(Md5::digest(b"the manifest")));
    for (wrong, expected) in [(2, Some(())), (3, None)] {
        let tag = tag.clone();
        let mut requests = 0;
        let bench = Bench::new(move |_| {
            requests += 1;
            let body = if requests <= wrong {
                "the manifesT"
            } else {
                "the manifest"
            };
            Reply::new(200).header("etag", &tag).body(body)
        });
        let outcome = read(&bench, None);
        match expected {
            Some(()) => assert_eq!(outcome.unwrap(), b"the manifest"),
            None => assert_eq!(kind_of(outcome.unwrap_err()), Kind::Damaged),
        }
        assert_eq!(bench.requests().len(), 3);
    }
}

#[test]
fn the_visitor_ends_a_listing() {
    let bench = Bench::new(|_| page(&["a1", "a2"], Some("t"), true));
    let mut seen = 0;
    bench
        .store
        .list("a", &mut |_| {
            seen += 1;
            Ok(ControlFlow::Break(()))
        })
        .unwrap();
    assert_eq!((seen, bench.requests().len()), (1, 1));
}

#[test]
fn unfinished_uploads_are_listed_over_pages_and_by_prefix() {
    let page = |keys: &str, next: &str| {
        Reply::new(200).body(format!(
            "<?xml version=\"1.0\"?><ListMultipartUploadsResult>{next}{keys}</ListMultipartUploadsResult>"
        ))
    };
    let upload = |key: &str| {
        format!(
            "<Upload><Key>{key}</Key><UploadId>id-{key}</UploadId><Initiated>2025-01-20T14:30:00.000Z</Initiated></Upload>"
        )
    };
    let bench = Bench::new(move |seen| match seen.query.contains("key-marker=a1") {
        false => page(
            &upload("a1"),
            "<IsTruncated>true</IsTruncated><NextKeyMarker>a1</NextKeyMarker><NextUploadIdMarker>id-a1</NextUploadIdMarker>",
        ),
        true => page(&(upload("a2") + &upload("b")), "<IsTruncated>false</IsTruncated>"),
    });
    let found = bench.store.unfinished_uploads("a").unwrap();
    let names: Vec<_> = found.iter().map(|upload| upload.upload_id.as_str()).collect();
    assert_eq!(names, ["id-a1", "id-a2"]);
    assert_eq!(found[0].initiated.unwrap().to_string(), "2025-01-20T14:30:00Z");
    let unknown = Bench::new(|_| Reply::error(501, "NotImplemented"));
    assert_eq!(
        unknown.store.unfinished_uploads("a").unwrap_err().kind(),
        Kind::Unsupported
    );
}
