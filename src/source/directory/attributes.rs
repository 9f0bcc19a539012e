//! What stands beside a file's content: extended attributes (ACLs among them) and the names of owners.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::header::push_xattr_record;

/// The kernel's own limits (XATTR_LIST_MAX, XATTR_SIZE_MAX).
const XATTR_BYTES_MAX: usize = 64 * 1024;

/// How much room the list of a file's attributes gets at first, in bytes: the kernel allocates as much as it is offered, which
/// for all of [`XATTR_BYTES_MAX`] is half of the call's time, and nearly every file has none.
const LIST_BYTES_FIRST: usize = 1024;

/// Owners remembered by name; forgotten together when there are more, which only a hostile archive brings about.
const OWNERS_MAX: usize = 4096;

/// Attributes that belong to the machine and not to the file: labels that the policy sets anew, integrity hashes, the
/// bookkeeping of overlays and cluster file systems.
const SKIPPED_PREFIXES: &[&[u8]] = &[
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"security.SMACK64",
    b"security.apparmor",
    b"trusted.overlay.",
    b"trusted.glusterfs.",
    b"trusted.gfid",
    b"trusted.SGI_ACL_",
    b"user.overlay.",
    b"glusterfs.",
    b"ceph.",
    b"btrfs.",
    b"system.nfs4_acl",
    b"system.cifs_acl",
    b"system.ntfs_",
    b"system.sockprotoname",
    b"lustre.",
];

/// Whether an attribute belongs into an archive, or out of it onto a file.
pub(super) fn is_kept(name: &[u8]) -> bool {
    !SKIPPED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Reads extended attributes into buffers that are used again for every file.
pub(super) struct AttributeReader {
    list: Vec<u8>,
    value: Vec<u8>,
    /// The attributes of the last file, as PAX records.
    records: Vec<u8>,
}

impl AttributeReader {
    pub(super) fn new() -> Self {
        Self {
            list: vec![0; XATTR_BYTES_MAX],
            value: vec![0; XATTR_BYTES_MAX],
            records: Vec::new(),
        }
    }

    /// Reads a file's attributes; [`AttributeReader::records`] has them afterwards.
    ///
    /// # Errors
    /// The system's, and the attribute that could not be read; those before it are kept.
    pub(super) fn read(&mut self, file: BorrowedFd<'_>) -> Result<(), (String, Errno)> {
        self.records.clear();
        let listed = match rustix::fs::flistxattr(file, &mut self.list[..LIST_BYTES_FIRST]) {
            Err(Errno::RANGE) => rustix::fs::flistxattr(file, &mut self.list[..]),
            listed => listed,
        };
        let listed = match listed {
            Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(()),
            Ok(listed) => listed,
            Err(errno) => return Err(("extended attributes".to_owned(), errno)),
        };
        let mut failed = None;
        for name in self.list[..listed].split_inclusive(|byte| *byte == 0) {
            let Ok(name) = CStr::from_bytes_with_nul(name) else {
                continue;
            };
            if !is_kept(name.to_bytes()) {
                continue;
            }
            match rustix::fs::fgetxattr(file, name, &mut self.value[..]) {
                Ok(length) => push_xattr_record(&mut self.records, name.to_bytes(), &self.value[..length]),
                // It was removed in between.
                Err(Errno::NODATA) => {}
                Err(errno) => failed = Some((name.to_string_lossy().into_owned(), errno)),
            }
        }
        match failed {
            None => Ok(()),
            Some(failed) => Err(failed),
        }
    }

    /// The attributes of the last file, as PAX records.
    pub(super) fn records(&self) -> &[u8] {
        &self.records
    }

    /// Forgets the last file's, for an item whose attributes are not read.
    pub(super) fn clear(&mut self) {
        self.records.clear();
    }
}

/// The names behind numeric owners, looked up once each.
#[derive(Default)]
pub(super) struct OwnerNames {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl OwnerNames {
    /// A user's and a group's name; empty where there is none.
    pub(super) fn names(&mut self, uid: u32, gid: u32) -> (&str, &str) {
        let user = remembered(&mut self.users, uid, || {
            uzers::get_user_by_uid(uid).and_then(|user| user.name().to_str().map(str::to_owned))
        });
        let group = remembered(&mut self.groups, gid, || {
            uzers::get_group_by_gid(gid).and_then(|group| group.name().to_str().map(str::to_owned))
        });
        (user, group)
    }
}

fn remembered(known: &mut HashMap<u32, String>, id: u32, find: impl FnOnce() -> Option<String>) -> &str {
    if known.len() >= OWNERS_MAX {
        known.clear();
    }
    known.entry(id).or_insert_with(|| find().unwrap_or_default())
}

/// The numbers behind owners' names, looked up once each.
#[derive(Default)]
pub(super) struct OwnerIds {
    users: HashMap<Vec<u8>, Option<u32>>,
    groups: HashMap<Vec<u8>, Option<u32>>,
}

impl OwnerIds {
    /// This machine's number for a user's name; `None` if it has no such user.
    pub(super) fn user(&mut self, name: &[u8]) -> Option<u32> {
        look_up(&mut self.users, name, |name| {
            uzers::get_user_by_name(name).map(|user| user.uid())
        })
    }

    /// This machine's number for a group's name; `None` if it has no such group.
    pub(super) fn group(&mut self, name: &[u8]) -> Option<u32> {
        look_up(&mut self.groups, name, |name| {
            uzers::get_group_by_name(name).map(|group| group.gid())
        })
    }
}

fn look_up(
    known: &mut HashMap<Vec<u8>, Option<u32>>,
    name: &[u8],
    find: impl FnOnce(&str) -> Option<u32>,
) -> Option<u32> {
    if name.is_empty() {
        return None;
    }
    if let Some(id) = known.get(name) {
        return *id;
    }
    if known.len() >= OWNERS_MAX {
        known.clear();
    }
    // The lookup goes through a C string, and a NUL in it would be a panic.
    let id = std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.contains('\0'))
        .and_then(find);
    known.insert(name.to_vec(), id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn attributes_become_records_and_machine_labels_do_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fd = file.as_file().as_fd();
        rustix::fs::fsetxattr(fd, c"user.note", b"a\n=\0b", rustix::fs::XattrFlags::empty()).unwrap();
        let mut reader = AttributeReader::new();
        reader.read(fd).unwrap();
        assert_eq!(reader.records(), b"32 SCHILY.xattr.user.note=a\n=\0b\n");
        let plain = tempfile::tempfile().unwrap();
        reader.read(plain.as_fd()).unwrap();
        assert!(reader.records().is_empty());
        assert!(!is_kept(b"security.selinux") && !is_kept(b"trusted.overlay.opaque"));
        assert!(is_kept(b"security.capability") && is_kept(b"system.posix_acl_access"));
    }

    #[test]
    fn more_attributes_than_a_file_usually_has_are_all_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fd = file.as_file().as_fd();
        // Names that take twice the room of the first try, and values that take next to none.
        let names: Vec<String> = (0..10)
            .map(|number| format!("user.{number}{}", "x".repeat(200)))
            .collect();
        assert!(names.concat().len() > 2 * LIST_BYTES_FIRST);
        for name in &names {
            rustix::fs::fsetxattr(fd, name.as_str(), b"1", rustix::fs::XattrFlags::empty()).unwrap();
        }
        let mut reader = AttributeReader::new();
        reader.read(fd).unwrap();
        for name in &names {
            let record = format!("SCHILY.xattr.{name}=1\n");
            assert!(memchr::memmem::find(reader.records(), record.as_bytes()).is_some());
        }
    }

    #[test]
    fn owners_are_found_both_ways() {
        let mut names = OwnerNames::default();
        assert_eq!(names.names(0, 0), ("root", "root"));
        assert_eq!(names.names(4_000_000_000, 4_000_000_000), ("", ""));
        let mut ids = OwnerIds::default();
        assert_eq!(ids.user(b"root"), Some(0));
        assert_eq!(ids.user(b"no such user"), None);
        assert_eq!(ids.group(b"root\0x"), None);
        assert_eq!(ids.group(b""), None);
    }
}
