-- name: current
-- The profile that was loaded last.
select profile_no, version from profile order by profile_no desc limit 1

-- name: files
-- The files of a profile.
select name, content from profile_file where profile_no = $1

-- name: add
-- A profile becomes the current one.
insert into profile (version) values ($1) returning profile_no

-- name: add_file
-- One of its files.
insert into profile_file (profile_no, name, content) values ($1, $2, $3)

-- name: clear_areas
-- Make room for the areas of the current profile.
delete from area

-- name: add_areas
-- The areas of the current profile, for v_area.
insert into area (code, level, parent, name_en, name_zh, valid_from, valid_to, geometry)
select code, level, parent, name_en, name_zh, coalesce(valid_from, '-infinity'), coalesce(valid_to, 'infinity'), geometry::json
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[])
       as a (code, level, parent, name_en, name_zh, valid_from, valid_to, geometry)

-- name: has_windows
-- Whether anything was counted yet.
select exists (select from metric_window_1m)

-- name: rebuild
-- Make everything above the minutes of assets anew under the current profile.
with gone as (delete from metric_window_1m where not leaf)
insert into dirty (step, start, series)
select '1m', start, parent from metric_window_1m where leaf group by start, parent

-- name: rebuild_longer
-- The hours and days of assets and areas, all of them.
truncate metric_window_1h, metric_window_1d, dirty_later

-- name: leaf_minutes
-- The minutes of assets, each area's once.
select distinct parent, start from metric_window_1m where leaf

-- name: reset_final
-- Nothing is stored for good until rollup has made it again.
with shards as (update rollup_shard set final_through = null)
update rollup_state set final_through = '-infinity'
