-- A heartbeat through every stage: its last leg is a delivery, made at a final tick and taken by deliver like any other.

alter table endpoint add column heartbeat boolean not null default false;  -- it gets the heartbeat, once a minute

alter table delivery add column tick timestamptz;  -- of a heartbeat: the final tick that it tells of
create index delivery_heartbeat on delivery (tick) where tick is not null;

-- Where the heartbeat goes while no endpoint is marked for it: deliver takes it and posts nothing. It has neither a name nor a
-- URL, so nobody lists it and no route leads to it.
insert into endpoint (endpoint_id, name, url, format, made_by, heartbeat)
values ('00000000-0000-0000-0000-000000000000', '', '', 'citybrain', 'citybrain', true);

-- The same columns, without heartbeats.
create or replace view v_delivery as
  select d.delivery_id, d.webhook_id, e.name as endpoint, d.type, d.alert_ids, d.made_at, d.state, d.attempts, d.next_attempt_at, d.ended_at,
         d.last_error
    from delivery d join endpoint e using (endpoint_id)
   where d.tick is null;
