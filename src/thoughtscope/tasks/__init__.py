"""Tasks: datasets of questions or of statements. A module with a class `Settings` is one kind of task; see `base`.

Tasks are plain Python with seeded `random.Random` and load without torch.
"""
