//! Where a bucket is.

use crate::base::failure::Result;
use crate::store::s3::About;

use super::{Bucket, Refusal, Why};

impl Bucket {
    /// The region in which the bucket says it is; an empty text if the server has none.
    ///
    /// It is also the question to begin with: whatever is wrong with the way to the bucket, its answer tells, with a reason.
    ///
    /// # Errors
    /// Why the question was refused.
    pub fn location(&self) -> Result<String, Refusal> {
        let about = About::bucket(
            format!("ask where the bucket `{}` is", self.name()),
            "s3:GetBucketLocation",
        )
        .taking_any_answer_twice();
        let outcome = self.requests.ask(about, |client, overrides| {
            client
                .get_bucket_location()
                .bucket(self.name())
                .customize()
                .config_override(overrides)
                .send()
        });
        let answer = match outcome {
            // Some servers answer in a form of their own, and have only one region.
            Err(refusal) if refusal.is_senseless && refusal.why != Why::NoStore => return Ok(String::new()),
            outcome => outcome?,
        };
        Ok(match answer.location_constraint().map(|place| place.as_str()) {
            // The two oldest regions have names of their own here.
            None | Some("") if self.endpoint().is_none() => "us-east-1".to_owned(),
            None => String::new(),
            Some("EU") => "eu-west-1".to_owned(),
            Some(region) => region.to_owned(),
        })
    }
}
