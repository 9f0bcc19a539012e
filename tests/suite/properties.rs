//! Properties that hold for every input: keys, listings, manifests, configuration. (Retention has its own in `retention`.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::Kind;
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::layout::{
    INDEX_SUFFIX, KeyRole, Layout, MANIFEST_SUFFIX, PART_SUFFIX, id_of, index_key_of, name_and_time_of, place_of,
    role_of, stream_key,
};
use backup_cli::catalog::listing::scan;
use backup_cli::catalog::manifest::{
    Counts, Manifest, ObjectRecord, Problem, ProblemKind, SourceInfo, State, StreamRecord,
};
use backup_cli::config::{ConfigFile, dotenv};
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::{Key, Role, Store};
use jiff::Timestamp;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[A-Za-z0-9_][A-Za-z0-9._-]{0,40}",
        "[a-z]{1,4}(_backup|-backup|_20260131_020000)?"
    ]
}

fn extension() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("sql".to_owned()),
        Just("tar".to_owned()),
        Just(String::new()),
        "[a-zA-Z0-9_-]{1,12}",
        "[a-z0-9]{1,6}\\.[a-z0-9_-]{1,6}",
        "[0-9]{8}_[0-9]{6}",
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    // What four digits of a year can say, with the ends.
    (0i64..253_000_000_000).prop_map(|second| Timestamp::from_second(second).expect("a time"))
}

fn template() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{date}/{name}_backup_{date}_{time}".to_owned()),
        Just("{name}/{date}_{time}".to_owned()),
        Just("{host}/{name}/{name}-{date}_{time}".to_owned()),
        Just("users/{user}/{name}_{date}-{time}".to_owned()),
        Just("{date}/{name}/{time}/{name}_{date}_{time}".to_owned()),
    ]
}

fn layout() -> impl Strategy<Value = Layout> {
    (
        template(),
        prop_oneof![Just(String::new()), "[a-z]{1,5}", "[a-z]{1,4}/[a-z._]{1,4}x"],
    )
        .prop_map(|(template, prefix)| {
            let variables = BTreeMap::from([("user".to_owned(), "u1".to_owned())]);
            Layout::new(&prefix, &template, variables).expect("a layout")
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_key_says_which_backup_it_is_of_in_every_layout(
        layout in layout(), name in name(), host in "[a-z.-]{1,9}", time in time(), extension in extension(),
        codec in prop_oneof![Just("gz"), Just("zst"), Just(""), Just("gz.age")],
    ) {
        // A name that would lead nowhere is refused, and then there is no key.
        let Ok(key) = layout.data_key(&name, &host, time, &extension, codec) else { return Ok(()) };
        prop_assert_eq!(role_of(&key), KeyRole::Data);
        prop_assert!(key.as_str().starts_with(&layout.series_prefix(&name)), "{key} is not below {}", layout.series_prefix(&name));
        let second = Timestamp::from_second(time.as_second()).expect("a time");
        prop_assert_eq!(name_and_time_of(&key).1, Some(second), "{}", key);
        let id = id_of(&key);
        prop_assert!(key.file_name().starts_with(&id) && !id.is_empty(), "{} of {}", id, key);
        // Its companions lead back to it, and have the same id.
        prop_assert_eq!(role_of(&key.with_suffix(MANIFEST_SUFFIX)), KeyRole::Manifest { of: key.clone() });
        for encrypted in [false, true] {
            prop_assert_eq!(role_of(&index_key_of(&key, encrypted)), KeyRole::Index { of: key.clone() });
        }
        for (stream, part) in [(1, 2), (2, 1), (7, 12_345)] {
            let mut other = stream_key(&key, stream).expect("a key");
            if part > 1 {
                other = other.with_suffix(&format!("{PART_SUFFIX}{part:04}"));
            }
            prop_assert_eq!(role_of(&other), KeyRole::Continuation { of: key.clone() });
            let (of, place) = place_of(&other);
            prop_assert_eq!((of, place.stream, place.part), (key.clone(), stream, part));
            prop_assert_eq!(id_of(&other), id.clone());
        }
    }

    #[test]
    fn ids_and_keys_of_different_backups_differ(
        layout in layout(), one in (name(), time()), other in (name(), time()), extension in extension(),
    ) {
        let key = |(name, time): &(String, Timestamp)| layout.data_key(name, "host", *time, &extension, "gz");
        let (Ok(first), Ok(second)) = (key(&one), key(&other)) else { return Ok(()) };
        let are_same = one.0 == other.0 && one.1.as_second() == other.1.as_second();
        prop_assert_eq!(first == second, are_same, "{} {}", first, second);
        // Within a series the id alone is enough.
        if one.0 == other.0 {
            prop_assert_eq!(id_of(&first) == id_of(&second), are_same);
        }
    }

    #[test]
    fn every_key_has_a_role_an_id_and_a_time_or_none(text in "\\PC{0,60}", tail in prop_oneof![
        Just(""), Just(INDEX_SUFFIX), Just(MANIFEST_SUFFIX), Just(".part-0002"), Just(".stream-0002.part-99999999999999999999"),
        Just(".part-"), Just("_20261399_999999.gz"), Just("é20260131_020000é"), Just("/"),
    ]) {
        let key = Key::new(format!("{text}{tail}"));
        // What a companion is of is again a key, and shorter.
        match role_of(&key) {
            KeyRole::Data => {}
            KeyRole::Continuation { of } | KeyRole::Index { of } | KeyRole::Manifest { of } => {
                prop_assert!(of.as_str().len() < key.as_str().len() && key.as_str().starts_with(of.as_str()));
            }
            #[allow(unreachable_patterns, reason = "further companions are allowed for")]
            _ => {}
        }
        let (of, _) = place_of(&key);
        prop_assert!(key.as_str().starts_with(of.as_str()));
        prop_assert!(key.file_name().starts_with(&id_of(&key)));
        let _ = name_and_time_of(&key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_of_thousands_of_keys_holds_every_backup_once_and_newest_first(
        seconds in proptest::collection::btree_set(0i64..2_000_000, 1_001..1_600),
        missing in proptest::collection::vec(0u8..8, 1_600),
        strays in proptest::collection::vec("[a-z]{1,6}(/[a-z0-9_.-]{1,9}){0,2}", 0..40),
    ) {
        let layout = Layout::with_prefix("backups").expect("a layout");
        let memory = MemoryStore::new();
        let mut expected: BTreeMap<String, (bool, bool, usize)> = BTreeMap::new();
        for (second, missing) in seconds.iter().zip(&missing) {
            let time = Timestamp::from_second(1_700_000_000 + second * 7).expect("a time");
            let key = layout.data_key("app", "h", time, "tar", "gz").expect("a key");
            let (has_data, has_manifest, parts) = (*missing != 0, *missing != 1, usize::from(missing % 3));
            if has_data {
                memory.set_body(key.as_str(), "data");
            }
            for part in 0..parts {
                memory.set_body(&format!("{key}.part-{:04}", part + 2), "part");
            }
            if *missing != 2 {
                memory.set_body(&format!("{key}{INDEX_SUFFIX}"), "index");
            }
            if has_manifest {
                memory.set_body(&format!("{key}{MANIFEST_SUFFIX}"), "manifest");
            }
            if has_data || has_manifest {
                expected.insert(key.to_string(), (has_data, has_manifest, parts));
            }
        }
        let mut foreign = BTreeSet::new();
        for stray in &strays {
            memory.set_body(&format!("backups/zz/{stray}"), "stray");
            memory.set_body(&format!("elsewhere/{stray}"), "stray");
            if role_of(&Key::new(stray.clone())) == KeyRole::Data {
                foreign.insert(format!("backups/zz/{stray}"));
            }
        }
        let store: Arc<dyn Store> = Arc::new(memory);
        let found = scan(store.as_ref(), "backups/", &Cancel::new()).expect("a listing");
        prop_assert!(found.windows(2).all(|pair| pair[0].time >= pair[1].time));
        let (ours, others): (Vec<_>, Vec<_>) = found.iter().partition(|one| expected.contains_key(one.data_key.as_str()));
        prop_assert_eq!(ours.len(), expected.len());
        for one in ours {
            let (has_data, has_manifest, parts) = expected[one.data_key.as_str()];
            prop_assert_eq!(one.manifest_key.is_some(), has_manifest);
            prop_assert_eq!(one.data.len(), usize::from(has_data) + parts);
            prop_assert_eq!(&one.name_hint, "app");
        }
        let others: BTreeSet<String> = others.iter().map(|one| one.data_key.to_string()).collect();
        prop_assert_eq!(others, foreign);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "\\PC{0,20}", "[\\x00-\\x1f\"\\\\]{0,6}"]
}

fn object(role: Role, number: usize) -> impl Strategy<Value = ObjectRecord> {
    (
        any::<u64>(),
        proptest::option::of(text()),
        proptest::option::of(text()),
        any::<u64>(),
        any::<u32>(),
        text(),
    )
        .prop_map(
            move |(bytes, version_id, etag, part_bytes, parts, token)| ObjectRecord {
                role,
                key: Key::new(format!("20260131/app_backup_20260131_020000.sql.gz.{number}")),
                version_id,
                bytes,
                sha256: "ab".repeat(32),
                md5: "cd".repeat(16),
                etag,
                part_bytes,
                parts,
                token,
            },
        )
}

fn objects() -> impl Strategy<Value = Vec<ObjectRecord>> {
    (1usize..5).prop_flat_map(|count| {
        let mut all: Vec<_> = (0..count).map(|number| object(Role::Data, number).boxed()).collect();
        all.push(object(Role::Index, count).boxed());
        all
    })
}

fn problems() -> impl Strategy<Value = Vec<Problem>> {
    let kind = proptest::sample::select(vec![
        ProblemKind::Unreadable,
        ProblemKind::Vanished,
        ProblemKind::Shrank,
        ProblemKind::Changed,
    ]);
    proptest::collection::vec(
        (text(), kind, text()).prop_map(|(item, kind, message)| Problem { item, kind, message }),
        0..4,
    )
}

prop_compose! {
    fn manifest()(
        texts in proptest::collection::vec(text(), 8),
        times in (time(), time()),
        objects in objects(),
        problems in problems(),
        numbers in (any::<u64>(), 0u64..1 << 40, any::<u32>(), any::<u64>()),
        options in (proptest::option::of(text()), proptest::option::of(any::<u64>()), proptest::collection::vec(text(), 0..3)),
        is_encrypted in any::<bool>(),
        codec in proptest::sample::select(vec![Codec::Gzip, Codec::Zstd, Codec::None]),
        has_streams in any::<bool>(),
        other in proptest::collection::btree_map("x-[a-z]{1,6}", any::<i32>(), 0..3),
    ) -> Manifest {
        let count = objects.iter().filter(|object| object.role == Role::Data).count() as u64;
        let stream = |number: u64| StreamRecord {
            objects: 1,
            extension: None,
            plain_bytes: if number == 0 { numbers.1 } else { 0 },
            plain_sha256: None,
            compressed_bytes: numbers.3,
            members: number,
        };
        Manifest {
            format: 1,
            id: texts[0].clone(),
            name: texts[1].clone(),
            host: texts[2].clone(),
            source: SourceInfo {
                kind: "command".to_owned(),
                what: texts[3].clone(),
                database: options.0.clone(),
                options: options.2.clone(),
                ..SourceInfo::default()
            },
            started: times.0,
            finished: times.1,
            state: if problems.is_empty() { State::Complete } else { State::Partial },
            problem_count: problems.len() as u64,
            problems,
            objects,
            extension: texts[4].clone(),
            plain_bytes: numbers.1,
            plain_sha256: options.0,
            streams: if has_streams { (0..count).map(stream).collect() } else { Vec::new() },
            codec,
            level: numbers.2,
            members: numbers.3,
            recipients: if is_encrypted { vec!["age1x".to_owned()] } else { Vec::new() },
            tags: options.2,
            warnings: vec![texts[5].clone()],
            counts: Counts { files: options.1, tables: options.1, ..Counts::default() },
            copied_from: None,
            adopted: None,
            shape: None,
            lock: None,
            tool_version: texts[6].clone(),
            other: other.into_iter().map(|(key, value)| (key, value.into())).collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn a_manifest_that_was_written_is_read_as_it_was(manifest in manifest()) {
        let mut manifest = manifest;
        let key = Key::new("m.manifest.json");
        let json = manifest.to_json().expect("it is written");
        let mut read = Manifest::from_json(&key, &json).expect("it is read");
        let private = manifest.private();
        if let Some(private) = private {
            prop_assert!(!String::from_utf8_lossy(&json).contains("plain_sha256"));
            read.reveal(private);
            // What is very long is cut for the index; nothing here is.
        }
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(read.to_json().expect("it is written"), json);
    }

    #[test]
    fn a_changed_manifest_is_refused_or_means_what_it_says(
        manifest in manifest(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..4),
    ) {
        let mut manifest = manifest;
        let key = Key::new("m.manifest.json");
        let mut json = manifest.to_json().expect("it is written");
        for (at, byte, how) in &changes {
            let at = at.index(json.len());
            match how {
                0 => json[at] = *byte,
                1 => json[at] ^= 1 << (byte % 8),
                2 => drop(json.remove(at)),
                _ => json.truncate(at.max(1)),
            }
        }
        match Manifest::from_json(&key, &json) {
            Err(failure) => prop_assert!(matches!(failure.kind(), Kind::Damaged | Kind::Unsupported), "{failure:?}"),
            Ok(mut read) => {
                let written = read.to_json().expect("it is written");
                let mut again = Manifest::from_json(&key, &written).expect("it is read");
                prop_assert_eq!(again.to_json().expect("it is written"), written);
                prop_assert!(read.data_objects().next().is_some());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_of_manifests_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::from_json(&Key::new("m"), &bytes).is_err());
    }

    #[test]
    fn a_configuration_of_any_text_is_read_alike_or_refused_with_a_line(
        text in prop_oneof![
            "\\PC{0,80}",
            "(\\[(defaults|profile\\.[a-z\".]{1,4}|profile|[a-z]{1,3})\\]\n|(name|store|level|retry|source|threads|[a-z_]{1,9}) = (\"[ -~]{0,9}\"|[0-9]{1,25}|true|\\[\"[a-z]{0,3}\"\\]|\\{ [a-z] = 1 \\})\n|#[ -~]{0,9}\n){0,9}",
        ],
    ) {
        let path = Path::new("/etc/backup-cli/config.toml");
        let read = || ConfigFile::parse(&text, path);
        match (read(), read()) {
            (Ok(one), Ok(two)) => {
                prop_assert_eq!(one.defaults, two.defaults);
                prop_assert_eq!(one.profiles, two.profiles);
            }
            (Err(one), Err(two)) => {
                prop_assert!(!one.is_empty());
                prop_assert_eq!(format!("{one:?}"), format!("{two:?}"));
                for failure in one {
                    prop_assert_eq!(failure.kind(), Kind::Config);
                    prop_assert!(failure.message().contains("line "), "{}", failure);
                }
            }
            _ => prop_assert!(false, "it is read in two ways"),
        }
    }

    #[test]
    fn values_of_a_configuration_come_back(profile in "[a-z][a-z0-9-]{0,8}", value in "[ -~]{1,20}", level in 1u8..12) {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("[defaults]\nlevel = {level}\n\n[profile.{profile}]\nhost = \"{quoted}\"\n");
        let file = ConfigFile::parse(&text, Path::new("/c.toml")).map_err(|all| TestCaseError::fail(format!("{all:?}")))?;
        let found = format!("{:?}", file.defaults["level"].raw);
        prop_assert!(found.contains(&level.to_string()), "{}", found);
        let entries = file.profile(&profile).map_err(|failure| TestCaseError::fail(failure.to_string()))?;
        let (raw, origin) = (format!("{:?}", entries["host"].raw), entries["host"].origin.to_string());
        prop_assert!(raw.contains(&format!("{value:?}")), "{}", raw);
        prop_assert!(origin.contains('5'), "{}", origin);
    }

    #[test]
    fn a_file_of_variables_of_any_text_is_read_or_refused(text in "([A-Za-z_ ]{0,6}=?(\"[ -~\n]{0,9}\"?|'[ -~\n]{0,9}'?|[ -~]{0,9})\n?){0,6}") {
        let path = Path::new(".env");
        match (dotenv::parse(&text, path), dotenv::parse(&text, path)) {
            (Ok(one), Ok(two)) => prop_assert_eq!(one, two),
            (Err(one), Err(two)) => prop_assert_eq!(one.to_string(), two.to_string()),
            _ => prop_assert!(false, "it is read in two ways"),
        }
    }

    #[test]
    fn variables_come_back_from_literal_quotes(name in "[A-Z_][A-Z0-9_]{0,9}", value in "[^'\\x00]{0,20}") {
        let pairs = dotenv::parse(&format!("export {name}='{value}'\n"), Path::new(".env")).expect("it is read");
        prop_assert_eq!(pairs, [(name, value)]);
    }
}
