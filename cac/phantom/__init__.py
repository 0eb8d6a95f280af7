"""A procedural cardiac CT with known coronary calcium: see `cac.phantom.scan.make`."""
