//! What each command asks of the credentials, with why, and what becomes of it without.

use On::{Bucket, Listing, Named, Objects};
use When::{Always, Kms, Locks, Purging, Tags, Thawing};

/// A set of commands that belong into one pair of hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Makes backups, and can neither see nor harm those that are there.
    Writer,
    /// Lists, reads and verifies them.
    Restorer,
    /// Removes what the retention does not keep.
    Pruner,
    /// Sets the bucket up and looks after it.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Restorer, Self::Pruner, Self::Admin];

    /// Its word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Restorer => "restorer",
            Self::Pruner => "pruner",
            Self::Admin => "admin",
        }
    }

    /// The commands that it is for.
    #[must_use]
    pub fn commands(self) -> &'static [&'static str] {
        match self {
            Self::Writer => &["backup"],
            Self::Restorer => &[
                "list", "show", "ls", "find", "diff", "restore", "verify", "copy", "cost",
            ],
            Self::Pruner => &["list", "show", "prune", "pin", "unpin", "accept", "cleanup"],
            Self::Admin => &[
                "list",
                "show",
                "cost",
                "doctor",
                "bucket check",
                "bucket create",
                "lifecycle show",
                "lifecycle apply",
                "lifecycle remove",
                "rebuild-index",
                "adopt",
            ],
        }
    }
}

/// What a permission is granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// The bucket, as far as keys below the prefix are concerned.
    Listing,
    /// The bucket.
    Bucket,
    /// Every object below the prefix.
    Objects,
    /// The objects below the prefix whose names end so, or are so.
    Named(&'static str),
    /// The key of the key management service.
    Key,
    /// The role of the identity service, or its provider.
    Identity,
}

impl On {
    /// In words, for people.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Listing => "the bucket, below the prefix".to_owned(),
            Bucket => "the bucket".to_owned(),
            Objects => "PREFIX/*".to_owned(),
            Named(pattern) => format!("PREFIX/{pattern}"),
            Self::Key => "the KMS key".to_owned(),
            Self::Identity => "the role and the provider".to_owned(),
        }
    }
}

/// When a permission is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum When {
    /// In every run.
    Always,
    /// With `object-tags`.
    Tags,
    /// When what is written is locked.
    Locks,
    /// With --thaw.
    Thawing,
    /// With --purge-versions.
    Purging,
    /// When the objects are encrypted with a key of the key management service.
    Kms,
}

impl When {
    /// In words, for people; nothing is said of what is always so.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Always => "",
            Tags => "with object-tags",
            Locks => "with --lock-mode",
            Thawing => "with --thaw",
            Purging => "with --purge-versions",
            Kms => "with a KMS key",
        }
    }
}

/// How much depends on a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Without it the command fails, and names it.
    Required,
    /// The command's roles have it; without it the command works all the same, and this is lost.
    Advised(&'static str),
    /// The command's roles do not have it, and this is lost for it.
    Withheld(&'static str),
}

/// One permission that a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The permission, as policies name it.
    pub action: &'static str,
    /// What it is granted on.
    pub on: On,
    /// When it is asked for.
    pub when: When,
    /// What for.
    pub why: &'static str,
    /// How much depends on it.
    pub grant: Grant,
}

const fn need(action: &'static str, on: On, why: &'static str) -> Need {
    Need {
        action,
        on,
        when: Always,
        why,
        grant: Grant::Required,
    }
}

impl Need {
    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    const fn advised(self, loss: &'static str) -> Self {
        Self {
            grant: Grant::Advised(loss),
            ..self
        }
    }

    const fn withheld(self, loss: &'static str) -> Self {
        Self {
            grant: Grant::Withheld(loss),
            ..self
        }
    }
}

/// What one command asks for.
#[derive(Clone, Copy, Debug)]
pub struct CommandNeeds {
    /// The command, as it is typed.
    pub command: &'static str,
    /// The permissions.
    pub needs: &'static [Need],
    /// What else is to be known; a sentence, or nothing.
    pub note: &'static str,
}

const LIST: Need = need("s3:ListBucket", Listing, "finds the backups by their keys");
const READ: Need = need("s3:GetObject", Objects, "reads manifests, indexes and data");
const READ_MANIFESTS: Need = need("s3:GetObject", Objects, "reads the manifests");
const DECRYPT: Need = need("kms:Decrypt", On::Key, "reads what is encrypted with the key").when(Kms);
const ENCRYPT: Need = need("kms:GenerateDataKey", On::Key, "encrypts what is written").when(Kms);

/// The permissions to list and to read.
const READING: &[Need] = &[LIST, READ, DECRYPT];

/// What a write of one of our own objects takes beside the right to it.
const TAG: Need = need("s3:PutObjectTagging", Objects, "writes the tags with the object").when(Tags);

/// Every command that talks to the store.
pub const COMMANDS: &[CommandNeeds] = &[
    CommandNeeds {
        command: "backup",
        needs: &[
            need("s3:PutObject", Objects, "writes the data, the index and the manifest"),
            TAG,
            need("s3:PutObjectRetention", Objects, "locks what is written").when(Locks),
            ENCRYPT,
            need("kms:Decrypt", On::Key, "joins the parts of an upload").when(Kms),
            need(
                "s3:AbortMultipartUpload",
                Objects,
                "throws the parts of a backup that failed away",
            )
            .advised("they stay and cost money until cleanup or a lifecycle rule removes them"),
            need(
                "s3:ListMultipartUploadParts",
                Objects,
                "looks whether all parts are thrown away",
            )
            .advised("a part that was on its way when its upload was aborted may stay"),
            need(
                "s3:GetObject",
                Objects,
                "looks whether an object whose acknowledgement was lost is there",
            )
            .withheld("a run fails that could have gone on; and it could read all backups"),
            need(
                "s3:ListBucket",
                Listing,
                "compares the size with earlier backups, and plans the parts by it",
            )
            .withheld("the shape is not compared, and the size of the parts follows from the source's estimate alone"),
            need(
                "s3:DeleteObject",
                Objects,
                "takes the data of a run back that could not be committed",
            )
            .withheld("it stays, is in no list, and goes with the next cleanup"),
            need(
                "s3:ListBucketMultipartUploads",
                Bucket,
                "clears up uploads that earlier runs left",
            )
            .withheld("they stay until cleanup or a lifecycle rule removes them"),
        ],
        note: "With --prune it needs what prune needs, too. The policy of the writer allows a write only where nothing stands yet.",
    },
    CommandNeeds {
        command: "accept",
        needs: &[
            LIST,
            READ_MANIFESTS,
            need("s3:PutObject", Named("*.accepted.json"), "writes the note"),
            TAG,
            ENCRYPT,
            DECRYPT,
        ],
        note: "",
    },
    CommandNeeds {
        command: "list",
        needs: &[LIST, READ_MANIFESTS, DECRYPT],
        note: "",
    },
    CommandNeeds {
        command: "show",
        needs: &[LIST, READ_MANIFESTS, DECRYPT],
        note: "",
    },
    CommandNeeds {
        command: "ls",
        needs: READING,
        note: "",
    },
    CommandNeeds {
        command: "copy",
        needs: READING,
        note: "At the target it needs what backup needs, and s3:ListBucket and s3:GetObject to see what is there already.",
    },
    CommandNeeds {
        command: "find",
        needs: READING,
        note: "",
    },
    CommandNeeds {
        command: "diff",
        needs: READING,
        note: "",
    },
    CommandNeeds {
        command: "restore",
        needs: &[
            LIST,
            READ,
            DECRYPT,
            need("s3:RestoreObject", Objects, "asks for what lies in an archive").when(Thawing),
        ],
        note: "The safety backup of a database that is replaced needs what backup needs.",
    },
    CommandNeeds {
        command: "verify",
        needs: &[
            LIST,
            READ,
            DECRYPT,
            need("s3:RestoreObject", Objects, "asks for what lies in an archive").when(Thawing),
            need("s3:PutObject", Named("*.drill-*.json"), "keeps the evidence of a drill")
                .advised("the drill is made, and a warning says that its evidence is not kept"),
            ENCRYPT,
        ],
        note: "",
    },
    CommandNeeds {
        command: "prune",
        needs: &[
            LIST,
            READ_MANIFESTS,
            DECRYPT,
            need("s3:DeleteObject", Objects, "removes what the policy does not keep"),
            need(
                "s3:ListBucketVersions",
                Listing,
                "finds the versions of what is removed",
            )
            .when(Purging),
            need("s3:DeleteObjectVersion", Objects, "removes them").when(Purging),
            need("s3:GetObjectVersion", Objects, "looks whether a version is locked")
                .when(Purging)
                .advised("a locked version is told as one that could not be removed"),
            need("s3:GetObjectRetention", Objects, "tells until when an object is locked")
                .advised("a locked object is told as one that could not be removed"),
            need("s3:GetObjectLegalHold", Objects, "tells whether an object is held")
                .advised("a held object is told as one that could not be removed"),
        ],
        note: "",
    },
    CommandNeeds {
        command: "pin",
        needs: &[
            LIST,
            READ_MANIFESTS,
            need("s3:PutObject", Named("*.pin.json"), "writes the pin"),
            TAG,
            ENCRYPT,
            DECRYPT,
        ],
        note: "",
    },
    CommandNeeds {
        command: "unpin",
        needs: &[
            LIST,
            READ_MANIFESTS,
            need("s3:DeleteObject", Named("*.pin.json"), "removes the pin"),
            DECRYPT,
        ],
        note: "",
    },
    CommandNeeds {
        command: "cleanup",
        needs: &[
            LIST,
            need("s3:ListBucketMultipartUploads", Bucket, "finds unfinished uploads"),
            need("s3:AbortMultipartUpload", Objects, "throws them away"),
            need(
                "s3:GetObject",
                Objects,
                "looks at an object for the token by which ours are known",
            ),
            need("s3:DeleteObject", Objects, "removes what belongs to no backup"),
            need(
                "s3:ListBucketVersions",
                Listing,
                "finds the versions of what is removed",
            )
            .when(Purging),
            need("s3:DeleteObjectVersion", Objects, "removes them").when(Purging),
        ],
        note: "",
    },
    CommandNeeds {
        command: "doctor",
        needs: &[
            need("s3:PutObject", Named(DOCTOR), "writes a throw-away object").advised("writes are not tried"),
            need("s3:GetObject", Named(DOCTOR), "reads it").advised("reads are not tried"),
            need("s3:DeleteObject", Named(DOCTOR), "removes it").advised("a few bytes stay, always the same object"),
            need("s3:DeleteObjectVersion", Named(DOCTOR), "removes its versions").advised("its versions stay"),
            need("s3:AbortMultipartUpload", Named(DOCTOR), "throws an upload away")
                .advised("uploads in parts are not tried"),
            need("s3:ListBucket", Listing, "looks whether it is listed").advised("listings are not tried"),
            need("s3:ListBucketMultipartUploads", Bucket, "counts unfinished uploads").advised("they are not counted"),
            need("s3:GetBucketLocation", Bucket, "compares the region").advised("the region is not compared"),
            ENCRYPT,
            DECRYPT,
            need("s3:GetBucketVersioning", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketObjectLockConfiguration", Bucket, SETTING).advised(UNREAD),
            need("s3:GetEncryptionConfiguration", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketPublicAccessBlock", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketPolicyStatus", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketOwnershipControls", Bucket, SETTING).advised(UNREAD),
            need("s3:GetLifecycleConfiguration", Bucket, SETTING).advised(UNREAD),
        ],
        note: "It tells what it may not do, and goes on.",
    },
    CommandNeeds {
        command: "bucket check",
        needs: &[
            need("s3:GetBucketVersioning", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketObjectLockConfiguration", Bucket, SETTING).advised(UNREAD),
            need("s3:GetEncryptionConfiguration", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketPublicAccessBlock", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketPolicyStatus", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketPolicy", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketOwnershipControls", Bucket, SETTING).advised(UNREAD),
            need("s3:GetBucketCORS", Bucket, SETTING).advised(UNREAD),
            need("s3:GetLifecycleConfiguration", Bucket, SETTING).advised(UNREAD),
        ],
        note: "",
    },
    CommandNeeds {
        command: "iam apply",
        needs: &[
            need(
                "sts:GetCallerIdentity",
                On::Identity,
                "learns the account; everybody may ask it",
            ),
            need("iam:GetRole", On::Identity, "reads what the role trusts"),
            need("iam:CreateRole", On::Identity, "makes the role"),
            need("iam:UpdateAssumeRolePolicy", On::Identity, "changes what it trusts"),
            need("iam:GetRolePolicy", On::Identity, "reads its policy"),
            need("iam:PutRolePolicy", On::Identity, "writes its policy"),
            need(
                "iam:GetOpenIDConnectProvider",
                On::Identity,
                "looks for the provider of tokens",
            ),
            need("iam:CreateOpenIDConnectProvider", On::Identity, "makes it"),
            need(
                "iam:AddClientIDToOpenIDConnectProvider",
                On::Identity,
                "adds the audience to it",
            ),
        ],
        note: "No role of iam policy grants these: whoever may write roles may give itself any right.",
    },
];

/// The key of the throw-away object that `doctor` writes.
const DOCTOR: &str = "backup-cli-doctor.index.gz";
const SETTING: &str = "reads the setting";
const UNREAD: &str = "the setting is told as not readable";

/// What a command asks for; `None` if it does not talk to the store.
#[must_use]
pub fn needs_of(command: &str) -> Option<&'static CommandNeeds> {
    COMMANDS.iter().find(|needs| needs.command == command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_names_a_permission_twice_for_the_same_case() {
        for command in COMMANDS {
            for (at, need) in command.needs.iter().enumerate() {
                let twice = command.needs[at + 1..]
                    .iter()
                    .any(|other| (other.action, other.on, other.when) == (need.action, need.on, need.when));
                assert!(!twice, "{}: {}", command.command, need.action);
            }
        }
    }

    #[test]
    fn the_writer_may_not_list_read_or_remove() {
        let granted = |need: &&Need| !matches!(need.grant, Grant::Withheld(_));
        let actions: Vec<_> = Role::Writer
            .commands()
            .iter()
            .filter_map(|command| needs_of(command))
            .flat_map(|command| command.needs.iter().filter(granted))
            .map(|need| need.action)
            .collect();
        for forbidden in ["ListBucket", "GetObject", "Delete", "Lifecycle", "Bypass"] {
            assert!(!actions.iter().any(|action| action.contains(forbidden)), "{actions:?}");
        }
    }
}
