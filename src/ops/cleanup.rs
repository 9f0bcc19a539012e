//! Cleaning up: unfinished uploads of ours, and objects of ours that belong to no backup, both older than a bound.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Run;
use super::doctor::TRIAL_NAME;
use super::leftovers::{Leftover, find_leftovers, is_left_behind, is_older};
use super::prune::{Objects, Removal, common_time, refused, remove_families};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::{KeyRole, Layout, role_of};
use crate::catalog::listing::{Family, visit_families};
use crate::store::{Key, Store, UnfinishedUpload};

/// What is asked of a clean-up.
#[derive(Clone, Debug)]
pub struct CleanupOptions {
    /// Only this series.
    pub name: Option<String>,
    /// Where keys lie.
    pub layout: Layout,
    /// How old something must be to count as left behind; longer than any run can last.
    pub older_than: Duration,
    /// Whether all versions of what is removed go, in a bucket that keeps versions.
    pub purge_versions: bool,
}

/// What a clean-up would do.
#[derive(Clone, Debug, Default)]
pub struct CleanupPlan {
    /// Uploads that nobody ended.
    pub uploads: Vec<UnfinishedUpload>,
    /// How many uploads of ours are younger.
    pub young_uploads: u64,
    /// How many uploads below the prefix are not ours.
    pub foreign_uploads: u64,
    /// Objects that belong to no backup.
    pub leftovers: Vec<Leftover>,
    /// Data objects of somebody else, which stay.
    pub unmanaged: u64,
    /// Why unfinished uploads could not be looked for, if the store does not know them.
    pub uploads_unknown: Option<String>,
}

impl CleanupPlan {
    /// Only what another plan, made later, would remove as well.
    #[must_use]
    pub fn and(mut self, later: &Self) -> Self {
        self.uploads.retain(|upload| later.uploads.contains(upload));
        self.leftovers.retain(|leftover| later.leftovers.contains(leftover));
        self
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.uploads.is_empty() && self.leftovers.is_empty()
    }
}

/// What a clean-up did.
#[derive(Debug, Default)]
pub struct CleanupOutcome {
    /// How many uploads were thrown away.
    pub uploads: u64,
    /// The uploads that could not be, and why.
    pub failed_uploads: Vec<(Key, Failure)>,
    /// What became of the objects.
    pub removal: Removal,
}

impl CleanupOutcome {
    /// Whether everything that was to go is gone, but for what is locked.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed_uploads.is_empty() && self.removal.is_complete()
    }
}

/// Says what a clean-up would do; changes nothing.
///
/// # Errors
/// [`Kind::Refused`] if the store cannot be seen as a whole, or its clock is far from this machine's.
pub fn plan_cleanup(store: &Arc<dyn Store>, options: &CleanupOptions, run: &Run) -> Result<CleanupPlan> {
    let now = common_time(store.as_ref(), run)?;
    let name = options.name.as_deref();
    let prefix = match name {
        Some(name) => options.layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    let mut plan = CleanupPlan::default();
    match store.unfinished_uploads(&prefix) {
        Ok(uploads) => sort_uploads(uploads, options, now, &mut plan),
        Err(failure) if failure.kind() == Kind::Unsupported => {
            plan.uploads_unknown = Some(failure.message().to_owned());
        }
        Err(failure) => return Err(refused(failure)),
    }
    let mut abandoned: Vec<Family> = Vec::new();
    visit_families(store.as_ref(), &prefix, &run.cancel, &mut |family| {
        if is_left_behind(&family, &options.layout, name, now, options.older_than) {
            abandoned.push(family);
        } else if family.manifest.is_none() && family.data.is_some() {
            plan.unmanaged += 1;
        }
        Ok(())
    })
    .map_err(refused)?;
    let (leftovers, others) = find_leftovers(store.as_ref(), abandoned, run).map_err(refused)?;
    plan.leftovers = leftovers;
    plan.unmanaged += others;
    Ok(plan)
}

fn sort_uploads(uploads: Vec<UnfinishedUpload>, options: &CleanupOptions, now: Timestamp, plan: &mut CleanupPlan) {
    for upload in uploads {
        match series_of_upload(&upload, &options.layout) {
            // What a doctor tried with, and could not end.
            None if options.name.is_none() && upload.key.file_name() == TRIAL_NAME => {
                sort_own(upload, options, now, plan)
            }
            None => plan.foreign_uploads += 1,
            Some(series) if options.name.as_ref().is_some_and(|name| *name != series) => {}
            Some(_) => sort_own(upload, options, now, plan),
        }
    }
}

fn sort_own(upload: UnfinishedUpload, options: &CleanupOptions, now: Timestamp, plan: &mut CleanupPlan) {
    match upload
        .initiated
        .is_some_and(|begun| is_older(begun, now, options.older_than))
    {
        true => plan.uploads.push(upload),
        false => plan.young_uploads += 1,
    }
}

/// The series that an unfinished upload is of, by its key: a listing does not show the token that it carries.
fn series_of_upload(upload: &UnfinishedUpload, layout: &Layout) -> Option<String> {
    let data_key = match role_of(&upload.key) {
        KeyRole::Data => upload.key.clone(),
        KeyRole::Continuation { of } | KeyRole::Index { of } | KeyRole::Manifest { of } | KeyRole::Note { of, .. } => {
            of
        }
    };
    layout.own_series_of(&data_key)
}

/// Does what the plan says.
///
/// # Errors
/// [`Kind::Interrupted`]; the failure of a request of which it is not known what it did.
pub fn cleanup(
    store: &Arc<dyn Store>,
    plan: &CleanupPlan,
    options: &CleanupOptions,
    run: &Run,
) -> Result<CleanupOutcome> {
    let mut outcome = CleanupOutcome::default();
    for upload in &plan.uploads {
        run.cancel.check()?;
        match store.abort_unfinished(upload) {
            Ok(()) => outcome.uploads += 1,
            Err(failure) if matches!(failure.kind(), Kind::Interrupted | Kind::Unreachable) => return Err(failure),
            Err(failure) => outcome.failed_uploads.push((upload.key.clone(), failure)),
        }
    }
    let families: Vec<&Objects> = plan.leftovers.iter().map(|leftover| &leftover.objects).collect();
    let mut removal = Removal::default();
    remove_families(store.as_ref(), &families, options.purge_versions, &mut removal, run)?;
    outcome.removal.add_leftovers(removal);
    Ok(outcome)
}

/// What a backup does for its own series when it has been committed: the uploads that earlier runs of it left. It costs one
/// request as a rule, and nothing that goes wrong here is of any consequence.
///
/// Returns how many uploads were thrown away.
pub fn tidy_series(store: &Arc<dyn Store>, name: &str, layout: &Layout, older_than: Duration, run: &Run) -> u64 {
    let tidied = || -> Result<u64> {
        let uploads = store.unfinished_uploads(&layout.series_prefix(name))?;
        // The time of day is asked for only if there is anything to compare with it.
        let ours: Vec<UnfinishedUpload> = uploads
            .into_iter()
            .filter(|upload| series_of_upload(upload, layout).as_deref() == Some(name))
            .collect();
        if ours.is_empty() {
            return Ok(0);
        }
        let now = common_time(store.as_ref(), run)?;
        let mut aborted = 0;
        for upload in ours {
            if upload.initiated.is_some_and(|begun| is_older(begun, now, older_than)) {
                run.cancel.check()?;
                store.abort_unfinished(&upload)?;
                aborted += 1;
            }
        }
        Ok(aborted)
    };
    match tidied() {
        Ok(aborted) => aborted,
        Err(failure) => {
            tracing::debug!(%failure, "unfinished uploads of the series could not be cleared up");
            0
        }
    }
}
