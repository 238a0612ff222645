"""The bus: a durable, partitioned log of records. The port says what it promises; adapters keep it."""
