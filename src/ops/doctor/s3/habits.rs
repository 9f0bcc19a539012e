//! What the server does with writes, beside what the provider table says of it.

use md5::{Digest as _, Md5};

use super::facts::{Advice, Condition, Reached, Trailer, TrialFacts, Tried};
use super::trial::MULTIPART_BODY;
use crate::base::units::format_bytes;
use crate::bucket::Why;
use crate::ops::doctor::check::Check;
use crate::store::s3::{ConditionalWrites, PROVIDERS, Provider};

/// What the settings expect of the server.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops::doctor) struct Expected<'a> {
    /// The line of the table that holds.
    pub(in crate::ops::doctor) provider: &'static Provider,
    /// Whether requests carry checksums besides their MD5.
    pub(in crate::ops::doctor) sends_checksums: bool,
    /// The encryption that is asked for with each object.
    pub(in crate::ops::doctor) encryption: Option<&'a str>,
    /// The server's own name, as its answers have it.
    pub(in crate::ops::doctor) server: Option<&'a str>,
}

/// What was measured, as far as the table knows of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Measured {
    obeys_conditions: Option<bool>,
    takes_unequal_parts: Option<bool>,
    etag_is_md5: Option<bool>,
}

/// Judges the habits.
pub(in crate::ops::doctor) fn judge(reached: &Reached, expected: Expected<'_>, advice: &mut Advice) -> Vec<Check> {
    let trial = &reached.trial;
    let measured = measure(trial);
    let better = fitting(measured, expected);
    let setting = better.map_or_else(
        || "Set the provider to one whose habits are these".to_owned(),
        |better| {
            format!(
                "Set `provider = \"{0}\"` in the profile, or --provider {0}",
                better.name
            )
        },
    );
    if let Some(better) = better {
        advice.insert("provider", better.name.to_owned());
    }
    if let Tried::Refused(no) = &trial.crc64
        && expected.sends_checksums
        && no.why != Why::NotAllowed
    {
        advice.insert("checksum", "when_required".to_owned());
    }
    vec![
        create_only(
            "store.create-only",
            "Writes",
            &trial.create_only,
            expected.provider,
            &setting,
        ),
        create_only(
            "store.create-only-multipart",
            "Uploads in parts",
            &trial.create_only_parts,
            expected.provider,
            &setting,
        ),
        least_part(trial, expected.provider),
        parts_equal(trial, expected.provider, &setting),
        part_count(expected.provider),
        etag(trial, measured, expected, &setting),
        integrity(trial),
        checksum(trial, expected),
        trailer(trial),
        provider(measured, expected, better),
    ]
}

fn measure(trial: &TrialFacts) -> Measured {
    let obeys = |tried: &Tried<Condition>| tried.is().map(|condition| *condition == Condition::Obeyed);
    let obeys_conditions = match (obeys(&trial.create_only), obeys(&trial.create_only_parts)) {
        (Some(true), Some(parts)) => Some(parts),
        (one, other) => one.or(other),
    };
    Measured {
        obeys_conditions,
        takes_unequal_parts: trial.unequal_parts.is().copied(),
        etag_is_md5: tags(trial).map(|(single, parts)| single && parts.unwrap_or(true)),
    }
}

/// Whether the entity tag of the object, and of one that came in parts, is the MD5 that it would be on AWS.
fn tags(trial: &TrialFacts) -> Option<(bool, Option<bool>)> {
    let seen = trial.seen.is()?;
    // Under a key of KMS the tag is no MD5 anywhere.
    if seen.encryption.as_deref().is_some_and(|sse| sse.starts_with("aws:kms")) {
        return None;
    }
    let etag = seen.etag.as_deref()?;
    let single = super::trial::BODIES
        .iter()
        .any(|body| etag.eq_ignore_ascii_case(&hex::encode(Md5::digest(body))));
    let composite = format!("{}-1", hex::encode(Md5::digest(Md5::digest(MULTIPART_BODY))));
    let parts = trial
        .multipart
        .is()
        .and_then(|written| written.etag.as_deref())
        .map(|etag| etag.eq_ignore_ascii_case(&composite));
    Some((single, parts))
}

/// Whether a line of the table promises nothing that was measured otherwise.
fn keeps_to(line: &Provider, measured: Measured) -> bool {
    let conditions = line.conditional_writes != ConditionalWrites::Obeyed || measured.obeys_conditions != Some(false);
    let parts = line.limits.parts_equal || measured.takes_unequal_parts != Some(false);
    let tags = !line.etag_is_md5 || measured.etag_is_md5 != Some(false);
    conditions && parts && tags
}

/// The line of the table that fits better than the one in use, if there is one: that of the server's own name, else the
/// careful one where the one in use promises too much.
fn fitting(measured: Measured, expected: Expected<'_>) -> Option<&'static Provider> {
    let named = expected
        .server
        .and_then(by_server)
        .filter(|line| keeps_to(line, measured));
    let other = &PROVIDERS[PROVIDERS.len() - 1];
    let better = match (named, keeps_to(expected.provider, measured)) {
        (Some(named), false) => named,
        (Some(named), true) if expected.provider.name == other.name => named,
        (None, false) => other,
        _ => return None,
    };
    Some(better).filter(|better| better.name != expected.provider.name)
}

/// The line whose name an answer's `Server` header holds.
fn by_server(server: &str) -> Option<&'static Provider> {
    let server = server.to_ascii_lowercase();
    let is_in = |name: &&str| name.len() >= LEAST_NAME && server.contains(name.to_ascii_lowercase().as_str());
    PROVIDERS
        .iter()
        .filter(|line| line.name != "other")
        .find(|line| is_in(&line.name) || line.aliases.iter().any(is_in))
}

/// Shorter names would be found in too many others.
const LEAST_NAME: usize = 4;

fn create_only(id: &'static str, what: &str, tried: &Tried<Condition>, provider: &Provider, setting: &str) -> Check {
    let condition = match tried {
        Tried::Is(condition) => condition,
        Tried::Refused(no) => return Check::skipped(id, no.text.clone()),
        Tried::Untried(why) => return Check::skipped(id, why.clone()),
    };
    let found = match condition {
        Condition::Obeyed => return Check::ok(id, format!("{what} never replace an object (If-None-Match is obeyed)")),
        Condition::Ignored => "The server ignores If-None-Match",
        Condition::Unknown => "The server refuses If-None-Match",
    };
    match provider.conditional_writes {
        ConditionalWrites::Obeyed => Check::warning(
            id,
            format!(
                "{found}, on which the settings for {} rely: a backup could replace another one",
                provider.title
            ),
            setting,
        ),
        ConditionalWrites::Unproven => Check::warning(
            id,
            format!(
                "{found}: keys are looked at before and after each write instead, and two runs of the same second could still meet"
            ),
            "Let one machine alone write a series; a lock keeps runs of the same machine apart",
        ),
        ConditionalWrites::Ignored => Check::ok(
            id,
            format!(
                "{found}, as is known of {}: keys are looked at before and after each write",
                provider.title
            ),
        ),
    }
}

fn least_part(trial: &TrialFacts, provider: &Provider) -> Check {
    const ID: &str = "store.part-minimum";
    let planned = format_bytes(provider.limits.part_bytes_min);
    // The parts of 5 MiB by which it was tried whether they must be equal.
    if let Tried::Refused(no) = &trial.unequal_parts
        && no.code.as_deref() == Some("EntityTooSmall")
    {
        return Check::failed(
            ID,
            format!("Parts of 5 MiB are too small for this server, and {planned} is the least that is planned with"),
            "Set a larger part size: `part-size = \"64MiB\"` in the profile",
        );
    }
    match &trial.least_part {
        Tried::Is(true) => Check::ok(
            ID,
            format!("Parts of a few bytes are refused; {planned} is planned with at least"),
        ),
        Tried::Is(false) => Check::ok(
            ID,
            format!("Parts of any size are accepted; {planned} is planned with at least"),
        ),
        Tried::Refused(no) => Check::warning(
            ID,
            no.text.clone(),
            "Run `backup-cli backup` of something larger than 64 MiB and look whether it ends well",
        ),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn parts_equal(trial: &TrialFacts, provider: &Provider, setting: &str) -> Check {
    const ID: &str = "store.parts-equal";
    match (&trial.unequal_parts, provider.limits.parts_equal) {
        (Tried::Is(true), false) => Check::ok(ID, "Parts may have different sizes"),
        (Tried::Is(true), true) => Check::ok(
            ID,
            "Parts may have different sizes; equal ones are planned with all the same",
        ),
        (Tried::Is(false), true) => Check::ok(ID, "Parts must be equal, as is planned with"),
        (Tried::Is(false), false) => Check::warning(
            ID,
            format!(
                "Parts must be equal, and the settings for {} rely on the opposite: a backup that outgrows its expected size would fail",
                provider.title
            ),
            setting,
        ),
        (Tried::Refused(no), _) if no.code.as_deref() == Some("EntityTooSmall") => {
            Check::skipped(ID, "parts of 5 MiB are too small for this server")
        }
        (Tried::Refused(no), _) => Check::warning(
            ID,
            no.text.clone(),
            "Run `backup-cli backup` of something larger than 64 MiB and look whether it ends well",
        ),
        (Tried::Untried(why), _) => Check::skipped(ID, why.clone()),
    }
}

/// Trying it would take thousands of requests.
fn part_count(provider: &Provider) -> Check {
    Check::ok(
        "store.part-count",
        format!(
            "{} parts at most are planned with, as is known of {}; not tried",
            provider.limits.parts_max, provider.title
        ),
    )
}

fn etag(trial: &TrialFacts, measured: Measured, expected: Expected<'_>, setting: &str) -> Check {
    const ID: &str = "store.etag";
    let asked = expected.encryption;
    let seen = match &trial.seen {
        Tried::Is(seen) => seen,
        Tried::Refused(no) if no.why == Why::NotAllowed => {
            return Check::skipped(ID, format!("not allowed: {}", no.permission));
        }
        Tried::Refused(no) => return Check::skipped(ID, no.text.clone()),
        Tried::Untried(why) => return Check::skipped(ID, why.clone()),
    };
    if let (Some(asked), Some(got)) = (asked, seen.encryption.as_deref())
        && asked != got
    {
        return Check::warning(
            ID,
            format!("`{asked}` was asked for, and the server says that it encrypted with `{got}`"),
            "Leave `sse` out, or ask the provider which encryption it has",
        );
    }
    match (measured.etag_is_md5, expected.provider.etag_is_md5) {
        (None, _) => Check::ok(
            ID,
            "Entity tags are no checksums, because the server encrypts with a key of KMS",
        ),
        (Some(true), true) => Check::ok(ID, "Entity tags are MD5 sums, and are compared"),
        (Some(true), false) => Check::ok(ID, "Entity tags are MD5 sums; they are not relied upon"),
        (Some(false), false) => Check::ok(ID, "Entity tags are no MD5 sums, and are not relied upon"),
        (Some(false), true) => Check::failed(
            ID,
            format!(
                "Entity tags are no MD5 sums, and the settings for {} rely on that: every backup would be taken for damaged",
                expected.provider.title
            ),
            setting,
        ),
    }
}

fn integrity(trial: &TrialFacts) -> Check {
    const ID: &str = "store.integrity";
    match &trial.wrong_md5 {
        Tried::Is(true) => Check::ok(ID, "A body that does not belong to its MD5 is refused"),
        Tried::Is(false) => Check::warning(
            ID,
            "The server accepts a body that does not belong to its MD5: it would not notice bytes that change on the way",
            "Verify backups after they are made: `backup-cli verify latest --level data`",
        ),
        Tried::Refused(no) => unsure(ID, no),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn unsure(id: &'static str, no: &super::facts::No) -> Check {
    match no.why {
        Why::NotAllowed => Check::skipped(id, "objects may not be replaced here"),
        _ => Check::skipped(id, no.text.clone()),
    }
}

fn checksum(trial: &TrialFacts, expected: Expected<'_>) -> Check {
    const ID: &str = "store.checksum";
    match (&trial.crc64, &trial.crc32) {
        (Tried::Is(()), Tried::Is(())) => Check::ok(ID, "CRC64-NVME and CRC-32 are accepted"),
        (Tried::Is(()), _) => Check::ok(ID, "CRC64-NVME is accepted, CRC-32 is not"),
        (Tried::Refused(no), _) if no.why == Why::NotAllowed => Check::skipped(ID, "objects may not be replaced here"),
        (Tried::Refused(no), _) if expected.sends_checksums => Check::failed(
            ID,
            format!(
                "CRC64-NVME, which the settings send with every part, is refused: {}",
                no.text
            ),
            "Set `checksum = \"when_required\"` in the profile, or BACKUP_CHECKSUM=when_required",
        ),
        (Tried::Refused(_), Tried::Is(())) => Check::ok(ID, "CRC64-NVME is refused, and not sent; CRC-32 is accepted"),
        (Tried::Refused(_), _) => Check::ok(ID, "Checksums besides the MD5 are refused, and not sent"),
        (Tried::Untried(why), _) => Check::skipped(ID, why.clone()),
    }
}

fn trailer(trial: &TrialFacts) -> Check {
    const ID: &str = "store.checksum-trailer";
    let clients =
        "backup-cli sends none; newer AWS clients do, unless AWS_REQUEST_CHECKSUM_CALCULATION=when_required is set";
    match &trial.trailer {
        Tried::Is(Trailer {
            is_intact: Some(false), ..
        }) => Check::warning(
            ID,
            "A checksum behind the body becomes a part of the content: what newer AWS clients upload here is damaged",
            "Set AWS_REQUEST_CHECKSUM_CALCULATION=when_required for the AWS CLI and other programs; backup-cli sends none",
        ),
        Tried::Is(Trailer {
            content_encoding: Some(encoding),
            ..
        }) if encoding.contains("aws-chunked") => Check::ok(
            ID,
            format!("Accepted behind the body, and `aws-chunked` stays in the object's encoding; {clients}"),
        ),
        Tried::Is(_) => Check::ok(ID, "Accepted behind the body"),
        Tried::Refused(no) if no.why == Why::NotAllowed => Check::skipped(ID, "objects may not be replaced here"),
        Tried::Refused(_) => Check::ok(ID, format!("Refused behind the body; {clients}")),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn provider(measured: Measured, expected: Expected<'_>, better: Option<&'static Provider>) -> Check {
    const ID: &str = "store.provider";
    let own = expected.provider;
    match better {
        Some(better) if keeps_to(own, measured) => Check::ok(
            ID,
            format!(
                "The server calls itself {}; `provider = \"{}\"` would use all that it can do",
                better.title, better.name
            ),
        ),
        Some(better) => Check::warning(
            ID,
            format!("The server does not do what is known of {}", own.title),
            format!(
                "Set `provider = \"{0}\"` in the profile, or --provider {0}",
                better.name
            ),
        ),
        None if measured == Measured::default() => {
            Check::skipped(ID, format!("nothing could be measured; {} is assumed", own.title))
        }
        None => Check::ok(
            ID,
            format!("What was measured agrees with what is known of {}", own.title),
        ),
    }
}
