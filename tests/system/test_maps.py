"""The maps, asked by the real Postfix: what postmap prints, and what a client is told."""

import os
import smtplib
import socket
import subprocess

import pytest

from brim import BIN, PATIENCE
from postfix import HOST_DOMAIN, VIRTUAL_DOMAIN, MailServer

LETTER = b"From: me@sender.test\nSubject: test\n\nhello\n"
ALICE, BOB = (f"{name}@{VIRTUAL_DOMAIN}" for name in ("alice", "bob"))


class MapServer(MailServer):
    """Postfix has no table of its own but for the domain of the bounces."""

    def _ways(self):
        settings, services = super()._ways()
        uses = {"virtual_mailbox_domains": "domain", "virtual_mailbox_maps": "mailbox",
                "virtual_alias_maps": "alias", "relocated_maps": "relocated",
                "local_recipient_maps": "mailbox"}
        lines = [f"{setting} = socketmap:unix:private/brim-map:{name}\n"
                 for setting, name in uses.items()]
        return settings + "".join(lines), services

    def __enter__(self):
        super().__enter__()
        self.map = self.postfix.spool / "private/brim-map"
        self.brim.stop_quotad()
        self.brim.configure(map_listen=self.map)
        self.brim.start_quotad()
        self.alice, self.bob = self.mailbox("alice"), self.mailbox("bob")
        self.carol = self.account("carol")
        self.mailbox("gone", state="moved", moved_to="gone@new.test")
        targets = ",".join([ALICE, BOB] + [f"alice+{i}@{VIRTUAL_DOMAIN}"
                                           for i in range(100)])
        self.brim.load(f"all@{VIRTUAL_DOMAIN} alias={ALICE},{BOB}",
                       f"many@{VIRTUAL_DOMAIN} alias={targets}",
                       f"host@{VIRTUAL_DOMAIN} alias=carol",
                       f"@alias.test alias=@{VIRTUAL_DOMAIN}",
                       f"@caught.test catchall={BOB}")
        return self

    def look_up(self, name, key):
        """What postmap prints, None where nothing is found, "error" where it can't tell."""
        done = subprocess.run(["postmap", "-q", key, f"socketmap:unix:{self.map}:{name}"],
                              capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode == 0:
            return done.stdout.rstrip("\n")
        return "error" if "error" in done.stderr else None

    def rcpt(self, recipient):
        with smtplib.SMTP("127.0.0.1", self.postfix.port, "client.test", timeout=60) as s:
            s.ehlo()
            assert s.docmd("MAIL FROM:<me@sender.test>")[0] == 250
            code, text = s.docmd(f"RCPT TO:<{recipient}>")
            return f"{code} {text.decode()}"


@pytest.fixture(scope="module")
def server():
    with MapServer() as s:
        yield s


def test_postmap_gets_what_the_table_has(server):
    asked = {("mailbox", f"Alice+x@{VIRTUAL_DOMAIN}"): ALICE,
             ("mailbox", "alice@alias.test"): ALICE,
             ("mailbox", f"nobody@{VIRTUAL_DOMAIN}"): None,
             ("mailbox", f"carol@{HOST_DOMAIN}"): "carol",
             ("mailbox", "x@elsewhere.test"): "error",
             ("alias", f"all+x@{VIRTUAL_DOMAIN}"):
                 f"alice+x@{VIRTUAL_DOMAIN},bob+x@{VIRTUAL_DOMAIN}",
             ("alias", ALICE): None,
             ("alias", "anybody@caught.test"): BOB,
             ("alias", "x@elsewhere.test"): None,
             ("domain", "Alias.Test"): "alias.test",
             ("domain", "elsewhere.test"): None,
             ("relocated", f"gone+x@{VIRTUAL_DOMAIN}"): "gone@new.test",
             ("transport", ALICE): "brim:",
             ("transport", "x@elsewhere.test"): None,
             ("nomap", ALICE): "error"}
    assert {(name, key): server.look_up(name, key) for name, key in asked} == asked


@pytest.mark.parametrize("recipient, reply", [
    (ALICE, "250 2.1.5"),
    ("alice+x@alias.test", "250 2.1.5"),
    ("anybody@caught.test", "250 2.1.5"),
    (f"carol@{HOST_DOMAIN}", "250 2.1.5"),
    (f"nobody@{VIRTUAL_DOMAIN}", "550 5.1.1"),
    (f"nobody@{HOST_DOMAIN}", "550 5.1.1"),
    (f"gone@{VIRTUAL_DOMAIN}", "550 5.1.6"),
])
def test_a_client_is_told_who_is_there(server, recipient, reply):
    told = server.rcpt(recipient)
    assert told.startswith(reply), told


def test_an_alias_reaches_each_target_with_its_extension(server):
    message = server.postfix.send("me@sender.test", f"all+x@{VIRTUAL_DOMAIN}", LETTER)
    for mailbox in (server.alice, server.bob):
        name = mailbox.address.replace("@", "+x@")
        server.postfix.wait(lambda n=name: message._fates(n), f"mail to {name}")
        assert message._fates(name)[0].status == "sent"


def test_mail_to_a_hundred_targets_is_expanded(server):
    message = server.postfix.send("me@sender.test", f"many@{VIRTUAL_DOMAIN}", LETTER)
    last = f"alice+99@{VIRTUAL_DOMAIN}"
    server.postfix.wait(lambda: message._fates(last), f"mail to {last}")
    assert message._fates(last)[0].status == "sent"


def test_an_alias_of_an_account_is_the_accounts_whatever_myorigin_is(server):
    """Here it is the host's name, which mydestination lacks."""
    message = server.postfix.send("me@sender.test", f"host+x@{VIRTUAL_DOMAIN}", LETTER)
    name = f"carol+x@{HOST_DOMAIN}"
    server.postfix.wait(lambda: message._fates(name), f"mail to {name}")
    assert message._fates(name)[0].status == "sent"


@pytest.mark.parametrize("recipient", [ALICE, f"nobody@{VIRTUAL_DOMAIN}", f"nobody@{HOST_DOMAIN}"])
def test_without_quotad_or_a_table_it_is_try_again(server, recipient):
    table = server.brim.users_db
    away = table.with_name("away")
    server.brim.stop_quotad()
    told = [server.rcpt(recipient)]
    os.rename(table, away)
    try:
        server.brim.start_quotad()
        told.append(server.rcpt(recipient))
    finally:
        os.rename(away, table)
        server.brim.stop_quotad()
        server.brim.start_quotad()
    assert [reply[:5] for reply in told] == ["451 4", "451 4"]


class damaged_table:
    """A table that can't be taken lies in the place of the one in use."""

    def __init__(self, brim):
        self.table = brim.users_db
        self.away = self.table.with_name("away")

    def __enter__(self):
        os.rename(self.table, self.away)
        new = self.table.with_name("new")
        new.write_bytes(b"x" * 8192)
        new.chmod(0o644)
        os.rename(new, self.table)

    def __exit__(self, *_):
        os.rename(self.away, self.table)


def test_nothing_is_refused_by_a_table_that_is_not_the_newest(server):
    """The newer one may have the domain, and back the user who had moved."""
    with damaged_table(server.brim):
        asked = {("mailbox", f"nobody@{VIRTUAL_DOMAIN}"): "error",
                 ("mailbox", ALICE): ALICE,
                 ("domain", "new.test"): "error",
                 ("domain", VIRTUAL_DOMAIN): VIRTUAL_DOMAIN,
                 ("alias", "x@new.test"): "error",
                 ("transport", "x@new.test"): "error",
                 ("relocated", f"gone@{VIRTUAL_DOMAIN}"): "error",
                 ("relocated", ALICE): None}
        assert {(name, key): server.look_up(name, key) for name, key in asked} == asked
        for recipient in "x@new.test", f"gone@{VIRTUAL_DOMAIN}", f"nobody@{VIRTUAL_DOMAIN}":
            assert server.rcpt(recipient)[:5] == "451 4"


def test_while_the_table_is_changed_queries_wait_for_it(server):
    """So that a change costs nobody a "try again"."""
    brim = server.brim
    queries = b"".join(b"%d:%b," % (len(q), q) for q in (b"alias x@elsewhere.test",
                                                        b"domain elsewhere.test")) * 50
    expected = b"9:NOTFOUND ," * 100
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.map))
        client.settimeout(PATIENCE)
        for i in range(5):
            change = subprocess.Popen([BIN / "brimadm", "-c", brim.conf, "set", ALICE,
                                       f"quota={i + 1}G"])
            told = b""
            while change.poll() is None or len(told) % len(expected):
                if len(told) % len(expected) == 0:
                    client.sendall(queries)
                told += client.recv(len(expected) - len(told) % len(expected))
            assert change.returncode == 0
            assert told == expected * (len(told) // len(expected))
