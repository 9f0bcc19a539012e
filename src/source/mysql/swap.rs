//! Puts what is in a scratch database into the place of what is in the target; undone if any step fails.
//!
//! The servers cannot rename databases and know no transactions of definitions. What they have is `RENAME TABLE`, which
//! moves any number of tables between databases in one step, all or none. Tables with triggers do not move, and
//! views, routines and events never do, so these are dropped on one side of that step and made again on the other.
//! Everything that is made was made once already, in the scratch database, before anything that lives was touched.

use super::code::{self, Code, CodeKind, creating, dropping};
use super::server::{Unanswered, quote_literal, quote_name};
use super::target::Target;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Result};

/// Seconds that a step waits for sessions that hold a table; by itself the server waits for a day.
const LOCK_WAIT_SECS: u32 = 30;

/// The hint of a failure after which the target is not as it was before begins with this.
pub const NOT_UNDONE: &str = "That could not be undone either: ";

/// What is swapped.
#[derive(Debug)]
pub struct Swap<'a> {
    target: &'a Target,
    /// The target's own collation.
    collation: String,
    scratch: &'a str,
    /// Where the target's content goes; `None` if it has none.
    replaced: Option<&'a str>,
    new_tables: Vec<String>,
    old_tables: Vec<String>,
    new_code: Vec<Code>,
    old_code: Vec<Code>,
    /// Routines that are the same on both sides: they stay, and with them the rights that were given on them.
    unchanged: Vec<(CodeKind, String)>,
    /// Defaults of new tables that name the scratch database: table, column, default.
    defaults: Vec<[String; 3]>,
}

impl<'a> Swap<'a> {
    /// Reads both sides; changes nothing.
    ///
    /// # Errors
    /// What the server says.
    pub fn plan(
        target: &'a Target,
        collation: &str,
        scratch: &'a str,
        replaced: Option<&'a str>,
        cancel: &Cancel,
    ) -> Result<Self> {
        let question = format!(
            "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = {} AND COLUMN_DEFAULT LIKE {};",
            quote_literal(scratch),
            quote_literal(&format!("%{}.%", quote_name(scratch)))
        );
        let defaults = target
            .server
            .ask_texts(&question, cancel)
            .map_err(|unanswered| target.failed(unanswered, "read the defaults of the restored tables"))?;
        let mut new_code = code::read(&target.server, scratch, cancel)?;
        let old_code = code::read(&target.server, &target.name, cancel)?;
        let unchanged: Vec<Code> = of_kind(&new_code, &[CodeKind::Function, CodeKind::Procedure])
            .into_iter()
            .filter(|code| old_code.contains(code))
            .cloned()
            .collect();
        new_code.retain(|code| !unchanged.contains(code));
        Ok(Self {
            unchanged: names(&unchanged, &[CodeKind::Function, CodeKind::Procedure]),
            target,
            collation: collation.to_owned(),
            scratch,
            replaced,
            new_tables: target.tables(scratch, cancel)?,
            old_tables: target.tables(&target.name, cancel)?,
            new_code,
            old_code,
            defaults: defaults.into_iter().filter_map(|row| row.try_into().ok()).collect(),
        })
    }

    /// Swaps; `events` are those that are to run. Not to be interrupted: it takes seconds.
    ///
    /// # Errors
    /// The server's words; then everything is as it was, or the failure says what is not.
    pub fn run(&self, keeps: bool, events: &[String]) -> Result<()> {
        if let Some(replaced) = self.replaced {
            self.target.create(replaced, Some(&self.collation), &Cancel::new())?;
        }
        let events: Vec<Code> = of_kind(&self.new_code, &[CodeKind::Event])
            .into_iter()
            .map(|code| match events.contains(&code.name) {
                true => code.clone().awake(),
                false => code.clone(),
            })
            .collect();
        let done = self.move_all().and_then(|()| {
            if keeps && let Some(replaced) = self.replaced {
                let old: Vec<Code> = self.old_code.iter().cloned().map(Code::asleep).collect();
                self.make(replaced, &old, true)?;
            }
            // From here on the application's own life begins, so nothing may fail after it.
            self.create(&self.target.name, &events.iter().collect::<Vec<_>>())
        });
        done.map_err(|unanswered| {
            let failure = self.target.failed(
                unanswered,
                &format!("put what was restored in the place of `{}`", self.target.name),
            );
            match self.undo() {
                Ok(()) => failure,
                Err(why) => self.not_undone(failure, &why),
            }
        })
    }

    /// The one step that counts, with what has to go before it and come after it at once.
    fn move_all(&self) -> Result<(), Unanswered> {
        let name = &self.target.name;
        let mut script = format!("SET SESSION lock_wait_timeout = {LOCK_WAIT_SECS};\n").into_bytes();
        let mut say = |text: String| script.extend_from_slice(text.as_bytes());
        say(dropping(&names(&self.old_code, &[CodeKind::Event])));
        for (side, code) in [(name.as_str(), &self.old_code), (self.scratch, &self.new_code)] {
            for trigger in code.iter().filter(|code| code.kind == CodeKind::Trigger) {
                say(format!(
                    "DROP TRIGGER {}.{};\n",
                    quote_name(side),
                    quote_name(&trigger.name)
                ));
            }
        }
        say(dropping(&names(&self.old_code, &[CodeKind::View])));
        let moves = self.moves(false);
        if !moves.is_empty() {
            say(format!("RENAME TABLE {};\n", moves.join(", ")));
        }
        script.extend(creating(
            &of_kind(&self.new_code, &[CodeKind::Trigger]),
            &self.collation,
        ));
        let scratch = format!("{}.", quote_name(self.scratch));
        let own = format!("{}.", quote_name(name));
        script.extend_from_slice(b"SET SESSION sql_mode = '';\n");
        for [table, column, default] in &self.defaults {
            let statement = format!(
                "ALTER TABLE {} ALTER COLUMN {} SET DEFAULT ({});\n",
                quote_name(table),
                quote_name(column),
                default.replace(&scratch, &own)
            );
            script.extend_from_slice(statement.as_bytes());
        }
        let routines = [CodeKind::Function, CodeKind::Procedure, CodeKind::Package];
        let mut going = names(&self.old_code, &routines);
        going.retain(|name| !self.unchanged.contains(name));
        script.extend_from_slice(dropping(&going).as_bytes());
        self.ask(name, &script)?;
        self.make(name, &self.new_code, false)
    }

    /// Makes routines, then views; with `whole` also triggers and, last of all, events.
    fn make(&self, database: &str, code: &[Code], whole: bool) -> Result<(), Unanswered> {
        let routines = [
            CodeKind::Function,
            CodeKind::Procedure,
            CodeKind::Package,
            CodeKind::PackageBody,
        ];
        self.create(database, &of_kind(code, &routines))?;
        self.create_views(database, &of_kind(code, &[CodeKind::View]))?;
        if whole {
            self.create(database, &of_kind(code, &[CodeKind::Trigger]))?;
            self.create(database, &of_kind(code, &[CodeKind::Event]))?;
        }
        Ok(())
    }

    fn create(&self, database: &str, code: &[&Code]) -> Result<(), Unanswered> {
        match code.is_empty() {
            true => Ok(()),
            false => self.ask(database, &creating(code, &self.collation)),
        }
    }

    /// Views may stand on each other: each round makes those whose ground is there.
    fn create_views(&self, database: &str, views: &[&Code]) -> Result<(), Unanswered> {
        let mut waiting: Vec<&Code> = views.to_vec();
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut first_failure = None;
            let mut still = Vec::new();
            for view in waiting {
                if let Err(unanswered) = self.create(database, &[view]) {
                    first_failure.get_or_insert(unanswered);
                    still.push(view);
                }
            }
            waiting = still;
            if waiting.len() == before
                && let Some(unanswered) = first_failure
            {
                return Err(unanswered);
            }
        }
        Ok(())
    }

    fn ask(&self, database: &str, script: &[u8]) -> Result<(), Unanswered> {
        self.target
            .server
            .ask(Some(database), script, &Cancel::new())
            .map(|_| ())
    }

    /// Each table's way, there or back.
    fn moves(&self, back: bool) -> Vec<String> {
        let own = quote_name(&self.target.name);
        let scratch = quote_name(self.scratch);
        let replaced = self.replaced.map(quote_name).unwrap_or_default();
        let step = |table: &String, from: &str, to: &str| {
            let table = quote_name(table);
            format!("{from}.{table} TO {to}.{table}")
        };
        let old = self.old_tables.iter();
        let new = self.new_tables.iter();
        if back {
            let new = new.map(|table| step(table, &own, &scratch));
            new.chain(old.map(|table| step(table, &replaced, &own))).collect()
        } else {
            let old = old.map(|table| step(table, &own, &replaced));
            old.chain(new.map(|table| step(table, &scratch, &own))).collect()
        }
    }

    /// Brings everything back, from wherever it stands.
    fn undo(&self) -> Result<()> {
        let never = Cancel::new();
        let name = &self.target.name;
        let failed = |unanswered| {
            self.target
                .failed(unanswered, &format!("bring back what was in `{name}`"))
        };
        let drop_code = |database: &str| -> Result<()> {
            let mut names = code::list(&self.target.server, database, &never).map_err(failed)?;
            names.retain(|code| database != name || !self.unchanged.contains(code));
            match names.is_empty() {
                true => Ok(()),
                false => self.ask(database, dropping(&names).as_bytes()).map_err(failed),
            }
        };
        if let Some(replaced) = self.replaced {
            drop_code(replaced)?;
        }
        drop_code(name)?;
        // The renaming is all or nothing, so one side tells.
        let has_moved = match self.replaced {
            Some(replaced) if !self.old_tables.is_empty() => !self.target.tables(replaced, &never)?.is_empty(),
            _ => !self.new_tables.is_empty() && self.target.tables(self.scratch, &never)?.is_empty(),
        };
        if has_moved {
            let script = format!("RENAME TABLE {};\n", self.moves(true).join(", "));
            self.ask(name, script.as_bytes()).map_err(failed)?;
        }
        let mut old = self.old_code.clone();
        old.retain(|code| !self.unchanged.contains(&(code.kind, code.name.clone())));
        self.make(name, &old, true).map_err(failed)?;
        match self.replaced {
            Some(replaced) => self.target.drop_database(replaced),
            None => Ok(()),
        }
    }

    fn not_undone(&self, failure: Failure, why: &Failure) -> Failure {
        let name = &self.target.name;
        let replaced = self.replaced.unwrap_or_default();
        let moves = self.moves(true).join(", ");
        failure
            .hint(format!("{NOT_UNDONE}{}", why.causes().join(": ")))
            .hint(format!(
                "What was in `{name}` is whole: tables that are not there stand in `{replaced}`, and what was restored in `{}`",
                self.scratch
            ))
            .hint(format!("If they have moved, this brings them back, once triggers on them are dropped: RENAME TABLE {moves}"))
            .hint("Views, triggers, routines and events of before are in the safety backup, if one was made")
    }
}

/// Lets events of a database that has just been filled run; its collation is `collation`.
///
/// # Errors
/// The server's words.
pub fn wake(target: &Target, database: &str, collation: &str, events: &[String]) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let never = Cancel::new();
    // One whose time is over was dropped by the server when it was made.
    let asleep = code::read(&target.server, database, &never)?
        .into_iter()
        .filter(|code| code.kind == CodeKind::Event && events.contains(&code.name));
    let awake: Vec<Code> = asleep.map(Code::awake).collect();
    let mut script = dropping(&names(&awake, &[CodeKind::Event])).into_bytes();
    script.extend(creating(&awake.iter().collect::<Vec<_>>(), collation));
    target
        .server
        .ask(Some(database), &script, &never)
        .map(|_| ())
        .map_err(|unanswered| target.failed(unanswered, "let the restored events run"))
}

fn of_kind<'c>(code: &'c [Code], kinds: &[CodeKind]) -> Vec<&'c Code> {
    code.iter().filter(|code| kinds.contains(&code.kind)).collect()
}

fn names(code: &[Code], kinds: &[CodeKind]) -> Vec<(CodeKind, String)> {
    of_kind(code, kinds)
        .iter()
        .map(|code| (code.kind, code.name.clone()))
        .collect()
}
