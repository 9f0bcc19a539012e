//! Which of several causes decides how a verification ends.

use crate::base::failure::Kind;

/// The worse of two outcomes. The order, from the worst: interrupted (130), damage (20), a key that does not fit (12), a
/// failure of any other kind (1, 2, 10), too old (22), refused by a guard (21), incomplete (3).
#[must_use]
pub fn worse(a: Kind, b: Kind) -> Kind {
    if weight(b) > weight(a) { b } else { a }
}

fn weight(kind: Kind) -> u32 {
    match kind {
        Kind::Interrupted => 6,
        Kind::Damaged => 5,
        Kind::WrongKey => 4,
        Kind::TooOld => 2,
        Kind::Refused => 1,
        Kind::Incomplete => 0,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_most_about_lost_backups_decides() {
        let order = [
            Kind::Interrupted,
            Kind::Damaged,
            Kind::WrongKey,
            Kind::Unreachable,
            Kind::TooOld,
            Kind::Refused,
            Kind::Incomplete,
        ];
        for (at, worst) in order.iter().enumerate() {
            for other in &order[at..] {
                assert_eq!(worse(*worst, *other), *worst);
                assert_eq!(worse(*other, *worst), *worst);
            }
        }
        assert_eq!(worse(Kind::NotFound, Kind::Failed), Kind::NotFound);
    }
}
