"""Pictures and what comes with them, to and from files of other formats. No torch here."""
