"""The status with which a rank ends, for its launcher. Imports nothing, so that the launcher starts at once."""

AFFECTS_RESULTS = False
CONTINUE = 75  # EX_TEMPFAIL of sysexits.h: it was asked to stop and has saved; the next start resumes
STATUS_FILE = "THOUGHTSCOPE_STATUS_FILE"  # names the file into which the first rank writes its status
