"""Tests on a real SLURM cluster of two nodes, which a fixture makes on this machine and takes down again."""
