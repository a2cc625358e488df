#!/usr/bin/env bash
# Makes Assay's role and takes the well-known password from the superuser. Does nothing where that was done before.
set -euo pipefail

admin=$(cat /run/secrets/scylladb_admin_password)
assay=$(cat /run/secrets/scylladb_password)
cql() {
    cqlsh scylladb 9042 --username cassandra --password "$1" --execute "$2"
}

# The superuser is made a moment after the port opens: ask until one of the two passwords is taken.
password=
for _ in $(seq 60); do
    for candidate in "$admin" cassandra; do
        if cql "$candidate" "SELECT cluster_name FROM system.local" >/dev/null 2>&1; then
            password=$candidate
            break 2
        fi
    done
    sleep 1
done
if [ -z "$password" ]; then
    echo "scylladb takes neither the password in secrets/scylladb_admin_password.txt nor the first one;" >&2
    echo "if the secrets were made anew, wipe the old data: docker compose down --volumes" >&2
    exit 1
fi

cql "$password" "CREATE ROLE IF NOT EXISTS assay WITH LOGIN = true AND PASSWORD = '$assay'"
cql "$password" "ALTER ROLE assay WITH PASSWORD = '$assay'"
# Assay makes its own keyspace; who makes a keyspace may do everything in it.
cql "$password" "GRANT CREATE ON ALL KEYSPACES TO assay"
if [ "$password" != "$admin" ]; then
    cql "$password" "ALTER ROLE cassandra WITH PASSWORD = '$admin'"
fi
echo "role assay is ready"
