#!/usr/bin/env bash
# Begins the replica set if nobody did; succeeds once this member is its primary.
set -euo pipefail

# By its name, not localhost: while the image makes the first users, it listens on localhost only and is not ready.
exec mongosh "mongodb://mongodb:27017/admin?directConnection=true&serverSelectionTimeoutMS=3000" --quiet \
    --username root --password "$(cat /run/secrets/mongodb_root_password)" --eval '
const NOT_YET_INITIALIZED = 94;
try {
  rs.status();
} catch (error) {
  if (error.code !== NOT_YET_INITIALIZED) throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongodb:27017" }] });
}
quit(db.hello().isWritablePrimary ? 0 : 1);
'
