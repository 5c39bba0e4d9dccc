"""A private OpenSMTPD, with the actions of etc/opensmtpd.conf."""

import os

from mta import HOST_DOMAIN, LUSER, MAIL_USER, SENDER_DOMAIN, VIRTUAL_DOMAIN, Mta, sections


class OpenSMTPD(Mta):
    package = "opensmtpd"
    inject = ["/usr/sbin/sendmail"]
    asks_as = "opensmtpd"
    virtuals = f"sales@{VIRTUAL_DOMAIN} carol@{VIRTUAL_DOMAIN}\n" \
               f"carol@{VIRTUAL_DOMAIN} {MAIL_USER}\n" \
               f"o'd/d$x@{VIRTUAL_DOMAIN} {MAIL_USER}\n" \
               f"@{VIRTUAL_DOMAIN} carol@{VIRTUAL_DOMAIN}\n"

    def write_settings(self):
        for name in ("opensmtpd", "opensmtpq"):
            gid = self.host.add_user(name, home="/var/lib/opensmtpd/empty")
        os.chown("/usr/sbin/smtpctl", 0, gid)
        os.chmod("/usr/sbin/smtpctl", 0o2755)
        self.write("/etc/mailname", f"{HOST_DOMAIN}\n")
        parts = sections("opensmtpd.conf")
        self.write("/etc/smtpd.conf", f"""\
{parts["at SMTP time"] if self.smtp_time else ""}
listen on 127.0.0.1 port {self.port} hostname {HOST_DOMAIN} {
    'filter "brim"' if self.smtp_time else ""}
smtp sub-addr-delim "+"
{self.more}
table reported {{ "@{SENDER_DOMAIN}" = "{MAIL_USER}" }}
action "reports" mda "exec {self.keeper}" virtual <reported>
match from local for domain "{SENDER_DOMAIN}" action "reports"
table unknown {{ "@{HOST_DOMAIN}" = "{LUSER}" }}
action "luser" mda "exec /usr/local/lib/brim/lda" virtual <unknown>
match from any for rcpt-to "nosuch@{HOST_DOMAIN}" action "luser"
{parts["deliveries"]}
match from any for domain "mx.{HOST_DOMAIN}" action "brim"
""")

    def command(self):
        return ["/usr/sbin/smtpd", "-F"]

    def waiting(self):
        """What smtpctl shows of each envelope that was tried, and is no bounce by now."""
        rows = (line.split("|") for line in self.run("smtpctl", "show", "queue").splitlines())
        return {row[5]: row[-1] for row in rows if row[2] == "mda" and row[-1]}

    def retry(self):
        self.run("smtpctl", "schedule", "all")
