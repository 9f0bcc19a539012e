//! Metrics in Prometheus' text format, in a file that node_exporter's textfile collector reads.
//!
//! The file is written anew as a whole and put into its place by one rename. What others have written into it stays, and
//! so does what an earlier run knows and this one does not: when the last backup succeeded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;

use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

/// A metrics file larger than this is not one.
const FILE_BYTES_MAX: u64 = 16 * crate::base::units::MIB;

/// Who reads the file is somebody else.
const MODE: u32 = 0o644;

/// A metric that this tool writes.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
}

const LAST_SUCCESS: &str = "backup_cli_last_success_timestamp_seconds";
const LAST_RUN: &str = "backup_cli_last_run_timestamp_seconds";
const LAST_RUN_SUCCESS: &str = "backup_cli_last_run_success";
const DURATION: &str = "backup_cli_duration_seconds";
const SIZE: &str = "backup_cli_size_bytes";
const PLAIN_SIZE: &str = "backup_cli_uncompressed_size_bytes";
const BACKUPS: &str = "backup_cli_backups_total";
const LAST_VERIFY: &str = "backup_cli_last_verify_timestamp_seconds";
const LAST_VERIFY_SUCCESS: &str = "backup_cli_last_verify_success";
const DRILLS: &str = "backup_cli_drills_total";
const DAMAGED: &str = "backup_cli_damaged_backups";

const FAMILIES: &[Family] = &[
    Family {
        name: LAST_SUCCESS,
        kind: "gauge",
        help: "When the last backup that was made began.",
    },
    Family {
        name: LAST_RUN,
        kind: "gauge",
        help: "When the last run of backup ended.",
    },
    Family {
        name: LAST_RUN_SUCCESS,
        kind: "gauge",
        help: "1 if the last run made a backup with everything in it, else 0.",
    },
    Family {
        name: DURATION,
        kind: "gauge",
        help: "How long the last backup took.",
    },
    Family {
        name: SIZE,
        kind: "gauge",
        help: "The stored size of the last backup.",
    },
    Family {
        name: PLAIN_SIZE,
        kind: "gauge",
        help: "The size of the last backup before compression.",
    },
    Family {
        name: BACKUPS,
        kind: "counter",
        help: "Runs of backup, by result.",
    },
    Family {
        name: LAST_VERIFY,
        kind: "gauge",
        help: "When the last verification or drill that found nothing wrong ended.",
    },
    Family {
        name: LAST_VERIFY_SUCCESS,
        kind: "gauge",
        help: "1 if the last verification or drill found nothing wrong, else 0.",
    },
    Family {
        name: DRILLS,
        kind: "counter",
        help: "Drills, by result.",
    },
    Family {
        name: DAMAGED,
        kind: "gauge",
        help: "Backups in which verifications found damage that stands.",
    },
];

/// Whose metrics they are.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The profile; empty if there is none.
    pub profile: &'a str,
    /// The series.
    pub source: &'a str,
}

/// What a run has to tell.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// A run of `backup`.
    Backup {
        /// The backup, if one was made.
        made: Option<MadeBackup>,
        /// Whether everything is in it and nothing is doubtful.
        is_good: bool,
    },
    /// A verification of any kind.
    Verify {
        /// Whether nothing wrong was found.
        is_good: bool,
        /// Whether it was a drill.
        is_drill: bool,
        /// How many backups of the series are known to be damaged, where that could be told.
        damaged: Option<u64>,
    },
}

/// A backup that was made.
#[derive(Clone, Copy, Debug)]
pub struct MadeBackup {
    /// When it began.
    pub started: Timestamp,
    /// How long it took, in seconds.
    pub secs: f64,
    /// Its stored size in bytes.
    pub stored_bytes: u64,
    /// Its size before compression, in bytes.
    pub plain_bytes: u64,
}

/// Writes what a run has to tell into the file, beside what stands there.
///
/// # Errors
/// If the file cannot be read or written, or is no text.
pub fn write_metrics(path: &Path, labels: Labels<'_>, told: Told, now: Timestamp, lock_folder: &Path) -> Result<()> {
    let _lock = lock(path, lock_folder)?;
    let old = read(path)?;
    let new = updated(&old, labels, told, now);
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let doing = || format!("write the metrics file `{}`", path.display());
    // A hidden name, which the collector passes over.
    let mut file = tempfile::Builder::new()
        .prefix(".backup-cli-metrics-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder)
        .doing(doing)?;
    file.write_all(new.as_bytes())
        .and_then(|()| file.as_file().set_permissions(Permissions::from_mode(MODE)))
        .and_then(|()| file.as_file().sync_all())
        .doing(doing)?;
    file.persist(path).map_err(|error| io_failure(doing(), error.error))?;
    Ok(())
}

/// Two runs that end at once must not lose each other's lines.
fn lock(path: &Path, lock_folder: &Path) -> Result<File> {
    use sha2::{Digest, Sha256};
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let digest = hex::encode(Sha256::digest(absolute.as_os_str().as_encoded_bytes()));
    let doing = || "take the lock of the metrics file";
    std::fs::create_dir_all(lock_folder).doing(doing)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_folder.join(format!("metrics-{}.lock", &digest[..16])))
        .doing(doing)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(std::io::Error::from)
        .doing(doing)?;
    Ok(file)
}

fn read(path: &Path) -> Result<String> {
    let doing = || format!("read the metrics file `{}`", path.display());
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(io_failure(doing(), error)),
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            return Err(Failure::new(
                Kind::Failed,
                format!("`{}` is too large to be a metrics file", path.display()),
            )
            .hint("Name another file with --metrics-file"));
        }
        Ok(_) => {}
    }
    std::fs::read_to_string(path).doing(doing)
}

/// The samples of one metric of ours, by their labels as they are written.
type Samples = BTreeMap<String, String>;

/// The new text: the lines of others as they stood, then our metrics.
#[must_use]
pub fn updated(old: &str, labels: Labels<'_>, told: Told, now: Timestamp) -> String {
    let mut ours: BTreeMap<&'static str, Samples> = BTreeMap::new();
    let mut text = String::new();
    for line in old.lines() {
        match family_of(line) {
            None if line.trim().is_empty() => {}
            None => {
                text.push_str(line);
                text.push('\n');
            }
            Some(family) => {
                if let Some((labels, value)) = sample(line, family) {
                    ours.entry(family)
                        .or_default()
                        .insert(labels.to_owned(), value.to_owned());
                }
            }
        }
    }
    let who = format!(
        "profile=\"{}\",source=\"{}\"",
        escaped(labels.profile),
        escaped(labels.source)
    );
    let mut set = |family: &'static str, value: String| {
        ours.entry(family).or_default().insert(format!("{{{who}}}"), value);
    };
    let flag = |is: bool| String::from(if is { "1" } else { "0" });
    let seconds = |time: Timestamp| time.as_second().to_string();
    let counted = match told {
        Told::Backup { made, is_good } => {
            set(LAST_RUN, seconds(now));
            set(LAST_RUN_SUCCESS, flag(is_good));
            if let Some(made) = made {
                set(LAST_SUCCESS, seconds(made.started));
                set(DURATION, format!("{:.3}", made.secs));
                set(SIZE, made.stored_bytes.to_string());
                set(PLAIN_SIZE, made.plain_bytes.to_string());
            }
            Some((BACKUPS, is_good))
        }
        Told::Verify {
            is_good,
            is_drill,
            damaged,
        } => {
            if let Some(damaged) = damaged {
                set(DAMAGED, damaged.to_string());
            }
            set(LAST_VERIFY_SUCCESS, flag(is_good));
            if is_good {
                set(LAST_VERIFY, seconds(now));
            }
            is_drill.then_some((DRILLS, is_good))
        }
    };
    if let Some((family, is_good)) = counted {
        let result = if is_good { "good" } else { "failed" };
        let counter = ours
            .entry(family)
            .or_default()
            .entry(format!("{{{who},result=\"{result}\"}}"))
            .or_insert_with(|| "0".to_owned());
        let before: u64 = counter.parse().unwrap_or(0);
        *counter = before.saturating_add(1).to_string();
    }
    for family in FAMILIES {
        let Some(samples) = ours.get(family.name) else {
            continue;
        };
        let _ = writeln!(text, "# HELP {} {}", family.name, family.help);
        let _ = writeln!(text, "# TYPE {} {}", family.name, family.kind);
        for (labels, value) in samples {
            let _ = writeln!(text, "{}{labels} {value}", family.name);
        }
    }
    text
}

/// Which of our metrics a line is about, be it a sample or a comment.
fn family_of(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    let name = match line.strip_prefix('#') {
        Some(comment) => {
            let mut words = comment.split_whitespace();
            matches!(words.next(), Some("HELP" | "TYPE"))
                .then(|| words.next())
                .flatten()?
        }
        None => line.split(['{', ' ', '\t']).next()?,
    };
    FAMILIES.iter().map(|family| family.name).find(|family| *family == name)
}

/// The labels, in their braces, and the value of a sample's line; `None` for a comment.
fn sample<'a>(line: &'a str, family: &str) -> Option<(&'a str, &'a str)> {
    let rest = line.trim_start().strip_prefix(family)?;
    let (labels, value) = match rest.starts_with('{') {
        true => rest.split_at(rest.rfind('}')? + 1),
        false => ("", rest),
    };
    Some((labels, value.trim()))
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Labels<'static> = Labels {
        profile: "shop",
        source: "shop",
    };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    fn made(secs: i64) -> Told {
        Told::Backup {
            made: Some(MadeBackup {
                started: at(secs),
                secs: 1.5,
                stored_bytes: 10,
                plain_bytes: 100,
            }),
            is_good: true,
        }
    }

    #[test]
    fn a_failed_run_keeps_when_the_last_one_succeeded() {
        let first = updated("", OURS, made(1000), at(1010));
        assert!(first.contains("backup_cli_last_success_timestamp_seconds{profile=\"shop\",source=\"shop\"} 1000\n"));
        assert!(first.contains("# TYPE backup_cli_backups_total counter\n"));
        let failed = Told::Backup {
            made: None,
            is_good: false,
        };
        let second = updated(&first, OURS, failed, at(2000));
        for line in [
            "backup_cli_last_success_timestamp_seconds{profile=\"shop\",source=\"shop\"} 1000",
            "backup_cli_last_run_timestamp_seconds{profile=\"shop\",source=\"shop\"} 2000",
            "backup_cli_last_run_success{profile=\"shop\",source=\"shop\"} 0",
            "backup_cli_backups_total{profile=\"shop\",source=\"shop\",result=\"failed\"} 1",
            "backup_cli_backups_total{profile=\"shop\",source=\"shop\",result=\"good\"} 1",
            "backup_cli_size_bytes{profile=\"shop\",source=\"shop\"} 10",
        ] {
            assert!(second.lines().any(|found| found == line), "{line}\n{second}");
        }
        let drill = |is_good| Told::Verify {
            is_good,
            is_drill: true,
            damaged: Some(u64::from(!is_good)),
        };
        let third = updated(&second, OURS, drill(true), at(3000));
        let fourth = updated(&third, OURS, drill(false), at(4000));
        assert!(fourth.contains("last_verify_timestamp_seconds{profile=\"shop\",source=\"shop\"} 3000\n"));
        assert!(third.contains("backup_cli_damaged_backups{profile=\"shop\",source=\"shop\"} 0\n"));
        assert!(fourth.contains("backup_cli_damaged_backups{profile=\"shop\",source=\"shop\"} 1\n"));
        assert!(fourth.contains("last_verify_success{profile=\"shop\",source=\"shop\"} 0\n"));
        assert!(fourth.contains("backup_cli_drills_total{profile=\"shop\",source=\"shop\",result=\"failed\"} 1\n"));
    }

    #[test]
    fn what_others_wrote_stays_as_it_was() {
        let theirs =
            "# HELP node_x A thing.\n# TYPE node_x gauge\nnode_x{a=\"b c\"} 1 123\n# a remark\nbackup_cli_other 7\n";
        let mine = updated(theirs, OURS, made(1000), at(1010));
        assert!(mine.starts_with(theirs), "{mine}");
        let other = Labels {
            profile: "",
            source: "w\"ww",
        };
        let both = updated(&mine, other, made(2000), at(2010));
        assert!(both.contains("{profile=\"shop\",source=\"shop\"} 1000\n"), "{both}");
        assert!(both.contains("{profile=\"\",source=\"w\\\"ww\"} 2000\n"), "{both}");
        assert_eq!(both.matches("# TYPE backup_cli_size_bytes gauge").count(), 1);
        // Whoever writes the same again changes nothing but the counter.
        let again = updated(&both, other, made(2000), at(2010));
        assert_eq!(again.replace("result=\"good\"} 2", "result=\"good\"} 1"), both);
    }

    #[test]
    fn the_file_is_put_into_place_as_a_whole_and_others_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.prom");
        let locks = folder.path().join("locks");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| write_metrics(&path, OURS, made(1000), at(1010), &locks).unwrap());
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("result=\"good\"} 8\n"), "{text}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, MODE);
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2);
    }
}
