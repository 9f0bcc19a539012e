"""What the benches back up: a tree of real source code, a database, and endless streams. Deterministic on one machine."""

import hashlib
import os
import pathlib
import shutil
import sys

TREE_BYTES = 670_000_000
TREE_FILES = 46_000

# Source code and what lies beside it in a project; no archives, no images, no generated documentation.
SUFFIXES = frozenset(
    ".rs .c .h .cc .cpp .hpp .hh .inc .s .S .asm .pl .pm .py .pyi .js .mjs .cjs .ts .go .java .rb .sh .lua .el .tcl .vim "
    ".toml .md .txt .rst .css .yaml .yml .cmake .m4 .proto .sql .json .xml".split()
)
FILE_BYTES_MAX = 1 << 20


def source_folders():
    """Where a development machine keeps source code, the best first."""
    home = pathlib.Path.home()
    cargo = pathlib.Path(os.environ.get("CARGO_HOME", home / ".cargo"))
    rustup = pathlib.Path(os.environ.get("RUSTUP_HOME", home / ".rustup"))
    folders = [cargo / "registry/src"]
    folders += sorted(rustup.glob("toolchains/*/lib/rustlib/src"))
    folders += [pathlib.Path("/usr/include"), pathlib.Path(sys.base_prefix), pathlib.Path("/usr/lib/python3")]
    folders += [pathlib.Path(p) for p in ("/usr/share/perl", "/usr/lib/node_modules", "/usr/lib/gcc", "/usr/lib", "/usr/share")]
    return [folder for folder in folders if folder.is_dir()]


def candidates():
    """(digest, bytes, path) of different files: replicated content would favour tools that deduplicate."""
    seen_content, seen_path, found = set(), set(), []
    for folder in source_folders():
        for top, folders, files in os.walk(folder):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(top, name)
                if os.path.splitext(name)[1] not in SUFFIXES or os.path.islink(path) or path in seen_path:
                    continue
                seen_path.add(path)
                try:
                    with open(path, "rb") as file:
                        content = file.read(FILE_BYTES_MAX + 1)
                except OSError:
                    continue
                if not 0 < len(content) <= FILE_BYTES_MAX or b"\0" in content[:4096]:
                    continue
                digest = hashlib.sha256(content).digest()
                if digest not in seen_content:
                    seen_content.add(digest)
                    found.append((digest, len(content), path))
    return found


def choose(found, files_wanted, bytes_wanted):
    """So many files of so many bytes in all, in an order that the content alone decides."""
    found = sorted(found)
    chosen, rest = found[:files_wanted], found[files_wanted:]
    total = sum(size for _, size, _ in chosen)
    # Swap files one by one until the sum fits; each swap moves it towards the goal without overshooting.
    at = 0
    for position, (_, size, _) in enumerate(chosen):
        missing = bytes_wanted - total
        if abs(missing) < 100_000 or at >= len(rest):
            break
        gain = rest[at][1] - size
        if (gain > 0) == (missing > 0) and abs(gain) <= abs(missing):
            chosen[position], rest[at] = rest[at], chosen[position]
            total += gain
        at += 1
    return chosen


TIMES = ("own", "now", "random")


def make_tree(folder, files=TREE_FILES, size=TREE_BYTES, times="own"):
    """The tree below `folder`, made once; returns (path, files, bytes).

    `times` says how it is dated, which counts because our archive keeps the fractions of seconds and GNU tar's does not: with the
    sources' `own` times, as whoever published and unpacked them left them; as a fresh copy or checkout, `now`; or each
    file to the nanosecond at `random`, which nothing can compress.
    """
    tree = folder / f"source-{times}-{files}-{size}"
    done = folder / f"{tree.name}.done"
    if not done.exists():
        shutil.rmtree(tree, ignore_errors=True)
        print(f"making the input tree in {tree} (once)", file=sys.stderr)
        count = total = 0
        for digest, bytes_, path in choose(candidates(), files, size):
            # The folders stay as they are: files that belong together lie together, as in any tree of sources.
            target = tree / os.path.relpath(path, "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            if times == "own":
                shutil.copystat(path, target)
            if times == "random":
                os.utime(target, ns=(0, 1_600_000_000_000_000_000 + int.from_bytes(digest[5:11], "big")))
            count, total = count + 1, total + bytes_
        if times == "own":
            # The deepest first: what is made in a folder dates it anew.
            for top, _, _ in os.walk(tree, topdown=False):
                shutil.copystat("/" / pathlib.Path(top).relative_to(tree), top)
        done.write_text(f"{count} {total}")
    count, total = map(int, done.read_text().split())
    return tree, count, total


def make_many(folder, files):
    """A tree of very many tiny files, a hundred to a folder."""
    tree = folder / f"many-{files}"
    done = folder / f"{tree.name}.done"
    if not done.exists():
        shutil.rmtree(tree, ignore_errors=True)
        print(f"making {files} files in {tree} (once)", file=sys.stderr)
        for first in range(0, files, 100):
            top = tree / f"{first // 10_000:04d}" / f"{first // 100:06d}"
            top.mkdir(parents=True)
            for number in range(first, min(first + 100, files)):
                with open(top / f"file-{number:08d}.txt", "w") as file:
                    file.write(f"content of file {number}\n")
        done.write_text(str(files))
    return tree


# Tables as applications have them: keys, times, JSON, prose, few distinct words, numbers.
DATABASE_SQL = """
SELECT setseed(0.5);
CREATE TABLE customers AS
  SELECT id, md5(id::text) || '@example.com' AS email, 'Customer ' || id AS name,
         timestamp '2020-01-01' + id * interval '1 minute' AS created
  FROM generate_series(1, {rows} / 10) AS id;
ALTER TABLE customers ADD PRIMARY KEY (id);
CREATE TABLE orders AS
  SELECT id, (random() * {rows} / 10)::int + 1 AS customer, (random() * 100000)::int / 100.0 AS amount,
         (ARRAY['new', 'paid', 'sent', 'returned'])[1 + (random() * 3)::int] AS state,
         timestamp '2021-01-01' + id * interval '13 seconds' AS placed,
         jsonb_build_object('sku', (random() * 5000)::int, 'count', (random() * 9)::int, 'gift', random() < 0.1) AS line
  FROM generate_series(1, {rows}) AS id;
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer);
CREATE TABLE notes AS
  SELECT id, (random() * {rows})::int AS order_id,
         repeat(md5((id % 1000)::text) || ' was called about order ' || id || '. ', 1 + (random() * 5)::int) AS body
  FROM generate_series(1, {rows} / 4) AS id;
CREATE TABLE files AS
  SELECT id, decode(md5(id::text) || md5((id + 1)::text) || md5((id * 7)::text), 'hex') AS content
  FROM generate_series(1, {rows} / 8) AS id;
"""

# The same for MariaDB.
MARIADB_SQL = """
CREATE TABLE customers (id int PRIMARY KEY, email varchar(100), name varchar(100), created datetime);
INSERT INTO customers SELECT seq, concat(md5(seq), '@example.com'), concat('Customer ', seq),
  timestamp('2020-01-01') + INTERVAL seq MINUTE FROM seq_1_to_{customers};
CREATE TABLE orders (id int PRIMARY KEY, customer int, amount decimal(10, 2), state varchar(10), placed datetime, line json, KEY (customer));
INSERT INTO orders SELECT seq, floor(rand(seq) * {customers}) + 1, floor(rand(seq + 1) * 100000) / 100,
  elt(1 + floor(rand(seq + 2) * 4), 'new', 'paid', 'sent', 'returned'), timestamp('2021-01-01') + INTERVAL seq * 13 SECOND,
  json_object('sku', floor(rand(seq + 3) * 5000), 'count', floor(rand(seq + 4) * 9), 'gift', rand(seq + 5) < 0.1)
  FROM seq_1_to_{rows};
CREATE TABLE notes (id int PRIMARY KEY, order_id int, body text);
INSERT INTO notes SELECT seq, floor(rand(seq) * {rows}),
  repeat(concat(md5(seq % 1000), ' was called about order ', seq, '. '), 1 + floor(rand(seq + 6) * 5)) FROM seq_1_to_{notes};
CREATE TABLE files (id int PRIMARY KEY, content varbinary(100));
INSERT INTO files SELECT seq, unhex(concat(md5(seq), md5(seq + 1), md5(seq * 7))) FROM seq_1_to_{files};
"""


def mariadb_sql(rows):
    """The statements that fill a MariaDB database of so many orders."""
    return MARIADB_SQL.format(rows=rows, customers=max(rows // 10, 1), notes=max(rows // 4, 1), files=max(rows // 8, 1))


def stream(out, file, bytes_):
    """Writes `bytes_` bytes to a descriptor: a file's content over and over, at no cost to speak of.

    A piece at a time: as a child of what is measured, it would otherwise be the one whose peak memory is reported.
    """
    with open(file, "rb", buffering=0) as source:
        while bytes_ > 0:
            block = source.read(min(1 << 20, bytes_))
            if not block:
                source.seek(0)
                continue
            view = memoryview(block)
            while view:
                written = os.write(out, view)
                view = view[written:]
                bytes_ -= written


if __name__ == "__main__":
    # As a child of a bench: the stream for `--command`.
    stream(1, sys.argv[1], int(sys.argv[2]))
