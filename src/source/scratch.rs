//! What the scratch databases of the servers have in common: what is counted in one, and what is asked of it.

/// How many rows a table has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRows {
    /// The table, called as in an index.
    pub path: Vec<u8>,
    /// Its rows.
    pub rows: u64,
    /// Whether more rows than a dump had may be in it, because something else than the dump fills it too.
    pub is_shared: bool,
}

/// A server and the program by which it is asked, for the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScratchServer {
    /// The server's version as it says itself.
    pub version: String,
    /// The program's name.
    pub client: String,
    /// The program's version.
    pub client_version: String,
}

/// What a question to a scratch database came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The rows, each with its fields.
    Rows(Vec<Vec<String>>),
    /// None: the question cannot be asked so, or not there, in the words of who was asked. It says nothing of the data.
    None(String),
}

/// How many tables are counted by one question.
pub(super) const TABLES_AT_ONCE: usize = 100;
