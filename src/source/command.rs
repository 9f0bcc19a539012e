//! The standard output of any program as a source.

use std::io::Read;

use super::command_line::{shown_script, shown_words};
use super::content::ContentWriter;
use super::dump_writer::READ_BYTES;
use super::{Estimate, Source, SourceContext, SourceReport, SourceSink};
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::process::{Program, find_program};
use crate::base::secret::redact;
use crate::catalog::manifest::SourceInfo;

const SHELL: &str = "/bin/sh";

/// A program that writes what is to be backed up to its standard output.
///
/// A backup of it exists only if the program exits with 0, has written something, and, where the content is a dump
/// with an end marker, that marker is there.
#[derive(Clone, Debug)]
pub struct CommandSource {
    argv: Vec<String>,
    shell: bool,
    extension: String,
}

impl CommandSource {
    /// A program with its arguments; with `shell`, a script for `sh` and its positional arguments.
    ///
    /// `extension` is that of the output, for example `archive`.
    #[must_use]
    pub fn new(argv: Vec<String>, shell: bool, extension: String) -> Self {
        Self { argv, shell, extension }
    }

    fn program(&self) -> Result<(Program, String)> {
        let Some((first, rest)) = self.argv.split_first().filter(|(first, _)| !first.trim().is_empty()) else {
            return Err(Failure::new(Kind::Usage, "The command is empty")
                .hint("Name a program, for example --command 'mongodump --archive'"));
        };
        if self.shell {
            let program = Program::new(SHELL).arg("-c").arg(first).arg("sh").args(rest);
            return Ok((program, "sh".to_owned()));
        }
        let path = find_program(first).ok_or_else(|| {
            let failure = Failure::new(
                Kind::Tool,
                format!("The command's program is not there: `{}`", redact(first)),
            );
            if first.contains([' ', '|', '>', ';', '&', '$']) {
                failure.hint("The command is run without a shell; ask for one if pipes or variables are wanted")
            } else {
                failure.hint("Is it installed, in PATH and executable?")
            }
        })?;
        let program = Program::new(path).args(rest);
        let name = program.name();
        Ok((program, name))
    }
}

impl Source for CommandSource {
    fn prepare(&mut self, _context: &SourceContext<'_>) -> Result<()> {
        self.program().map(|_| ())
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "command".to_owned(),
            what: match self.argv.as_slice() {
                [script] if self.shell => shown_script(script),
                argv => shown_words(argv),
            },
            options: if self.shell {
                vec!["shell".to_owned()]
            } else {
                Vec::new()
            },
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &str {
        &self.extension
    }

    fn estimate(&mut self, _context: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate::default())
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let (program, name) = self.program()?;
        let mut child = program.start(context.cancel)?;
        let mut writer = ContentWriter::new(sink, context.reporter.progress());
        if let Some(stdout) = child.stdout.as_mut() {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                context.cancel.check()?;
                let count = stdout
                    .read(&mut buffer)
                    .doing(|| format!("read the output of `{name}`"))?;
                if count == 0 {
                    break;
                }
                writer.write(&buffer[..count])?;
            }
        }
        let exit = child.wait()?;
        context.cancel.check()?;
        if !exit.is_success() {
            return Err(exit.failure(Kind::Source, &name));
        }
        let report = writer.finish()?;
        let last_words = |failure: Failure| match exit.stderr_tail.is_empty() {
            true => failure,
            false => failure.caused_by(anyhow::anyhow!("{}", exit.stderr_tail.join("\n"))),
        };
        if report.bytes == 0 {
            return Err(last_words(
                Failure::new(Kind::Source, format!("`{name}` exited with 0 but wrote nothing"))
                    .hint("Does it write to a file instead of standard output?"),
            ));
        }
        if let Some(fault) = report.fault {
            return Err(last_words(
                Failure::new(
                    Kind::Source,
                    format!("The dump that `{name}` wrote is not whole, although it exited with 0: {fault}"),
                )
                .hint(
                    "In a pipe of a shell only the last program's exit status counts; run the dump program by itself",
                ),
            ));
        }
        Ok(SourceReport {
            counts: report.counts,
            ..SourceReport::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::report::Recorder;
    use crate::source::testing::MemorySink;

    fn run_with(source: &mut CommandSource, cancel: &Cancel) -> Result<(Vec<u8>, SourceReport)> {
        let recorder = Recorder::default();
        let context = SourceContext {
            cancel,
            reporter: &recorder,
        };
        source.prepare(&context)?;
        let mut sink = MemorySink::default();
        let report = source.stream(&mut sink, &context)?;
        Ok((sink.bytes, report))
    }

    fn script(text: &str) -> Result<(Vec<u8>, SourceReport)> {
        let mut source = CommandSource::new(vec![text.to_owned()], true, "bin".to_owned());
        run_with(&mut source, &Cancel::new())
    }

    #[test]
    fn output_is_taken_as_it_is_and_without_a_shell() {
        let argv = ["printf", "%s|", "$HOME", "a b"].map(str::to_owned).to_vec();
        let mut source = CommandSource::new(argv, false, "txt".to_owned());
        assert_eq!(run_with(&mut source, &Cancel::new()).unwrap().0, b"$HOME|a b|");
        assert_eq!(source.info().what, "printf '%s|' '$HOME' 'a b'");
        let argv = ["mysqldump", "-pgeheim7", "app"].map(str::to_owned).to_vec();
        let what = CommandSource::new(argv, false, "sql".to_owned()).info().what;
        assert!(!what.contains("geheim7"), "{what}");
        assert_eq!(script("printf 'a\\0b'").unwrap().0, b"a\0b");
    }

    #[test]
    fn ends_that_are_not_good_are_failures() {
        for (text, words) in [
            ("echo whole; echo why >&2; exit 3", "exit status 3"),
            ("echo part; kill -9 $$", "signal 9"),
            ("true", "wrote nothing"),
            ("false", "exit status 1"),
            (
                "printf -- '--\\n-- PostgreSQL database dump\\n--\\nSELECT 1;\\n'",
                "not whole",
            ),
            ("printf -- '-- MySQL dump 10\\nINSERT\\n'; false | true", "not whole"),
        ] {
            let failure = script(text).unwrap_err();
            assert_eq!(failure.kind(), Kind::Source, "{text}");
            assert!(failure.message().contains(words), "{text}: {failure}");
        }
        let failure = script("echo whole; echo why >&2; exit 3").unwrap_err();
        assert_eq!(failure.causes(), ["why"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_known_before_the_start() {
        for argv in [
            vec!["no-such-program-7"],
            vec!["/no/such"],
            vec!["mongodump --archive"],
            vec![],
            vec![" "],
        ] {
            let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
            let failure = run_with(&mut CommandSource::new(argv, false, "x".to_owned()), &Cancel::new()).unwrap_err();
            assert!(matches!(failure.kind(), Kind::Tool | Kind::Usage), "{failure:?}");
            assert!(!failure.hints().is_empty());
        }
    }

    #[test]
    fn cancelling_ends_a_program_that_writes_nothing() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            other.cancel();
        });
        let argv = ["sleep", "60"].map(str::to_owned).to_vec();
        let failure = run_with(&mut CommandSource::new(argv, false, "x".to_owned()), &cancel).unwrap_err();
        assert_eq!(failure.kind(), Kind::Interrupted);
        canceller.join().unwrap();
    }
}
