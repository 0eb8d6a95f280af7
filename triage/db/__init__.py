"""Tables, sessions and queries: the only place with SQL."""
