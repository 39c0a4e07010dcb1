"""What the user may configure, how files are merged, and what is generated from it. Imports no torch."""
