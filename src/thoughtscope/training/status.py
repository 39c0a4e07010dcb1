"""The exit status of a run that was asked to stop and has saved. Imports nothing, so that a launcher starts at once."""

CONTINUE = 75  # EX_TEMPFAIL of sysexits.h: try again later
