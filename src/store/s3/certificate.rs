//! Why no secure connection came about, in words: a certificate that is not believed, and why, or a server without TLS.
//!
//! The types of the TLS library's errors do not reach the SDK's callers, its words do.

use jiff::Timestamp;

/// Why a connection is not secure, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Insecure {
    /// The reason, for people.
    pub(super) cause: String,
    /// What to do now.
    pub(super) hints: Vec<String>,
}

impl Insecure {
    /// Reads what the TLS library says of a server; `host` is the name or the address by which it was asked for.
    pub(super) fn of(said: &str, host: Option<&str>) -> Self {
        if said.contains("invalid peer certificate") {
            return of_certificate(said, host.unwrap_or("HOST"));
        }
        let without_tls = ["InvalidContentType", "corrupt message", "InvalidMessage"];
        match without_tls.iter().any(|word| said.contains(word)) {
            true => Self::new(
                format!("What answers there does not speak TLS: {said}"),
                &[
                    "If the server speaks plain HTTP, write http:// in the endpoint; if it speaks HTTPS elsewhere, write that port",
                ],
            ),
            false => Self::new(said.to_owned(), &[PLAIN, TRUST]),
        }
    }

    fn new<H: AsRef<str>>(cause: impl Into<String>, hints: &[H]) -> Self {
        Self {
            cause: cause.into(),
            hints: hints.iter().map(|hint| hint.as_ref().to_owned()).collect(),
        }
    }
}

const PLAIN: &str = "If the server speaks plain HTTP, write http:// in the endpoint";
const TRUST: &str =
    "If the server has an authority of its own, name that one's certificate in SSL_CERT_FILE, a file in PEM";
const RENEW: &str = "Renew the server's certificate; whoever runs the server can";

fn of_certificate(said: &str, host: &str) -> Insecure {
    if said.contains("certificate expired") || said.contains("Expired") {
        let end = match time_after(said, "not valid after ") {
            Some(end) => format!("The server's certificate ended on {end}"),
            None => "The server's certificate has expired".to_owned(),
        };
        return Insecure::new(end, &[RENEW.to_owned(), clock(said)]);
    }
    if said.contains("not valid yet") || said.contains("NotValidYet") {
        let begin = match time_after(said, "not valid before ") {
            Some(begin) => format!("The server's certificate begins on {begin}"),
            None => "The server's certificate is not valid yet".to_owned(),
        };
        return Insecure::new(begin, &[RENEW.to_owned(), clock(said)]);
    }
    if said.contains("not valid for name") || said.contains("NotValidForName") {
        return of_name(said, host);
    }
    if said.contains("CaUsedAsEndEntity") {
        return Insecure::new(
            "The server's certificate is one of an authority (CA:TRUE), with which no server may vouch for itself",
            &[format!(
                "Give the server one of its own, and name that in SSL_CERT_FILE: `openssl req -x509 -newkey rsa:2048 -nodes -days 825 \
                 -keyout key.pem -out cert.pem -subj /CN={host} -addext subjectAltName={} -addext basicConstraints=critical,CA:FALSE`",
                alternative_name(host)
            )],
        );
    }
    if said.contains("UnknownIssuer") {
        return Insecure::new(
            "The server's certificate comes from nobody whom this machine trusts",
            &[
                "Name the authority's certificate, or the server's if it vouches for itself, in SSL_CERT_FILE, a file in PEM",
                "If it is named there: the server sends another certificate than you think, or leaves out those between its own and the authority's",
            ],
        );
    }
    Insecure::new(said, &[RENEW, TRUST])
}

/// A certificate of somebody else, or of the same server under other names.
fn of_name(said: &str, host: &str) -> Insecure {
    let asked = said
        .split_once("not valid for name \"")
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or(host);
    let names: Vec<String> = match said.split_once("only valid for ") {
        None => Vec::new(),
        // `DnsName("a.example")` and `IpAddress(127.0.0.1)`, between commas and an `or`.
        Some((_, rest)) => rest
            .split(['(', ')'])
            .skip(1)
            .step_by(2)
            .map(|name| format!("`{}`", name.trim_matches('"')))
            .collect(),
    };
    let cause = match names.as_slice() {
        [] => format!("The server's certificate has no name (subjectAltName), so that it cannot be for `{asked}`"),
        names => format!(
            "The server's certificate is for {}, not for `{asked}`",
            names.join(", ")
        ),
    };
    Insecure::new(
        cause,
        &[
            "Write the endpoint with a name that the certificate has".to_owned(),
            format!(
                "Or have the certificate made for this one too: `subjectAltName={}`",
                alternative_name(asked)
            ),
        ],
    )
}

fn alternative_name(host: &str) -> String {
    let bare = host.trim_matches(['[', ']']);
    match bare.parse::<std::net::IpAddr>() {
        Ok(address) => format!("IP:{address}"),
        Err(_) => format!("DNS:{host}"),
    }
}

/// What this machine's clock said when the certificate was looked at.
fn clock(said: &str) -> String {
    let clock = match time_after(said, "verification time ") {
        Some(now) => format!("clock, which says {now}, is"),
        None => "clock is".to_owned(),
    };
    format!("Or this machine's {clock} wrong: let NTP set it, for example with `timedatectl set-ntp true`")
}

/// The time, in UNIX seconds, that stands behind some words.
fn time_after(said: &str, words: &str) -> Option<String> {
    let (_, rest) = said.split_once(words)?;
    let digits: &str = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    let time = Timestamp::from_second(digits.parse().ok()?).ok()?;
    Some(time.strftime("%Y-%m-%d at %H:%M:%S UTC").to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EXPIRED: &str = "TLS handshake failed: invalid peer certificate: certificate expired: verification time 1795927322 \
                           (UNIX), but certificate is not valid after 1612058400 (183868922 seconds ago)";

    #[test]
    fn each_fault_of_a_certificate_has_words_of_its_own() {
        for (said, cause, hint) in [
            (
                EXPIRED,
                "ended on 2021-01-31 at 02:00:00 UTC",
                "clock, which says 2026-11-29 at ",
            ),
            (
                "invalid peer certificate: certificate not valid yet: verification time 1795927322 (UNIX), but certificate is \
                 not valid before 4420576800 (2624649478 seconds in future)",
                "begins on 2110-01-31",
                "NTP",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"127.0.0.1\"; certificate is only valid for \
                 DnsName(\"s3.example.com\"), IpAddress(10.0.0.1) or DnsName(\"*.s3.example.com\")",
                "is for `s3.example.com`, `10.0.0.1`, `*.s3.example.com`, not for `127.0.0.1`",
                "`subjectAltName=IP:127.0.0.1`",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"nas\"; certificate is not valid for any names \
                 (according to its subjectAltName extension)",
                "has no name (subjectAltName), so that it cannot be for `nas`",
                "`subjectAltName=DNS:nas`",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                "nobody whom this machine trusts",
                "SSL_CERT_FILE",
            ),
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "one of an authority (CA:TRUE)",
                "-subj /CN=nas -addext subjectAltName=DNS:nas -addext basicConstraints=critical,CA:FALSE",
            ),
            (
                "received corrupt message of type InvalidContentType",
                "does not speak TLS",
                "http://",
            ),
            ("received fatal alert: HandshakeFailure", "HandshakeFailure", "http://"),
        ] {
            let insecure = Insecure::of(said, Some("nas"));
            let hints = insecure.hints.join("\n");
            assert!(insecure.cause.contains(cause), "{insecure:#?}");
            assert!(hints.contains(hint), "{insecure:#?}");
            let is_certificate = said.contains("certificate");
            assert!(!(is_certificate && hints.contains("http://")), "{insecure:#?}");
            assert!(!insecure.cause.contains("UNIX"), "{insecure:#?}");
        }
    }

    #[test]
    fn a_fault_without_its_context_is_told_all_the_same() {
        let insecure = Insecure::of("invalid peer certificate: Expired", None);
        assert_eq!(insecure.cause, "The server's certificate has expired");
        assert!(
            insecure.hints[1].starts_with("Or this machine's clock is wrong"),
            "{insecure:#?}"
        );
        let insecure = Insecure::of("invalid peer certificate: Revoked", None);
        assert!(insecure.cause.contains("Revoked"), "{insecure:#?}");
    }
}
