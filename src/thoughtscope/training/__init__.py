"""Training: one run's curriculum in a DeepSpeed engine, resumable at any update.

`ranks` (the processes), `assembly` (a run's parts), `schedule` (learning rate, stage lengths), `data` (order,
micro-batches), `network` (what is trained), `engine` (DeepSpeed), `insertion` (a stage's dataset), `guards`, `memory`,
`state` (resume), `report` and `events` (what it says), `run` (the loop), `worker` (the program of a rank).
"""
