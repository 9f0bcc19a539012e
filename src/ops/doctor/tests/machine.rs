//! Each verdict on sources, series, timers and this machine by itself.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::now;
use crate::base::failure::{Failure, Kind};
use crate::catalog::manifest::SourceInfo;
use crate::ops::doctor::check::Status;
use crate::ops::doctor::machine::{Machine, Room, Sealing, judge_room};
use crate::ops::doctor::sources::Sort;
use crate::ops::doctor::timers::{has_line, read_units};
use crate::ops::doctor::{series, sources, timers};
use crate::source::{Concern, Topic};

#[test]
fn a_series_is_late_by_its_own_rhythm() {
    let day = |days: i64| now() - SignedDuration::from_hours(24 * days);
    let status = |times: &[Timestamp]| series::judge("app", times, now()).status;
    assert_eq!(status(&[]), Status::Warning);
    assert_eq!(status(&[day(1), day(2), day(3)]), Status::Ok);
    assert_eq!(status(&[day(3), day(4), day(5)]), Status::Warning);
    assert_eq!(status(&[day(10), day(17), day(24)]), Status::Ok);
    assert_eq!(status(&[day(100)]), Status::Ok);
    assert_eq!(status(&[day(-1)]), Status::Warning);
}

#[test]
fn timers_are_read_and_judged() {
    let said = "Id=backup-cli.timer\nActiveState=active\nResult=success\nLastTriggerUSec=@1769824620\n\n\
                ExecMainStatus=0\nId=backup-cli.service\nActiveState=inactive\nResult=success\n\nId=other.timer\n";
    let units = read_units(said);
    assert_eq!(units.len(), 2);
    let good = timers::judge(&units, &[]);
    assert_eq!(good.status, Status::Ok, "{good:?}");
    assert!(good.message.contains("2026-01-31 01:57:00Z"), "{good:?}");
    let failed = read_units(&said.replace("inactive\nResult=success", "failed\nResult=exit-code"));
    assert_eq!(timers::judge(&failed, &[]).status, Status::Failed);
    let off = read_units(&said.replace("ActiveState=active", "ActiveState=inactive"));
    assert_eq!(timers::judge(&off, &[]).status, Status::Failed);
    let fresh = read_units(&said.replace("@1769824620", ""));
    assert_eq!(timers::judge(&fresh, &[]).status, Status::Warning);
    assert_eq!(timers::judge(&[], &[]).status, Status::Skipped);
    assert_eq!(timers::judge(&[], &["`/etc/cron.d/x`".to_owned()]).status, Status::Ok);
    assert!(has_line("# no\n17 3 * * * root /usr/bin/backup-cli backup\n"));
    assert!(!has_line("# 17 3 * * * root backup-cli backup\n"));
}

#[test]
fn sources_that_cannot_be_used_fail_at_the_right_place() {
    let id = |sort, kind, message: &str| {
        sources::failed(sort, &Failure::new(kind, message))
            .into_iter()
            .find(|check| check.status == Status::Failed)
            .unwrap()
            .id
    };
    assert_eq!(id(Sort::Database, Kind::Tool, "x"), "source.tools");
    assert_eq!(id(Sort::Database, Kind::Unreachable, "x"), "source.connection");
    assert_eq!(
        id(
            Sort::Database,
            Kind::Denied,
            "The account of `x` lacks rights on the database"
        ),
        "source.rights"
    );
    assert_eq!(id(Sort::Files, Kind::NotFound, "x"), "source.readable");
    assert_eq!(id(Sort::File, Kind::NoSpace, "x"), "source.readable");
    assert_eq!(id(Sort::Program, Kind::Tool, "x"), "source.tools");
}

#[test]
fn each_concern_of_a_source_makes_its_check_a_warning() {
    let info = SourceInfo::default();
    for (topic, id) in [
        (Topic::Tools, "source.tools"),
        (Topic::Rights, "source.rights"),
        (Topic::Consistency, "source.consistency"),
    ] {
        let concern = Concern {
            topic,
            text: "Look at it.".to_owned(),
        };
        for (concerns, status) in [(vec![concern], Status::Warning), (Vec::new(), Status::Ok)] {
            let checks = sources::judge(Sort::Database, &info, &concerns, &Ok((Some(1), None)));
            assert_eq!(
                checks.iter().find(|check| check.id == id).unwrap().status,
                status,
                "{id}"
            );
        }
    }
    let broken = sources::judge(Sort::Files, &info, &[], &Err(Failure::new(Kind::Failed, "No")));
    assert_eq!(broken[0].status, Status::Warning);
}

#[test]
fn room_is_judged_by_what_is_wanted() {
    let at = Path::new("/tmp");
    assert!(matches!(judge_room(at, 1 << 40, None), Room::Enough(_)));
    assert!(matches!(judge_room(at, 1 << 40, Some(1 << 30)), Room::Enough(_)));
    assert!(matches!(judge_room(at, 1 << 30, Some(1 << 40)), Room::Tight(_)));
    assert!(matches!(judge_room(at, 1 << 10, None), Room::None(_)));
}

fn sealing(machine: &Sealing) -> (Status, Status) {
    let folder = tempfile::tempdir().unwrap();
    let checks = Machine {
        lock_folder: folder.path().to_owned(),
        temporary_folder: folder.path().to_owned(),
        temporary_bytes: None,
        sealing: Sealing {
            recipients: match &machine.recipients {
                Ok(names) => Ok(names.clone()),
                Err(failure) => Err(Failure::new(failure.kind(), failure.message())),
            },
            identities: match &machine.identities {
                Ok(names) => Ok(names.clone()),
                Err(failure) => Err(Failure::new(failure.kind(), failure.message())),
            },
            has_passphrase: machine.has_passphrase,
        },
    }
    .checks();
    let of = |id: &str| checks.iter().find(|check| check.id == id).unwrap().status;
    assert_eq!(of("machine.lock-folder"), Status::Ok);
    (of("encryption.recipients"), of("encryption.identity"))
}

#[test]
fn keys_are_compared_with_the_recipients() {
    let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let bad = || Err(Failure::new(Kind::Config, "Not a recipient: `x`"));
    for (recipients, identities, has_passphrase, expected) in [
        (names(&[]), names(&[]), false, (Status::Skipped, Status::Skipped)),
        (bad(), names(&[]), false, (Status::Failed, Status::Skipped)),
        (names(&["age1a"]), names(&[]), false, (Status::Ok, Status::Ok)),
        (
            names(&["age1a", "age1b"]),
            names(&["age1b"]),
            false,
            (Status::Ok, Status::Ok),
        ),
        (
            names(&["age1a"]),
            names(&["age1c"]),
            false,
            (Status::Ok, Status::Warning),
        ),
        (names(&["age1a"]), bad(), false, (Status::Ok, Status::Failed)),
        (names(&["passphrase"]), names(&[]), true, (Status::Ok, Status::Ok)),
        (names(&["passphrase"]), names(&[]), false, (Status::Ok, Status::Skipped)),
    ] {
        let case = Sealing {
            recipients,
            identities,
            has_passphrase,
        };
        assert_eq!(sealing(&case), expected, "{case:?}");
    }
}
