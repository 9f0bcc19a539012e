//! Listings, page by page, that are whole or an error.

use std::collections::HashSet;
use std::ops::ControlFlow;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object};

use crate::base::failure::{Failure, Kind, Result};
use crate::store::{Key, ObjectMeta, UnfinishedUpload};

use super::session::{Request, Session};
use super::stat::{bare_etag, special_class, timestamp};

/// What S3 gives at most per page.
const PAGE_ENTRIES: i32 = 1000;

impl Session {
    /// Visits every object below a prefix.
    pub(super) fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut pages = Pages::new(self, prefix, false);
        while let Some(page) = pages.next()? {
            let encoded = is_encoded(page.encoding_type());
            for object in page.contents() {
                let meta = self.meta_of_listing(object, encoded)?;
                pages.check_order(meta.key.as_str())?;
                if visit(meta)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Visits the folders right below a prefix.
    pub(super) fn list_folders(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut pages = Pages::new(self, prefix, true);
        while let Some(page) = pages.next()? {
            let encoded = is_encoded(page.encoding_type());
            for folder in page.common_prefixes().iter().filter_map(|folder| folder.prefix()) {
                let folder = decoded(folder, encoded)?;
                pages.check_order(&folder)?;
                if visit(&folder)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Every upload below a prefix that is neither completed nor aborted.
    pub(super) fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let request = Request::new(
            format!("list the unfinished uploads of `s3://{}/{prefix}`", self.options.bucket),
            "s3:ListBucketMultipartUploads",
            None,
        );
        let mut found = Vec::new();
        let mut marker: Option<(String, Option<String>)> = None;
        loop {
            let page = self.block_on(async {
                self.call(&request, |client: Client, overrides| {
                    client
                        .list_multipart_uploads()
                        .bucket(&self.options.bucket)
                        .prefix(prefix)
                        .encoding_type(EncodingType::Url)
                        .set_key_marker(marker.as_ref().map(|(key, _)| key.clone()))
                        .set_upload_id_marker(marker.as_ref().and_then(|(_, id)| id.clone()))
                        .max_uploads(PAGE_ENTRIES)
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await
                .map_err(|problem| self.explain(&request, &problem))
            })?;
            let encoded = is_encoded(page.encoding_type());
            for upload in page.uploads() {
                let (Some(key), Some(upload_id)) = (upload.key(), upload.upload_id()) else {
                    return Err(incomplete(&request, "an upload without a key or an id"));
                };
                let key = decoded(key, encoded)?;
                // Some servers list the uploads of the whole bucket, whatever was asked for.
                if key.starts_with(prefix) {
                    found.push(UnfinishedUpload {
                        key: Key::new(key),
                        upload_id: upload_id.to_owned(),
                        initiated: upload.initiated().and_then(timestamp),
                    });
                }
            }
            if !page.is_truncated().unwrap_or(false) {
                return Ok(found);
            }
            let next = next_marker(&page, encoded)?.ok_or_else(|| incomplete(&request, "a page without a way on"))?;
            if marker.as_ref().is_some_and(|old| *old >= next) {
                return Err(incomplete(&request, "the same page again"));
            }
            marker = Some(next);
        }
    }

    fn meta_of_listing(&self, object: &Object, encoded: bool) -> Result<ObjectMeta> {
        let (Some(key), Some(size)) = (object.key(), object.size()) else {
            return Err(Failure::new(
                Kind::Failed,
                format!(
                    "The listing of `s3://{}` has an object without a key or a size",
                    self.options.bucket
                ),
            ));
        };
        Ok(ObjectMeta {
            key: Key::new(decoded(key, encoded)?),
            bytes: u64::try_from(size).unwrap_or(0),
            modified: object.last_modified().and_then(timestamp),
            etag: object.e_tag().map(bare_etag),
            // A listing does not say how an object is encrypted.
            etag_is_md5: false,
            version_id: None,
            storage_class: special_class(object.storage_class().map(|class| class.as_str())),
            token: None,
        })
    }
}

/// The pages of one listing.
struct Pages<'a> {
    session: &'a Session,
    request: Request,
    prefix: &'a str,
    folders: bool,
    token: Option<String>,
    tokens: HashSet<String>,
    last: Option<String>,
    done: bool,
}

impl<'a> Pages<'a> {
    fn new(session: &'a Session, prefix: &'a str, folders: bool) -> Self {
        let what = match folders {
            true => "folders",
            false => "objects",
        };
        Self {
            request: Request::new(
                format!("list the {what} of `s3://{}/{prefix}`", session.options.bucket),
                "s3:ListBucket",
                None,
            ),
            session,
            prefix,
            folders,
            token: None,
            tokens: HashSet::new(),
            last: None,
            done: false,
        }
    }

    fn next(&mut self) -> Result<Option<ListObjectsV2Output>> {
        if self.done {
            return Ok(None);
        }
        let (session, request) = (self.session, &self.request);
        let page = session.block_on(async {
            session
                .call(request, |client: Client, overrides| {
                    client
                        .list_objects_v2()
                        .bucket(&session.options.bucket)
                        .prefix(self.prefix)
                        .set_delimiter(self.folders.then(|| "/".to_owned()))
                        .set_continuation_token(self.token.clone())
                        .max_keys(PAGE_ENTRIES)
                        // XML cannot hold every character that a key can.
                        .encoding_type(EncodingType::Url)
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await
                .map_err(|problem| session.explain(request, &problem))
        })?;
        if page.is_truncated().unwrap_or(false) {
            let Some(token) = page.next_continuation_token().filter(|token| !token.is_empty()) else {
                return Err(incomplete(&self.request, "a page without a way on"));
            };
            if !self.tokens.insert(token.to_owned()) {
                return Err(incomplete(&self.request, "the same page again"));
            }
            self.token = Some(token.to_owned());
        } else {
            self.done = true;
        }
        Ok(Some(page))
    }

    /// A server that ignores the token begins again from the front; a listing out of order would be merged wrongly.
    fn check_order(&mut self, entry: &str) -> Result<()> {
        if !entry.starts_with(self.prefix) {
            return Err(incomplete(&self.request, "what was not asked for"));
        }
        if self.last.as_deref().is_some_and(|last| last >= entry) {
            return Err(incomplete(&self.request, "entries out of order, or twice"));
        }
        self.last = Some(entry.to_owned());
        Ok(())
    }
}

fn next_marker(page: &ListMultipartUploadsOutput, encoded: bool) -> Result<Option<(String, Option<String>)>> {
    let Some(key) = page.next_key_marker().filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let id = page.next_upload_id_marker().map(str::to_owned);
    Ok(Some((decoded(key, encoded)?, id)))
}

fn incomplete(request: &Request, what: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("Could not {}: the store answered with {what}", request.doing),
    )
    .hint("A listing that may lack something is not used; this looks like a fault of the server")
}

fn is_encoded(encoding: Option<&EncodingType>) -> bool {
    matches!(encoding, Some(EncodingType::Url))
}

/// A key as it is, from the form encoding that was asked for.
fn decoded(text: &str, encoded: bool) -> Result<String> {
    if !encoded {
        return Ok(text.to_owned());
    }
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|error| {
            Failure::new(Kind::Failed, format!("A key in the listing is not UTF-8: `{text}`")).caused_by(error)
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_only_if_the_server_encoded_them() {
        assert_eq!(decoded("a+b%2Bc%20d%2F%C3%A9", true).unwrap(), "a b+c d/é");
        assert_eq!(decoded("a+b%2B", false).unwrap(), "a+b%2B");
        assert!(decoded("%FF", true).is_err());
    }
}
