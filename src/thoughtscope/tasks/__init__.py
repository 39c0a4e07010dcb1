"""Tasks: datasets with a contract. A module is one kind of task and offers:

    Settings                         strict settings; `kind` names the module
    CONTRACT                         "reasoning" or "statements": which columns its examples have (see `tables`)
    examples(settings) -> rows       all examples of all splits
    pretraining(settings) -> rows    question and response texts that a tiny backbone learns before any method

Kinds are light: plain Python and seeded `random.Random`, no torch.
"""
