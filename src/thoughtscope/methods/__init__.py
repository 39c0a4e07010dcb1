"""Methods: curricula of stages, each a layout and a fill. A module is one kind of method.

`contract.Contract` names what it offers, `curriculum` holds the words that kinds share. Kinds are light: they see token
ids, never a model, and import no torch.
"""
