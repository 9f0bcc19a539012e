//! `adopt`: makes a backup of an object that something else made.

use clap::Args as ClapArgs;

use super::assemble::{layout, transfer_options};
use super::target::find_unread;
use super::verified::tell_remembered;
use super::words::{count, counts, lines, sizes, time};
use super::{Context, TransferArgs, help};
use crate::base::failure::Result;
use crate::catalog::manifest::TimeFrom;
use crate::catalog::notes::Depth;
use crate::config::{Flags, table};
use crate::ops::adopt::{AdoptOptions, AdoptOutcome, adopt};
use crate::ops::verify::{Repaired, remember_repair};
use crate::ui::escape::escape_text;

/// Make a backup of an object that something else made
///
/// Reads the whole object (a .sql.gz, .tar.gz, .sql, .dump, .sqlite.gz, .zst or .age of an earlier script, by its content and
/// not by its name), judges it as a source is judged, and puts an index and a manifest beside it. From then on `list`,
/// `restore`, `verify` and `prune` treat it as a backup of its series, which --name names, or else the object's name: `prune`
/// may remove it. The object itself is never moved or written.
///
/// An archive is walked to its end, a dump to its end marker, a database is checked, an archive of pg_dump is read by
/// pg_restore. What is cut short or damaged is refused (20), and nothing is written. Of content in which nothing tells
/// whether it is whole, that is said. The time of the backup is the one in the object's name (of a day, its first moment, UTC), or
/// else that at which the store received it. The name of the series has to stand in the key, by which listings look for it.
///
/// A backup of this program whose manifest is damaged gets a new one in the same way; what only that said is lost.
/// Permissions: s3:ListBucket, s3:GetObject and s3:PutObject.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("adopt"))]
pub struct Args {
    /// An s3:// URL, a path, or the id by which `list` shows the object
    #[arg(value_name = "OBJECT")]
    pub object: String,

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

/// Adopts the object.
///
/// # Errors
/// [`crate::base::failure::Kind::Damaged`] if it is not whole; whatever keeps it from being read or committed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let settings = &context.settings;
    let (store, key) = find_unread(&args.object, context, &run)?;
    let options = AdoptOptions {
        name: settings.name.value.clone(),
        layout: layout(settings, store.as_ref())?,
        is_dry_run: args.dry_run,
        client_folder: settings.pg_client_folder.value.clone(),
        threads: settings.threads.value,
        memory_bytes: transfer_options(settings).memory_bytes,
        lock_folder: settings.lock_folder.value.clone(),
        lock_timeout: settings.lock_timeout.value,
    };
    let outcome = adopt(&store, &key, &options, &run)?;
    context.listener.end();
    let url = store.url();
    if url != settings.store.value.to_string() {
        context.console.note(&format!(
            "It lies in {url} and not in the store of the settings: with --store {url} `list`, `verify` and `prune` know it."
        ));
    }
    if outcome.is_remade && !args.dry_run {
        // Its objects are there, and its manifest names them; whether they hold what they held, nobody can tell.
        let repaired = Repaired {
            data_key: &key,
            name: &outcome.manifest.name,
            id: &outcome.manifest.id,
        };
        let mended = remember_repair(store.as_ref(), &repaired, Depth::Quick, &settings.host.value, &run);
        tell_remembered(&outcome.manifest.id, mended, context)?;
    }
    tell(&outcome, args.dry_run, context)
}

fn tell(outcome: &AdoptOutcome, is_dry_run: bool, context: &Context) -> Result<()> {
    let console = &context.console;
    let manifest = &outcome.manifest;
    let time_from = match manifest.adopted.as_ref().map(|adopted| adopted.time_from) {
        Some(TimeFrom::Modified) => "when the store received it",
        _ => "by its name",
    };
    if console.is_json() {
        return console.answer_json(&serde_json::json!({
            "id": manifest.id,
            "name": manifest.name,
            "time": manifest.started,
            "time_from": manifest.adopted.as_ref().map(|adopted| adopted.time_from),
            "content": outcome.content,
            "manifest": outcome.manifest_key,
            "remade": outcome.is_remade,
            "dry_run": is_dry_run,
            "plain_bytes": manifest.plain_bytes,
            "stored_bytes": manifest.data_bytes(),
            "entries": outcome.entries,
            "counts": manifest.counts,
            "remarks": outcome.remarks,
        }));
    }
    outcome.remarks.iter().for_each(|remark| console.note(remark));
    let verb = match (is_dry_run, outcome.is_remade) {
        (true, false) => "would be adopted",
        (true, true) => "would get a new manifest",
        (false, false) => "was adopted",
        (false, true) => "has a new manifest",
    };
    let mut pairs = vec![
        ("name", manifest.name.clone()),
        ("time", format!("{}, {time_from}", time(manifest.started))),
        ("content", outcome.content.to_owned()),
        ("holds", counts(&manifest.counts)),
        ("size", sizes(manifest)),
        ("index", count(outcome.entries, "entry", "entries")),
        ("manifest", outcome.manifest_key.to_string()),
    ];
    pairs.retain(|(_, value)| !value.is_empty());
    let text = format!("{} {verb}.\n{}", manifest.id, lines(&pairs));
    console.summary(&escape_text(&text))
}
