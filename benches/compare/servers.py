"""The servers that the benches talk to: SeaweedFS, PostgreSQL and MariaDB, in a temporary folder, ended with the bench."""

import atexit
import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
TOOLS = PROJECT / ".test-tools/venv/bin"
ACCESS_KEY, SECRET_KEY, REGION = "AKBENCH0000000000001", "bench/secret000000000000000000000000000", "us-east-1"


def need(path, setup="tests/setup --bench"):
    if not (os.access(path, os.X_OK) if os.sep in str(path) else shutil.which(path)):
        raise SystemExit(f"`{path}` is missing: run {setup}")
    return str(path)


def free_port():
    """A port that is free, and the one 10,000 above it too, where SeaweedFS listens for gRPC."""
    for port in range(12_000 + os.getpid() % 5_000, 22_000):
        try:
            for number in (port, port + 10_000):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", number))
        except OSError:
            continue
        if port not in free_port.taken:
            free_port.taken.add(port)
            return port
    raise SystemExit("no free port")


free_port.taken = set()


class Process:
    """A server process that ends with this one."""

    def __init__(self, argv, folder, environment, user=None, signal="KILL"):
        prefix = [need("setpriv"), "--pdeathsig", signal]
        if user:
            prefix += [f"--reuid={user}", f"--regid={user}", "--init-groups"]
        self.log = open(folder / f"{pathlib.Path(argv[0]).name}.log", "wb")
        self.child = subprocess.Popen(
            prefix + ["--"] + argv,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.signal = signal
        atexit.register(self.end)

    def end(self):
        if self.child.poll() is None:
            self.child.send_signal(getattr(__import__("signal"), f"SIG{self.signal}"))
            self.child.wait()

    def cpu_seconds(self):
        """User and system time so far."""
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until(self, ready):
        for _ in range(1200):
            if self.child.poll() is not None:
                raise SystemExit(f"a server ended: see {self.log.name}")
            if ready():
                return
            time.sleep(0.05)
        raise SystemExit(f"a server did not start: see {self.log.name}")


def scratch(root):
    """A folder that goes away with this process."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="backup-cli-bench-", dir=root))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


class Seaweed:
    """One SeaweedFS process."""

    def __init__(self, root):
        need(TOOLS / "weed")
        folder = scratch(root)
        ports = {name: free_port() for name in ("master", "volume", "filer", "s3", "admin")}
        environment = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
            "HOME": str(folder),
            "TMPDIR": str(folder),
        }
        argv = [str(TOOLS / "weed"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-bucket=bench"]
        argv += [f"-{name}.port={port}" for name, port in ports.items()]
        argv += [f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock"]
        argv += ["-volume.max=500", "-master.volumeSizeLimitMB=4096", "-master.telemetry=false", "-s3.port.iceberg=0"]
        argv += ["-s3.port.lance=0", "-admin.ui=false", "-webdav=false"]
        self.process = Process(argv, folder, environment)
        for name, port in ports.items():
            atexit.register(pathlib.Path(f"/tmp/seaweedfs-{name}-grpc-{port + 10_000}.sock").unlink, missing_ok=True)
        self.endpoint = f"http://127.0.0.1:{ports['s3']}"
        # The same objects, without signatures: for whoever looks at them behind the contenders' backs.
        self.filer = f"http://127.0.0.1:{ports['filer']}"
        self.environment = {
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.process.wait_until(self.answers)
        self.process.wait_until(lambda: self.aws("s3", "cp", "-", "s3://bench/ready", input=b"x").returncode == 0)

    def answers(self):
        try:
            urllib.request.urlopen(self.endpoint + "/healthz", timeout=2)
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def aws(self, *arguments, **options):
        return subprocess.run(["aws", *arguments], env=self.environment | {"HOME": "/nonexistent"}, capture_output=True, **options)

    def stored_bytes(self, prefix):
        """The sum of what lies below a prefix."""
        lines = self.aws("s3", "ls", "--recursive", "--summarize", f"s3://bench/{prefix}").stdout.decode().splitlines()
        return sum(int(line.split()[2]) for line in lines if line[:4].isdigit())

    def remove(self, prefix):
        self.aws("s3", "rm", "--recursive", "--quiet", f"s3://bench/{prefix}")


class Postgres:
    """One PostgreSQL server."""

    PASSWORD = "bench password"

    def __init__(self, root):
        def version(path):
            digits = pathlib.Path(path).parent.parent.name
            return int(digits) if digits.isdigit() else 0

        servers = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=version)
        programs = pathlib.Path(servers[-1] if servers else need("postgres", "tests/setup")).parent
        folder = scratch(root)
        user = None
        if os.geteuid() == 0:
            user = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        (folder / "password").write_text(self.PASSWORD)
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "bench", "--pwfile", str(folder / "password")]
        initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        setup = Process(initdb, folder, {}, user)
        if setup.child.wait() != 0:
            raise SystemExit(f"initdb failed: see {setup.log.name}")
        self.port = free_port()
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        settings += ["dynamic_shared_memory_type=mmap", "shared_buffers=256MB", "max_wal_size=4GB"]
        argv = [str(programs / "postgres"), "-D", str(folder / "data")] + [word for s in settings for word in ("-c", s)]
        self.process = Process(argv, folder, {}, user, signal="QUIT")
        self.environment = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "bench", "PGPASSWORD": self.PASSWORD}
        self.process.wait_until(lambda: self.psql("postgres", "SELECT 1").returncode == 0)

    def psql(self, database, sql):
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | self.environment
        argv = ["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
        return subprocess.run(argv, env=environment, input=sql.encode(), capture_output=True)

    def must(self, database, sql):
        done = self.psql(database, sql)
        if done.returncode != 0:
            raise SystemExit(f"psql failed: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def url(self, database):
        return f"postgres://bench:{self.PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"


class MariaDb:
    """One MariaDB server."""

    PASSWORD = "bench password"

    def __init__(self, root):
        folder = scratch(root)
        user = None
        if os.geteuid() == 0:
            user = "mysql" if any(entry.pw_name == "mysql" for entry in pwd.getpwall()) else "nobody"
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        install = [need("mariadb-install-db", "tests/setup"), "--no-defaults", f"--datadir={folder}/data", "--skip-test-db"]
        setup = Process(install + ["--auth-root-authentication-method=normal"], folder, {}, user)
        if setup.child.wait() != 0:
            raise SystemExit(f"mariadb-install-db failed: see {setup.log.name}")
        self.port = free_port()
        self.socket = folder / "socket"
        program = "/usr/sbin/mariadbd" if os.access("/usr/sbin/mariadbd", os.X_OK) else need("mariadbd", "tests/setup")
        settings = [f"datadir={folder}/data", f"socket={self.socket}", f"port={self.port}", "bind-address=127.0.0.1"]
        settings += ["skip-name-resolve", "innodb-buffer-pool-size=512M", "innodb-log-file-size=512M"]
        settings += ["innodb-flush-log-at-trx-commit=0", "innodb-doublewrite=0", "performance-schema=OFF"]
        settings += ["character-set-server=utf8mb4", "max-allowed-packet=64M"]
        self.process = Process([program, "--no-defaults"] + [f"--{one}" for one in settings], folder, {}, user)
        account = f"CREATE USER bench@'%' IDENTIFIED BY '{self.PASSWORD}'; GRANT ALL ON *.* TO bench@'%'; DROP USER root@localhost"
        self.process.wait_until(lambda: self.sql("", account, user="root", password="").returncode == 0)
        self.environment = {"MYSQL_PWD": self.PASSWORD}

    def client(self, user="bench"):
        """The client's options, without the password."""
        return ["--no-defaults", f"--socket={self.socket}", f"--user={user}", "--default-character-set=utf8mb4"]

    def sql(self, database, sql, user="bench", password=PASSWORD):
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | ({"MYSQL_PWD": password} if password else {})
        argv = ["mariadb", *self.client(user), "--batch", "--skip-column-names", database]
        return subprocess.run(argv, env=environment, input=sql.encode(), capture_output=True)

    def must(self, database, sql):
        done = self.sql(database, sql)
        if done.returncode != 0:
            raise SystemExit(f"mariadb failed: {done.stderr.decode()}")
        return done.stdout.decode().strip()
