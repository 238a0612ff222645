-- Rollup is shared by processes. A series' number says its shard: series_no % 16.

-- Through which moment a shard has made its minutes, and its hours and days; for all of them rollup_state says it.
create table rollup_shard (
  shard           smallint primary key,
  minutes_through timestamptz,
  final_through   timestamptz
);
insert into rollup_shard (shard) select generate_series(0, 15);

-- What one shard made dirty for another. Nothing is called complete before it is made.
alter table dirty add column handed_on boolean not null default false;
alter table dirty_later add column handed_on boolean not null default false;
create index dirty_handed_on on dirty (series) where handed_on;
create index dirty_later_handed_on on dirty_later (series) where handed_on;
