"""Mailboxes behind a server that can hang, and that answers as a network's file systems do.

This kernel has neither a client nor a server of NFS. So a hanging server is that of FUSE
mounts (over SFTP it is another process than FUSE's own, as with NFS), and NFS's own answers
are strace's injected errors for the same calls on a FUSE mount.

MOUNTS=200 delivers as many messages, with the server stopped for 20 seconds in the middle,
on more kinds of mounts: "make test-mounts".
"""

import collections
import contextlib
import os
import queue
import signal
import tempfile
import threading
import time

import pytest

from brim import SANITIZED, Brim
from host import Host
from mounts import Mounts

LONG = int(os.environ.get("MOUNTS", "0"))
MESSAGES = LONG or 24
STOPPED_SECONDS = 20 if LONG else 0  # at least; and until everybody has had an answer
DEADLINE = 6 if SANITIZED else 3
AT_A_TIME = 8
SIZE = 4000
PATIENCE = 120
HUNG = (75, b"4.3.0")


def message(number):
    head = b"Subject: message %d\n\n" % number
    return head + b"x" * (SIZE - len(head) - 1) + b"\n"


def number_of(text):
    """Of the message in a file, behind the headers that the delivery added."""
    return int(text.split(b"Subject: message ")[1].split(b"\n")[0])


class Remote:
    """A private Brim whose mailboxes are all behind one server, and belong to one user."""

    def __init__(self, kind, host, mounts):
        self.uid = host.add_user("vmail")
        self.brim = Brim(deadline=f"{DEADLINE}s", quotad_timeout="2s", over_quota="bounce")
        self.fuse = mounts.fuse(kind, self.brim.folder / "below", self.brim.folder / "mail",
                                uid=self.uid)
        self.boxes, self.quotas = {}, {}

    def add(self, name, quota):
        self.quotas[name] = quota
        folder = self.brim.folder / "mail" / name / "Maildir"
        self.boxes[name] = self.brim.mailbox(f"{name}@example.org", self.uid, mail=folder,
                                             quota=quota)
        return self.boxes[name]

    def deliver(self, name, number):
        return self.brim.deliver(f"{name}@example.org", message(number), uid=self.uid,
                                 timeout=PATIENCE)

    def numbers(self, name):
        return collections.Counter(map(number_of, self.brim.messages(self.boxes[name])))


@pytest.fixture(params=["sshfs", "bindfs", "gocryptfs"] if LONG else ["sshfs"])
def remote(request):
    with Host() as host, Mounts() as mounts:
        remote = Remote(request.param, host, mounts)
        with remote.brim:
            yield remote
            mounts.stack.close()


class Senders:
    """As many at a time, each of which tries a message until it is delivered or bounced."""

    def __init__(self, remote, names):
        self.remote = remote
        self.waiting = queue.SimpleQueue()
        for number in range(MESSAGES):
            self.waiting.put((number, names[number % len(names)]))
        self.results = collections.defaultdict(list)  # (number, name) -> every result
        self.first = [threading.Event() for _ in range(AT_A_TIME)]
        self.stopped = threading.Event()
        self.wrong = []
        self.threads = [threading.Thread(target=self._send, args=(first,), daemon=True)
                        for first in self.first]

    def _send(self, had_answer_meanwhile):
        with contextlib.suppress(queue.Empty):
            while True:
                number, name = self.waiting.get_nowait()
                stopped = self.stopped.is_set()
                result = self.remote.deliver(name, number)
                self.results[number, name].append(result)
                if self.stopped.is_set():
                    if (result.status, result.output[:5]) == HUNG:
                        had_answer_meanwhile.set()
                    elif stopped:
                        self.wrong.append((number, name, result))
                if result.status == 75:
                    self.waiting.put((number, name))

    def delivered(self, name):
        return [number for (number, to), results in self.results.items()
                if to == name and results[-1].status == 0]


def test_a_server_that_hangs_costs_a_delay_and_nothing_else(remote):
    """8 at a time, to two mailboxes with room for all and one that gets full."""
    few = MESSAGES // 8
    for name, quota in (("ann", 1 << 20), ("bob", 1 << 20), ("tight", few * (SIZE + 200))):
        remote.add(name, quota)
    local = remote.brim.mailbox("local@example.org", uid=20001, quota=1 << 20)
    remote.brim.start_quotad()
    senders = Senders(remote, ("ann", "bob", "tight"))
    for thread in senders.threads:
        thread.start()
    limit = time.monotonic() + PATIENCE
    while len(senders.results) < MESSAGES // 4 and time.monotonic() < limit:
        time.sleep(0.005)
    remote.fuse.stop()
    began = time.monotonic()
    senders.stopped.set()
    # the others' mailboxes go on, though the scanner hangs in these
    counts = [remote.brim.connect() for _ in remote.boxes]
    for connection, name in zip(counts, remote.boxes):
        connection.sendall(f"RECOUNT {name}@example.org\n".encode())
    while remote.brim.deliver("local@example.org").status != 0:
        assert time.monotonic() < limit
    assert remote.brim.recount("local@example.org")["used"] == str(remote.brim.total(local))
    for first in senders.first:
        assert first.wait(PATIENCE), "no answer while the server is stopped"
    time.sleep(max(0, began + STOPPED_SECONDS - time.monotonic()))
    senders.stopped.clear()
    remote.fuse.go_on()
    for thread in senders.threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for connection in counts:
        with connection:
            assert connection.recv(1)
    assert not senders.wrong
    check_end(remote, senders)


@pytest.mark.skipif(LONG, reason="one server is enough")
def test_a_delivery_that_is_stopped_now_and_then_keeps_its_deadline(remote):
    remote.add("ann", 1 << 20)
    remote.brim.start_quotad()
    remote.fuse.stop()
    limit = time.monotonic() + DEADLINE + 5
    with remote.brim.start_lda("-d", "ann@example.org", uid=remote.uid) as lda:
        lda.stdin.write(message(1))
        lda.stdin.close()
        while lda.poll() is None and time.monotonic() < limit:
            time.sleep(1.5)
            lda.send_signal(signal.SIGSTOP)
            lda.send_signal(signal.SIGCONT)
        in_time = lda.poll() is not None
        remote.fuse.go_on()
        assert lda.stdout.read().startswith(HUNG[1])
    assert in_time and lda.returncode == HUNG[0]


def test_many_mailboxes_of_one_server_that_hangs_hold_up_nobody(host_and_mounts):
    """Each belongs to another user, on a FUSE file system that all may read; a link of root's
    leads there. What is on the disk, or behind another server, is counted at once."""
    _, mounts = host_and_mounts
    with Brim() as brim:
        hung = mounts.fuse("bindfs", brim.folder / "below", brim.folder / "hung")
        mounts.fuse("bindfs", brim.folder / "below2", brim.folder / "sound")
        (brim.folder / "linked").symlink_to(brim.folder / "hung")
        names = [f"u{i}@example.org" for i in range(48)]
        for i, name in enumerate(names):
            place = "linked" if i % 2 else "hung"
            brim.mailbox(name, uid=22000 + i, quota=1 << 20,
                         mail=brim.folder / place / f"u{i}" / "Maildir")
        brim.mailbox("other@example.org", uid=21999, quota=1 << 20,
                     mail=brim.folder / "sound" / "o" / "Maildir")
        brim.mailbox("local@example.org", uid=21998, quota=1 << 20)
        brim.start_quotad()
        hung.stop()
        asking = brim.connect()
        try:
            asking.sendall("".join(f"RECOUNT {name}\n" for name in names[:20]).encode())
            more = [brim.connect() for _ in range(3)]
            for i, connection in enumerate(more):
                part = names[20 + 10 * i:30 + 10 * i]
                connection.sendall("".join(f"RECOUNT {name}\n" for name in part).encode())
            for name in 3 * ["local@example.org", "other@example.org"]:
                answer = brim.ask(f"RECOUNT {name}")[0]
                assert answer.startswith("OK used=0 "), answer
            held = children_that_count(brim.quotad.pid)
            assert held <= 9, f"{held} processes wait for one server"
        finally:
            for connection in [asking, *more]:
                connection.close()
            began = time.monotonic()
            assert brim.stop_quotad() == 0
            hung.go_on()
        assert time.monotonic() - began < PATIENCE


def children_that_count(pid):
    """Those of quotad that look at a mailbox now: a filter of calls is in force."""
    found, left = 0, [pid]
    while left:
        with contextlib.suppress(OSError):
            pid = left.pop()
            with open(f"/proc/{pid}/task/{pid}/children") as children:
                left += map(int, children.read().split())
            with open(f"/proc/{pid}/status") as status, open(f"/proc/{pid}/syscall") as call:
                waits = call.read().split()[0] not in ("0", "running")
                found += "Seccomp:\t2" in status.read() and waits
    return found


@pytest.fixture
def host_and_mounts():
    with Host() as host, Mounts() as mounts:
        yield host, mounts


def check_end(remote, senders):
    """What was acknowledged is there, once, but for what hung; counted right, none over."""
    for name, mail in remote.boxes.items():
        there = remote.numbers(name)
        usage = remote.brim.recount(f"{name}@example.org")
        assert int(usage["used"]) == remote.brim.total(mail) <= remote.quotas[name], name
        for number in senders.delivered(name):
            results = senders.results[number, name]
            assert there.pop(number) == 1 or len(results) > 1, (name, number, results)
        assert all(len(senders.results[number, name]) > 1 for number in there)
    for (number, name), results in senders.results.items():
        end = results[-1]
        assert (end.status, end.output[:5]) in ((0, b""), (69, b"5.2.2")), (number, end)
        assert end.status == 0 or name == "tight", (number, end)
        for result in results[:-1]:
            assert result.status == 75, result
            assert result.code == "4.3.0" or name == "tight", result
    assert senders.delivered("tight")


# What a network's file system answers besides: its server's errors come with fsync and close,
# a handle is stale where the file was replaced behind its back, and a call that was repeated
# meets its own work.
WRITTEN = ("EIO", "EDQUOT", "ENOSPC", "ESTALE", "ETIMEDOUT", "EREMOTEIO")
NFS_ERRORS = {
    "openat2": ("ESTALE",),
    "openat": ("ETIMEDOUT",),
    "newfstatat": ("ESTALE",),
    "write": ("EIO", "EDQUOT"),
    "fsync": WRITTEN,
    "renameat2": ("ENOENT", "EEXIST"),
    "linkat": ("EEXIST", "EIO", "ESTALE"),
    "unlinkat": ("ENOENT", "ESTALE"),
    "getdents64": ("ESTALE",),
    "close": ("EIO",),
}


@pytest.fixture
def fuse():
    """A Brim whose mailboxes are on a bindfs, which knows neither O_TMPFILE nor
    RENAME_NOREPLACE, as NFS."""
    with Brim() as brim, Mounts() as mounts:
        mounts.fuse("bindfs", brim.folder / "below", brim.home)
        yield brim
        brim.stop_quotad()


def calls_of_delivery(fuse, address):
    """How often the process that delivers makes each call."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        trace = os.path.join(folder, "trace")
        assert fuse.deliver(address, prefix=["strace", "-f", "-o", trace]).status == 0
        with open(trace, encoding="utf-8") as lines:
            pairs = [line.split(None, 1) for line in lines]
    child = next(pid for pid, _ in pairs if pid != pairs[0][0])
    return collections.Counter(rest.split("(")[0] for pid, rest in pairs if pid == child)


@pytest.mark.skipif(SANITIZED, reason="ASan makes calls of its own")
def test_what_nfs_answers_is_soft_and_the_message_whole_or_not_there(fuse):
    address = "alice@example.org"
    mail = fuse.mailbox(address, quota=1 << 20)
    fuse.start_quotad()
    calls = calls_of_delivery(fuse, address)
    assert set(NFS_ERRORS) <= set(calls), calls
    cases = [(call, error, nth) for call, errors in NFS_ERRORS.items() for error in errors
             for nth in range(1, calls[call] + 1)]
    there = set(fuse.files(mail))
    wrong, delivered = [], 0
    for call, error, nth in cases:
        inject = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                  f"inject={call}:error={error}:when={nth}"]
        result = fuse.deliver(address, prefix=inject)
        now = set(fuse.files(mail))
        new = now - there
        there = now
        whole = all(p.read_bytes().endswith(b"\n\ntest\n") for p in new)
        left = fuse.leftovers(mail)
        if call == "unlinkat":  # the call that removes it is the one that failed
            for path in left:
                path.unlink()
            left = []
        if result.status == 0:
            delivered += 1
            right = len(new) == 1
        else:
            # the first write of the process that writes the line fails as well
            said = result.output.startswith(b"4.") or call == "write"
            right = result.status == 75 and said and not new
        if not (right and whole and not left):
            wrong.append((call, error, nth, result, len(new), left))
    assert not wrong
    assert 0 < delivered < len(cases)
    fuse.recount(address)
    assert int(fuse.usage(address)["used"]) == fuse.total(mail)


@pytest.mark.parametrize("error", ["ESTALE", "EIO", "ETIMEDOUT"])
def test_a_mailbox_that_cannot_be_read_is_neither_empty_nor_full(fuse, error):
    """The scanner meets it at each directory; without it the next count is right again."""
    address = "alice@example.org"
    mail = fuse.mailbox(address, quota=10_000, over_quota="bounce")
    (mail / "new/1.a.host").write_bytes(b"x" * 9_990)
    os.chown(mail / "new/1.a.host", 20001, 20001)
    fuse.start_quotad(prefix=["strace", "-D", "-f", "-o", "/dev/null", "-e",
                              "trace=getdents64", "-e", f"inject=getdents64:error={error}"])
    result = fuse.deliver(address)
    assert result.status == 75 and result.code.startswith("4.3."), result
    assert fuse.messages(mail) == [b"x" * 9_990]
    fuse.stop_quotad()
    fuse.start_quotad()
    assert fuse.deliver(address).code == "5.2.2"


def test_what_nfs_keeps_of_a_deleted_file_counts_nowhere(fuse):
    """.nfsXXXX is a file that somebody still has open; .fuse_hiddenXXXX is FUSE's."""
    address = "alice@example.org"
    mail = fuse.mailbox(address, quota=10_000, over_quota="bounce")
    for name in ("new/.nfs000000000000000a00000003", "cur/.fuse_hidden0000000300000001"):
        (mail / name).write_bytes(b"x" * 9_990)
        os.chown(mail / name, 20001, 20001)
    fuse.start_quotad()
    assert fuse.deliver(address).status == 0
    fuse.recount(address)
    assert int(fuse.usage(address)["used"]) < 1000
