"""Training of the nets: the only place with torch."""
