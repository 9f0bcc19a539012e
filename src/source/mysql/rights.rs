//! What an account may do, as far as a dump would silently lack something without it.

use super::clients::{Maker, Version};
use super::server::About;

/// Rights of an account on one database, read from `SHOW GRANTS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    granted: Vec<String>,
    global: Vec<String>,
    reads_routine_table: bool,
    has_roles: bool,
}

impl Rights {
    /// Reads the lines of `SHOW GRANTS` for `database`.
    #[must_use]
    pub fn read(lines: &[String], database: &str) -> Self {
        let mut rights = Self::default();
        for line in lines {
            let Some(rest) = line.strip_prefix("GRANT ") else {
                continue;
            };
            let Some((names, rest)) = rest.split_once(" ON ") else {
                // A role, whose own rights some servers do not show here.
                rights.has_roles = true;
                continue;
            };
            let Some((place, _)) = rest.rsplit_once(" TO ") else {
                continue;
            };
            let place = place.strip_prefix("TABLE ").unwrap_or(place);
            let names = names.split(',').map(|name| name.trim().to_ascii_uppercase());
            if place == "*.*" {
                rights.global.extend(names);
            } else if let Some(pattern) = place.strip_suffix(".*") {
                if is_like(database, &pattern.trim_matches('`').replace("``", "`")) {
                    rights.granted.extend(names);
                }
            } else if place.eq_ignore_ascii_case("`mysql`.`proc`") {
                rights.reads_routine_table |= names.into_iter().any(|name| name == "SELECT");
            }
        }
        rights
    }

    fn has(&self, right: &str) -> bool {
        let holds = |names: &[String]| {
            names
                .iter()
                .any(|name| name == right || name.starts_with("ALL PRIVILEGES"))
        };
        self.has_roles || holds(&self.granted) || self.has_globally(right)
    }

    fn has_globally(&self, right: &str) -> bool {
        self.has_roles
            || self
                .global
                .iter()
                .any(|name| name == right || name.starts_with("ALL PRIVILEGES"))
    }

    /// Of these rights, those that are missing.
    #[must_use]
    pub fn missing<'a>(&self, wanted: &[&'a str]) -> Vec<&'a str> {
        wanted.iter().filter(|right| !self.has(right)).copied().collect()
    }

    /// Whether routines of others are seen whole.
    #[must_use]
    pub fn sees_routines(&self) -> bool {
        self.reads_routine_table
            || self.has_globally("SELECT")
            || self.has_globally("SHOW_ROUTINE")
            || self.has("SHOW CREATE ROUTINE")
            || self.has("ALTER ROUTINE")
            || self.has("EXECUTE")
    }

    /// What to grant so that routines are seen.
    #[must_use]
    pub fn routine_grant(server: &About) -> &'static str {
        match server.maker {
            Maker::MariaDb if server.version >= Version(11, 3, 0) => "GRANT SHOW CREATE ROUTINE ON *.*",
            Maker::MariaDb => "GRANT SELECT ON mysql.proc",
            Maker::MySql if server.version >= Version(8, 0, 20) => "GRANT SHOW_ROUTINE ON *.*",
            Maker::MySql => "GRANT SELECT ON mysql.proc",
        }
    }
}

/// SQL's `LIKE`, with backslashes as escapes, as grants on databases have it.
fn is_like(text: &str, pattern: &str) -> bool {
    fn matches(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skipped| matches(&text[skipped..], rest)),
            ['_', rest @ ..] => !text.is_empty() && matches(&text[1..], rest),
            ['\\', plain, rest @ ..] => text.first() == Some(plain) && matches(&text[1..], rest),
            [plain, rest @ ..] => text.first() == Some(plain) && matches(&text[1..], rest),
        }
    }
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    matches(&text, &pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Rights {
        Rights::read(
            &lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>(),
            "my_shop",
        )
    }

    #[test]
    fn grants_count_where_they_reach() {
        let wanted = ["TRIGGER", "EVENT"];
        for (lines, missing) in [
            (
                &["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"][..],
                &[][..],
            ),
            (&["GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*X'"], &wanted),
            (&["GRANT SELECT, TRIGGER ON `my\\_shop`.* TO `u`@`%`"], &["EVENT"]),
            (&["GRANT ALL PRIVILEGES ON `my%`.* TO `u`@`%`"], &[]),
            (&["GRANT ALL PRIVILEGES ON `your%`.* TO `u`@`%`"], &wanted),
            (&["GRANT EVENT, TRIGGER ON `my_shop`.`t` TO `u`@`%`"], &wanted),
            (&["GRANT `backup_role`@`%` TO `u`@`%`"], &[]),
        ] {
            assert_eq!(read(lines).missing(&wanted), missing, "{lines:?}");
        }
    }

    #[test]
    fn routines_are_seen_by_those_who_may() {
        assert!(!read(&["GRANT SELECT, TRIGGER, EVENT ON `my_shop`.* TO `u`@`%`"]).sees_routines());
        for line in [
            "GRANT SELECT ON *.* TO `u`@`%`",
            "GRANT SELECT ON `mysql`.`proc` TO `u`@`%`",
            "GRANT SHOW_ROUTINE ON *.* TO `u`@`%`",
            "GRANT EXECUTE ON `my_shop`.* TO `u`@`%`",
        ] {
            assert!(read(&[line]).sees_routines(), "{line}");
        }
    }
}
