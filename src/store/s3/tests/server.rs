//! A server that answers each request as a test says, or does not answer it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The S3 operation, by method and query.
    pub(super) fn line(&self) -> String {
        let has = |name: &str| self.query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let in_bucket = self.path.trim_matches('/') == "bucket";
        match self.method.as_str() {
            "POST" if has("uploads") => "Create",
            "POST" if has("uploadId") => "Complete",
            "PUT" if has("partNumber") => "Part",
            "PUT" => "Put",
            "DELETE" if has("uploadId") => "Abort",
            "DELETE" => "Delete",
            "HEAD" if in_bucket => "HeadBucket",
            "HEAD" => "Head",
            "GET" if has("uploadId") => "ListParts",
            "GET" if has("uploads") => "ListUploads",
            "GET" if in_bucket => "List",
            "GET" => "Get",
            other => other,
        }
        .to_owned()
    }
}

/// What the server does about a request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Answers.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        /// What Content-Length says, if not the truth; the connection ends after the body.
        claimed_bytes: Option<usize>,
    },
    /// Ends the connection without a word.
    Hangup,
    /// Says nothing until the test is over.
    Silence,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self::Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            claimed_bytes: None,
        }
    }

    /// An S3 error document.
    pub(super) fn error(status: u16, code: &str) -> Self {
        Self::error_with(status, code, "")
    }

    pub(super) fn error_with(status: u16, code: &str, more: &str) -> Self {
        Self::new(status).body(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>Words about {code}</Message>{more}</Error>"
        ))
    }

    pub(super) fn body(mut self, text: impl Into<Vec<u8>>) -> Self {
        if let Self::Answer { body, .. } = &mut self {
            *body = text.into();
        }
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.into()));
        }
        self
    }

    pub(super) fn claiming(mut self, bytes: usize) -> Self {
        if let Self::Answer { claimed_bytes, .. } = &mut self {
            *claimed_bytes = Some(bytes);
        }
        self
    }

    /// A HEAD of an object of so many bytes with this token.
    pub(super) fn object(bytes: usize, token: &str) -> Self {
        Self::new(200)
            .header("ETag", "\"abc-1\"")
            .header("x-amz-meta-backup-cli-token", token)
            .claiming(bytes)
    }

    pub(super) fn created() -> Self {
        Self::new(200).body(
            "<?xml version=\"1.0\"?><InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>k</Key>\
             <UploadId>upload-1</UploadId></InitiateMultipartUploadResult>",
        )
    }

    pub(super) fn completed() -> Self {
        Self::new(200).body(
            "<?xml version=\"1.0\"?><CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>k</Key>\
             <ETag>\"whole-1\"</ETag></CompleteMultipartUploadResult>",
        )
    }
}

type Answer = Box<dyn FnMut(&Seen) -> Reply + Send>;

struct Shared {
    answer: Mutex<Answer>,
    seen: Mutex<Vec<Seen>>,
    over: AtomicBool,
}

/// Listens on loopback until dropped.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub(super) fn start(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(Box::new(answer)),
            seen: Mutex::new(Vec::new()),
            over: AtomicBool::new(false),
        });
        let for_thread = shared.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if for_thread.over.load(Ordering::SeqCst) {
                    break;
                }
                let shared = for_thread.clone();
                std::thread::spawn(move || drop(serve(connection.unwrap(), &shared)));
            }
        });
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have arrived.
    pub(super) fn wait_for(&self, count: usize) {
        for _ in 0..1000 {
            if self.shared.seen.lock().unwrap().len() >= count {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no {count} requests in 10 s: {:?}", self.seen());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(connection: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    while let Some(request) = read_request(&mut reader)? {
        shared.seen.lock().unwrap().push(request.clone());
        let reply = (shared.answer.lock().unwrap())(&request);
        match reply {
            Reply::Hangup => return Ok(()),
            Reply::Silence => {
                while !shared.over.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                return Ok(());
            }
            Reply::Answer {
                status,
                headers,
                body,
                claimed_bytes,
            } => {
                let mut head = format!("HTTP/1.1 {status} Words\r\n");
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                // These answers have no body, whatever their length says.
                let bodiless = request.method == "HEAD" || matches!(status, 204 | 304);
                if status != 204 {
                    head.push_str(&format!("content-length: {}\r\n", claimed_bytes.unwrap_or(body.len())));
                }
                head.push_str("\r\n");
                writer.write_all(head.as_bytes())?;
                if !bodiless {
                    writer.write_all(&body)?;
                    if claimed_bytes.is_some_and(|claimed| claimed != body.len()) {
                        return Ok(());
                    }
                }
                writer.flush()?;
            }
        }
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut seen = Seen {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    };
    let length = seen
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    seen.body.resize(length, 0);
    reader.read_exact(&mut seen.body)?;
    Ok(Some(seen))
}
