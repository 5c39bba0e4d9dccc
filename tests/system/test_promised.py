"""A yes to a whole message at SMTP time keeps its room, by the raw protocol."""

import contextlib
import os
import pwd
import signal
import socket
import time

import pytest

from brim import PATIENCE, Brim
from test_policy import DUNNO, Policy, as_user, refuses

LIMIT = 100_000
FULL = "452 4.2.2"


@pytest.fixture(scope="module")
def brim():
    with Brim() as b:
        b.policy = b.folder / "run/policy"
        b.release = b.folder / "run/release"
        b.configure(release_socket=b.release, policy_listen=b.policy, policy_group="", policy_mode="0666",
                    policy_users="root", promise_trusted="203.0.113.0/24")
        b.number = 0
        b.start_quotad()
        yield b


@pytest.fixture
def box(brim):
    """A fresh mailbox, and a client that nobody knows yet."""
    brim.number += 1
    return Box(brim, brim.number)


class Box:
    def __init__(self, brim, number):
        self.brim = brim
        self.address = f"box{number}@example.org"
        self.client = f"198.51.100.{number}"
        self.maildir = brim.mailbox(self.address, uid=20001, quota=LIMIT, over_quota="defer")

    def ask(self, queue_id, size, state="END-OF-MESSAGE", **more):
        with Policy(self.brim.policy) as policy:
            return policy.ask(state, **{"recipient": self.address, "size": size,
                                        "queue_id": queue_id, "client_address": self.client,
                                        **more})

    def promises(self):
        return int(self.brim.usage(self.address).get("promises", 0))


def test_a_yes_is_kept_once(box):
    assert box.ask("A1", 60_000) == DUNNO
    for _ in range(3):
        assert box.ask("A1", 60_000) == DUNNO
    assert box.promises() == 1
    assert refuses(box.ask("A2", 60_000), FULL)
    assert box.ask("A3", 30_000) == DUNNO
    assert box.promises() == 2


@pytest.mark.parametrize("more", [
    {"state": "RCPT", "size": 1 << 30}, {"state": "RCPT"}, {"state": "DATA"}, {"queue_id": ""},
    {"queue_id": "a,b"}, {"client_address": "unknown"}])
def test_nothing_else_is_kept(box, more):
    box.ask(**{"queue_id": "A1", "size": 60_000, **more})
    assert box.promises() == 0
    assert box.ask("A2", 60_000) == DUNNO


def test_who_is_not_in_policy_users_is_answered_and_nothing_is_kept(box):
    assert as_user(pwd.getpwnam("man"), lambda: box.ask("A1", 60_000) != DUNNO) == 0
    assert box.promises() == 0


def test_each_recipient_and_each_target_has_its_own(brim, box):
    other = Box(brim, 1000 + brim.number)
    brim.load(f"all{brim.number}@example.org alias={box.address},{other.address}")
    instance = f"i{brim.number}"
    recipients = (box.address, other.address, f"all{brim.number}@example.org")
    for recipient in recipients:
        assert box.ask("", 10_000, "RCPT", recipient=recipient, instance=instance) == DUNNO
    assert box.ask("A1", 10_000, recipient="", recipient_count=3, instance=instance) == DUNNO
    assert (box.promises(), other.promises()) == (2, 2)


@pytest.mark.parametrize("clients, most", [
    (["192.0.2.1"], 200),
    ([f"2001:db8:0:1::{i:x}" for i in range(1, 9)], 200),
    (["203.0.113.7"], 210),
])
def test_a_client_has_so_many(brim, box, clients, most):
    brim.mailbox(box.address, uid=20001, quota=1 << 30)
    with Policy(brim.policy) as policy:
        for i in range(210):
            assert policy.ask("END-OF-MESSAGE", recipient=box.address, size=10, queue_id=f"B{i}",
                              client_address=clients[i % len(clients)]) == DUNNO
        assert box.promises() == most
        policy.ask("END-OF-MESSAGE", recipient=box.address, size=10, queue_id="C",
                   client_address=box.client)
    assert box.promises() == most + 1


def test_what_was_killed_keeps_them(brim, box):
    assert box.ask("A1", 60_000) == DUNNO
    brim.stop_quotad(signal.SIGKILL)
    brim.start_quotad()
    assert box.promises() == 1
    assert refuses(box.ask("A2", 60_000), FULL)


def wait_until(is_so):
    limit = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


def reload(brim, **settings):
    told = brim.log.read_text().count("settings read again")
    brim.configure(**settings)
    os.kill(brim.quotad.pid, signal.SIGHUP)
    wait_until(lambda: brim.log.read_text().count("settings read again") > told)


def test_time_ends_them_and_who_plays_gets_none(brim, box):
    """A message that something else has refused in the end, say."""
    reload(brim, promise_time="1s")
    try:
        for i in range(5):
            assert box.ask(f"A1{i}", 10_000) == DUNNO
        wait_until(lambda: box.promises() == 0)
        wait_until(lambda: f"client {box.client} gets none for a day" in brim.log.read_text())
        reload(brim, promise_time="10m")
        assert box.ask("A2", 60_000) == DUNNO
        assert box.promises() == 0
        box.client = "198.51.100.250"
        assert box.ask("A3", 60_000) == DUNNO
        assert box.promises() == 1
        reload(brim, policy_users="")
        assert box.ask("A4", 10_000) == DUNNO
        reload(brim, policy_users="root", promise_time="0")
        assert box.ask("A5", 10_000) == DUNNO
        assert box.promises() == 1
    finally:
        reload(brim, policy_users="root", promise_time=None)


# --- mail that waits ----------------------------------------------------------------------


@pytest.fixture
def full(brim, box):
    brim.mailbox(box.address, uid=20001, quota=LIMIT, over_quota="defer", smtp_full="wait")
    box.fill = box.maildir / "new/1.x.host"
    box.fill.write_bytes(b"x" * LIMIT)
    return box


@contextlib.contextmanager
def releasing(brim):
    """A socket in brim-release's place."""
    with socket.socket(socket.AF_UNIX) as release:
        brim.release.unlink(missing_ok=True)
        release.bind(str(brim.release))
        brim.release.chmod(0o666)
        release.listen()
        release.settimeout(PATIENCE)
        yield release


def accepted(release):
    quotad, _ = release.accept()
    quotad.settimeout(PATIENCE)
    return quotad


def test_no_room_is_kept_for_what_can_not_be_released(brim, full):
    """Postfix is down, say, or its queue is another one's."""
    with releasing(brim) as release:
        told = brim.ask(f"RESERVE {full.address} 60000 name=1.a ids=WAITS1")
        assert told[0].startswith("NO full-for-now")
        full.fill.unlink()
        with accepted(release) as quotad:
            assert quotad.recv(100) == b"RELEASE WAITS1\n"
            assert full.promises() == 1
            quotad.sendall(b"ERR postqueue ended with status 69\n")
            wait_until(lambda: full.promises() == 0)
        assert brim.ask(f"RESERVE {full.address} 60000 name=2.b")[0].startswith("OK")


def test_its_own_promise_does_not_keep_a_message_waiting(brim, box):
    """Another program has filled the mailbox since it was accepted; then that is removed."""
    with releasing(brim) as release:
        assert box.ask("W1", 60_000) == DUNNO
        fill = box.maildir / "new/1.x.host"
        fill.write_bytes(b"x" * 60_000)
        brim.recount(box.address)

        def refused():  # until quotad is connected
            told = brim.ask(f"RESERVE {box.address} 60000 name=1.a ids=W1ABCD,W1")
            assert told[0].startswith("NO full-for-now")
            return box.promises() == 0
        wait_until(refused)
        fill.unlink()
        with accepted(release) as quotad:
            assert quotad.recv(100) == b"RELEASE W1ABCD\n"
            assert box.promises() == 1


def test_a_large_message_waits_with_the_size_that_was_told(brim, full):
    """lda asks about one of more than 64 KiB before it knows the size."""
    reload(brim, wait_max="150000B")
    assert full.ask("W1", 90_000) == DUNNO
    told = brim.ask(f"CHECK {full.address} 0 ids=W1", f"WAITING {full.address}")
    assert told[0].startswith("NO full-for-now")
    assert " messages=1 bytes=90000 " in told[1]
    assert refuses(full.ask("W2", 90_000), FULL)
