# SPDX-License-Identifier: BSD-3-Clause
"""Stock code as programs: those of tests/interop, built once with the Go that is on PATH. Go keeps
what it has built (GOCACHE), and modules come by the GOPROXY that is configured."""

import os
import re
import shutil
import subprocess

from build import ROOT
from progress import activity

MODULE = ROOT / "tests/interop"
PROGRAMS = ["reference", "stock", "wireguard"]


def missing():
    """Why nothing can be built, or nothing."""
    needed = re.search(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.M)[1]
    go = shutil.which("go")
    if go is None:
        return f"no go on PATH; Go >= {needed} is needed (https://go.dev/dl)"
    said = subprocess.run([go, "env", "GOVERSION"], text=True, capture_output=True, stdin=subprocess.DEVNULL,
                          env=_environment()).stdout.strip()
    if _numbers(said) < _numbers(needed):
        return f"{go} is '{said}'; Go >= {needed} is needed"
    return None


def _numbers(version):
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def build(*packages):
    """The programs of these packages of tests/interop. Raises RuntimeError with the tool's words."""
    folder = ROOT / "build/interop"
    folder.mkdir(parents=True, exist_ok=True)
    with activity(f"go build tests/interop/{{{','.join(packages)}}} (the first time: some minutes, 0.8 GB of modules)"):
        done = subprocess.run(["go", "build", "-o", f"{folder}/", *(f"./{package}" for package in packages)], cwd=MODULE,
                              text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, env=_environment())
    if done.returncode != 0:
        raise RuntimeError(done.stdout)
    return [folder / package for package in packages]


def _environment():
    # A newer toolchain is not fetched in passing.
    return {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}


class Programs:
    """Builds the programs when the first test wants them; tests find them, or why there are none, in
    their environment."""

    def __init__(self):
        self._tried = False

    def prepare(self):
        if self._tried:
            return
        self._tried = True
        if why := missing():
            os.environ["SALLYPORT_NO_REFERENCE"] = why
            return
        try:
            paths = build(*PROGRAMS)
        except RuntimeError as error:
            # The tool is there: that it fails is a failure everywhere.
            os.environ.update({f"SALLYPORT_{name.upper()}": "/nonexistent" for name in PROGRAMS})
            raise RuntimeError(f"go build in tests/interop:\n{error}") from error
        os.environ.update({f"SALLYPORT_{path.name.upper()}": str(path) for path in paths})
