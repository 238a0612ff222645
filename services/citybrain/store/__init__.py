"""Tables: the pool, migrations, named queries, and one module a family of tables. No decisions are made here."""
