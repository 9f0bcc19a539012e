//! Addresses of stores as people write them: `s3://bucket/prefix`, `file:///folder`, or a path.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::secret::MASK;

/// Characters in a bucket's name. The least is every provider's; the most is what old buckets in us-east-1 may have.
const BUCKET_CHARS_MIN: usize = 3;
const BUCKET_CHARS_MAX: usize = 255;

/// Bytes of a prefix: S3 keys have at most 1,024, and below the prefix there must be room for a key.
const PREFIX_BYTES_MAX: usize = 768;

/// Where a store is, before anything has been opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A bucket, and the part of it that belongs to this tool.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The prefix without slashes at its ends; empty for the whole bucket.
        prefix: String,
    },
    /// A folder.
    Local {
        /// The folder, as an absolute path.
        folder: PathBuf,
    },
}

impl StoreAddress {
    /// Reads an address. A relative path, which begins with `./` or `../`, counts from the current folder; `~` is left to the shell.
    ///
    /// # Errors
    /// [`Kind::Config`] with a hint if it is not an address, or if the bucket cannot have such a name.
    pub fn parse(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(Failure::new(Kind::Config, "The address of the store is empty").hint(FORMS));
        }
        if text.contains(char::is_control) {
            return Err(wrong(text).caused_by(anyhow::anyhow!(
                "It contains a control character, such as the end of a line"
            )));
        }
        match scheme_of(text) {
            Some(("s3", rest)) => parse_s3(text, rest),
            Some(("file", rest)) => parse_file(text, rest),
            Some((scheme, rest)) => Err(foreign_scheme(text, scheme, rest)),
            None => parse_path(text),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Local { folder } => f.write_str(&folder_url(folder)),
        }
    }
}

impl std::str::FromStr for StoreAddress {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// A folder as a `file://` URL; what is not plain ASCII is percent-encoded, so that any path survives.
#[must_use]
pub fn folder_url(folder: &Path) -> String {
    // Only a relative path has no URL; none is made by this module, and a readable text is better than a failure.
    Url::from_file_path(folder).map_or_else(|()| format!("file://{}", folder.display()), |url| url.to_string())
}

const FORMS: &str = "Write s3://BUCKET/PREFIX for a bucket, or file:///FOLDER or a path with a slash for a folder";

/// The text for a message: credentials that somebody put into it are not repeated.
///
/// Everything before the last `@` goes: a secret key may contain slashes, so it cannot be told where it begins.
fn shown(text: &str) -> String {
    match (text.split_once(':'), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((before, after))) if before.len() > scheme.len() => {
            format!("{scheme}://{MASK}@{after}")
        }
        (_, Some((_, after))) => format!("{MASK}@{after}"),
        _ => text.to_owned(),
    }
}

fn wrong(text: &str) -> Failure {
    Failure::new(Kind::Config, format!("Not the address of a store: `{}`", shown(text)))
}

/// Splits `scheme:rest`; the scheme in lower case when it is one of ours, so that `S3://` works too.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut chars = scheme.chars();
    let is_scheme = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !is_scheme {
        return None;
    }
    if scheme.eq_ignore_ascii_case("s3") {
        return Some(("s3", rest));
    }
    if scheme.eq_ignore_ascii_case("file") {
        return Some(("file", rest));
    }
    Some((scheme, rest))
}

fn parse_s3(text: &str, rest: &str) -> Result<StoreAddress> {
    let Some(path) = rest.strip_prefix("//") else {
        let path = rest.trim_start_matches('/');
        let failure = wrong(text);
        return Err(if path.contains("://") {
            // restic's way to name a server: s3:https://host/bucket.
            failure.hint("Write s3://BUCKET/PREFIX, and give the server with --endpoint-url")
        } else if path.is_empty() || path.contains('@') {
            failure.hint("Write s3://BUCKET/PREFIX")
        } else {
            failure.hint(format!("Two slashes follow the colon: s3://{path}"))
        });
    };
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    // A secret key may contain slashes: of `KEY:SEC/RET@bucket` only the beginning stands where the bucket should.
    if bucket.contains('@') || (bucket.contains(':') && prefix.contains('@')) {
        return Err(wrong(text)
            .caused_by(anyhow::anyhow!("An address cannot carry credentials"))
            .hint("Write s3://BUCKET/PREFIX, and give the credentials by the environment or the configuration"));
    }
    if path.starts_with("arn:") {
        return Err(wrong(text)
            .caused_by(anyhow::anyhow!("An ARN is not the name of a bucket"))
            .hint("An access point has an alias that can be used in place of a bucket's name: s3://ALIAS/PREFIX"));
    }
    if bucket.is_empty() {
        return Err(wrong(text)
            .caused_by(anyhow::anyhow!("It names no bucket"))
            .hint("Write s3://BUCKET/PREFIX"));
    }
    check_bucket(bucket).map_err(|cause| cause.context(format!("Not the address of a store: `{}`", shown(text))))?;
    let prefix = prefix.trim_matches('/');
    check_prefix(prefix).map_err(|cause| cause.context(format!("Not the address of a store: `{}`", shown(text))))?;
    Ok(StoreAddress::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

/// Tells whether a bucket can have this name: today's rules of S3, widened by upper case, underscores and length, which
/// old buckets and other providers have.
///
/// # Errors
/// [`Kind::Config`] with what is wrong.
pub fn check_bucket(bucket: &str) -> Result<()> {
    let fail = |why: String| {
        Err(
            Failure::new(Kind::Config, format!("Not the name of a bucket: `{bucket}`: {why}"))
                .hint("A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens"),
        )
    };
    if let Some(c) = bucket
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
    {
        return fail(format!("it contains `{c}`"));
    }
    if bucket.len() < BUCKET_CHARS_MIN {
        return fail(format!("it is shorter than {BUCKET_CHARS_MIN} characters"));
    }
    if bucket.len() > BUCKET_CHARS_MAX {
        return fail(format!("it is longer than {BUCKET_CHARS_MAX} characters"));
    }
    let begins_and_ends_well =
        !bucket.starts_with(['.', '-']) && !bucket.ends_with(['.', '-']) && !bucket.contains("..");
    if !begins_and_ends_well {
        return fail("dots and hyphens stand between letters or digits, and no two dots together".to_owned());
    }
    if bucket.parse::<std::net::Ipv4Addr>().is_ok() {
        return fail("it has the form of an IP address; a server is given with --endpoint-url".to_owned());
    }
    Ok(())
}

/// Tells whether keys can begin with this prefix on every kind of store.
///
/// # Errors
/// [`Kind::Config`] with what is wrong.
pub fn check_prefix(prefix: &str) -> Result<()> {
    let fail = |why: &str| {
        Err(Failure::new(
            Kind::Config,
            format!("Not a usable prefix: `{prefix}`: {why}"),
        ))
    };
    if prefix.is_empty() {
        return Ok(());
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        return fail(&format!("it is longer than {PREFIX_BYTES_MAX} bytes"));
    }
    if prefix.contains(char::is_control) {
        return fail("it contains a control character");
    }
    for segment in prefix.split('/') {
        match segment {
            "" => return fail("two slashes follow one another, or one stands at an end"),
            "." | ".." => return fail("`.` and `..` mean nothing in a key"),
            _ => {}
        }
    }
    Ok(())
}

fn parse_file(text: &str, rest: &str) -> Result<StoreAddress> {
    let forgot_slash = |folder: &str| format!("Write file:///{folder} with three slashes, or the path alone");
    let hostless = match rest.strip_prefix("//") {
        Some(authority_and_path) => {
            let (host, path) = authority_and_path.split_at(authority_and_path.find('/').unwrap_or(rest.len() - 2));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(wrong(text)
                    .caused_by(anyhow::anyhow!(
                        "A folder of another machine cannot be reached this way"
                    ))
                    .hint(forgot_slash(authority_and_path.trim_matches('/'))));
            }
            path
        }
        None => rest,
    };
    if !hostless.starts_with('/') {
        return Err(wrong(text).hint(forgot_slash(hostless)));
    }
    if let Some(c) = hostless.chars().find(|c| matches!(c, '?' | '#')) {
        let code = if c == '?' { "%3F" } else { "%23" };
        return Err(wrong(text)
            .caused_by(anyhow::anyhow!("`{c}` has a meaning of its own in a URL"))
            .hint(format!("Write {code} for it, or give the path alone")));
    }
    let folder = Url::parse(&format!("file://{hostless}"))
        .map_err(|error| wrong(text).caused_by(error))?
        .to_file_path()
        .map_err(|()| wrong(text).hint(FORMS))?;
    absolute(&folder)
}

fn parse_path(text: &str) -> Result<StoreAddress> {
    let is_path =
        text.starts_with('/') || matches!(text, "." | "..") || text.starts_with("./") || text.starts_with("../");
    if is_path {
        return absolute(Path::new(text));
    }
    Err(if text.starts_with('~') {
        wrong(text).hint(
            "The shell expands `~` only where it stands unquoted at the start of a word; write the folder's full path",
        )
    } else {
        wrong(text).hint(format!(
            "Write s3://{0} for a bucket, or ./{0} for a folder",
            shown(text).trim_matches('/')
        ))
    })
}

fn absolute(folder: &Path) -> Result<StoreAddress> {
    // Without its trailing slashes the same folder always has the same address.
    let folder: PathBuf = std::path::absolute(folder)
        .doing(|| format!("find the current folder, to which `{}` belongs", folder.display()))?
        .components()
        .collect();
    if folder.parent().is_none() {
        return Err(
            Failure::new(Kind::Config, "The root of the file system cannot be a store".to_owned())
                .hint("Name a folder below it, for example /var/backups/backup-cli"),
        );
    }
    Ok(StoreAddress::Local { folder })
}

fn foreign_scheme(text: &str, scheme: &str, rest: &str) -> Failure {
    let failure = wrong(text);
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        let host = rest.rsplit('@').next().unwrap_or_default();
        let host = host
            .trim_start_matches('/')
            .split(['/', '?', '#'])
            .next()
            .unwrap_or_default();
        return failure.hint(format!(
            "Write the bucket as s3://BUCKET/PREFIX, and the server as --endpoint-url {scheme}://{host}"
        ));
    }
    failure
        .caused_by(anyhow::anyhow!("`{scheme}:` is not a kind of store"))
        .hint(FORMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> StoreAddress {
        StoreAddress::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    fn local(folder: &str) -> StoreAddress {
        StoreAddress::Local {
            folder: PathBuf::from(folder),
        }
    }

    fn refusal(text: &str) -> (String, String) {
        let failure = StoreAddress::parse(text).expect_err(text);
        assert_eq!(failure.kind(), Kind::Config, "{text}");
        let told = format!("{}\n{}", failure.message(), failure.causes().join("\n"));
        (told, failure.hints().join("\n"))
    }

    #[test]
    fn addresses_are_read_and_written_back() {
        for (text, address, written) in [
            ("s3://my-bucket", s3("my-bucket", ""), "s3://my-bucket"),
            ("s3://my-bucket/", s3("my-bucket", ""), "s3://my-bucket"),
            ("S3://b.1/a/b c/", s3("b.1", "a/b c"), "s3://b.1/a/b c"),
            (
                "s3://bucket/users/ann@example.org",
                s3("bucket", "users/ann@example.org"),
                "s3://bucket/users/ann@example.org",
            ),
            ("s3://Old_Bucket//x", s3("Old_Bucket", "x"), "s3://Old_Bucket/x"),
            ("file:///srv/backups", local("/srv/backups"), "file:///srv/backups"),
            ("file:///srv/a%20b/", local("/srv/a b"), "file:///srv/a%20b"),
            ("file://localhost/srv", local("/srv"), "file:///srv"),
            ("file:/srv", local("/srv"), "file:///srv"),
            ("/srv//x/./y/", local("/srv/x/y"), "file:///srv/x/y"),
            ("/srv/100%#1?", local("/srv/100%#1?"), "file:///srv/100%25%231%3F"),
            ("/srv/übung", local("/srv/übung"), "file:///srv/%C3%BCbung"),
            ("/srv/s3:x", local("/srv/s3:x"), "file:///srv/s3:x"),
        ] {
            let parsed = StoreAddress::parse(text).expect(text);
            assert_eq!(parsed, address, "{text}");
            assert_eq!(parsed.to_string(), written, "{text}");
            assert_eq!(StoreAddress::parse(written).expect(written), address, "{written}");
        }
    }

    #[test]
    fn relative_paths_count_from_the_current_folder() {
        let here = std::env::current_dir().unwrap();
        for (text, folder) in [
            ("./x/y", here.join("x/y")),
            (".", here.clone()),
            ("../x", here.join("../x")),
        ] {
            assert_eq!(
                StoreAddress::parse(text).expect(text),
                StoreAddress::Local { folder },
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_a_hint_that_helps() {
        for (text, hint) in [
            ("", "s3://BUCKET/PREFIX"),
            ("s3:/bucket/x", "s3://bucket/x"),
            ("s3:bucket", "s3://bucket"),
            ("s3://", "s3://BUCKET/PREFIX"),
            ("s3:///x", "s3://BUCKET/PREFIX"),
            ("s3:https://host/bucket", "--endpoint-url"),
            ("s3://arn:aws:s3:eu-west-1:1:accesspoint/x", "alias"),
            ("https://host:9000/bucket/x", "--endpoint-url https://host:9000"),
            ("http://127.0.0.1:9000", "--endpoint-url http://127.0.0.1:9000"),
            ("gs://bucket", "s3://BUCKET/PREFIX"),
            ("bucket/prefix", "./bucket/prefix"),
            ("~/backups", "full path"),
            ("~", "full path"),
            ("file://srv/x", "file:///srv/x"),
            ("file:srv", "file:///srv"),
            ("file://", "file:///"),
            ("file:///a?b", "%3F"),
            ("file:///a#b", "%23"),
            ("/", "below it"),
        ] {
            let (told, hints) = refusal(text);
            assert!(hints.contains(hint), "`{text}`: {told}: {hints}");
        }
    }

    #[test]
    fn names_that_no_bucket_can_have_are_refused() {
        for (name, why) in [
            ("ab", "shorter"),
            ("-abc", "between"),
            ("abc.", "between"),
            ("a..b", "between"),
            ("192.168.1.1", "IP address"),
            ("my bucket", "contains ` `"),
            ("bücket", "contains `ü`"),
        ] {
            let (told, hints) = refusal(&format!("s3://{name}/x"));
            assert!(told.contains(why), "{name}: {told}");
            assert!(hints.contains("3 to 63"), "{name}: {hints}");
        }
        assert!(check_bucket(&"a".repeat(255)).is_ok());
        assert!(check_bucket(&"a".repeat(256)).is_err());
    }

    #[test]
    fn prefixes_that_keys_cannot_begin_with_are_refused() {
        for prefix in ["a//b", "a/../b", ".", "a/./b"] {
            let (told, _) = refusal(&format!("s3://bucket/{prefix}"));
            assert!(told.contains("prefix"), "{prefix}: {told}");
        }
        refusal("s3://bucket/a\nb");
        assert!(check_prefix(&"a".repeat(PREFIX_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn credentials_in_an_address_are_refused_and_not_repeated() {
        for text in [
            "s3://AKIA:se/cret@bucket/x",
            "s3:/AKIA:se/cret@bucket/x",
            "https://AKIA:se/cret@host/bucket",
            "https://AKIA:secret@host/bucket",
            "AKIA:se/cret@bucket",
            "gs://AKIA:se/cret@bucket",
        ] {
            let (told, hints) = refusal(text);
            for part in ["AKIA:se", "cret"] {
                assert!(!told.contains(part) && !hints.contains(part), "{text}: {told}: {hints}");
            }
        }
    }
}
