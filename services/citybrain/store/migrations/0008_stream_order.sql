-- The stream tells what one transaction found out in an order that does not hang on chance: by the tick that entries tell of, then
-- by rule and scope. The entries of one alert stay in the order of its log.
create or replace function put_into_stream() returns trigger language plpgsql as $$
begin
  insert into stream_waiting (alert_id, entry)
  select alert_id, entry
    from (select f.alert_id, f.entry, f.kind, a.rule, a.scope,
                 coalesce(max(f.tick) over (partition by f.alert_id order by f.entry), '-infinity') as through
            from fresh f join alert a using (alert_id)) e
   where kind <> 'pending'
   order by through, rule, scope, alert_id, entry;
  return null;
end $$;
