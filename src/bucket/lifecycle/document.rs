//! The whole of a bucket's lifecycle as the server writes it.
//!
//! A write replaces everything, and the SDK's types drop what they do not know; so rules of others are kept as the text that
//! they came as, and only those that are ours are exchanged in it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Lifecycle;
use super::rule::LifecycleRule;
use super::xml::{Element, parse};

/// No server takes more rules for a bucket.
pub const RULES_MAX: usize = 1000;

/// A thousand rules of everything that rules can say take less.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The name of the outermost element.
const ROOT: &str = "LifecycleConfiguration";

/// How a document of ours begins and ends.
const BEGINNING: &str = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
const END: &str = "</LifecycleConfiguration>";

/// From this size on objects move to other classes, whatever the rules say: the value by which small ones stay.
const SPARES_SMALL_OBJECTS: &str = "all_storage_classes_128K";

/// A bucket's lifecycle, to the byte.
#[derive(Clone, Debug)]
pub struct LifecycleDocument {
    text: String,
    /// The prefix of the names of its elements, with its colon.
    namespace: String,
    /// Where the outermost element ends.
    root_end: usize,
    /// Where its end tag begins; `None` if it is a single tag.
    content_end: Option<usize>,
    rules: Vec<Stored>,
    /// What the server said beside it of the smallest objects that move, in its own words.
    pub(super) minimum: Option<String>,
}

/// A rule as it stands in the text.
#[derive(Clone, Debug)]
struct Stored {
    span: Range<usize>,
    rule: LifecycleRule,
    canonical: String,
    has_old_form: bool,
}

/// A rule that is not as it was to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// It is not there.
    Missing(String),
    /// It is there and was not written.
    Unexpected(String),
    /// It says something else.
    Different(String),
}

impl LifecycleDocument {
    /// That of a bucket without rules.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            text: format!("{BEGINNING}{END}"),
            namespace: String::new(),
            root_end: BEGINNING.len() + END.len(),
            content_end: Some(BEGINNING.len()),
            rules: Vec::new(),
            minimum: None,
        }
    }

    /// Reads a document; `minimum` is what the server said beside it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(text: String, minimum: Option<String>) -> Result<Self, String> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(format!("it has {} bytes", text.len()));
        }
        let root = parse(&text)?;
        if root.name != ROOT {
            return Err(format!("it is a `{}`, not a `{ROOT}`", root.name));
        }
        Ok(Self {
            namespace: root.prefix.clone(),
            root_end: root.span.end,
            content_end: root.content_end,
            rules: root.children_named("Rule").map(Stored::of).collect(),
            minimum,
            text,
        })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The rules, in order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &LifecycleRule> {
        self.rules.iter().map(|stored| &stored.rule)
    }

    /// The rules with their texts, in order.
    pub fn rule_texts(&self) -> impl Iterator<Item = (&LifecycleRule, &str)> {
        self.rules
            .iter()
            .map(|stored| (&stored.rule, &self.text[stored.span.clone()]))
    }

    /// The names of the rules whose prefix stands beside a filter instead of in it. AWS takes no rules with a filter where
    /// there is one of this older form.
    pub fn of_old_form(&self) -> impl Iterator<Item = &str> {
        let old = self.rules.iter().filter(|stored| stored.has_old_form);
        old.map(|stored| stored.rule.id.as_str())
    }

    /// What it says.
    #[must_use]
    pub fn lifecycle(&self) -> Lifecycle {
        Lifecycle {
            rules: self.rules().cloned().collect(),
            spares_small_objects: self.minimum.as_deref() == Some(SPARES_SMALL_OBJECTS),
        }
    }

    /// The document with `wanted` in the place of the rules of which `is_ours` is true. A rule that says what is wanted
    /// already stays as it is; every other byte stays as it is, too.
    ///
    /// # Errors
    /// If no document comes out, which whole elements in the place of whole elements cannot lead to.
    pub fn with(&self, is_ours: impl Fn(&LifecycleRule) -> bool, wanted: &[LifecycleRule]) -> Result<Self, String> {
        let mut missing: Vec<&LifecycleRule> = wanted.iter().collect();
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for stored in self.rules.iter().filter(|stored| is_ours(&stored.rule)) {
            text.push_str(&self.text[done..stored.span.start]);
            done = stored.span.end;
            let Some(place) = missing.iter().position(|rule| rule.id == stored.rule.id) else {
                continue;
            };
            let rule = missing.remove(place);
            match *rule == stored.rule {
                true => text.push_str(&self.text[stored.span.clone()]),
                false => text.push_str(&rule.to_xml(&self.namespace)),
            }
        }
        let added: String = missing.iter().map(|rule| rule.to_xml(&self.namespace)).collect();
        match self.content_end {
            Some(end) => {
                text.push_str(&self.text[done..end]);
                text.push_str(&added);
                text.push_str(&self.text[end..]);
            }
            None if added.is_empty() => text.push_str(&self.text[done..]),
            // A single tag is taken apart into two.
            None => {
                let (tag, rest) = self.text.split_at(self.root_end);
                let tag = tag.trim_end_matches('>').trim_end_matches('/');
                text = format!("{tag}>{added}</{}{ROOT}>{rest}", self.namespace);
            }
        }
        Self::read(text, self.minimum.clone())
    }

    /// In which rules `found` is not what was written. The order of the rules, and the way in which they are written, do
    /// not count; `is_ours` tells whose have to say the same only as far as this version understands them.
    #[must_use]
    pub fn deviations(&self, found: &Self, is_ours: impl Fn(&LifecycleRule) -> bool) -> Vec<Deviation> {
        let counted = |document: &Self| {
            let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
            for stored in &document.rules {
                let says = match is_ours(&stored.rule) {
                    true => format!("{:?}", stored.rule),
                    false => stored.canonical.clone(),
                };
                *counts.entry((stored.rule.id.clone(), says)).or_default() += 1;
            }
            counts
        };
        let mut open = counted(self);
        for (rule, count) in counted(found) {
            *open.entry(rule).or_default() -= count;
        }
        // By name: whether something is missing, and whether something is there that should not be.
        let mut by_name: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for ((id, _), count) in open {
            let (missing, unexpected) = by_name.entry(id).or_default();
            *missing |= count > 0;
            *unexpected |= count < 0;
        }
        by_name
            .into_iter()
            .filter_map(|(id, what)| match what {
                (true, true) => Some(Deviation::Different(id)),
                (true, false) => Some(Deviation::Missing(id)),
                (false, true) => Some(Deviation::Unexpected(id)),
                (false, false) => None,
            })
            .collect()
    }
}

impl Stored {
    fn of(element: &Element) -> Self {
        Self {
            span: element.span.clone(),
            rule: LifecycleRule::of(element),
            canonical: element.canonical(),
            has_old_form: element.child("Prefix").is_some(),
        }
    }
}
