//! Judges whether a plain SQL dump is whole, by the marks that `pg_dump` leaves in it.

use super::lexer::{Lexer, Statement, Visitor};

const HEADER: &[u8] = b"PostgreSQL database dump";
const FOOTER: &[u8] = b"PostgreSQL database dump complete";
const CLUSTER_HEADER: &[u8] = b"PostgreSQL database cluster dump";
const CLUSTER_FOOTER: &[u8] = b"PostgreSQL database cluster dump complete";

/// Who wrote a script, by its first comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// Nobody who leaves an end marker.
    #[default]
    Other,
    /// `pg_dump`.
    Database,
    /// `pg_dumpall`.
    Cluster,
}

/// Follows a script and knows at its end whether it is whole.
#[derive(Debug, Default)]
pub struct Ending {
    flavour: Flavour,
    begun: bool,
    complete: bool,
    restricted: Option<Vec<u8>>,
    uses_restrict: bool,
}

impl Ending {
    /// Of a script that is known to be by `flavour`, however little of it there is.
    #[must_use]
    pub fn of(flavour: Flavour) -> Self {
        Self {
            flavour,
            ..Self::default()
        }
    }

    /// Who wrote the script.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Whether the script uses `\restrict`, which older versions of `psql` do not know.
    #[must_use]
    pub fn uses_restrict(&self) -> bool {
        self.uses_restrict
    }

    /// Why the script, which has been read to its end by `lexer`, is not whole; `None` if it is.
    #[must_use]
    pub fn fault(&self, lexer: &Lexer) -> Option<String> {
        if lexer.offset() == 0 {
            return Some("it is empty".to_owned());
        }
        if let Some(place) = lexer.open_end() {
            return Some(format!("it ends {place}"));
        }
        let marker = match self.flavour {
            Flavour::Other => return None,
            Flavour::Database => FOOTER,
            Flavour::Cluster => CLUSTER_FOOTER,
        };
        if !self.complete {
            return Some(format!(
                "its end marker `-- {}` is missing",
                String::from_utf8_lossy(marker)
            ));
        }
        if self.restricted.is_some() {
            return Some("the `\\unrestrict` that belongs to its `\\restrict` is missing".to_owned());
        }
        None
    }

    fn content(&mut self) {
        self.begun = true;
        self.complete = false;
    }
}

impl Visitor for Ending {
    fn comment(&mut self, _start: u64, text: &[u8]) {
        if !self.begun && self.flavour == Flavour::Other {
            match text {
                HEADER => self.flavour = Flavour::Database,
                CLUSTER_HEADER => self.flavour = Flavour::Cluster,
                _ => {}
            }
        }
        let marker = match self.flavour {
            Flavour::Other => return,
            Flavour::Database => FOOTER,
            Flavour::Cluster => CLUSTER_FOOTER,
        };
        if text == marker {
            self.complete = true;
        }
    }

    fn command(&mut self, _start: u64, text: &[u8]) {
        if let Some(key) = text.strip_prefix(b"\\restrict ") {
            self.uses_restrict = true;
            self.restricted = Some(key.trim_ascii().to_vec());
            // It stands before the first statement and is no content, but a marker cannot come before it.
            self.complete = false;
        } else if let Some(key) = text.strip_prefix(b"\\unrestrict ") {
            if self.restricted.as_deref() == Some(key.trim_ascii()) {
                self.restricted = None;
            }
        } else {
            self.content();
        }
    }

    fn statement(&mut self, _statement: &Statement<'_>) {
        self.content();
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn fault(script: &[u8]) -> Option<String> {
        fault_in(Ending::default(), script)
    }

    fn fault_in(mut ending: Ending, script: &[u8]) -> Option<String> {
        let mut lexer = Lexer::default();
        lexer.scan(script, &mut ending);
        lexer.finish(&mut ending);
        ending.fault(&lexer)
    }

    #[test]
    fn whole_dumps_are_whole() {
        for dump in [samples::RESTRICTED, samples::OLDER, samples::INSERTS] {
            assert_eq!(fault(dump.as_bytes()), None);
        }
        assert_eq!(fault(b"create table t(i int);\ninsert into t values (1);\n"), None);
    }

    #[test]
    fn a_dump_cut_anywhere_before_its_end_is_not_whole() {
        for dump in [samples::RESTRICTED, samples::OLDER, samples::INSERTS] {
            let header = dump.find("database dump\n").unwrap() + "database dump\n".len();
            let last = match dump.rfind("\\unrestrict") {
                Some(_) => dump.trim_end().len(),
                None => dump.rfind(" dump complete").unwrap() + " dump complete".len(),
            };
            for cut in header..last {
                assert!(
                    fault(&dump.as_bytes()[..cut]).is_some(),
                    "cut at {cut}: {}",
                    &dump[..cut]
                );
            }
            for cut in last..=dump.len() {
                assert_eq!(fault(&dump.as_bytes()[..cut]), None, "cut at {cut}");
            }
            // Who knows that pg_dump wrote it misses the marker even if the header never came.
            for cut in 0..=dump.len() {
                let fault = fault_in(Ending::of(Flavour::Database), &dump.as_bytes()[..cut]);
                assert_eq!(fault.is_none(), cut >= last, "cut at {cut}: {fault:?}");
            }
        }
    }

    #[test]
    fn data_that_looks_like_the_marker_does_not_count() {
        let marker = "--\n-- PostgreSQL database dump complete\n--\n";
        let header = "--\n-- PostgreSQL database dump\n--\n\n";
        for script in [
            format!("{header}COPY t (a) FROM stdin;\n{marker}\\.\n"),
            format!("{header}SELECT '\n{marker}';\n"),
            format!("{header}SELECT $x$\n{marker}$x$;\n"),
            format!("{header}/*\n{marker}*/\n"),
            format!("{header}SELECT 1\n{marker};\n"),
            format!("{header}{marker}SELECT 1;\n"),
        ] {
            assert!(fault(script.as_bytes()).is_some(), "{script}");
        }
    }

    #[test]
    fn another_key_does_not_unrestrict() {
        let script = samples::RESTRICTED.replacen("\\unrestrict ", "\\unrestrict x", 1);
        assert!(fault(script.as_bytes()).is_some_and(|fault| fault.contains("unrestrict")));
    }

    #[test]
    fn the_dump_of_a_cluster_ends_with_its_own_marker() {
        let inner = samples::OLDER;
        let head = "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n";
        let tail = "--\n-- PostgreSQL database cluster dump complete\n--\n";
        assert!(fault(format!("{head}{inner}").as_bytes()).is_some());
        assert_eq!(fault(format!("{head}{inner}{tail}").as_bytes()), None);
    }
}
