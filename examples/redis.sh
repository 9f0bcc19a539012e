#!/bin/sh
# Redis: a snapshot (RDB) of a running server, made by the server and sent to this script as to a replica.
#
# Back up, from the folder of this file; in a crontab write its full path:
#
#   $ backup-cli backup --name redis --extension rdb --command 'sh ./redis.sh'
#
# The password is in REDISCLI_AUTH, which other users of the machine cannot see, never on the command line.
# REDIS_HOST and REDIS_PORT say where the server is. The exit status of redis-cli is judged: it is not 0 if the server
# refuses, dies, or ends the transfer early, and then there is no backup. A server that sends without a file of its own
# (repl-diskless-sync, the default) lets 40 bytes follow behind the end of the snapshot, which every reader ignores.
#
# Restore:
#
#   $ backup-cli restore redis@latest --to ./dump.rdb
#   $ redis-check-rdb ./dump.rdb
#
# Then stop the server, put the file into its folder under the name that `dbfilename` says, owned by its user, and start
# it with `appendonly no`: with an append-only file it would read that one instead.
set -eu

exec redis-cli -h "${REDIS_HOST:-127.0.0.1}" -p "${REDIS_PORT:-6379}" --rdb -
