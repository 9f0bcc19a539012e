//! What has to be changed of a bucket: a pure function of what it is set to and what is wanted.

use serde::Serialize;

use crate::bucket::{
    BucketSettings, Encryption, LifecycleRule, OWN_CORS_ID, PolicyWish, Reading, Retention, demands_new_keys,
    demands_tls,
};

/// How what arrives is encrypted, if nobody asks for something else.
const ENCRYPTION_USUAL: &str = "AES256";

/// What is wanted of a bucket besides what every bucket of backups should have.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What the keys of backups begin with.
    pub folder: String,
    /// The default encryption that was asked for; `None` for whatever there is, or the server's own keys.
    pub encryption: Option<Encryption>,
    /// Whether plain HTTP is to be refused; `None` where this store is not reached by it.
    pub tls_only: Option<bool>,
    /// Whether objects below the folder may be created and not replaced.
    pub create_only: bool,
    /// Whether objects can be locked, and what new ones get by themselves.
    pub object_lock: Option<Option<Retention>>,
    /// Which web pages may use the bucket.
    pub cors: Option<WantedCors>,
    /// After how many days unfinished uploads below the folder are removed, where no rule says it yet.
    pub abort_days: u32,
    /// After how many days older versions below the folder are removed; `None` for never, or as a rule that is there says.
    pub noncurrent_days: Option<u32>,
    /// The region that was asked for.
    pub region: Option<String>,
}

/// Which web pages may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedCors {
    /// Where the pages come from.
    pub origins: Vec<String>,
    /// What they may do.
    pub methods: Vec<String>,
}

/// What is known of a bucket without its settings.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// Its name.
    pub bucket: &'a str,
    /// Where it is or will be.
    pub region: &'a str,
    /// Whether it is reached by TLS.
    pub is_tls: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the bucket.
    Create {
        /// Whether its objects can be locked.
        with_object_lock: bool,
    },
    /// Block public access.
    PublicAccess,
    /// Have everything belong to the owner.
    Ownership,
    /// Encrypt what arrives.
    Encryption(Encryption),
    /// Keep versions.
    Versioning,
    /// Let objects be locked.
    ObjectLock(Option<Retention>),
    /// Refuse plain HTTP.
    TlsOnly,
    /// Refuse to replace objects.
    CreateOnly,
    /// Let web pages in.
    Cors(WantedCors),
    /// Tidy up after uploads that were not ended, and after what was removed.
    Tidy,
}

impl Step {
    /// The name of the point, as `bucket check` has it.
    #[must_use]
    pub fn point(&self) -> &'static str {
        match self {
            Self::Create { .. } => "bucket",
            Self::PublicAccess => "public-access",
            Self::Ownership => "ownership",
            Self::Encryption(_) => "encryption",
            Self::Versioning => "versioning",
            Self::ObjectLock(_) => "object-lock",
            Self::TlsOnly => "tls-only",
            Self::CreateOnly => "create-only",
            Self::Cors(_) => "cors",
            Self::Tidy => "lifecycle",
        }
    }
}

/// One change in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What is done.
    pub step: Step,
    /// The same in words.
    pub words: String,
}

/// Why a point is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftBecause {
    /// It would do harm here.
    NotHere,
    /// The server does not have it.
    NotThere,
    /// The credentials do not allow it.
    NotAllowed,
    /// It could not be done.
    Failed,
}

/// A point that is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its name.
    pub point: &'static str,
    /// Why, in short.
    pub because: LeftBecause,
    /// Why, in words.
    pub why: String,
    /// Whether it was asked for, so that it counts as a failure.
    pub asked: bool,
}

/// What is to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatePlan {
    /// Whether the bucket is there.
    pub exists: bool,
    /// The changes, in the order in which they are made: whatever ends it, the bucket was never more open than before.
    pub steps: Vec<Planned>,
    /// What is left as it is, although it should be otherwise.
    pub left: Vec<Left>,
}

/// Says what has to be changed; of a bucket that is not there, everything.
#[must_use]
pub fn plan(settings: Option<&BucketSettings>, wanted: &Wanted, around: &Surroundings<'_>) -> CreatePlan {
    let mut planner = Planner {
        plan: CreatePlan {
            exists: settings.is_some(),
            ..CreatePlan::default()
        },
    };
    let absent = absent();
    if settings.is_none() {
        let with_object_lock = wanted.object_lock.is_some();
        let lock = if with_object_lock { ", with object lock" } else { "" };
        planner.step(
            Step::Create { with_object_lock },
            format!("Create the bucket `{}` in {}{lock}", around.bucket, around.region),
        );
    }
    let settings = settings.unwrap_or(&absent);
    planner.public_access(settings);
    planner.ownership(settings);
    planner.encryption(settings, wanted);
    planner.versioning(settings, wanted);
    planner.object_lock(settings, wanted);
    planner.create_only(settings, wanted, around);
    planner.cors(settings, wanted);
    planner.tidy(settings, wanted);
    // Whoever asks for it by plain HTTP is locked out from then on.
    planner.tls_only(settings, wanted, around);
    planner.plan
}

/// The settings of a bucket of which nothing was ever set.
fn absent() -> BucketSettings {
    BucketSettings {
        versioning: Reading::NotConfigured,
        object_lock: Reading::NotConfigured,
        encryption: Reading::NotConfigured,
        public_access_block: Reading::NotConfigured,
        is_public_by_policy: Reading::NotConfigured,
        policy: Reading::NotConfigured,
        ownership: Reading::NotConfigured,
        cors: Reading::NotConfigured,
        lifecycle: Reading::NotConfigured,
    }
}

struct Planner {
    plan: CreatePlan,
}

impl Planner {
    fn step(&mut self, step: Step, words: impl Into<String>) {
        self.plan.steps.push(Planned {
            step,
            words: words.into(),
        });
    }

    fn leave(&mut self, point: &'static str, because: LeftBecause, why: impl Into<String>, asked: bool) {
        self.plan.left.push(Left {
            point,
            because,
            why: why.into(),
            asked,
        });
    }

    /// What a reading says, if it can be built upon: the value, or that there is none.
    fn known<'a, T>(&mut self, point: &'static str, reading: &'a Reading<T>, asked: bool) -> Option<Option<&'a T>> {
        match reading {
            Reading::Is(value) => Some(Some(value)),
            Reading::NotConfigured => Some(None),
            Reading::NotSupported => {
                self.leave(point, LeftBecause::NotThere, "This server does not have it", asked);
                None
            }
            Reading::NotAllowed { permission } => {
                let why = format!("What is set may not be read; it takes the permission {permission}");
                self.leave(point, LeftBecause::NotAllowed, why, asked);
                None
            }
            Reading::Failed(failure) => {
                self.leave(point, LeftBecause::Failed, failure.in_one_line(), asked);
                None
            }
        }
    }

    fn public_access(&mut self, settings: &BucketSettings) {
        let Some(known) = self.known("public-access", &settings.public_access_block, false) else {
            return;
        };
        match known.map(|blocks| blocks.missing()) {
            None => self.step(Step::PublicAccess, "Block public access in all four ways"),
            Some(missing) if !missing.is_empty() => self.step(
                Step::PublicAccess,
                format!(
                    "Block public access in all four ways; off until now: {}",
                    missing.join(", ")
                ),
            ),
            Some(_) => {}
        }
    }

    fn ownership(&mut self, settings: &BucketSettings) {
        const ENFORCED: &str = "BucketOwnerEnforced";
        let Some(known) = self.known("ownership", &settings.ownership, false) else {
            return;
        };
        match known.map(String::as_str) {
            Some(ENFORCED) => {}
            None => self.step(
                Step::Ownership,
                "Have everything belong to the bucket's owner, without access lists",
            ),
            Some(other) => self.step(
                Step::Ownership,
                format!("Have everything belong to the bucket's owner, without access lists, instead of {other}"),
            ),
        }
    }

    fn encryption(&mut self, settings: &BucketSettings, wanted: &Wanted) {
        let asked = wanted.encryption.is_some();
        let Some(known) = self.known("encryption", &settings.encryption, asked) else {
            return;
        };
        let usual = || Encryption {
            algorithm: ENCRYPTION_USUAL.to_owned(),
            kms_key_id: None,
            has_bucket_key: false,
        };
        let target = match (&wanted.encryption, known) {
            // Whatever encrypts is good enough, unless something was asked for.
            (None, Some(_)) => return,
            (None, None) => usual(),
            (Some(target), known) => {
                let is_same = known.is_some_and(|known| {
                    known.algorithm == target.algorithm
                        && same_key(known.kms_key_id.as_deref(), target.kms_key_id.as_deref())
                });
                if is_same {
                    return;
                }
                target.clone()
            }
        };
        let key = target
            .kms_key_id
            .as_ref()
            .map(|key| format!(" with the key {key}"))
            .unwrap_or_default();
        let instead = known
            .map(|known| format!(", instead of {}", known.algorithm))
            .unwrap_or_default();
        let words = format!("Encrypt what arrives by {}{key}{instead}", target.algorithm);
        self.step(Step::Encryption(target), words);
    }

    fn versioning(&mut self, settings: &BucketSettings, wanted: &Wanted) {
        // Without versions nothing can be locked.
        let asked = wanted.object_lock.is_some();
        match self.known("versioning", &settings.versioning, asked) {
            None => {}
            Some(Some(versioning)) if versioning.is_enabled => {}
            Some(Some(_)) => self.step(Step::Versioning, "Keep versions again, which is suspended"),
            Some(None) => self.step(Step::Versioning, "Keep versions of what is replaced or removed"),
        }
    }

    fn object_lock(&mut self, settings: &BucketSettings, wanted: &Wanted) {
        let Some(target) = &wanted.object_lock else {
            return;
        };
        let Some(known) = self.known("object-lock", &settings.object_lock, true) else {
            return;
        };
        let is_on = known.is_some_and(|lock| lock.is_enabled);
        let default = known.and_then(|lock| lock.default_retention.as_ref());
        let is_right = match target {
            None => is_on,
            Some(target) => is_on && default == Some(target),
        };
        if is_right {
            return;
        }
        let words = match (target, default) {
            (None, _) => "Let objects be locked".to_owned(),
            (Some(target), None) => format!("Lock new objects for {} d ({})", target.days, target.mode),
            (Some(target), Some(old)) => format!(
                "Lock new objects for {} d ({}), instead of {} d ({})",
                target.days, target.mode, old.days, old.mode
            ),
        };
        // A new bucket has its lock from the beginning.
        if target.is_some() || self.plan.exists {
            self.step(Step::ObjectLock(target.clone()), words);
        }
    }

    /// The policy, if statements can be added to it.
    fn policy<'a>(
        &mut self,
        point: &'static str,
        settings: &'a BucketSettings,
        wish: PolicyWish<'_>,
        asked: bool,
    ) -> Option<Option<&'a str>> {
        let policy = self.known(point, &settings.policy, asked)?.map(String::as_str);
        match wish.added_to(policy) {
            Ok(_) => Some(policy),
            Err(_) => {
                let why = "The policy that is there cannot be read as JSON, so that nothing can be added to it";
                self.leave(point, LeftBecause::Failed, why, asked);
                None
            }
        }
    }

    fn create_only(&mut self, settings: &BucketSettings, wanted: &Wanted, around: &Surroundings<'_>) {
        if !wanted.create_only {
            return;
        }
        let Some(policy) = self.policy("create-only", settings, wish(wanted, around), true) else {
            return;
        };
        if !policy.is_some_and(|policy| demands_new_keys(policy, &wanted.folder)) {
            self.step(
                Step::CreateOnly,
                format!(
                    "Refuse writes below `{}` that could replace an object, by a statement in the bucket's policy",
                    wanted.folder
                ),
            );
        }
    }

    fn tls_only(&mut self, settings: &BucketSettings, wanted: &Wanted, around: &Surroundings<'_>) {
        if wanted.tls_only == Some(false) {
            return;
        }
        let asked = wanted.tls_only == Some(true);
        let Some(policy) = self.policy("tls-only", settings, wish(wanted, around), asked) else {
            return;
        };
        if policy.is_some_and(demands_tls) {
            return;
        }
        match (around.is_tls, asked) {
            (true, _) => self.step(Step::TlsOnly, "Refuse plain HTTP, by a statement in the bucket's policy"),
            (false, true) => self.step(
                Step::TlsOnly,
                "Refuse plain HTTP, by a statement in the bucket's policy, last of all: this store is reached by it, and can only be used by https afterwards",
            ),
            (false, false) => self.leave(
                "tls-only",
                LeftBecause::NotHere,
                "This store is reached by plain HTTP, and such a policy would lock it out; --tls-only sets it all the same",
                false,
            ),
        }
    }

    fn cors(&mut self, settings: &BucketSettings, wanted: &Wanted) {
        let Some(target) = &wanted.cors else {
            return;
        };
        let Some(known) = self.known("cors", &settings.cors, true) else {
            return;
        };
        let rules = known.map_or(&[][..], Vec::as_slice);
        let is_there = rules.iter().any(|rule| {
            let is_ours = rule.id.as_deref().is_none_or(|id| id == OWN_CORS_ID);
            is_ours && rule.origins == target.origins && rule.methods == target.methods
        });
        if !is_there {
            let words = format!(
                "Let web pages of {} send {}",
                target.origins.join(", "),
                target.methods.join(", ")
            );
            self.step(Step::Cors(target.clone()), words);
        }
    }

    fn tidy(&mut self, settings: &BucketSettings, wanted: &Wanted) {
        let asked = wanted.noncurrent_days.is_some();
        let Some(known) = self.known("lifecycle", &settings.lifecycle, asked) else {
            return;
        };
        let rules = known.map_or(&[][..], |lifecycle| lifecycle.rules.as_slice());
        let says = |of: fn(&LifecycleRule) -> Option<u32>| {
            let mut covering = rules.iter().filter(|rule| rule.covers(&wanted.folder));
            covering.any(|rule| of(rule).is_some())
        };
        let mut words = Vec::new();
        if !says(|rule| rule.abort_days) {
            words.push(format!("unfinished uploads after {} d", wanted.abort_days));
        }
        if let Some(days) = wanted.noncurrent_days.filter(|_| !says(|rule| rule.noncurrent_days)) {
            words.push(format!("older versions after {days} d"));
        }
        if !words.is_empty() {
            let words = format!(
                "Let the bucket remove {} below `{}`, by a lifecycle rule",
                words.join(", and "),
                wanted.folder
            );
            self.step(Step::Tidy, words);
        }
    }
}

/// What the policy is to demand when everything is done.
pub(super) fn wish<'a>(wanted: &'a Wanted, around: &Surroundings<'a>) -> PolicyWish<'a> {
    PolicyWish {
        bucket: around.bucket,
        region: around.region,
        folder: &wanted.folder,
        tls_only: wanted.tls_only.unwrap_or(around.is_tls),
        create_only: wanted.create_only,
    }
}

/// Whether two names are those of one key: a server may tell the full name of what was named by its id.
fn same_key(known: Option<&str>, wanted: Option<&str>) -> bool {
    match (known, wanted) {
        (Some(known), Some(wanted)) => known == wanted || known.ends_with(&format!("/{wanted}")),
        (_, None) => true,
        (None, Some(_)) => false,
    }
}
