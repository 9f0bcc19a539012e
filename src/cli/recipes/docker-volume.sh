#!/bin/sh
# Docker: the files of a volume, as a tar archive.
#
# Back up, from the folder of this file; in a crontab write its full path:
#
#   $ backup-cli backup --name volume --extension tar --command 'sh ./docker-volume.sh my-volume'
#
# A container that only tar runs in reads the volume; the exit status of tar is judged. What writes to the volume must be at
# rest: stop its container first (docker stop), or dump a database by its own program instead of taking its files:
#   backup-cli backup --name db --extension sql --command 'docker exec my-db pg_dump -U postgres app'
# Who may read Docker's own folder, as root may, needs no container, and gets an index of files and chosen files back:
#   backup-cli backup --name volume "$(docker volume inspect --format '{{ .Mountpoint }}' my-volume)"
#
# The tests of this project run it with a stand-in for docker, never with Docker itself.
#
# Restore: into a folder, or into a new volume. The file is written and checked first, so that tar never sees a part of it.
#
#   $ backup-cli restore volume@latest --to ./volume
#   docker volume create new-volume
#   tar -C ./volume --numeric-owner -cf - . | docker run --rm -i -v new-volume:/volume busybox tar -C /volume -xpf -
set -eu

exec docker run --rm -v "$1:/volume:ro" "${DOCKER_IMAGE:-busybox}" tar -C /volume -cf - .
