"""Tasks: datasets with a contract. A module is one kind of task and offers:

    Settings                         strict settings; `kind` names the module
    CONTRACT                         "reasoning" or "statements": which columns its examples have (see `tables`)
    examples(settings) -> rows       all examples of all splits, and `reasoning.Skipped` for rows that are left out

and, if it likes:

    pretraining(settings) -> rows    question and response texts that a tiny backbone learns before any method; without
                                     it, the training examples
    OVERLAP = "counted"              splits may share questions; they are counted and marked (`overlap`), not refused
    chance(settings) -> float        accuracy of a guess; stands in the task's report

Kinds are light: plain Python and seeded `random.Random`, no torch.
"""
