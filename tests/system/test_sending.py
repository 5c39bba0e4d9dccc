"""Who may send: users whose mailbox is over send_quota, found by their login, and senders that
the site has blocked. Asked by ACCESS, with a real quotad and real files."""

import contextlib
import os
import signal
import smtplib
import socket
import time

import pytest

from brim import PATIENCE, Brim
from postfix import MailServer

ALICE = "alice@example.org"
FULL = ("NO full 552 5.2.2 your mailbox is over its limit for sending; delete mail or empty "
        "the trash, then send again")
BLOCKED = "NO refused 554 5.7.1 mail of this sender is not taken here"


@pytest.fixture
def brim():
    with Brim() as b:
        b.alice = b.mailbox(ALICE, uid=20001, send_quota=10000, login="asmith")
        b.bob = b.mailbox("bob@example.org", uid=20002)
        yield b
        assert b.quotad is None or b.quotad.poll() is None, b.log.read_text()


def put(mail, name, size):
    path = mail / "cur" / name
    path.write_bytes(b"x" * size)
    return path


def access(brim, recipient, sender="<>", login=None, size=0, stage=None):
    """What ACCESS answers."""
    fields = [f"stage={stage}"] if stage else []
    fields += [f"login={login}"] if login else []
    return brim.ask(" ".join(["ACCESS", recipient, str(size), sender, *fields]))[0]


def wait_until(what, has_come):
    limit = time.monotonic() + PATIENCE
    while not has_come():
        assert time.monotonic() < limit, what
        time.sleep(0.05)


# --- over the quota of sending --------------------------------------------------------


def test_whoever_is_too_full_sends_again_once_mail_is_deleted(brim):
    large = put(brim.alice, "1.a.host", 9000)
    put(brim.alice, "2.b.host", 2000)
    brim.start_quotad()
    for login in "asmith", "ASmith", ALICE, "Alice@Example.ORG":
        for stage in None, "rcpt", "data", "message":
            assert access(brim, "x@elsewhere.test", ALICE, login, stage=stage) == FULL
    assert access(brim, "bob@example.org", ALICE, "asmith") == FULL
    large.unlink()
    assert access(brim, "x@elsewhere.test", ALICE, "asmith") == "OK"
    assert brim.ask("STATS")[-1].startswith("OK")
    assert brim.deliver(ALICE).status == 0  # room to receive is another matter


def test_mail_to_postmaster_and_to_oneself_passes(brim):
    brim.load("me@example.org alias=alice@example.org", "@example.net alias=@example.org",
              "all@example.org alias=alice@example.org,bob@example.org")
    put(brim.alice, "1.a.host", 20000)
    brim.start_quotad()
    for recipient in ("postmaster", "Postmaster@example.org", "postmaster@host.test", ALICE,
                      "alice+x@example.net", "me@example.org"):
        assert not access(brim, recipient, ALICE, "asmith").startswith("NO full"), recipient
    for recipient in "all@example.org", "bob@example.org", "postmaster@elsewhere.test":
        assert access(brim, recipient, ALICE, "asmith") == FULL, recipient


def test_one_more_recipient_is_no_way_round_the_limit(brim):
    """Postfix permits who has logged in before it asks about a recipient, and names none of
    several behind the message."""
    path = brim.folder / "run/policy"
    brim.configure(policy_listen=path)
    large = put(brim.alice, "1.a.host", 20000)
    brim.start_quotad()

    def answer(login):
        request = ("request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\ninstance=i\n"
                   f"recipient=\nrecipient_count=2\nsize=100\nsasl_username={login}\n\n")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            s.connect(str(path))
            s.sendall(request.encode())
            return s.makefile().readline().strip()

    assert answer("asmith") == f"action={FULL.split(' ', 2)[2]}"
    assert [answer(login) for login in ("bob@example.org", "nobody", "")] == 3 * ["action=DUNNO"]
    large.unlink()
    assert answer("asmith") == "action=DUNNO"


def test_others_are_not_asked_for_their_mailboxes(brim):
    put(brim.alice, "1.a.host", 20000)
    put(brim.bob, "1.b.host", 20000)
    brim.start_quotad()
    for login in (None, "stranger", "bob", "bob@example.org", "%25", "%0A", "@example.org",
                  "x" * 400):
        assert access(brim, "x@elsewhere.test", ALICE, login) == "OK", login


def test_a_name_that_lies_keeps_nobody_from_sending(brim):
    put(brim.alice, "1.a.host,S=9999999", 10)
    brim.start_quotad()
    assert access(brim, "x@elsewhere.test", ALICE, "asmith") == "OK"


def test_the_limit_is_the_records_the_domains_or_the_settings(brim):
    brim.configure(send_quota="1K")
    put(brim.bob, "1.b.host", 2000)
    brim.start_quotad()
    assert access(brim, "x@elsewhere.test", "<>", "bob@example.org") == FULL
    brim.admin("set", "@example.org", "send_quota=1M")
    assert access(brim, "x@elsewhere.test", "<>", "bob@example.org") == "OK"
    brim.admin("set", "bob@example.org", "send_quota=1K", "login=asmith.2")
    assert access(brim, "x@elsewhere.test", "<>", "asmith.2") == FULL
    brim.admin("set", "bob@example.org", "send_quota=0")
    assert access(brim, "x@elsewhere.test", "<>", "asmith.2") == "OK"


def test_a_mailbox_that_can_not_be_counted_is_an_error_of_ours(brim):
    put(brim.alice, "1.a.host", 20000)
    brim.start_quotad()
    assert access(brim, "x@elsewhere.test", "<>", "asmith") == FULL
    brim.alice.rename(brim.alice.with_name("away"))
    assert access(brim, "x@elsewhere.test", "<>", "asmith").startswith("ERR 4.3.0 ")


# --- logins in the table --------------------------------------------------------------


def test_a_login_is_one_mailboxs(brim):
    for login in "asmith", "ASMITH", ALICE:
        done = brim.admin("set", "bob@example.org", f"login={login}", check=False)
        assert done.returncode == 64, done
        assert f"the login of {ALICE}" in done.stderr
    done = brim.admin("add", "asmith", "uid=20003", "gid=20003", "mail=/m/x/", check=False)
    assert done.returncode == 64 and f"{ALICE} has this as its login" in done.stderr
    brim.admin("apply", input='{"set": "bob@example.org", "login": "Bob.B"}\n'
                              f'{{"set": "{ALICE}", "login": null}}\n')
    dump = brim.admin("dump").stdout
    assert " login=bob.b" in dump and "asmith" not in dump
    brim.load(*dump.splitlines(), replace=True)
    assert brim.admin("dump").stdout == dump
    swapped = dump.replace(" login=bob.b", "").replace("send_quota=10000", "login=bob.b")
    brim.load(*swapped.splitlines())
    assert brim.admin("dump").stdout == swapped


# --- blocked senders ------------------------------------------------------------------


@pytest.fixture
def blocked(brim):
    path = brim.folder / "blocked"
    brim.configure(blocked_senders=path)

    def write(text, mode=0o644):
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(mode)
        new.rename(path)

    write("spam@bad.test  # since May\n@worse.test\n.worst.test\n")
    return write


def test_mail_of_a_blocked_sender_is_refused_to_everybody_of_ours(brim, blocked):
    brim.start_quotad()
    for sender in ("spam@bad.test", "SPAM@Bad.Test", "x@worse.test", "x@worst.test",
                   "x@a.b.worst.test"):
        for recipient in "bob@example.org", "nobody@example.org", "root":
            for stage in "rcpt", "data", "message":
                assert access(brim, recipient, sender, stage=stage) == BLOCKED, sender
    for sender in "<>", "good@bad.test", "x@sub.worse.test", "x@notworst.test":
        assert access(brim, "bob@example.org", sender) == "OK", sender
    assert access(brim, "x@elsewhere.test", "spam@bad.test") == "OK"
    assert brim.deliver("bob@example.org", sender="spam@bad.test", uid=20002).status == 0


def test_a_list_that_changes_is_read_again_and_a_bad_one_changes_nothing(brim, blocked):
    brim.start_quotad()
    assert access(brim, "bob@example.org", "x@worse.test") == BLOCKED
    blocked("@new.test\n<>\n")
    wait_until("it is said once", lambda: access(brim, "bob@example.org", "x@worse.test")
               == BLOCKED and "the list that was read before stays" in brim.log.read_text())
    assert f"error: blocked_senders: {brim.folder}/blocked line 2: " in brim.log.read_text()
    blocked("@new.test\n")
    wait_until("the new list", lambda: access(brim, "bob@example.org", "x@new.test") == BLOCKED)
    assert access(brim, "bob@example.org", "x@worse.test") == "OK"
    assert brim.log.read_text().count("stays") == 1
    brim.configure(blocked_senders=None)
    brim.quotad.send_signal(signal.SIGHUP)
    wait_until("no list", lambda: access(brim, "bob@example.org", "x@new.test") == "OK")


@pytest.mark.parametrize("break_it", [
    lambda path: path.unlink(),
    lambda path: path.write_text("*@bad.test\n"),
    lambda path: path.chmod(0o666),
    lambda path: path.chmod(0o600),  # root's, and not for daemon_user
    lambda path: os.chown(path, 20001, 20001),
], ids=["missing", "line", "for all", "for root", "a user's"])
def test_quotad_starts_with_a_bad_list_and_blocks_nobody(brim, blocked, break_it):
    break_it(brim.folder / "blocked")
    brim.start_quotad()
    assert access(brim, "bob@example.org", "spam@bad.test") == "OK"
    assert "; nobody is blocked" in brim.log.read_text()


# --- with Postfix ---------------------------------------------------------------------


class Submission(MailServer):
    """Postfix asks the policy, and believes XCLIENT who has logged in."""

    def _ways(self):
        settings, services = super()._ways()
        policy = self.brim.folder / "run/policy"
        self.brim.configure(policy_listen=policy)
        return settings + f"""\
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = check_policy_service unix:{policy}
""", services


@contextlib.contextmanager
def client(server, login=None):
    """An SMTP connection of somebody who has logged in."""
    with smtplib.SMTP("127.0.0.1", server.postfix.port, "client.test", timeout=PATIENCE) as s:
        s.ehlo()
        if login:
            assert s.docmd(f"XCLIENT LOGIN={login}")[0] == 220
            s.ehlo()
        yield s


def rcpt(s, recipient, sender="me@sender.test"):
    """The whole reply to RCPT."""
    s.docmd("RSET")
    assert s.docmd(f"MAIL FROM:<{sender}>")[0] == 250
    code, text = s.docmd(f"RCPT TO:<{recipient}>")
    return f"{code} {text.decode()}"


def test_postfix_says_it_while_the_client_is_connected():
    with Submission() as server:
        alice = server.account("alice", login="asmith", send_quota=10000)
        bob = server.mailbox("bob")
        blocked = server.brim.folder / "blocked"
        blocked.write_text("@bad.test\n")
        server.brim.configure(blocked_senders=blocked)
        server.brim.quotad.send_signal(signal.SIGHUP)
        mail = put(alice.maildir, "1.a.host", 20000)
        with client(server, "ASmith") as s:
            for recipient in bob.address, "x@elsewhere.test":
                assert rcpt(s, recipient).startswith(
                    "552 5.2.2 ") and FULL.split("5.2.2 ")[1] in rcpt(s, recipient)
            assert rcpt(s, alice.address).startswith("250 ")
            assert rcpt(s, "postmaster@host.test").startswith("250 ")
            mail.unlink()
            assert rcpt(s, bob.address).startswith("250 ")
        with client(server) as s:
            put(alice.maildir, "1.a.host", 20000)
            assert rcpt(s, bob.address).startswith("250 ")
            wait_until("the list", lambda: rcpt(s, bob.address, "x@bad.test").startswith(
                "554 5.7.1 ") and BLOCKED.split("5.7.1 ")[1] in rcpt(s, bob.address, "x@bad.test"))
            assert rcpt(s, bob.address, "").startswith("250 ")
