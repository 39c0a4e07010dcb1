"""Starts the processes of a run: on one machine, or on the nodes of a SLURM job.

run.py (with torchrun's agent) -> ranks                         one node
run.py -> srun -> node.py (with torchrun's agent) -> ranks      several nodes

It decides where a run computes, and no module of it can change a result.
"""

AFFECTS_RESULTS = False
