"""What each mail server makes of each verdict: the real Postfix, Exim, OpenSMTPD and sendmail,
set up by the files in etc/, with lda itself as delivery program. Is the mail delivered, tried
again or bounced? What does the sender's report say, and the queue of what waits? The README
shows what is seen here: BRIM_WRITE_TABLE=1 writes its table anew."""

import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import time

import pytest

import brim as private_brim
from exim import Exim
from host import mount
from mta import VIRTUAL_DOMAIN, Mta
from mta_site import LDA, MtaSite, RealPostfix
from opensmtpd import OpenSMTPD
from sendmail import Sendmail

README = private_brim.ROOT / "README.md"
MTAS = {"Postfix": RealPostfix, "Exim": Exim, "OpenSMTPD": OpenSMTPD, "sendmail": Sendmail}
SENDER = "me@sender.test"
ROOM = 4096
# As long as an address may be (RFC 5321 4.5.3.1: 64 bytes, and 254 in all), or nearly.
NEW = "b" * 60 + "@" + ".".join(["elsewhere" * 6] * 3) + ".test"

# A message to a mailbox with these fields, what lda says, and its exit status.
Case = collections.namedtuple("Case", "name to fields line status", defaults=("", 75))
DELIVERED = Case("delivered", "ok", {}, "", 0)
NOBODY = Case("no such user", "nobody", None, "5.1.1 User unknown, no such mailbox here", 67)
MOVED = Case("moved", "moved", {"state": "moved", "moved_to": NEW},
             f"5.1.6 the mailbox has moved, new address: {NEW}", 69)
DISABLED = Case("disabled", "disabled", {"state": "disabled"},
                "5.2.1 the mailbox is disabled", 69)
SUSPENDED = Case("suspended", "suspended", {"state": "suspended"},
                 "4.2.1 the mailbox takes no mail at the moment")
FULL_FOR_NOW = Case("full, for now", "fornow", {"quota": ROOM, "over_quota": "defer"},
                    "4.2.2 the mailbox is full")
FULL = Case("full", "full", {"quota": ROOM, "over_quota": "bounce"},
            "5.2.2 the mailbox is full", 69)
TOO_LARGE = Case("too large", "small", {"quota": 4},
                 "5.2.3 the message is larger than 4B, the whole quota of this mailbox", 69)
NO_DISK = Case("no room on the disk", "nodisk", {},
               "4.3.1 the message can't be written: No space left on device")
MISCONFIGURED = Case("wrong uid", "wrong", {"uid": 29999},
                     "4.3.5 the mailbox belongs to uid 29999, but lda runs as uid ")
DOWN = Case("quotad is down", "down", {}, "4.3.0 quotad can't be reached: Connection refused")
LATE = Case("out of time", "late", {}, "4.3.0 the delivery was cut short")
KILLED = Case("killed", "killed", {}, "4", -signal.SIGKILL)
# A delivery refuses nobody; this is what one would say that did.
REFUSED = Case("refused by policy", "refused", {},
               "5.7.1 refused by the policy of this mailbox", 77)
AT_ONCE = [DELIVERED, NOBODY, MOVED, DISABLED, SUSPENDED, FULL_FOR_NOW, FULL, TOO_LARGE, NO_DISK,
           MISCONFIGURED]
CASES = AT_ONCE[:8] + [REFUSED, NO_DISK, DOWN, MISCONFIGURED, LATE, KILLED]

# In the place of lda, for REFUSED alone.
STAND_IN = """\
#!/bin/sh
case "$RECIPIENT $*" in
*{to}*) cat >/dev/null; echo '{line}'; exit {status} ;;
esac
exec {lda} "$@"
"""


def address(case):
    return f"{case.to}@{VIRTUAL_DOMAIN}"


def name_of(case):
    return case.name


def says(mta, case):
    """What lda says, as that mail server runs it. OpenSMTPD runs it for users of its own
    table, so that none of them can be unknown; see lda(8)."""
    if mta == "OpenSMTPD" and case == NOBODY:
        return f"4.3.5 the user table has neither {address(case)} nor the account vmail"
    return case.line


class Report:
    """What a report says of its one recipient."""

    def __init__(self, message):
        parts = {part.get_content_type(): part for part in reversed(list(message.walk()))}
        fields = {name: value for block in parts["message/delivery-status"].get_payload()
                  for name, value in block.items()}
        self.to = fields["Final-Recipient"].split(";")[1].strip()
        self.action = fields["Action"]
        self.status = fields["Status"]
        self.diagnostic = " ".join(fields.get("Diagnostic-Code", "").split())
        self.text = " ".join(parts["text/plain"].get_payload().split())


class Site(MtaSite):
    """A mailbox for every verdict."""

    def add_mailboxes(self, mta_class):
        self.mta.virtual_mailboxes = None
        Mta.write("/etc/aliases", "")
        Mta.write("/etc/mail/virtuals", "" if mta_class is not OpenSMTPD else
                  "".join(f"{address(case)} vmail\n" for case in CASES))
        self.outcomes = {}
        return {case: self.add_mailbox(case) for case in map(name_of, CASES)}

    def add_mailbox(self, name):
        case = next(case for case in CASES if case.name == name)
        if case.fields is None:
            return self.brim.home / "of nobody"
        maildir = self.brim.mailbox(address(case), **{"uid": self.vmail, **case.fields})
        if case in (FULL, FULL_FOR_NOW):
            (maildir / "new/1.it").write_bytes(b"x" * ROOM)
        if case == NO_DISK:
            self.fill_disk(maildir)
        return maildir

    def fill_disk(self, maildir):
        """A file system of its own, without a block that is free."""
        shutil.rmtree(maildir)
        mount("tmpfs", maildir.parent, "tmpfs", data="mode=755,size=64k")
        self.brim.make_maildir(maildir, self.vmail, self.vmail)
        with contextlib.suppress(OSError), \
                open(maildir.parent / "filler", "wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass

    def send(self, *cases):
        for case in cases:
            self.mta.send(SENDER, address(case), f"Subject: {case.name}\n\nhi\n".encode())

    def delivered(self, case):
        """How often its message is in its mailbox."""
        return sum(f"Subject: {case.name}\n".encode() in message
                   for message in self.brim.messages(self.maildirs[case.name]))

    def reports(self):
        return {report.to: report for report in map(Report, self.mta.reports(SENDER))}

    def learn(self, *cases):
        """Waits until it is known what became of each message, and keeps that."""
        def look():
            reports, waiting = self.reports(), self.mta.waiting()
            for case in cases:
                to = address(case)
                found = "delivered" if self.delivered(case) else \
                    reports.get(to) or waiting.get(to)
                if found:
                    self.outcomes[case.name] = found
            time.sleep(0.05)
            return all(case.name in self.outcomes for case in cases)
        self.mta.wait(look, f"what becomes of {cases}")

    def kill(self, case, how):
        """Sends a signal to the lda that has this message, once it asks quotad: then it knows
        the mailbox, and has set its deadline."""
        def asks(pid):
            process = pathlib.Path("/proc", pid)
            told = b"".join((process / name).read_bytes() for name in ("environ", "cmdline"))
            return address(case).encode() in told and \
                os.readlink(process / "exe") == str(LDA) and \
                any(os.readlink(fd).startswith("socket:") for fd in (process / "fd").iterdir()
                    if int(fd.name) > 2)

        def find():
            for pid in map(str, self.host.processes()):
                with contextlib.suppress(OSError):  # it has just ended
                    if asks(pid):
                        return int(pid)
            return None
        os.kill(self.mta.wait(find, f"the delivery to {case.to}"), how)

    @contextlib.contextmanager
    def stand_in(self):
        """Another program in the place of lda."""
        lda = self.host.folder / "lda"
        Mta.write(LDA.with_suffix(".new"), STAND_IN.format(lda=lda, **REFUSED._asdict()))
        LDA.with_suffix(".new").chmod(0o755)
        LDA.with_suffix(".new").rename(LDA)
        try:
            yield
        finally:
            shutil.copy(lda, LDA.with_suffix(".new"))
            LDA.with_suffix(".new").rename(LDA)

    def meet_every_verdict(self):
        self.send(*AT_ONCE)
        self.learn(*AT_ONCE)
        self.brim.stop_quotad()
        self.send(DOWN)
        self.learn(DOWN)
        self.brim.start_quotad()
        self.brim.quotad.send_signal(signal.SIGSTOP)
        self.brim.configure(quotad_timeout="100s", deadline="200s")  # both wait to be killed
        self.send(LATE, KILLED)
        self.kill(LATE, signal.SIGALRM)  # as its timer does
        self.kill(KILLED, signal.SIGKILL)
        self.learn(LATE, KILLED)
        self.brim.quotad.send_signal(signal.SIGCONT)
        with self.stand_in():
            self.send(REFUSED)
            self.learn(REFUSED)

    def repair(self):
        """Takes away what made mail wait."""
        self.brim.admin("enable", address(SUSPENDED))
        (self.maildirs[FULL_FOR_NOW.name] / "new/1.it").unlink()
        (self.maildirs[NO_DISK.name].parent / "filler").unlink()
        self.brim.admin("set", address(MISCONFIGURED), f"uid={self.vmail}", f"gid={self.vmail}")
        self.brim.make_maildir(self.maildirs[MISCONFIGURED.name], self.vmail, self.vmail)
        self.maildirs[NOBODY.name] = self.brim.mailbox(address(NOBODY), uid=self.vmail)

    def run_queue_until_delivered(self, cases):
        """Those that are still left in the end."""
        left, tried = cases, 0
        limit = time.monotonic() + 2 * private_brim.PATIENCE
        while left and time.monotonic() < limit:
            if time.monotonic() > tried + 1:
                self.mta.retry()
                tried = time.monotonic()
            left = [case for case in left if not self.delivered(case)]
            time.sleep(0.02)
        return left


Seen = collections.namedtuple("Seen", "mta site outcomes")


@pytest.fixture(scope="module", params=MTAS)
def seen(request):
    """Every case once, with one mail server."""
    mta_class = MTAS[request.param]
    if not mta_class.is_there():
        pytest.skip("its package could not be fetched; make deps tries again")
    with contextlib.ExitStack() as stack:
        site = Site(mta_class, stack, records=False)
        site.meet_every_verdict()
        yield Seen(request.param, site, site.outcomes)


def outcome(seen, case):
    return seen.outcomes[case.name]


def fate(found):
    """In a word: a report is of a message that was given up."""
    return found if found == "delivered" else "waits" if isinstance(found, str) else "bounces"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_first_digit_of_the_code_says_what_becomes_of_the_mail(seen, case):
    expected = {"": "delivered", "4": "waits", "5": "bounces"}[says(seen.mta, case)[:1]]
    assert fate(outcome(seen, case)) == expected, outcome(seen, case)


# --- what the sender is told ----------------------------------------------------------------

# Exim and OpenSMTPD say one code for every failure, sendmail one for each exit status.
STATUS = {
    "Postfix": lambda case: case.line.split()[0],
    "Exim": lambda case: "5.0.0",
    "OpenSMTPD": lambda case: "5.3.0",
    "sendmail": lambda case: {67: "5.1.1", 69: "5.5.0", 77: "5.3.0"}[case.status],
}
DIAGNOSTIC = {
    "Postfix": lambda case: f"x-unix; {text_of(case)}",
    "Exim": lambda case: "",
    "OpenSMTPD": lambda case: "",
    "sendmail": lambda case: f"X-Unix; {case.status}",
}


def text_of(case):
    return case.line.split(" ", 1)[1]


def bounced(mta):
    return [case for case in CASES if says(mta, case)[:1] == "5"]


@pytest.mark.parametrize("case", bounced("Postfix"), ids=name_of)
def test_a_report_says_the_code_that_the_mta_has_for_it(seen, case):
    if case not in bounced(seen.mta):
        pytest.skip("this mail server keeps it")
    report = outcome(seen, case)
    assert (report.action, report.status, report.diagnostic) == \
        ("failed", STATUS[seen.mta](case), DIAGNOSTIC[seen.mta](case))


@pytest.mark.parametrize("case", bounced("Postfix"), ids=name_of)
def test_a_report_has_the_words_of_lda_for_people_to_read(seen, case):
    """Of 270 bytes, too, of which OpenSMTPD has so many as its buffer takes with two quotes."""
    if case not in bounced(seen.mta):
        pytest.skip("this mail server keeps it")
    line = text_of(case) if seen.mta == "Postfix" else case.line
    assert line[:253 if seen.mta == "OpenSMTPD" else None] in outcome(seen, case).text


def test_there_is_one_report_on_each_message_that_bounces(seen):
    reports = seen.site.mta.reports(SENDER)
    assert sorted(Report(message).to for message in reports) == \
        sorted(address(case) for case in bounced(seen.mta))


@pytest.mark.parametrize("case", [NOBODY, MOVED, DISABLED, SUSPENDED, FULL_FOR_NOW, FULL,
                                  TOO_LARGE], ids=name_of)
def test_brimadm_simulate_foretells_it(seen, case):
    if case == NOBODY and seen.mta == "OpenSMTPD":
        pytest.skip("it runs lda for users of its own table alone")
    said = json.loads(seen.site.brim.admin("simulate", address(case), "--size", "300B", "--json",
                                           check=False).stdout)
    found = outcome(seen, case)
    told = said["dsn"][seen.mta.lower()]
    assert said["line"] == case.line
    assert told == found.status if isinstance(found, Report) else told[0] in "4d", told


# --- what an administrator sees -------------------------------------------------------------

LDA_75 = {
    "Postfix": lambda case: text_of(case),
    "Exim": lambda case: "returned 75 (could mean temporary error) from command: ",
    "OpenSMTPD": lambda case: f'"{case.line}',
    "sendmail": lambda case: f"Deferred: brim mailer ({LDA}) exited with EX_TEMPFAIL",
}
LDA_KILLED = {
    "Postfix": f'Command died with signal 9: "{LDA}"',
    "Exim": "was terminated by signal 9 (Killed)",
    "OpenSMTPD": "exited abnormally",
    "sendmail": "mailer brim died with signal 9",
}


@pytest.mark.parametrize("case", [case for case in CASES if case.line[:1] == "4"], ids=name_of)
def test_the_queue_says_why_a_message_waits(seen, case):
    expected = LDA_KILLED[seen.mta] if case == KILLED else LDA_75[seen.mta](case)
    assert expected in outcome(seen, case)


def test_the_log_of_exim_has_the_words_that_its_queue_lacks(seen):
    if seen.mta != "Exim":
        pytest.skip("about Exim")
    log = "\n".join(seen.site.host.log_lines())
    for case in CASES:
        if case.line and case != KILLED:
            assert f"transport output: {case.line}" in log


def test_exim_freezes_what_was_killed(seen):
    if seen.mta != "Exim":
        pytest.skip("about Exim")
    seen.site.mta.wait(lambda: re.findall(
        r"\*\*\* frozen \*\*\*\n\s+(\S+)", Mta.run("/usr/sbin/exim4", "-bp")) ==
        [address(KILLED)], "that message alone to be frozen")


# --- the table in the README ----------------------------------------------------------------

HEAD = "| at delivery | " + " | ".join(MTAS) + " |\n| --- | --- | --- | --- | --- |\n"


def rows(seen):
    """(first cell, cell of this mail server) of each row."""
    for case in CASES:
        found = outcome(seen, case)
        yield case.name, f"`{found.status}`" if isinstance(found, Report) else fate(found)
    diagnostic = outcome(seen, FULL).diagnostic
    yield f"`Diagnostic-Code` of *{FULL.name}*", f"`{diagnostic}`" if diagnostic else "none"
    for case in FULL_FOR_NOW, KILLED:
        yield f"the queue, of *{case.name}*", f"`{shortened(outcome(seen, case))}`"


def shortened(reason):
    """Without what is the same for every message."""
    return re.sub(r"^R=.*? defer \(0\): | from command: .*| \(running command \".*?\"\)", "",
                  reason).replace(str(LDA), "lda")


def in_the_readme():
    return re.search(re.escape(HEAD) + r"((?:\|.*\n)*)", README.read_text())


def test_the_readme_shows_what_becomes_of_mail(seen):
    column, found = 1 + list(MTAS).index(seen.mta), list(rows(seen))
    if os.environ.get("BRIM_WRITE_TABLE"):
        table = {row[0]: row for row in cells()}
        table = [table.get(first, [first, "", "", "", ""]) for first, _ in found]
        for row, (_, cell) in zip(table, found):
            row[column] = cell
        text, shown = README.read_text(), in_the_readme()
        README.write_text(text[:shown.start(1)] +
                          "".join(f"| {' | '.join(row)} |\n" for row in table) +
                          text[shown.end(1):])
    assert [(row[0], row[column]) for row in cells()] == found


def cells():
    return [[word.strip() for word in row.split("|")[1:-1]]
            for row in in_the_readme()[1].splitlines()]


# --- and then -------------------------------------------------------------------------------

def test_each_recipient_of_one_message_has_an_answer_of_its_own(seen):
    """One exit status can't speak for many, so each has a run of lda."""
    site, sender = seen.site, "several@sender.test"

    def delivered(case):
        return sum(b"Subject: to several\n" in message
                   for message in site.brim.messages(site.maildirs[case.name]))

    def reported():
        return [Report(message).to for message in site.mta.reports(sender)]

    site.mta.send(sender, [address(case) for case in (SUSPENDED, DELIVERED, FULL)],
                  b"Subject: to several\n\nhi\n")
    site.mta.wait(lambda: delivered(DELIVERED) and reported(), "both answers")
    site.brim.admin("enable", address(SUSPENDED))
    site.mta.wait(lambda: site.mta.retry() or delivered(SUSPENDED), "the third")
    assert [delivered(case) for case in (SUSPENDED, DELIVERED, FULL)] == [1, 1, 0]
    assert reported() == [address(FULL)]


def test_what_waits_is_delivered_once_when_its_cause_is_gone(seen):
    """Last, since it changes what the tests above are about."""
    site = seen.site
    waiting = [case for case in CASES if says(seen.mta, case)[:1] == "4"]
    reports = len(site.mta.reports(SENDER))
    site.repair()
    assert site.run_queue_until_delivered(waiting) == []
    site.mta.wait(lambda: not site.mta.waiting(), "an empty queue")
    assert [site.delivered(case) for case in waiting] == [1] * len(waiting)
    assert len(site.mta.reports(SENDER)) == reports
