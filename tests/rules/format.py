# SPDX-License-Identifier: BSD-3-Clause
"""clang-format changes nothing. A BPF program is in the kernel's style wherever it lies."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule


KERNEL_STYLE = f"file:{rule.ROOT}/bpf/.clang-format"


def check(files):
    bpf = [path for path in files if path.name.endswith(".bpf.c")]
    for style, some in (("file", [path for path in files if path not in bpf]), (KERNEL_STYLE, bpf)):
        if not some:
            continue
        done = subprocess.run(["clang-format-19", f"-style={style}", "--dry-run", "-Werror", "--", *map(str, some)],
                              cwd=rule.ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            yield from done.stderr.splitlines()


CHECKS = {}
for _folder in rule.SOURCE_FOLDERS:
    if _files := rule.files((".cc", ".h", ".c"), [_folder]):
        CHECKS[f"unit.rules.format.{_folder.replace('-', '_')}"] = lambda files=_files: check(files)

if __name__ == "__main__":
    rule.main(CHECKS, workers=rule.WORKERS)
