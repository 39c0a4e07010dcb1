"""Downloads all models and datasets of a study to the cache of `huggingface_hub`."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download

from thoughtscope.backbones.settings import GIVEN_FILES
from thoughtscope.config.load import Study
from thoughtscope.hub import hub_error
from thoughtscope.tasks.reading import Source, read


def fetch_sources(study: Study) -> None:
    """Download all models and datasets of a study, and print their sizes.

    Raises:
        UserError: the hub refuses access, or cannot be reached.
    """
    for name in study.named("backbones"):
        settings = study.backbone(name)
        if settings.source == "hub":
            fetch_model(str(settings.hub_id), settings.revision, study.file("backbones", name))
    for name in study.named("tasks"):
        for source in (one for one in study.hosted("tasks", name) if isinstance(one, Source)):
            rows = sum(1 for _ in read(source, study.file("tasks", name)))
            print(f"{source.hub_id} {source.part}: {rows} rows")


def fetch_model(hub_id: str, revision: str | None, where: str) -> Path:
    """Download the files of a model that are used, unless they are in the cache, and return their folder.

    Raises:
        UserError: the hub refuses access, or cannot be reached.
    """
    try:
        place = Path(snapshot_download(hub_id, revision=revision, allow_patterns=list(GIVEN_FILES)))
    except Exception as error:
        raise hub_error(f"{where}: hub_id", hub_id, revision, error) from error
    size = sum(file.stat().st_size for file in place.iterdir())
    print(f"{hub_id}: {size / 1e9:.1f} GB")
    return place
