# SPDX-License-Identifier: BSD-3-Clause
"""One boot of the lab guest: QEMU's flags, its life, and the stream of what the command says."""

import ctypes
import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOOT_LIMIT_S = 300  # 5 s on a quiet machine, 120 s were seen on an overloaded one
PR_SET_PDEATHSIG = 1


@dataclass
class Options:
    memory_mb: int = 4096
    cpus: int = 2
    icount: bool = False  # one guest nanosecond is one guest instruction: for measuring
    accelerator: str = "tcg"  # or "kvm": see accelerator.choose
    timeout_s: float = 1800.0
    silence_s: float = 0.0  # 0 = no limit
    interactive: bool = False
    extra: list = field(default_factory=list)  # more QEMU words


@dataclass
class Outcome:
    """`reason` is "exit" (the command ended, `code` is its own) or why the machine was given up:
    "silence", "timeout", "console" (the kernel had something to say) or "died"."""

    reason: str
    code: int
    console: str
    boot_s: float
    total_s: float


def run(kernel, argv, options=None, on_line=print, share=None, env=None, cwd=None, on_up=lambda: None):
    """Boots, runs `argv` in the guest, hands each line of its output to `on_line`, and ends with it.
    `on_up` is called when the guest has booted. `share` is the machine's folder that the guest sees as /lab (a temporary one if None)."""
    options = options or Options()
    if share is None:
        with tempfile.TemporaryDirectory(prefix="sallyport-lab-") as folder:
            return run(kernel, argv, options, on_line, Path(folder), env, cwd, on_up)
    share = Path(share)
    env = {"SALLYPORT_LAB": options.accelerator, **(env or {})}
    _write_command(share, argv, env, cwd or os.getcwd(), options.interactive)
    console = share / "console.log"
    console.write_bytes(b"")
    return _Boot(kernel, options, share, console, on_up).follow(on_line)


def _write_command(share, argv, env, cwd, interactive):
    lines = [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    # The folder may lie in a part of the machine that the guest cannot enter (another mount).
    lines += [f"cd {shlex.quote(str(cwd))} || cd /", f"exec {shlex.join([str(word) for word in argv])}"]
    (share / "command").write_text("\n".join(lines) + "\n")
    flag = share / "interactive"
    flag.touch() if interactive else flag.unlink(missing_ok=True)


class _Boot:
    def __init__(self, kernel, options, share, console, on_up):
        self._options = options
        self._on_up = on_up
        self._console = console
        self._started = time.monotonic()
        self._heard = self._started
        self._up = None
        self._code = None
        out_read, out_write = os.pipe()
        ctl_read, ctl_write = os.pipe()
        command = _qemu(kernel, options, share, console, out_write, ctl_write)
        self._qemu = subprocess.Popen(
            command, pass_fds=[out_write, ctl_write], preexec_fn=_die_with_parent,
            stdin=None if options.interactive else subprocess.DEVNULL,
            stderr=None if options.interactive else subprocess.PIPE)
        for fd in (out_write, ctl_write):
            os.close(fd)
        self._pending = {out_read: b"", ctl_read: b""}
        self._out, self._ctl = out_read, ctl_read

    def follow(self, on_line):
        try:
            reason = self._watch(on_line)
        finally:
            self._qemu.kill()
            said = self._qemu.communicate()[1] or b""
            for fd in (self._out, self._ctl):
                os.close(fd)
        total = time.monotonic() - self._started
        console = self._console.read_text(errors="replace")
        if reason == "died":
            console += said.decode(errors="replace")
        boot = (self._up or time.monotonic()) - self._started
        return Outcome(reason, self._code if self._code is not None else 125, console, boot, total)

    def _watch(self, on_line):
        """Until the streams end or a limit is passed. The reason, as in Outcome."""
        open_fds = {self._out, self._ctl}
        while open_fds:
            ready, _, _ = select.select(list(open_fds), [], [], 0.5)
            for fd in ready:
                data = os.read(fd, 65536)
                if not data:
                    open_fds.discard(fd)
                self._pending[fd] += data
                *lines, self._pending[fd] = self._pending[fd].split(b"\n")
                for line in lines:
                    self._take(fd, line.decode(errors="replace").rstrip("\r"), on_line)
            if not self._options.interactive and self._console_has_spoken():
                return "console"
            if reason := self._limit():
                return reason
        if self._pending[self._out]:
            self._take(self._out, self._pending[self._out].decode(errors="replace"), on_line)
        return "exit" if self._code is not None else "died"

    def _console_has_spoken(self):
        """Waits for the end of what the kernel has to say: an oops is many lines."""
        size = self._console.stat().st_size
        if not size:
            return False
        for _ in range(10):
            time.sleep(0.5)
            before, size = size, self._console.stat().st_size
            if size == before or self._qemu.poll() is not None:
                break
        return True

    def _take(self, fd, line, on_line):
        self._heard = time.monotonic()
        if fd == self._out:
            on_line(line)
        elif line == "up":
            self._up = self._heard
            self._on_up()
        elif line.startswith("exit "):
            self._code = int(line.split()[1])

    def _limit(self):
        now = time.monotonic()
        if now - self._started > self._options.timeout_s:
            return "timeout"
        if self._up is None:
            return "silence" if now - self._started > BOOT_LIMIT_S else None
        limit = self._options.silence_s
        return "silence" if limit and now - self._heard > limit else None


def _die_with_parent():
    # A runner killed by a closed pipe would otherwise leave a guest that burns both cores.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _qemu(kernel, options, share, console, out_fd, ctl_fd):
    cpus = 1 if options.icount else options.cpus
    words = ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-smp", cpus,
             "-m", options.memory_mb, "-nodefaults", "-no-user-config", "-display", "none"]
    if options.icount:
        # Idle time is skipped, so the load of this machine cannot touch a figure.
        words += ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off"]
    else:
        words += ["-accel", "kvm" if options.accelerator == "kvm" else "tcg,thread=multi"]
    # With panic=-1 this turns a panic into an exit.
    words += ["-no-reboot", "-kernel", kernel.vmlinux, "-initrd", kernel.initrd,
              "-serial", f"file:{console}", "-device", "virtio-rng-pci",
              "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
    # Not the serial port: it costs an exit of the machine for each byte.
    words += ["-device", "virtio-serial-pci"]
    for fd, port in ((out_fd, "lab.out"), (ctl_fd, "lab.ctl")):
        words += ["-chardev", f"file,id={port},path=/dev/fd/{fd}",
                  "-device", f"virtserialport,chardev={port},name={port}"]
    if options.interactive:
        words += ["-chardev", "stdio,id=tty,signal=off", "-device", "virtconsole,chardev=tty"]
    words += ["-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
              "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
              "-fsdev", f"local,id=lab,path={share},security_model=none",
              "-device", "virtio-9p-pci,fsdev=lab,mount_tag=lab"]
    words += ["-append", _command_line(kernel, options)]
    return [str(word) for word in words + options.extra]


def _command_line(kernel, options):
    # hardened_usercopy=off: 6.12 kills a reader of a socket with SO_RXQ_OVFL for a packet that
    # WireGuard encrypted in place (usercopy BUG in put_cmsg); stock nodes set that option.
    words = ["console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr random.trust_cpu=on",
             "8250.nr_uarts=1 no_timer_check tsc=reliable hardened_usercopy=off",
             f"lab.modules={kernel.modules} lab.stage2={HERE / 'stage2'}"]
    # Without it the guest measures its clock against an emulated timer, and on a loaded machine
    # comes out many times wrong. Under KVM the clock is the machine's own.
    if options.icount:
        words.append("tsc_early_khz=1000000")
    elif options.accelerator != "kvm":
        words.append(f"tsc_early_khz={tsc_khz()}")
    return " ".join(words)


def tsc_khz():
    """The rate of this machine's TSC, as the kernel says."""
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("cpu MHz"):
                return round(float(line.split(":")[1]) * 1000)
    raise RuntimeError("/proc/cpuinfo has no 'cpu MHz'")

