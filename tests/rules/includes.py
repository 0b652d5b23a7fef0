# SPDX-License-Identifier: BSD-3-Clause
"""Who may include whom. The table is CMakeLists.txt's own: a link edge is the permission."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import rule

SUFFIXES = (".cc", ".h", ".c")
# They are given bytes, time, randomness and observed state; they fetch nothing.
DECIDING = {"model", "wire", "wire_http", "wire_tailcfg", "wire_noise", "wire_map_frame",
            "policy", "node", "node_control", "guard", "coordinator", "relay"}
# It opens the configuration's files and decides what they say, but it too stays off sockets.
READING = {"options"}
EDGE = {"io", "io_tls", "netlink", "kmod_glue", "drive_agent", "drive_node"}
# <arpa/inet.h> is not among them: inet_pton only turns text into bytes.
FORBIDDEN_HEADER = re.compile(r"^(linux|sys|net|netinet|asm)/|^(unistd|fcntl|poll|ifaddrs|netdb)\.h$")
CLOCK = re.compile(r"::now\(|\b(clock_gettime|gettimeofday|timespec_get)\(|\btime\((NULL|nullptr|0)\)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Values shared with BPF: every room may include them, and they include nothing but <stdint.h>.
ABI = "bpf/abi"


def table():
    """folder -> (target, targets it links), from the room() and main() lines."""
    text = re.sub(r"#.*", "", (rule.ROOT / "CMakeLists.txt").read_text())
    rows = re.findall(r"^(?:room|main)\(\s*(\S+)\s+(\S+)\s*([^)]*)\)", text, re.M)
    return {folder: (target, links.split()) for target, folder, links in rows if "${" not in folder}


TABLE = table()
LINKS = dict(TABLE.values())


def reachable(target):
    """The target and everything below it."""
    seen, todo = set(), [target]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += LINKS.get(name, [])
    return seen


def includes_of(path):
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1] == '"', match[2]


def own_files(folder):
    """The room's files: those of a room inside this folder are not its own."""
    inner = [rule.ROOT / other for other in TABLE if other.startswith(folder + "/")]
    return [path for path in rule.files(SUFFIXES, [folder])
            if not any(path.is_relative_to(other) for other in inner)]


def direction(folder):
    target, _ = TABLE[folder]
    allowed = reachable(target)
    for path in own_files(folder):
        for number, quoted, name in includes_of(path):
            where = f"{rule.relative(path)}:{number}"
            parent = str(Path(name).parent)
            if not quoted or parent == ABI:
                continue
            if name.endswith(".skel.h"):
                if "bpf_objects" not in allowed:
                    yield f"{where}: {target} does not link bpf_objects, so it may not include {name}"
            elif parent not in TABLE:
                yield f"{where}: \"{name}\" is in no room; paths begin at the root of the tree"
            elif TABLE[parent][0] not in allowed:
                yield f"{where}: {target} may not include {TABLE[parent][0]}"


def deciding():
    for target in sorted((DECIDING | READING) & LINKS.keys()):
        for name in sorted(reachable(target) & EDGE):
            yield f"CMakeLists.txt: {target} may not link {name}, which does I/O"
    for folder, (target, _) in TABLE.items():
        if target not in DECIDING:
            continue
        for path in own_files(folder):
            for number, quoted, name in includes_of(path):
                if not quoted and FORBIDDEN_HEADER.match(name):
                    yield f"{rule.relative(path)}:{number}: {target} decides and includes <{name}>"
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if CLOCK.search(line.split("//")[0]):
                    yield f"{rule.relative(path)}:{number}: {target} decides and reads a clock"


def rooms():
    """Every folder with sources is a room of the table."""
    for path in rule.files((".cc", ".h"), ["agent", "kmod-glue"]):
        folder = rule.relative(path.parent)
        if folder not in TABLE:
            yield f"{rule.relative(path)}: CMakeLists.txt has no target for {folder}"


def bpf():
    for path in rule.files((".c", ".h"), ["bpf"]):
        inside_abi = rule.relative(path).startswith(ABI + "/")
        for number, quoted, name in includes_of(path):
            where = f"{rule.relative(path)}:{number}"
            if quoted and not name.startswith(ABI + "/" if inside_abi else "bpf/"):
                yield f"{where}: \"{name}\" is not BPF's"
            elif inside_abi and not quoted and name != "stdint.h":
                yield f"{where}: {ABI} includes only <stdint.h>"


CHECKS = {
    "unit.rules.includes.rooms": rooms,
    "unit.rules.includes.deciding": deciding,
    "unit.rules.includes.bpf": bpf,
}
for _folder, (_target, _) in TABLE.items():
    if own_files(_folder):
        CHECKS[f"unit.rules.includes.{_target.replace('-', '_')}"] = lambda folder=_folder: direction(folder)

if __name__ == "__main__":
    rule.main(CHECKS)
