# SPDX-License-Identifier: BSD-3-Clause
"""The guest's kernel: Debian's newest 6.12 for bookworm, unpacked once and kept by version.

CACHE/VERSION/vmlinux             an ELF with a PVH note: QEMU boots it directly, nothing to unpack
CACHE/VERSION/lib/modules/VERSION the modules, with depmod's lists
CACHE/VERSION/initrd.HASH         busybox, `init` and the modules that reach a 9p root

Both the folder and the initrd appear by rename: a half-made one is never used.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The -cloud- flavour has no 9p (CONFIG_NET_9P is not set).
PACKAGE = re.compile(r"^linux-image-(6\.12\.\d+\+deb12-amd64)$", re.M)
# What a 9p root needs beyond the built-in virtio_pci and virtio_console; busybox cannot read .xz.
ROOT_MODULES = ("9pnet_virtio", "9p", "overlay")


@dataclass(frozen=True)
class Kernel:
    version: str
    vmlinux: Path
    initrd: Path
    modules: Path


def cache_dir():
    return Path(os.environ.get("SALLYPORT_CACHE") or "/var/cache/sallyport-lab")


def prepare(say=lambda text: None):
    """The newest kernel, fetched and unpacked if it is not in the cache. Raises RuntimeError."""
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    # Two runs that start together prepare once.
    with open(cache / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        version = _newest_version(cache, say)
        home = cache / version
        if not home.exists():
            say(f"fetching linux-image-{version}")
            _unpack(version, home)
        return Kernel(version, home / "vmlinux", _initrd(home, version), home / "lib/modules" / version)


def _order(version):
    return [int(number) for number in re.findall(r"\d+", version)]


def _newest_version(cache, say):
    known = _known_to_apt()
    have = [entry.name for entry in cache.iterdir() if PACKAGE.match(f"linux-image-{entry.name}")]
    if not known and not have:
        say("apt-get update")
        _run(["apt-get", "update", "-qq"])
        known = _known_to_apt()
    if not known and not have:
        raise RuntimeError("apt knows no linux-image-6.12.*+deb12-amd64 (bookworm-security has it)")
    return max(known + have, key=_order)


def _known_to_apt():
    names = subprocess.run(["apt-cache", "pkgnames", "linux-image-6.12."], text=True, capture_output=True)
    return PACKAGE.findall(names.stdout)


def _unpack(version, home):
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".making-") as temporary:
        make = Path(temporary)
        make.chmod(0o755)  # mkdtemp's 0700 would stay with the folder after the rename
        # apt drops its rights to _apt, which may not write here: that is a warning only.
        _run(["apt-get", "download", "-q", f"linux-image-{version}"], cwd=make)
        (package,) = make.glob("*.deb")
        _run(["dpkg", "-x", package, make])
        _run(["depmod", "-b", make, version])
        bzimage = (make / "boot" / f"vmlinuz-{version}").read_bytes()
        (make / "vmlinux").write_bytes(_vmlinux(bzimage))
        package.unlink()
        shutil.rmtree(make / "boot")
        keep = tempfile.mkdtemp(dir=home.parent, prefix=".done-")
        for part in ("vmlinux", "lib"):
            os.rename(make / part, Path(keep) / part)
        os.chmod(keep, 0o755)
        os.rename(keep, home)


def _vmlinux(bzimage):
    """The zstd payload of a bzImage. Source: Documentation/arch/x86/boot.rst, payload_offset."""

    def word(at):
        return int.from_bytes(bzimage[at : at + 4], "little")

    start = (bzimage[0x1F1] + 1) * 512 + word(0x248)
    payload = bzimage[start : start + word(0x24C) - 4]  # the last 4 bytes are the unpacked length
    elf = subprocess.run(["zstd", "-dc"], input=payload, capture_output=True, check=True).stdout
    if elf[:4] != b"\x7fELF":
        raise RuntimeError("the kernel's payload is no ELF file")
    return elf


def _initrd(home, version):
    init = HERE / "init"
    recipe = hashlib.sha256(init.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
    initrd = home / f"initrd.{recipe}"
    if initrd.exists():
        return initrd
    with tempfile.TemporaryDirectory(prefix="sallyport-initrd-") as temporary:
        root = Path(temporary)
        for folder in ("bin", "dev", "proc", "sys", "ro", "rw", "new", "modules"):
            (root / folder).mkdir()
        shutil.copy("/bin/busybox", root / "bin/busybox")
        shutil.copy(init, root / "init")
        (root / "init").chmod(0o755)
        os.mknod(root / "dev/console", 0o600 | 0o020000, os.makedev(5, 1))
        names = []
        for path in _module_files(home, version):
            names.append(path.name.removesuffix(".xz"))
            (root / "modules" / names[-1]).write_bytes(_run(["xz", "-dc", path]))
        (root / "modules/list").write_text("".join(f"{name}\n" for name in names))
        listing = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, check=True,
                                 input=listing.encode(), capture_output=True).stdout
        made = home / f".initrd.{recipe}"
        made.write_bytes(archive)
        os.rename(made, initrd)
    return initrd


def _module_files(home, version):
    files = []
    for module in ROOT_MODULES:
        lines = _run(["modprobe", "-d", home, "-S", version, "--show-depends", module]).decode()
        for path in re.findall(r"^insmod (\S+)", lines, re.M):
            if Path(path) not in files:
                files.append(Path(path))
    return files


def _run(command, **options):
    """Standard output; RuntimeError with what the command said when it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
