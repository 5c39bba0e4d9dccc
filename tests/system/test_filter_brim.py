"""filter-brim at a pipe in the place of smtpd, and behind a real one: what becomes of lines that
it does not understand, and of the requests after them."""

import contextlib
import os
import pathlib
import resource
import subprocess
import time

import pytest

import test_smtp_time
from brim import BIN, PATIENCE, Brim
from mta import Mta
from opensmtpd import OpenSMTPD
from test_lda import FakeQuotad

EVENT = "0.6|1700000000.000001|smtp-in"
NOBODY, SPAMMER = "nobody@example.org", "spammer@sender.test"
REFUSED = "reject|550 5.1.1 User unknown, no such mailbox here"
BLOCKED = "reject|554 5.7.1 "
DEFERRED = "reject|451 4.3.0 error on the mail server"
NOT_UNDERSTOOD = "what smtpd says is not understood: "


class Filter:
    """One filter-brim that has registered: `say` gives it lines."""

    def __init__(self, brim, *options):
        self.errors = brim.folder / "errors"
        with open(self.errors, "wb") as errors:
            self.process = subprocess.Popen(
                [BIN / "filter-brim", "-c", brim.conf, *options], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, env={
                    **os.environ,  # ASan would keep what was freed
                    "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=1"})
        self.say(b"config|smtpd-version|6.8.0p2", b"config|ready")
        while self.answer() != "register|ready":
            pass

    def say(self, *lines):
        self.process.stdin.write(b"".join(line + b"\n" for line in lines))
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline().decode()
        assert line.endswith("\n"), "it has ended"
        return line[:-1]

    def ask(self, name, parameter, session="a1", token="b2"):
        """What it answers to one more request."""
        self.say(f"filter|{EVENT}|{name}|{session}|{token}|{parameter}".encode())
        head, result = self.answer().split(f"|{session}|{token}|", 1)
        assert head == "filter-result"
        return result

    def is_as_before(self):
        return self.ask("rcpt-to", NOBODY, "77", "88") == REFUSED and \
            self.ask("rcpt-to", "alice@example.org", "77", "88") == "proceed"

    def logged(self):
        """The lines in smtpd's log."""
        return self.errors.read_text().splitlines()

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()
        return rest


@contextlib.contextmanager
def run_filter(brim, *options):
    started = Filter(brim, *options)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
            started.process.wait()


@pytest.fixture(scope="module")
def brim():
    with Brim() as b:
        blocked = b.folder / "blocked"
        blocked.write_text(f"{SPAMMER}\n")
        b.configure(blocked_senders=blocked)
        b.mailbox("alice@example.org")
        b.start_quotad()
        yield b


SKIPPED = [b"", b"|", b"||||||||", b"filter", b"nothing", f"filter|{EVENT}".encode(),
           f"filter|{EVENT}|rcpt-to".encode(), f"filter|{EVENT}|rcpt-to|a1".encode(),
           f"filter|{EVENT}|rcpt-to||b2|{NOBODY}".encode(),
           f"filter|{EVENT}|rcpt-to|a1||{NOBODY}".encode(),
           f"filter|{EVENT}|rcpt-to|no number|b2|{NOBODY}".encode(),
           f"filter|{EVENT}|rcpt-to|a1|{'b' * 17}|{NOBODY}".encode(),
           f"filter|{EVENT}|rcpt-to|a\0|b2|{NOBODY}".encode(),
           b"filter|0.6|1|smtp-out|rcpt-to|a1|b2|x", f"later|{EVENT}|rcpt-to|a1|b2|x".encode(),
           f"report|{EVENT}|link-tea|a1".encode(), f"report|{EVENT}|link-auth|a1".encode(),
           f"report|{EVENT}|link-auth|a1|pass".encode(), b"\xff\x1b[2J" * 40, b"x" * 1000000]


@pytest.mark.parametrize("line", SKIPPED, ids=range(len(SKIPPED)))
def test_what_cannot_be_answered_is_logged_once_and_skipped(brim, line):
    with run_filter(brim) as f:
        f.say(line)
        assert f.is_as_before() and f.end() == b""
        (logged,) = f.logged()
        assert logged.startswith(NOT_UNDERSTOOD) and logged.isprintable() and len(logged) < 400


ANSWERED = [("rcpt-to|a1|b2", b""), ("rcpt-to|a1|b2|", b"alice\0@example.org"),
            ("rcpt-to|a1|b2|", b"x" * 1000000), ("tea-time|a1|b2|", b"x"), ("mail-from|a1|b2", b"")]


@pytest.mark.parametrize("options, result", [((), "proceed"), (("-d",), DEFERRED)])
@pytest.mark.parametrize("start, rest", ANSWERED, ids=range(len(ANSWERED)))
def test_what_can_be_answered_is_as_without_quotad(brim, options, result, start, rest):
    with run_filter(brim, *options) as f:
        f.say(f"filter|{EVENT}|{start}".encode() + rest)
        assert f.answer() == f"filter-result|a1|b2|{result}"
        assert f.is_as_before() and f.end() == b""
        (logged,) = f.logged()
        assert logged.startswith(NOT_UNDERSTOOD)


def test_a_sender_that_is_not_understood_is_not_the_one_before(brim):
    with run_filter(brim) as f:
        assert f.ask("mail-from", SPAMMER) == "proceed"
        assert f.ask("rcpt-to", "alice@example.org").startswith(BLOCKED)
        f.say(f"filter|{EVENT}|mail-from|a1|b2".encode())
        f.answer()
        assert f.ask("rcpt-to", "alice@example.org") == "proceed"


@pytest.mark.parametrize("route", ["@a.test:", "@a.test,@b.test:", "@[192.0.2.1]:", "@[IPv6:::1],@b.test:"])
def test_a_source_route_is_no_part_of_an_address(brim, route):
    """RFC 5321 4.1.1.3; smtpd itself takes it away only behind the filter."""
    with run_filter(brim) as f:
        assert f.ask("rcpt-to", f"{route}alice@example.org") == "proceed"
        assert f.ask("rcpt-to", route + NOBODY) == REFUSED
        assert f.ask("mail-from", route + SPAMMER) == "proceed"
        assert f.ask("rcpt-to", "alice@example.org").startswith(BLOCKED)


@pytest.mark.parametrize("address", ["@", "@a.test", "@a.test,", "@[a.test:x", ",@a.test:x", "@,", "@:"])
def test_what_is_no_source_route_is_asked_about_as_it_is(brim, address):
    with run_filter(brim) as f:
        assert f.ask("rcpt-to", address)
        assert f.is_as_before()


def test_an_error_about_one_recipient_lets_no_other_pass():
    """However long quotad took for it: the next is asked about, not let in."""
    def script(words):
        if words[1] == "odd@example.org":
            time.sleep(2)
            return b"ERR 4.3.0 odd\n"
        return b"NO nouser 550 5.1.1 User unknown, no such mailbox here\n"

    with Brim() as b:
        fake = FakeQuotad(b.socket, script)
        with run_filter(b) as f:
            assert f.ask("rcpt-to", "odd@example.org") == "proceed"
            assert f.ask("rcpt-to", NOBODY).startswith("reject|550 5.1.1 ")
            assert f.logged()[0] == "quotad does not tell: ERR 4.3.0 odd"
        fake.close()


def test_no_answer_is_given_twice_at_the_end(brim):
    for i in range(100):
        with run_filter(brim) as f:
            f.say(f"filter|{EVENT}|rcpt-to|77|{i:x}|{NOBODY}".encode())
            assert f.answer().endswith(REFUSED) and f.end() == b""


def test_a_login_that_failed_is_understood(brim):
    with run_filter(brim) as f:
        for rest in ("bob|fail", "fail|bob", "bob|pass", "pass|bob", "bob|error"):
            f.say(f"report|{EVENT}|link-auth|a1|{rest}".encode())
        assert f.is_as_before() and f.logged() == []


def test_sessions_whose_end_was_not_told_are_forgotten(brim):
    """Those that wrote longest ago; one that is still there is known."""
    sender = "x" * 4000
    with run_filter(brim) as f:
        bytes_before = resident(f)
        assert f.ask("mail-from", SPAMMER, "f0") == "proceed"
        for i in range(30000):
            f.say(f"filter|{EVENT}|mail-from|{i + 0x1000:x}|1|{sender}".encode())
            assert f.answer().endswith("|proceed")
            if i % 5000 == 0:
                assert f.ask("mail-from", SPAMMER, "f0") == "proceed"
        assert f.ask("rcpt-to", "alice@example.org", "f0").startswith(BLOCKED)
        assert resident(f) - bytes_before < 60 << 20


def resident(f):
    pages = pathlib.Path(f"/proc/{f.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


# --- behind a real smtpd ------------------------------------------------------------------

# Behind smtpd's own first lines. Answers to the first two would end smtpd, a missing one to
# the third would be no answer at all.
PROXY = """\
#!/bin/sh
sed -u 's/^config|ready$/&\\nfilter|0.6|1|smtp-in|rcpt-to|x|y|z\\nfilter|\\nreport|9|1|smtp-in|x|1/' |
    /usr/local/lib/brim/filter-brim.real
"""


def test_a_real_smtpd_is_served_as_before():
    if not OpenSMTPD.is_there():
        pytest.skip("its package could not be fetched; make deps tries again")
    case = test_smtp_time.CASES[1]
    with contextlib.ExitStack() as stack:
        class Site(test_smtp_time.Site):
            def add_mailboxes(self, mta_class):
                super().add_mailboxes(mta_class)
                program = pathlib.Path("/usr/local/lib/brim/filter-brim")
                os.rename(program, program.with_suffix(".real"))
                Mta.write(program, PROXY)
                program.chmod(0o755)
        site = Site(OpenSMTPD, stack, smtp_time=True)
        for _ in range(2):
            assert site.tell(case) == test_smtp_time.reply(OpenSMTPD, case)
        lines = [line for line in site.host.log_lines() if NOT_UNDERSTOOD in line]
        assert len(lines) == 3, lines
