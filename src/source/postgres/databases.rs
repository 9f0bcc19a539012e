//! The databases of a server.

use std::path::Path;

use super::clients::{find_clients, newest};
use super::server::Server;
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};

/// The names of all databases that take connections and are no templates, sorted.
///
/// Those that this user may not enter are among them: leaving them out in silence would be no backup of all databases.
///
/// # Errors
/// [`Kind::Tool`] without `psql`; the way to the server.
pub fn list_databases(url: &PostgresUrl, client_folder: Option<&Path>, cancel: &Cancel) -> Result<Vec<String>> {
    let psqls = find_clients("psql", client_folder, cancel)?;
    let psql = newest(&psqls)
        .cloned()
        .ok_or_else(|| Failure::new(Kind::Tool, "`psql` is not installed"))?;
    let server = Server::new(url, psql)?;
    let (database, _) = server.any_database(cancel)?;
    let question = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname";
    let rows = server
        .ask(Some(&database), &[question.to_owned()], cancel)
        .map_err(|unanswered| unanswered.failure("list the databases", url))?;
    Ok(rows.into_iter().flatten().collect())
}
