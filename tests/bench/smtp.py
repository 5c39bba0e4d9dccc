"""Answers at SMTP time: the policy service beside Dovecot's quota-status and a loop that
answers DUNNO to everything, maps beside a bare netstring loop, idle connections, and mail
through smtpd."""

import contextlib
import pathlib
import resource
import socket
import subprocess
import time

import brim as private_brim
import daemon
import users
from postfix import MailServer
from report import fields, median

MAILBOXES = 1000
IDLE = 10000
FEW, MANY = 1000, 1000000  # users of the tables
MESSAGES = 1000
UID = 20001
REQUEST = (b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=u1@bench.test\n"
           b"size=4096\n\n")

# quota-status with no other service than what it needs; the quota is never reached
DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols =
ssl = no
first_valid_uid = 1
mail_location = maildir:~/
mail_plugins = quota
passdb {{
  driver = static
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
plugin {{
  quota = maildir:User quota
  quota_rule = *:bytes=1T
  quota_status_success = DUNNO
  quota_status_nouser = DUNNO
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
service quota-status {{
  executable = quota-status -p postfix
  client_limit = 1
  unix_listener {folder}/quota-status {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    """A private Dovecot whose quota-status answers for the same mailboxes."""

    def __init__(self, folder, small):
        self.folder = folder
        self.folder.mkdir(mode=0o755)
        self.path = folder / "quota-status"
        (folder / "users").write_text("".join(
            f"u{i}@bench.test::{UID}:{UID}::{small}/{i}::\n"
            for i in range(MAILBOXES)))
        (folder / "users").chmod(0o644)
        conf = folder / "dovecot.conf"
        conf.write_text(DOVECOT.format(folder=folder))
        self.process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", conf], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Answers:
    """Brim with policy and maps, Dovecot, and the bare loops, on the same mailboxes."""

    def __init__(self, place, programs, small=None, count=MAILBOXES):
        self.programs = programs
        self.stack = contextlib.ExitStack()
        self.brim = self.stack.enter_context(private_brim.Brim(
            parent=place, quotad_timeout="60s"))
        run = self.brim.folder / "run"
        self.brim.configure(policy_listen=run / "policy", policy_group="",
                            map_listen=run / "map", map_group="")
        self.small, self.count = small, count
        self.paths = {"policy": run / "policy", "map": run / "map"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self):
        mail = self.small / "asked"
        daemon.make_maildirs(mail, MAILBOXES)
        step = self.count // MAILBOXES
        fixed = f"uid={UID} gid={UID} quota={1 << 40}"
        dump = self.brim.folder / "users.dump"
        with open(dump, "w") as f:
            f.write("@bench.test\n")
            f.writelines(f"u{i}@bench.test {fixed} mail={mail}/{i // step if i % step == 0 else f'no{i}'}/\n"
                         for i in range(self.count))
        self.brim.admin("init")
        users.run(private_brim.BIN / "brimadm", "-c", self.brim.conf, "load", "--replace",
                  "--force", dump)
        dump.unlink()
        self.brim.start_quotad()
        self.stack.callback(subprocess.run, ["rm", "-rf", mail])
        return mail

    def start_others(self, mail):
        for kind in ("policy", "map"):
            path = self.paths[f"bare {kind}"] = self.brim.folder / f"run/bare-{kind}"
            process = subprocess.Popen([self.programs / "echo", path, kind])
            self.stack.callback(process.wait)
            self.stack.callback(process.kill)
        dovecot = Dovecot(self.brim.folder / "dovecot", mail)
        self.stack.callback(dovecot.close)
        self.paths["dovecot"] = dovecot.path
        for name in ("bare policy", "bare map", "dovecot"):
            daemon.Daemon._wait_for(self.paths[name])

    def load(self, name, kind, connections, seconds):
        words = [self.programs / "load", self.paths[name], kind, connections, 1, seconds,
                 MAILBOXES, self.count // MAILBOXES]
        done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, text=True,
                              check=True, timeout=300)
        told = fields(done.stdout)
        if told["faults"]:
            raise RuntimeError(f"{name}: {told['faults']} answers were not DUNNO")
        return told


def measure_rates(report, answers, quick):
    """In turn, with 1 and 16 connections, the next request when the answer is there."""
    seconds, number = (1, 3) if quick else (2, 5)
    names = {"quotad, policy": ("policy", "policy"), "bare loop, policy": ("bare policy", "policy"),
             "Dovecot's quota-status": ("dovecot", "policy"),
             "quotad, map": ("map", "map"), "bare loop, map": ("bare map", "map")}
    rows, rates = [], {}
    for connections in (1, 16):
        told = {name: [] for name in names}
        for name, words in names.items():
            answers.load(*words, connections, 1)  # each mailbox is known then
        for _ in range(number):
            for name, words in names.items():
                told[name].append(answers.load(*words, connections, seconds))
        for name, runs in told.items():
            rates[name] = list(map(daemon.rate, runs))
            rows.append((f"{name}, {connections}", f"{median(rates[name]):,.0f}",
                         f"{median([t['p50_ns'] for t in runs]) / 1e6:.3f}",
                         f"{median([t['p99_ns'] for t in runs]) / 1e6:.3f}"))
    report.table(("answers, connections", "a second", "p50 ms", "p99 ms"), rows)

    def beside(one, other):
        return median([a / b for a, b in zip(rates[one], rates[other])])

    report.at_least("policy answers beside Dovecot's quota-status, 16 connections",
                    beside("quotad, policy", "Dovecot's quota-status"), 20, "times", "{:,.1f}")
    for kind in ("policy", "map"):
        report.at_least(f"{kind} answers beside a bare loop, 16 connections",
                        100 * beside(f"quotad, {kind}", f"bare loop, {kind}"), 50,
                        "% of its rate", "{:,.0f}")


def measure_idle(report, answers):
    """Each has asked once, as smtpd's connections have."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, limits[1])))
    open_ones = []
    try:
        for _ in range(IDLE):
            s = socket.socket(socket.AF_UNIX)
            open_ones.append(s)
            s.connect(str(answers.paths["policy"]))
            s.sendall(REQUEST)
            if s.recv(100) != b"action=DUNNO\n\n":
                raise RuntimeError(f"connection {len(open_ones)} got no answer")
        own = daemon.resident(answers.brim.quotad.pid) / 1024
    finally:
        for s in open_ones:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    report.at_most(f"quotad with {IDLE:,} idle policy connections", own, 100, "MB", "{:,.1f}")


def measure_flat(report, place, small, programs, quick):
    """The same number of busy mailboxes, spread over a small table and a large one."""
    seconds, number = (1, 3) if quick else (2, 5)
    with contextlib.ExitStack() as stack:
        tables = {}
        for count in (FEW, MANY):
            folder = small / f"flat{count}"
            folder.mkdir(mode=0o755)
            tables[count] = stack.enter_context(Answers(place, programs, folder, count))
            tables[count].start()
            tables[count].load("policy", "policy", 16, 1)
        told = {count: [] for count in tables}
        for _ in range(number):
            for count, answers in tables.items():
                told[count].append(daemon.rate(answers.load("policy", "policy", 16, seconds)))
    few, many = median(told[FEW]), median(told[MANY])
    report.table(("policy, 16 connections", "a second"),
                 [(f"among {FEW:,} users", f"{few:,.0f}"),
                  (f"among {MANY:,} users", f"{many:,.0f}")])
    report.at_least(f"policy answers among {MANY:,} users beside {FEW:,}",
                    100 * median([b / a for a, b in zip(told[FEW], told[MANY])]), 90,
                    "% of the rate", "{:,.0f}")


# --- through smtpd ------------------------------------------------------------------------

CLEANUP = "cleanup-{name} unix n - n - 0 cleanup\n  -o virtual_alias_maps={alias}\n"
SMTPD = ("127.0.0.1:{port} inet n - n - - smtpd\n"
         "  -o smtpd_recipient_restrictions=reject_unauth_destination,$ask_{name}\n"
         "  -o cleanup_service_name=cleanup-{name}\n"
         "  -o virtual_mailbox_maps={mailbox}\n"
         "  -o virtual_alias_maps={alias}\n")
POLICY = "ask_{name} = check_policy_service {{ unix:private/{socket}, default_action=DUNNO }}\n"


class BothWays(MailServer):
    """One smtpd that asks Brim alone, and one with hash maps and a policy of DUNNO."""

    def _ways(self):
        settings, services = super()._ways()
        self.maps = {}
        for name in ("mailbox", "alias"):
            self.maps[name] = self.host.folder / name
            self.maps[name].write_text("".join(f"u{i}@bench.test x\n" for i in range(MAILBOXES))
                                       if name == "mailbox" else "none@bench.test x\n")
        self.ports, services = {}, services + "\n"
        for name, mailbox, alias, path in (
                ("brim", "socketmap:unix:private/brim-map:mailbox",
                 "socketmap:unix:private/brim-map:alias", "brim-policy"),
                ("bare", f"hash:{self.maps['mailbox']}", f"hash:{self.maps['alias']}", "bare")):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.ports[name] = s.getsockname()[1]
            words = {"name": name, "mailbox": mailbox, "alias": alias, "socket": path,
                     "port": self.ports[name]}
            services += CLEANUP.format(**words) + SMTPD.format(**words)
            settings += POLICY.format(**words)
        # hash: the maps are made before Postfix begins
        settings += ("virtual_mailbox_domains = bench.test\nvirtual_transport = discard:\n"
                     "smtpd_client_connection_count_limit = 0\n")
        services += "discard unix - - n - - discard\n"
        return settings, services


def send(port, count):
    began = time.monotonic()
    subprocess.run(["smtp-source", "-s", "4", "-m", str(count), "-l", "4096", "-f",
                    "me@sender.test", "-t", "u1@bench.test", f"127.0.0.1:{port}"],
                   check=True, timeout=300)
    return time.monotonic() - began


def measure_mail(report, programs, quick):
    """MESSAGES through each smtpd, in turn; what becomes of them is thrown away."""
    with BothWays() as server:
        private = server.postfix.spool / "private"
        for path in server.maps.values():
            subprocess.run(["postmap", f"hash:{path}"], check=True, stderr=subprocess.DEVNULL)
            pathlib.Path(f"{path}.db").chmod(0o644)
        server.brim.stop_quotad()
        server.brim.configure(policy_listen=private / "brim-policy",
                              map_listen=private / "brim-map")
        server.brim.mailbox("u1@bench.test", uid=UID)
        server.brim.start_quotad()
        bare = subprocess.Popen([programs / "echo", private / "bare", "policy"])
        try:
            daemon.Daemon._wait_for(private / "bare")
            told = {name: [] for name in server.ports}
            for port in server.ports.values():
                send(port, 100)
            for _ in range(3 if quick else 7):
                for name, port in server.ports.items():
                    told[name].append(send(port, MESSAGES))
        finally:
            bare.kill()
            bare.wait()
    report.table((f"{MESSAGES:,} messages through smtpd", "s"),
                 [("Brim's policy and maps", f"{median(told['brim']):.2f}"),
                  ("hash maps, a policy of DUNNO", f"{median(told['bare']):.2f}")])
    report.at_most("Brim's policy and maps beside hash maps and a policy of DUNNO",
                   median([100 * (brim / bare - 1) for brim, bare in
                           zip(told["brim"], told["bare"])]), 5, "% more", "{:,.1f}")


def measure(report, place, small, programs, quick, attempt):
    """All of it; SMALL is a folder where folders cost little."""
    report.title("At SMTP time")
    folder = small / "smtp"
    folder.mkdir(mode=0o755)
    with Answers(place, programs, folder) as answers:
        answers.start_others(answers.start())
        attempt(report, "policy and maps", measure_rates, answers, quick)
        attempt(report, "idle connections", measure_idle, answers)
    attempt(report, "policy and many users", measure_flat, place, folder, programs, quick)
