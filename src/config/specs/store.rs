//! Settings: where backups live, who may go there, and how objects are stored.

use super::super::table::{Chapter, Privacy, Spec};
use super::super::value::Shape;
use super::BASE;
use super::{KEY_TEMPLATE_DEFAULT, S3_PREFIX_DEFAULT};

specs! {
    /// The address of the store.
    STORE = {
        key: "store",
        shape: Shape::Stores,
        environment: &["BACKUP_STORE"],
        chapter: Chapter::Store,
        unset: "a folder under the user's data directory",
        doc: "Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE for the store of another profile. An array backs up into all of them at once; everything else uses the first.",
        example: r#""s3://my-backups/web""#,
    }
    /// The bucket, for those who set it alone.
    S3_BUCKET = {
        key: "s3-bucket",
        in_file: false,
        environment: &["BACKUP_S3_BUCKET"],
        fallback: &["AWS_S3_BUCKET"],
        chapter: Chapter::Store,
        doc: "The bucket, where `store` is not set.",
        example: r#""my-backups""#,
    }
    /// The prefix that goes with the bucket.
    S3_PREFIX = {
        key: "s3-prefix",
        in_file: false,
        environment: &["BACKUP_S3_PREFIX"],
        default: Some(S3_PREFIX_DEFAULT),
        chapter: Chapter::Store,
        doc: "The prefix that goes with the bucket of BACKUP_S3_BUCKET or AWS_S3_BUCKET.",
        example: r#""backups""#,
    }
    /// Whether S3 is used at all.
    USE_AWS = {
        key: "use-aws",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_USE_AWS"],
        chapter: Chapter::Store,
        doc: "If false, backups go to a local folder even where a bucket is configured; for development.",
        example: "false",
    }
    /// The series.
    NAME = {
        key: "name",
        environment: &["BACKUP_NAME"],
        chapter: Chapter::Store,
        unset: "the profile's name, else told by the source",
        doc: "The name of the series: all backups under one name belong together.",
        example: r#""web""#,
    }
    /// The layout of keys.
    KEY_TEMPLATE = {
        key: "key-template",
        environment: &["BACKUP_KEY_TEMPLATE"],
        default: Some(KEY_TEMPLATE_DEFAULT),
        chapter: Chapter::Store,
        doc: "The layout of keys below the prefix; what stands before the date is what a series is listed by.",
        example: r#""{date}/{name}_backup_{date}_{time}""#,
    }
    /// The S3 region.
    REGION = {
        key: "region",
        environment: &["BACKUP_REGION", "BACKUP_S3_REGION"],
        fallback: &["AWS_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"],
        chapter: Chapter::Store,
        unset: "what AWS's own configuration says, else us-east-1",
        doc: "The region of the bucket.",
        example: r#""eu-central-1""#,
    }
    /// The S3 endpoint.
    ENDPOINT_URL = {
        key: "endpoint-url",
        environment: &["BACKUP_ENDPOINT_URL", "BACKUP_S3_ENDPOINT"],
        fallback: &["AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
        chapter: Chapter::Store,
        unset: "AWS",
        doc: "The URL of an S3 server other than AWS.",
        example: r#""https://ACCOUNT.r2.cloudflarestorage.com""#,
    }
    /// How buckets are addressed.
    PATH_STYLE = {
        key: "path-style",
        shape: Shape::Switch,
        environment: &["BACKUP_PATH_STYLE"],
        chapter: Chapter::Store,
        unset: "chosen by the provider",
        doc: "Name the bucket in the path of requests (true) or in the host name (false).",
        example: "true",
    }
    /// Whose limits count.
    PROVIDER = {
        key: "provider",
        environment: &["BACKUP_PROVIDER"],
        chapter: Chapter::Store,
        unset: "told by the endpoint",
        doc: "Whose limits and habits to expect, where the endpoint's host name does not say it.",
        example: r#""minio""#,
    }
    /// The access key.
    ACCESS_KEY_ID = {
        key: "aws-access-key-id",
        environment: &["BACKUP_AWS_ACCESS_KEY_ID"],
        fallback: &["AWS_ACCESS_KEY_ID"],
        chapter: Chapter::Credentials,
        unset: "AWS's own chain: profiles, web identity, instance and container roles",
        doc: "The access key; its secret and its token are taken from the same place as the key itself.",
        example: r#""AKIAIOSFODNN7EXAMPLE""#,
    }
    /// The secret of the access key.
    SECRET_ACCESS_KEY = {
        key: "aws-secret-access-key",
        environment: &["BACKUP_AWS_SECRET_ACCESS_KEY"],
        fallback: &["AWS_SECRET_ACCESS_KEY"],
        privacy: Privacy::Secret,
        chapter: Chapter::Credentials,
        doc: "The secret of the access key.",
        example: r#""…""#,
    }
    /// The token of temporary credentials.
    SESSION_TOKEN = {
        key: "aws-session-token",
        environment: &["BACKUP_AWS_SESSION_TOKEN"],
        fallback: &["AWS_SESSION_TOKEN"],
        privacy: Privacy::Secret,
        chapter: Chapter::Credentials,
        doc: "The token of temporary credentials.",
        example: r#""…""#,
    }
    /// The profile of AWS's own configuration.
    AWS_PROFILE = {
        key: "aws-profile",
        environment: &["BACKUP_AWS_PROFILE"],
        chapter: Chapter::Credentials,
        unset: "AWS_PROFILE, else `default`",
        doc: "The profile of AWS's own configuration files to take credentials from.",
        example: r#""backup""#,
    }
    /// The storage class of data objects.
    STORAGE_CLASS = {
        key: "storage-class",
        environment: &["BACKUP_STORAGE_CLASS"],
        chapter: Chapter::Objects,
        unset: "the bucket's standard class",
        doc: "The storage class of data objects, such as STANDARD_IA or GLACIER_IR; manifests stay in the standard class.",
        example: r#""STANDARD_IA""#,
    }
    /// Encryption by the server.
    SSE = {
        key: "sse",
        shape: Shape::Choice(&["AES256", "aws:kms"]),
        environment: &["BACKUP_SSE"],
        chapter: Chapter::Objects,
        unset: "the bucket's default",
        doc: "Encryption by the server: AES256 or aws:kms.",
        example: r#""aws:kms""#,
    }
    /// The key for encryption by the server.
    SSE_KMS_KEY_ID = {
        key: "sse-kms-key-id",
        environment: &["BACKUP_SSE_KMS_KEY_ID"],
        chapter: Chapter::Objects,
        unset: "the account's default key",
        doc: "The KMS key for encryption by the server.",
        example: r#""arn:aws:kms:eu-central-1:111122223333:key/…""#,
    }
    /// Tags of S3 objects.
    OBJECT_TAGS = {
        key: "object-tags",
        shape: Shape::Pairs,
        environment: &["BACKUP_OBJECT_TAG", "BACKUP_OBJECT_TAGS"],
        chapter: Chapter::Objects,
        doc: "S3 object tags, as key=value.",
        example: r#"["team=web"]"#,
    }
    /// Checksums of requests.
    CHECKSUM = {
        key: "checksum",
        shape: Shape::Choice(&["auto", "when_supported", "when_required"]),
        environment: &["BACKUP_CHECKSUM"],
        default: Some("auto"),
        chapter: Chapter::Objects,
        doc: "Additional checksums of requests: when_supported, when_required, or auto (the former on AWS, the latter elsewhere).",
        example: r#""when_required""#,
    }
    /// The lock of what is written, as a word.
    LOCK = {
        key: "lock",
        shape: Shape::Choice(&["off", "retention"]),
        environment: &["BACKUP_LOCK"],
        chapter: Chapter::Objects,
        unset: "off, unless lock-days or lock-until says more",
        doc: "Lock what is written as long as `prune` may keep it by the rules of the policy (retention), or not (off).",
        example: r#""retention""#,
    }
    /// How firm the lock is.
    LOCK_MODE = {
        key: "lock-mode",
        shape: Shape::Choice(&["governance", "compliance"]),
        environment: &["BACKUP_LOCK_MODE"],
        chapter: Chapter::Objects,
        unset: "governance for lock = \"retention\"; lock-days and lock-until need one",
        doc: "How firm a lock is: governance, which a special right overrides, or compliance, which nobody can take back.",
        example: r#""governance""#,
    }
    /// Until when the lock lasts.
    LOCK_UNTIL = {
        key: "lock-until",
        environment: &["BACKUP_LOCK_UNTIL"],
        chapter: Chapter::Objects,
        unset: "no lock",
        doc: "Lock what is written until this time.",
        example: r#""2030-12-31""#,
    }
    /// How long the lock lasts.
    LOCK_DAYS = {
        key: "lock-days",
        shape: Shape::Integer { min: 1, max: 36_500 },
        environment: &["BACKUP_LOCK_DAYS"],
        chapter: Chapter::Objects,
        unset: "no lock",
        doc: "Lock what is written for so many days from the end of the backup on.",
        example: "30",
    }
    /// How long a lock may last: ten years unless the user says more, the longest that records commonly have to be kept.
    LOCK_DAYS_MAX = {
        key: "lock-days-max",
        shape: Shape::Integer { min: 1, max: 36_500 },
        environment: &["BACKUP_LOCK_DAYS_MAX"],
        default: Some("3660"),
        chapter: Chapter::Objects,
        doc: "How many days a lock may last at most: a guard against typing errors, which a compliance lock never forgives.",
        example: "3660",
    }
    /// The user's tags.
    TAGS = {
        key: "tags",
        shape: Shape::List,
        environment: &["BACKUP_TAG", "BACKUP_TAGS"],
        chapter: Chapter::Objects,
        doc: "Words that are recorded with a backup, for `keep-tag`; a comma separates two.",
        example: r#"["nightly"]"#,
    }
}
