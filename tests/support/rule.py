# SPDX-License-Identifier: BSD-3-Clause
"""The frame of a rule's script: ids with checks, --list, --only, one line an id."""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("agent", "bpf", "kmod-glue", "config", "image", "tests")
WORKERS = os.cpu_count() or 1


class Skip(Exception):
    """The rule cannot be checked now, and why."""


def files(suffixes, folders=SOURCE_FOLDERS):
    """Every file of ours with one of the suffixes, sorted."""
    found = []
    for folder in folders:
        found += [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes and path.is_file()]
    return sorted(found)


def relative(path):
    return str(Path(path).relative_to(ROOT))


def main(checks, workers=1):
    """`checks`: id -> function that returns what is wrong, a line each. Exit 1 if anything is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true", help="print the ids only")
    parser.add_argument("--only", nargs="+", metavar="ID")
    options = parser.parse_args()
    if options.list:
        print("\n".join(checks))
        return
    chosen = {name: check for name, check in checks.items() if not options.only or name in options.only}
    failed = False
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(check): name for name, check in chosen.items()}
        for future in as_completed(futures):
            failed |= _print(futures[future], future)
    sys.exit(1 if failed else 0)


def _print(name, future):
    try:
        wrong = list(future.result())
    except Skip as skip:
        print(f"skip {name} {skip}", flush=True)
        return False
    if not wrong:
        print(f"ok {name}", flush=True)
        return False
    print(f"FAIL {name} " + "\n".join(wrong), flush=True)
    return True
