"""Room that others hold: orphans of mailboxes that can't be counted, and what a user can
have quotad keep."""

import contextlib
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

from brim import Brim, PATIENCE, SANITIZED

ALICE, MALLORY = 20001, 20002
FOLDERS = 10000  # quotad counts no more of one mailbox


@pytest.fixture
def brim():
    with Brim(parent="/dev/shm") as b:  # where many folders are made and removed fast
        b.mailbox("alice@example.org", uid=ALICE, quota=1 << 20)
        yield b


def wait_until(what, seconds=PATIENCE):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def statistic(brim, name):
    lines = dict(line[2:].split("=", 1) for line in brim.ask("STATS")[:-1])
    return int(lines[name])


def cut_off(brim, address, count, size=1, name="cut"):
    """Deliveries that get room and go away; the answers."""
    return brim.ask(*[f"RESERVE {address} {size} name={name}{i}" for i in range(count)])


def uncountable(mail, uid):
    """More folders than quotad counts."""
    for i in range(FOLDERS + 1):
        for part in ("", "/cur"):
            os.mkdir(f"{mail}/.f{i}{part}")
    os.chown(mail, uid, uid)


def scanners(brim):
    """The scanner and its spare."""
    found, unseen = [], [brim.quotad.pid]
    while unseen:
        pid = unseen.pop()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found += map(int, children)
        unseen += map(int, children)
    return found


@contextlib.contextmanager
def standing_still(brim):
    """No count ends meanwhile."""
    stopped = scanners(brim)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def rss(brim):
    status = pathlib.Path(f"/proc/{brim.quotad.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


# --- orphans ----------------------------------------------------------------------------

@pytest.mark.parametrize("why", ["removed", "uncountable"])
def test_orphans_of_others_that_cannot_be_counted_hold_up_nobody(brim, why):
    """A mailbox with 200 orphans is delivered to after one count."""
    mail = brim.mailbox("mallory@example.org", uid=MALLORY)
    brim.start_quotad()
    if why == "uncountable":
        uncountable(mail, MALLORY)
    assert all(a.startswith("OK ") for a in cut_off(brim, "mallory@example.org", 130))
    if why == "removed":
        brim.admin("remove", "mallory@example.org")
    brim.usage("alice@example.org")
    with brim.connect() as s:
        s.sendall("".join(f"RESERVE alice@example.org 5000 name=cut{i}\n"
                          for i in range(200)).encode())
        with s.makefile("r") as lines:
            assert all(next(lines).startswith("OK ") for _ in range(200))
    result = brim.deliver("alice@example.org", uid=ALICE)
    assert result.status == 0, result
    wait_until(lambda: brim.usage("alice@example.org")["tickets"] == "0")


def test_an_ordinary_user_with_as_many_orphans_as_tickets_is_delivered_to(brim):
    brim.configure(max_user_tickets=20)
    brim.start_quotad()
    with brim.connect_as(ALICE) as s:
        s.sendall("".join(f"RESERVE alice@example.org 1 name=cut{i}\n"
                          for i in range(20)).encode())
        with s.makefile("r") as lines:
            assert all(next(lines).startswith("OK ") for _ in range(20))
    result = brim.deliver("alice@example.org", uid=ALICE)
    assert result.status == 0, result


def test_reserving_and_closing_in_a_loop_fills_neither_memory_nor_store(brim):
    mail = brim.mailbox("mallory@example.org", uid=MALLORY)
    uncountable(mail, MALLORY)
    brim.start_quotad()
    answers = []
    for i in range(1500):
        with brim.connect_as(MALLORY) as s:
            s.sendall(f"RESERVE mallory@example.org 0 name=n{i}\n".encode())
            answers.append(s.recv(200).decode())
    granted = sum(a.startswith("OK ") for a in answers)
    assert 200 <= granted < 210  # max_user_tickets, and what was open when it was asked
    assert "cut off" in answers[-1], answers[-1]
    assert statistic(brim, "orphans") < 210
    assert statistic(brim, "counts") < 20
    # what it has already it may ask for again
    with brim.connect_as(MALLORY) as s:
        s.sendall(b"RESERVE mallory@example.org 0 name=n7\n")
        assert s.recv(200).startswith(b"OK ")


def test_a_file_that_is_not_what_its_ticket_promised_makes_no_room(brim):
    """A user's program may promise room under the name of any file of the user's."""
    mail = brim.home / "alice_example.org/Maildir"
    (mail / "cur/old").write_bytes(b"x" * 500000)
    brim.start_quotad()
    with brim.connect_as(ALICE) as s, s.makefile("r") as lines:
        for request in ("RESERVE alice@example.org 500000 name=old",
                        "RECOUNT alice@example.org", "CANCEL 1"):
            s.sendall(f"{request}\n".encode())
            assert next(lines).startswith("OK"), request
    message = b"Subject: large\n\n" + b"x" * 600000 + b"\n"
    assert brim.deliver("alice@example.org", message, uid=ALICE).status == 75
    assert brim.total(mail) == 500000


# --- a count that takes long ------------------------------------------------------------

def pairs(brim, count, batch=50):
    """RESERVE and COMMIT of nothing, so many times."""
    name = "x" * 200
    with brim.connect_as(MALLORY) as s, s.makefile("r") as lines:
        for first in range(0, count, batch):
            s.sendall("".join(f"RESERVE mallory@example.org 0 name={name}{i}\n"
                              for i in range(first, first + batch)).encode())
            tickets = [next(lines).split("ticket=")[1].strip() for _ in range(batch)]
            s.sendall("".join(f"COMMIT {t}\n" for t in tickets).encode())
            assert all(next(lines).startswith("OK ") for _ in range(batch))


def test_a_user_cannot_fill_memory_while_its_mailbox_is_counted(brim):
    brim.configure(quotad_timeout="60s")
    brim.mailbox("mallory@example.org", uid=MALLORY)
    brim.start_quotad()
    brim.usage("mallory@example.org")
    brim.deliver("alice@example.org", uid=ALICE)
    with brim.connect_as(MALLORY) as s:
        with standing_still(brim):
            s.sendall(b"RECOUNT mallory@example.org\n")
            wait_until(lambda: statistic(brim, "waiting") == 1)
            pairs(brim, 500)
            before = rss(brim)
            pairs(brim, 60000)
            grown = rss(brim) - before
        slowest = [0.0]
        stop = threading.Event()

        def others():
            while not stop.is_set():
                began = time.monotonic()
                brim.usage("alice@example.org")
                slowest[0] = max(slowest[0], time.monotonic() - began)
        other = threading.Thread(target=others)
        other.start()
        s.settimeout(PATIENCE)
        assert s.recv(200).startswith(b"OK ")
        stop.set()
        other.join()
    assert SANITIZED or grown < 8 << 20, grown  # ASan keeps what is freed
    assert slowest[0] < PATIENCE, slowest
    assert brim.recount("mallory@example.org")["used"] == "0"
