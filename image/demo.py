# SPDX-License-Identifier: BSD-3-Clause
"""Builds the gateway, boots a virtual machine and shows it at work there: a laptop reaches a LAN
through the gateway, a denied connection is explained, and then there is a prompt to play with.
Nothing of this machine's network is touched. Exit 0, 1 when the demo shows something else than it
should, 2 usage, 4 not root, 6 a package could not be installed, 7 timed out."""

import argparse
import os
import re
import shlex
import shutil
import signal
import sys
import termios
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/support"), str(HERE.parent / "tests/lab/guest")]
import accelerator
import build
import kernel
import machine
import packages
import progress

# They belong to the appliance's image.
NOT_YET = ("--wan-tap", "--lan-tap", "--provision", "--disk", "--console", "--ready-file")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def main():
    sys.stdout.reconfigure(line_buffering=True)
    # At once: the guest dies with us (PR_SET_PDEATHSIG).
    signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(128 + signum))
    options = parse_arguments()
    if os.geteuid() != 0:
        print(f"only root can install packages and make the guest: sudo {HERE / 'run'}", file=sys.stderr)
        return 4
    started = time.monotonic()
    try:
        packages.install_missing()
        build.configure("release")
        build.build("release", ["shipped"])
        with progress.activity("preparing the guest"):
            made = kernel.prepare(progress.note)
            accel = accelerator.choose(made, progress.note)
    except packages.Refused as refusal:
        print(refusal, file=sys.stderr)
        return 6
    except (build.Failed, RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    left = options.timeout - (time.monotonic() - started)
    if left <= 0:
        return timed_out(options)
    outcome = demo(made, accel, left, options.headless)
    progress.note(f"{time.monotonic() - started:.0f} s in all, the guest was up after {outcome.boot_s:.0f} s")
    if outcome.reason == "timeout":
        return timed_out(options)
    if outcome.console:
        print(f"the guest's kernel said:\n{outcome.console}", file=sys.stderr)
    if outcome.reason != "exit":
        print(f"the guest ended too early ({outcome.reason})", file=sys.stderr)
    return outcome.code if outcome.reason == "exit" and not outcome.console else 1


def parse_arguments():
    parser = argparse.ArgumentParser(prog="image/run", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="no prompt: exit 0 if all was as it should be")
    parser.add_argument("--timeout", metavar="D", type=duration, default=None,
                        help="give up after so long: 90s, 10m, 2h (default: 30m with --headless, else 24h)")
    for name in NOT_YET:
        parser.add_argument(name, nargs="?", action=NotYet, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.timeout is None:
        options.timeout = 1800 if options.headless else 24 * 3600
    if not options.headless and not (os.isatty(0) and os.isatty(1)):
        parser.error("no terminal for a prompt here: use --headless")
    return options


class NotYet(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        parser.error(f"{option_string} is not in this version: it needs the appliance's image")


def duration(text):
    match = re.fullmatch(r"(\d+)([smh]?)", text)
    if not match or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration: 90s, 10m or 2h")
    return int(match[1]) * UNITS[match[2]]


def timed_out(options):
    print(f"given up after {options.timeout:.0f} s (--timeout)", file=sys.stderr)
    return 7


def demo(made, accel, limit_s, headless):
    """Boots, runs demo.sh there and waits for its end."""
    words = ["bash", HERE / "demo.sh", build.folder("release") / "bin"]
    settings = machine.Options(accelerator=accel, memory_mb=1024, timeout_s=limit_s, interactive=not headless)
    boot = object()
    progress.begin(boot, "booting the guest")

    def up():
        nonlocal boot
        if boot:
            progress.end(boot)
            boot = None

    try:
        if headless:
            def show(line):
                print(line)
            return machine.run(made, words, settings, on_line=show, on_up=up, cwd="/")
        size = shutil.get_terminal_size()
        words = ["bash", "-c", f"stty rows {size.lines} cols {size.columns}; "
                               f"exec {shlex.join(map(str, words))} prompt"]
        # QEMU makes the terminal raw and does not mend it if it is killed.
        terminal = termios.tcgetattr(0)
        try:
            return machine.run(made, words, settings, on_up=up, cwd="/", env={"TERM": os.environ.get("TERM", "linux")})
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, terminal)
    finally:
        up()


if __name__ == "__main__":
    sys.exit(main())
