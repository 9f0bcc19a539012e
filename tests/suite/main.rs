//! The integration suite: one binary, so that it links once.
//!
//! What needs a server starts it; what a server needs, `tests/setup` installs. No test skips itself.

#![allow(
    missing_docs,
    reason = "the documented interface is the library's; here the names of the tests speak"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that cannot go on fails its test by panicking"
)]

mod addressing;
mod adopt;
mod archives;
mod bad_input;
mod bucket_create;
mod chaos;
mod cleanup;
mod coded_parts;
mod command_line;
mod commit_faults;
mod copies;
mod copy_faults;
mod corruption;
mod cost;
mod deep;
mod directory_readers;
mod doctor;
mod drills;
mod dump_faults;
mod durable;
mod dying_sources;
mod encryption;
mod fault_matrix;
mod faults_page;
mod find_and_diff;
mod fuzz_corpus;
mod generated;
mod iam;
mod json_output;
mod kills;
mod known_damage;
mod lifecycle;
mod many_backups;
mod mysql;
mod nasty_trees;
mod node_failure;
mod object_lock;
mod ops_backup;
mod outage;
mod output;
mod permissions;
mod postgres;
mod postgres_parallel;
mod postgres_ways;
mod progress;
mod properties;
mod prune;
mod prune_cli;
mod ranged_restore;
mod rebuild_index;
mod recipes;
mod rollover;
mod round_trips;
mod s3_faults;
mod s3_stalls;
mod samples;
mod seeds;
mod settings_faults;
mod several_stores;
mod shape;
mod signals;
mod single_file;
mod single_tables;
mod sqlite;
mod store_contract;
mod support;
mod support_selftest;
mod tree;
mod verify;
mod wire_proxy;
