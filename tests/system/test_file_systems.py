"""Mailboxes on the file systems that hosts really have, mounted for real: delivered whole and
counted right, refused with the right verdict, and nothing left where they are refused. A file
system that this machine has not is a skip with the reason.
"""

import concurrent.futures
import contextlib
import os
import re
import subprocess
import time

import pytest

from brim import SANITIZED, Brim
from host import checked, libc
from mounts import FUSE, Missing, Mounts

UID = 20001
RELEASE = tuple(map(int, os.uname().release.split(".")[:2]))
ALICE, BOB = "alice@example.org", "bob@example.org"
MB = 1 << 20
SHORT = b"Subject: short\n\n" + b"0123456789abcde\n" * 100
LONG = b"Subject: long\n\n" + b"0123456789abcde\n" * 10_000
ADDED = b"Return-Path: <bob@example.net>\nDelivered-To: %s\n"


class Place:
    """Where a test's mailboxes are: a method for each kind of file system, which mounts it."""

    def __init__(self, folder, mounts):
        self.mail, self.disk, self.mounts = folder / "mail", folder / "disk", mounts

    @property
    def lowest(self):
        """The file system below all others."""
        return self.disk if self.disk.exists() else self.mail

    def ext4(self, on=None):
        return self.mounts.image("ext4", on or self.mail, 16 * MB)

    def xfs(self, options=""):
        return self.mounts.image("xfs", self.mail, 300 * MB, options)

    def btrfs(self, on=None):
        return self.mounts.image("btrfs", on or self.mail, 128 * MB, format_options=["-M"])

    def tmpfs(self, on=None, data=""):
        return self.mounts.tmpfs(on or self.mail, "mode=755,size=8m" + data)

    def fuse(self, kind):
        """Of root's; what encfs makes is the maker's where it is public."""
        self.mounts.fuse(kind, self.disk, self.mail, "--public" if kind == "encfs" else "")

    def overlay(self):
        self.mounts.overlay(self.lowest, self.mail)

    def mergerfs(self, policy="epmfs"):
        self.mounts.fuse("mergerfs", self.lowest, self.mail,
                         f"-o minfreespace=0,category.create={policy}")

    def overlay_on_ext4(self):
        self.ext4(self.disk)
        self.overlay()

    def overlay_on_tmpfs(self):
        self.tmpfs(self.disk)
        self.overlay()

    def bindfs(self):
        self.mounts.fuse("bindfs", self.disk, self.mail, uid=UID)

    def mergerfs_on_ext4(self):
        self.ext4(self.disk)
        self.mergerfs()

    def mergerfs_of_two_disks(self):
        """Each file on one of them by chance, whatever its folder is on."""
        self.tmpfs(self.disk)
        self.mergerfs("rand")
        self.tmpfs(self.disk.with_name("other"))
        os.setxattr(self.mail / ".mergerfs", "user.mergerfs.branches",
                    b"+>" + os.fsencode(self.disk.with_name("other")))

    def tmp_is_a_mount(self):
        """Where there is no O_TMPFILE."""
        self.fuse("bindfs")
        Brim.make_maildir(self.mail / "alice/Maildir", UID, UID)
        self.mounts.tmpfs(self.mail / "alice/Maildir/tmp", f"mode=700,uid={UID},gid={UID}")

    def mergerfs_has_new_and_tmp_on_two_disks(self):
        """By its default policy what is made in a folder stays on a disk that has it."""
        disks = [self.disk, self.disk.with_name("other")]
        for disk, folders in zip(disks, (["new"], ["cur", "tmp"])):
            self.tmpfs(disk)
            mail = disk / "alice/Maildir"
            for folder in [mail.parent, mail, *(mail / name for name in folders)]:
                folder.mkdir(mode=0o700)
                os.chown(folder, UID, UID)
        self.mergerfs()
        os.setxattr(self.mail / ".mergerfs", "user.mergerfs.branches",
                    b"+>" + os.fsencode(disks[1]))

    def mergerfs_has_each_folder_on_two_disks(self):
        """A directory's times are those of the first one."""
        self.mergerfs_has_new_and_tmp_on_two_disks()
        for disk in self.disk, self.disk.with_name("other"):
            Brim.make_maildir(disk / "alice/Maildir", UID, UID)

    # with a quota of 1 MB for what the owner stores

    def group_of_btrfs(self, on=None):
        on = self.btrfs(on)
        for command in ("quota enable {}", "qgroup limit 1M {}"):
            run("btrfs", *command.format(on).split())

    def overlay_on_group_of_btrfs(self):
        self.group_of_btrfs(self.disk)
        self.overlay()

    def mergerfs_on_group_of_btrfs(self):
        self.group_of_btrfs(self.disk)
        self.mergerfs()

    def user_of_xfs(self):
        run("xfs_quota", "-x", "-c", f"limit bhard=1m {UID}", self.xfs("uquota"))

    def user_of_tmpfs(self):
        self.tmpfs(data=",usrquota,usrquota_block_hardlimit=1m")


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def brim_on(kind, **settings):
    """A Brim whose mailboxes are on that kind of file system."""
    with Brim(**settings) as brim, Mounts() as mounts:
        brim.place = Place(brim.folder, mounts)
        try:
            if kind in FUSE:
                brim.place.fuse(kind)
            else:
                getattr(brim.place, kind)()
        except (Missing, OSError) as error:
            pytest.skip(f"no {kind} here: {str(error).splitlines()[0]}")
        try:
            yield brim
        finally:
            brim.stop_quotad()


def settle(folder):
    """btrfs counts what is written when it commits."""
    fd = os.open(folder, os.O_RDONLY)
    checked(libc.syncfs(fd))
    os.close(fd)


def add(brim, address, make=True, **fields):
    """A mailbox there; it can be made at least."""
    mail = brim.place.mail / address.split("@")[0] / "Maildir"
    mail.parent.mkdir()
    os.chown(mail.parent, UID, UID)
    return brim.mailbox(address, uid=UID, mail=mail, make=make, **fields)


def send(brim, address, message=SHORT, prefix=()):
    return brim.deliver(address, message, sender="bob@example.net", prefix=prefix)


def assert_counted(brim, address, mail, messages):
    """Whole, counted to a byte, and nothing else is there."""
    added = ADDED % address.encode()
    assert sorted(brim.messages(mail)) == sorted(added + m for m in messages)
    assert brim.leftovers(mail) == []
    for said in (brim.usage(address), brim.recount(address)):
        assert int(said["used"]) == brim.total(mail)


def fill(folder):
    """Until not a block more finds room."""
    with open(folder / "filler", "wb") as f:
        size, step = 0, 64 * MB
        while step >= 512:
            try:
                os.posix_fallocate(f.fileno(), size, step)
                size += step
            except OSError:
                step //= 2


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "tmpfs", "overlay_on_ext4", "overlay_on_tmpfs",
                                  "mergerfs_on_ext4"])
def test_mail_is_delivered_counted_and_refused(kind):
    with brim_on(kind) as brim:
        alice = add(brim, ALICE, quota=200_000)
        bob = add(brim, BOB, make=False)
        brim.start_quotad()
        for address, mail in (ALICE, alice), (BOB, bob):
            assert [send(brim, address, m).status for m in (SHORT, LONG)] == [0, 0]
            assert_counted(brim, address, mail, [SHORT, LONG])
        assert send(brim, ALICE, LONG).code == "4.2.2"
        assert_counted(brim, ALICE, alice, [SHORT, LONG])
        fill(brim.place.lowest)
        assert send(brim, BOB, LONG).code == "4.3.1"
        assert_counted(brim, BOB, bob, [SHORT, LONG])


# Not sshfs, whose server knows accounts of the host alone.
@pytest.mark.parametrize("kind", sorted(set(FUSE) - {"sshfs"}))
def test_fuse_takes_mail_by_the_calls_that_it_knows(kind):
    with brim_on(kind) as brim:
        alice = add(brim, ALICE, quota=200_000)
        bob = add(brim, BOB, make=False)
        brim.start_quotad()
        for address, mail in (ALICE, alice), (BOB, bob):
            sent = [send(brim, address, m) for m in (SHORT, LONG)]
            assert [s.status for s in sent] == [0, 0], sent
            assert_counted(brim, address, mail, [SHORT, LONG])
        assert re.search(r"^verdict +delivered", brim.admin("simulate", BOB).stdout, re.M)
        assert send(brim, ALICE, LONG).code == "4.2.2"
        assert_counted(brim, ALICE, alice, [SHORT, LONG])


@pytest.mark.parametrize("kind", sorted(set(FUSE) - {"sshfs"}))
def test_what_is_delivered_eight_at_a_time_is_the_owners(kind):
    """gocryptfs 2.3 makes other files than one's own then, or refuses."""
    with brim_on(kind) as brim:
        boxes = {address: add(brim, address)
                 for address in (f"u{i}@example.org" for i in range(8))}
        brim.start_quotad()
        with concurrent.futures.ThreadPoolExecutor(len(boxes)) as senders:
            sent = list(senders.map(lambda address: send(brim, address), 12 * list(boxes)))
        assert [s.status for s in sent] == [0] * len(sent), sent
        for address, mail in boxes.items():
            assert_counted(brim, address, mail, [SHORT] * 12)
            made = [mail, *mail.rglob("*")]
            assert {os.lstat(path).st_uid for path in made} == {UID}, made


# What sandboxes and file systems answer for calls that they don't know.
BLOCKED = ["openat2:error=ENOSYS", "openat2:error=EPERM", "linkat:error=EXDEV",
           "linkat:error=ENOENT", "fsync:error=EINVAL", "openat2,close_range:error=EPERM"]


def test_a_call_that_is_not_known_is_done_without():
    with Brim() as brim:
        mail = brim.mailbox(ALICE, uid=UID, quota=100 * MB)
        brim.start_quotad()
        for number, blocked in enumerate(BLOCKED, 1):
            prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={blocked}"]
            for message in SHORT, LONG:
                result = send(brim, ALICE, message, prefix=prefix)
                assert result.status == 0, (blocked, result)
            assert_counted(brim, ALICE, mail, [SHORT, LONG] * number)


# The same for a count, which asks each folder whether it moved.
@pytest.mark.skipif(SANITIZED, reason="ASan makes calls of its own")
@pytest.mark.parametrize("blocked", [
    "statx:error=ENOSYS", "statx:error=EPERM", "statx,openat2,close_range:error=EPERM",
    "fstatfs:error=ENOSYS"])
def test_a_count_does_without_a_call_that_is_not_known(blocked):
    with Brim() as brim:
        mail = brim.mailbox(ALICE, uid=UID, quota=len(LONG) + 1000)
        brim.start_quotad(prefix=["strace", "-D", "-f", "-qq", "-o", "/dev/null",
                                  "-e", f"inject={blocked}"])
        assert send(brim, ALICE, LONG).status == 0
        assert send(brim, ALICE).code == "4.2.2"
        assert_counted(brim, ALICE, mail, [LONG])
        brim.files(mail)[0].unlink()
        assert send(brim, ALICE).status == 0
        assert_counted(brim, ALICE, mail, [SHORT])


def test_mail_is_spread_over_two_disks():
    with brim_on("mergerfs_of_two_disks") as brim:
        alice = add(brim, ALICE, make=False)
        brim.start_quotad()
        assert [send(brim, ALICE).status for _ in range(6)] == [0] * 6
        assert_counted(brim, ALICE, alice, [SHORT] * 6)


@pytest.mark.parametrize("kind", ["tmp_is_a_mount", "mergerfs_has_new_and_tmp_on_two_disks"])
def test_mail_is_delivered_where_nothing_goes_from_tmp_to_new(kind):
    with brim_on(kind) as brim:
        alice = brim.mailbox(ALICE, uid=UID, mail=brim.place.mail / "alice/Maildir",
                             make=False, quota=200_000)
        brim.start_quotad()
        assert [send(brim, ALICE, m).status for m in (SHORT, LONG)] == [0, 0]
        assert send(brim, ALICE, LONG).code == "4.2.2"
        assert_counted(brim, ALICE, alice, [SHORT, LONG])
        old = alice / "new" / f".1.M2P3R0123456789abcdef.{os.uname().nodename},S=0"
        old.touch()
        os.chown(old, UID, UID)
        os.utime(old, (1, 1))
        assert send(brim, ALICE).status == 0
        assert_counted(brim, ALICE, alice, [SHORT, LONG, SHORT])
        assert [p for p in os.listdir(alice / "new") if p.startswith(".")] == []
        probed = brim.admin("check", "--probe", ALICE).stdout
        assert "a hidden file in new/" in probed, probed
        assert len(os.listdir(alice / "new")) == 3 and brim.leftovers(alice) == []


def test_what_changes_on_the_second_of_two_disks_is_seen():
    with brim_on("mergerfs_has_each_folder_on_two_disks") as brim:
        mail = brim.place.mail / "alice/Maildir"
        brim.mailbox(ALICE, uid=UID, mail=mail, make=False, quota=2 * len(LONG) + 5000)
        second = brim.place.disk.with_name("other") / "alice/Maildir/cur/1.M2P3.other:2,S"
        for _ in range(2):
            second.write_bytes(LONG)
            time.sleep(0.1)  # else a count would wait for the clock's next step
            brim.start_quotad()
            assert send(brim, ALICE, LONG).status == 0
            assert send(brim, ALICE, SHORT).status == 0
            assert send(brim, ALICE, LONG).code == "4.2.2"
            (mail / "cur" / second.name).unlink()
            assert send(brim, ALICE, LONG).status == 0
            assert send(brim, ALICE, LONG).code == "4.2.2"
            brim.files(mail)[0].unlink()
            assert send(brim, ALICE, SHORT).status == 0
            second.write_bytes(LONG)
            assert send(brim, ALICE, LONG).code == "4.2.2"
            for path in brim.files(mail):
                path.unlink()
            brim.stop_quotad()


def test_what_is_removed_where_directories_keep_no_times_is_seen():
    """As with rclone, whose directories have the times that it remembers."""
    with Brim() as brim, Mounts() as mounts:
        mail = brim.home / "alice/Maildir"
        below = brim.folder / "below"
        try:
            mounts.fuse("bindfs", below, mail.parent, "-o subtype=rclone --ctime-from-mtime")
        except (Missing, OSError) as error:
            pytest.skip(f"no bindfs here: {error}")
        brim.mailbox(ALICE, uid=UID, mail=mail, quota=2 * len(LONG) - 1000)
        brim.start_quotad()
        assert send(brim, ALICE, LONG).status == 0
        assert send(brim, ALICE, LONG).code == "4.2.2"
        new = below / "Maildir/new"
        before = new.stat()
        next(new.iterdir()).unlink()
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert send(brim, ALICE, LONG).status == 0
        brim.stop_quotad()


@pytest.mark.parametrize("kind", ["group_of_btrfs", "overlay_on_group_of_btrfs",
                                  "mergerfs_on_group_of_btrfs", "user_of_xfs", "user_of_tmpfs"])
def test_disk_quota_is_4_2_2_and_never_for_good(kind):
    with brim_on(kind, over_quota="bounce") as brim:
        alice = add(brim, ALICE, quota=100 * MB)
        brim.start_quotad()
        sent = []
        while (result := send(brim, ALICE, LONG)).status == 0:
            sent.append(LONG)
            settle(brim.place.lowest)
            assert len(sent) < 10
        assert result.code == "4.2.2" and b"not of Brim" in result.output, result
        assert len(sent) > 1
        assert_counted(brim, ALICE, alice, sent)


@pytest.mark.skipif(SANITIZED, reason="ASan makes calls of its own")
@pytest.mark.parametrize("older", [False, True], ids=["linux_6.8", "older"])
@pytest.mark.parametrize("kind, can_hang", [
    ("ext4", False), ("tmpfs", False), ("btrfs", False), ("overlay_on_tmpfs", False),
    ("bindfs", True)])
def test_only_where_a_server_can_hang_another_process_delivers(kind, can_hang, older):
    with brim_on(kind) as brim:
        add(brim, ALICE)
        brim.start_quotad()
        log = brim.folder / "strace"
        log.touch()
        log.chmod(0o666)
        unknown = ["-e", "inject=statx:error=ENOSYS:when=2"] if older else []
        brim.deliver(ALICE, SHORT, prefix=["strace", "-f", "-o", log, *unknown])
        trace = log.read_text()
        assert ("clone(" in trace or "fork(" in trace) == can_hang
        if older or RELEASE >= (6, 8):
            assert ("mountinfo" in trace) == (older and kind != "ext4")


# A short message needs tmp/ and cur/ only once it is stored.
@pytest.mark.parametrize("part, code", [("new", "4.3.0"), ("tmp", None), ("cur", None)])
def test_a_delivery_keeps_its_deadline_where_one_folder_alone_hangs(part, code):
    with Brim(deadline="3s", quotad_timeout="2s") as brim, Mounts() as mounts:
        mail = brim.mailbox(ALICE, uid=UID, quota=MB)
        try:
            fuse = mounts.fuse("bindfs", brim.folder / "disk", mail / part, "-o attr_timeout=0")
        except (Missing, OSError) as error:
            pytest.skip(f"no bindfs here: {error}")
        os.chown(mail / part, UID, UID)
        os.chmod(mail / part, 0o700)
        brim.start_quotad()
        assert send(brim, ALICE).status == 0
        fuse.stop()
        try:
            result = send(brim, ALICE)
        finally:
            fuse.go_on()
        assert result.code == code and result.seconds < 10, result
        assert int(brim.recount(ALICE)["used"]) == brim.total(mail)
        brim.stop_quotad()
