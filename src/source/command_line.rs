//! A command line as it may be shown and recorded: what looks like a secret in it is masked.
//!
//! Passwords do not belong on a command line, which everybody on the machine can read. Where one stands there all the
//! same, it must at least not end up in manifests, which live as long as the backups.

use crate::base::secret::{MASK, redact};

/// Parts of names that only secrets have.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "credential",
];

/// Words that, as a whole word of a name, make it a secret's.
const SECRET_WORDS: &[&str] = &["pass", "pwd", "auth", "key"];

/// Words at the end of a name by which it names the place of a secret, and not the secret.
const PLACE_WORDS: &[&str] = &["file", "path", "dir", "command", "id"];

/// Programs (by the beginning of their names) whose short option takes a secret, and whether it may be the next word.
const SHORT_OPTIONS: &[(&str, &str, bool)] = &[
    ("mysql", "-p", false),
    ("mariadb", "-p", false),
    ("mongo", "-p", true),
    ("sshpass", "-p", true),
    ("redis-cli", "-a", true),
    ("curl", "-u", true),
];

/// Headers of HTTP that hold a secret and whose names do not say so.
const SECRET_HEADERS: &[&str] = &["authorization", "proxy-authorization", "cookie"];

/// What stands between two commands of a shell.
const SEPARATORS: [char; 3] = [';', '|', '&'];

/// The words of a command, each as the user wrote it.
pub fn shown_words(argv: &[String]) -> String {
    let mut mask = Masker::default();
    let shown: Vec<String> = argv.iter().map(|word| mask.word(word)).collect();
    redact(&shell_words::join(shown))
}

/// The text of a script for the shell, with its own blanks.
pub fn shown_script(script: &str) -> String {
    redact(&masked_script(script))
}

fn masked_script(script: &str) -> String {
    let mut mask = Masker::default();
    let mut out = String::with_capacity(script.len());
    let mut word = String::new();
    let mut quote: Option<char> = None;
    for c in script.chars() {
        match quote {
            Some(open) => quote = quote.filter(|_| c != open),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c.is_whitespace() => {
                out.push_str(&mask.word(&std::mem::take(&mut word)));
                out.push(c);
                continue;
            }
            None => {}
        }
        word.push(c);
    }
    out.push_str(&mask.word(&word));
    out
}

#[derive(Default)]
struct Masker {
    /// The program whose options are read; none before its name.
    program: Option<String>,
    masks_next: bool,
}

impl Masker {
    fn word(&mut self, word: &str) -> String {
        if word.is_empty() {
            return String::new();
        }
        if std::mem::take(&mut self.masks_next) && !word.starts_with('-') {
            return MASK.to_owned();
        }
        if matches!(word, "|" | "||" | "&&" | ";" | "&" | "(" | "{") {
            self.program = None;
            return word.to_owned();
        }
        if let Some((name, value)) = word.split_once('=')
            && is_secret_name(name)
            && !value.is_empty()
        {
            return format!("{name}={MASK}");
        }
        if let Some(header) = masked_header(word) {
            return header;
        }
        // A program may be another one's argument, as it is after `sudo`, `env` and `sh -c SCRIPT`. What only looks like one
        // has too much masked, which harms nobody.
        let name = word.rsplit('/').next().unwrap_or(word);
        if SHORT_OPTIONS.iter().any(|(begin, _, _)| name.starts_with(begin)) && !word.contains(char::is_whitespace) {
            self.program = Some(name.to_owned());
            return word.to_owned();
        }
        let Some(program) = self.program.clone() else {
            // An assignment stands before the program's name.
            if !word.contains('=') && !word.ends_with(SEPARATORS) {
                self.program = Some(name.to_owned());
            }
            return script_in(word);
        };
        for (begin, option, takes_next) in SHORT_OPTIONS {
            if program.starts_with(begin)
                && let Some(value) = word.strip_prefix(option)
            {
                self.masks_next = value.is_empty() && *takes_next;
                return match value.is_empty() {
                    true => word.to_owned(),
                    false => format!("{option}{MASK}"),
                };
            }
        }
        self.masks_next = word.starts_with("--") && !word.contains('=') && is_secret_name(word);
        if word.ends_with(SEPARATORS) {
            self.program = None;
        }
        script_in(word)
    }
}

/// A header with its value masked, if this is one that holds a secret; in quotes if it was.
fn masked_header(word: &str) -> Option<String> {
    let bare = word.trim_start_matches(['\'', '"']);
    let quote = &word[..word.len() - bare.len()];
    let (name, value) = bare.split_once(':')?;
    let is_secret = is_secret_name(name) || SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str());
    let is_header = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_header && is_secret && !value.trim_end_matches(['\'', '"']).trim().is_empty())
        .then(|| format!("{quote}{name}: {MASK}{quote}"))
}

/// A word that holds blanks may be a command line itself, for `ssh` or `sh -c`.
fn script_in(word: &str) -> String {
    let inner = ['\'', '"']
        .iter()
        .find_map(|quote| Some((*quote, word.strip_prefix(*quote)?.strip_suffix(*quote)?)));
    match inner {
        _ if !word.contains(char::is_whitespace) => word.to_owned(),
        Some((quote, inner)) => format!("{quote}{}{quote}", masked_script(inner)),
        // Quotes in the middle are of a kind that is not taken apart, and would not come to an end below.
        None if word.contains(['\'', '"']) => word.to_owned(),
        None => masked_script(word),
    }
}

/// Whether what has this name, of an option or a variable, is a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    let mut words = name.split(['-', '_', '.']);
    if words
        .clone()
        .next_back()
        .is_some_and(|last| PLACE_WORDS.contains(&last))
    {
        return false;
    }
    SECRET_PARTS.iter().any(|part| name.contains(part)) || words.any(|word| SECRET_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_on_a_command_line_are_masked_and_the_rest_is_not() {
        for (line, shown) in [
            ("mysqldump -u ann -pgeheim7 app", "mysqldump -u ann -p******** app"),
            ("mysqldump -p app", "mysqldump -p app"),
            (
                "mariadb-dump --password=geheim7 app",
                "mariadb-dump --password=******** app",
            ),
            (
                "mongodump --archive -p geheim7 --db x",
                "mongodump --archive -p ******** --db x",
            ),
            (
                "mongodump --password geheim7 --archive",
                "mongodump --password ******** --archive",
            ),
            (
                "PGPASSWORD=geheim7 pg_dump -p 5432 app",
                "PGPASSWORD=******** pg_dump -p 5432 app",
            ),
            (
                "cat x | MYSQL_PWD='geheim7 x' mysqldump a",
                "cat x | MYSQL_PWD=******** mysqldump a",
            ),
            (
                "true; redis-cli -a geheim7 --rdb -",
                "true; redis-cli -a ******** --rdb -",
            ),
            ("ssh h 'mysqldump -pgeheim7 a'", "ssh h 'mysqldump -p******** a'"),
            ("curl -u ann:geheim7 https://h/x", "curl -u ******** https://h/x"),
            (
                "curl -H \"Authorization: Bearer geheim7\" -H 'X-Api-Key: geheim7' -H 'Accept: x' https://h/x",
                "curl -H \"Authorization: ********\" -H 'X-Api-Key: ********' -H 'Accept: x' https://h/x",
            ),
            (
                "sh -c 'echo x' mysqldump -pgeheim7 -u root",
                "sh -c 'echo x' mysqldump -p******** -u root",
            ),
            (
                "echo x; : curl -u ann:geheim7 https://h/x",
                "echo x; : curl -u ******** https://h/x",
            ),
            (
                "sudo -u ann /usr/bin/mysqldump -pgeheim7 a",
                "sudo -u ann /usr/bin/mysqldump -p******** a",
            ),
            (
                "vault --token-file /run/t --key-id 7",
                "vault --token-file /run/t --key-id 7",
            ),
            ("tar -p -cf - /srv/keys", "tar -p -cf - /srv/keys"),
            (
                "pg_dump postgres://ann:geheim7@h/d",
                "pg_dump postgres://ann:********@h/d",
            ),
        ] {
            assert_eq!(shown_script(line), shown);
        }
        for (argv, kept) in [
            (["mysqldump", "-pgeheim7", "--host=h", "a b"], "'a b'"),
            (["ssh", "h", "mysqldump -pgeheim7 a", "x"], "mysqldump -p"),
        ] {
            let shown = shown_words(&argv.map(str::to_owned));
            assert!(!shown.contains("geheim7") && shown.contains(kept), "{shown}");
        }
    }
}
