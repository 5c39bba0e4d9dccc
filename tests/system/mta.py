"""What the private mail servers but Postfix have in common (Postfix is postfix.py's).

    with Host() as host:
        host.install(Exim.root)
        exim = Exim(host)
        exim.start()
        exim.send("me@sender.test", "alice@host.test", b"Subject: hi\n\nhi\n")
    exim.waiting()                    # what its queue says of each recipient that waits
    exim.reports("me@sender.test")    # the bounces and other reports to that sender

Their packages conflict with Postfix's: `make deps` unpacks each into a folder of its own
(tests/unpack), and a Host has it mounted over its own /usr. Each listens on loopback, reads
the lines of etc/ as an administrator pastes them, and logs to the Host's /dev/log.
"""

import contextlib
import email
import email.policy
import os
import pathlib
import pwd
import re
import signal
import smtplib
import socket
import subprocess
import time

import brim as private_brim

HOST_DOMAIN = "host.test"  # accounts, whose aliases are in /etc/aliases
VIRTUAL_DOMAIN = "virtual.test"  # virtual mailboxes, whose aliases are in /etc/mail/virtuals
SENDER_DOMAIN = "sender.test"  # where reports go: all of them are kept
LUSER = "alice"  # the account that takes what is for no account
MAIL_USER = "vmail"
ETC = private_brim.ROOT / "etc"
PATIENCE = 30


def example(name):
    """A file of etc/ for the domain of these tests."""
    return (ETC / name).read_text().replace("example.org", VIRTUAL_DOMAIN)


def sections(name):
    """The parts of a file of etc/ by the first words of the comments that begin them."""
    parts = re.split(r"^(?:#|dnl) --- ([^,:\n]*).*\n", example(name), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


# The mailer of SENDER_DOMAIN: a file for each message, which is whole once it is in new/.
KEEPER = """\
#!/bin/sh
cd {folder} || exit 75
kept=$(mktemp tmp/XXXXXXXX) && cat >$kept && mv $kept new/
"""


def read_messages(folder):
    """Every message in a folder."""
    messages = []
    for path in sorted(pathlib.Path(folder).glob("*")):
        with open(path, "rb") as f:
            messages.append(email.message_from_binary_file(f, policy=email.policy.compat32))
    return messages


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mta:
    """One mail server. Its own are `package`, `write_settings` and `command`, which stays in
    the foreground; `inject`, which takes mail from a program of this host; as whom it asks
    quotad, with SMTP_TIME while the client is still there; `waiting`, and `retry`, which has
    all that waits tried now. MORE are lines for its own settings."""

    def __init__(self, host, smtp_time=False, more=""):
        self.host = host
        self.smtp_time = smtp_time
        self.more = more
        self.letters = host.folder / "letters"
        self.keeper = pathlib.Path("/usr/local/lib/brim/keeper")
        self.process = None
        self.client = None
        self.port = free_port()

    @classmethod
    def root(cls):
        return private_brim.ROOT / "build/mta" / cls.package / "root"

    @classmethod
    def is_there(cls):
        """Whether `make deps` could fetch its package."""
        return (cls.root().parent / "complete").exists()

    def start(self):
        self._make_keeper()
        self.write_settings()
        with open(self.host.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command()], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        self.wait(self._listens, f"{self.package} to start")

    def _make_keeper(self):
        uid = pwd.getpwnam(MAIL_USER).pw_uid
        for folder in (self.letters, self.letters / "tmp", self.letters / "new"):
            self.own(folder, uid)
        self.write(self.keeper, KEEPER.format(folder=self.letters))
        self.keeper.chmod(0o755)

    def _listens(self):
        assert self.process.poll() is None, "\n".join(["it ended:"] + self.host.log_lines())
        with contextlib.suppress(OSError), socket.create_connection(
                ("127.0.0.1", self.port), timeout=5) as s:
            return s.recv(3) == b"220"
        return False

    def close(self):
        if self.client:
            self.client.close()
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
            self.process.kill()
            self.process.wait()
            self.process = None

    def wait(self, condition, what):
        """Waits until the condition is true and returns its value."""
        limit = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < limit, "\n".join(
                [f"waited in vain for {what}"] + self.host.log_lines()[-40:])
            time.sleep(0.01)
        return value

    def send(self, sender, recipients, message, of_mail="", of_rcpt=""):
        """Sends by SMTP, over one connection for all; the message has LF at the ends of its
        lines. OF_MAIL and OF_RCPT are parameters of the commands, such as NOTIFY=NEVER."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        if not self.client:
            self.client = smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=PATIENCE)
            self.client.ehlo()
        for command in (f"MAIL FROM:<{sender}> {of_mail}".rstrip(),
                        *(f"RCPT TO:<{to}> {of_rcpt}".rstrip() for to in recipients)):
            answer = self.client.docmd(command)
            if answer[0] != 250:
                self.client.rset()
                raise AssertionError(f"{command}: {answer}")
        self.client.data(message.replace(b"\n", b"\r\n"))

    def reports(self, to):
        """The messages to this address in SENDER_DOMAIN."""
        return [m for m in read_messages(self.letters / "new") if to in m["To"]]

    @staticmethod
    def run(*command):
        """What a program of the mail server says."""
        return subprocess.run(command, check=True, capture_output=True, text=True,
                              timeout=PATIENCE).stdout

    @staticmethod
    def own(folder, uid):
        """Makes a folder of that user's and group's own."""
        os.makedirs(folder, mode=0o750, exist_ok=True)
        os.chown(folder, uid, uid)

    @staticmethod
    def write(path, text):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
