//! What each command asks of the credentials, with why, and what becomes of it without.

use On::{Bucket, Listing, Named, Objects};
use When::{Always, Kms, Locks, Purging, Tags, Thawing};

mod table;

pub use table::COMMANDS;

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
            Self::Restorer => &["list", "show", "ls", "find", "diff", "restore", "verify", "copy"],
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

/// What the names of the policies begin with that this tool gives to roles.
const POLICY_PREFIX: &str = "backup-cli-";

/// What a policy for these roles is called; they stand in their order, each once.
#[must_use]
pub fn policy_name(roles: &[Role]) -> String {
    let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
    format!("{POLICY_PREFIX}{}", words.join("-"))
}

/// Whether this tool gives a policy such a name, for whatever roles.
#[must_use]
pub fn is_policy_name(name: &str) -> bool {
    let Some(words) = name.strip_prefix(POLICY_PREFIX) else {
        return false;
    };
    let mut roles = Vec::new();
    for word in words.split('-') {
        match Role::ALL.into_iter().find(|role| role.word() == word) {
            Some(role) => roles.push(role),
            None => return false,
        }
    }
    roles.windows(2).all(|pair| pair[0] < pair[1])
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
    fn names_of_policies_are_known_again() {
        assert_eq!(policy_name(&[Role::Writer, Role::Pruner]), "backup-cli-writer-pruner");
        for name in [
            "backup-cli-writer",
            "backup-cli-writer-pruner",
            "backup-cli-writer-restorer-pruner-admin",
        ] {
            assert!(is_policy_name(name), "{name}");
        }
        for name in [
            "",
            "backup-cli-",
            "backup-cli-pruner-writer",
            "backup-cli-writer-mine",
            "mine",
            "writer",
        ] {
            assert!(!is_policy_name(name), "{name}");
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
