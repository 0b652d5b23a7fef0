# SPDX-License-Identifier: BSD-3-Clause
"""Runs one program of this machine, its output handed on line by line, under a limit of silence."""

import ctypes
import os
import select
import signal
import subprocess
import time

from gtest import Ending

PR_SET_PDEATHSIG = 1

# A network namespace of its own, and with it the mounts that show it: sysfs for /sys/class/net, a
# private bpffs (pins vanish with it), and names of namespaces that nobody else sees.
_FRESH_NETWORK = """
mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf || exit 125
mount -t cgroup2 cgroup /sys/fs/cgroup 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mkdir -p /run/netns && mount -t tmpfs netns /run/netns && ip link set lo up || exit 125
exec "$0" "$@"
"""


def in_fresh_network(argv):
    return ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _FRESH_NETWORK, *argv]


# GoogleTest says 1 for a failed test; a sanitizer must not say the same.
_SANITIZERS = {"ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}


def run(argv, on_line, silence_s, env=None, cwd=None):
    """An Ending. What the program left running in its process group dies with it."""
    read, write = os.pipe()
    process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=write,
                               stderr=write, start_new_session=True, preexec_fn=_die_with_parent,
                               env={**_SANITIZERS, **os.environ, **(env or {})}, cwd=cwd)
    os.close(write)
    try:
        silent = _follow(read, process, on_line, silence_s)
    finally:
        os.close(read)
        _kill_group(process)
    if silent:
        return Ending(None, f"nothing said for {silence_s:.0f} s: killed")
    code = process.returncode
    if code < 0:
        return Ending(None, f"killed by {signal.Signals(-code).name}")
    return Ending(code)


def _follow(read, process, on_line, silence_s):
    """Until the program has ended and its output is read. True: it was silent for too long."""
    pending, heard = b"", time.monotonic()
    while True:
        ready, _, _ = select.select([read], [], [], 0.1)
        if ready:
            data = os.read(read, 65536)
            if not data:
                break
            heard = time.monotonic()
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                on_line(line.decode(errors="replace"))
        elif process.poll() is not None:
            break  # a daemon it left behind may hold the pipe open
        elif time.monotonic() - heard > silence_s:
            return True
    if pending:
        on_line(pending.decode(errors="replace"))
    try:
        process.wait(timeout=silence_s)
    except subprocess.TimeoutExpired:
        return True
    return False


def _kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
