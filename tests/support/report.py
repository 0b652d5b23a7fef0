# SPDX-License-Identifier: BSD-3-Clause
"""Results as they come, the last line, and JUnit's file."""

import threading
from dataclasses import dataclass
from xml.etree import ElementTree

# What XML 1.0 forbids and a failing test may well print.
_FORBIDDEN = dict.fromkeys([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0xFFFE, 0xFFFF], "?")


@dataclass
class Result:
    id: str
    status: str  # "ok", "FAIL" or "skip"
    seconds: float
    text: str = ""  # a failure's output, a skip's reason


class Report:
    """Safe to use from several threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._results = []

    def add(self, result):
        line = f"{result.status:4}  {result.id}  {result.seconds:.2f}"
        if result.status == "skip":
            line += f"  {' '.join(result.text.split()) or 'no reason given'}"
        with self._lock:
            self._results.append(result)
            print(line, flush=True)
            if result.status == "FAIL" and result.text:
                print("\n".join(f"      {row}" for row in result.text.rstrip().split("\n")), flush=True)

    def count(self, status):
        return sum(result.status == status for result in self._results)

    @property
    def total(self):
        return len(self._results)

    def last_line(self):
        failed = [result.id for result in self._results if result.status == "FAIL"]
        if failed and self.total > 20:  # they may have scrolled away
            print("failed:\n" + "\n".join(f"  {name}" for name in failed))
        print(f"{self.count('ok')} passed, {len(failed)} failed, {self.count('skip')} skipped", flush=True)

    def write_junit(self, path):
        suite = ElementTree.Element("testsuite", name="sallyport", tests=str(self.total),
                                    failures=str(self.count("FAIL")), skipped=str(self.count("skip")))
        for result in self._results:
            group, _, name = result.id.rpartition(".")
            case = ElementTree.SubElement(suite, "testcase", classname=group, name=name,
                                          time=f"{result.seconds:.3f}")
            text = result.text.translate(_FORBIDDEN)
            if result.status == "FAIL":
                ElementTree.SubElement(case, "failure", message=text.split("\n")[0]).text = text
            elif result.status == "skip":
                ElementTree.SubElement(case, "skipped", message=text)
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
