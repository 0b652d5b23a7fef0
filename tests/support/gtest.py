# SPDX-License-Identifier: BSD-3-Clause
"""GoogleTest programs: their tests, and their output read line by line as it comes.

A program is run until all of its tests have a result: one that crashes, hangs or takes the machine
with it costs the test that ran, and the program is started again for the rest."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import progress
from report import Result

_RUN = re.compile(r"^\[ RUN      \] (\S+)$")
# What a test printed without a newline may stand before it.
_END = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] ([^\s,]+)(?:,.*)? \((\d+) ms\)$")
_NOISE = re.compile(r"^(\[[-= ]{10}\]|\[  PASSED  \]|Note: Google Test filter|Running main\(\)|\s*$)")


@dataclass(frozen=True)
class Program:
    path: Path
    rung: str
    prefix: str = ""  # ids are prefix.Suite.Test; without it the suite's name gives the id

    def id(self, name):
        """`lab_lan.tcp` is lab.lan.tcp: the first '_' of a suite's name parts the rung from the rest."""
        if self.prefix:
            return f"{self.prefix}.{name}"
        name = name.replace("_", ".", 1) if "_" in name.split(".")[0] else name
        known = (self.rung, "scene") if self.rung == "interop" else (self.rung,)
        return name if name.split(".")[0] in known else f"{self.rung}.{name}"


def list_tests(program):
    """The names, as --gtest_filter takes them."""
    done = subprocess.run([program.path, "--gtest_list_tests"], text=True, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"{program.path} --gtest_list_tests: exit {done.returncode}\n{done.stdout}{done.stderr}")
    names, suite = [], ""
    for line in done.stdout.splitlines():
        word = line.split("#")[0].rstrip()
        if word.startswith("  "):
            names.append(suite + word.strip())
        elif word.endswith("."):
            suite = word
    return names


@dataclass(frozen=True)
class Ending:
    code: int | None  # None: it did not get as far as an exit code
    why: str = ""


class Stream:
    """Takes the program's lines, reports each test as it ends."""

    def __init__(self, program, report):
        self._program, self._report = program, report
        self.done = set()
        self.failed = 0
        self.running = None
        self._started = 0.0
        self._lines = []

    def take(self, line):
        if match := _RUN.match(line):
            self._begin(match[1])
        elif self.running and (match := _END.search(line)) and match[2] == self.running:
            self._lines.append(line[: match.start()])
            self._end(match[1], int(match[3]) / 1000)
        elif self.running or not _NOISE.match(line):
            self._lines.append(line)

    def _begin(self, name):
        self.running, self._started, self._lines = name, time.monotonic(), []
        progress.begin(self, f"running {self._program.id(name)}")

    def _end(self, word, seconds):
        status = {"OK": "ok", "FAILED": "FAIL", "SKIPPED": "skip"}[word]
        text = "\n".join(self._lines).rstrip()
        if status == "skip":  # "file:line: Skipped", then the reason
            text = re.sub(r"^\S+: Skipped\n", "", text, flags=re.M).strip()
        self._finish(Result(self._program.id(self.running), status, seconds, text if status != "ok" else ""))

    def fail_running(self, why):
        """The running test ended without a word of its own."""
        text = "\n".join([*self._lines, why])
        self._finish(Result(self._program.id(self.running), "FAIL", time.monotonic() - self._started, text))

    def _finish(self, result):
        progress.end(self)
        self._report.add(result)
        self.failed += result.status == "FAIL"
        self.done.add(self.running)
        self.running, self._lines = None, []

    def fail_unrun(self, name, why):
        text = "\n".join([*self._lines, why])
        self._report.add(Result(self._program.id(name), "FAIL", 0.0, text))

    def fail_program(self, why):
        """Something outside any test: a leak found at the exit, a program that does not start."""
        name = f"{self._program.id('').rstrip('.')}.{self._program.path.name}"
        self._report.add(Result(name, "FAIL", 0.0, "\n".join([*self._lines, why])))
        self._lines = []

    def clear(self):
        self._lines = []


def run(program, names, report, execute):
    """Runs `names`. `execute(arguments, on_line)` runs the program once, anywhere, and returns an
    Ending."""
    everything = set(list_tests(program)) == set(names)
    rest = list(names)
    stream = Stream(program, report)
    while rest:
        arguments = ["--gtest_color=no", "--gtest_print_time=1"]
        if not everything or len(rest) < len(names):
            arguments.append(f"--gtest_filter={':'.join(rest)}")
        before, failed_before = len(stream.done), stream.failed
        ending = execute(arguments, stream.take)
        why = ending.why or f"exit {ending.code}"
        crashed = stream.running is not None
        if crashed:
            stream.fail_running(why)
        rest = [name for name in rest if name not in stream.done]
        if rest and len(stream.done) == before:
            for name in rest:
                stream.fail_unrun(name, why)
            return
        # Exit 1 is how GoogleTest says that a test failed; anything else came from outside the tests.
        expected = 1 if stream.failed > failed_before else 0
        if not crashed and not rest and ending.code != expected:
            stream.fail_program(why)
        stream.clear()
