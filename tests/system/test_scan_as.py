"""Mailboxes that the scanner's capability does not open: on a FUSE file system a mailbox is
counted as its owner, by a process that is nothing but that user."""

import contextlib
import json
import os
import pathlib
import select
import signal
import time

import pytest

from brim import DAEMON_USER, PATIENCE, Brim
from host import Host, libc
from mounts import Mounts

ALICE, BOB = 21001, 21002
PTRACE_ATTACH = 16
LETTER = b"Subject: hello\n\n" + 800 * b"x" + b"\n"
READ_SEARCH, SETGID, SETUID = 1 << 2, 1 << 6, 1 << 7
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.fixture(scope="module", autouse=True)
def host():
    with Host() as host:
        host.add_user("alice", ALICE)
        host.add_user("bob", BOB)
        yield host


class Site(Brim):
    """Alice's mailbox is on a file system of her own, which shows itself to others, too, or
    (OTHERS is None) shows them all as root's; Bob's is on the disk."""

    def __init__(self, quota=1 << 20, others=False, **settings):
        super().__init__(**settings)
        self.mounts = Mounts().__enter__()
        self.cleanups.append(lambda: self.mounts.__exit__(None, None, None))
        home = self.home / "alice"
        self.below = self.folder / "below"
        self.make_maildir(self.below / "Maildir", ALICE, ALICE)
        options = "" if others is not None else "-o allow_other --force-user=root"
        self.fuse = self.mounts.fuse("bindfs", self.below, home, options, ALICE, bool(others))
        self.alice = self.mailbox("alice@example.org", uid=ALICE, quota=quota,
                                  mail=home / "Maildir", make=False)
        self.bob = self.mailbox("bob@example.org", uid=BOB, quota=1 << 20)

    def put(self, name, size):
        """A message of Alice's, past the mount."""
        path = self.below / "Maildir" / name
        path.write_bytes(size * b"x")
        os.chown(path, ALICE, ALICE)
        path.chmod(0o600)
        return path

    def processes(self, name):
        """Ids of quotad's processes of that name."""
        found, left = [], [self.quotad.pid]
        while left:
            pid = left.pop()
            with contextlib.suppress(OSError):
                left += map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children")
                            .read_text().split())
                status = status_of(pid)
                if status["Name"] == name and "Z" not in status["State"]:
                    found.append(pid)
        return found

    def hold_a_count(self):
        """A count of Alice's mailbox that has begun and hangs: its process."""
        self.fuse.stop()
        self.asking = self.connect()
        self.cleanups.append(self.asking.close)
        self.asking.sendall(b"RECOUNT alice@example.org\n")
        wait_until(lambda: any("Seccomp:\t2" in pathlib.Path(f"/proc/{pid}/status").read_text()
                               for pid in self.processes("quotad-owner")))
        return self.processes("quotad-owner")[0]


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def wait_until(what, seconds=PATIENCE):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def site():
    with Site() as site:
        site.start_quotad()
        yield site
        assert site.quotad.poll() is None, "quotad died:\n" + site.log.read_text()


# --- counted -----------------------------------------------------------------------------

def test_a_mailbox_that_its_owner_alone_may_see_is_counted(site):
    site.put("cur/1.other,S=1000:2,S", 1000)
    site.put("new/2.without.a.size", 77)
    with pytest.raises(PermissionError):
        os.listdir(site.alice)
    assert site.recount("alice@example.org")["used"] == "1077"
    site.put("new/3.other", 5)
    assert site.recount("alice@example.org")["used"] == "1082"


def test_a_folder_that_its_owner_alone_may_see_is_counted(site):
    """The rest of the mailbox is on the disk."""
    below = site.folder / "archive"
    site.make_maildir(below, BOB, BOB)
    (below / "cur/1.old,S=3000:2,S").write_bytes(3000 * b"x")
    (site.bob / "new/2.new,S=20").write_bytes(20 * b"x")
    assert site.recount("bob@example.org")["used"] == "20"
    site.mounts.fuse("bindfs", below, site.bob / ".Archive", uid=BOB, others=False)
    assert site.recount("bob@example.org")["used"] == "3020"


@pytest.mark.parametrize("over_quota, code", [("defer", "4.2.2"), ("bounce", "5.2.2")])
def test_the_limit_is_kept_where_the_owner_alone_may_see_it(over_quota, code):
    with Site(quota=2048, over_quota=over_quota) as site:
        site.start_quotad()
        codes = [site.deliver("alice@example.org", LETTER, uid=ALICE).code for _ in range(3)]
        below = site.below / "Maildir"
        assert codes == [None, None, code], site.log.read_text()
        assert int(site.usage("alice@example.org")["used"]) == site.total(below) <= 2048
        site.files(below)[0].unlink()
        assert site.deliver("alice@example.org", LETTER, uid=ALICE).status == 0, \
            "what was deleted is room"
        assert site.leftovers(below) == []


def test_spawner_and_child_have_what_they_need_and_no_more(site):
    """The child is held by the file system: there is time to look at it."""
    spawner = status_of(site.processes("quotad-spawner")[0])
    kept = [int(spawner[name], 16) for name in SETS]
    assert kept == [0, SETGID | SETUID, SETGID | SETUID, 0, 0]
    child = site.hold_a_count()
    status = status_of(child)
    assert status["Uid"].split() == status["Gid"].split() == 4 * [str(ALICE)]
    assert status["Groups"] == "" and [int(status[name], 16) for name in SETS] == 5 * [0]
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert os.stat(f"/proc/{child}/mem").st_uid == 0, "it is dumpable"
    open_files = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in range(4)]
    assert open_files[:3] == 3 * ["/dev/null"] and open_files[3].startswith("socket:")
    assert len([fd for fd in os.listdir(f"/proc/{child}/fd") if "socket:" in
                os.readlink(f"/proc/{child}/fd/{fd}")]) == 1
    assert "Max processes             0 " in pathlib.Path(f"/proc/{child}/limits").read_text()


def findings(site):
    return {f["check"] for f in json.loads(site.admin("check", "--json", check=False).stdout)}


@pytest.mark.parametrize("scan_as, as_owner", [("auto", 1), ("owner", 2), ("scanner", 0)])
def test_check_and_stats_say_who_reads(scan_as, as_owner):
    with Site(scan_as=scan_as) as site:
        site.start_quotad()
        answers = site.ask("RECOUNT alice@example.org", "RECOUNT bob@example.org")
        statistics = site.ask("STATS")
        assert f"* scan_as={scan_as}" in statistics
        assert f"* as_owner={as_owner}" in statistics
        assert ("scan-as" in findings(site)) == (scan_as == "scanner")
        assert answers[0].startswith("ERR" if scan_as == "scanner" else "OK"), answers
        assert answers[1].startswith("OK used=0 "), answers


# --- hostile -----------------------------------------------------------------------------

def as_user(uid, what):
    """Calls it as that user; what it returns is the exit status."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        try:
            os._exit(what() or 0)
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def goes_on(site):
    """Bob's mail arrives and is counted."""
    assert site.deliver("bob@example.org", LETTER, uid=BOB).status == 0
    assert int(site.recount("bob@example.org")["used"]) == site.total(site.bob)


def test_who_hangs_the_own_mailbox_hangs_nobody_else(site):
    site.put("new/1.a,S=10", 10)
    site.hold_a_count()
    goes_on(site)
    site.fuse.go_on()
    wait_until(lambda: not site.processes("quotad-owner"))
    assert site.recount("alice@example.org")["used"] == "10"


def test_who_stops_the_child_hangs_nobody_else(site):
    site.put("new/1.a,S=10", 10)
    child = site.hold_a_count()
    assert as_user(ALICE, lambda: os.kill(child, signal.SIGSTOP)) == 0
    site.fuse.go_on()
    goes_on(site)
    assert site.processes("quotad-owner") == [child]
    assert as_user(ALICE, lambda: os.kill(child, signal.SIGCONT)) == 0
    assert site.recount("alice@example.org")["used"] == "10"


def test_who_kills_the_child_kills_the_own_count_alone(site):
    site.hold_a_count()
    answered, killed = [], 0
    while not answered:
        for child in site.processes("quotad-owner"):
            killed += as_user(ALICE, lambda: os.kill(child, signal.SIGKILL)) == 0
        answered = select.select([site.asking], [], [], 0.01)[0]
    answer = site.asking.recv(4096)
    assert killed and answer.startswith(b"ERR 4.3.0 the scanner's child died"), answer
    goes_on(site)


def test_quotad_ends_while_a_count_hangs(site):
    """And the child with it: its call was read by nobody, so a signal ends it."""
    child = site.hold_a_count()
    assert site.stop_quotad() == 0
    wait_until(lambda: not pathlib.Path(f"/proc/{child}").exists()
               or "Z" in status_of(child)["State"])
    site.start_quotad()
    goes_on(site)


def test_a_link_that_a_users_file_system_shows_as_roots_is_not_followed():
    """It leads the scanner, which may read everything, to another user's mail."""
    pathlib.Path("/etc/fuse.conf").write_text("user_allow_other\n")
    with Site(scan_as="scanner", others=None) as site:
        (site.bob / "new/1.a,S=777").write_bytes(777 * b"x")
        (site.below / "Maildir").rename(site.below / "old")
        (site.below / "Maildir").symlink_to(site.bob)
        assert os.lstat(site.alice).st_uid == os.stat(site.alice.parent).st_uid == 0
        site.start_quotad()
        answer = site.ask("RECOUNT alice@example.org")[0]
        assert answer.startswith("ERR 4.3.0 ") and "a user has mounted" in answer, answer


def test_nobody_of_the_owners_looks_into_the_child_or_changes_it(site):
    child = site.hold_a_count()

    def look():
        for name in ("mem", "environ", "fd/3", "maps"):
            with contextlib.suppress(PermissionError):
                os.close(os.open(f"/proc/{child}/{name}", os.O_RDONLY))
                return 1
        return libc.ptrace(PTRACE_ATTACH, child, None, None) == 0
    assert as_user(ALICE, look) == 0
