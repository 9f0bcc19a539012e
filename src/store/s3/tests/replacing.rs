//! Writing over an object in one step.

use super::*;

fn expected() -> ObjectMeta {
    ObjectMeta {
        key: Key::new(KEY),
        bytes: 9,
        modified: None,
        etag: Some("old".to_owned()),
        etag_is_md5: false,
        version_id: None,
        storage_class: None,
        archive: None,
        token: Some("another".to_owned()),
    }
}

fn replace(bench: &Bench) -> Result<ObjectMeta> {
    bench
        .store
        .replace_if(&Key::new(KEY), Bytes::from_static(b"hello"), &data(), &expected())
}

/// A HEAD of the object that is to be written over.
fn old() -> Reply {
    Reply::new(200)
        .header("ETag", "\"old\"")
        .header("x-amz-meta-backup-cli-token", "another")
        .claiming(9)
}

/// A bench whose puts are answered so, and whose heads show ours once `is_written` says so of the puts before.
fn bench(provider: &'static str, mut put: impl FnMut(usize) -> (Reply, bool) + Send + 'static) -> Bench {
    let (mut puts, mut stands) = (0, false);
    Bench::with(
        move |seen| match seen.line().as_str() {
            "Put" => {
                puts += 1;
                let (reply, writes) = put(puts);
                stands |= writes;
                reply
            }
            _ if stands => Reply::object(5, TOKEN),
            _ => old(),
        },
        |options| options.provider = Some(provider.to_owned()),
    )
}

#[test]
fn a_replacement_names_what_it_replaces_and_is_looked_at() {
    let bench = bench("minio", |_| (Reply::new(200).header("ETag", "\"new\""), true));
    assert_eq!(replace(&bench).unwrap().token.as_deref(), Some(TOKEN));
    assert_eq!(bench.requests(), ["Head", "Put", "Head"]);
    let seen = bench.server.seen();
    assert_eq!(seen[1].header("if-match"), Some("\"old\""));
    assert_eq!(seen[1].header("if-none-match"), None);
}

#[test]
fn where_conditions_are_ignored_the_look_before_must_do() {
    let bench = bench("garage", |_| (Reply::new(200).header("ETag", "\"new\""), true));
    replace(&bench).unwrap();
    assert_eq!(bench.requests(), ["Head", "Put", "Head"]);
    assert_eq!(bench.server.seen()[1].header("if-match"), None);
    // Another object stands there by then.
    let other = Bench::with(
        |_| Reply::object(5, "a third one"),
        |options| options.provider = Some("garage".to_owned()),
    );
    assert_eq!(replace(&other).unwrap_err().kind(), Kind::Conflict);
    assert_eq!(other.requests(), ["Head"]);
}

#[test]
fn a_lost_reply_to_a_replacement_is_settled_by_the_token() {
    // The first attempt was carried out, and is found by the next.
    let bench = bench("minio", |_| (Reply::Hangup, true));
    replace(&bench).unwrap();
    assert_eq!(bench.requests(), ["Head", "Put", "Head"]);
}

#[test]
fn what_changed_meanwhile_is_not_replaced() {
    for reply in [Reply::error(412, "PreconditionFailed"), Reply::error(404, "NoSuchKey")] {
        let bench = bench("minio", move |_| (reply.clone(), false));
        assert_eq!(replace(&bench).unwrap_err().kind(), Kind::Conflict);
    }
}

#[test]
fn a_refused_condition_is_replaced_by_a_look() {
    let bench = bench("minio", |put| match put {
        1 => (Reply::error(501, "NotImplemented"), false),
        _ => (Reply::new(200).header("ETag", "\"new\""), true),
    });
    replace(&bench).unwrap();
    assert_eq!(bench.requests(), ["Head", "Put", "Head", "Put", "Head"]);
    assert_eq!(bench.server.seen()[3].header("if-match"), None);
}

#[test]
fn a_lock_that_forbids_it_is_said() {
    let bench = bench("minio", |_| (Reply::error(403, "AccessDenied"), false));
    let failure = replace(&bench).unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(failure.hints().iter().any(|hint| hint.contains("lock")), "{failure:?}");
}
