"""What can change the result of each stage, apart from its settings and inputs: its code and some packages.

Rules put both into their params, so that a change reruns the stage; the same goes into the provenance. A test holds
`packages` against what the stage's code imports.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from thoughtscope.provenance import pins, sources

SCRIPTS = Path("workflow/scripts")


@dataclass(frozen=True)
class Stage:
    """A stage's program and what can change its result.

    Attributes:
        program: its name in `workflow/scripts`.
        packages: those whose version can change the result; what checks, prints, downloads or stores is left out.
        modules: what the program starts as processes of their own.
    """

    program: str
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def sources(self, *modules: str) -> dict[str, str]:
        """Return the digest of each module that the stage imports, those included that only its settings name."""
        return _sources(SCRIPTS / self.program, *self.modules, *modules)

    def pins(self) -> dict[str, str]:
        """Return the pinned version of each package."""
        return pins(*self.packages)


@functools.cache
def _sources(*roots: str | Path) -> dict[str, str]:
    return sources(roots)


_MODELS = ("torch", "numpy", "transformers", "tokenizers", "safetensors", "Jinja2")
_EXTRACT = Stage("extract_hidden_states.py", _MODELS)
_FITS = ("scikit-learn", "scipy", "numpy", "pandas")

STAGES = {
    "prepare_task": Stage("prepare_task.py"),
    "build_backbone": Stage("build_backbone.py", _MODELS),
    "train": Stage("train.py", (*_MODELS, "deepspeed", "peft"), ("thoughtscope.training.worker",)),
    "extract_latents": _EXTRACT,
    "extract_statements": _EXTRACT,
    "fit_latent_probes": Stage("fit_latent_probes.py", _FITS),
    "fit_truth_probes": Stage("fit_truth_probes.py", _FITS),
    "table": Stage("make_table.py", ("numpy", "pandas", "scipy")),
    "figure": Stage("draw_figure.py", ("matplotlib", "numpy", "pandas", "scikit-learn", "scipy")),
}
