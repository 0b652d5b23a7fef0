# SPDX-License-Identifier: BSD-3-Clause
"""KVM where it truly works, else TCG. A /dev/kvm that opens and makes a CPU proves nothing (nested
and emulated ones then hang or assert), so the guest is booted once; the answer holds until this
machine boots again."""

import os
from pathlib import Path

import kernel as kernels
import machine

TRIAL_LIMIT_S = 15


def choose(kernel, say=lambda text: None):
    """ "kvm" or "tcg"; SALLYPORT_LAB_ACCEL overrules."""
    if forced := os.environ.get("SALLYPORT_LAB_ACCEL"):
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note = kernels.cache_dir() / "accelerator"
    known = note.read_text().split() if note.exists() else []
    if len(known) == 2 and known[0] == boot_id:
        return known[1]
    say("trying KVM")
    trial = machine.Options(accelerator="kvm", timeout_s=TRIAL_LIMIT_S)
    outcome = machine.run(kernel, ["true"], trial, on_line=lambda line: None, cwd="/")
    answer = "kvm" if outcome.reason == "exit" and outcome.code == 0 and not outcome.console else "tcg"
    say(f"KVM {'works' if answer == 'kvm' else 'does not work here: TCG'}")
    making = note.with_suffix(f".{os.getpid()}")
    making.write_text(f"{boot_id} {answer}\n")
    os.rename(making, note)
    return answer
