"""Every system call of one delivery in turn: made to fail with each errno of its manual
page, and with SIGKILL or SIGTERM in its place. The calls are taken from a trace, so a new
one is tested without being named here (an unknown one fails the test).

After each: the message is stored whole or not at all, nothing is left in tmp/, the exit
status and the one line are of the closed set, and no fault of ours is a bounce. In the end
the count of the mailbox is the sum of its files.

What the C library calls before main is out of lda's hands: there a failing mprotect, say,
is the library's own death. Those calls are killed, not failed.
"""

import collections
import concurrent.futures
import itertools
import pathlib
import re
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from brim import SANITIZED, Brim  # noqa: E402

pytestmark = pytest.mark.skipif(SANITIZED, reason="ASan makes calls of its own")

UID = 20001
WORKERS = 2
TOP = b"Received: by test\nSubject: fault\n\n"
LENGTHS = {"short": 100, "long": 80_000}  # the first buffer holds 65,536
ADDED = b"Return-Path: <>\nDelivered-To: %s\n"
LINE = re.compile(rb"4\.\d\.\d [ -~]+\n")
FIRST_OF_MAIN = "sigaltstack"

# Manual pages of Linux, section 2, without what a correct call can't get (EFAULT, say).
ERRORS = {
    "access": "EACCES EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR",
    "brk": "ENOMEM",
    "chdir": "EACCES EIO ELOOP ENOENT ENOMEM ENOTDIR",
    "clock_gettime": "",
    "close": "EBADF EINTR EIO ENOSPC EDQUOT",
    "close_range": "EMFILE EINVAL ENOMEM ENOSYS",
    "connect": "EACCES EPERM EAGAIN ECONNREFUSED EINTR ENOENT EPROTOTYPE ETIMEDOUT",
    "dup": "EBADF EMFILE",
    "dup2": "EBADF EBUSY EINTR EMFILE",
    "fcntl": "EACCES EAGAIN EBADF EINVAL EPERM",
    "fstat": "EBADF ENOMEM EOVERFLOW",
    "fstatfs": "EACCES EBADF EINTR EIO ENOMEM ENOSYS EOVERFLOW",
    "fsync": "EBADF EINTR EIO ENOSPC EROFS EINVAL EDQUOT",
    "getdents64": "EBADF EINVAL EIO ENOENT ENOTDIR",
    "getegid": "",
    "geteuid": "",
    "getpid": "",
    "getrandom": "EAGAIN EINTR ENOSYS",
    "getsockopt": "EBADF EINVAL ENOPROTOOPT",
    "gettid": "",
    "getuid": "",
    "linkat": "EACCES EDQUOT EEXIST EIO ELOOP EMLINK ENOENT ENOMEM ENOSPC EPERM EROFS EXDEV",
    "lseek": "EBADF EINVAL ESPIPE",
    "madvise": "ENOMEM EINVAL EAGAIN",
    "mmap": "EACCES EAGAIN ENFILE ENODEV ENOMEM EPERM",
    "mprotect": "ENOMEM EACCES",
    "munmap": "EINVAL",
    "newfstatat": "EACCES EBADF ELOOP ENOENT ENOMEM ENOTDIR EOVERFLOW",
    "open": "EACCES EINTR ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT ENOMEM ENOTDIR",
    "openat": "EACCES EDQUOT EINTR EIO ELOOP EMFILE ENAMETOOLONG ENFILE ENODEV ENOENT "
              "ENOMEM ENOSPC ENOTDIR ENXIO EOPNOTSUPP EROFS",
    "openat2": "EACCES EAGAIN EINTR ELOOP EMFILE ENFILE ENOENT ENOMEM ENOTDIR EXDEV E2BIG",
    "poll": "EINTR EINVAL ENOMEM",
    "pread64": "EAGAIN EBADF EINTR EIO EISDIR EINVAL",
    "prlimit64": "EINVAL EPERM",
    "read": "EAGAIN EBADF EINTR EINVAL EIO EISDIR",
    "readlink": "EACCES EINVAL EIO ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR",
    "recvfrom": "EAGAIN EBADF ECONNREFUSED ECONNRESET EINTR ENOMEM ENOTCONN",
    "renameat2": "EACCES EDQUOT EEXIST EINVAL EIO ENOENT ENOMEM ENOSPC EPERM EROFS EXDEV",
    "rt_sigaction": "EINVAL",
    "rt_sigprocmask": "EINVAL",
    "sendto": "EACCES EAGAIN EBADF ECONNRESET EINTR EMSGSIZE ENOBUFS ENOMEM ENOTCONN EPIPE",
    "setitimer": "",
    "setrlimit": "EINVAL EPERM",
    "statx": "EACCES EBADF ENOMEM ENOSYS EPERM",
    "sigaltstack": "EINVAL ENOMEM EPERM",
    "socket": "EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT",
    "sync_file_range": "EBADF EDQUOT EINVAL EIO ENOMEM ENOSPC ENOSYS EPERM ESPIPE",
    "umask": "",
    "uname": "EFAULT",
    "unlinkat": "EACCES EBUSY EIO ENOENT ENOMEM EPERM EROFS",
    "write": "EAGAIN EBADF EDQUOT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE",
}
# Only where quotad has not answered yet, so that one more or less is no fault.
MAY_NOT_COME = {"clock_gettime", "poll", "recvfrom"}
NEVER_RETURNS = {"exit_group", "execve", "rt_sigreturn"}
NAMELESS = "syscall_0x"  # newer than strace, which can't inject into it

Call = collections.namedtuple("Call", "name number of_main text")


class Case:
    """One worker's own mailbox, and what must hold after each delivery to it."""

    KILLED = (-9,)  # the status of a delivery that was killed

    def __init__(self, brim, number):
        self.brim = brim
        self.address = f"user{number}@example.org"
        self.mail = brim.mailbox(self.address, uid=UID, quota=1 << 40)
        self.log = brim.folder / f"strace{number}"
        self.log.touch()
        self.log.chmod(0o666)
        self.path = brim.folder / f"message{number}"
        self.faults = []
        self.take("short")

    def take(self, length):
        """Which message is delivered from now on."""
        self.message = TOP + b"0123456789abcde\n" * (LENGTHS[length] // 16)
        self.stored = ADDED % self.address.encode() + self.message
        self.path.write_bytes(self.message)

    def deliver(self, *injections):
        """From a file: a pipe's writer decides in how many pieces a message is read."""
        options = [word for i in injections for word in ("-e", f"inject={i}")]
        with open(self.path, "rb") as message:
            return self.brim.deliver(
                self.address, self.message, sender="", stdin=message,
                prefix=["strace", "-f", "-o", self.log, *options])

    def trace(self, *injections):
        """The calls of one delivery, each with its number among those of its name and
        process."""
        assert self.deliver(*injections).status == 0
        self.empty()
        seen, calls, of_main = collections.Counter(), [], False
        for line in self.log.read_text().splitlines():
            match = re.match(r"(\d+) +(\w+)\((.*)", line)
            if not match or match[2] in NEVER_RETURNS:
                continue
            process, name, text = match.groups()
            if name.startswith(NAMELESS):
                continue
            seen[process, name] += 1
            of_main = of_main or name == FIRST_OF_MAIN
            calls.append(Call(name, seen[process, name], of_main, text[:60]))
        return calls

    def empty(self):
        for path in self.brim.files(self.mail) + self.brim.leftovers(self.mail):
            path.unlink()

    def run(self, base, injection, killed):
        """Delivers with the fault and notes what is wrong afterwards."""
        result = self.deliver(*base, injection)
        messages = self.brim.messages(self.mail)
        whole = messages == [self.stored]
        wrong = []
        if messages and not whole:
            wrong.append(f"{len(messages)} messages, not one whole one")
        if killed and result.status not in self.KILLED and injection.split(":")[0] not in MAY_NOT_COME:
            wrong.append("not killed")
        if not (killed and result.status in self.KILLED):
            if result.status not in (0, 75):
                wrong.append("status")
            if whole != (result.status == 0):
                wrong.append("stored" if whole else "not stored")
            if result.status == 0 and result.output:
                wrong.append("output of a success")
            if result.status and result.output and not LINE.fullmatch(result.output):
                wrong.append("line")
            if result.status and not result.output and not injection.startswith("write:"):
                wrong.append("no line")
            if self.brim.leftovers(self.mail):
                wrong.append("tmp/")
        if result.errors:
            wrong.append("standard error")
        if wrong:
            self.faults.append(f"{injection}: {', '.join(wrong)}: {result}")
        self.empty()

    def check_count(self):
        """One delivery stays; the number is its size. Orphans may need a moment."""
        assert self.brim.deliver(self.address, self.message, sender="").status == 0
        end = time.monotonic() + 20
        while True:
            self.brim.recount(self.address)
            usage = self.brim.usage(self.address)
            used, total = int(usage["used"]), self.brim.total(self.mail)
            if used == total or time.monotonic() > end:
                break
            time.sleep(0.2)
        assert used == total == len(self.stored), usage
        self.empty()


@pytest.fixture(scope="module")
def cases():
    with Brim(deadline="3s", quotad_timeout="1s", max_user_tickets="10000") as brim:
        pool = [Case(brim, n) for n in range(WORKERS)]
        brim.start_quotad()
        yield pool


def run_all(cases, base, injections, killed=False):
    queue = iter(injections)

    def work(case):
        while (injection := next(queue, None)) is not None:
            case.run(base, injection, killed)

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as workers:
        list(workers.map(work, cases))
    faults = list(itertools.chain.from_iterable(c.faults for c in cases))
    for case in cases:
        case.faults = []
    assert not faults, "\n".join([f"{len(faults)} faults:", *faults])
    for case in cases:
        case.check_count()


def without_nameless_files(cases):
    """The injection that makes the file system one without O_TMPFILE."""
    call = next(c for c in cases[0].trace() if "O_TMPFILE" in c.text)
    return [f"openat:error=EOPNOTSUPP:when={call.number}"]


def calls_to_test(cases, store, length):
    """The base injections, and the calls: all, or those after the file in tmp/ is made."""
    for case in cases:
        case.take(length)
    if store == "nameless":
        return [], cases[0].trace()
    base = without_nameless_files(cases)
    calls = cases[0].trace(*base)
    start = next(i for i, c in enumerate(calls) if "O_TMPFILE" in c.text)
    # one inject= of strace for a name replaces the other: openat stays the base's
    return base, [c for c in calls[start:] if c.name != "openat"]


STORES = pytest.mark.parametrize("store, length", [
    (store, length) for store in ("nameless", "in_tmp") for length in LENGTHS])


@STORES
def test_each_call_that_fails_is_a_delivery_or_try_again(cases, store, length):
    base, calls = calls_to_test(cases, store, length)
    unknown = {c.name for c in calls if c.of_main} - set(ERRORS)
    assert not unknown, f"no errors known for {unknown}"
    run_all(cases, base, [f"{c.name}:error={error}:when={c.number}"
                          for c in calls if c.of_main for error in ERRORS[c.name].split()])


@STORES
def test_each_call_that_fails_from_then_on_is_a_delivery_or_try_again(cases, store, length):
    base, calls = calls_to_test(cases, store, length)
    lasting = ("EIO", "ENOSPC", "ENOMEM", "EMFILE")
    run_all(cases, base, [f"{c.name}:error={error}:when={c.number}+"
                          for c in calls if c.of_main for error in ERRORS[c.name].split()
                          if error in lasting])


@STORES
def test_kill_at_each_call_stores_it_whole_or_not_at_all(cases, store, length):
    base, calls = calls_to_test(cases, store, length)
    run_all(cases, base, [f"{c.name}:signal=KILL:when={c.number}" for c in calls], True)


@STORES
@pytest.mark.parametrize("name", ["TERM", "SEGV"])
def test_signal_at_each_call_is_a_delivery_or_try_again(cases, store, length, name):
    base, calls = calls_to_test(cases, store, length)
    # what comes first once every signal has its handler
    ready = next((i for i, c in enumerate(calls) if c.name == "umask"), 0)
    run_all(cases, base, [f"{c.name}:signal={name}:when={c.number}"
                          for c in calls[ready:]])
