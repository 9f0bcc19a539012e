//! The recipes in `examples/`: their very text is run, against the real server where it can be installed.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::cli::Cli;
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres::{Database, PASSWORD, PostgresServer, server_programs};
use crate::support::server::{Server, ServerOptions, free_ports, fresh_folder, is_listening};
use crate::support::trees::Noise;
use crate::support::{project, system_tool};

const PASSWORD_CANARY: &str = "canary-recipe-7";

/// A recipe in a folder of its own, as a user has copied it, with what it says is to be typed.
struct Recipe {
    folder: tempfile::TempDir,
    /// The lines of its comments that begin with a prompt.
    typed: Vec<String>,
    environment: RefCell<Vec<(String, String)>>,
    place: Place,
}

impl Recipe {
    fn of(name: &str) -> Self {
        let text = std::fs::read_to_string(project().join("examples").join(name)).expect("the recipe");
        let folder = fresh_folder("recipe");
        std::fs::write(folder.path().join(name), &text).expect("a file");
        let typed: Vec<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#   $ "))
            .map(str::to_owned)
            .collect();
        assert!(typed.len() >= 2, "{name} says how to back up and how to restore");
        let place = Place::fresh(PlaceKind::Folder);
        // The first backup that succeeds would make it; without one there would be nothing to list.
        std::fs::create_dir_all(place.store_folder()).expect("a folder");
        Self {
            folder,
            typed,
            environment: RefCell::default(),
            place,
        }
    }

    /// Sets a variable for what is typed from now on.
    fn env(&self, name: &str, value: impl Into<String>) {
        let mut environment = self.environment.borrow_mut();
        environment.retain(|(other, _)| other != name);
        environment.push((name.to_owned(), value.into()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn cli(&self) -> Cli {
        let temporary = self.path("tmp");
        std::fs::create_dir_all(&temporary).expect("a folder");
        self.place
            .cli()
            .in_folder(self.folder.path())
            .env("TMPDIR", temporary)
            .envs(self.environment.borrow().iter().map(|(name, value)| (name, value)))
    }

    /// The words of a line that is a run of this tool.
    fn words(&self, line: usize) -> Vec<String> {
        let mut words = shell_words::split(&self.typed[line]).expect("a command line");
        assert_eq!(words.remove(0), "backup-cli", "{}", self.typed[line]);
        words
    }

    /// Types a line that is a run of this tool.
    #[track_caller]
    fn run(&self, line: usize) {
        let _ = self.cli().run(self.words(line)).success().nowhere(PASSWORD_CANARY);
    }

    /// Types a line that is not.
    #[track_caller]
    fn shell(&self, line: usize) {
        let output = Command::new("/bin/sh")
            .args(["-ec", &self.typed[line]])
            .current_dir(self.folder.path())
            .envs(self.environment.borrow().iter().map(|(name, value)| (name, value)))
            .env("PATH", path_with_sbin())
            .output()
            .expect("a shell");
        assert!(output.status.success(), "{}: {output:?}", self.typed[line]);
    }

    /// Types the backup, lets `strike` befall it when data has arrived in the store, and sees that nothing comes of it.
    fn dies(&self, what: &str, strike: impl FnOnce(&[u32])) {
        let mut words = self.words(0);
        // The dump is to take a while, and to be on its way before it ends.
        words.extend(
            [
                "--level",
                "12",
                "--threads",
                "1",
                "--part-size",
                "5MiB",
                "--parts-in-flight",
                "1",
            ]
            .map(str::to_owned),
        );
        let (before, folder) = (self.ids(), self.place.store_folder());
        let stored = files_below(&folder);
        let mut running = self.cli().command(words).start();
        running.wait_until("data arrives", |_| {
            files_below(&folder)
                .iter()
                .any(|name| !stored.contains(name) && folder.join(name).metadata().is_ok_and(|meta| meta.len() > 0))
        });
        assert!(
            running
                .command_lines()
                .iter()
                .all(|line| !line.contains(PASSWORD_CANARY)),
            "{what}: {:?}",
            running.command_lines()
        );
        strike(&descendants(running.pid().as_raw_nonzero().get().unsigned_abs()));
        let outcome = running.wait();
        assert_eq!(outcome.code(), 1, "{what}: {outcome}");
        assert_eq!(self.ids(), before, "{what}");
        let left = files_below(&self.path("tmp"));
        // Nobody can clear up after kill -9.
        assert!(left.is_empty() || what.contains("kill"), "{what}: {left:?}");
    }

    fn ids(&self) -> Vec<String> {
        let listed = self.cli().run(["list", "--json"]).success().json();
        listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect()
    }
}

/// Processes below another one.
fn descendants(of: u32) -> Vec<u32> {
    let mut family = vec![of];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        next += 1;
        let output = Command::new("pgrep")
            .args(["-P", &parent.to_string()])
            .output()
            .expect("pgrep");
        family.extend(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .filter_map(|line| line.parse::<u32>().ok()),
        );
    }
    family.remove(0);
    family
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process");
    // One that has ended meanwhile is as dead.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// What a process is called.
fn name_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Debian keeps the programs of slapd in a folder that only root has in `PATH`.
fn path_with_sbin() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").expect("a PATH"))
}

fn serve(name: &str, folder: &Path, argv: &[&str], port: u16) -> Server {
    let server = Server::start(&ServerOptions {
        name,
        argv: argv.iter().map(ToString::to_string).collect(),
        environment: vec![("PATH", &path_with_sbin())],
        user: None,
        end_signal: "KILL",
        folder,
        leftovers: Vec::new(),
    });
    server
        .wait_until("it listens", || is_listening(port))
        .unwrap_or_else(|why| panic!("{why}\n{}", server.last_words()));
    server
}

/// Runs a client of a server, with standard input, and returns what it prints.
#[track_caller]
fn client(program: &str, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> String {
    use std::io::Write;
    let mut child = Command::new(system_tool(program))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the client ends");
    feeder.join().expect("it ends").expect("the client reads");
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn redis_is_backed_up_and_brought_back() {
    let recipe = Recipe::of("redis.sh");
    let [port, second] = free_ports();
    let serve_redis = |folder: &str, port: u16| {
        std::fs::create_dir_all(recipe.path(folder)).expect("a folder");
        let arguments = [
            system_tool("redis-server").display().to_string(),
            "--bind".to_owned(),
            "127.0.0.1".to_owned(),
            "--port".to_owned(),
            port.to_string(),
            "--requirepass".to_owned(),
            PASSWORD_CANARY.to_owned(),
            "--save".to_owned(),
            String::new(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        serve("redis", &recipe.path(folder), &arguments, port)
    };
    let secret = [("REDISCLI_AUTH", PASSWORD_CANARY)];
    let ask = |port: u16, words: &[&str]| {
        let port = port.to_string();
        client("redis-cli", &[&["-p", &port], words].concat(), &secret, b"")
    };
    let server = serve_redis("first", port);
    let mut commands = Vec::new();
    let values = Noise::new(5).bytes(24 * 1024 * 1024);
    for (number, value) in values.chunks(20 * 1024).enumerate() {
        commands.extend(format!("SET key:{number} {}\r\n", hex::encode(value)).bytes());
    }
    commands.extend(b"RPUSH list a b c\r\nHSET hash f 1 g 2\r\nEXPIRE key:1 100000\r\n");
    let said = client("redis-cli", &["-p", &port.to_string(), "--pipe"], &secret, &commands);
    assert!(said.contains("errors: 0"), "{said}");
    let digest = ask(port, &["DEBUG", "DIGEST"]);
    recipe.env("REDIS_PORT", port.to_string());

    // Without the password, and with a wrong one.
    let _ = recipe.cli().run(recipe.words(0)).exits_with(1);
    let _ = recipe
        .cli()
        .env("REDISCLI_AUTH", "wrong")
        .run(recipe.words(0))
        .exits_with(1);
    recipe.env("REDISCLI_AUTH", PASSWORD_CANARY);
    assert_eq!(recipe.ids(), Vec::<String>::new());

    // Sent by the server without a file of its own, and with one.
    for (number, diskless) in ["yes", "no"].iter().enumerate() {
        ask(
            port,
            &[
                "CONFIG",
                "SET",
                "repl-diskless-sync",
                diskless,
                "repl-diskless-sync-delay",
                "0",
            ],
        );
        recipe.run(0);
        std::fs::remove_file(recipe.path("dump.rdb")).ok();
        recipe.run(1);
        recipe.shell(2);
        let folder = format!("restored-{number}");
        std::fs::create_dir(recipe.path(&folder)).expect("a folder");
        std::fs::copy(recipe.path("dump.rdb"), recipe.path(&folder).join("dump.rdb")).expect("a file");
        let restored = serve_redis(&folder, second);
        restored
            .wait_until("it has loaded", || {
                ask(second, &["INFO", "persistence"]).contains("loading:0")
            })
            .expect("it loads");
        assert_eq!(ask(second, &["DEBUG", "DIGEST"]), digest, "{diskless}");
        restored.kill();
        restored.wait_until("its port is free", || !is_listening(second)).ok();
    }
    // A snapshot that was cut short is seen by the second line of the restore.
    let whole = std::fs::read(recipe.path("dump.rdb")).expect("a file");
    std::fs::write(recipe.path("dump.rdb"), &whole[..whole.len() / 2]).expect("a file");
    let checked = Command::new("/bin/sh")
        .args(["-c", &recipe.typed[2]])
        .current_dir(recipe.folder.path())
        .output();
    assert!(!checked.expect("a shell").status.success());

    recipe.dies("redis-cli is killed", |family| {
        let client = family
            .iter()
            .find(|pid| name_of(**pid) == "redis-cli")
            .expect("redis-cli runs");
        kill(*client);
    });
    recipe.dies("the server dies", |_| {
        let family = descendants(server.pid().as_raw_nonzero().get().unsigned_abs());
        server.kill();
        family.into_iter().for_each(kill);
    });
}

#[test]
fn etcd_is_backed_up_and_brought_back() {
    let recipe = Recipe::of("etcd.sh");
    let [client_port, peer_port] = free_ports();
    let urls = [client_port, peer_port].map(|port| format!("http://127.0.0.1:{port}"));
    let serve_etcd = |data: &str| {
        let program = system_tool("etcd").display().to_string();
        let cluster = format!("default={}", urls[1]);
        let data = recipe.path(data).display().to_string();
        let arguments = [
            program.as_str(),
            "--data-dir",
            &data,
            "--listen-client-urls",
            &urls[0],
            "--advertise-client-urls",
            &urls[0],
            "--listen-peer-urls",
            &urls[1],
            "--initial-advertise-peer-urls",
            &urls[1],
            "--initial-cluster",
            &cluster,
            "--unsafe-no-fsync",
        ];
        serve("etcd", recipe.folder.path(), &arguments, client_port)
    };
    let environment = [("ETCDCTL_API", "3"), ("ETCDCTL_ENDPOINTS", urls[0].as_str())];
    let etcdctl = |words: &[&str], input: &[u8]| client("etcdctl", words, &environment, input);
    let server = serve_etcd("data");
    let noise = Noise::new(9).bytes(10 * 1024 * 1024);
    for (number, value) in noise.chunks(512 * 1024).enumerate() {
        etcdctl(&["put", &format!("/big/{number:03}")], hex::encode(value).as_bytes());
    }
    etcdctl(&["put", "/name"], "größe".as_bytes());
    let keys = |prefix: &str| etcdctl(&["get", "--prefix", prefix], b"");
    let before = keys("/");
    recipe.env("ETCDCTL_ENDPOINTS", urls[0].clone());
    recipe.dies("the script is killed while it passes the snapshot on", |family| {
        family.iter().copied().for_each(kill);
    });
    recipe.run(0);
    recipe.run(1);
    recipe.shell(2);
    etcdctl(&["del", "--prefix", "/"], b"");
    server.kill();
    server
        .wait_until("its ports are free", || {
            !is_listening(client_port) && !is_listening(peer_port)
        })
        .ok();
    // A server that is not there, and a snapshot whose end is missing.
    let _ = recipe.cli().run(recipe.words(0)).exits_with(1);
    let snapshot = recipe.path("snapshot.db").display().to_string();
    let script = format!("[ \"$1\" = endpoint ] || head -c -1000 '{snapshot}' >\"$3\"");
    stand_in(&recipe, "etcdctl", &script);
    let run = recipe.cli().run(recipe.words(0)).exits_with(1);
    assert!(run.stderr().contains("the snapshot is not whole"), "{run}");
    assert_eq!(recipe.ids().len(), 1);
    assert_eq!(
        files_below(&recipe.path("tmp")).len(),
        1,
        "the snapshot of the run that was killed, and of no other"
    );

    let _restored = serve_etcd("restored");
    assert_eq!(keys("/"), before);
}

#[test]
fn ldap_is_backed_up_and_brought_back() {
    let recipe = Recipe::of("ldap.sh");
    let [port] = free_ports();
    let folder = recipe.folder.path().display().to_string();
    let configuration = |name: &str| {
        std::fs::create_dir_all(recipe.path(name)).expect("a folder");
        std::fs::create_dir_all(recipe.path(&format!("{name}-data"))).expect("a folder");
        let text = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\npidfile {folder}/{name}.pid\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\nmaxsize 268435456\n\
             suffix \"dc=example,dc=org\"\nrootdn \"cn=admin,dc=example,dc=org\"\nrootpw {PASSWORD_CANARY}\n\
             directory {folder}/{name}-data\n"
        );
        let file = recipe.path(&format!("{name}.conf"));
        std::fs::write(&file, text).expect("a file");
        // It complains that there is no database yet, after it has written what is wanted.
        let made = Command::new("/usr/sbin/slaptest")
            .arg("-f")
            .arg(&file)
            .arg("-F")
            .arg(recipe.path(name))
            .output()
            .expect("slaptest: run tests/setup");
        assert!(recipe.path(name).join("cn=config.ldif").is_file(), "{made:?}");
        recipe.path(name).display().to_string()
    };
    let (first, second) = (configuration("first"), configuration("second"));
    let url = format!("ldap://127.0.0.1:{port}");
    let serve_ldap = |configuration: &str| {
        let arguments = ["/usr/sbin/slapd", "-F", configuration, "-h", &url, "-d", "0"];
        serve("slapd", recipe.folder.path(), &arguments, port)
    };
    let secret = recipe.path("secret");
    std::fs::write(&secret, PASSWORD_CANARY).expect("a file");
    let login = [
        "-x",
        "-H",
        &url,
        "-D",
        "cn=admin,dc=example,dc=org",
        "-y",
        secret.to_str().expect("a path"),
    ];
    let server = serve_ldap(&first);
    let mut entries =
        String::from("dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: x\ndc: example\n");
    let noise = Noise::new(3).bytes(16 * 1024 * 1024);
    for (number, value) in noise.chunks(64 * 1024).enumerate() {
        entries.push_str(&format!(
            "\ndn: cn=person {number},dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: person {number}\nsn:: w7xieg==\n\
             description: {}\n",
            hex::encode(value)
        ));
    }
    client("ldapadd", &login, &[], entries.as_bytes());
    let search = || {
        let words = ["-o", "ldif-wrap=no", "-LLL", "-b", "dc=example,dc=org", "*", "+"];
        client("ldapsearch", &[&login[..], &words].concat(), &[], b"")
    };
    let before = search();
    recipe.env("PATH", path_with_sbin());
    recipe.env("LDAP_CONFIG", first);
    // While the server runs.
    recipe.run(0);
    recipe.dies("slapcat is killed", |family| {
        let slapcat = family
            .iter()
            .find(|pid| name_of(**pid) == "slapcat")
            .expect("slapcat runs");
        kill(*slapcat);
    });
    // A database that is not there.
    let _ = recipe
        .cli()
        .env("LDAP_DATABASE", "7")
        .run(recipe.words(0))
        .exits_with(1);
    assert_eq!(recipe.ids().len(), 1);
    recipe.run(1);
    server.kill();
    server.wait_until("its port is free", || !is_listening(port)).ok();
    recipe.env("LDAP_CONFIG", second.clone());
    recipe.shell(2);
    let _restored = serve_ldap(&second);
    assert_eq!(search(), before);
}

#[test]
fn every_recipe_is_a_script_and_is_named_in_the_readme() {
    let readme = std::fs::read_to_string(project().join("README.md")).expect("the README");
    for (name, text) in backup_cli::cli::generate::RECIPES {
        assert!(readme.contains(&format!("(examples/{name})")), "{name}");
        assert!(
            text.starts_with("#!/bin/sh\n#") && text.contains("\nset -eu\n"),
            "{name}"
        );
        assert!(Recipe::of(name).typed[0].starts_with("backup-cli backup"), "{name}");
        let path = project().join("examples").join(name);
        let parsed = Command::new("/bin/sh").arg("-n").arg(path).status().expect("a shell");
        assert!(parsed.success(), "{name}");
    }
}

/// A program of that name before all others.
fn stand_in(recipe: &Recipe, name: &str, script: &str) {
    let folder = recipe.path("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    let program = folder.join(name);
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("a program");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("a mode");
    let path = std::env::var("PATH").expect("a PATH");
    let path = format!("{}:{}:{path}", folder.display(), server_programs().display());
    recipe.env("PATH", path);
}

#[test]
fn an_exec_that_is_cut_off_and_ends_as_if_all_were_well_is_noticed() {
    let recipe = Recipe::of("kubernetes.sh");
    let database = Database::fresh();
    database.psql("CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 1000) n");
    let dump = recipe
        .typed
        .iter()
        .position(|line| line.contains("sql"))
        .expect("a line");
    let mut words = recipe.words(dump);
    let last = words.last_mut().expect("a command");
    *last = last.replace(" app", &format!(" {}", database.name));
    // What runs in the pod runs here; the user of the tests is another one.
    let port = PostgresServer::shared().port();
    recipe.env("PGHOST", "127.0.0.1");
    recipe.env("PGPORT", port.to_string());
    recipe.env("PGUSER", "backup_tests");
    recipe.env("PGPASSWORD", PASSWORD);
    let exec = "[ \"$1 $2 $3 $4 $5 $6 $7 $8\" = \"exec --namespace shop deploy/db -- pg_dump --username postgres\" ]; shift 8; pg_dump \"$@\"";
    stand_in(&recipe, "kubectl", &format!("set -e; {exec} | head -c 5000; exit 0"));
    let run = recipe.cli().run(&words).exits_with(1);
    assert!(run.stderr().contains("not whole"), "{run}");
    assert_eq!(recipe.ids(), Vec::<String>::new());
    stand_in(&recipe, "kubectl", &format!("set -e; {exec}"));
    let _ = recipe.cli().run(&words).success();
    let restore = recipe
        .typed
        .iter()
        .position(|line| line.contains("restore shop-db"))
        .expect("a line");
    recipe.run(restore);
    let back = std::fs::read_to_string(recipe.path("db.sql")).expect("the dump");
    assert!(back.contains("PostgreSQL database dump complete"));
}

#[test]
fn a_volume_whose_tar_fails_is_no_backup_and_one_that_does_not_comes_back() {
    let recipe = Recipe::of("docker-volume.sh");
    let volume = recipe.path("my-volume");
    std::fs::create_dir_all(volume.join("below")).expect("a folder");
    std::fs::write(volume.join("below/a"), Noise::new(2).bytes(100_000)).expect("a file");
    let run = "[ \"$1 $2 $3 $4\" = 'run --rm -v my-volume:/volume:ro' ]; shift 5; [ \"$1 $2 $3\" = 'tar -C /volume' ]; shift 3; tar -C my-volume \"$@\"";
    stand_in(&recipe, "docker", &format!("set -e; {run} | head -c 60000; exit 2"));
    let _ = recipe.cli().run(recipe.words(0)).exits_with(1);
    assert_eq!(recipe.ids(), Vec::<String>::new());
    stand_in(&recipe, "docker", &format!("set -e; {run}"));
    recipe.run(0);
    recipe.run(1);
    let back = std::fs::read(recipe.path("volume/below/a")).expect("the file");
    assert!(back == std::fs::read(volume.join("below/a")).expect("the file"));
}
