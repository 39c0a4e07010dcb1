"""Hidden states of models on disk: of runs that answer (`extract`), of backbones that read (`statements`).

`capture` and `write` store them, `read` reads them, `roles` says what a token is.
"""
