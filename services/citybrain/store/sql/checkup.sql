-- name: clock
-- The database's clock.
select clock_timestamp()

-- name: server
-- Version, TimescaleDB's version, size, and whether anything was ever migrated.
select current_setting('server_version'), (select extversion from pg_extension where extname = 'timescaledb'),
       pg_database_size(current_database()), to_regclass('migration') is not null

-- name: migrations
-- Names of what was applied.
select name from migration order by name

-- name: contents
-- The version of the profile in force, and how many keys are valid.
select (select version from profile order by loaded_at desc limit 1), (select count(*) from api_key where revoked_at is null and (expires_at is null or expires_at > now()))
