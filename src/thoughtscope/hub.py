"""Turns errors of the Hugging Face hub into one-line errors."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)

from thoughtscope.errors import UserError

UNREACHABLE = (LocalEntryNotFoundError, RevisionResolutionError, OfflineModeIsEnabled, httpx2.TransportError)


def hub_error(where: str, hub_id: str, revision: str | None, error: BaseException) -> UserError:
    """Return the one-line error for an exception of a hub, including a failed connection.

    Args:
        where: the file or key that names the hub id.
        revision: the requested commit; None: the newest.
    """
    causes = list(_causes(error))
    page = f"huggingface.co/{hub_id}"

    def caused(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if caused(GatedRepoError):
        problem, fix = f"{hub_id} is gated", f"accept its terms on {page} and log in (hf auth login)"
    elif caused(RevisionNotFoundError):
        problem, fix = (
            f"{hub_id} has no revision {revision}",
            "remove its line from the lock and run make pin, or correct it",
        )
    elif caused(RepositoryNotFoundError):
        problem, fix = f"there is no {hub_id}, or it is private", "correct hub_id, or log in (hf auth login)"
    elif caused(HFValidationError):
        problem, fix = f"{hub_id!r} is no hub id", "write owner/name"
    elif caused(*UNREACHABLE) and not caused(HfHubHTTPError):
        problem, fix = (
            f"{hub_id} is not in the cache and the hub cannot be reached",
            "connect and run make fetch, or use a local folder",
        )
    else:
        problem, fix = f"{hub_id} does not load ({first_line(error)})", "check hub_id, revision and access"
    return UserError(where, problem, fix)


def first_line(error: BaseException) -> str:
    """Return the first line of the text of an error (two if it ends in a colon), or its class if it has no text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
