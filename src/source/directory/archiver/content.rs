//! The content of files: whole or without its holes, and always as long as the header says.

use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::Stat;
use rustix::io::Errno;

use super::super::header::{self, ItemKind, padding_bytes};
use super::super::problems::words;
use super::super::sparse::{self, Extent};
use super::super::walk::Found;
use super::{Archiver, Shape, pass_on};
use crate::base::failure::Result;
use crate::base::units::MIB;
use crate::catalog::manifest::ProblemKind;

/// Content of this size gets members of its own, so that it can be fetched alone.
const CUT_BYTES_MIN: u64 = MIB;

impl Archiver<'_> {
    /// Writes a file's headers and content; false if nothing could be written.
    pub(super) fn store_file(&mut self, found: &Found<'_>, file: &OwnedFd, stat: &Stat) -> Result<bool> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        let extents = match allocated < size {
            true => sparse::find_extents(file.as_fd(), size),
            false => None,
        };
        if let Some(extents) = extents {
            return self.store_sparse(found, file, stat, size, &extents).map(|()| true);
        }
        let shape = Shape {
            kind: ItemKind::File,
            link: b"",
            stored_bytes: size,
            sparse_bytes: None,
        };
        self.encode(found.path, stat, &shape);
        if size > self.content.len() as u64 {
            let begin = self.begin_content(size)?;
            let headers = std::mem::take(&mut self.headers);
            let written = self.sink.write_all(&headers).map_err(pass_on);
            self.headers = headers;
            written?;
            self.copy_content(found.path, file, 0, size)?;
            self.end_content(found.path, file, stat, begin, &shape, size)?;
            return Ok(true);
        }
        // A small file is read before its header goes out: if it cannot be read it is left out and not filled up.
        let begin = self.sink.position();
        let padded_bytes = size as usize + padding_bytes(size);
        let Self {
            sink,
            headers,
            databases,
            ..
        } = self;
        let mut read = Ok(0);
        sink.write_together(headers.len() + padded_bytes, &mut |block| {
            block.extend_from_slice(headers);
            let content = block.len();
            read = append_content(file, size as usize, block);
            if let Ok(bytes) = read {
                databases.note(found.path, &block[content..content + bytes]);
                block.resize(content + padded_bytes, 0);
            }
            read.is_ok()
        })?;
        let read = match read {
            Ok(bytes) => bytes as u64,
            Err(errno) => return self.failed(found.path, errno).map(|()| false),
        };
        if read < size {
            self.shrank(found.path, read, size);
        }
        self.judge(found.path, file, stat, read == size);
        self.add_entry(found.path, stat, &shape, begin, size)?;
        self.counts.files += 1;
        Ok(true)
    }

    fn store_sparse(
        &mut self,
        found: &Found<'_>,
        file: &OwnedFd,
        stat: &Stat,
        size: u64,
        extents: &[Extent],
    ) -> Result<()> {
        let map = sparse::encode_map(extents, size);
        let shape = Shape {
            kind: ItemKind::File,
            link: b"",
            stored_bytes: header::sparse_stored_bytes(&map, extents),
            sparse_bytes: Some(size),
        };
        self.encode(found.path, stat, &shape);
        let begin = self.begin_content(shape.stored_bytes)?;
        let headers = std::mem::take(&mut self.headers);
        let written = self.sink.write_all(&headers).and_then(|()| self.sink.write_all(&map));
        self.headers = headers;
        written.map_err(pass_on)?;
        for extent in extents {
            self.copy_content(found.path, file, extent.offset, extent.length)?;
        }
        self.end_content(found.path, file, stat, begin, &shape, size)
    }

    /// Gives large content members of its own, and says where it begins.
    fn begin_content(&mut self, stored_bytes: u64) -> Result<u64> {
        if stored_bytes >= CUT_BYTES_MIN {
            self.sink.cut()?;
        }
        Ok(self.sink.position())
    }

    fn end_content(
        &mut self,
        path: &[u8],
        file: &OwnedFd,
        stat: &Stat,
        begin: u64,
        shape: &Shape<'_>,
        size: u64,
    ) -> Result<()> {
        let zeros = [0; header::BLOCK_BYTES as usize];
        self.sink
            .write_all(&zeros[..padding_bytes(shape.stored_bytes)])
            .map_err(pass_on)?;
        self.judge(path, file, stat, true);
        self.add_entry(path, stat, shape, begin, size)?;
        self.counts.files += 1;
        if shape.stored_bytes >= CUT_BYTES_MIN {
            self.sink.cut()?;
        }
        Ok(())
    }

    /// Copies `length` bytes from `offset` on; what the file does not have is filled with zeros and recorded.
    fn copy_content(&mut self, path: &[u8], file: &OwnedFd, offset: u64, length: u64) -> Result<()> {
        let mut done = 0;
        let mut missing = None;
        while done < length {
            self.context.cancel.check()?;
            let want = usize::try_from(length - done)
                .unwrap_or(usize::MAX)
                .min(self.content.len());
            let block = match missing {
                Some(()) => want,
                None => match rustix::io::pread(file, &mut self.content[..want], offset + done) {
                    Ok(0) => {
                        self.shrank(path, offset + done, offset + length);
                        self.content.fill(0);
                        missing = Some(());
                        continue;
                    }
                    Ok(read) => read,
                    Err(Errno::INTR) => continue,
                    Err(errno) => {
                        self.problems.add(
                            path,
                            ProblemKind::Unreadable,
                            format!("{} at byte {}; the rest is zeros", words(errno), offset + done),
                        );
                        self.content.fill(0);
                        missing = Some(());
                        continue;
                    }
                },
            };
            if offset + done == 0 {
                self.databases.note(path, &self.content[..block]);
            }
            self.sink.write_all(&self.content[..block]).map_err(pass_on)?;
            done += block as u64;
        }
        Ok(())
    }

    fn shrank(&mut self, path: &[u8], read: u64, expected: u64) {
        self.problems.add(
            path,
            ProblemKind::Shrank,
            format!("It became shorter while it was read: {read} bytes instead of {expected}; the rest is zeros"),
        );
    }

    /// Looks whether a file changed while it was read. One that shrank is known already.
    fn judge(&mut self, path: &[u8], file: &OwnedFd, before: &Stat, is_whole: bool) {
        if !is_whole {
            return;
        }
        let Ok(after) = rustix::fs::fstat(file) else {
            return;
        };
        if after.st_size > before.st_size {
            self.problems.add(
                path,
                ProblemKind::Grew,
                format!(
                    "It became longer while it was read; the first {} of {} bytes are stored",
                    before.st_size, after.st_size
                ),
            );
            return;
        }
        // Files of the kernel claim to be empty, and to have changed just now.
        if before.st_size == 0 {
            return;
        }
        let times = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        // A name that was added or removed moves the time of change, and touches no content.
        let only_links = after.st_nlink != before.st_nlink
            && (after.st_mtime, after.st_mtime_nsec) == (before.st_mtime, before.st_mtime_nsec);
        if times(&after) != times(before) && !only_links && after.st_size == before.st_size {
            self.problems
                .add(path, ProblemKind::Changed, "It changed while it was read");
        }
    }
}

/// Appends the first `bytes` of a file, or as many as it has, and returns how many those are.
fn append_content(file: &OwnedFd, bytes: usize, block: &mut Vec<u8>) -> rustix::io::Result<usize> {
    let begin = block.len();
    block.reserve(bytes);
    while block.len() - begin < bytes {
        // Looking for holes has moved the file's own position, so every read says where it begins.
        let offset = (block.len() - begin) as u64;
        match rustix::io::pread(file, spare_capacity(block), offset) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    // There may have been more room than that, and the file longer by now.
    block.truncate(begin + bytes);
    Ok(block.len() - begin)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FileType, Mode, OFlags};

    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::report::Recorder;
    use crate::source::SourceContext;
    use crate::source::testing::MemorySink;

    fn stored(path: &std::path::Path, disguise: impl FnOnce(&mut Stat)) -> (Vec<u8>, u64) {
        let folder = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let recorder = Recorder::default();
        let cancel = Cancel::new();
        let context = SourceContext {
            cancel: &cancel,
            reporter: &recorder,
        };
        let mut sink = MemorySink::default();
        let mut archiver = Archiver::new(&mut sink, &context);
        let found = Found {
            folder: folder.as_fd(),
            name: c"small",
            path: b"small",
            file_type: FileType::RegularFile,
        };
        let file = archiver.open(&found, OFlags::empty()).unwrap();
        let mut stat = rustix::fs::fstat(&file).unwrap();
        disguise(&mut stat);
        assert!(archiver.store_file(&found, &file, &stat).unwrap());
        let problems = archiver.finish(0).unwrap().problem_count;
        (sink.bytes, problems)
    }

    #[test]
    fn a_file_that_takes_less_room_than_its_size_without_having_holes_is_stored_as_it_is() {
        // What file systems that compress, or keep small files among their metadata, say about any file.
        let content = b"every byte of it".repeat(100);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small"), &content).unwrap();
        let (bytes, problems) = stored(folder.path(), |stat| stat.st_blocks = 1);
        assert_eq!(problems, 0);
        assert!(memchr::memmem::find(&bytes, &content).is_some());
    }

    #[test]
    fn a_small_file_is_as_long_as_its_header_says_whatever_it_is_by_now() {
        let content: Vec<u8> = (1..=250).cycle().take(3000).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small"), &content).unwrap();
        for (size, block_bytes) in [(1, 512), (512, 512), (2999, 3072), (3001, 3072), (4000, 4096)] {
            let (bytes, problems) = stored(folder.path(), |stat| stat.st_size = size as i64);
            assert_eq!(problems, 1, "{size}");
            let begin = memchr::memmem::find(&bytes, &content[..size.min(3000)]).unwrap();
            let mut expected = content[..size.min(3000)].to_vec();
            // Zeros up to the end of the block, of the archive, and of the record.
            expected.resize(block_bytes + 1024, 0);
            assert!(bytes[begin..].starts_with(&expected), "{size}");
            assert!(bytes[begin..].iter().skip(size).all(|byte| *byte == 0), "{size}");
        }
    }

    #[test]
    fn append_content_needs_no_more_room_than_it_was_given_and_takes_no_more_than_it_was_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small"), b"0123456789").unwrap();
        let file = OwnedFd::from(std::fs::File::open(folder.path().join("small")).unwrap());
        for (room, bytes, expected) in [
            (0, 4, "0123"),
            (4, 4, "0123"),
            (100, 4, "0123"),
            (100, 20, "0123456789"),
        ] {
            let mut block = Vec::with_capacity(1 + room);
            block.push(b'>');
            assert_eq!(append_content(&file, bytes, &mut block).unwrap(), expected.len());
            assert_eq!(block, format!(">{expected}").as_bytes());
        }
    }

    #[test]
    fn a_file_that_was_empty_and_is_not_any_more_has_grown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small"), "content").unwrap();
        assert_eq!(stored(folder.path(), |stat| stat.st_size = 0).1, 1);
        std::fs::write(folder.path().join("small"), "").unwrap();
        assert_eq!(stored(folder.path(), |_| ()).1, 0);
    }
}
