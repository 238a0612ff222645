-- Many processes and many years.

-- ---- members ------------------------------------------------------------------------------------------------------

-- Who reads a topic for a role on the Postgres bus, each until its time is over. It only spreads the work: positions are fenced.
create table bus_member (
  topic  text        not null collate "C",
  role   text        not null collate "C",
  member text        not null collate "C",
  until  timestamptz not null,
  primary key (topic, role, member)
);
