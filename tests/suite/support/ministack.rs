//! ministack: an imitation of AWS, for what no other server at hand does: an archive whose objects are thawed.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::installed_tool;
use super::s3_client::S3Access;
use super::server::{Server, ServerOptions, free_ports, process_folder};
use super::weed::Bucket;

/// The one user of the server. The secret is a canary: it must not turn up in any output.
pub const ACCESS_KEY: &str = "AKTESTMINISTACK00001";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "canary/ministack+secret0000000000000000";

/// How often a start is tried: another process may take the port in the moment before the server does.
const STARTS_MAX: u32 = 4;

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Ministack {
    server: Server,
    access: S3Access,
}

impl Ministack {
    /// The server that tests of this process share, each with buckets of its own; started by the first one that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Ministack> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a server with nothing in it.
    pub fn start() -> Self {
        Self::start_in("false")
    }

    /// Starts a server that enforces policies on everybody but the one user who may do everything.
    pub fn start_strict() -> Self {
        Self::start_in("true")
    }

    fn start_in(auth: &str) -> Self {
        let mut last = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(auth) {
                Ok(server) => return server,
                Err(why) => last = why,
            }
        }
        panic!("ministack did not start: {last}");
    }

    fn try_start(auth: &str) -> Result<Self, String> {
        let [port] = free_ports();
        let folder = tempfile::Builder::new()
            .prefix("ministack-")
            .tempdir_in(process_folder())
            .expect("a temporary folder")
            .keep();
        let port_text = port.to_string();
        // To enforce policies it wants to find this package by name, of which the AWS CLI brings its own.
        let packages = installed_tool("aws")
            .parent()
            .and_then(Path::parent)
            .expect("a folder")
            .join("lib");
        let own = std::fs::read_dir(&packages)
            .expect("the packages of the test tools")
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/awscli/botocore")))
            .find(|path| path.is_dir())
            .expect("the AWS CLI has its package");
        let imports = folder.join("imports");
        std::fs::create_dir(&imports).expect("a folder");
        std::os::unix::fs::symlink(own, imports.join("botocore")).expect("a link");
        let home = folder.to_str().expect("a path in UTF-8");
        let server = Server::start(&ServerOptions {
            name: "ministack",
            argv: vec![installed_tool("ministack").display().to_string()],
            environment: vec![
                ("AUTH", auth),
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                ("BIND_HOST", "127.0.0.1"),
                ("GATEWAY_PORT", &port_text),
                ("IOT_MTLS_ENABLED", "false"),
                ("PYTHONPATH", imports.to_str().expect("a path in UTF-8")),
                ("HOME", home),
                ("TMPDIR", home),
            ],
            user: None,
            end_signal: "KILL",
            folder: &folder,
            leftovers: Vec::new(),
        });
        let server = Self {
            server,
            access: S3Access {
                endpoint: format!("http://127.0.0.1:{port}"),
                region: "us-east-1".to_owned(),
                access_key: ACCESS_KEY.to_owned(),
                secret_key: SECRET_KEY.to_owned(),
            },
        };
        server.server.wait_until("its first bucket", || {
            server.access.client().try_create_bucket("ready").is_ok()
        })?;
        Ok(server)
    }

    /// A new bucket, empty.
    pub fn bucket(&self) -> Bucket {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("stack-bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.access
            .client()
            .try_create_bucket(&name)
            .expect("the server makes a bucket");
        Bucket {
            name,
            access: self.access.clone(),
        }
    }
}
