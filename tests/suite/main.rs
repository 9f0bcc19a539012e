//! The integration suite.
mod directory_readers;
