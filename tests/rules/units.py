# SPDX-License-Identifier: BSD-3-Clause
"""The systemd units are well formed, and what they expose stays small."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule

UNITS = sorted((rule.ROOT / "config/systemd").glob("*.service"))
MOST_EXPOSED = {"sallyport-agent": 4.0}  # it is privileged
MOST = 2.5
OUR_PROGRAM = re.compile(r"/usr/bin/sallyport[\w-]*")


def run(*command):
    done = subprocess.run(["systemd-analyze", "--no-pager", *command], text=True, capture_output=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).strip()


def needs_systemd():
    if shutil.which("systemd-analyze") is None:
        raise rule.Skip("there is no systemd-analyze")


def verify(unit):
    """Our programs are not installed here: each stands for one that is."""
    needs_systemd()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / unit.name
        copy.write_text(OUR_PROGRAM.sub("/bin/true", unit.read_text()))
        code, said = run("verify", "--man=no", "--recursive-errors=no", str(copy))
        if code != 0 or said:
            yield f"{rule.relative(unit)}: {said or f'exit {code}'}"


def security(unit):
    needs_systemd()
    most = MOST_EXPOSED.get(unit.stem, MOST)
    code, said = run("security", "--offline=true", f"--threshold={int(most * 10)}", str(unit))
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    if level is None:
        yield f"{rule.relative(unit)}: exit {code}, {said}"
    elif float(level[1]) >= most:
        bad = [line for line in said.splitlines() if line.startswith("✗")]
        yield "\n".join([f"{rule.relative(unit)}: exposure {level[1]}, allowed is under {most}", *bad])


CHECKS = {}
for found in UNITS:
    name = found.stem.replace("-", "_")
    CHECKS[f"unit.rules.units.verify_{name}"] = lambda unit=found: verify(unit)
    CHECKS[f"unit.rules.units.security_{name}"] = lambda unit=found: security(unit)

if __name__ == "__main__":
    rule.main(CHECKS)
