"""Chunks of Zarr as `.vaec` files: a codec of numcodecs for format 2 of Zarr, and one of zarr-python for format 3.

Both are found by the name "vaec", by entry points of the installed package.
"""
