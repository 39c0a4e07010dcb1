"""Training: one run's curriculum in a DeepSpeed engine, resumable at any update.

`ranks` (the processes), `schedule` (learning rate, stage lengths), `data` (order, micro-batches), `network`
(what is trained), `engine` (DeepSpeed), `insertion` (a stage's dataset), `state` (resume), `run` (the loop).
"""
