# SPDX-License-Identifier: BSD-3-Clause
"""The top level of the tree is fixed."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule

TOP = {"CMakeLists.txt", "agent", "bpf", "kmod-glue", "config", "image", "tests", "README.md",
       "CMakePresets.json", "LICENSE"}


def present():
    """What belongs to the project: git knows what is ignored; an unpacked archive has nothing else."""
    listed = subprocess.run(["git", "-c", f"safe.directory={rule.ROOT}", "ls-files", "-co", "--exclude-standard"],
                            cwd=rule.ROOT, text=True, capture_output=True)
    paths = listed.stdout.splitlines() if listed.returncode == 0 else [p.name for p in rule.ROOT.iterdir()]
    return {path.split("/")[0] for path in paths if (rule.ROOT / path).exists()} - {"build"}


def top_level():
    names = {name for name in present() if not name.startswith(".")}
    yield from (f"{name} does not belong at the top level" for name in sorted(names - TOP))
    yield from (f"{name} is missing" for name in sorted(TOP - names))


if __name__ == "__main__":
    rule.main({"unit.rules.tree.top_level": top_level})
