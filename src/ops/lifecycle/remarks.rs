//! Where the rules of a bucket and what is to be kept contradict each other, and what else is good to know of them.

use super::classes::{Class, class};
use super::expiry::{dated, freezes_records, tearing};
use super::own::{ABORT_DAYS_MIN, Owner, RECORD_BYTES_MAX, Step, Wanted, is_own, owner};
use super::words::{actions, in_days};
use crate::base::units::format_bytes;
use crate::bucket::{Lifecycle, LifecycleRule, ObjectLock, Reading, Versioning};
use crate::retention::FOREVER_DAYS;

/// What is known besides the rules.
#[derive(Debug)]
pub struct Beside {
    /// For how many days the policy of `prune` keeps a backup at most; `None` if it does not go by time.
    pub keep_days: Option<u64>,
    /// Whether the policy keeps backups by their tags, for ever.
    pub keeps_tagged: bool,
    /// The class in which data is written, if it is not the standard one.
    pub starts_in: Option<String>,
    /// Whether the bucket keeps versions.
    pub versioning: Reading<Versioning>,
    /// Whether it locks objects.
    pub object_lock: Reading<ObjectLock>,
}

/// Sentences about rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// What to look into.
    pub warnings: Vec<String>,
    /// What is good to know.
    pub notes: Vec<String>,
}

/// Looks at what is wanted, and at all rules as they will be, for who keeps backups under `folder`.
#[must_use]
pub fn remarks(wanted: &Wanted, after: &Lifecycle, folder: &str, beside: &Beside) -> Remarks {
    let mut remarks = Remarks::default();
    remarks.of_removal(wanted, folder, beside);
    for (place, step) in wanted.steps.iter().enumerate() {
        let next = wanted.steps.get(place + 1);
        remarks.of_step(step, next, wanted, beside);
    }
    if !wanted.steps.is_empty() {
        remarks.notes.push(format!(
            "Objects of up to {} stay in the class in which they are written: manifests, which every listing reads, are no larger.",
            format_bytes(RECORD_BYTES_MAX)
        ));
    }
    if wanted.abort_days < ABORT_DAYS_MIN {
        remarks.warnings.push(format!(
            "Uploads are thrown away {} after their beginning: a backup that takes longer would fail.",
            in_days(wanted.abort_days)
        ));
    }
    remarks.of_bucket(wanted, after, folder, beside);
    remarks.of_others(after, folder);
    remarks
}

impl Remarks {
    fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Removal against what `prune` would keep.
    fn of_removal(&mut self, wanted: &Wanted, folder: &str, beside: &Beside) {
        if folder.is_empty() {
            self.warn("The store has no prefix: the rules are for everything in the bucket, whoever put it there.");
        }
        let Some(delete) = wanted.delete_days else { return };
        match beside.keep_days {
            Some(FOREVER_DAYS..) => self.warn(format!(
                "`prune` keeps backups for ever, and the bucket removes them after {}.",
                in_days(delete)
            )),
            Some(keep) if keep > u64::from(delete) => self.warn(format!(
                "`prune` keeps backups for up to {keep} days, and the bucket removes them after {}.",
                in_days(delete)
            )),
            _ => {}
        }
        if beside.keeps_tagged {
            self.warn("`prune` keeps backups by their tags, which the bucket does not look at.");
        }
        self.warn(
            "The bucket removes by age alone: also the newest backup if no new ones come, pinned ones, and objects without a manifest.",
        );
    }

    /// A move against the time that its class is billed for.
    fn of_step(&mut self, step: &Step, next: Option<&Step>, wanted: &Wanted, beside: &Beside) {
        let Some(known) = class(&step.class) else {
            self.warn(format!(
                "Nothing is known of the class {}: neither what may move there, nor for how long it is billed.",
                step.class
            ));
            return;
        };
        self.of_beginning(step, known, beside);
        if known.is_archive {
            self.notes.push(format!(
                "What lies in {} has to be thawed before it can be restored or verified: `backup-cli restore BACKUP --thaw`.",
                step.class
            ));
        }
        let leaves = match (next, wanted.data_days()) {
            (Some(next), _) => Some((u64::from(next.days), format!("moves on after {}", in_days(next.days)))),
            (None, Some(days)) => Some((u64::from(days), format!("is removed after {}", in_days(days)))),
            (None, None) => None,
        };
        let lies = |until: u64| until.saturating_sub(u64::from(step.days));
        if let Some((until, what)) = leaves
            && lies(until) < u64::from(known.billed_days)
        {
            self.warn(format!(
                "{} is billed for at least {}; data that moves there after {} {what}, {} days too early.",
                step.class,
                in_days(known.billed_days),
                in_days(step.days),
                u64::from(known.billed_days) - lies(until)
            ));
        }
        match beside.keep_days {
            Some(keep) if keep <= u64::from(step.days) => self.warn(format!(
                "`prune` removes backups after {keep} days at the latest, so that next to nothing is left to move to {} after {}.",
                step.class,
                in_days(step.days)
            )),
            Some(keep) if lies(keep) < u64::from(known.billed_days) => self.warn(format!(
                "{} is billed for at least {}; `prune` removes what moves there after {} when backups are {keep} days old, or sooner.",
                step.class,
                in_days(known.billed_days),
                in_days(step.days)
            )),
            _ => {}
        }
    }

    fn of_beginning(&mut self, step: &Step, known: &Class, beside: &Beside) {
        let Some(starts_in) = beside.starts_in.as_deref() else {
            return;
        };
        if class(starts_in).is_some_and(|first| !first.leads_to(known)) {
            self.warn(format!(
                "Data is written in the class {starts_in}, from where it cannot move to {}: the bucket passes the step over.",
                step.class
            ));
        }
    }

    /// Removal in a bucket that keeps or locks what is removed.
    fn of_bucket(&mut self, wanted: &Wanted, after: &Lifecycle, folder: &str, beside: &Beside) {
        let Some(delete) = wanted.delete_days else { return };
        let mut unseen = Vec::new();
        match &beside.versioning {
            Reading::Is(versioning) if versioning.is_enabled => {
                let removes_versions = |rule: &LifecycleRule| rule.covers(folder) && rule.noncurrent_days.is_some();
                if !after.rules.iter().any(removes_versions) {
                    self.warn(
                        "The bucket keeps versions, and nothing removes older ones: what the rules remove is only hidden, and goes on costing money. Set `noncurrent-days`.",
                    );
                }
            }
            Reading::NotAllowed { permission } => unseen.push(*permission),
            _ => {}
        }
        match &beside.object_lock {
            Reading::Is(lock) => {
                if let Some(default) = &lock.default_retention
                    && default.days > delete
                {
                    self.warn(format!(
                        "New objects are locked for {} ({}): until then what the bucket removes after {} is only hidden.",
                        in_days(default.days),
                        default.mode,
                        in_days(delete)
                    ));
                }
            }
            Reading::NotAllowed { permission } => unseen.push(*permission),
            _ => {}
        }
        if !unseen.is_empty() {
            self.notes.push(format!(
                "Whether the bucket keeps versions or locks objects could not be looked at: not allowed: {}.",
                unseen.join(", ")
            ));
        }
    }

    /// Rules of others that are for the same objects.
    fn of_others(&mut self, after: &Lifecycle, folder: &str) {
        for rule in after
            .rules
            .iter()
            .filter(|rule| rule.concerns(folder) && !is_own(rule, folder))
        {
            let whose = match owner(rule, folder) {
                Owner::OtherPrefix => " of another store",
                Owner::Ours | Owner::Foreign => ", which is not ours,",
            };
            let freezes = match freezes_records(after, rule) {
                true => "; it takes manifests along, without which `list` and `restore` do not work",
                false => "",
            };
            self.warn(format!(
                "The rule `{}`{whose} is for these backups, too: {}{freezes}.",
                rule.id,
                actions(rule).join("; ")
            ));
        }
        for rule in dated(after, folder) {
            self.warn(format!(
                "The rule `{}` removes backups on a day that is set, however new they are.",
                rule.id
            ));
        }
        for rule in tearing(after, folder) {
            self.warn(format!(
                "The rule `{}` removes some objects sooner than others ({}), and can tear a backup apart.",
                rule.id,
                narrowed_by(rule, folder)
            ));
        }
    }
}

/// By what a rule is for some objects only.
fn narrowed_by(rule: &LifecycleRule, folder: &str) -> String {
    let by = [
        (!folder.starts_with(&rule.prefix), "by prefix"),
        (!rule.tags.is_empty(), "by tag"),
        (rule.above_bytes.is_some() || rule.below_bytes.is_some(), "by size"),
    ];
    let by: Vec<&str> = by.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    by.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::{Retention, Transition};

    fn beside() -> Beside {
        Beside {
            keep_days: None,
            keeps_tagged: false,
            starts_in: None,
            versioning: Reading::NotConfigured,
            object_lock: Reading::NotConfigured,
        }
    }

    /// The warnings without the one that is said of every removal.
    fn warned(steps: &[&str], delete_days: Option<u32>, others: Vec<LifecycleRule>, beside: &Beside) -> Vec<String> {
        let wanted = Wanted {
            steps: steps.iter().map(|step| Step::parse(step).unwrap()).collect(),
            delete_days,
            noncurrent_days: None,
            abort_days: 7,
        };
        let after = Lifecycle {
            rules: wanted.rules("backups/").into_iter().chain(others).collect(),
            spares_small_objects: false,
        };
        let remarks = remarks(&wanted, &after, "backups/", beside);
        let by_age: Vec<&String> = remarks
            .warnings
            .iter()
            .filter(|text| text.contains("by age alone"))
            .collect();
        assert_eq!(by_age.len(), usize::from(delete_days.is_some()));
        assert!(
            remarks
                .warnings
                .iter()
                .chain(&remarks.notes)
                .all(|text| text.ends_with('.'))
        );
        remarks
            .warnings
            .into_iter()
            .filter(|text| !text.contains("by age alone"))
            .collect()
    }

    #[track_caller]
    fn says(found: Vec<String>, expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "`{expected}` is not in `{found}`");
        }
    }

    #[test]
    fn what_contradicts_the_retention_is_told() {
        let keep = |days| Beside {
            keep_days: Some(days),
            ..beside()
        };
        says(warned(&[], Some(90), Vec::new(), &keep(90)), &[]);
        says(warned(&[], Some(90), Vec::new(), &keep(91)), &["for up to 91 days"]);
        says(warned(&[], Some(90), Vec::new(), &keep(FOREVER_DAYS)), &["for ever"]);
        let tagged = Beside {
            keeps_tagged: true,
            ..beside()
        };
        says(warned(&[], Some(90), Vec::new(), &tagged), &["by their tags"]);
        // The days of the scripts: gone before anything moves, and too early for the class.
        says(
            warned(&["30:GLACIER"], Some(90), Vec::new(), &keep(30)),
            &[
                "is removed after 92 days, 28 days too early",
                "next to nothing is left to move",
            ],
        );
        says(
            warned(&["30:GLACIER"], None, Vec::new(), &keep(100)),
            &["`prune` removes what moves there after 30 days when backups are 100 days old"],
        );
        says(
            warned(&["30:GLACIER"], Some(118), Vec::new(), &keep(120)),
            &["for up to 120 days"],
        );
    }

    #[test]
    fn a_class_that_is_left_too_early_is_told() {
        says(
            warned(&["30:GLACIER_IR", "90:DEEP_ARCHIVE"], Some(365), Vec::new(), &beside()),
            &[
                "GLACIER_IR is billed for at least 90 days; data that moves there after 30 days moves on after 90 days, 30 days too early",
            ],
        );
        says(
            warned(&["30:GLACIER_IR", "120:DEEP_ARCHIVE"], Some(298), Vec::new(), &beside()),
            &[],
        );
        says(
            warned(&["1:COLD"], None, Vec::new(), &beside()),
            &["Nothing is known of the class COLD"],
        );
        let cold = Beside {
            starts_in: Some("GLACIER_IR".to_owned()),
            ..beside()
        };
        says(
            warned(&["30:STANDARD_IA", "200:GLACIER"], None, Vec::new(), &cold),
            &["written in the class GLACIER_IR, from where it cannot move to STANDARD_IA"],
        );
    }

    #[test]
    fn what_the_bucket_keeps_all_the_same_is_told() {
        let versioned = || Beside {
            versioning: Reading::Is(Versioning {
                is_enabled: true,
                needs_second_factor: false,
            }),
            object_lock: Reading::Is(ObjectLock {
                is_enabled: true,
                default_retention: Some(Retention {
                    mode: "COMPLIANCE".to_owned(),
                    days: 100,
                }),
            }),
            ..beside()
        };
        says(
            warned(&[], Some(90), Vec::new(), &versioned()),
            &["nothing removes older ones", "locked for 100 days (COMPLIANCE)"],
        );
        says(warned(&[], None, Vec::new(), &versioned()), &[]);
        let removing = LifecycleRule {
            id: "versions".to_owned(),
            is_enabled: true,
            noncurrent_days: Some(5),
            ..LifecycleRule::default()
        };
        says(
            warned(&[], Some(100), vec![removing], &versioned()),
            &["`versions`, which is not ours, is for these backups, too: older versions removed after 5 days"],
        );
        let blind = Beside {
            versioning: Reading::NotAllowed {
                permission: "s3:GetBucketVersioning",
            },
            ..beside()
        };
        says(warned(&[], Some(90), Vec::new(), &blind), &[]);
    }

    #[test]
    fn rules_of_others_for_the_same_objects_are_told() {
        let other = |id: &str| LifecycleRule {
            id: id.to_owned(),
            is_enabled: true,
            ..LifecycleRule::default()
        };
        let frozen = LifecycleRule {
            transitions: vec![Transition {
                days: Some(1),
                class: "GLACIER".to_owned(),
            }],
            ..other("cold")
        };
        let torn = LifecycleRule {
            prefix: "backups/2026".to_owned(),
            expires_days: Some(5),
            ..other("torn")
        };
        let dated = LifecycleRule {
            expires_on_date: true,
            ..other("dated")
        };
        let elsewhere = LifecycleRule {
            prefix: "logs/".to_owned(),
            ..torn.clone()
        };
        let nested = LifecycleRule {
            prefix: "backups/web/".to_owned(),
            expires_days: Some(5),
            ..other("backup-cli/records/backups/web/")
        };
        says(
            warned(&[], None, vec![frozen, elsewhere], &beside()),
            &["it takes manifests along"],
        );
        says(
            warned(&[], None, vec![torn.clone()], &beside()),
            &["`torn`", "can tear a backup apart"],
        );
        // Each of several, in whatever way it tears.
        let big = LifecycleRule {
            above_bytes: Some(1 << 20),
            expires_days: Some(5),
            ..other("big")
        };
        let tagged = LifecycleRule {
            tags: vec![("k".to_owned(), "v".to_owned())],
            expires_days: Some(6),
            ..other("tag")
        };
        let found = warned(&[], Some(90), vec![big, tagged, torn.clone(), dated.clone()], &beside());
        let found: Vec<_> = found
            .into_iter()
            .filter(|text| !text.contains("for these backups"))
            .collect();
        says(
            found,
            &[
                "`dated` removes backups on a day",
                "`tag` removes some objects sooner than others (by tag)",
                "`torn` removes some objects sooner than others (by prefix)",
                "`big` removes some objects sooner than others (by size)",
            ],
        );
        says(
            warned(&[], None, vec![dated], &beside()),
            &["`dated`", "on a day that is set, however new"],
        );
        says(
            warned(&[], Some(90), vec![nested], &beside()),
            &["of another store is for these backups"],
        );
    }
}
