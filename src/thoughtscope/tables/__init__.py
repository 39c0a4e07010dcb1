"""Tables over many runs, as CSV: each kind is a module with a subclass of `base.Table`. Loads no model."""
