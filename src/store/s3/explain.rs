//! Problems in words: what failed, on which thing, why, and what to do now.

use crate::base::failure::{Failure, Kind};

use super::certificate::Insecure;
use super::errors::{Class, Problem};
use super::partition::Partition;
use super::session::{Request, Session};

/// From this skew on a signature is refused, in seconds.
const SKEW_REFUSED_SECS: i64 = 15 * 60;

impl Session {
    /// The failure that a caller of the store sees.
    pub(super) fn explain(&self, request: &Request, problem: &Problem) -> Failure {
        let bucket = &self.options.bucket;
        let could_not = format!("Could not {}", request.doing);
        let cause = anyhow::anyhow!("{}", problem.summary());
        let with = |kind: Kind, message: String| Failure::new(kind, message).caused_by(cause);
        let endpoint = self.endpoint_for_people();
        match problem.class {
            Class::Interrupted if self.is_cancelled() => {
                Failure::new(Kind::Interrupted, "Interrupted: the run was asked to stop")
            }
            Class::Interrupted => Failure::new(Kind::Failed, format!("{could_not}: the upload was aborted meanwhile")),
            Class::NoBucket => with(Kind::NotFound, format!("No such bucket: `{bucket}`"))
                .hint(format!("Check the bucket's name; it was looked for at {endpoint}"))
                .hint("Create it with `backup-cli bucket create`, or in the provider's console"),
            Class::NoKey => match &request.key {
                Some(key) => with(Kind::NotFound, format!("No such object: `s3://{bucket}/{key}`"))
                    .hint("It was removed, by another run or by a lifecycle rule, or it is not in this bucket: `backup-cli list` shows what is there"),
                None => with(Kind::NotFound, could_not)
                    .hint(format!("Check that {endpoint} is the address of an S3 server, and the bucket's name")),
            },
            Class::Denied => self.denied(with(Kind::Denied, could_not), request, &problem.message),
            Class::NoCredentials => match &self.options.profile {
                Some(profile) => with(Kind::Denied, format!("No credentials for `s3://{bucket}`"))
                    .hint(format!("Is there a profile `{profile}` in ~/.aws/config or ~/.aws/credentials?")),
                None => with(Kind::Denied, format!("No credentials for `s3://{bucket}`")),
            }
                .hint("Set BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY (or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
                .hint("Or name a profile of ~/.aws/config with AWS_PROFILE; roles of containers and instances are found by themselves"),
            Class::BadCredentials => self.bad_credentials(could_not, problem),
            Class::Expired => {
                let failure = with(Kind::Denied, format!("{could_not}: the credentials have expired"));
                match self.options.credentials {
                    Some(_) => failure.hint("The credentials are fixed ones with an end: take new ones, or let a role or a profile supply them"),
                    None => failure.hint("They were looked up again and had still expired: log in again, or take credentials that last longer than the run"),
                }
            }
            Class::Skew => self.skewed(could_not, problem),
            Class::Region => {
                let failure = with(Kind::Config, format!("The bucket `{bucket}` is in another region than `{}`", self.region()));
                match (&problem.region, &problem.endpoint) {
                    (Some(region), _) if *region != self.region() => failure.hint(format!("Set the region to `{region}`")),
                    (_, Some(other)) => failure.hint(format!("The store names the endpoint `{other}`; the one in use is {endpoint}")),
                    _ => failure.hint("Set the bucket's region and, off AWS, the endpoint that belongs to it"),
                }
            }
            Class::Precondition | Class::Conflict => with(Kind::Conflict, could_not)
                .hint("Something else works on the same object; run it again when that has ended"),
            Class::Archived | Class::Thawing => with(Kind::Archived, format!("{could_not}: it lies in an archive"))
                .hint("`backup-cli restore BACKUP --thaw` asks for it; run this again when it is there"),
            Class::NotExpedited => with(Kind::Unsupported, format!("{could_not}: the archive cannot be that fast now"))
                .hint("Ask again with --tier standard, or later"),
            Class::Range => with(Kind::Damaged, format!("{could_not}: the object is shorter than it should be"))
                .hint("It was changed in the store; restore another backup"),
            Class::NotImplemented => with(Kind::Unsupported, could_not)
                .hint(format!("This server ({}) does not know the request or one of its headers: leave the option out that it is for, or ask whoever runs the server", self.provider.title)),
            Class::Dns => match self.host_with_bucket() {
                Some(host) => with(Kind::Unreachable, format!("Could not find the host `{host}`"))
                    .hint(format!("Check the spelling of the endpoint {endpoint}, and that this machine can resolve names"))
                    .hint("The bucket is named in the host here; --path-style names it in the path instead"),
                None => with(Kind::Unreachable, format!("Could not find the host of {endpoint}"))
                    .hint("Check the endpoint's spelling, and that this machine can resolve names"),
            },
            Class::Refused => with(Kind::Unreachable, format!("Nothing answers at {endpoint}"))
                .hint("Check the endpoint's host and port, and that the server is running"),
            Class::Tls => self.insecure(problem),
            Class::Connect | Class::Lost => with(Kind::Unreachable, could_not)
                .hint(format!("Check the way to {endpoint}")),
            Class::Busy => with(Kind::Unreachable, could_not)
                .hint(format!("{endpoint} kept failing; try again later")),
            Class::Corrupted => with(Kind::Failed, format!("{could_not}: what arrived is not what was sent"))
                .hint("Something between here and the store changes bytes: a proxy, or bad memory in this machine"),
            Class::NotS3 => with(Kind::Unreachable, format!("What answers at {endpoint} is no S3 server"))
                .hint("The endpoint is the address of the S3 API; a console or a web site has another host or port"),
            Class::NoUpload => with(Kind::Failed, could_not)
                .hint("Something else ended the upload: a lifecycle rule, or a cleanup of unfinished uploads"),
            Class::InvalidArgument | Class::Fatal => with(Kind::Failed, could_not).hint(format!(
                "{endpoint} refuses the request, and will again: look its code up in the documentation of {}, or name another --provider",
                self.provider.title
            )),
        }
    }

    fn insecure(&self, problem: &Problem) -> Failure {
        let endpoint = self.endpoint();
        let host = endpoint.as_ref().and_then(|url| url.host_str());
        let insecure = Insecure::of(&problem.message, host);
        let message = format!("No secure connection to {}", self.endpoint_for_people());
        let failure = Failure::new(Kind::Unreachable, message).caused_by(anyhow::anyhow!("{}", insecure.cause));
        insecure.hints.into_iter().fold(failure, Failure::hint)
    }

    /// What is missing: what the answer names, since one request may take several permissions; else what the request takes.
    fn denied(&self, failure: Failure, request: &Request, message: &str) -> Failure {
        let (permission, resource) = match named_in(message) {
            Some((permission, resource)) => (permission, resource.to_owned()),
            None => {
                let key = request.key.as_ref().map(|key| format!("/{key}"));
                let partition = Partition::of_region(&self.region()).name;
                let (bucket, key) = (&self.options.bucket, key.unwrap_or_default());
                (request.permission, format!("arn:{partition}:s3:::{bucket}{key}"))
            }
        };
        let failure = failure.hint(format!(
            "The credentials need the permission {permission} on `{resource}`"
        ));
        let failure = match permission == "s3:PutObject" && !self.options.tags.is_empty() {
            true => failure.hint(format!(
                "It writes tags as well, which takes the permission s3:PutObjectTagging on `{resource}`"
            )),
            false => failure,
        };
        match message.contains("explicit deny") {
            true => failure.hint("A policy refuses it outright, so that granting it is not enough: look for the one with `\"Effect\": \"Deny\"`"),
            false => failure,
        }
    }

    fn bad_credentials(&self, could_not: String, problem: &Problem) -> Failure {
        let failure = Failure::new(Kind::Denied, could_not).caused_by(anyhow::anyhow!("{}", problem.summary()));
        let failure = match problem.code.as_deref() {
            Some("SignatureDoesNotMatch") => failure.hint("The secret access key does not belong to the access key id"),
            _ => failure.hint(format!(
                "{} does not know the access key id",
                self.endpoint_for_people()
            )),
        };
        failure.hint(
            "Check BACKUP_AWS_ACCESS_KEY_ID and BACKUP_AWS_SECRET_ACCESS_KEY, which win over AWS_* and over the profile",
        )
    }

    fn skewed(&self, could_not: String, problem: &Problem) -> Failure {
        let failure = Failure::new(Kind::Denied, format!("{could_not}: this machine's clock is wrong"))
            .caused_by(anyhow::anyhow!("{}", problem.summary()));
        match problem.server_ahead_secs {
            Some(ahead) if ahead != 0 => {
                let duration =
                    crate::base::units::format_duration(std::time::Duration::from_secs(ahead.unsigned_abs()));
                let side = if ahead > 0 { "behind" } else { "ahead of" };
                let failure = failure.hint(format!("The clock is {duration} {side} the store's"));
                if ahead.abs() < SKEW_REFUSED_SECS {
                    failure
                } else {
                    failure.hint("Let NTP set the clock, for example with `timedatectl set-ntp true`")
                }
            }
            _ => failure.hint("Let NTP set the clock, for example with `timedatectl set-ntp true`"),
        }
    }
}

/// The permission and the resource that AWS names in a refusal.
fn named_in(message: &str) -> Option<(&str, &str)> {
    let (_, rest) = message.split_once("is not authorized to perform: ")?;
    let (permission, rest) = rest.split_once(" on resource: ")?;
    let resource = rest.split_whitespace().next()?.trim_matches('"');
    let is_one = permission.contains(':') && !permission.contains(char::is_whitespace);
    (is_one && !resource.is_empty()).then_some((permission, resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_names_what_is_missing_is_believed() {
        let message = "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kms:GenerateDataKey on resource: \
                       \"arn:aws:kms:eu-west-1:1:key/2\" because no identity-based policy allows the kms:GenerateDataKey action";
        assert_eq!(
            named_in(message),
            Some(("kms:GenerateDataKey", "arn:aws:kms:eu-west-1:1:key/2"))
        );
        for other in [
            "Access Denied",
            "is not authorized to perform: x on resource: y",
            "is not authorized to perform: s3:Get",
        ] {
            assert_eq!(named_in(other), None, "{other}");
        }
    }
}
