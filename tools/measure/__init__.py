"""Benchmarks, and where bits and time go."""
