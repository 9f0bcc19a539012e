//! Changes to single statements: names without their database, events that do not run yet.

use std::ops::Range;

use super::tokens::{Piece, Token, tokens};

/// Places of a statement, in order, and what takes their place.
pub type Edits = Vec<(Range<usize>, Vec<u8>)>;

/// Functions of sequences, which the server shows with the sequence's database.
const SEQUENCE_FUNCTIONS: &[&str] = &["nextval", "lastval", "setval"];

/// A name with its qualifiers: `database.table`, `database.table.column`.
#[derive(Debug)]
pub struct Chain<'a> {
    /// The names, first to last.
    pub names: Vec<Piece<'a>>,
    /// Where it stands among the statement's pieces.
    pub at: usize,
}

impl Chain<'_> {
    /// The first name, if others follow it.
    #[must_use]
    pub fn qualifier(&self) -> Option<Vec<u8>> {
        match self.names.as_slice() {
            [first, _, ..] => first.name(),
            _ => None,
        }
    }

    /// The change that takes the first name away, with the dot behind it.
    fn unqualified(&self) -> Option<(Range<usize>, Vec<u8>)> {
        match self.names.as_slice() {
            [first, second, ..] => Some((first.start..second.start, Vec::new())),
            _ => None,
        }
    }
}

/// The names with qualifiers among the pieces of a statement.
#[must_use]
pub fn chains<'a>(pieces: &[Piece<'a>]) -> Vec<Chain<'a>> {
    let mut chains = Vec::new();
    let mut at = 0;
    while at < pieces.len() {
        if !matches!(pieces[at].kind, Token::Word | Token::Name) {
            at += 1;
            continue;
        }
        let begin = at;
        let mut names = vec![pieces[at]];
        while pieces.get(at + 1).is_some_and(|piece| piece.is_sign(b'.'))
            && let Some(next) = pieces
                .get(at + 2)
                .filter(|piece| matches!(piece.kind, Token::Word | Token::Name))
        {
            names.push(*next);
            at += 2;
        }
        chains.push(Chain { names, at: begin });
        at += 1;
    }
    chains
}

/// The changes after which a view no longer names `database`, which it then takes from the session.
#[must_use]
pub fn unqualify_view(statement: &[u8], database: &[u8]) -> Edits {
    let pieces: Vec<Piece<'_>> = tokens(statement).collect();
    let places = table_places(&pieces);
    chains(&pieces)
        .iter()
        .filter(|chain| chain.qualifier().as_deref() == Some(database))
        .filter(|chain| {
            // With two names the first may be a table's, and a table may be called as its database.
            let after = pieces.get(chain.at + 2 * chain.names.len() - 1);
            chain.names.len() > 2
                || places[chain.at]
                || after.is_some_and(|piece| piece.is_sign(b'('))
                || is_sequence_argument(&pieces, chain.at)
        })
        .filter_map(Chain::unqualified)
        .collect()
}

/// The changes after which the defaults of a table no longer name `database` for their sequences.
#[must_use]
pub fn unqualify_sequences(statement: &[u8], database: &[u8]) -> Edits {
    let pieces: Vec<Piece<'_>> = tokens(statement).collect();
    chains(&pieces)
        .iter()
        .filter(|chain| chain.qualifier().as_deref() == Some(database) && is_sequence_argument(&pieces, chain.at))
        .filter_map(Chain::unqualified)
        .collect()
}

/// The change that takes `database` away from each of these names; the first that names another database instead.
///
/// # Errors
/// That other database.
pub fn unqualify(chains: &[Chain<'_>], database: Option<&[u8]>) -> Result<Edits, Vec<u8>> {
    let mut edits = Edits::new();
    for chain in chains {
        match chain.qualifier() {
            None => {}
            Some(name) if Some(name.as_slice()) == database => edits.extend(chain.unqualified()),
            Some(other) => return Err(other),
        }
    }
    Ok(edits)
}

fn is_sequence_argument(pieces: &[Piece<'_>], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|at| pieces.get(at));
    let is_function = |piece: &Piece<'_>| SEQUENCE_FUNCTIONS.iter().any(|name| piece.is_word(name));
    (before(1).is_some_and(|piece| piece.is_sign(b'(')) && before(2).is_some_and(is_function))
        || (before(1).is_some_and(|piece| piece.is_word("for"))
            && before(2).is_some_and(|piece| piece.is_word("value")))
}

/// For each piece whether a table may be named there: after `FROM` and `JOIN`, through parentheses, and after `VIEW`.
fn table_places(pieces: &[Piece<'_>]) -> Vec<bool> {
    // Of each open parenthesis, whether a `SELECT` stands in it: the `FROM` of `TRIM(x FROM y)` names no table.
    let mut selects = vec![false];
    let mut is_place = false;
    pieces
        .iter()
        .map(|piece| {
            let here = is_place;
            if piece.is_sign(b'(') {
                selects.push(false);
            } else {
                if piece.is_sign(b')') {
                    selects.pop();
                }
                if selects.is_empty() {
                    selects.push(false);
                }
                let last = selects.len() - 1;
                selects[last] |= piece.is_word("select");
                let from = piece.is_word("from") && selects[last];
                is_place = from || ["join", "straight_join", "view"].iter().any(|word| piece.is_word(word));
            }
            here
        })
        .collect()
}

/// The change after which an event that is created does not run, and the event's name; `None` if it would not run anyway.
#[must_use]
pub fn disable_event(statement: &[u8]) -> Option<(Edits, String)> {
    let (name, state) = event_state(statement)?;
    let edit = match state {
        EventState::Disabled { .. } => return None,
        EventState::Enabled { range } => (range, b"DISABLE".to_vec()),
        EventState::Unsaid { at } => (at..at, b"DISABLE ".to_vec()),
    };
    Some((vec![edit], name))
}

/// The change after which an event that is created runs; `None` if it would run anyway, or belongs to a replica.
#[must_use]
pub fn enable_event(statement: &[u8]) -> Option<Edits> {
    match event_state(statement)?.1 {
        EventState::Disabled {
            range,
            everywhere: true,
        } => Some(vec![(range, b"ENABLE".to_vec())]),
        _ => None,
    }
}

/// What the statement that makes an event says of whether it runs.
enum EventState {
    Enabled { range: Range<usize> },
    Disabled { range: Range<usize>, everywhere: bool },
    Unsaid { at: usize },
}

fn event_state(statement: &[u8]) -> Option<(String, EventState)> {
    let pieces: Vec<Piece<'_>> = tokens(statement).collect();
    let event = pieces.iter().position(|piece| piece.is_word("event"))?;
    let chain = chains(&pieces)
        .into_iter()
        .find(|chain| chain.at > event && !["if", "not", "exists"].iter().any(|word| chain.names[0].is_word(word)))?;
    let name = chain.names.last()?.name()?;
    let name = String::from_utf8_lossy(&name).into_owned();
    // What follows the name cannot be one of these words before its time.
    let body = chain.at + 2 * chain.names.len() - 1;
    let at = body
        + pieces.get(body..)?.iter().position(|piece| {
            ["enable", "disable", "comment", "do"]
                .iter()
                .any(|word| piece.is_word(word))
        })?;
    let piece = pieces[at];
    let range = piece.start..piece.end();
    let state = if piece.is_word("enable") {
        EventState::Enabled { range }
    } else if piece.is_word("disable") {
        let everywhere = !pieces.get(at + 1).is_some_and(|piece| piece.is_word("on"));
        EventState::Disabled { range, everywhere }
    } else {
        EventState::Unsaid { at: range.start }
    };
    Some((name, state))
}

/// The statement with its changes.
#[must_use]
pub fn apply(statement: &[u8], edits: &Edits) -> Vec<u8> {
    let mut out = Vec::with_capacity(statement.len());
    let mut at = 0;
    for (range, replacement) in edits {
        out.extend_from_slice(&statement[at..range.start]);
        out.extend_from_slice(replacement);
        at = range.end;
    }
    out.extend_from_slice(&statement[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_lose_their_own_database_and_nothing_else() {
        for (view, expected) in [
            (
                "CREATE VIEW `v` AS select `shop`.`shop`.`a` AS `a` from ((`shop`.`shop` join `mysql`.`user` `u`) join `shop`.`t`)",
                "CREATE VIEW `v` AS select `shop`.`a` AS `a` from ((`shop` join `mysql`.`user` `u`) join `t`)",
            ),
            // A table that is called as its database.
            (
                "CREATE VIEW `shop`.`v` AS select `shop`.`f`(`shop`.`a`) AS `x` from `shop`",
                "CREATE VIEW `v` AS select `f`(`shop`.`a`) AS `x` from `shop`",
            ),
            (
                "/*!50001 VIEW `v` AS select trim(both 'x' from `shop`.`a`) from `shop` where exists(select 1 from `shop`.`t`) */",
                "/*!50001 VIEW `v` AS select trim(both 'x' from `shop`.`a`) from `shop` where exists(select 1 from `t`) */",
            ),
            (
                "VIEW v AS select nextval(`shop`.`s`), 'shop.t from shop.t'",
                "VIEW v AS select nextval(`s`), 'shop.t from shop.t'",
            ),
        ] {
            let edits = unqualify_view(view.as_bytes(), b"shop");
            assert_eq!(String::from_utf8(apply(view.as_bytes(), &edits)).unwrap(), expected);
        }
    }

    #[test]
    fn defaults_from_sequences_lose_their_database() {
        let table = "CREATE TABLE `t` (`a` int DEFAULT nextval(`shop`.`s`), `shop` int CHECK (`shop`.`a` > 0))";
        let edits = unqualify_sequences(table.as_bytes(), b"shop");
        let expected = "CREATE TABLE `t` (`a` int DEFAULT nextval(`s`), `shop` int CHECK (`shop`.`a` > 0))";
        assert_eq!(String::from_utf8(apply(table.as_bytes(), &edits)).unwrap(), expected);
    }

    #[test]
    fn events_are_created_without_running() {
        for (event, expected, name) in [
            (
                "CREATE DEFINER=`r`@`%` EVENT `e` ON SCHEDULE EVERY 1 HOUR STARTS '2025' ON COMPLETION NOT PRESERVE ENABLE DO select 'enable'",
                "CREATE DEFINER=`r`@`%` EVENT `e` ON SCHEDULE EVERY 1 HOUR STARTS '2025' ON COMPLETION NOT PRESERVE DISABLE DO select 'enable'",
                "e",
            ),
            (
                "/*!50106 CREATE*/ /*!50106 EVENT IF NOT EXISTS `do` ON SCHEDULE AT '2025' COMMENT 'c' DO x */",
                "/*!50106 CREATE*/ /*!50106 EVENT IF NOT EXISTS `do` ON SCHEDULE AT '2025' DISABLE COMMENT 'c' DO x */",
                "do",
            ),
            (
                "create event shop.e on schedule every 1 day do x",
                "create event shop.e on schedule every 1 day DISABLE do x",
                "e",
            ),
        ] {
            let (edits, found) = disable_event(event.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(apply(event.as_bytes(), &edits)).unwrap(), expected);
            assert_eq!(found, name);
        }
        for (event, expected) in [
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE COMMENT 'x' DO x",
                Some("CREATE EVENT e ON SCHEDULE EVERY 1 DAY ENABLE COMMENT 'x' DO x"),
            ),
            ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO x", None),
            ("CREATE EVENT disable ON SCHEDULE EVERY 1 DAY DO disable", None),
        ] {
            let awake =
                enable_event(event.as_bytes()).map(|edits| String::from_utf8(apply(event.as_bytes(), &edits)).unwrap());
            assert_eq!(awake.as_deref(), expected);
        }
        assert!(disable_event(b"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO x").is_none());
    }
}
