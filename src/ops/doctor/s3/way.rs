//! The way to a bucket: connection, credentials, region, clocks.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::facts::{Advice, Facts, No, Tried};
use super::look::is_answer;
use crate::base::units::format_duration;
use crate::bucket::{Caller, Reading, Why};
use crate::ops::doctor::check::{Check, Status};

/// Below this the clocks agree, in seconds: an answer's time has no fractions, and has been on its way.
const SKEW_OK_SECS: u64 = 60;

/// From this on `prune` refuses to judge ages, in seconds; from 15 minutes on S3 refuses signatures.
const SKEW_MAX_SECS: u64 = 5 * 60;

/// Credentials that end sooner than this may end during a backup.
const CREDENTIALS_TIME_MIN: Duration = Duration::from_secs(60 * 60);

/// What is known of the settings besides the bucket.
#[derive(Clone, Debug, Default)]
pub(in crate::ops::doctor) struct Around {
    pub(in crate::ops::doctor) endpoint: Option<Url>,
    /// Where the credentials of the settings were written; `None` leaves it to AWS's own chain.
    pub(in crate::ops::doctor) credentials_origin: Option<String>,
    pub(in crate::ops::doctor) now: Timestamp,
}

/// Judges the way to the bucket.
pub(in crate::ops::doctor) fn judge(facts: &Facts, around: &Around, advice: &mut Advice) -> Vec<Check> {
    let mut checks = Vec::new();
    let refused = match &facts.location {
        Tried::Refused(no) if !is_answer(&facts.location) => Some(no),
        _ => None,
    };
    let place = around
        .endpoint
        .as_ref()
        .map_or_else(|| "AWS".to_owned(), |url| url.as_str().trim_end_matches('/').to_owned());
    match refused {
        None => {
            checks.push(Check::ok("store.connection", format!("The bucket answers at {place}")));
            checks.push(tls(around.endpoint.as_ref()));
        }
        Some(no) => {
            let (id, answers) = match no.why {
                Why::Tls => ("store.tls", false),
                Why::Credentials => ("store.credentials", true),
                Why::Clock => ("store.clock", true),
                Why::Region => ("store.region", true),
                _ => ("store.connection", false),
            };
            if answers {
                checks.push(Check::ok("store.connection", format!("A server answers at {place}")));
                checks.push(tls(around.endpoint.as_ref()));
            } else if id != "store.connection" {
                checks.push(Check::skipped("store.connection", "there is no secure connection"));
            }
            checks.push(failed(id, no));
        }
    }
    let has = |checks: &[Check], id: &str| checks.iter().any(|check| check.id == id);
    if !has(&checks, "store.credentials") {
        checks.push(credentials(&facts.credentials, around));
    }
    if let Some(reached) = &facts.reached {
        checks.push(identity(&reached.caller));
    }
    if refused.is_none() {
        checks.push(region(facts, advice));
    }
    if !has(&checks, "store.clock")
        && let Some(ahead) = facts.heads.ahead_secs
    {
        checks.push(clock(ahead));
    }
    checks
}

/// Why the other checks of a bucket could not be made.
pub(in crate::ops::doctor) fn why_not(facts: &Facts) -> &'static str {
    match &facts.location {
        Tried::Refused(no) => match no.why {
            Why::Credentials => "the credentials are not accepted",
            Why::NoBucket => "there is no such bucket",
            Why::NoStore => "what answers is no S3 server",
            Why::Tls => "there is no secure connection",
            Why::Clock => "the clocks are too far apart",
            Why::Region => "the bucket is in another region",
            _ => "the store cannot be reached",
        },
        _ => "the answer to an earlier question is missing",
    }
}

fn failed(id: &'static str, no: &No) -> Check {
    Check::failed(
        id,
        no.text.clone(),
        no.hint
            .clone()
            .unwrap_or_else(|| "Run `backup-cli doctor --verbose` to see more".to_owned()),
    )
}

fn tls(endpoint: Option<&Url>) -> Check {
    const ID: &str = "store.tls";
    match endpoint {
        None => Check::ok(ID, "Encrypted, with a certificate that is valid"),
        Some(url) if url.scheme() == "https" => Check::ok(ID, "Encrypted, with a certificate that is valid"),
        Some(url) if is_loopback(url) => Check::ok(ID, "Plain HTTP, which does not leave this machine"),
        Some(url) => Check::warning(
            ID,
            "Plain HTTP: whoever is on the way reads what is not encrypted by age, and can change answers",
            format!(
                "Write https://{} as the endpoint, if the server has a certificate",
                url.host_str().unwrap_or_default()
            ),
        ),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn credentials(found: &Tried<crate::bucket::CredentialsFound>, around: &Around) -> Check {
    const ID: &str = "store.credentials";
    let found = match found {
        Tried::Is(found) => found,
        Tried::Refused(no) => return failed(ID, no),
        Tried::Untried(why) => return Check::skipped(ID, why.clone()),
    };
    let place = found
        .found_in
        .clone()
        .or_else(|| around.credentials_origin.clone())
        .unwrap_or_else(|| "the settings".to_owned());
    let message = format!("`{}`, from {place}", found.access_key_id);
    match found.expires {
        Some(end) => {
            let left = end.duration_since(around.now);
            let left = Duration::try_from(left).unwrap_or_default();
            // What renews itself has an end too, and it does not matter.
            let renews = found
                .found_in
                .as_deref()
                .is_some_and(|place| !place.contains("environment"));
            match left >= CREDENTIALS_TIME_MIN || renews {
                true => Check::ok(ID, format!("{message}; they end in {}", format_duration(left))),
                false => Check::warning(
                    ID,
                    format!("{message}; they end in {}", format_duration(left)),
                    "A backup that takes longer fails: take credentials that renew themselves, such as a role or a profile",
                ),
            }
        }
        None if found.is_temporary => Check::ok(ID, format!("{message}; temporary ones, whose end is not told")),
        None => Check::ok(ID, message),
    }
}

fn identity(caller: &Reading<Caller>) -> Check {
    const ID: &str = "store.identity";
    match caller {
        Reading::Is(caller) => {
            let message = match caller.account.as_str() {
                "" => format!("`{}`", caller.arn),
                account => format!("`{}` of account {account}", caller.arn),
            };
            match caller.arn.ends_with(":root") {
                true => Check::warning(
                    ID,
                    format!("{message}: the account's owner, who may do everything"),
                    "Give backups a user or a role of their own, with the rights they need and no more",
                ),
                false => Check::ok(ID, message),
            }
        }
        Reading::NotAllowed { permission } => Check::skipped(ID, format!("not allowed: {permission}")),
        Reading::NotSupported | Reading::NotConfigured => {
            Check::skipped(ID, "this server has no service that tells whose credentials they are")
        }
        Reading::Failed(failure) => Check::skipped(ID, failure.in_one_line()),
    }
}

fn region(facts: &Facts, advice: &mut Advice) -> Check {
    const ID: &str = "store.region";
    let told = match &facts.location {
        Tried::Is(region) if !region.is_empty() => Some(region.as_str()),
        _ => None,
    };
    let (first, last) = (&facts.region_first, &facts.region_last);
    if first != last {
        advice.insert("region", last.clone());
        return Check::warning(
            ID,
            format!("The bucket is in `{last}`, not in `{first}`; every run makes a detour"),
            format!("Set the region: `region = \"{last}\"` in the profile, or BACKUP_REGION={last}"),
        );
    }
    match told {
        Some(region) if region != last => Check::ok(
            ID,
            format!("`{last}` is accepted; the server calls the bucket's place `{region}`"),
        ),
        Some(region) => Check::ok(ID, format!("`{region}`")),
        None => Check::ok(ID, format!("`{last}` is accepted")),
    }
}

pub(in crate::ops::doctor) fn clock(ahead_secs: i64) -> Check {
    const ID: &str = "store.clock";
    let skew = ahead_secs.unsigned_abs();
    if skew <= SKEW_OK_SECS {
        return Check::ok(ID, "This machine's clock and the store's agree");
    }
    let side = if ahead_secs > 0 { "behind" } else { "ahead of" };
    let message = format!(
        "This machine's clock is {} {side} the store's",
        format_duration(Duration::from_secs(skew))
    );
    let hint = "Let NTP set the clock, for example with `timedatectl set-ntp true`";
    match skew >= SKEW_MAX_SECS {
        true => Check::failed(ID, format!("{message}: names and ages of backups are wrong"), hint),
        false => Check::warning(ID, message, hint),
    }
}

/// A setting that could not be read, as a check that was skipped; `None` if it could.
pub(in crate::ops::doctor) fn unread<T>(id: &'static str, reading: &Reading<T>) -> Option<Check> {
    match reading {
        Reading::Is(_) | Reading::NotConfigured => None,
        Reading::NotSupported => Some(Check::skipped(id, "this server does not have it")),
        Reading::NotAllowed { permission } => Some(Check::skipped(id, format!("not allowed: {permission}"))),
        Reading::Failed(failure) => Some(Check::of_failure(id, Status::Warning, failure)),
    }
}
