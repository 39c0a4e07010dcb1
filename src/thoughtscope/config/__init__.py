"""The config: its models, how its files are read and merged, and its generated reference. Imports no torch."""
