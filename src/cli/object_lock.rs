//! The flags on the lock of what is written, of the commands that write backups.

use clap::Args as ClapArgs;

use crate::config::{Flags, table};

/// How what is written is locked.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Object lock")]
pub struct ObjectLockArgs {
    /// How firm the lock of data, index and manifest is: governance, which a special right overrides, or compliance
    ///
    /// Nobody, the owner of the account included, can remove what a compliance lock holds, or shorten it. The bucket has to
    /// have object lock; this is looked at before anything is read. A backup whose lock turns out not to be there is kept
    /// all the same, and the exit status is 3.
    #[arg(long, value_name = "MODE", value_parser = ["governance", "compliance"])]
    pub lock_mode: Option<String>,

    /// Until when it lasts, for example 2030-12-31
    #[arg(long, value_name = "TIME")]
    pub lock_until: Option<String>,

    /// For how many days it lasts, counted from the end of the backup
    #[arg(long, value_name = "DAYS")]
    pub lock_days: Option<String>,

    /// `retention` locks as long as `prune` may keep it by the rules of the profile; `off` does without a lock
    #[arg(long, value_name = "WORD", value_parser = ["retention", "off"])]
    pub lock: Option<String>,

    /// Refuse a lock that lasts longer than so many days, which may be a typing error [default: 3660]
    #[arg(long, value_name = "DAYS", hide_short_help = true)]
    pub lock_days_max: Option<String>,
}

impl ObjectLockArgs {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::LOCK_MODE, "--lock-mode", self.lock_mode.as_deref())
            .text(&table::LOCK_UNTIL, "--lock-until", self.lock_until.as_deref())
            .text(&table::LOCK_DAYS, "--lock-days", self.lock_days.as_deref())
            .text(&table::LOCK, "--lock", self.lock.as_deref())
            .text(&table::LOCK_DAYS_MAX, "--lock-days-max", self.lock_days_max.as_deref())
    }

    /// Whether a lock, or none, is asked for on the command line.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.lock_mode.is_some() || self.lock_until.is_some() || self.lock_days.is_some() || self.lock.is_some()
    }
}
