#!/usr/bin/env bash
# The app's own role and database: no superuser, so Postgres keeps its reserved connections for whoever must repair it.
set -euo pipefail
psql -v ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set password="$APP_DB_PASSWORD" <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
CREATE DATABASE app OWNER app;
SQL
