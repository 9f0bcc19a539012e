use proptest::prelude::*;

use super::*;
use crate::base::units::{GIB, TIB};

const AWS: Limits = Limits {
    part_bytes_min: 5 * MIB,
    part_bytes_max: 5 * GIB,
    parts_max: 10_000,
    parts_equal: false,
    object_bytes_max: 50_000_000_000_000,
};

const R2: Limits = Limits {
    parts_equal: true,
    object_bytes_max: 5 * TIB,
    ..AWS
};

const SCALEWAY: Limits = Limits {
    parts_max: 1000,
    object_bytes_max: 5 * TIB,
    ..AWS
};

fn input(limits: Limits) -> PlanInput {
    PlanInput {
        limits,
        expected_stored_bytes: None,
        part_bytes: None,
        in_flight: None,
        memory_bytes: MEMORY_BYTES_DEFAULT,
    }
}

fn kind_of(input: &PlanInput) -> Option<Kind> {
    plan(input).err().map(|failure| failure.kind())
}

#[test]
fn plans_are_these() {
    // limits, expected, memory → part, in flight, where growth ends
    let grows = |part_bytes_max| {
        move |parts_max: u32| Growth::Grow {
            every_parts: parts_max / 8,
            part_bytes_max,
        }
    };
    for (limits, expected, memory, part_bytes, in_flight, growth) in [
        (AWS, None, 64 * MIB, 16 * MIB, 3, Growth::Fixed),
        (AWS, Some(10 * TIB), 64 * MIB, 16 * MIB, 3, Growth::Fixed),
        (AWS, None, GIB, 16 * MIB, 3, grows(256 * MIB)(10_000)),
        (AWS, Some(100 * GIB), GIB, 41 * MIB, 3, grows(256 * MIB)(10_000)),
        (AWS, Some(10 * TIB), GIB, 256 * MIB, 3, Growth::Fixed),
        (AWS, None, 32 * MIB, 8 * MIB, 3, Growth::Fixed),
        (AWS, None, 12 * MIB, 6 * MIB, 1, Growth::Fixed),
        (R2, None, GIB, 16 * MIB, 3, Growth::Fixed),
        (R2, Some(100 * GIB), GIB, 41 * MIB, 3, Growth::Fixed),
        (SCALEWAY, None, GIB, 16 * MIB, 3, grows(256 * MIB)(1000)),
        (SCALEWAY, Some(10 * GIB), 256 * MIB, 41 * MIB, 3, grows(64 * MIB)(1000)),
    ] {
        let made = plan(&PlanInput {
            expected_stored_bytes: expected,
            memory_bytes: memory,
            ..input(limits)
        })
        .unwrap();
        assert_eq!(
            (made.part_bytes, made.in_flight, made.growth),
            (part_bytes, in_flight, growth),
            "{limits:?} {expected:?} {memory}"
        );
        assert!(made.memory_bytes() <= memory);
    }
}

#[test]
fn what_the_user_asks_for_is_done_or_refused() {
    let asked = |part_bytes, in_flight, memory_bytes| PlanInput {
        part_bytes,
        in_flight,
        memory_bytes,
        ..input(AWS)
    };
    let made = plan(&asked(Some(8 * MIB), None, 64 * MIB)).unwrap();
    assert_eq!(
        (made.part_bytes, made.in_flight, made.growth),
        (8 * MIB, 3, Growth::Fixed)
    );
    // Large parts leave room for fewer at once.
    let made = plan(&asked(Some(30 * MIB), None, 64 * MIB)).unwrap();
    assert_eq!((made.part_bytes, made.in_flight), (30 * MIB, 1));
    // Many at once leave room for smaller ones.
    let made = plan(&asked(None, Some(8), 64 * MIB)).unwrap();
    assert_eq!((made.part_bytes, made.in_flight), (7 * MIB, 8));
    for refused in [
        asked(Some(MIB), None, 64 * MIB),
        asked(Some(6 * GIB), None, 64 * GIB),
        asked(Some(64 * MIB), None, 64 * MIB),
        asked(Some(16 * MIB), Some(4), 64 * MIB),
        asked(None, Some(0), 64 * MIB),
        asked(None, Some(65), 64 * GIB),
        asked(None, None, 9 * MIB),
    ] {
        assert_eq!(kind_of(&refused), Some(Kind::Usage), "{refused:?}");
    }
}

#[test]
fn parts_grow_by_half_after_each_eighth() {
    let made = plan(&PlanInput {
        memory_bytes: 256 * MIB,
        ..input(AWS)
    })
    .unwrap();
    let sizes: Vec<u64> = (0..8)
        .map(|step| made.part_bytes_at(0, step * 1250 + 1, 0).unwrap() / MIB)
        .collect();
    assert_eq!(sizes, [16, 24, 36, 54, 64, 64, 64, 64]);
    assert_eq!(made.part_bytes_at(0, 1250, 0), Some(16 * MIB));
    assert_eq!(made.part_bytes_at(0, 10_000, 0), Some(64 * MIB));
    assert_eq!(made.part_bytes_at(0, 10_001, 0), None);
    assert_eq!(made.part_bytes_at(1, 1, 0), Some(64 * MIB));
}

#[test]
fn the_last_part_of_a_full_object_is_cut_to_fit() {
    let made = plan(&input(AWS)).unwrap();
    let end = AWS.object_bytes_max;
    assert_eq!(made.part_bytes_at(0, 5, end - 3), Some(3));
    assert_eq!(made.part_bytes_at(0, 5, end), None);
}

prop_compose! {
    fn any_limits()(
        part_bytes_min in prop_oneof![Just(5 * MIB), Just(64 * MIB), Just(1)],
        part_bytes_max in prop_oneof![Just(5 * GIB), Just(128 * MIB)],
        parts_max in prop_oneof![Just(10_000u32), Just(1000), 1u32..20_000],
        parts_equal in any::<bool>(),
        object_bytes_max in prop_oneof![Just(50_000_000_000_000u64), Just(5 * TIB), (64 * MIB)..(5 * TIB)],
    ) -> Limits {
        Limits { part_bytes_min, part_bytes_max, parts_max, parts_equal, object_bytes_max }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Walks over every part of a stream of up to 50 TB.
    #[test]
    fn no_stream_ever_leaves_the_limits(
        limits in any_limits(),
        expected in proptest::option::of(0u64..50_000_000_000_000),
        in_flight in proptest::option::of(1usize..=16),
        memory_bytes in (64 * MIB)..(8 * GIB),
        total in prop_oneof![0u64..100 * MIB, 0u64..50_000_000_000_000],
    ) {
        let asked = PlanInput { limits, expected_stored_bytes: expected, part_bytes: None, in_flight, memory_bytes };
        let Ok(made) = plan(&asked) else {
            // Refused only if not even the smallest parts fit.
            prop_assert!(limits.part_bytes_min * buffers_for(in_flight.unwrap_or(1)) > memory_bytes);
            return Ok(());
        };
        prop_assert!(made.memory_bytes() <= memory_bytes);
        let (mut left, mut object, mut number, mut offset) = (total, 0usize, 1u32, 0u64);
        let mut first_bytes = 0;
        // A store with very few parts to an object needs very many objects; some thousands of them prove enough.
        while left > 0 && object < 3000 {
            let Some(part_bytes) = made.part_bytes_at(object, number, offset) else {
                prop_assert!(number > 1, "an object holds at least one part");
                object += 1;
                number = 1;
                offset = 0;
                continue;
            };
            let ends_object = left <= part_bytes || made.part_bytes_at(object, number + 1, offset + part_bytes).is_none();
            prop_assert!(part_bytes > 0 && part_bytes <= limits.part_bytes_max);
            prop_assert!(ends_object || part_bytes >= limits.part_bytes_min);
            if number == 1 {
                first_bytes = part_bytes;
            } else if limits.parts_equal {
                prop_assert!(ends_object || part_bytes == first_bytes);
            }
            prop_assert!(number <= limits.parts_max);
            let taken = part_bytes.min(left);
            left -= taken;
            offset += taken;
            number += 1;
            prop_assert!(offset <= limits.object_bytes_max);
        }
    }
}
