//! The rules of the source tree: which layer may import which, who may print, who may read the environment.
//!
//! A rule that nobody checks is forgotten within a month. These are checked on the text, so that the message can name
//! the line and say what to do; the samples below show that each rule catches what it should.

mod lexer;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use lexer::{Token, is_word, tokens_of};

/// The layers from the top; a module may import from the layers below its own, and from itself.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["ui"],
    &["config"],
    &["ops"],
    &["source", "bucket"],
    &["pipeline"],
    &["catalog"],
    &["pricing"],
    &["retention"],
    &["store"],
    &["base"],
];

/// Where text may go to standard output and standard error.
const PRINTERS: &[&str] = &["src/main.rs", "src/cli/", "src/cli.rs", "src/ui/", "src/ui.rs"];

/// Where the environment may be read.
const ENVIRONMENT_READERS: &[&str] = &[
    "src/config/",
    "src/config.rs",
    "src/base/secret.rs",
    "src/base/process.rs",
];

/// Where the AWS SDK may be named.
const AWS_USERS: &[&str] = &["src/store/s3/", "src/store/s3.rs", "src/bucket/", "src/bucket.rs"];

/// Where the command line's library may be named: the use cases must not know that there is a command line.
const CLAP_USERS: &[&str] = &[
    "src/main.rs",
    "src/cli/",
    "src/cli.rs",
    "src/config/",
    "src/config.rs",
    "src/ui/",
];

/// A longer file has a seam somewhere.
const LINES_MAX: usize = 600;

/// Words that promise work instead of doing it. Put together here so that this file does not break its own rule.
const PROMISES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME")];

/// Files that are the beginning of a crate.
const ROOTS: &[&str] = &["src/lib.rs", "src/main.rs", "tests/suite/main.rs"];

#[test]
fn the_tree_keeps_its_rules() {
    let files = read_tree(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("the tree can be read");
    assert!(files.len() > 30, "the tree was not found: {} files", files.len());
    let broken = check(&files);
    assert!(
        broken.is_empty(),
        "{} rules of the tree are broken:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

/// The paths and texts of all Rust files of the library, the program and the suite, by path.
type Files = BTreeMap<String, String>;

fn read_tree(root: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    let mut folders: Vec<_> = ["src", "tests"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                files.insert(name, std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(files)
}

/// One file as the rules see it.
struct Source<'a> {
    path: &'a str,
    tokens: Vec<Token<'a>>,
    /// For each token: whether it belongs to an item that only tests are built with.
    is_test: Vec<bool>,
}

/// Applies every rule to every file and tells what is broken, in the order of the files.
fn check(files: &Files) -> Vec<String> {
    let sources: BTreeMap<&str, Source<'_>> = files
        .iter()
        .map(|(path, text)| {
            let tokens = tokens_of(text);
            let is_test = test_only(&tokens);
            let path = path.as_str();
            (path, Source { path, tokens, is_test })
        })
        .collect();
    let mut broken = Vec::new();
    let reached = reach(&sources, &mut broken);
    for (path, source) in &sources {
        check_text(path, &files[*path], source, &mut broken);
        match reached.get(path) {
            None => broken.push(format!(
                "{path}: no `mod` leads here from {}; declare the file or remove it",
                ROOTS.join(", ")
            )),
            // Tests may use whatever is handy.
            Some(Reached::ByTestsOnly) => {}
            Some(Reached::Always) if path.starts_with("src/") => check_source(source, &mut broken),
            Some(Reached::Always) => {}
        }
    }
    broken
}

fn check_text(path: &str, text: &str, source: &Source<'_>, broken: &mut Vec<String>) {
    let lines = text.lines().count();
    if path.starts_with("src/") && lines > LINES_MAX {
        broken.push(format!(
            "{path}: {lines} lines; at most {LINES_MAX}: find the seam and split it"
        ));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for promise in PROMISES {
            if line.split(|c: char| !c.is_alphanumeric()).any(|word| word == *promise) {
                broken.push(format!("{path}:{number}: `{promise}`: do it now, or open an issue"));
            }
        }
    }
    for window in source.tokens.windows(2) {
        if matches!(window[0].text, "todo" | "unimplemented") && window[1].text == "!" {
            broken.push(format!(
                "{path}:{}: `{}!` is not an implementation",
                window[0].line, window[0].text
            ));
        }
    }
}

fn check_source(source: &Source<'_>, broken: &mut Vec<String>) {
    check_imports(source, broken);
    for at in 0..source.tokens.len() {
        if source.is_test[at] {
            continue;
        }
        let told = [
            printing(source, at).filter(|_| !is_in(source.path, PRINTERS)),
            environment(source, at).filter(|_| !is_in(source.path, ENVIRONMENT_READERS)),
            foreign_crate(source, at, "aws_").filter(|_| !is_in(source.path, AWS_USERS)),
            foreign_crate(source, at, "clap").filter(|_| !is_in(source.path, CLAP_USERS)),
        ];
        for why in told.into_iter().flatten() {
            broken.push(format!("{}:{}: {why}", source.path, source.tokens[at].line));
        }
    }
}

/// Whether a path is one of the files, or lies in one of the folders, which end with a slash.
fn is_in(path: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| path == *place || (place.ends_with('/') && path.starts_with(place)))
}

impl<'a> Source<'a> {
    /// The token's text; nothing beyond the ends.
    fn text(&self, at: Option<usize>) -> &'a str {
        at.and_then(|at| self.tokens.get(at)).map_or("", |token| token.text)
    }

    fn after(&self, at: usize, steps: usize) -> &'a str {
        self.text(at.checked_add(steps))
    }

    fn before(&self, at: usize, steps: usize) -> &'a str {
        self.text(at.checked_sub(steps))
    }
}

fn printing(source: &Source<'_>, at: usize) -> Option<String> {
    let name = source.tokens[at].text;
    let is_macro = matches!(name, "print" | "println" | "eprint" | "eprintln" | "dbg") && source.after(at, 1) == "!";
    let is_stream = matches!(name, "stdout" | "stderr")
        && ((source.before(at, 1) == "::" && matches!(source.before(at, 2), "io" | "stdio"))
            || (source.after(at, 1) == "("
                && source.after(at, 2) == ")"
                && !matches!(source.before(at, 1), "." | "fn")));
    (is_macro || is_stream)
        .then(|| format!("`{name}`: only `cli` and `ui` print; return it, or report it to the `Reporter`"))
}

fn environment(source: &Source<'_>, at: usize) -> Option<String> {
    const READERS: &[&str] = &["var", "var_os", "vars", "vars_os", "set_var", "remove_var"];
    if source.tokens[at].text != "env" {
        return None;
    }
    let told = |name: &str| {
        Some(format!(
            "`env::{name}`: only `config`, `base/secret.rs` and `base/process.rs` read the environment; take a setting"
        ))
    };
    if source.after(at, 1) == "as" {
        return Some("`env` under another name: say `env::…`, so that this test can see it".to_owned());
    }
    if source.after(at, 1) != "::" {
        return None;
    }
    match source.after(at, 2) {
        "*" => told("*"),
        "{" => source.tokens[at + 3..]
            .iter()
            .take_while(|token| token.text != "}")
            .find(|token| READERS.contains(&token.text) || token.text == "*")
            .and_then(|token| told(token.text)),
        name if READERS.contains(&name) => told(name),
        _ => None,
    }
}

/// A crate whose name begins so, in a path or an import; a variable of that name is no matter.
fn foreign_crate(source: &Source<'_>, at: usize, begins: &str) -> Option<String> {
    let name = source.tokens[at].text;
    let is_crate = name.starts_with(begins)
        && ((source.after(at, 1) == "::" && source.before(at, 1) != "::")
            || matches!(source.before(at, 1), "use" | "crate" if source.after(at, 1) == ";" || source.after(at, 1) == "as"));
    is_crate.then(|| format!("`{name}` is named outside of its own layer; hide it behind a type of ours"))
}

// The layers.

fn check_imports(source: &Source<'_>, broken: &mut Vec<String>) {
    let module = module_of(source.path);
    // The beginning of the library holds the modules and belongs to none.
    if source.path == "src/lib.rs" {
        return;
    }
    let own = if source.path == "src/main.rs" {
        "main"
    } else {
        module[0].as_str()
    };
    let Some(own_rank) = rank(own) else {
        broken.push(format!(
            "{}: `{own}` has no place among the layers ({})",
            source.path,
            layers_shown()
        ));
        return;
    };
    for import in imports(source, &module) {
        let at = format!("{}:{}", source.path, import.line);
        let Some(layer) = import.path.first() else {
            broken.push(format!(
                "{at}: everything of the crate is imported; name what is needed"
            ));
            continue;
        };
        if layer == own {
            continue;
        }
        match rank(layer) {
            None => broken.push(format!(
                "{at}: `{layer}` has no place among the layers ({})",
                layers_shown()
            )),
            Some(rank) if rank > own_rank => {}
            Some(_) => broken.push(format!(
                "{at}: `{own}` imports `{}`; imports point down only ({})",
                import.path.join("::"),
                layers_shown()
            )),
        }
    }
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&layer))
}

fn layers_shown() -> String {
    let names: Vec<_> = LAYERS.iter().map(|names| names.join(", ")).collect();
    names.join(" > ")
}

/// A path that begins with `crate`, `super`, `self` or the crate's own name, from the crate's root.
struct Import {
    path: Vec<String>,
    line: usize,
}

fn imports(source: &Source<'_>, module: &[String]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0usize;
    let mut at = 0;
    while at < source.tokens.len() {
        let text = source.tokens[at].text;
        match text {
            "{" => {
                depth += 1;
                if source.before(at, 2) == "mod" {
                    inline.push((source.before(at, 1).to_owned(), depth));
                }
            }
            "}" => {
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
                depth = depth.saturating_sub(1);
            }
            "crate" | "super" | "self" | "backup_cli"
                if source.after(at, 1) == "::" && source.before(at, 1) != "::" && !source.is_test[at] =>
            {
                let mut here = module.to_vec();
                here.extend(inline.iter().map(|(name, _)| name.clone()));
                let mut paths = Vec::new();
                at = flatten(source, at, &here, &mut paths);
                found.extend(paths);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Follows a path, and all its branches in braces; returns where it ends.
fn flatten(source: &Source<'_>, mut at: usize, from: &[String], found: &mut Vec<Import>) -> usize {
    let line = source.tokens[at].line;
    let mut path = from.to_vec();
    loop {
        match source.text(Some(at)) {
            "crate" | "backup_cli" => path.clear(),
            "super" => drop(path.pop()),
            // `self` is where one is; a star brings what is there.
            "self" | "*" => {}
            "{" => {
                at += 1;
                while !matches!(source.text(Some(at)), "}" | "") {
                    if source.text(Some(at)) == "," {
                        at += 1;
                        continue;
                    }
                    let next = flatten(source, at, &path, found);
                    // Something that is no path, such as a renaming, is stepped over.
                    at = next.max(at + 1);
                }
                return at + 1;
            }
            word if is_word(word) => path.push(word.to_owned()),
            _ => break,
        }
        at += 1;
        if source.text(Some(at)) != "::" {
            break;
        }
        at += 1;
    }
    // `use super::X as Y` goes on behind its new name.
    if source.text(Some(at)) == "as" {
        at += 2;
    }
    found.push(Import { path, line });
    at
}

/// The module that a file is, from the crate's root.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once('/').map_or(path, |(_, inside)| inside);
    let mut names: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

// What only tests are built with.

/// Marks the tokens of items under `#[cfg(test)]`.
fn test_only(tokens: &[Token<'_>]) -> Vec<bool> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut marks = vec![false; tokens.len()];
    let mut at = 0;
    while at < tokens.len() {
        let is_inner = text(at) == "#" && text(at + 1) == "!" && text(at + 2) == "[";
        if !(text(at) == "#" && (text(at + 1) == "[" || is_inner)) {
            at += 1;
            continue;
        }
        let open = at + if is_inner { 2 } else { 1 };
        let close = closing(tokens, open);
        let attribute = &tokens[open..close.min(tokens.len())];
        let says = |word: &str| attribute.iter().any(|token| token.text == word);
        if !(attribute.get(1).is_some_and(|token| token.text == "cfg") && says("test") && !says("not")) {
            at = close;
            continue;
        }
        let end = if is_inner {
            tokens.len()
        } else {
            item_end(tokens, close)
        };
        marks[at..end].fill(true);
        at = end;
    }
    marks
}

/// Behind the bracket that closes the one at `open`.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    tokens.len()
}

/// Behind the item that begins at `start`: its semicolon, or the brace that closes its body.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match tokens[at].text {
            ";" => return at + 1,
            "{" => return closing(tokens, at),
            "(" | "[" => at = closing(tokens, at),
            // A field or an arm at the end of its block.
            ")" | "]" | "}" => return at,
            _ => at += 1,
        }
    }
    tokens.len()
}

// Which files belong to a crate.

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    Always,
    ByTestsOnly,
}

/// Follows `mod` from the roots.
fn reach<'a>(sources: &'a BTreeMap<&'a str, Source<'a>>, broken: &mut Vec<String>) -> BTreeMap<&'a str, Reached> {
    let mut reached = BTreeMap::new();
    let mut queue: VecDeque<(&str, Reached)> = ROOTS
        .iter()
        .filter_map(|root| sources.get_key_value(root))
        .map(|(root, _)| (*root, Reached::Always))
        .collect();
    while let Some((path, how)) = queue.pop_front() {
        if matches!(reached.get(path), Some(known) if *known == Reached::Always || how == Reached::ByTestsOnly) {
            continue;
        }
        reached.insert(path, how);
        let source = &sources[path];
        for (name, is_test, line) in modules(source) {
            let folder = child_folder(path);
            let places = [format!("{folder}{name}.rs"), format!("{folder}{name}/mod.rs")];
            let how = if is_test { Reached::ByTestsOnly } else { how };
            let known: BTreeSet<_> = places
                .iter()
                .filter_map(|place| sources.get_key_value(place.as_str()))
                .map(|(path, _)| *path)
                .collect();
            match known.first() {
                Some(child) => queue.push_back((child, how)),
                None => broken.push(format!(
                    "{path}:{line}: `mod {name};` has no file {}",
                    places.join(" or ")
                )),
            }
        }
    }
    reached
}

/// The modules that a file declares and that have files of their own: path below the file's folder, test-only, line.
fn modules(source: &Source<'_>) -> Vec<(String, bool, usize)> {
    let mut found = Vec::new();
    let mut inline: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0usize;
    for (at, token) in source.tokens.iter().enumerate() {
        match token.text {
            "{" => {
                depth += 1;
                if source.before(at, 2) == "mod" {
                    inline.push((source.before(at, 1), depth));
                }
            }
            "}" => {
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
                depth = depth.saturating_sub(1);
            }
            "mod" if is_word(source.after(at, 1)) && source.after(at, 2) == ";" => {
                let mut names: Vec<_> = inline.iter().map(|(name, _)| *name).collect();
                names.push(source.after(at, 1));
                found.push((names.join("/"), source.is_test[at], token.line));
            }
            _ => {}
        }
    }
    found
}

/// The folder where the modules of a file lie.
fn child_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/"),
        _ => format!("{}/", path.trim_end_matches(".rs")),
    }
}

#[cfg(test)]
mod samples;
