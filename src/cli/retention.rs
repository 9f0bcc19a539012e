//! The flags of a retention policy, of the commands that prune.

use clap::Args as ClapArgs;

use crate::config::{Flags, table};

/// The rules of a policy. A rule on the command line stands beside those of the profile.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "What is kept")]
pub struct RetentionArgs {
    /// Keep the newest N backups
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub keep_last: Option<String>,

    /// Keep the newest backup of each of the last N hours that have any
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub keep_hourly: Option<String>,

    /// Keep the newest backup of each of the last N days that have any
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub keep_daily: Option<String>,

    /// Keep the newest backup of each of the last N weeks that have any
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub keep_weekly: Option<String>,

    /// Keep the newest backup of each of the last N months that have any
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub keep_monthly: Option<String>,

    /// Keep the newest backup of each of the last N years that have any
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub keep_yearly: Option<String>,

    /// Keep everything within this span of the newest backup, such as 2y5m7d3h
    #[arg(long, value_name = "SPAN")]
    pub keep_within: Option<String>,

    /// Keep the newest backup of each hour within this span of the newest backup
    #[arg(long, value_name = "SPAN", hide_short_help = true)]
    pub keep_within_hourly: Option<String>,

    /// Keep the newest backup of each day within this span of the newest backup
    #[arg(long, value_name = "SPAN", hide_short_help = true)]
    pub keep_within_daily: Option<String>,

    /// Keep the newest backup of each week within this span of the newest backup
    #[arg(long, value_name = "SPAN", hide_short_help = true)]
    pub keep_within_weekly: Option<String>,

    /// Keep the newest backup of each month within this span of the newest backup
    #[arg(long, value_name = "SPAN", hide_short_help = true)]
    pub keep_within_monthly: Option<String>,

    /// Keep the newest backup of each year within this span of the newest backup
    #[arg(long, value_name = "SPAN", hide_short_help = true)]
    pub keep_within_yearly: Option<String>,

    /// Keep every backup that has all of these tags, separated by commas; may be repeated
    #[arg(long, value_name = "TAG,...")]
    pub keep_tag: Vec<String>,

    /// Keep everything within so many days of the newest backup, as --keep-within does
    #[arg(long, value_name = "DAYS")]
    pub retention_days: Option<String>,

    /// Never remove the newest N complete backups, whatever the rules say [default: 1]
    #[arg(long, value_name = "N")]
    pub min_keep: Option<String>,

    /// In a bucket that keeps versions, remove all versions of what is pruned
    #[arg(long, hide_short_help = true)]
    pub purge_versions: bool,
}

impl RetentionArgs {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::KEEP_LAST, "--keep-last", self.keep_last.as_deref())
            .text(&table::KEEP_HOURLY, "--keep-hourly", self.keep_hourly.as_deref())
            .text(&table::KEEP_DAILY, "--keep-daily", self.keep_daily.as_deref())
            .text(&table::KEEP_WEEKLY, "--keep-weekly", self.keep_weekly.as_deref())
            .text(&table::KEEP_MONTHLY, "--keep-monthly", self.keep_monthly.as_deref())
            .text(&table::KEEP_YEARLY, "--keep-yearly", self.keep_yearly.as_deref())
            .text(&table::KEEP_WITHIN, "--keep-within", self.keep_within.as_deref())
            .text(
                &table::KEEP_WITHIN_HOURLY,
                "--keep-within-hourly",
                self.keep_within_hourly.as_deref(),
            )
            .text(
                &table::KEEP_WITHIN_DAILY,
                "--keep-within-daily",
                self.keep_within_daily.as_deref(),
            )
            .text(
                &table::KEEP_WITHIN_WEEKLY,
                "--keep-within-weekly",
                self.keep_within_weekly.as_deref(),
            )
            .text(
                &table::KEEP_WITHIN_MONTHLY,
                "--keep-within-monthly",
                self.keep_within_monthly.as_deref(),
            )
            .text(
                &table::KEEP_WITHIN_YEARLY,
                "--keep-within-yearly",
                self.keep_within_yearly.as_deref(),
            )
            .list(&table::KEEP_TAGS, "--keep-tag", &self.keep_tag)
            .text(
                &table::RETENTION_DAYS,
                "--retention-days",
                self.retention_days.as_deref(),
            )
            .text(&table::MIN_KEEP, "--min-keep", self.min_keep.as_deref())
            .switch(
                &table::PURGE_VERSIONS,
                "--purge-versions",
                self.purge_versions.then_some(true),
            )
    }
}
