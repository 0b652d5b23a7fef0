# SPDX-License-Identifier: BSD-3-Clause
"""Installs what packages.txt names and this machine lacks: one apt-get call, none if all is there."""

import os
import subprocess
from pathlib import Path

from progress import activity, note

LIST = Path(__file__).resolve().parent / "packages.txt"


class Refused(Exception):
    """Packages are missing and we may not, or could not, install them."""


def wanted():
    lines = (line.split("#")[0].strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line]


def missing():
    query = ["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *wanted()]
    answer = subprocess.run(query, text=True, capture_output=True).stdout
    there = set()
    for line in answer.splitlines():
        name, status = line.split()
        if status == "installed":
            there.add(name.split(":")[0])
    return [name for name in wanted() if name not in there]


def install_missing():
    names = missing()
    if not names:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(names)}"
    if os.geteuid() != 0:
        raise Refused(f"packages are missing and only root can install them: {command}")
    note(f"installing {len(names)} packages: {' '.join(names)}")
    for step in ("apt-get update -q", command):
        with activity(step.split(" -")[0]):
            done = subprocess.run(step.split(), stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        if done.returncode != 0:
            raise Refused(f"{step} failed:\n{done.stdout}")
