//! The rules of ours: what is asked for, which rules come of it, and how they are known again.
//!
//! A backup's manifest must be readable for as long as it is there, and must not outlive its data. So there are up to three
//! rules for a prefix, by the size of the objects:
//!
//! - `records`, up to [`RECORD_BYTES_MAX`]: manifests and notes, which are never longer, small indexes, and small data.
//!   They never move, so that every listing can read them, and are removed after the days that were asked for.
//! - `data`, all above: moved as was asked for, and removed [`DATA_OUTLIVES_DAYS`] later than the records. S3 counts from an
//!   object's creation, which is the *start* of an upload, up to the next midnight UTC; a manifest is written at the end. By
//!   the days between, the manifest of a run of up to that length goes in the same night as its data or before.
//! - `tidy`, everything: unfinished uploads, and what is left of versions. It cannot be narrowed, or S3 refuses it.

use sha2::{Digest as _, Sha256};

use super::classes::{Class, class, class_names};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{LifecycleRule, Transition};
use crate::catalog::manifest::MANIFEST_WRITTEN_BYTES_MAX;
use crate::catalog::notes::NOTE_BYTES_MAX;

/// With what the names of all rules of ours begin.
const OWN: &str = "backup-cli/";

/// A rule's name is no longer than this, in bytes.
const ID_BYTES_MAX: usize = 255;

/// What lists and selects backups is never larger than this, and so are the rules' two sizes told apart.
pub const RECORD_BYTES_MAX: u64 = match NOTE_BYTES_MAX > MANIFEST_WRITTEN_BYTES_MAX {
    true => NOTE_BYTES_MAX,
    false => MANIFEST_WRITTEN_BYTES_MAX,
};

/// By so many days data outlives its manifest: the longest upload that the tool is made for. Data without a manifest is a
/// leftover, which is harmless; a manifest without its data would be a backup that does not restore.
pub const DATA_OUTLIVES_DAYS: u32 = 2;

/// A backup may take this long, in days; a rule that ends uploads sooner would end it.
pub const ABORT_DAYS_MIN: u32 = 2;

/// A move of data to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// After so many days.
    pub days: u32,
    /// The class.
    pub class: String,
}

impl Step {
    /// Reads `DAYS:CLASS`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("Expected DAYS:CLASS such as 30:GLACIER_IR, found `{text}`");
        let (days, class) = text.split_once(':').ok_or_else(wrong)?;
        let class = class.trim().to_ascii_uppercase();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if class.is_empty() || !class.chars().all(is_name) {
            return Err(wrong());
        }
        match days.trim().parse() {
            Ok(0) => Err(format!(
                "Expected at least 1 day before a move, found `{text}`; data that is to be in {class} at once is written there by `storage-class`"
            )),
            Ok(days @ 1..=DAYS_MAX) => Ok(Self { days, class }),
            _ => Err(wrong()),
        }
    }
}

/// No rule lasts longer than this, in days: a hundred years.
pub const DAYS_MAX: u32 = 36_500;

/// What is asked of the rules of a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How data moves, in order.
    pub steps: Vec<Step>,
    /// After how many days backups are removed.
    pub delete_days: Option<u32>,
    /// After how many days older versions are removed.
    pub noncurrent_days: Option<u32>,
    /// After how many days unfinished uploads are removed.
    pub abort_days: u32,
}

impl Wanted {
    /// Puts the steps in order and refuses what S3 would refuse or pass over in silence. Other servers than AWS may have
    /// classes of their own, of which nothing is known.
    ///
    /// # Errors
    /// [`Kind::Config`].
    pub fn checked(mut self, is_aws: bool) -> Result<Self> {
        self.steps.sort();
        for step in &self.steps {
            if is_aws {
                known(&step.class)?;
            }
            if step.class == "STANDARD" {
                return Err(wrong(
                    "Nothing moves to `STANDARD`",
                    "New objects are there already; leave the step out",
                ));
            }
        }
        if let Some(first) = self.steps.first() {
            rested(first, 0, "written")?;
        }
        for pair in self.steps.windows(2) {
            if let [one, next] = pair {
                in_order(one, next)?;
            }
        }
        if let (Some(last), Some(delete)) = (self.steps.last(), self.delete_days)
            && delete <= last.days
        {
            return Err(wrong(
                format!(
                    "Backups are to be removed after {delete} days, and to move to {} after {}",
                    last.class, last.days
                ),
                "Remove them later, or leave the move out",
            ));
        }
        Ok(self)
    }

    /// After how many days data is removed.
    #[must_use]
    pub fn data_days(&self) -> Option<u32> {
        self.delete_days.map(|days| days.saturating_add(DATA_OUTLIVES_DAYS))
    }

    /// The rules for what begins with `folder`.
    #[must_use]
    pub fn rules(&self, folder: &str) -> Vec<LifecycleRule> {
        let rule = |role| LifecycleRule {
            id: own_id(role, folder),
            is_enabled: true,
            prefix: folder.to_owned(),
            ..LifecycleRule::default()
        };
        let tidy = LifecycleRule {
            abort_days: Some(self.abort_days),
            noncurrent_days: self.noncurrent_days,
            // Of a removed object, the mark is what is left when its versions are gone.
            removes_lone_markers: self.noncurrent_days.is_some(),
            ..rule(TIDY)
        };
        let records = self.delete_days.map(|days| LifecycleRule {
            below_bytes: Some(RECORD_BYTES_MAX + 1),
            expires_days: Some(days),
            ..rule(RECORDS)
        });
        let data = (!self.steps.is_empty() || self.delete_days.is_some()).then(|| LifecycleRule {
            above_bytes: Some(RECORD_BYTES_MAX),
            expires_days: self.data_days(),
            transitions: self
                .steps
                .iter()
                .map(|step| Transition {
                    days: Some(step.days),
                    class: step.class.clone(),
                })
                .collect(),
            ..rule(DATA)
        });
        records.into_iter().chain(data).chain([tidy]).collect()
    }
}

const RECORDS: &str = "records";
const DATA: &str = "data";
const TIDY: &str = "tidy";

fn wrong(message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure::new(Kind::Config, message).hint(hint)
}

fn known(name: &str) -> Result<&'static Class> {
    class(name).ok_or_else(|| {
        wrong(
            format!("No such storage class to move to: `{name}`"),
            format!("The classes are {}", class_names()),
        )
    })
}

/// Some classes take only what has lain elsewhere for some time.
fn rested(step: &Step, since_days: u32, since: &str) -> Result<()> {
    let rest = class(&step.class).map_or(0, |class| class.rest_days);
    match step.days.saturating_sub(since_days) < rest {
        true => Err(wrong(
            format!(
                "Data cannot move to {} after {} days: S3 wants {rest} days since it was {since}",
                step.class, step.days
            ),
            format!("Let it move after {} days or later", since_days.saturating_add(rest)),
        )),
        false => Ok(()),
    }
}

fn in_order(one: &Step, next: &Step) -> Result<()> {
    if one.class == next.class {
        return Err(wrong(
            format!(
                "Two steps lead to {}: after {} and after {} days",
                one.class, one.days, next.days
            ),
            "Keep one of them; BACKUP_S3_GLACIER_DAYS is a step to GLACIER, too",
        ));
    }
    if one.days == next.days {
        return Err(wrong(
            format!(
                "Data cannot move to {} and to {} after {} days",
                one.class, next.class, one.days
            ),
            "Keep one of the two, or let some days lie between them",
        ));
    }
    let (Some(from), Some(to)) = (class(&one.class), class(&next.class)) else {
        return Ok(());
    };
    if !from.leads_to(to) {
        return Err(wrong(
            format!(
                "Data cannot move from {} (after {} days) to {} (after {} days)",
                one.class, one.days, next.class, next.days
            ),
            format!("Data moves in this order only: {}", class_names()),
        ));
    }
    // What these two take, they also keep for as long before it moves on.
    if from.rest_days > 0 && next.days - one.days < from.rest_days {
        return Err(wrong(
            format!(
                "Data cannot move on from {} (after {} days) to {} after {} days: S3 wants {} days between them",
                one.class, one.days, next.class, next.days, from.rest_days
            ),
            format!("Let it move on after {} days or later", one.days + from.rest_days),
        ));
    }
    rested(next, 0, "written")
}

/// Whose a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// This prefix's.
    Ours,
    /// Another prefix's of the same bucket, made by this tool.
    OtherPrefix,
    /// Somebody else's.
    Foreign,
}

/// Whose a rule is, for who keeps backups under `folder`: by its name alone, so that what somebody changed in it is still
/// found to be ours.
#[must_use]
pub fn owner(rule: &LifecycleRule, folder: &str) -> Owner {
    match rule.id.strip_prefix(OWN) {
        None => Owner::Foreign,
        Some(_) if is_own(rule, folder) => Owner::Ours,
        Some(_) => Owner::OtherPrefix,
    }
}

/// Whether a rule is this prefix's.
#[must_use]
pub fn is_own(rule: &LifecycleRule, folder: &str) -> bool {
    [RECORDS, DATA, TIDY].iter().any(|role| rule.id == own_id(role, folder))
}

/// The name of a rule. A prefix that is too long is told by the beginning of it and by its digest.
fn own_id(role: &str, folder: &str) -> String {
    let id = format!("{OWN}{role}/{folder}");
    if id.len() <= ID_BYTES_MAX {
        return id;
    }
    let digest = hex::encode(Sha256::digest(folder.as_bytes()));
    let end = id.floor_char_boundary(ID_BYTES_MAX - digest.len() - 1);
    format!("{}~{digest}", &id[..end])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn steps(text: &[&str]) -> Vec<Step> {
        text.iter().map(|step| Step::parse(step).unwrap()).collect()
    }

    fn wanted(text: &[&str], delete_days: Option<u32>) -> Result<Wanted> {
        Wanted {
            steps: steps(text),
            delete_days,
            noncurrent_days: None,
            abort_days: 7,
        }
        .checked(true)
    }

    #[test]
    fn steps_are_days_and_a_class() {
        let step = Step::parse(" 30 : glacier_ir ").unwrap();
        assert_eq!((step.days, step.class.as_str()), (30, "GLACIER_IR"));
        for text in [
            "",
            "30",
            "GLACIER",
            "GLACIER:30",
            ":GLACIER",
            "30:",
            "-1:GLACIER",
            "1.5:X",
            "30:a b",
            "36501:GLACIER",
        ] {
            assert!(
                Step::parse(text).unwrap_err().starts_with("Expected DAYS:CLASS"),
                "{text}"
            );
        }
        assert!(Step::parse("0:GLACIER").unwrap_err().contains("storage-class"));
    }

    #[test]
    fn what_s3_would_refuse_or_pass_over_is_refused() {
        for (text, delete, says) in [
            (&["30:PAPER"][..], None, "No such storage class"),
            (&["30:STANDARD"], None, "No such storage class"),
            (&["29:STANDARD_IA"], None, "S3 wants 30 days since"),
            (
                &["10:GLACIER_IR", "20:GLACIER_IR"],
                None,
                "Two steps lead to GLACIER_IR",
            ),
            (
                &["10:GLACIER_IR", "10:GLACIER"],
                None,
                "and to GLACIER_IR after 10 days",
            ),
            (&["10:GLACIER", "90:GLACIER_IR"], None, "cannot move from GLACIER"),
            (&["30:ONEZONE_IA", "90:GLACIER_IR"], None, "cannot move from ONEZONE_IA"),
            (&["30:STANDARD_IA", "59:GLACIER"], None, "S3 wants 30 days between"),
            (&["30:GLACIER"], Some(30), "to be removed after 30 days"),
            (&["30:GLACIER"], Some(7), "to be removed after 7 days"),
        ] {
            let failure = wanted(text, delete).unwrap_err();
            assert_eq!(failure.kind(), Kind::Config);
            assert!(failure.message().contains(says), "{text:?}: {failure:?}");
            assert!(!failure.hints().is_empty());
        }
        let all = ["180:DEEP_ARCHIVE", "30:STANDARD_IA", "90:GLACIER", "60:GLACIER_IR"];
        let days: Vec<u32> = wanted(&all, Some(365))
            .unwrap()
            .steps
            .iter()
            .map(|step| step.days)
            .collect();
        assert_eq!(days, [30, 60, 90, 180]);
        // Other servers have classes of their own.
        let own = Wanted {
            steps: steps(&["1:COLD", "2:GLACIER"]),
            ..Wanted::default()
        };
        assert!(own.checked(false).is_ok());
    }

    #[test]
    fn manifests_stay_where_they_are_and_go_before_their_data() {
        let rules = wanted(&["30:GLACIER_IR"], Some(90)).unwrap().rules("backups/");
        let ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "backup-cli/records/backups/",
                "backup-cli/data/backups/",
                "backup-cli/tidy/backups/"
            ]
        );
        let [records, data, tidy] = rules.as_slice() else {
            panic!("{rules:?}")
        };
        assert_eq!((records.below_bytes, records.above_bytes), (Some((1 << 20) + 1), None));
        assert_eq!((records.expires_days, records.transitions.len()), (Some(90), 0));
        assert_eq!((data.below_bytes, data.above_bytes), (None, Some(1 << 20)));
        assert_eq!((data.expires_days, data.transitions.len()), (Some(92), 1));
        assert!(tidy.covers("backups/") && tidy.abort_days == Some(7) && !tidy.removes_lone_markers);
        assert!(
            rules
                .iter()
                .all(|rule| is_own(rule, "backups/") && rule.prefix == "backups/")
        );
        // Each rule only where it has something to say.
        let count = |steps: &[&str], delete| wanted(steps, delete).unwrap().rules("x/").len();
        assert_eq!(
            (count(&[], None), count(&["1:GLACIER"], None), count(&[], Some(1))),
            (1, 2, 3)
        );
    }

    #[test]
    fn rules_are_known_by_their_names_each_prefixs_own() {
        let named = |id: &str| LifecycleRule {
            id: id.to_owned(),
            ..LifecycleRule::default()
        };
        assert_eq!(owner(&named("backup-cli/data/a/"), "a/"), Owner::Ours);
        assert_eq!(owner(&named("backup-cli/data/a/"), "b/"), Owner::OtherPrefix);
        assert_eq!(owner(&named("backup-cli/data/"), "a/"), Owner::OtherPrefix);
        assert_eq!(owner(&named("backup-cli/data/"), ""), Owner::Ours);
        assert_eq!(owner(&named("backup-cli/else/a/"), "a/"), Owner::OtherPrefix);
        assert_eq!(owner(&named("backup-cli"), "a/"), Owner::Foreign);
        let long = |end: &str| format!("{}{end}/", "ä".repeat(400));
        let ids: Vec<String> = ["a", "b"].iter().map(|end| own_id(DATA, &long(end))).collect();
        assert!(ids.iter().all(|id| id.len() <= ID_BYTES_MAX) && ids[0] != ids[1]);
        assert!(is_own(&named(&ids[0]), &long("a")) && !is_own(&named(&ids[0]), &long("b")));
    }
}
