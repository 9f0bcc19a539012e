//! What a database holds beside tables: views, triggers, routines, events; read from the server and made again elsewhere.

use rand::Rng;

use super::rewrite::{apply, disable_event, enable_event, unqualify_view};
use super::server::{Row, Server, Unanswered, quote_literal, quote_name, text};
use super::tokens::{Piece, tokens};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};

/// What a piece of code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeKind {
    /// A stored function.
    Function,
    /// A stored procedure.
    Procedure,
    /// A package's head.
    Package,
    /// A package's body.
    PackageBody,
    /// A view.
    View,
    /// A trigger of a table.
    Trigger,
    /// An event.
    Event,
}

impl CodeKind {
    fn words(self) -> &'static str {
        match self {
            Self::Function => "FUNCTION",
            Self::Procedure => "PROCEDURE",
            Self::Package => "PACKAGE",
            Self::PackageBody => "PACKAGE BODY",
            Self::View => "VIEW",
            Self::Trigger => "TRIGGER",
            Self::Event => "EVENT",
        }
    }

    /// Where, in the answer of `SHOW CREATE`, stand the mode, the time zone, the statement, and what follows it.
    fn columns(self) -> (Option<usize>, Option<usize>, usize) {
        match self {
            Self::View => (None, None, 1),
            Self::Event => (Some(1), Some(2), 3),
            _ => (Some(1), None, 2),
        }
    }
}

/// One view, trigger, routine or event, with the settings that it was made under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What it is.
    pub kind: CodeKind,
    /// What it is called.
    pub name: String,
    /// The statement that makes it, without the name of its database.
    pub create: Vec<u8>,
    sql_mode: Option<String>,
    time_zone: Option<String>,
    charset: String,
    collation: String,
    database_collation: Option<String>,
}

/// The names of a database's code, each kind in the order in which it can be made.
///
/// # Errors
/// What the server says.
pub fn list(server: &Server, database: &str, cancel: &Cancel) -> Result<Vec<(CodeKind, String)>, Unanswered> {
    let name = quote_literal(database);
    let questions = format!(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name} ORDER BY 1, 2;\n\
         SELECT 'VIEW', TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name} AND TABLE_TYPE = 'VIEW' ORDER BY 2;\n\
         SELECT 'TRIGGER', TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {name} \
         ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER;\n\
         SELECT 'EVENT', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name} ORDER BY 2;\n"
    );
    let kinds = [
        CodeKind::Function,
        CodeKind::Procedure,
        CodeKind::Package,
        CodeKind::PackageBody,
        CodeKind::View,
        CodeKind::Trigger,
        CodeKind::Event,
    ];
    let rows = server.ask_texts(&questions, cancel)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let [words, name] = <[String; 2]>::try_from(row).ok()?;
            let kind = kinds.into_iter().find(|kind| kind.words() == words)?;
            Some((kind, name))
        })
        .collect())
}

/// Reads a database's code.
///
/// # Errors
/// What the server says; [`Kind::Denied`] for a routine whose body the account may not see.
pub fn read(server: &Server, database: &str, cancel: &Cancel) -> Result<Vec<Code>> {
    let url = server.connection().url();
    let failed = |unanswered: Unanswered| unanswered.failure(&format!("read what is in `{database}`"), url);
    let names = list(server, database, cancel).map_err(failed)?;
    // As it is stored: a text in another character set comes back in that one.
    let mut script = "SET character_set_results = binary;\n".to_owned();
    for (kind, name) in &names {
        script.push_str(&format!("SHOW CREATE {} {};\n", kind.words(), quote_name(name)));
    }
    let rows = match names.is_empty() {
        true => Vec::new(),
        false => server.ask(Some(database), script.as_bytes(), cancel).map_err(failed)?,
    };
    if rows.len() != names.len() {
        return Err(Failure::new(
            Kind::Failed,
            format!("The server did not show all that is in `{database}`"),
        )
        .hint("Was something changed there meanwhile? Try again"));
    }
    names
        .into_iter()
        .zip(rows)
        .map(|((kind, name), row)| code(kind, name, &row, database))
        .collect()
}

fn code(kind: CodeKind, name: String, row: &Row, database: &str) -> Result<Code> {
    let (mode, zone, create) = kind.columns();
    let field = |at: usize| row.get(at).map(Vec::as_slice);
    let statement = field(create).filter(|statement| *statement != b"NULL");
    let (Some(statement), Some(charset), Some(collation)) = (statement, field(create + 1), field(create + 2)) else {
        return Err(Failure::new(
            Kind::Denied,
            format!(
                "The account may not see how the {} `{name}` of `{database}` is made",
                kind.words().to_lowercase()
            ),
        )
        .hint("Grant it SELECT on mysql.proc (MariaDB), SHOW_ROUTINE (MySQL 8), or restore as an administrator"));
    };
    let edits = match kind {
        CodeKind::View => unqualify_view(statement, database.as_bytes()),
        _ => Vec::new(),
    };
    Ok(Code {
        kind,
        name,
        create: apply(statement, &edits),
        sql_mode: mode.and_then(field).map(text),
        time_zone: zone.and_then(field).map(text),
        charset: text(charset),
        collation: text(collation),
        database_collation: field(create + 3).filter(|_| kind != CodeKind::View).map(text),
    })
}

impl Code {
    /// The same, but an event does not run.
    #[must_use]
    pub fn asleep(mut self) -> Self {
        if self.kind == CodeKind::Event
            && let Some((edits, _)) = disable_event(&self.create)
        {
            self.create = apply(&self.create, &edits);
        }
        self
    }

    /// The same, but an event runs.
    ///
    /// It has to be made so: whoever alters an event becomes its definer.
    #[must_use]
    pub fn awake(mut self) -> Self {
        if self.kind == CodeKind::Event
            && let Some(edits) = enable_event(&self.create)
        {
            self.create = apply(&self.create, &edits);
        }
        self
    }

    /// Whether a trigger names its database itself, which it then could not leave.
    fn is_bound(&self) -> bool {
        let pieces: Vec<Piece<'_>> = tokens(&self.create)
            .take_while(|piece| !piece.is_word("each"))
            .collect();
        self.kind == CodeKind::Trigger && pieces.iter().any(|piece| piece.is_sign(b'.'))
    }

    /// The trigger's statement without its database.
    fn unbound(&self) -> Vec<u8> {
        if !self.is_bound() {
            return self.create.clone();
        }
        let pieces: Vec<Piece<'_>> = tokens(&self.create).collect();
        let trigger = pieces.iter().position(|piece| piece.is_word("trigger")).unwrap_or(0);
        let end = pieces
            .iter()
            .position(|piece| piece.is_word("for"))
            .unwrap_or(pieces.len());
        let edits = super::rewrite::chains(&pieces[..end])
            .iter()
            .filter(|chain| chain.at > trigger)
            .filter_map(|chain| Some((chain.names.first()?.start..chain.names.get(1)?.start, Vec::new())))
            .collect();
        apply(&self.create, &edits)
    }
}

/// The script that makes `code` in a database whose own collation is `collation`.
#[must_use]
pub fn creating(code: &[&Code], collation: &str) -> Vec<u8> {
    let random: u32 = rand::rng().random();
    // No body holds it by accident.
    let delimiter = format!("$${random:08x}$$");
    let mut out: Vec<Vec<u8>> = Vec::new();
    for code in code {
        let mut text = String::new();
        let other = code.database_collation.as_deref().filter(|own| *own != collation);
        if let Some(own) = other {
            text.push_str(&format!("ALTER DATABASE COLLATE {};\n", quote_literal(own)));
        }
        text.push_str(&format!(
            "SET sql_mode = {}, character_set_client = {}, collation_connection = {};\n",
            quote_literal(code.sql_mode.as_deref().unwrap_or_default()),
            quote_literal(&code.charset),
            quote_literal(&code.collation)
        ));
        if let Some(zone) = &code.time_zone {
            text.push_str(&format!("SET time_zone = {};\n", quote_literal(zone)));
        }
        text.push_str(&format!("DELIMITER {delimiter}\n"));
        out.push(text.into_bytes());
        out.push(code.unbound());
        let mut text = format!("{delimiter}\nDELIMITER ;\n");
        if code.time_zone.is_some() {
            text.push_str("SET time_zone = DEFAULT;\n");
        }
        if other.is_some() {
            text.push_str(&format!("ALTER DATABASE COLLATE {};\n", quote_literal(collation)));
        }
        out.push(text.into_bytes());
    }
    out.concat()
}

/// The script that drops what has these names, from a session in their database.
#[must_use]
pub fn dropping(names: &[(CodeKind, String)]) -> String {
    names
        .iter()
        // A package's body goes with its head.
        .filter(|(kind, _)| *kind != CodeKind::PackageBody)
        .map(|(kind, name)| {
            let drop = format!("DROP {} IF EXISTS {};\n", kind.words(), quote_name(name));
            match kind {
                // Before 11.4 packages are known in this mode only.
                CodeKind::Package => format!("SET sql_mode = 'ORACLE';\n{drop}SET sql_mode = '';\n"),
                _ => drop,
            }
        })
        .collect()
}
