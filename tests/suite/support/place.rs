//! Where backups live in a test: a bucket or a folder, written by the tool and looked at behind its back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::aws;
use super::cli::Cli;
use super::server::{fresh_folder, process_folder};
use super::weed::Bucket;

/// What kind of place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// SeaweedFS, path style, and the tool is told who it is.
    SeaweedFs,
    /// SeaweedFS, but the tool knows no more than an endpoint.
    UnknownS3,
    /// A local folder.
    Folder,
}

/// A place of its own for one test, empty at first.
#[derive(Debug)]
pub struct Place {
    pub kind: PlaceKind,
    bucket: Option<Bucket>,
    folder: tempfile::TempDir,
}

impl Place {
    /// An empty place.
    pub fn fresh(kind: PlaceKind) -> Self {
        Self {
            kind,
            bucket: (kind != PlaceKind::Folder).then(Bucket::fresh),
            folder: fresh_folder("place"),
        }
    }

    /// One of each kind.
    pub fn all() -> [Self; 3] {
        [PlaceKind::SeaweedFs, PlaceKind::UnknownS3, PlaceKind::Folder].map(Self::fresh)
    }

    /// One bucket and one folder.
    pub fn both() -> [Self; 2] {
        [PlaceKind::UnknownS3, PlaceKind::Folder].map(Self::fresh)
    }

    /// A user whose store this is.
    pub fn cli(&self) -> Cli {
        let Some(bucket) = &self.bucket else {
            return Cli::new().env("BACKUP_STORE", self.store_folder());
        };
        let cli = Cli::new().envs(bucket.environment());
        match self.kind {
            PlaceKind::SeaweedFs => cli.env("BACKUP_PROVIDER", "seaweedfs").env("BACKUP_PATH_STYLE", "true"),
            _ => cli,
        }
    }

    /// The bucket.
    pub fn bucket(&self) -> &Bucket {
        self.bucket.as_ref().expect("the place is a bucket")
    }

    /// The folder of a local store.
    pub fn store_folder(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Every object, or every file with whatever name, sorted.
    pub fn keys(&self) -> Vec<String> {
        match &self.bucket {
            Some(bucket) => bucket.keys(),
            None => files_below(&self.store_folder()),
        }
    }

    /// What a run that failed must not leave: objects, files under temporary names, unfinished uploads.
    pub fn leftovers(&self) -> Vec<String> {
        let mut all = self.keys();
        if let Some(bucket) = &self.bucket {
            all.extend(bucket.uploads().iter().map(|key| format!("upload of {key}")));
        }
        all
    }

    /// The unfinished uploads that the AWS CLI lists; it takes its time to start.
    pub fn uploads_by_the_aws_cli(&self) -> String {
        let Some(bucket) = &self.bucket else {
            return String::new();
        };
        let arguments = ["s3api", "list-multipart-uploads", "--bucket", &bucket.name];
        let listed = aws::run(
            &bucket.access,
            &[&arguments[..], &["--query", "Uploads[].Key", "--output", "text"]].concat(),
        );
        let listed = String::from_utf8(listed).expect("keys in UTF-8");
        listed.replace("None", "").trim().to_owned()
    }

    /// An object's content.
    pub fn get(&self, key: &str) -> Vec<u8> {
        match &self.bucket {
            Some(bucket) => bucket.get(key),
            None => std::fs::read(self.store_folder().join(key)).expect("an object"),
        }
    }

    /// The one data object of a place that holds one backup.
    pub fn data_key(&self) -> String {
        let mut keys = self.keys();
        keys.retain(|key| !key.ends_with(".index.gz") && !key.ends_with(".manifest.json"));
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.remove(0)
    }

    /// The words of a shell that write an object to standard output without this tool.
    pub fn reading(&self, key: &str) -> String {
        match &self.bucket {
            Some(bucket) => format!("aws s3 cp 's3://{}/{key}' -", bucket.name),
            None => format!("cat '{}'", self.store_folder().join(key).display()),
        }
    }

    /// Runs a pipeline of stock tools; see [`aws::shell`].
    pub fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Vec<u8> {
        if let Some(bucket) = &self.bucket {
            return aws::shell(&bucket.access, script, variables);
        }
        let output = Command::new("/bin/bash")
            .args(["-euo", "pipefail", "-c", script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", process_folder())
            .env("LANG", "C.UTF-8")
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
}

/// The paths of all files below a folder, hidden ones too, sorted; none if there is no such folder.
pub fn files_below(top: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry.expect("an entry");
            let path = entry.path();
            if entry.file_type().expect("its kind").is_dir() {
                waiting.push(path);
            } else {
                let relative = path.strip_prefix(top).expect("it is below");
                all.push(relative.to_str().expect("a path in UTF-8").to_owned());
            }
        }
    }
    all.sort();
    all
}
