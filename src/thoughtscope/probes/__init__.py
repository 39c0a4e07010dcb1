"""Probes: what can be read from stored hidden states. Each kind is a module with a subclass of `base.Probe`.

All code here works on arrays and data frames, not on models.
"""
