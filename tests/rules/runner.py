# SPDX-License-Identifier: BSD-3-Clause
"""What tests/run promises: its lines, its last line, its exit code and JUnit's file."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import re

import rule
import rungs
import runner
from report import Result

RESULTS = [Result("unit.a.passes", "ok", 0.25), Result("unit.a.fails", "FAIL", 1.5, "first <line>\n\x1b[1msecond & last"),
           Result("netns.b.skips", "skip", 0.0, "no\nkernel for it")]


def run_with(results, **options):
    """What run() prints and returns, with jobs that report `results`."""
    def report_them(ids, report):
        for result in results:
            if result.id in ids:
                report.add(result)

    job = rungs.Job([result.id for result in results], report_them)
    chosen = [rungs.Rung("unit", {}, discover=lambda: [job])]
    given = SimpleNamespace(**({"pattern": re.compile(""), "filter": None, "list": False, "junit": None,
                                "rung": ["unit"]} | options))
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
        code = runner.run(chosen, given)
    return code, said.getvalue().splitlines()


def lines():
    code, said = run_with(RESULTS)
    expected = ["ok    unit.a.passes  0.25", "FAIL  unit.a.fails  1.50", "      first <line>",
                "      \x1b[1msecond & last", "skip  netns.b.skips  0.00  no kernel for it",
                "1 passed, 1 failed, 1 skipped"]
    if said != expected:
        yield f"lines: {said}, not {expected}"
    if code != 1:
        yield f"exit {code} with a failure"
    code, said = run_with(RESULTS[:1])
    if (code, said[-1]) != (0, "1 passed, 0 failed, 0 skipped"):
        yield f"all good: exit {code}, {said[-1]}"
    code, said = run_with(RESULTS, list=True)
    if (code, said) != (0, [result.id for result in RESULTS]):
        yield f"--list: exit {code}, {said}"
    code, _ = run_with(RESULTS, filter="nothing", pattern=re.compile("nothing"))
    if code != 2:
        yield f"a filter that matches nothing: exit {code}"


def junit():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "junit.xml"
        run_with(RESULTS, junit=str(file))
        suite = ElementTree.parse(file).getroot()
    counts = (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("skipped"))
    if counts != ("testsuite", "3", "1", "1"):
        yield f"the suite: {counts}"
    cases = {(case.get("classname"), case.get("name")): case for case in suite}
    if sorted(cases) != [("netns.b", "skips"), ("unit.a", "fails"), ("unit.a", "passes")]:
        yield f"the cases: {sorted(cases)}"
        return
    if list(cases["unit.a", "passes"]) or cases["unit.a", "passes"].get("time") != "0.250":
        yield "a passed test has a time and nothing else"
    failure = cases["unit.a", "fails"].find("failure")
    if failure is None or failure.get("message") != "first <line>" or failure.text != "first <line>\n?[1msecond & last":
        yield f"a failure: {failure if failure is None else (failure.get('message'), failure.text)}"
    skipped = cases["netns.b", "skips"].find("skipped")
    if skipped is None or "no" not in skipped.get("message", ""):
        yield "a skip has its reason"


CHECKS = {"unit.rules.runner.lines_and_exit_codes": lines, "unit.rules.runner.junit": junit}

if __name__ == "__main__":
    rule.main(CHECKS)
