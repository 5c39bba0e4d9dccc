"""Every system call of a delivery onto an ext4 with a journal, from the one that asks for it
on: the message has its name before it is synced there. After each what test_every_syscall
says of one.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from brim import SANITIZED, Brim  # noqa: E402
from mounts import Missing, Mounts  # noqa: E402
from test_every_syscall import ERRORS, WORKERS, Case, run_all  # noqa: E402

pytestmark = pytest.mark.skipif(SANITIZED, reason="ASan makes calls of its own")
LASTING = ("EIO", "ENOSPC", "ENOMEM", "EMFILE")


@pytest.fixture(scope="module")
def cases():
    with Brim(deadline="3s", quotad_timeout="1s", max_user_tickets="10000") as brim, \
            Mounts() as mounts:
        try:
            mounts.image("ext4", brim.home, 64 << 20)
        except (Missing, OSError) as error:
            pytest.skip(f"no ext4 here: {error}")
        pool = [Case(brim, n) for n in range(WORKERS)]
        brim.start_quotad()
        yield pool
        brim.stop_quotad()


def calls_to_test(cases):
    calls = cases[0].trace()
    begin = next(i for i, c in enumerate(calls) if c.name == "fstatfs")
    assert "sync_file_range" in {c.name for c in calls[begin:]}
    return calls[begin:]


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from_then_on"])
def test_each_call_that_fails_is_a_delivery_or_try_again(cases, lasts):
    run_all(cases, [], [f"{c.name}:error={error}:when={c.number}{'+' * lasts}"
                        for c in calls_to_test(cases) for error in ERRORS[c.name].split()
                        if error in LASTING or not lasts])


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_signal_at_each_call_stores_it_whole_or_not_at_all(cases, name):
    run_all(cases, [], [f"{c.name}:signal={name}:when={c.number}"
                        for c in calls_to_test(cases)], name == "KILL")
