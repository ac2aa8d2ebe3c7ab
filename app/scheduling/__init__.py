"""Beat: a database scheduler under a lease in Postgres, where every tick is a row."""
