#!/usr/bin/env python3
"""Runs the same faults against backup-cli and against the pipelines that people use instead, and counts what they claim.

Usage: scoreboard.py [--offsets N] [--only WORD] [--faults WORD] [--binary FILE] [--page tests/FAULTS.md]

Real PostgreSQL, real SeaweedFS; the only stand-in is a `pg_dump` that runs the real one and ends as told. A *false success*
is a run that exited with 0, or left what anybody would take for the newest good backup, although the dump is not whole.
"""

import argparse
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compare"))

from compare import build  # noqa: E402
from measure import descendants  # noqa: E402
from servers import PROJECT, Postgres, Seaweed, need, scratch  # noqa: E402

DATABASE = "shop"
# A run that has not ended by then is interrupted, as an operator would.
PATIENCE_SECONDS = 60
# Where a dump waits for its server to go away: what follows is more than the sockets between the two hold.
MIDDLE_BYTES = 1_000_000
BEGIN, END = "<!-- scoreboard: begin -->", "<!-- scoreboard: end -->"

SHIM = """#!/bin/bash
for word in "$@"; do [ "$word" = --version ] && exec "$REAL_PG_DUMP" --version; done
if [ -n "$GATE" ]; then
    "$REAL_PG_DUMP" "$@" | { head -c "$CUT"; : >"$GATE.reached"; until [ -e "$GATE" ]; do sleep 0.02; done; exec cat; }
    exit "${PIPESTATUS[0]}"
fi
if [ "$CUT" = whole ]; then "$REAL_PG_DUMP" "$@"; else "$REAL_PG_DUMP" "$@" 2>/dev/null | head -c "$CUT"; fi
case $END in
    signal-*) kill -s "${END#signal-}" $$ ;;
    *) exit "$END" ;;
esac
"""


def pipeline(shell, upload):
    def backup(board, prefix):
        script = f"pg_dump -w -d {DATABASE} | gzip | {upload.format(key=f'{prefix}/shop.sql.gz')}"
        return [*shell, script]

    return backup


SH, BASH = ["/bin/sh", "-c"], ["/bin/bash", "-o", "pipefail", "-c"]
AWS, RCLONE = "aws s3 cp --quiet - s3://bench/{key}", "rclone rcat bench:bench/{key}"


class Plain:
    """An object `shop.sql.gz` that a pipeline wrote."""

    def __init__(self, name, shell, upload, download, members):
        self.name, self.shell, self.backup, self.download, self.members = name, shell, pipeline(shell, upload), download, members

    def prepare(self, board, prefix):
        pass

    def content(self, board, prefix):
        """What the newest backup holds; None if there is none."""
        stored = board.get(f"{prefix}/shop.sql.gz")
        if stored is None:
            return None
        try:
            return gzip.decompress(stored)
        except (OSError, EOFError):
            return b"damaged"

    def stored(self, board, prefix):
        return [f"{prefix}/shop.sql.gz"]

    def restore(self, board, prefix, target):
        script = f"{self.download.format(key=f'{prefix}/shop.sql.gz')} | gunzip | psql -Xqw -v ON_ERROR_STOP=1 -1 -d {target}"
        return [*self.shell, script]

    def restore_file(self, board, prefix, target):
        return [*self.shell, f"{self.download.format(key=f'{prefix}/shop.sql.gz')} | gunzip >{target}"]

    def makes_target(self):
        return False


class Restic:
    """A snapshot with the dump as its only file."""

    name, members = "pg_dump \\| restic backup --stdin (bash, pipefail)", ["pg_dump", "restic"]

    def prepare(self, board, prefix):
        board.must(["restic", "-q", "-r", board.restic(prefix), "init"])

    def backup(self, board, prefix):
        script = f"pg_dump -w -d {DATABASE} | restic -q --no-cache -r {board.restic(prefix)} backup --stdin --stdin-filename shop.sql"
        return [*BASH, script]

    def content(self, board, prefix):
        done = board.run(["restic", "-q", "--no-cache", "--no-lock", "-r", board.restic(prefix), "dump", "latest", "/shop.sql"])
        return done.output if done.code == 0 else None

    def stored(self, board, prefix):
        """The packs with the content, the largest first."""
        listed = board.listed(f"{prefix}/data/")
        return [key for key, _ in sorted(listed.items(), key=lambda one: -one[1])][:1]

    def restore(self, board, prefix, target):
        dump = f"restic -q --no-cache -r {board.restic(prefix)} dump latest /shop.sql"
        return [*BASH, f"{dump} | psql -Xqw -v ON_ERROR_STOP=1 -1 -d {target}"]

    def restore_file(self, board, prefix, target):
        return [*BASH, f"restic -q --no-cache -r {board.restic(prefix)} dump latest /shop.sql >{target}"]

    def makes_target(self):
        return False


class Ours:
    """backup-cli itself."""

    name, members = "backup-cli", ["pg_dump", "backup-cli"]

    def prepare(self, board, prefix):
        pass

    def arguments(self, board, prefix):
        return [str(board.binary), "--store", f"s3://bench/{prefix}", "--no-progress", "--name", "shop"]

    def backup(self, board, prefix):
        return [*self.arguments(board, prefix), "backup", board.postgres.url(DATABASE), "--part-size", "5MiB"]

    def content(self, board, prefix):
        listed = board.run([*self.arguments(board, prefix), "list", "--json"])
        if listed.code != 0 or not json.loads(listed.output or b"[]"):
            return None
        done = board.run([*self.arguments(board, prefix), "restore", "latest", "--to", "-"])
        return done.output if done.code == 0 else b"damaged"

    def stored(self, board, prefix):
        return [key for key in board.listed(f"{prefix}/") if key.endswith(".sql.gz")]

    def restore(self, board, prefix, target):
        return [*self.arguments(board, prefix), "restore", "latest", "--to", board.postgres.url(target)]

    def restore_file(self, board, prefix, target):
        return [*self.arguments(board, prefix), "restore", "latest", "--to", target]

    def makes_target(self):
        return True


CONTENDERS = [
    Plain("pg_dump \\| gzip \\| aws s3 cp - (sh)", SH, AWS, "aws s3 cp --quiet s3://bench/{key} -", ["pg_dump", "gzip", "aws"]),
    Plain("the same (bash, pipefail)", BASH, AWS, "aws s3 cp --quiet s3://bench/{key} -", ["pg_dump", "gzip", "aws"]),
    Plain("pg_dump \\| gzip \\| rclone rcat (bash, pipefail)", BASH, RCLONE, "rclone cat bench:bench/{key}", ["pg_dump", "gzip", "rclone"]),
    Restic(),
    Ours(),
]


class Done:
    def __init__(self, code, output, words):
        self.code, self.output, self.words = code, output, words


class CuttingProxy:
    """Passes bytes on to the store, and breaks the connection that carries the byte with the given number."""

    def __init__(self, port, cut_at, for_good):
        self.target, self.cut_at, self.for_good, self.seen, self.is_cut = port, cut_at, for_good, 0, False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.for_good and self.is_cut:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            for one, other, counts in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.pass_on, args=(one, other, counts), daemon=True).start()

    def pass_on(self, one, other, counts):
        try:
            while block := one.recv(1 << 16):
                if counts:
                    with self.lock:
                        self.seen += len(block)
                        cut = self.seen >= self.cut_at and (self.for_good or not self.is_cut)
                        self.is_cut |= cut
                    if cut:
                        break
                other.sendall(block)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Board:
    """The servers, the dump, and the counts."""

    def __init__(self, options):
        self.options = options
        root = pathlib.Path(options.folder).resolve()
        root.mkdir(parents=True, exist_ok=True)
        self.binary = pathlib.Path(options.binary or build()).resolve()
        self.scratch = scratch(root)
        self.seaweed, self.postgres = Seaweed(root), Postgres(root)
        self.store_port = int(self.seaweed.endpoint.rsplit(":", 1)[1])
        programs = self.scratch / "bin"
        programs.mkdir()
        (programs / "pg_dump").write_text(SHIM)
        (programs / "pg_dump").chmod(0o755)
        real = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))[-1]
        self.environment = self.seaweed.environment | self.postgres.environment | {
            "PATH": f"{programs}:{self.seaweed.environment['PATH']}",
            "REAL_PG_DUMP": str(real),
            "HOME": str(self.scratch),
            "TMPDIR": str(self.scratch),
            "RESTIC_PASSWORD": "bench",
            "RCLONE_CONFIG_BENCH_TYPE": "s3",
            "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
            "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
            "RCLONE_CONFIG_BENCH_ENDPOINT": self.seaweed.endpoint,
            "CUT": "whole",
            "END": "0",
        }
        self.endpoint = self.seaweed.endpoint
        self.counter = 0
        self.rows = {}
        self.postgres.must("postgres", f"CREATE DATABASE {DATABASE}")
        self.postgres.must(
            DATABASE,
            "CREATE TABLE orders AS SELECT n AS id, (SELECT string_agg(md5(random()::text || n || m), '') FROM"
            " generate_series(1, 30) m) AS line FROM generate_series(1, 20000) n; CREATE TABLE last AS SELECT 1 AS one;",
        )
        self.dump = self.must([str(real), "-w", "-d", DATABASE]).output
        self.digest = self.sign(self.dump)

    @staticmethod
    def sign(dump):
        """Of everything but the two lines whose key is random by design."""
        lines = [line for line in dump.split(b"\n") if not line.startswith((b"\\restrict ", b"\\unrestrict "))]
        return hashlib.sha256(b"\n".join(lines)).hexdigest()

    def restic(self, prefix):
        return f"s3:{self.endpoint}/bench/{prefix}"

    def start(self, argv, more):
        environment = self.environment | {"AWS_ENDPOINT_URL": self.endpoint, "RCLONE_CONFIG_BENCH_ENDPOINT": self.endpoint} | more
        out = tempfile.TemporaryFile(dir=self.scratch)
        words = tempfile.TemporaryFile(dir=self.scratch)
        child = subprocess.Popen(argv, cwd=self.scratch, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=words, start_new_session=True)
        return child, out, words

    @staticmethod
    def end(started, patience=PATIENCE_SECONDS):
        child, out, words = started
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        # What a killed shell started may still be writing.
        for _ in range(100):
            try:
                os.killpg(child.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.1)
        else:
            os.killpg(child.pid, signal.SIGKILL)
        out.seek(0)
        words.seek(0)
        return Done(child.returncode, out.read(), words.read().decode(errors="replace"))

    def run(self, argv, **more):
        return self.end(self.start(argv, more))

    def must(self, argv, **more):
        done = self.run(argv, **more)
        if done.code != 0:
            raise SystemExit(f"`{' '.join(map(str, argv))}` failed: {done.words}")
        return done

    # Behind the contenders' backs, by the filer of the store: its files are the objects.

    def filer(self, method, path, body=None, **headers):
        url = f"{self.seaweed.filer}/buckets/bench/{urllib.parse.quote(path)}"
        if method == "DELETE":
            url += "?recursive=true&ignoreRecursiveError=true"
        request = urllib.request.Request(url + ("?limit=100000" if headers else ""), data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def get(self, key):
        return self.filer("GET", key)

    def put(self, key, content):
        self.filer("PUT", key, content)

    def remove(self, prefix):
        self.filer("DELETE", prefix.rstrip("/") + "/")

    def entries(self, folder):
        listed = self.filer("GET", folder.rstrip("/") + "/", Accept="application/json")
        return (json.loads(listed).get("Entries") or []) if listed else []

    def listed(self, folder):
        """Every object below a folder, with its size."""
        found = {}
        for entry in self.entries(folder):
            path = entry["FullPath"].removeprefix("/buckets/bench/")
            if entry["Mode"] & 0x8000_0000:
                found |= self.listed(path)
            else:
                found[path] = entry["FileSize"]
        return found

    def take_uploads(self):
        """How many uploads nobody has ended; they are thrown away."""
        count = len(self.entries(".uploads"))
        for entry in self.entries(".uploads"):
            self.remove(entry["FullPath"].removeprefix("/buckets/bench/"))
        return count

    def fresh(self, contender):
        self.counter += 1
        prefix = f"run{self.counter}"
        contender.prepare(self, prefix)
        return prefix

    def fresh_target(self, contender):
        self.counter += 1
        target = f"restored{self.counter}"
        if not contender.makes_target():
            self.postgres.must("postgres", f"CREATE DATABASE {target}")
        return target

    def count(self, fault, contender, **counts):
        row = self.rows.setdefault(fault, {}).setdefault(contender.name, {})
        for name, value in counts.items():
            row[name] = row.get(name, 0) + int(value)

    # Backups.

    def judge(self, fault, contender, prefix, done, baseline):
        """Counts what a run claims, and what it left."""
        content = contender.content(self, prefix)
        whole = content is not None and self.sign(content) == self.digest
        false = not whole and (done.code == 0 or content is not None)
        found = False
        if false and content is not None:
            target = self.fresh_target(contender)
            found = self.run(contender.restore(self, prefix, target)).code != 0
            self.postgres.psql("postgres", f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        # A good backup's own objects are no rubbish, nor is an empty repository.
        left = 0 if content is not None else len(set(self.listed(f"{prefix}/")) - baseline)
        self.count(
            fault, contender,
            runs=1, false=false, said=not whole and done.code == 0, found=found, left=left, uploads=self.take_uploads(), whole=whole,
        )
        self.remove(prefix)

    def backup(self, fault, contender, **more):
        prefix = self.fresh(contender)
        baseline = set(self.listed(f"{prefix}/"))
        done = self.run(contender.backup(self, prefix), **more)
        self.judge(fault, contender, prefix, done, baseline)

    def cuts(self):
        count = self.options.offsets
        return [len(self.dump) * part // (count + 1) for part in range(1, count + 1)]

    def dump_dies(self, contender):
        for cut in self.cuts():
            self.backup("the dump exits with 1 after n bytes", contender, CUT=str(cut), END="1")

    def dump_is_killed(self, contender):
        for cut in self.cuts():
            self.backup("the dump is killed after n bytes", contender, CUT=str(cut), END="signal-KILL")

    def dump_fails_at_its_end(self, contender):
        for status in ("1", "3", "signal-TERM"):
            self.backup("the dump fails after its last byte", contender, END=status)

    def dump_is_short(self, contender):
        for cut in [0, *self.cuts()]:
            self.backup("the dump is cut off and exits with 0", contender, CUT=str(cut), END="0")

    def in_the_middle(self, fault, contender, harm):
        prefix = self.fresh(contender)
        baseline = set(self.listed(f"{prefix}/"))
        gate = self.scratch / f"gate{self.counter}"
        started = self.start(contender.backup(self, prefix), {"GATE": str(gate), "CUT": str(MIDDLE_BYTES)})
        reached = pathlib.Path(f"{gate}.reached")
        while not reached.exists():
            if started[0].poll() is not None:
                raise SystemExit(f"{contender.name} ended before the middle: {self.end(started).words}")
            time.sleep(0.02)
        # What has been read so far is on its way.
        time.sleep(0.5)
        harm(started[0].pid)
        gate.write_text("")
        self.judge(fault, contender, prefix, self.end(started), baseline)

    def server_goes(self, contender):
        def terminate(_):
            self.postgres.must("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'")

        def crash(_):
            pid = self.postgres.must("postgres", f"SELECT pid FROM pg_stat_activity WHERE datname = '{DATABASE}' LIMIT 1")
            os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.5)
            while self.postgres.psql(DATABASE, "SELECT 1").returncode != 0:
                time.sleep(0.1)

        for harm in (terminate, crash):
            self.in_the_middle("the server ends the session, or restarts", contender, harm)

    def member_is_killed(self, contender):
        def killer(name):
            def kill(pid):
                names = {}
                for member in [pid, *descendants(pid)]:
                    try:
                        names[member] = pathlib.Path(f"/proc/{member}/comm").read_text().strip()
                    except OSError:
                        pass
                chosen = [member for member, comm in names.items() if comm == name]
                if not chosen:
                    raise SystemExit(f"no `{name}` among {names}")
                for member in chosen:
                    os.kill(member, signal.SIGKILL)

            return kill

        for name in contender.members:
            self.in_the_middle("kill -9 of one process of the pipeline", contender, killer(name))

    def connection_breaks(self, contender):
        size = len(self.dump) // 2
        for for_good, fault in ((False, "the upload's connection breaks once"), (True, "the store goes away in mid-upload")):
            for at in (size // 4, size // 2):
                prefix = self.fresh(contender)
                baseline = set(self.listed(f"{prefix}/"))
                proxy = CuttingProxy(self.store_port, at, for_good)
                direct, self.endpoint = self.endpoint, f"http://127.0.0.1:{proxy.port}"
                try:
                    done = self.run(contender.backup(self, prefix))
                finally:
                    self.endpoint = direct
                    proxy.close()
                self.judge(fault, contender, prefix, done, baseline)

    # Restores.

    def good(self, contender):
        prefix = self.fresh(contender)
        self.must(contender.backup(self, prefix))
        return prefix

    def restore_damaged(self, contender):
        prefix = self.good(contender)
        key = contender.stored(self, prefix)[0]
        whole = self.get(key)
        places = [len(whole) * part // (self.options.offsets + 1) for part in range(1, self.options.offsets + 1)]
        flipped = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in places]
        shortened = [whole[:at] for at in [*places, len(whole) - 8]]
        for fault, damaged in (("a stored byte was changed", flipped), ("the stored object was cut off", shortened)):
            for content in damaged:
                self.put(key, content)
                target = self.fresh_target(contender)
                done = self.run(contender.restore(self, prefix, target))
                rows = self.postgres.psql(target, "SELECT count(*) FROM orders")
                changed = rows.returncode == 0
                same = changed and rows.stdout.strip() == b"20000" and self.sign(self.run([self.environment["REAL_PG_DUMP"], "-w", "-d", target]).output) == self.digest
                self.count(fault, contender, runs=1, false=done.code == 0 and not same, touched=done.code != 0 and changed, same=same)
                self.postgres.psql("postgres", f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        self.remove(prefix)

    def restore_without_room(self, contender):
        prefix = self.good(contender)
        for megabytes in (1, 3):
            small = self.scratch / "small"
            small.mkdir(exist_ok=True)
            script = 'mount -t tmpfs -o "size=$1m" tmpfs "$2"; shift 2; "$@"; code=$?; ls -1 "$SMALL" >&2; exit $code'
            argv = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "/bin/sh", "-c", script, "sh", str(megabytes), str(small)]
            done = self.run([*argv, *contender.restore_file(self, prefix, f"{small}/shop.sql")], SMALL=str(small))
            left = done.words.rstrip().endswith("shop.sql")
            self.count("no room for the restored file", contender, runs=1, false=done.code == 0, touched=left, same=False)
        self.remove(prefix)


FAULTS = ["dump_dies", "dump_is_killed", "dump_fails_at_its_end", "dump_is_short", "server_goes", "member_is_killed", "connection_breaks", "restore_damaged", "restore_without_room"]


def table(board, contenders):
    """The figures as Markdown."""
    names = [one.name for one in contenders]
    lines = []

    def rows(title, header, cell, kind):
        lines.extend([f"**{title}**", "", "| " + " | ".join([header, *names]) + " |", "|" + "---|" * (len(names) + 1)])
        totals = {name: {} for name in names}
        for fault, row in board.rows.items():
            if ("touched" in next(iter(row.values()))) != kind:
                continue
            for name in names:
                for key, value in row.get(name, {}).items():
                    totals[name][key] = totals[name].get(key, 0) + value
            lines.append("| " + " | ".join([fault, *(cell(row.get(name, {})) for name in names)]) + " |")
        lines.append("| **all** | " + " | ".join(f"**{cell(totals[name])}**" for name in names) + " |")
        lines.append("")
        return totals

    def of(one, *keys):
        return " / ".join(str(one.get(key, 0)) for key in keys) + f" of {one['runs']}" if one else "–"

    totals = rows("Backups: false successes", "fault", lambda one: of(one, "false"), False)
    lines.extend(["| of all backups | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)])
    for title, key in (
        ("exited with 0 although the dump is not whole", "said"),
        ("of the false successes, noticed by a restore into a database", "found"),
        ("objects left without a backup", "left"),
        ("unfinished uploads left", "uploads"),
        ("whole all the same (the fault was survived)", "whole"),
    ):
        lines.append("| " + " | ".join([title, *(str(totals[name].get(key, 0)) for name in names)]) + " |")
    lines.append("")
    rows("Restores: exited with 0 with other content / failed and left the target changed", "fault", lambda one: of(one, "false", "touched"), True)
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offsets", type=int, default=6, help="places of the dump at which it ends")
    parser.add_argument("--only", action="append", help="only contenders whose name holds this; repeatable")
    parser.add_argument("--faults", action="append", help=f"only these: {' '.join(FAULTS)}; repeatable")
    parser.add_argument("--binary", help="the backup-cli to use, instead of building one")
    parser.add_argument("--folder", default=str(PROJECT / "target/bench"), help="for servers and restored files")
    parser.add_argument("--json", help="also write all counts to this file; faults that are not run now keep the counts that it has")
    parser.add_argument("--page", help="put the table between its marks in this file")
    options = parser.parse_args()
    for tool in ("gzip", "gunzip", "restic", "rclone", "psql", "unshare"):
        need(tool)
    board = Board(options)
    contenders = [one for one in CONTENDERS if not options.only or any(word in one.name for word in options.only)]
    for fault in options.faults or FAULTS:
        for contender in contenders:
            began = time.monotonic()
            getattr(board, fault)(contender)
            print(f"{fault}: {contender.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.faults and options.json and os.path.exists(options.json):
        kept = json.loads(pathlib.Path(options.json).read_text())
        board.rows = {fault: board.rows.get(fault, row) for fault, row in kept.items()} | board.rows
    text = table(board, contenders)
    print(text)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(board.rows, indent=2) + "\n")
    if options.page:
        page = pathlib.Path(options.page)
        before, rest = page.read_text().split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")
    ours = [row.get(Ours.name, {}) for row in board.rows.values()]
    raise SystemExit(1 if any(one.get("false") or one.get("touched") for one in ours) else 0)


if __name__ == "__main__":
    main()
