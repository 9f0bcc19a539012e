//! Dotenv files: `NAME=value` lines that count where the environment itself has no such variable.
//!
//! Values are literal: `$` means itself, so that a password with one in it stays whole.
//!
//! Programs that this tool starts, and libraries that look at the environment themselves (the AWS chain, libpq), must see
//! the variables too. A process cannot safely change its own environment once it runs, so [`apply`] starts this program
//! again in its own place (same process id), with the variables added.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use crate::base::failure::{Failure, IoContext, Kind, Result};

/// Tells the second start that the file has been applied, and by which names: the path and then the names, a line each.
pub const MARKER: &str = "BACKUP_ENV_FILE_APPLIED";

/// Makes the variables of a dotenv file part of this process's environment; returns once they are.
///
/// # Errors
/// [`Kind::Config`] if the file cannot be read or understood.
pub fn apply(path: &Path, environment: &Environment) -> Result<()> {
    if applied(environment).is_some_and(|(file, _)| file == path) {
        return Ok(());
    }
    let text = std::fs::read_to_string(path)
        .doing(|| format!("read the environment file `{}`", path.display()))
        .map_err(|failure| failure.with_kind(Kind::Config))?;
    let added: Vec<(String, String)> = parse(&text, path)?
        .into_iter()
        .filter(|(name, _)| !environment.has(name))
        .collect();
    let mut marker = path.to_string_lossy().into_owned();
    for (name, _) in &added {
        marker.push('\n');
        marker.push_str(name);
    }
    let mut arguments = std::env::args_os();
    let program = std::env::current_exe().doing(|| "find this program to start it with the environment file")?;
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).envs(added).env(MARKER, marker).exec();
    Err(Failure::new(Kind::Failed, "Could not start this program with the environment file").caused_by(error))
}

/// The file that has been applied to this process and the names that it brought.
#[must_use]
pub fn applied(environment: &Environment) -> Option<(PathBuf, BTreeSet<String>)> {
    let mut lines = environment.get(MARKER)?.lines();
    let file = PathBuf::from(lines.next()?);
    Some((file, lines.map(str::to_owned).collect()))
}

/// Reads a dotenv file: `NAME=value`, `export NAME=value`, comments, values plain, in `'…'` (literal) or in `"…"`
/// (with `\n`, `\t`, `\r`, `\"`, `\\`, `\$`). Quoted values may go over several lines.
///
/// # Errors
/// [`Kind::Config`] with the line.
pub fn parse(text: &str, path: &Path) -> Result<Vec<(String, String)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut pairs = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let here = line;
        let wrong = |why: &str| {
            Failure::new(
                Kind::Config,
                format!("Not a variable in `{}`, line {here}: {why}", path.display()),
            )
            .hint("Write NAME=value, NAME='literal value' or NAME=\"value\"; # begins a comment")
        };
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let (name, _) = first.split_once('=').ok_or_else(|| wrong("there is no `=`"))?;
        let value_start = name.len() + 1;
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err(wrong(
                "the name before `=` has other characters than letters, digits and `_`",
            ));
        }
        let blank = rest[value_start..].len() - rest[value_start..].trim_start_matches([' ', '\t']).len();
        let value_text = &rest[value_start + blank..];
        let (value, used) = match value_text.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(value_text, quote).ok_or_else(|| wrong("a quote is not closed"))?,
            _ => {
                let end = value_text.find('\n').unwrap_or(value_text.len());
                (plain(&value_text[..end]), end)
            }
        };
        let tail = &value_text[used..];
        let (leftover, after) = tail.split_once('\n').unwrap_or((tail, ""));
        let leftover = leftover.trim();
        if !leftover.is_empty() && !leftover.starts_with('#') {
            return Err(wrong("something stands after the closing quote"));
        }
        line += value_text[..used].matches('\n').count() + 1;
        pairs.push((name.to_owned(), value));
        rest = after;
    }
    Ok(pairs)
}

/// A value without quotes: to the end of the line, or to a `#` after a blank.
fn plain(text: &str) -> String {
    let end = text
        .char_indices()
        .find(|(at, c)| *c == '#' && (*at == 0 || text[..*at].ends_with([' ', '\t'])))
        .map_or(text.len(), |(at, _)| at);
    text[..end].trim().to_owned()
}

/// A value in quotes, and how many bytes it takes with them.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'r' => value.push('\r'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => {
                    value.push('\\');
                    value.push(other);
                }
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text, Path::new(".env")).unwrap()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn values_are_read_as_they_stand_in_the_field() {
        let text = "\u{feff}# a comment\n\nAWS_REGION=us-east-1\r\nBACKUP_S3_BUCKET=  # Leave empty\nexport A = b c \n\
                    URL=postgres://u:pa$word#1@h/d   # trailing\nSINGLE='it $is # \\n'\nDOUBLE=\"a\\n\\\"b\\\" \\$x \\d\" # c\n\
                    KEY=\"-----BEGIN\nEND-----\"\nLAST=1";
        assert_eq!(
            read(text),
            pairs(&[
                ("AWS_REGION", "us-east-1"),
                ("BACKUP_S3_BUCKET", ""),
                ("A", "b c"),
                ("URL", "postgres://u:pa$word#1@h/d"),
                ("SINGLE", "it $is # \\n"),
                ("DOUBLE", "a\n\"b\" $x \\d"),
                ("KEY", "-----BEGIN\nEND-----"),
                ("LAST", "1"),
            ])
        );
        assert_eq!(read(""), pairs(&[]));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, message) in [
            ("A=1\nB", "Not a variable in `.env`, line 2: there is no `=`"),
            (
                "A=\"x\ny\"\nB='z",
                "Not a variable in `.env`, line 3: a quote is not closed",
            ),
            (
                "A='x'y",
                "Not a variable in `.env`, line 1: something stands after the closing quote",
            ),
            (
                "1A=x",
                "Not a variable in `.env`, line 1: the name before `=` has other characters than letters, digits and `_`",
            ),
        ] {
            let failure = parse(text, Path::new(".env")).unwrap_err();
            assert_eq!(failure.message(), message);
            assert_eq!(failure.kind(), Kind::Config);
        }
    }

    #[test]
    fn the_marker_says_what_came_from_the_file() {
        let environment = Environment::from_pairs([(MARKER, "/srv/.env\nAWS_REGION\nA")]);
        let (file, names) = applied(&environment).unwrap();
        assert_eq!(file, Path::new("/srv/.env"));
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["A", "AWS_REGION"]);
    }
}
