"""Delivery agents side by side: one process a message, through a pipe, into a Maildir.
Beside them a process that does nothing, which is what the machine takes for any. The floor is
linked with the GNU C library, as the others are; in lda's, musl, it has no target."""

import os
import pathlib
import shutil
import subprocess

import brim as private_brim
import places
from report import fields, median

ADDRESS = "bench@bench.test"
USERS = 10000  # records of the table besides the one that gets mail
MESSAGE = (b"Return-Path: <sender@sender.test>\nDelivered-To: " + ADDRESS.encode() +
           b"\nSubject: bench\n\n")
MESSAGE += (b"x" * 63 + b"\n") * ((4096 - len(MESSAGE)) // 64)
MESSAGE += b"y" * (4096 - len(MESSAGE) - 1) + b"\n"
FAR = 1 << 40  # a limit that nobody reaches
FOLDERS = ("", "new", "cur", "tmp")

MAILFILTER = """\
MAILDIRQUOTA="{limit}S"
to "{mail}"
"""

# Debian's dovecot-lda with no daemon: HOME and USER say who the recipient is. Without
# the grace it would take a tenth more than the limit.
DOVECOT = """\
base_dir = {folder}/dovecot
state_dir = {folder}/dovecot
log_path = syslog
protocols =
ssl = no
first_valid_uid = 1
postmaster_address = postmaster@bench.test
mail_location = maildir:{mail}
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:bytes={limit}
  quota_grace = 0%%
}}
"""


class Agents:
    """The four agents in one folder, each with a Maildir of its own; lda with a quotad."""

    def __init__(self, place, uid, programs, limit=FAR):
        self.uid = uid
        self.programs = programs
        self.brim = private_brim.Brim(parent=place, quotad_timeout="60s")
        try:
            self._set_up(limit)
        except BaseException:
            self.close()
            raise

    def _set_up(self, limit):
        folder = self.brim.folder
        self.message = folder / "message"
        self.message.write_bytes(MESSAGE)
        self.mail = {name: self.brim.home / name / "Maildir"
                     for name in ("floor", "floor-musl", "lda", "maildrop", "dovecot-lda")}
        for mail in self.mail.values():
            self.brim.make_maildir(mail, self.uid, self.uid)
        self.brim.load("@bench.test", f"{ADDRESS} uid={self.uid} gid={self.uid} "
                       f"mail={self.mail['lda']}/ quota={limit}",
                       *(f"other{i}@bench.test uid={self.uid} gid={self.uid} "
                         f"mail={folder}/other/{i}/" for i in range(USERS)))
        self._write("mailfilter", MAILFILTER, self.mail["maildrop"], limit)
        self._write("dovecot.conf", DOVECOT, self.mail["dovecot-lda"], limit)
        self.commands = {
            "empty": [self.programs / "empty"],
            "floor": [self.programs / "floor", self.mail["floor"] / "new"],
            "floor-musl": [self.programs / "floor-musl", self.mail["floor-musl"] / "new"],
            "lda": [private_brim.BIN / "lda", "-c", self.brim.conf, "-d", ADDRESS],
            "maildrop": ["/usr/bin/maildrop", folder / "mailfilter"],
            "dovecot-lda": ["/usr/lib/dovecot/dovecot-lda", "-c", folder / "dovecot.conf",
                            "-e", "-f", "sender@sender.test"],
        }
        self.brim.start_quotad()

    def _write(self, name, text, mail, limit):
        """A file of settings that its agent takes: the user's own, and nobody else's."""
        path = self.brim.folder / name
        path.write_text(text.format(folder=self.brim.folder, mail=mail, limit=limit))
        path.chmod(0o600)
        os.chown(path, self.uid, self.uid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.brim.close()

    def run(self, command, **more):
        """Runs it as the recipient; its standard output."""
        return subprocess.run(
            list(map(str, command)), user=self.uid, group=self.uid, extra_groups=[],
            env={"HOME": str(self.brim.home), "USER": "bench", "PATH": "/usr/bin:/bin"},
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            check=True, timeout=120, **more).stdout

    def drive(self, name, count, abreast, gate=False):
        """COUNT messages; what the driver says."""
        command = [self.programs / "driver", *(["-g"] if gate else []), count, abreast,
                   self.message, *self.commands[name]]
        return fields(self.run(command))

    def deliver(self, name, count, abreast):
        """The same, where all must be taken; microseconds a message, and what it says."""
        told = self.drive(name, count, abreast)
        stored = len(os.listdir(self.mail[name] / "new")) if name in self.mail else count
        if told["accepted"] != count or stored < count:
            raise RuntimeError(f"{name}: {told['accepted']} of {count} taken, "
                               f"{stored} stored")
        return told["ns"] / 1000 / count, told

    def empty(self):
        """Takes the messages away, and lets the disk come to rest."""
        for mail in self.mail.values():
            for path in pathlib.Path(mail, "new").iterdir():
                path.unlink()
        os.sync()

    def forget(self):
        """As before the first message, quotad's number too."""
        for name, mail in self.mail.items():
            shutil.rmtree(mail)
            self.brim.make_maildir(mail, self.uid, self.uid)
        self.brim.recount(ADDRESS)


def rounds(agents, counts, abreast, number):
    """The agents in turn, NUMBER times: for each, its microseconds a message by round."""
    times = {name: [] for name in counts}
    for name in counts:
        agents.deliver(name, abreast, abreast)
    for _ in range(number):
        for name, count in counts.items():
            times[name].append(agents.deliver(name, count, abreast)[0])
        agents.empty()
    return times


def ratio(times, one, other):
    """How many times as long one takes as the other: the median of the rounds."""
    return median([a / b for a, b in zip(times[one], times[other])])


# How many times the floor's time a delivery may take, alone and 8 at a time; on tmpfs, where
# the floor is next to nothing, how much more.
BESIDE_FLOOR = {places.JOURNALLED: {1: 1.15, 8: 1.2}, places.ROOT: {1: 1.25, 8: 1.45}}
ABOVE_FLOOR = 200  # µs


def set_targets(report, place, abreast, times):
    where = f"{place}, {abreast} at a time"
    if place in BESIDE_FLOOR:
        report.at_most(f"lda beside the floor, {where}", ratio(times, "lda", "floor"),
                       BESIDE_FLOOR[place][abreast], "times")
    else:
        above = median([a - b for a, b in zip(times["lda"], times["floor"])])
        report.at_most(f"lda above the floor, {where}", above, ABOVE_FLOOR, "µs", "{:,.0f}")
    for name, bound in (("maildrop", 1.8), ("dovecot-lda", 6)):
        report.at_least(f"lda beside {name}, {where}", ratio(times, name, "lda"), bound,
                        "as fast", note=f"(floor {ratio(times, name, 'floor'):.2f})")


def measure_time(report, found, uid, programs, quick):
    """Every agent on every place, alone and 8 at a time."""
    report.title("One process per 4 KiB message: µs a message (times the floor's)")
    head, rows = ("", "empty", "floor", "floor-musl", "lda", "maildrop", "dovecot-lda"), []
    for place, folder in found.items():
        with Agents(folder, uid, programs) as agents:
            for abreast in (1, 8):
                each = 16 if quick else 32
                counts = {name: each for name in agents.commands}
                counts["dovecot-lda"] = max(each // 4, abreast)
                times = rounds(agents, counts, abreast, 5 if quick else 15)
                rows.append((f"{place}, {abreast} at a time", *(
                    f"{median(times[name]):,.0f} ({ratio(times, name, 'floor'):.1f})"
                    for name in head[1:])))
                set_targets(report, place, abreast, times)
    report.table(head, rows)


def count_calls(agents, name):
    """System calls of one delivery, by strace."""
    folder = agents.brim.home / f"trace-{name}"
    folder.mkdir(exist_ok=True)
    os.chown(folder, agents.uid, agents.uid)
    with open(agents.message, "rb") as message:
        subprocess.run(
            ["/usr/bin/strace", "-f", "-c", "-U", "calls,name", "-o", folder / "calls",
             *map(str, agents.commands[name])],
            user=agents.uid, group=agents.uid, extra_groups=[],
            env={"HOME": str(agents.brim.home), "USER": "bench"}, cwd="/", stdin=message,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=60)
    last = (folder / "calls").read_text().strip().splitlines()[-1]
    return int(last.split()[0])


def measure_calls(report, place, uid, programs):
    """System calls, page faults and processor time of each agent."""
    report.title("One delivery")
    rows = []
    with Agents(place, uid, programs) as agents:
        for name in agents.commands:
            agents.deliver(name, 8, 1)
            _, told = agents.deliver(name, 32, 1)
            rows.append((name, str(count_calls(agents, name)), f"{told['faults'] / 32:.0f}",
                         f"{told['cpu_us'] / 32:,.0f}"))
    report.table(("", "system calls", "page faults", "processor µs"), rows)


def measure_strictness(report, place, uid, programs):
    """64 at once into room for 10, five times each."""
    report.title("64 deliveries at once into room for 10: accepted in each of 5 runs")
    rows, room = [], 10 * len(MESSAGE) + len(MESSAGE) // 2
    with Agents(place, uid, programs, limit=room) as agents:
        for name in ("lda", "maildrop", "dovecot-lda"):
            accepted, stored = [], []
            for _ in range(5):
                agents.forget()
                accepted.append(agents.drive(name, 64, 64, gate=True)["accepted"])
                stored.append(len(os.listdir(agents.mail[name] / "new")))
            rows.append((name, " ".join(map(str, accepted)), " ".join(map(str, stored))))
            if name == "lda":
                report.exactly("lda, 64 at once into room for 10",
                               set(accepted + stored) == {10},
                               f"{min(accepted)} to {max(accepted)}", "exactly 10")
    report.table(("", "accepted", "files stored"), rows)
