"""Tasks: datasets with a contract. A module is one kind of task.

`contract.Contract` names what it offers. Kinds are light: plain Python and seeded `random.Random`, no torch.
"""
