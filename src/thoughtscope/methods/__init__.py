"""Methods: curricula of stages, each with a layout of examples and a fill.

`base` is the base of all kinds, `curriculum` holds the types they share; every other module is one kind. Kinds see
token ids, never a model, and load without torch.
"""
