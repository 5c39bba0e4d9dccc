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

    def deliver(self, address=BOB, **more):
        return self.brim.deliver(address, uid=UID, **more)

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

    def waits(self, address=BOB):
        """A delivery waits, and leaves nothing."""
        result = self.deliver(address)
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


def record(site, address=BOB, **fields):
    """The mailbox's record, or with other fields that of an alias."""
    fields = fields or {"uid": UID, "gid": UID, "mail": f"{site.bob}/"}
    return " ".join([address, *(f"{name}={value}" for name, value in fields.items())])


def rename_by_apply(site):
    fields = record(site, "robert@example.org")
    site.brim.admin("apply", input=f"remove {BOB}\nadd {fields}\n")
    return "robert@example.org"


def rename_by_load(site):
    site.brim.load("@example.org", record(site, "robert@example.org"), replace=True)
    return "robert@example.org"


def move_and_return(site):
    site.brim.admin("set", BOB, f"mail={site.point}/elsewhere/")
    assert site.brim.ask(f"CHECK {BOB} 10") == ["OK"]
    site.brim.admin("set", BOB, f"mail={site.bob}/")
    return BOB


def alias_and_mailbox(site):
    site.brim.load(record(site, "ann@example.org", uid=UID, gid=UID, mail=f"{site.point}/ann/"),
                   record(site, alias="ann@example.org"))
    site.brim.load(record(site))
    return BOB


CHANGES = [rename_by_apply, rename_by_load, move_and_return, alias_and_mailbox]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_known_stays_with_the_path(site, change):
    site.add(0)
    site.fill(1)
    site.unmount()
    address = change(site)
    site.brim.stop_quotad()
    site.brim.start_quotad()
    site.waits(address)
    site.mount()
    result = site.deliver(address)
    assert result.status == 0 and len(site.brim.files(site.bob)) == 2, result


@pytest.mark.parametrize("change", CHANGES[:2])
def test_so_it_does_where_quotad_is_down_meanwhile(site, change):
    site.add(1 << 20)
    site.fill(1)
    site.brim.stop_quotad()
    site.unmount()
    address = change(site)
    site.brim.start_quotad()
    site.waits(address)


def remove(site):
    site.brim.admin("remove", BOB)


def leave_out(site):
    site.brim.load("@example.org", replace=True)


@pytest.mark.parametrize("how", [remove, leave_out])
@pytest.mark.parametrize("is_up", [True, False], ids=["", "quotad-down"])
def test_a_removal_ends_it_also_for_another_address(site, how, is_up):
    site.add(0)
    site.fill(1)
    if not is_up:
        site.brim.stop_quotad()
    how(site)
    shutil.rmtree(site.bob)
    site.brim.load(record(site, "robert@example.org"))
    if not is_up:
        site.brim.start_quotad()
    result = site.deliver("robert@example.org")
    assert result.status == 0 and len(site.brim.files(site.bob)) == 1, result


def test_a_first_message_whose_commit_was_never_read_is_mail(site):
    """quotad is killed while a delivery is under way, which has stored its message."""
    site.add(0)
    Brim.make_maildir(site.bob, UID, UID)
    with site.brim.connect() as connection:
        connection.sendall(f"RESERVE {BOB} 5 name=1.a.host,S=5\n".encode())
        assert connection.recv(100).startswith(b"OK ticket=")
        (site.bob / "new" / "1.a.host,S=5").write_bytes(b"mail\n")
        site.brim.stop_quotad(signal.SIGKILL)
    site.unmount()
    site.brim.start_quotad()
    site.waits()
    site.mount()
    assert site.deliver().status == 0


def test_mail_in_ignored_folders_is_mail(site):
    site.brim.configure(quota_ignore="Trash")
    site.brim.stop_quotad()
    site.brim.start_quotad()
    site.add(0)
    Brim.make_maildir(site.bob, UID, UID)
    Brim.make_maildir(site.bob / ".Trash", UID, UID)
    (site.bob / ".Trash" / "cur" / "1.a.host,S=5:2,S").write_bytes(b"mail\n")
    assert site.brim.recount(BOB)["used"] == "0"
    site.unmount()
    site.waits()


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


@pytest.mark.parametrize("there", [True, False], ids=["empty", "nothing"])
def test_check_finds_a_disk_that_quotad_does_not_see(site, there):
    """As in a container that began before its volume was mounted on the host."""
    brim = site.brim
    site.add(1 << 20)
    assert "mailbox-elsewhere" not in brim.admin("check", check=False).stdout
    brim.stop_quotad()
    site.unmount()
    if there:
        brim.make_maildir(site.bob, UID, UID)
    brim.start_quotad(prefix=["unshare", "-m", "--propagation", "private"])
    site.mount()
    brim.make_maildir(site.bob, UID, UID)
    assert site.deliver().code == "4.3.0"
    found = brim.admin("check", BOB, check=False)
    assert found.returncode == 1 and "mailbox-elsewhere (error)" in found.stdout, found
    assert "sees another directory" in found.stdout or not there, found
    brim.stop_quotad()
    brim.start_quotad()
    assert site.deliver().status == 0
    assert "mailbox-elsewhere" not in brim.admin("check", BOB, check=False).stdout


def test_a_mailbox_that_was_replaced_is_seen_by_quotad(site):
    site.add(1 << 20)
    site.fill(1)
    os.rename(site.bob, site.point / "old")
    site.brim.make_maildir(site.bob, UID, UID)
    assert "mailbox-elsewhere" not in site.brim.admin("check", BOB, check=False).stdout
    site.taken(1)


@pytest.mark.parametrize("by, words", [
    ("nothing", "sees nothing"), ("file", "quotad can't count it")])
def test_check_finds_a_disk_that_quotad_is_kept_from(site, by, words):
    """As by ProtectHome= in its unit, or by InaccessiblePaths=."""
    brim = site.brim
    site.add(1 << 20)
    brim.make_maildir(site.bob, UID, UID)
    brim.stop_quotad()
    hide = (f"mount -t tmpfs none {site.point}" if by == "nothing" else
            f"mount -t tmpfs -o mode=755 none {site.point} && touch {site.bob}")
    brim.start_quotad(prefix=["unshare", "-m", "sh", "-c", f'{hide}; exec "$0" "$@"'])
    found = brim.admin("check", BOB, check=False)
    assert found.returncode == 1 and words in found.stdout, found
    assert site.deliver().status == 75
    brim.stop_quotad()
    brim.start_quotad()
    assert site.deliver().status == 0
