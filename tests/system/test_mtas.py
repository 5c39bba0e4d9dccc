"""What each mail server hands to lda for an alias, a catch-all, an extension and a forward, and
what lda makes of it, with the real ones: Postfix, Exim, OpenSMTPD and sendmail, set up by the
files in etc/. lda(8) shows what is seen here: BRIM_WRITE_TABLE=1 writes its tables anew."""

import collections
import contextlib
import os
import pathlib
import re
import smtplib
import subprocess
import time

import pytest

import brim as private_brim
from exim import Exim
from mta import HOST_DOMAIN, LUSER, MAIL_USER, VIRTUAL_DOMAIN, Mta
from mta_site import CAROL, LDA, ODD, MtaSite, RealPostfix
from opensmtpd import OpenSMTPD
from sendmail import Sendmail

PAGE = private_brim.ROOT / "man/lda.8"
PATIENCE = 60  # for all deliveries

ACCOUNTS = ("alice", "bob", "dave", "erin", "john_doe")
FORWARDS = {"bob": "alice\n", "dave": f"|{LDA}\n", "erin": f"{CAROL}\n"}
ALIASES = f"""\
info: alice
john.doe: john_doe
team: {CAROL}
postmaster: root
root: alice
list: john_doe, {CAROL}
owner-list: alice
"""

# Virtual mailboxes: an account of the first one's name forwards its mail, and the second is an
# alias of the host.
NAMESAKES = (f"bob@{VIRTUAL_DOMAIN}", f"info@{VIRTUAL_DOMAIN}")

# A message to an address belongs into a mailbox.
Case = collections.namedtuple("Case", "name to mailbox")
OF_ACCOUNTS = [
    Case("alias", f"info@{HOST_DOMAIN}", "alice"),
    Case("catch-all", f"nosuch@{HOST_DOMAIN}", LUSER),
    Case("extension", f"alice+x@{HOST_DOMAIN}", "alice"),
    Case("forward", f"bob@{HOST_DOMAIN}", "alice"),
]
OF_MAILBOXES = [
    Case("alias", f"sales@{VIRTUAL_DOMAIN}", CAROL),
    Case("catch-all", f"nosuch@{VIRTUAL_DOMAIN}", CAROL),
    Case("extension", f"carol+x@{VIRTUAL_DOMAIN}", CAROL),
    Case("forward", f"erin@{HOST_DOMAIN}", CAROL),
]
OTHERS = [  # not in the page
    Case("plain account", f"alice@{HOST_DOMAIN}", "alice"),
    Case("plain mailbox", CAROL, CAROL),
    Case("odd bytes", ODD, ODD),
    *(Case("mailbox with the name of an account or alias", to, to) for to in NAMESAKES),
    Case("name of the host that Brim has not", f"alice@mx.{HOST_DOMAIN}", "alice"),
    Case("upper case", f"Alice@{HOST_DOMAIN}", "alice"),
    Case("alias that looks alike", f"john.doe@{HOST_DOMAIN}", "john_doe"),
    Case("alias of an alias", f"postmaster@{HOST_DOMAIN}", "alice"),
    Case("alias of a mailbox", f"team@{HOST_DOMAIN}", CAROL),
    Case("alias with an extension", f"info+x@{HOST_DOMAIN}", "alice"),
    Case("virtual alias with an extension", f"sales+x@{VIRTUAL_DOMAIN}", CAROL),
    Case("forward with an extension", f"bob+x@{HOST_DOMAIN}", "alice"),
]
PROGRAM = Case("forward to lda", f"dave@{HOST_DOMAIN}", "dave")
MINUS = Case("delimiter that Brim has not", f"alice-x@{HOST_DOMAIN}", "alice")
CASES = OF_ACCOUNTS + OF_MAILBOXES + OTHERS + [PROGRAM, MINUS]


def has(mta_class, case):
    """sendmail tells a program in a .forward file nothing of the recipient, and OpenSMTPD and
    it have one delimiter."""
    return (case != PROGRAM or mta_class is not Sendmail) and \
           (case != MINUS or mta_class in (RealPostfix, Exim))


def subject(case):
    return f"{case.name}, {case.to}"


class Site(MtaSite):
    """With accounts and virtual mailboxes."""

    def add_mailboxes(self, mta_class):
        maildirs = {CAROL: self.brim.mailbox(CAROL, uid=self.vmail),
                    ODD: self.brim.mailbox(ODD, uid=self.vmail,
                                           mail=self.brim.home / "odd/Maildir"),
                    **{to: self.brim.mailbox(to, uid=self.vmail) for to in NAMESAKES}}
        for name in ACCOUNTS:
            home = pathlib.Path("/home", name)
            uid = self.host.add_user(name, home=home)
            maildirs[name] = self.brim.mailbox(name, uid=uid, mail=home / "Maildir")
            if name in FORWARDS:
                Mta.write(home / ".forward", FORWARDS[name])
                os.chown(home / ".forward", uid, uid)
        Mta.write("/etc/aliases", ALIASES)
        lead = MAIL_USER if mta_class is OpenSMTPD else ""
        mine = "".join(f"{to} {lead or to}\n" for to in NAMESAKES)
        Mta.write("/etc/mail/virtuals", mta_class.virtuals +
                  (mine if mta_class in (RealPostfix, OpenSMTPD) else ""))
        if mta_class is Sendmail:  # its catch-all can't lead to a mailbox of the same domain
            self.brim.load(f"@{VIRTUAL_DOMAIN} catchall={CAROL}")
        return maildirs

    def deliver(self, cases):
        """Sends one message for each; the runs of lda by their subjects. One that the mail
        server refused, or never delivered, is missing."""
        sent, limit = 0, time.monotonic() + PATIENCE
        for case in cases:
            with contextlib.suppress(AssertionError, smtplib.SMTPException):
                self.mta.send("me@sender.test", case.to,
                              f"Subject: {subject(case)}\n\nhi\n".encode())
                sent += 1
        while len(list(self.folder.glob("*.status"))) < sent and time.monotonic() < limit:
            time.sleep(0.02)
        runs = {run.subject: run for run in self.runs()}
        for key, maildir in self.maildirs.items():
            for message in self.brim.messages(maildir):
                runs[re.search(b"^Subject: (.*)$", message, re.M)[1].decode()].mailbox = key
        return runs


Seen = collections.namedtuple("Seen", "mta_class site runs bounces log")


@pytest.fixture(scope="module", params=[RealPostfix, Exim, OpenSMTPD, Sendmail],
                ids=["Postfix", "Exim", "OpenSMTPD", "sendmail"])
def seen(request):
    """Every case once, with one mail server."""
    mta_class = request.param
    if not mta_class.is_there():
        pytest.skip("its package could not be fetched; make deps tries again")
    with contextlib.ExitStack() as stack:
        site = Site(mta_class, stack)
        runs = site.deliver([case for case in CASES if has(mta_class, case)])
        yield Seen(mta_class, site, runs, site.bounces(), site.host.log_lines())


@pytest.mark.parametrize("case", CASES, ids=subject)
def test_mail_is_delivered_where_the_mta_meant_it(seen, case):
    if not has(seen.mta_class, case):
        pytest.skip("this mail server has no such thing")
    assert subject(case) in seen.runs, "\n".join(seen.log)
    run = seen.runs[subject(case)]
    assert (run.status, run.output, run.mailbox) == (0, "", case.mailbox), handed_over(run)


OF_WHOM = [  # sender, recipient, mailboxes
    (f"alice@{HOST_DOMAIN}", CAROL, [CAROL]),
    (f"john_doe@{HOST_DOMAIN}", f"team@{HOST_DOMAIN}", [CAROL]),
    (f"alice@{HOST_DOMAIN}", f"erin@{HOST_DOMAIN}", [CAROL]),
    (f"alice@{HOST_DOMAIN}", "john_doe", ["john_doe"]),
    ("me@sender.test", f"list@{HOST_DOMAIN}", [CAROL, "john_doe"]),
    ("", CAROL, [CAROL]),
]


@pytest.mark.parametrize("sender, to, mailboxes", OF_WHOM)
def test_mail_is_delivered_whoever_its_sender_is(seen, sender, to, mailboxes):
    """An account of the host, too, and whoever a list belongs to."""
    site, name = seen.site, f"of {sender} to {to}"
    to = to if "@" in to else f"{to}@{HOST_DOMAIN}"
    site.mta.send(sender, to, f"Subject: {name}\n\nhi\n".encode())
    site.mta.wait(lambda: sum(run.subject == name for run in site.runs()) == len(mailboxes),
                  "the deliveries")
    assert [run.output for run in site.runs() if run.subject == name] == [""] * len(mailboxes)
    found = [key for key, maildir in site.maildirs.items()
             for message in site.brim.messages(maildir) if f"Subject: {name}\n".encode() in message]
    assert sorted(found) == sorted(mailboxes)


def test_lda_has_one_user_where_another_started_it(seen):
    """sendmail's flag S leaves root behind the mail user."""
    if seen.mta_class is not Sendmail:
        pytest.skip("sendmail alone does so")
    site = seen.site
    vmail = str(site.vmail)
    with subprocess.Popen(
            ["setpriv", f"--euid={vmail}", f"--egid={vmail}", "--keep-groups",
             site.host.folder / "lda", "-c", site.brim.conf, "-d", CAROL],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as lda:
        status = pathlib.Path(f"/proc/{lda.pid}/status")

        def ids():
            return re.findall(r"^(?:Uid|Gid|CapPrm):\t(.*)$", status.read_text(), re.M)
        wanted = ["\t".join([vmail] * 4)] * 2 + ["0" * 16]
        site.mta.wait(lambda: ids() == wanted, "lda to have one user")
        output, _ = lda.communicate(b"Subject: one user\n\nhi\n")
    assert (lda.returncode, output) == (0, b"")


def test_no_valid_mail_is_bounced(seen):
    assert seen.bounces == []


def test_each_delivery_is_logged_with_the_mail_server_s_queue_id(seen):
    """The first word of its own log lines, or a part of it (OpenSMTPD's evpid)."""
    lines = [line for line in seen.log if "brim-lda[" in line]
    others = "\n".join(line for line in seen.log if "brim-lda[" not in line)
    assert len(lines) == len(seen.runs)
    for line in lines:
        queue_id = re.search(" id=([0-9A-Za-z-]*) ", line)[1]
        assert queue_id and re.search(rf"\b{queue_id}", others), line


@pytest.mark.parametrize("fault", ["killed", "missing"])
def test_an_lda_that_is_killed_or_missing_bounces_nothing(seen, fault):
    site, aside = seen.site, LDA.with_suffix(".aside")
    LDA.rename(aside)
    if fault == "killed":
        Mta.write(LDA, "#!/bin/sh\nkill -9 $$\n")
        LDA.chmod(0o755)
    try:
        before, bounces = len(site.host.log_lines()), site.bounces()
        for to in (f"alice@{HOST_DOMAIN}", CAROL):
            site.mta.send("me@sender.test", to, b"Subject: to be deferred\n\nhi\n")
        site.mta.wait(lambda: len(site.deferrals(before)) >= 2 or site.bounces() != bounces,
                      "both to be deferred")
        assert site.bounces() == bounces
    finally:
        aside.rename(LDA)


class BatchingExim(Exim):
    """With many recipients for one run of lda."""
    def write_settings(self):
        super().write_settings()
        settings = pathlib.Path("/etc/exim4/exim4.conf")
        text = settings.read_text()
        assert "message_prefix =\n" in text
        settings.write_text(text.replace("message_prefix =\n", "message_prefix =\n  batch_max = 9\n"))


@pytest.mark.skipif(not Exim.is_there(), reason="its package could not be fetched")
def test_several_recipients_for_one_run_of_exim_s_are_nobody_s_mail():
    """It calls them NULL, which a catch-all would take."""
    with contextlib.ExitStack() as stack:
        site = Site(BatchingExim, stack)
        site.brim.load(f"@{VIRTUAL_DOMAIN} catchall={CAROL}")
        site.mta.send("me@sender.test", CAROL, b"Subject: one\n\nhi\n")
        site.mta.wait(site.runs, "its delivery")
        site.mta.send("me@sender.test", [CAROL, ODD], b"Subject: both\n\nhi\n")
        site.mta.wait(lambda: len(site.mta.waiting()) == 2, "the message to be deferred")
        assert site.bounces() == []
        assert [len(site.brim.messages(site.maildirs[key])) for key in (CAROL, ODD)] == [1, 0]
        assert "batch_max" in "".join(run.output for run in site.runs())


# --- the tables in lda(8) -----------------------------------------------------------------

# Of the environment, what says who the recipient is; of the headers on top, the same.
VARIABLES = ("RECIPIENT", "ORIGINAL_RECIPIENT", "LOCAL_PART", "LOCAL_PART_SUFFIX", "EXTENSION",
             "USER")
HEADERS = ("Delivered-To", "Envelope-to")
TABLES = {
    RealPostfix: {"Postfix, mailbox_command": OF_ACCOUNTS, "Postfix, pipe": OF_MAILBOXES},
    Exim: {"Exim, accounts": OF_ACCOUNTS, "Exim, virtual mailboxes": OF_MAILBOXES},
    OpenSMTPD: {"OpenSMTPD, accounts": OF_ACCOUNTS,
                "OpenSMTPD, virtual mailboxes": OF_MAILBOXES},
    Sendmail: {"sendmail, accounts": OF_ACCOUNTS, "sendmail, virtual mailboxes": OF_MAILBOXES},
}


def short(text):
    """The domains in one letter each."""
    return text.replace(HOST_DOMAIN, "h").replace(VIRTUAL_DOMAIN, "v")


def handed_over(run):
    words = []
    if "-d" in run.arguments:
        words.append("-d " + run.arguments[run.arguments.index("-d") + 1])
    words += [f"{name}={run.environment[name]}" for name in VARIABLES
              if run.environment.get(name)]
    top = re.split("^Received:", run.message, flags=re.M)[0]
    words += [f"{name}: {value}" for name in HEADERS
              for value in re.findall(f"^{name}: (.*)$", top, re.M)]
    return short(", ".join(words))


def row(case, run):
    became = short(run.mailbox or run.output)
    return f".It {case.name} Ta {short(case.to)} Ta {became} Ta {handed_over(run)}\n"


def in_the_page(head):
    return re.search(rf"^\.Sy {re.escape(head)}\n\.Bl -column .*\n\.It Sy .*\n((?:.*\n)*?)\.El\n",
                     PAGE.read_text(), re.M)


def test_lda_8_shows_what_is_handed_over(seen):
    for head, cases in TABLES[seen.mta_class].items():
        rows = "".join(row(case, seen.runs[subject(case)]) for case in cases)
        if os.environ.get("BRIM_WRITE_TABLE"):
            text, shown = PAGE.read_text(), in_the_page(head)
            PAGE.write_text(text[:shown.start(1)] + rows + text[shown.end(1):])
        assert in_the_page(head)[1] == rows
