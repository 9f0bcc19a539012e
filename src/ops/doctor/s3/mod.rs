//! A bucket: looked at, then judged.

pub(in crate::ops::doctor) mod bucket;
pub(in crate::ops::doctor) mod facts;
pub(in crate::ops::doctor) mod habits;
pub(in crate::ops::doctor) mod lifecycle;
pub(in crate::ops::doctor) mod look;
pub(in crate::ops::doctor) mod rights;
pub(in crate::ops::doctor) mod trial;
pub(in crate::ops::doctor) mod way;

/// Every check of a bucket, in the order in which it is shown.
pub(in crate::ops::doctor) const IDS: &[&str] = &[
    "store.connection",
    "store.tls",
    "store.credentials",
    "store.identity",
    "store.region",
    "store.clock",
    "store.write",
    "store.read",
    "store.list",
    "store.delete",
    "store.create-only",
    "store.replace",
    "store.multipart",
    "store.create-only-multipart",
    "store.abort",
    "store.part-minimum",
    "store.parts-equal",
    "store.part-count",
    "store.etag",
    "store.integrity",
    "store.checksum",
    "store.checksum-trailer",
    "store.provider",
    "store.unfinished",
    "bucket.versioning",
    "bucket.object-lock",
    "bucket.encryption",
    "bucket.public-access",
    "bucket.public-policy",
    "bucket.ownership",
    "bucket.lifecycle-expiry",
    "bucket.lifecycle-archive",
    "bucket.lifecycle-uploads",
];
