"""The networks, the arithmetic that makes them exact, and their file."""
