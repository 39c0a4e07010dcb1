"""Kinds of fill: which vector is fed at a latent.

A module `my_fill.py` of this package with `class Settings(BaseFill)` is the fill `{kind: my-fill}` of a method file. It
loads without torch, which its functions import themselves.
"""
