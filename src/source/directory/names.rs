//! The names in one folder, sorted, in little memory.

use std::ffi::CStr;

use rustix::fs::FileType;

use crate::base::failure::{Failure, Kind, Result};

/// Bytes in front of each name: its type, and its length in two bytes.
const PREFIX_BYTES: usize = 3;

/// The names of one folder with their types, in one block of memory: about twelve bytes beside each name itself, so that
/// a folder of a million files costs some 30 MiB and not ten times that.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// For each name: type, length (little endian), the name, a NUL.
    arena: Vec<u8>,
    offsets: Vec<u32>,
}

impl Names {
    /// Adds a name.
    ///
    /// # Errors
    /// If the folder's names no longer fit into the 4 GiB that offsets can address.
    pub(super) fn push(&mut self, name: &CStr, file_type: FileType) -> Result<()> {
        let bytes = name.to_bytes();
        let (Ok(offset), Ok(length)) = (u32::try_from(self.arena.len()), u16::try_from(bytes.len())) else {
            return Err(Failure::new(
                Kind::Source,
                "A folder holds more names than can be sorted",
            ));
        };
        self.offsets.push(offset);
        self.arena.push(encode_type(file_type));
        self.arena.extend_from_slice(&length.to_le_bytes());
        self.arena.extend_from_slice(name.to_bytes_with_nul());
        Ok(())
    }

    /// Sorts what is no folder before what is one, and each by bytes, so that the same tree always gives the same archive.
    pub(super) fn sort(&mut self) {
        let arena = &self.arena;
        let rank = |offset: u32| (is_folder_at(arena, offset), name_at(arena, offset));
        self.offsets
            .sort_unstable_by(|left, right| rank(*left).cmp(&rank(*right)));
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// The name and type at `index`.
    pub(super) fn get(&self, index: usize) -> Option<(&CStr, FileType)> {
        let offset = *self.offsets.get(index)?;
        let file_type = decode_type(*self.arena.get(offset as usize)?);
        let start = offset as usize + PREFIX_BYTES;
        let end = start + name_at(&self.arena, offset).len();
        let name = CStr::from_bytes_with_nul(self.arena.get(start..=end)?).ok()?;
        Some((name, file_type))
    }

    /// Where a name stands.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        self.offsets
            .iter()
            .position(|offset| name_at(&self.arena, *offset) == name)
    }

    /// Forgets all names but one.
    pub(super) fn keep_only(&mut self, index: usize) {
        self.offsets = self.offsets.get(index).copied().into_iter().collect();
    }
}

fn name_at(arena: &[u8], offset: u32) -> &[u8] {
    let start = offset as usize;
    let length = match arena.get(start + 1..start + PREFIX_BYTES) {
        Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
        _ => 0,
    };
    arena
        .get(start + PREFIX_BYTES..start + PREFIX_BYTES + length)
        .unwrap_or_default()
}

fn is_folder_at(arena: &[u8], offset: u32) -> bool {
    arena.get(offset as usize) == Some(&encode_type(FileType::Directory))
}

fn encode_type(file_type: FileType) -> u8 {
    match file_type {
        FileType::RegularFile => b'-',
        FileType::Directory => b'd',
        FileType::Symlink => b'l',
        FileType::Fifo => b'p',
        FileType::Socket => b's',
        FileType::CharacterDevice => b'c',
        FileType::BlockDevice => b'b',
        FileType::Unknown => b'?',
    }
}

fn decode_type(code: u8) -> FileType {
    match code {
        b'-' => FileType::RegularFile,
        b'd' => FileType::Directory,
        b'l' => FileType::Symlink,
        b'p' => FileType::Fifo,
        b's' => FileType::Socket,
        b'c' => FileType::CharacterDevice,
        b'b' => FileType::BlockDevice,
        _ => FileType::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_with_their_types_sorted_by_bytes_and_folders_last() {
        let mut names = Names::default();
        names.push(c"b", FileType::Directory).unwrap();
        names.push(c"\xff", FileType::Fifo).unwrap();
        names.push(c"a\nb", FileType::RegularFile).unwrap();
        names.push(c"a", FileType::Symlink).unwrap();
        names.sort();
        let all: Vec<_> = (0..names.len()).filter_map(|index| names.get(index)).collect();
        assert_eq!(
            all,
            [
                (c"a", FileType::Symlink),
                (c"a\nb", FileType::RegularFile),
                (c"\xff", FileType::Fifo),
                (c"b", FileType::Directory),
            ]
        );
        assert_eq!(names.find(b"b"), Some(3));
        assert_eq!(names.find(b"c"), None);
        names.keep_only(1);
        assert_eq!(names.get(0), Some((c"a\nb", FileType::RegularFile)));
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_million_names_stay_small() {
        let mut names = Names::default();
        for number in 0..1_000_000u32 {
            let name = std::ffi::CString::new(format!("file-{number:012}.data")).unwrap();
            names.push(&name, FileType::RegularFile).unwrap();
        }
        names.sort();
        assert!(names.arena.capacity() + names.offsets.capacity() * 4 < 64 * 1024 * 1024);
        assert_eq!(names.get(999_999).unwrap().0, c"file-000000999999.data");
    }
}
