//! A server that knows one bucket and its settings, and ends like a crash at any request.
//!
//! What a client writes is kept as it came, and given back as it is: of the settings' documents those that are written and
//! those that are read have the same form. It counts what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When the server stops serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Before the write of this number, from 0, has any effect.
    Before(usize),
    /// Once it has had its effect, and before anybody is told.
    After(usize),
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct State {
    /// Whether the bucket is there.
    pub exists: bool,
    /// Whether the name is somebody else's.
    pub is_taken: bool,
    /// Where the bucket is; empty for the first region.
    pub location: String,
    /// The settings' documents, by the query that names them.
    pub settings: BTreeMap<String, String>,
    /// Queries that the server does not know.
    pub unknown: Vec<&'static str>,
    /// Queries that nobody may write.
    pub forbidden: Vec<&'static str>,
    /// What was written, in order.
    pub writes: Vec<String>,
    /// The bodies of the creations.
    pub creations: Vec<String>,
    pub crash: Option<Crash>,
    /// Whether a policy that refuses plain HTTP is obeyed: all requests come by it.
    pub obeys_tls_only: bool,
    /// Whether the name is none that the server takes.
    pub refuses_name: bool,
    /// The permission that is missing.
    pub missing: Option<String>,
    /// The permissions that requests have taken.
    pub taken: BTreeSet<&'static str>,
}

/// A running server; its thread ends with the process.
#[derive(Clone, Debug)]
pub struct SettingsServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl SettingsServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            state: Arc::default(),
        };
        let state = server.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = state.clone();
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request: its method, its query, whether the header for object lock is set, and its body.
struct Request {
    method: String,
    query: String,
    locks: bool,
    body: String,
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let (status, body) = state.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
        let content = if request.method == "HEAD" { "" } else { body.as_str() };
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        );
        let mut writer = stream;
        if writer.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query = query.split(['&', '=']).next().unwrap_or_default().to_owned();
    let (mut length, mut locks) = (0usize, false);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        locks |= header == "x-amz-bucket-object-lock-enabled: true";
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        query,
        locks,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// What AWS asks for such a request.
fn permission_of(reads: bool, query: &str) -> &'static str {
    match (query, reads) {
        ("", false) => "s3:CreateBucket",
        ("" | "list-type", true) => "s3:ListBucket",
        ("location", _) => "s3:GetBucketLocation",
        ("versioning", true) => "s3:GetBucketVersioning",
        ("versioning", false) => "s3:PutBucketVersioning",
        ("object-lock", true) => "s3:GetBucketObjectLockConfiguration",
        ("object-lock", false) => "s3:PutBucketObjectLockConfiguration",
        ("encryption", true) => "s3:GetEncryptionConfiguration",
        ("encryption", false) => "s3:PutEncryptionConfiguration",
        ("publicAccessBlock", true) => "s3:GetBucketPublicAccessBlock",
        ("publicAccessBlock", false) => "s3:PutBucketPublicAccessBlock",
        ("ownershipControls", true) => "s3:GetBucketOwnershipControls",
        ("ownershipControls", false) => "s3:PutBucketOwnershipControls",
        ("policyStatus", _) => "s3:GetBucketPolicyStatus",
        ("policy", true) => "s3:GetBucketPolicy",
        ("policy", false) => "s3:PutBucketPolicy",
        ("cors", true) => "s3:GetBucketCORS",
        ("cors", false) => "s3:PutBucketCORS",
        ("lifecycle", true) => "s3:GetLifecycleConfiguration",
        ("lifecycle", false) => "s3:PutLifecycleConfiguration",
        _ => "a permission that is not known here",
    }
}

type Answer = (u16, String);

fn error(status: u16, code: &str) -> Answer {
    (
        status,
        format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"),
    )
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        let number = self.writes.len();
        // Whoever is dead answers nothing; that the key is unknown is what ends a client at once.
        let dead = || error(403, "InvalidAccessKeyId");
        match self.crash {
            Some(Crash::Before(at)) if number >= at && (number > at || request.method == "PUT") => return dead(),
            Some(Crash::After(at)) if number > at => return dead(),
            _ => {}
        }
        if self.refuses_name {
            return error(400, "InvalidBucketName");
        }
        let policy = self.settings.get("policy");
        if self.obeys_tls_only && policy.is_some_and(|policy| policy.contains("aws:SecureTransport")) {
            return error(403, "AccessDenied");
        }
        let permission = permission_of(request.method == "HEAD" || request.method == "GET", &request.query);
        self.taken.insert(permission);
        if self.missing.as_deref() == Some(permission) {
            return error(403, "AccessDenied");
        }
        let answer = match request.method.as_str() {
            "PUT" => self.write(request),
            "DELETE" => {
                self.settings.remove(&request.query);
                (204, String::new())
            }
            _ => self.read(request),
        };
        match self.crash {
            Some(Crash::After(at)) if self.writes.len() > at => dead(),
            _ => answer,
        }
    }

    fn write(&mut self, request: &Request) -> Answer {
        let query = request.query.as_str();
        if query.is_empty() {
            self.creations.push(request.body.clone());
            if self.is_taken {
                return error(409, "BucketAlreadyExists");
            }
            if self.exists {
                return error(409, "BucketAlreadyOwnedByYou");
            }
            self.writes.push("create".to_owned());
            self.exists = true;
            if request.locks {
                let lock =
                    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
                self.settings.insert("object-lock".to_owned(), lock.to_owned());
                let versioning = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
                self.settings.insert("versioning".to_owned(), versioning.to_owned());
            }
            return (200, String::new());
        }
        if !self.exists {
            return error(404, "NoSuchBucket");
        }
        if self.forbidden.contains(&query) {
            return error(403, "AccessDenied");
        }
        if self.unknown.contains(&query) {
            return error(501, "NotImplemented");
        }
        self.writes.push(query.to_owned());
        self.settings.insert(query.to_owned(), request.body.clone());
        (200, String::new())
    }

    fn read(&self, request: &Request) -> Answer {
        let query = request.query.as_str();
        if !self.exists {
            return match self.is_taken {
                true => error(403, "AccessDenied"),
                false => error(404, "NoSuchBucket"),
            };
        }
        if self.unknown.contains(&query) {
            return error(501, "NotImplemented");
        }
        if let Some(document) = self.settings.get(query) {
            return (200, document.clone());
        }
        match query {
            "" => (200, String::new()),
            "location" => (
                200,
                format!("<LocationConstraint>{}</LocationConstraint>", self.location),
            ),
            "versioning" => (200, "<VersioningConfiguration/>".to_owned()),
            "encryption" => error(404, "ServerSideEncryptionConfigurationNotFoundError"),
            "publicAccessBlock" => error(404, "NoSuchPublicAccessBlockConfiguration"),
            "ownershipControls" => error(404, "OwnershipControlsNotFoundError"),
            "object-lock" => error(404, "ObjectLockConfigurationNotFoundError"),
            "list-type" => (
                200,
                "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>".to_owned(),
            ),
            "cors" => error(404, "NoSuchCORSConfiguration"),
            "lifecycle" => error(404, "NoSuchLifecycleConfiguration"),
            _ => error(404, "NoSuchBucketPolicy"),
        }
    }
}
