"""REST endpoints of the worklist."""
