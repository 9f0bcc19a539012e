//! The AWS CLI, as what a user without this tool has.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::installed_tool;
use super::s3_client::S3Access;
use super::server::process_folder;

/// A command line of the AWS CLI against a test server, with a clean environment.
pub fn command(access: &S3Access, arguments: &[&str]) -> Command {
    let mut command = Command::new(installed_tool("python"));
    command
        .arg(installed_tool("aws"))
        .args(arguments)
        .env_clear()
        .envs(environment(access))
        .current_dir(process_folder())
        .stdin(Stdio::null());
    command
}

/// The environment of [`command`], for shell pipelines that call `aws`; `PATH` has the CLI in front.
pub fn environment(access: &S3Access) -> Vec<(String, String)> {
    let tools = installed_tool("aws").parent().expect("a folder").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut variables = access.environment();
    variables.extend([
        ("PATH".to_owned(), format!("{tools}:{path}")),
        ("HOME".to_owned(), process_folder().display().to_string()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("AWS_DEFAULT_REGION".to_owned(), access.region.clone()),
        // A wrong answer is to be seen at once, not after five attempts.
        ("AWS_MAX_ATTEMPTS".to_owned(), "1".to_owned()),
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ("AWS_CONFIG_FILE".to_owned(), "/nonexistent".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), "/nonexistent".to_owned()),
    ]);
    variables
}

/// Runs the CLI and returns its standard output.
///
/// # Panics
/// If it does not exit with 0.
pub fn run(access: &S3Access, arguments: &[&str]) -> Vec<u8> {
    let output = try_run(access, arguments, b"");
    assert!(
        output.status.success(),
        "`aws {}` ended with {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs the CLI with something on its standard input.
pub fn try_run(access: &S3Access, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(access, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the AWS CLI starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        // A CLI that refuses at once does not read its input.
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().expect("the AWS CLI ends")
    })
}

/// Runs a shell pipeline (`bash -euo pipefail`) in which `aws` is the CLI against the server; returns standard output.
///
/// # Panics
/// If any part of it fails.
pub fn shell(access: &S3Access, script: &str, variables: &[(&str, &str)]) -> Vec<u8> {
    let output = Command::new("/bin/bash")
        .args(["-euo", "pipefail", "-c", script])
        .env_clear()
        .envs(environment(access))
        .envs(variables.iter().copied())
        .current_dir(process_folder())
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    assert!(
        output.status.success(),
        "the pipeline ended with {}: {script}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
