#!/bin/sh
# Reads secrets from files into the environment, then becomes the given program.
set -eu

if [ -n "${ASSAY_ADMIN_KEY_FILE:-}" ]; then
    ASSAY_ADMIN_KEY=$(cat "$ASSAY_ADMIN_KEY_FILE")
    # The server makes its first key of the one, the command line sends the other.
    export ASSAY_ADMIN_KEY ASSAY_KEY="$ASSAY_ADMIN_KEY"
fi
if [ -n "${MONGODB_PASSWORD_FILE:-}" ]; then
    ASSAY_MONGODB__URI="mongodb://assay:$(cat "$MONGODB_PASSWORD_FILE")@mongodb:27017/?replicaSet=rs0&authSource=assay"
    export ASSAY_MONGODB__URI
fi
exec "$@"
