//! Objects in parts: invisible until they are complete, whole or not at all.

use bytes::Bytes;

use super::{Bench, Case, Verdict, content, ensure, expect_kind, md5, put_options, told};
use crate::base::failure::Kind;
use crate::store::{Part, PartReceipt, Upload};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "parts_from_several_threads_make_one_object",
        run: parts_from_several_threads_make_one_object,
    },
    Case {
        name: "one_small_part_is_enough",
        run: one_small_part_is_enough,
    },
    Case {
        name: "a_part_may_be_sent_again",
        run: a_part_may_be_sent_again,
    },
    Case {
        name: "complete_never_replaces",
        run: complete_never_replaces,
    },
    Case {
        name: "an_upload_of_another_length_is_not_completed",
        run: an_upload_of_another_length_is_not_completed,
    },
    Case {
        name: "an_aborted_upload_leaves_nothing",
        run: an_aborted_upload_leaves_nothing,
    },
    Case {
        name: "abort_after_complete_keeps_the_object",
        run: abort_after_complete_keeps_the_object,
    },
    Case {
        name: "unfinished_uploads_are_told_by_prefix",
        run: unfinished_uploads_are_told_by_prefix,
    },
    Case {
        name: "an_upload_without_parts_is_an_empty_object_or_an_error",
        run: an_upload_without_parts_is_an_empty_object_or_an_error,
    },
    Case {
        name: "two_uploads_of_one_key_make_one_object",
        run: two_uploads_of_one_key_make_one_object,
    },
];

/// Parts of the large object; enough that several threads meet.
const PARTS: usize = 6;

/// Small parts where the store allows them: a case is about order and visibility, not about throughput.
const PART_BYTES: u64 = 1024;

impl Bench<'_> {
    fn part_bytes(&self) -> usize {
        // A part has to fit into memory, so it fits into a usize.
        self.store.limits().part_bytes_min.max(PART_BYTES) as usize
    }

    fn start(&self, name: &str, token: &str) -> Verdict<Box<dyn Upload>> {
        let started = self.store.start_upload(&self.key(name), &put_options(token));
        told("start_upload", started)
    }
}

fn part_of(body: &[u8], index: usize, part_bytes: usize) -> Part {
    let start = index * part_bytes;
    let bytes = &body[start..body.len().min(start + part_bytes)];
    Part {
        number: index as u32 + 1,
        offset: start as u64,
        body: Bytes::copy_from_slice(bytes),
        md5: md5(bytes),
    }
}

fn send(upload: &dyn Upload, part: Part) -> Verdict<PartReceipt> {
    let (number, bytes, md5) = (part.number, part.body.len() as u64, part.md5);
    let receipt = told(format!("put_part {number}"), upload.put_part(part))?;
    ensure!(
        (receipt.number, receipt.bytes, receipt.md5) == (number, bytes, md5),
        "put_part {number} gives the receipt of another part"
    );
    Ok(receipt)
}

fn parts_from_several_threads_make_one_object(bench: &Bench<'_>) -> Verdict {
    let part_bytes = bench.part_bytes();
    let body = content(PARTS * part_bytes + part_bytes / 3, 5);
    let count = PARTS + 1;
    let upload = bench.start("large", "a token")?;
    let receipts = std::sync::Mutex::new(Vec::new());
    bench.each(count, &|index| {
        // Last first: no store may count on the order.
        let receipt = send(upload.as_ref(), part_of(&body, count - 1 - index, part_bytes))?;
        let mut receipts = receipts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        receipts.push(receipt);
        Ok(())
    })?;
    bench.check_absent("large")?;
    let mut receipts = receipts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    receipts.sort_by_key(|receipt| receipt.number);
    let meta = told("complete", upload.complete(&receipts, body.len() as u64))?;
    ensure!(
        meta.bytes == body.len() as u64,
        "complete gives {} bytes for {}",
        meta.bytes,
        body.len()
    );
    ensure!(
        meta.key == bench.key("large"),
        "complete names another key: {}",
        meta.key
    );
    if meta.etag_is_md5 {
        let md5s: Vec<u8> = receipts.iter().flat_map(|receipt| receipt.md5).collect();
        let expected = format!("{}-{count}", hex::encode(md5(&md5s)));
        ensure!(
            meta.etag.as_ref() == Some(&expected),
            "complete gives the ETag {:?} for {expected}",
            meta.etag
        );
    }
    bench.check_object("large", &body, "a token")?;
    let across = part_bytes as u64 - 5..2 * part_bytes as u64 + 5;
    let read = told("get across parts", bench.read("large", Some(across.clone())))?;
    ensure!(
        read == body[across.start as usize..across.end as usize],
        "a range across parts has other content"
    );
    ensure!(
        bench.unfinished()?.is_empty(),
        "a completed upload counts as unfinished"
    );
    ensure!(bench.list("")? == ["large"], "a completed object is not listed");
    Ok(())
}

fn one_small_part_is_enough(bench: &Bench<'_>) -> Verdict {
    let upload = bench.start("x", "a token")?;
    let receipt = send(upload.as_ref(), part_of(b"x", 0, 1))?;
    told("complete", upload.complete(&[receipt], 1))?;
    bench.check_object("x", b"x", "a token")
}

fn a_part_may_be_sent_again(bench: &Bench<'_>) -> Verdict {
    let part_bytes = bench.part_bytes();
    let body = content(part_bytes + 10, 6);
    let upload = bench.start("x", "a token")?;
    let other = content(part_bytes, 7);
    send(upload.as_ref(), part_of(&other, 0, part_bytes))?;
    let last = send(upload.as_ref(), part_of(&body, 1, part_bytes))?;
    send(upload.as_ref(), part_of(&body, 0, part_bytes))?;
    let first = send(upload.as_ref(), part_of(&body, 0, part_bytes))?;
    told("complete", upload.complete(&[first, last], body.len() as u64))?;
    bench.check_object("x", &body, "a token")
}

fn complete_never_replaces(bench: &Bench<'_>) -> Verdict {
    let upload = bench.start("x", "a token")?;
    let receipt = send(upload.as_ref(), part_of(b"second", 0, 6))?;
    // The key is taken while the upload is under way.
    told("put", bench.put("x", b"first"))?;
    expect_kind(
        "complete of a key that is taken",
        upload.complete(&[receipt], 6),
        Kind::Conflict,
    )?;
    bench.check_object("x", b"first", "token of x")?;
    told("abort after a conflict", upload.abort())?;
    bench.check_object("x", b"first", "token of x")?;
    ensure!(bench.unfinished()?.is_empty(), "an aborted upload counts as unfinished");
    Ok(())
}

fn an_upload_of_another_length_is_not_completed(bench: &Bench<'_>) -> Verdict {
    let upload = bench.start("x", "a token")?;
    let receipt = send(upload.as_ref(), part_of(b"abcdef", 0, 6))?;
    for bytes in [5, 7, 0] {
        ensure!(
            upload.complete(std::slice::from_ref(&receipt), bytes).is_err(),
            "six bytes are completed as {bytes}"
        );
        bench.check_absent("x")?;
    }
    told("abort", upload.abort())
}

fn an_aborted_upload_leaves_nothing(bench: &Bench<'_>) -> Verdict {
    let upload = bench.start("x", "a token")?;
    let receipt = send(upload.as_ref(), part_of(b"abc", 0, 3))?;
    for _ in 0..2 {
        told("abort", upload.abort())?;
        bench.check_absent("x")?;
        ensure!(bench.unfinished()?.is_empty(), "an aborted upload counts as unfinished");
    }
    ensure!(
        upload.put_part(part_of(b"abc", 0, 3)).is_err(),
        "an aborted upload takes a part"
    );
    ensure!(
        upload.complete(&[receipt], 3).is_err(),
        "an aborted upload is completed"
    );
    bench.check_absent("x")?;
    told("put after abort", bench.put("x", b"free"))?;
    bench.check_object("x", b"free", "token of x")?;
    // An upload that never had a part is thrown away just so.
    told("abort", bench.start("y", "a token")?.abort())
}

fn abort_after_complete_keeps_the_object(bench: &Bench<'_>) -> Verdict {
    let upload = bench.start("x", "a token")?;
    let receipt = send(upload.as_ref(), part_of(b"abc", 0, 3))?;
    told("complete", upload.complete(std::slice::from_ref(&receipt), 3))?;
    // Whether it reports that there is nothing to abort is the store's choice.
    let _ = upload.abort();
    bench.check_object("x", b"abc", "a token")?;
    // Just so the second of two completes, after a lost reply: it may know its own object again, and must not harm it.
    let _ = upload.complete(&[receipt], 3);
    drop(upload);
    bench.check_object("x", b"abc", "a token")
}

fn unfinished_uploads_are_told_by_prefix(bench: &Bench<'_>) -> Verdict {
    let uploads = [
        bench.start("a/x", "1")?,
        bench.start("a/y", "2")?,
        bench.start("b/x", "3")?,
    ];
    for upload in &uploads {
        send(upload.as_ref(), part_of(b"abc", 0, 3))?;
    }
    for (prefix, mut expected) in [
        ("", vec!["a/x", "a/y", "b/x"]),
        ("a/", vec!["a/x", "a/y"]),
        ("a/y", vec!["a/y"]),
        ("c", vec![]),
    ] {
        let told = told(
            "unfinished_uploads",
            bench.store.unfinished_uploads(bench.key(prefix).as_str()),
        )?;
        let mut names: Vec<_> = told
            .iter()
            .filter_map(|upload| upload.key.as_str().strip_prefix(&bench.folder))
            .collect();
        names.sort_unstable();
        expected.sort_unstable();
        ensure!(names == expected, "below `{prefix}` are {names:?}, not {expected:?}");
        ensure!(
            told.iter().all(|upload| !upload.upload_id.is_empty()),
            "an unfinished upload has no name"
        );
    }
    ensure!(bench.list("")?.is_empty(), "unfinished uploads are listed as objects");
    ensure!(
        bench.list_folders("")?.is_empty(),
        "a folder that holds no object is listed"
    );
    for upload in &uploads {
        told("abort", upload.abort())?;
    }
    ensure!(bench.unfinished()?.is_empty(), "an aborted upload counts as unfinished");
    Ok(())
}

fn an_upload_without_parts_is_an_empty_object_or_an_error(bench: &Bench<'_>) -> Verdict {
    let upload = bench.start("x", "a token")?;
    match upload.complete(&[], 0) {
        Ok(meta) => {
            ensure!(meta.bytes == 0, "nothing has become {} bytes", meta.bytes);
            bench.check_object("x", b"", "a token")
        }
        Err(_) => {
            bench.check_absent("x")?;
            told("abort", upload.abort())
        }
    }
}

fn two_uploads_of_one_key_make_one_object(bench: &Bench<'_>) -> Verdict {
    let first = bench.start("x", "first")?;
    let second = bench.start("x", "second")?;
    let first_receipt = send(first.as_ref(), part_of(b"first", 0, 5))?;
    let second_receipt = send(second.as_ref(), part_of(b"second", 0, 6))?;
    told("complete", second.complete(&[second_receipt], 6))?;
    expect_kind(
        "complete of the slower upload",
        first.complete(&[first_receipt], 5),
        Kind::Conflict,
    )?;
    told("abort", first.abort())?;
    bench.check_object("x", b"second", "second")
}
