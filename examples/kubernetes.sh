#!/bin/sh
# Kubernetes: what a namespace is made of, and a database that runs in it.
#
# Back up, from the folder of this file; in a crontab write its full path:
#
#   $ backup-cli backup --name shop-objects --extension yaml --command 'sh ./kubernetes.sh objects shop'
#   $ backup-cli backup --name shop-db --extension sql --command 'sh ./kubernetes.sh postgres shop deploy/db app'
#
# `objects` are all namespaced objects of the namespace as YAML, Secrets included, so encrypt the backup: --recipient.
# kubectl ends with an error if it may not read one of the kinds. `postgres` runs pg_dump in a pod, as its user postgres.
# An exec that the network cuts off may end as if all were well: that is noticed by the missing end of the dump.
#
# The tests of this project run `postgres` with a stand-in for kubectl, never in a cluster; of `objects` they check the syntax.
#
# Restore:
#
#   $ backup-cli restore shop-objects@latest --to ./objects.yaml
#   $ backup-cli restore shop-db@latest --to ./db.sql
#   kubectl apply -n shop -f ./objects.yaml
#   kubectl exec -i -n shop deploy/db -- psql -X -v ON_ERROR_STOP=1 -1 -U postgres app < ./db.sql
set -eu

case ${1:-} in
    objects)
        kinds=$(kubectl api-resources --namespaced --verbs=list -o name)
        kinds=$(printf '%s\n' "$kinds" | grep -v -E '^events(\.|$)' | paste -s -d , -)
        exec kubectl get "$kinds" --namespace "$2" --output yaml
        ;;
    postgres)
        exec kubectl exec --namespace "$2" "$3" -- pg_dump --username postgres --no-password "$4"
        ;;
    *)
        echo "usage: kubernetes.sh objects NAMESPACE | postgres NAMESPACE POD DATABASE" >&2
        exit 2
        ;;
esac
