//! backup-cli: streams database dumps and directories through gzip into S3, and brings them back.
//!
//! The layers, from the top: [`cli`] parses and prints, [`config`] resolves settings, [`ui`] draws, [`ops`] holds the use
//! cases, [`source`] and [`pipeline`] move bytes, [`catalog`] knows what is stored, [`store`] holds it, [`base`] serves all.
//! Imports point down only; a test holds that.

pub mod base;
pub mod bucket;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod ops;
pub mod pipeline;
pub mod pricing;
pub mod retention;
pub mod source;
pub mod store;
pub mod ui;
