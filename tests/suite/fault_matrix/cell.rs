//! One cell of the matrix: a command, a request of it, a kind of fault, once or for ever; and the invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use backup_cli::catalog::notes::note_of;
use backup_cli::ops::doctor::TRIAL_NAME;
use backup_cli::store::Key;
use sha2::{Digest, Sha256};

use super::commands::{COMMANDS, Command, Effect, Flaw, History};
use super::kinds::Kind;
use super::mended::Mended;
use super::papers::{self, Clean};
use super::site::{Fixture, Site};
use crate::support::cli::Outcome;
use crate::support::fault_s3::{Content, Fault, Op, When};

/// How often the fault happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    Once,
    ForEver,
}

/// What is tried.
#[derive(Clone, Debug)]
pub struct Cell {
    pub command: &'static Command,
    pub op: Op,
    /// Which of the command's requests of this operation is hit first, from 1.
    pub nth: u64,
    pub kind: Kind,
    pub times: Times,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} at {:?} {} {:?}",
            self.command.name, self.kind.name, self.op, self.nth, self.times
        )
    }
}

/// How it ended, if all invariants hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Survived,
    FailedCleanly,
}

/// What a command does when nothing befalls it.
pub struct CleanRun {
    pub requests: BTreeMap<Op, u64>,
    stdout: Vec<u8>,
    /// The SHA-256 of each new data object whose content is the same in every run.
    data: BTreeSet<String>,
    /// The keys of the new notes.
    notes: BTreeSet<String>,
    /// The settings and the roles.
    papers: Clean,
    /// What lies at the index that was made; `None` if it is another one each time.
    index: Option<String>,
}

/// The clean run of each command of the table, made once.
pub fn clean_run(command: &Command) -> &'static CleanRun {
    static RUNS: OnceLock<BTreeMap<&'static str, OnceLock<CleanRun>>> = OnceLock::new();
    let runs = RUNS.get_or_init(|| COMMANDS.iter().map(|command| (command.name, OnceLock::new())).collect());
    runs[command.name].get_or_init(|| {
        let site = Site::for_command(command);
        let outcome = site.run(command).success();
        let mut requests = BTreeMap::new();
        for request in site.server.requests() {
            *requests.entry(request.op).or_insert(0) += 1;
        }
        let content = site.server.content(&site.bucket);
        let mut run = CleanRun {
            requests,
            stdout: outcome.stdout_bytes().to_vec(),
            data: BTreeSet::new(),
            notes: new_notes(command, &content),
            papers: Clean {
                papers: site.server.papers(),
                written: site.server.papers_written(),
            },
            index: index_digest(command, &content),
        };
        let made = check_success(command, &site, &content, None, Excuses::default()).unwrap_or_else(|why| {
            panic!("the clean run of {}: {why}\n{outcome}", command.name);
        });
        run.data = made;
        run
    })
}

impl Cell {
    /// Runs it on a server of its own.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn run(&self) -> Result<Verdict, String> {
        let clean = clean_run(self.command);
        let site = Site::for_command(self.command);
        let occurrences = match self.times {
            Times::Once => self.nth..self.nth + 1,
            Times::ForEver => self.nth..u64::MAX,
        };
        site.server
            .fault(When::every(self.op).occurrences(occurrences), self.fault());
        let run = std::panic::AssertUnwindSafe(|| site.run(self.command));
        let Ok(outcome) = std::panic::catch_unwind(run) else {
            return Err(format!("{self}: it took too long\n{:?}", site.server.operations()));
        };
        let content = site.server.content(&site.bucket);
        let happened = site.server.requests().iter().any(|request| request.faulty);
        let say = |why: String| format!("{self}: {why}\n{outcome}\n{:?}", site.server.operations());
        if !happened {
            return Err(say("the fault never happened".to_owned()));
        }
        let mut may_change = self.command.doomed();
        // It is the old one or the new one, whole, which is checked below.
        may_change.extend(self.command.mended().into_iter().flat_map(Mended::may_change));
        let mut before = self
            .command
            .before()
            .iter()
            .filter(|(key, _)| !may_change.contains(*key));
        if let Some(lost) = before.find(|(key, object)| !is_same(content.get(*key), object)) {
            return Err(say(format!("`{}` was there before and is lost or changed", lost.0)));
        }
        for secret in Fixture::shared().secrets() {
            if holds(self.command, &outcome, &content, &secret) {
                return Err(say("a secret is told".to_owned()));
            }
        }
        if self.command.mended().is_some_and(|mended| mended.has_index) {
            let index = index_digest(self.command, &content);
            if index != clean.index && index != index_digest(self.command, self.command.before()) {
                return Err(say("the index is neither the old nor the new one".to_owned()));
            }
        }
        self.check_papers(&site, &outcome, clean).map_err(say)?;
        let verdict = match outcome.code() {
            0 => self
                .check_success(&site, &outcome, &content, clean)
                .map(|()| Verdict::Survived),
            _ => self
                .check_failure(&site, &outcome, &content)
                .map(|()| Verdict::FailedCleanly),
        };
        let verdict = verdict.map_err(say)?;
        if self.times == Times::Once && self.kind.is_survived_once(self.op) && verdict != Verdict::Survived {
            return Err(say("it passes, and is not survived".to_owned()));
        }
        match self.command.is_run_again() {
            true => self.check_the_same_run(&site, verdict, clean).map_err(say)?,
            false => self.check_the_next_run(&site, &content).map_err(say)?,
        }
        Ok(verdict)
    }

    /// The settings of the bucket and the roles of the account: each is the old one or the new one, and what looks or removes
    /// backups changes none.
    fn check_papers(&self, site: &Site, outcome: &Outcome, clean: &CleanRun) -> Result<(), String> {
        let now = site.server.papers();
        if self.command.effect != Effect::Settings {
            return match now == *self.command.papers() {
                true => Ok(()),
                false => Err(format!("it changes no setting, and there is {now:?}")),
            };
        }
        if self.reads_what_nobody_wrote() {
            return Ok(());
        }
        // What a server says that it lacks is not made there, which is said.
        let is_excused = self.kind.is_taken_for_lacking(self.op) && outcome.stderr().contains("is left as it is");
        let must_be_done = outcome.code() == 0 && !is_excused;
        papers::check(self.command.history, &now, &clean.papers, must_be_done)
    }

    /// A document that is read as another one as often as it is looked at is, for all that anybody knows, that one.
    fn reads_what_nobody_wrote(&self) -> bool {
        self.op == Op::ReadSetting && self.kind.is_undetectable(self.op) && self.times == Times::ForEver
    }

    /// Whatever became of it, the same command succeeds when nothing befalls it any more, and leaves what a clean run leaves.
    fn check_the_same_run(&self, site: &Site, verdict: Verdict, clean: &CleanRun) -> Result<(), String> {
        site.server.heal();
        if verdict == Verdict::FailedCleanly && !self.reads_what_nobody_wrote() {
            let outcome = site.run(self.command);
            // What was done although the store said that it was not is not done twice.
            let is_done = self.command.name.starts_with("adopt") && outcome.stderr().contains("is a backup already");
            if outcome.code() != 0 && !is_done {
                return Err(format!("it fails when nothing befalls it any more\n{outcome}"));
            }
            let content = site.server.content(&site.bucket);
            // An upload that the first run lost the id of is taken away below.
            let excuses = Excuses {
                may_keep_uploads: true,
                ..Excuses::default()
            };
            check_success(self.command, site, &content, Some(clean), excuses)
                .map_err(|why| format!("after the next run {why}\n{outcome}"))?;
            papers::check(self.command.history, &site.server.papers(), &clean.papers, true)
                .map_err(|why| format!("after the next run {why}\n{outcome}"))?;
        }
        match site.server.open_uploads(&site.bucket).is_empty() {
            true => Ok(()),
            false => site.tidy(),
        }
    }

    fn check_success(&self, site: &Site, outcome: &Outcome, content: &Content, clean: &CleanRun) -> Result<(), String> {
        let may_be_older = self.kind.is_undetectable(self.op) && self.op == Op::ListObjects;
        let excuses = Excuses {
            may_be_older,
            // Nobody can tell that an upload is there if the store knows no listing of them, or says that it has ended it.
            may_keep_uploads: self.op == Op::AbortMultipartUpload
                || self.loses_an_upload_id()
                || self.op == Op::ListMultipartUploads && self.kind.name == "501 NotImplemented",
            // What cannot be looked at stays, and so does what the store says is gone, in whatever words, or never shows. The next
            // clean-up finds it.
            may_keep_doomed: (matches!(self.op, Op::GetObject | Op::HeadObject) || self.kind.name.starts_with("404 "))
                && !(self.times == Times::Once && self.kind.is_survived_once(self.op))
                || self.kind.is_undetectable(self.op)
                || self.op == Op::DeleteObject && self.kind.name.ends_with(" in a 200"),
        };
        check_success(self.command, site, content, Some(clean), excuses)?;
        if self.command.effect == Effect::Answer
            && clean.stdout != outcome.stdout_bytes()
            && !self.kind.is_undetectable(self.op)
            && !self.is_told_in_the_answer(outcome)
        {
            return Err("it succeeded, and the answer is another one".to_owned());
        }
        Ok(())
    }

    /// A manifest that is read wrong again and again is a line of the list that says so, and fails no list.
    fn is_told_in_the_answer(&self, outcome: &Outcome) -> bool {
        if self.command.name == "bucket check" {
            return self.tells_what_it_knows(outcome);
        }
        let words = String::from_utf8_lossy(outcome.stdout_bytes()).into_owned();
        self.command.name == "list"
            && (self.op, self.times) == (Op::GetObject, Times::ForEver)
            && words.contains("\"state\": \"damaged\"")
            && words.contains("is not what the store's own MD5 of it says")
    }

    /// Whether each point of a bucket is as a clean run finds it, or said to be unknown or not there.
    fn tells_what_it_knows(&self, outcome: &Outcome) -> bool {
        let points = |stdout: &[u8]| -> Vec<serde_json::Value> {
            let document: serde_json::Value = serde_json::from_slice(stdout).unwrap_or_default();
            document["points"].as_array().cloned().unwrap_or_default()
        };
        let clean = points(&clean_run(self.command).stdout);
        let found = points(outcome.stdout_bytes());
        found.len() == clean.len()
            && found.iter().zip(&clean).all(|(found, clean)| {
                let is_open = found["verdict"] == "unknown" || found["verdict"] == "not-supported";
                found == clean || (is_open && found["id"] == clean["id"])
            })
    }

    /// What lets some bytes of the answer through would be progress, were it to happen again and again.
    fn fault(&self) -> Fault {
        match self.kind.fault {
            Fault::TruncateReply { .. } if self.times == Times::ForEver => Fault::TruncateReply { after_bytes: 0 },
            Fault::ResetReply { .. } if self.times == Times::ForEver => Fault::ResetReply { after_bytes: 0 },
            Fault::StallReply { time, .. } if self.times == Times::ForEver => {
                Fault::StallReply { after_bytes: 0, time }
            }
            _ => self.kind.fault.clone(),
        }
    }

    fn check_failure(&self, site: &Site, outcome: &Outcome, content: &Content) -> Result<(), String> {
        /// Failed, damage found, no such bucket or backup, refused, not configured for this region, incomplete.
        const CODES: [i32; 6] = [1, 2, 3, 10, 12, 20];
        // A store that cannot be seen as a whole is refused by what removes.
        let refuses = matches!(self.command.effect, Effect::Removes | Effect::Settings | Effect::Mends);
        // What a listing hides has no manifest as far as anybody can tell, and is no backup to copy.
        let hides = self.command.effect == Effect::Copies && self.kind.is_undetectable(self.op);
        let is_refused = outcome.code() == 21 && (refuses || hides);
        if !CODES.contains(&outcome.code()) && !is_refused {
            return Err(format!("it ended with {}", outcome.code()));
        }
        let words = outcome.stderr();
        if words.contains("panicked") {
            return Err("it panicked".to_owned());
        }
        if outcome.code() == 20 && self.command.effect == Effect::Verdict && !self.kind.is_like_damage(self.op) {
            return Err("what the store did not answer was taken for damage".to_owned());
        }
        // The table of the doctor says of each check what it is about and what to do.
        let is_table = self.command.name == "doctor" && outcome.stdout().contains("failed");
        if !is_table && !says_what_why_and_what_to_do(outcome) {
            return Err("the message lacks what, why or what to do".to_owned());
        }
        let before = self.command.before();
        let new: Vec<&String> = content.keys().filter(|key| !before.contains_key(*key)).collect();
        match self.command.effect {
            _ if self.command.goes_one_by_one() => {
                // Some of several may have been copied; each of these is whole.
                whole_backups(self.command, content)?;
            }
            _ => {
                // It is whole all the same, which is checked below.
                let is_lied_to = self.times == Times::ForEver && self.kind.is_a_lie_about_what_is_there(self.op);
                if !is_lied_to && let Some(manifest) = new.iter().find(|key| key.ends_with(".manifest.json")) {
                    return Err(format!("it failed, and yet `{manifest}` is there"));
                }
            }
        }
        let answers = matches!(
            self.command.effect,
            Effect::Answer | Effect::Restore | Effect::Backups(_)
        );
        let is_told = outcome.code() == 3 && self.is_told_in_the_answer(outcome);
        if answers && !is_told && !self.has_begun_rightly(outcome) {
            return Err("it failed, and yet it gave an answer".to_owned());
        }
        if site.restored().is_some() {
            return Err("the restore failed, and yet there is a target".to_owned());
        }
        let left: Vec<String> = std::fs::read_dir(site.targets())
            .map_err(|error| error.to_string())?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        if !left.is_empty() {
            return Err(format!("beside the target there is {left:?}"));
        }
        self.check_leftovers(site, outcome, content)
    }

    /// Whether what a failed run wrote is right as far as it goes: bytes of the plaintext, or lines that a clean run writes
    /// too, with a summary that tells of the failure.
    fn has_begun_rightly(&self, outcome: &Outcome) -> bool {
        let clean = &clean_run(self.command).stdout;
        if self.command.words.contains(&"-") {
            return clean.starts_with(outcome.stdout_bytes());
        }
        let lines: BTreeSet<&[u8]> = clean.split(|byte| *byte == b'\n').collect();
        outcome
            .stdout_bytes()
            .split(|byte| *byte == b'\n')
            .all(|line| lines.contains(line) || String::from_utf8_lossy(line).contains("\"summary\""))
    }

    /// What is left belongs to no backup, is named, and was not removable; the next run is not disturbed by it.
    fn check_leftovers(&self, site: &Site, outcome: &Outcome, content: &Content) -> Result<(), String> {
        let named = whole_backups(self.command, content)?;
        let before = self.command.before();
        let is_new = |key: &&String| !named.contains(*key) && !before.contains_key(*key);
        let left: Vec<&String> = content.keys().filter(is_new).collect();
        let uploads = site.server.open_uploads(&site.bucket);
        for key in &left {
            let is_told = outcome.stderr().contains(key.as_str())
                || String::from_utf8_lossy(outcome.stdout_bytes()).contains(key.as_str());
            // Of what the store says it does not have nobody can tell; the next clean-up finds it.
            let is_lied_to = self.times == Times::ForEver && self.kind.is_a_lie_about_what_is_there(self.op);
            if !is_told && !is_lied_to {
                return Err(format!("`{key}` is left and nobody is told"));
            }
        }
        let is_abort_hit = self.op == Op::AbortMultipartUpload;
        // There was one before a clean-up that failed.
        let is_cleanup = self.command.name == "cleanup";
        if !uploads.is_empty() && !is_abort_hit && !is_cleanup && !self.loses_an_upload_id() {
            return Err(format!("unfinished uploads are left: {uploads:?}"));
        }
        Ok(())
    }

    /// What is left, of a run that failed or of one that succeeded, is taken away by the next run that looks for it.
    fn check_the_next_run(&self, site: &Site, content: &Content) -> Result<(), String> {
        let named = whole_backups(self.command, content)?;
        let is_left = |content: &Content, named: &BTreeSet<String>| {
            content
                .keys()
                .any(|key| !named.contains(key) && !key.ends_with(TRIAL_NAME))
        };
        if site.server.open_uploads(&site.bucket).is_empty() && !is_left(content, &named) {
            return Ok(());
        }
        site.tidy()?;
        let content = site.server.content(&site.bucket);
        match is_left(&content, &whole_backups(self.command, &content)?) {
            true => Err(format!(
                "after the clean-up there is what belongs to no backup: {:?}",
                content.keys().collect::<Vec<_>>()
            )),
            false => Ok(()),
        }
    }

    /// The id of an upload whose creation got no answer, or a wrong one, is known to nobody.
    fn loses_an_upload_id(&self) -> bool {
        // An answer that comes twice is taken for the one to the next request on the connection.
        self.op == Op::CreateMultipartUpload || self.kind.name == "reply twice"
    }
}

/// Whether the last words of a run name the failure, its cause if it has one, and something to do.
fn says_what_why_and_what_to_do(outcome: &Outcome) -> bool {
    let stderr = outcome.stderr();
    // What is done but for some of it is no error.
    let what = if outcome.code() == 3 { "Warning: " } else { "Error: " };
    let last = stderr.lines().last().unwrap_or_default();
    match serde_json::from_str::<serde_json::Value>(last) {
        Ok(line) => {
            line["message_type"] == "exit_error"
                && line["message"].as_str().is_some_and(|message| !message.is_empty())
                && line["hints"].as_array().is_some_and(|hints| !hints.is_empty())
        }
        Err(_) => [what, "Hint: "]
            .iter()
            .all(|part| stderr.lines().any(|line| line.starts_with(part))),
    }
}

fn is_same(
    now: Option<&crate::support::fault_s3::StoredObject>,
    before: &crate::support::fault_s3::StoredObject,
) -> bool {
    now.is_some_and(|now| now.etag == before.etag && now.bytes() == before.bytes())
}

fn holds(command: &Command, outcome: &Outcome, content: &Content, secret: &str) -> bool {
    let first = secret.as_bytes()[0];
    let holds = |bytes: &[u8]| {
        let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
        starts.any(|(start, _)| bytes[start..].starts_with(secret.as_bytes()))
    };
    let before = command.before();
    holds(outcome.stdout_bytes())
        || holds(outcome.stderr().as_bytes())
        || content
            .iter()
            .filter(|(key, object)| !before.contains_key(*key) && object.bytes() < 1 << 20)
            .any(|(key, object)| holds(key.as_bytes()) || holds(&object.content()))
}

/// What a fault may hide from everybody, so that a success is one all the same.
#[derive(Clone, Copy, Debug, Default)]
struct Excuses {
    /// What a listing lacks cannot be chosen: the newest one that it shows is restored.
    may_be_older: bool,
    may_keep_uploads: bool,
    may_keep_doomed: bool,
}

/// Whether the command has done what it says; the digests of the new data.
fn check_success(
    command: &Command,
    site: &Site,
    content: &Content,
    clean: Option<&CleanRun>,
    excuses: Excuses,
) -> Result<BTreeSet<String>, String> {
    let before = command.before();
    let doomed = command.doomed();
    if let Some(key) = content.keys().find(|key| doomed.contains(*key))
        && !excuses.may_keep_doomed
    {
        return Err(format!("it succeeded, and `{key}` is there"));
    }
    let mut new: Vec<&String> = content.keys().filter(|key| !before.contains_key(*key)).collect();
    let manifests = new.iter().filter(|key| key.ends_with(".manifest.json")).count();
    let wanted = match command.effect {
        Effect::Backups(count) => count,
        Effect::Streams => 1,
        Effect::Several => 2,
        Effect::Copies if command.words.contains(&"--all") => {
            before.keys().filter(|key| key.ends_with(".manifest.json")).count()
        }
        Effect::Copies => 1,
        Effect::Mends => usize::from(command.history == History::Unmended(Flaw::Unmanaged)),
        Effect::Answer | Effect::Restore | Effect::Verdict | Effect::Removes | Effect::Note | Effect::Settings => 0,
    };
    let is_hidden = excuses.may_be_older && command.effect == Effect::Copies;
    if manifests != wanted && !(is_hidden && manifests < wanted) {
        return Err(format!("{manifests} new backups instead of {wanted}: {new:?}"));
    }
    let named = whole_backups(command, content)?;
    // The doctor tells of what it could not remove, and is not told from what others make.
    let is_told = |key: &str| command.name == "doctor" && key.ends_with(TRIAL_NAME);
    if let Some(left) = new.iter().find(|key| !named.contains(**key) && !is_told(key)) {
        return Err(format!("`{left}` belongs to no backup"));
    }
    if let Some(clean) = clean
        && clean.notes != new_notes(command, content)
        && !excuses.may_be_older
    {
        return Err(format!("the notes are not those of a clean run: {new:?}"));
    }
    let uploads = site.server.open_uploads(&site.bucket);
    // Of an upload whose creation got no answer nobody knows the id.
    let unknown = site
        .server
        .requests_of(Op::CreateMultipartUpload)
        .iter()
        .filter(|request| request.faulty)
        .count();
    if uploads.len() > unknown && !excuses.may_keep_uploads {
        return Err(format!("unfinished uploads are left: {uploads:?}"));
    }
    if command.effect == Effect::Restore {
        match site.restored() {
            Some(differences) if differences.is_empty() || excuses.may_be_older => {}
            Some(differences) => return Err(format!("it restored something else: {differences:?}")),
            None => return Err("it succeeded, and there is no target".to_owned()),
        }
    }
    if let Some(mended) = command.mended() {
        mended.check(site, content)?;
        if clean.is_some_and(|clean| clean.index != index_digest(command, content)) {
            return Err("the index is not that of a clean run".to_owned());
        }
    }
    new.retain(|key| !key.ends_with(".json") && !key.contains(".index.gz") && !key.ends_with(".age"));
    if command.effect == Effect::Streams {
        // A dump holds a key of its own.
        new.clear();
    }
    let digests: BTreeSet<String> = new.iter().map(|key| digest(&content[*key].content())).collect();
    if let Some(clean) = clean
        && digests != clean.data
        && !(is_hidden && digests.is_subset(&clean.data))
    {
        return Err("the data is not that of a run that nothing befalls".to_owned());
    }
    Ok(digests)
}

/// The keys of the notes that were not there before.
fn new_notes(command: &Command, content: &Content) -> BTreeSet<String> {
    let is_note = |key: &str| note_of(&Key::new(key)).is_some();
    let new = content.keys().filter(|key| !command.before().contains_key(*key));
    new.filter(|key| is_note(key)).cloned().collect()
}

fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// The digest of the index that was made, if it is the same each time.
fn index_digest(command: &Command, content: &Content) -> Option<String> {
    let mended = command.mended().filter(|mended| !mended.index.ends_with(".age"))?;
    content.get(&mended.index).map(|index| digest(&index.content()))
}

/// The keys of everything that belongs to a backup; all of it is there and as the manifest says.
fn whole_backups(command: &Command, content: &Content) -> Result<BTreeSet<String>, String> {
    /// What was found right once: most objects are those of the history.
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    // What is to be adopted is no backup, and stays.
    let mut named: BTreeSet<String> = command.mended().map(|mended| mended.data.clone()).into_iter().collect();
    for (key, object) in content.iter().filter(|(key, _)| key.ends_with(".manifest.json")) {
        named.insert(key.clone());
        if let Some(mended) = command.mended().filter(|mended| mended.manifest == *key)
            && mended.is_unmended(content)
        {
            // Its data is as it was, and whatever is at its index is made anew.
            named.insert(mended.index.clone());
            continue;
        }
        let manifest: serde_json::Value =
            serde_json::from_slice(&object.content()).map_err(|error| format!("`{key}` is no manifest: {error}"))?;
        if manifest["state"] != "complete" {
            return Err(format!("`{key}` says {}", manifest["state"]));
        }
        let folder = Path::new(key).parent().expect("a folder");
        for record in manifest["objects"].as_array().expect("objects") {
            let name = Path::new(record["key"].as_str().expect("a key"))
                .file_name()
                .expect("a name");
            let key = folder.join(name).to_str().expect("a key in UTF-8").to_owned();
            let Some(object) = content.get(&key) else {
                return Err(format!("`{key}` is named by a manifest and is not there"));
            };
            let memory = format!("{key} {} {}", object.etag, object.bytes());
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            let found = known.entry(memory).or_insert_with(|| digest(&object.content())).clone();
            if record["sha256"] != found.as_str() || record["bytes"] != object.bytes() {
                return Err(format!("`{key}` is not what its manifest says"));
            }
            named.insert(key);
        }
    }
    let notes = content.keys().filter(|key| {
        let of = note_of(&Key::new(key.as_str())).map(|(of, _)| of.to_string());
        of.is_some_and(|of| named.contains(&of))
    });
    let notes: Vec<String> = notes.cloned().collect();
    named.extend(notes);
    Ok(named)
}
