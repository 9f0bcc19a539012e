//! What AWS takes for the name of a bucket.

/// What names begin with that AWS keeps for itself.
const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];

/// What the names of other things than buckets end in: access points, directories, tables.
const RESERVED_SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];

/// How many letters a name has.
const LETTERS: std::ops::RangeInclusive<usize> = 3..=63;

/// The ending by which AWS knows the name of something that is no bucket and cannot be asked as one.
#[must_use]
pub fn foreign_ending(name: &str) -> Option<&'static str> {
    RESERVED_SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix))
}

/// The rule of AWS that a new bucket's name breaks, as the end of a sentence; `None` if it breaks none.
#[must_use]
pub fn broken_rule(name: &str) -> Option<String> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_at_an_end = |byte: Option<&u8>| byte.is_some_and(|byte| is_letter(*byte));
    if !LETTERS.contains(&name.len()) {
        return Some(format!("names have {} to {} letters", LETTERS.start(), LETTERS.end()));
    }
    if !name.bytes().all(|byte| is_letter(byte) || matches!(byte, b'-' | b'.')) {
        return Some("names have lower-case letters, digits, hyphens and dots alone".to_owned());
    }
    if !is_at_an_end(name.as_bytes().first()) || !is_at_an_end(name.as_bytes().last()) {
        return Some("names begin and end with a letter or a digit".to_owned());
    }
    if name.contains("..") {
        return Some("no two dots stand together".to_owned());
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some("an address is no name".to_owned());
    }
    if let Some(prefix) = RESERVED_PREFIXES.into_iter().find(|prefix| name.starts_with(prefix)) {
        return Some(format!("`{prefix}` at its beginning is AWS's own"));
    }
    foreign_ending(name).map(|suffix| format!("`{suffix}` at its end is AWS's own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_aws_does_not_take_are_known_with_the_rule() {
        for name in ["abc", "my-backups", "a.b.c", "1.2.3", "10-20-30-40", &"a".repeat(63)] {
            assert_eq!(broken_rule(name), None, "{name}");
        }
        for (name, rule) in [
            ("ab", "3 to 63"),
            (&"a".repeat(64), "3 to 63"),
            ("Forb", "lower-case"),
            ("a_b", "lower-case"),
            ("-abc", "begin and end"),
            ("abc.", "begin and end"),
            ("a..b", "two dots"),
            ("192.168.5.4", "address"),
            ("xn--foo", "`xn--`"),
            ("sthree-configurator", "`sthree-`"),
            ("amzn-s3-demo-bucket", "`amzn-s3-demo-`"),
            ("foo-s3alias", "`-s3alias`"),
            ("foo--ol-s3", "`--ol-s3`"),
            ("foo.mrap", "`.mrap`"),
            ("foo--use1-az4--x-s3", "`--x-s3`"),
            ("foo--table-s3", "`--table-s3`"),
        ] {
            let broken = broken_rule(name).unwrap_or_default();
            assert!(broken.contains(rule), "{name}: {broken}");
        }
    }
}
