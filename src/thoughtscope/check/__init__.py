"""Tries a study before it is paid for: reads every input, trains one batch of every run, says what it will cost."""
