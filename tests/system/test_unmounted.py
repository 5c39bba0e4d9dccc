"""The mail's file system is not mounted: a Maildir that had mail is missing then, and a new one
would hide under the mount point what is delivered. Real mounts, in a namespace of the test's own.
"""

import os
import shutil
import signal

import pytest

from brim import Brim
from host import MS_BIND, Mounts, mount, unmount

UID = 20001
BOB = "bob@example.org"
MOUNTED = b"is its file system mounted?"


class Disk:
    """A Brim whose mail is on a disk of its own, below a mount point that is the mail user's."""

    def __init__(self, brim):
        self.brim = brim
        self.disk = brim.folder / "disk"
        self.point = brim.folder / "mail"
        self.bob = self.point / "bob"
        for directory in (self.disk, self.point):
            directory.mkdir()
        mount("tmpfs", self.disk, "tmpfs", data=f"mode=755,uid={UID}")
        os.chown(self.point, UID, UID)
        self.is_mounted = False
        self.mount()

    def mount(self):
        assert not self.is_mounted
        mount(self.disk, self.point, flags=MS_BIND)
        self.is_mounted = True

    def unmount(self):
        assert self.is_mounted
        unmount(self.point)
        self.is_mounted = False

    def end(self):
        if self.is_mounted:
            self.unmount()
        unmount(self.disk)

    def add(self, quota, **fields):
        self.brim.mailbox(BOB, uid=UID, mail=self.bob, make=False, quota=quota, **fields)

    def deliver(self, **more):
        return self.brim.deliver(BOB, uid=UID, **more)

    def fill(self, messages=3):
        """An lda does not wait for its COMMIT; GET does."""
        for _ in range(messages):
            result = self.deliver()
            assert result.status == 0, result
        self.brim.usage(BOB)

    def hidden(self):
        """What is under the mount point."""
        assert not self.is_mounted
        return sorted(self.point.rglob("*"))

    def waits(self):
        """A delivery waits, and leaves nothing."""
        result = self.deliver()
        assert result.status == 75 and result.output.startswith(b"4.3.0 "), result
        assert MOUNTED in result.output, result
        assert self.hidden() == []

    def taken(self, messages):
        """It is back, and nothing was lost or counted wrongly."""
        result = self.deliver()
        assert result.status == 0, result
        assert len(self.brim.files(self.bob)) == messages
        assert int(self.brim.usage(BOB)["messages"]) == messages


@pytest.fixture
def site():
    with Mounts(), Brim(min_uid=1, quotad_timeout="8s") as brim:
        disk = Disk(brim)
        try:
            brim.start_quotad()
            yield disk
        finally:
            brim.stop_quotad()
            disk.end()


LIMITS = pytest.mark.parametrize("quota", [0, 1 << 20], ids=["no-limit", "limit"])


@LIMITS
def test_a_delivery_waits_until_it_is_mounted_again(site, quota):
    site.add(quota)
    site.fill()
    site.unmount()
    site.waits()
    site.waits()
    site.mount()
    site.taken(4)


@LIMITS
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_so_it_does_where_quotad_begins_without_it(site, quota, how):
    site.add(quota)
    site.fill(1)
    site.brim.stop_quotad(how)
    site.unmount()
    site.brim.start_quotad()
    site.waits()
    site.brim.ask(f"RECOUNT {BOB}", f"GET {BOB}", f"CHECK {BOB} 10")
    site.waits()
    site.mount()
    site.taken(2)


@LIMITS
def test_neither_counts_nor_patterns_forget_it(site, quota):
    """And who asks is told."""
    site.add(quota)
    site.fill(1)
    site.unmount()
    for option in ([], ["--recount"]):
        done = site.brim.query(*option, BOB, check=False)
        assert done.returncode == 75 and MOUNTED.decode() in done.stderr, done
    shown = site.brim.query("--list")
    assert "missing" in shown.stdout, shown
    answer = site.brim.ask(f"CHECK {BOB} 10")[0]
    assert answer.startswith("ERR 4.3.0 ") and MOUNTED.decode() in answer
    done = site.brim.admin("recount", "--empty", "*@example.org", check=False)
    assert done.returncode in (1, 64) and "not" in done.stderr, done
    site.waits()


def test_quotad_that_is_down_is_no_reason_to_make_it(site):
    site.brim.configure(quotad_down="deliver")
    site.add(0)
    site.fill(1)
    site.brim.stop_quotad()
    assert site.deliver().status == 0
    site.unmount()
    result = site.deliver()
    assert result.status == 75 and result.output.startswith(b"4.3.0 "), result
    assert site.hidden() == []
    site.mount()
    site.brim.start_quotad()
    site.taken(3)


@LIMITS
def test_a_new_that_is_missing_is_as_bad(site, quota):
    """Somebody made the directory, but nothing in it."""
    site.add(quota)
    site.fill(1)
    site.unmount()
    site.bob.mkdir(mode=0o700)
    os.chown(site.bob, UID, UID)
    result = site.deliver()
    assert result.status == 75 and MOUNTED in result.output, result
    assert site.hidden() == [site.bob]
    site.mount()
    site.taken(2)


@LIMITS
def test_what_was_emptied_is_made_anew(site, quota):
    site.add(quota)
    site.fill(2)
    for file in site.brim.files(site.bob):
        file.unlink()
    site.brim.recount(BOB)
    shutil.rmtree(site.bob)
    site.fill(1)
    site.brim.recount(BOB)
    shutil.rmtree(site.bob / "new")
    result = site.deliver()
    assert result.status == 75 and MOUNTED in result.output, result


@LIMITS
def test_the_administrator_says_that_it_is_meant(site, quota):
    site.add(quota)
    site.fill(2)
    site.bob.rename(site.point / "elsewhere")
    result = site.deliver()
    assert result.status == 75 and MOUNTED in result.output, result
    done = site.brim.admin("recount", "--empty", BOB)
    assert BOB in done.stdout and done.stderr == "", done
    site.taken(1)


@pytest.mark.parametrize("catchall", ["", "ann@example.org"], ids=["", "catch-all"])
def test_so_says_who_removes_it(site, catchall):
    """Also among so many accounts that quotad has not looked for it yet."""
    others = [f"u{i}@example.org uid={UID} gid={UID} mail={site.point}/u{i}/" for i in range(600)]
    site.add(1 << 20)
    site.brim.load(*others, f"ann@example.org uid={UID} gid={UID} mail={site.point}/ann/",
                   f"@example.org catchall={catchall}" if catchall else "@example.org")
    site.brim.ask(*(f"CHECK u{i}@example.org 1" for i in range(600)))
    site.fill(2)
    site.brim.admin("remove", BOB)
    shutil.rmtree(site.bob)
    site.add(1 << 20)
    site.taken(1)


def test_another_place_is_made(site):
    site.add(0)
    site.fill(1)
    site.brim.admin("set", BOB, f"mail={site.point}/new-place/")
    assert site.deliver().status == 0
    assert len(site.brim.files(site.point / "new-place")) == 1


def test_recount_without_empty_counts(site):
    site.add(0)
    site.fill(2)
    done = site.brim.admin("recount", BOB)
    assert BOB in done.stdout, done
    site.unmount()
    done = site.brim.admin("recount", BOB, check=False)
    assert done.returncode == 75 and MOUNTED.decode() in done.stderr, done
    site.waits()


def test_check_and_simulate_say_so(site):
    site.add(0)
    site.fill(1)
    assert "mailbox-unmounted" not in site.brim.admin("check", check=False).stdout
    site.unmount()
    found = site.brim.admin("check", BOB, check=False).stdout
    assert "mailbox-unmounted (error)" in found and f"recount --empty {BOB}" in found
    assert "mailbox-unmounted (error)" in site.brim.admin("check", check=False).stdout
    done = site.brim.admin("simulate", BOB, check=False)
    assert done.returncode == 75 and MOUNTED.decode() in done.stdout, done
    done = site.brim.admin("explain", BOB, check=False)
    assert MOUNTED.decode() in done.stdout, done
