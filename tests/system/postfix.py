"""A private Postfix on loopback, and a mail server made of it and Brim.

    with MailServer() as server:
        alice = server.account("alice")              # of the host, by mailbox_command
        bob = server.mailbox("bob", quota=1 << 20)   # virtual, by the pipe transport
        message = server.postfix.send("me@sender.test", alice.address, b"Subject: hi\n\nhi\n")
        assert message.fate().status == "sent"
        bounce = server.postfix.bounce("me@sender.test")

Mail goes in by SMTP; what became of it is read from Postfix's log, and bounces from a
Maildir that Postfix itself delivers them to. It lives in a Host (host.py), whose
/etc/postfix and /etc/brim are its own.
"""

import collections
import contextlib
import email
import email.policy
import grp
import os
import pathlib
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

import brim as private_brim
from host import Host

HOST_DOMAIN = "host.test"  # accounts, by local(8) and mailbox_command
VIRTUAL_DOMAIN = "virtual.test"  # virtual mailboxes, by pipe(8)
SENDER_DOMAIN = "sender.test"  # where bounces go, by virtual(8)
MAIL_USER = "vmail"
DAEMONS = "/usr/lib/postfix/sbin"
ETC = private_brim.ROOT / "etc"
PATIENCE = 30
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
          "private", "saved", "trace")

SERVICES = """\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
local     unix  - n n - - local
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
"""

Fate = collections.namedtuple("Fate", "status code text")
Report = collections.namedtuple("Report", "action status diagnostic")


class Message:
    """One message in the queue; its fates come one a recipient and try."""

    def __init__(self, postfix, queue_id, recipients):
        self.postfix = postfix
        self.queue_id = queue_id
        self.recipients = recipients
        self.seen = collections.Counter()

    def fate(self, recipient=None):
        """The next fate of the message for this recipient; waits for it."""
        recipient = recipient or self.recipients[0]
        nth = self.seen[recipient]
        self.seen[recipient] += 1
        return self.postfix.wait(
            lambda: (self._fates(recipient)[nth:] or [None])[0],
            f"what becomes of {self.queue_id} to {recipient}")

    def retry(self, recipient=None):
        """Has the queue tried until there is a new fate for this recipient; returns it."""
        recipient = recipient or self.recipients[0]
        old = self.seen[recipient] = len(self._fates(recipient))
        limit = time.monotonic() + PATIENCE
        while len(self._fates(recipient)) == old and time.monotonic() < limit:
            self.postfix.flush()
            with contextlib.suppress(AssertionError):
                self.postfix.wait(lambda: len(self._fates(recipient)) > old, "it", patience=1)
        return self.fate(recipient)

    def _fates(self, recipient):
        line = re.compile(
            rf": {self.queue_id}: to=<{re.escape(recipient)}>,.* dsn=([\d.]+), "
            r"status=(\w+) \((.*)\)$")
        found = (line.search(text) for text in self.postfix.host.log_lines())
        return [Fate(m[2], m[1], m[3].strip()) for m in found if m]


def set_back(path):
    """Sets a main.cf's time back: postconf waits while it is younger than a second."""
    then = time.time() - 5
    os.utime(path, (then, then))


def write_settings(path, text):
    """Writes a main.cf, in Latin-1 as administrators may, that postconf reads at once."""
    path.write_bytes(text.encode("latin-1"))
    set_back(path)


class Postfix:
    """Postfix in a Host. SETTINGS are lines of main.cf, SERVICES of master.cf."""

    def __init__(self, host, settings="", services=""):
        self.host = host
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-postfix-"))
        self.folder.chmod(0o755)
        self.bounces = self.folder / "bounces"
        self.spool = self.folder / "spool"
        self.settings = settings
        self.services = services
        self.master = None
        self.port = None

    # its files

    def _write_settings(self):
        uid = self.host.add_user("bounces", home=self.bounces)
        self.bounces.mkdir()
        os.chown(self.bounces, uid, uid)
        etc = pathlib.Path("/etc/postfix")
        shutil.rmtree(etc, ignore_errors=True)
        etc.mkdir(mode=0o755)
        (etc / "master.cf").write_text(
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n{SERVICES}{self.services}")
        write_settings(etc / "main.cf", f"""\
compatibility_level = 3.6
queue_directory = {self.spool}
data_directory = {self.folder}/data
daemon_directory = {DAEMONS}
command_directory = /usr/sbin
myhostname = mx.{HOST_DOMAIN}
mydomain = {HOST_DOMAIN}
mydestination = {HOST_DOMAIN}
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
disable_dns_lookups = yes
smtpd_peername_lookup = no
enable_long_queue_ids = yes
recipient_delimiter = +
message_size_limit = 204800000
default_transport = error:no mail leaves this host
transport_maps = inline:{{{SENDER_DOMAIN}=virtual:}}
virtual_mailbox_base = {self.bounces}
virtual_mailbox_maps = static:all/
virtual_mailbox_limit = 0
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
in_flow_delay = 0
minimal_backoff_time = 1000s
queue_run_delay = 1000s
{self.settings}""")

    def _make_queues(self):
        owner = pwd.getpwnam("postfix").pw_uid
        group = grp.getgrnam("postdrop").gr_gid
        self.spool.mkdir(mode=0o755)
        (self.spool / "pid").mkdir(mode=0o755)
        for name, mode, gid in ([(name, 0o700, -1) for name in QUEUES] +
                                [("maildrop", 0o730, group), ("public", 0o710, group)]):
            (self.spool / name).mkdir()
            os.chown(self.spool / name, owner, gid)
            (self.spool / name).chmod(mode)
        (self.folder / "data").mkdir(mode=0o700)
        os.chown(self.folder / "data", owner, -1)

    # its life

    def start(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self._write_settings()
        self._make_queues()
        self.master = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", f"{DAEMONS}/master", "-d"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self.wait(self._listens, "Postfix to start")

    def _listens(self):
        if self.master.poll() is not None:
            raise AssertionError("\n".join(["Postfix did not start:"] + self.host.log_lines()))
        with contextlib.suppress(OSError), socket.create_connection(
                ("127.0.0.1", self.port), timeout=5) as s:
            return s.recv(3) == b"220"
        return False

    def close(self):
        if self.master:
            self.master.send_signal(signal.SIGTERM)
            try:
                self.master.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.master.kill()
                self.master.wait()
            self.master = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self, condition, what, patience=PATIENCE):
        """Waits until the condition is true and returns its value."""
        limit = time.monotonic() + patience
        while not (value := condition()):
            if time.monotonic() > limit:
                raise AssertionError("\n".join([f"waited in vain for {what}"] +
                                               self.host.log_lines()[-40:]))
            time.sleep(0.01)
        return value

    # mail

    def send(self, sender, recipients, message, of_mail="", of_rcpt=""):
        """Sends by SMTP, as bytes with LF at the ends of lines; returns the Message. OF_MAIL
        and OF_RCPT are parameters of the commands, such as NOTIFY=NEVER."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        with smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=PATIENCE) as s:
            s.ehlo()
            self._expect(250, s.docmd(f"MAIL FROM:<{sender}> {of_mail}".rstrip()))
            for recipient in recipients:
                self._expect(250, s.docmd(f"RCPT TO:<{recipient}> {of_rcpt}".rstrip()))
            reply = self._expect(250, s.data(message.replace(b"\n", b"\r\n")))
            return Message(self, reply.split()[-1].decode(), recipients)

    @staticmethod
    def _expect(code, answer):
        assert answer[0] == code, answer
        return answer[1]

    def flush(self):
        """Has every deferred message tried again now."""
        subprocess.run(["postqueue", "-f"], check=True)

    def queue(self):
        """Queue ids of the messages that are still there."""
        listing = subprocess.run(["postqueue", "-j"], check=True, capture_output=True)
        return re.findall(r'"queue_id": "(\w+)"', listing.stdout.decode())

    def drain(self, messages):
        """Has the queue tried until none of the messages is left in it."""
        waiting = {m.queue_id for m in messages}
        limit = time.monotonic() + PATIENCE
        while not waiting.isdisjoint(self.queue()):
            assert time.monotonic() < limit, "\n".join(self.host.log_lines()[-40:])
            self.flush()
            time.sleep(0.2)

    def drop(self, message):
        """Takes a message out of the queue."""
        subprocess.run(["postsuper", "-d", message.queue_id], check=True,
                       stderr=subprocess.DEVNULL)

    def bounce(self, sender):
        """The reports on each recipient in the one bounce to this sender."""
        bounces = self.wait(lambda: self._bounces(sender), f"a bounce to {sender}")
        assert len(bounces) == 1, bounces
        parts = [p for p in bounces[0].walk()
                 if p.get_content_type() == "message/delivery-status"]
        assert len(parts) == 1, bounces[0]
        blocks = parts[0].get_payload()[1:]
        return {b["Final-Recipient"].split(";")[1].strip():
                Report(b["Action"], b["Status"], " ".join(b["Diagnostic-Code"].split()))
                for b in blocks}

    def bounced(self, sender):
        """Whether there is a bounce to this sender by now."""
        return bool(self._bounces(sender))

    def _bounces(self, sender):
        found = []
        for path in (self.bounces / "all/new").glob("*"):
            with open(path, "rb") as f:
                message = email.message_from_binary_file(f, policy=email.policy.compat32)
            if message["Delivered-To"] == sender:
                found.append(message)
        return found


class Mailbox(collections.namedtuple("Mailbox", "address key uid maildir")):
    """A mailbox of the server: its address for the MTA, its key in the table."""


class MailServer:
    """Host, Brim and Postfix, both ways. SETTINGS are brim's."""

    def __init__(self, **settings):
        self.settings = settings

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.host = stack.enter_context(Host())
            self.lda = self._lend_lda()
            self.mail_uid = self.host.add_user(MAIL_USER)
            self.brim = stack.enter_context(private_brim.Brim(
                **{"local_domains": HOST_DOMAIN, "trusted_users": MAIL_USER,
                   "quotad_timeout": "2s", "deadline": "20s", **self.settings}))
            os.makedirs("/etc/brim", exist_ok=True)  # there where Brim is installed
            pathlib.Path("/etc/brim/brim.conf").unlink(missing_ok=True)
            os.symlink(self.brim.conf, "/etc/brim/brim.conf")
            self.brim.load(f"@{VIRTUAL_DOMAIN}")
            self.postfix = Postfix(self.host, *self._ways())
            stack.callback(self.postfix.close)
            self.postfix.start()
            self.brim.start_quotad()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _lend_lda(self):
        """A path to lda that every user may walk, wherever it was built."""
        path = self.host.folder / "lda"
        shutil.copy(private_brim.BIN / "lda", path)
        path.chmod(0o755)
        return path

    def _ways(self):
        """The lines of both files in etc/ as an administrator pastes them."""
        here = {"/usr/local/lib/brim/lda": str(self.lda), "example.org": VIRTUAL_DOMAIN}
        local, pipe = (self._adapt(ETC / name, here) for name in
                       ("postfix-mailbox_command.cf", "postfix-pipe.cf"))
        services, settings = pipe.split("/etc/postfix/main.cf\n")
        return local + settings, services

    @staticmethod
    def _adapt(path, replacements):
        text = path.read_text()
        for old, new in replacements.items():
            text = text.replace(old, new)
        return text

    def account(self, name, **fields):
        """An account of this host, whose mailbox is a bare name in the table."""
        home = self.brim.home / name
        uid = self.host.add_user(name, home=home)
        return self._add(name, f"{name}@{HOST_DOMAIN}", uid, home / "Maildir", fields)

    def mailbox(self, name, **fields):
        """A virtual mailbox, which the mail user owns."""
        address = f"{name}@{VIRTUAL_DOMAIN}"
        return self._add(address, address, self.mail_uid,
                         self.brim.home / VIRTUAL_DOMAIN / name / "Maildir", fields)

    def _add(self, key, address, uid, maildir, fields):
        maildir = self.brim.mailbox(key, uid=uid, mail=maildir, **fields)
        return Mailbox(address, key, uid, maildir)
