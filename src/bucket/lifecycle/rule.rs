//! One rule of a lifecycle: what it says, read from its XML and written as such.

use quick_xml::escape::escape;

use super::xml::Element;

/// One rule of a bucket's lifecycle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its name.
    pub id: String,
    /// Whether it is in force.
    pub is_enabled: bool,
    /// What the keys that it is for begin with; empty for all.
    pub prefix: String,
    /// It is for objects with all of these tags only.
    pub tags: Vec<(String, String)>,
    /// It is for objects of more bytes only.
    pub above_bytes: Option<u64>,
    /// It is for objects of fewer bytes only.
    pub below_bytes: Option<u64>,
    /// Objects are removed after so many days.
    pub expires_days: Option<u32>,
    /// Objects are removed on a day that is set.
    pub expires_on_date: bool,
    /// Marks of removed objects go once no version is left.
    pub removes_lone_markers: bool,
    /// Objects move to other classes; those with a number of days in their order.
    pub transitions: Vec<Transition>,
    /// Older versions are removed after so many days.
    pub noncurrent_days: Option<u32>,
    /// So many older versions are kept whatever their age.
    pub noncurrent_kept: Option<u32>,
    /// Older versions move to other classes.
    pub noncurrent_transitions: Vec<Transition>,
    /// Uploads that nobody ended are removed after so many days.
    pub abort_days: Option<u32>,
    /// What it says besides, by the names of the elements: this version does not know what it means.
    pub unknown: Vec<String>,
}

/// A move to another storage class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transition {
    /// After so many days; `None` on a day that is set.
    pub days: Option<u32>,
    /// The class.
    pub class: String,
}

impl LifecycleRule {
    /// Whether it is for some objects below its prefix only: those with a tag, or of a size.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        !self.tags.is_empty() || self.above_bytes.is_some() || self.below_bytes.is_some()
    }

    /// Whether it is in force for some of what begins with `prefix`.
    #[must_use]
    pub fn concerns(&self, prefix: &str) -> bool {
        self.is_enabled && (prefix.starts_with(&self.prefix) || self.prefix.starts_with(prefix))
    }

    /// Whether it is in force for everything that begins with `prefix`.
    #[must_use]
    pub fn covers(&self, prefix: &str) -> bool {
        self.is_enabled && !self.is_narrowed() && prefix.starts_with(&self.prefix)
    }

    /// Reads a rule.
    pub(super) fn of(element: &Element) -> Self {
        let mut rule = Self::default();
        for child in &element.children {
            match child.name.as_str() {
                "ID" => rule.id.clone_from(&child.text),
                "Status" => rule.is_enabled = child.text.trim() == "Enabled",
                // The older form of a rule has its prefix beside the filter.
                "Prefix" => rule.prefix.clone_from(&child.text),
                "Filter" => rule.read_filter(child),
                "Expiration" => rule.read_expiration(child),
                "Transition" => rule.transitions.push(Transition::of(child, "Days")),
                "NoncurrentVersionExpiration" => {
                    rule.noncurrent_days = number(child, "NoncurrentDays");
                    rule.noncurrent_kept = number(child, "NewerNoncurrentVersions");
                    rule.note_unknown(child, &["NoncurrentDays", "NewerNoncurrentVersions"]);
                }
                "NoncurrentVersionTransition" => {
                    rule.noncurrent_transitions
                        .push(Transition::of(child, "NoncurrentDays"));
                }
                "AbortIncompleteMultipartUpload" => {
                    rule.abort_days = number(child, "DaysAfterInitiation");
                    rule.note_unknown(child, &["DaysAfterInitiation"]);
                }
                other => rule.unknown.push(other.to_owned()),
            }
        }
        rule.transitions.sort();
        rule.noncurrent_transitions.sort();
        rule.tags.sort();
        rule
    }

    fn read_filter(&mut self, filter: &Element) {
        for child in &filter.children {
            match child.name.as_str() {
                "Prefix" => self.prefix.clone_from(&child.text),
                "Tag" => {
                    let text = |name| child.text_of(name).unwrap_or_default().to_owned();
                    self.tags.push((text("Key"), text("Value")));
                }
                // Some servers put a zero where nothing was said.
                "ObjectSizeGreaterThan" => {
                    self.above_bytes = child.text.trim().parse().ok().filter(|bytes| *bytes > 0);
                }
                "ObjectSizeLessThan" => self.below_bytes = child.text.trim().parse().ok(),
                "And" => self.read_filter(child),
                other => self.unknown.push(other.to_owned()),
            }
        }
    }

    fn read_expiration(&mut self, expiration: &Element) {
        self.expires_days = number(expiration, "Days");
        self.expires_on_date = expiration.child("Date").is_some();
        self.removes_lone_markers = expiration
            .text_of("ExpiredObjectDeleteMarker")
            .is_some_and(|text| text.trim() == "true");
        self.note_unknown(expiration, &["Days", "Date", "ExpiredObjectDeleteMarker"]);
    }

    fn note_unknown(&mut self, element: &Element, known: &[&str]) {
        let others = element.children.iter().map(|child| &child.name);
        self.unknown
            .extend(others.filter(|name| !known.contains(&name.as_str())).cloned());
    }

    /// The rule as XML; `namespace` is the prefix of its elements with its colon, or empty. What has a date, and what this
    /// version does not know, is not written: no rule of ours has either.
    pub(super) fn to_xml(&self, namespace: &str) -> String {
        let tag = |name: &str, content: String| format!("<{namespace}{name}>{content}</{namespace}{name}>");
        let text = |name: &str, content: &str| tag(name, escape(content).into_owned());
        let count = |name: &str, number: Option<u64>| number.map_or_else(String::new, |n| tag(name, n.to_string()));
        let days = |name: &str, number: Option<u32>| count(name, number.map(u64::from));
        let moves = |name: &str, days_name: &str, steps: &[Transition]| -> String {
            let step = |step: &Transition| tag(name, days(days_name, step.days) + &text("StorageClass", &step.class));
            steps.iter().map(step).collect()
        };
        let mut conditions: Vec<String> = Vec::new();
        if !self.prefix.is_empty() || !self.is_narrowed() {
            conditions.push(text("Prefix", &self.prefix));
        }
        conditions.extend(
            self.tags
                .iter()
                .map(|(key, value)| tag("Tag", text("Key", key) + &text("Value", value))),
        );
        conditions.extend(
            self.above_bytes
                .map(|bytes| count("ObjectSizeGreaterThan", Some(bytes))),
        );
        conditions.extend(self.below_bytes.map(|bytes| count("ObjectSizeLessThan", Some(bytes))));
        let filter = match conditions.len() {
            1 => conditions.concat(),
            _ => tag("And", conditions.concat()),
        };
        let mut content = text("ID", &self.id);
        content += &tag("Filter", filter);
        content += &text("Status", if self.is_enabled { "Enabled" } else { "Disabled" });
        content += &moves("Transition", "Days", &self.transitions);
        if self.expires_days.is_some() || self.removes_lone_markers {
            let markers = match self.removes_lone_markers {
                true => text("ExpiredObjectDeleteMarker", "true"),
                false => String::new(),
            };
            content += &tag("Expiration", days("Days", self.expires_days) + &markers);
        }
        content += &moves(
            "NoncurrentVersionTransition",
            "NoncurrentDays",
            &self.noncurrent_transitions,
        );
        if self.noncurrent_days.is_some() || self.noncurrent_kept.is_some() {
            let kept = days("NewerNoncurrentVersions", self.noncurrent_kept);
            content += &tag(
                "NoncurrentVersionExpiration",
                days("NoncurrentDays", self.noncurrent_days) + &kept,
            );
        }
        if self.abort_days.is_some() {
            content += &tag(
                "AbortIncompleteMultipartUpload",
                days("DaysAfterInitiation", self.abort_days),
            );
        }
        tag("Rule", content)
    }
}

impl Transition {
    fn of(element: &Element, days: &str) -> Self {
        Self {
            days: match element.child("Date") {
                Some(_) => None,
                // Without either it is at once.
                None => Some(number(element, days).unwrap_or(0)),
            },
            class: element.text_of("StorageClass").unwrap_or_default().trim().to_owned(),
        }
    }
}

fn number(element: &Element, name: &str) -> Option<u32> {
    element.text_of(name).and_then(|text| text.trim().parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::xml::parse;
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
            above_bytes: Some(1),
            ..rule("")
        };
        assert!(narrowed.concerns("x") && !narrowed.covers("x"));
    }

    #[test]
    fn every_form_of_a_rule_is_read() {
        let read = |text: &str| LifecycleRule::of(&parse(text).unwrap());
        let old = read(
            "<Rule><ID>a</ID><Prefix>logs/</Prefix><Status>Enabled</Status><Transition><Date>2030-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition><Expiration><Date>2031-01-01T00:00:00Z</Date></Expiration></Rule>",
        );
        assert_eq!(
            (old.prefix.as_str(), old.is_enabled, old.expires_on_date),
            ("logs/", true, true)
        );
        assert_eq!(old.transitions[0].days, None);
        let new = read(
            "<Rule><ID>b</ID><Filter><And><Prefix>x</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>\
             <ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>\
             <Status>Disabled</Status><Transition><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>\
             <NoncurrentVersionTransition><NoncurrentDays>3</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>\
             <NoncurrentVersionExpiration><NoncurrentDays>4</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>\
             <Shredding/><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker><Hours>7</Hours></Expiration></Rule>",
        );
        assert_eq!(new.tags, [("k".to_owned(), "v".to_owned())]);
        assert_eq!((new.above_bytes, new.below_bytes), (Some(5), Some(9)));
        assert_eq!((new.noncurrent_days, new.noncurrent_kept), (Some(4), Some(2)));
        assert_eq!(new.transitions[0].days, Some(0));
        assert_eq!(new.noncurrent_transitions[0].days, Some(3));
        assert_eq!(new.unknown, ["Shredding", "Hours"]);
        assert!(new.removes_lone_markers && !new.is_enabled);
        let zero =
            read("<Rule><Filter><And><Prefix/><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></And></Filter></Rule>");
        assert!(!zero.is_narrowed());
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let step = |days, class: &str| Transition {
            days: Some(days),
            class: class.to_owned(),
        };
        let full = LifecycleRule {
            id: "a <b> & \"c\"".to_owned(),
            is_enabled: true,
            prefix: "x & y/".to_owned(),
            tags: vec![("k<".to_owned(), "v&".to_owned())],
            above_bytes: Some(1),
            below_bytes: Some(u64::MAX),
            expires_days: Some(9),
            transitions: vec![step(1, "GLACIER_IR"), step(5, "GLACIER")],
            noncurrent_days: Some(3),
            noncurrent_kept: Some(2),
            noncurrent_transitions: vec![step(1, "GLACIER")],
            abort_days: Some(7),
            ..LifecycleRule::default()
        };
        let plain = LifecycleRule {
            id: "p".to_owned(),
            removes_lone_markers: true,
            ..LifecycleRule::default()
        };
        let one = LifecycleRule {
            above_bytes: Some(7),
            ..LifecycleRule::default()
        };
        for rule in [full, plain, one] {
            for namespace in ["", "s3:"] {
                let text = rule.to_xml(namespace);
                assert_eq!(LifecycleRule::of(&parse(&text).unwrap()), rule, "{text}");
            }
        }
    }
}
