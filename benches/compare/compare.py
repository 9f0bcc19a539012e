#!/usr/bin/env python3
"""Compares backup-cli with the pipelines and tools that people use instead. See benches/README.md."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import inputs
import ranged
from measure import measure
from servers import PROJECT, MariaDb, Postgres, Seaweed, need, scratch

# Orders of a database of some 1 GB.
DATABASE_ROWS = 4_500_000

# How many times the tree must fit where restores go: one restored tree takes a sixth more than the bytes of its files.
RESTORE_ROOM = 4

POSIX_TAR = "tar --format=posix --pax-option=delete=atime,delete=ctime"

SHELL = ["/bin/bash", "-euo", "pipefail", "-c"]


class Bench:
    """The servers, the inputs, and the commands of each contender."""

    def __init__(self, options):
        self.options = options
        self.root = pathlib.Path(options.folder).resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self.binary = pathlib.Path(options.binary or build()).resolve()
        self.scratch = scratch(self.root)
        self.restored = scratch(restore_folder(options).resolve())
        self.seaweed = Seaweed(self.root)
        self.environment = self.seaweed.environment | {
            "HOME": str(self.scratch),
            "RESTIC_PASSWORD": "bench",
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ENDPOINT": self.seaweed.endpoint,
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
            # What it keeps about each run must not grow into the next.
            "RESTIC_CACHE_DIR": str(self.scratch / "restic-cache"),
            "TMPDIR": str(self.scratch),
        }

    def measured(self, argv, **more):
        environment = self.environment | more
        return measure(argv, environment, self.scratch, self.seaweed.process)

    def shell(self, script, *arguments, **more):
        return self.measured([*SHELL, script, "bench", *map(str, arguments)], **more)

    def ours(self, *arguments, **more):
        return self.measured([str(self.binary), *map(str, arguments)], **more)

    def prepare_restic(self, repository):
        """An empty repository is not what is measured."""
        shutil.rmtree(self.scratch / "restic-cache", ignore_errors=True)
        done = subprocess.run(["restic", "-q", "-r", repository, "init"], env=self.environment, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"restic init failed: {done.stderr.decode()}")


def restore_folder(options):
    """Where restored trees go: into memory if there is room for several, for a disk counts what was deleted there before."""
    memory = pathlib.Path("/dev/shm")
    if options.restore_to:
        folder = pathlib.Path(options.restore_to)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    if memory.is_dir() and shutil.disk_usage(memory).free >= RESTORE_ROOM * options.bytes:
        return memory
    return pathlib.Path(options.folder)


def build():
    print("building the release binary", file=sys.stderr)
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=PROJECT, check=True)
    return PROJECT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/backup-cli"


# A contender is (name, backup, restore): each takes the bench and a prefix of its own and returns a measured run.


def tree_contenders(bench, tree):
    parent, name = tree.parent, tree.name
    restic = f"s3:{bench.seaweed.endpoint}/bench"

    def target():
        folder = bench.restored / "tree"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def pipeline(compress, put, tar="tar"):
        script = f'{tar} -C "$1" -cf - "$2" | {compress} | {put}'
        return lambda prefix: bench.shell(script, parent, name, prefix)

    def unpipeline(get, decompress):
        return lambda prefix: bench.shell(f'{get} | {decompress} | tar -C "$2" -xf -', prefix, target())

    aws_put, aws_get = 'aws s3 cp --quiet - "s3://bench/$3/o"', 'aws s3 cp --quiet "s3://bench/$1/o" -'
    rclone_put, rclone_get = 'rclone rcat "bench:bench/$3/o"', 'rclone cat "bench:bench/$1/o"'

    def ours_backup(prefix):
        return bench.ours("backup", tree, "--name", "bench", "--no-progress", BACKUP_STORE=f"s3://bench/{prefix}")

    def ours_restore(prefix):
        # A folder that is not there yet, as a user has it.
        where = target() / "new"
        return bench.ours("restore", "latest", "--name", "bench", "--to", where, BACKUP_STORE=f"s3://bench/{prefix}")

    def restic_backup(prefix):
        bench.prepare_restic(f"{restic}/{prefix}")
        return bench.shell('restic -q -r "$1" backup "$2"', f"{restic}/{prefix}", tree)

    def restic_restore(prefix):
        return bench.shell('restic -q -r "$1" restore latest --target "$2"', f"{restic}/{prefix}", target())

    return [
        ("backup-cli", ours_backup, ours_restore),
        ("tar | gzip | aws s3 cp", pipeline("gzip", aws_put), unpipeline(aws_get, "gunzip")),
        ("tar | pigz | aws s3 cp", pipeline("pigz", aws_put), unpipeline(aws_get, "pigz -d")),
        # The same with what our archive keeps and tar's own format does not: the fractions of the times of change.
        ("tar posix | gzip | aws s3 cp", pipeline("gzip", aws_put, POSIX_TAR), unpipeline(aws_get, "gunzip")),
        ("tar | pigz | rclone rcat", pipeline("pigz", rclone_put), unpipeline(rclone_get, "pigz -d")),
        ("restic", restic_backup, restic_restore),
    ]


def database_contenders(bench, postgres, database):
    environment = postgres.environment
    restic = f"s3:{bench.seaweed.endpoint}/bench"
    counter = iter(range(1_000_000))

    def fresh():
        """An empty database, for those who cannot make one."""
        for old in postgres.must("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'restored%'").split():
            postgres.must("postgres", f'DROP DATABASE "{old}"')
        name = f"restored{next(counter)}"
        return name

    def pipeline(rest):
        return lambda prefix: bench.shell(f'pg_dump -w -d "$1" | {rest}', database, "", prefix, **environment)

    def unpipeline(get):
        def restore(prefix):
            name = fresh()
            postgres.must("postgres", f'CREATE DATABASE "{name}"')
            return bench.shell(f'{get} | psql -Xqw -v ON_ERROR_STOP=1 -1 -d "$2"', prefix, name, **environment)

        return restore

    aws_put, aws_get = 'aws s3 cp --quiet - "s3://bench/$3/o"', 'aws s3 cp --quiet "s3://bench/$1/o" -'

    def ours_backup(*options):
        def backup(prefix):
            url = f"postgres://bench@127.0.0.1:{postgres.port}/{database}"
            store = {"BACKUP_STORE": f"s3://bench/{prefix}"}
            return bench.ours("backup", url, "--name", "bench", "--no-progress", *options, **store, **environment)

        return backup

    def folder():
        """Where pg_dump's directory format lies on its way: it cannot be streamed."""
        where = bench.scratch / "directory"
        shutil.rmtree(where, ignore_errors=True)
        return where

    def directory_backup(prefix):
        script = 'pg_dump -w -Fd -j 2 -f "$2" -d "$1" && aws s3 cp --quiet --recursive "$2" "s3://bench/$3/o" && rm -r "$2"'
        return bench.shell(script, database, folder(), prefix, **environment)

    def directory_restore(prefix):
        name = fresh()
        postgres.must("postgres", f'CREATE DATABASE "{name}"')
        script = 'aws s3 cp --quiet --recursive "s3://bench/$1/o" "$2" && pg_restore -w -j 2 --exit-on-error -d "$3" "$2" && rm -r "$2"'
        return bench.shell(script, prefix, folder(), name, **environment)

    def ours_restore(prefix):
        url = f"postgres://bench@127.0.0.1:{postgres.port}/{fresh()}"
        return bench.ours("restore", "latest", "--name", "bench", "--to", url, BACKUP_STORE=f"s3://bench/{prefix}", **environment)

    def restic_backup(prefix):
        bench.prepare_restic(f"{restic}/{prefix}")
        script = 'pg_dump -w -d "$1" | restic -q -r "$2" backup --stdin --stdin-filename dump.sql'
        return bench.shell(script, database, f"{restic}/{prefix}", **environment)

    def restic_restore(prefix):
        name = fresh()
        postgres.must("postgres", f'CREATE DATABASE "{name}"')
        script = 'restic -q -r "$1" dump latest dump.sql | psql -Xqw -v ON_ERROR_STOP=1 -1 -d "$2"'
        return bench.shell(script, f"{restic}/{prefix}", name, **environment)

    return [
        ("backup-cli", ours_backup(), ours_restore),
        ("backup-cli --jobs 2", ours_backup("--jobs", "2"), ours_restore),
        ("backup-cli --format custom", ours_backup("--format", "custom"), ours_restore),
        ("pg_dump -Fd -j 2, aws s3 cp", directory_backup, directory_restore),
        ("pg_dump | gzip | aws s3 cp", pipeline(f"gzip | {aws_put}"), unpipeline(f"{aws_get} | gunzip")),
        ("pg_dump | pigz | aws s3 cp", pipeline(f"pigz | {aws_put}"), unpipeline(f"{aws_get} | pigz -d")),
        ("pg_dump | pigz | rclone rcat", pipeline('pigz | rclone rcat "bench:bench/$3/o"'), unpipeline('rclone cat "bench:bench/$1/o" | pigz -d')),
        ("restic", restic_backup, restic_restore),
    ]


def mariadb_contenders(bench, mariadb, database):
    environment = mariadb.environment
    client = " ".join(mariadb.client())
    dump = f"mariadb-dump {client} --single-transaction --quick --routines --events --triggers --hex-blob --no-tablespaces"
    counter = iter(range(1_000_000))

    def fresh():
        """The name of a database that is not there."""
        for old in mariadb.must("", "SHOW DATABASES LIKE 'restored%'").split():
            mariadb.must("", f"DROP DATABASE `{old}`")
        return f"restored{next(counter)}"

    def pipeline(rest):
        return lambda prefix: bench.shell(f'{dump} "$1" | {rest}', database, "", prefix, **environment)

    def unpipeline(get):
        def restore(prefix):
            name = fresh()
            mariadb.must("", f"CREATE DATABASE `{name}`")
            return bench.shell(f'{get} | mariadb {client} --binary-mode "$2"', prefix, name, **environment)

        return restore

    def url(name):
        return f"mysql://bench@localhost/{name}?socket={mariadb.socket}"

    def ours_backup(prefix):
        store = {"BACKUP_STORE": f"s3://bench/{prefix}"}
        return bench.ours("backup", url(database), "--name", "bench", "--no-progress", **store, **environment)

    def ours_restore(prefix):
        store = {"BACKUP_STORE": f"s3://bench/{prefix}"}
        return bench.ours("restore", "latest", "--name", "bench", "--to", url(fresh()), **store, **environment)

    aws_put, aws_get = 'aws s3 cp --quiet - "s3://bench/$3/o"', 'aws s3 cp --quiet "s3://bench/$1/o" -'
    return [
        ("backup-cli", ours_backup, ours_restore),
        ("mariadb-dump | gzip | aws s3 cp", pipeline(f"gzip | {aws_put}"), unpipeline(f"{aws_get} | gunzip")),
        ("mariadb-dump | pigz | aws s3 cp", pipeline(f"pigz | {aws_put}"), unpipeline(f"{aws_get} | pigz -d")),
    ]


def compare(bench, contenders, title):
    """Runs every contender in every round, each round in another order, and prints the tables."""
    only = bench.options.only
    contenders = [one for one in contenders if not only or any(word in one[0] for word in only)]
    backups, restores, stored = ({name: [] for name, _, _ in contenders} for _ in range(3))
    for number in range(bench.options.rounds):
        turn = number % len(contenders)
        for name, backup, restore in contenders[turn:] + contenders[:turn]:
            prefix = f"{title}-{number}-{''.join(c for c in name if c.isalnum())}"
            print(f"{title}, round {number + 1}: {name}", file=sys.stderr)
            run, _ = backup(prefix)
            backups[name].append(run)
            stored[name].append(bench.seaweed.stored_bytes(prefix + "/"))
            if not bench.options.no_restore:
                run, _ = restore(prefix)
                restores[name].append(run)
            bench.seaweed.remove(prefix)
    report = {"title": title, "backup": table(f"{title}: backup", backups, stored)}
    if not bench.options.no_restore:
        report["restore"] = table(f"{title}: restore", restores, None)
    return report


def table(title, runs, stored):
    """Prints the best and the median of each contender, and how many times ours they take."""
    rows = {}
    for name, list_ in runs.items():
        rows[name] = {
            "wall_min": min(run.wall for run in list_),
            "wall_median": statistics.median(run.wall for run in list_),
            "cpu_median": statistics.median(run.cpu for run in list_),
            "server_cpu_median": statistics.median(run.server_cpu for run in list_),
            "peak_mib": max(run.peak_bytes for run in list_) / (1 << 20),
            "stored_mb": statistics.median(stored[name]) / 1e6 if stored else None,
        }
    ours = rows.get("backup-cli")
    print(f"\n{title} ({len(next(iter(runs.values())))} rounds; x = times backup-cli's figure)")
    print(f"{'':30}{'wall min':>16}{'wall median':>16}{'CPU':>16}{'peak MiB':>16}{'stored MB':>16}{'server CPU':>12}")
    for name, row in rows.items():
        cells = []
        for key, digits in (("wall_min", 2), ("wall_median", 2), ("cpu_median", 2), ("peak_mib", 0), ("stored_mb", 1)):
            value = row[key]
            if value is None:
                cells.append("")
                continue
            ratio = f" {value / ours[key]:5.2f}x" if ours and ours[key] else ""
            cells.append(f"{value:.{digits}f}{ratio}")
        print(f"{name:30}" + "".join(f"{cell:>16}" for cell in cells) + f"{row['server_cpu_median']:>12.2f}")
    return rows


def run_tree(bench):
    tree, files, size = inputs.make_tree(bench.root, bench.options.files, bench.options.bytes, bench.options.times)
    print(f"tree: {files} files, {size / 1e6:.0f} MB", file=sys.stderr)
    # Everybody finds the tree in memory: disks differ more than tools do.
    subprocess.run([*SHELL, 'tar -C "$1" -cf - . | cat >/dev/null', "bench", str(tree)], check=True)
    return compare(bench, tree_contenders(bench, tree), "tree")


def run_database(bench):
    postgres = Postgres(bench.root)
    postgres.must("postgres", "CREATE DATABASE bench")
    print(f"filling a database of {bench.options.rows} orders", file=sys.stderr)
    postgres.must("bench", inputs.DATABASE_SQL.format(rows=bench.options.rows))
    postgres.must("bench", "VACUUM ANALYZE")
    size = int(postgres.must("bench", "SELECT pg_database_size('bench')"))
    print(f"database: {size / 1e6:.0f} MB", file=sys.stderr)
    return compare(bench, database_contenders(bench, postgres, "bench"), "database")


def run_mariadb(bench):
    mariadb = MariaDb(bench.root)
    mariadb.must("", "CREATE DATABASE bench")
    print(f"filling a MariaDB database of {bench.options.rows} orders", file=sys.stderr)
    mariadb.must("bench", inputs.mariadb_sql(bench.options.rows))
    size = int(mariadb.must("", "SELECT SUM(DATA_LENGTH + INDEX_LENGTH) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'bench'"))
    print(f"database: {size / 1e6:.0f} MB", file=sys.stderr)
    return compare(bench, mariadb_contenders(bench, mariadb, "bench"), "mariadb")


def run_memory(bench):
    """Peak memory of ours alone, at sizes at which anything that grows shows."""
    tree, _, _ = inputs.make_tree(bench.root, bench.options.files, bench.options.bytes, bench.options.times)
    archive = bench.scratch / "tree.tar"
    subprocess.run(["tar", "-C", str(tree.parent), "-cf", str(archive), tree.name], check=True)
    many = inputs.make_many(bench.root, bench.options.many)
    feeder = f"{sys.executable} {pathlib.Path(inputs.__file__).resolve()} {archive} {bench.options.stream}"
    cases = [
        (f"stream of {bench.options.stream / 1e9:g} GB", ["backup", "--command", feeder, "--name", "stream"], "stream"),
        (f"tree of {bench.options.many} files", ["backup", str(many), "--name", "many"], "many"),
    ]
    rows, bound_bytes = {}, 128 << 20
    for name, arguments, series in cases:
        prefix = f"memory-{series}"
        print(f"memory: {name}", file=sys.stderr)
        store = f"s3://bench/{prefix}"
        run, _ = bench.ours(*arguments, "--no-progress", BACKUP_STORE=store)
        rows[f"backup, {name}"] = (run.largest_bytes, run.wall)
        if series == "stream":
            script = '"$1" restore latest --name stream --to - | cat >/dev/null'
            run, _ = bench.shell(script, bench.binary, BACKUP_STORE=store)
        else:
            where = bench.scratch / "many-restored"
            run, _ = bench.ours("restore", "latest", "--name", series, "--to", where, BACKUP_STORE=store)
            shutil.rmtree(where, ignore_errors=True)
        rows[f"restore, {name}"] = (run.largest_bytes, run.wall)
        bench.seaweed.remove(prefix)
    print("\npeak resident memory of backup-cli (bound: 128 MiB)")
    for name, (peak_bytes, wall) in rows.items():
        print(f"{name:50}{peak_bytes / (1 << 20):8.1f} MiB {wall:8.1f} s {'' if peak_bytes <= bound_bytes else '  ABOVE THE BOUND'}")
    if any(peak_bytes > bound_bytes for peak_bytes, _ in rows.values()):
        bench.failed = True
    return {"title": "memory", "rows": {name: {"peak_bytes": peak, "wall": wall} for name, (peak, wall) in rows.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", nargs="*", default=["tree", "database"], help="tree, database, mariadb, memory, ranged (default: tree database)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs")
    parser.add_argument("--only", action="append", help="only contenders whose name holds this; repeatable")
    parser.add_argument("--no-restore", action="store_true")
    parser.add_argument("--binary", help="the backup-cli to measure, instead of building one")
    parser.add_argument("--folder", default=str(PROJECT / "target/bench"), help="for inputs, servers and restored files")
    parser.add_argument("--restore-to", metavar="FOLDER", help="where trees are restored (default: /dev/shm if there is room, else --folder)")
    parser.add_argument("--files", type=int, default=inputs.TREE_FILES)
    parser.add_argument("--bytes", type=int, default=inputs.TREE_BYTES)
    parser.add_argument("--times", choices=inputs.TIMES, default="own", help="how the tree's files are dated: as the sources are, as a fresh copy, or each at random to the nanosecond")
    parser.add_argument("--rows", type=int, default=DATABASE_ROWS, help="orders in a database; the default is some 1 GB on the server's disk")
    parser.add_argument("--stream", type=int, default=10_000_000_000, help="bytes of the memory bench's stream")
    parser.add_argument("--many", type=int, default=1_000_000, help="files of the memory bench's tree")
    parser.add_argument("--ranged-files", type=int, default=46_000, help="files of 10 KB in the ranged bench's archive")
    parser.add_argument("--ranged-bytes", type=int, default=10_000_000_000, help="bytes of that archive, with large files between")
    parser.add_argument("--json", help="also write all figures to this file")
    options = parser.parse_args()
    for tool in ("tar", "gzip", "gunzip", "pigz", "restic", "rclone", "psql", "pg_dump", "mariadb", "mariadb-dump"):
        need(tool)
    kinds = {"tree": run_tree, "database": run_database, "mariadb": run_mariadb, "memory": run_memory, "ranged": ranged.run}
    unknown = [name for name in options.bench if name not in kinds]
    if unknown:
        parser.error(f"no such bench: {' '.join(unknown)}")
    bench = Bench(options)
    bench.failed = False
    reports = [kinds[name](bench) for name in options.bench]
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(reports, indent=2) + "\n")
    raise SystemExit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
