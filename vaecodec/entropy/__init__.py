"""Lanes of rANS, and the trellis of dependent quantisation."""
