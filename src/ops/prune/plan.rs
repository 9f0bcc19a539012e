//! The plan: the keys tell what there is, the manifests how good it is, and the policy what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::leftovers::is_left_behind;
use super::remove::retained;
use super::{
    LockHint, Objects, Planned, PruneOptions, PrunePlan, SeriesPlan, Unread, common_time, find_leftovers, guards,
    refused,
};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::name_and_time_of;
use crate::catalog::listing::{Family, contradiction, load_manifest, visit_families};
use crate::catalog::manifest::{Manifest, State};
use crate::catalog::notes::{NoteKind, known_damage};
use crate::ops::Run;
use crate::ops::many::in_parallel;
use crate::retention::{Entry, Standing, plan_series};
use crate::store::removal::Retained;
use crate::store::{Key, Store};

/// How many manifests are read before their facts are kept and they are let go: a manifest may be megabytes long.
const CHUNK: usize = 256;

/// A committed backup, as far as a plan needs it.
struct Fact {
    objects: Objects,
    bytes: u64,
    host: String,
    locked_until: Option<Timestamp>,
    unread: Option<Failure>,
    entry: Entry,
}

/// Says what a prune would do, and why, of every backup; changes nothing.
///
/// # Errors
/// [`Kind::Usage`] if the policy has no rule. [`Kind::Refused`] if the store cannot be seen as a whole, or its clock is far
/// from this machine's. What is wrong with one manifest keeps that backup and nothing else.
pub fn plan_prune(store: &Arc<dyn Store>, options: &PruneOptions, run: &Run) -> Result<PrunePlan> {
    check_policy(options)?;
    let now = common_time(store.as_ref(), run)?;
    let prefix = match &options.name {
        Some(name) => options.layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    let mut plan = PrunePlan::default();
    let mut seen = Seen::default();
    let mut committed: Vec<Family> = Vec::new();
    let mut abandoned: Vec<Family> = Vec::new();
    visit_families(store.as_ref(), &prefix, &run.cancel, &mut |family| {
        match &family.manifest {
            // Every template puts the name into the key, but only the manifest tells where in it.
            Some((key, _)) if options.name.as_ref().is_some_and(|name| !key.as_str().contains(name)) => {}
            Some(_) => committed.push(family),
            None if is_left_behind(
                &family,
                &options.layout,
                options.name.as_deref(),
                now,
                options.leftovers_older_than,
            ) =>
            {
                abandoned.push(family);
            }
            None if family.data.is_some() => plan.unmanaged += 1,
            None => {}
        }
        if committed.len() >= CHUNK {
            read_facts(store.as_ref(), &mut committed, options, now, &mut seen, run)?;
        }
        Ok(())
    })
    .map_err(refused)?;
    read_facts(store.as_ref(), &mut committed, options, now, &mut seen, run)?;
    plan.unread = seen.unread;
    for (name, facts) in seen.facts {
        plan.series.push(plan_one(name, facts, options, now));
    }
    let (leftovers, others) = find_leftovers(store.as_ref(), abandoned, run).map_err(refused)?;
    plan.leftovers = leftovers;
    plan.unmanaged += others;
    plan.keeps_versions = keeps_versions(store.as_ref(), &plan);
    if plan.keeps_versions {
        // Nothing in a bucket without versions is ever locked.
        let backups = plan.series.iter_mut().flat_map(|series| &mut series.backups);
        for backup in backups.filter(|backup| backup.objects.lock == LockHint::Unlikely) {
            backup.objects.lock = LockHint::Possible;
        }
        look_at_locks(store.as_ref(), &mut plan, run)?;
    }
    Ok(plan)
}

/// # Errors
/// [`Kind::Usage`] if no rule keeps anything.
fn check_policy(options: &PruneOptions) -> Result<()> {
    match options.policy.is_empty() {
        false => Ok(()),
        true => Err(Failure::new(
            Kind::Usage,
            "No rule says what is to be kept, so that everything would go",
        )
        .hint("Name what to keep, for example --keep-daily 7 --keep-weekly 5 --keep-monthly 12, or --keep-within 30d")
        .hint("The same can stand in the profile: keep-daily = 7")),
    }
}

/// What the manifests tell.
#[derive(Default)]
struct Seen {
    /// By series.
    facts: BTreeMap<String, Vec<Fact>>,
    unread: Option<Unread>,
}

/// Asks the store for the locks of what is to go: those of a bucket's own default stand in no manifest. Who may not ask is
/// told after the fact.
fn look_at_locks(store: &dyn Store, plan: &mut PrunePlan, run: &Run) -> Result<()> {
    let backups = plan.series.iter_mut().flat_map(|series| &mut series.backups);
    let mut doomed: Vec<&mut Planned> = backups.filter(|backup| !backup.decision.keep).collect();
    let looked = in_parallel(&doomed, |backup| {
        run.cancel.check()?;
        Ok(retained(store, &backup.objects))
    });
    run.cancel.check()?;
    for (backup, looked) in doomed.iter_mut().zip(looked) {
        if let Ok(found) = looked? {
            backup.retained = found.map(|(_, retained)| retained);
        }
    }
    Ok(())
}

/// Reads the manifests, several at once, and keeps what the plan needs.
fn read_facts(
    store: &dyn Store,
    committed: &mut Vec<Family>,
    options: &PruneOptions,
    now: Timestamp,
    seen: &mut Seen,
    run: &Run,
) -> Result<()> {
    let families = std::mem::take(committed);
    let read = in_parallel(&families, |family| {
        run.cancel.check()?;
        Ok(fact_of(store, family, options, now))
    });
    run.cancel.check()?;
    for fact in read {
        if let Some((name, mut fact)) = fact? {
            if let Some(failure) = fact.unread.take() {
                let unread = seen.unread.get_or_insert_with(|| Unread {
                    count: 0,
                    why: failure.in_one_line(),
                    hint: failure.hints().first().cloned(),
                });
                unread.count += 1;
            }
            seen.facts.entry(name).or_default().push(fact);
        }
    }
    Ok(())
}

/// The series and the fact; `None` if it is of another series, or was removed since the listing.
fn fact_of(store: &dyn Store, family: &Family, options: &PruneOptions, now: Timestamp) -> Option<(String, Fact)> {
    let (key, _) = family.manifest.as_ref()?;
    let is_wanted = |name: &str| options.name.as_ref().is_none_or(|wanted| wanted == name);
    match load_manifest(store, key) {
        Ok(manifest) => {
            is_wanted(&manifest.name).then(|| (manifest.name.clone(), good_fact(family, manifest, options, now)))
        }
        Err(failure) if failure.kind() == Kind::NotFound => None,
        Err(failure) => {
            let is_content = matches!(failure.kind(), Kind::Unsupported | Kind::Damaged);
            let (hint, time) = name_and_time_of(&family.data_key);
            let name = options.layout.own_series_of(&family.data_key).unwrap_or(hint);
            let why = match failure.kind() {
                Kind::Unsupported => "its manifest is of a newer format".to_owned(),
                Kind::Damaged => "its manifest is damaged".to_owned(),
                _ => format!("its manifest cannot be read: {}", failure.message()),
            };
            let time = time.or(family.modified).unwrap_or(Timestamp::UNIX_EPOCH);
            let entry = Entry {
                time,
                standing: Standing::Doubtful(why),
                tags: Vec::new(),
                is_pinned: has_note(family, NoteKind::Pin),
            };
            is_wanted(&name).then(|| {
                let mut fact = fact(family, String::new(), entry);
                fact.unread = (!is_content).then_some(failure);
                (name, fact)
            })
        }
    }
}

fn good_fact(family: &Family, manifest: Manifest, options: &PruneOptions, now: Timestamp) -> Fact {
    let found = family.clone().into_found();
    let trouble = found.and_then(|found| contradiction(&found, &manifest));
    let standing = match (trouble, manifest.state) {
        (Some(trouble), _) => Standing::Doubtful(format!("damaged: {trouble}")),
        (None, _) if known_damage(&family.notes).is_some() => Standing::Damaged,
        (None, State::Partial) => Standing::Partial,
        (None, State::Complete) if is_flagged(&manifest) && !has_note(family, NoteKind::Accepted) => Standing::Flagged,
        (None, State::Complete) => Standing::Good,
    };
    let entry = Entry {
        time: manifest.started,
        standing,
        tags: match options.policy.needs_tags() {
            true => manifest.tags,
            false => Vec::new(),
        },
        is_pinned: has_note(family, NoteKind::Pin),
    };
    let mut fact = fact(family, manifest.host, entry);
    fact.locked_until = manifest.lock.map(|lock| lock.until).filter(|until| *until > now);
    if let Some(until) = fact.locked_until {
        fact.objects.lock = LockHint::Recorded(until);
    }
    fact
}

fn fact(family: &Family, host: String, entry: Entry) -> Fact {
    let first = family.data.iter().map(|meta| meta.bytes);
    Fact {
        objects: Objects::of(family),
        bytes: first.chain(family.continuations.iter().map(|(_, bytes)| *bytes)).sum(),
        host,
        locked_until: None,
        unread: None,
        entry,
    }
}

fn is_flagged(manifest: &Manifest) -> bool {
    manifest.shape.as_ref().is_some_and(|shape| shape.flagged)
}

fn has_note(family: &Family, kind: NoteKind) -> bool {
    family.notes.iter().any(|note| note.kind == kind)
}

fn plan_one(name: String, mut facts: Vec<Fact>, options: &PruneOptions, now: Timestamp) -> SeriesPlan {
    facts.sort_by(|a, b| (b.entry.time, &b.objects.data_key).cmp(&(a.entry.time, &a.objects.data_key)));
    let (entries, others): (Vec<Entry>, Vec<_>) = facts
        .into_iter()
        .map(|fact| (fact.entry, (fact.objects, fact.bytes, fact.host, fact.locked_until)))
        .unzip();
    let decisions = plan_series(&entries, &options.policy, &guards(options, now));
    let backups = entries
        .into_iter()
        .zip(others)
        .zip(decisions)
        .map(|((entry, (objects, bytes, host, locked_until)), decision)| Planned {
            id: crate::catalog::layout::id_of(&objects.data_key),
            time: entry.time,
            bytes,
            tags: entry.tags,
            host,
            retained: locked_until
                .filter(|_| !decision.keep)
                .map(|until| Retained { until: Some(until) }),
            decision,
            objects,
        })
        .collect();
    SeriesPlan { name, backups }
}

/// Whether the newest manifest that is to go has a version. Who may not look is told after the fact.
fn keeps_versions(store: &dyn Store, plan: &PrunePlan) -> bool {
    let first = plan.series.iter().find_map(|series| series.removals().next());
    let manifest: Option<Key> = first.and_then(|backup| backup.objects.keys().next());
    manifest.is_some_and(|key| matches!(store.head(&key), Ok(Some(meta)) if meta.version_id.is_some()))
}
