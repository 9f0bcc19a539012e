use super::*;

fn text(text: &str) -> Raw {
    Raw::Text(text.to_owned())
}

fn list(items: &[&str]) -> Raw {
    Raw::List(items.iter().map(|item| (*item).to_owned()).collect())
}

fn strings(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| (*item).to_owned()).collect())
}

const LEVEL: Shape = Shape::Integer { min: 1, max: 12 };

#[test]
fn values_are_read_as_their_shape() {
    for (shape, raw, expected) in [
        (Shape::Switch, text("Yes"), Value::Switch(true)),
        (Shape::Switch, text("0"), Value::Switch(false)),
        (LEVEL, text("12"), Value::Number(12)),
        (LEVEL, Raw::Integer(1), Value::Number(1)),
        (Shape::Bytes, text("1MiB"), Value::Number(1 << 20)),
        (Shape::Bytes, Raw::Integer(17), Value::Number(17)),
        (Shape::Duration, text("15m"), Value::Duration(Duration::from_secs(900))),
        (
            Shape::Choice(&["AES256"]),
            text("aes256"),
            Value::Text("AES256".to_owned()),
        ),
        (Shape::List, text("a, b\nc,,"), strings(&["a", "b", "c"])),
        (Shape::Lines, text("a,b\nc"), strings(&["a,b", "c"])),
        (
            Shape::Words,
            text("mongodump --archive 'a b'"),
            strings(&["mongodump", "--archive", "a b"]),
        ),
        (Shape::Words, list(&["sh", "-c", "x"]), strings(&["sh", "-c", "x"])),
        (Shape::Pairs, text("a=1,b=2"), strings(&["a=1", "b=2"])),
    ] {
        assert_eq!(shape.read(&raw, &Origin::BuiltIn), Ok(expected), "{shape:?} {raw:?}");
    }
}

#[test]
fn a_wrong_value_says_what_was_expected_and_found() {
    for (shape, raw, message) in [
        (LEVEL, text("13"), "Expected a whole number from 1 to 12, found `13`"),
        (
            LEVEL,
            Raw::Integer(-1),
            "Expected a whole number from 1 to 12, found `-1`",
        ),
        (
            LEVEL,
            Raw::Switch(true),
            "Expected a whole number from 1 to 12, found `true`",
        ),
        (Shape::Text, list(&["a"]), "Expected a text, found an array"),
        (Shape::Switch, text("maybe"), "Expected true or false, found `maybe`"),
        (
            Shape::Pairs,
            text("novalue"),
            "Expected an array of key=value texts, found `novalue`",
        ),
        (
            Shape::Words,
            list(&[]),
            "Expected an array of arguments, found an empty array",
        ),
        (Shape::Choice(&["a", "b"]), text("c"), "Expected one of a, b, found `c`"),
    ] {
        assert_eq!(shape.read(&raw, &Origin::BuiltIn), Err(message.to_owned()));
    }
}

#[test]
fn paths_of_a_file_start_from_its_folder_and_others_stay() {
    let file = Origin::Defaults {
        file: PathBuf::from("/etc/backup-cli/config.toml"),
        line: 3,
    };
    let sources = list(&[
        "www",
        "/srv",
        "-",
        "postgres://db/app",
        "sqlite://app.db",
        "sqlite:///a",
    ]);
    assert_eq!(
        Shape::Sources.read(&sources, &file),
        Ok(strings(&[
            "/etc/backup-cli/www",
            "/srv",
            "-",
            "postgres://db/app",
            "sqlite:///etc/backup-cli/app.db",
            "sqlite:///a"
        ]))
    );
    assert_eq!(
        Shape::Sources.read(&sources, &Origin::Flag("SOURCE")),
        Ok(Value::List(match &sources {
            Raw::List(words) => words.clone(),
            other => panic!("{other:?}"),
        }))
    );
}

#[test]
fn passwords_in_shown_values_are_masked() {
    let value = strings(&["postgres://ann:geheim99@db/app"]);
    assert!(!value.display().contains("geheim99"));
    assert!(!value.json().to_string().contains("geheim99"));
}

#[test]
fn durations_are_shown_as_they_are_written() {
    let half = Duration::from_millis(500);
    assert_eq!(Value::Duration(half).display(), "500ms");
    for (secs, shown) in [(900, "15m"), (90, "90s"), (0, "0s"), (86_400, "1d"), (5400, "90m")] {
        assert_eq!(Value::Duration(Duration::from_secs(secs)).display(), shown);
    }
}
