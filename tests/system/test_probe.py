"""brimadm check --probe: a delivery's calls, tried as the mailbox's owner. What it says is held
against the calls of an lda that delivers there."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest

import brim as private_brim
from brim import Brim
from host import Host
from mounts import Missing, Mounts

ADDRESS = "alice@example.org"
UID = 20001
IMAGES = ("ext4", "xfs")
CALLS = ("linkat", "renameat2", "renameat")
NAMELESS, MOVE, LINK = "a nameless file in new/", "rename without replacing", "link and unlink"


@pytest.fixture
def place(request):
    """A Brim, its mailbox, and what may be mounted there: in a host of its own, but for a file
    system on a loop device, which that host has none of."""
    with contextlib.ExitStack() as stack:
        if getattr(request, "param", None) not in IMAGES:
            stack.enter_context(Host()).add_user("alice", UID)
        mounts, brim = stack.enter_context(Mounts()), stack.enter_context(Brim())
        mail = brim.mailbox(ADDRESS, uid=UID)
        brim.start_quotad()
        yield brim, mail, mounts


def check(brim, *options):
    done = brim.admin("check", "--json", *options, ADDRESS, check=False)
    rows = json.loads(done.stdout)
    assert done.returncode == int(any(r["severity"] != "note" for r in rows)), done
    return {row["check"]: row for row in rows}


def mount(mounts, kind, mail):
    """The file system in the place of the mailbox's home, with a Maildir of UID's in it."""
    home = mail.parent
    shutil.rmtree(mail)
    try:
        if kind == "tmpfs":
            mounts.tmpfs(home, f"mode=755,uid={UID},gid={UID}")
        elif kind in IMAGES:
            mounts.image(kind, home, (16 if kind == "ext4" else 320) << 20)
        elif kind == "overlay":
            mounts.overlay(home.with_name("layers"), home)
        else:
            mounts.fuse(kind, home.with_name("below"), home, uid=UID, others=kind != "bindfs")
    except Missing as missing:
        pytest.skip(str(missing))
    made = ["sh", "-c", 'mkdir -p "$0" "$0/new" "$0/cur" "$0/tmp"', mail]
    if kind in (*IMAGES, "overlay"):
        os.chown(home, UID, UID)
    subprocess.run(made, check=True, user=UID, group=UID, extra_groups=[], umask=0o077)


def way_of_lda(brim):
    """By strace, the call that gave a message its name."""
    trace = brim.folder / "trace"
    trace.touch()
    trace.chmod(0o666)
    done = brim.deliver(ADDRESS, prefix=[
        "strace", "-f", "-qq", "-o", trace, "-e", f"trace={','.join(CALLS)}"])
    assert done.status == 0, done
    done = [line for line in trace.read_text().splitlines()  # strace lists calls of no name, too
            if line.endswith("= 0") and any(f"{call}(" in line for call in CALLS)]
    assert len(done) == 1, trace.read_text()
    if "renameat" in done[0]:
        return MOVE if "RENAME_NOREPLACE" in done[0] else "rename"
    return NAMELESS if "/proc/self/fd" in done[0] or "AT_EMPTY_PATH" in done[0] else LINK


@pytest.mark.parametrize("place", ["ext4", "tmpfs", "overlay", "bindfs", "mergerfs"], indirect=True)
def test_probe_says_what_lda_does(place, request):
    brim, mail, mounts = place
    kind = request.node.callspec.params["place"]
    mount(mounts, kind, mail)
    rows = check(brim, "--probe")
    assert set(rows) <= {"probe", "disk-kind"}, rows
    assert ("disk-kind" in rows) == (kind in ("bindfs", "mergerfs"))
    brim.configure(quotad_down="deliver")
    brim.stop_quotad()
    assert way_of_lda(brim) in rows["probe"]["what"], rows
    assert f"uid {UID}" in rows["probe"]["what"]
    left = subprocess.run(["find", mail, "-type", "f"], user=UID, group=UID, extra_groups=[],
                          capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(left) == 1 and "/new/" in left[0] and "/." not in left[0], left


def test_check_knows_a_mailbox_that_root_can_not_see(place):
    brim, mail, mounts = place
    assert check(brim) == {}
    mount(mounts, "bindfs", mail)
    with pytest.raises(PermissionError):
        list(mail.iterdir())
    rows = check(brim)
    assert set(rows) == {"disk-kind"}, rows
    assert "FUSE" in rows["disk-kind"]["what"] and "--probe" in rows["disk-kind"]["mend"]


def test_what_neither_root_nor_the_owner_can_see_needs_rights_and_no_directory(place):
    brim, mail, mounts = place
    mount(mounts, "bindfs", mail)
    brim.admin("set", ADDRESS, f"uid={UID + 1}")
    row = check(brim)["mailbox-open"]
    assert f"denied, to root and to uid {UID + 1}" in row["what"], row
    assert f"namei -l {mail}/" in row["mend"], row


def test_probe_says_which_call_fails(place):
    brim, mail, _ = place
    (mail / "new").chmod(0o500)
    row = check(brim, "--probe")["probe-failed"]
    assert "Permission denied" in row["what"], row
    shutil.rmtree(mail / "new")
    assert "new/" in check(brim, "--probe")["probe-failed"]["what"]


def test_probe_says_that_the_disk_quota_is_reached(place):
    """By strace, which lets the file's sync fail as NFS does beyond a quota."""
    brim, mail, _ = place
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EDQUOT",
         private_brim.BIN / "brimadm", "-c", brim.conf, "check", "--json",
         "--probe", ADDRESS], capture_output=True, text=True)
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert "Disk quota exceeded" in rows["probe-disk-quota"]["what"], rows
    assert brim.files(mail) == brim.leftovers(mail) == []


def move_to_fuse(place):
    """The mailbox is one of bindfs from now on, which is returned."""
    brim, mail, mounts = place
    shutil.rmtree(mail)
    try:
        fuse = mounts.fuse("bindfs", mail.with_name("below"), mail, uid=UID)
    except Missing as missing:
        pytest.skip(str(missing))
    brim.make_maildir(mail, UID, UID)
    return fuse


def test_a_file_system_that_hangs_is_waited_for_in_bounded_time(place):
    brim, fuse = place[0], move_to_fuse(place)
    fuse.stop()
    rows = check(brim, "--probe")
    assert set(rows) == {"mailbox-open"}, rows
    assert "does not answer" in rows["mailbox-open"]["what"]
    fuse.go_on()


def test_where_the_server_of_a_file_system_died_no_directory_is_to_be_made(place):
    brim, fuse = place[0], move_to_fuse(place)
    fuse.kill()
    row = check(brim)["mailbox-open"]
    assert "not connected" in row["what"]
    assert "bring back what serves" in row["mend"]


def test_probe_wants_a_mailbox(place):
    brim, _, _ = place
    done = brim.admin("check", "--probe", check=False)
    assert done.returncode == 64 and "ADDRESS" in done.stderr
    assert "probe" not in check(brim)


def kill_a_probe(brim):
    """The process that tries is killed where it is to remove its file: what is found then."""
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=unlinkat:signal=KILL:when=1",
         private_brim.BIN / "brimadm", "-c", brim.conf, "check", "--json",
         "--probe", ADDRESS], capture_output=True, text=True)
    return {row["check"]: row for row in json.loads(done.stdout)}


def test_a_probe_that_is_killed_is_no_file_system_that_hangs(place):
    brim, mail, _ = place
    row = kill_a_probe(brim)["probe-failed"]
    assert "was killed: signal 9" in row["what"] and "does not answer" not in row["what"], row
    assert len(list((mail / "new").glob(".*,S=65536"))) == 1


def test_what_killed_probes_left_is_removed_and_told(place):
    brim, mail, _ = place
    kill_a_probe(brim)
    left, = (mail / "new").glob(".*,S=65536")
    os.link(left, mail / "tmp" / left.name)
    rows = check(brim, "--probe")
    assert set(rows) == {"probe", "probe-removed"}, rows
    assert rows["probe-removed"]["what"].startswith("2 files were left"), rows
    assert os.listdir(mail / "new") == os.listdir(mail / "tmp") == []
    assert set(check(brim, "--probe")) == {"probe"}


def test_a_probe_removes_nothing_else(place):
    """Links, directories, what is larger, other hosts', messages, and the file of a probe that
    goes on."""
    brim, mail, _ = place
    kill_a_probe(brim)
    left, = (mail / "new").glob(".*,S=65536")
    left.unlink()
    start, _, rest = left.name.partition("R")
    elsewhere = mail.parent / "elsewhere"
    elsewhere.write_text("x")
    os.chown(elsewhere, UID, UID)
    numbers = iter(range(100))

    def name():
        return mail / "new" / f"{start}R{next(numbers):016x}{rest[16:]}"

    name().symlink_to(elsewhere)
    name().mkdir()
    name().write_bytes(65537 * b"x")
    name().with_name(left.name[1:]).write_bytes(b"x")
    name().with_name(left.name.replace(",S=", "x,S=")).write_bytes(b"x")
    name().with_name(left.name.replace("65536", "65537")).write_bytes(b"x")
    second = f".{time.clock_gettime_ns(time.CLOCK_REALTIME) // 10**9 + 3600}"
    running = f"P{os.getpid()}R0123456789abcdef{rest[16:]}"
    (mail / "tmp" / f"{second}.M1{running}").write_bytes(b"x")
    before = sorted(mail.rglob("*"))
    assert set(check(brim, "--probe")) == {"probe"}
    assert sorted(mail.rglob("*")) == before and elsewhere.read_text() == "x"
    (mail / "tmp" / f".1.M1{running}").write_bytes(b"x")
    assert set(check(brim, "--probe")) == {"probe", "probe-removed"}
    assert sorted(mail.rglob("*")) == before
