"""A private Exim, with the routers, transports and retry rule of etc/exim.conf."""

import contextlib
import pathlib
import re

from mta import HOST_DOMAIN, LUSER, MAIL_USER, SENDER_DOMAIN, VIRTUAL_DOMAIN, Mta, sections

SETTINGS = """\
primary_hostname = mx.{host}
qualify_domain = {host}
domainlist local_domains = {host} : mx.{host} : {virtual}
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
acl_smtp_rcpt = rcpt
acl_smtp_data = data
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
smtp_accept_queue_per_connection = 0
log_file_path = syslog
never_users = root
{more}{main}begin acl
{acl}rcpt:
{ask}  require verify = recipient
  accept domains = +local_domains
data:
{ask_whole}  accept
begin routers
reports:
  driver = accept
  domains = {sender}
  no_verify
  transport = reports
virtual_aliases:
  driver = redirect
  domains = {virtual}
  data = ${{lookup{{$local_part@$domain}}lsearch{{/etc/mail/virtuals}}}}
{virtual_routers}system_aliases:
  driver = redirect
  domains = +local_domains
  allow_fail
  allow_defer
  data = ${{lookup{{$local_part}}lsearch{{/etc/aliases}}}}
userforward:
  driver = redirect
  domains = +local_domains
  check_local_user
  local_part_suffix = +* : -*
  local_part_suffix_optional
  file = $home/.forward
  no_verify
  no_expn
  check_ancestor
  pipe_transport = address_pipe
other_delimiter:
  driver = accept
  domains = {host}
  check_local_user
  local_part_suffix = -*
  transport = brim_account
{account_router}
luser:
  driver = redirect
  domains = {host}
  data = {luser}
begin transports
{transports}
address_pipe:
  driver = pipe
  return_fail_output
reports:
  driver = pipe
  command = {keeper}
  user = {mail_user}
  message_prefix =
  message_suffix =
begin retry
{retry}"""


CATCH_ALL = """\
virtual_catch_all:
  driver = redirect
  domains = {virtual}
  data = ${{lookup{{@$domain}}lsearch{{/etc/mail/virtuals}}}}

# What is left"""


class Exim(Mta):
    package = "exim"
    inject = ["/usr/sbin/exim4"]
    asks_as = "Debian-exim"
    virtual_mailboxes = "carol\no'd/d$x\nbob\ninfo\n"  # None: it knows none, as in etc/
    virtuals = f"sales@{VIRTUAL_DOMAIN} carol@{VIRTUAL_DOMAIN}\n" \
               f"@{VIRTUAL_DOMAIN} carol@{VIRTUAL_DOMAIN}\n"

    def write_settings(self):
        uid = self.host.add_user("Debian-exim")
        for place in ("/var/spool/exim4", "/var/log/exim4"):
            self.own(place, uid)
        parts = sections("exim.conf")
        routers = parts["routers of virtual mailboxes"].replace(
            "# What is left", CATCH_ALL.format(virtual=VIRTUAL_DOMAIN))
        if not self.smtp_time and self.virtual_mailboxes is not None:
            routers = routers.replace("# local_parts", "  local_parts")
        self.write("/etc/exim4/virtual_mailboxes", self.virtual_mailboxes or "")
        self.write("/etc/exim4/exim4.conf", SETTINGS.format(
            host=HOST_DOMAIN, virtual=VIRTUAL_DOMAIN, luser=LUSER, port=self.port,
            sender=SENDER_DOMAIN, keeper=self.keeper, mail_user=MAIL_USER, more=self.more,
            ask="  require acl = brim_rcpt\n" if self.smtp_time else "",
            ask_whole="  require acl = brim_data\n" if self.smtp_time else "",
            virtual_routers=routers, account_router=parts["router of accounts"], **parts))

    def command(self):
        return ["/usr/sbin/exim4", "-bdf", "-q1h"]

    def waiting(self):
        """What the logs of the messages in its queue (exim -Mvl) said last."""
        reasons = {}
        for path in pathlib.Path("/var/spool/exim4/msglog").glob("*"):
            with contextlib.suppress(FileNotFoundError):  # it has just been delivered
                reasons.update(re.findall(r"^\S+ \S+ (\S+@\S+) (R=.* defer .*)$", path.read_text(), re.M))
        return reasons

    def retry(self):
        self.run("/usr/sbin/exim4", "-qff")
