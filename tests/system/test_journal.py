"""A message on an ext4 that keeps the order of changes: one commit of its journal, with the
message and its name in it. Where that can't be known the file is synced before it has a name.
"""

import re
import subprocess

import pytest

from brim import Brim
from mounts import Missing, Mounts

UID = 20001
ALICE = "alice@example.org"
MESSAGE = b"Subject: test\n\n" + 500 * b"0123456789abcde\n"
STORED = b"Return-Path: <bob@example.net>\nDelivered-To: " + ALICE.encode() + b"\n" + MESSAGE
CALLS = "sync_file_range|fsync|syncfs|linkat|renameat2"
AT_ONCE = ["sync_file_range", "sync_file_range", "linkat", "fsync file", "fsync new"]
BEFORE = ["fsync file", "linkat", "fsync new"]


class Disk:
    """A Brim with one mailbox on an ext4 of its own."""

    def __init__(self, brim, mounts, options="", format_options=()):
        self.brim = brim
        try:
            mounts.image("ext4", brim.home, 32 << 20, options, format_options)
        except (Missing, OSError) as error:
            pytest.skip(f"no such ext4 here: {error}")
        self.mail = brim.mailbox(ALICE, uid=UID, quota=2 * len(STORED))
        self.log = brim.folder / "strace"
        self.log.touch()
        self.log.chmod(0o666)
        brim.start_quotad()

    def deliver(self, *injections, message=MESSAGE):
        options = [word for i in injections for word in ("-e", f"inject={i}")]
        return self.brim.deliver(ALICE, message, sender="bob@example.net", prefix=[
            "strace", "-f", "-y", "-o", self.log, *options])

    def calls(self):
        """What was asked of the store, in its order."""
        found = re.findall(rf" ({CALLS})\(\d+<([^>]*)>", self.log.read_text())
        kinds = {str(self.mail / "new"): " new"}
        return [name + (kinds.get(path, " file") if name == "fsync" else "")
                for name, path in found]

    def assert_delivered(self, result):
        assert result.status == 0, result
        assert self.brim.messages(self.mail) == [STORED]
        self.assert_counted()

    def assert_nothing_left(self, result, code):
        assert result.code == code, result
        assert self.brim.files(self.mail) == []
        self.assert_counted()

    def assert_counted(self):
        assert self.brim.leftovers(self.mail) == []
        assert int(self.brim.recount(ALICE)["used"]) == self.brim.total(self.mail)


@pytest.fixture
def place():
    with Brim() as brim, Mounts() as mounts:
        yield brim, mounts
        brim.stop_quotad()


@pytest.fixture
def journal_disk(tmp_path):
    image = tmp_path / "journal"
    with open(image, "wb") as f:
        f.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "journal_dev", image], check=True)
    loop = subprocess.run(["losetup", "--find", "--show", image], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    yield loop
    subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.fixture
def disk(place):
    return Disk(*place)


@pytest.mark.parametrize("options, format_options, order", [
    ("", (), AT_ONCE),
    ("data=journal", (), BEFORE),
    ("data=writeback", (), BEFORE),
    ("", ("-O", "^has_journal"), BEFORE),
    ("", ("-t", "ext2"), BEFORE),
    ("", ("-t", "ext3"), AT_ONCE),
], ids=["ordered", "journal", "writeback", "no_journal", "ext2", "ext3"])
def test_one_commit_where_the_order_is_kept_else_two(place, options, format_options, order):
    disk = Disk(*place, options, format_options)
    disk.assert_delivered(disk.deliver())
    assert disk.calls() == order


def test_a_journal_on_a_disk_of_its_own_is_synced_before(place, journal_disk):
    """Its commits don't bring to disk what the cache of the other disk holds."""
    disk = Disk(*place, "", ("-b", "4096", "-J", f"device={journal_disk}"))
    disk.assert_delivered(disk.deliver())
    assert disk.calls() == BEFORE


def test_tmpfs_is_synced_before(place):
    brim, mounts = place
    mounts.tmpfs(brim.home)
    disk = Disk.__new__(Disk)
    disk.brim, disk.mail, disk.log = brim, brim.mailbox(ALICE, uid=UID), brim.folder / "strace"
    disk.log.touch()
    disk.log.chmod(0o666)
    brim.start_quotad()
    disk.assert_delivered(disk.deliver())
    assert disk.calls() == BEFORE


@pytest.mark.parametrize("hidden", ["fstatfs:error=ENOSYS", "readlink:error=EACCES", "readlink:error=ENOENT",
                                    "access:error=ENOENT", "sync_file_range:error=ENOSYS",
                                    "sync_file_range:error=EPERM",
                                    "sync_file_range:error=EINVAL"])
def test_what_can_t_be_known_is_synced_before(disk, hidden):
    """As in containers and chroots that have no /sys, and in sandboxes."""
    disk.assert_delivered(disk.deliver(hidden))
    assert [c for c in disk.calls() if c != "sync_file_range"] == BEFORE


ERRORS = {"EIO": "4.3.0", "ENOSPC": "4.3.1", "EDQUOT": "4.2.2"}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("call", ["sync_file_range:2", "linkat", "fsync:1", "fsync:2"])
def test_a_disk_that_is_full_or_broken_keeps_nothing(disk, call, error):
    name, _, number = call.partition(":")
    result = disk.deliver(f"{name}:error={error}:when={number or 1}")
    disk.assert_nothing_left(result, ERRORS[error])
    if name != "fsync":  # a disk tells of an error once
        assert "fsync file" not in disk.calls()


@pytest.mark.parametrize("error", ["ENODATA", "EREMOTEIO", "ENOLINK", "EOPNOTSUPP", "EINVAL"])
def test_an_error_of_the_disk_is_told_once_by_any_name(disk, error):
    """A bad sector is ENODATA, a disk that can't EOPNOTSUPP: what is asked next knows of none."""
    result = disk.deliver(f"sync_file_range:error={error}:when=2")
    disk.assert_nothing_left(result, "4.3.0")
    assert not {"linkat", "fsync file"} & set(disk.calls())


def test_a_copy_is_synced_before_it_is_named(disk):
    disk.assert_delivered(disk.deliver("linkat:error=EXDEV"))
    calls = disk.calls()
    assert calls[-3:] == ["fsync file", "renameat2", "fsync new"], calls


@pytest.mark.parametrize("number", ["TERM", "SEGV", "ALRM"])
@pytest.mark.parametrize("call", ["linkat:{}:when=1", "fsync:{}:when=1", "fsync:{}:when=2"])
def test_a_signal_once_it_has_its_name_is_a_delivery(disk, call, number):
    disk.assert_delivered(disk.deliver(call.format(f"signal={number}")))
    calls = disk.calls()
    last = len(calls) - calls[::-1].index("linkat")
    assert {"fsync file", "fsync new"} <= set(calls[last:])


def test_a_signal_whose_syncs_fail_keeps_nothing(disk):
    result = disk.deliver("linkat:signal=TERM:when=1", "fsync:error=EIO")
    disk.assert_nothing_left(result, "4.3.0")


def test_a_signal_before_its_name_keeps_nothing(disk):
    disk.assert_nothing_left(disk.deliver("sync_file_range:signal=TERM"), "4.3.0")


def test_the_limit_is_kept_to_a_byte(disk):
    assert [disk.deliver().code for _ in range(3)] == [None, None, "4.2.2"]
    assert "sync_file_range" not in disk.calls()  # what is refused has cost no disk
    disk.assert_counted()
