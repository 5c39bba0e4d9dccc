"""SIGTERM at each instruction of the functions whose order a signal handler relies on: the
compiler may store in another order than the source does, so each instruction of the linked
lda is tried, in each call of the function in a delivery. A new lda every time.

After each: the message is stored whole and the status is 0 without a line, or it is not,
and the status is 75 with a line that says "try again". Nothing is left in tmp/.
"""

import ctypes
import errno
import pathlib
import platform
import re
import signal
import struct
import sys

import pytest

from stepper import Stepper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from brim import BIN, SANITIZED, Brim  # noqa: E402

pytestmark = [
    pytest.mark.skipif(SANITIZED, reason="the instructions are those of another compilation"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="registers are the machine's own")]

ALICE = "alice@example.org"
AGAIN = re.compile(rb"4\.\d\.\d [ -~]+\n")
NO_USER = re.compile(rb"5\.1\.1 [ -~]+\n")
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


def start(brim, function, recipient, prepare):
    def start_lda(preexec_fn):
        def before():
            prepare()
            preexec_fn()
        lda = brim.start_lda("-d", recipient, "-f", "", preexec_fn=before)
        lda.stdin.write(MESSAGE)
        lda.stdin.close()
        return lda
    return Stepper(start_lda, BIN / "lda", function)


def filter_calls(*filters):
    """From now on, by this program of the kernel's."""
    program = b"".join(struct.pack("HBBI", *f) for f in filters)
    text = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None)
    which = struct.pack("HxxxxxxQ", len(filters), ctypes.addressof(text))
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, which) == 0


def refuse_nameless_files():
    """openat with O_TMPFILE is EOPNOTSUPP, as on file systems without it."""
    load, equal, any_bit, give = 0x20, 0x15, 0x45, 0x06
    number, flags = 0, 16 + 2 * 8  # in struct seccomp_data
    filter_calls((load, 0, 0, number), (equal, 0, 3, 257), (load, 0, 0, flags),
                 (any_bit, 0, 1, 0o20000000), (give, 0, 0, 0x50000 | errno.EOPNOTSUPP),
                 (give, 0, 0, 0x7fff0000))


def refuse_moves_too():
    """renameat2 is EINVAL, as on NFS and FUSE: a file in tmp/ is linked."""
    load, equal, give = 0x20, 0x15, 0x06
    refuse_nameless_files()
    filter_calls((load, 0, 0, 0), (equal, 0, 1, 316), (give, 0, 0, 0x50000 | errno.EINVAL),
                 (give, 0, 0, 0x7fff0000))


def count_steps(brim, function, *how):
    """For each call of a delivery, how many steps it takes."""
    steps = []
    with start(brim, function, *how) as s:
        while s.enter():
            steps.append(1)
            while s.step():
                steps[-1] += 1
    empty(brim)
    return steps


def end_there(brim, call, step, *how):
    """Status, output and whether it is stored after a signal at that instruction."""
    with start(brim, *how) as s:
        for _ in range(call + 1):
            assert s.enter()
        for _ in range(step):
            s.step()
        s.leave(signal.SIGTERM)
        output, status = s.process.stdout.read(), s.process.wait()
        assert s.process.stderr.read() == b""
    stored = brim.messages(brim.mail)
    assert stored in ([], [STORED]) and not brim.leftovers(brim.mail)
    empty(brim)
    return status, output, bool(stored)


def is_delivery_or_try_again(status, output, stored):
    if stored:
        return (status, output) == (0, b"")
    return status == 75 and bool(AGAIN.fullmatch(output))


def is_refusal_or_try_again(status, output, stored):
    return not stored and (status == 67 and bool(NO_USER.fullmatch(output)) or
                           status == 75 and bool(AGAIN.fullmatch(output)))


def try_all(brim, is_sound, *how):
    steps = count_steps(brim, *how)
    assert steps, "it is not called"
    wrong = []
    for call, count in enumerate(steps):
        for step in range(count):
            end = end_there(brim, call, step, *how)
            if not is_sound(*end):
                wrong.append(f"call {call + 1}, step {step}: {end}")
    assert not wrong, "\n".join([f"{len(wrong)} of {sum(steps)}:", *wrong])


@pytest.mark.parametrize("function", [
    "emergency_prepare", "delivery_init", "deliver", "maildir_begin", "maildir_link",
    "maildir_close", "delivery_end"])
def test_signal_at_each_instruction_is_a_delivery_or_try_again(brim, function):
    try_all(brim, is_delivery_or_try_again, function, ALICE, int)


@pytest.mark.parametrize("function", ["maildir_begin", "maildir_link", "maildir_close"])
def test_so_it_is_with_a_file_in_tmp(brim, function):
    try_all(brim, is_delivery_or_try_again, function, ALICE, refuse_nameless_files)


@pytest.mark.parametrize("function", ["publish_from_tmp"])
def test_so_it_is_where_that_is_linked(brim, function):
    try_all(brim, is_delivery_or_try_again, function, ALICE, refuse_moves_too)


@pytest.mark.parametrize("function", ["delivery_drain", "emergency_over"])
def test_signal_while_a_message_is_refused_is_the_refusal_or_try_again(brim, function):
    try_all(brim, is_refusal_or_try_again, function, "nobody@host.test", int)
