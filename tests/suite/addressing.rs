//! How requests name the bucket: in the host or in the path, seen on the wire to a real server.
//!
//! The domain is nobody's. The tool reaches it through a proxy, as it would from inside a company, and the proxy is the server
//! itself behind something that keeps the first request of each connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::cli::Cli;
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, TreeOptions, assert_same_tree, make_nasty_tree};
use crate::support::weed::{Bucket, Weed};

const DOMAIN: &str = "s3.weed.invalid";

/// Passes connections on, and keeps how each of them begins.
struct Tap {
    port: u16,
    first_lines: Arc<Mutex<Vec<String>>>,
}

impl Tap {
    fn before(endpoint: &str) -> Self {
        let server = endpoint.strip_prefix("http://").expect("plain HTTP").to_owned();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let first_lines = Arc::new(Mutex::new(Vec::new()));
        let kept = first_lines.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&server).expect("the server listens");
                let kept = kept.clone();
                std::thread::spawn(move || pass(client, server, &kept));
            }
        });
        Self { port, first_lines }
    }

    /// The first request line of each connection since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.first_lines.lock().expect("no panic"))
    }
}

fn pass(mut client: TcpStream, mut server: TcpStream, kept: &Mutex<Vec<String>>) {
    let mut begin = Vec::new();
    let mut byte = [0];
    while !begin.ends_with(b"\r\n") && client.read(&mut byte).is_ok_and(|count| count > 0) {
        begin.push(byte[0]);
    }
    if begin.is_empty() {
        return;
    }
    kept.lock()
        .expect("no panic")
        .push(String::from_utf8_lossy(&begin).trim_end().to_owned());
    if server.write_all(&begin).is_err() {
        return;
    }
    let (mut from, mut to) = (
        client.try_clone().expect("a handle"),
        server.try_clone().expect("a handle"),
    );
    let up = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = up.join();
}

/// A user of the bucket who knows the domain and the proxy.
fn user(bucket: &Bucket, tap: &Tap) -> Cli {
    Cli::new()
        .envs(bucket.environment())
        .env("AWS_ENDPOINT_URL", format!("http://{DOMAIN}"))
        .env("HTTP_PROXY", format!("http://127.0.0.1:{}", tap.port))
}

#[track_caller]
fn assert_all_begin(lines: &[String], place: &str) {
    assert!(!lines.is_empty());
    for line in lines {
        let url = line.split(' ').nth(1).unwrap_or_default();
        assert!(url.starts_with(place), "{line} and not {place}");
    }
}

#[test]
fn the_bucket_is_named_in_the_host_or_in_the_path() {
    let weed = Weed::with_domain(DOMAIN);
    let bucket = weed.bucket();
    let tap = Tap::before(&bucket.access.endpoint);
    let in_host = format!("http://{}.{DOMAIN}/", bucket.name);
    let in_path = format!("http://{DOMAIN}/{}/", bucket.name);

    let scratch = fresh_folder("addressing");
    let tree = scratch.path().join("tree");
    make_nasty_tree(&tree, TreeOptions::all());
    let tree_text = tree.to_str().expect("a path in UTF-8");

    // Everything works with the bucket in the host: parts, commit, listing, ranges.
    let cli = user(&bucket, &tap).env("BACKUP_PATH_STYLE", "false");
    cli.run(["backup", tree_text, "--name", "in-host", "--part-size", "5MiB"])
        .success();
    cli.run(["verify", "latest"]).success();
    let target = scratch.path().join("restored");
    cli.run(["restore", "latest", "--to", target.to_str().expect("a path in UTF-8")])
        .success();
    assert_same_tree(&tree, &target.join("tree"), Compare::all());
    assert_all_begin(&tap.take(), &in_host);
    // Nothing of it went elsewhere: the keys begin as they do with the bucket in the path.
    assert!(bucket.keys().iter().all(|key| key.starts_with("backups/")));

    // Nobody said how: AWS and its like have the bucket in the host, what nobody knows in the path.
    for (provider, place) in [(Some("aws"), &in_host), (Some("seaweedfs"), &in_path), (None, &in_path)] {
        let mut cli = user(&bucket, &tap);
        if let Some(provider) = provider {
            cli = cli.env("BACKUP_PROVIDER", provider);
        }
        cli.run(["list"]).success().stdout_has("in-host");
        assert_all_begin(&tap.take(), place);
    }
}

#[test]
fn a_host_that_is_not_found_is_named_with_its_bucket() {
    let bucket = Bucket::fresh();
    let user = |path_style: &str| {
        Cli::new()
            .envs(bucket.environment())
            .env("AWS_ENDPOINT_URL", format!("http://{DOMAIN}"))
            .env("BACKUP_PATH_STYLE", path_style)
            .env("BACKUP_RETRY_BUDGET", "1s")
    };
    user("false")
        .run(["list"])
        .exits_with(1)
        .stderr_has(&format!("{}.{DOMAIN}", bucket.name))
        .stderr_has("--path-style");
    let plain = user("true").run(["list"]).exits_with(1).stderr_has(DOMAIN);
    assert!(!plain.stderr().contains("--path-style"), "{plain}");
}
