"""A host of the test's own: /etc with its accounts, and /dev/log, in a mount namespace.

    with Host() as host:
        uid = host.add_user("alice")
        subprocess.run(["postconf"])    # sees the private /etc/postfix
        host.log_lines()                # what was sent to /dev/log

Whatever is started inside belongs to it; nothing outside is changed. At the end every
process that is still inside is killed, by its own id, and the mounts go with the last.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
FIRST_UID = 21000  # of accounts that a test adds
PATIENCE = 10

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def mount(source, target, kind=None, flags=0, data=None):
    """mount(2)."""
    words = [os.fsencode(w) if w is not None else None for w in (source, target, kind)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), data and data.encode()))


def unmount(target):
    checked(libc.umount2(os.fsencode(target), 0))


class Mounts:
    """A mount namespace: what is mounted inside is gone at its end, whatever happens. The
    process that enters it must have one thread."""

    def __enter__(self):
        self.outside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.back = os.getcwd()
        checked(libc.unshare(CLONE_NEWNS))
        try:
            mount("none", "/", flags=MS_REC | MS_PRIVATE)
            self.begin()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_):
        self._leave()

    def _leave(self):
        self._end_processes()
        checked(libc.setns(self.outside, CLONE_NEWNS))
        os.close(self.outside)
        os.chdir(self.back)
        self.end()

    def begin(self):
        """Called inside."""

    def end(self):
        """Called outside again."""

    def processes(self):
        """Ids of the processes inside, but for this one."""
        ours, found = os.stat("/proc/self/ns/mnt").st_ino, []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and int(name) != os.getpid() and \
                        os.stat(f"/proc/{name}/ns/mnt").st_ino == ours:
                    found.append(int(name))
        return found

    def _end_processes(self):
        """Kills what is inside, and reaps what is this process's own child."""
        limit = time.monotonic() + PATIENCE
        while (left := self.processes()) and time.monotonic() < limit:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            for pid in left:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.01)


class Host(Mounts):
    """One private host."""

    def begin(self):
        self.next_uid = FIRST_UID
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-host-"))
        self.folder.chmod(0o755)
        self.log = self.folder / "log"
        self.log.touch(mode=0o644)
        self._make_etc()
        self._make_dev()
        self._start_log()

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_etc(self):
        """What is written to /etc goes to a layer over it: a copy of all takes longer than
        most tests."""
        layer = self.folder / "etc"
        layer.mkdir()
        mount("tmpfs", layer, "tmpfs", data="mode=755")
        for name in ("upper", "work"):
            (layer / name).mkdir()
        mount("overlay", "/etc", "overlay",
              data=f"lowerdir=/etc,upperdir={layer}/upper,workdir={layer}/work")

    def _make_dev(self):
        dev = self.folder / "dev"
        dev.mkdir()
        mount("tmpfs", dev, "tmpfs", data="mode=755")
        for name in DEVICES:
            source, target = pathlib.Path("/dev", name), dev / name
            if source.is_dir():
                target.mkdir()
            elif source.exists():
                target.touch()
            else:
                continue
            mount(source, target, flags=MS_BIND | MS_REC)
        os.mknod(dev / "fuse", stat.S_IFCHR, os.makedev(10, 229))
        (dev / "fuse").chmod(0o666)  # as udev makes it
        for name, target in LINKS.items():
            (dev / name).symlink_to(target)
        mount(dev, "/dev", flags=MS_BIND | MS_REC)

    def _start_log(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, \
                open(self.log, "ab") as log:
            s.bind("/dev/log")
            os.chmod("/dev/log", 0o666)
            if os.fork() == 0:
                collect(s.fileno(), log.fileno())

    def install(self, root=None):
        """Makes /usr writable, and /run, /var/spool, /var/log and /var/lib, and puts what is
        unpacked in root there and into /etc, as if it were installed. /home is empty."""
        mount("tmpfs", "/home", "tmpfs", data="mode=755")
        layers = self.folder / "layers"
        layers.mkdir()
        mount("tmpfs", layers, "tmpfs", data="mode=755")
        for place in ("usr", "run", "var/spool", "var/log", "var/lib"):
            below = [pathlib.Path("/", place)]
            if root and (root / place).is_dir():
                below.insert(0, root / place)
            upper, work = (layers / place / name for name in ("upper", "work"))
            upper.mkdir(parents=True)
            work.mkdir()
            mount("overlay", below[-1], "overlay",
                  data=f"lowerdir={':'.join(map(str, below))},upperdir={upper},workdir={work}")
        if root:
            subprocess.run(["cp", "-an", f"{root}/etc/.", "/etc"], check=True)

    def add_user(self, name, uid=None, home="/nonexistent"):
        """Adds an account with a group of its own; returns its uid, which is its gid."""
        if uid is None:
            uid, self.next_uid = self.next_uid, self.next_uid + 1
        with open("/etc/passwd", "a") as f:
            f.write(f"{name}:x:{uid}:{uid}::{home}:/bin/sh\n")
        with open("/etc/group", "a") as f:
            f.write(f"{name}:x:{uid}:\n")
        return uid

    def log_lines(self):
        """Every line of the log so far."""
        return self.log.read_text(errors="replace").splitlines()


def collect(source, log):
    """The log's process, forked, which saves the start of another Python: one datagram is one
    line. It keeps nothing else open, and never returns."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(source, 0)
        os.dup2(log, 1)
        os.closerange(2, os.sysconf("SC_OPEN_MAX"))
        with socket.socket(fileno=0) as s:
            while True:
                line = s.recv(65536)
                os.write(1, line.rstrip(b"\0\n").replace(b"\n", b" ") + b"\n")
    finally:
        os._exit(1)
