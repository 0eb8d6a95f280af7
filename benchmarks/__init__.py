"""Measurements of the whole pipeline on phantoms: they measure the software, never clinical performance."""
