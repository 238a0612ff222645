-- name: is_here
-- Whether this database has the extension.
select exists (select from pg_extension where extname = 'timescaledb')

-- name: is_available
-- Whether the server has it.
select exists (select from pg_available_extensions where name = 'timescaledb')

-- name: licence
-- timescale: with compression; apache: without.
select current_setting('timescaledb.license')

-- name: is_hypertable
-- Whether a table is one.
select exists (select from timescaledb_information.hypertables
                where format('%I.%I', hypertable_schema, hypertable_name)::regclass = $1::text::regclass)

-- name: has_chunks
-- Whether tables are cut into chunks here.
select exists (select from pg_extension where extname = 'timescaledb')
   and exists (select from pg_class where oid = 'event'::regclass and relkind = 'r')

-- name: views
-- Views on tables, with their definitions.
select distinct v.oid::regclass::text as name, pg_get_viewdef(v.oid) as definition
  from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class v on v.oid = r.ev_class
 where d.classid = 'pg_rewrite'::regclass and d.refobjid = any (array(select t::regclass from unnest($1::text[]) as t))
   and v.relkind = 'v'
 order by 1

-- name: indexes
-- A table's indexes that are no constraint's.
select pg_get_indexdef(indexrelid) as definition from pg_index i
 where indrelid = $1::text::regclass and not exists (select from pg_constraint where conindid = i.indexrelid)
 order by indexrelid

-- name: keys
-- A table's primary key.
select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
 where conrelid = $1::text::regclass and contype = 'p'

-- name: make_hypertable
-- Cut an empty table into chunks by time.
select create_hypertable($1::text::regclass, by_range($2::name, $3::interval), create_default_indexes => false)

-- name: set_chunk
-- The length of the chunks that are made from now on.
select set_chunk_time_interval($1::text::regclass, $2::interval)

-- name: uncompressed
-- Chunks that ended before a moment and have rows that are not in columns; those with late rows only if asked for. In the
-- status of a chunk bit 1 is compressed, bits 2 and 8 say that rows came since.
select c.name from (
  select format('%I.%I', i.chunk_schema, i.chunk_name) as name, i.range_start, s.status
    from timescaledb_information.chunks i
    join _timescaledb_catalog.chunk s on s.schema_name = i.chunk_schema and s.table_name = i.chunk_name
   where format('%I.%I', i.hypertable_schema, i.hypertable_name)::regclass = any (array(select t::regclass from unnest($1::text[]) as t))
     and i.range_end <= $2) c
 where c.status & 1 = 0 or ($3 and c.status & 10 <> 0)
 order by c.range_start, c.name

-- name: compress
-- Lay a chunk's rows in columns.
select compress_chunk($1::text::regclass, if_not_compressed => true)
