# SPDX-License-Identifier: BSD-3-Clause
"""Remembers which checks of a source passed, by the hash of its preprocessed text.

The compiler is asked for that text only when a file that it was made of has changed: a manifest
keeps the list of those files and what they were. Only passes are remembered: what failed runs again.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rule import ROOT

sys.path.insert(0, str(ROOT / "tests/lab/guest"))
from kernel import cache_dir


class Passed:
    """`kind` names the check, `salt` whatever else its result depends on (settings, tool version)."""

    def __init__(self, kind, salt):
        self._salt = hashlib.sha256(salt.encode()).hexdigest()
        # A manifest is about paths of this tree, a pass is about text: that one is shared.
        self._manifests = ROOT / "build/.manifests" / kind
        self._passes = _shared(kind)
        self._manifests.mkdir(parents=True, exist_ok=True)
        self._states = {}

    def key(self, command, source):
        """The hash for `source` as `command` (a compiler's argv without input and output) sees it.
        RuntimeError with the compiler's words if it cannot be preprocessed."""
        name = hashlib.sha256("\0".join([*command, str(source)]).encode()).hexdigest()
        manifest = self._manifests / name
        if manifest.exists():
            known = json.loads(manifest.read_text())
            if all(self._state(path) == state for path, state in known["files"].items()):
                return known["key"]
        text, paths = _preprocess(command, source)
        digest = hashlib.sha256(self._salt.encode())
        digest.update(text.replace(str(ROOT).encode(), b"."))
        # Comments and macros are not in that text, and a NOLINT or a macro's body matters.
        for path in sorted(set(paths)):
            if path.startswith(str(ROOT)):
                digest.update(Path(path).read_bytes())
        key = digest.hexdigest()
        _write(manifest, json.dumps({"key": key, "files": {path: self._state(path) for path in set(paths)}}))
        return key

    def has(self, key):
        return (self._passes / self._name(key)).exists()

    def add(self, key):
        _write(self._passes / self._name(key), "")

    def _name(self, key):
        # The salt again: a manifest may be older than a change of it.
        return hashlib.sha256((self._salt + key).encode()).hexdigest()

    def _state(self, path):
        """What tells a changed file: our own by content (a checkout changes the times), others by stat."""
        if path not in self._states:
            try:
                if path.startswith(str(ROOT)):
                    self._states[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                else:
                    status = os.stat(path)
                    self._states[path] = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                self._states[path] = "gone"
        return self._states[path]


def _shared(kind):
    for folder in (cache_dir() / kind, ROOT / "build/.passed" / kind):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise RuntimeError("no folder to remember results in")


def _preprocess(command, source):
    with tempfile.NamedTemporaryFile(suffix=".d") as depends:
        done = subprocess.run([*command, "-E", "-MD", "-MF", depends.name, str(source)], cwd=ROOT,
                              capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        words = Path(depends.name).read_text().replace("\\\n", " ").split(":", 1)[1].split()
    return done.stdout, [os.path.abspath(ROOT / word) for word in words]


def _write(path, text):
    making = path.with_name(f".{path.name}.{os.getpid()}")
    making.write_text(text)
    os.rename(making, path)
