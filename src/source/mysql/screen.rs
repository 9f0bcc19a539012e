//! Looks at each statement of a script on its way into a client: what would leave its database is stopped, what belongs
//! to another database or to the whole server is left out or changed.

use std::collections::BTreeSet;

use super::rewrite::{Chain, Edits, chains, disable_event, unqualify, unqualify_sequences, unqualify_view};
use super::tokens::{Piece, tokens};
use crate::base::failure::{Failure, Kind, Result};

/// First words of statements that a dump may have and that stay in their database.
const ORDINARY: &[&str] = &[
    "alter", "analyze", "begin", "commit", "create", "delete", "do", "drop", "insert", "lock", "rename", "replace",
    "select", "set", "start", "truncate", "unlock", "update", "use",
];

/// What can be created, altered and dropped in a database.
const OBJECTS: &[&str] = &[
    "event",
    "function",
    "index",
    "package",
    "procedure",
    "sequence",
    "table",
    "tables",
    "trigger",
    "view",
];

/// Words before the kind of what is created.
const MODIFIERS: &[&str] = &[
    "aggregate",
    "algorithm",
    "definer",
    "fulltext",
    "if",
    "merge",
    "not",
    "exists",
    "online",
    "or",
    "offline",
    "replace",
    "security",
    "spatial",
    "sql",
    "temporary",
    "temptable",
    "undefined",
    "unique",
    "invoker",
];

/// What is to be done with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Passed on with these changes.
    Pass(Edits),
    /// Left out.
    Drop,
}

/// Follows a script.
#[derive(Debug, Default)]
pub struct Screen {
    /// The database that the dump is of, by its header or by its `USE`.
    origin: Option<Vec<u8>>,
    /// Whether a statement has said so, and not only a comment.
    origin_is_stated: bool,
    /// The events that are to run at the end.
    pub events: BTreeSet<String>,
    /// What the user should know about it, each once.
    pub warnings: BTreeSet<String>,
}

impl Screen {
    /// Takes a comment in, of which the first ones name the database.
    pub fn comment(&mut self, text: &[u8]) {
        const DATABASE: &[u8] = b" Database: ";
        if self.origin.is_none()
            && text.starts_with(b"Host: ")
            && let Some(at) = memchr::memmem::find(text, DATABASE)
        {
            let name = text[at + DATABASE.len()..].trim_ascii();
            self.origin = Some(name.to_vec()).filter(|name| !name.is_empty());
        }
    }

    /// What is to be done with a statement, of which `text` is all, or the beginning if it inserts rows.
    ///
    /// # Errors
    /// [`Kind::Refused`] for what would leave its database.
    pub fn judge(&mut self, text: &[u8]) -> Result<Verdict> {
        let pieces: Vec<Piece<'_>> = tokens(text).collect();
        let Some(first) = pieces.first() else {
            return Ok(Verdict::Pass(Edits::new()));
        };
        let word = String::from_utf8_lossy(first.text).to_ascii_lowercase();
        if !ORDINARY.contains(&word.as_str()) {
            return Err(refusal(&word));
        }
        match word.as_str() {
            "set" => self.judge_set(&pieces),
            "use" => self.state_origin(pieces.get(1)),
            "create" | "drop" | "alter" => self.judge_definition(&word, text, &pieces),
            "insert" | "replace" => self.within(&pieces, &["values", "value", "select", "set"], false),
            "update" => self.within(&pieces, &["set"], false),
            "delete" => self.within(&pieces, &["where"], false),
            "select" if pieces.iter().any(|piece| piece.is_word("into")) => Err(refusal("select … into")),
            "select" | "do" => Ok(Verdict::Pass(unqualify_sequences(
                text,
                self.origin.as_deref().unwrap_or_default(),
            ))),
            // Nobody else is in the database that is filled, and under a lock no sequence could be used.
            "lock" => self.within(&pieces, &[], true).map(|_| Verdict::Drop),
            "unlock" => Ok(Verdict::Drop),
            "rename" | "truncate" | "analyze" => self.within(&pieces, &[], true),
            _ => Ok(Verdict::Pass(Edits::new())),
        }
    }

    /// Names up to one of these words, or to the first parenthesis, must be of this database.
    fn within(&self, pieces: &[Piece<'_>], until: &[&str], through_parens: bool) -> Result<Verdict> {
        let end = pieces
            .iter()
            .position(|piece| (!through_parens && piece.is_sign(b'(')) || until.iter().any(|word| piece.is_word(word)))
            .unwrap_or(pieces.len());
        self.own(&chains(&pieces[..end]))
    }

    fn own(&self, chains: &[Chain<'_>]) -> Result<Verdict> {
        match unqualify(chains, self.origin.as_deref()) {
            Ok(edits) => Ok(Verdict::Pass(edits)),
            Err(other) => Err(Failure::new(
                Kind::Refused,
                format!(
                    "The dump would change another database: `{}`",
                    String::from_utf8_lossy(&other)
                ),
            )
            .hint("Make a dump of one database by itself; or restore it by hand: restore --to - | mariadb")),
        }
    }

    fn judge_set(&mut self, pieces: &[Piece<'_>]) -> Result<Verdict> {
        let has = |word: &str| pieces.iter().any(|piece| piece.is_word(word));
        if has("gtid_purged") {
            self.warnings.insert(
                "The dump's place in the replication of its server (GTID_PURGED) was left out: it is a property of a whole server."
                    .to_owned(),
            );
            return Ok(Verdict::Drop);
        }
        if has("sql_log_bin") {
            // What is restored has to reach the replicas of this server.
            return Ok(Verdict::Drop);
        }
        for word in ["global", "persist", "persist_only", "password", "role", "statement"] {
            if has(word) {
                return Err(refusal(&format!("set {word}")));
            }
        }
        Ok(Verdict::Pass(Edits::new()))
    }

    fn judge_definition(&mut self, word: &str, text: &[u8], pieces: &[Piece<'_>]) -> Result<Verdict> {
        let Some(kind_at) = kind_of(pieces) else {
            return Err(refusal(word));
        };
        let kind = String::from_utf8_lossy(pieces[kind_at].text).to_ascii_lowercase();
        if matches!(kind.as_str(), "database" | "schema") {
            return self.judge_database(word, &pieces[kind_at + 1..]);
        }
        if !OBJECTS.contains(&kind.as_str()) || (word == "alter" && kind == "event") {
            return Err(refusal(&format!("{word} {kind}")));
        }
        let rest = &pieces[kind_at..];
        let origin = self.origin.clone().unwrap_or_default();
        match (word, kind.as_str()) {
            ("create", "view") | ("alter", "view") => {
                self.within(rest, &["as"], false)?;
                Ok(Verdict::Pass(unqualify_view(text, &origin)))
            }
            ("create", "trigger") => self.within(rest, &["for"], false),
            ("create", "event") => {
                let Verdict::Pass(mut edits) = self.within(rest, &["on"], false)? else {
                    return Ok(Verdict::Drop);
                };
                if let Some((disable, name)) = disable_event(text) {
                    edits.extend(disable);
                    self.events.insert(name);
                }
                Ok(Verdict::Pass(edits))
            }
            ("create", "function") if pieces.iter().any(|piece| piece.is_word("soname")) => {
                Err(refusal("create function … soname"))
            }
            ("create", "package") => self.within(rest, &["as", "is", "comment", "sql"], false),
            ("create", "table") => {
                let Verdict::Pass(mut edits) = self.within(rest, &["as", "like", "select"], false)? else {
                    return Ok(Verdict::Drop);
                };
                edits.extend(unqualify_sequences(text, &origin));
                Ok(Verdict::Pass(edits))
            }
            ("create", _) => self.within(rest, &[], false),
            (_, _) => {
                let found: Vec<Chain<'_>> = chains(pieces)
                    .into_iter()
                    // A reference to another database is read and not written.
                    .filter(|chain| {
                        !chain
                            .at
                            .checked_sub(1)
                            .is_some_and(|at| pieces[at].is_word("references"))
                    })
                    .filter(|chain| depth(&pieces[..chain.at]) == 0)
                    .collect();
                self.own(&found)
            }
        }
    }

    /// A dump of one database may create it and stand in it; here it is another one, which is there already.
    fn judge_database(&mut self, word: &str, rest: &[Piece<'_>]) -> Result<Verdict> {
        let name = rest
            .iter()
            .find(|piece| !["if", "not", "exists"].iter().any(|word| piece.is_word(word)));
        if word != "alter" {
            return self.state_origin(name);
        }
        // Around routines that were made under another default, which is set for a moment.
        let is_name = |piece: &&Piece<'_>| {
            !["character", "charset", "collate", "default"]
                .iter()
                .any(|word| piece.is_word(word))
        };
        let Some(name) = name.filter(is_name) else {
            return Ok(Verdict::Pass(Edits::new()));
        };
        if self.origin.is_some() && name.name() == self.origin {
            return Ok(Verdict::Pass(vec![(name.start..name.end(), Vec::new())]));
        }
        Err(refusal("alter database"))
    }

    fn state_origin(&mut self, name: Option<&Piece<'_>>) -> Result<Verdict> {
        let name = name.and_then(Piece::name);
        if self.origin_is_stated && name != self.origin {
            return Err(Failure::new(
                Kind::Refused,
                format!(
                    "The dump holds several databases: `{}` and `{}`",
                    String::from_utf8_lossy(self.origin.as_deref().unwrap_or_default()),
                    String::from_utf8_lossy(name.as_deref().unwrap_or_default())
                ),
            )
            .hint("Make a dump of each by itself; or restore it by hand: restore --to - | mariadb"));
        }
        self.origin = name;
        self.origin_is_stated = true;
        Ok(Verdict::Drop)
    }
}

/// Where the kind of what is created, altered or dropped stands.
fn kind_of(pieces: &[Piece<'_>]) -> Option<usize> {
    let mut at = 1;
    loop {
        let piece = pieces.get(at)?;
        if piece.is_word("definer") && pieces.get(at + 1).is_some_and(|piece| piece.is_sign(b'=')) {
            // `user`@`host`, CURRENT_USER, CURRENT_USER().
            at += 3;
            while pieces
                .get(at)
                .is_some_and(|piece| piece.is_sign(b'(') || piece.is_sign(b')'))
            {
                at += 1;
            }
            if pieces.get(at).is_some_and(|piece| piece.is_sign(b'@')) {
                at += 2;
            }
        } else if piece.is_sign(b'=') || MODIFIERS.iter().any(|word| piece.is_word(word)) {
            at += 1;
        } else {
            return (piece.kind == super::tokens::Token::Word).then_some(at);
        }
    }
}

fn depth(pieces: &[Piece<'_>]) -> i64 {
    pieces
        .iter()
        .map(|piece| i64::from(piece.is_sign(b'(')) - i64::from(piece.is_sign(b')')))
        .sum()
}

fn refusal(what: &str) -> Failure {
    let what: String = what.chars().take(40).collect();
    Failure::new(
        Kind::Refused,
        format!(
            "The dump would change more than its own database: `{}`",
            what.to_uppercase()
        ),
    )
    .hint("No dump of one database needs that; if you trust it, restore it by hand: restore --to - | mariadb DATABASE")
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::apply;
    use super::*;

    fn screen() -> Screen {
        let mut screen = Screen::default();
        screen.comment(b"Host: localhost    Database: shop");
        screen
    }

    fn passed(statement: &str) -> Option<String> {
        match screen()
            .judge(statement.as_bytes())
            .unwrap_or_else(|failure| panic!("{statement}: {failure:?}"))
        {
            Verdict::Pass(edits) => Some(String::from_utf8(apply(statement.as_bytes(), &edits)).unwrap()),
            Verdict::Drop => None,
        }
    }

    #[test]
    fn what_stays_in_its_database_passes_as_it_is() {
        for statement in [
            "/*!40101 SET NAMES utf8mb4 */",
            "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'",
            "DROP TABLE IF EXISTS `t`",
            "CREATE TABLE `t` (`a` int, CONSTRAINT `c` FOREIGN KEY (`a`) REFERENCES `other`.`t` (`id`)) ENGINE=InnoDB",
            "CREATE TABLE t LIKE other.u",
            "INSERT INTO `t` VALUES (1,'DROP DATABASE x; other.t')",
            "INSERT INTO t SELECT * FROM other.u",
            "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
            "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES other.u (b)",
            "CREATE SEQUENCE `s` start with 1 ENGINE=InnoDB",
            "DO SETVAL(`s`, 7, 0)",
            "SELECT SETVAL(`s`, 7, 0)",
            "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`%`*/ /*!50003 TRIGGER `t` BEFORE INSERT ON `a` FOR EACH ROW insert into other.b values (1) */",
            "CREATE DEFINER=CURRENT_USER() FUNCTION `f`() RETURNS int return 1",
            "CREATE DEFINER=`r`@`%` PROCEDURE `p`(a int) select * from other.t",
            "CREATE OR REPLACE AGGREGATE FUNCTION f(x int) RETURNS int return 1",
            "CREATE DEFINER=\"r\"@\"%\" PACKAGE BODY \"pk\" as procedure p() as begin select other.t.a; end; end",
            "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50013 DEFINER=`r`@`%` SQL SECURITY DEFINER */ /*!50001 VIEW `v` AS select 1 from `other`.`t` */",
            "/*!50001 DROP VIEW IF EXISTS `v`*/",
            "/*!50106 DROP EVENT IF EXISTS `e` */",
            "CREATE UNIQUE INDEX i ON t (a)",
            "UPDATE t SET t.a = 1",
            "DELETE FROM t WHERE t.a = 1",
            "COMMIT",
        ] {
            assert_eq!(passed(statement).as_deref(), Some(statement));
        }
    }

    #[test]
    fn what_names_its_own_database_is_changed_and_what_is_of_the_server_is_left_out() {
        for (statement, expected) in [
            (
                "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */",
                None,
            ),
            ("USE `shop`", None),
            ("LOCK TABLES `t` WRITE", None),
            ("UNLOCK TABLES", None),
            ("DROP DATABASE IF EXISTS `shop`", None),
            ("SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1-5'", None),
            ("SET @@SESSION.SQL_LOG_BIN= 0", None),
            (
                "ALTER DATABASE `shop` CHARACTER SET latin1 COLLATE latin1_swedish_ci ",
                Some("ALTER DATABASE  CHARACTER SET latin1 COLLATE latin1_swedish_ci "),
            ),
            ("DROP TABLE `shop`.`t`", Some("DROP TABLE `t`")),
            ("INSERT INTO shop.t VALUES (1)", Some("INSERT INTO t VALUES (1)")),
            (
                "CREATE trigger shop.t before insert on `shop` . t for each row insert into shop.x values (1)",
                Some("CREATE trigger t before insert on t for each row insert into shop.x values (1)"),
            ),
            (
                "CREATE VIEW `v` AS select `shop`.`t`.`a` from `shop`.`t`",
                Some("CREATE VIEW `v` AS select `t`.`a` from `t`"),
            ),
            (
                "CREATE TABLE `t` (`a` int DEFAULT nextval(`shop`.`s`))",
                Some("CREATE TABLE `t` (`a` int DEFAULT nextval(`s`))"),
            ),
            (
                "CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY ENABLE DO delete from other.t",
                Some("CREATE EVENT `e` ON SCHEDULE EVERY 1 DAY DISABLE DO delete from other.t"),
            ),
        ] {
            assert_eq!(passed(statement).as_deref(), expected, "{statement}");
        }
        let mut screen = screen();
        screen.judge(b"create event a on schedule every 1 day do x").unwrap();
        screen
            .judge(b"create event b on schedule every 1 day disable do x")
            .unwrap();
        assert_eq!(screen.events.into_iter().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn ways_out_of_the_database_are_refused() {
        for statement in [
            "CREATE TABLE other.t (a int)",
            "INSERT INTO `other`.`t` VALUES (1)",
            "REPLACE other.t VALUES (1)",
            "DROP TABLE a, other.b",
            "ALTER TABLE t RENAME TO other.t",
            "RENAME TABLE t TO other.t",
            "TRUNCATE other.t",
            "LOCK TABLES other.t WRITE",
            "UPDATE other.t SET a = 1",
            "DELETE FROM other.t WHERE a = 1",
            "CREATE TRIGGER t BEFORE INSERT ON other.t FOR EACH ROW set @x = 1",
            "CREATE VIEW other.v AS select 1",
            "CREATE PROCEDURE other.p() select 1",
            "CREATE FUNCTION other.f() returns int return 1",
            "CREATE FUNCTION f RETURNS int SONAME 'x.so'",
            "CREATE EVENT other.e ON SCHEDULE EVERY 1 DAY DO x",
            "ALTER EVENT e ENABLE",
            "ALTER DATABASE `other` CHARACTER SET latin1",
            "/*!50003 SET GLOBAL event_scheduler = 1 */",
            "SET PASSWORD = 'x'",
            "SET @@global.read_only = 1",
            "SET STATEMENT max_statement_time=1 FOR DROP DATABASE x",
            "CREATE USER u",
            "GRANT ALL ON *.* TO u",
            "DROP USER u",
            "CREATE ROLE r",
            "ALTER USER u IDENTIFIED BY 'x'",
            "/*!50003 CREATE USER u */",
            "GRANT r TO u",
            "REVOKE ALL ON *.* FROM u",
            "SELECT 1 FROM t INTO DUMPFILE '/tmp/x'",
            "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x')",
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "CALL other.p()",
            "PREPARE s FROM 'DROP DATABASE x'",
            "EXECUTE IMMEDIATE 'DROP DATABASE x'",
            "CHANGE MASTER TO MASTER_HOST='x'",
            "INSTALL PLUGIN x SONAME 'y'",
            "FLUSH PRIVILEGES",
            "KILL 1",
            "SHUTDOWN",
        ] {
            let failure = screen().judge(statement.as_bytes()).expect_err(statement);
            assert_eq!(failure.kind(), Kind::Refused, "{statement}");
            assert!(!failure.hints().is_empty());
        }
        let mut several = Screen::default();
        several.judge(b"CREATE DATABASE `a`").unwrap();
        several.judge(b"USE `a`").unwrap();
        assert!(several.judge(b"USE `b`").unwrap_err().message().contains("several"));
    }
}
