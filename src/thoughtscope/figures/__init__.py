"""Figures: each kind is a module with a subclass of `base.Figure`; `save` writes the files."""
