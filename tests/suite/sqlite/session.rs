//! A database in a folder of its own, and the program `sqlite3` as the application that uses it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::Result;
use backup_cli::base::report::Recorder;
use backup_cli::catalog::index::Entry;
use backup_cli::source::sqlite::{SqliteOptions, SqliteSource};
use backup_cli::source::{Source, SourceContext, SourceReport, SourceSink};

use crate::support::server::fresh_folder;
use crate::support::system_tool;

/// What most tests begin with: a table, an index, a text that is not ASCII, and a blob.
pub const SCHEMA: &str = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT NOT NULL, content BLOB);
    CREATE INDEX item_name ON item (name);
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO item SELECT i, 'größe ' || (i * 7919 % 500), randomblob(400) FROM n;
    CREATE TABLE \"odd \"\"name\" (v); INSERT INTO \"odd \"\"name\" VALUES (NULL), (2), ('three');";

/// A folder with a database `app.db`.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty folder.
    pub fn empty() -> Self {
        Self(fresh_folder("sqlite"))
    }

    /// A database with [`SCHEMA`] in the journal mode `mode`, closed by everybody.
    pub fn with(mode: &str) -> Self {
        let folder = Self::empty();
        sqlite3(
            &folder.db(),
            &format!("PRAGMA journal_mode={mode}; BEGIN; {SCHEMA} COMMIT;"),
        );
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn db(&self) -> PathBuf {
        self.file("app.db")
    }

    pub fn text(&self) -> String {
        self.db().to_str().expect("a path").to_owned()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Every file with its content and its times; of the shared memory, which readers mark, only that it is there.
    pub fn state(&self) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        let mut state = BTreeMap::new();
        for entry in std::fs::read_dir(self.path()).expect("the folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_str().expect("a name").to_owned();
            // A link may point nowhere.
            let has_no_content = name.ends_with("-shm") || !entry.path().is_file();
            let seen = match has_no_content {
                true => (Vec::new(), SystemTime::UNIX_EPOCH),
                false => (
                    std::fs::read(entry.path()).expect("a file"),
                    entry.metadata().expect("a file").modified().expect("a time"),
                ),
            };
            state.insert(name, seen);
        }
        state
    }

    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        self.state().into_keys().collect()
    }
}

/// Runs `sqlite3` on a database and returns what it prints.
#[track_caller]
pub fn sqlite3(path: &Path, sql: &str) -> String {
    run_sqlite3(&[], path, sql)
}

/// Asks a database without writing to it. One that nobody uses and that has a log gets its shared memory by this.
#[track_caller]
pub fn ask(path: &Path, sql: &str) -> String {
    run_sqlite3(&["-readonly"], path, sql)
}

#[track_caller]
fn run_sqlite3(options: &[&str], path: &Path, sql: &str) -> String {
    let output = Command::new(system_tool("sqlite3"))
        .args(["-batch", "-bail", "-init", "/dev/null"])
        .args(options)
        .arg(path)
        .arg(sql)
        .output()
        .expect("sqlite3 starts");
    assert!(
        output.status.success(),
        "sqlite3 {sql}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The whole content as SQL, read from a private copy of the file alone.
#[track_caller]
pub fn dump_of(content: &[u8]) -> String {
    let folder = fresh_folder("dump");
    let path = folder.path().join("copy.db");
    std::fs::write(&path, content).expect("a file");
    assert_eq!(ask(&path, "PRAGMA integrity_check"), "ok\n");
    ask(&path, ".dump")
}

/// The whole content of a database file that has nothing beside it.
#[track_caller]
pub fn dump(path: &Path) -> String {
    dump_of(&std::fs::read(path).expect("the database"))
}

/// Runs the source as a library would, and returns the copy.
pub fn copy_with(path: &Path, wait: Duration, between: impl FnOnce()) -> Result<(Copied, SourceReport)> {
    let recorder = Recorder::default();
    let context = SourceContext {
        cancel: &Cancel::new(),
        reporter: &recorder,
    };
    let mut options = SqliteOptions::new(path.to_owned());
    options.lock_wait = wait;
    let mut source = SqliteSource::new(options);
    source.prepare(&context)?;
    source.estimate(&context)?;
    between();
    let mut copied = Copied::default();
    let report = source.stream(&mut copied, &context)?;
    Ok((copied, report))
}

pub fn copy(path: &Path) -> Result<(Copied, SourceReport)> {
    copy_with(path, Duration::from_secs(20), || ())
}

/// What a source has written.
#[derive(Default)]
pub struct Copied {
    pub bytes: Vec<u8>,
    pub entries: Vec<Entry>,
}

impl Write for Copied {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SourceSink for Copied {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn cut(&mut self) -> Result<()> {
        Ok(())
    }
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries.push(entry.clone());
        Ok(())
    }
}

/// An application: `sqlite3` in a process of its own, which keeps the database open between statements.
pub struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    asked: u32,
}

impl Session {
    pub fn open(path: &Path) -> Self {
        // What it prints is wanted at once.
        let mut child = Command::new(system_tool("stdbuf"))
            .arg("-o0")
            .arg(system_tool("sqlite3"))
            .args(["-batch", "-init", "/dev/null"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3 starts");
        let mut session = Self {
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
            asked: 0,
        };
        session.run(".timeout 20000");
        session
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs statements and returns what they print.
    pub fn run(&mut self, sql: &str) -> String {
        self.asked += 1;
        let end = format!("-- end {}", self.asked);
        writeln!(self.input, "{sql}\n.print '{end}'").expect("sqlite3 reads");
        let mut answer = String::new();
        loop {
            let mut line = String::new();
            assert!(
                self.output.read_line(&mut line).expect("sqlite3 answers") > 0,
                "sqlite3 ended: {answer}"
            );
            if line.trim_end() == end {
                return answer;
            }
            answer.push_str(&line);
        }
    }

    /// Ends as if the machine had lost its power, as far as a process can: no word, no clearing up.
    pub fn kill(mut self) {
        self.child.kill().expect("it is there");
        self.child.wait().expect("it ends");
    }

    /// Ends in order.
    pub fn close(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        child.wait().expect("it ends");
    }
}
