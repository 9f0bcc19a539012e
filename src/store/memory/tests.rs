use super::*;
use crate::base::clock::FixedClock;
use crate::store::Role;
use crate::store::contract::{ContractOptions, check_contract};

fn options(token: &str) -> PutOptions {
    PutOptions {
        role: Role::Data,
        token: token.to_owned(),
        content_type: "text/plain",
        metadata: BTreeMap::new(),
        lock: None,
    }
}

fn part(number: u32, offset: u64, body: &'static [u8]) -> Part {
    Part {
        number,
        offset,
        body: Bytes::from_static(body),
        md5: Md5::digest(body).into(),
    }
}

#[test]
fn the_contract_of_all_stores_holds() {
    for store in [MemoryStore::new(), MemoryStore::new().with_prefix("a/b")] {
        check_contract(&store, &ContractOptions { list_objects: 2100 }).unwrap();
        assert!(store.keys().is_empty());
        assert!(store.unfinished_uploads("").unwrap().is_empty());
    }
}

#[test]
fn the_contract_holds_under_limits_like_those_of_a_provider() {
    let limits = Limits {
        part_bytes_min: 1000,
        part_bytes_max: 100_000,
        parts_max: 20,
        parts_equal: true,
        object_bytes_max: 1_000_000,
    };
    check_contract(
        &MemoryStore::new().with_limits(limits),
        &ContractOptions { list_objects: 10 },
    )
    .unwrap();
}

#[test]
fn entity_tags_are_those_of_s3() {
    let store = MemoryStore::new();
    let meta = store
        .put(&Key::new("x"), Bytes::from_static(b"abc"), &options("t"))
        .unwrap();
    // What `md5sum` says of the content; and of the two binary MD5s, one after the other.
    assert_eq!(meta.etag.as_deref(), Some("900150983cd24fb0d6963f7d28e17f72"));
    let upload = store.start_upload(&Key::new("y"), &options("t")).unwrap();
    let receipts = [part(1, 0, b"abc"), part(2, 3, b"def")].map(|part| upload.put_part(part).unwrap());
    let meta = upload.complete(&receipts, 6).unwrap();
    assert_eq!(meta.etag.as_deref(), Some("4c8e93283780e078db9e0c6b9b3f8043-2"));
}

#[test]
fn limits_are_enforced() {
    let limits = Limits {
        part_bytes_min: 3,
        part_bytes_max: 5,
        parts_max: 2,
        parts_equal: true,
        object_bytes_max: 8,
    };
    let store = MemoryStore::new().with_limits(limits);
    let upload = store.start_upload(&Key::new("x"), &options("t")).unwrap();
    let kind_of = |part| upload.put_part(part).map_err(|failure| failure.kind());
    assert_eq!(kind_of(part(0, 0, b"abc")).unwrap_err(), Kind::Unsupported);
    assert_eq!(kind_of(part(3, 0, b"abc")).unwrap_err(), Kind::Unsupported);
    assert_eq!(kind_of(part(1, 0, b"abcdef")).unwrap_err(), Kind::Unsupported);
    let wrong = Part {
        md5: [0; 16],
        ..part(1, 0, b"abc")
    };
    assert_eq!(kind_of(wrong).unwrap_err(), Kind::Damaged);
    let complete = |parts: &[Part]| {
        let receipts: Vec<_> = parts.iter().map(|part| kind_of(part.clone()).unwrap()).collect();
        let bytes = parts.iter().map(|part| part.body.len() as u64).sum();
        upload.complete(&receipts, bytes).map_err(|failure| failure.kind())
    };
    assert!(complete(&[part(1, 0, b"ab"), part(2, 2, b"ab")]).is_err(), "too small");
    assert!(
        complete(&[part(1, 0, b"abc"), part(2, 3, b"abcd")]).is_err(),
        "not equal"
    );
    assert!(
        complete(&[part(1, 0, b"abcde"), part(2, 5, b"abcd")]).is_err(),
        "too large"
    );
    assert!(complete(&[part(1, 0, b"abcd"), part(2, 5, b"abcd")]).is_err(), "a gap");
    assert!(complete(&[part(1, 0, b"abcd"), part(2, 4, b"abc")]).is_ok());
    assert_eq!(store.body("x").as_deref(), Some(b"abcdabc".as_slice()));
}

#[test]
fn an_upload_that_nobody_ended_can_be_seen() {
    let time: Timestamp = "2025-01-20T14:30:00Z".parse().unwrap();
    let store = MemoryStore::new().with_clock(Arc::new(FixedClock(time)));
    drop(store.start_upload(&Key::new("a/x"), &options("t")).unwrap());
    let unfinished = store.unfinished_uploads("a/").unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].initiated, Some(time));
    assert!(store.keys().is_empty());
}

#[test]
fn an_object_can_be_damaged_for_a_test() {
    let store = MemoryStore::new();
    store
        .put(&Key::new("x"), Bytes::from_static(b"abc"), &options("t"))
        .unwrap();
    store.set_body("x", "abd");
    assert_eq!(store.body("x").as_deref(), Some(b"abd".as_slice()));
    assert_eq!(store.head(&Key::new("x")).unwrap().unwrap().token.as_deref(), Some("t"));
    store.set_body("foreign", "abc");
    assert_eq!(store.head(&Key::new("foreign")).unwrap().unwrap().token, None);
}
