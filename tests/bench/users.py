"""The tools and the table with 1,000,000 users: how long, and how much memory."""

import os
import pathlib
import subprocess
import time

import brim as private_brim
import daemon
from report import fields, median

MANY = 1000000  # users of the large table
FEW = 10000  # of the one beside it; and the mailboxes that are checked
LISTED = 100000  # mailboxes of a brimq --list
UID = 20001
QUOTA = 1 << 30
CHECKED = (0, 1)  # of brimadm check: nothing found, something found


def write_dump(path, count):
    """A dump of COUNT users of one domain, in the order of their keys."""
    with open(path, "w") as f:
        f.write("@bench.test\n")
        for i in sorted(range(count), key=lambda i: f"{i}@"):
            f.write(f"u{i}@bench.test uid={UID} gid={UID} "
                    f"mail=/srv/mail/bench.test/u{i}/ quota={QUOTA}\n")


def run(*words, output=None, errors=None, accept=(0,)):
    """Runs it: seconds, and its peak of resident memory in MB."""
    began = time.monotonic()
    process = subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL,
                               stdout=output or subprocess.DEVNULL, stderr=errors)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in accept:
        raise RuntimeError(f"{pathlib.Path(words[0]).name} {words[-1]}: "
                           f"status {process.returncode}")
    return seconds, used.ru_maxrss / 1024


class Table:
    """A private Brim with a table of COUNT users."""

    def __init__(self, place, count):
        self.count = count
        self.brim = private_brim.Brim(parent=place)
        self.dump = self.brim.folder / "users.dump"

    def __enter__(self):
        write_dump(self.dump, self.count)
        self.brim.admin("init")
        return self

    def __exit__(self, *_):
        self.brim.close()

    def admin(self, *words, **how):
        return run(private_brim.BIN / "brimadm", "-c", self.brim.conf, *words, **how)

    def load(self):
        """Seconds and MB of a load in the place of all records."""
        return self.admin("load", "--replace", "--force", self.dump)

    def address(self, i):
        return f"u{i % self.count}@bench.test"


def measure_load(report, table):
    seconds, peak = table.load()
    size = table.brim.users_db.stat().st_size / 1e6
    report.table((f"{MANY:,} users", "s", "peak MB"),
                 [("load --replace", f"{seconds:.1f}", f"{peak:.0f}"),
                  ("(the table's size, MB)", "", f"{size:.0f}")])
    report.at_most(f"load of {MANY:,} users", seconds, 20, "s")
    report.at_most(f"load of {MANY:,} users, peak", peak, 300, "MB", "{:,.0f}")


def measure_dump(report, table):
    shown = table.brim.folder / "shown.dump"
    with open(shown, "wb") as f:
        seconds, _ = table.admin("dump", output=f)
    if shown.read_bytes() != table.dump.read_bytes():
        raise RuntimeError("the dump is not what was loaded")
    report.at_most(f"dump of {MANY:,} users", seconds, 10, "s")


def measure_set(report, table, quick, what):
    """One change, from its start to its end: all of the table is copied and read."""
    told = [table.admin("set", table.address(i * 7919), f"quota={i + 1}G")[0]
            for i in range(5 if quick else 15)]
    report.at_most(f"one set of {MANY:,} users, {what}", median(told), 0.5, "s")


def look_up(table, i):
    """Microseconds of an lda that finds its recipient, and refuses it as another's."""
    lda = [private_brim.BIN / "lda", "-c", table.brim.conf, "-d", table.address(i)]
    began = time.monotonic_ns()
    done = subprocess.run(lda, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if done.returncode == 0 or b"uid" not in done.stdout:
        raise RuntimeError(f"lda answered {done.stdout!r}")
    return (time.monotonic_ns() - began) / 1000


def measure_look_up(report, large, place, quick):
    """The whole lda with the large table and with a small one, in turn."""
    with Table(place, FEW) as small:
        small.load()
        tables = {FEW: small, MANY: large}
        told = {count: [] for count in tables}
        for i in range(200 if quick else 1000):
            for count, table in tables.items():
                told[count].append(look_up(table, i * 7919))
    few, many = median(told[FEW]), median(told[MANY])
    report.table(("lda that finds its recipient", "us"),
                 [(f"among {FEW:,}", f"{few:.0f}"), (f"among {MANY:,}", f"{many:.0f}")])
    report.at_most(f"look-up among {MANY:,} beside {FEW:,}",
                   100 * (many / few - 1), 10, "% more", "{:,.1f}")


def measure_start(report, table):
    """From quotad's start to the answer to its first GET."""
    began = time.monotonic()
    table.brim.start_quotad()
    answer = table.brim.ask(f"GET {table.address(1)}")[0]
    seconds = time.monotonic() - began
    if not answer.startswith("OK"):
        raise RuntimeError(f"quotad answered {answer!r}")
    report.at_most(f"quotad's start to its first answer, {MANY:,} users", seconds, 1, "s")


def measure_resident(report, table, programs):
    """LISTED of the users have had a RESERVE and a COMMIT each."""
    words = [programs / "load", table.brim.socket, "pairs", 16, 16, 0, LISTED]
    done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, text=True,
                          check=True, timeout=600)
    if fields(done.stdout)["faults"] or fields(done.stdout)["turns"] != LISTED:
        raise RuntimeError(f"{LISTED} pairs: {done.stdout.strip()}")
    kib = daemon.resident(table.brim.quotad.pid)
    report.at_most(f"quotad with {MANY:,} users, {LISTED:,} mailboxes in use",
                   kib / 1024, 60, "MB", "{:,.1f}")


def measure_list(report, place):
    """brimq --list of LISTED mailboxes, all of them in the table and none counted."""
    with Table(place, LISTED) as table:
        table.load()
        table.brim.start_quotad()
        seconds, peak = run(private_brim.BIN / "brimq", "-c", table.brim.conf, "--list")
    report.line(f"  brimq --list of {LISTED:,} mailboxes: peak {peak:.0f} MB")
    report.at_most(f"brimq --list of {LISTED:,} mailboxes", seconds, 2, "s")


def measure_check(report, place):
    """brimadm check of FEW mailboxes that are there, with quotad."""
    with private_brim.Brim(parent=place) as brim:
        fixed = f"uid={UID} gid={UID} quota={QUOTA}"
        lines = ["@bench.test"]
        for i in range(FEW):
            mail = brim.home / f"u{i}/Maildir"
            brim.make_maildir(mail, UID, UID)
            lines.append(f"u{i}@bench.test {fixed} mail={mail}/")
        brim.load(*lines)
        brim.start_quotad()
        # what it says of this host's own accounts and MTA is no matter here
        seconds, _ = run(private_brim.BIN / "brimadm", "-c", brim.conf, "check",
                         errors=subprocess.DEVNULL, accept=CHECKED)
        report.at_most(f"brimadm check of {FEW:,} mailboxes", seconds, 10, "s")


def measure(report, place, programs, quick, attempt):
    """All of it, on PLACE; ATTEMPT tells what could not be measured."""
    report.title(f"{MANY:,} users")
    with Table(place, MANY) as table:
        attempt(report, "load", measure_load, table)
        attempt(report, "dump", measure_dump, table)
        attempt(report, "set", measure_set, table, quick, "without quotad")
        attempt(report, "look-up", measure_look_up, table, place, quick)
        attempt(report, "start of quotad", measure_start, table)
        attempt(report, "set beside quotad", measure_set, table, quick, "beside quotad")
        attempt(report, "memory", measure_resident, table, programs)
    attempt(report, "brimq --list", measure_list, place)
    attempt(report, "brimadm check", measure_check, place)
