"""A private sendmail, with the mailers of etc/sendmail.mc."""

import os
import re
import subprocess

from mta import HOST_DOMAIN, LUSER, MAIL_USER, SENDER_DOMAIN, VIRTUAL_DOMAIN, Mta, sections

PROGRAMS = "/usr/libexec/sendmail"
SETTINGS = """\
define(`_USE_ETC_MAIL_')dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
define(`confDOMAIN_NAME', `mx.{host}')dnl
define(`ALIAS_FILE', `/etc/aliases')dnl
define(`confHOST_STATUS_DIRECTORY', `')dnl
define(`confTO_IDENT', `0')dnl
define(`confDONT_PROBE_INTERFACES', `true')dnl
define(`LUSER_RELAY', `local:{luser}')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch-nodns')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`use_cw_file')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`accept_unqualified_senders')dnl
FEATURE(`virtusertable', `text -k0 -v1 /etc/mail/virtuals')dnl
VIRTUSER_DOMAIN(`{virtual}')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={port}, Addr=127.0.0.1')dnl
{more}{local}MAILER(`local')dnl
MAILER(`smtp')dnl
{virtual_mailer}MAILER_DEFINITIONS
Mreports,	P={keeper}, F=lsDFMPnqu, U={mail_user}:{mail_user},
	S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, T=DNS/RFC822/X-Unix,
	A=keeper $u
{smtp_time}"""


class Sendmail(Mta):
    package = "sendmail"
    inject = [f"{PROGRAMS}/sendmail", "-Am"]
    asks_as = "root"
    virtuals = f"sales@{VIRTUAL_DOMAIN} carol@{VIRTUAL_DOMAIN}\n"

    def write_settings(self):
        for name in ("smmta", "smmsp"):
            self.host.add_user(name, home="/var/lib/sendmail")
        # Without a full name of its own sendmail waits for a minute.
        self.write("/etc/hosts", f"127.0.0.1 localhost\n"
                   f"127.0.1.1 mx.{HOST_DOMAIN} mx {os.uname().nodename}\n")
        self.write("/etc/mail/local-host-names", f"{HOST_DOMAIN}\n")
        self.write("/etc/mail/mailertable", f"{VIRTUAL_DOMAIN}\tbrim:{VIRTUAL_DOMAIN}\n"
                   f"{SENDER_DOMAIN}\treports:{SENDER_DOMAIN}\n")
        parts = sections("sendmail.mc")
        self.write("/etc/mail/sendmail.mc", SETTINGS.format(
            host=HOST_DOMAIN, virtual=VIRTUAL_DOMAIN, luser=LUSER, port=self.port,
            keeper=self.keeper, mail_user=MAIL_USER, more=self.more,
            local=parts["before MAILER(`local')"], virtual_mailer=parts["at the end"],
            smtp_time=parts["at SMTP time"] if self.smtp_time else ""))
        self.write("/etc/mail/sendmail.cf", subprocess.run(
            ["m4", "/etc/mail/sendmail.mc"], check=True, stdout=subprocess.PIPE,
            text=True).stdout)
        with open("/etc/mail/mailertable", "rb") as lines:
            subprocess.run([f"{PROGRAMS}/makemap", "hash", "/etc/mail/mailertable"],
                           stdin=lines, check=True)
        subprocess.run([f"{PROGRAMS}/sendmail", "-bi"], check=True,
                       stdout=subprocess.DEVNULL)

    def command(self):
        return [f"{PROGRAMS}/sendmail", "-bD", "-q1h"]

    def waiting(self):
        """What mailq shows: a reason in brackets, and the recipient behind it."""
        listing = self.run(f"{PROGRAMS}/sendmail", "-bp", "-v")
        return dict(reversed(pair) for pair in
                    re.findall(r"\n *\((.*)\)\n\s+<(.*)>", listing))

    def retry(self):
        self.run(f"{PROGRAMS}/sendmail", "-q")
