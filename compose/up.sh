#!/usr/bin/env bash
# Makes the secrets that are missing, builds the image, starts everything, and waits until all of it is healthy.
# Arguments go to `docker compose up`: ./up.sh --no-build, ./up.sh redpanda mongodb. ./up.sh --secrets-only starts nothing.
set -euo pipefail
cd "$(dirname "$0")"

# Containers read these files as users of their own, so the files are readable; the folder is yours alone.
mkdir -p secrets
chmod 700 secrets
secret() {
    local file="secrets/$1.txt"
    [ -s "$file" ] && return
    # 32 random bytes as hex, without a line's end: some stores would take it for a part of the secret.
    printf '%s%s' "${2:-}" "$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')" >"$file"
    chmod 444 "$file"
    echo "made $file"
}
secret assay_admin_key assay_
secret mongodb_root_password
secret mongodb_assay_password
secret mongodb_keyfile
secret scylladb_password
secret scylladb_admin_password
secret influxdb_password
secret influxdb_token
secret dgraph_token
secret grafana_password
if [ "${1:-}" = --secrets-only ]; then
    exit 0
fi

docker compose up --detach --build --wait --wait-timeout 600 "$@"
docker compose ps --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'
