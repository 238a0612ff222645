-- What operators watch.

-- ---- where an event went -----------------------------------------------------------------------------------------

create index alert_area on alert (area, started_at) where subject is null;
create index delivery_alerts on delivery using gin (alert_ids);

-- ---- the stream ---------------------------------------------------------------------------------------------------

-- Log entries of alerts that are not in the stream yet. Whoever appends to the log puts them here, in its own transaction.
create table stream_waiting (
  waiting_no bigint generated always as identity primary key,
  alert_id   uuid    not null,
  entry      integer not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Numbered by one at a time, after they were committed: whoever has read up to a number has missed nothing before it.
create table stream (
  stream_no bigint generated always as identity primary key,
  at        timestamptz not null default clock_timestamp(),
  alert_id  uuid        not null,
  entry     integer     not null
);

-- What alert has taken is kept for a while, for the stream is read from it, too: passes through `forgotten` are gone.
alter table change_position add column forgotten bigint not null default 0;

create function put_into_stream() returns trigger language plpgsql as $$
begin
  insert into stream_waiting (alert_id, entry)
  select alert_id, entry from fresh where kind <> 'pending' order by at, alert_id, entry;
  return null;
end $$;

create trigger into_stream after insert on alert_log referencing new table as fresh
  for each statement execute function put_into_stream();
