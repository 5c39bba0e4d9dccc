"""Every system call of a delivery to a file system without O_TMPFILE and RENAME_NOREPLACE
(bindfs, as NFS and most of FUSE), from the message's file on: each fails in turn, or is a
signal, with the link and unlink that publish there, and from the rename on where that is;
and where tmp/ is a mount, so that a hidden file in new/ is published.

After each what test_every_syscall says of one. A name in tmp/ stays where lda was killed, or
may remove nothing from then on; it is no message.
"""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from brim import SANITIZED, Brim  # noqa: E402
from mounts import Missing, Mounts  # noqa: E402
from test_every_syscall import ERRORS, UID, Case, run_all  # noqa: E402

pytestmark = pytest.mark.skipif(SANITIZED, reason="ASan makes calls of its own")

# The calls that publish; those before are the same on each file system.
OF_THE_STORE = {"openat", "fsync", "linkat", "renameat", "renameat2", "unlinkat"}
NOT_KNOWN = "EINVAL ENOSYS EOPNOTSUPP EPERM"
WAYS = pytest.mark.parametrize("without", ["", "linkat"], ids=["link", "rename"])


class FuseCase(Case):
    """On FUSE another process of lda's waits, and speaks for one that was killed."""

    KILLED = (-9, 75)


class HiddenBrim(Brim):
    """A draft in new/ is no message: a dot hides it."""

    @classmethod
    def files(cls, mail):
        return [p for p in super().files(mail) if not p.name.startswith(".")]

    @staticmethod
    def leftovers(mail):
        return [*Brim.leftovers(mail), *pathlib.Path(mail, "new").glob(".*")]


@pytest.fixture(scope="module", params=[Brim, HiddenBrim], ids=["", "tmp_is_a_mount"])
def cases(request):
    with request.param(deadline="3s", quotad_timeout="1s", max_user_tickets="10000") as brim, \
            Mounts() as mounts:
        try:
            mounts.fuse("bindfs", brim.folder / "disk", brim.home)
        except (Missing, OSError) as error:
            pytest.skip(f"no bindfs here: {error}")
        pool = [FuseCase(brim, n) for n in range(2)]
        if request.param is HiddenBrim:
            for case in pool:
                mounts.tmpfs(case.mail / "tmp", f"mode=700,uid={UID},gid={UID}")
        brim.start_quotad()
        yield pool
        brim.stop_quotad()


def calls_to_test(cases, without):
    """The base injections, and the calls from the nameless file that is not to be had."""
    base = [f"{without}:error=EPERM"] if without else []
    calls = cases[0].trace(*base)
    begin = next(i for i, c in enumerate(calls)
                 if "O_TMPFILE" in c.text and not without or c.name == "renameat")
    calls = [c for c in calls[begin:] if c.name in OF_THE_STORE]
    assert {"fsync", "renameat" if without else "linkat", "unlinkat"} <= {c.name for c in calls}
    return base, calls


def errors(call):
    """That a name to be removed is not there is believed, as it is what was wanted."""
    of_all = ERRORS["renameat2" if call.name == "renameat" else call.name].split()
    return sorted({*of_all, *NOT_KNOWN.split()} - {"ENOENT" if call.name == "unlinkat" else ""})


@WAYS
def test_each_call_that_fails_is_a_delivery_or_try_again(cases, without):
    base, calls = calls_to_test(cases, without)
    run_all(cases, base, [f"{c.name}:error={error}:when={c.number}"
                          for c in calls for error in errors(c)])


@WAYS
@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_signal_at_each_call_stores_it_whole_or_not_at_all(cases, without, name):
    base, calls = calls_to_test(cases, without)
    run_all(cases, base, [f"{c.name}:signal={name}:when={c.number}" for c in calls],
            name == "KILL")


def test_that_nothing_can_be_removed_loses_and_doubles_nothing(cases):
    case = cases[0]
    base, _ = calls_to_test(cases, "")
    result = case.deliver(*base, "unlinkat:error=EIO")
    assert result.status == 0 and case.brim.messages(case.mail) == [case.stored]
    assert len(case.brim.leftovers(case.mail)) == 1 + isinstance(case.brim, HiddenBrim)
    case.empty()
    case.check_count()
