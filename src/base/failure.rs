//! Errors as values: what went wrong, on which thing, why, and what to do now.
//!
//! The [`Kind`] decides the exit code; the cause chain and the hints are for the reader.

use std::fmt;

/// What sort of failure this is; decides the exit status and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Anything that has no kind of its own.
    Failed,
    /// The command line does not make sense.
    Usage,
    /// A setting, profile or configuration file is wrong.
    Config,
    /// The work was done, but some of it could not be.
    Incomplete,
    /// No such bucket, prefix, profile, backup, path inside a backup.
    NotFound,
    /// Another run holds the lock.
    Locked,
    /// A decryption key is missing or wrong.
    WrongKey,
    /// Stored data is not what the manifest says.
    Damaged,
    /// A guard refused: target not empty, no confirmation, last backup.
    Refused,
    /// The newest backup is older than allowed.
    TooOld,
    /// The user or the system asked the run to stop.
    Interrupted,
    /// Credentials were missing, wrong, expired or without the permission.
    Denied,
    /// The store or server did not answer, or not in time.
    Unreachable,
    /// An object that was to be created exists already.
    Conflict,
    /// The file system is full.
    NoSpace,
    /// The source (a dump, a command, a file tree) did not end well.
    Source,
    /// A program that is needed is missing or too old.
    Tool,
    /// The store or the format cannot do what was asked.
    Unsupported,
    /// What is to be read lies in an archive and must be thawed first.
    Archived,
}

impl Kind {
    /// The exit status of a run that ended with this kind, as documented in the manual page.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Config => 2,
            Self::Incomplete => 3,
            Self::NotFound => 10,
            Self::Locked => 11,
            Self::WrongKey => 12,
            Self::Damaged => 20,
            Self::Refused => 21,
            Self::TooOld => 22,
            Self::Interrupted => 130,
            Self::Failed
            | Self::Denied
            | Self::Unreachable
            | Self::Conflict
            | Self::NoSpace
            | Self::Source
            | Self::Tool
            | Self::Unsupported
            | Self::Archived => 1,
        }
    }
}

/// One failure: its kind, its own sentence, the chain of causes below it, and hints.
///
/// Sentences start with a capital and have no full stop; values stand in backticks or after a colon.
pub struct Failure {
    kind: Kind,
    message: String,
    cause: Option<anyhow::Error>,
    hints: Vec<String>,
}

/// The result type of the whole library.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure with a sentence that says what failed, on which thing.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            cause: None,
            hints: Vec::new(),
        }
    }

    /// Adds the error that led to this one.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a sentence on what to do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts a wider sentence around this failure, which becomes its cause; kind and hints stay.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let hints = std::mem::take(&mut self.hints);
        Self {
            kind: self.kind,
            message: message.into(),
            hints,
            cause: Some(anyhow::Error::new(self)),
        }
    }

    /// The kind, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same failure under another kind, where the caller knows better what it means.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// The failure's own sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The sentences of the causes, nearest first, each different from the one before it.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        if let Some(cause) = &self.cause {
            for error in cause.chain() {
                let text = error.to_string();
                let repeats = match out.last() {
                    Some(last) => last.contains(&text),
                    None => self.message == text,
                };
                if !repeats && !text.is_empty() {
                    out.push(text);
                }
            }
        }
        out
    }

    /// What happened and why, in one line without a stop; hints stay out of it.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let causes = self.causes();
        let words = std::iter::once(self.message()).chain(causes.iter().map(String::as_str));
        words.collect::<Vec<_>>().join(": ")
    }

    /// What to do now, most useful first.
    #[must_use]
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        for cause in self.causes() {
            write!(f, "; caused by: {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(AsRef::as_ref)
    }
}

/// Turns an operating-system error on a named thing into a [`Failure`].
///
/// `doing` is an infinitive with its object, for example `` read `/etc/x` ``.
pub fn io_failure(doing: impl fmt::Display, error: std::io::Error) -> Failure {
    if let Some(inner) = downcast_failure_ref(&error) {
        let kind = inner.kind();
        let failure = take_failure(error);
        return match kind {
            // An interruption is the whole story; what it interrupted is not news.
            Kind::Interrupted => failure,
            _ => failure.context(format!("Could not {doing}")),
        };
    }
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::NoSpace,
        std::io::ErrorKind::NotFound => Kind::NotFound,
        std::io::ErrorKind::PermissionDenied => Kind::Denied,
        _ => Kind::Failed,
    };
    let failure = Failure::new(kind, format!("Could not {doing}")).caused_by(error);
    match kind {
        Kind::NoSpace => failure.hint("Free some space on that file system, or choose another one, and run it again"),
        _ => failure,
    }
}

/// Carries a [`Failure`] through an interface that only knows `std::io::Error`.
pub fn into_io(failure: Failure) -> std::io::Error {
    std::io::Error::other(failure)
}

fn downcast_failure_ref(error: &std::io::Error) -> Option<&Failure> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Failure>())
}

fn take_failure(error: std::io::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => Failure::new(Kind::Failed, error.to_string()),
    }
}

/// The [`Failure`] that was carried by [`into_io`], or the plain error as a failure to do `doing`.
pub fn from_io(doing: impl fmt::Display, error: std::io::Error) -> Failure {
    if downcast_failure_ref(&error).is_some() {
        take_failure(error)
    } else {
        io_failure(doing, error)
    }
}

/// Adds "Could not …" to an `io::Result`.
pub trait IoContext<T> {
    /// Names what was being done: an infinitive with its object.
    ///
    /// # Errors
    /// The error itself, as a [`Failure`].
    fn doing<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn doing<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| io_failure(what(), error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_kind_and_hints_and_lengthens_the_chain() {
        let inner = Failure::new(Kind::NotFound, "No such bucket: `x`").hint("Create it");
        let outer = inner.context("Could not list backups");
        assert_eq!(outer.kind(), Kind::NotFound);
        assert_eq!(outer.causes(), ["No such bucket: `x`"]);
        assert_eq!(outer.hints(), ["Create it"]);
    }

    #[test]
    fn a_failure_survives_the_way_through_io_error() {
        let carried = into_io(Failure::new(Kind::Denied, "Access denied").hint("Check the key"));
        let back = from_io("write", carried);
        assert_eq!(back.kind(), Kind::Denied);
        assert_eq!(back.hints(), ["Check the key"]);
    }

    #[test]
    fn a_full_disk_has_its_kind_and_a_hint() {
        let failure = io_failure("write `x`", std::io::Error::from_raw_os_error(28));
        assert_eq!(failure.kind(), Kind::NoSpace);
        assert_eq!(failure.hints().len(), 1);
    }
}
