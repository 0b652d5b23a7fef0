# SPDX-License-Identifier: BSD-3-Clause
"""Runs test programs in the lab guest. They are read from this machine's root over 9p as they are;
what they leave in /lab stays in build/lab/PROGRAM."""

import shutil
import sys
from pathlib import Path

import progress
from build import ROOT
from gtest import Ending

sys.path.insert(0, str(ROOT / "tests/lab/guest"))
import accelerator
import kernel
import machine

SILENCE_S = 240  # a scene says nothing while it runs, and a loaded machine takes its time


class Lab:
    """Prepared at the first use. Prepared once a run of the tests."""

    def __init__(self):
        self._kernel = None
        self._accelerator = "tcg"

    def execute(self, program, arguments, on_line, env=None, silence_s=SILENCE_S, icount=False):
        """Boots, runs the program once, and says how it ended."""
        if self._kernel is None:
            with progress.activity("preparing the lab guest"):
                self._kernel = kernel.prepare(progress.note)
                self._accelerator = accelerator.choose(self._kernel, progress.note)
        share = ROOT / "build/lab" / program.path.name
        shutil.rmtree(share, ignore_errors=True)
        share.mkdir(parents=True)
        boot = object()

        def first_line_ends_boot(line):
            progress.end(boot)
            on_line(line)

        progress.begin(boot, "booting the lab guest")
        try:
            outcome = machine.run(
                self._kernel, [program.path, *arguments],
                machine.Options(accelerator="tcg" if icount else self._accelerator, icount=icount,
                                silence_s=silence_s, timeout_s=3600),
                on_line=first_line_ends_boot, share=share, env=env, cwd="/lab")
        finally:
            progress.end(boot)
        return _ending(outcome, silence_s)


def _ending(outcome, silence_s):
    if outcome.reason == "exit" and not outcome.console:
        return Ending(outcome.code)
    why = {
        "exit": "the guest's console is not empty",
        "console": "the guest's console is not empty",
        "silence": f"nothing said for {silence_s:.0f} s: the guest was killed",
        "timeout": "the guest ran for too long and was killed",
        "died": "QEMU ended by itself (a panic, or it did not start)",
    }[outcome.reason]
    return Ending(None, f"{why}\n{outcome.console}".rstrip())
