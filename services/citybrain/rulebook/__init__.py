"""Rules as they are written and what they mean: reading, checking, compiling. Below the roles; knows no database, no clock."""
