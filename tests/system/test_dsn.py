"""What the four mail servers tell a sender of what Brim said: delivery status notifications (RFC
3461 to 3464, RFC 6533), read field by field, with the real ones, set up by the files in etc/.
The reports come back by Brim, too. The README shows what is seen here: BRIM_WRITE_TABLE=1 writes
its table anew."""

import collections
import contextlib
import email
import os
import pathlib
import re
import signal
import smtplib
import subprocess
import time

import pytest

import brim as private_brim
from exim import Exim
from mta import HOST_DOMAIN, PATIENCE, VIRTUAL_DOMAIN, Mta, free_port, sections
from mta_site import MtaSite, RealPostfix
from opensmtpd import OpenSMTPD
from sendmail import PROGRAMS, Sendmail

README = private_brim.ROOT / "README.md"
WRITER = f"writer@{VIRTUAL_DOMAIN}"
ROOM = 4096
LDA = "/usr/local/lib/brim/lda"
FULL, UNKNOWN = "the mailbox is full", "User unknown, no such mailbox here"
EXPIRED = "4.4.7"  # delivery time expired (RFC 3463)
ALL_PATIENCE = 120  # for all reports
BODY = "It is only a letter."


# --- the mail servers, with short times ---------------------------------------------------
#
# Each warns after a second, and `expire` has it give up what still waits. `retry` tries
# that again now, and `left` is empty when there is nothing more to come. `warns_unasked`
# are letters whose sender asked for no warning and gets one.


class HastyPostfix(RealPostfix):
    """It has two servers more: what comes to `sending` goes on by SMTP to one that asks Brim."""
    warns_unasked = set()

    def __init__(self, host, **how):
        super().__init__(host, **how)
        self.sending, asking = free_port(), free_port()
        self.settings += "delay_warning_time = 1s\n"
        self.services += f"""
smtp unix - - n - - smtp
127.0.0.1:{self.sending} inet n - n - - smtpd
  -o content_filter=smtp:[127.0.0.1]:{asking}
127.0.0.1:{asking} inet n - n - - smtpd
  -o myhostname=mx2.{HOST_DOMAIN}
  -o {{ smtpd_recipient_restrictions = reject_unauth_destination,
       check_policy_service unix:private/brim-policy }}
"""

    def retry(self):
        subprocess.run(["postqueue", "-f"], check=True, stderr=subprocess.DEVNULL)

    def expire(self):
        subprocess.run(["postconf", "-e", "maximal_queue_lifetime=1s"], check=True,
                       stderr=subprocess.DEVNULL)
        self.master.send_signal(signal.SIGHUP)

    def left(self):
        return self.queue()


class HastyExim(Exim):
    warns_unasked = set()
    conf = pathlib.Path("/etc/exim4/exim4.conf")

    def write_settings(self):
        """Without the map of mailboxes: unknown users are left to the delivery."""
        super().write_settings()
        text = re.sub("^  local_parts = .*\n", "", self.conf.read_text(), flags=re.M)
        self.conf.write_text(f"delay_warning = 1s : 1d\n{text}")

    def retry(self):
        subprocess.run(["/usr/sbin/exim4", "-qf"], check=True, stderr=subprocess.DEVNULL)

    def expire(self):
        """By a shorter rule in the place of that in etc/."""
        rule = "".join(re.findall("^[*] .*\n", sections("exim.conf")["retry"], re.M))
        text = self.conf.read_text()
        assert text.count(rule) == 1 and rule, text
        self.conf.write_text(text.replace(rule, "* * F,1s,1s\n"))

    def queue(self):
        listing = subprocess.run(["/usr/sbin/exim4", "-bp"], check=True, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        return re.findall(r"^ *\d+[smhdw] .*", listing, re.M)

    def left(self):
        """But for what is frozen, since its sender is null."""
        return [line for line in self.queue() if "frozen" not in line]


class HastyOpenSMTPD(OpenSMTPD):
    """It gives a message its time when that comes: one for `over` has a second."""
    warns_unasked = {"failure alone"}

    def write_settings(self):
        super().write_settings()
        path = pathlib.Path("/etc/smtpd.conf")
        first = f'match from any for domain "{VIRTUAL_DOMAIN}"'
        assert first in path.read_text()
        path.write_text(path.read_text().replace(first, f"""\
bounce warn-interval 1s
action "hasty" mda "exec {LDA}" virtual <virtuals> ttl 1s
match from any for rcpt-to "over@{VIRTUAL_DOMAIN}" action "hasty"
{first}"""))

    def queue(self):
        return subprocess.run(["smtpctl", "show", "queue"], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.splitlines()

    def expire(self):
        """What has been warned of, and has four days, is taken away."""
        for line in self.queue():
            if f"|later@{VIRTUAL_DOMAIN}|" in line:
                subprocess.run(["smtpctl", "remove", line.split("|")[0]], check=True,
                               stdout=subprocess.DEVNULL)

    def left(self):
        return self.queue()


class HastySendmail(Sendmail):
    warns_unasked = set()
    options = []

    def write_settings(self):
        super().write_settings()
        with open("/etc/mail/sendmail.cf", "a") as f:
            f.write("O Timeout.queuewarn=1s\n")

    def retry(self):
        subprocess.run([f"{PROGRAMS}/sendmail", "-q", *self.options], check=True)

    def expire(self):
        self.options = ["-OTimeout.queuereturn=1s"]

    def left(self):
        return list(pathlib.Path("/var/spool/mqueue").glob("qf*"))


MTAS = {"Postfix": HastyPostfix, "Exim": HastyExim, "OpenSMTPD": HastyOpenSMTPD,
        "sendmail": HastySendmail}


# --- reports ------------------------------------------------------------------------------

class Report:
    """A report, taken apart: the fields of its message, and those of each recipient."""

    def __init__(self, raw):
        self.mail = email.message_from_string(raw.decode())
        parts = self.mail.get_payload()
        self.text = parts[0].get_payload()
        self.status, self.returned = parts[1], parts[2]
        blocks = self._blocks(self.status)
        self.message, self.recipients = blocks[0], blocks[1:]

    @staticmethod
    def _blocks(part):
        """Python knows message/delivery-status, but not its like of RFC 6533."""
        blocks = part.get_payload()
        if part.get_content_type() == "message/global-delivery-status":
            rest = blocks[0].get_payload().strip("\n")
            blocks = [blocks[0]] + [email.message_from_string(block.lstrip("\n"))
                                    for block in rest.split("\n\n")]
        return [block for block in blocks if block.keys()]

    @property
    def about(self):
        """The subject of the message that it is about."""
        return re.search("^Subject: (.*)$", self.returned.as_string(), re.M)[1]

    @property
    def returns_body(self):
        return BODY in self.returned.as_string()

    def of(self, name):
        """The fields of this recipient."""
        found = [r for r in self.recipients
                 if r["Final-Recipient"].split(";")[1].strip() == address(name)]
        assert len(found) == 1, self.mail.as_string()
        return found[0]

    @property
    def only(self):
        assert len(self.recipients) == 1, self.mail.as_string()
        return self.recipients[0]


def address(name):
    return name if "@" in name else f"{name}@{VIRTUAL_DOMAIN}"


def action(fields):
    """Without the comment that may follow."""
    return fields["Action"].split()[0]


# --- what is sent -------------------------------------------------------------------------

# Messages by their subjects: to whom, with which parameters of RCPT and MAIL, by whom.
Letter = collections.namedtuple("Letter", "subject to rcpt mail sender",
                                defaults=("", "", WRITER))
LETTERS = [
    Letter("plain", ["full"]),
    Letter("fields", ["full"], "NOTIFY=FAILURE ORCPT=rfc822;Orig+2Bwriter@old.test",
           "RET=HDRS ENVID=QQ3+2B14"),
    Letter("whole", ["full"], mail="RET=FULL"),
    Letter("some", ["full", "ok", "nobody"]),
    Letter("never", ["full"], "NOTIFY=NEVER"),
    Letter("success", ["ok"], "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;old@old.test"),
    Letter("success of an account", [f"bob@{HOST_DOMAIN}"], "NOTIFY=SUCCESS"),
    Letter("success alone", ["full"], "NOTIFY=SUCCESS"),
    Letter("null", ["full"], sender=""),
    Letter("delayed", ["later"]),
    Letter("failure alone", ["later"], "NOTIFY=FAILURE"),
    Letter("delay alone", ["later"], "NOTIFY=DELAY ORCPT=rfc822;old@old.test", "ENVID=QQ3"),
    Letter("expired", ["over"]),
    Letter("expired unasked", ["over"], "NOTIFY=DELAY"),
]
REFUSED = Letter("refused", ["full"])  # before it is taken, by the server that asks Brim
UMLAUT = Letter("umlaut", ["jürgen"], mail="SMTPUTF8")
MAILBOXES = {  # by their names in the user table; those with fields are full
    "writer": {}, "ok": {}, "full": {"over_quota": "bounce"}, "later": {"over_quota": "defer"},
    "over": {"over_quota": "defer"}, "j%C3%BCrgen": {"over_quota": "bounce"},
}


class Site(MtaSite):
    """Mailboxes that take mail, that are full for now and for good, and the writer's."""

    def add_mailboxes(self, mta_class):
        Mta.write("/etc/aliases", "postmaster: alice\n")
        Mta.write("/etc/mail/virtuals", "")
        if issubclass(mta_class, OpenSMTPD):
            Mta.write("/etc/mail/virtuals", "".join(
                f"{name}@{VIRTUAL_DOMAIN} vmail\n" for name in MAILBOXES if "%" not in name))
        if mta_class is HastyPostfix:
            self.brim.configure(policy_listen=self.mta.spool / "private/brim-policy")
        maildirs = {}
        for name in ("alice", "bob"):
            home = pathlib.Path("/home", name)
            uid = self.host.add_user(name, home=home)
            maildirs[name] = self.brim.mailbox(name, uid=uid, mail=home / "Maildir")
        for number, (name, fields) in enumerate(MAILBOXES.items()):
            quota = {"quota": ROOM} if fields else {}
            maildirs[name] = maildir = self.brim.mailbox(
                f"{name}@{VIRTUAL_DOMAIN}", uid=self.vmail,
                mail=self.brim.home / f"mailbox{number}/Maildir", **fields, **quota)
            if fields:
                (maildir / "new/1.it").write_bytes(b"x" * ROOM)
                os.chown(maildir / "new/1.it", self.vmail, self.vmail)
        return maildirs

    def submit(self, letters, port=None):
        """Sends what it may send; a recipient that is refused is left out. Returns which
        extensions there are."""
        with smtplib.SMTP("127.0.0.1", port or self.mta.port, "client.test",
                          timeout=PATIENCE) as s:
            s.command_encoding = "utf-8"
            s.ehlo()
            for letter in letters:
                if letter is not UMLAUT or s.has_extn("smtputf8"):
                    self._submit_one(s, letter)
            return {name for name in ("dsn", "smtputf8") if s.has_extn(name)}

    @staticmethod
    def _submit_one(s, letter):
        answer = s.docmd(f"MAIL FROM:<{letter.sender}> {letter.mail}".strip())
        assert answer[0] == 250, answer
        for to in letter.to:
            answer = s.docmd(f"RCPT TO:<{address(to)}> {letter.rcpt}".strip())
            assert answer[0] == 250 or to == "nobody", answer
        s.data(f"From: {WRITER}\r\nSubject: {letter.subject}\r\n\r\n{BODY}\r\n".encode())

    def reports(self, name="writer"):
        return [Report(raw) for raw in self.brim.messages(self.maildirs[name])]

    def warned(self):
        return {report.about for report in self.reports()
                if action(report.recipients[0]) == "delayed"}

    def retry_until(self, condition, what):
        """Has what waits tried again, and again, until the condition is true."""
        limit = time.monotonic() + ALL_PATIENCE
        while not condition():
            assert time.monotonic() < limit, "\n".join(
                [f"waited in vain for {what}"] + self.host.log_lines()[-40:])
            self.mta.retry()
            time.sleep(0.2)

    def is_done(self):
        """What moves within the queue meanwhile may be missed once."""
        return not self.mta.left() and not self.mta.left()

    def see_all(self):
        """Leaves nothing in the queue that could become a report."""
        due = {"delayed", "delay alone"} | self.mta.warns_unasked
        self.retry_until(lambda: due <= self.warned(), "warnings of delays")
        self.mta.expire()
        self.retry_until(self.is_done, "an empty queue")


class Seen:
    """What came of all letters, by their subjects."""

    def __init__(self, name, site):
        self.name = name
        self.extensions = site.submit(LETTERS + [UMLAUT])
        if name == "Postfix":
            site.submit([REFUSED], site.mta.sending)
        site.see_all()
        self.reports = collections.defaultdict(list)
        for report in site.reports():
            self.reports[report.about].append(report)
        self.of_postmaster = [report.about for report in site.reports("alice")]
        self.delivered = [re.search(b"^Subject: (.*)$", raw, re.M)[1].decode()
                          for raw in site.brim.messages(site.maildirs["ok"])]
        self.frozen = [line for line in site.mta.queue() if "frozen" in line] \
            if name == "Exim" else []

    def one(self, subject):
        found = self.reports[subject]
        assert len(found) == 1, [report.mail.as_string() for report in found]
        return found[0]

    def warning(self, subject):
        """The first report, which is of a delay."""
        found = [report for report in self.reports[subject]
                 if report.only["Status"] != EXPIRED and action(report.only) == "delayed"]
        assert len(found) == 1, [report.mail.as_string() for report in self.reports[subject]]
        return found[0]

    def last(self, subject="expired"):
        """Of a letter whose time was over; before there was a warning, or none yet."""
        found = [report for report in self.reports[subject]
                 if report.only["Status"] == EXPIRED or action(report.only) != "delayed"]
        assert len(found) == 1, [report.mail.as_string() for report in self.reports[subject]]
        return found[0]

    def failed(self, subject):
        """The recipients of whom it is said that mail to them failed."""
        return [fields["Final-Recipient"].split(";")[1].strip()
                for report in self.reports[subject] for fields in report.recipients
                if action(fields) == "failed"]


@pytest.fixture(scope="module", params=MTAS)
def seen(request):
    """Every letter once, with one mail server."""
    mta_class = MTAS[request.param]
    if not mta_class.is_there():
        pytest.skip("its package could not be fetched; make deps tries again")
    with contextlib.ExitStack() as stack:
        yield Seen(request.param, Site(mta_class, stack))


# --- what holds everywhere ----------------------------------------------------------------

def test_who_failed_and_nobody_else_is_reported(seen):
    full, unknown = address("full"), address("nobody")
    assert seen.failed("plain") == seen.failed("fields") == seen.failed("whole") == [full]
    refused_before = seen.name == "OpenSMTPD"  # by itself, at RCPT
    assert sorted(seen.failed("some")) == ([full] if refused_before else [full, unknown])
    assert sorted(seen.delivered) == ["some", "success"]


def test_a_delivery_is_reported_as_one_and_only_where_that_was_asked_for(seen):
    asked = {"success", "success of an account"}
    for subject in asked:
        fields = seen.one(subject).only
        assert action(fields) in ("delivered", "relayed") and fields["Status"].startswith("2.")
    told = {report.about for reports in seen.reports.values() for report in reports
            if action(report.recipients[0]) not in ("failed", "delayed")}
    assert told == asked


def test_notify_never_is_silence(seen):
    assert seen.reports["never"] == []


def test_mail_of_the_null_sender_is_never_bounced(seen):
    """At most the postmaster is told."""
    assert seen.reports["null"] == []
    assert seen.of_postmaster in ([], ["null"])


def test_a_failure_has_a_hard_status_and_a_delay_a_soft_one(seen):
    for subject in ("plain", "fields", "whole", "some"):
        for fields in seen.one(subject).recipients:
            assert action(fields) == "failed" and fields["Status"].startswith("5."), fields
    for subject in ("delayed", "delay alone"):
        assert seen.warning(subject).only["Status"].startswith("4.")


def test_nobody_is_told_twice_or_of_a_failure_that_is_none(seen):
    for subject in ("delayed", "delay alone", "failure alone"):
        assert len(seen.reports[subject]) <= 2
    for subject in ("delay alone", "expired unasked"):
        assert seen.failed(subject) == []


def test_every_report_is_from_the_null_sender_to_the_writer(seen):
    for reports in seen.reports.values():
        for report in reports:
            assert report.mail["Return-Path"] == "<>", report.mail.as_string()
            assert WRITER in report.mail["To"]


def test_the_sender_reads_what_brim_said(seen):
    assert FULL in seen.one("plain").text
    if seen.name != "OpenSMTPD":
        assert FULL in seen.one("some").text and UNKNOWN in seen.one("some").text


def test_a_refusal_at_smtp_time_is_reported_with_the_server_that_said_it(seen):
    """By the sender's own server: Brim's reply as it stands."""
    if seen.name != "Postfix":
        pytest.skip("it is the sender's server that writes this, here a Postfix")
    fields = seen.one("refused").only
    assert status(fields) == "`failed 5.2.2`" and fields["Remote-MTA"] == "dns; 127.0.0.1"
    assert " ".join(fields["Diagnostic-Code"].split()) == \
        f"smtp; 552 5.2.2 <{address('full')}>: Recipient address rejected: {FULL}"


# --- the table in the README --------------------------------------------------------------

def code(text):
    return f"`{text}`"


def status(fields):
    return code(f"{action(fields)} {fields['Status']}")


def words(report):
    """Where Brim's words are."""
    places = [place for place, text in (("`Diagnostic-Code`", report.only["Diagnostic-Code"]),
                                        ("text", report.text)) if FULL in (text or "")]
    return ", ".join(places) or "nowhere"


def given(field, value, encoded):
    """Whether a field has what the sender gave."""
    return {value: "yes", encoded: "undecoded", None: "no"}[field]


def original(seen):
    field = seen.one("fields").only["Original-Recipient"]
    return given(field and field.split(";")[1].strip(), "Orig+writer@old.test",
                 "Orig+2Bwriter@old.test")


def envelope(seen):
    return given(seen.one("fields").message["Original-Envelope-Id"], "QQ3+14", "QQ3+2B14")


def returned(report):
    return "all" if report.returns_body else "headers"


def unknown(seen):
    told = seen.one("some").recipients
    return status(seen.one("some").of("nobody")) if len(told) > 1 else "at RCPT"


def umlaut(seen):
    if "smtputf8" not in seen.extensions:
        return "no SMTPUTF8"
    return code(seen.one("umlaut").only["Final-Recipient"].replace("; ", ";"))


def of_null(seen):
    if seen.of_postmaster:
        return "to postmaster"
    return "kept, frozen" if seen.frozen else "dropped"


def silence(reports):
    return status(reports[-1].only) if reports else "nothing"


def form(seen):
    mail = seen.one("plain").mail
    assert seen.one("plain").status.get_content_type() == "message/delivery-status"
    is_report = mail.get_param("report-type") == "delivery-status"
    return code(mail.get_content_type()) if is_report else \
        f"{code(mail.get_content_type())}, no report type"


ROWS = {
    "form": form,
    "return path": lambda seen: code(seen.one("plain").mail["Return-Path"].split("@")[0].strip("<>")
                                     or "<>"),
    "`Reporting-MTA`": lambda seen: code(seen.one("plain").message["Reporting-MTA"]),
    "`Original-Recipient` (`ORCPT`)": original,
    "`Original-Envelope-Id` (`ENVID`)": envelope,
    "full (5.2.2)": lambda seen: status(seen.one("plain").only),
    "no such user (5.1.1)": unknown,
    "`Diagnostic-Code`": lambda seen: code(seen.one("plain").only["Diagnostic-Code"] or "")
    if seen.one("plain").only["Diagnostic-Code"] else "no",
    "`Remote-MTA`": lambda seen: code(seen.one("plain").only["Remote-MTA"])
    if seen.one("plain").only["Remote-MTA"] else "no",
    "Brim's words": lambda seen: words(seen.one("plain")),
    "comes back": lambda seen: returned(seen.one("plain")),
    "with `RET=HDRS`": lambda seen: returned(seen.one("fields")),
    "with `RET=FULL`": lambda seen: returned(seen.one("whole")),
    "waits (4.2.2)": lambda seen: status(seen.warning("delayed").only),
    "Brim's words in it": lambda seen: words(seen.warning("delayed")),
    "its time is over": lambda seen: status(seen.last().only),
    "Brim's words then": lambda seen: words(seen.last()),
    "delivered, `NOTIFY=SUCCESS`": lambda seen: status(seen.one("success").only),
    "full, `NOTIFY=SUCCESS`": lambda seen: silence(seen.reports["success alone"]),
    "full, `NOTIFY=NEVER`": lambda seen: silence(seen.reports["never"]),
    "waits, `NOTIFY=FAILURE`": lambda seen: silence(
        [r for r in seen.reports["failure alone"] if action(r.only) == "delayed"]),
    "waits, `NOTIFY=DELAY`": lambda seen: status(seen.warning("delay alone").only),
    "its time is over, `NOTIFY=DELAY`": lambda seen: silence(
        [r for r in seen.reports["expired unasked"] if r.only["Status"] == EXPIRED
         or action(r.only) != "delayed"]),
    "full, of the null sender": of_null,
    "full, SMTPUTF8 (RFC 6533)": umlaut,
}

HEAD = "| report | " + " | ".join(MTAS) + " |\n| --- | --- | --- | --- | --- |\n"


def in_the_readme():
    return re.search(re.escape(HEAD) + r"((?:\|.*\n)*)", README.read_text())


def rows_of_the_readme():
    return {row[0]: row[1:] for row in ([word.strip() for word in line.split("|")[1:-1]]
                                        for line in in_the_readme()[1].splitlines())}


def write_column(column, cells):
    text, shown, old = README.read_text(), in_the_readme(), rows_of_the_readme()
    lines = ""
    for name, cell in cells.items():
        row = old.get(name, [""] * len(MTAS))
        row[column] = cell
        lines += f"| {name} | {' | '.join(row)} |\n"
    README.write_text(text[:shown.start(1)] + lines + text[shown.end(1):])


def test_the_readme_shows_what_senders_are_told(seen):
    column = list(MTAS).index(seen.name)
    cells = {name: cell(seen) for name, cell in ROWS.items()}
    if os.environ.get("BRIM_WRITE_TABLE"):
        write_column(column, cells)
    assert {name: row[column] for name, row in rows_of_the_readme().items()} == cells
