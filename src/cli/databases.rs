//! From settings to backups of databases: of one, and with PostgreSQL of every one of a server, of its globals.

use std::collections::BTreeSet;

use super::assemble::{Job, UNNAMED_DATABASE};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::{digested_name_from, name_from, name_of_database};
use crate::config::Settings;
use crate::config::table::{self, Spec};
use crate::ops::Run;
use crate::source::mysql::{MysqlOptions, MysqlSource, MysqlUrl};
use crate::source::postgres::{
    DumpFormat, DumpSelection, GlobalsOptions, GlobalsSource, PostgresOptions, PostgresSource, PostgresUrl,
    list_databases,
};

/// The series of a server's roles and tablespaces.
const GLOBALS_NAME: &str = "globals";

/// The name of a backup of a MySQL database that the URL does not name, until that is refused.
const UNNAMED_MYSQL_DATABASE: &str = "mysql";

/// Where a MySQL or MariaDB database is, with the password of the settings if the URL has none.
///
/// # Errors
/// [`Kind::Usage`] if it is not such a URL.
pub fn mysql_url(url: &str, settings: &Settings) -> Result<MysqlUrl> {
    Ok(MysqlUrl::parse(url)?.with_password(settings.mysql_password.value.clone()))
}

/// The backup of the MySQL or MariaDB database at `url`.
///
/// # Errors
/// As [`mysql_url`].
pub fn mysql_job(url: &str, settings: &Settings) -> Result<Job> {
    let url = mysql_url(url, settings)?;
    Ok(Job {
        default_name: name_of_database(url.database().unwrap_or(UNNAMED_MYSQL_DATABASE)),
        source: Box::new(MysqlSource::new(MysqlOptions {
            url,
            extra_arguments: settings.mysql_dump_arguments.value.clone(),
            client_folder: settings.mysql_client_folder.value.clone(),
        })),
        warnings: Vec::new(),
    })
}

/// The backups of the server or database at `url`.
///
/// # Errors
/// [`Kind::Usage`] for settings that exclude each other; with all databases, the way to the server.
pub fn postgres_jobs(url: &str, settings: &Settings, run: &Run) -> Result<Vec<Job>> {
    let url = PostgresUrl::parse(url)?;
    let globals = settings.globals.value;
    if !settings.all_databases.value {
        return Ok(vec![match globals {
            true => {
                refuse_selection(settings, "the roles and tablespaces of a server")?;
                globals_job(GLOBALS_NAME.to_owned(), url, settings)
            }
            false => database_job(
                name_of_database(url.database().unwrap_or(UNNAMED_DATABASE)),
                url,
                settings,
            ),
        }]);
    }
    refuse_selection(settings, "all databases")?;
    let databases = list_databases(&url, settings.pg_client_folder.value.as_deref(), &run.cancel)?;
    let name = settings.name.value.as_deref();
    let mut jobs: Vec<Job> = series_names(&databases, name)
        .into_iter()
        .zip(&databases)
        .map(|(series, database)| database_job(series, url.with_database(database), settings))
        .collect();
    jobs.push(globals_job(in_series(name, GLOBALS_NAME), url, settings));
    Ok(jobs)
}

fn database_job(default_name: String, url: PostgresUrl, settings: &Settings) -> Job {
    Job {
        default_name,
        source: Box::new(PostgresSource::new(PostgresOptions {
            url,
            format: match settings.pg_format.value.as_str() {
                "custom" => DumpFormat::Custom,
                _ => DumpFormat::Plain,
            },
            selection: DumpSelection {
                tables: settings.tables.value.clone(),
                exclude_tables: settings.exclude_tables.value.clone(),
                schemas: settings.schemas.value.clone(),
                exclude_schemas: settings.exclude_schemas.value.clone(),
                exclude_table_data: settings.exclude_table_data.value.clone(),
            },
            jobs: settings.jobs.value,
            extra_arguments: settings.pg_dump_arguments.value.clone(),
            client_folder: settings.pg_client_folder.value.clone(),
        })),
        warnings: Vec::new(),
    }
}

fn globals_job(default_name: String, url: PostgresUrl, settings: &Settings) -> Job {
    Job {
        default_name,
        source: Box::new(GlobalsSource::new(GlobalsOptions {
            url,
            client_folder: settings.pg_client_folder.value.clone(),
        })),
        warnings: Vec::new(),
    }
}

fn in_series(name: Option<&str>, what: &str) -> String {
    match name {
        Some(name) => format!("{name}-{what}"),
        None => what.to_owned(),
    }
}

/// The series of each database. A name that had to be changed, or that is taken by the globals, carries a part of its
/// digest, so that it stays the same whatever other databases come and go.
fn series_names(databases: &[String], name: Option<&str>) -> Vec<String> {
    let mut taken: BTreeSet<String> = [in_series(name, GLOBALS_NAME)].into();
    databases
        .iter()
        .map(|database| {
            let plain = name_from(database);
            let series = in_series(name, &plain);
            if plain == *database && taken.insert(series.clone()) {
                return series;
            }
            let series = in_series(name, &digested_name_from(database));
            taken.insert(series.clone());
            series
        })
        .collect()
}

/// What is set for databases of PostgreSQL alone.
fn selection_settings(settings: &Settings) -> [(&'static Spec, bool); 6] {
    [
        (&table::TABLES, !settings.tables.is_empty()),
        (&table::EXCLUDE_TABLES, !settings.exclude_tables.is_empty()),
        (&table::SCHEMAS, !settings.schemas.is_empty()),
        (&table::EXCLUDE_SCHEMAS, !settings.exclude_schemas.is_empty()),
        (&table::EXCLUDE_TABLE_DATA, !settings.exclude_table_data.is_empty()),
        (&table::PG_DUMP_ARGUMENTS, !settings.pg_dump_arguments.is_empty()),
    ]
}

fn refuse_selection(settings: &Settings, what: &str) -> Result<()> {
    match selection_settings(settings)[..5].iter().find(|(_, set)| *set) {
        Some((spec, _)) => Err(Failure::new(
            Kind::Usage,
            format!("`{}` chooses within one database and does not go with {what}", spec.key),
        )
        .hint("Back that database up by a run or a profile of its own")),
        None => Ok(()),
    }
}

/// Refuses settings for databases of PostgreSQL where there is none among what is backed up: nobody would miss what
/// they were to do.
///
/// # Errors
/// [`Kind::Usage`].
pub fn refuse_without_postgres(settings: &Settings) -> Result<()> {
    let set = selection_settings(settings)
        .into_iter()
        .take(5)
        .chain([
            (&table::GLOBALS, settings.globals.value),
            (&table::ALL_DATABASES, settings.all_databases.value),
            (&table::PG_FORMAT, settings.pg_format.value == "custom"),
            (&table::JOBS, settings.jobs.value > 1),
        ])
        .find(|(_, set)| *set);
    match set {
        Some((spec, _)) => Err(Failure::new(
            Kind::Usage,
            format!(
                "`{}` is for PostgreSQL, and no postgres:// URL is to be backed up",
                spec.key
            ),
        )
        .hint("Name the database: `backup-cli backup postgres://USER@HOST/DATABASE …`")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_database_has_a_series_of_its_own_that_stays() {
        let databases = ["a_b", "a/b", "a b", "globals", "shop"].map(str::to_owned);
        let names = series_names(&databases, None);
        assert_eq!(names[0], "a_b");
        assert_eq!(names[4], "shop");
        assert!(names[1].starts_with("a_b-") && names[2].starts_with("a_b-") && names[3].starts_with("globals-"));
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 5, "{names:?}");
        assert_eq!(series_names(&databases[1..2], None), names[1..2]);
        assert_eq!(series_names(&databases[4..], Some("prod")), ["prod-shop"]);
    }
}
