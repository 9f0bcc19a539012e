//! The closed parts of AWS: China, the governments, and the rest.

/// A closed part of the provider's world: the names of its resources begin in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What stands behind `arn:`.
    pub name: &'static str,
    /// What hosts end in.
    pub domain: &'static str,
    regions: &'static str,
}

/// All of them; the first one whose regions begin so. The last one takes every other region.
const PARTITIONS: [Partition; 8] = [
    partition("aws-cn", "amazonaws.com.cn", "cn-"),
    partition("aws-us-gov", "amazonaws.com", "us-gov-"),
    partition("aws-eusc", "amazonaws.eu", "eusc-"),
    partition("aws-iso", "c2s.ic.gov", "us-iso-"),
    partition("aws-iso-b", "sc2s.sgov.gov", "us-isob-"),
    partition("aws-iso-e", "cloud.adc-e.uk", "eu-isoe-"),
    partition("aws-iso-f", "csp.hci.ic.gov", "us-isof-"),
    partition("aws", "amazonaws.com", ""),
];

const fn partition(name: &'static str, domain: &'static str, regions: &'static str) -> Partition {
    Partition { name, domain, regions }
}

impl Partition {
    /// The one that a region belongs to.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        let found = PARTITIONS
            .iter()
            .find(|partition| region.starts_with(partition.regions));
        found.copied().unwrap_or(PARTITIONS[PARTITIONS.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_tells_its_partition() {
        for (region, name) in [
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("", "aws"),
        ] {
            assert_eq!(Partition::of_region(region).name, name, "{region}");
        }
    }
}
