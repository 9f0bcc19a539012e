use super::*;
use crate::base::failure::from_io;
use crate::store::Role;
use crate::store::contract::{ContractOptions, check_contract};
use crate::store::memory::MemoryStore;

fn options() -> PutOptions {
    PutOptions {
        role: Role::Data,
        token: "t".to_owned(),
        content_type: "text/plain",
        metadata: BTreeMap::new(),
        lock: None,
    }
}

fn part() -> Part {
    use md5::Digest;
    Part {
        number: 1,
        offset: 0,
        body: Bytes::from_static(b"abc"),
        md5: md5::Md5::digest(b"abc").into(),
    }
}

fn stores() -> (MemoryStore, FaultyStore) {
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    (memory, faulty)
}

fn put(store: &dyn Store, key: &str) -> Result<ObjectMeta, Kind> {
    store
        .put(&Key::new(key), Bytes::from_static(b"0123456789"), &options())
        .map_err(|failure| failure.kind())
}

fn read(store: &dyn Store, range: Option<Range<u64>>) -> (Vec<u8>, Option<Kind>) {
    let mut reader = store.get(&Key::new("x"), range).unwrap();
    let mut body = Vec::new();
    let end = reader.read_to_end(&mut body);
    (body, end.err().map(|error| from_io("read", error).kind()))
}

#[test]
fn without_faults_it_holds_the_contract() {
    let (_, faulty) = stores();
    check_contract(&faulty, &ContractOptions { list_objects: 20 }).unwrap();
    assert!(faulty.calls(Method::PutPart) > 0);
}

#[test]
fn a_fault_hits_the_call_that_was_named_and_no_other() {
    let (memory, faulty) = stores();
    faulty.fail_nth(Method::Put, 2, Fault::Before(Kind::Unreachable));
    faulty.fail(Method::Put, When::From(5), Fault::Before(Kind::Denied));
    faulty.fail(
        Method::Put,
        When::KeyContains(".manifest".to_owned()),
        Fault::Before(Kind::NoSpace),
    );
    assert!(put(&faulty, "a").is_ok());
    assert_eq!(put(&faulty, "b").unwrap_err(), Kind::Unreachable);
    assert_eq!(put(&faulty, "b.manifest.json").unwrap_err(), Kind::NoSpace);
    assert!(put(&faulty, "c").is_ok());
    assert_eq!(put(&faulty, "d").unwrap_err(), Kind::Denied);
    assert_eq!(put(&faulty, "e").unwrap_err(), Kind::Denied);
    assert_eq!(memory.keys(), ["a", "c"]);
    assert_eq!(faulty.calls(Method::Put), 6);
    assert_eq!(faulty.calls(Method::Get), 0);
    assert_eq!(faulty.log()[2], (Method::Put, "b.manifest.json".to_owned()));
    faulty.heal();
    assert!(put(&faulty, "e").is_ok());
}

#[test]
fn a_lost_reply_leaves_the_effect() {
    let (memory, faulty) = stores();
    faulty.fail_nth(Method::Put, 1, Fault::After(Kind::Unreachable));
    faulty.fail_nth(Method::Complete, 1, Fault::After(Kind::Unreachable));
    assert_eq!(put(&faulty, "a").unwrap_err(), Kind::Unreachable);
    let upload = faulty.start_upload(&Key::new("b"), &options()).unwrap();
    let receipt = upload.put_part(part()).unwrap();
    assert!(upload.complete(&[receipt], 3).is_err());
    assert_eq!(memory.keys(), ["a", "b"]);
}

#[test]
fn a_lie_has_no_effect() {
    let (memory, faulty) = stores();
    for method in [
        Method::Put,
        Method::StartUpload,
        Method::Head,
        Method::Delete,
        Method::List,
    ] {
        faulty.fail_nth(method, 1, Fault::Lie);
    }
    memory.set_body("kept", "x");
    assert!(put(&faulty, "a").is_ok());
    let upload = faulty.start_upload(&Key::new("b"), &options()).unwrap();
    let receipt = upload.put_part(part()).unwrap();
    assert_eq!(upload.complete(&[receipt], 3).unwrap().bytes, 3);
    upload.abort().unwrap();
    faulty.delete(&Key::new("kept")).unwrap();
    assert_eq!(faulty.head(&Key::new("kept")).unwrap(), None);
    faulty.list("", &mut |meta| panic!("{meta:?}")).unwrap();
    assert_eq!(memory.keys(), ["kept"]);
    assert!(memory.unfinished_uploads("").unwrap().is_empty());
}

#[test]
fn reading_is_cut_broken_or_wrong_where_it_was_asked_for() {
    let (_, faulty) = stores();
    put(&faulty, "x").unwrap();
    for (nth, fault) in [
        (1, Fault::Cut { after: 4 }),
        (2, Fault::Break { after: 4 }),
        (3, Fault::Flip { offset: 5 }),
        (4, Fault::Flip { offset: 5 }),
        (5, Fault::Cut { after: 0 }),
    ] {
        faulty.fail_nth(Method::Get, nth, fault);
    }
    assert_eq!(read(&faulty, None), (b"0123".to_vec(), None));
    assert_eq!(read(&faulty, None), (b"0123".to_vec(), Some(Kind::Unreachable)));
    assert_eq!(read(&faulty, Some(4..7)), (vec![b'4', !b'5', b'6'], None));
    assert_eq!(read(&faulty, Some(6..8)), (b"67".to_vec(), None));
    assert_eq!(read(&faulty, None), (Vec::new(), None));
    assert_eq!(read(&faulty, None), (b"0123456789".to_vec(), None));
}

#[test]
fn a_listing_is_cut_or_broken_after_so_many_visits() {
    let (memory, faulty) = stores();
    for key in ["a/1", "b/1", "c/1"] {
        memory.set_body(key, "x");
    }
    faulty.fail_nth(Method::List, 1, Fault::Cut { after: 2 });
    faulty.fail_nth(Method::List, 2, Fault::Break { after: 2 });
    faulty.fail_nth(Method::ListFolders, 1, Fault::Break { after: 0 });
    for (ok, visits_expected) in [(true, 2), (false, 2), (true, 3)] {
        let mut visits = 0;
        let listed = faulty.list("", &mut |_| {
            visits += 1;
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!((listed.is_ok(), visits), (ok, visits_expected));
    }
    let folders = faulty.list_folders("", &mut |folder| panic!("{folder}"));
    assert_eq!(folders.unwrap_err().kind(), Kind::Unreachable);
}

#[test]
fn a_hook_runs_before_the_call_and_may_use_the_store() {
    let (memory, faulty) = stores();
    let own = faulty.clone();
    faulty.fail_nth(
        Method::Put,
        1,
        Fault::Hook(Arc::new(move || drop(put(&own, "x").unwrap()))),
    );
    assert_eq!(put(&faulty, "x").unwrap_err(), Kind::Conflict);
    assert_eq!(memory.keys(), ["x"]);
}

#[test]
fn a_fault_that_makes_no_sense_is_a_failure() {
    let (_, faulty) = stores();
    faulty.fail_always(Method::Delete, Fault::Flip { offset: 1 });
    faulty.fail_always(Method::Get, Fault::After(Kind::Failed));
    let message = faulty.delete(&Key::new("x")).unwrap_err().to_string();
    assert!(message.contains("cannot be injected"), "{message}");
    assert!(faulty.get(&Key::new("x"), None).is_err());
}
