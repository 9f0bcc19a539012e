//! Fixtures: real servers, the binary as a subprocess, trees, and a server whose faults are chosen.

#![allow(
    dead_code,
    reason = "a fixture is a small library; not every helper is in use at every moment"
)]

pub mod aws;
pub mod cli;
pub mod fault_s3;
pub mod library;
pub mod mariadb;
pub mod ministack;
pub mod place;
pub mod postgres;
pub mod proxy;
pub mod s3_client;
pub mod server;
pub mod three_nodes;
pub mod trees;
pub mod weed;

use std::path::{Path, PathBuf};

/// The top folder of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `tests/setup` puts into `.test-tools/`.
///
/// # Panics
/// If it is not there: a missing tool fails a test and never skips it.
pub fn installed_tool(name: &str) -> PathBuf {
    let path = project().join(".test-tools/venv/bin").join(name);
    assert!(path.is_file(), "`{}` is missing: run tests/setup", path.display());
    path
}

/// A program of the system that `tests/setup` installs.
///
/// # Panics
/// If it is not in `PATH`.
pub fn system_tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("`{name}` is not in PATH: run tests/setup"))
}
