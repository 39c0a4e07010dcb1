"""Figures: each kind is a module with `Settings` (its options) and a pure `draw` from tables to a figure.

`draw(*tables, options, title)` returns a matplotlib figure and the points it shows; `inputs` reads the tables,
`save` writes the files.
"""
