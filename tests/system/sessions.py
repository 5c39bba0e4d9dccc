"""Many SMTP sessions at once with a private Postfix that asks Brim.

    with AskedServer() as server:
        alice = server.mailbox("alice", quota=1 << 20)
        replies = asyncio.run(crowd(server.door, alice, range(100)))

Every session has an smtpd of its own and Brim is asked by all of them. Nothing here depends
on how fast any of them is.
"""

import asyncio
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import brim as private_brim
from mta import free_port
from postfix import ETC, VIRTUAL_DOMAIN, MailServer

OWNERS_DOMAIN = "owners.test"  # virtual mailboxes of many users, by lda-virtual
SENDER = "me@sender.test"
HELD, REFUSED, FILTERED = (f"{name}@sender.test" for name in ("held", "refused", "filtered"))
CAPABILITIES = "cap_setuid,cap_setgid=ep"
PATIENCE = 120  # seconds, of a client for a reply


def letter(number, size=60000, grow=0):
    """A message of exactly SIZE bytes, as SMTP counts them: with CRLF."""
    head = f"From: {SENDER}\r\nX-Grow: {grow}\r\nSubject: letter {number}\r\n\r\n".encode()
    lines, rest = divmod(size - len(head), 64)
    return head + (b"x" * 62 + b"\r\n") * (lines - 1) + b"x" * (62 + rest) + b"\r\n"


class Session:
    """One session of a client."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, door):
        self = cls(*await asyncio.open_connection(*door))
        await self.expect("220")
        await self.say("EHLO client.test", "250")
        return self

    async def reply(self):
        """The reply as one line: "250 2.0.0 Ok"."""
        async with asyncio.timeout(PATIENCE):
            while (line := await self.reader.readline())[3:4] == b"-":
                pass
        return line.decode().strip()

    async def expect(self, code):
        reply = await self.reply()
        assert reply.startswith(code), reply
        return reply

    async def say(self, command, expected=""):
        self.writer.write(command.encode() + b"\r\n")
        return await self.expect(expected)

    async def address(self, sender, recipients, size=None):
        """The envelope; the replies to RCPT."""
        await self.say(f"MAIL FROM:<{sender}>" + (f" SIZE={size}" if size else ""), "250")
        return [await self.say(f"RCPT TO:<{recipient}>") for recipient in recipients]

    async def data(self, message):
        """Sends the message; the reply to it."""
        await self.say("DATA", "354")
        self.writer.write(message + b".\r\n")
        return await self.reply()

    def go_away(self):
        """Without a word."""
        self.writer.close()


async def send(door, sender, recipients, message, together=None):
    """A whole session: its last reply. TOGETHER is waited for before the message is sent, by
    sessions that all have been told at RCPT that there is room."""
    session = await Session.open(door)
    try:
        for reply in await session.address(sender, recipients):
            if not reply.startswith("250"):
                assert together is None, reply
                return reply
        if together:
            async with asyncio.timeout(PATIENCE):
                await together.wait()
        return await session.data(message)
    finally:
        session.go_away()


async def crowd(door, mailbox, numbers, sender=SENDER, replied=None):
    """A session for each letter, all at the same time; their last replies, by number. The event
    REPLIED is set with the first."""
    together = asyncio.Barrier(len(numbers))

    async def one(number):
        reply = await send(door, sender, [mailbox.address], letter(number), together)
        if replied:
            replied.set()
        return reply
    return dict(zip(numbers, await asyncio.gather(*map(one, numbers))))


def taken(replies):
    """The numbers of those that were accepted."""
    return [number for number, reply in replies.items() if reply.startswith("250 ")]


class AskedServer(MailServer):
    """A MailServer with all three transports and a door where Postfix asks Brim. What it does
    with mail that Brim has said yes to is the sender's to choose: hold it, refuse it all the
    same, or have it come back through a content filter."""

    SETTINGS = f"""\
relay_domains = {OWNERS_DOMAIN}
relay_transport = brim-virtual
brim-virtual_destination_recipient_limit = 1
virtual_alias_maps = inline:{{ {{ both@{VIRTUAL_DOMAIN} = one@{VIRTUAL_DOMAIN},two@{VIRTUAL_DOMAIN} }} }}
smtpd_timeout = 300s
smtpd_client_connection_count_limit = 0
ask_brim = check_policy_service {{ unix:private/brim-policy,
  {{ default_action = 451 4.3.0 nobody answers }}, timeout=100s, try_limit=2 }}
at_recipient = check_sender_access inline:{{
  {{ {HELD} = HOLD }}, {{ {FILTERED} = FILTER scan:[127.0.0.1]:%(filter)d }} }}
at_end = check_sender_access inline:{{ {REFUSED}=REJECT }}
"""
    SERVICES = """
127.0.0.1:%(asks)d inet n - n - 0 smtpd
  -o message_size_limit=0
  -o smtpd_recipient_restrictions=$at_recipient,reject_unauth_destination,$ask_brim
  -o smtpd_end_of_data_restrictions=$ask_brim,$at_end
127.0.0.1:%(back)d inet n - n - 0 smtpd
  -o smtpd_recipient_restrictions=permit_mynetworks,reject
scan unix - - n - 20 smtp
  -o smtp_send_xforward_command=no
"""

    def __init__(self, **settings):
        super().__init__(**{"quotad_timeout": "10s", "deadline": "15s", **settings})

    def _ways(self):
        settings, services = super()._ways()
        ports = {name: free_port() for name in ("asks", "filter", "back")}
        self.door, self.ports = ("127.0.0.1", ports["asks"]), ports
        here = {"/usr/local/lib/brim/lda-virtual": str(self._lend_lda_virtual())}
        virtual = self._adapt(ETC / "postfix-virtual.cf", here).split("/etc/postfix/main.cf\n")[0]
        return settings + self.SETTINGS % ports, services + virtual + self.SERVICES % ports

    def __enter__(self):
        super().__enter__()
        policy = self.postfix.spool / "private/brim-policy"
        self.restart(policy_listen=policy)
        content_filter = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable,
             pathlib.Path(__file__).with_name("content_filter.py"),
             str(self.ports["filter"]), str(self.ports["back"])])
        self.stack.callback(content_filter.wait)
        self.stack.callback(content_filter.kill)
        return self

    def restart(self, **settings):
        self.brim.stop_quotad()
        self.brim.configure(**settings)
        self.brim.start_quotad()

    def _lend_lda_virtual(self):
        """As it is installed."""
        group = self.host.add_user("brimlda")
        path = self.host.folder / "lda-virtual"
        shutil.copy(private_brim.BIN / "lda-virtual", path)
        os.chown(path, 0, group)
        path.chmod(0o750)
        subprocess.run(["setcap", CAPABILITIES, path], check=True)
        return path

    def owned_mailbox(self, name, **fields):
        """A virtual mailbox of a user of its own."""
        uid = self.host.add_user(f"owner-{name}")
        address = f"{name}@{OWNERS_DOMAIN}"
        return self._add(address, address, uid, self.brim.home / OWNERS_DOMAIN / name / "Maildir", fields)

    def mailbox_of(self, transport, name, **fields):
        make = {"mailbox_command": self.account, "pipe": self.mailbox,
                "lda-virtual": self.owned_mailbox}[transport]
        return make(name, **fields)

    # what became of it

    def subjects(self, mailbox):
        """The numbers of the letters in it, in order."""
        return sorted(int(re.search(rb"^Subject: letter (\d+)$", message, re.M)[1])
                      for message in self.brim.messages(mailbox.maildir))

    def settle(self):
        """Waits until the queue is empty; what waits for an error of ours is tried again."""
        limit = time.monotonic() + PATIENCE
        while self.postfix.queue():
            assert time.monotonic() < limit, "\n".join(self.host.log_lines()[-40:])
            self.postfix.flush()
            time.sleep(0.2)

    def refusals(self, mailbox):
        """Lines of the log in which a delivery to it was refused, for room or for good."""
        return [line for line in self.host.log_lines() if f" to=<{mailbox.address}>" in line
                and ("status=bounced" in line or "dsn=4.2.2" in line)]

    def promises(self):
        """How many are kept now."""
        return int(next(line.split("=")[1] for line in self.brim.ask("STATS")
                        if line.startswith("* promises=")))
