"""How a rank tells its launcher how it ended. Imports nothing, so that the launcher starts at once."""

AFFECTS_RESULTS = False
CONTINUE = 75  # EX_TEMPFAIL of sysexits.h: it was asked to stop and has saved; start it again to go on
STATUS_FILE = "THOUGHTSCOPE_STATUS_FILE"  # names the file into which the first rank writes its status
