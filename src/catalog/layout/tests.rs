use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_default_layout_is_that_of_the_older_scripts() {
    let layout = Layout::with_prefix("backups").unwrap();
    let key = layout
        .data_key("astro", "h", at("2025-01-20T14:30:00Z"), "sql", "gz")
        .unwrap();
    assert_eq!(key.as_str(), "backups/20250120/astro_backup_20250120_143000.sql.gz");
    assert_eq!(id_of(&key), "astro_backup_20250120_143000");
    assert_eq!(
        name_and_time_of(&key),
        ("astro".to_owned(), Some(at("2025-01-20T14:30:00Z")))
    );
    assert_eq!(layout.series_prefix("astro"), "backups/");
}

#[test]
fn a_template_puts_the_series_before_the_date() {
    let variables = BTreeMap::from([("user".to_owned(), "u/1".to_owned())]);
    let layout = Layout::new("", "users/{user}/{name}/{date}/{name}_{date}_{time}", variables).unwrap();
    let key = layout
        .data_key("daily", "h", at("2025-01-20T14:30:00Z"), "tar", "gz")
        .unwrap();
    assert_eq!(key.as_str(), "users/u_1/daily/20250120/daily_20250120_143000.tar.gz");
    assert_eq!(layout.series_prefix("daily"), "users/u_1/daily/");
}

#[test]
fn keys_that_would_hide_their_backup_are_refused() {
    let layout = Layout::with_prefix("backups").unwrap();
    let key = |layout: &Layout, name: &str, extension: &str| {
        layout.data_key(name, "h", at("2025-01-20T14:30:00Z"), extension, "gz")
    };
    for extension in [
        "index",
        "x.index",
        "a/b",
        "../x",
        ".x",
        "x.",
        "a b",
        "ä",
        "20250101_000000",
    ] {
        let failure = key(&layout, "app", extension).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage, "{extension}");
    }
    for extension in ["", "sql", "custom.ext", "7z", "indexed", "part-0002"] {
        assert!(key(&layout, "app", extension).is_ok(), "{extension}");
    }
    let longest = "n".repeat(NAME_BYTES_MAX);
    assert!(key(&layout, &longest, "sqlite").is_ok());
    assert!(key(&layout, &longest, &"x".repeat(100)).is_err());
    let deep = Layout::with_prefix(&"p/".repeat(380)).unwrap();
    assert!(key(&deep, "app", "sql").is_ok());
    assert!(key(&deep, &longest, "sqlite").is_ok());
    let deeper = Layout::with_prefix(&"p/".repeat(450)).unwrap();
    assert!(key(&deeper, &longest, "sqlite").is_err());
}

#[test]
fn templates_that_would_collide_or_escape_are_refused() {
    for template in [
        "{name}/{date}",
        "{date}_{time}",
        "{name}_{date}_{time}/x",
        "{name}/../{date}_{time}",
        "{nam}{name}{date}{time}",
        "{name_{date}{time}",
    ] {
        assert!(Layout::new("p", template, BTreeMap::new()).is_err(), "{template}");
    }
}

#[test]
fn roles_are_read_off_the_name() {
    let of = Key::new("p/x.sql.gz");
    assert_eq!(role_of(&of), KeyRole::Data);
    assert_eq!(
        role_of(&Key::new("p/x.sql.gz.index.gz")),
        KeyRole::Index { of: of.clone() }
    );
    assert_eq!(
        role_of(&Key::new("p/x.sql.gz.manifest.json")),
        KeyRole::Manifest { of: of.clone() }
    );
    for suffix in [".part-0002", ".part-0001", ".stream-0002", ".stream-0002.part-0003"] {
        assert_eq!(
            role_of(&of.with_suffix(suffix)),
            KeyRole::Continuation { of: of.clone() },
            "{suffix}"
        );
    }
    assert_eq!(role_of(&Key::new("p/x.part-two")), KeyRole::Data);
    assert_eq!(
        role_of(&Key::new("p/x.zst.age.index.gz.age")),
        KeyRole::Index {
            of: Key::new("p/x.zst.age")
        }
    );
    assert_eq!(role_of(&index_key_of(&of, true)), role_of(&index_key_of(&of, false)));
}

#[test]
fn objects_of_several_streams_are_named_and_put_in_order() {
    let of = Key::new("p/x.sql.gz");
    let mut keys = vec![of.clone(), of.with_suffix(".part-0002")];
    for number in 2..=11 {
        let first = stream_key(&of, number).unwrap();
        keys.push(first.clone());
        keys.push(first.with_suffix(".part-0002"));
    }
    let mut sorted = keys.clone();
    sorted.sort_by_key(|key| std::cmp::Reverse(key.as_str().len()));
    sorted.sort_by_key(|key| place_of(key).1);
    assert_eq!(sorted, keys);
    assert_eq!(
        place_of(&Key::new("p/x.sql.gz.stream-0011.part-0002")),
        (of.clone(), ObjectPlace { stream: 11, part: 2 })
    );
    assert_eq!(stream_key(&of, 1).unwrap(), of);
    assert!(stream_key(&Key::new("x".repeat(240)), 2).is_err());
}

#[test]
fn ids_and_names_of_foreign_objects() {
    for (key, id, name, time) in [
        (
            "b/app_backup_20250120_143000.sql.gz",
            "app_backup_20250120_143000",
            "app",
            true,
        ),
        ("b/app-2025.tar.gz", "app-2025", "app-2025", false),
        ("b/dump.sql", "dump", "dump", false),
        (
            "b/backup-20250107-143022.tar.gz",
            "backup-20250107-143022",
            "backup",
            true,
        ),
        (
            "b/app_backup_20250120_143000.custom.ext.gz",
            "app_backup_20250120_143000",
            "app",
            true,
        ),
        (
            "b/x_backup_20259999_999999.sql.gz",
            "x_backup_20259999_999999",
            "x",
            false,
        ),
        ("b/.hidden", ".hidden", ".hidden", false),
    ] {
        let key = Key::new(key);
        assert_eq!(id_of(&key), id);
        let (found, stamp) = name_and_time_of(&key);
        assert_eq!((found.as_str(), stamp.is_some()), (name, time), "{key}");
    }
}

#[test]
fn names_are_checked_and_made() {
    assert!(check_name("app-1.prod_x").is_ok());
    for name in ["", "a/b", "a b", "-x", ".x", "ä"] {
        assert!(check_name(name).is_err(), "{name}");
        assert!(check_name(&name_from(name)).is_ok(), "{name}");
    }
}

#[test]
fn names_that_only_their_letters_tell_apart_are_series_of_their_own() {
    let names: Vec<String> = ["ä", "ö", "b", "ä b"].iter().map(|text| name_of_file(text)).collect();
    assert!(
        names[0].starts_with("backup-") && names[1].starts_with("backup-") && names[0] != names[1],
        "{names:?}"
    );
    assert_eq!(names[2], "b");
    assert!(names[3].starts_with("b-"), "{names:?}");
    assert_eq!(
        (name_of_file("my files"), name_of_file("")),
        ("my_files".to_owned(), "backup".to_owned())
    );
    assert_eq!(name_of_database("shop"), "shop");
    assert_ne!(name_of_database("a b"), name_of_database("a_b"));
    let longest = name_of_database(&"ä".repeat(300));
    assert!(check_name(&longest).is_ok() && check_name(&name_of_database(&"a b".repeat(100))).is_ok());
}
