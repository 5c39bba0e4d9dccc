"""The scanner and the usage store inside a running quotad: processes killed under it,
mailboxes made to harm it, a store that was damaged or belongs to somebody else."""

import os
import pathlib
import signal
import time

import pytest

from brim import PATIENCE, Brim

ALICE, BOB = 20001, 20002


@pytest.fixture
def brim():
    with Brim() as b:
        b.alice = b.mailbox("alice@example.org", uid=ALICE, quota=1 << 20)
        b.bob = b.mailbox("bob@example.org", uid=BOB, quota=1 << 20)
        yield b


@pytest.fixture
def running(brim):
    brim.start_quotad()
    yield brim
    assert brim.quotad.poll() is None, "quotad died:\n" + brim.log.read_text()


def wait_until(what, seconds=PATIENCE):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def children(pid):
    try:
        return [int(word) for word in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def scanner_of(brim):
    """The scanner that quotad forked at its start; its spare is a child of it."""
    wait_until(lambda: any(children(pid) for pid in children(brim.quotad.pid)))
    return next(pid for pid in children(brim.quotad.pid) if children(pid))


def put(mail, name, data=b""):
    path = mail / name
    path.write_bytes(data)
    return path


# --- killed ------------------------------------------------------------------------------

def test_deliveries_go_on_while_the_scanner_is_killed(running):
    first = scanner_of(running)
    put(running.alice, "cur/1.other,S=1000:2,S", b"x" * 1000)
    os.kill(first, signal.SIGKILL)
    for _ in range(5):
        assert running.deliver("alice@example.org").status == 0
    assert int(running.recount("alice@example.org")["used"]) == \
        1000 + sum(p.stat().st_size for p in running.alice.glob("new/*"))
    assert "its spare has taken over" in running.log.read_text()


def test_without_scanner_and_spare_quotad_ends_and_mail_waits(brim):
    brim.start_quotad()
    first = scanner_of(brim)
    for pid in [*children(first), first]:
        os.kill(pid, signal.SIGKILL)
    assert brim.quotad.wait(PATIENCE) != 0
    brim.quotad = None
    assert brim.deliver("alice@example.org").status == 75
    brim.start_quotad()
    assert brim.deliver("alice@example.org").status == 0


def test_a_count_that_is_killed_is_done_again(running):
    for i in range(60000):
        name = running.alice / f"cur/{i}.M{i}.host,S=10:2,S"
        os.mknod(name, 0o100600)
        os.truncate(name, 10)
    first = scanner_of(running)
    spare = children(first)[0]
    with running.connect(60) as s:
        s.sendall(b"RECOUNT alice@example.org\n")
        killed = 0
        limit = time.monotonic() + 5
        while killed < 2 and time.monotonic() < limit:
            for pid in children(first):
                if pid != spare:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        answer = s.recv(4096)
    assert killed and answer.startswith(b"OK used=600000 "), (killed, answer)


# --- hostile mailboxes -------------------------------------------------------------------

def fifo(mail):
    os.mkfifo(mail / "new/fifo")


def device(mail):
    os.mknod(mail / "new/zero", 0o020666, os.makedev(1, 5))


def link_to_others_mail(mail):
    os.symlink(mail.parent.parent / "bob_example.org/Maildir/cur", mail / ".Stolen")
    os.symlink(mail.parent.parent / "bob_example.org/Maildir/cur/1.bob", mail / "new/link")
    os.rmdir(mail / "cur")
    os.symlink(mail.parent.parent / "bob_example.org/Maildir/cur", mail / "cur")


def link_to_everything(mail):
    os.symlink("/", mail / ".Root")
    os.symlink("/proc/self", mail / ".Self")


def deep(mail):
    path = mail
    for _ in range(100):
        path = path / ".deeper"
        path.mkdir()


def long_names(mail):
    for i in range(50):
        put(mail, f"new/{i}" + "x" * 200 + ",S=0")


HARMLESS = [fifo, device, link_to_others_mail, link_to_everything, deep, long_names]


@pytest.mark.parametrize("make", HARMLESS, ids=lambda make: make.__name__)
def test_what_a_user_puts_into_a_mailbox_counts_nothing_and_harms_nothing(running, make):
    put(running.bob, "cur/1.bob", b"x" * 5000)
    make(running.alice)
    assert running.recount("alice@example.org")["used"] == "0"
    assert running.recount("bob@example.org")["used"] == "5000"


def too_many_folders(mail):
    for i in range(10001):
        (mail / f".{i}").mkdir()


def link_in_place_of_the_mailbox(mail):
    mail.rename(mail.parent / "elsewhere")
    os.symlink("elsewhere", mail)
    os.lchown(mail, ALICE, ALICE)


@pytest.mark.parametrize("make", [too_many_folders, link_in_place_of_the_mailbox],
                         ids=lambda make: make.__name__)
def test_a_mailbox_that_cannot_be_counted_hurts_its_owner_alone(running, make):
    make(running.alice)
    refused = running.deliver("alice@example.org")
    assert refused.status == 75 and refused.code in ("4.3.0", "4.3.5")
    assert running.deliver("bob@example.org", uid=BOB).status == 0


def test_mailboxes_that_only_their_owners_may_enter_are_counted(running):
    for mail in (running.alice, running.bob):
        put(mail, "new/1.a,S=77")
        mail.parent.chmod(0o700)
        mail.chmod(0o700)
    assert running.recount("alice@example.org")["used"] == "77"
    assert running.recount("bob@example.org")["used"] == "77"


# --- the usage store ---------------------------------------------------------------------

def test_a_db_config_in_the_store_is_refused_and_named(brim):
    brim.start_quotad()
    brim.stop_quotad()
    planted = put(brim.usage_dir / "usage", "DB_CONFIG", b"set_lg_dir /tmp\n")
    os.chown(planted, ALICE, ALICE)
    with pytest.raises(AssertionError, match="DB_CONFIG"):
        brim.start_quotad()
    planted.unlink()
    brim.start_quotad()


@pytest.mark.parametrize("name", ["usage.db", "log.0000000001"])
def test_a_damaged_store_is_set_aside_and_counted_anew(brim, name):
    brim.configure(deadline="2s", quotad_timeout="1s")
    brim.start_quotad()
    assert brim.deliver("alice@example.org").status == 0
    used = brim.usage("alice@example.org")["used"]
    brim.stop_quotad()
    path = brim.usage_dir / "usage" / name
    path.write_bytes(os.urandom(path.stat().st_size))
    brim.start_quotad()
    assert list(brim.usage_dir.glob("usage.bad-*"))
    assert "set aside" in brim.log.read_text()
    # tickets may be lost with it: nothing is promised before they must have ended
    assert brim.deliver("alice@example.org").status == 75
    wait_until(lambda: brim.deliver("alice@example.org").status == 0)
    assert brim.recount("alice@example.org")["used"] == str(brim.total(brim.alice))
    assert int(brim.usage("alice@example.org")["used"]) > int(used)
