//! Tries everything that a backup does to objects, with one small object that is always the same.

use bytes::Bytes;

use super::facts::{Condition, No, Trailer, TrialFacts, Tried};
use super::look::folder;
use crate::base::failure::Failure;
use crate::base::units::MIB;
use crate::bucket::{Bucket, Checked, Refusal, Seen, Trial, TrialUpload, Why, Written};
use crate::store::Key;
use crate::store::s3::ConditionalWrites;

/// What the object says to whoever finds it.
const BODY: &[u8] = b"Written by `backup-cli doctor`, which removes it where it may.\n";

/// What is written over it where that can do no harm.
const OTHER_BODY: &[u8] = b"Written again by `backup-cli doctor`.\n";

/// What the single object can hold.
pub(in crate::ops::doctor) const BODIES: [&[u8]; 2] = [BODY, OTHER_BODY];

/// What the object that came in parts holds.
pub(in crate::ops::doctor) const MULTIPART_BODY: &[u8] = BODY;

/// The least part that S3 takes anywhere but at the end.
const LEAST_PART: usize = 5 * MIB as usize;

/// A reason for not trying.
const NOT_WRITTEN: &str = "nothing could be written";
const NOT_REMOVED: &str = "it would leave objects that cannot be removed";

/// What is known before anything is tried.
#[derive(Debug)]
pub(in crate::ops::doctor) struct Known {
    /// What stands under the key.
    pub(in crate::ops::doctor) before: Result<Seen, Refusal>,
    /// Whether the bucket locks every new object.
    pub(in crate::ops::doctor) locks_by_itself: bool,
    /// Whether the bucket keeps versions, where it tells.
    pub(in crate::ops::doctor) keeps_versions: Option<bool>,
}

/// Whether the object can be made and removed as often as is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It stands, and was made by this run.
    New,
    /// It stands, and nothing can be done about it: each further write could leave something more.
    Stuck,
}

/// Tries everything; what was made is removed, whatever happens. What cannot be removed is written once: a hundred runs
/// leave what the first one left.
///
/// # Errors
/// [`crate::base::failure::Kind::Interrupted`].
pub(in crate::ops::doctor) fn try_object(
    bucket: &Bucket,
    key: &Key,
    prefix: &str,
    known: &Known,
) -> Result<TrialFacts, Failure> {
    let trial = Trial::new(bucket, key.clone());
    let mut facts = TrialFacts::none(trial.address(), NOT_WRITTEN);
    let outcome = try_all(bucket, &trial, prefix, known, &mut facts);
    // What stood there before this run and may not be removed is no news of this clean-up.
    if trial.is_standing()
        && let Err(refusal) = trial.clear()
    {
        facts.left = Some(No::of(&refusal));
    }
    // A server may say of an upload that it has completed it, and keep it all the same.
    if facts.multipart.is().is_some()
        && let Ok(kept) = trial.old_uploads()
    {
        let _ = abort_all(&trial, &kept);
    }
    outcome.map(|()| facts)
}

fn try_all(
    bucket: &Bucket,
    trial: &Trial<'_>,
    prefix: &str,
    known: &Known,
    facts: &mut TrialFacts,
) -> Result<(), Failure> {
    // The provider table says of it that it does what a condition demands, of every request.
    let obeys = bucket.provider().conditional_writes == ConditionalWrites::Obeyed;
    let standing = try_write(trial, known, obeys, facts);
    bucket.check()?;
    if facts.write.is().is_none() {
        try_reading_only(bucket, prefix, facts);
        return bucket.check();
    }
    facts.read = Tried::of(trial.read().map(|content| content == BODY || content == OTHER_BODY));
    facts.list = Tried::of(trial.is_listed());
    facts.seen = Tried::of(trial.head());
    bucket.check()?;
    if known.locks_by_itself {
        leave_out(
            facts,
            "the bucket locks every new object, so that it could not be removed",
        );
        try_abort(trial, facts);
        return bucket.check();
    }
    try_abort(trial, facts);
    bucket.check()?;
    if standing == Standing::New {
        facts.delete = Tried::of(trial.delete());
    }
    if facts.delete.is().is_none() {
        let tried = std::mem::replace(&mut facts.delete, Tried::untried(""));
        leave_out(facts, NOT_REMOVED);
        facts.delete = tried;
        // A server that looks at no condition would hide it anew with every run.
        if obeys && matches!(&facts.delete, Tried::Refused(no) if no.permission == "s3:DeleteObjectVersion") {
            facts.hide = Tried::of(trial.may_delete());
        }
        try_sending(trial, obeys, facts);
        return bucket.check();
    }
    let is_obeyed = |tried: &Tried<Condition>| tried.is() == Some(&Condition::Obeyed);
    let only_new = is_obeyed(&facts.create_only);
    // It stands again, so that an upload finds its key taken.
    let upload = match put_anew(trial, BODY, only_new, Checked::Plainly) {
        Ok(_) => try_taken(trial, facts),
        Err(refusal) => {
            facts.multipart = Tried::Refused(No::of(&refusal));
            facts.create_only_parts = Tried::untried("nothing could be written a second time");
            None
        }
    };
    bucket.check()?;
    facts.delete = Tried::of(trial.delete());
    let only_new_parts = is_obeyed(&facts.create_only_parts);
    try_completing(trial, upload, only_new_parts, facts);
    bucket.check()?;
    try_part_sizes(bucket, trial, only_new_parts, facts)?;
    bucket.check()?;
    try_replacing(trial, only_new, facts);
    bucket.check()?;
    try_checksums(trial, only_new, facts);
    bucket.check()
}

/// Writes, and writes once more where only new objects are wanted.
fn try_write(trial: &Trial<'_>, known: &Known, obeys: bool, facts: &mut TrialFacts) -> Standing {
    if let Ok(seen) = &known.before {
        trial.found_standing(seen.version_id.clone());
        let removed = match known.locks_by_itself {
            true => None,
            false => Some(trial.delete()),
        };
        match removed {
            Some(Ok(())) => {}
            None => return write_onto(trial, known, seen, obeys, facts),
            Some(Err(refusal)) => {
                facts.delete = Tried::Refused(No::of(&refusal));
                return write_onto(trial, known, seen, obeys, facts);
            }
        }
    }
    match trial.put(BODY, true, Checked::Plainly) {
        Ok(written) => {
            facts.write = Tried::Is(written);
            facts.create_only = Tried::Is(match trial.put(OTHER_BODY, true, Checked::Plainly) {
                Ok(_) => Condition::Ignored,
                Err(refusal) if refusal.why == Why::Condition => Condition::Obeyed,
                Err(_) => Condition::Unknown,
            });
            Standing::New
        }
        // Left by a run that could not remove it. Whoever may not write is told so before the condition is looked at.
        Err(refusal) if refusal.why == Why::Condition => {
            facts.write = Tried::Is(Written::default());
            facts.create_only = Tried::Is(Condition::Obeyed);
            remove_unseen(trial, known, &refusal, facts)
        }
        Err(refusal) if matches!(refusal.why, Why::NotSupported | Why::Rejected) => {
            let is_absent = match &known.before {
                Ok(_) => true,
                Err(refusal) => refusal.why == Why::NotThere,
            };
            // It may stand there unseen, and each write be one more version.
            match is_absent || known.keeps_versions == Some(false) {
                true => facts.write = Tried::of(trial.put(BODY, false, Checked::Plainly)),
                false => facts.write = asked(trial),
            }
            if facts.write.is().is_some() {
                facts.create_only = Tried::Is(Condition::Unknown);
            }
            match is_absent || known.keeps_versions == Some(false) {
                true => Standing::New,
                false => {
                    facts.delete = Tried::untried("it is not known whether an earlier run left the object");
                    Standing::Stuck
                }
            }
        }
        Err(refusal) => {
            facts.write = Tried::Refused(No::of(&refusal));
            Standing::Stuck
        }
    }
}

/// An earlier run left the object, and it cannot be removed: writes only where that changes nothing.
fn write_onto(trial: &Trial<'_>, known: &Known, seen: &Seen, obeys: bool, facts: &mut TrialFacts) -> Standing {
    let is_alone = seen.version_id.is_none() && known.keeps_versions != Some(true);
    if !(is_alone || obeys) {
        facts.write = asked(trial);
        facts.create_only = Tried::untried("another version would be left by each run");
        return Standing::Stuck;
    }
    match trial.put(BODY, true, Checked::Plainly) {
        Ok(written) => {
            facts.write = Tried::Is(written);
            facts.create_only = Tried::Is(Condition::Ignored);
        }
        Err(refusal) if refusal.why == Why::Condition => {
            facts.write = Tried::Is(Written::default());
            facts.create_only = Tried::Is(Condition::Obeyed);
        }
        Err(refusal) if matches!(refusal.why, Why::NotSupported | Why::Rejected) => {
            facts.write = asked(trial);
            facts.create_only = Tried::Is(Condition::Unknown);
        }
        Err(refusal) => facts.write = Tried::Refused(No::of(&refusal)),
    }
    Standing::Stuck
}

/// Whether objects can be written, as far as that is told without writing.
fn asked(trial: &Trial<'_>) -> Tried<Written> {
    match trial.may_write() {
        Ok(()) => Tried::Is(Written::default()),
        Err(refusal) if refusal.why == Why::NotAllowed => Tried::Refused(No::of(&refusal)),
        Err(_) => Tried::untried(NOT_REMOVED),
    }
}

/// The object stands, and who may not look at it does not know its version: without one it would be hidden, not removed, and
/// the next run would write another version.
fn remove_unseen(trial: &Trial<'_>, known: &Known, taken: &Refusal, facts: &mut TrialFacts) -> Standing {
    if known.locks_by_itself {
        facts.left = Some(No::of(taken));
        return Standing::Stuck;
    }
    let removed = match known.keeps_versions {
        Some(false) => {
            trial.found_standing(None);
            trial.delete()
        }
        Some(true) | None => trial.delete_without_version(),
    };
    let again = match removed {
        Ok(()) => trial.put(BODY, true, Checked::Plainly),
        Err(refusal) => {
            facts.left = Some(No::of(&refusal));
            facts.delete = Tried::Refused(No::of(&refusal));
            return Standing::Stuck;
        }
    };
    match again {
        Ok(written) => {
            facts.write = Tried::Is(written);
            Standing::New
        }
        Err(refusal) => {
            facts.left = Some(No::of(&refusal));
            facts.delete =
                Tried::untried("an earlier run left an object whose version cannot be looked up (s3:GetObject)");
            Standing::Stuck
        }
    }
}

/// Who may not write can still read what others have written.
fn try_reading_only(bucket: &Bucket, prefix: &str, facts: &mut TrialFacts) {
    let keys = match bucket.first_keys(&folder(prefix), 1) {
        Ok(keys) => keys,
        Err(refusal) => {
            facts.list = Tried::Refused(No::of(&refusal));
            facts.read = Tried::untried("nothing could be written, and no object is known that could be read");
            return;
        }
    };
    facts.list = Tried::Is(true);
    facts.read = match keys.first() {
        None => Tried::untried("there is no object that could be read"),
        Some(key) => match bucket.read_object(key, Some(1)) {
            Ok(_) => Tried::Is(true),
            // An empty object, or one in an archive: the right is there.
            Err(refusal) if refusal.says(&["InvalidRange", "InvalidObjectState"]) => Tried::Is(true),
            Err(refusal) => Tried::Refused(No::of(&refusal)),
        },
    };
}

/// Asks whether an upload can be aborted, without beginning one as far as possible: one that cannot be aborted stays.
fn try_abort(trial: &Trial<'_>, facts: &mut TrialFacts) {
    facts.abort = match trial.may_abort() {
        // Runs that were killed may have left some.
        Ok(()) => Tried::of(abort_all(trial, &trial.old_uploads().unwrap_or_default())),
        Err(refusal) if refusal.why == Why::NotAllowed => Tried::Refused(No::of(&refusal)),
        // Where uploads can be listed, the one that has to stay is found by the next run, which begins no other.
        Err(_) => match trial.old_uploads() {
            Ok(old) if old.is_empty() => match trial.start_upload() {
                Ok(upload) => Tried::of(trial.abort(&upload)),
                Err(refusal) => {
                    facts.multipart = Tried::Refused(No::of(&refusal));
                    Tried::untried("no upload could be begun")
                }
            },
            Ok(old) => Tried::of(abort_all(trial, &old)),
            Err(_) => {
                Tried::untried("this server does not tell whether an upload could be aborted before there is one")
            }
        },
    };
}

fn abort_all(trial: &Trial<'_>, uploads: &[TrialUpload]) -> Result<(), Refusal> {
    uploads.iter().try_for_each(|upload| trial.abort(upload))
}

/// An upload that can be aborted: begun, with its part. What else there is, is told in `facts`.
fn begin(trial: &Trial<'_>, facts: &mut TrialFacts) -> Option<TrialUpload> {
    match &facts.abort {
        Tried::Is(()) => {}
        Tried::Refused(_) => {
            let why = "it would leave an upload that cannot be aborted";
            facts.multipart = Tried::untried(why);
            facts.create_only_parts = Tried::untried(why);
            return None;
        }
        Tried::Untried(why) => {
            facts.create_only_parts = Tried::untried(why.clone());
            if !matches!(facts.multipart, Tried::Refused(_)) {
                facts.multipart = Tried::untried(why.clone());
            }
            return None;
        }
    }
    let begun = trial.start_upload().and_then(|mut upload| {
        trial
            .send_part(&mut upload, Bytes::from_static(MULTIPART_BODY))
            .map(|()| upload)
    });
    match begun {
        Ok(upload) => Some(upload),
        Err(refusal) => {
            facts.multipart = Tried::Refused(No::of(&refusal));
            facts.create_only_parts = Tried::untried("no upload could be begun");
            None
        }
    }
}

/// Sends a part, where nothing that is completed could be removed.
fn try_sending(trial: &Trial<'_>, obeys: bool, facts: &mut TrialFacts) {
    let Some(upload) = begin(trial, facts) else { return };
    facts.part_sent = Tried::Is(());
    // Its key is taken. Only where it is known of the server that it looks is it asked.
    if obeys && facts.create_only.is() == Some(&Condition::Obeyed) {
        match trial.complete(&upload, true) {
            Ok(written) => {
                facts.create_only_parts = Tried::Is(Condition::Ignored);
                facts.multipart = Tried::Is(written);
                return;
            }
            Err(refusal) if refusal.why == Why::Condition => facts.create_only_parts = Tried::Is(Condition::Obeyed),
            Err(_) => facts.create_only_parts = Tried::Is(Condition::Unknown),
        }
    }
    facts.abort = Tried::of(trial.abort(&upload));
}

/// Completes an upload onto the object that stands there, which must be refused; gives the upload back.
fn try_taken(trial: &Trial<'_>, facts: &mut TrialFacts) -> Option<TrialUpload> {
    let upload = begin(trial, facts)?;
    // Where single writes ignore the condition, completing would replace the object; nothing is lost by that either.
    match trial.complete(&upload, true) {
        Ok(written) => {
            facts.create_only_parts = Tried::Is(Condition::Ignored);
            facts.multipart = Tried::Is(written);
            None
        }
        Err(refusal) if refusal.why == Why::Condition => {
            facts.create_only_parts = Tried::Is(Condition::Obeyed);
            facts.multipart = Tried::untried(NOT_REMOVED);
            Some(upload)
        }
        Err(_) => {
            facts.create_only_parts = Tried::Is(Condition::Unknown);
            facts.multipart = Tried::untried(NOT_REMOVED);
            Some(upload)
        }
    }
}

/// Completes the upload now that its key is free. A server may have dropped it when it refused; then another one is made.
fn try_completing(trial: &Trial<'_>, upload: Option<TrialUpload>, only_new: bool, facts: &mut TrialFacts) {
    let Some(upload) = upload else { return };
    let again = || {
        let mut upload = trial.start_upload()?;
        trial.send_part(&mut upload, Bytes::from_static(MULTIPART_BODY))?;
        trial.complete(&upload, only_new)
    };
    facts.multipart = Tried::of(match trial.complete(&upload, only_new) {
        // The key is free: a condition that is not met is that of an answer that got lost, or of another doctor.
        Err(refusal) if refusal.why == Why::NotThere => again(),
        Err(refusal) if refusal.why == Why::Condition => {
            if let Ok(seen) = trial.head() {
                trial.found_standing(seen.version_id);
            }
            make_room(trial, only_new).and_then(|()| again())
        }
        other => other,
    });
}

/// Finds out what the server demands of the sizes of parts: by a few bytes where that is enough.
fn try_part_sizes(bucket: &Bucket, trial: &Trial<'_>, only_new: bool, facts: &mut TrialFacts) -> Result<(), Failure> {
    if facts.multipart.is().is_none() {
        let why = "no upload could be completed";
        facts.least_part = Tried::untried(why);
        facts.unequal_parts = Tried::untried(why);
        return Ok(());
    }
    match complete_parts(trial, only_new, &[3, 2, 1]) {
        Ok(()) => {
            facts.least_part = Tried::Is(false);
            facts.unequal_parts = Tried::Is(true);
            return Ok(());
        }
        Err(refusal) if refusal.says(&["EntityTooSmall"]) => facts.least_part = Tried::Is(true),
        Err(_) => match complete_parts(trial, only_new, &[2, 2, 1]) {
            Ok(()) => {
                facts.least_part = Tried::Is(false);
                facts.unequal_parts = Tried::Is(false);
                return Ok(());
            }
            Err(refusal) if refusal.says(&["EntityTooSmall"]) => facts.least_part = Tried::Is(true),
            Err(refusal) => {
                facts.least_part = Tried::Refused(No::of(&refusal));
            }
        },
    }
    bucket.check()?;
    facts.unequal_parts = match complete_parts(trial, only_new, &[LEAST_PART, LEAST_PART + 1, 1]) {
        Ok(()) => Tried::Is(true),
        Err(refusal) if refusal.why == Why::Rejected && !refusal.says(&["EntityTooSmall"]) => Tried::Is(false),
        Err(refusal) => Tried::Refused(No::of(&refusal)),
    };
    Ok(())
}

/// An upload of parts of these sizes, in bytes. One that fails is thrown away.
fn complete_parts(trial: &Trial<'_>, only_new: bool, sizes: &[usize]) -> Result<(), Refusal> {
    make_room(trial, only_new)?;
    let mut upload = trial.start_upload()?;
    let outcome = sizes
        .iter()
        .try_for_each(|bytes| trial.send_part(&mut upload, Bytes::from(vec![0; *bytes])))
        .and_then(|()| trial.complete(&upload, only_new));
    match outcome {
        Ok(_) => Ok(()),
        Err(refusal) => {
            // The clean-up at the end tries it again, and tells.
            let _ = trial.abort(&upload);
            Err(refusal)
        }
    }
}

/// A bucket may take nothing but new objects: then what was tried before has to go.
fn make_room(trial: &Trial<'_>, only_new: bool) -> Result<(), Refusal> {
    match only_new {
        true => trial.delete(),
        false => Ok(()),
    }
}

/// Writes the object where it does not stand, or may be replaced.
fn put_anew(trial: &Trial<'_>, body: &'static [u8], only_new: bool, checked: Checked) -> Result<Written, Refusal> {
    let attempt = || make_room(trial, only_new).and_then(|()| trial.put(body, only_new, checked));
    match attempt() {
        // Its answer got lost, and when it was asked for again the key was taken: by itself.
        Err(refusal) if refusal.why == Why::Condition => {
            if let Ok(seen) = trial.head() {
                trial.found_standing(seen.version_id);
            }
            attempt()
        }
        other => other,
    }
}

/// Writes over the object without any condition, as a thief would who holds these credentials.
fn try_replacing(trial: &Trial<'_>, only_new: bool, facts: &mut TrialFacts) {
    let standing = put_anew(trial, BODY, only_new, Checked::Plainly);
    let replace = || trial.put(OTHER_BODY, false, Checked::Plainly);
    let replaced = standing.and_then(|_| match replace() {
        // Nothing was demanded, so that only another write of the same moment can be meant.
        Err(refusal) if refusal.why == Why::Condition => replace(),
        other => other,
    });
    facts.replace = match replaced {
        Ok(_) => Tried::Is(true),
        Err(refusal) if refusal.why == Why::NotAllowed => Tried::Is(false),
        Err(refusal) => Tried::Refused(No::of(&refusal)),
    };
}

/// Writes the object anew in each way in which a body can be vouched for.
fn try_checksums(trial: &Trial<'_>, only_new: bool, facts: &mut TrialFacts) {
    let put = |body, checked| put_anew(trial, body, only_new, checked);
    facts.crc64 = Tried::of(put(OTHER_BODY, Checked::ByCrc64Nvme).map(|_| ()));
    facts.crc32 = Tried::of(put(OTHER_BODY, Checked::ByCrc32).map(|_| ()));
    facts.trailer = Tried::of(put(OTHER_BODY, Checked::ByTrailer).map(|_| Trailer {
        content_encoding: trial.head().ok().and_then(|seen| seen.content_encoding),
        is_intact: trial.read().ok().map(|content| content == OTHER_BODY),
    }));
    facts.wrong_md5 = match put(BODY, Checked::ByWrongMd5) {
        Ok(_) => Tried::Is(false),
        Err(refusal) if refusal.why == Why::Rejected => Tried::Is(true),
        Err(refusal) => Tried::Refused(No::of(&refusal)),
    };
}

/// Nothing of what makes and removes objects was tried.
fn leave_out(facts: &mut TrialFacts, why: &str) {
    let left_out = TrialFacts::none(String::new(), why);
    *facts = TrialFacts {
        address: std::mem::take(&mut facts.address),
        write: std::mem::replace(&mut facts.write, Tried::untried("")),
        create_only: std::mem::replace(&mut facts.create_only, Tried::untried("")),
        read: std::mem::replace(&mut facts.read, Tried::untried("")),
        list: std::mem::replace(&mut facts.list, Tried::untried("")),
        seen: std::mem::replace(&mut facts.seen, Tried::untried("")),
        abort: std::mem::replace(&mut facts.abort, Tried::untried("")),
        multipart: match std::mem::replace(&mut facts.multipart, Tried::untried("")) {
            refused @ Tried::Refused(_) => refused,
            _ => Tried::untried(why),
        },
        left: facts.left.take(),
        ..left_out
    };
}
