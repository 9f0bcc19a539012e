//! What a bucket does to its objects by itself as they grow old.

use aws_sdk_s3::types::{
    ExpirationStatus, LifecycleRule as SdkRule, LifecycleRuleFilter, TransitionDefaultMinimumObjectSize,
};

use super::{Bucket, Reading};

/// What a bucket does to its objects by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The rules.
    pub rules: Vec<LifecycleRule>,
    /// Whether objects below 128 KiB stay in their class whatever the rules say.
    pub spares_small_objects: bool,
}

/// One rule of a bucket's lifecycle, as far as it concerns backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its name.
    pub id: String,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// What the keys that it is for begin with; empty for all.
    pub prefix: String,
    /// Whether it is for some objects below the prefix only: those with a tag, or of a size.
    pub is_narrowed: bool,
    /// Objects are removed after so many days.
    pub expires_days: Option<u32>,
    /// Objects are removed on a day that is set.
    pub expires_on_date: bool,
    /// Objects move to other classes.
    pub transitions: Vec<Transition>,
    /// Older versions are removed after so many days.
    pub noncurrent_days: Option<u32>,
    /// Uploads that nobody ended are removed after so many days.
    pub abort_days: Option<u32>,
}

/// A move to another storage class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// After so many days; `None` on a day that is set.
    pub days: Option<u32>,
    /// The class.
    pub class: String,
}

impl LifecycleRule {
    /// Whether it is in force for some of what begins with `prefix`.
    #[must_use]
    pub fn concerns(&self, prefix: &str) -> bool {
        self.is_enabled && (prefix.starts_with(&self.prefix) || self.prefix.starts_with(prefix))
    }

    /// Whether it is in force for everything that begins with `prefix`.
    #[must_use]
    pub fn covers(&self, prefix: &str) -> bool {
        self.is_enabled && !self.is_narrowed && prefix.starts_with(&self.prefix)
    }

    fn of(rule: &SdkRule) -> Self {
        let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
        let (prefix, is_narrowed) = match rule.filter() {
            Some(filter) => filtered(filter),
            // The older form of a rule has its prefix beside the filter.
            None => (old_prefix(rule), false),
        };
        Self {
            id: rule.id().unwrap_or_default().to_owned(),
            is_enabled: *rule.status() == ExpirationStatus::Enabled,
            prefix,
            is_narrowed,
            expires_days: days(rule.expiration().and_then(|expiration| expiration.days())),
            expires_on_date: rule.expiration().is_some_and(|expiration| expiration.date().is_some()),
            transitions: rule
                .transitions()
                .iter()
                .map(|transition| Transition {
                    days: match transition.date() {
                        Some(_) => None,
                        // Without either it is at once.
                        None => Some(days(transition.days()).unwrap_or(0)),
                    },
                    class: transition
                        .storage_class()
                        .map_or_else(String::new, |class| class.as_str().to_owned()),
                })
                .collect(),
            noncurrent_days: days(
                rule.noncurrent_version_expiration()
                    .and_then(|expiration| expiration.noncurrent_days()),
            ),
            abort_days: days(
                rule.abort_incomplete_multipart_upload()
                    .and_then(|abort| abort.days_after_initiation()),
            ),
        }
    }
}

#[allow(
    deprecated,
    reason = "rules of that form are in use, and the SDK has no other way to read them"
)]
fn old_prefix(rule: &SdkRule) -> String {
    rule.prefix().unwrap_or_default().to_owned()
}

/// A filter's prefix, and whether it asks for more than that.
fn filtered(filter: &LifecycleRuleFilter) -> (String, bool) {
    if let Some(and) = filter.and() {
        let is_narrowed =
            !and.tags().is_empty() || and.object_size_greater_than().is_some() || and.object_size_less_than().is_some();
        return (and.prefix().unwrap_or_default().to_owned(), is_narrowed);
    }
    let is_narrowed = filter.tag().is_some()
        || filter.object_size_greater_than().is_some()
        || filter.object_size_less_than().is_some();
    (filter.prefix().unwrap_or_default().to_owned(), is_narrowed)
}

impl Bucket {
    /// The rules of the lifecycle.
    #[must_use]
    pub fn lifecycle(&self) -> Reading<Lifecycle> {
        self.read(
            "the lifecycle rules",
            "s3:GetLifecycleConfiguration",
            &["NoSuchLifecycleConfiguration"],
            |client, overrides| {
                client
                    .get_bucket_lifecycle_configuration()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.rules() {
                [] => Reading::NotConfigured,
                rules => Reading::Is(Lifecycle {
                    rules: rules.iter().map(LifecycleRule::of).collect(),
                    spares_small_objects: answer.transition_default_minimum_object_size()
                        == Some(&TransitionDefaultMinimumObjectSize::AllStorageClasses128K),
                }),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_concerns_what_lies_above_and_below_its_prefix() {
        let rule = |prefix: &str| LifecycleRule {
            is_enabled: true,
            prefix: prefix.to_owned(),
            ..LifecycleRule::default()
        };
        for (own, of, concerns, covers) in [
            ("", "backups/", true, true),
            ("backups/", "backups/", true, true),
            ("backups/2026", "backups/", true, false),
            ("logs/", "backups/", false, false),
            ("backups", "backups/web/", true, true),
        ] {
            assert_eq!(
                (rule(own).concerns(of), rule(own).covers(of)),
                (concerns, covers),
                "{own} {of}"
            );
        }
        let off = LifecycleRule::default();
        assert!(!off.concerns("") && !off.covers(""));
        let narrowed = LifecycleRule {
            is_narrowed: true,
            ..rule("")
        };
        assert!(narrowed.concerns("x") && !narrowed.covers("x"));
    }
}
