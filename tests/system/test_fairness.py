"""What a user without rights makes quotad do costs others a turn and no more. quotad is
stopped while requests are sent, and what it then does is counted, never timed."""

import contextlib
import os
import resource
import signal
import socket
import time

import pytest

from brim import PATIENCE, Brim

ALICE, BOB, STRANGER = 20001, 20002, 300000
RESERVES = 64  # on a connection: all its slots


@pytest.fixture(autouse=True)
def many_files():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, limits[1])))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def brim():
    with Brim(max_user_tickets=100000, quotad_timeout="60s") as b:
        b.mailbox("alice@example.org", uid=ALICE)
        b.mailbox("bob@example.org", uid=BOB)
        yield b


class Crowd:
    """Connections of one uid each, closed at the end."""

    def __init__(self, brim):
        self.brim = brim
        self.sockets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()

    def connect(self, uid):
        s = socket.socket(socket.AF_UNIX)
        self.sockets.append(s)
        s.settimeout(60)
        os.seteuid(uid)
        try:
            s.connect(str(self.brim.socket))
        finally:
            os.seteuid(0)
        return s


@contextlib.contextmanager
def stopped(brim):
    """quotad does nothing while the block runs, and finds all at once after it."""
    brim.quotad.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        brim.quotad.send_signal(signal.SIGCONT)


def reserves(address, prefix, count=RESERVES):
    return "".join(f"RESERVE {address} 1 name={prefix}.{i}\n" for i in range(count)).encode()


def ticket(s):
    """Its number tells how many were granted before it."""
    answer = s.recv(4096).decode()
    assert answer.startswith("OK ticket="), answer
    return int(answer.splitlines()[0].removeprefix("OK ticket="))


def statistics(brim):
    return dict(line[2:].split("=", 1) for line in brim.ask("STATS")[:-1])


def test_a_request_waits_for_a_turn_of_each_user_and_no_more(brim):
    brim.start_quotad()
    with Crowd(brim) as crowd:
        with stopped(brim):
            for i in range(100):
                crowd.connect(ALICE).sendall(reserves("alice@example.org", i))
            bob = crowd.connect(BOB)
            bob.sendall(reserves("bob@example.org", "b", 1))
        assert ticket(bob) < 1500  # of 6,401


def test_a_user_with_few_requests_is_not_behind_one_with_many(brim):
    """Both go on side by side: the last of Bob's is among the first of Alice's."""
    brim.start_quotad()
    with Crowd(brim) as crowd:
        with stopped(brim):
            for i in range(90):
                crowd.connect(ALICE).sendall(reserves("alice@example.org", i))
            few = [crowd.connect(BOB) for _ in range(9)]
            for i, s in enumerate(few):
                s.sendall(reserves("bob@example.org", f"b{i}", 1))
        assert max(map(ticket, few)) < 1500  # of 5,769


def test_requests_of_a_client_that_is_gone_are_dropped(brim):
    brim.start_quotad()
    with Crowd(brim) as crowd:
        with stopped(brim):
            for i in range(50):
                s = crowd.connect(ALICE)
                s.sendall(reserves("alice@example.org", i))
                s.close()
        bob = crowd.connect(BOB)
        bob.sendall(reserves("bob@example.org", "b", 1))
        ticket(bob)
        limit = time.monotonic() + PATIENCE
        while int(statistics(brim)["connections"]) > 2:
            assert time.monotonic() < limit
        assert int(statistics(brim)["granted"]) <= 1 + 2 * 50  # of 3,201


def test_a_commit_and_a_cancel_of_a_client_that_is_gone_count(brim):
    brim.start_quotad()
    with Crowd(brim) as crowd:
        s = crowd.connect(ALICE)
        s.sendall(reserves("alice@example.org", "a", 1))
        first = ticket(s)
        s.sendall(reserves("alice@example.org", "b", 1))
        assert ticket(s) == first + 1
        with stopped(brim):
            s.sendall(reserves("alice@example.org", "late") +
                      f"COMMIT {first}\nCANCEL {first + 1}\n".encode())
            s.close()
        limit = time.monotonic() + PATIENCE
        while statistics(brim)["cancelled"] != "1":
            assert time.monotonic() < limit
        told = statistics(brim)
        assert told["committed"] == "1" and int(told["granted"]) <= 4


def test_a_commit_needs_no_slot(brim):
    brim.mailbox("slow@example.org", uid=ALICE, quota=1 << 30)
    brim.start_quotad()
    with Crowd(brim) as crowd:
        s = crowd.connect(ALICE)
        s.sendall(reserves("alice@example.org", "a", 1))
        first = ticket(s)
        s.sendall(b"RECOUNT slow@example.org\n" * 200 + f"COMMIT {first}\n".encode())
        limit = time.monotonic() + PATIENCE
        while statistics(brim)["committed"] != "1":
            assert time.monotonic() < limit


def test_a_cancel_behind_many_requests_is_seen_before_a_refusal(brim):
    brim.mailbox("small@example.org", uid=ALICE, quota=10000)
    brim.start_quotad()
    brim.recount("small@example.org")
    with Crowd(brim) as crowd:
        first, second = crowd.connect(ALICE), crowd.connect(ALICE)
        first.sendall(b"RESERVE small@example.org 9000 name=a\n")
        number = ticket(first)
        with stopped(brim):
            second.sendall(b"RESERVE small@example.org 9000 name=b\n")
            first.sendall(b"GET small@example.org\n" * 150 + f"CANCEL {number}\n".encode())
        ticket(second)


def answered(s, request):
    try:
        s.sendall(request)
        return s.recv(4096).startswith(b"OK ")
    except OSError:
        return False


def test_uids_without_a_mailbox_leave_connections_to_the_others(brim):
    """A user's subordinate uids are no more than one small pool."""
    brim.configure(max_connections=320, max_user_connections=40)
    brim.start_quotad()
    with Crowd(brim) as crowd:
        kept = 0
        for uid in range(STRANGER, STRANGER + 30):
            for _ in range(15):
                s = crowd.connect(uid)
                with contextlib.suppress(OSError):
                    s.sendall(b"GET alice@example.org\n")
                    kept += s.recv(4096).startswith(b"ERR 4.7.0 ")
        assert 1 <= kept <= 20  # a sixteenth, where 240 would do for all ordinary users
        for uid, address in ((ALICE, b"alice"), (BOB, b"bob")):
            assert all(answered(crowd.connect(uid), b"GET %s@example.org\n" % address)
                       for _ in range(30))


def test_a_uid_has_its_share_as_soon_as_it_has_a_mailbox(brim):
    brim.configure(max_connections=160, max_user_connections=20)
    brim.start_quotad()
    brim.mailbox("carol@example.org", uid=20003)
    limit = time.monotonic() + PATIENCE
    while True:
        with Crowd(brim) as crowd:
            if all(answered(crowd.connect(20003), b"GET carol@example.org\n")
                   for _ in range(20)):
                return
        assert time.monotonic() < limit


def resident(brim):
    with open(f"/proc/{brim.quotad.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_answers_that_nobody_reads_are_bounded_together(brim):
    """3,000 connections of 30 users: 64 KiB each would be 190 MB."""
    uids = range(21000, 21030)
    brim.load(*(f"u{uid}@example.org uid={uid} gid={uid} mail={brim.folder}/u{uid}/"
                for uid in uids))
    # ASan would keep what was freed
    brim.start_quotad(prefix=["env", "ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1"])
    request = b"GET a%40b.example\n" * 500
    with Crowd(brim) as crowd:
        for uid in uids:
            for _ in range(100):
                s = crowd.connect(uid)
                s.setblocking(False)
                for _ in range(12):
                    with contextlib.suppress(OSError):
                        s.send(request)
                assert resident(brim) < 90 << 20
        bob = crowd.connect(BOB)
        bob.sendall(reserves("bob@example.org", "b", 1))
        ticket(bob)
        assert resident(brim) < 90 << 20
