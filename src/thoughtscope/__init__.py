"""thoughtscope: a pipeline that studies language models which reason in vectors instead of words.

`load_run`, `load_results` and what they return come from `thoughtscope.api`, which loads PyTorch on first use.
"""

from typing import Any

__all__ = ["Latent", "Model", "Response", "Results", "load_results", "load_run"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that programs that need no model start without PyTorch (PEP 562)."""
    if name in __all__:
        from thoughtscope import api

        return getattr(api, name)
    raise AttributeError(f"module 'thoughtscope' has no attribute {name!r}")
