"""Training: the curriculum of a run in a DeepSpeed engine, resumable at any update.

`worker` is the program of a rank and `trainer` its loop. The loop uses `assembly` (the parts of a run), `network` (the
trained module), `curriculum` (stages and progress), `data` and `stage_data` (what an update sees), `schedule` (learning
rate), `engine` (DeepSpeed), `evaluator` (accuracy), `guards`, `records` and `events` (rows), `report` (lines),
`checkpoint` and `state` (resuming), `saving` (models), `ranks` (the other processes), `memory` and `failure` (errors).
"""
