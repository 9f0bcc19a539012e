//! Single objects: put, head, get, delete.

use std::io::Read;

use super::{Bench, Case, Verdict, content, ensure, expect_kind, md5, put_options, told};
use crate::base::failure::Kind;
use bytes::Bytes;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "what_is_put_comes_back",
        run: what_is_put_comes_back,
    },
    Case {
        name: "an_object_may_be_empty",
        run: an_object_may_be_empty,
    },
    Case {
        name: "put_never_replaces",
        run: put_never_replaces,
    },
    Case {
        name: "of_many_who_put_at_once_one_wins",
        run: of_many_who_put_at_once_one_wins,
    },
    Case {
        name: "what_is_replaced_is_replaced_as_a_whole",
        run: what_is_replaced_is_replaced_as_a_whole,
    },
    Case {
        name: "only_the_expected_object_is_replaced",
        run: only_the_expected_object_is_replaced,
    },
    Case {
        name: "ranges_are_exact_or_an_error",
        run: ranges_are_exact_or_an_error,
    },
    Case {
        name: "what_is_missing_is_told_as_missing",
        run: what_is_missing_is_told_as_missing,
    },
    Case {
        name: "what_is_deleted_is_gone_and_its_key_free",
        run: what_is_deleted_is_gone_and_its_key_free,
    },
    Case {
        name: "a_reader_may_be_dropped_halfway",
        run: a_reader_may_be_dropped_halfway,
    },
    Case {
        name: "keys_may_hold_special_characters",
        run: keys_may_hold_special_characters,
    },
];

/// More than any buffer on the way is likely to hold.
const LARGE_BYTES: usize = 2_000_003;

fn what_is_put_comes_back(bench: &Bench<'_>) -> Verdict {
    for (name, body) in [("small", content(17, 1)), ("deep/down/large", content(LARGE_BYTES, 2))] {
        let meta = told("put", bench.put(name, &body))?;
        ensure!(meta.key == bench.key(name), "put names another key: {}", meta.key);
        ensure!(
            meta.bytes == body.len() as u64,
            "put gives {} bytes for {}",
            meta.bytes,
            body.len()
        );
        let token = format!("token of {name}");
        ensure!(
            meta.token.as_ref() == Some(&token),
            "put gives the token {:?}",
            meta.token
        );
        if meta.etag_is_md5 {
            let expected = hex::encode(md5(&body));
            ensure!(
                meta.etag.as_ref() == Some(&expected),
                "put gives the ETag {:?} for {expected}",
                meta.etag
            );
        }
        bench.check_object(name, &body, &token)?;
        let head = bench.head(name)?;
        let etag = head.and_then(|head| head.etag);
        ensure!(etag == meta.etag, "put gives the ETag {:?}, head {etag:?}", meta.etag);
    }
    Ok(())
}

fn an_object_may_be_empty(bench: &Bench<'_>) -> Verdict {
    told("put", bench.put("x", b""))?;
    bench.check_object("x", b"", "token of x")?;
    let nothing = told("get of 0..0", bench.read("x", Some(0..0)))?;
    ensure!(nothing.is_empty(), "an empty range has {} bytes", nothing.len());
    ensure!(bench.list("")? == ["x"], "an empty object is not listed");
    Ok(())
}

fn put_never_replaces(bench: &Bench<'_>) -> Verdict {
    told("put", bench.put("x", b"first"))?;
    for body in [b"other".as_slice(), b"something longer", b""] {
        let again = bench.store.put(
            &bench.key("x"),
            Bytes::copy_from_slice(body),
            &put_options("another token"),
        );
        expect_kind("put of a key that is taken", again, Kind::Conflict)?;
    }
    bench.check_object("x", b"first", "token of x")
}

fn of_many_who_put_at_once_one_wins(bench: &Bench<'_>) -> Verdict {
    let body = |index: usize| content(1000, index as u64);
    let token = |index: usize| format!("token {index}");
    let winners = std::sync::Mutex::new(Vec::new());
    bench.each(super::THREADS, &|index| {
        let put = bench
            .store
            .put(&bench.key("x"), Bytes::from(body(index)), &put_options(&token(index)));
        match put {
            Ok(_) => {
                let mut winners = winners.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                winners.push(index);
                Ok(())
            }
            Err(failure) if failure.kind() == Kind::Conflict => Ok(()),
            Err(failure) => Err(format!("put should succeed or conflict: {failure:?}")),
        }
    })?;
    let winners = winners.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let [winner] = winners[..] else {
        return Err(format!("{} of {} succeeded", winners.len(), super::THREADS));
    };
    bench.check_object("x", &body(winner), &token(winner))
}

fn what_is_replaced_is_replaced_as_a_whole(bench: &Bench<'_>) -> Verdict {
    told("put", bench.put("x", &content(50_000, 4)))?;
    // A shorter one, a longer one, one of the same length: nothing of the old one is left.
    for (number, bytes) in [(1, 10), (2, 70_000), (3, 70_000)] {
        let (body, token) = (content(bytes, 10 + number), format!("token {number}"));
        let Some(stands) = bench.head("x")? else {
            return Err("`x` is not there".to_owned());
        };
        let key = bench.key("x");
        let put = put_options(&token);
        let meta = told(
            "replace_if",
            bench.store.replace_if(&key, Bytes::from(body.clone()), &put, &stands),
        )?;
        ensure!(
            meta.bytes == bytes as u64,
            "replace_if gives {} bytes for {bytes}",
            meta.bytes
        );
        bench.check_object("x", &body, &token)?;
        ensure!(bench.list("")? == ["x"], "something else is listed beside `x`");
    }
    Ok(())
}

fn only_the_expected_object_is_replaced(bench: &Bench<'_>) -> Verdict {
    told("put", bench.put("x", b"first"))?;
    let Some(first) = bench.head("x")? else {
        return Err("`x` is not there".to_owned());
    };
    let replace = |name: &str, body: &'static [u8], token: &str| {
        let put = put_options(token);
        bench
            .store
            .replace_if(&bench.key(name), Bytes::from_static(body), &put, &first)
    };
    told("replace_if", replace("x", b"second", "token 2"))?;
    // As long as the second, so that the length tells nothing.
    expect_kind(
        "replace_if of another",
        replace("x", b"third!", "token 3"),
        Kind::Conflict,
    )?;
    bench.check_object("x", b"second", "token 2")?;
    expect_kind("replace_if of nothing", replace("y", b"y", "token y"), Kind::Conflict)?;
    bench.check_absent("y")?;
    told("delete", bench.store.delete(&bench.key("x")))?;
    expect_kind(
        "replace_if of what is gone",
        replace("x", b"third!", "token 3"),
        Kind::Conflict,
    )?;
    bench.check_absent("x")
}

fn ranges_are_exact_or_an_error(bench: &Bench<'_>) -> Verdict {
    let body = content(100_000, 3);
    told("put", bench.put("x", &body))?;
    let end = body.len() as u64;
    for range in [0..1, 0..end, 1..end, 17..17, 500..70_000, end - 1..end, end..end] {
        let read = told(format!("get of {range:?}"), bench.read("x", Some(range.clone())))?;
        let expected = &body[range.start as usize..range.end as usize];
        ensure!(read == expected, "get of {range:?} gives {} other bytes", read.len());
    }
    for range in [end - 5..end + 5, end..end + 1, end + 5..end + 10, 0..u64::MAX] {
        if let Ok(read) = bench.read("x", Some(range.clone())) {
            return Err(format!(
                "get of {range:?} gives {} bytes; beyond the end it should fail",
                read.len()
            ));
        }
    }
    Ok(())
}

fn what_is_missing_is_told_as_missing(bench: &Bench<'_>) -> Verdict {
    told("put", bench.put("folder/x", b"x"))?;
    for name in ["x", "folder", "folder/y", "folder/xx", "none/x"] {
        bench.check_absent(name)?;
        expect_kind(
            "get of a range of what is not there",
            bench.read(name, Some(0..1)),
            Kind::NotFound,
        )?;
        told("delete of what is not there", bench.store.delete(&bench.key(name)))?;
    }
    bench.check_object("folder/x", b"x", "token of folder/x")
}

fn what_is_deleted_is_gone_and_its_key_free(bench: &Bench<'_>) -> Verdict {
    for name in ["x", "xx", "x.manifest.json"] {
        told("put", bench.put(name, name.as_bytes()))?;
    }
    for _ in 0..2 {
        told("delete", bench.store.delete(&bench.key("x")))?;
        bench.check_absent("x")?;
    }
    ensure!(
        bench.list("")? == ["x.manifest.json", "xx"],
        "delete removed more than it should"
    );
    told("put after delete", bench.put("x", b"second"))?;
    bench.check_object("x", b"second", "token of x")
}

fn a_reader_may_be_dropped_halfway(bench: &Bench<'_>) -> Verdict {
    let body = content(LARGE_BYTES, 4);
    told("put", bench.put("x", &body))?;
    for _ in 0..3 {
        let mut first = [0; 10];
        let mut reader = told("get", bench.store.get(&bench.key("x"), None))?;
        reader
            .read_exact(&mut first)
            .map_err(|error| format!("the first bytes cannot be read: {error}"))?;
        ensure!(first == body[..10], "the first bytes are wrong");
    }
    bench.check_object("x", &body, "token of x")
}

/// Names as people and other tools give them. Backslashes, control characters and trailing dots are left out: some
/// providers refuse them, and this tool makes none.
const SPECIAL_NAMES: &[&str] = &[
    "with space",
    " leading",
    "plus+and%20percent%2F",
    "equals=and&amp;<tag>",
    "question?hash#at@",
    "quotes'\"`",
    "brackets[1]{2}(3)",
    "stars*$!~^,;:|",
    "ümläut-é-日本語-🦀",
    "e\u{301}-decomposed",
    "..two.dots..",
    "-dash",
    "folder with space/ü&b/c+d",
];

fn keys_may_hold_special_characters(bench: &Bench<'_>) -> Verdict {
    let mut expected: Vec<String> = SPECIAL_NAMES.iter().map(|name| (*name).to_owned()).collect();
    expected.sort_unstable();
    let options = put_options("special");
    for name in SPECIAL_NAMES {
        let body = Bytes::copy_from_slice(name.as_bytes());
        told(
            format!("put of `{name}`"),
            bench.store.put(&bench.key(name), body, &options),
        )?;
    }
    for name in SPECIAL_NAMES {
        bench.check_object(name, name.as_bytes(), "special")?;
        ensure!(
            bench.list(name)?.contains(&(*name).to_owned()),
            "a listing by the prefix `{name}` does not show it"
        );
    }
    let listed = bench.list("")?;
    ensure!(listed == expected, "the listing is {listed:?}");
    let folders = bench.list_folders("folder with space/")?;
    ensure!(folders == ["folder with space/ü&b/"], "the folders are {folders:?}");
    for name in SPECIAL_NAMES {
        told(format!("delete of `{name}`"), bench.store.delete(&bench.key(name)))?;
    }
    let left = bench.list("")?;
    ensure!(left.is_empty(), "delete leaves {left:?}");
    Ok(())
}
