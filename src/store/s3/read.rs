//! Objects as streams of bytes that are whole or an error: a broken answer is resumed where it broke.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::{Buf as _, Bytes};
use md5::{Digest as _, Md5};

use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::base::units::MIB;
use crate::store::Key;

use super::errors::{Class, Problem};
use super::session::{Request, Session, Stop, Tries};
use super::stat::bare_etag;

/// A body that broke after this much is resumed at once; one that breaks sooner again and again is given time.
const RESUME_AT_ONCE_BYTES: u64 = MIB;

/// A whole object of at most this size is read at once and compared with its MD5, where the store tells it: nobody else
/// can tell whether a manifest arrived as it is stored.
const PROVED_BYTES_MAX: u64 = MIB;

/// A small object that differs from its MD5 so many times in a row is not read wrong but stored wrong.
const READINGS_MAX: u32 = 3;

/// Opens an object or a range of it.
pub(super) fn open(session: &Arc<Session>, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
    let name = session.object(key.as_str());
    if let Some(range) = &range {
        if range.start > range.end {
            return Err(Failure::new(
                Kind::Failed,
                format!("Not a range of {name}: {}..{}", range.start, range.end),
            ));
        }
        if range.is_empty() {
            // HTTP has no empty ranges, but a missing object is an error all the same.
            return match session.block_on(session.stat(key, &Stop::OnCancel))? {
                Some(_) => Ok(Box::new(std::io::empty())),
                None => Err(Failure::new(Kind::NotFound, format!("No such object: {name}"))),
            };
        }
    }
    let mut reader = ObjectReader {
        request: Request {
            answer_is_progress: false,
            ..Request::new(format!("read {name}"), "s3:GetObject", Some(key.as_str()))
        },
        session: Arc::clone(session),
        key: key.clone(),
        etag: None,
        position: range.as_ref().map_or(0, |range| range.start),
        end: range.as_ref().map(|range| range.end),
        body: None,
        chunk: Bytes::new(),
        tries: Tries::new(),
        since_open_bytes: 0,
        expected_sum: None,
    };
    session.block_on(reader.connect())?;
    match reader.expected_sum.is_some() && reader.end.is_some_and(|end| end <= PROVED_BYTES_MAX) && range.is_none() {
        true => Ok(Box::new(std::io::Cursor::new(session.block_on(reader.read_proved())?))),
        false => Ok(Box::new(reader)),
    }
}

/// What an ETag says of the content of an object that was sent in one piece or in one part.
struct Sum {
    md5: [u8; 16],
    is_of_parts: bool,
}

impl Sum {
    fn of_tag(etag: &str) -> Option<Self> {
        let (sum, is_of_parts) = match etag.strip_suffix("-1") {
            Some(sum) => (sum, true),
            None => (etag, false),
        };
        Some(Self {
            md5: hex::decode(sum).ok()?.try_into().ok()?,
            is_of_parts,
        })
    }

    fn is_of(&self, content: &[u8]) -> bool {
        let sum = Md5::digest(content);
        let sum = if self.is_of_parts { Md5::digest(sum) } else { sum };
        sum[..] == self.md5
    }
}

/// The rest of an object's range.
struct ObjectReader {
    session: Arc<Session>,
    request: Request,
    key: Key,
    /// The tag of the first answer, so that all later ones are of the same object.
    etag: Option<String>,
    /// Where in the object the next byte stands.
    position: u64,
    /// Where the range ends; known after the first answer at the latest.
    end: Option<u64>,
    body: Option<ByteStream>,
    chunk: Bytes,
    tries: Tries,
    since_open_bytes: u64,
    /// What the last answer told of the whole object's content.
    expected_sum: Option<Sum>,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader")
            .field("key", &self.key)
            .field("position", &self.position)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.chunk.is_empty() {
            if Some(self.position) == self.end {
                return Ok(0);
            }
            let session = Arc::clone(&self.session);
            self.chunk = session.block_on(self.next_chunk()).map_err(into_io)?;
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl ObjectReader {
    /// The whole object, as it is stored.
    async fn read_proved(&mut self) -> Result<Vec<u8>> {
        for reading in 1.. {
            let mut content = Vec::new();
            while Some(self.position) != self.end {
                let chunk = self.next_chunk().await?;
                self.position += chunk.len() as u64;
                content.extend_from_slice(&chunk);
            }
            if self.expected_sum.as_ref().is_none_or(|sum| sum.is_of(&content)) {
                return Ok(content);
            }
            if reading == READINGS_MAX {
                break;
            }
            (self.position, self.end, self.etag, self.body) = (0, None, None, None);
            self.connect().await?;
            if self.end.is_none_or(|end| end > PROVED_BYTES_MAX) {
                return Err(self.lies("an object that became another one while it was read"));
            }
        }
        let name = self.session.object(self.key.as_str());
        Err(Failure::new(
            Kind::Damaged,
            format!("{name} is not what the store's own MD5 of it says, {READINGS_MAX} times in a row"),
        )
        .hint("It was changed in the store or on the way: a proxy, a failing disk, or bad memory in this machine"))
    }

    /// The next bytes, at least one.
    async fn next_chunk(&mut self) -> Result<Bytes> {
        let left = self.end.unwrap_or(u64::MAX).saturating_sub(self.position);
        loop {
            if self.body.is_none() {
                self.connect().await?;
            }
            let Some(body) = self.body.as_mut() else { continue };
            self.session.begin(&mut self.tries);
            let limit = self.session.stall_limit();
            let outcome = self
                .session
                .within(&self.request.stop, limit, body.try_next())
                .await
                .map_err(|problem| self.session.explain(&self.request, &problem))?;
            self.tries.hung = outcome.is_none();
            let words = match outcome {
                Some(Ok(Some(chunk))) if chunk.is_empty() => continue,
                Some(Ok(Some(chunk))) if chunk.len() as u64 <= left => {
                    self.session.progress();
                    self.tries = Tries::new();
                    self.since_open_bytes += chunk.len() as u64;
                    return Ok(chunk);
                }
                Some(Ok(Some(_))) => return Err(self.lies("more bytes than it promised")),
                Some(Ok(None)) => format!("The answer ended {left} bytes early"),
                Some(Err(error)) => format!("The answer broke off {left} bytes early: {error}"),
                None => format!("Nothing arrived for {} s, {left} bytes before the end", limit.as_secs()),
            };
            self.body = None;
            if self.since_open_bytes < RESUME_AT_ONCE_BYTES {
                let problem = Problem::new(Class::Lost, words);
                self.session
                    .recover(&self.request, &mut self.tries, problem)
                    .await
                    .map_err(|problem| self.session.explain(&self.request, &problem))?;
            }
        }
    }

    /// Asks until what answers is an S3 server.
    async fn ask(&self, range: Option<&str>) -> Result<GetObjectOutput, Problem> {
        let (session, key) = (&self.session, &self.key);
        let mut tries = Tries::new();
        loop {
            let answer = session
                .call(&self.request, |client: Client, overrides| {
                    client
                        .get_object()
                        .bucket(&session.options.bucket)
                        .key(key.as_str())
                        .set_range(range.map(str::to_owned))
                        .set_if_match(self.etag.clone())
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await?;
            // Every S3 server tells both; a proxy or a log-in page on the way tells neither. What answers for a range is
            // judged by the range.
            if range.is_some() || answer.e_tag().is_some() || answer.last_modified().is_some() {
                return Ok(answer);
            }
            let problem = Problem::new(Class::Lost, "The answer is none of an S3 server");
            session.recover(&self.request, &mut tries, problem).await?;
        }
    }

    /// Asks for everything from the position on.
    async fn connect(&mut self) -> Result<()> {
        let resumed = self.etag.is_some();
        let range = match (self.position, self.end) {
            (0, None) => None,
            (start, None) => Some(format!("bytes={start}-")),
            (start, Some(end)) => Some(format!("bytes={start}-{}", end.saturating_sub(1))),
        };
        let (session, key) = (&self.session, &self.key);
        let answer = self
            .ask(range.as_deref())
            .await
            .map_err(|problem| match problem.class {
                Class::Precondition | Class::NoKey if resumed => Failure::new(
                    Kind::Damaged,
                    format!("{} changed while it was read", session.object(key.as_str())),
                )
                .caused_by(anyhow::anyhow!("{}", problem.summary())),
                _ => session.explain(&self.request, &problem),
            })?;
        self.accept(answer)
    }

    /// Checks that an answer is the range that was asked for.
    fn accept(&mut self, answer: GetObjectOutput) -> Result<()> {
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        let (start, end) = match answer.content_range().and_then(parse_content_range) {
            Some(range) => range,
            // Without a Content-Range the answer is the whole object, whatever was asked for.
            None => match (length, self.end) {
                (Some(length), _) => (0, length),
                (None, Some(end)) => (self.position, end),
                (None, None) => return Err(self.lies("an answer without a length")),
            },
        };
        if start != self.position {
            return Err(self.lies("another range than was asked for"));
        }
        match self.end {
            None => self.end = Some(end),
            Some(wanted) if end == wanted => {}
            Some(wanted) if end > wanted => return Err(self.lies("more than the range that was asked for")),
            Some(wanted) => {
                return Err(Failure::new(
                    Kind::Damaged,
                    format!(
                        "{} ends at byte {end}, before byte {wanted}",
                        self.session.object(self.key.as_str())
                    ),
                )
                .hint("It was changed in the store, or another object was sent; try again, then another backup"));
            }
        }
        self.expected_sum = answer
            .e_tag()
            .filter(|_| {
                self.session
                    .etag_is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm())
            })
            .and_then(|etag| Sum::of_tag(&bare_etag(etag)));
        if self.etag.is_none() {
            self.etag = answer.e_tag().map(str::to_owned);
        }
        self.body = Some(answer.body);
        self.since_open_bytes = 0;
        Ok(())
    }

    fn lies(&self, what: &str) -> Failure {
        Failure::new(
            Kind::Unsupported,
            format!(
                "The store sent {what}, reading {}",
                self.session.object(self.key.as_str())
            ),
        )
        .hint("This looks like a fault of the server, or of a proxy before it; try again later")
    }
}

/// The first byte and the byte after the last one, from `bytes 0-99/1234`.
fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (range, _total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((
        first.trim().parse().ok()?,
        last.trim().parse::<u64>().ok()?.checked_add(1)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(parse_content_range("bytes 0-99/1234"), Some((0, 100)));
        assert_eq!(parse_content_range("bytes 5-5/*"), Some((5, 6)));
        assert_eq!(parse_content_range("bytes */1234"), None);
        assert_eq!(parse_content_range("items 0-9/10"), None);
    }
}
