#!/bin/sh
# etcd: a snapshot of one member of a cluster.
#
# Back up, from the folder of this file; in a crontab write its full path:
#
#   $ backup-cli backup --name etcd --extension db --command 'sh ./etcd.sh'
#
# etcdctl is told by its own variables where to go and who it is: ETCDCTL_ENDPOINTS (exactly one for a snapshot),
# ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY, ETCDCTL_USER (name:password). It writes snapshots to files only, so this takes
# room for one in TMPDIR. The server sends the SHA-256 of the snapshot behind it; it is compared before the first byte
# leaves, because `etcdctl snapshot status` takes a snapshot without its end for a whole one.
#
# Restore, for a cluster of one member; for more, each with its --name and --initial-cluster:
#
#   $ backup-cli restore etcd@latest --to ./snapshot.db
#   $ ETCDCTL_API=3 etcdctl snapshot restore ./snapshot.db --data-dir ./restored
#
# Then start etcd with --data-dir ./restored.
set -eu

export ETCDCTL_API=3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 143' HUP INT TERM

# Without this, a snapshot of a server that is not there waits for ever.
etcdctl endpoint health >&2
timeout "${ETCD_TIMEOUT:-1h}" etcdctl snapshot save "$folder/snapshot.db" >&2

said=$(tail -c 32 "$folder/snapshot.db" | od -An -v -tx1 | tr -d ' \n')
found=$(head -c -32 "$folder/snapshot.db" | sha256sum | cut -c 1-64)
if [ "$said" != "$found" ]; then
    echo "etcd.sh: the snapshot is not whole: its SHA-256 is $found instead of $said" >&2
    exit 1
fi
cat "$folder/snapshot.db"
