"""SIGTERM at each instruction of the functions whose order a signal handler relies on: the
compiler may store in another order than the source does, so each instruction of the linked
lda is tried, in each call of the function in a delivery. A new lda every time.

After each: the message is stored whole and the status is 0 without a line, or it is not,
and the status is 75 with a line that says "try again". Nothing is left in tmp/.
"""

import pathlib
import platform
import re
import signal
import sys

import pytest

from stepper import Stepper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from brim import BIN, SANITIZED, Brim  # noqa: E402

pytestmark = [
    pytest.mark.skipif(SANITIZED, reason="the instructions are those of another compilation"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="registers are the machine's own")]

ALICE = "alice@example.org"
LINE = re.compile(rb"4\.\d\.\d [ -~]+\n")
MESSAGE = b"Received: by test\nSubject: steps\n\nsteps\n"
STORED = b"Return-Path: <>\nDelivered-To: alice@example.org\n" + MESSAGE


@pytest.fixture(scope="module")
def brim():
    with Brim() as b:
        b.mail = b.mailbox(ALICE, uid=20001, quota=1 << 40)
        b.start_quotad()
        assert b.deliver(ALICE).status == 0  # the Maildir is made, and was counted
        empty(b)
        yield b


def empty(brim):
    for path in brim.files(brim.mail) + brim.leftovers(brim.mail):
        path.unlink()


def start(brim, function):
    def start_lda(**popen):
        lda = brim.start_lda("-d", ALICE, "-f", "", **popen)
        lda.stdin.write(MESSAGE)
        lda.stdin.close()
        return lda
    return Stepper(start_lda, BIN / "lda", function)


def count_steps(brim, function):
    """For each call of a delivery, how many steps it takes."""
    steps = []
    with start(brim, function) as s:
        while s.enter():
            steps.append(1)
            while s.step():
                steps[-1] += 1
        assert s.process.returncode == 0
    empty(brim)
    return steps


def end_there(brim, function, call, step):
    """What is wrong after a signal at that instruction, or None."""
    with start(brim, function) as s:
        for _ in range(call + 1):
            assert s.enter()
        for _ in range(step):
            s.step()
        s.leave(signal.SIGTERM)
        output, status = s.process.stdout.read(), s.process.wait()
        errors = s.process.stderr.read()
    stored = brim.messages(brim.mail) == [STORED]
    sound = not brim.leftovers(brim.mail) and not errors and (
        (status, output) == (0, b"") if stored
        else status == 75 and LINE.fullmatch(output) and not brim.files(brim.mail))
    empty(brim)
    return None if sound else (f"{function}, call {call + 1}, step {step}: status {status}, "
                               f"{'stored' if stored else 'not stored'}, {output!r} {errors!r}")


def try_all(brim, function):
    steps = count_steps(brim, function)
    assert steps, f"{function} is not called"
    wrong = [end_there(brim, function, call, step)
             for call, count in enumerate(steps) for step in range(count)]
    wrong = [w for w in wrong if w]
    assert not wrong, "\n".join([f"{len(wrong)} of {sum(steps)}:", *wrong])


@pytest.mark.parametrize("function", ["emergency_prepare"])
def test_signal_at_each_instruction_is_a_delivery_or_try_again(brim, function):
    try_all(brim, function)
