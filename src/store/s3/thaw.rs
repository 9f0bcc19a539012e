//! RestoreObject, and what HEAD says of it.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_sdk_s3::types::{ArchiveStatus, GlacierJobParameters, RestoreRequest, StorageClass, Tier};

use crate::base::failure::{Failure, Kind, Result};
use crate::store::Key;
use crate::store::archive::{Archive, ThawRequest, ThawState, ThawTier};

use super::errors::Class;
use super::session::{Request, Session};
use super::stat::timestamp;

impl Session {
    /// Asks for an archived object. One that was asked for already, or that is in no archive, needs no more.
    pub(super) async fn thaw(&self, key: &Key, wanted: &ThawRequest) -> Result<()> {
        let request = Request {
            // It takes the 503 of an archive that is not fast enough for one that will pass.
            sdk_retries: false,
            ..Request::new(
                format!("thaw {}", self.object(key.as_str())),
                "s3:RestoreObject",
                Some(key.as_str()),
            )
        };
        let tier = match wanted.tier {
            ThawTier::Expedited => Tier::Expedited,
            ThawTier::Standard => Tier::Standard,
            ThawTier::Bulk => Tier::Bulk,
        };
        let parameters = GlacierJobParameters::builder()
            .tier(tier)
            .build()
            .map_err(|error| Failure::new(Kind::Failed, format!("Could not {}", request.doing)).caused_by(error))?;
        let body = RestoreRequest::builder()
            .set_days(wanted.days.and_then(|days| i32::try_from(days).ok()))
            .glacier_job_parameters(parameters)
            .build();
        let outcome = self
            .call(&request, |client: Client, overrides| {
                client
                    .restore_object()
                    .bucket(&self.options.bucket)
                    .key(key.as_str())
                    .restore_request(body.clone())
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match outcome {
            Ok(_) => Ok(()),
            Err(problem) if matches!(problem.class, Class::Thawing | Class::Archived) => Ok(()),
            Err(problem) => Err(self.explain(&request, &problem)),
        }
    }
}

/// How the object lies in an archive, if it does.
pub(super) fn archive_of(answer: &HeadObjectOutput) -> Option<Archive> {
    let (is_deep, returns) = match (answer.archive_status(), answer.storage_class()) {
        (Some(ArchiveStatus::ArchiveAccess), _) => (false, true),
        (Some(ArchiveStatus::DeepArchiveAccess), _) => (true, true),
        (_, Some(StorageClass::Glacier)) => (false, false),
        (_, Some(StorageClass::DeepArchive)) => (true, false),
        _ => return None,
    };
    Some(Archive {
        is_deep,
        returns,
        state: answer.restore().map_or(ThawState::Frozen, state_of),
    })
}

/// Reads `ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT"`.
fn state_of(header: &str) -> ThawState {
    if header.contains("ongoing-request=\"true\"") {
        return ThawState::Thawing;
    }
    let until = header
        .split_once("expiry-date=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .and_then(|(date, _)| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
    ThawState::Thawed {
        until: until.as_ref().and_then(timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_thaw_is_read() {
        assert_eq!(state_of("ongoing-request=\"true\""), ThawState::Thawing);
        assert_eq!(
            state_of("ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\""),
            ThawState::Thawed {
                until: Some("2012-12-21T00:00:00Z".parse().unwrap())
            }
        );
        assert_eq!(state_of("ongoing-request=\"false\""), ThawState::Thawed { until: None });
    }

    #[test]
    fn only_what_cannot_be_read_at_once_is_an_archive() {
        let head = || HeadObjectOutput::builder();
        for (answer, expected) in [
            (head().build(), None),
            (head().storage_class(StorageClass::GlacierIr).build(), None),
            (head().storage_class(StorageClass::IntelligentTiering).build(), None),
            (
                head().storage_class(StorageClass::Glacier).build(),
                Some((false, false)),
            ),
            (
                head().storage_class(StorageClass::DeepArchive).build(),
                Some((true, false)),
            ),
            (
                head()
                    .storage_class(StorageClass::IntelligentTiering)
                    .archive_status(ArchiveStatus::DeepArchiveAccess)
                    .build(),
                Some((true, true)),
            ),
        ] {
            let found = archive_of(&answer).map(|archive| (archive.is_deep, archive.returns));
            assert_eq!(found, expected);
        }
    }
}
