use super::*;
use proptest::prelude::*;

fn reference(measures: [Option<u64>; Measures::COUNT]) -> Reference {
    Reference {
        measures: Measures::of(measures),
        extension: "sql".to_owned(),
        codec: Codec::Gzip,
        accepted: false,
    }
}

fn rows(rows: u64) -> Reference {
    reference([Some(1000), Some(5000), None, Some(3), Some(rows)])
}

fn flagged(shape: Option<&Shape>) -> Option<bool> {
    shape.map(|shape| shape.flagged)
}

#[test]
fn a_collapse_is_flagged_and_growth_is_not() {
    // Rows now, rows before (newest first), what is said.
    for (now, before, said) in [
        (100, &[100, 100][..], None),
        (0, &[100, 100], None),
        (100, &[100, 100, 100], Some(false)),
        (50, &[100, 100, 100], Some(false)),
        (49, &[100, 100, 100], Some(true)),
        (0, &[100, 100, 100], Some(true)),
        (1_000_000, &[100, 100, 100], Some(false)),
        // One odd backup before does not move the median.
        (60, &[1_000_000, 100, 100], Some(false)),
        (0, &[0, 100, 100], Some(true)),
        // Of an even number the greater middle counts.
        (90, &[100, 100, 200, 200], Some(true)),
        (0, &[0, 0, 0], Some(false)),
        // What is older than the last seven says nothing.
        (
            10,
            &[10, 10, 10, 10, 10, 10, 10, 900, 900, 900, 900, 900, 900, 900, 900, 900],
            Some(false),
        ),
        (u64::MAX, &[u64::MAX, u64::MAX, u64::MAX], Some(false)),
        (1, &[u64::MAX, u64::MAX, u64::MAX], Some(true)),
    ] {
        let earlier: Vec<Reference> = before.iter().map(|number| rows(*number)).collect();
        let shape = judge(&rows(now), &earlier, 50);
        assert_eq!(flagged(shape.as_ref()), said, "{now} after {before:?}");
    }
}

#[test]
fn the_sentence_names_every_measure_that_collapsed() {
    let before = vec![reference([Some(1 << 20), Some(4 << 20), None, Some(10), Some(5000)]); 3];
    let now = reference([Some(900_000), Some(1 << 20), None, Some(4), Some(5000)]);
    let shape = judge(&now, &before, 50).unwrap();
    assert_eq!(
        shape.why.as_deref(),
        Some("Far smaller than the backups before it: size 1 MiB instead of about 4 MiB, tables 4 instead of about 10")
    );
    assert_eq!(shape.compared_with, 3);
    assert_eq!(shape.medians.rows, Some(5000));
    assert_eq!(shape.medians.files, None);
    let json = serde_json::to_string(&shape).unwrap();
    assert_eq!(serde_json::from_str::<Shape>(&json).unwrap(), shape);
    // A later version may say less or more.
    assert!(
        serde_json::from_str::<Shape>(r#"{"flagged":true,"later":1}"#)
            .unwrap()
            .flagged
    );
}

#[test]
fn what_is_measured_otherwise_is_not_compared() {
    let before = vec![reference([Some(1000), Some(9000), None, Some(3), Some(40)]); 3];
    let mut now = reference([Some(100), Some(8000), None, Some(3), Some(40)]);
    assert_eq!(flagged(judge(&now, &before, 50).as_ref()), Some(true));
    now.codec = Codec::Zstd;
    assert_eq!(flagged(judge(&now, &before, 50).as_ref()), Some(false));
    now.extension = "dump".to_owned();
    now.measures.plain_bytes = Some(1);
    assert_eq!(flagged(judge(&now, &before, 50).as_ref()), Some(false));
    now.measures.rows = Some(1);
    assert_eq!(flagged(judge(&now, &before, 50).as_ref()), Some(true));
    // Nothing in common says nothing.
    now.measures = Measures::default();
    assert_eq!(judge(&now, &before, 50), None);
    // A measure that only two of the earlier ones have is not enough.
    let mut partly = before;
    partly[0].measures.rows = None;
    let now = reference([Some(1000), Some(9000), None, Some(3), Some(0)]);
    assert_eq!(flagged(judge(&now, &partly, 50).as_ref()), Some(false));
}

#[test]
fn what_was_accepted_is_the_new_normal() {
    let accepted = |number| Reference {
        accepted: true,
        ..rows(number)
    };
    let before = [accepted(10), rows(1000), rows(1000), rows(1000)];
    assert_eq!(flagged(judge(&rows(10), &before, 50).as_ref()), Some(false));
    assert_eq!(flagged(judge(&rows(4), &before, 50).as_ref()), Some(true));
    let before = [rows(12), rows(11), accepted(10), rows(1000)];
    let shape = judge(&rows(4), &before, 50).unwrap();
    assert_eq!((shape.flagged, shape.compared_with), (true, 3));
}

proptest! {
    #[test]
    fn judging_never_fails_and_keeps_its_rules(
        now in proptest::array::uniform5(proptest::option::of(any::<u64>())),
        before in proptest::collection::vec(
            (proptest::array::uniform5(proptest::option::of(any::<u64>())), any::<bool>()), 0..12),
        percent in 1u8..100,
    ) {
        let new = reference(now);
        let earlier: Vec<Reference> = before
            .iter()
            .map(|(measures, accepted)| Reference { accepted: *accepted, ..reference(*measures) })
            .collect();
        let vouched = earlier.iter().take(REFERENCES_MAX).any(|reference| reference.accepted);
        let shape = judge(&new, &earlier, percent);
        prop_assert!(shape.is_none() || vouched || earlier.len() >= REFERENCES_MIN);
        if let Some(shape) = shape {
            prop_assert!(shape.compared_with as usize <= REFERENCES_MAX.min(earlier.len()));
            prop_assert_eq!(shape.flagged, shape.why.is_some());
            // Whatever is not below its median is not flagged.
            let fell = shape.measured.all().iter().zip(shape.medians.all())
                .any(|(value, median)| value.zip(median).is_some_and(|(value, median)| value < median));
            prop_assert!(!shape.flagged || fell);
            // More of everything is never worse.
            let grown = reference(now.map(|value| value.map(|_| u64::MAX)));
            prop_assert_eq!(judge(&grown, &earlier, percent).map(|shape| shape.flagged), Some(false));
        }
    }
}
