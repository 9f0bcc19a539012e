//! What the servers that speak S3 allow, and where they differ: one table.
//!
//! A value that nobody has proved is the careful one: equal parts, an ETag without meaning, a checksum only where it
//! must be, conditional writes that are not relied upon.

use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{GIB, MIB, TIB};
use crate::store::Limits;

use super::options::ChecksumMode;

/// What a provider makes of `If-None-Match: *` on a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionalWrites {
    /// It is obeyed.
    Obeyed,
    /// It may be obeyed, refused or ignored: it is sent, and the key is looked at before and after.
    Unproven,
    /// It is ignored or refused: it is not sent, and the key is looked at before and after.
    Ignored,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// The short name, as in the `provider` setting.
    pub name: &'static str,
    /// Other spellings of the name.
    pub aliases: &'static [&'static str],
    /// The name for people.
    pub title: &'static str,
    /// Endings of the endpoint's host name by which the provider is known.
    pub hosts: &'static [&'static str],
    /// Sizes and counts.
    pub limits: Limits,
    /// Whether ETags of objects that are not encrypted with KMS or the client's key are MD5s.
    pub etag_is_md5: bool,
    /// Whether the bucket stands in the path by default.
    pub path_style: bool,
    /// When requests carry checksums by default.
    pub checksum: ChecksumMode,
    /// Whether writes can be made to fail if the key is taken.
    pub conditional_writes: ConditionalWrites,
    /// Whether `x-amz-mp-object-size` is checked.
    pub object_size_checked: bool,
    /// Whether listings come in the order of the keys' bytes.
    pub lists_in_order: bool,
    /// How many parts of one upload may be on their way at once.
    pub parts_in_flight_max: usize,
}

const S3_PARTS: Limits = Limits {
    part_bytes_min: 5 * MIB,
    part_bytes_max: 5 * GIB,
    parts_max: 10_000,
    parts_equal: true,
    object_bytes_max: 5 * TIB,
};

/// More parts at once than this bring nothing on any line, and cost memory.
const PARTS_IN_FLIGHT_MAX: usize = 64;

/// A provider of whom nothing is known.
const OTHER: Provider = Provider {
    name: "other",
    aliases: &["generic", "s3"],
    title: "an S3 server",
    hosts: &[],
    limits: S3_PARTS,
    etag_is_md5: false,
    path_style: true,
    checksum: ChecksumMode::WhenRequired,
    conditional_writes: ConditionalWrites::Unproven,
    object_size_checked: false,
    lists_in_order: false,
    parts_in_flight_max: PARTS_IN_FLIGHT_MAX,
};

/// Amazon's own: a 5 TB stream is far below its limits.
const AWS: Provider = Provider {
    name: "aws",
    aliases: &["amazon"],
    title: "AWS",
    hosts: &["amazonaws.com", "amazonaws.com.cn", "api.aws"],
    limits: Limits {
        parts_equal: false,
        object_bytes_max: 50_000_000_000_000,
        ..S3_PARTS
    },
    etag_is_md5: true,
    path_style: false,
    checksum: ChecksumMode::WhenSupported,
    conditional_writes: ConditionalWrites::Obeyed,
    object_size_checked: true,
    lists_in_order: true,
    ..OTHER
};

/// The table. The last line is what an unknown endpoint gets.
pub const PROVIDERS: &[Provider] = &[
    AWS,
    Provider {
        name: "r2",
        aliases: &["cloudflare"],
        title: "Cloudflare R2",
        hosts: &["r2.cloudflarestorage.com"],
        // Parts beyond a few per upload are answered with 429.
        parts_in_flight_max: 3,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "b2",
        aliases: &["backblaze"],
        title: "Backblaze B2",
        hosts: &["backblazeb2.com"],
        limits: Limits {
            parts_equal: false,
            object_bytes_max: 10_000_000_000_000,
            ..S3_PARTS
        },
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "wasabi",
        aliases: &[],
        title: "Wasabi",
        hosts: &["wasabisys.com"],
        limits: Limits {
            parts_equal: false,
            object_bytes_max: 5_000_000_000_000,
            ..S3_PARTS
        },
        etag_is_md5: true,
        path_style: false,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "scaleway",
        aliases: &["scw"],
        title: "Scaleway",
        hosts: &["scw.cloud"],
        limits: Limits {
            parts_max: 1000,
            object_bytes_max: 5_000_000_000_000,
            ..S3_PARTS
        },
        etag_is_md5: true,
        path_style: false,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "gcs",
        aliases: &["google", "googlecloud"],
        title: "Google Cloud Storage",
        hosts: &["storage.googleapis.com"],
        // Its own preconditions have other names.
        conditional_writes: ConditionalWrites::Ignored,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "digitalocean",
        aliases: &["do", "spaces"],
        title: "DigitalOcean Spaces",
        hosts: &["digitaloceanspaces.com"],
        etag_is_md5: true,
        path_style: false,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "hetzner",
        aliases: &[],
        title: "Hetzner Object Storage",
        hosts: &["your-objectstorage.com"],
        etag_is_md5: true,
        path_style: false,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "minio",
        aliases: &[],
        title: "MinIO",
        hosts: &["min.io"],
        limits: Limits {
            parts_equal: false,
            ..S3_PARTS
        },
        etag_is_md5: true,
        conditional_writes: ConditionalWrites::Obeyed,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "ceph",
        aliases: &["radosgw", "rgw"],
        title: "Ceph",
        hosts: &[],
        limits: Limits {
            parts_equal: false,
            ..S3_PARTS
        },
        etag_is_md5: true,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "garage",
        aliases: &[],
        title: "Garage",
        hosts: &[],
        etag_is_md5: true,
        conditional_writes: ConditionalWrites::Ignored,
        lists_in_order: true,
        ..OTHER
    },
    Provider {
        name: "seaweedfs",
        aliases: &["seaweed", "weed"],
        title: "SeaweedFS",
        hosts: &[],
        limits: Limits {
            parts_equal: false,
            ..S3_PARTS
        },
        etag_is_md5: true,
        conditional_writes: ConditionalWrites::Obeyed,
        ..OTHER
    },
    Provider {
        name: "storj",
        aliases: &[],
        title: "Storj",
        hosts: &["storjshare.io"],
        limits: Limits {
            // Smaller parts become smaller segments, of which an account may hold only so many.
            part_bytes_min: 64 * MIB,
            ..S3_PARTS
        },
        ..OTHER
    },
    Provider {
        name: "tigris",
        aliases: &["fly"],
        title: "Tigris",
        hosts: &["storage.tigris.dev", "storage.dev"],
        path_style: false,
        ..OTHER
    },
    OTHER,
];

/// The table's line for the `provider` setting, or else for the endpoint; no endpoint is AWS.
///
/// # Errors
/// [`Kind::Config`] if the setting names nobody, with the nearest name as a hint.
pub fn detect(setting: Option<&str>, endpoint_host: Option<&str>) -> Result<&'static Provider> {
    if let Some(name) = setting {
        return by_name(name);
    }
    let Some(host) = endpoint_host else {
        return Ok(&PROVIDERS[0]);
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let known = PROVIDERS.iter().find(|provider| {
        provider.hosts.iter().any(|ending| {
            host.strip_suffix(ending)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    });
    Ok(known.unwrap_or(&PROVIDERS[PROVIDERS.len() - 1]))
}

fn by_name(name: &str) -> Result<&'static Provider> {
    let wanted = name.trim().to_ascii_lowercase();
    let names = |provider: &'static Provider| std::iter::once(provider.name).chain(provider.aliases.iter().copied());
    if let Some(provider) = PROVIDERS
        .iter()
        .find(|provider| names(provider).any(|own| own == wanted))
    {
        return Ok(provider);
    }
    let all: Vec<&str> = PROVIDERS.iter().map(|provider| provider.name).collect();
    let failure = Failure::new(Kind::Config, format!("Unknown S3 provider: `{name}`"));
    let nearest = PROVIDERS
        .iter()
        .flat_map(|provider| names(provider).map(move |own| (own, provider.name)))
        .map(|(own, name)| (strsim::damerau_levenshtein(own, &wanted), name))
        .min();
    Err(match nearest {
        Some((distance, near)) if distance <= 3 => failure.hint(format!("Did you mean `{near}`?")),
        _ => failure,
    }
    .hint(format!("The known ones are {}", all.join(", "))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoints_host_tells_the_provider() {
        for (host, name) in [
            ("s3.eu-central-1.amazonaws.com", "aws"),
            ("bucket.vpce-1-a.s3.us-east-1.vpce.amazonaws.com", "aws"),
            ("s3.cn-north-1.amazonaws.com.cn", "aws"),
            ("0123abcd.eu.r2.cloudflarestorage.com", "r2"),
            ("s3.us-west-004.backblazeb2.com", "b2"),
            ("s3.EU-central-1.wasabisys.com.", "wasabi"),
            ("s3.fr-par.scw.cloud", "scaleway"),
            ("storage.googleapis.com", "gcs"),
            ("ams3.digitaloceanspaces.com", "digitalocean"),
            ("fsn1.your-objectstorage.com", "hetzner"),
            ("play.min.io", "minio"),
            ("gateway.storjshare.io", "storj"),
            ("fly.storage.tigris.dev", "tigris"),
            ("127.0.0.1", "other"),
            ("s3.example.com", "other"),
            ("evilamazonaws.com", "other"),
            ("amazonaws.com.example.org", "other"),
        ] {
            assert_eq!(detect(None, Some(host)).unwrap().name, name, "{host}");
        }
        assert_eq!(detect(None, None).unwrap().name, "aws");
    }

    #[test]
    fn the_setting_wins_over_the_host_and_has_aliases() {
        assert_eq!(detect(Some("Garage"), Some("127.0.0.1")).unwrap().name, "garage");
        assert_eq!(detect(Some("cloudflare"), None).unwrap().name, "r2");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let failure = detect(Some("wasaby"), None).unwrap_err();
        assert_eq!(failure.kind(), Kind::Config);
        assert_eq!(failure.hints()[0], "Did you mean `wasabi`?");
        let failure = detect(Some("my-own-thing"), None).unwrap_err();
        assert!(failure.hints()[0].contains("aws, r2, b2"), "{:?}", failure.hints());
    }

    #[test]
    fn names_are_unique_and_limits_make_sense() {
        let mut seen = std::collections::BTreeSet::new();
        for provider in PROVIDERS {
            for name in std::iter::once(&provider.name).chain(provider.aliases) {
                assert!(seen.insert(*name), "{name}");
            }
            let limits = provider.limits;
            assert!(limits.part_bytes_min < limits.part_bytes_max);
            assert!(provider.parts_in_flight_max > 0);
            // The last part of the greatest object must still have a number.
            assert!(
                u128::from(limits.part_bytes_max) * u128::from(limits.parts_max)
                    >= u128::from(limits.object_bytes_max) / 2
            );
        }
        assert_eq!(PROVIDERS[PROVIDERS.len() - 1].name, "other");
    }
}
