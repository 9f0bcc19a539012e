//! Outages as a user meets them: the network falls silent in the middle of a part. Short ones are survived, and long ones end
//! the run soon after the budget that the user gave, with nothing left but what is told.
//!
//! The real budget of 15 minutes is gone through in time that passes by itself, in the S3 store's own tests.

use std::time::Duration;

use crate::support::cli::Cli;
use crate::support::fault_s3::{Fault, FaultS3, Op, When};
use crate::support::proxy::{Direction, Proxy, Trouble};
use crate::support::trees::Noise;

struct Scene {
    server: FaultS3,
    bucket: String,
    proxy: Proxy,
    cli: Cli,
}

impl Scene {
    fn new(budget: &str) -> Self {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let proxy = Proxy::before(server.address().port());
        let far = format!("http://{}", server.address());
        let near = format!("http://127.0.0.1:{}", proxy.port());
        let environment = server.environment(&bucket).into_iter();
        let cli = Cli::new()
            .envs(environment.map(|(name, value)| (name, value.replace(&far, &near))))
            .env("BACKUP_PROVIDER", "aws")
            .env("BACKUP_PATH_STYLE", "true")
            .env("BACKUP_COMPRESSION", "none")
            .env("BACKUP_PART_SIZE", "5MiB")
            .env("BACKUP_RETRY_DELAY", "100ms")
            .env("BACKUP_RETRY_DELAY_MAX", "500ms")
            .env("BACKUP_RETRY_BUDGET", budget)
            .env("BACKUP_CLEANUP_OLDER_THAN", "0s");
        std::fs::write(cli.home().join("large"), Noise::new(3).bytes(12 << 20)).unwrap();
        Self {
            server,
            bucket,
            proxy,
            cli,
        }
    }

    /// Begins a backup whose parts' connection stands still in the middle of a part.
    fn stall_in_mid_part(&self) -> crate::support::cli::RunningCli {
        for _ in 0..2 {
            self.proxy
                .trouble(Direction::Up, Trouble::Stall { after_bytes: 3 << 20 });
        }
        let mut run = self.cli.command(["backup", "large", "--name", "large"]).start();
        run.wait_until("a part", |_| {
            !self.server.requests_of(Op::UploadPart).is_empty() && self.proxy.happened() > 0
        });
        run
    }
}

#[test]
fn a_network_that_falls_silent_in_mid_part_ends_the_run_soon_after_the_budget() {
    let scene = Scene::new("6s");
    let run = scene.stall_in_mid_part();
    // Whoever asks again gets no answer either.
    scene.server.fault(
        When::everything(),
        Fault::Stall {
            time: Duration::from_secs(600),
        },
    );
    let outcome = run.wait().exits_with(1);
    // Budget, last silence and clean-up; with the time that was asked for by the size it was 111 s.
    assert!(outcome.took() < Duration::from_secs(30), "{outcome}");
    let outcome = outcome
        .stderr_has("Error: ")
        .stderr_has("Hint: ")
        .stderr_has("backup-cli cleanup");
    assert!(scene.server.keys(&scene.bucket).is_empty(), "{outcome}");
    assert!(
        !scene.server.open_uploads(&scene.bucket).is_empty(),
        "nobody could end it"
    );
    scene.server.heal();
    let _ = scene.cli.run(["backup", "large", "--name", "large"]).success();
    assert!(scene.server.open_uploads(&scene.bucket).is_empty());
}

#[test]
fn a_network_that_is_silent_for_less_than_the_budget_is_survived() {
    let mut scene = Scene::new("8s");
    scene.cli = scene.cli.env("BACKUP_REQUEST_TIMEOUT", "2s");
    let run = scene.stall_in_mid_part();
    scene.proxy.fall_silent();
    std::thread::sleep(Duration::from_secs(3));
    scene.proxy.mend();
    let _ = run.wait().success();
    let _ = scene.cli.run(["verify", "large@latest"]).success();
    assert!(scene.server.open_uploads(&scene.bucket).is_empty());
}
