#!/bin/sh
# LDAP: the entries of an OpenLDAP server (slapd) as LDIF.
#
# Back up, from the folder of this file; in a crontab write its full path:
#
#   $ backup-cli backup --name ldap --extension ldif --command 'sh ./ldap.sh'
#
# slapcat runs on the server's machine, as root or as the server's user, and reads the database beside a running slapd (with
# the backend mdb, the default, it sees one state of it). It needs no password, and operational attributes and the hashes
# of passwords are in its output, so encrypt the backup: --recipient. LDAP_DATABASE is the number of the database, 1 if not
# set; 0 is the configuration (cn=config), which is worth a backup of its own:
#
#   LDAP_DATABASE=0 backup-cli backup --name ldap-config --extension ldif --command 'sh ./ldap.sh'
#
# LDAP_CONFIG is the folder of the configuration, where it is not the distribution's. From another machine, use instead
#   ldapsearch -o ldif-wrap=no -LLL -x -D cn=admin,dc=example,dc=org -y PASSWORD-FILE -b dc=example,dc=org '*' '+'
# whose exit status is not 0 if the server cuts the answer short (sizelimit).
#
# Restore, into the empty database of a slapd that is stopped:
#
#   $ backup-cli restore ldap@latest --to ./ldap.ldif
#   $ slapadd ${LDAP_CONFIG:+-F "$LDAP_CONFIG"} -q -n "${LDAP_DATABASE:-1}" -l ./ldap.ldif
#
# Run as root, give the files back to the server's user: chown -R openldap: /var/lib/ldap
set -eu

exec slapcat ${LDAP_CONFIG:+-F "$LDAP_CONFIG"} -n "${LDAP_DATABASE:-1}"
