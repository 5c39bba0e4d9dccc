"""Mail that waits in Postfix's queue for a full mailbox comes when there is room: the oldest that
fit, and no others."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

import brim as private_brim
from postfix import MailServer

MESSAGES, FIT = 20, 7
FILLER = 1000  # bytes of each message that fills a mailbox
QUOTA = 100 * FILLER
RELEASE = private_brim.BIN / "brim-release"
PATIENCE = 60
POLICY = """
smtpd_end_of_data_restrictions = check_policy_service
    { unix:private/brim-policy, default_action=DUNNO, timeout=5s, try_limit=2 }
"""


class Server(MailServer):
    """Postfix asks quotad about each whole message."""

    def _ways(self):
        settings, services = super()._ways()
        return settings + POLICY, services


class Release:
    """brim-release, by hand."""

    def __init__(self, server):
        self.brim = server.brim
        self.process = None
        server.host.add_user("brim-release")

    def start(self):
        with open(self.brim.log, "ab") as log:
            self.process = subprocess.Popen([RELEASE, "-c", self.brim.conf],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        process, self.process = self.process, None
        if process:
            process.terminate()
            assert process.wait(PATIENCE) == 0


def sender(box, number):
    """One for each message."""
    return f"{box.address.split('@')[0]}-{number}@sender.test"


class Site:
    def __init__(self, stack):
        self.server = server = stack.enter_context(Server(smtp_full="wait", wait_max="100K"))
        self.brim, self.postfix = server.brim, server.postfix
        self.release = Release(server)
        socket = self.brim.folder / "release/socket"
        self.brim.stop_quotad()
        self.brim.configure(release_socket=socket,
                            policy_listen=self.postfix.spool / "private/brim-policy")
        self.release.start()
        stack.callback(self.release.stop)
        self.wait(socket.exists, "brim-release to start")
        self.brim.start_quotad()

    def wait(self, condition, what):
        return self.postfix.wait(condition, what, PATIENCE)

    def full_mailbox(self, make, name, messages=QUOTA // FILLER):
        """Filled by so many messages, of which all but the first can be removed."""
        box = make(name, quota=QUOTA, over_quota="defer")
        for i in range(messages):
            file = box.maildir / f"cur/{i}.filler:2,S"
            file.write_bytes(b"x" * (FILLER if i else QUOTA - (messages - 1) * FILLER))
            os.chown(file, box.uid, box.uid)
        return box

    def send(self, box, number, size=1000):
        text = "x" * (size % 70) + "\n" + ("y" * 69 + "\n") * (size // 70)
        return self.postfix.send(sender(box, number), box.address,
                                 f"Subject: number {number:02}\n\n{text}".encode())

    def waiting(self, box):
        """How many messages wait for it, and how large they are."""
        rows = json.loads(self.brim.query("--waiting", "--json").stdout)
        row = {row["mailbox"]: row for row in rows}.get(box.key, {"messages": 0, "bytes": 0})
        return row["messages"], row["bytes"]

    def wait_for_waiting(self, box, count):
        """Until so many wait: how large they are."""
        self.wait(lambda: self.waiting(box)[0] == count, f"{count} messages that wait")
        return self.waiting(box)[1]

    def delivered(self, box):
        return [text for text in self.brim.messages(box.maildir) if b"\nSubject: number" in text]

    def logged(self, what, box):
        """Queue ids in lines of quotad's log, in their order."""
        return re.findall(rf"{what}, id=(\w+) recipient={re.escape(box.key)} ",
                          self.brim.log.read_text())


@pytest.fixture(scope="module")
def site():
    with contextlib.ExitStack() as stack:
        yield Site(stack)


def remove(box, count):
    for file in sorted(box.maildir.glob("cur/*.filler*"))[1:count + 1]:
        file.unlink()


@pytest.mark.parametrize("transport", ["pipe", "mailbox_command"])
def test_of_twenty_that_wait_the_seven_that_fit_come_at_once(site, transport):
    make = site.server.mailbox if transport == "pipe" else site.server.account
    box = site.full_mailbox(make, f"alice-{transport[:4]}")
    sent = [site.send(box, number) for number in range(MESSAGES)]
    size = site.wait_for_waiting(box, MESSAGES) // MESSAGES
    start = time.monotonic()
    remove(box, -(-FIT * size // FILLER))
    site.wait(lambda: len(site.delivered(box)) >= FIT, "seven messages")
    print(f"after {time.monotonic() - start:.1f} s")
    site.wait_for_waiting(box, MESSAGES - FIT)
    assert len(site.delivered(box)) == FIT
    assert int(site.brim.usage(box.key)["used"]) + size > QUOTA
    oldest = site.logged("waiting for room", box)[:FIT]
    assert site.logged("room for a message that waits", box) == oldest
    waiting = {m.queue_id for m in sent} - set(oldest)
    assert waiting <= set(site.postfix.queue())

    site.brim.admin("set", box.key, "over_quota=1s")
    site.postfix.drain(sent)
    for number, message in enumerate(sent):
        if message.queue_id in waiting:
            report = site.postfix.bounce(sender(box, number))[box.address]
            assert (report.action, report.status) == ("failed", "5.2.2"), report
    assert site.waiting(box) == (0, 0)
    assert len(site.delivered(box)) == FIT


def test_a_raised_limit_lets_mail_that_waits_come(site):
    box = site.full_mailbox(site.server.mailbox, "bob", 1)
    for number in range(3):
        site.send(box, number)
    site.wait_for_waiting(box, 3)
    site.brim.admin("set", box.key, "quota=1M")
    site.wait(lambda: len(site.delivered(box)) == 3, "three messages")
    assert site.waiting(box) == (0, 0)


def test_no_more_than_wait_max_waits(site):
    box = site.full_mailbox(site.server.mailbox, "carl", 1)
    sent = site.send(box, 1, 60_000)
    site.wait_for_waiting(box, 1)
    with pytest.raises(AssertionError, match="452.*4.2.2.*the mailbox is full"):
        site.send(box, 2, 60_000)
    site.postfix.drop(sent)


def test_without_brim_release_mail_comes_with_the_next_try(site):
    box = site.full_mailbox(site.server.mailbox, "dora", 1)
    site.release.stop()
    sent = site.send(box, 1)
    site.wait_for_waiting(box, 1)
    site.brim.admin("set", box.key, "quota=1M")
    said = "warning: brim-release: "
    site.wait(lambda: said in site.brim.log.read_text(), "a line about it")
    assert sent.retry().status == "sent"
    assert site.waiting(box) == (0, 0)
    assert site.brim.log.read_text().count(said) == 1
    site.release.start()


def test_a_lost_list_means_only_a_normal_try(site):
    box = site.full_mailbox(site.server.mailbox, "emil", 1)
    sent = site.send(box, 1)
    site.wait_for_waiting(box, 1)
    site.brim.stop_quotad(signal.SIGKILL)
    site.brim.start_quotad()
    assert site.waiting(box) == (0, 0)
    site.brim.admin("set", box.key, "quota=1M")
    assert sent.retry().status == "sent"


def test_a_user_s_own_deliveries_name_no_strangers_mail(site):
    box = site.full_mailbox(site.server.account, "fred", 1)
    with site.brim.connect_as(box.uid) as s:
        s.sendall(f"RESERVE {box.key} 1000 name=1.a ids=STRANGER1\nWAITING\n".encode())
        with s.makefile("r") as lines:
            assert lines.readline() == "NO full-for-now 4.2.2 the mailbox is full\n"
            assert lines.readline() == "OK count=0\n"
    assert site.waiting(box) == (0, 0)
