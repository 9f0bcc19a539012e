//! SeaweedFS as a cluster of three storage nodes, any of which can die; every block is kept on two of them.

use std::path::PathBuf;

use super::installed_tool;
use super::s3_client::S3Access;
use super::server::{Server, ServerOptions, free_ports, is_listening, process_folder};
use super::weed::{ACCESS_KEY, Bucket, REGION, SECRET_KEY};

const STARTS_MAX: u32 = 4;

/// A running cluster; it ends when dropped.
#[derive(Debug)]
pub struct ThreeNodes {
    access: S3Access,
    volumes: Vec<Server>,
    front: Server,
    _master: Server,
}

impl ThreeNodes {
    /// Starts master, three volume servers, and a filer with the S3 gateway.
    pub fn start() -> Self {
        let mut last = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start() {
                Ok(cluster) => return cluster,
                Err(why) => last = why,
            }
        }
        panic!("the SeaweedFS cluster did not start: {last}");
    }

    fn try_start() -> Result<Self, String> {
        let [master_port, filer_port, s3_port] = free_ports();
        let folder = tempfile::Builder::new()
            .prefix("three-")
            .tempdir_in(process_folder())
            .expect("a temporary folder")
            .keep();
        let below = |name: &str| -> PathBuf {
            let path = folder.join(name);
            std::fs::create_dir(&path).expect("a folder for a node");
            path
        };
        let start = |name: &str, arguments: Vec<String>, leftovers: Vec<String>| {
            let home = below(name);
            let home_text = home.to_str().expect("a path in UTF-8");
            let mut argv = vec![installed_tool("weed").display().to_string()];
            argv.extend(
                arguments
                    .into_iter()
                    .map(|argument| argument.replace("HOME", home_text)),
            );
            Server::start(&ServerOptions {
                name,
                argv,
                environment: vec![
                    ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                    ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                    // With two copies each, one volume at a time: two nodes are left after one has died.
                    ("WEED_MASTER_VOLUME_GROWTH_COPY_2", "1"),
                    ("HOME", home_text),
                    ("TMPDIR", home_text),
                ],
                user: None,
                end_signal: "KILL",
                folder: &home,
                leftovers,
            })
        };
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let socket = |kind: &str, port: u16| format!("/tmp/seaweedfs-{kind}-grpc-{}.sock", port + 10_000);

        let mut arguments = text(&[
            "master",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-mdir=HOME",
            "-telemetry=false",
            "-defaultReplication=001",
        ]);
        arguments.push(format!("-port={master_port}"));
        let master = start("master", arguments, vec![socket("master", master_port)]);
        master.wait_until("its port", || is_listening(master_port))?;

        let mut volumes = Vec::new();
        for (number, port) in free_ports::<3>().into_iter().enumerate() {
            let mut arguments = text(&["volume", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=HOME", "-max=100"]);
            arguments.push(format!("-port={port}"));
            arguments.push(format!("-master=127.0.0.1:{master_port}"));
            volumes.push(start(
                &format!("volume-{}", number + 1),
                arguments,
                vec![socket("volume", port)],
            ));
            volumes[number].wait_until("its port", || is_listening(port))?;
        }

        let mut arguments = text(&[
            "filer",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-defaultStoreDir=HOME",
            "-localSocket=HOME/filer.sock",
            "-defaultReplicaPlacement=001",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            "-s3.localSocket=HOME/s3.sock",
        ]);
        arguments.push(format!("-master=127.0.0.1:{master_port}"));
        arguments.push(format!("-port={filer_port}"));
        arguments.push(format!("-s3.port={s3_port}"));
        let leftovers = vec![socket("filer", filer_port), socket("s3", s3_port)];
        let front = start("filer", arguments, leftovers);
        front.wait_until("its port", || is_listening(s3_port))?;
        let access = S3Access {
            endpoint: format!("http://127.0.0.1:{s3_port}"),
            region: REGION.to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
        };
        let client = access.client();
        front.wait_until("its first object", || {
            let _ = client.try_create_bucket("ready");
            client.try_put("ready", "ready", b"ready").is_ok()
        })?;
        Ok(Self {
            access,
            volumes,
            front,
            _master: master,
        })
    }

    /// Where it is and who may use it.
    pub fn access(&self) -> &S3Access {
        &self.access
    }

    /// A bucket on the cluster.
    pub fn bucket(&self, name: &str) -> Bucket {
        self.access
            .client()
            .try_create_bucket(name)
            .expect("the cluster makes a bucket");
        Bucket {
            name: name.to_owned(),
            access: self.access.clone(),
        }
    }

    /// Ends one storage node as a power cut would; `node` is 0, 1 or 2.
    pub fn kill_node(&self, node: usize) {
        self.volumes[node].kill();
    }

    /// How many storage nodes are alive.
    pub fn nodes_alive(&self) -> usize {
        self.volumes.iter().filter(|volume| volume.is_running()).count()
    }

    /// The gateway's last words, for messages.
    pub fn last_words(&self) -> String {
        self.front.last_words()
    }
}
