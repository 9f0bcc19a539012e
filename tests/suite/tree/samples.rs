//! Texts that break one rule each, and texts that only look as if they did.

use super::lexer::tokens_of;
use super::{Files, check};

/// A tree with one file of interest, declared as it should be.
fn tree(path: &str, text: &str) -> Files {
    let mut files = Files::from([
        ("src/lib.rs".to_owned(), String::new()),
        ("src/main.rs".to_owned(), "fn main() {}".to_owned()),
        ("tests/suite/main.rs".to_owned(), String::new()),
    ]);
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let names: Vec<_> = inside.split('/').filter(|name| *name != "mod").collect();
    for depth in 0..names.len() {
        let parent = match depth {
            0 => "src/lib.rs".to_owned(),
            _ => format!("src/{}.rs", names[..depth].join("/")),
        };
        if parent != path {
            files
                .entry(parent)
                .or_default()
                .push_str(&format!("pub mod {};\n", names[depth]));
        }
    }
    files.insert(path.to_owned(), text.to_owned());
    files
}

fn broken(path: &str, text: &str) -> Vec<String> {
    if path == "src/main.rs" {
        return check(&Files::from([(path.to_owned(), text.to_owned())]));
    }
    check(&tree(path, text))
}

#[track_caller]
fn assert_caught(path: &str, text: &str, words: &str) {
    let broken = broken(path, text);
    assert_eq!(broken.len(), 1, "{path}: {text}: {broken:#?}");
    assert!(
        broken[0].starts_with(path) && broken[0].contains(words),
        "{}",
        broken[0]
    );
}

#[track_caller]
fn assert_fine(path: &str, text: &str) {
    let broken = broken(path, text);
    assert!(broken.is_empty(), "{path}: {text}: {broken:#?}");
}

#[test]
fn imports_that_point_up_or_sideways_are_caught() {
    for (path, text, words) in [
        (
            "src/store/local.rs",
            "use crate::ops::backup;",
            "`store` imports `ops::backup`",
        ),
        (
            "src/base/units.rs",
            "fn f() { crate::store::g() }",
            "`base` imports `store::g`",
        ),
        (
            "src/store/x.rs",
            "use crate::{base::units, catalog::{index, listing as l}, base};",
            "catalog::index",
        ),
        (
            "src/pipeline/x.rs",
            "use super::super::source::X;",
            "`pipeline` imports `source::X`",
        ),
        (
            "src/pipeline/x.rs",
            "use super::{super::ops, y};",
            "`pipeline` imports `ops`",
        ),
        (
            "src/pipeline/x.rs",
            "mod y { use super::super::super::ops::Z; }",
            "`ops::Z`",
        ),
        ("src/config/x.rs", "use crate::ui::bar;", "`config` imports `ui::bar`"),
        ("src/ui/x.rs", "pub(in crate::cli) fn f() {}", "`ui` imports `cli`"),
        ("src/ops/x.rs", "use backup_cli::cli::run;", "`ops` imports `cli::run`"),
        (
            "src/ops/x.rs",
            "macro_rules! m { () => { $crate::cli::run() } }",
            "cli::run",
        ),
        ("src/ops/x.rs", "use crate::*;", "name what is needed"),
        ("src/ops/x.rs", "use crate::helpers::x;", "`helpers` has no place"),
        ("src/helpers/x.rs", "", "`helpers` has no place"),
    ] {
        let broken: Vec<_> = broken(path, text)
            .into_iter()
            .filter(|why| why.starts_with(path))
            .collect();
        assert!(
            broken.iter().any(|why| why.contains(words)),
            "{path}: {text}: {broken:#?}"
        );
    }
}

#[test]
fn imports_that_point_down_are_fine() {
    for (path, text) in [
        ("src/main.rs", "fn main() { backup_cli::cli::main() }"),
        ("src/cli/x.rs", "use crate::{base, config, ops::{self, backup}, ui};"),
        (
            "src/source/x.rs",
            "use crate::pipeline::X; use crate::catalog::index::Entry;",
        ),
        (
            "src/store/local/walk.rs",
            "use super::super::address; use super::{staged as s, place::{A, B}}; use self::x;",
        ),
        (
            "src/store/x.rs",
            "pub(crate) fn f() { super::g(); self::h() } pub(super) struct X;",
        ),
        ("src/store/x.rs", "mod y { use super::super::Store; }"),
        (
            "src/store/x.rs",
            "// use crate::ops::x;\n/* crate::cli /* nested */ */ const X: &str = \"crate::ops::x\";",
        ),
        (
            "src/store/x.rs",
            "#[cfg(test)]\nmod tests { use crate::ops::x; use super::super::cli; }",
        ),
        (
            "src/store/x.rs",
            "#[cfg(all(test, unix))] use crate::ops::{x, y}; #[cfg(test)] fn f() { crate::cli::g(); }",
        ),
    ] {
        assert_fine(path, text);
    }
    assert_caught(
        "src/store/x.rs",
        "#[cfg(test)] mod tests { fn f() {} }\nuse crate::ops::x;",
        "x.rs:2: `store` imports",
    );
    assert_caught("src/store/x.rs", "#[cfg(not(test))] use crate::ops::x;", "imports");
}

#[test]
fn printing_outside_of_cli_and_ui_is_caught() {
    for text in [
        "fn f() { println!(\"x\") }",
        "fn f() { eprint!(\"x\") }",
        "fn f() { std::io::stdout().write_all(b\"\") }",
        "use std::io::stderr;",
        "fn f() { let e = stderr(); }",
        "fn f() { subscriber.with_writer(std::io::stderr) }",
        "fn f() { rustix::stdio::stdout() }",
    ] {
        assert_caught("src/ops/x.rs", text, "only `cli` and `ui` print");
        assert_fine("src/cli/x.rs", text);
        assert_fine("src/ui/x.rs", text);
    }
    for text in [
        "fn f() { command.stdout(Stdio::piped()).stderr(x); child.stdout.take() }",
        "fn f() -> String { \"println!(x) io::stdout()\".into() } fn stdout() {}",
        "#[test] fn f() {}\n#[cfg(test)] mod tests { fn f() { println!(\"x\") } }",
    ] {
        assert_fine("src/ops/x.rs", text);
    }
}

#[test]
fn reading_the_environment_elsewhere_is_caught() {
    for text in [
        "fn f() { std::env::var(\"X\") }",
        "use std::env::{self, var_os};",
        "use std::env::*;",
        "use std::env as e;",
        "fn f() { env::vars() }",
    ] {
        assert_caught("src/store/s3.rs", text, "env");
        for path in ["src/config/x.rs", "src/base/secret.rs", "src/base/process.rs"] {
            // A new name for the module would hide it from this test even where it may be used, and does no harm there.
            assert_fine(path, text);
        }
    }
    assert_fine(
        "src/ops/x.rs",
        "fn f() { let env = 1; env!(\"X\"); std::env::current_dir(); variable.var() }",
    );
}

#[test]
fn foreign_crates_outside_of_their_layer_are_caught() {
    for text in [
        "use aws_sdk_s3::Client;",
        "fn f(c: &aws_config::SdkConfig) {}",
        "use aws_sdk_s3 as s3;",
    ] {
        assert_caught("src/ops/x.rs", text, "`aws_");
        assert_fine("src/store/s3/client.rs", text);
    }
    assert_fine(
        "src/config/x.rs",
        "struct S { aws_region: String } fn f(s: S) { s.aws_region.len(); }",
    );
    assert_caught("src/ops/x.rs", "use clap::Parser;", "`clap`");
    assert_fine("src/cli/x.rs", "use clap::Parser;");
}

#[test]
fn long_files_promises_and_lost_files_are_caught() {
    assert_fine("src/ops/x.rs", &"\n".repeat(600));
    assert_caught("src/ops/x.rs", &"\n".repeat(601), "601 lines");
    for promise in super::PROMISES {
        assert_caught("src/ops/x.rs", &format!("\n// {promise}: later"), "x.rs:2");
    }
    assert_caught("src/ops/x.rs", "fn f() { todo!() }", "`todo!`");
    assert_caught("src/ops/x.rs", "fn f() { unimplemented!() }", "`unimplemented!`");
    assert_fine("src/ops/x.rs", "// A todo list, and a mastodon.");

    let mut files = tree("src/ops/x.rs", "");
    files.insert("src/ops/lost.rs".to_owned(), "println!()".to_owned());
    files.insert("tests/suite/lost.rs".to_owned(), String::new());
    let broken = check(&files);
    assert_eq!(broken.len(), 2, "{broken:#?}");
    assert!(broken[0].starts_with("src/ops/lost.rs: no `mod`"), "{broken:#?}");
    assert_caught("src/ops/x.rs", "\nmod missing;", "x.rs:2: `mod missing;` has no file");
}

#[test]
fn files_of_tests_are_found_and_left_in_peace() {
    let mut files = tree("src/store/x.rs", "#[cfg(test)]\nmod tests;");
    files.insert(
        "src/store/x/tests.rs".to_owned(),
        "mod more; use crate::ops::x;".to_owned(),
    );
    files.insert(
        "src/store/x/tests/more/mod.rs".to_owned(),
        "fn f() { println!() }".to_owned(),
    );
    assert!(check(&files).is_empty(), "{:#?}", check(&files));
}

#[test]
fn code_is_told_from_comments_and_strings() {
    let text = r##"a /* b /* c */ d */ 'e: e 'f' b'g' '\'' "h\"h" br#"i"i"# // j
k::l r#type 'static "unended"##;
    let words: Vec<_> = tokens_of(text).iter().map(|token| (token.text, token.line)).collect();
    assert_eq!(
        words,
        [("a", 1), (":", 1), ("e", 1), ("k", 2), ("::", 2), ("l", 2), ("type", 2)]
    );
}
