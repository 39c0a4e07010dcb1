"""Lists the jobs that Snakemake would run, and why.

A dry run logs an event for each job; its fields are Snakemake's public interface for logger plugins.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from thoughtscope.errors import UserError


@dataclass(frozen=True)
class Job:
    """A job that Snakemake would run.

    Attributes:
        rule: its name.
        message: the text of the rule's `message`.
        wildcards: their values, by name.
        reason: why it would run, as Snakemake puts it.
        inputs, outputs: paths.
        resources: the resources that it requests, and `threads`.
    """

    rule: str
    message: str
    wildcards: dict[str, str]
    reason: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    resources: dict[str, Any]


class _Listener(logging.Filter):
    """Collects the jobs of the log; lets every record pass."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "event", None) == LogEvent.JOB_INFO:
            self.jobs.append(_job(record))
        return True


def _job(record: Any) -> Job:
    return Job(
        rule=record.rule_name,
        message=record.rule_msg or record.rule_name,
        wildcards=dict(record.wildcards),
        reason=record.reason,
        inputs=tuple(map(str, record.input)),
        outputs=tuple(map(str, record.output)),
        resources={**dict(record.resources.items()), "threads": record.threads},
    )


def planned(arguments: Sequence[str]) -> list[Job]:
    """Return the jobs that Snakemake would run, except those without outputs.

    Args:
        arguments: of Snakemake: config files, a profile, targets.

    Raises:
        UserError: Snakemake refuses the workflow; the message quotes it.
    """
    from snakemake.cli import main  # seconds of imports
    from snakemake.logging import logger

    listener, said = _Listener(), io.StringIO()
    logger.addFilter(listener)
    try:
        with redirect_stdout(said), redirect_stderr(said):
            main(["--dry-run", "--nolock", *arguments])
    except SystemExit as end:
        if end.code:
            raise UserError("snakemake --dry-run", _error(said.getvalue()), "correct that first") from end
    finally:
        logger.removeFilter(listener)
    return [job for job in listener.jobs if job.outputs]


def _error(said: str) -> str:
    """Return the first line that begins with `error: ` (from our rules), or else the first that names an exception."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ours = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    named = [" ".join(lines[i : i + 2]) for i, line in enumerate(lines) if re.match(r"\w+(Error|Exception)\b", line)]
    return (ours or named or lines[-1:] or ["it said nothing"])[0]
