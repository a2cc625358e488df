// Runs once, on an empty database: Assay's user, which may read and write its own database only.
const password = require('fs').readFileSync('/run/secrets/mongodb_assay_password', 'utf8').trim();
db.getSiblingDB('assay').createUser({
  user: 'assay',
  pwd: password,
  roles: [{ role: 'readWrite', db: 'assay' }],
});
