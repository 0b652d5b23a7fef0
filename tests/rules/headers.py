# SPDX-License-Identifier: BSD-3-Clause
"""Each header compiles alone."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import compile_commands
import rule
from preprocessed import Passed

CXX = ["g++", "-std=gnu++20", "-x", "c++", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
# The same header for a BPF program and for C++: both must take it.
C = ["gcc", "-std=gnu11", "-x", "c", "-Wall", "-Wextra", "-Werror"]


def check(header, command, passed):
    """What the compiler says, or nothing."""
    # Included into nothing: as a main file it would be told off for its #pragma once.
    command = [*command, "-include", str(header)]
    try:
        key = passed.key(command, "/dev/null")
    except RuntimeError as error:
        yield str(error)
        return
    if passed.has(key):
        return
    done = subprocess.run([*command, "-fsyntax-only", "/dev/null"], cwd=rule.ROOT, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        yield done.stderr
    else:
        passed.add(key)


def folder_check(headers, languages):
    def run():
        flags = [f"-I{rule.ROOT}", *compile_commands.everywhere()]
        compiler = subprocess.run(["g++", "--version"], text=True, capture_output=True).stdout
        passed = Passed("headers", compiler + " ".join([*CXX, *C]))
        for header in headers:
            for language in languages:
                yield from check(header, [*language, *flags], passed)

    return run


CHECKS = {}
for _folder in sorted({path.parent for path in rule.files((".h",), ["agent", "kmod-glue", "bpf/abi", "tests"])}):
    _name = rule.relative(_folder).removeprefix("agent/").replace("/", "_").replace("-", "_")
    CHECKS[f"unit.rules.headers.{_name}"] = folder_check(
        sorted(_folder.glob("*.h")), [CXX, C] if rule.relative(_folder) == "bpf/abi" else [CXX])

if __name__ == "__main__":
    rule.main(CHECKS, workers=rule.WORKERS)
