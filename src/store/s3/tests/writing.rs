//! Create-only writes, and the ends of uploads whose outcome the wire does not tell.

use super::*;

/// Answers the steps of an upload up to its end, and hands the rest to the test.
fn upload_then(mut rest: impl FnMut(&str, usize) -> Reply + Send + 'static) -> impl FnMut(&Seen) -> Reply + Send {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    move |seen| {
        let line = seen.line();
        let count = counts.entry(line.clone()).or_default();
        *count += 1;
        match line.as_str() {
            "Create" => Reply::created(),
            "Part" => Reply::new(200).header("ETag", "\"tag\""),
            "Abort" => Reply::new(204),
            "ListParts" => Reply::error(404, "NoSuchUpload"),
            _ => rest(&line, *count),
        }
    }
}

fn complete(bench: &Bench) -> Result<ObjectMeta> {
    bench.upload().complete(&[receipt(1, b"hello")], 5)
}

#[test]
fn a_put_is_conditional_and_carries_md5_token_and_settings() {
    let bench = Bench::with(
        |_| Reply::new(200).header("ETag", "\"e\""),
        |options| {
            options.provider = Some("aws".to_owned());
            options.path_style = Some(true);
            options.checksum = Some(ChecksumMode::WhenRequired);
            options.storage_class = Some("STANDARD_IA".to_owned());
            options.sse = Some(Sse::Kms {
                key_id: Some("key-1".to_owned()),
            });
            options.tags.insert("team a".to_owned(), "x&y".to_owned());
        },
    );
    bench.put().unwrap();
    bench
        .store
        .put(
            &Key::new("m"),
            Bytes::from_static(b"{}"),
            &PutOptions {
                role: Role::Manifest,
                ..data()
            },
        )
        .unwrap();
    let seen = bench.server.seen();
    assert_eq!(seen[0].path, format!("/bucket/{KEY}"));
    assert_eq!(seen[0].body, b"hello");
    for (name, value) in [
        ("if-none-match", "*"),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg=="),
        ("content-type", "application/gzip"),
        ("x-amz-meta-backup-cli-token", TOKEN),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
        ("x-amz-tagging", "team+a=x%26y"),
    ] {
        assert_eq!(seen[0].header(name), Some(value), "{name}");
    }
    assert_eq!(seen[0].header("x-amz-checksum-crc64nvme"), None);
    assert_eq!(
        seen[1].header("x-amz-storage-class"),
        None,
        "the manifest stays standard"
    );
    assert_eq!(seen[1].header("x-amz-server-side-encryption"), Some("aws:kms"));
}

#[test]
fn an_upload_carries_the_same_settings_as_a_put() {
    let cases = [
        (Sse::Aes256, "AES256", None),
        (Sse::Kms { key_id: None }, "aws:kms", None),
        (
            Sse::Kms {
                key_id: Some("key-1".to_owned()),
            },
            "aws:kms",
            Some("key-1"),
        ),
    ];
    for (sse, algorithm, key_id) in cases {
        let bench = Bench::with(
            upload_then(|line, _| match line {
                "Put" => Reply::new(200).header("ETag", "\"e\""),
                _ => Reply::completed(),
            }),
            |options| {
                options.provider = Some("aws".to_owned());
                options.path_style = Some(true);
                options.storage_class = Some("GLACIER_IR".to_owned());
                options.sse = Some(sse);
                options.tags.insert("team".to_owned(), "a b".to_owned());
            },
        );
        let upload = bench.upload();
        let sent = upload.put_part(part(1, b"hello")).unwrap();
        upload.complete(&[sent], 5).unwrap();
        bench.put().unwrap();
        let seen = bench.server.seen();
        assert_eq!(bench.requests(), ["Create", "Part", "Complete", "Put"]);
        for request in [&seen[0], &seen[3]] {
            for (name, value) in [
                ("x-amz-server-side-encryption", Some(algorithm)),
                ("x-amz-server-side-encryption-aws-kms-key-id", key_id),
                ("x-amz-storage-class", Some("GLACIER_IR")),
                ("x-amz-tagging", Some("team=a+b")),
                ("x-amz-meta-backup-cli-token", Some(TOKEN)),
            ] {
                assert_eq!(request.header(name), value, "{name} of {}", request.line());
            }
        }
    }
}

/// AWS takes and keeps a checksum; what nobody knows may refuse it.
#[test]
fn checksums_are_sent_to_aws_and_to_nobody_else_unasked() {
    for (provider, wanted) in [(Some("aws"), true), (Some("minio"), false), (None, false)] {
        // Where conditions may mean nothing the key is looked at, before and after.
        let mut is_there = false;
        let rest = move |line: &str, _| match line {
            "Head" if is_there => Reply::object(5, TOKEN),
            "Head" | "Get" => Reply::error(404, "NoSuchKey"),
            _ => {
                is_there = true;
                Reply::completed()
            }
        };
        let bench = Bench::with(upload_then(rest), |options| {
            options.provider = provider.map(str::to_owned);
            options.path_style = Some(true);
        });
        let upload = bench.upload();
        let sent = upload.put_part(part(1, b"hello")).unwrap();
        upload.complete(&[sent], 5).unwrap();
        let seen = bench.server.seen();
        for request in &seen {
            let has_checksum = request
                .headers
                .iter()
                .any(|(name, _)| name.starts_with("x-amz-checksum-"));
            let is_one_of_them = matches!(request.line().as_str(), "Create" | "Part" | "Complete");
            assert_eq!(has_checksum, wanted && is_one_of_them, "{provider:?} {request:?}");
        }
        // The MD5 of a part goes with it everywhere.
        let part = seen.iter().find(|request| request.line() == "Part").unwrap();
        assert_eq!(part.header("content-md5"), Some("XUFAKrxLKna5cZ2REBfFkg=="));
    }
}

#[test]
fn checksums_go_in_a_header_where_they_are_wanted() {
    let bench = Bench::with(upload_then(|_, _| Reply::completed()), |options| {
        options.provider = Some("minio".to_owned());
        options.checksum = Some(ChecksumMode::WhenSupported);
    });
    let upload = bench.upload();
    let sent = upload.put_part(part(1, b"hello")).unwrap();
    upload.complete(&[sent], 5).unwrap();
    let seen = bench.server.seen();
    assert_eq!(seen[0].header("x-amz-checksum-algorithm"), Some("CRC64NVME"));
    assert!(seen[1].header("x-amz-checksum-crc64nvme").is_some());
    assert_eq!(seen[1].header("x-amz-trailer"), None);
    assert_eq!(seen[1].header("content-md5"), Some("XUFAKrxLKna5cZ2REBfFkg=="));
    assert_eq!(seen[2].header("x-amz-checksum-type"), Some("FULL_OBJECT"));
}

#[test]
fn a_refused_put_that_finds_its_own_token_has_succeeded() {
    let mut puts = 0;
    let bench = Bench::new(move |seen| match seen.line().as_str() {
        "Put" => {
            puts += 1;
            match puts {
                1 => Reply::Hangup,
                _ => Reply::error(412, "PreconditionFailed"),
            }
        }
        _ => Reply::object(5, TOKEN),
    });
    assert_eq!(bench.put().unwrap().token.as_deref(), Some(TOKEN));
    assert_eq!(bench.requests(), ["Put", "Put", "Head"]);
    assert_eq!(bench.retries(), 1);
}

#[test]
fn a_refused_put_that_finds_another_token_is_a_conflict() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Put" => Reply::error(412, "PreconditionFailed"),
        _ => Reply::object(5, "another run"),
    });
    assert_eq!(bench.put().unwrap_err().kind(), Kind::Conflict);
}

#[test]
fn a_put_that_meets_another_write_is_repeated() {
    let mut puts = 0;
    let bench = Bench::new(move |_| {
        puts += 1;
        match puts {
            1 => Reply::error(409, "ConditionalRequestConflict"),
            _ => Reply::new(200).header("ETag", "\"e\""),
        }
    });
    bench.put().unwrap();
    assert_eq!(bench.requests(), ["Put", "Put"]);
}

#[test]
fn a_store_without_conditional_writes_is_looked_at_and_warned_about_once() {
    let mut present = false;
    let bench = Bench::with(
        move |seen| match (seen.line().as_str(), seen.header("if-none-match")) {
            ("Put", Some(_)) => Reply::error(501, "NotImplemented"),
            ("Put", None) => {
                present = true;
                Reply::new(200).header("ETag", "\"e\"")
            }
            ("Head", _) if present => Reply::object(5, TOKEN),
            ("Head", _) => Reply::new(404),
            _ => Reply::error(404, "NoSuchKey"),
        },
        |_| {},
    );
    bench.put().unwrap();
    assert_eq!(bench.notes().len(), 1);
    assert!(bench.notes()[0].contains("conditional writes"), "{:?}", bench.notes());
    let again = bench.store.put(
        &Key::new(KEY),
        Bytes::from_static(b"hello"),
        &PutOptions {
            token: "a later run".to_owned(),
            ..data()
        },
    );
    assert_eq!(again.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(bench.notes().len(), 1);
    let conditional = bench.server.seen();
    let conditional = conditional.iter().filter(|seen| seen.header("if-none-match").is_some());
    assert_eq!(conditional.count(), 1);
}

#[test]
fn a_store_that_ignores_the_condition_does_not_hide_a_conflict() {
    let mut heads = 0;
    let bench = Bench::with(
        move |seen| match seen.line().as_str() {
            "Put" => Reply::new(200).header("ETag", "\"e\""),
            "Head" => {
                heads += 1;
                match heads {
                    1 => Reply::new(404),
                    _ => Reply::object(5, "another run"),
                }
            }
            _ => Reply::error(404, "NoSuchKey"),
        },
        |_| {},
    );
    assert_eq!(bench.put().unwrap_err().kind(), Kind::Conflict);
}

#[test]
fn a_completion_whose_reply_was_lost_is_settled_by_token_and_size() {
    let bench = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::Hangup,
        _ => Reply::object(5, TOKEN),
    }));
    let meta = complete(&bench).unwrap();
    assert_eq!((meta.bytes, meta.token.as_deref()), (5, Some(TOKEN)));
    assert_eq!(bench.requests(), ["Create", "Complete", "Head"]);
    let seen = bench.server.seen();
    assert_eq!(seen[1].header("if-none-match"), Some("*"));
}

#[test]
fn a_completion_that_was_lost_and_not_done_is_repeated() {
    let bench = Bench::new(upload_then(|line, count| match (line, count) {
        ("Complete", 1) => Reply::Hangup,
        ("Complete", _) => Reply::completed(),
        ("Head", _) => Reply::new(404),
        _ => Reply::error(404, "NoSuchKey"),
    }));
    assert_eq!(complete(&bench).unwrap().etag.as_deref(), Some("whole-1"));
    assert_eq!(bench.requests(), ["Create", "Complete", "Head", "Complete"]);
}

#[test]
fn an_error_inside_a_200_is_an_error() {
    let bench = Bench::new(upload_then(|line, count| match (line, count) {
        ("Complete", 1) => Reply::error(200, "InternalError"),
        ("Complete", _) => Reply::error(200, "InvalidPart"),
        ("Head", _) => Reply::new(404),
        _ => Reply::error(404, "NoSuchKey"),
    }));
    let failure = complete(&bench).unwrap_err();
    assert_eq!(failure.kind(), Kind::Failed);
    assert!(failure.causes()[0].contains("InvalidPart"), "{failure:?}");
    assert_eq!(bench.requests(), ["Create", "Complete", "Head", "Complete"]);
}

#[test]
fn a_200_without_a_result_is_no_proof() {
    let bench = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::new(200).body("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"),
        "Head" => Reply::new(404),
        _ => Reply::error(404, "NoSuchKey"),
    }));
    assert!(complete(&bench).is_err());
}

#[test]
fn an_upload_that_is_gone_because_it_was_completed_is_a_success() {
    let bench = Bench::new(upload_then(|line, count| match (line, count) {
        ("Complete", 1) => Reply::Hangup,
        ("Complete", _) => Reply::error(404, "NoSuchUpload"),
        // The completion was still at work when the key was looked at first.
        ("Head", 1) => Reply::new(404),
        ("Head", _) => Reply::object(5, TOKEN),
        _ => Reply::error(404, "NoSuchKey"),
    }));
    assert_eq!(complete(&bench).unwrap().bytes, 5);
}

#[test]
fn an_upload_that_is_gone_without_an_object_is_a_failure() {
    let bench = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::error(404, "NoSuchUpload"),
        "Head" => Reply::new(404),
        _ => Reply::error(404, "NoSuchKey"),
    }));
    let failure = complete(&bench).unwrap_err();
    assert_eq!(failure.kind(), Kind::Failed);
    assert!(failure.hints()[0].contains("lifecycle"), "{failure:?}");
}

#[test]
fn a_completion_in_conflict_is_settled_or_fails_clearly() {
    let done = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::error(409, "ConditionalRequestConflict"),
        _ => Reply::object(5, TOKEN),
    }));
    assert!(complete(&done).is_ok());
    let not_done = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::error(409, "ConditionalRequestConflict"),
        "Head" => Reply::new(404),
        _ => Reply::error(404, "NoSuchKey"),
    }));
    assert_eq!(complete(&not_done).unwrap_err().kind(), Kind::Conflict);
    let completions = not_done.requests().iter().filter(|line| *line == "Complete").count();
    assert_eq!(completions, 1, "the store has ended the upload");
}

#[test]
fn a_taken_key_is_a_conflict_and_stays_as_it_is() {
    let bench = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::error(412, "PreconditionFailed"),
        _ => Reply::object(5, "another run"),
    }));
    let upload = bench.upload();
    let failure = upload.complete(&[receipt(1, b"hello")], 5).unwrap_err();
    assert_eq!(failure.kind(), Kind::Conflict);
    upload.abort().unwrap();
    assert!(
        !bench.requests().contains(&"Delete".to_owned()),
        "{:?}",
        bench.requests()
    );
}

#[test]
fn an_object_of_another_size_is_damage() {
    let bench = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::Hangup,
        _ => Reply::object(4, TOKEN),
    }));
    assert_eq!(complete(&bench).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn receipts_that_do_not_add_up_are_not_sent() {
    let bench = Bench::new(upload_then(|_, _| Reply::completed()));
    let upload = bench.upload();
    for receipts in [
        vec![receipt(1, b"hello"), receipt(3, b"hello")],
        vec![receipt(1, b"hello"), receipt(1, b"hello")],
        vec![receipt(1, b"hell")],
    ] {
        let bytes = receipts.len() as u64 * 5;
        assert!(upload.complete(&receipts, bytes).is_err());
    }
    assert_eq!(bench.requests(), ["Create"]);
}

#[test]
fn an_abort_is_repeated_while_parts_land_and_ends_with_the_upload() {
    let mut lists = 0;
    let bench = Bench::new(move |seen| match seen.line().as_str() {
        "Create" => Reply::created(),
        "Abort" => Reply::new(204),
        _ => {
            lists += 1;
            match lists {
                1 => Reply::new(200).body(
                    "<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber></Part></ListPartsResult>",
                ),
                _ => Reply::error(404, "NoSuchUpload"),
            }
        }
    });
    bench.upload().abort().unwrap();
    assert_eq!(bench.requests(), ["Create", "Abort", "ListParts", "Abort", "ListParts"]);
}

#[test]
fn an_abort_after_a_cancelled_completion_removes_what_it_made() {
    let bench = Bench::new(upload_then(|line, _| match line {
        "Complete" => Reply::Silence,
        "Delete" => Reply::new(204),
        _ => Reply::object(5, TOKEN),
    }));
    let upload = bench.upload();
    let failure = std::thread::scope(|scope| {
        let completing = scope.spawn(|| upload.complete(&[receipt(1, b"hello")], 5).unwrap_err());
        bench.server.wait_for(2);
        bench.cancel.cancel();
        completing.join().unwrap()
    });
    assert_eq!(failure.kind(), Kind::Interrupted);
    upload.abort().unwrap();
    assert_eq!(
        bench.requests(),
        ["Create", "Complete", "Abort", "ListParts", "Head", "Delete"]
    );
}

#[test]
fn an_abort_stops_parts_on_their_way() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Create" => Reply::created(),
        "Part" => Reply::Silence,
        "Abort" => Reply::new(204),
        _ => Reply::error(404, "NoSuchUpload"),
    });
    let upload = bench.upload();
    let failure = std::thread::scope(|scope| {
        let sending = scope.spawn(|| upload.put_part(part(1, b"hello")).unwrap_err());
        bench.server.wait_for(2);
        upload.abort().unwrap();
        sending.join().unwrap()
    });
    assert_eq!(failure.kind(), Kind::Failed, "nobody interrupted the run: {failure:?}");
}

#[test]
fn an_upload_that_was_being_begun_when_the_run_was_cancelled_can_be_aborted() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Create" => {
            std::thread::sleep(Duration::from_millis(300));
            Reply::created()
        }
        "Abort" => Reply::new(204),
        _ => Reply::error(404, "NoSuchUpload"),
    });
    let upload = std::thread::scope(|scope| {
        let beginning = scope.spawn(|| bench.store.start_upload(&Key::new(KEY), &data()));
        bench.server.wait_for(1);
        bench.cancel.cancel();
        beginning.join().unwrap().unwrap()
    });
    upload.abort().unwrap();
    assert_eq!(bench.requests()[..2], ["Create", "Abort"]);
    // A failure is not tried again then.
    let failing = Bench::new(|_| {
        std::thread::sleep(Duration::from_millis(100));
        Reply::error(503, "SlowDown")
    });
    let failure = std::thread::scope(|scope| {
        let beginning = scope.spawn(|| failing.store.start_upload(&Key::new(KEY), &data()).map(|_| ()));
        failing.server.wait_for(1);
        failing.cancel.cancel();
        beginning.join().unwrap().unwrap_err()
    });
    assert_eq!(failure.kind(), Kind::Interrupted);
    assert_eq!(failing.requests(), ["Create"]);
}

#[test]
fn a_part_is_signed_by_its_md5_alone_until_a_server_wants_more() {
    let unsigned = |seen: &Seen| seen.header("x-amz-content-sha256") == Some("UNSIGNED-PAYLOAD");
    for (status, code) in [
        (403, "AccessDenied"),
        (403, "SignatureDoesNotMatch"),
        (400, "XAmzContentSHA256Mismatch"),
        (501, "NotImplemented"),
    ] {
        let bench = Bench::new(move |seen| match seen.line().as_str() {
            "Create" => Reply::created(),
            "Part" if unsigned(seen) => Reply::error(status, code),
            _ => Reply::new(200).header("ETag", "\"tag\""),
        });
        let upload = bench.upload();
        upload.put_part(part(1, b"hello")).unwrap();
        upload.put_part(part(2, b"world")).unwrap();
        let seen = bench.server.seen();
        let parts: Vec<&Seen> = seen.iter().filter(|seen| seen.line() == "Part").collect();
        let signed = parts.iter().filter(|part| !unsigned(part)).count();
        assert_eq!((signed, unsigned(parts[0])), (2, true), "{code}");
        // Either way nobody on the way can put other content into the request.
        for part in parts {
            let signature = part.header("authorization").unwrap();
            assert!(signature.contains("content-md5;"), "{signature}");
        }
    }
}

#[test]
fn a_part_that_is_refused_for_another_reason_is_refused() {
    let bench = Bench::new(|seen| match seen.line().as_str() {
        "Create" => Reply::created(),
        _ => Reply::error(403, "AccessDenied"),
    });
    let upload = bench.upload();
    assert_eq!(upload.put_part(part(1, b"hello")).unwrap_err().kind(), Kind::Denied);
    assert_eq!(bench.requests(), ["Create", "Part", "Part"]);
}
