# SPDX-License-Identifier: BSD-3-Clause
"""Each source says its licence in its first line, a script in its second."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule

SUFFIXES = {".cc", ".h", ".c", ".py", ".sh", ".cmake"}
BPF = "BSD-2-Clause OR GPL-2.0"  # some helpers ask for the GPL
OURS = "BSD-3-Clause"


def wanted(path):
    return BPF if rule.relative(path).startswith("bpf/") or path.name.endswith(".bpf.c") else OURS


def is_source(path):
    if path.suffix in SUFFIXES or path.name == "CMakeLists.txt":
        return True
    with open(path, "rb") as file:
        return not path.suffix and file.read(2) == b"#!"


def check(folder):
    for path in sorted((rule.ROOT / folder).rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts or not is_source(path):
            continue
        with open(path, errors="replace") as file:
            first = [file.readline(), file.readline()]
        line = first[1] if first[0].startswith("#!") else first[0]
        if f"SPDX-License-Identifier: {wanted(path)}" not in line:
            yield f"{rule.relative(path)}: no 'SPDX-License-Identifier: {wanted(path)}' where it starts"


CHECKS = {f"unit.rules.licence.{name.replace('-', '_')}": lambda name=name: check(name)
          for name in rule.SOURCE_FOLDERS if (rule.ROOT / name).is_dir()}

if __name__ == "__main__":
    rule.main(CHECKS)
