"""A small Hugging Face hub on this machine: real HTTP, the real client, models from made folders.

Knows what the client asks for when it loads a model or resolves a commit: the API's info and file list, and files
with their headers; and the errors a hub answers with, told apart by `X-Error-Code`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" * 6 + "c0ff"
PARTS = {"models": "", "datasets": "datasets/"}


@dataclass
class Shelf:
    """What the hub has: folders by `models/owner/name` or `datasets/owner/name`; some gated. `asked` records paths."""

    folders: dict[str, Path] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    shelf: Shelf

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path, _, query = self.path.partition("?")
        path = path.strip("/")
        self.shelf.asked.append(path)
        api = path.startswith("api/")
        path = path.removeprefix("api/")
        kind = "datasets" if path.startswith("datasets/") else "models"
        parts = path.removeprefix(f"{kind}/").split("/")
        name, rest = f"{kind}/{'/'.join(parts[:2])}", parts[2:]
        if name not in self.shelf.folders:
            return self._send(401, {"X-Error-Code": "RepoNotFound"}, b"Repository not found", body)
        revision = rest[1] if len(rest) > 1 else "main"
        if revision not in {"main", COMMIT}:
            return self._send(404, {"X-Error-Code": "RevisionNotFound"}, b"Revision not found", body)
        if api and (not rest or rest[0] == "revision"):
            gate = "manual" if name in self.shelf.gated else False
            return self._json(
                {"id": "/".join(parts[:2]), "sha": COMMIT, "gated": gate, "siblings": self._siblings(name)}, body
            )
        if name in self.shelf.gated:
            message = b"Access is restricted: accept the terms."
            return self._send(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": message.decode()}, message, body)
        folder = self.shelf.folders[name]
        if api and rest[0] == "auth-check":
            return self._send(200, {}, b"", body)
        if api:
            below = folder.joinpath(*rest[2:])
            found = below.rglob("*") if "recursive=true" in query.lower() else below.glob("*")
            return self._json([_entry(folder, file) for file in sorted(found)], body)
        file = folder / "/".join(rest[2:])
        if not file.is_file():
            return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found", body)
        content = file.read_bytes()
        tag = hashlib.sha256(content).hexdigest()
        return self._send(200, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}, content, body)

    def _siblings(self, name: str) -> list[dict[str, str]]:
        folder = self.shelf.folders[name]
        return [{"rfilename": str(file.relative_to(folder))} for file in sorted(folder.rglob("*")) if file.is_file()]

    def _json(self, value: object, body: bool) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode(), body)

    def _send(self, status: int, headers: dict[str, str], content: bytes, body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)


def _entry(folder: Path, file: Path) -> dict[str, object]:
    kind = "file" if file.is_file() else "directory"
    return {"type": kind, "path": str(file.relative_to(folder)), "size": file.stat().st_size, "oid": "0" * 40}


@contextmanager
def hub(shelf: Shelf) -> Iterator[str]:
    """Serve a shelf; yield the address for `HF_ENDPOINT`."""
    handler = type("Handler", (_Handler,), {"shelf": shelf})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
