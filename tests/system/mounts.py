"""Mounted file systems for tests, of the kinds that mailboxes are really on.

    with Mounts() as mounts:
        fuse = mounts.fuse("bindfs", folder / "below", folder / "home")
        fuse.stop()         # the server hangs: every call below folder/home waits
        fuse.go_on()
        xfs = mounts.image("xfs", folder / "disk", size=320 << 20)

Each is unmounted at the end, the last one first, and a FUSE server is ended by its own id
first where it hangs, or its mount could not go. What is missing on this machine is said as
Missing, which a test that knows a better answer may take for a skip.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

from host import MS_BIND, checked, libc, mount

PATIENCE = 20
MNT_FORCE, MNT_DETACH = 1, 2
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
PASSWORD = b"correct horse\n"
READY = b"Filesystem mounted and ready."

# The server of each kind in the foreground: mounts {below} at {on}.
FUSE = {
    "bindfs": "bindfs -f --no-allow-other {options} {below} {on}",
    "encfs": "encfs -f --standard --stdinpass {options} {below} {on}",
    "gocryptfs": "gocryptfs -fg {options} {below} {on}",
    "mergerfs": "mergerfs -f -o use_ino {options} {below} {on}",
    "sshfs": "sshfs -f -o passive,default_permissions {options} :{below} {on}",
}
FORMAT = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}


class Missing(Exception):
    """This machine has no such file system."""


def mounted(on):
    """The kinds of what is mounted exactly there, the last one on top."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    words = [line.split() for line in lines]
    return [w[w.index("-") + 1] for w in words if w[4] == str(on)]


def as_user(uid):
    """For Popen."""
    return {"user": uid, "group": uid, "extra_groups": [], "cwd": "/"}


class Fuse:
    """One FUSE mount and its server's processes."""

    def __init__(self, on, servers):
        self.on, self.servers = pathlib.Path(on), servers

    def stop(self):
        """The server hangs from now on."""
        self.servers[-1].send_signal(signal.SIGSTOP)

    def go_on(self):
        self.servers[-1].send_signal(signal.SIGCONT)

    def kill(self):
        """The server dies; the mount stays, and answers nobody (ENOTCONN)."""
        for server in self.servers:
            server.kill()
            server.wait()


class Mounts:
    """What a test has mounted."""

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def fuse(self, kind, below, on, options="", uid=0, others=True):
        """Starts a FUSE server of that kind (see FUSE); both folders are made, as UID's. All
        users may come in; or the server is UID's own, and UID alone may. The files of an
        SFTP server are UID's in either case, whoever writes them. Both want a Host, where
        UID has an account, and everybody may open /dev/fuse."""
        below, on = pathlib.Path(below), pathlib.Path(on)
        for folder in (below, on):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            os.chown(folder, uid, uid)
        if others:
            options = ("-allow_other " if kind == "gocryptfs" else "-o allow_other ") + options
        before = len(mounted(on))
        servers = self._start(kind, below, on, options, uid, 0 if others else uid)
        fuse = Fuse(on, servers)
        self.stack.callback(self._end_fuse, fuse)
        limit = time.monotonic() + PATIENCE
        while len(mounted(on)) == before:
            if any(server.poll() is not None for server in servers):
                raise Missing(f"{kind} ended: {servers[0].args}")
            if time.monotonic() > limit:
                raise Missing(f"{kind} has mounted nothing")
            time.sleep(0.01)
        return fuse

    def _start(self, kind, below, on, options, files_uid, uid):
        line = FUSE[kind].format(below=below, on=on, options=options)
        try:
            if kind == "sshfs":
                return self._start_sshfs(line.split(), files_uid, uid)
            if kind == "gocryptfs" and not (below / "gocryptfs.conf").exists():
                subprocess.run(["gocryptfs", "-init", "-q", "-scryptn", "10", below],
                               input=PASSWORD, check=True, stdout=subprocess.DEVNULL,
                               **as_user(uid))
            server = subprocess.Popen(line.split(), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, **as_user(uid))
        except FileNotFoundError as error:
            raise Missing(error.filename) from error
        with contextlib.suppress(BrokenPipeError), server.stdin:
            server.stdin.write(PASSWORD)
        if kind == "gocryptfs":
            # until it says "ready" it has calls of its own to make in there, and would hang
            while server.stdout.readline().strip(b"\n") not in (b"", READY):
                pass
        return [server]

    @staticmethod
    def _start_sshfs(command, files_uid, uid):
        """An SFTP server and its client, one's output the other's input: no network."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            server = subprocess.Popen([SFTP_SERVER, "-e"], stdin=theirs, stdout=theirs,
                                      **as_user(files_uid))
            client = subprocess.Popen(command, stdin=ours, stdout=ours,
                                      **as_user(uid))
        return [client, server]

    @staticmethod
    def _end_fuse(fuse):
        """By force where the server does not answer: then all who wait get ENOTCONN."""
        for server in fuse.servers:
            with contextlib.suppress(ProcessLookupError):
                server.send_signal(signal.SIGCONT)
        for flags in (0, MNT_FORCE, MNT_DETACH):
            if mounted(fuse.on):
                libc.umount2(os.fsencode(fuse.on), flags)
        for server in fuse.servers:
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            if server.stdout:
                server.stdout.close()

    def image(self, kind, on, size, options="", format_options=()):
        """A new file system in a file of that size beside the mount point, over a loop device
        that goes with the mount."""
        on = pathlib.Path(on)
        on.mkdir(mode=0o755, parents=True, exist_ok=True)
        file = on.with_name(on.name + ".img")
        with open(file, "wb") as image:
            image.truncate(size)
        for command in ([*FORMAT[kind], *format_options, file],
                        ["mount", "-o", "loop" + (options and "," + options), file, on]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
            except FileNotFoundError as error:
                raise Missing(error.filename) from error
            if done.returncode != 0:
                raise Missing(f"{kind}: {command[0]}: {done.stderr}")
        self.stack.callback(self._unmount, on)
        on.chmod(0o755)
        return on

    def overlay(self, folder, on):
        """An overlay on ON, whose upper, lower and work folders are made in FOLDER."""
        lower, upper, work = (pathlib.Path(folder, name) for name in ("lower", "upper", "work"))
        for place in (lower, upper, work, pathlib.Path(on)):
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
        return self.kernel("overlay", on,
                           data=f"lowerdir={lower},upperdir={upper},workdir={work}")

    def tmpfs(self, on, data="mode=755"):
        return self.kernel("tmpfs", on, data=data)

    def kernel(self, kind, on, source="none", flags=0, data=None):
        """Whatever the kernel mounts by itself."""
        on = pathlib.Path(on)
        on.mkdir(mode=0o755, parents=True, exist_ok=True)
        mount(source, on, kind, flags, data)
        self.stack.callback(self._unmount, on)
        return on

    def bind(self, source, on):
        return self.kernel(None, on, source, MS_BIND)

    @staticmethod
    def _unmount(on):
        """Lazily where somebody is still inside: the mount goes with the last one."""
        limit = time.monotonic() + 2
        while libc.umount2(os.fsencode(on), 0) and time.monotonic() < limit:
            time.sleep(0.05)
        if mounted(on):
            checked(libc.umount2(os.fsencode(on), MNT_DETACH))
