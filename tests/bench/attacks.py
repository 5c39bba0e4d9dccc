"""A delivery beside what users without rights can make quotad do. The attackers are on one
core, niced, and quotad and lda on the others: the cores themselves are not the matter."""

import contextlib
import os
import resource
import select
import signal
import socket
import time

import brim as private_brim
from report import median

VICTIM, ATTACKER, STRANGER = 20001, 20002, 300000
MESSAGES = 2000  # of the attacker's own mailbox
UNREADABLE = 0.05  # seconds that an attacker rests where nothing more can be done


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    s.setblocking(False)
    return s


def connect_many(path, count):
    found = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            found.append(connect(path))
    return found


def pipeline(path, line, count=100, reading=True):
    """The same request on many connections, as fast as they are read."""
    block, poll, open_ones = line * (8192 // len(line)), select.epoll(), {}

    def add():
        with contextlib.suppress(OSError):
            s = connect(path)
            open_ones[s.fileno()] = s
            poll.register(s, select.EPOLLOUT | (select.EPOLLIN if reading else 0))

    for _ in range(count):
        add()
    while True:
        for fd, what in poll.poll(UNREADABLE):
            try:
                if what & select.EPOLLIN:
                    if not open_ones[fd].recv(1 << 16):
                        raise ConnectionResetError
                if what & select.EPOLLOUT:
                    open_ones[fd].send(block)
            except BlockingIOError:
                pass
            except OSError:
                poll.unregister(fd)
                open_ones.pop(fd).close()
                add()


def refused(path):
    pipeline(path, b"GET a%40b.example\n")


def own(path):
    pipeline(path, b"CHECK attacker@bench.test 1000\n")


def recount(path):
    pipeline(path, b"RECOUNT attacker@bench.test\n")


def reserve(path):
    pipeline(path, b"RESERVE attacker@bench.test 1 name=a\n")


def garbage(path):
    pipeline(path, b"x" * 4095 + b"\n")


def bytewise(path):
    """Half a line, a byte at a time."""
    found = connect_many(path, 100)
    while True:
        for i, s in enumerate(found):
            try:
                s.send(b"G")
            except BlockingIOError:
                pass
            except OSError:
                with contextlib.suppress(OSError):
                    found[i] = connect(path)


def connect_and_close(path):
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
            s.connect(path)


def ask_and_die(path):
    """Clients that are gone before they are read."""
    while True:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.send(b"GET a%40b.example\n" * 200)


def unread(path):
    """Answers that nobody reads, and none to come."""
    pipeline(path, b"GET a%40b.example\n", reading=False)


def half_closed(path):
    for s in connect_many(path, 100):
        with contextlib.suppress(OSError):
            s.send(b"GET a%40b.example\n" * 400)
            s.shutdown(socket.SHUT_WR)
    time.sleep(1)
    half_closed(path)


# name: what each attacker does, and as whom
ATTACKS = {
    "refused GETs, a uid on 100 connections": (refused, [ATTACKER]),
    "refused GETs, 10 uids without a mailbox": (refused, range(STRANGER, STRANGER + 10)),
    "refused GETs, 10 uids with one": (refused, range(ATTACKER, ATTACKER + 10)),
    "connect and close, 4 processes": (connect_and_close, [ATTACKER] * 4),
    "connect and close, 8 uids without a mailbox": (connect_and_close,
                                                     range(STRANGER, STRANGER + 8)),
    "unread answers, 95 uids on 100 connections": (unread, range(STRANGER, STRANGER + 95)),
    "half lines byte by byte": (bytewise, [ATTACKER]),
    "garbage of 4,096 bytes": (garbage, [ATTACKER]),
    "RECOUNT of its own mailbox": (recount, [ATTACKER]),
    "CHECK of its own mailbox": (own, [ATTACKER]),
    "RESERVE of one name": (reserve, [ATTACKER]),
    "asks and is gone, 4 processes": (ask_and_die, [ATTACKER] * 4),
    "shutdown with unread answers": (half_closed, [ATTACKER]),
}


@contextlib.contextmanager
def attackers(path, attack, uids):
    """A process each, until the block ends."""
    cores, children = sorted(os.sched_getaffinity(0)), []
    try:
        for uid in uids:
            child = os.fork()
            if child == 0:
                try:
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
                    os.sched_setaffinity(0, cores[-1:])
                    os.nice(19)
                    os.setgroups([])
                    os.setgid(uid)
                    os.setuid(uid)
                    attack(str(path))
                finally:
                    os._exit(0)
            children.append(child)
        time.sleep(1)
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def deliver(brim, number):
    """Seconds of each delivery."""
    took = []
    for _ in range(number):
        result = brim.deliver("victim@bench.test", uid=VICTIM)
        if result.status != 0:
            raise RuntimeError(f"a delivery: {result}")
        took.append(result.seconds)
    return took


def resident_mb(brim):
    with open(f"/proc/{brim.quotad.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def set_up(brim):
    brim.mailbox("victim@bench.test", uid=VICTIM, quota=1 << 30)
    mail = brim.mailbox("attacker@bench.test", uid=ATTACKER, quota=1 << 30)
    for i in range(MESSAGES):
        (mail / "cur" / f"1700000000.M{i}P1.bench,S=1000:2,S").touch()
    for uid in range(ATTACKER + 1, ATTACKER + 10):
        brim.mailbox(f"u{uid}@bench.test", uid=uid, quota=1 << 30)
    brim.start_quotad()


def measure(report, place, quick):
    cores, number = sorted(os.sched_getaffinity(0)), 5 if quick else 20
    rows = []
    try:
        if len(cores) > 1:
            os.sched_setaffinity(0, cores[:-1])
        with private_brim.Brim(parent=place) as brim:
            set_up(brim)
            deliver(brim, 3)
            alone = 1000 * median(deliver(brim, number))
            rows.append(("alone", f"{alone:.1f}", "", f"{resident_mb(brim):.0f}"))
            os.sched_setaffinity(0, cores)
            for name, (attack, uids) in ATTACKS.items():
                with attackers(brim.socket, attack, uids):
                    os.sched_setaffinity(0, cores[:-1] or cores)
                    try:
                        took = [1000 * s for s in deliver(brim, number)]
                    except RuntimeError as why:
                        rows.append((name, str(why)[:40], "", f"{resident_mb(brim):.0f}"))
                        report.exactly(f"delivery beside: {name}", False, "failed", "")
                        continue
                    finally:
                        os.sched_setaffinity(0, cores)
                rows.append((name, f"{median(took):.1f}", f"{max(took):.1f}",
                             f"{resident_mb(brim):.0f}"))
                report.at_most(f"delivery beside: {name}", median(took), 2 * alone + 20,
                               "ms", "{:,.1f}")
    finally:
        os.sched_setaffinity(0, cores)
        report.table(("a delivery beside", "median ms", "longest ms", "quotad MB"), rows)
