"""What can be read from hidden states: each kind of probe is a module with a subclass of `base.Probe`.

Everything here works on arrays and frames; knows nothing about models.
"""
