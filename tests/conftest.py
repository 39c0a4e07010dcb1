"""One thread for each test process, and for the programs it starts: with more, the processes hold each other up.

Set before anything imports torch, which reads it once.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
