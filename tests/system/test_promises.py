"""The house's promises: no mail is lost, no mailbox passes its limit, no false "full",
whatever runs at once, is killed, is stopped or fills up."""

import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import time

import pytest

from brim import Brim, SANITIZED
from clock import Clock
from host import Host, mount

UID = 20001
ALICE = "alice@example.org"
SENDER = "bob@example.net"
TOP = f"Return-Path: <{SENDER}>\nDelivered-To: {ALICE}\n".encode()
AT_ONCE, ROOM_FOR = 64, 10
TRIES = 5 if SANITIZED else 20
BURST = 8
MANY = 100_000


def numbered(number):
    """A message of which each is as long as any other."""
    return b"Subject: message %05d\n\n" % number + b"x" * 400 + b"\n"


STORED = len(TOP) + len(numbered(0))


@pytest.fixture
def brim():
    with Brim(quotad_timeout="5s", deadline="20s") as private:
        yield private


def start(brim, recipient=ALICE):
    """An lda that has its arguments, and waits for its message."""
    return brim.start_lda("-d", recipient, "-f", SENDER)


def give(lda, message):
    """Hands an lda its message, if it still lives."""
    with contextlib.suppress(BrokenPipeError):
        lda.stdin.write(message)
        lda.stdin.close()
    lda.stdin = None


def finish(lda):
    """Waits for the lda: its exit status and its line."""
    output, errors = lda.communicate(timeout=60)
    assert errors == b""
    return lda.returncode, output


def deliver(brim, number=0, **more):
    return brim.deliver(ALICE, numbered(number), sender=SENDER, **more)


def empty(maildir):
    for path in Brim.files(maildir):
        path.unlink()


def wait(condition, what, patience=20):
    limit = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited in vain for {what}"
        time.sleep(0.05)
    return value


def stat(brim, name):
    """One of quotad's statistics."""
    for line in brim.ask("STATS"):
        if line.startswith(f"* {name}="):
            return line.split("=", 1)[1]
    raise AssertionError(name)


# --- at once --------------------------------------------------------------------------


def test_64_at_once_into_room_for_10_store_exactly_10(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED)
    brim.start_quotad()
    for _ in range(TRIES):
        empty(maildir)
        ldas = [start(brim) for _ in range(AT_ONCE)]
        for number, lda in enumerate(ldas):
            give(lda, numbered(number))
        results = [finish(lda) for lda in ldas]
        stored = [n for n, result in enumerate(results) if result == (0, b"")]
        refused = [output for status, output in results if status == 75]
        assert len(stored) == ROOM_FOR
        assert len(refused) == AT_ONCE - ROOM_FOR
        assert all(output.startswith(b"4.2.2 ") for output in refused), refused
        assert sorted(brim.messages(maildir)) == [TOP + numbered(n) for n in stored]
        assert brim.total(maildir) == ROOM_FOR * STORED
        assert brim.leftovers(maildir) == []
        wait(lambda: brim.usage(ALICE)["used"] == str(ROOM_FOR * STORED), "the last COMMIT")


def give_and_kill(brim, ldas, maildir, limit):
    """Hands the ldas their messages in bursts, and kills quotad, or some of a burst, at
    random instants of it. The mailbox is never over its limit meanwhile."""
    for first in range(0, AT_ONCE, BURST):
        for number in range(first, first + BURST):
            give(ldas[number], numbered(number))
        time.sleep(random.random() / 500)
        if random.random() < 0.3:
            brim.stop_quotad(signal.SIGKILL)
            brim.start_quotad()
        else:
            for lda in random.sample(ldas[first:first + BURST], 2):
                lda.send_signal(signal.SIGKILL)
                time.sleep(random.random() / 1000)
        assert brim.total(maildir) <= limit


def check_results(brim, maildir, results):
    """Each message that was acknowledged is there, once, and nothing else."""
    messages = [message[-len(numbered(0)):] for message in brim.messages(maildir)]
    for number, (status, output) in enumerate(results):
        assert status in (0, 75, -signal.SIGKILL), output
        assert messages.count(numbered(number)) == 1 or status != 0, number
        assert output == b"" or re.match(rb"4\.(2\.2|3\.0) ", output), output
    assert set(messages) <= {numbered(number) for number in range(AT_ONCE)}
    assert brim.leftovers(maildir) == []


def test_kills_take_no_mailbox_past_its_limit_and_lose_no_mail(brim):
    brim.configure(deadline="2s", quotad_timeout="1s")
    brim.start_quotad()
    statuses = collections.Counter()
    for i in range(TRIES):
        address = f"a{i:04}@example.org"  # as long as ALICE
        limit = ROOM_FOR * STORED
        maildir = brim.mailbox(address, uid=UID, quota=limit)
        ldas = [start(brim, address) for _ in range(AT_ONCE)]
        give_and_kill(brim, ldas, maildir, limit)
        results = [finish(lda) for lda in ldas]
        check_results(brim, maildir, results)
        assert brim.total(maildir) <= limit
        assert brim.recount(address)["used"] == str(brim.total(maildir))
        statuses.update(status for status, _ in results)
    if not SANITIZED:  # there most run into their deadline before anything can kill them
        assert statuses[0] > 0 and statuses[-signal.SIGKILL] > 0, statuses


def test_room_that_killed_ldas_held_comes_back(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED)
    brim.configure(deadline="2s")
    brim.start_quotad()
    ldas = [start(brim) for _ in range(ROOM_FOR)]
    for number, lda in enumerate(ldas):
        give(lda, numbered(number))
        time.sleep(random.random() / 300)
        lda.send_signal(signal.SIGKILL)
    for lda in ldas:
        finish(lda)
    brim.stop_quotad(signal.SIGKILL)
    brim.start_quotad()
    left = ROOM_FOR - len(brim.files(maildir))
    time.sleep(2.5)
    assert [deliver(brim, n).status for n in range(left + 1)] == [0] * left + [75]
    assert brim.total(maildir) == ROOM_FOR * STORED


def test_what_could_be_neither_synced_nor_removed_stays_charged(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED)
    brim.start_quotad()
    (brim.folder / "trace").mkdir(mode=0o777)
    (brim.folder / "trace").chmod(0o777)
    lda = brim.start_lda("-d", ALICE, "-f", SENDER, prefix=[
        "strace", "-o", brim.folder / "trace/log", "-e", "inject=fsync:error=EIO:when=2",
        "-e", "inject=unlinkat:error=EIO"])
    give(lda, numbered(0))
    assert finish(lda)[0] == 75
    assert len(brim.files(maildir)) == 1
    told = brim.usage(ALICE)
    assert int(told["reserved"]) + int(told["used"]) == STORED
    assert brim.recount(ALICE)["used"] == str(STORED)
    assert deliver(brim).status == 0
    assert brim.recount(ALICE)["used"] == str(brim.total(maildir)) == str(2 * STORED)


# --- no false "full" ------------------------------------------------------------------


def make_many(maildir):
    """A Maildir of many messages, each as large as STORED, as its name says."""
    folder = os.open(maildir / "cur", os.O_RDONLY)
    for i in range(MANY):
        file = os.open(f"{i}.M1P1.host.test,S={STORED}:2,S", os.O_CREAT | os.O_WRONLY, 0o600,
                       dir_fd=folder)
        os.ftruncate(file, STORED)
        os.close(file)
    os.fchown(folder, UID, UID)
    os.close(folder)


def test_a_full_maildir_of_100_000_takes_the_next_after_one_is_removed(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=MANY * STORED)
    make_many(maildir)
    brim.start_quotad()
    assert deliver(brim).code == "4.2.2"
    for i in random.sample(range(MANY), 3):
        victim = maildir / f"cur/{i}.M1P1.host.test,S={STORED}:2,S"
        subprocess.run(["rm", victim], check=True, user=UID, group=UID, extra_groups=[])
        result = deliver(brim, i)
        assert (result.status, result.output) == (0, b"")
        assert deliver(brim).code == "4.2.2"
    assert brim.usage(ALICE)["used"] == str(MANY * STORED)


def test_mail_that_others_remove_makes_room_at_once(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED, over_quota="bounce")
    brim.start_quotad()
    for number in range(ROOM_FOR):
        assert deliver(brim, number).status == 0
    for number in range(20):
        assert deliver(brim).code == "5.2.2"
        random.choice(brim.files(maildir)).unlink()
        assert deliver(brim, number).status == 0
        assert brim.total(maildir) == ROOM_FOR * STORED


def test_mail_that_others_add_counts(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED, over_quota="bounce")
    brim.start_quotad()
    assert deliver(brim).status == 0
    for number in range(ROOM_FOR - 1):
        (maildir / f"cur/{number}.M2P2.host.test:2,S").write_bytes(b"y" * STORED)
    brim.recount(ALICE)
    assert deliver(brim).code == "5.2.2"
    assert brim.total(maildir) == ROOM_FOR * STORED


# --- full since -----------------------------------------------------------------------


@pytest.fixture
def full(brim):
    """A mailbox that has been full for no time yet, and the clock of its quotad."""
    brim.clock = Clock(brim.folder)
    brim.maildir = brim.mailbox(ALICE, uid=UID, quota=STORED, over_quota="3d")
    brim.start_quotad(prefix=brim.clock.prefix)
    assert deliver(brim).status == 0
    assert deliver(brim).code == "4.2.2"
    return brim


def test_full_is_soft_for_three_days_and_then_hard(full):
    full.clock.move(days=2.99)
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=0.02)
    assert deliver(full).code == "5.2.2"


def test_full_begins_anew_after_a_message_was_taken(full):
    full.clock.move(days=2)
    empty(full.maildir)
    assert deliver(full).status == 0
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=2)
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=2)
    assert deliver(full).code == "5.2.2"


def test_full_begins_anew_after_the_limit_has_risen(full):
    full.clock.move(days=2)
    full.admin("set", ALICE, f"quota={STORED + 1}B")
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=2)
    assert deliver(full).code == "4.2.2"


def test_full_since_survives_a_restart_and_a_kill(full):
    for how in (signal.SIGTERM, signal.SIGKILL):
        full.clock.move(days=1.4)
        assert deliver(full).code == "4.2.2"
        full.stop_quotad(how)
        full.start_quotad(prefix=full.clock.prefix)
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=0.4)
    assert deliver(full).code == "5.2.2"


def test_time_without_a_quotad_counts_as_a_day_at_most(full):
    full.stop_quotad()
    full.clock.move(days=10)
    full.start_quotad(prefix=full.clock.prefix)
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=1.9)
    assert deliver(full).code == "4.2.2"
    full.clock.move(days=0.2)
    assert deliver(full).code == "5.2.2"


def test_queries_do_not_make_a_mailbox_full_since(brim):
    clock = Clock(brim.folder)
    brim.mailbox(ALICE, uid=UID, quota=STORED, over_quota="3d")
    brim.start_quotad(prefix=clock.prefix)
    assert deliver(brim).status == 0
    brim.usage(ALICE)
    brim.recount(ALICE)
    brim.query(ALICE, check=False)
    clock.move(days=4)
    assert deliver(brim).code == "4.2.2"


def test_a_wall_clock_that_is_set_changes_no_verdict(full):
    for days in (-400, 800, -400):
        full.clock.move_wall(days=days)
        assert deliver(full).code == "4.2.2"
        empty(full.maildir)
        assert deliver(full).status == 0
        assert deliver(full).code == "4.2.2"
        full.stop_quotad()
        full.start_quotad(prefix=full.clock.prefix)
        assert deliver(full).code == "4.2.2"
    full.clock.move(days=3.1)
    assert deliver(full).code == "5.2.2"


# --- quotad in trouble ----------------------------------------------------------------


@pytest.fixture
def small_store():
    """A quotad whose usage store is on a small file system of its own."""
    with Host(), Brim(quotad_timeout="5s", deadline="2s") as brim:
        brim.usage_dir.mkdir()
        mount("tmpfs", brim.usage_dir, "tmpfs", data="size=12m,mode=700,uid=1,gid=1")
        brim.cleanups.append(lambda: subprocess.run(["umount", "-l", brim.usage_dir], check=True))
        brim.clock = Clock(brim.folder)
        brim.filler = brim.usage_dir / "filler"
        yield brim


def fill_disk(brim):
    with open(brim.filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while True:
            f.write(bytes(4096))


def test_a_full_disk_under_the_usage_store_stops_no_mail(small_store):
    brim = small_store
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED)
    brim.start_quotad(prefix=brim.clock.prefix)
    assert deliver(brim).status == 0
    fill_disk(brim)
    while stat(brim, "store") == "disk":
        assert deliver(brim).status in (0, 75)
        empty(maildir)
    assert "memory" in brim.log.read_text()
    wait(lambda: deliver(brim).status == 0, "a delivery")
    empty(maildir)
    results = [deliver(brim, n) for n in range(ROOM_FOR + 1)]
    assert [r.status for r in results] == [0] * ROOM_FOR + [75], results
    assert results[-1].code == "4.2.2"
    brim.filler.unlink()
    brim.clock.move(days=1 / 1440)
    wait(lambda: stat(brim, "store") == "disk", "the store to come back")
    assert deliver(brim).code == "4.2.2"
    brim.stop_quotad(signal.SIGKILL)
    brim.start_quotad(prefix=brim.clock.prefix)
    assert brim.usage(ALICE)["used"] == str(ROOM_FOR * STORED)


def test_quotad_starts_on_a_full_disk(small_store):
    brim = small_store
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED)
    fill_disk(brim)
    brim.start_quotad(prefix=brim.clock.prefix)
    assert stat(brim, "store") == "memory"
    wait(lambda: deliver(brim).status == 0, "a delivery")
    empty(maildir)
    results = [deliver(brim, n) for n in range(ROOM_FOR + 1)]
    assert [r.status for r in results] == [0] * ROOM_FOR + [75], results


def test_a_stopped_quotad_is_4_3_0_within_the_times(brim):
    maildir = brim.mailbox(ALICE, uid=UID)
    brim.configure(quotad_timeout="1s")
    brim.start_quotad()
    brim.quotad.send_signal(signal.SIGSTOP)
    try:
        result = deliver(brim)
        assert (result.status, result.code) == (75, "4.3.0")
        assert result.seconds < 4
        brim.configure(deadline="2s")
        result = deliver(brim)
        assert (result.status, result.code) == (75, "4.3.0")
        assert result.seconds < 2.5
    finally:
        brim.quotad.send_signal(signal.SIGCONT)
    assert brim.files(maildir) == [] and brim.leftovers(maildir) == []
    wait(lambda: deliver(brim).status == 0, "a delivery")


def test_a_quotad_stopped_in_the_middle_keeps_the_limit(brim):
    maildir = brim.mailbox(ALICE, uid=UID, quota=ROOM_FOR * STORED)
    brim.configure(quotad_timeout="1s", deadline="4s")
    brim.start_quotad()
    ldas = [start(brim) for _ in range(AT_ONCE)]
    for number, lda in enumerate(ldas):
        give(lda, numbered(number))
        if number % 16 == 8:
            brim.quotad.send_signal(signal.SIGSTOP)
            time.sleep(random.random() / 5)
            brim.quotad.send_signal(signal.SIGCONT)
    results = [finish(lda) for lda in ldas]
    assert all(status == 0 or output[:4] in (b"4.2.", b"4.3.") for status, output in results)
    assert len(brim.files(maildir)) == sum(status == 0 for status, _ in results)
    assert brim.total(maildir) <= ROOM_FOR * STORED
    assert brim.recount(ALICE)["used"] == str(brim.total(maildir))
