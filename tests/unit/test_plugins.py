"""A minimal task and a minimal method work everywhere; an incomplete one is an error of one line."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

import thoughtscope.methods
import thoughtscope.tasks
from thoughtscope.backbones.make import make_tiny
from thoughtscope.backbones.settings import Pretraining
from thoughtscope.backbones.settings import Settings as Backbone
from thoughtscope.config.load import Study
from thoughtscope.config.run_settings import run_settings
from thoughtscope.errors import UserError
from thoughtscope.latents.fills.base import BaseFill
from thoughtscope.latents.generate import Decoding
from thoughtscope.methods.base import BaseMethod
from thoughtscope.plugins import implementation, kinds, read_settings
from thoughtscope.reasoner import load_reasoner
from thoughtscope.run_id import RunId
from thoughtscope.schemas import REASONING, stream
from thoughtscope.tasks.base import BaseTask
from thoughtscope.tasks.prepare import EXAMPLES, write_task
from thoughtscope.training.assembly import assemble
from thoughtscope.training.settings import TrainSettings
from thoughtscope.training.stage_data import lay_out
from workflow.lib import study_rules

ROOT = Path(__file__).parents[2]
TASK = '''
"""Repeat a digit."""

from typing import Literal

from thoughtscope.settings import Strict
from thoughtscope.tasks.base import QuestionTask, StatementTask


class Settings(QuestionTask):
    """Digits."""

    kind: Literal["echo"]
    digits: int = 6

    def examples(self):
        for split in ("train", "validation", "test"):
            for i in range(self.digits):
                question = f"{split} says {i}"
                yield {
                    "example_id": f"{split}-{i}", "split": split, "question": question,
                    "steps": [str(i)], "answer": str(i), "step_values": [],
                }

'''
METHOD = '''
"""Think once, wherever."""

from typing import Literal

from thoughtscope.latents.fills.hidden import Settings as Hidden
from thoughtscope.latents.layout import sequence
from thoughtscope.methods.base import BaseMethod
from thoughtscope.methods.curriculum import Stage


class Settings(BaseMethod):
    """Thoughts."""

    kind: Literal["once"]
    share: float = 0.5
    fill: Hidden = Hidden(kind="hidden")

    @property
    def tokens(self):
        return ["<once>"]

    @property
    def latent_token(self):
        return "<once>"

    def stages(self, steps):
        return [Stage(0, "text", self.share), Stage(1, "think", 1 - self.share, fill=self.fill)]

    def layout(self, stage, example, ids, rng, probabilities):
        thought = [ids["<once>"]] if stage.fill else []
        where = [True] * len(thought) + [False] * len(example.answer)
        return sequence(example.example_id, example.prompt, thought + example.answer, is_latent=where)

    def prompt(self, stage, example, ids):
        thought = [ids["<once>"]] if stage.fill else []
        return sequence(example.example_id, example.prompt, thought, is_latent=[True] * len(thought))
'''


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose modules `tasks/echo.py` and `methods/once.py` are kinds of their groups."""
    for package, name, text in ((thoughtscope.tasks, "echo", TASK), (thoughtscope.methods, "once", METHOD)):
        folder = tmp_path / package.__name__.rpartition(".")[2]
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    return tmp_path


@pytest.fixture
def study(plugins: Path) -> Study:
    config = plugins / "config"
    for group, text in {"tasks": "kind: echo\n", "methods": "kind: once\nlabel: Once\n"}.items():
        (config / group).mkdir(parents=True)
        (config / group / "mine.yaml").write_text(text)
    for group, name in (("backbones", "qwen3"), ("deepspeed", "zero0")):
        (config / group).mkdir()
        (config / group / f"{name}.yaml").write_text((ROOT / f"config/{group}/{name}.yaml").read_text())
    raw: dict[str, Any] = {
        "runs": [{"task": "mine", "backbone": "qwen3", "method": "mine"}],
        "training": {"updates": 4, "batch_size": 4},
        "evaluation": {"every": 2, "max_new_tokens": 4},
        "pretraining": {"tasks": ["mine"], "updates": 1, "batch_size": 4},
        "figures": {},
    }
    return Study(raw, config)


def test_a_minimal_task_and_method_go_through_every_part_that_asks_them(study: Study, tmp_path: Path) -> None:
    run = RunId("mine", "qwen3", "mine", "full", 0)
    settings = TrainSettings.model_validate(run_settings(study, run))
    assert study_rules.method_modules(study, run) == ["thoughtscope.methods.once", "thoughtscope.latents.fills.hidden"]
    task = read_settings(BaseTask, study_rules.prepare_task(study, "mine")["task"], "task mine")
    for folder in ("task", "backbone"):
        (tmp_path / folder).mkdir()
    assert write_task("mine", task, tmp_path / "task") == {"train": 6, "validation": 6, "test": 6}
    backbone, once = Backbone.model_validate(study.raw("backbones", "qwen3")), study.pretraining("qwen3")
    make_tiny(backbone, Pretraining.model_validate(once), 0, [tmp_path / "task"], tmp_path / "backbone", "backbone")
    parts = assemble(settings, stream(tmp_path / "task" / EXAMPLES, REASONING), tmp_path / "backbone", 0, "cpu")
    latents = []
    for stage in parts.stages:
        reasoner = parts.reasoner.at(stage)
        latents.append(lay_out(reasoner, parts.splits.train[0], 0, 0, None).latents)
    assert latents == [0, 1]
    decoding = Decoding(max_new_tokens=2, max_latents=2, max_latents_in_a_row=1, batch_size=4)
    answers = [one.response for one in reasoner.generate(parts.splits.test, decoding)]
    reasoner.save(tmp_path / "model")
    again = load_reasoner(tmp_path / "model")
    assert [one.response for one in again.generate(parts.splits.test, decoding)] == answers


@pytest.mark.parametrize(
    ("group", "old", "new", "expected"),
    [
        ("tasks", "Settings(QuestionTask)", "Settings(Strict)", "has a Settings that is no subclass of"),
        ("tasks", "def examples(", "def questions(", "has a Settings without examples; complete it as"),
        (
            "tasks",
            "def examples(self)",
            "def examples(self, split)",
            "whose examples does not take (self)",
        ),
        (
            "tasks",
            "(QuestionTask)",
            "(StatementTask)",
            "has a Settings without pretraining_texts; complete it as thoughtscope.tasks.base",
        ),
        ("methods", "Settings(BaseMethod)", "Settings(Stage)", "has a Settings that is no subclass of"),
        (
            "methods",
            "def prompt(",
            "def question(",
            "has a Settings without prompt; complete it as thoughtscope.methods.base",
        ),
        (
            "methods",
            "prompt(self, stage, example, ids)",
            "prompt(self, stage)",
            "does not take (self, stage, example, ids)",
        ),
        ("methods", "class Settings", "class Options", "has no Settings; add it, or use one of confidence-insertion"),
    ],
)
def test_a_plug_in_of_another_form_is_one_line(plugins: Path, group: str, old: str, new: str, expected: str) -> None:
    text = (plugins / group / {"tasks": "echo.py", "methods": "once.py"}[group]).read_text()
    assert old in text
    name = f"broken{random.randrange(10**9)}"  # a module is imported once in a process
    (plugins / f"{group}/{name}.py").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=re.escape(expected)):
        implementation({"tasks": BaseTask, "methods": BaseMethod}[group], name, "here")


@pytest.mark.parametrize("base", [BaseTask, BaseMethod, BaseFill])
def test_all_shipped_kinds_are_complete(base: Any) -> None:
    found = kinds(base)
    assert len(found) >= 3
    for kind in found:
        assert issubclass(implementation(base, kind, "test"), base)
