#!/bin/sh
# MongoDB: an archive of mongodump.
#
# Back up, from the folder of this file; in a crontab write its full path:
#
#   $ backup-cli backup --name mongodb --extension archive --command 'sh ./mongodb.sh'
#
# MONGODB_CONFIG names a file of mode 0600 with the line `uri: mongodb://user:password@host/?authSource=admin`: a URI on the
# command line shows its password to every user of the machine. The exit status of mongodump is judged. The whole server is
# dumped; with a replica set, MONGODB_OPLOG=yes makes it the state of one moment.
#
# The tests of this project check its syntax only: no MongoDB can be installed where they run.
#
# Restore; --drop replaces the collections that are there, --nsFrom and --nsTo bring them back under other names:
#
#   $ backup-cli restore mongodb@latest --to ./mongodb.archive
#   $ mongorestore ${MONGODB_CONFIG:+--config="$MONGODB_CONFIG"} --archive=./mongodb.archive --drop
#
# (With MONGODB_OPLOG, add --oplogReplay.)
set -eu

exec mongodump ${MONGODB_CONFIG:+--config="$MONGODB_CONFIG"} ${MONGODB_OPLOG:+--oplog} --archive
