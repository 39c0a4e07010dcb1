"""The exit status of a rank, which its launcher reads. Imports nothing, so that the launcher starts quickly."""

AFFECTS_RESULTS = False
CONTINUE = 75  # EX_TEMPFAIL of sysexits.h: the run saved its state after it was asked to stop; the next start resumes
STATUS_FILE = "THOUGHTSCOPE_STATUS_FILE"  # the file to which the first rank writes its status
