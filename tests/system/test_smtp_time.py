"""What a client is told while it is still connected, by the real Postfix, Exim, OpenSMTPD and
sendmail, set up by the files in etc/; and that a delivery says the same of mail that comes in
past that. The README shows what is seen here: BRIM_WRITE_TABLE=1 writes its table anew."""

import collections
import contextlib
import os
import re
import shutil
import signal
import smtplib
import subprocess
import time

import pytest

import brim as private_brim
from exim import Exim
from mta import ETC, PATIENCE, VIRTUAL_DOMAIN, Mta
from mta_site import MtaSite, RealPostfix
from opensmtpd import OpenSMTPD
from sendmail import Sendmail

README = private_brim.ROOT / "README.md"
MTAS = {"Postfix": RealPostfix, "Exim": Exim, "OpenSMTPD": OpenSMTPD, "sendmail": Sendmail}
SENDER, BLOCKED = "me@sender.test", "spam@blocked.test"
ROOM = 4096
NEW = "bob@elsewhere.test"

# To a mailbox with these fields, what a delivery says, and the reply code that goes with it.
Case = collections.namedtuple("Case", "name to fields output code sender size stage",
                              defaults=(SENDER, 0, "RCPT"))
CASES = [
    Case("nothing against it", "ok", {}, "", 250),
    Case("no such user", "nobody", None, "5.1.1 User unknown, no such mailbox here", 550),
    Case("moved", "bob", {"state": "moved", "moved_to": NEW},
         f"5.1.6 the mailbox has moved, new address: {NEW}", 551),
    Case("disabled", "carl", {"state": "disabled"}, "5.2.1 the mailbox is disabled", 550),
    Case("suspended", "dora", {"state": "suspended"},
         "4.2.1 the mailbox takes no mail at the moment", 450),
    Case("full, for now", "emil", {"quota": ROOM, "over_quota": "defer"},
         "4.2.2 the mailbox is full", 452),
    Case("full", "fred", {"quota": ROOM, "over_quota": "bounce"},
         "5.2.2 the mailbox is full", 552),
    Case("too large, as announced", "gina", {"quota": ROOM},
         "5.2.3 the message is larger than 4K, the whole quota of this mailbox", 552, SENDER, 2 * ROOM),
    Case("too large, not announced", "gina", {"quota": ROOM},
         "5.2.3 the message is larger than 4K, the whole quota of this mailbox", 552, SENDER, 2 * ROOM, "DATA"),
]
BLOCKED_SENDER = Case("blocked sender", "ok", {}, "5.7.1 mail of this sender is not taken here",
                      554, BLOCKED)


# How each mail server writes a reply of which Brim gave code and text, at RCPT and at the end.
FORMS = {
    RealPostfix: {"RCPT": "{code} <{to}>: Recipient address rejected: {text}",
                  "DATA": "{code} <END-OF-MESSAGE>: End-of-data rejected: {text}"},
    Exim: {"RCPT": "{code} {text}", "DATA": "{code} {text}"},
    OpenSMTPD: {"RCPT": "{code} {text}"},
    Sendmail: {"RCPT": "{code} <{to}>... {text}"},
}

# What is left to the delivery: OpenSMTPD's filter knows no size, sendmail's map only who is there.
TOO_LARGE = {case.name for case in CASES if case.size}
LATER = {
    OpenSMTPD: TOO_LARGE,
    Sendmail: TOO_LARGE | {"disabled", "suspended", "full, for now", "full", "blocked sender"},
}


def is_taken(mta_class, case):
    """OpenSMTPD itself takes mail for the users in its table alone."""
    return case.fields is not None or mta_class is not OpenSMTPD


def reply(mta_class, case):
    """The reply that a client should get."""
    if case.code == 250 or case.name in LATER.get(mta_class, ()):
        return "250"
    code, text = case.output.split(" ", 1)
    if mta_class is RealPostfix:  # no colon in what the policy service says
        text = text.replace("address:", "address")
    form = FORMS[mta_class][case.stage]
    if mta_class is Sendmail and case.code == 551:  # as sendmail has it
        form = "{code} {text}"
    return form.format(code=f"{case.code} {code}", to=address(case), text=text)


def address(case):
    return f"{case.to}@{VIRTUAL_DOMAIN}"


def subject(case):
    return case.name


def letter(case):
    text = "so much to tell " * (case.size // 16)
    return f"From: {SENDER}\nSubject: {subject(case)}\n\n{text}\n".encode()


class Site(MtaSite):
    """Mailboxes for every verdict."""

    def add_mailboxes(self, mta_class):
        brim = self.brim
        os.makedirs("/run/brim", exist_ok=True)
        brim.socket = type(brim.socket)("/run/brim/quotad.sock")
        blocked = brim.folder / "blocked"
        blocked.write_text(f"{BLOCKED}\n")
        listen = self.mta.spool / "private/brim-policy" if mta_class is RealPostfix else None
        brim.configure(socket=brim.socket, trusted_users=f"vmail {self.mta.asks_as}",
                       policy_listen=listen, blocked_senders=blocked,
                       map_listen="/run/brim/map.sock" if mta_class is Sendmail else None)
        for place in ("aliases", "mail/virtuals"):
            Mta.write(f"/etc/{place}", "")
        if mta_class is OpenSMTPD:
            Mta.write("/etc/mail/virtuals",
                      "".join(f"{address(case)} vmail\n" for case in CASES if case.fields is not None))
            shutil.copy(private_brim.BIN / "filter-brim", "/usr/local/lib/brim/filter-brim")
        for case in CASES:
            if case.fields is not None and case.stage == "RCPT":
                maildir = brim.mailbox(address(case), uid=self.vmail, **case.fields)
                if case.name.startswith("full"):
                    (maildir / "new/1.it").write_bytes(b"x" * ROOM)
                    os.chown(maildir / "new/1.it", self.vmail, self.vmail)

    @contextlib.contextmanager
    def client(self):
        with smtplib.SMTP("127.0.0.1", self.mta.port, "client.test", timeout=PATIENCE) as s:
            s.ehlo()
            yield s

    def tell(self, case):
        """The first reply that is no yes, as one line; else the last."""
        with self.client() as s:
            size = f" SIZE={case.size}" if case.size and case.stage == "RCPT" else ""
            answer = s.docmd(f"MAIL FROM:<{case.sender}>{size}")
            assert answer[0] == 250, answer
            answer = s.docmd(f"RCPT TO:<{address(case)}>")
            if answer[0] == 250 and case.stage == "DATA":
                answer = s.data(letter(case).replace(b"\n", b"\r\n"))
            return f"{answer[0]} {answer[1].decode()}"

    def inject(self, case):
        """The same by a program of this host."""
        subprocess.run([*self.mta.inject, "-i", "-f", case.sender, address(case)],
                       input=letter(case), check=True, timeout=PATIENCE)


    def outputs(self, cases):
        """What lda said of each letter, by its subject."""
        def ended():
            runs = {run.subject: run for run in self.runs()}
            return runs if len(runs) == len(cases) else None
        return {name: run.output for name, run in self.mta.wait(ended, "all deliveries").items()}


Seen = collections.namedtuple("Seen", "mta_class site told said")


@pytest.fixture(scope="module", params=MTAS)
def seen(request):
    """Every case once, with one mail server."""
    mta_class = MTAS[request.param]
    if not mta_class.is_there():
        pytest.skip("its package could not be fetched; make deps tries again")
    with contextlib.ExitStack() as stack:
        site = Site(mta_class, stack, smtp_time=True)
        cases = [case for case in CASES[1:] if is_taken(mta_class, case)]
        told = {case.name: site.tell(case) for case in CASES + [BLOCKED_SENDER]}
        for case in cases:
            site.inject(case)
        yield Seen(request.param, site, told, site.outputs(cases))


@pytest.mark.parametrize("case", CASES + [BLOCKED_SENDER], ids=subject)
def test_the_client_is_told(seen, case):
    expected = reply(MTAS[seen.mta_class], case)
    told = seen.told[case.name]
    assert told.startswith("250 ") if expected == "250" else told == expected, told


@pytest.mark.parametrize("case", CASES[1:], ids=subject)
def test_the_delivery_says_the_same(seen, case):
    if not is_taken(MTAS[seen.mta_class], case):
        pytest.skip("the mail server itself refuses it")
    assert seen.said[case.name] == case.output


ODD = ('"no body"', "no%0AQUIT", "no%body", "no\\\\x0abody")


@pytest.mark.parametrize("local", ODD)
def test_odd_bytes_in_an_address_make_no_other_request(seen, local):
    """A % may be the mail server's own (allow_percent_hack of Postfix)."""
    told = seen.site.tell(CASES[1]._replace(to=local))
    assert re.match("550 5.1.1 |501 5.1.3 |454 4.7.1 .*: Relay access denied", told), told


@pytest.mark.parametrize("case", CASES[:2], ids=subject)
def test_a_source_route_changes_nothing(seen, case):
    told = seen.site.tell(case._replace(to=f"@relay.test,@other.test:{case.to}"))
    assert told.split()[:2] == seen.told[case.name].split()[:2], told


def test_without_quotad_nobody_is_refused(seen):
    """Postfix, Exim and OpenSMTPD take the mail; of sendmail the client is to try again."""
    seen.site.brim.stop_quotad()
    try:
        told = seen.site.tell(CASES[6])  # full
    finally:
        seen.site.brim.start_quotad()
    assert told.startswith("451 4.3.0 " if seen.mta_class == "sendmail" else "250 "), told


# --- the table in the README --------------------------------------------------------------

HEAD = "| | " + " | ".join(MTAS) + " |\n| --- | --- | --- | --- | --- |\n"


def cell(seen, case):
    code = " ".join(seen.told[case.name].split()[:2])
    if code.startswith("250 "):
        return "never" if case is BLOCKED_SENDER else "later"
    return f"`{code}`"


def in_the_readme():
    return re.search(re.escape(HEAD) + r"((?:\|.*\n)*)", README.read_text())


def test_the_readme_shows_what_is_told(seen):
    column = 1 + list(MTAS).index(seen.mta_class)
    cases = CASES[1:] + [BLOCKED_SENDER]
    if os.environ.get("BRIM_WRITE_TABLE"):
        rows = [row.split(" | ") for row in in_the_readme()[1].splitlines()]
        rows = rows if len(rows) == len(cases) else [["|", "", "", "", "|"] for _ in cases]
        for row, case in zip(rows, cases):
            row[0], row[column] = f"| {case.name}", cell(seen, case)
            row[4] = row[4].rstrip("|").strip() + " |"
        text, shown = README.read_text(), in_the_readme()
        README.write_text(text[:shown.start(1)] + "".join(" | ".join(row) + "\n" for row in rows)
                          + text[shown.end(1):])
    shown = [[word.strip() for word in row.split("|")[1:-1]]
             for row in in_the_readme()[1].splitlines()]
    assert [(row[0], row[column]) for row in shown] == \
        [(case.name, cell(seen, case)) for case in cases]
