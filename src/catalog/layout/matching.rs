//! Reading a key back: whether the template could have made it, and for which series.

use crate::store::Key;

use super::{Layout, NAME_BYTES_MAX, id_of, is_name_character, name_and_time_of, name_from};

/// A piece of the template.
enum Piece<'a> {
    Text(std::borrow::Cow<'a, str>),
    Name,
    Host,
    Digits { date: bool },
}

/// What the variables stand for, as far as the key has told; each stands for the same wherever it occurs.
#[derive(Clone, Copy, Default)]
struct Bound<'a> {
    name: Option<&'a str>,
    host: Option<&'a str>,
    date: Option<&'a str>,
    time: Option<&'a str>,
}

impl Layout {
    /// The series of the data object at `key`, if this layout makes such keys; `None` for all others.
    #[must_use]
    pub fn series_of<'a>(&self, key: &'a Key) -> Option<&'a str> {
        let text = key.as_str();
        let below = match self.prefix.as_str() {
            "" => text,
            prefix => text.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        fit(&self.pieces(), below, Bound::default())
    }

    /// The series of the data object at `key`, if a run of this tool can have made it: by this layout, or by the pattern of
    /// the built-in template in another folder below the prefix, as a copy has it.
    #[must_use]
    pub fn own_series_of(&self, key: &Key) -> Option<String> {
        if let Some(name) = self.series_of(key) {
            return Some(name.to_owned());
        }
        let is_below = self.prefix.is_empty() || key.as_str().starts_with(&format!("{}/", self.prefix));
        let (name, time) = name_and_time_of(key);
        let is_ours = is_below && time.is_some() && id_of(key).starts_with(&format!("{name}_backup_"));
        is_ours.then_some(name)
    }

    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let mut rest = self.template.as_str();
        while let Some(open) = rest.find('{') {
            if open > 0 {
                pieces.push(Piece::Text(rest[..open].into()));
            }
            // A template without a closing brace was refused when the layout was made.
            let close = rest[open..].find('}').map_or(rest.len() - 1, |close| open + close);
            pieces.push(match &rest[open + 1..close] {
                "name" => Piece::Name,
                "host" => Piece::Host,
                "date" => Piece::Digits { date: true },
                "time" => Piece::Digits { date: false },
                other => Piece::Text(
                    self.variables
                        .get(other)
                        .map(|value| name_from(value))
                        .unwrap_or_default()
                        .into(),
                ),
            });
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        pieces
    }
}

/// The series' name, if the text is made of the pieces, with extensions behind them.
fn fit<'a>(pieces: &[Piece<'_>], text: &'a str, bound: Bound<'a>) -> Option<&'a str> {
    let Some((piece, later)) = pieces.split_first() else {
        return bound
            .name
            .filter(|_| text.is_empty() || text.starts_with('.') && !text.contains('/'));
    };
    match piece {
        Piece::Text(own) => fit(later, text.strip_prefix(own.as_ref())?, bound),
        Piece::Digits { date } => {
            let length = if *date { 8 } else { 6 };
            let digits = text.get(..length)?;
            let known = if *date { bound.date } else { bound.time };
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) || known.is_some_and(|known| known != digits) {
                return None;
            }
            let bound = match date {
                true => Bound {
                    date: Some(digits),
                    ..bound
                },
                false => Bound {
                    time: Some(digits),
                    ..bound
                },
            };
            fit(later, &text[length..], bound)
        }
        Piece::Name | Piece::Host => {
            let is_name = matches!(piece, Piece::Name);
            if let Some(known) = if is_name { bound.name } else { bound.host } {
                return fit(later, text.strip_prefix(known)?, bound);
            }
            let longest = text
                .bytes()
                .take(NAME_BYTES_MAX)
                .take_while(|byte| is_name_character(char::from(*byte)))
                .count();
            (1..=longest).rev().find_map(|length| {
                let (value, rest) = text.split_at(length);
                let bound = match is_name {
                    true => Bound {
                        name: Some(value),
                        ..bound
                    },
                    false => Bound {
                        host: Some(value),
                        ..bound
                    },
                };
                fit(later, rest, bound)
            })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_key_is_read_back_by_the_template_that_made_it() {
        let started = "2026-01-31T02:00:00Z".parse().unwrap();
        let variables = BTreeMap::from([("user".to_owned(), "u/1".to_owned())]);
        for (prefix, template) in [
            ("backups", "{date}/{name}_backup_{date}_{time}"),
            ("", "{name}/{date}T{time}"),
            ("a/b", "users/{user}/{host}/{name}/{host}-{name}-{date}-{time}"),
        ] {
            let layout = Layout::new(prefix, template, variables.clone()).unwrap();
            for name in ["app", "app_backup_20260101_000000", "a-b.c", "20260131"] {
                let key = layout.data_key(name, "h.example", started, "sql", "gz.age").unwrap();
                assert_eq!(layout.series_of(&key), Some(name), "{key}");
                assert_eq!(layout.own_series_of(&key).as_deref(), Some(name), "{key}");
            }
        }
    }

    #[test]
    fn what_the_template_cannot_have_made_is_nobodys() {
        let layout = Layout::with_prefix("backups").unwrap();
        for key in [
            "backups/20260131/app.sql.gz",
            "backups/20260131/app_backup_20260130_020000.sql.gz",
            "backups/20260131/app_backup_20260131_020000sql",
            "backups/20260131/app_backup_20260131_020000.d/x",
            "other/20260131/app_backup_20260131_020000.sql.gz",
            "backups20260131/app_backup_20260131_020000.sql.gz",
            "backups/20260131/ä_backup_20260131_020000.sql.gz",
        ] {
            assert_eq!(layout.series_of(&Key::new(key)), None, "{key}");
        }
        // A copy lies in other folders; an older script's file is called otherwise.
        let copied = Key::new("backups/copies/app_backup_20260131_020000.sql.gz");
        assert_eq!(layout.own_series_of(&copied).as_deref(), Some("app"));
        for key in [
            "backups/app-20260131_020000.sql.gz",
            "other/app_backup_20260131_020000.sql.gz",
            "backups/readme.txt",
        ] {
            assert_eq!(layout.own_series_of(&Key::new(key)), None, "{key}");
        }
    }
}
