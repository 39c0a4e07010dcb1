"""The latents of the page: three principal components of each, and what is known of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from thoughtscope.figures.base import further
from thoughtscope.hidden_states.read import describe_states, read_vectors
from thoughtscope.run_id import RunId

Json = dict[str, Any]
FED = "fed"


def latent_points(
    folders: Sequence[Path], probes: Sequence[Path], rows: Sequence[Mapping[str, Any]], most: int
) -> Json:
    """Return the points of all runs, as columns, and the questions that they are about.

    Runs of one backbone and seed share a PCA for each place (the fed vector, or the state of a layer).

    Args:
        folders: hidden states of runs.
        probes: folders of probes; the tables `effects` and `readouts` of these runs are used.
        rows: `schemas.REASONING`, for the texts of questions.
        most: points in all.
    """
    frames = [_places(folder) for folder in folders]
    frames = _fewer([one for one in frames if len(one)], most)
    if not frames:
        return {"runs": [], "questions": [], "points": {}}
    points = pd.concat(frames, ignore_index=True)
    places = sorted(set(points["place"]), key=lambda one: (one != FED, one))
    questions = list(dict.fromkeys(points["example_id"]))
    keys = ["run", "example_id", "latent_index"]
    notes = _notes(points, probes)
    base = points[points["place"] == FED].reset_index(drop=True)
    found: Json = {
        "run": [*base["run"]],
        "question": [questions.index(one) for one in base["example_id"]],
        "step": [int(one) for one in base["latent_index"]],
        "before": [text or "the end" for text in base["next_token"].fillna("")],
        "role": [text or "end" for text in base["next_role"].fillna("")],
        "notes": [notes.get(key, []) for key in base[keys].itertuples(index=False, name=None)],
        "xyz": {},
        "explained": {},
    }
    order = pd.MultiIndex.from_frame(base[keys])
    for place in places:
        part = points[points["place"] == place].set_index(keys)
        part = part[~part.index.duplicated()].reindex(order)
        coordinates, shares = _components(part)
        found["xyz"][place] = coordinates
        found["explained"][place] = shares
    texts = {row["example_id"]: row for row in rows}
    runs = [RunId.parse(run) for run in dict.fromkeys(base["run"])]
    return {
        "runs": [one.columns for one in runs],
        "questions": [_question(name, texts.get(name)) for name in questions],
        "points": found,
    }


def _question(name: str, row: Mapping[str, Any] | None) -> Json:
    if row is None:
        return {"text": name, "steps": "", "answer": ""}
    return {"text": row["question"], "steps": ", ".join(row["step_values"] or []), "answer": row["answer"]}


def _places(folder: Path) -> pd.DataFrame:
    """Return the latents of a run's last checkpoint with their vectors, fed and of each stored layer."""
    about, run = describe_states(folder), "/".join(folder.parts[-5:])
    parts = []
    for place, layer in [(FED, None), *((f"layer {one}", int(one)) for one in about["layers"])]:
        kind = "input" if place == FED else "output"
        vectors, rows = read_vectors(folder, kind, layer, checkpoint=max(about["checkpoints"]))  # type: ignore[arg-type]
        here = rows["latent_index"].notna().to_numpy()
        part = rows.loc[here, ["example_id", "latent_index", "next_token", "next_role"]]
        parts.append(part.assign(run=run, place=place, vector=list(vectors[here])))
    return pd.concat(parts, ignore_index=True)


def _fewer(frames: list[pd.DataFrame], most: int) -> list[pd.DataFrame]:
    """Keep the first questions of each run, as many as leave `most` points of one place."""
    total = sum(int((one["place"] == FED).sum()) for one in frames)
    share = min(1.0, most / max(total, 1))
    kept = []
    for one in frames:
        names = one["example_id"].unique()
        chosen = set(names[: max(1, int(len(names) * share))])
        kept.append(one[one["example_id"].isin(chosen)])
    return kept


def _components(part: pd.DataFrame) -> tuple[list[list[float | None]], dict[str, float]]:
    """Return x, y and z of each row, and the share of the variance that they hold, by backbone and seed."""
    coordinates = np.full((3, len(part)), np.nan)
    runs = part.index.get_level_values("run")
    groups: dict[str, list[int]] = defaultdict(list)
    for i, (run, vector) in enumerate(zip(runs, part["vector"], strict=True)):
        if isinstance(vector, np.ndarray):
            one = RunId.parse(run)
            groups[f"{one.task}/{one.backbone}/{one.trainable}/seed{one.seed}"].append(i)
    shares = {}
    for name, members in groups.items():
        vectors = np.stack(list(part["vector"].iloc[members])).astype(np.float64)
        vectors -= vectors.mean(axis=0)
        _, spread, axes = np.linalg.svd(vectors, full_matrices=False)
        kept = min(3, len(spread))
        coordinates[:kept, members] = (vectors @ axes[:kept].T).T
        shares[name] = float(np.square(spread[:3]).sum() / max(np.square(spread).sum(), 1e-300))
    return [[None if np.isnan(v) else round(float(v), 3) for v in axis] for axis in coordinates], shares


def _notes(points: pd.DataFrame, probes: Sequence[Path]) -> dict[tuple[Any, ...], list[str]]:
    """Return lines of text about each latent: the nearest tokens, and what was answered when it was changed."""
    runs, names = set(points["run"]), set(points["example_id"])
    notes: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    said = further(probes, "readouts")
    if said is not None:
        said = said[said["run"].isin(runs) & said["example_id"].isin(names) & (said["rank"] <= 3)]
        last = said.groupby("run")["layer"].transform("max")
        said = said[said["layer"].isna() | (said["layer"] == last)]
        for key, part in said.groupby(["run", "example_id", "latent_index", "readout"], sort=True):
            *place, readout = key
            pairs = zip(part["token"], part["score"], strict=True)
            tokens = ", ".join(f"{token.strip() or '␣'} {score:.2f}" for token, score in pairs)
            name = "nearest embeddings" if readout == "embedding" else "output head"
            notes[tuple(place)].append(f"{name}: {tokens}")
    effects = further(probes, "effects")
    if effects is not None:
        changed = effects[effects["run"].isin(runs) & effects["example_id"].isin(names)]
        changed = changed[changed["intervention"].isin(["mean", "swap"])]
        for row in changed.to_dict("records"):
            notes[row["run"], row["example_id"], int(row["latent_index"])].append(_effect(row))
    return notes


def _effect(row: Mapping[Any, Any]) -> str:
    verdict = "still right" if row["correct"] else "wrong"
    if len(row["follows"]):
        verdict = f"follows the other's value of step {', '.join(map(str, row['follows']))}"
    what = "replaced by the mean" if row["intervention"] == "mean" else "exchanged with another question's"
    return f"{what}: answers {row['answer'] or 'nothing'}, {verdict}"
