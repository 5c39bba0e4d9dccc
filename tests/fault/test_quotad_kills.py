"""quotad killed at each system call of one delivery: the message is stored and lda says so,
or it is not and the MTA tries again; and after a start the number is the files."""

import collections
import contextlib
import re
import signal
import subprocess
import sys
import pathlib
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from brim import Brim, SANITIZED  # noqa: E402

UID = 20001
ALICE = "alice@example.org"
MESSAGE = b"Subject: fault\n\n" + b"x" * 500 + b"\n"
# Those by which quotad looks at its clock and its table, whether there is a delivery or not.
OF_ITSELF = {"newfstatat", "restart_syscall"}

pytestmark = pytest.mark.skipif(SANITIZED, reason="other system calls than the program's own")


@pytest.fixture(scope="module")
def brim():
    with Brim(quotad_timeout="2s", deadline="10s") as private:
        private.mail = private.mailbox(ALICE, uid=UID, quota=1 << 30)
        yield private


@contextlib.contextmanager
def traced(brim, *options):
    """strace on the running quotad; yields the file that it writes."""
    log = brim.folder / "quotad.trace"
    log.write_text("")
    with subprocess.Popen(["strace", "-p", str(brim.quotad.pid), "-o", log, *options],
                          stderr=subprocess.PIPE, text=True) as strace:
        assert "attached" in strace.stderr.readline()
        try:
            yield log
        finally:
            strace.terminate()


def calls_of_a_delivery(brim):
    """Names of the system calls, each with how often it is made."""
    brim.start_quotad()
    assert brim.deliver(ALICE, MESSAGE).status == 0
    with traced(brim) as log:
        assert brim.deliver(ALICE, MESSAGE).status == 0
        time.sleep(0.2)
    brim.stop_quotad()
    names = re.findall(r"^(\w+)\(", log.read_text(), re.M)
    return collections.Counter(name for name in names if name not in OF_ITSELF)


def check(brim, before, result, where):
    """One fault's outcome; returns what is wrong."""
    stored = len(brim.files(brim.mail)) - before
    if result.status not in (0, 75) or stored != (result.status == 0):
        return f"{where}: {result}, {stored} stored"
    if result.status == 75 and result.code not in ("4.3.0", "4.2.2"):
        return f"{where}: {result}"
    if brim.leftovers(brim.mail) or not brim.messages(brim.mail)[-1].endswith(MESSAGE):
        return f"{where}: not whole"
    used = brim.recount(ALICE)["used"]
    if used != str(brim.total(brim.mail)):
        return f"{where}: used {used}, files {brim.total(brim.mail)}"
    return None


def test_kill_at_each_call_of_a_delivery_loses_nothing(brim):
    faults, kills = [], 0
    for name, count in calls_of_a_delivery(brim).items():
        for number in range(1, count + 1):
            brim.start_quotad()
            before = len(brim.files(brim.mail))
            with traced(brim, "-e", f"inject={name}:signal=KILL:when={number}"):
                result = brim.deliver(ALICE, MESSAGE)
                time.sleep(0.05)
            kills += brim.quotad.poll() is not None
            brim.stop_quotad(signal.SIGKILL)
            brim.start_quotad()
            faults.append(check(brim, before, result, f"{name}, call {number}"))
            brim.stop_quotad()
    faults = [fault for fault in faults if fault]
    assert not faults, "\n".join(faults)
    assert kills > 15, "quotad was hardly ever killed"
