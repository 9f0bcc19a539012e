//! Questions about rights that make nothing and remove nothing: requests for what is not there.

use aws_sdk_s3::primitives::ByteStream;

use super::{Refusal, Trial, Why};

/// The id of an upload that no server has begun.
const NO_UPLOAD: &str = "BackupCliDoctorHasBegunNoSuchUpload";

impl Trial<'_> {
    /// Removes the version that an object of a bucket without versions has. Where versions are kept, nothing happens: no
    /// other version is removed, and none is hidden.
    ///
    /// # Errors
    /// The refusal.
    pub fn delete_without_version(&self) -> Result<(), Refusal> {
        let about = self.about("remove", "s3:DeleteObjectVersion").taking_any_answer();
        let outcome = self.ask_to_delete(about, Some("null"), None);
        match outcome {
            Err(refusal) if refusal.why != Why::NotThere => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Whether objects can be written, asked in a way that writes nothing: by a part of an upload that does not exist.
    ///
    /// # Errors
    /// The refusal that says no; anything but [`Why::NotAllowed`] says nothing.
    pub fn may_write(&self) -> Result<(), Refusal> {
        let about = self.about("write", "s3:PutObject").taking_any_answer();
        let outcome = self.bucket.requests.ask(about, |client, overrides| {
            client
                .upload_part()
                .bucket(self.bucket.name())
                .key(self.key.as_str())
                .upload_id(NO_UPLOAD)
                .part_number(1)
                .body(ByteStream::from_static(b"-"))
                .customize()
                .config_override(overrides)
                .send()
        });
        match outcome {
            Err(refusal) if refusal.why != Why::NotThere => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Whether uploads can be aborted, asked in a way that begins none: rights are looked at before it is looked for.
    ///
    /// # Errors
    /// The refusal that says no; anything but [`Why::NotAllowed`] says nothing.
    pub fn may_abort(&self) -> Result<(), Refusal> {
        let about = self
            .about("abort an upload of", "s3:AbortMultipartUpload")
            .taking_any_answer();
        self.ask_to_abort(about, NO_UPLOAD)
    }

    /// Whether the object could be removed in the simple way, tried in one that removes nothing: on the condition that it
    /// is another one.
    ///
    /// # Errors
    /// The refusal that says no.
    pub fn may_delete(&self) -> Result<(), Refusal> {
        let about = self.about("remove", "s3:DeleteObject");
        let outcome = self.ask_to_delete(about, None, Some("\"00000000000000000000000000000000\""));
        match outcome {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.why == Why::Condition => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}
