"""How like real CT the phantoms are: see `python -m benchmarks.likeness --help`."""
