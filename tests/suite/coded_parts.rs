//! Parts of backups of every coding: encrypted or not, gzip, zstd or nothing, one stream or several.

use crate::encryption::KeyPair;
use crate::support::cli::Cli;
use crate::support::fault_s3::{FaultS3, Op};
use crate::support::postgres::Database;
use crate::support::trees::Noise;

const LARGE_BYTES: usize = 2 << 20;

struct Scene {
    cli: Cli,
    server: FaultS3,
    key: KeyPair,
}

impl Scene {
    fn new() -> Self {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let cli = Cli::new()
            .envs(server.environment(&bucket))
            .env("BACKUP_PROVIDER", "aws")
            .env("BACKUP_PATH_STYLE", "true");
        let key = KeyPair::generate(cli.home(), "key.txt");
        Self { cli, server, key }
    }

    /// What the server has sent of the data.
    fn data_sent(&self) -> u64 {
        let gets = self.server.requests_of(Op::GetObject);
        self.server.forget_requests();
        let is_data = |key: &str| !key.contains(".index") && !key.ends_with(".manifest.json");
        gets.iter()
            .filter(|get| is_data(&get.key))
            .map(|get| get.sent_bytes)
            .sum()
    }
}

#[test]
fn single_files_cost_their_members_in_every_coding() {
    let scene = Scene::new();
    let tree = scene.cli.home().join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    let mut noise = Noise::new(3);
    for name in ["a", "z"] {
        std::fs::write(tree.join(name), noise.bytes(LARGE_BYTES)).unwrap();
    }
    std::fs::write(tree.join("small"), noise.bytes(10_000)).unwrap();
    let small = std::fs::read(tree.join("small")).unwrap();
    for compression in ["gzip", "zstd", "none"] {
        for recipient in [None, Some(scene.key.public.as_str())] {
            let series = format!("{compression}-{}", recipient.is_some());
            let mut line = vec!["backup", "tree", "--name", &series, "--compression", compression];
            line.extend(recipient.iter().flat_map(|public| ["--recipient", public]));
            for _ in 0..2 {
                let _ = scene.cli.run(&line).success();
                std::fs::write(tree.join("z"), noise.bytes(LARGE_BYTES)).unwrap();
            }
            scene.server.forget_requests();
            let latest = format!("{series}@latest");
            let with_key = |words: &[&str]| scene.cli.run([words, &["--identity", scene.key.path()]].concat());
            let outcome = with_key(&["restore", &latest, "tree/small", "--to", "-"]).success();
            assert!(outcome.stdout_bytes() == small, "{series}");
            let sent = scene.data_sent();
            assert!(sent < 200_000, "{series}: {sent} bytes were sent");
            let to = scene.cli.home().join(format!("out-{series}"));
            let _ = with_key(&["restore", &latest, "tree/small", "--to", to.to_str().unwrap()]).success();
            assert!(std::fs::read(to.join("tree/small")).unwrap() == small, "{series}");
            let found = with_key(&["find", "small", "--name", &series]).success();
            assert_eq!(found.stdout().lines().count(), 2, "{found}");
            let changed = with_key(&["diff", &format!("{series}@oldest"), &latest]).success();
            assert!(changed.stdout().starts_with("M    tree/z\n"), "{changed}");
            if recipient.is_some() {
                let _ = scene
                    .cli
                    .run(["find", "small", "--name", &series])
                    .exits_with(12)
                    .stderr_has("--identity");
                let _ = scene.cli.run(["diff", &latest, &latest]).exits_with(12);
                let none = scene
                    .cli
                    .run(["restore", &latest, "tree/small", "--to", "-"])
                    .exits_with(12);
                assert_eq!(none.stdout_bytes(), b"", "{none}");
            }
        }
    }
    // With some that can be read, those that cannot make it incomplete.
    let some = scene.cli.run(["find", "small", "--all"]).exits_with(3);
    assert_eq!(some.stdout().lines().count(), 6, "{some}");
}

#[test]
fn single_tables_come_out_of_encrypted_dumps_and_those_of_several_streams() {
    let scene = Scene::new();
    let shop = Database::fresh();
    shop.psql(
        "CREATE TABLE wanted (id int PRIMARY KEY, v text); CREATE TABLE bulk (id int, data text);
         CREATE TABLE other (id int, data text);
         INSERT INTO wanted SELECT n, 'v' || n FROM generate_series(1, 100) n;
         INSERT INTO bulk SELECT n, (SELECT string_agg(md5((n * 1000 + m)::text), '') FROM generate_series(1, 40) m)
             FROM generate_series(1, 2000) n;
         INSERT INTO other SELECT * FROM bulk;
         CREATE INDEX wanted_v ON wanted (v);",
    );
    let url = shop.url();
    let rows = "SELECT count(*), sum(id), min(v) FROM wanted";
    for (series, more) in [
        ("plain", &["--jobs", "2"][..]),
        ("zstd", &["--compression", "zstd", "--recipient", &scene.key.public]),
        ("both", &["--jobs", "2", "--recipient", &scene.key.public]),
    ] {
        let line = [&["backup", url.as_str(), "--name", series][..], more].concat();
        let _ = scene.cli.run(line).success();
        scene.server.forget_requests();
        let target = Database::fresh();
        let latest = format!("{series}@latest");
        let to = target.url();
        let line = ["restore", &latest, "--table", "wanted", "--with-schema", "--to", &to];
        let line = [&line[..], &["--identity", scene.key.path()]].concat();
        let _ = scene.cli.run(line).success();
        let sent = scene.data_sent();
        assert!(sent < 500_000, "{series}: {sent} bytes were sent");
        assert_eq!(target.psql(rows), shop.psql(rows), "{series}");
        assert_eq!(
            target.psql("SELECT count(*) FROM pg_indexes WHERE tablename = 'wanted'"),
            "2\n"
        );
        assert_eq!(
            target.psql("SELECT count(*) FROM pg_class WHERE relname IN ('bulk', 'other')"),
            "0\n"
        );
    }
}
