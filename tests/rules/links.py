# SPDX-License-Identifier: BSD-3-Clause
"""What each shipped program links. libnftables is GPL-2.0-only, OpenSSL 3 and simdjson are
Apache-2.0: they do not go together in one program."""

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule

GPL2_ONLY = ("libnftables",)
APACHE2 = ("libcrypto", "libssl", "libsimdjson")
# Who may link the first; every other program may link the second.
WITH_NFTABLES = "sallyport-agent"


def check(name):
    binary = rule.ROOT / "build/release/bin" / name
    if not binary.exists():
        raise rule.Skip(f"{rule.relative(binary)} is not built")
    dynamic = subprocess.run(["readelf", "-dW", binary], text=True, capture_output=True, check=True,
                             env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)
    if not needed:
        return [f"{name} links nothing: is it a dynamic program?"]
    forbidden = APACHE2 if name == WITH_NFTABLES else GPL2_ONLY
    return [f"{name} links {library}" for library in needed if library.startswith(forbidden)]


def programs():
    text = (rule.ROOT / "CMakeLists.txt").read_text()
    return [name for name in re.findall(r"^main\((\S+)", text, re.M)]


CHECKS = {f"unit.rules.links.{name.replace('-', '_')}": lambda name=name: check(name) for name in programs()}

if __name__ == "__main__":
    rule.main(CHECKS)
