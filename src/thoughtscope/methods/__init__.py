"""Methods: curricula of stages, each with a layout of examples and a fill.

`base` is the base of all kinds; `curriculum` and `minibatch` hold the types they share; every other module is one kind.
Kinds see token ids; only their losses see a model. They load without torch.
"""
