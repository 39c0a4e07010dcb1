"""Finds the GGUF file of a backbone: at a path, or in an installed Python package. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from thoughtscope.artifacts import sha256
from thoughtscope.backbones.settings import Settings
from thoughtscope.errors import UserError


def locate(settings: Settings, where: str) -> Path:
    """Return the file of a backbone with source `gguf`.

    Raises:
        UserError: there is no such file, or the package is not installed, has another version or lacks the file.
    """
    if settings.path is not None:
        path = Path(settings.path)
        if not path.is_file():
            raise UserError(f"{where}: path", f"no file {path}", "correct the path")
        return path
    pinned = f"{settings.package}=={settings.version}"
    install = f"install it without its dependencies: pip install --no-deps {pinned}"
    try:
        package = importlib.metadata.distribution(str(settings.package))
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(f"{where}: package", f"{settings.package} is not installed", install) from error
    if package.version != settings.version:
        raise UserError(f"{where}: version", f"{settings.package} {package.version} is installed", install)
    found = [file for file in package.files or [] if file.name == settings.file and Path(str(file.locate())).is_file()]
    if not found:
        raise UserError(f"{where}: file", f"{pinned} has no file {settings.file}", "correct the name")
    return Path(str(found[0].locate()))


def verified(settings: Settings, where: str) -> tuple[Path, str]:
    """Return the file and its SHA-256.

    Raises:
        UserError: as in `locate`, or the digest differs from the one in the settings.
    """
    path = locate(settings, where)
    found = sha256(path)
    if settings.sha256 not in (None, found):
        raise UserError(f"{where}: sha256", f"{path.name} has {found}", "get the intended file, or correct sha256")
    return path, found
