"""Real Postfix, both ways: mailbox_command for accounts of the host, and a pipe transport
for the virtual mailboxes of one mail user. What a sender gets is read from the bounce."""

import contextlib
import itertools
import json
import os
import random
import signal
import stat
import subprocess
import time

import pytest

from clock import Clock
from host import mount, unmount
from postfix import ETC, HOST_DOMAIN, VIRTUAL_DOMAIN, MailServer

HEADERS = (b"From: me@sender.test\nTo: you@host.test\nSubject: test\n"
           b"Date: Tue, 24 Nov 2026 12:00:00 +0000\nMessage-Id: <1@sender.test>\n\n")
SMALL = HEADERS + b"hello\n"
ROOM = 4096  # of a mailbox that FILL nearly fills
FILL = HEADERS + b"x" * 70 + b"\n" + b"y" * 70 + b"\n" * 3000
MORE = HEADERS + b"z\n" * 1000

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server():
    with MailServer() as mail_server:
        yield mail_server


@pytest.fixture(params=["mailbox_command", "pipe"])
def make(request, server):
    """Makes a mailbox of a new name, for the way under test."""
    def new_mailbox(name, **fields):
        way = server.account if request.param == "mailbox_command" else server.mailbox
        return way(f"{name}{next(numbers)}", **fields)
    return new_mailbox


def new_sender():
    return f"me{next(numbers)}@sender.test"


def send(server, mailbox, message=SMALL, sender=None):
    return server.postfix.send(new_sender() if sender is None else sender, mailbox.address,
                               message)


def deliver(server, mailbox, message=SMALL, sender=None):
    """Sends a message that must be stored; returns its file."""
    before = set(server.brim.files(mailbox.maildir))
    fate = send(server, mailbox, message, sender).fate()
    assert (fate.status, fate.code) == ("sent", "2.0.0"), fate
    (file,) = set(server.brim.files(mailbox.maildir)) - before
    return file


def must_be_empty(server, mailbox):
    assert server.brim.files(mailbox.maildir) == []
    assert server.brim.leftovers(mailbox.maildir) == []


def must_bounce(server, mailbox, code, words, message=SMALL):
    """Sends a message that must come back, and reads the bounce."""
    sender = new_sender()
    files = server.brim.files(mailbox.maildir)
    sent = send(server, mailbox, message, sender)
    fate = sent.fate()
    assert (fate.status, fate.code) == ("bounced", code), fate
    report = server.postfix.bounce(sender)[mailbox.address]
    assert (report.action, report.status) == ("failed", code)
    assert report.diagnostic.startswith("x-unix; ") and words in report.diagnostic, report
    assert sent.queue_id not in server.postfix.queue()
    assert server.brim.files(mailbox.maildir) == files
    assert server.brim.leftovers(mailbox.maildir) == []


def must_wait(server, mailbox, code, words, message=SMALL):
    """Sends a message that must stay in the queue; returns it."""
    sender = new_sender()
    files = server.brim.files(mailbox.maildir)
    sent = send(server, mailbox, message, sender)
    is_deferred(server, sent, sent.fate(), code, words)
    assert not server.postfix.bounced(sender)
    assert server.brim.files(mailbox.maildir) == files
    assert server.brim.leftovers(mailbox.maildir) == []
    return sent


def is_deferred(server, sent, fate, code, words):
    assert (fate.status, fate.code) == ("deferred", code), fate
    assert words in fate.text, fate
    assert sent.queue_id in server.postfix.queue()


def arrives(server, sent, mailbox):
    """Has the queue tried again: the message is delivered now, once."""
    files = server.brim.files(mailbox.maildir)
    fate = sent.retry()
    assert (fate.status, fate.code) == ("sent", "2.0.0"), fate
    assert len(server.brim.files(mailbox.maildir)) == len(files) + 1


def fill(server, mailbox):
    """Leaves room for less than MORE; returns the file that can be removed."""
    file = deliver(server, mailbox, FILL)
    assert ROOM - file.stat().st_size < len(MORE)
    return file


def remove_as_its_owner(mailbox, file):
    subprocess.run(["rm", file], check=True, user=mailbox.uid, group=mailbox.uid,
                   extra_groups=[], cwd="/")


# --- what is in etc/ ---------------------------------------------------------------


def test_brim_conf_in_etc_shows_every_setting_with_its_default(server):
    shown = json.loads(server.brim.admin("config", "--json").stdout)
    lines = (ETC / "brim.conf").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []
    for name, setting in shown.items():
        at = lines.index(f"#{name} = {setting['default']}".rstrip())
        restart = " A change takes a restart of quotad." if setting["restart"] else ""
        assert lines[at - 1] == f"# {setting['about']}{restart}"


# --- delivered ------------------------------------------------------------------------


def test_a_delivered_message_is_stored_whole(server, make):
    alice = make("alice")
    body = b".\n..dots\nFrom here\n" + bytes(range(1, 10)) + b"\t\0" + bytes(range(14, 256))
    message = HEADERS + body + b"\nno more\n"
    file = deliver(server, alice, message)
    stored = file.read_bytes()
    top = stored[:-len(message)]
    assert stored.endswith(message)
    assert top.count(b"Return-Path: <") == 1
    assert top.count(b"Delivered-To: " + alice.address.encode() + b"\n") == 1
    assert top.startswith(b"Return-Path: <me")
    assert file.parent.name == "new" and f",S={len(stored)}" in file.name
    status = file.stat()
    assert (status.st_uid, status.st_gid) == (alice.uid, alice.uid)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert server.brim.leftovers(alice.maildir) == []
    assert server.brim.usage(alice.key)["used"] == str(len(stored))


def test_a_message_from_nobody_is_delivered(server, make):
    alice = make("alice")
    stored = deliver(server, alice, sender="").read_bytes()
    assert stored.startswith(b"Return-Path: <>\n")
    assert stored.count(b"Return-Path:") == 1


def test_an_extension_leads_to_the_mailbox(server, make):
    alice = make("alice")
    local, domain = alice.address.split("@")
    extended = alice._replace(address=f"{local}+Lists.C@{domain}")
    stored = deliver(server, extended).read_bytes()
    assert f"Delivered-To: {local}+Lists.C@{domain}\n".encode() in stored


def test_upper_case_leads_to_the_mailbox(server, make):
    alice = make("alice")
    deliver(server, alice._replace(address=alice.address.capitalize()))


def test_an_address_with_odd_bytes_reaches_its_own_mailbox(server, make):
    odd = make("o$dd")
    local, domain = odd.address.split("@")
    decoy = server.account if domain == HOST_DOMAIN else server.mailbox
    decoy = decoy(local.replace("$", "_"))  # what Postfix writes in the environment
    deliver(server, odd)
    deliver(server, odd._replace(address=f"{local}+a$b@{domain}"))
    must_be_empty(server, decoy)
    deliver(server, decoy)


def test_a_quoted_address_reaches_its_mailbox(server):
    maildir = server.brim.home / "quoted/Maildir"
    server.brim.make_maildir(maildir, server.mail_uid, server.mail_uid)
    server.brim.admin("add", f"a;b $(id) c@{VIRTUAL_DOMAIN}", f"uid={server.mail_uid}",
                      f"gid={server.mail_uid}", f"mail={maildir}/")
    sent = server.postfix.send(new_sender(), f'"a;b $(id) c"@{VIRTUAL_DOMAIN}', SMALL)
    assert sent.fate().status == "sent"
    assert len(server.brim.files(maildir)) == 1


def test_a_missing_maildir_is_made(server, make):
    alice = make("alice", make=False)
    home = alice.maildir.parent
    home.mkdir(parents=True)
    os.chown(home, alice.uid, alice.uid)
    deliver(server, alice)
    assert stat.S_IMODE(alice.maildir.stat().st_mode) == 0o700


def test_a_large_message_is_delivered(server, make):
    alice = make("alice")
    message = HEADERS + (b"l" * 70 + b"\n") * 160_000
    assert deliver(server, alice, message).read_bytes().endswith(message)


def test_the_log_has_one_line_a_delivery(server, make):
    alice = make("alice")
    deliver(server, alice)
    lines = [line for line in server.host.log_lines()
             if "brim-lda[" in line and f"recipient={alice.address} " in line]
    assert len(lines) == 1 and "verdict=delivered code=2.0.0" in lines[0]


def test_recipients_of_one_message_have_their_own_fates(server, make):
    alice, closed, waiting = make("alice"), make("closed"), make("waiting")
    server.brim.admin("disable", closed.key)
    server.brim.admin("suspend", waiting.key)
    everyone = [alice.address, closed.address, waiting.address]
    sender = new_sender()
    sent = server.postfix.send(sender, everyone, SMALL)
    assert [sent.fate(r).code for r in everyone] == ["2.0.0", "5.2.1", "4.2.1"]
    assert list(server.postfix.bounce(sender)) == [closed.address]
    server.brim.admin("enable", waiting.key)
    assert sent.retry(waiting.address).code == "2.0.0"
    assert len(server.brim.files(alice.maildir)) == 1


# --- refused by the record ------------------------------------------------------------


def test_no_such_user_is_5_1_1(server):
    server.host.add_user("stranger")
    server.account("known")
    for address in (f"stranger@{HOST_DOMAIN}", f"stranger@{VIRTUAL_DOMAIN}"):
        sender = new_sender()
        sent = server.postfix.send(sender, address, SMALL)
        assert sent.fate().code == "5.1.1"
        report = server.postfix.bounce(sender)[address]
        assert report == ("failed", "5.1.1", "x-unix; User unknown, no such mailbox here")


def test_moved_is_5_1_6_and_tells_the_new_address(server, make):
    alice = make("alice")
    server.brim.admin("move", alice.key, "alice@elsewhere.test")
    must_bounce(server, alice, "5.1.6", "alice@elsewhere.test")


def test_disabled_is_5_2_1(server, make):
    alice = make("alice")
    server.brim.admin("disable", alice.key)
    must_bounce(server, alice, "5.2.1", "disabled")
    must_be_empty(server, alice)


def test_suspended_is_4_2_1_until_it_is_enabled(server, make):
    alice = make("alice")
    server.brim.admin("suspend", alice.key)
    sent = must_wait(server, alice, "4.2.1", "takes no mail at the moment")
    server.brim.admin("enable", alice.key)
    arrives(server, sent, alice)


def test_larger_than_the_mailbox_is_5_2_3(server, make):
    alice = make("alice", quota=1024)
    must_bounce(server, alice, "5.2.3", "larger", MORE)
    must_be_empty(server, alice)


def test_larger_than_message_size_limit_is_5_2_3(server, make):
    alice = make("alice")
    server.brim.configure(message_size_limit="1K")
    try:
        must_bounce(server, alice, "5.2.3", "larger", MORE)
    finally:
        server.brim.configure(message_size_limit=None)
    deliver(server, alice, MORE)


# --- full -----------------------------------------------------------------------------


def test_full_is_4_2_2_until_mail_is_removed(server, make):
    alice = make("alice", quota=ROOM, over_quota="defer")
    file = fill(server, alice)
    sent = must_wait(server, alice, "4.2.2", "full", MORE)
    is_deferred(server, sent, sent.retry(), "4.2.2", "full")
    remove_as_its_owner(alice, file)
    arrives(server, sent, alice)


def test_full_is_4_2_2_until_the_quota_is_raised(server, make):
    alice = make("alice", quota=ROOM)
    fill(server, alice)
    sent = must_wait(server, alice, "4.2.2", "full", MORE)
    server.brim.admin("set", alice.key, "quota=1M")
    arrives(server, sent, alice)


def test_a_full_mailbox_takes_what_fits(server, make):
    alice = make("alice", quota=ROOM)
    fill(server, alice)
    sent = must_wait(server, alice, "4.2.2", "full", MORE)
    deliver(server, alice, SMALL)
    server.postfix.drop(sent)


def test_full_with_over_quota_bounce_is_5_2_2(server, make):
    alice = make("alice", quota=ROOM, over_quota="bounce")
    file = fill(server, alice)
    must_bounce(server, alice, "5.2.2", "full", MORE)
    remove_as_its_owner(alice, file)
    deliver(server, alice, MORE)


def test_full_by_messages_is_5_2_2(server, make):
    alice = make("alice", messages=1, over_quota="bounce")
    deliver(server, alice)
    must_bounce(server, alice, "5.2.2", "full")


@pytest.fixture
def clock(server):
    """quotad under a clock that the test moves, and then under its own again."""
    server.brim.stop_quotad()
    moved = Clock(server.brim.folder)
    server.brim.start_quotad(prefix=moved.prefix)
    yield moved
    server.brim.stop_quotad()
    server.brim.start_quotad()


def test_full_for_three_days_turns_into_5_2_2(server, make, clock):
    alice = make("alice", quota=ROOM, over_quota="3d")
    fill(server, alice)
    sent = must_wait(server, alice, "4.2.2", "full", MORE)
    clock.move(days=2.9)
    is_deferred(server, sent, sent.retry(), "4.2.2", "full")
    clock.move(days=0.2)
    fate = sent.retry()
    assert (fate.status, fate.code) == ("bounced", "5.2.2"), fate
    must_bounce(server, alice, "5.2.2", "full", MORE)


# --- ours -----------------------------------------------------------------------------


def test_a_full_disk_is_4_3_1_until_there_is_room(server, make):
    alice = make("alice")
    mount("tmpfs", alice.maildir, "tmpfs", data=f"size=64k,mode=700,uid={alice.uid}")
    try:
        server.brim.make_maildir(alice.maildir, alice.uid, alice.uid)
        sent = must_wait(server, alice, "4.3.1", "No space left", HEADERS + b"d" * 200_000)
        subprocess.run(["mount", "-o", "remount,size=1m", alice.maildir], check=True)
        arrives(server, sent, alice)
    finally:
        unmount(alice.maildir)


def test_no_quotad_is_4_3_0_until_it_is_back(server, make):
    alice = make("alice")
    server.brim.stop_quotad()
    try:
        sent = must_wait(server, alice, "4.3.0", "quotad")
    finally:
        server.brim.start_quotad()
    arrives(server, sent, alice)


def test_a_stopped_quotad_is_4_3_0_until_it_goes_on(server, make):
    alice = make("alice")
    server.brim.quotad.send_signal(signal.SIGSTOP)
    try:
        sent = must_wait(server, alice, "4.3.0", "quotad")
    finally:
        server.brim.quotad.send_signal(signal.SIGCONT)
    arrives(server, sent, alice)


def test_no_table_is_4_3_5_until_it_is_back(server, make):
    alice = make("alice")
    aside = server.brim.users_db.with_suffix(".aside")
    server.brim.users_db.rename(aside)
    try:
        sent = must_wait(server, alice, "4.3.5", "users.db")
    finally:
        aside.rename(server.brim.users_db)
    arrives(server, sent, alice)


def test_an_unknown_setting_is_4_3_5_until_it_is_gone(server, make):
    alice = make("alice")
    server.brim.configure(colour="green")
    try:
        sent = must_wait(server, alice, "4.3.5", "colour")
    finally:
        server.brim.configure(colour=None)
    arrives(server, sent, alice)


def test_another_users_mailbox_is_4_3_5(server, make):
    alice = make("alice")
    server.brim.admin("set", alice.key, "uid=20999")
    sent = must_wait(server, alice, "4.3.5", "20999")
    server.brim.admin("set", alice.key, f"uid={alice.uid}")
    arrives(server, sent, alice)


def test_a_missing_lda_is_4_3_0_until_it_is_back(server, make):
    alice = make("alice")
    aside = server.lda.with_suffix(".aside")
    server.lda.rename(aside)
    try:
        sent = must_wait(server, alice, "4.3.0", "No such file")
    finally:
        aside.rename(server.lda)
    arrives(server, sent, alice)


# --- killed ---------------------------------------------------------------------------


def running_ldas(server):
    """Ids of the ldas that run now."""
    found = []
    for pid in server.host.processes():
        try:
            if os.readlink(f"/proc/{pid}/exe") == str(server.lda):
                found.append(pid)
        except OSError:
            pass
    return found


def catches_signals(pid):
    """Whether lda has its handlers: before its first instructions nothing can be caught."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) & 1 << (signal.SIGALRM - 1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_lda_makes_postfix_try_again(server, make, how):
    """4.3.0; or 4.3.5 during the look-up, where the table may be what killed it."""
    alice = make("alice")
    server.brim.quotad.send_signal(signal.SIGSTOP)
    try:
        sent = send(server, alice)
        (pid,) = server.postfix.wait(lambda: running_ldas(server), "an lda")
        server.postfix.wait(lambda: catches_signals(pid), "its handlers")
        time.sleep(random.random() / 10)
        os.kill(pid, how)
        fate = sent.fate()
        is_deferred(server, sent, fate, "4.3.5" if "table" in fate.text else "4.3.0", "")
    finally:
        server.brim.quotad.send_signal(signal.SIGCONT)
    must_be_empty(server, alice)
    arrives(server, sent, alice)


def kill_some_ldas(server, most):
    """Has the queue tried, and kills ldas as they come, each at some instant of its life,
    until none comes any more; returns how many."""
    killed = set()
    server.postfix.flush()
    calm = time.monotonic() + 0.3
    while time.monotonic() < calm and len(killed) < most:
        for pid in set(running_ldas(server)) - killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
                calm = time.monotonic() + 0.3
    return len(killed)


def test_ldas_killed_at_random_lose_and_bounce_nothing(server, make):
    alice = make("alice")
    sender, bodies, sent, killed = new_sender(), [], [], 0
    while killed < 6:
        server.brim.admin("suspend", alice.key)
        for _ in range(8):
            bodies.append(b"number %d\n" % next(numbers) + b"k" * 70_000 + b"\n")
            sent.append(send(server, alice, HEADERS + bodies[-1], sender))
            assert sent[-1].fate().code == "4.2.1"
        server.brim.admin("enable", alice.key)
        killed += kill_some_ldas(server, most=6)
    server.postfix.wait(lambda: not running_ldas(server), "the ldas to end")
    server.postfix.drain(sent)
    assert not server.postfix.bounced(sender)
    stored = b"".join(server.brim.messages(alice.maildir))
    assert all(b"\n" + body in stored for body in bodies)
    assert server.brim.leftovers(alice.maildir) == []
