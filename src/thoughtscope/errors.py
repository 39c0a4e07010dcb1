"""The error for mistakes of a user: where the mistake is, what is wrong, and how to fix it.

Programs print it as one line and exit with status 2.
"""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable

AFFECTS_RESULTS = False


class UserError(Exception):
    """A mistake in the input that the user can fix.

    Args:
        where: the file, and the key inside it, e.g. ``config/tasks/chain.yaml: splits.test``.
        problem: what is wrong, in one clause.
        fix: what to do about it.
    """

    def __init__(self, where: str, problem: str, fix: str) -> None:
        super().__init__(f"{where}: {problem}; {fix}")
        self.where, self.problem, self.fix = where, problem, fix

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        """Support pickling, so that the error can pass between processes."""
        return UserError, (self.where, self.problem, self.fix)


def one_line_errors(main: Callable[[], int | None]) -> Callable[[], int]:
    """Wrap ``main`` of a program so that a `UserError`, a full or a read-only disk prints one line, no traceback."""

    @functools.wraps(main)
    def wrapped() -> int:
        try:
            return main() or 0
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EFBIG, errno.ENOSPC, errno.EROFS, errno.EDQUOT}:
                raise
            where = error.filename or "results folder"
            print(
                f"error: {where}: {error.strerror}; make room there, or make it writable, and run again: "
                "finished artifacts are kept, unfinished ones are made again",
                file=sys.stderr,
            )
            return 2

    return wrapped
