"""Loaded by every Python process that has this folder on its path: notes at its end which modules it had loaded."""

import atexit
import json
import os
import sys
from pathlib import Path


def note() -> None:
    """Write the package's modules that this process loaded, and its program's name."""
    loaded = sorted(name for name in sys.modules if name.startswith("thoughtscope."))
    if loaded:
        facts = {"program": Path(sys.argv[0]).name, "loaded": loaded}
        (Path(os.environ["TRACED_IMPORTS"]) / f"{os.getpid()}.json").write_text(json.dumps(facts))


if "TRACED_IMPORTS" in os.environ:
    atexit.register(note)
