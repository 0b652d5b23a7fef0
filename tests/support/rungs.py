# SPDX-License-Identifier: BSD-3-Clause
"""The rungs, cheapest first: what each builds, where its tests are, how they run."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

import build
import go
import gtest
import process
import progress
from build import ROOT
from lab import Lab
from report import Result

FUZZ_TOTAL_S = 90
FUZZ_FULL_S = 4 * 3600


@dataclass(frozen=True)
class Job:
    """Some tests that run together. `run(ids, report)` runs those of them that were asked for."""

    ids: list
    run: Callable


@dataclass(frozen=True)
class Rung:
    name: str
    presets: dict  # preset -> targets
    discover: Callable  # () -> [Job]
    root: bool = True
    parallel: bool = False  # its jobs measure nothing and share nothing


def programs(preset, pattern):
    return sorted(path for path in (build.folder(preset) / "bin").glob(pattern)
                  if os.access(path, os.X_OK) and path.is_file())


def gtest_jobs(rung, preset, pattern, execute, prefix=lambda path: ""):
    """A job for each GoogleTest program. `execute(program, arguments, on_line)` -> gtest.Ending."""
    jobs = []
    for path in programs(preset, pattern):
        program = gtest.Program(path, rung, prefix(path))
        names = {program.id(name): name for name in gtest.list_tests(program)}

        def run(ids, report, program=program, names=names):
            gtest.run(program, [names[i] for i in ids], report,
                      lambda arguments, on_line: execute(program, arguments, on_line))

        jobs.append(Job(list(names), run))
    return jobs


def here(silence_s):
    return lambda program, arguments, on_line: process.run([program.path, *arguments], on_line, silence_s)


def in_own_network(silence_s):
    return lambda program, arguments, on_line: process.run(
        process.in_fresh_network([program.path, *arguments]), on_line, silence_s)


def rule_jobs():
    """tests/rules/*.py: each lists its ids with --list and prints `ok ID` or `FAIL ID message`."""
    jobs = []
    for script in sorted((ROOT / "tests/rules").glob("[a-z]*.py")):
        command = [sys.executable, str(script)]
        listed = subprocess.run([*command, "--list"], text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if listed.returncode != 0:
            raise RuntimeError(f"{script} --list: {listed.stderr}")
        ids = listed.stdout.split()
        if ids:
            jobs.append(Job(ids, lambda wanted, report, command=command: _run_rules(command, wanted, report)))
    return jobs


def _run_rules(command, wanted, report):
    reported, last, failure = set(), time.monotonic(), None
    said = []

    def flush():
        if failure:
            report.add(Result(failure[0], "FAIL", failure[1], "\n".join(failure[2])))

    def take(line):
        nonlocal last, failure
        match = re.match(r"^(ok|FAIL|skip) (\S+) ?(.*)$", line)
        if not match:
            (failure[2] if failure else said).append(line)
            return
        flush()
        failure = None
        now, status, name = time.monotonic(), match[1], match[2]
        if name in wanted and name not in reported:
            reported.add(name)
            if status == "FAIL":
                failure = (name, now - last, [match[3]])
            else:
                report.add(Result(name, status, now - last, match[3]))
        last = now

    with progress.activity(f"checking {command[-1].removeprefix(str(ROOT) + '/')}"):
        ending = process.run([*command, "--only", *wanted], take, silence_s=900)
    flush()
    for name in wanted:
        if name not in reported:
            report.add(Result(name, "FAIL", 0.0, "\n".join([*said, ending.why or f"exit {ending.code}, no result"])))


def fuzz_jobs(full):
    found = programs("fuzz", "fuzz_*")
    workers = os.cpu_count() or 1
    share = max(2, (FUZZ_FULL_S if full else FUZZ_TOTAL_S) * workers // max(1, len(found)))
    return [Job([f"fuzz.{path.name.removeprefix('fuzz_')}"],
                lambda ids, report, path=path: _fuzz(path, ids[0], share, report)) for path in found]


def _fuzz(path, name, seconds, report):
    """New finds go to the build folder; a find worth keeping is copied to tests/fuzz/corpus by hand."""
    short = path.name.removeprefix("fuzz_")
    work = build.folder("fuzz") / "found" / short
    work.mkdir(parents=True, exist_ok=True)
    corpus = ROOT / "tests/fuzz/corpus" / short
    seeds = [corpus] if corpus.is_dir() else []
    lines, started = [], time.monotonic()
    with progress.activity(f"fuzzing {short} for {seconds} s"):
        ending = process.run([path, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048",
                              f"-artifact_prefix={work}.", work, *seeds], lines.append, silence_s=seconds + 120)
    text = "\n".join(lines[-60:] + ([ending.why] if ending.why else []))
    report.add(Result(name, "ok" if ending.code == 0 else "FAIL", time.monotonic() - started, text))


def chosen_rungs(names, full):
    """The rungs of these names, cheapest first. Tests see SALLYPORT_TEST_FULL=1 if `full`."""
    lab = Lab()
    env = {"SALLYPORT_TEST_FULL": "1"} if full else {}
    os.environ.update(env)
    # The rules look into what ships, if this run builds it anyway.
    unit_builds = {"debug": ["unit_tests", "bpf_skeletons"]}
    if full:
        unit_builds["tsan"] = ["unit_io"]
    if {"lab", "interop", "image"} & set(names):
        unit_builds["release"] = ["shipped"]

    def unit_jobs():
        jobs = gtest_jobs("unit", "debug", "unit_*", here(300), lambda path: path.name.replace("_", ".", 1))
        # The loop, and the queues between it and threads: what only ThreadSanitizer sees.
        if full:
            jobs += gtest_jobs("unit", "tsan", "unit_io", here(300), lambda path: "unit.tsan.io")
        return jobs + rule_jobs()

    def in_lab(program, arguments, on_line):
        return lab.execute(program, arguments, on_line, env)

    stock = go.Programs()

    def beside_stock(program, arguments, on_line):
        stock.prepare()
        return in_own_network(120)(program, arguments, on_line)

    rungs = [
        Rung("unit", unit_builds, root=False, parallel=True,
             discover=unit_jobs),
        Rung("sim", {"debug": ["sim_tests"]}, root=False, parallel=True,
             discover=lambda: gtest_jobs("sim", "debug", "sim_*", here(300))),
        Rung("bpf", {"debug": ["bpf_tests"]},
             discover=lambda: gtest_jobs("bpf", "debug", "bpf_*", in_own_network(180))),
        Rung("netns", {"debug": ["netns_tests"]},
             discover=lambda: gtest_jobs("netns", "debug", "netns_*", in_own_network(90))),
        Rung("lab", {"release": ["lab_tests"]},
             discover=lambda: gtest_jobs("lab", "release", "lab_*", in_lab)),
        Rung("interop", {"debug": ["interop_tests"]},
             discover=lambda: gtest_jobs("interop", "debug", "interop_*", beside_stock)),
        Rung("image", {"release": []},
             discover=lambda: gtest_jobs("image", "release", "image_*", here(600))),
        Rung("fuzz", {"fuzz": ["fuzz_targets"]}, root=False, parallel=True,
             discover=lambda: fuzz_jobs(full)),
    ]
    return [rung for rung in rungs if rung.name in names]


def run_jobs(rung, jobs, report):
    """`jobs` are pairs of a Job and the ids of it that were asked for."""
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) if rung.parallel else 1) as pool:
        futures = [pool.submit(job.run, ids, report) for job, ids in jobs]
        for future, (_, ids) in zip(futures, jobs):
            try:
                future.result()
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                for name in ids:
                    report.add(Result(name, "FAIL", 0.0, str(error)))
