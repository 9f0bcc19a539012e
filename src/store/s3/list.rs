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

/// How many entries are held back to be sorted, where the server may have an order of its own: about 25 MB.
const SORTED_ENTRIES_MAX: usize = 100_000;

impl Session {
    /// Visits every object below a prefix, in the order of the keys' bytes.
    pub(super) fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut pages = Pages::new(self, prefix, false);
        let mut entries = InOrder::new(self.lists_in_order(), |meta: &ObjectMeta| meta.key.as_str(), visit);
        while let Some(page) = pages.next()? {
            let encoded = is_encoded(page.encoding_type());
            for object in page.contents() {
                let meta = self.meta_of_listing(object, encoded)?;
                pages.check_prefix(meta.key.as_str())?;
                if entries.take(meta).map_err(|fault| pages.faulty(fault))?.is_break() {
                    return Ok(());
                }
            }
        }
        entries.finish().map_err(|fault| pages.faulty(fault))
    }

    /// Visits the folders right below a prefix, in the order of their bytes.
    pub(super) fn list_folders(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let mut pages = Pages::new(self, prefix, true);
        let mut visit = |folder: String| visit(&folder);
        let mut entries = InOrder::new(self.lists_in_order(), String::as_str, &mut visit);
        while let Some(page) = pages.next()? {
            let encoded = is_encoded(page.encoding_type());
            for folder in page.common_prefixes().iter().filter_map(|folder| folder.prefix()) {
                let folder = decoded(folder, encoded)?;
                pages.check_prefix(&folder)?;
                if entries.take(folder).map_err(|fault| pages.faulty(fault))?.is_break() {
                    return Ok(());
                }
            }
        }
        entries.finish().map_err(|fault| pages.faulty(fault))
    }

    /// Whether listings arrive in the order of the keys' bytes; AWS's directory buckets have none.
    fn lists_in_order(&self) -> bool {
        self.provider.lists_in_order && !self.options.bucket.ends_with("--x-s3")
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
            match page.is_truncated() {
                Some(true) => {}
                Some(false) => return Ok(found),
                None => return Err(incomplete(&request, "nothing that is a whole listing")),
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
            )
            .hint(INCOMPLETE_HINT));
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
            archive: None,
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
        let next = page.next_continuation_token().filter(|token| !token.is_empty());
        // A document that is cut anywhere, or an empty answer of a proxy, is a well-formed listing to the SDK.
        let Some(is_truncated) = page.is_truncated() else {
            return Err(incomplete(&self.request, "nothing that is a whole listing"));
        };
        let entries = page.contents().len() + page.common_prefixes().len();
        let promised = page.key_count().and_then(|count| usize::try_from(count).ok());
        if promised.is_some_and(|promised| promised > entries) {
            return Err(incomplete(&self.request, "fewer entries than it says it has"));
        }
        if is_truncated {
            let Some(token) = next else {
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

    fn check_prefix(&self, entry: &str) -> Result<()> {
        match entry.starts_with(self.prefix) {
            true => Ok(()),
            false => Err(incomplete(&self.request, "what was not asked for")),
        }
    }

    fn faulty(&self, fault: Fault) -> Failure {
        match fault {
            Fault::Visitor(failure) => failure,
            Fault::Order => incomplete(&self.request, "entries out of order, or twice"),
        }
    }
}

/// Why the entries of a listing cannot be handed on.
enum Fault {
    /// They are not in order: a server that ignores the token begins again from the front.
    Order,
    /// The visitor failed.
    Visitor(Failure),
}

/// Hands entries on in the order of their keys' bytes. A server that may have an order of its own (`a/…` before `a-b`,
/// by folders) has its entries held back and sorted, until there are so many in order that it can be trusted.
struct InOrder<'a, T> {
    key: fn(&T) -> &str,
    visit: &'a mut dyn FnMut(T) -> Result<ControlFlow<()>>,
    trusted: bool,
    sorted: bool,
    held: Vec<T>,
    last: Option<String>,
}

impl<'a, T> InOrder<'a, T> {
    fn new(trusted: bool, key: fn(&T) -> &str, visit: &'a mut dyn FnMut(T) -> Result<ControlFlow<()>>) -> Self {
        Self {
            key,
            visit,
            trusted,
            sorted: true,
            held: Vec::new(),
            last: None,
        }
    }

    fn take(&mut self, entry: T) -> Result<ControlFlow<()>, Fault> {
        if self.trusted {
            return self.hand_on(entry);
        }
        self.sorted &= self
            .held
            .last()
            .is_none_or(|last| (self.key)(last) < (self.key)(&entry));
        self.held.push(entry);
        if self.held.len() < SORTED_ENTRIES_MAX {
            return Ok(ControlFlow::Continue(()));
        }
        if !self.sorted {
            return Err(Fault::Order);
        }
        self.trusted = true;
        self.release()
    }

    fn finish(mut self) -> Result<(), Fault> {
        if !self.sorted {
            let key = self.key;
            self.held.sort_by(|a, b| key(a).cmp(key(b)));
        }
        self.release().map(|_| ())
    }

    fn release(&mut self) -> Result<ControlFlow<()>, Fault> {
        for entry in std::mem::take(&mut self.held) {
            if self.hand_on(entry)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn hand_on(&mut self, entry: T) -> Result<ControlFlow<()>, Fault> {
        let key = (self.key)(&entry);
        if self.last.as_deref().is_some_and(|last| last >= key) {
            return Err(Fault::Order);
        }
        self.last = Some(key.to_owned());
        (self.visit)(entry).map_err(Fault::Visitor)
    }
}

fn next_marker(page: &ListMultipartUploadsOutput, encoded: bool) -> Result<Option<(String, Option<String>)>> {
    let Some(key) = page.next_key_marker().filter(|key| !key.is_empty()) else {
        return Ok(None);
    };
    let id = page.next_upload_id_marker().map(str::to_owned);
    Ok(Some((decoded(key, encoded)?, id)))
}

pub(super) fn incomplete(request: &Request, what: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("Could not {}: the store answered with {what}", request.doing),
    )
    .hint(INCOMPLETE_HINT)
}

const INCOMPLETE_HINT: &str =
    "A listing that may lack something is not used; this looks like a fault of the server, or of a proxy before it";

pub(super) fn is_encoded(encoding: Option<&EncodingType>) -> bool {
    matches!(encoding, Some(EncodingType::Url))
}

/// A key as it is, from the form encoding that was asked for.
pub(super) fn decoded(text: &str, encoded: bool) -> Result<String> {
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

    fn in_order(trusted: bool, keys: &[&str]) -> Option<Vec<String>> {
        let mut seen = Vec::new();
        let mut visit = |key: String| {
            seen.push(key);
            Ok(ControlFlow::Continue(()))
        };
        let mut entries = InOrder::new(trusted, String::as_str, &mut visit);
        for key in keys {
            let _flow = entries.take((*key).to_owned()).ok()?;
        }
        entries.finish().ok()?;
        Some(seen)
    }

    #[test]
    fn a_servers_own_order_is_put_right() {
        assert_eq!(
            in_order(false, &["a/b", "a-1", "a.txt"]).unwrap(),
            ["a-1", "a.txt", "a/b"]
        );
        assert_eq!(in_order(true, &["a-1", "a/b"]).unwrap(), ["a-1", "a/b"]);
    }

    #[test]
    fn entries_twice_are_a_fault_in_any_order() {
        assert_eq!(in_order(false, &["b", "a", "b"]), None);
        assert_eq!(in_order(true, &["a", "b", "a"]), None);
    }

    #[test]
    fn a_server_is_trusted_after_many_entries_in_order() {
        let mut seen = 0;
        let mut visit = |_: String| {
            seen += 1;
            Ok(ControlFlow::Continue(()))
        };
        let mut entries = InOrder::new(false, String::as_str, &mut visit);
        for number in 0..SORTED_ENTRIES_MAX {
            assert!(entries.take(format!("{number:08}")).is_ok());
        }
        assert!(entries.held.is_empty() && entries.trusted);
        assert!(matches!(entries.take("0".to_owned()), Err(Fault::Order)));
        assert_eq!(seen, SORTED_ENTRIES_MAX);
    }

    #[test]
    fn keys_are_decoded_only_if_the_server_encoded_them() {
        assert_eq!(decoded("a+b%2Bc%20d%2F%C3%A9", true).unwrap(), "a b+c d/é");
        assert_eq!(decoded("a+b%2B", false).unwrap(), "a+b%2B");
        assert!(decoded("%FF", true).is_err());
    }
}
