//! Judges whether a script that the `sqlite3` shell's `.dump` wrote is whole.
//!
//! It writes one transaction, whose `COMMIT` stands last. A shell that meets damage writes `ROLLBACK` in its place, and
//! still exits with 0.

/// Bytes of a statement kept: enough for the words that open and end a transaction.
const STATEMENT_BYTES_MAX: usize = 64;

/// What the shell writes first. A script that goes on in another way is somebody else's.
const OPENING: [&[u8]; 2] = [b"PRAGMA FOREIGN_KEYS=OFF", b"BEGIN TRANSACTION"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    Dash,
    LineComment,
    Slash,
    BlockComment {
        star: bool,
    },
    Quoted(u8),
}

/// Follows a script from its first byte and knows at its end whether it is whole.
#[derive(Debug, Default)]
pub struct Ending {
    state: State,
    is_empty: bool,
    /// The statement that has begun, in upper case, with single spaces.
    open: Vec<u8>,
    is_long: bool,
    last: Vec<u8>,
    count: u64,
    is_by_the_shell: bool,
}

impl Ending {
    /// At the beginning of a script.
    #[must_use]
    pub fn new() -> Self {
        Self {
            is_empty: true,
            is_by_the_shell: true,
            ..Self::default()
        }
    }

    /// Reads the next bytes.
    pub fn scan(&mut self, bytes: &[u8]) {
        self.is_empty &= bytes.is_empty();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            // Rows are mostly long texts, of which only the end matters.
            if let State::Quoted(quote) = self.state {
                at += memchr::memchr(quote, &bytes[at..]).unwrap_or(bytes.len() - at);
                if at < bytes.len() {
                    self.state = State::Plain;
                    at += 1;
                }
                continue;
            }
            self.byte(*byte);
            at += 1;
        }
    }

    /// Why what has been read is not a whole script of the shell's; `None` if it is, or if it is somebody else's.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.is_empty {
            return Some("it is empty".to_owned());
        }
        if !self.is_by_the_shell {
            return None;
        }
        let place = match self.state {
            State::Quoted(_) => Some("in a quoted text or name"),
            State::BlockComment { .. } => Some("in a comment"),
            _ if !self.open.is_empty() => Some("in a statement"),
            _ => None,
        };
        if let Some(place) = place {
            return Some(format!("it ends {place}"));
        }
        match self.last.as_slice() {
            b"COMMIT" => None,
            b"ROLLBACK" => Some("SQLite found damage, gave up and wrote `ROLLBACK` at its end".to_owned()),
            _ => Some("its last statement `COMMIT;` is missing".to_owned()),
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.state {
            State::Dash if byte == b'-' => self.state = State::LineComment,
            State::Slash if byte == b'*' => self.state = State::BlockComment { star: false },
            State::Dash | State::Slash => {
                let held = if self.state == State::Dash { b'-' } else { b'/' };
                self.state = State::Plain;
                self.push(held);
                self.plain(byte);
            }
            State::LineComment => {
                if byte == b'\n' {
                    self.state = State::Plain;
                }
            }
            State::BlockComment { star: true } if byte == b'/' => self.state = State::Plain,
            State::BlockComment { .. } => self.state = State::BlockComment { star: byte == b'*' },
            State::Plain | State::Quoted(_) => self.plain(byte),
        }
    }

    fn plain(&mut self, byte: u8) {
        match byte {
            b';' => self.end_statement(),
            b'-' => self.state = State::Dash,
            b'/' => self.state = State::Slash,
            b'\'' | b'"' | b'`' => {
                self.push(byte);
                self.state = State::Quoted(byte);
            }
            b'[' => {
                self.push(byte);
                self.state = State::Quoted(b']');
            }
            _ if byte.is_ascii_whitespace() => {
                if !self.open.is_empty() && self.open.last() != Some(&b' ') {
                    self.push(b' ');
                }
            }
            _ => self.push(byte.to_ascii_uppercase()),
        }
    }

    fn push(&mut self, byte: u8) {
        match self.open.len() < STATEMENT_BYTES_MAX {
            true => self.open.push(byte),
            false => self.is_long = true,
        }
    }

    fn end_statement(&mut self) {
        self.last.clear();
        if !std::mem::take(&mut self.is_long) {
            self.last.extend_from_slice(self.open.trim_ascii_end());
        }
        self.open.clear();
        let opening = usize::try_from(self.count).ok().and_then(|at| OPENING.get(at));
        self.is_by_the_shell &= opening.is_none_or(|words| *words == self.last.as_slice());
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the shell of 3.40 writes it.
    const DUMP: &str = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a text, [odd;name] int);\n\
        INSERT INTO t VALUES(replace('x\\nCOMMIT;\\ny''s','\\n',char(10)),1);\n\
        CREATE TRIGGER tr AFTER INSERT ON t BEGIN\n-- it's a comment\n/*\nCOMMIT;\n*/\nSELECT 1 - 2 / 3;\nEND;\n\
        CREATE VIEW \"odd\nCOMMIT;\nname\" AS SELECT 1;\nCOMMIT;\n";

    fn fault(script: &[u8], piece: usize) -> Option<String> {
        let mut ending = Ending::new();
        for piece in script.chunks(piece) {
            ending.scan(piece);
        }
        ending.fault()
    }

    #[test]
    fn a_script_of_the_shell_cut_anywhere_is_not_whole() {
        let whole = DUMP.rfind("COMMIT;").unwrap() + "COMMIT;".len();
        for piece in [1, 7, usize::MAX] {
            for cut in 0..whole {
                assert!(
                    fault(&DUMP.as_bytes()[..cut], piece).is_some(),
                    "cut at {cut}: {}",
                    &DUMP[..cut]
                );
            }
            for cut in whole..=DUMP.len() {
                assert_eq!(fault(&DUMP.as_bytes()[..cut], piece), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_script_that_ends_in_a_rollback_is_not_whole_although_the_shell_exits_with_0() {
        let script = DUMP.strip_suffix("COMMIT;\n").unwrap();
        let script = format!("{script}/****** CORRUPTION ERROR *******/\nROLLBACK; -- due to errors\n");
        assert!(fault(script.as_bytes(), 5).is_some_and(|fault| fault.contains("ROLLBACK")));
    }

    #[test]
    fn scripts_of_others_are_not_judged() {
        for script in [
            "PRAGMA foreign_keys=OFF;\nCREATE TABLE t(a);\n",
            "BEGIN TRANSACTION;\nCREATE TABLE t(a);\n",
        ] {
            assert_eq!(fault(script.as_bytes(), 3), None, "{script}");
        }
    }
}
