//! Reading a tar archive as a stream: ustar, PAX, GNU's long names and both families of sparse files.

use std::io::Read;

use tar::Header;

use super::fields::{has_right_sum, header_path, owners_and_device, signed, unsigned, until_nul};
use super::header::{BLOCK_BYTES, ItemKind, padding_bytes};
use super::pax::Records;
use super::sparse::{EXTENTS_MAX, Extent, is_valid_map};
use crate::base::failure::{Failure, Kind, Result, from_io};

/// Bytes of the archive held at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// What comes before one item (long names, attributes) may not be larger: it is held in memory, and an archive may lie.
const EXTENSION_BYTES_MAX: u64 = 32 * crate::base::units::MIB;

/// Numbers of a sparse map are decimal and fit into this.
const MAP_LINE_BYTES_MAX: usize = 24;

const BLOCK: usize = BLOCK_BYTES as usize;

/// One item, as its headers describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ArchiveItem {
    /// `None` for a kind that this reader does not know.
    pub(super) kind: Option<ItemKind>,
    /// The path as the archive has it: not to be trusted.
    pub(super) path: Vec<u8>,
    /// Where a link points: not to be trusted.
    pub(super) link: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
    pub(super) mtime: i64,
    pub(super) mtime_nanos: u32,
    /// A device's major and minor number.
    pub(super) device: (u32, u32),
    /// The file's size, holes included.
    pub(super) size: u64,
    /// Where a sparse file's data goes; `None` if it is stored whole.
    pub(super) extents: Option<Vec<Extent>>,
    /// Names and values of extended attributes.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The header's type, for messages.
    pub(super) type_flag: u8,
}

/// Items of an archive, one after the other.
pub(super) struct ArchiveReader<'a> {
    input: &'a mut dyn Read,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// How much of the input has been fetched, and where in it the current item's headers begin.
    fetched_bytes: u64,
    item_start: u64,
    /// Bytes of the current item's content that are still to come, and the padding after them.
    content_left: u64,
    padding_left: u64,
    global: Records,
    /// Whether the end marker has to be there.
    expect_end: bool,
}

impl<'a> ArchiveReader<'a> {
    /// A reader at the archive's first header.
    pub(super) fn new(input: &'a mut dyn Read, expect_end: bool) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER_BYTES],
            begin: 0,
            end: 0,
            fetched_bytes: 0,
            item_start: 0,
            content_left: 0,
            padding_left: 0,
            global: Records::default(),
            expect_end,
        }
    }

    /// The next item, after what is left of the one before; `None` at the archive's end, when the input has been read
    /// to its own end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the archive is cut off or is none; the input's own failure.
    pub(super) fn next(&mut self) -> Result<Option<ArchiveItem>> {
        self.skip_content()?;
        let mut local = Records::default();
        let mut long_path: Option<Vec<u8>> = None;
        let mut long_link: Option<Vec<u8>> = None;
        let mut has_extension = false;
        let mut extension_left = EXTENSION_BYTES_MAX;
        let mut zero_blocks = 0;
        self.item_start = self.position();
        loop {
            let Some(block) = self.block()? else {
                if has_extension || (self.expect_end && zero_blocks == 0) {
                    return Err(truncated("It ends without its end marker"));
                }
                return Ok(None);
            };
            if block.iter().all(|byte| *byte == 0) {
                if has_extension {
                    return Err(damaged("Headers are followed by no item"));
                }
                zero_blocks += 1;
                self.item_start = self.position();
                if zero_blocks == 2 {
                    self.drain()?;
                    return Ok(None);
                }
                continue;
            }
            zero_blocks = 0;
            let header = Header::from_byte_slice(&block);
            if !has_right_sum(header) {
                return Err(damaged(
                    "A header's checksum does not match; this is no tar archive, or it was changed",
                ));
            }
            let flag = header.as_old().linkflag[0];
            match flag {
                b'x' | b'X' => {
                    let body = self.extension(header, &mut extension_left)?;
                    local
                        .read(&body)
                        .map_err(|why| damaged(format!("In a PAX header, {why}")))?;
                    has_extension = true;
                }
                b'g' => {
                    let body = self.extension(header, &mut extension_left)?;
                    self.global
                        .read(&body)
                        .map_err(|why| damaged(format!("In a global PAX header, {why}")))?;
                }
                b'L' => {
                    long_path = Some(until_nul(&self.extension(header, &mut extension_left)?).to_vec());
                    has_extension = true;
                }
                b'K' => {
                    long_link = Some(until_nul(&self.extension(header, &mut extension_left)?).to_vec());
                    has_extension = true;
                }
                _ => return self.item(header, local, long_path, long_link).map(Some),
            }
        }
    }

    fn position(&self) -> u64 {
        self.fetched_bytes - (self.end - self.begin) as u64
    }

    /// Where the item that [`ArchiveReader::next`] has just given lies in the input, with its headers and padding.
    pub(super) fn item_range(&self) -> std::ops::Range<u64> {
        self.item_start..self.position() + self.content_left + self.padding_left
    }

    /// The next bytes of the current item's content; empty at its end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the archive ends before it; the input's own failure.
    pub(super) fn content(&mut self) -> Result<&[u8]> {
        if self.content_left == 0 {
            return Ok(&[]);
        }
        if self.begin == self.end && !self.fill()? {
            return Err(truncated("It ends in the middle of an item"));
        }
        let take = usize::try_from(self.content_left)
            .unwrap_or(usize::MAX)
            .min(self.end - self.begin);
        let start = self.begin;
        self.begin += take;
        self.content_left -= take as u64;
        Ok(&self.buffer[start..start + take])
    }

    fn item(
        &mut self,
        header: &Header,
        local: Records,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<ArchiveItem> {
        let old = header.as_old();
        let flag = old.linkflag[0];
        let global = &self.global;
        let (header_user, header_group, device) = owners_and_device(header);
        // The order is GNU tar's: the item's own records, those for all, a long name, the header.
        let path = first([&local.path, &global.path])
            .or(long_path)
            .unwrap_or_else(|| header_path(header));
        let link = first([&local.link, &global.link])
            .or(long_link)
            .unwrap_or_else(|| until_nul(&old.linkname).to_vec());
        let kind = match flag {
            b'0' | 0 | b'7' | b'S' => match path.last() {
                // Before ustar a folder was a file with a slash at its end.
                Some(b'/') => Some(ItemKind::Folder),
                _ => Some(ItemKind::File),
            },
            b'1' => Some(ItemKind::Hardlink),
            b'2' => Some(ItemKind::Symlink),
            b'3' => Some(ItemKind::CharDevice),
            b'4' => Some(ItemKind::BlockDevice),
            b'5' | b'D' => Some(ItemKind::Folder),
            b'6' => Some(ItemKind::Fifo),
            _ => None,
        };
        let size = match local.size.or(global.size) {
            Some(size) => size,
            None => unsigned(&old.size).ok_or_else(|| damaged("A header's size is not a number"))?,
        };
        // A hard link has no content, whatever old writers put into its size.
        let stored = if kind == Some(ItemKind::Hardlink) { 0 } else { size };
        if stored > u64::MAX / 4 {
            return Err(damaged(format!("An item claims to have {stored} bytes")));
        }
        self.content_left = stored;
        self.padding_left = padding_bytes(stored) as u64;

        let id = |record: Option<u64>, field: &[u8]| {
            record
                .or_else(|| unsigned(field))
                // The largest number means "no owner" to the system.
                .and_then(|id| u32::try_from(id).ok())
                .filter(|id| *id != u32::MAX)
        };
        let (mtime, mtime_nanos) = local
            .mtime
            .or(global.mtime)
            .unwrap_or_else(|| (signed(&old.mtime).unwrap_or(0), 0));
        let mut item = ArchiveItem {
            kind,
            path,
            link,
            mode: unsigned(&old.mode).map_or(0o644, |mode| (mode & 0o7777) as u32),
            uid: id(local.uid.or(global.uid), &old.uid),
            gid: id(local.gid.or(global.gid), &old.gid),
            user: first([&local.user, &global.user]).unwrap_or(header_user),
            group: first([&local.group, &global.group]).unwrap_or(header_group),
            mtime,
            mtime_nanos,
            device,
            size: match kind {
                Some(ItemKind::File) => size,
                _ => 0,
            },
            extents: None,
            attributes: Vec::new(),
            type_flag: flag,
        };
        if kind == Some(ItemKind::File) {
            if flag == b'S' {
                self.old_sparse(header, &mut item)?;
            } else if local.is_sparse() {
                self.pax_sparse(&local, &mut item)?;
            }
        }
        item.attributes = local.attributes;
        Ok(item)
    }

    /// GNU's oldest form: four pieces in the header, the others in blocks behind it.
    fn old_sparse(&mut self, header: &Header, item: &mut ArchiveItem) -> Result<()> {
        let wrong = || damaged("A sparse file's map is not one");
        let gnu = header.as_gnu().ok_or_else(wrong)?;
        let mut extents = Vec::new();
        let mut take = |offset: &[u8], length: &[u8]| -> Result<bool> {
            if offset[0] == 0 || length[0] == 0 {
                return Ok(false);
            }
            if extents.len() >= EXTENTS_MAX {
                return Err(wrong());
            }
            extents.push(Extent {
                offset: unsigned(offset).ok_or_else(wrong)?,
                length: unsigned(length).ok_or_else(wrong)?,
            });
            Ok(true)
        };
        for piece in &gnu.sparse {
            if !take(&piece.offset, &piece.numbytes)? {
                break;
            }
        }
        let mut is_extended = gnu.isextended[0] != 0;
        let size = unsigned(&gnu.realsize).ok_or_else(wrong)?;
        while is_extended {
            let block = self
                .block()?
                .ok_or_else(|| truncated("It ends in a sparse file's map"))?;
            for piece in block[..21 * 24].chunks_exact(24) {
                if !take(&piece[..12], &piece[12..])? {
                    break;
                }
            }
            is_extended = block[504] != 0;
        }
        finish_sparse(item, extents, size, self.content_left)
    }

    /// The PAX forms: 0.0 and 0.1 have the map in records, 1.0 in front of the data.
    fn pax_sparse(&mut self, records: &Records, item: &mut ArchiveItem) -> Result<()> {
        if let Some(name) = &records.sparse_name {
            item.path.clone_from(name);
        }
        let size = records.sparse_size.unwrap_or(item.size);
        let extents = match records.sparse_version {
            None | Some((0, _)) => records.extents.clone(),
            Some((1, 0)) => self.map_in_content()?,
            Some((major, minor)) => {
                return Err(Failure::new(
                    Kind::Unsupported,
                    format!("The archive has a sparse file of an unknown version, {major}.{minor}"),
                ));
            }
        };
        finish_sparse(item, extents, size, self.content_left)
    }

    fn map_in_content(&mut self) -> Result<Vec<Extent>> {
        let before = self.content_left;
        let count = self.map_number()?;
        if count > EXTENTS_MAX as u64 {
            return Err(damaged("A sparse file's map has too many pieces"));
        }
        let mut extents = Vec::new();
        for _ in 0..count {
            let offset = self.map_number()?;
            let length = self.map_number()?;
            extents.push(Extent { offset, length });
        }
        // The data begins at the next block.
        let mut padding = padding_bytes(before - self.content_left);
        while padding > 0 {
            self.content_byte()?;
            padding -= 1;
        }
        Ok(extents)
    }

    fn map_number(&mut self) -> Result<u64> {
        let mut digits = Vec::with_capacity(MAP_LINE_BYTES_MAX);
        loop {
            match self.content_byte()? {
                b'\n' => break,
                byte if digits.len() < MAP_LINE_BYTES_MAX => digits.push(byte),
                _ => return Err(damaged("A sparse file's map is not made of numbers")),
            }
        }
        std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| damaged("A sparse file's map is not made of numbers"))
    }

    fn content_byte(&mut self) -> Result<u8> {
        if self.content_left == 0 {
            return Err(damaged("A sparse file's map is longer than its content"));
        }
        if self.begin == self.end && !self.fill()? {
            return Err(truncated("It ends in a sparse file's map"));
        }
        let byte = self.buffer[self.begin];
        self.begin += 1;
        self.content_left -= 1;
        Ok(byte)
    }

    /// The body of an entry that only says something about the next.
    fn extension(&mut self, header: &Header, left: &mut u64) -> Result<Vec<u8>> {
        let size = unsigned(&header.as_old().size).ok_or_else(|| damaged("A header's size is not a number"))?;
        // All that stand before one item count together: a few of them are ordinary, a million are not.
        let Some(rest) = left.checked_sub(size.max(BLOCK_BYTES)) else {
            return Err(damaged(format!(
                "A header of {size} bytes is larger than any that makes sense"
            )));
        };
        *left = rest;
        self.content_left = size;
        self.padding_left = padding_bytes(size) as u64;
        let mut body = Vec::new();
        loop {
            let block = self.content()?;
            if block.is_empty() {
                break;
            }
            body.extend_from_slice(block);
        }
        self.skip_content()?;
        Ok(body)
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut left = self.content_left + self.padding_left;
        self.content_left = 0;
        self.padding_left = 0;
        while left > 0 {
            if self.begin == self.end && !self.fill()? {
                return Err(truncated("It ends in the middle of an item"));
            }
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.begin);
            self.begin += take;
            left -= take as u64;
        }
        Ok(())
    }

    /// The next block; `None` if the input ends right here.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            if self.begin == self.end && !self.fill()? {
                if have == 0 {
                    return Ok(None);
                }
                return Err(truncated("It ends in the middle of a header"));
            }
            let take = (BLOCK - have).min(self.end - self.begin);
            block[have..have + take].copy_from_slice(&self.buffer[self.begin..self.begin + take]);
            self.begin += take;
            have += take;
        }
        Ok(Some(block))
    }

    /// Fetches more of the input once all is used; false at its end.
    fn fill(&mut self) -> Result<bool> {
        self.begin = 0;
        self.end = 0;
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(read) => {
                    self.end = read.min(self.buffer.len());
                    self.fetched_bytes += self.end as u64;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io("read the archive", error)),
            }
        }
    }

    /// Reads what stands behind the end marker, so that the input can be judged as a whole.
    fn drain(&mut self) -> Result<()> {
        while self.fill()? {}
        Ok(())
    }
}

fn finish_sparse(item: &mut ArchiveItem, mut extents: Vec<Extent>, size: u64, stored: u64) -> Result<()> {
    extents.retain(|extent| extent.length > 0);
    if !is_valid_map(&extents, size, stored) {
        return Err(damaged(format!(
            "The map of the sparse file `{}` contradicts its size",
            String::from_utf8_lossy(&item.path)
        )));
    }
    item.size = size;
    item.extents = Some(extents);
    Ok(())
}

fn damaged(why: impl Into<String>) -> Failure {
    Failure::new(Kind::Damaged, "The archive is damaged").caused_by(anyhow::anyhow!("{}", why.into()))
}

fn truncated(why: &str) -> Failure {
    Failure::new(Kind::Damaged, "The archive is cut off").caused_by(anyhow::anyhow!("{why}"))
}

fn first<const N: usize>(choices: [&Option<Vec<u8>>; N]) -> Option<Vec<u8>> {
    choices.into_iter().find_map(Clone::clone)
}

#[cfg(test)]
mod tests;
