//! A server that knows of a bucket nothing but its lifecycle, keeps that to the byte, and goes wrong on demand.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::cli::Cli;

/// What befalls a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing does.
    None,
    /// It is refused, and nothing has happened.
    Refused(u16, &'static str),
    /// It is done, and the connection ends instead of an answer.
    Lost,
    /// It is not done, and answered as if it had been.
    Unheard,
    /// It is done with other rules than were sent.
    Altered(fn(&str) -> String),
    /// A read is answered with this.
    Says(&'static str),
}

/// A request for the lifecycle.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct State {
    document: Option<String>,
    minimum: Option<String>,
    requests: Vec<Request>,
    faults: VecDeque<(&'static str, Fault)>,
}

/// A running server. Its thread ends with the process: nothing depends on it.
#[derive(Debug)]
pub struct RuleServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl RuleServer {
    /// A server whose bucket has these rules.
    pub fn with(document: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(Mutex::new(State {
            document: document.map(str::to_owned),
            ..State::default()
        }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says this of the smallest objects that move.
    pub fn minimum(self, value: &str) -> Self {
        self.state().minimum = Some(value.to_owned());
        self
    }

    /// The next requests of this method go wrong so, each by one fault.
    pub fn faults(&self, method: &'static str, faults: impl IntoIterator<Item = Fault>) {
        let mut state = self.state();
        state.faults.extend(faults.into_iter().map(|fault| (method, fault)));
    }

    /// The rules as they stand.
    pub fn document(&self) -> Option<String> {
        self.state().document.clone()
    }

    /// The requests of a method so far; they are forgotten.
    pub fn take(&self, method: &str) -> Vec<Request> {
        let mut state = self.state();
        let (taken, left) = std::mem::take(&mut state.requests)
            .into_iter()
            .partition(|request| request.method == method);
        state.requests = left;
        taken
    }

    /// How many writes there have been since the last look.
    pub fn writes(&self) -> usize {
        self.take("PUT").len() + self.take("DELETE").len()
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A user whose store it is.
    pub fn user(&self) -> Cli {
        Cli::new()
            .env("AWS_ACCESS_KEY_ID", "AKTESTRULES000000001")
            .env("AWS_SECRET_ACCESS_KEY", "canary/rules+secret00000000000000000000")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("BACKUP_STORE", "s3://bucket/backups")
            .env("BACKUP_RETRY_DELAY", "10ms")
            .env("BACKUP_RETRY_BUDGET", "100ms")
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let Ok(mut answers) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((target, request)) = read_request(&mut reader) {
        let Some(answer) = answer(
            &target,
            request,
            &mut state.lock().unwrap_or_else(PoisonError::into_inner),
        ) else {
            return;
        };
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, Request)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        method,
        headers,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).expect("UTF-8");
    Some((target, request))
}

/// `None` ends the connection.
fn answer(target: &str, request: Request, state: &mut State) -> Option<String> {
    if !target.contains("?lifecycle") {
        return Some(match target.contains("?versioning") {
            true => reply(200, None, "<VersioningConfiguration/>"),
            false => refusal(501, "NotImplemented"),
        });
    }
    let method = request.method.clone();
    let place = state.faults.iter().position(|(wanted, _)| *wanted == method);
    let fault = place
        .and_then(|place| state.faults.remove(place))
        .map_or(Fault::None, |(_, fault)| fault);
    let body = request.body.clone();
    state.requests.push(request);
    match fault {
        Fault::Refused(status, code) => return Some(refusal(status, code)),
        Fault::Says(text) => return Some(reply(200, state.minimum.as_deref(), text)),
        _ => {}
    }
    let is_heard = !matches!(fault, Fault::Unheard);
    match method.as_str() {
        "PUT" if is_heard => {
            state.document = Some(match fault {
                Fault::Altered(alter) => alter(&body),
                _ => body,
            });
        }
        "DELETE" if is_heard => state.document = None,
        _ => {}
    }
    match (&fault, method.as_str(), &state.document) {
        (Fault::Lost, ..) => None,
        (_, "GET", Some(document)) => Some(reply(200, state.minimum.as_deref(), document)),
        (_, "GET", None) => Some(refusal(404, "NoSuchLifecycleConfiguration")),
        _ => Some(reply(200, None, "")),
    }
}

fn reply(status: u16, minimum: Option<&str>, body: &str) -> String {
    let minimum = minimum.map_or_else(String::new, |value| {
        format!("x-amz-transition-default-minimum-object-size: {value}\r\n")
    });
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/xml\r\n{minimum}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn refusal(status: u16, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>of the test's choice</Message></Error>");
    reply(status, None, &body)
}
