# SPDX-License-Identifier: BSD-3-Clause
"""clang-format changes nothing."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule


def check(files):
    done = subprocess.run(["clang-format-19", "-style=file", "--dry-run", "-Werror", *map(str, files)],
                          cwd=rule.ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    return done.stderr.splitlines() if done.returncode != 0 else []


CHECKS = {}
for _folder in rule.SOURCE_FOLDERS:
    if _files := rule.files((".cc", ".h", ".c"), [_folder]):
        CHECKS[f"unit.rules.format.{_folder.replace('-', '_')}"] = lambda files=_files: check(files)

if __name__ == "__main__":
    rule.main(CHECKS, workers=rule.WORKERS)
