# SPDX-License-Identifier: BSD-3-Clause
"""Builds and runs the tests: `sudo tests/run`. One line a test as it ends, then
'N passed, N failed, N skipped'. Exit 0, 1 when a test failed, 2 usage, 4 not root, 6 a package
could not be installed."""

import argparse
import os
import re
import signal
import sys
import time

import build
import packages
import rungs
from progress import note
from report import Report, Result

NAMES = ["unit", "sim", "bpf", "netns", "lab", "interop", "image", "fuzz"]


def main():
    sys.stdout.reconfigure(line_buffering=True)
    # At once, threads or not: whatever runs dies with us (PR_SET_PDEATHSIG).
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda signum, frame: os._exit(128 + signum))
    options = parse_arguments()
    chosen = rungs.chosen_rungs(options.rung, options.full)
    if os.geteuid() != 0 and any(rung.root for rung in chosen):
        names = ", ".join(rung.name for rung in chosen if rung.root)
        print(f"only root can run {names}: sudo {sys.argv[0]}", file=sys.stderr)
        return 4
    try:
        packages.install_missing()
    except packages.Refused as refusal:
        print(refusal, file=sys.stderr)
        return 6
    return run(chosen, options)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__)
    parser.add_argument("--rung", metavar="NAME,...", help=f"of {','.join(NAMES)}; default: all")
    parser.add_argument("--filter", metavar="REGEX", help="only tests whose id it matches (search)")
    parser.add_argument("--full", action="store_true", help="long waits, soak, hours of fuzzing too")
    parser.add_argument("--list", action="store_true", help="print the ids only")
    parser.add_argument("--junit", metavar="FILE")
    options = parser.parse_args()
    try:
        options.pattern = re.compile(options.filter or "")
    except re.error as error:
        parser.error(f"--filter {options.filter}: {error}")
    options.rung = options.rung.split(",") if options.rung else rungs_of(options.filter or "")
    if unknown := [name for name in options.rung if name not in NAMES]:
        parser.error(f"--rung {unknown[0]}: it is one of {', '.join(NAMES)}")
    return options


def rungs_of(pattern):
    """A filter that begins with a rung's name needs no other rung built."""
    for name in [*NAMES, "scene"]:
        if "|" not in pattern and re.match(rf"\^?{name}\\?\.", pattern):
            return ["interop" if name == "scene" else name]
    return NAMES


def run(chosen, options):
    report = Report()
    configured = set()
    for rung in chosen:
        started = time.monotonic()
        try:
            make(rung, configured)
            jobs = select(rung, options.pattern)
        except (build.Failed, RuntimeError, OSError) as error:
            report.add(Result(f"{rung.name}.build", "FAIL", time.monotonic() - started, str(error)))
            continue
        if options.list:
            for _, ids in jobs:
                print("\n".join(ids))
        else:
            rungs.run_jobs(rung, jobs, report)
    if options.list:
        return 1 if report.count("FAIL") else 0
    if options.junit:
        report.write_junit(options.junit)
    if options.filter and report.total == 0:
        note(f"--filter {options.filter} matches no test of {', '.join(options.rung)}")
    report.last_line()
    if report.count("FAIL"):
        return 1
    return 2 if options.filter and report.total == 0 else 0


def make(rung, configured):
    for preset, targets in rung.presets.items():
        if not targets:
            continue
        if preset not in configured:
            configured.add(preset)
            build.configure(preset)
        build.build(preset, targets)


def select(rung, pattern):
    """The rung's jobs that have a test to run, with the ids."""
    chosen = []
    for job in rung.discover():
        if ids := [name for name in job.ids if pattern.search(name)]:
            chosen.append((job, ids))
    return chosen


if __name__ == "__main__":
    sys.exit(main())
