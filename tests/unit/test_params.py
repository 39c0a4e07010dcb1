"""A rule's settings become params that Snakemake compares as text and programs read as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TypedDict

import pytest
import yaml

from thoughtscope.arguments import add_settings, folder, settings_of
from thoughtscope.config.load import Study
from thoughtscope.run_id import RunId
from workflow.lib import study_rules
from workflow.lib.params import Group, group, settings_params

ROOT = Path(__file__).parents[2]
STUDY = Study(yaml.safe_load((ROOT / "config/smoke.yaml").read_text()), ROOT / "config", "config/smoke.yaml")
RUN = SimpleNamespace(task="chain", backbone="qwen3", method="coconut", trainable="full", seed="0")


def test_each_group_of_a_runs_settings_is_a_param_and_together_they_are_its_settings() -> None:
    found = {name: param(RUN) for name, param in settings_params(STUDY, study_rules.train).items()}
    assert all(list(value) == [name] for name, value in found.items())
    run = RunId("chain", "qwen3", "coconut", "full", 0)
    merged = {name: value for one in found.values() for name, value in one.items()}
    assert merged == json.loads(json.dumps(study_rules.train(STUDY, run)))


def test_the_text_of_a_group_names_it_and_does_not_depend_on_the_order_of_keys() -> None:
    first, second = group(training={"b": [1], "a": None}), group(training={"a": None, "b": [1]})
    assert repr(first) == repr(second) == "{'training': {'a': None, 'b': [1]}}"
    assert json.loads(str(first)) == {"training": {"a": None, "b": [1]}}


class Declared(TypedDict):
    """Settings of one group."""

    size: int


def test_a_group_that_is_not_declared_is_refused() -> None:
    def wrong(study: Study, task: str) -> Declared:
        return {"size": 1, "colour": task}  # type: ignore[typeddict-unknown-key]

    with pytest.raises(TypeError, match=r"wrong returns .*colour.* which its return type does not declare"):
        settings_params(STUDY, wrong)["size"](RUN)


def test_a_group_that_is_left_out_is_an_empty_mapping() -> None:
    params = settings_params(STUDY, study_rules.build_backbone)
    given = SimpleNamespace(backbone="qwen3", variant="seed0")
    assert all(params[name](given) for name in ("backbone", "pretraining", "seed"))

    def partly(study: Study) -> study_rules.BackboneSettings:
        return {"seed": 1}

    assert settings_params(STUDY, partly)["pretraining"](given) == Group() == {}


def test_a_program_merges_the_groups_and_keeps_code_and_packages_apart(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser, "any")
    words = [str(group(a={"b": "it's"})), str(Group()), str(group(sources={"x.py": "12"})), str(group(pins={}))]
    given = parser.parse_args(["--settings", *words]).settings
    assert given == {"a": {"b": "it's"}, "sources": {"x.py": "12"}, "pins": {}}
    assert settings_of(given) == {"a": {"b": "it's"}}
    for wrong in (["[1]"], ['{"a": 1}', '{"a": 2}'], ["{"]):
        with pytest.raises(SystemExit):
            parser.parse_args(["--settings", *wrong])
    assert "a is given twice" in capsys.readouterr().err


def test_an_artifact_is_named_by_its_folder_or_its_manifest() -> None:
    assert folder("results/tasks/chain/manifest.json") == folder("results/tasks/chain") == Path("results/tasks/chain")
