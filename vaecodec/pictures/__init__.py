"""Pictures and what comes with them, to and from files of other formats. No torch here."""

PNG_LEVEL = 2  # of zlib, for PNG files: docs/guide/first-steps.md has what each level takes
