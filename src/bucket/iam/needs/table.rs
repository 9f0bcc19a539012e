//! The table itself: a row for each command that talks to the store.

use super::On::{self, Bucket, Listing, Named, Objects};
use super::When::{Kms, Locks, Purging, Tags, Thawing};
use super::{CommandNeeds, Need, need};

const LIST: Need = need("s3:ListBucket", Listing, "finds the backups by their keys");
const READ: Need = need("s3:GetObject", Objects, "reads manifests, indexes and data");
const READ_MANIFESTS: Need = need("s3:GetObject", Objects, "reads the manifests");
const DECRYPT: Need = need("kms:Decrypt", On::Key, "reads what is encrypted with the key").when(Kms);
const ENCRYPT: Need = need("kms:GenerateDataKey", On::Key, "encrypts what is written").when(Kms);

/// What the remarks on a bucket's rules are made of.
const LOOK_AT_VERSIONS: Need = need("s3:GetBucketVersioning", Bucket, "warns of versions").advised(FEWER_WARNINGS);
const LOOK_AT_LOCKS: Need =
    need("s3:GetBucketObjectLockConfiguration", Bucket, "warns of locks").advised(FEWER_WARNINGS);
const LIST_FOR_COST: Need =
    need("s3:ListBucket", Listing, "estimates the cost before and after").advised("the cost is not estimated");
const FEWER_WARNINGS: &str = "some of the warnings are left out";

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
            need(
                "s3:GetBucketObjectLockConfiguration",
                Bucket,
                "looks whether the bucket can lock",
            )
            .when(Locks)
            .withheld("a bucket that cannot lock refuses the first write"),
            need("s3:GetObjectRetention", Objects, "looks whether the lock is there")
                .when(Locks)
                .withheld("the store's word is taken for it, which is said"),
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
            need("s3:PutObject", Named("*.drill-*.json"), "keeps the evidence of a drill")
                .advised("the drill is made, and a warning says that its evidence is not kept"),
            need(
                "s3:PutObject",
                Named("*.damaged-*.json"),
                "remembers the damage that was found",
            )
            .advised(NOT_REMEMBERED),
            need(
                "s3:PutObject",
                Named("*.whole-*.json"),
                "remembers that earlier damage is mended",
            )
            .advised(NOT_REMEMBERED),
            ENCRYPT,
        ],
        note: "",
    },
    CommandNeeds {
        command: "prune",
        needs: &[
            LIST,
            READ_MANIFESTS.advised("what cannot be read stays, which the exit status tells"),
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
                .advised("a locked version is told without its end, or as one that could not be removed"),
            need("s3:GetObjectRetention", Objects, "tells until when an object is locked")
                .advised("a locked object is told without its end, or as one that could not be removed"),
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
            need("s3:GetBucketLocation", Bucket, "asks where it is").advised("the settings are asked for all the same"),
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
        command: "bucket create",
        needs: &[
            need("s3:CreateBucket", Bucket, "makes the bucket"),
            need("s3:ListBucket", Bucket, "looks whether it is there"),
            need("s3:GetBucketLocation", Bucket, "compares the region").advised("the region is not compared"),
            need("s3:PutBucketPublicAccessBlock", Bucket, "closes it to the public"),
            need(
                "s3:PutBucketOwnershipControls",
                Bucket,
                "makes its owner that of every object",
            ),
            need("s3:PutEncryptionConfiguration", Bucket, "encrypts what arrives"),
            need("s3:PutBucketVersioning", Bucket, "keeps versions"),
            need(
                "s3:PutBucketPolicy",
                Bucket,
                "refuses plain HTTP, and replacing on request",
            ),
            need(
                "s3:PutBucketObjectLockConfiguration",
                Bucket,
                "locks what arrives, on request",
            ),
            need("s3:PutBucketCORS", Bucket, "lets web pages in, on request"),
            need(
                "s3:PutLifecycleConfiguration",
                Bucket,
                "has unfinished uploads thrown away, and older versions on request",
            ),
            need("s3:GetBucketVersioning", Bucket, SETTING).advised(WRITTEN_ANYWAY),
            need("s3:GetBucketObjectLockConfiguration", Bucket, SETTING).advised(WRITTEN_ANYWAY),
            need("s3:GetEncryptionConfiguration", Bucket, SETTING).advised(WRITTEN_ANYWAY),
            need("s3:GetBucketPublicAccessBlock", Bucket, SETTING).advised(WRITTEN_ANYWAY),
            need("s3:GetBucketPolicyStatus", Bucket, SETTING)
                .advised("whether the policy lets everybody in is not looked at"),
            need("s3:GetBucketPolicy", Bucket, "keeps what others wrote into the policy").advised(WRITTEN_ANYWAY),
            need("s3:GetBucketOwnershipControls", Bucket, SETTING).advised(WRITTEN_ANYWAY),
            need("s3:GetBucketCORS", Bucket, SETTING).advised(WRITTEN_ANYWAY),
            need("s3:GetLifecycleConfiguration", Bucket, SETTING).advised(WRITTEN_ANYWAY),
        ],
        note: "",
    },
    CommandNeeds {
        command: "lifecycle show",
        needs: &[need("s3:GetLifecycleConfiguration", Bucket, "reads the rules")],
        note: "",
    },
    CommandNeeds {
        command: "lifecycle apply",
        needs: &[
            need(
                "s3:GetLifecycleConfiguration",
                Bucket,
                "reads the rules, and compares them afterwards",
            ),
            need("s3:PutLifecycleConfiguration", Bucket, "writes them"),
            LOOK_AT_VERSIONS,
            LOOK_AT_LOCKS,
            LIST_FOR_COST,
        ],
        note: "",
    },
    CommandNeeds {
        command: "lifecycle remove",
        needs: &[
            need(
                "s3:GetLifecycleConfiguration",
                Bucket,
                "reads the rules, and compares them afterwards",
            ),
            need("s3:PutLifecycleConfiguration", Bucket, "writes those that stay"),
            LOOK_AT_VERSIONS,
            LIST_FOR_COST,
        ],
        note: "",
    },
    CommandNeeds {
        command: "cost",
        needs: &[
            LIST,
            need(
                "s3:ListBucketMultipartUploads",
                Bucket,
                "counts the parts of unfinished uploads",
            )
            .advised(LEFT_OUT),
            need("s3:ListBucketVersions", Listing, "counts older versions").advised(LEFT_OUT),
            need("s3:GetBucketVersioning", Bucket, "learns whether there are any").advised(LEFT_OUT),
            need(
                "s3:GetLifecycleConfiguration",
                Bucket,
                "learns what moves and goes by itself",
            )
            .advised(LEFT_OUT),
        ],
        note: "",
    },
    CommandNeeds {
        command: "rebuild-index",
        needs: &[
            LIST,
            READ,
            need("s3:PutObject", Objects, "writes the index and the manifest"),
            need(
                "s3:DeleteObject",
                Objects,
                "removes an index that was not as it should be",
            ),
            ABORT_INDEX,
            TAG,
            ENCRYPT,
            DECRYPT,
        ],
        note: "",
    },
    CommandNeeds {
        command: "adopt",
        needs: &[
            LIST,
            READ,
            need("s3:PutObject", Objects, "writes the index and the manifest"),
            need(
                "s3:DeleteObject",
                Objects,
                "takes the index back if the manifest could not be written",
            )
            .advised("it stays, belongs to no backup, and goes with the next cleanup"),
            ABORT_INDEX,
            TAG,
            ENCRYPT,
            DECRYPT,
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
                "iam:ListRolePolicies",
                On::Identity,
                "looks for policies of ours for other roles",
            )
            .advised("what such a policy refuses stays refused, and a warning says that nobody looked"),
            need("iam:DeleteRolePolicy", On::Identity, "removes them"),
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
const NOT_REMEMBERED: &str = "what was found is told, and a warning says that it is not remembered";
const SETTING: &str = "reads the setting";
const UNREAD: &str = "the setting is told as not readable";
const WRITTEN_ANYWAY: &str = "what is set is not known, which is told";
const LEFT_OUT: &str = "it is left out, which is told";

/// What an index that is written anew takes if that fails.
const ABORT_INDEX: Need = need(
    "s3:AbortMultipartUpload",
    Objects,
    "throws an index away that could not be written",
)
.advised("its parts stay and cost money until cleanup or a lifecycle rule removes them");
