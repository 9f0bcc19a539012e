//! A server that is away for a while: an outage within the budget is survived, one beyond it ends the run cleanly.
//!
//! Fifteen minutes and the waits between are scaled down three hundred times; that the schedule really spans fifteen
//! minutes is a test of the arithmetic itself, in `store::s3::retry`.

use std::time::{Duration, Instant};

use crate::support::cli::{Cli, RunningCli};
use crate::support::fault_s3::{FaultS3, Op};
use crate::support::proxy::Proxy;
use crate::support::trees::Noise;

/// What stands for a minute.
const MINUTE: Duration = Duration::from_millis(400);

/// How the server is away.
#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Connections are refused.
    Refused,
    /// Connections come about, and nothing answers.
    Silent,
}

struct Scene {
    server: FaultS3,
    proxy: Proxy,
    bucket: String,
    cli: Cli,
}

impl Scene {
    fn new() -> Self {
        let server = FaultS3::start();
        let proxy = Proxy::before(server.address().port());
        let bucket = server.bucket();
        let millis = |minutes: u32| format!("{}ms", (MINUTE * minutes).as_millis());
        let cli = Cli::new()
            .envs(server.environment(&bucket))
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", proxy.port()))
            .env("BACKUP_PROVIDER", "aws")
            .env("BACKUP_PATH_STYLE", "true")
            .env("BACKUP_PART_SIZE", "5MiB")
            .env("BACKUP_LEVEL", "1")
            // Five seconds, a minute and fifteen of them.
            .env("BACKUP_RETRY_DELAY", format!("{}ms", MINUTE.as_millis() / 12))
            .env("BACKUP_RETRY_DELAY_MAX", millis(1))
            .env("BACKUP_RETRY_BUDGET", millis(15))
            .env("BACKUP_REQUEST_TIMEOUT", millis(1))
            .env("BACKUP_STALL_TIMEOUT", millis(1));
        std::fs::write(cli.home().join("half"), Noise::new(41).bytes(6 << 20)).unwrap();
        Self {
            server,
            proxy,
            bucket,
            cli,
        }
    }

    fn begin(&self, outage: Outage) {
        match outage {
            Outage::Refused => self.proxy.refuse(),
            Outage::Silent => self.proxy.fall_silent(),
        }
    }

    /// A backup of which one part has arrived and the rest waits for the file `go-on`.
    fn half_a_backup(&self) -> RunningCli {
        let command = "cat half; while ! [ -e go-on ]; do sleep 0.02; done; cat half";
        let mut run = self
            .cli
            .command(["backup", "--name", "outage", "--shell", "--command", command])
            .start();
        run.wait_until("the first part", |_| {
            self.server
                .requests_of(Op::UploadPart)
                .iter()
                .any(|part| part.status == Some(200))
        });
        run
    }

    fn go_on(&self) {
        std::fs::write(self.cli.home().join("go-on"), "").unwrap();
    }
}

#[test]
fn an_outage_of_nearly_fifteen_minutes_is_survived_by_a_backup_and_by_a_restore() {
    std::thread::scope(|scope| {
        for outage in [Outage::Refused, Outage::Silent] {
            scope.spawn(move || {
                let scene = Scene::new();
                let run = scene.half_a_backup();
                scene.begin(outage);
                scene.go_on();
                std::thread::sleep(MINUTE * 13);
                scene.proxy.mend();
                let outcome = run.wait().success().stderr_has("Trying again");
                assert_eq!(scene.server.open_uploads(&scene.bucket), [], "{outage:?}\n{outcome}");

                let target = scene.cli.home().join("restored");
                scene.server.forget_requests();
                scene.server.fault(
                    crate::support::fault_s3::When::first(Op::GetObject).key_contains(".bin.gz"),
                    crate::support::fault_s3::Fault::Delay {
                        time: Duration::from_millis(300),
                    },
                );
                let mut run = scene
                    .cli
                    .command(["restore", "latest", "--to", target.to_str().unwrap()])
                    .start();
                run.wait_until("a read", |_| !scene.server.requests_of(Op::GetObject).is_empty());
                scene.begin(outage);
                std::thread::sleep(MINUTE * 13);
                scene.proxy.mend();
                let _ = run.wait().success();
                let half = std::fs::read(scene.cli.home().join("half")).unwrap();
                assert!(std::fs::read(target).unwrap() == [half.as_slice(), &half].concat());
            });
        }
    });
}

#[test]
fn an_outage_of_more_than_fifteen_minutes_ends_the_run_and_nothing_is_listed() {
    std::thread::scope(|scope| {
        for outage in [Outage::Refused, Outage::Silent] {
            scope.spawn(move || {
                let scene = Scene::new();
                let run = scene.half_a_backup();
                let began = Instant::now();
                scene.begin(outage);
                scene.go_on();
                let outcome = run.wait().exits_with(1).stderr_has("Hint: ");
                let took = began.elapsed();
                assert!(took > MINUTE * 14, "{outage:?}: given up after {took:?}\n{outcome}");
                // The upload is to be aborted, too, which is tried for a while.
                assert!(took < MINUTE * 15 * 5, "{outage:?}: given up after {took:?}\n{outcome}");
                scene.proxy.mend();
                let _ = scene.cli.run(["list"]).success().nowhere("outage_backup");
                assert_eq!(scene.server.keys(&scene.bucket), Vec::<String>::new());
                // The next run is none the wiser.
                let _ = scene
                    .cli
                    .run(["backup", "--name", "outage", "--shell", "--command", "cat half"])
                    .success();
            });
        }
    });
}
