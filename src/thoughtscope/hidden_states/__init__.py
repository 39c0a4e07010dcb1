"""Hidden states of models on disk: `extract` computes them batch by batch, `write` streams them to Parquet."""
