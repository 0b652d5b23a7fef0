# SPDX-License-Identifier: BSD-3-Clause
"""Stock code as a program: tests/interop/reference, built once with the Go that is on PATH. Go keeps
what it has built (GOCACHE), and modules come by the GOPROXY that is configured."""

import os
import re
import shutil
import subprocess

from build import ROOT
from progress import activity

MODULE = ROOT / "tests/interop"


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


def build(package):
    """The program of a package of tests/interop. Raises RuntimeError with the tool's words."""
    program = ROOT / "build/interop" / package
    with activity(f"go build tests/interop/{package} (the first time: some minutes, 0.3 GB of modules)"):
        done = subprocess.run(["go", "build", "-o", str(program), f"./{package}"], cwd=MODULE,
                              text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, env=_environment())
    if done.returncode != 0:
        raise RuntimeError(done.stdout)
    return program


def _environment():
    # A newer toolchain is not fetched in passing.
    return {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}


class Reference:
    """Builds the reference when the first test wants it; tests find it, or why there is none, in
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
            os.environ["SALLYPORT_REFERENCE"] = str(build("reference"))
        except RuntimeError as error:
            # The tool is there: that it fails is a failure everywhere.
            os.environ["SALLYPORT_REFERENCE"] = "/nonexistent"
            raise RuntimeError(f"go build tests/interop/reference:\n{error}") from error
