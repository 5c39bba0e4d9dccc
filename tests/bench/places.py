"""Where mail is stored while it is measured: an ext4 with a journal on a loop device, the
root file system if it is ext4, and tmpfs, all in one temporary folder."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import host

PARENT = "/var/tmp"
IMAGE_SIZE = 1 << 30
JOURNALLED = "ext4, journal"
ROOT = "ext4, root"
TMPFS = "tmpfs"


def file_system(path):
    """The type of the file system that holds the path, as the kernel names it."""
    path, best, kind = os.path.realpath(path), "", ""
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            point, name = line.split()[1:3]
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, name
    return kind


def make_image(folder):
    image, place = folder / "ext4.image", folder / "ext4"
    with open(image, "wb") as f:
        f.truncate(IMAGE_SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-i", "4096", "-O", "has_journal",
                    "-E", "lazy_itable_init=0,lazy_journal_init=0", image], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    return place


def make_tmpfs(folder):
    place = folder / "tmpfs"
    place.mkdir()
    host.mount("tmpfs", place, "tmpfs", data="size=1g,mode=755")
    return place


def end(number, _frame):
    """A signal ends the bench as an exception does: everything is taken away."""
    sys.exit(128 + number)


@contextlib.contextmanager
def places(report):
    """Yields a dictionary from the places' names to their folders. The mounts are in a
    namespace of this process's own, so that they go with it, whatever ends it."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-bench-", dir=PARENT))
    folder.chmod(0o755)
    try:
        host.checked(host.libc.unshare(host.CLONE_NEWNS))
        host.mount("none", "/", flags=host.MS_REC | host.MS_PRIVATE)
        found = {}
        try:
            found[JOURNALLED] = make_image(folder)
        except (OSError, subprocess.CalledProcessError) as why:
            report.not_measured("a loop-mounted ext4", why)
        if file_system(folder) == "ext4":
            found[ROOT] = folder / "root"
            found[ROOT].mkdir()
        found[TMPFS] = make_tmpfs(folder)
        yield found
    finally:
        for name in ("ext4", "tmpfs"):
            with contextlib.suppress(OSError):
                host.unmount(folder / name)
        shutil.rmtree(folder, ignore_errors=True)
