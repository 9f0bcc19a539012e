//! What a drill that found a backup damaged had done, which a later one has to do again before it may call the backup whole.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DrillReport;
use super::check::CheckOutcome;
use super::compare::Against;

/// As what a backup was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoredAs {
    /// A database of a server.
    Database,
    /// An SQLite database.
    Sqlite,
    /// A tree of files.
    Files,
    /// One file, of which the bytes alone are proved.
    File,
}

/// What a drill did and found, as far as a later one that finds nothing has to go as far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grounds {
    /// As what the backup was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_as: Option<RestoredAs>,
    /// With what it was compared and found different; [`Against::Nothing`] if it did not differ.
    pub differs_from: Against,
    /// The checks that did not hold, by their digests, which quote nothing.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub failed_checks: BTreeSet<String>,
}

impl Grounds {
    /// Those on which `report` calls the backup `id` damaged.
    #[must_use]
    pub fn of(id: &str, report: &DrillReport) -> Self {
        Self {
            restored_as: report.restored_as,
            differs_from: match report.compared.difference_count {
                0 => Against::Nothing,
                _ => report.compared.against,
            },
            failed_checks: digests(id, report, CheckOutcome::fails),
        }
    }

    /// Whether a drill has restored, compared and asked all that these grounds are about, and found nothing wrong. Checks
    /// that somebody has withdrawn need not be made again.
    #[must_use]
    pub fn are_answered_by(&self, id: &str, report: &DrillReport) -> bool {
        report.passed()
            && self.is_of(report.restored_as)
            && report.compared.against >= self.differs_from
            && (report.withdraws_checks || self.failed_checks.is_subset(&digests(id, report, |check| check.holds)))
    }

    /// Whether these grounds, of damage, are among `known` ones already, so that whatever answers those answers these.
    #[must_use]
    pub fn are_among(&self, known: &[Self]) -> bool {
        let same = || known.iter().filter(|known| self.is_of(known.restored_as));
        let failed: BTreeSet<&String> = same().flat_map(|known| &known.failed_checks).collect();
        same().any(|known| known.differs_from >= self.differs_from)
            && self.failed_checks.iter().all(|check| failed.contains(check))
    }

    /// Whatever a restored file tells, any other restore tells too: it reads the same bytes.
    fn is_of(&self, other: Option<RestoredAs>) -> bool {
        matches!(self.restored_as, None | Some(RestoredAs::File)) || self.restored_as == other
    }
}

/// The digests of some of the checks, each by itself and of this backup alone.
fn digests(id: &str, report: &DrillReport, which: fn(&CheckOutcome) -> bool) -> BTreeSet<String> {
    let digest = |outcome: &CheckOutcome| {
        let mut sha256 = Sha256::new();
        sha256.update(id);
        sha256.update([0]);
        sha256.update(&outcome.check);
        hex::encode(sha256.finalize())
    };
    report.checks.iter().filter(|check| which(check)).map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::super::check::Open;
    use super::*;

    const ID: &str = "shop_backup_20260131_020000";

    fn report(restored_as: RestoredAs, against: Against, checks: &[(&str, bool)]) -> DrillReport {
        let mut report = DrillReport {
            restored_as: Some(restored_as),
            ..DrillReport::default()
        };
        report.compared.against = against;
        report.checks = checks
            .iter()
            .map(|(check, holds)| CheckOutcome {
                check: (*check).to_owned(),
                holds: *holds,
                found: String::new(),
                open: None,
            })
            .collect();
        report
    }

    #[test]
    fn only_a_drill_that_goes_as_far_answers_another() {
        use Against::{Each, Nothing, Sums};
        use RestoredAs::{Database, File};
        let failed = Grounds::of(ID, &report(Database, Each, &[("a", false), ("b", true)]));
        assert_eq!(failed.failed_checks.len(), 1);
        assert!(failed.failed_checks.iter().all(|digest| digest.len() == 64));
        for (later, answers) in [
            (report(Database, Each, &[("a", true)]), true),
            (report(Database, Nothing, &[("a", true), ("c", true)]), true),
            (report(Database, Each, &[]), false),
            (report(Database, Each, &[("b", true)]), false),
            (report(Database, Each, &[("a", false)]), false),
            (report(Database, Each, &[("a", true), ("c", false)]), false),
            (report(File, Each, &[("a", true)]), false),
        ] {
            assert_eq!(failed.are_answered_by(ID, &later), answers, "{later:?}");
        }
        let mut withdrawing = report(Database, Each, &[("b", true)]);
        withdrawing.withdraws_checks = true;
        assert!(failed.are_answered_by(ID, &withdrawing));
        withdrawing.restored_as = Some(File);
        assert!(!failed.are_answered_by(ID, &withdrawing), "it proves the bytes alone");
        let mut open = report(Database, Each, &[("a", true), ("c", false)]);
        open.checks[1].open = Some(Open::NotMade);
        assert!(!failed.are_answered_by(ID, &open), "it is incomplete");

        let mut differs = report(Database, Sums, &[]);
        differs.compared.differs("t", "2 rows", "1 row");
        let differs = Grounds::of(ID, &differs);
        for (against, answers) in [(Nothing, false), (Sums, true), (Each, true)] {
            assert_eq!(differs.are_answered_by(ID, &report(Database, against, &[])), answers);
        }
        let mut bytes = report(File, Each, &[]);
        bytes.compared.differs("content", "x", "y");
        assert!(Grounds::of(ID, &bytes).are_answered_by(ID, &report(File, Each, &[])));
    }

    #[test]
    fn damage_on_other_grounds_is_news() {
        use Against::Each;
        use RestoredAs::Database;
        let of = |checks: &[(&str, bool)]| Grounds::of(ID, &report(Database, Each, checks));
        let known = [of(&[("a", false)]), of(&[("b", false)])];
        assert!(of(&[("a", false), ("b", false)]).are_among(&known));
        assert!(!of(&[("c", false)]).are_among(&known));
        let mut differs = report(Database, Each, &[]);
        differs.compared.differs("t", "2 rows", "1 row");
        assert!(!Grounds::of(ID, &differs).are_among(&known));
        assert!(!of(&[]).are_among(&[]));
    }
}
