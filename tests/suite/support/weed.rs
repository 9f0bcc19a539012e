//! SeaweedFS: a real distributed S3 engine, one process shared by the tests of this binary.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::installed_tool;
use super::s3_client::{S3Access, S3Client};
use super::server::{Server, ServerOptions, free_ports, process_folder};

/// The one user of the server. The secret is a canary: it must not turn up in any output.
pub const ACCESS_KEY: &str = "AKTESTSEAWEEDFS00001";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "canary/seaweedfs+secret0000000000000000";
/// Any region will do for the server, but client and server have to agree.
pub const REGION: &str = "us-east-1";

/// How often a start is tried: another process may take a port in the moment before the server does.
const STARTS_MAX: u32 = 4;

/// A running SeaweedFS.
#[derive(Debug)]
pub struct Weed {
    server: Server,
    access: S3Access,
}

/// A bucket of its own for one test.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    pub access: S3Access,
}

/// What a server has that the others have not.
#[derive(Clone, Copy)]
enum Special<'a> {
    None,
    Identities(&'a str),
    Domain(&'a str),
}

impl Weed {
    /// The server that all tests of this process share; started by the first one that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Weed> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of its own, for a test that means to harm it. It ends when dropped.
    pub fn start() -> Self {
        Self::start_with(Special::None)
    }

    /// A server of its own with users of its own, in the form of its file of identities; the one user of the others has to
    /// be among them.
    pub fn with_identities(identities: &str) -> Self {
        Self::start_with(Special::Identities(identities))
    }

    /// A server of its own that also takes requests which name the bucket in the host, as `bucket.DOMAIN`.
    pub fn with_domain(domain: &str) -> Self {
        Self::start_with(Special::Domain(domain))
    }

    fn start_with(special: Special<'_>) -> Self {
        let mut last = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start(special) {
                Ok(weed) => return weed,
                Err(why) => last = why,
            }
        }
        panic!("SeaweedFS did not start: {last}");
    }

    fn try_start(special: Special<'_>) -> Result<Self, String> {
        let [master, volume, filer, s3, admin] = free_ports();
        let folder = tempfile::Builder::new()
            .prefix("weed-")
            .tempdir_in(process_folder())
            .expect("a temporary folder")
            .keep();
        let data = folder.join("data");
        std::fs::create_dir(&data).expect("a folder for the data");
        let path = |name: &str| folder.join(name).display().to_string();
        let special = match special {
            Special::None => None,
            Special::Domain(domain) => Some(format!("-s3.domainName={domain}")),
            Special::Identities(identities) => {
                std::fs::write(folder.join("identities.json"), identities).expect("a file of identities");
                Some(format!("-s3.config={}", path("identities.json")))
            }
        };
        let server = Server::start(&ServerOptions {
            name: "weed",
            argv: vec![
                installed_tool("weed").display().to_string(),
                "mini".to_owned(),
                format!("-dir={}", data.display()),
                "-ip=127.0.0.1".to_owned(),
                "-ip.bind=127.0.0.1".to_owned(),
                format!("-master.port={master}"),
                format!("-volume.port={volume}"),
                format!("-filer.port={filer}"),
                format!("-s3.port={s3}"),
                format!("-admin.port={admin}"),
                format!("-filer.localSocket={}", path("filer.sock")),
                format!("-s3.localSocket={}", path("s3.sock")),
                // Each bucket wants volumes of its own.
                "-volume.max=2000".to_owned(),
                "-master.volumeSizeLimitMB=1024".to_owned(),
                "-master.telemetry=false".to_owned(),
                "-s3.autoCreateBucket=false".to_owned(),
                "-s3.port.iceberg=0".to_owned(),
                "-s3.port.lance=0".to_owned(),
                "-admin.ui=false".to_owned(),
                "-webdav=false".to_owned(),
            ]
            .into_iter()
            .chain(special)
            .collect(),
            environment: vec![
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                // One volume for each bucket instead of seven: a suite has many buckets.
                ("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1"),
                // Server-side encryption needs a key of 32 bytes to wrap the objects' keys with.
                (
                    "WEED_S3_SSE_KEK",
                    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                ),
                ("HOME", folder.to_str().expect("a path in UTF-8")),
                ("TMPDIR", folder.to_str().expect("a path in UTF-8")),
            ],
            user: None,
            // It takes its time over a polite request, and there is nothing to save.
            end_signal: "KILL",
            folder: &folder,
            leftovers: [
                ("master", master),
                ("volume", volume),
                ("filer", filer),
                ("s3", s3),
                ("admin", admin),
            ]
            .map(|(name, port)| format!("/tmp/seaweedfs-{name}-grpc-{}.sock", port + 10_000))
            .to_vec(),
        });
        let weed = Self {
            server,
            access: S3Access {
                endpoint: format!("http://127.0.0.1:{s3}"),
                region: REGION.to_owned(),
                access_key: ACCESS_KEY.to_owned(),
                secret_key: SECRET_KEY.to_owned(),
            },
        };
        weed.server.wait_until("its port", || super::server::is_listening(s3))?;
        // It answers before it can store anything.
        let client = weed.access.client();
        weed.server.wait_until("its first object", || {
            let _ = client.try_create_bucket("ready");
            client.try_put("ready", "ready", b"ready").is_ok()
        })?;
        Ok(weed)
    }

    /// Where it is and who may use it.
    pub fn access(&self) -> &S3Access {
        &self.access
    }

    /// A client for looking behind the tool's back.
    pub fn client(&self) -> S3Client {
        self.access.client()
    }

    /// A new bucket, empty.
    pub fn bucket(&self) -> Bucket {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test-bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.client()
            .try_create_bucket(&name)
            .expect("the server makes a bucket");
        Bucket {
            name,
            access: self.access.clone(),
        }
    }

    /// The process, for tests that kill it.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Bucket {
    /// A new bucket on the shared server.
    pub fn fresh() -> Self {
        Weed::shared().bucket()
    }

    /// The address of a store in this bucket, `s3://bucket/prefix`.
    pub fn store(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}", self.name)
    }

    /// The variables for the tool under test, this bucket's `backups` prefix as its store.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = self.access.environment();
        variables.push(("BACKUP_STORE".to_owned(), self.store("backups")));
        variables
    }

    /// A client for looking behind the tool's back.
    pub fn client(&self) -> S3Client {
        self.access.client()
    }

    /// All keys of the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.client().keys(&self.name, "")
    }

    /// The content of an object.
    pub fn get(&self, key: &str) -> Vec<u8> {
        self.client().get(&self.name, key)
    }

    /// Writes an object.
    pub fn put(&self, key: &str, body: &[u8]) {
        self.client().put(&self.name, key, body);
    }

    /// The keys of unfinished uploads.
    pub fn uploads(&self) -> Vec<String> {
        self.client().uploads(&self.name)
    }
}
