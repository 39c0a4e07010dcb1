"""Tests on a real SLURM cluster of two nodes, which a fixture starts on this machine and ends."""
