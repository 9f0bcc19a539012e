//! What becomes of each rule, before anything is written.

use super::own::{Owner, Wanted, is_own, owner};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{LifecycleDocument, LifecycleRule, RULES_MAX};

/// What becomes of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It says something else.
    Changed,
    /// It goes.
    Removed,
    /// It stays as it is.
    Kept,
}

/// A rule, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleChange {
    /// What becomes of it.
    pub change: Change,
    /// Whose it is.
    pub owner: Owner,
    /// What it says now; `None` of a new one.
    pub before: Option<LifecycleRule>,
    /// What it will say; `None` of one that goes.
    pub after: Option<LifecycleRule>,
}

impl RuleChange {
    /// The rule's name.
    #[must_use]
    pub fn id(&self) -> &str {
        let rule = self.after.as_ref().or(self.before.as_ref());
        rule.map_or("", |rule| rule.id.as_str())
    }
}

/// What is to become of a bucket's rules.
#[derive(Clone, Debug)]
pub struct LifecyclePlan {
    /// What the keys of the store begin with.
    pub folder: String,
    /// The rules as they stand; `None` if the bucket has none.
    pub before: Option<LifecycleDocument>,
    /// The rules as they are to stand.
    pub after: LifecycleDocument,
    /// Each rule: ours first, then those of others.
    pub changes: Vec<RuleChange>,
}

impl LifecyclePlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.changes.iter().all(|change| change.change == Change::Kept)
    }

    /// Whether nothing is left, so that the bucket is to have no lifecycle at all.
    #[must_use]
    pub fn leaves_nothing(&self) -> bool {
        self.after.rules().len() == 0
    }
}

/// Plans the rules that are wanted for what begins with `folder`; those of others stay.
///
/// # Errors
/// [`Kind::Refused`] if it would be more rules than a bucket can have.
pub fn plan_rules(before: Option<LifecycleDocument>, wanted: Option<&Wanted>, folder: &str) -> Result<LifecyclePlan> {
    let wanted = wanted.map(|wanted| wanted.rules(folder)).unwrap_or_default();
    let now = before.clone().unwrap_or_else(LifecycleDocument::empty);
    let after = now.with(|rule| is_own(rule, folder), &wanted).map_err(|why| {
        Failure::new(Kind::Failed, "The new lifecycle rules could not be put together")
            .caused_by(anyhow::anyhow!("{why}"))
            .hint("Look at the rules that are there with `backup-cli lifecycle show`")
    })?;
    if after.rules().len() > RULES_MAX {
        return Err(Failure::new(
            Kind::Refused,
            format!(
                "A bucket can have {RULES_MAX} lifecycle rules, and with those of this store it would have {}",
                after.rules().len()
            ),
        )
        .hint("Remove some of the others, or give this store a bucket of its own"));
    }
    let changes = changes(&now, &after, folder);
    Ok(LifecyclePlan {
        folder: folder.to_owned(),
        before,
        after,
        changes,
    })
}

fn changes(before: &LifecycleDocument, after: &LifecycleDocument, folder: &str) -> Vec<RuleChange> {
    let own = |document: &LifecycleDocument| -> Vec<LifecycleRule> {
        document.rules().filter(|rule| is_own(rule, folder)).cloned().collect()
    };
    let mut old = own(before);
    let mut changes: Vec<RuleChange> = Vec::new();
    for rule in own(after) {
        let found = old
            .iter()
            .position(|old| old.id == rule.id)
            .map(|place| old.remove(place));
        let change = match &found {
            None => Change::Added,
            Some(old) if *old == rule => Change::Kept,
            Some(_) => Change::Changed,
        };
        changes.push(RuleChange {
            change,
            owner: Owner::Ours,
            before: found,
            after: Some(rule),
        });
    }
    changes.extend(old.into_iter().map(|rule| RuleChange {
        change: Change::Removed,
        owner: Owner::Ours,
        before: Some(rule),
        after: None,
    }));
    let others = after.rules().filter(|rule| !is_own(rule, folder));
    changes.extend(others.map(|rule| RuleChange {
        change: Change::Kept,
        owner: owner(rule, folder),
        before: Some(rule.clone()),
        after: Some(rule.clone()),
    }));
    changes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::own::Step;
    use super::*;

    fn document(rules: &str) -> LifecycleDocument {
        let text = format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>");
        LifecycleDocument::read(text, None).unwrap()
    }

    fn wanted(delete_days: Option<u32>) -> Wanted {
        Wanted {
            steps: vec![Step::parse("30:GLACIER").unwrap()],
            delete_days,
            noncurrent_days: None,
            abort_days: 7,
        }
    }

    fn told(plan: &LifecyclePlan) -> Vec<(Change, Owner, &str)> {
        plan.changes
            .iter()
            .map(|change| (change.change, change.owner, change.id()))
            .collect()
    }

    const FOREIGN: &str = "<Rule><ID>logs</ID><Status>Enabled</Status></Rule>";

    #[test]
    fn every_rule_is_told_with_what_becomes_of_it() {
        use Change::{Added, Changed, Kept, Removed};
        use Owner::{Foreign, OtherPrefix, Ours};
        let plan = plan_rules(None, Some(&wanted(None)), "a/").unwrap();
        assert_eq!(
            told(&plan),
            [(Added, Ours, "backup-cli/data/a/"), (Added, Ours, "backup-cli/tidy/a/")]
        );
        assert!(!plan.is_idle() && !plan.leaves_nothing());
        // The same again.
        let again = plan_rules(Some(plan.after.clone()), Some(&wanted(None)), "a/").unwrap();
        assert!(again.is_idle(), "{:?}", told(&again));
        // Another prefix beside it, then a change, then away with them.
        let plan = plan_rules(Some(plan.after), Some(&wanted(Some(90))), "b/").unwrap();
        let rules: String = plan.after.rule_texts().map(|(_, text)| text).collect();
        let changed = plan_rules(
            Some(document(&(FOREIGN.to_owned() + &rules))),
            Some(&wanted(Some(99))),
            "a/",
        )
        .unwrap();
        assert_eq!(
            told(&changed),
            [
                (Changed, Ours, "backup-cli/data/a/"),
                (Kept, Ours, "backup-cli/tidy/a/"),
                (Added, Ours, "backup-cli/records/a/"),
                (Kept, Foreign, "logs"),
                (Kept, OtherPrefix, "backup-cli/records/b/"),
                (Kept, OtherPrefix, "backup-cli/data/b/"),
                (Kept, OtherPrefix, "backup-cli/tidy/b/"),
            ]
        );
        let gone = plan_rules(Some(changed.after), None, "a/").unwrap();
        assert_eq!(gone.changes.iter().filter(|change| change.change == Removed).count(), 3);
        let gone = plan_rules(Some(gone.after), None, "b/").unwrap();
        assert!(gone.after.text().contains(FOREIGN) && !gone.leaves_nothing());
        let idle = plan_rules(Some(gone.after), None, "b/").unwrap();
        assert!(idle.is_idle());
        let last = plan_rules(Some(document("")), None, "b/").unwrap();
        assert!(last.is_idle() && last.leaves_nothing());
    }

    #[test]
    fn more_rules_than_a_bucket_can_have_are_refused() {
        let full = |count: usize| Some(document(&FOREIGN.repeat(count)));
        assert!(plan_rules(full(998), Some(&wanted(None)), "a/").is_ok());
        let failure = plan_rules(full(999), Some(&wanted(None)), "a/").unwrap_err();
        assert_eq!(failure.kind(), Kind::Refused);
        assert!(failure.message().contains("1001"), "{failure:?}");
        // Taking some away always works.
        assert!(plan_rules(full(1000), None, "a/").is_ok());
    }
}
