"""Figures: each kind is one module with a pure `draw` from tables to a matplotlib figure and the points it shows."""
