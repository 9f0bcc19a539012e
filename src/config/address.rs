//! Where the store is: the settings' view of `s3://bucket/prefix` and of folders.

use std::path::PathBuf;

use crate::base::failure::{Failure, Kind, Result};

/// The address of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// A bucket and a prefix without slashes at its ends; the prefix may be empty.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// What stands before every key.
        prefix: String,
    },
    /// A folder of this machine.
    Local {
        /// The folder; relative to the working directory if it is not absolute.
        folder: PathBuf,
    },
}

impl StoreAddress {
    /// Reads `s3://bucket/prefix`, `file:///folder` or a folder.
    ///
    /// # Errors
    /// [`Kind::Config`] if it is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Failure::new(Kind::Config, format!("Not the address of a store: `{text}`"))
                .hint("Write s3://bucket/prefix, file:///folder or a folder")
        };
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(wrong());
            }
            return Ok(Self::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.trim_matches('/').to_owned(),
            });
        }
        let folder = text.strip_prefix("file://").unwrap_or(text);
        if folder.is_empty() || folder.contains("://") {
            return Err(wrong());
        }
        Ok(Self::Local {
            folder: PathBuf::from(folder),
        })
    }
}

impl std::fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Local { folder } => write!(f, "file://{}", folder.display()),
        }
    }
}
