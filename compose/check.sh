#!/usr/bin/env bash
# Checks this folder without starting anything: syntax, and that the parts fit each other and the server's metrics.
# Uses what is at hand: python3 always, docker compose, promtool and caddy if they are there; says what it left out.
set -euo pipefail
cd "$(dirname "$0")"

skipped() { echo "skipped: $*"; }

for script in up.sh check.sh assay/*.sh mongodb/*.sh scylladb/*.sh influxdb/*.sh; do
    bash -n "$script"
done
echo "ok: shell scripts"

python3 check.py

# An old docker without the plugin takes `compose` for a file's name, so it is asked for its version.
if docker compose version >/dev/null 2>&1; then
    docker compose --profile '*' config --quiet
    echo "ok: docker compose config"
elif command -v docker-compose >/dev/null; then
    docker-compose --profile '*' config --quiet
    echo "ok: docker-compose config"
else
    skipped "docker compose config (there is no Docker Compose here)"
fi

if command -v promtool >/dev/null; then
    promtool check config --syntax-only prometheus/prometheus.yml
    promtool check rules prometheus/alerts.yml
    promtool test rules prometheus/alerts_test.yml
    echo "ok: promtool"
else
    skipped "promtool (it is not here): alert rules were only read as YAML"
fi

if command -v caddy >/dev/null; then
    caddy validate --adapter caddyfile --config proxy/Caddyfile >/dev/null 2>&1 || {
        caddy validate --adapter caddyfile --config proxy/Caddyfile
        exit 1
    }
    echo "ok: Caddyfile"
else
    skipped "caddy validate (caddy is not here)"
fi
