"""One file of 10 KB out of an archive of 10 GB: how much is transferred, and how long it takes."""

import hashlib
import pathlib
import random
import shutil
import socket
import sys
import threading

SMALL_BYTES = 10_000
LARGE_BYTES = 128 << 20
FILES_PER_FOLDER = 500


class Counter:
    """A proxy before the server that counts what the server sends."""

    BLOCK_BYTES = 256 * 1024

    def __init__(self, endpoint):
        host, port = endpoint.removeprefix("http://").split(":")
        self.server = (host, int(port))
        self.sent_bytes = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(self.server)
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, target, counted in ((client, server, False), (server, client, True)):
                threading.Thread(target=self.pump, args=(source, target, counted), daemon=True).start()

    def pump(self, source, target, counted):
        try:
            while block := source.recv(self.BLOCK_BYTES):
                target.sendall(block)
                if counted:
                    with self.lock:
                        self.sent_bytes += len(block)
        except OSError:
            pass
        for connection in (source, target):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def make_tree(root, files, total_bytes):
    """`files` files of 10 KB, and between them large ones up to `total_bytes`; none of it compresses.

    The large ones are all the same, which spares the disk of whoever deduplicates, and nobody reads them but the pipeline.
    """
    tree = root / f"ranged-{files}-{total_bytes}"
    if (root / f"{tree.name}.done").exists():
        return tree
    shutil.rmtree(tree, ignore_errors=True)
    noise = random.Random(5)
    for number in range(files):
        folder = tree / f"{number // FILES_PER_FOLDER:05}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"file-{number:07}").write_bytes(noise.randbytes(SMALL_BYTES))
    left, number = total_bytes - files * SMALL_BYTES, 0
    large = [noise.randbytes(1 << 20) for _ in range(LARGE_BYTES >> 20)]
    folders = sorted(tree.iterdir())
    while left > 0:
        with open(folders[number * 7919 % len(folders)] / f"large-{number:05}", "wb") as file:
            file.writelines(large)
        left -= LARGE_BYTES
        number += 1
    (root / f"{tree.name}.done").touch()
    return tree


def contenders(bench, counter, tree, wanted, prefix):
    """(name, command): each writes the wanted file somewhere of its own."""
    path = f"{tree.name}/{wanted.relative_to(tree)}"
    through = {"AWS_ENDPOINT_URL": counter.endpoint}
    store = through | {"BACKUP_STORE": f"s3://bench/{prefix}-ours"}
    repository = f"s3:{counter.endpoint}/bench/{prefix}-restic"

    def target():
        folder = bench.scratch / "ranged-restored"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def ours():
        where = target()
        run, _ = bench.ours("restore", "latest", path, "--to", where / "new", **store)
        return run, where / "new" / path

    def ours_to_stdout():
        where = target() / "file"
        run, _ = bench.shell('"$1" restore latest "$2" --to - >"$3"', bench.binary, path, where, **store)
        return run, where

    def restic_restore():
        where = target()
        # What a fresh machine has; with a warm cache of the repository the index is there already.
        shutil.rmtree(bench.scratch / "restic-cache", ignore_errors=True)
        run, _ = bench.shell('restic -q -r "$1" restore latest --target "$2" --include "$3"', repository, where, wanted)
        return run, where / str(wanted).lstrip("/")

    def restic_warm():
        where = target()
        run, _ = bench.shell('restic -q -r "$1" restore latest --target "$2" --include "$3"', repository, where, wanted)
        return run, where / str(wanted).lstrip("/")

    def pipeline():
        where = target()
        keys = bench.seaweed.aws("s3", "ls", "--recursive", f"s3://bench/{prefix}-ours/").stdout.decode().split()
        key = next(word for word in keys if word.endswith(".tar.gz"))
        script = 'aws s3 cp --quiet "s3://bench/$1" - | gunzip | tar -C "$2" -xf - "$3"'
        run, _ = bench.shell(script, key, where, path, **through)
        return run, where / path

    return [
        ("backup-cli restore PATH --to DIR", ours),
        ("backup-cli restore PATH --to -", ours_to_stdout),
        ("restic restore --include, no cache", restic_restore),
        ("restic restore --include, cached", restic_warm),
        ("aws s3 cp - | gunzip | tar x FILE", pipeline),
    ]


def run(bench):
    options = bench.options
    tree = make_tree(bench.root, options.ranged_files, options.ranged_bytes)
    smalls = sorted(path for path in tree.rglob("file-*"))
    wanted = smalls[len(smalls) // 2]
    digest = hashlib.sha256(wanted.read_bytes()).digest()
    prefix = "ranged"
    print("ranged: the backups", file=sys.stderr)
    store = f"s3://bench/{prefix}-ours"
    bench.ours("backup", tree, "--name", "ranged", "--level", "1", "--no-progress", BACKUP_STORE=store)
    repository = f"s3:{bench.seaweed.endpoint}/bench/{prefix}-restic"
    bench.prepare_restic(repository)
    bench.shell('restic -q -r "$1" backup "$2"', repository, tree)
    listed = bench.seaweed.aws("s3", "ls", "--recursive", f"s3://bench/{prefix}-ours/").stdout.decode().splitlines()
    index_bytes = next(int(line.split()[2]) for line in listed if line.endswith(".index.gz"))
    stored_bytes = bench.seaweed.stored_bytes(f"{prefix}-ours/")
    rows = {}
    counter = Counter(bench.seaweed.endpoint)
    for number in range(options.rounds):
        for name, command in contenders(bench, counter, tree, wanted, prefix):
            if options.only and not any(word in name for word in options.only):
                continue
            # The pipeline reads everything, and takes as long each time.
            if number > 0 and name.startswith("aws"):
                continue
            print(f"ranged, round {number + 1}: {name}", file=sys.stderr)
            before = counter.sent_bytes
            measured, found = command()
            sent = counter.sent_bytes - before
            if hashlib.sha256(pathlib.Path(found).read_bytes()).digest() != digest:
                raise SystemExit(f"{name} brought something else")
            rows.setdefault(name, []).append((measured.wall, sent, measured.cpu))
    print(f"\none file of {SMALL_BYTES} bytes out of {stored_bytes / 1e9:.2f} GB stored, {options.ranged_files} files; index {index_bytes / 1e6:.2f} MB")
    print(f"{'':40}{'wall min s':>12}{'median s':>12}{'CPU s':>10}{'MB sent by the server':>24}")
    report = {}
    for name, runs in rows.items():
        walls = sorted(wall for wall, _, _ in runs)
        sent = min(sent for _, sent, _ in runs)
        cpu = min(cpu for _, _, cpu in runs)
        print(f"{name:40}{walls[0]:>12.2f}{walls[len(walls) // 2]:>12.2f}{cpu:>10.2f}{sent / 1e6:>24.2f}")
        report[name] = {"wall_min": walls[0], "wall_median": walls[len(walls) // 2], "cpu": cpu, "sent_bytes": sent}
    bench.seaweed.remove(f"{prefix}-ours")
    bench.seaweed.remove(f"{prefix}-restic")
    return {"title": "ranged", "index_bytes": index_bytes, "stored_bytes": stored_bytes, "rows": report}
