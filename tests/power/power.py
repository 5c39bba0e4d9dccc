"""The power cut: deliveries onto a file system that stops at a random instant without writing
its journal out, and what must be there when it is mounted again.

Each message for which lda ended with 0, before the cut or after it, is there, whole; what else
is there is whole, too; no file is empty. quotad and its usage store live outside.
"""

import contextlib
import fcntl
import os
import pathlib
import random
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from brim import Brim  # noqa: E402
from host import Mounts, unmount  # noqa: E402

# How each file system is made, and the least size that it takes.
KINDS = {
    "ext4": (["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8"], 96 << 20),
    "xfs": (["mkfs.xfs", "-q", "-f"], 320 << 20),
}
FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs.h
NO_LOG_FLUSH = 2
AT_ONCE = 20
UID = 20001
RECIPIENT = "alice@example.org"
LARGEST = 60_000  # bytes; a pipe holds it
FIRST_SPAN = 0.02  # seconds until the cut, at most, before a round was measured
SYNCS = {"file": 1, "directory": 2}  # of lda, in their order


class Lost(Exception):
    """What the power cut has shown."""


class Disk:
    """A file system of its own in a file."""

    def __init__(self, folder, kind):
        make, size = KINDS[kind]
        self.image = folder / "disk"
        self.mounted = folder / "mail"
        self.mounted.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(size)
        subprocess.run([*make, self.image], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.mounted], check=True)

    def cut(self):
        """The power goes: nothing more reaches the disk."""
        fd = os.open(self.mounted, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def unmount(self):
        """Waits for quotad, which may look at a mailbox right now."""
        limit = time.monotonic() + 10
        while True:
            try:
                return unmount(self.mounted)
            except OSError:
                if time.monotonic() > limit:
                    raise
            time.sleep(0.01)


class Campaign:
    """Rounds of it on a file system of that KIND. WITHOUT names a sync that lda is made to
    leave out."""

    def __init__(self, kind, without=None):
        self.kind = kind
        self.prefix = []
        if without:
            self.prefix = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null",
                           "-e", "trace=fsync",
                           "-e", f"inject=fsync:retval=0:when={SYNCS[without]}"]
        self.span = FIRST_SPAN
        self.cut_after = 0
        self.acknowledged = 0  # in all rounds

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(Mounts())
            self.brim = stack.enter_context(
                Brim(quotad_timeout="5s", deadline="20s", max_user_tickets=1000000))
            self.disk = Disk(self.brim.folder, self.kind)
            stack.callback(self.disk.unmount)
            stack.callback(self.brim.stop_quotad)
            self.maildir = self.brim.mailbox(
                RECIPIENT, uid=UID, mail=self.disk.mounted / "alice/Maildir")
            os.sync()
            self.brim.start_quotad()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def round(self, seed):
        """One power cut; returns a line that tells of it, or raises Lost."""
        chance = random.Random(seed)
        messages = [b"Subject: %d\n\n" % number +
                    chance.randbytes(chance.randrange(1, LARGEST)) for number in range(AT_ONCE)]
        acknowledged = self._deliver(messages, chance)
        self.disk.unmount()
        self.disk.mount()
        found = self.brim.messages(self.maildir)
        self._check([messages[number] for number in acknowledged], messages, found)
        for path in self.brim.files(self.maildir):
            path.unlink()
        os.sync()
        return (f"seed {seed}: cut after {self.cut_after * 1000:5.1f} ms, {len(acknowledged):2} "
                f"of {AT_ONCE} acknowledged, {len(found):2} there, all whole")

    def _deliver(self, messages, chance):
        """Delivers all at once and cuts the power; returns the numbers that got a 0."""
        ldas = [self.brim.start_lda("-d", RECIPIENT, "-f", "", uid=UID, prefix=self.prefix)
                for _ in messages]
        begun = time.monotonic()
        for lda, message in zip(ldas, messages):
            lda.stdin.write(message)
            lda.stdin.close()
            lda.stdin = None
        self.cut_after = chance.random() * self.span
        time.sleep(max(0, begun + self.cut_after - time.monotonic()))
        self.disk.cut()
        results = [(lda.communicate(timeout=60)[0], lda.returncode) for lda in ldas]
        for output, status in results:
            assert (status, output[:4]) in ((0, b""), (75, b"4.3.")), results
        acknowledged = [n for n, (_, status) in enumerate(results) if status == 0]
        self.acknowledged += len(acknowledged)
        self._learn(len(acknowledged))
        return acknowledged

    def _learn(self, acknowledged):
        """Cuts are to come while deliveries are under way, on a machine of any speed."""
        if acknowledged == AT_ONCE:
            self.span = max(0.002, self.span * 0.9)
        elif acknowledged < AT_ONCE / 2:
            self.span = min(1.0, self.span * (1.1 if acknowledged else 1.5))

    @staticmethod
    def _check(acknowledged, messages, found):
        stored = [next((m for m in messages if text.endswith(m)), None) for text in found]
        if b"" in found:
            raise Lost(f"{found.count(b'')} of {len(found)} files in new/ are empty")
        if None in stored:
            raise Lost(f"{stored.count(None)} of {len(found)} files are not whole")
        missing = sum(message not in stored for message in acknowledged)
        if missing:
            raise Lost(f"{missing} of {len(acknowledged)} acknowledged messages are not there")
