//! Connections to real servers that break at the level of bytes: SeaweedFS, PostgreSQL and MariaDB behind a proxy that cuts,
//! stalls, delays, throttles, changes a byte or closes one direction.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::cli::Cli;
use crate::support::proxy::{Direction, Proxy, Trouble};
use crate::support::server::process_folder;
use crate::support::trees::{Compare, assert_same_tree, make_small_tree};
use crate::support::weed::Bucket;
use crate::support::{mariadb, postgres};

/// What is tried in each direction; the bytes are those of requests and answers of a few hundred.
const TROUBLES: [Trouble; 9] = [
    Trouble::Reset { after_bytes: 0 },
    Trouble::Reset { after_bytes: 700 },
    Trouble::Close { after_bytes: 300 },
    Trouble::HalfClose { after_bytes: 500 },
    Trouble::Stall { after_bytes: 0 },
    Trouble::Stall { after_bytes: 900 },
    Trouble::Delay {
        time: Duration::from_millis(15),
    },
    Trouble::Throttle { bytes_per_sec: 400_000 },
    Trouble::Flip { at_byte: 1500 },
];

fn user(bucket: &Bucket, proxy: &Proxy) -> Cli {
    Cli::new()
        .envs(bucket.environment())
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", proxy.port()))
        .env("BACKUP_PROVIDER", "seaweedfs")
        .env("BACKUP_LEVEL", "1")
        .env("BACKUP_RETRY_DELAY", "50ms")
        .env("BACKUP_RETRY_BUDGET", "8s")
        .env("BACKUP_REQUEST_TIMEOUT", "2s")
        .env("BACKUP_STALL_TIMEOUT", "2s")
}

fn port_of(url: &str) -> u16 {
    url.rsplit_once(':').expect("a port").1.parse().expect("a port")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn a_connection_to_a_real_store_may_break_at_any_byte() {
    let tree = process_folder().join("wire-proxy-tree");
    make_small_tree(&tree);
    let bucket = Bucket::fresh();
    let server = port_of(&bucket.access.endpoint);
    let happened = AtomicU64::new(0);
    let run = |number: usize, direction: Direction, trouble: Trouble| {
        let proxy = Proxy::before(server);
        let name = format!("tree-{number}");
        let cli = user(&bucket, &proxy);
        proxy.trouble(direction, trouble);
        let backup = cli.run(["backup", text(&tree), "--name", &name]);
        // Which connection is the first, and how much it carries, is the client's choice.
        happened.fetch_add(proxy.happened(), Ordering::SeqCst);
        if direction == Direction::Up
            && matches!(trouble, Trouble::HalfClose { .. } | Trouble::Flip { .. })
            && backup.code() != 0
        {
            assert_eq!(backup.code(), 1, "{direction:?} {trouble:?}\n{backup}");
            assert!(!bucket.keys().iter().any(|key| key.contains(&name)), "{backup}");
            return;
        }
        assert_eq!(backup.code(), 0, "{direction:?} {trouble:?}\n{backup}");
        let target = cli.home().join("target");
        proxy.trouble(direction, trouble);
        let restore = cli.run(["restore", &format!("{name}@latest"), "--to", text(&target)]);
        match (restore.code(), trouble) {
            (0, _) => assert_same_tree(&tree, &target.join("wire-proxy-tree"), Compare::basics()),
            // A byte that was changed on the way is noticed and not survived.
            (1 | 20, Trouble::Flip { .. }) => assert!(!target.exists(), "{restore}"),
            // The server refuses half a request for good.
            (1, Trouble::HalfClose { .. }) if direction == Direction::Up => assert!(!target.exists(), "{restore}"),
            _ => panic!("{direction:?} {trouble:?}\n{restore}"),
        }
    };
    std::thread::scope(|scope| {
        for (number, trouble) in TROUBLES.into_iter().enumerate() {
            for (direction, number) in [(Direction::Up, number), (Direction::Down, number + 100)] {
                let run = &run;
                scope.spawn(move || run(number, direction, trouble));
            }
        }
    });
    let (happened, tried) = (happened.into_inner(), TROUBLES.len() as u64 * 2);
    println!("{happened} of {tried} troubles happened in a backup");
    assert!(happened > tried / 2, "{happened} of {tried} troubles happened");
    assert_eq!(bucket.uploads(), Vec::<String>::new());
}

/// Backs a database up while its connection goes wrong after so many bytes of its rows.
fn dump_through(server_port: u16, url: &str, password: &str) {
    std::thread::scope(|scope| {
        for trouble in [
            Trouble::Reset { after_bytes: 300_000 },
            Trouble::Close { after_bytes: 300_000 },
            Trouble::HalfClose { after_bytes: 300_000 },
            Trouble::Close { after_bytes: 1_200_000 },
            Trouble::Delay {
                time: Duration::from_millis(1),
            },
        ] {
            scope.spawn(move || {
                let proxy = Proxy::before(server_port);
                let cli = Cli::new().env("BACKUP_LEVEL", "1");
                let store = cli.home().join("store");
                std::fs::create_dir(&store).expect("a folder");
                let cli = cli.env("BACKUP_STORE", &store);
                let url = url.replace(&format!(":{server_port}/"), &format!(":{}/", proxy.port()));
                // The connection that carries the rows is not the first one; whichever has so many bytes is hit.
                for _ in 0..32 {
                    proxy.trouble(Direction::Down, trouble);
                }
                let outcome = cli.run(["backup", &url, "--name", "db"]).nowhere(password);
                assert!(proxy.happened() > 0, "{trouble:?}: it never happened\n{outcome}");
                let listed = cli.run(["list", "--json"]).success().json();
                match trouble {
                    Trouble::Delay { .. } => {
                        assert_eq!(outcome.code(), 0, "{outcome}");
                        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{outcome}");
                    }
                    _ => {
                        assert_eq!(outcome.code(), 1, "{trouble:?}\n{outcome}");
                        assert!(outcome.stderr().contains("Hint: "), "{outcome}");
                        assert_eq!(listed, serde_json::json!([]), "{trouble:?}\n{outcome}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_connection_to_postgresql_that_is_cut_makes_no_backup() {
    let database = postgres::Database::fresh();
    database
        .psql("CREATE TABLE rows AS SELECT n, repeat(md5(n::text), 4) AS words FROM generate_series(1, 12000) AS n");
    let port = postgres::PostgresServer::shared().port();
    dump_through(port, &database.url(), postgres::PASSWORD);
}

#[test]
fn a_connection_to_mariadb_that_is_cut_makes_no_backup() {
    let database = mariadb::Database::fresh();
    database.sql("CREATE TABLE numbered (n INT PRIMARY KEY, words VARCHAR(200)) ENGINE=InnoDB");
    database.sql("INSERT INTO numbered SELECT seq, REPEAT(MD5(seq), 4) FROM seq_1_to_12000");
    let port = mariadb::MariaDbServer::shared().port();
    dump_through(port, &database.url(), mariadb::PASSWORD);
}
