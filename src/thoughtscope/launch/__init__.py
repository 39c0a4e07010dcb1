"""Starts the processes of a run where they belong: on one machine, or on the nodes of a SLURM job.

run.py -> torchrun -> ranks                        one node
run.py -> srun -> node.py -> torchrun -> ranks     several nodes

Decides where and how a run computes, never what; no module here can change a result, and each says so.
"""

AFFECTS_RESULTS = False
