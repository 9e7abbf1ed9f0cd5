"""Hostile files, other machines, other decoders."""
