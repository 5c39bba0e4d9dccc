"""What the private mail servers but Postfix have in common (Postfix is postfix.py's).

    with Host() as host:
        host.install(Exim.root)
        exim = Exim(host)
        exim.start()
        exim.send("me@sender.test", "alice@host.test", b"Subject: hi\n\nhi\n")

Their packages conflict with Postfix's: `make deps` unpacks each into a folder of its own
(tests/unpack), and a Host has it mounted over its own /usr. Each listens on loopback, reads
the lines of etc/ as an administrator pastes them, and logs to the Host's /dev/log.
"""

import contextlib
import os
import pathlib
import re
import signal
import smtplib
import socket
import subprocess
import time

import brim as private_brim

HOST_DOMAIN = "host.test"  # accounts, whose aliases are in /etc/aliases
VIRTUAL_DOMAIN = "virtual.test"  # virtual mailboxes, whose aliases are in /etc/mail/virtuals
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


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Mta:
    """One mail server. Its own are `package`, `write_settings` and `command`, which stays in
    the foreground; `inject`, which takes mail from a program of this host; and as whom it asks
    quotad, with SMTP_TIME while the client is still there."""

    def __init__(self, host, smtp_time=False):
        self.host = host
        self.smtp_time = smtp_time
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
        self.write_settings()
        with open(self.host.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command()], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True)
        self.wait(self._listens, f"{self.package} to start")

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

    def send(self, sender, recipient, message):
        """Sends by SMTP, over one connection for all; the message has LF at the ends of its
        lines."""
        if not self.client:
            self.client = smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=PATIENCE)
            self.client.ehlo()
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>"):
            answer = self.client.docmd(command)
            if answer[0] != 250:
                self.client.rset()
                raise AssertionError(f"{command}: {answer}")
        self.client.data(message.replace(b"\n", b"\r\n"))

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
