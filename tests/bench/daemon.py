"""quotad under load: pairs, questions and how long they take, memory, and counts."""

import contextlib
import os
import pathlib
import socket
import subprocess
import threading
import time

import brim as private_brim
from report import fields, median

MAILBOXES = 100000  # in the table
BUSY = 1000  # of them, for the rates
MESSAGES = 100000  # of the large Maildir
LARGE = "large@bench.test"
UID = 20001


class Daemon:
    """A private Brim with many mailboxes, one of them large, and the load's program."""

    def __init__(self, place, programs):
        self.programs = programs
        self.brim = private_brim.Brim(parent=place, quotad_timeout="60s")
        self.helpers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.helpers:
            process.kill()
            process.wait()
        self.brim.close()

    def set_up(self, small, mailboxes, messages):
        """SMALL is the folder that gets the mailboxes, where folders cost little."""
        self.large = self.brim.home / "large/Maildir"
        self.brim.make_maildir(self.large, UID, UID)
        for i in range(messages):
            os.mknod(self.large / ("cur" if i % 10 else "new") /
                     f"1700000000.M{i}P{i % 32768}.bench,S=4096", 0o100600)
        # what is committed to a Maildir that is not there is missing mail to quotad
        make_maildirs(small, mailboxes)
        fixed = f"uid={UID} gid={UID} quota={1 << 40} mail={small}"
        self.brim.load("@bench.test", f"{LARGE} uid={UID} gid={UID} mail={self.large}/",
                       *(f"u{i}@bench.test {fixed}/{i}/" for i in range(mailboxes)))
        self.brim.start_quotad()

    def load(self, path, kind, connections, window, seconds, mailboxes):
        """The load's own report."""
        words = [self.programs / "load", path, kind, connections, window, seconds,
                 mailboxes]
        done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, text=True,
                              check=True, timeout=300)
        told = fields(done.stdout)
        if told["faults"]:
            raise RuntimeError(f"{kind}: {told['faults']} answers were not OK")
        return told

    def ask(self, kind, connections, window, seconds, mailboxes):
        return self.load(self.brim.socket, kind, connections, window, seconds, mailboxes)

    def start_echo(self):
        """The echo server, whose answers are as long as quotad's to GET."""
        path = self.brim.folder / "run/echo.sock"
        answer = self.brim.ask(f"GET u{BUSY // 2}@bench.test")[0]
        self.helpers.append(
            subprocess.Popen([self.programs / "echo", path, str(len(answer))]))
        self._wait_for(path)
        return path

    @staticmethod
    def _wait_for(path):
        limit = time.monotonic() + private_brim.PATIENCE
        while True:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
                try:
                    return s.connect(str(path))
                except OSError:
                    if time.monotonic() > limit:
                        raise
            time.sleep(0.01)

    def resident_kib(self):
        """VmRSS of the daemon, and of its scanner processes."""
        daemon = self.brim.quotad.pid
        children = pathlib.Path(f"/proc/{daemon}/task/{daemon}/children").read_text()
        family = [pid for child in children.split() for pid in (child, *descendants(child))]
        return resident(daemon), [resident(pid) for pid in family]


def make_maildirs(parent, count):
    """Empty ones, numbered, that belong to the benchmark's user."""
    parent.mkdir(mode=0o755)
    for i in range(count):
        for name in ("", "/cur", "/new", "/tmp"):
            os.mkdir(f"{parent}/{i}{name}", 0o700)
            os.chown(f"{parent}/{i}{name}", UID, UID)


def descendants(pid):
    with contextlib.suppress(OSError):
        words = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return words + [below for word in words for below in descendants(word)]
    return []


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def rate(told):
    return told["turns"] * 1e9 / told["ns"]


def busy(told):
    """Per cent of a core that the client itself took."""
    return f"{100 * told['cpu_ns'] / told['ns']:.0f} %"


PIPELINED = (8, 32)  # connections, and requests of each under way
IN_TURN = (16, 1)  # as most clients ask: the next when the answer is there


def measure_rates(report, daemon, quick):
    """Pairs a second, and GET beside the echo server, in turn."""
    seconds, number = (1, 3) if quick else (2, 5)
    daemon.ask("pairs", *PIPELINED, 0, BUSY)
    quotad, echo = daemon.brim.socket, daemon.start_echo()
    kinds = {
        "RESERVE + COMMIT, pipelined": (quotad, "pairs", *PIPELINED),
        "GET, one at a time": (quotad, "get", *IN_TURN),
        "echo server, one at a time": (echo, "get", *IN_TURN),
        "GET, pipelined": (quotad, "get", *PIPELINED),
        "echo server, pipelined": (echo, "get", *PIPELINED),
    }
    told = {name: [] for name in kinds}
    for _ in range(number):
        for name, words in kinds.items():
            told[name].append(daemon.load(*words, seconds, BUSY))
    report.table(("", "a second", "client's core"),
                 [(name, f"{median(map(rate, runs)):,.0f}", busy(runs[-1]))
                  for name, runs in told.items()])
    report.at_least("RESERVE + COMMIT pairs a second",
                    median(map(rate, told["RESERVE + COMMIT, pipelined"])), 40000,
                    form="{:,.0f}")
    report.at_least("GET beside an echo server, one at a time on 16 connections",
                    median([100 * rate(get) / rate(bare) for get, bare in
                            zip(told["GET, one at a time"],
                                told["echo server, one at a time"])]),
                    60, "% of its rate", "{:,.0f}")


class Recounting:
    """RECOUNT of the large mailbox in a loop, as long as the block runs."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.counts = 0
        self.stopping = False
        self.thread = threading.Thread(target=self._loop)

    def _loop(self):
        while not self.stopping:
            self.daemon.brim.recount(LARGE)
            self.counts += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()
        if not self.counts:
            raise RuntimeError("no count came to its end")


def measure_latency(report, daemon, quick):
    """16 connections with one request each under way: alone, and beside counts."""
    rows, each, number = [], 1 if quick else 2, 3

    def ask(what, limit_ms):
        for kind, name in (("get", "GET"), ("pairs", "RESERVE + COMMIT")):
            told = [daemon.ask(kind, *IN_TURN, each, BUSY) for _ in range(number)]
            p50 = median([t["p50_ns"] for t in told]) / 1e6
            p99 = median([t["p99_ns"] for t in told]) / 1e6
            rows.append((f"{name}, {what}", f"{p50:.3f}", f"{p99:.3f}",
                         f"{median(map(rate, told)):,.0f}"))
            report.at_most(f"p99 of {name}, 16 connections, {what}", p99, limit_ms, "ms",
                           "{:,.3f}")

    ask("alone", 1)
    with Recounting(daemon):
        ask(f"beside counts of {MESSAGES:,} messages", 2)
    report.table(("16 connections", "p50 ms", "p99 ms", "a second"), rows)


def measure_count(report, daemon, quick):
    """A count beside a bare readdir, in turn."""
    words = [daemon.programs / "scan", f"{daemon.large}/", 5 if quick else 15]
    done = subprocess.run(list(map(str, words)), stdout=subprocess.PIPE, text=True,
                          check=True, timeout=120)
    told = [fields(line) for line in done.stdout.strip().splitlines()]
    if any(t["messages"] != MESSAGES or not t["exact"] for t in told):
        raise RuntimeError("a count was wrong")
    bare = median([t["readdir_ns"] for t in told]) / 1e6
    count = median([t["count_ns"] for t in told]) / 1e6
    report.table((f"{MESSAGES:,} messages with S=", "ms"),
                 [("readdir", f"{bare:.1f}"), ("count", f"{count:.1f}")])
    report.at_most("a count beside a bare readdir",
                   median([t["count_ns"] / t["readdir_ns"] for t in told]), 1.5, "times")


def measure_memory(report, daemon):
    """Every mailbox of the table has had a RESERVE and a COMMIT."""
    began = time.monotonic()
    told = daemon.ask("pairs", 16, 16, 0, MAILBOXES)
    if told["turns"] != MAILBOXES:
        raise RuntimeError(f"{told['turns']} mailboxes in use")
    took = time.monotonic() - began
    own, scanners = daemon.resident_kib()
    report.table((f"{MAILBOXES:,} mailboxes in use", "VmRSS MB"),
                 [("daemon", f"{own / 1024:.1f}"),
                  (f"scanner and children, {len(scanners)} processes",
                   f"{sum(scanners) / 1024:.1f}")])
    report.at_most(f"first use of {MAILBOXES:,} mailboxes, each counted", took, 10, "s",
                   "{:,.1f}")
    report.at_most(f"quotad with {MAILBOXES:,} mailboxes in use", own / 1024, 40, "MB",
                   "{:,.1f}")
