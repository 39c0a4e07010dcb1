"""Tests a study before it runs: reads all inputs, trains one batch of each kind of run, and estimates the cost."""
