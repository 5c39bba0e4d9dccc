"""A private host with one of the mail servers, Brim, and a recorder in the place of lda.

    class Site(MtaSite):
        def add_mailboxes(self, mta_class): ...
    with contextlib.ExitStack() as stack:
        site = Site(Exim, stack)
        site.mta.send(...)
        site.runs()[0].output   # what lda said to the mail server
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import brim as private_brim
from host import Host
from mta import HOST_DOMAIN, LUSER, MAIL_USER, VIRTUAL_DOMAIN, Mta, example, read_messages
from postfix import Postfix

LDA = pathlib.Path("/usr/local/lib/brim/lda")  # where the files in etc/ have it
CAROL = f"carol@{VIRTUAL_DOMAIN}"
ODD = f"o'd/d$x@{VIRTUAL_DOMAIN}"

# What runs in the place of lda: it keeps what it was given, its effective user too (-p), and then
# runs it.
RECORDER = """\
#!/bin/sh -p
run=$(mktemp {folder}/XXXXXXXX)
cat /proc/$$/cmdline >$run.arguments
cat /proc/$$/environ >$run.environment
cat >$run.message
{lda} "$@" <$run.message >$run.output
status=$?
cat $run.output
echo $status >$run.end
mv $run.end $run.status
exit $status
"""


class RealPostfix(Postfix):
    """With aliases of both kinds and a luser, and the lines of etc/ as they are."""
    virtuals = f"sales@{VIRTUAL_DOMAIN} {CAROL}\n{CAROL} {CAROL}\n{ODD} {ODD}\n" \
               f"@{VIRTUAL_DOMAIN} {CAROL}\n"
    inject = ["/usr/sbin/sendmail"]
    asks_as = "postfix"

    def __init__(self, host, smtp_time=False, more=""):
        services, settings = example("postfix-pipe.cf").split("/etc/postfix/main.cf\n")
        super().__init__(host, f"""\
{example("postfix-mailbox_command.cf")}{settings}
alias_maps = hash:/etc/aliases
virtual_alias_maps = texthash:/etc/mail/virtuals
luser_relay = {LUSER}
local_recipient_maps =
mydestination = {HOST_DOMAIN}, mx.{HOST_DOMAIN}
myorigin = {HOST_DOMAIN}
recipient_delimiter = +-
{more}
{"mynetworks =" if smtp_time else ""}
{example("postfix-policy.cf") if smtp_time else ""}
""", services)

    def start(self):
        super().start()
        subprocess.run(["postalias", "hash:/etc/aliases"], check=True,
                       stderr=subprocess.DEVNULL)

    def reports(self, to):
        """The messages to this address in SENDER_DOMAIN."""
        return [m for m in read_messages(self.bounces / "all/new") if to in m["To"]]

    def waiting(self):
        """What postqueue shows."""
        messages = map(json.loads, Mta.run("postqueue", "-j").splitlines())
        return {r["address"]: r["delay_reason"] for m in messages for r in m["recipients"]
                if "delay_reason" in r}

    def retry(self):
        self.flush()

    @staticmethod
    def is_there():
        return True

    @staticmethod
    def root():
        """It is installed."""


class Run:
    """What one run of lda was given, and what came of it."""

    def __init__(self, path):
        def strings(suffix):
            return path.with_suffix(suffix).read_bytes().decode().split("\0")[:-1]
        self.arguments = strings(".arguments")[3:]  # behind the recorder's own
        self.environment = dict(word.split("=", 1) for word in strings(".environment"))
        self.message = path.with_suffix(".message").read_text()
        self.output = path.with_suffix(".output").read_text().strip()
        self.status = int(path.read_text())
        self.mailbox = None

    @property
    def subject(self):
        return re.search("^Subject: (.*)$", self.message, re.M)[1]


class MtaSite:
    """A host, Brim, and the mail server, with lines MORE in its settings. What is in it:
    add_mailboxes. Without RECORDS lda itself is run."""

    def __init__(self, mta_class, stack, smtp_time=False, more="", records=True, **settings):
        self.host = stack.enter_context(Host())
        self.host.install(mta_class.root())
        self.folder = self.host.folder / "runs"
        self.brim = stack.enter_context(private_brim.Brim(
            local_domains=HOST_DOMAIN, trusted_users=MAIL_USER, quotad_timeout="10s",
            deadline="60s", **settings))
        self._install(records)
        self.vmail = self.host.add_user(MAIL_USER)
        self.mta = mta_class(self.host, smtp_time=smtp_time, more=more)
        stack.callback(self.mta.close)
        self.maildirs = self.add_mailboxes(mta_class)
        self.mta.start()
        self.brim.start_quotad()

    def _install(self, records):
        os.makedirs("/etc/brim", exist_ok=True)
        pathlib.Path("/etc/brim/brim.conf").unlink(missing_ok=True)
        os.symlink(self.brim.conf, "/etc/brim/brim.conf")
        lda = self.host.folder / "lda"
        shutil.copy(private_brim.BIN / "lda", lda)
        lda.chmod(0o755)
        self.folder.mkdir()
        self.folder.chmod(0o1777)
        if records:
            Mta.write(LDA, RECORDER.format(folder=self.folder, lda=lda))
            LDA.chmod(0o755)
        else:
            LDA.parent.mkdir(parents=True, exist_ok=True)
            LDA.unlink(missing_ok=True)
            shutil.copy(lda, LDA)

    def add_mailboxes(self, mta_class):
        """Writes the tables of Brim and of the mail server; the Maildirs by their keys."""
        raise NotImplementedError

    def runs(self):
        """The runs of lda that have ended."""
        return list(map(Run, self.folder.glob("*.status")))

    def deferrals(self, start):
        """Lines of the log from START on in which it says that a message waits."""
        return [line for line in self.host.log_lines()[start:]
                if re.search(" Frozen|result=TempFail|dsn=4", line)]

    def bounces(self):
        """Lines in which a mail server says that it gives a message up."""
        return [line for line in self.host.log_lines()
                if re.search(r" \*\* |result=PermFail|dsn=5", line)]
