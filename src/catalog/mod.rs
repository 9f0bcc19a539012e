//! What is stored: where keys lie, what a manifest and an index say, how backups are listed and chosen.

pub mod codec;
pub mod index;
pub mod index_file;
pub mod kinds;
pub mod layout;
pub mod listing;
pub mod manifest;
pub mod notes;
pub mod patterns;
pub mod private;
mod seal;
pub mod selection;
pub mod shape;
