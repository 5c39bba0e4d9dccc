"""What was said at SMTP time holds: of many sessions at once as many are accepted as there is
room for, and what was accepted is delivered; by a real Postfix and by each of its transports."""

import asyncio
import collections
import itertools
import signal
import subprocess

import pytest

from postfix import VIRTUAL_DOMAIN
from sessions import (FILTERED, HELD, PATIENCE, REFUSED, SENDER, AskedServer, Session, crowd, letter, send,
                      taken)

SIZE = len(letter(0))
HEADERS = 4096  # that are kept for what the mail server adds
ONE = SIZE + HEADERS
FULL = "452 4.2.2 "

names = (f"user{i}" for i in itertools.count(1))


@pytest.fixture(scope="module")
def site():
    with AskedServer() as s:
        yield s


@pytest.fixture
def server(site):
    """The queue is empty at the end, whatever was left in it."""
    yield site
    if site.postfix.queue():
        subprocess.run(["postsuper", "-d", "ALL"], check=True, stderr=subprocess.DEVNULL)


@pytest.fixture
def brief(server):
    """It keeps promises for a second."""
    server.restart(promise_time="1s")
    yield server
    server.restart(promise_time=None)


def must_hold(server, mailbox, replies, room):
    """So many were accepted, and are delivered; the others were refused for now; the number is
    what is on disk."""
    told = collections.Counter(reply[:10] for reply in replies.values())
    assert told == {"250 2.0.0 ": room, FULL: len(replies) - room}, told
    server.settle()
    must_be_there(server, mailbox, taken(replies))


def must_be_there(server, mailbox, numbers):
    """These letters, each once; nothing was refused or bounced on the way."""
    assert server.subjects(mailbox) == sorted(numbers)
    assert server.refusals(mailbox) == []
    assert list(server.postfix.bounces.glob("all/new/*")) == []
    usage = server.brim.usage(mailbox.key)
    assert int(usage["used"]) == server.brim.total(mailbox.maildir) <= int(usage["limit"])


def tell(server, mailbox, sender=SENDER, number=0, **more):
    """The reply to one letter."""
    recipients = [mailbox.address] if hasattr(mailbox, "address") else mailbox
    return asyncio.run(send(server.door, sender, recipients, letter(number, **more)))


def accept(server, mailbox, sender=SENDER, **more):
    """Has one accepted; its queue id."""
    reply = tell(server, mailbox, sender, **more)
    assert reply.startswith("250 "), reply
    return reply.split()[-1]


def must_be_promised(server, *mailboxes):
    """There is no room for another, now."""
    for mailbox in mailboxes:
        told = tell(server, mailbox)
        assert told.startswith(FULL), told


def release(server, reply_or_id):
    """What was held is delivered now."""
    subprocess.run(["postsuper", "-H", reply_or_id.split()[-1]], check=True,
                   stderr=subprocess.DEVNULL)
    server.postfix.flush()


# --- crowds -------------------------------------------------------------------------------


@pytest.mark.parametrize("transport, sessions, room", [
    ("pipe", 100, 10), ("mailbox_command", 30, 3), ("lda-virtual", 30, 3)])
def test_as_many_are_accepted_as_fit_and_all_of_them_are_delivered(
        server, transport, sessions, room):
    mailbox = server.mailbox_of(transport, next(names), quota=room * ONE)
    replies = asyncio.run(crowd(server.door, mailbox, range(sessions)))
    must_hold(server, mailbox, replies, room)


async def announce(door, mailbox, size):
    """A session that has announced so much, and its reply to RCPT."""
    session = await Session.open(door)
    (reply,) = await session.address("stranger@elsewhere.test", [mailbox.address], size)
    return session, reply


async def disappear(session, goes_on):
    """Some begin to send."""
    if goes_on:
        await session.say("DATA", "354")
        session.writer.write(letter(999)[:1000])
    session.go_away()


def test_sizes_that_are_announced_take_no_room(server):
    """100 others say how much they will send, and then go away."""
    mailbox = server.mailbox(next(names), quota=10 * ONE)

    async def everybody():
        sizes = [1 << 30, 9 * ONE] * 50
        others = await asyncio.gather(*(announce(server.door, mailbox, size) for size in sizes))
        assert [reply[:4] for _, reply in others] == ["552 ", "250 "] * 50
        replies, *_ = await asyncio.gather(
            crowd(server.door, mailbox, range(100)),
            *(disappear(session, reply.startswith("250 ")) for session, reply in others))
        return replies
    must_hold(server, mailbox, asyncio.run(everybody()), 10)


def test_mail_that_gets_another_queue_id_in_a_content_filter(server):
    mailbox = server.mailbox(next(names), quota=10 * ONE)
    replies = asyncio.run(crowd(server.door, mailbox, range(100), FILTERED))
    must_hold(server, mailbox, replies, 10)
    for message in server.brim.messages(mailbox.maildir):
        assert b"X-Scanned: yes\n" in message


def test_who_is_refused_for_what_is_on_its_way_may_try_again(server):
    """Whatever over_quota says: none of it is in the mailbox yet."""
    mailbox = server.mailbox(next(names), quota=3 * ONE, over_quota="bounce")
    replies = asyncio.run(crowd(server.door, mailbox, range(20), HELD))
    for i in taken(replies):
        release(server, replies[i])
    must_hold(server, mailbox, replies, 3)


# --- quotad is killed ---------------------------------------------------------------------


def restart_killed(server):
    server.brim.stop_quotad(signal.SIGKILL)
    server.brim.start_quotad()


async def crowd_and_kill(server, mailbox, numbers):
    """The sessions' replies; quotad dies with the first."""
    replied = asyncio.Event()
    sessions = asyncio.create_task(crowd(server.door, mailbox, numbers, replied=replied))
    first = asyncio.create_task(replied.wait())
    await asyncio.wait((sessions, first), return_when=asyncio.FIRST_COMPLETED)
    first.cancel()
    await asyncio.to_thread(restart_killed, server)
    return await sessions


def test_quotad_is_killed_and_started_meanwhile(server):
    """Of a promise whose answer was lost the client does not know: it keeps its room. What has
    room may wait for the end of a ticket of which the dead quotad had not told."""
    mailbox = server.mailbox(next(names), quota=10 * ONE)

    async def everybody():
        replies = await crowd_and_kill(server, mailbox, range(5))
        return replies | await crowd_and_kill(server, mailbox, range(5, 100))
    replies = asyncio.run(everybody())
    while unanswered := [n for n, reply in replies.items() if reply.startswith("451 ")]:
        for number in unanswered:
            replies[number] = tell(server, mailbox, number=number)
    server.settle()
    server.brim.recount(mailbox.key)  # what the dead quotad had promised to a delivery
    must_be_there(server, mailbox, taken(replies))
    assert len(taken(replies)) + server.promises() == 10
    assert {reply[:4] for reply in replies.values()} == {"250 ", "452 "}


# --- promises that are not used -----------------------------------------------------------


def test_a_later_refusal_of_the_mail_server_keeps_the_room_for_a_while(server):
    """Postfix tells nobody that it has refused the message after all."""
    mailbox = server.mailbox(next(names), quota=ONE)
    told = tell(server, mailbox, REFUSED)
    assert told.startswith("554 5.7.1 "), told
    must_be_promised(server, mailbox)


def until_accepted(server, mailbox, number):
    """Has a letter accepted, as soon as there is room."""
    def accepted():
        told = tell(server, mailbox, number=number)
        assert told.startswith(("250 ", FULL)), told
        return told.startswith("250 ")
    server.postfix.wait(accepted, "room", PATIENCE)


def test_room_that_nobody_uses_comes_back(brief):
    mailbox = brief.mailbox(next(names), quota=ONE)
    assert tell(brief, mailbox, REFUSED).startswith("554 5.7.1 ")
    until_accepted(brief, mailbox, 1)
    brief.settle()
    must_be_there(brief, mailbox, [1])


def test_mail_that_was_held_for_too_long_waits_like_any_other(brief):
    mailbox = brief.mailbox(next(names), quota=ONE)
    held = accept(brief, mailbox, HELD)
    until_accepted(brief, mailbox, 1)
    brief.postfix.wait(lambda: brief.subjects(mailbox) == [1], "the other", PATIENCE)
    release(brief, held)
    brief.postfix.wait(lambda: brief.refusals(mailbox), "the refusal", PATIENCE)
    assert "status=deferred" in brief.refusals(mailbox)[0]
    brief.brim.files(mailbox.maildir)[0].unlink()
    brief.settle()
    assert brief.subjects(mailbox) == [0]


# --- several recipients -------------------------------------------------------------------


@pytest.mark.parametrize("recipients", [["one", "two"], ["both"]])
def test_each_mailbox_that_a_message_is_for_keeps_room(server, recipients):
    """Recipients of a session, and the targets of an alias."""
    one, two = (server.mailbox(name, quota=ONE) for name in ("one", "two"))
    server.brim.load(f"both@{VIRTUAL_DOMAIN} alias={one.address},{two.address}")
    held = accept(server, [f"{name}@{VIRTUAL_DOMAIN}" for name in recipients], HELD)
    must_be_promised(server, one, two)
    release(server, held)
    server.settle()
    for mailbox in (one, two):
        must_be_there(server, mailbox, [0])
        server.brim.files(mailbox.maildir)[0].unlink()


def test_a_mailbox_keeps_room_for_each_of_its_recipients(server):
    mailbox = server.mailbox(next(names), quota=2 * ONE)
    local = mailbox.key.split("@")[0]
    held = accept(server, [f"{local}{extension}@{VIRTUAL_DOMAIN}" for extension in ("", "+x")], HELD)
    must_be_promised(server, mailbox)
    release(server, held)
    server.settle()
    must_be_there(server, mailbox, [0, 0])


# --- sizes --------------------------------------------------------------------------------


@pytest.mark.parametrize("room, reply", [
    (SIZE - 1, "552 5.2.3"), (SIZE, "250"), (SIZE + 1, "250"), (ONE - 1, "250"), (ONE, "250")])
def test_a_message_of_the_mailboxs_own_size_fits(server, room, reply):
    """As long as what its lines lose, a CR each, is more than what its head gains."""
    mailbox = server.mailbox(next(names), quota=room)
    told = tell(server, mailbox)
    assert told.startswith(reply + " "), told
    server.settle()
    must_be_there(server, mailbox, [0] if reply == "250" else [])


@pytest.mark.parametrize("spare", [0, 10000])
def test_a_message_that_a_filter_makes_longer_needs_room_for_that(server, spare):
    """Beyond the 4 KiB that are kept for headers."""
    other, grow = 20000, 8192
    mailbox = server.mailbox(next(names), quota=other + ONE + spare)
    (mailbox.maildir / "new/1.x.host").write_bytes(b"x" * other)
    told = asyncio.run(send(server.door, FILTERED, [mailbox.address], letter(0, grow=grow)))
    assert told.startswith("250 "), told
    if not spare:
        server.postfix.wait(lambda: server.refusals(mailbox), "the refusal", PATIENCE)
        assert "status=deferred" in server.refusals(mailbox)[0]
        (mailbox.maildir / "new/1.x.host").unlink()
    server.settle()
    (message,) = [m for m in server.brim.messages(mailbox.maildir) if len(m) > other]
    assert len(message) > SIZE + grow - HEADERS
