#!/usr/bin/env python3
"""Fills a folder with many backups and measures what lists and plans of them take.

    benches/many.py --binary target/release/backup-cli --backups 100000

The backups are copies of a small real one, an hour apart, half of them of a second series: data, index and manifest each. The
folder is made once below target/bench/ and used again; --folder puts it elsewhere, a memory file system for example.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

FIRST = datetime.datetime(2010, 1, 1, 2, tzinfo=datetime.timezone.utc)


def run(binary, store, *arguments, **options):
    environment = {**os.environ, "BACKUP_STORE": str(store), "BACKUP_CONFIG": ""}
    return subprocess.run([binary, *arguments], env=environment, check=True, **options)


def template(binary):
    """The data, the index and the manifest of a small backup."""
    with tempfile.TemporaryDirectory() as folder:
        store = pathlib.Path(folder, "store")
        run(binary, store, "backup", "-", "--stdin-name", "app.bin", "--quiet", input=b"small", stdout=subprocess.DEVNULL)
        files = sorted(path for path in store.rglob("*") if path.is_file())
        by_end = {}
        for path in files:
            end = path.name[path.name.index(".bin.gz"):]
            by_end[end] = path.read_bytes()
        return by_end


def fill(folder, binary, backups):
    done = folder / f"filled-{backups}"
    if done.exists():
        return
    parts = template(binary)
    manifest = json.loads(parts[".bin.gz.manifest.json"])
    # A manifest without a seal is as good as one of an older version.
    for field in ("sealed", "seal"):
        manifest.pop(field, None)
    for number in range(backups):
        at = FIRST + datetime.timedelta(hours=number)
        name = "app" if number % 2 else "web"
        day, stamp = at.strftime("%Y%m%d"), at.strftime("%Y%m%d_%H%M%S")
        base = f"{name}_backup_{stamp}"
        below = folder / "store" / day
        below.mkdir(parents=True, exist_ok=True)
        manifest["id"], manifest["name"] = base, name
        manifest["started"] = manifest["finished"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        for item, end in zip(manifest["objects"], (".bin.gz", ".bin.gz.index.gz")):
            item["key"] = f"{day}/{base}{end}"
        (below / f"{base}.bin.gz").write_bytes(parts[".bin.gz"])
        (below / f"{base}.bin.gz.index.gz").write_bytes(parts[".bin.gz.index.gz"])
        (below / f"{base}.bin.gz.manifest.json").write_text(json.dumps(manifest, indent=2))
    done.touch()


def measure(binary, store, arguments):
    """Wall seconds, processor seconds and the peak of resident memory in MiB, in a process that does nothing else."""
    source = (
        "import resource, subprocess, sys, time\n"
        "began = time.monotonic()\n"
        "code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(code, time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
    )
    environment = {**os.environ, "BACKUP_STORE": str(store), "BACKUP_CONFIG": ""}
    said = subprocess.run(
        [sys.executable, "-c", source, binary, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    code, wall, cpu, peak = said.stdout.split()
    return int(code), float(wall), float(cpu), float(peak)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/backup-cli")
    parser.add_argument("--backups", type=int, default=100_000)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("target/bench/many"))
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    fill(arguments.folder, binary, arguments.backups)
    store = (arguments.folder / "store").absolute()
    print(f"{arguments.backups} backups\n\n| command | wall s | CPU s | peak MiB | exit |\n|---|---|---|---|---|")
    for words in (
        "list",
        "list --json",
        "list --name app",
        "list --limit 10",
        "prune --keep-daily 7 --keep-monthly unlimited --dry-run",
        "prune --keep-daily 7 --keep-monthly unlimited --dry-run --json",
        "prune --name app --keep-within 30d --dry-run",
        "cleanup --dry-run",
        "cost",
        "cost --json",
    ):
        code, wall, cpu, peak = measure(binary, store, words.split())
        print(f"| `{words}` | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {code} |", flush=True)


if __name__ == "__main__":
    main()
