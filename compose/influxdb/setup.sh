#!/usr/bin/env bash
# Makes the bucket of points per minute, and makes or updates each task of tasks/.
set -euo pipefail

INFLUX_TOKEN=$(cat /run/secrets/influxdb_token)
export INFLUX_TOKEN

bucket=$(influx bucket list --hide-headers | awk '$2 == "assay_1m" { print $1 }')
if [ -n "$bucket" ]; then
    influx bucket update --id "$bucket" --retention "$RETENTION_1M"
else
    influx bucket create --name assay_1m --retention "$RETENTION_1M"
fi
tasks=$(influx task list --limit 500 --hide-headers)
for file in /tasks/*.flux; do
    name=$(basename "$file" .flux)
    id=$(awk -v name="$name" '$2 == name { print $1 }' <<<"$tasks")
    if [ -n "$id" ]; then
        influx task update --id "$id" --file "$file"
    else
        influx task create --file "$file"
    fi
done
