//! `generate`: writes what is made from the code and committed: manual pages, completions, examples.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use super::{Cli, completions, help, manual};
use crate::base::failure::{IoContext, Result};
use crate::config::example::example;
use crate::ui::Console;

/// Write the manual pages, completions and examples
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("generate"))]
pub struct Args {
    /// The folder to write into: man/, completions/ and examples/ below it
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub folder: PathBuf,
}

/// Manual pages that are written by hand, as file names and texts.
pub const EXTRA_PAGES: &[(&str, &str)] = &[("backup-cli-format.5", include_str!("pages/backup-cli-format.5"))];

/// Dumps by other programs, for `--command`: scripts that are written by hand, as file names and texts.
pub const RECIPES: &[(&str, &str)] = &[
    ("docker-volume.sh", include_str!("recipes/docker-volume.sh")),
    ("etcd.sh", include_str!("recipes/etcd.sh")),
    ("kubernetes.sh", include_str!("recipes/kubernetes.sh")),
    ("ldap.sh", include_str!("recipes/ldap.sh")),
    ("mongodb.sh", include_str!("recipes/mongodb.sh")),
    ("redis.sh", include_str!("recipes/redis.sh")),
];

/// The folders that hold nothing but generated files.
pub const FOLDERS: [&str; 3] = ["man", "completions", "examples"];

/// Every generated file, by its path in the repository; the same on every machine.
///
/// # Errors
/// If a manual page cannot be rendered.
pub fn files() -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut add = |path: String, content: Vec<u8>| files.insert(PathBuf::from(path), content);
    for (name, text) in manual::pages(Cli::command())? {
        add(format!("man/{name}"), text);
    }
    for (name, text) in EXTRA_PAGES {
        add(format!("man/{name}"), text.as_bytes().to_vec());
    }
    for (shell, name) in [
        (Shell::Bash, "backup-cli.bash"),
        (Shell::Zsh, "_backup-cli"),
        (Shell::Fish, "backup-cli.fish"),
    ] {
        add(format!("completions/{name}"), completions::script(shell));
    }
    add("examples/config.toml".to_owned(), example().into_bytes());
    for (name, text) in SAMPLES.iter().chain(RECIPES) {
        add(format!("examples/{name}"), text.as_bytes().to_vec());
    }
    Ok(files)
}

/// Writes the files.
///
/// # Errors
/// If one cannot be written.
pub fn run(args: &Args, console: &Console) -> Result<()> {
    let files = files()?;
    for (path, content) in &files {
        let path = args.folder.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).doing(|| format!("create the folder `{}`", folder.display()))?;
        }
        std::fs::write(&path, content).doing(|| format!("write `{}`", path.display()))?;
    }
    console.summary(&format!("Wrote {} files below {}.", files.len(), args.folder.display()))
}

const SAMPLES: &[(&str, &str)] = &[
    (
        "backup-cli.cron",
        "# Every night: /etc/cron.d/backup-cli. Errors only are printed, so that cron mails only these.\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         0 3 * * * root backup-cli backup --quiet --profile www --profile app\n",
    ),
    (
        "backup-cli@.service",
        "# One backup of the profile named by the instance: systemctl start backup-cli@www.service\n\
         [Unit]\n\
         Description=Backup of %i\n\
         Documentation=man:backup-cli(1)\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart=/usr/bin/backup-cli backup --profile %i\n\
         # Done, but incomplete: what could not be read is in the journal and in the manifest.\n\
         SuccessExitStatus=3\n\
         Nice=19\n\
         CPUSchedulingPolicy=batch\n\
         IOSchedulingClass=best-effort\n\
         IOSchedulingPriority=7\n\
         StateDirectory=backup-cli\n\
         Environment=XDG_STATE_HOME=/var/lib XDG_DATA_HOME=/var/lib\n\
         LogRateLimitIntervalSec=0\n\
         NoNewPrivileges=yes\n\
         ProtectSystem=full\n\
         ProtectClock=yes\n\
         ProtectControlGroups=yes\n\
         ProtectHostname=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelTunables=yes\n\
         LockPersonality=yes\n\
         MemoryDenyWriteExecute=yes\n\
         RestrictNamespaces=yes\n\
         RestrictRealtime=yes\n\
         RestrictSUIDSGID=yes\n\
         RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n\
         SystemCallArchitectures=native\n\
         CapabilityBoundingSet=CAP_DAC_READ_SEARCH\n",
    ),
    (
        "backup-cli@.timer",
        "# Every night: systemctl enable --now backup-cli@www.timer\n\
         [Unit]\n\
         Description=Nightly backup of %i\n\
         \n\
         [Timer]\n\
         OnCalendar=daily\n\
         RandomizedDelaySec=1h\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n",
    ),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_the_same_each_time_and_complete() {
        let files = files().unwrap();
        assert_eq!(files, super::files().unwrap());
        for name in [
            "man/backup-cli.1",
            "man/backup-cli-backup.1",
            "man/backup-cli-config-show.1",
            "completions/backup-cli.bash",
            "completions/_backup-cli",
            "completions/backup-cli.fish",
            "examples/config.toml",
        ] {
            assert!(files.contains_key(&PathBuf::from(name)), "{name}");
        }
        assert!(!files.contains_key(&PathBuf::from("man/backup-cli-generate.1")));
        let main = String::from_utf8(files[&PathBuf::from("man/backup-cli.1")].clone()).unwrap();
        for section in ["ENVIRONMENT", "FILES", "EXAMPLES", "EXIT STATUS", "SEE ALSO"] {
            assert!(
                main.contains(&format!(".SH {section}")) || main.contains(&format!(".SH \"{section}\"")),
                "{section}"
            );
        }
    }
}
