"""Chunks, tiles and their parts as bytes. No torch here."""
