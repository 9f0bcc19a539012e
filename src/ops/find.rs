//! Which backups hold something: the indexes of many, searched several at once, told newest first.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Timestamp;

use super::Run;
use super::ls::{IndexItem, read_index};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Event;
use crate::catalog::index::{Entry, EntryKind};
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, load_manifest, scan};
use crate::catalog::patterns::EntryPatterns;
use crate::catalog::selection::Chosen;
use crate::store::Store;

/// Indexes read at once: enough to hide the time that a store takes to answer, few enough to stay small.
const READERS: usize = 8;

/// Entries that a reader hands over at a time, and how often it may before it waits for its turn.
const PAGE_ENTRIES: usize = 128;
const PAGES_AHEAD: usize = 2;

/// What is looked for, and where.
#[derive(Clone, Debug, Default)]
pub struct FindOptions {
    /// What it is called.
    pub patterns: EntryPatterns,
    /// What it may be; anything but a dump's [`EntryKind::Object`]s if empty.
    pub kinds: Vec<EntryKind>,
    /// Only in this series.
    pub name: Option<String>,
    /// Only in backups that were begun at this time or later.
    pub since: Option<Timestamp>,
    /// Only in backups that were begun at this time or earlier.
    pub until: Option<Timestamp>,
}

/// How a search went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindReport {
    /// Entries that were found.
    pub matches: u64,
    /// Backups that hold any.
    pub backups_with_matches: u64,
    /// Backups that were searched to the end of their index.
    pub searched: u64,
    /// Backups that could not be searched; each was named.
    pub unreadable: u64,
    /// How many of these only lack their key.
    pub locked: u64,
    /// Objects without a manifest, which have no index.
    pub unmanaged: u64,
    /// What the credentials lack, if some could not be searched for that.
    pub missing_right: Option<String>,
}

enum Message {
    /// This backup is searched, and its entries follow.
    Begin(Box<Chosen>),
    Page(Vec<Entry>),
    End(End),
}

enum End {
    Searched,
    /// It is of another series, or is gone.
    Skipped,
    Failed(Failure),
}

/// Searches the backups that the options mean, and visits what is found: newest backup first, and in the order of its index.
///
/// What is wrong with one backup is reported and counted, and the search goes on.
///
/// # Errors
/// [`Kind::NotFound`] if there is no backup to search; if the store cannot be listed; the visitor's own failure.
pub fn find(
    store: &Arc<dyn Store>,
    layout: &Layout,
    options: &FindOptions,
    run: &Run,
    mut visit: impl FnMut(&Chosen, &Entry) -> Result<()>,
) -> Result<FindReport> {
    let mut report = FindReport::default();
    let candidates = candidates(store.as_ref(), layout, options, &mut report, run)?;
    std::thread::scope(|scope| {
        let mut waiting = candidates.iter();
        let mut reading: VecDeque<(&Found, Receiver<Message>)> = VecDeque::with_capacity(READERS);
        loop {
            while reading.len() < READERS {
                let Some(candidate) = waiting.next() else { break };
                let (pages, received) = bounded(PAGES_AHEAD);
                std::thread::Builder::new()
                    .name("find".to_owned())
                    .spawn_scoped(scope, move || search(store, candidate, options, run, &pages))
                    .map_err(|error| Failure::new(Kind::Failed, "Could not start a thread").caused_by(error))?;
                reading.push_back((candidate, received));
            }
            let Some((candidate, received)) = reading.pop_front() else {
                break;
            };
            take_all(candidate, &received, &mut report, run, &mut visit)?;
        }
        Ok(())
    })?;
    if report.searched + report.unreadable == 0 {
        return Err(none_found(store.as_ref(), options));
    }
    Ok(report)
}

fn candidates(
    store: &dyn Store,
    layout: &Layout,
    options: &FindOptions,
    report: &mut FindReport,
    run: &Run,
) -> Result<Vec<Found>> {
    let prefix = match &options.name {
        Some(name) => layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    let mut found = scan(store, &prefix, &run.cancel)?;
    found.retain(|candidate| {
        // Every template puts the name into the key; only the manifest tells whether it is the series.
        let name = options.name.as_ref();
        name.is_none_or(|name| candidate.data_key.as_str().contains(name.as_str()))
            && options.since.is_none_or(|since| candidate.time >= since)
            && options.until.is_none_or(|until| candidate.time <= until)
    });
    let before = found.len();
    found.retain(|candidate| candidate.manifest_key.is_some());
    report.unmanaged = (before - found.len()) as u64;
    Ok(found)
}

fn none_found(store: &dyn Store, options: &FindOptions) -> Failure {
    let of = options.name.as_ref().map(|name| format!(" of `{name}`"));
    Failure::new(
        Kind::NotFound,
        format!("No backup{} to search in `{}`", of.unwrap_or_default(), store.url()),
    )
    .hint("`backup-cli list` shows what is there; check --store, --profile, --name, --since and --until")
}

/// Takes what one reader finds.
fn take_all(
    candidate: &Found,
    received: &Receiver<Message>,
    report: &mut FindReport,
    run: &Run,
    visit: &mut impl FnMut(&Chosen, &Entry) -> Result<()>,
) -> Result<()> {
    let mut current: Option<Box<Chosen>> = None;
    let mut matches = 0u64;
    while let Ok(message) = received.recv() {
        run.cancel.check()?;
        match message {
            Message::Begin(chosen) => current = Some(chosen),
            Message::Page(entries) => {
                for entry in &entries {
                    if let Some(chosen) = &current {
                        visit(chosen, entry)?;
                    }
                }
                matches += entries.len() as u64;
            }
            Message::End(end) => {
                report.matches += matches;
                report.backups_with_matches += u64::from(matches > 0);
                return take_end(candidate, end, report, run);
            }
        }
    }
    // Only an interruption ends a reader without a word.
    run.cancel.check()?;
    Err(Failure::new(
        Kind::Failed,
        "A reader of an index ended early, which is a bug",
    ))
}

fn take_end(candidate: &Found, end: End, report: &mut FindReport, run: &Run) -> Result<()> {
    match end {
        End::Searched => report.searched += 1,
        End::Skipped => {}
        End::Failed(failure) if is_fatal(failure.kind()) => return Err(failure),
        End::Failed(failure) => {
            report.unreadable += 1;
            report.locked += u64::from(failure.kind() == Kind::WrongKey);
            if failure.kind() == Kind::Denied && report.missing_right.is_none() {
                report.missing_right = failure.hints().first().cloned();
            }
            let mut message = failure.message().to_owned();
            for cause in failure.causes() {
                message.push_str(": ");
                message.push_str(&cause);
            }
            run.reporter.event(Event::ItemFailed {
                item: candidate.id.clone(),
                during: "search",
                message,
            });
        }
    }
    Ok(())
}

/// What would befall every other backup as well.
fn is_fatal(kind: Kind) -> bool {
    matches!(kind, Kind::Interrupted | Kind::Unreachable)
}

fn search(store: &Arc<dyn Store>, candidate: &Found, options: &FindOptions, run: &Run, pages: &Sender<Message>) {
    let end = match search_index(store, candidate, options, run, pages) {
        Ok(end) => end,
        Err(failure) if failure.kind() == Kind::NotFound && is_gone(store.as_ref(), candidate) => End::Skipped,
        Err(failure) => End::Failed(failure),
    };
    // Whoever does not listen any more needs no end.
    let _ = pages.send(Message::End(end));
}

/// Whether the backup was removed since it was listed.
fn is_gone(store: &dyn Store, candidate: &Found) -> bool {
    candidate
        .manifest_key
        .as_ref()
        .is_some_and(|key| matches!(store.head(key), Ok(None)))
}

fn search_index(
    store: &Arc<dyn Store>,
    candidate: &Found,
    options: &FindOptions,
    run: &Run,
    pages: &Sender<Message>,
) -> Result<End> {
    let Some(key) = &candidate.manifest_key else {
        return Ok(End::Skipped);
    };
    let manifest = load_manifest(store.as_ref(), key)?;
    if options.name.as_ref().is_some_and(|name| *name != manifest.name) {
        return Ok(End::Skipped);
    }
    let chosen = Chosen {
        found: candidate.clone(),
        manifest: Some(manifest),
    };
    if pages.send(Message::Begin(Box::new(chosen.clone()))).is_err() {
        return Ok(End::Skipped);
    }
    let mut page = Vec::new();
    let read = read_index(store, &chosen, run, |item| {
        if let IndexItem::Entry(entry) = item
            && is_wanted_kind(entry.kind, &options.kinds)
            && options.patterns.matches(&entry)
        {
            page.push(entry);
            if page.len() >= PAGE_ENTRIES && pages.send(Message::Page(std::mem::take(&mut page))).is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    });
    // What stands before the damage in an index is told as well.
    let _ = pages.send(Message::Page(page));
    read?;
    Ok(End::Searched)
}

fn is_wanted_kind(kind: EntryKind, wanted: &[EntryKind]) -> bool {
    match wanted {
        [] => kind != EntryKind::Object,
        wanted => wanted.contains(&kind),
    }
}
