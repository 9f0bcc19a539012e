//! `rebuild-index`: makes a lost or damaged index again from the data.

use clap::Args as ClapArgs;

use super::assemble::transfer_options;
use super::target::find_even_damaged;
use super::verified::tell_remembered;
use super::words::count;
use super::{Context, TransferArgs, help};
use crate::base::failure::Result;
use crate::base::units::format_bytes;
use crate::catalog::notes::Depth;
use crate::config::{Flags, table};
use crate::ops::rebuild_index::{Commit, RebuildOptions, RebuildOutcome, rebuild_index};
use crate::ops::verify::{Repaired, remember_repair};
use crate::ui::escape::escape_text;

/// Make a lost or damaged index again from the data
///
/// Reads all of the backup's data, compares it with the digests of the manifest, and makes the index of what is in it: the
/// files of an archive, the tables of a dump, where each member lies. If the index that is made is the one that the manifest
/// names, to the byte, only the index is stored again. Otherwise the manifest is written over in one step with one that
/// names it: whatever fails, and wherever, the backup is listed and restores as before. An index that is as it should be is
/// left alone.
///
/// A backup is restored as a whole without its index; lists, searches and restores of a part need it. Of an encrypted backup
/// the key is needed, and what only its index said (the source, problems and warnings) is lost with the index. If the data
/// itself is damaged nothing is written (20). After it, `verify` takes back what an earlier one remembered of the damage.
///
/// In a bucket that keeps versions the old index and the old manifest stay as versions; a lock on them keeps nothing from
/// being written on top, but for providers whose locks refuse that, too: then wait for the end of the lock. Permissions:
/// s3:ListBucket, s3:GetObject, s3:PutObject, and s3:DeleteObject if a damaged index stands there.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("rebuild-index"))]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP")]
    pub backup: String,

    /// Read everything and say what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// How long to wait for another run of the same series [default: 0s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub lock_timeout: Option<String>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub transfer: TransferArgs,
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::LOCK_TIMEOUT, "--lock-timeout", self.lock_timeout.as_deref())
            .and(self.transfer.flags())
    }
}

/// Makes the index.
///
/// # Errors
/// [`crate::base::failure::Kind::Damaged`] if the data is damaged; whatever keeps the index from being made or stored.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let settings = &context.settings;
    let target = find_even_damaged(&args.backup, context, &run)?;
    run.reporter.progress().set_totals(target.chosen.found.data_bytes(), 0);
    let options = RebuildOptions {
        is_dry_run: args.dry_run,
        threads: settings.threads.value,
        memory_bytes: transfer_options(settings).memory_bytes,
        lock_folder: settings.lock_folder.value.clone(),
        lock_timeout: settings.lock_timeout.value,
    };
    let store = target.store;
    let outcome = rebuild_index(&store, target.chosen, &options, &run)?;
    context.listener.end();
    if outcome.commit != Commit::IndexIsGood && !args.dry_run {
        // All of the data was read for it, and compared with the manifest.
        let repaired = Repaired {
            data_key: &outcome.data_key,
            name: &outcome.name,
            id: &outcome.id,
        };
        let mended = remember_repair(store.as_ref(), &repaired, Depth::Data, &settings.host.value, &run);
        tell_remembered(&outcome.id, mended, context)?;
    }
    tell(&outcome, args.dry_run, context)
}

fn tell(outcome: &RebuildOutcome, is_dry_run: bool, context: &Context) -> Result<()> {
    let console = &context.console;
    if console.is_json() {
        return console.answer_json(&serde_json::json!({
            "id": outcome.id,
            "index": outcome.index_key,
            "trouble": outcome.trouble,
            "manifest": match outcome.commit {
                Commit::IndexIsGood | Commit::Stays => "unchanged",
                Commit::Replaced => "replaced",
            },
            "rebuilt": outcome.commit != Commit::IndexIsGood,
            "dry_run": is_dry_run,
            "bytes": outcome.bytes,
            "entries": outcome.entries,
            "members": outcome.members,
            "remarks": outcome.remarks,
        }));
    }
    outcome.remarks.iter().for_each(|remark| console.note(remark));
    let id = &outcome.id;
    let text = match outcome.commit {
        Commit::IndexIsGood => format!("The index of {id} is as it should be; nothing was done."),
        commit => {
            let trouble = outcome.trouble.as_deref().unwrap_or_default();
            let verb = if is_dry_run { "would be made" } else { "was made" };
            let manifest = match (commit, is_dry_run) {
                (Commit::Stays, _) => "It is the one that the manifest names",
                (_, true) => "The manifest would be written over, to name it",
                (_, false) => "The manifest was written over, and names it",
            };
            format!(
                "The index of {id} {verb} again: {}, {} in {}. {manifest}.\nWhat was wrong: {trouble}.",
                count(outcome.entries, "entry", "entries"),
                count(outcome.members, "member", "members"),
                format_bytes(outcome.bytes)
            )
        }
    };
    console.summary(&escape_text(&text))
}
