//! Files and folders, both ways: a tree becomes a tar archive that stock tools read, and any tar archive becomes a tree
//! inside a target.
//!
//! Going out: [`roots`] finds what the user named, [`walk`] visits it, [`archiver`] reads each item and writes it through
//! [`header`]. Coming back: [`archive`] reads headers, [`extract`] makes the items in a staging folder, [`place`] moves
//! them to where they belong. The `tar` crate serves for the layout of headers only: its writer cannot keep an archive
//! whole when a file changes size, and its reader follows links that an archive has planted.

mod archive;
mod archiver;
mod attributes;
mod backup;
mod content_log;
mod databases;
mod estimate;
mod excludes;
mod extract;
mod fields;
mod folders;
mod handles;
mod hardlinks;
mod header;
mod journal;
mod metadata;
mod names;
mod pax;
mod place;
mod problems;
mod remove;
mod restore;
mod roots;
mod selection;
mod single;
mod sparse;
mod staging;
mod walk;

#[cfg(test)]
mod tests;

pub use backup::{DirectoryOptions, DirectorySource};
pub use content_log::{ContentLog, LoggedContent};
pub use remove::remove_tree;
pub use restore::{Existing, TreeRestoreOptions, TreeRestoreReport, check_tree_target, restore_tree};
pub use selection::PathSelection;
pub use single::{archive_end, copy_content, copy_item_as, scan_archive};
