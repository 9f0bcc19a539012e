//! The policy of retention, from its many settings.

use super::resolve::Resolver;
use super::table::{self, Spec};
use super::value::{Origin, Setting, Value};
use crate::retention::{Count, KeepSpan, Policy};

impl Resolver<'_> {
    /// The rules that are set, each by itself: a rule of a profile stands beside one of the command line.
    pub(super) fn policy(&mut self) -> Policy {
        const COUNTS: [&Spec; 6] = [
            &table::KEEP_LAST,
            &table::KEEP_HOURLY,
            &table::KEEP_DAILY,
            &table::KEEP_WEEKLY,
            &table::KEEP_MONTHLY,
            &table::KEEP_YEARLY,
        ];
        let counts = COUNTS.map(|spec| self.text(spec).and_then(|text| text.parse::<Count>().ok()));
        let tags: Setting<Vec<String>> = self.required(&table::KEEP_TAGS);
        let days: Setting<Option<u64>> = self.optional(&table::RETENTION_DAYS);
        Policy {
            counts: counts.map(Option::unwrap_or_default),
            within: self.span(&table::KEEP_WITHIN),
            retention: days
                .value
                .and_then(|days| KeepSpan::days(u32::try_from(days).unwrap_or(u32::MAX))),
            within_periods: [
                None,
                self.span(&table::KEEP_WITHIN_HOURLY),
                self.span(&table::KEEP_WITHIN_DAILY),
                self.span(&table::KEEP_WITHIN_WEEKLY),
                self.span(&table::KEEP_WITHIN_MONTHLY),
                self.span(&table::KEEP_WITHIN_YEARLY),
            ],
            tags: tags
                .value
                .iter()
                .filter_map(|list| self.tags_in(&table::KEEP_TAGS, list, &tags.origin))
                .collect(),
        }
    }

    /// The tags of a backup. Those of a rule are separated by commas, so that a comma separates these, too.
    pub(super) fn tags(&mut self) -> Setting<Vec<String>> {
        let setting: Setting<Vec<String>> = self.required(&table::TAGS);
        let mut tags: Vec<String> = Vec::new();
        for text in &setting.value {
            for tag in self.tags_in(&table::TAGS, text, &setting.origin).into_iter().flatten() {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
        }
        setting.map(|_| tags)
    }

    fn text(&mut self, spec: &'static Spec) -> Option<String> {
        self.optional::<String>(spec).value
    }

    fn span(&mut self, spec: &'static Spec) -> Option<KeepSpan> {
        self.text(spec).and_then(|text| text.parse().ok())
    }

    /// The tags of one list. A rule of none would keep everything, and a tag of no letters tells nothing: nobody can mean it.
    fn tags_in(&mut self, spec: &'static Spec, list: &str, origin: &Origin) -> Option<Vec<String>> {
        let tags: Vec<String> = list
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect();
        if tags.is_empty() {
            let found = Value::Text(list.to_owned()).display();
            self.problem(
                spec,
                origin,
                &format!("Expected tags, separated by commas, found `{found}`"),
            );
            return None;
        }
        Some(tags)
    }
}
