//! Standard input as a source.
//!
//! A program that pipes its output in cannot hand its exit status over: if it fails half-way, what arrives looks like a
//! short but whole stream. A [`super::command::CommandSource`] sees the status, so it is the safer way. Where the content
//! is a dump with an end marker, the marker is checked here too.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::content::ContentWriter;
use super::dump_writer::READ_BYTES;
use super::{Estimate, Source, SourceContext, SourceReport, SourceSink};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};
use crate::catalog::manifest::SourceInfo;

/// Whatever comes in on standard input, to its end.
#[derive(Debug)]
pub struct StdinSource {
    extension: String,
    // Standard input itself if there is none.
    input: Option<OwnedFd>,
}

impl StdinSource {
    /// Standard input; `extension` is that of the content.
    #[must_use]
    pub fn new(extension: String) -> Self {
        Self { extension, input: None }
    }

    fn input(&self) -> BorrowedFd<'_> {
        match &self.input {
            Some(input) => input.as_fd(),
            None => rustix::stdio::stdin(),
        }
    }
}

impl Source for StdinSource {
    fn prepare(&mut self, _context: &SourceContext<'_>) -> Result<()> {
        if rustix::termios::isatty(self.input()) {
            return Err(Failure::new(Kind::Usage, "Standard input is a terminal")
                .hint("Pipe something in, or better name the program with --command"));
        }
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "stdin".to_owned(),
            what: "standard input".to_owned(),
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &str {
        &self.extension
    }

    fn estimate(&mut self, _context: &SourceContext<'_>) -> Result<Estimate> {
        // A file that was redirected in has a length.
        let stat = rustix::fs::fstat(self.input()).ok();
        let file = stat.filter(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
        Ok(Estimate {
            plain_bytes: file
                .and_then(|stat| u64::try_from(stat.st_size).ok())
                .filter(|bytes| *bytes > 0),
            items: None,
        })
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let input = self.input();
        let mut writer = ContentWriter::new(sink, context.reporter.progress());
        let mut buffer = vec![0; READ_BYTES];
        let waiter = Waiter::new(context.cancel)?;
        loop {
            waiter.wait(input)?;
            context.cancel.check()?;
            match rustix::io::read(input, &mut buffer[..]) {
                Ok(0) => break,
                Ok(count) => writer.write(&buffer[..count])?,
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(io_failure("read standard input", error.into())),
            }
        }
        context.cancel.check()?;
        let report = writer.finish()?;
        if report.bytes == 0 {
            return Err(Failure::new(Kind::Source, "Standard input was empty")
                .hint("Did the program before the pipe fail? With --command its exit status counts"));
        }
        if let Some(fault) = report.fault {
            return Err(Failure::new(
                Kind::Source,
                format!("The dump on standard input is not whole: {fault}"),
            )
            .hint("The program before the pipe ended early; with --command its exit status and last words are shown"));
        }
        Ok(SourceReport {
            counts: report.counts,
            ..SourceReport::default()
        })
    }
}

/// Waits for input or for cancellation, whichever comes first.
struct Waiter {
    woken: OwnedFd,
    _guard: crate::base::cancel::CancelGuard,
}

impl Waiter {
    fn new(cancel: &Cancel) -> Result<Self> {
        let (woken, waker) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(std::io::Error::from)
            .doing(|| "make a pipe")?;
        // Closing the far end is what wakes: the callback drops it.
        let guard = cancel.on_cancel(move || drop(waker));
        Ok(Self { woken, _guard: guard })
    }

    fn wait(&self, input: BorrowedFd<'_>) -> Result<()> {
        let mut both = [
            PollFd::from_borrowed_fd(input, PollFlags::IN),
            PollFd::new(&self.woken, PollFlags::IN),
        ];
        loop {
            match rustix::event::poll(&mut both, None) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(io_failure("wait for standard input", error.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Recorder;
    use crate::source::testing::MemorySink;
    use std::io::Write;

    fn run(input: OwnedFd, cancel: &Cancel) -> Result<Vec<u8>> {
        let recorder = Recorder::default();
        let context = SourceContext {
            cancel,
            reporter: &recorder,
        };
        let mut source = StdinSource {
            extension: "bin".to_owned(),
            input: Some(input),
        };
        source.prepare(&context)?;
        let mut sink = MemorySink::default();
        source.stream(&mut sink, &context)?;
        Ok(sink.bytes)
    }

    #[test]
    fn everything_that_is_piped_in_arrives() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let content: Vec<u8> = (0..1_000_000u32).map(|n| (n * 7 % 251) as u8).collect();
        let sent = content.clone();
        let thread = std::thread::spawn(move || writer.write_all(&sent).unwrap());
        assert_eq!(run(reader.into(), &Cancel::new()).unwrap(), content);
        thread.join().unwrap();
    }

    #[test]
    fn a_file_can_be_redirected_in() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"content").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(run(file.into(), &Cancel::new()).unwrap(), b"content");
    }

    #[test]
    fn nothing_at_all_and_half_a_dump_are_failures() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(writer);
        assert_eq!(run(reader.into(), &Cancel::new()).unwrap_err().kind(), Kind::Source);
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer
            .write_all(b"--\n-- PostgreSQL database dump\n--\nSELECT 1;\n")
            .unwrap();
        drop(writer);
        let failure = run(reader.into(), &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Source);
        assert!(failure.message().contains("not whole"), "{failure}");
    }

    #[test]
    fn cancelling_ends_the_wait_for_a_silent_pipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        let cancel = Cancel::new();
        let other = cancel.clone();
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            other.cancel();
        });
        assert_eq!(run(reader.into(), &cancel).unwrap_err().kind(), Kind::Interrupted);
        canceller.join().unwrap();
        drop(writer);
    }
}
