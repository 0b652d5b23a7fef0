# SPDX-License-Identifier: BSD-3-Clause
"""clang-tidy has nothing to say about what ships (agent/, kmod-glue/). A source whose preprocessed
text and settings passed before is not read again; every other one is."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import compile_commands
import rule
from preprocessed import Passed

TIDY = "clang-tidy-19"
# Two at a time in all, however many folders wait.
POOL = ThreadPoolExecutor(rule.WORKERS)


def check(source, command, passed):
    try:
        key = passed.key(command, source)
        if passed.has(key):
            return []
    except RuntimeError as error:
        return [str(error)]
    # The warnings are g++'s, which the build obeys; clang's own, some about flags that it does not
    # know, are no fault of the source.
    done = subprocess.run([TIDY, "--quiet", "-p", str(compile_commands.DATABASE.parent),
                           "--extra-arg=-Wno-error", str(source)],
                          cwd=rule.ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or re.search(r"(warning|error):", done.stdout):
        return (done.stdout or done.stderr).splitlines()
    passed.add(key)
    return []


def folder_check(sources):
    def run():
        commands = compile_commands.of_sources()
        version = subprocess.run([TIDY, "--version"], text=True, capture_output=True).stdout
        version = "\n".join(line for line in version.splitlines() if "CPU" not in line)
        passed = Passed("tidy", version + (rule.ROOT / ".clang-tidy").read_text())
        known = [path for path in sources if str(path) in commands]
        for path in sources:
            if path not in known:
                yield f"{rule.relative(path)}: not in compile_commands.json: cmake --preset debug"
        for said in POOL.map(lambda path: check(path, commands[str(path)], passed), known):
            yield from said

    return run


CHECKS = {}
for _folder in sorted({path.parent for path in rule.files((".cc",), ["agent", "kmod-glue"])}):
    _name = rule.relative(_folder).removeprefix("agent/").replace("/", "_").replace("-", "_")
    CHECKS[f"unit.rules.tidy.{_name}"] = folder_check(sorted(_folder.glob("*.cc")))

if __name__ == "__main__":
    rule.main(CHECKS, workers=rule.WORKERS)
