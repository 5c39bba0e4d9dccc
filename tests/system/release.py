"""A private brim-release, with a postqueue of the test's own."""

import contextlib
import fcntl
import os
import pathlib
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time

from brim import BIN, DAEMON_USER, PATIENCE

USER = "games"  # on every Debian; brim-release's user here
STRANGER = 20001
ID = "4cYtQx1BqCz9Q4"
CLIENTS_MOST, QUEUE_MOST = 16, 1000
RECORDS = """\
#!/bin/sh
{ echo "args $*"; sed -n 's/^\\(Uid\\|Gid\\|Groups\\|CapPrm\\|CapBnd\\|SigIgn\\|SigBlk\\):/\\1/p' \
/proc/self/status; env | sed 's/^/env /'; ls /proc/self/fd | sed 's/^/fd /'; pwd; } >>%s
"""
SECONDS = str(100000 + os.getpid())  # no other run's
HANGS = f"#!/bin/sh\necho I hang\nsleep {SECONDS} &\nsleep {SECONDS}\n"


def wait_until(what, condition):
    limit = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < limit, what
        time.sleep(0.02)
    return value


class Release:
    """A brim-release with a postqueue of the test's own."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-release-"))
        self.folder.chmod(0o755)
        self.socket = self.folder / "run/release.sock"
        self.log = self.folder / "log"
        self.seen = self.folder / "seen"
        self.seen.touch()
        os.chown(self.seen, pwd.getpwnam(USER).pw_uid, -1)
        (self.folder / "bin").mkdir()
        self.postqueue = self.folder / "bin/postqueue"
        self.program(RECORDS % self.seen)
        self.conf = self.folder / "brim.conf"
        self.conf.write_text(f"release_socket = {self.socket}\nlog = stderr\n"
                             f"daemon_user = {DAEMON_USER}\n")
        self.process = None

    def program(self, text):
        """Another one takes its place: the one that runs stays what it is."""
        new = self.folder / "bin/new"
        new.write_text(text)
        new.chmod(0o755)
        new.rename(self.postqueue)

    def command(self, *options):
        return [BIN / "brim-release", "-c", self.conf, "-u", USER, "-p", self.postqueue,
                *map(str, options)]

    def start(self, *options, prefix=(), **popen):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command(*options)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, **popen)
        wait_until("brim-release is ready", lambda: self.process.poll() is not None
                   or "ready," in self.log.read_text())
        assert self.process.poll() is None, self.log.read_text()
        return self

    def refuses(self, *options, prefix=(), **popen):
        """Does not start; returns what it says."""
        done = subprocess.run([*prefix, *self.command(*options)], capture_output=True,
                              text=True, timeout=60, check=False, **popen)
        assert done.returncode != 0, done
        return done.stderr

    def stop(self, how=signal.SIGTERM):
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(how)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def close(self):
        with contextlib.suppress(Exception):
            self.stop()
        shutil.rmtree(self.folder)

    def connect(self, uid=0, gid=0):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE)
        groups = os.getgroups()
        os.setgroups([])
        os.setresgid(-1, gid, -1)
        os.setresuid(-1, uid, -1)
        try:
            s.connect(str(self.socket))
        except OSError:
            s.close()
            raise
        finally:
            os.setresuid(-1, 0, -1)
            os.setresgid(-1, 0, -1)
            os.setgroups(groups)
        return s

    def ask(self, *requests, **who):
        """The answers to the lines, one each."""
        with self.connect(**who) as s:
            with contextlib.suppress(BrokenPipeError):  # it was turned away, and told why
                s.sendall(b"".join(r if isinstance(r, bytes) else f"RELEASE {r}\n".encode()
                                   for r in requests))
            return answers(s, len(requests))

    def records(self, word):
        return [line.removeprefix(word).strip() for line in self.seen.read_text().splitlines()
                if line.startswith(word)]


def answers(s, count):
    with s.makefile("rb") as lines:
        found = [lines.readline().decode() for _ in range(count)]
    assert all(line.endswith("\n") for line in found), found
    return [line.rstrip("\n") for line in found]


def unread(s):
    """Bytes that the other end has not read yet."""
    return struct.unpack("i", fcntl.ioctl(s, termios.TIOCOUTQ, b"\0" * 4))[0]


def hanging():
    """The processes of a postqueue that hangs."""
    uid, found = pwd.getpwnam(USER).pw_uid, []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == uid and (
                    SECONDS.encode() in (path / "cmdline").read_bytes()):
                found.append(int(path.name))
    return found
