"""Programs that look after results: is everything as it was made, what is stale and why, where does it come from.

Each is run as `python -m thoughtscope.upkeep.<name>`; none makes or changes an artifact.
"""
