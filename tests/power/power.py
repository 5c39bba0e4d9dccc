"""The power cut: deliveries onto a file system that stops at a random instant without writing
its journal out, and what must be there when it is mounted again.

Each message for which lda ended with 0 is there, whole; what else is there is whole, too; no
file is empty. quotad and its usage store live outside.

Where the disk has a cache, the cut loses what of it was not flushed; else what reached the disk
stays there. The time goes on for the one with the cache, so there lda must have ended before
the cut.
"""

import collections
import contextlib
import fcntl
import os
import pathlib
import random
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from brim import Brim  # noqa: E402
from host import Mounts, unmount  # noqa: E402

EXT4 = ["mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=8"]
# What lda is made to leave out, as it were done. Where the file has its name already, others'
# syncs need a moment to bring that to disk.
SYNCS_OF_EXT4 = {"bytes": ["sync_file_range:retval=0", "fsync:delay_enter=20000"],
                 "names": ["fsync:retval=0"]}
SYNCS_OF_XFS = {"file": ["fsync:retval=0:when=1"], "directory": ["fsync:retval=0:when=2"]}

Kind = collections.namedtuple("Kind", "make size has_cache syncs")
KINDS = {
    "ext4": Kind(EXT4, 96 << 20, False, SYNCS_OF_EXT4),
    "ext4-cache": Kind(EXT4, 32 << 20, True, SYNCS_OF_EXT4),
    "xfs": Kind(["mkfs.xfs", "-q", "-f"], 320 << 20, False, SYNCS_OF_XFS),
}
FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), linux/fs.h
NO_LOG_FLUSH = 2
AT_ONCE = 20
UID = 20001
RECIPIENT = "alice@example.org"
LARGEST = 60_000  # bytes; a pipe holds it
FIRST_SPAN = 0.02  # seconds until the cut, at most, before a round was measured


class Lost(Exception):
    """What the power cut has shown."""


class Disk:
    """A file system of its own in a file."""

    def __init__(self, folder, kind):
        self.image = folder / "disk"
        self.mounted = folder / "mail"
        self.mounted.mkdir()
        with open(self.image, "wb") as f:
            f.truncate(kind.size)
        subprocess.run([*kind.make, self.image], check=True)
        self.mount()

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.mounted], check=True)

    def cut(self, _seed):
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


class CachedDisk(Disk):
    """One with a cache between the file system and the file (cache.py)."""

    def mount(self):
        below = self.image.with_name("below")
        below.mkdir(exist_ok=True)
        self.cache = subprocess.Popen([sys.executable, HERE / "cache.py", below, self.image],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        limit = time.monotonic() + 10
        while not (below / "disk").exists():
            assert self.cache.poll() is None and time.monotonic() < limit, "no FUSE"
            time.sleep(0.01)
        subprocess.run(["mount", "-o", "loop", below / "disk", self.mounted], check=True)

    def cut(self, seed):
        """What the disk would have now is kept; the file system goes on."""
        print(seed, file=self.cache.stdin, flush=True)
        return self.cache.stdout.readline().strip()

    def unmount(self):
        super().unmount()
        unmount(self.image.with_name("below"))
        with self.cache:
            self.cache.stdin.close()


class Campaign:
    """Rounds of it on a file system of that KIND. WITHOUT names a sync that lda is made to
    leave out."""

    def __init__(self, kind, without=None):
        self.name, self.kind = kind, KINDS[kind]
        self.prefix = []
        if without:
            self.prefix = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null",
                           "-e", "trace=fsync,sync_file_range"]
            for call in self.kind.syncs[without]:
                self.prefix += ["-e", f"inject={call}"]
        self.span = FIRST_SPAN
        self.cut_after = 0
        self.acknowledged = 0  # in all rounds

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(Mounts())
            self.brim = stack.enter_context(
                Brim(quotad_timeout="5s", deadline="20s", max_user_tickets=1000000))
            disk = CachedDisk if self.kind.has_cache else Disk
            self.disk = disk(self.brim.folder, self.kind)
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

    @contextlib.contextmanager
    def _others_sync(self):
        """Others' syncs of new/, which bring a name to disk before its delivery asks for it."""
        ended = threading.Event()
        new = os.open(self.maildir / "new", os.O_RDONLY)

        def sync():
            with contextlib.suppress(OSError):
                while not ended.wait(0.002):
                    os.fsync(new)

        thread = threading.Thread(target=sync)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            os.close(new)

    def _deliver(self, messages, chance):
        """Delivers all at once and cuts the power; returns the numbers that got a 0."""
        with self._others_sync():
            return self._deliver_and_cut(messages, chance)

    def _deliver_and_cut(self, messages, chance):
        ldas = [self.brim.start_lda("-d", RECIPIENT, "-f", "", uid=UID, prefix=self.prefix)
                for _ in messages]
        begun = time.monotonic()
        for lda, message in zip(ldas, messages):
            lda.stdin.write(message)
            lda.stdin.close()
            lda.stdin = None
        self.cut_after = chance.random() * self.span
        time.sleep(max(0, begun + self.cut_after - time.monotonic()))
        ended = [lda.poll() is not None for lda in ldas]
        self.disk.cut(chance.randrange(1 << 30))
        results = [(lda.communicate(timeout=60)[0], lda.returncode) for lda in ldas]
        for output, status in results:
            assert (status, output[:4]) in ((0, b""), (75, b"4.3.")), results
        acknowledged = [n for n, (_, status) in enumerate(results)
                        if status == 0 and (ended[n] or not self.kind.has_cache)]
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
