# SPDX-License-Identifier: BSD-3-Clause
"""Configures a preset and builds targets of it, with ninja's count as progress."""

import os
import re
import subprocess
from pathlib import Path

from progress import activity

ROOT = Path(__file__).resolve().parents[2]


class Failed(Exception):
    """The build's own output."""


# ccache: a clone elsewhere finds what this one compiled, and precompiled headers are no obstacle.
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1",
                "CCACHE_SLOPPINESS": "pch_defines,time_macros"}


def folder(preset):
    return ROOT / "build" / preset


def configure(preset):
    _run(["cmake", "--preset", preset], f"configuring {preset}")


def build(preset, targets):
    jobs = str(os.cpu_count() or 2)
    _run(["cmake", "--build", "--preset", preset, "-j", jobs, "--target", *targets],
         f"building {preset}: {' '.join(targets)}")


def _run(command, text):
    said = []
    with activity(text) as change:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, text=True, errors="replace",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env={**os.environ, **_ENVIRONMENT})
        for line in process.stdout:
            said.append(line)
            if count := re.match(r"\[(\d+/\d+)\]", line):
                change(f"{text} {count[1]}")
    if process.wait() != 0:
        # Steps that went well say nothing of use.
        raise Failed("".join(line for line in said if not re.match(r"\[\d+/\d+\] (Building|Linking|BPF)", line)))
