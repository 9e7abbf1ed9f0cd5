"""What the repository holds and a command makes: vectors, pages, pictures."""
