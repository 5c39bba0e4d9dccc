"""quotad where somebody has taken something from it: capabilities of root, root itself, ids of
a user namespace. Each start here has less than a host's root, as container engines do it."""

import contextlib
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import time

import pytest

from brim import BIN, DAEMON_USER, PATIENCE, SANITIZED, Brim

# What container engines leave root by default.
DEFAULT = ("chown,dac_override,fsetid,fowner,mknod,net_raw,setgid,setuid,setfcap,setpcap,"
           "net_bind_service,sys_chroot,kill,audit_write").split(",")
OWNER = pwd.getpwnam("games")  # of all mailboxes, on hosts with a single mail user
STRANGER = 20001
LETTER = b"Subject: hello\n\n" + 800 * b"x" + b"\n"
READ_SEARCH, OVERRIDE, IDS = 1 << 2, 1 << 1, 3 << 6  # CAP_SETGID and CAP_SETUID


# Executes what follows in a user namespace with all ids, mapped from outside.
NAMESPACE = """
import ctypes, os, sys
begin, ready = os.pipe()
if os.fork() == 0:
    os.read(begin, 1)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 65536"), ("gid_map", "0 0 65536")):
        with open(f"/proc/{os.getppid()}/{name}", "w") as file:
            file.write(text)
    os._exit(0)
os.setgroups([4])
if ctypes.CDLL(None).unshare(0x10000000) != 0:
    sys.exit("no user namespace")
os.write(ready, b"x")
os.wait()
os.execv(sys.argv[1], sys.argv[1:])
"""


def with_capabilities(*names):
    """Root with these alone."""
    return ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{n}" for n in names)])]


def as_user(user, *capabilities):
    """Started as that user, by an engine's USER or systemd's User=."""
    kept = ",".join(["-all", *(f"+{n}" for n in capabilities)])
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
            "--inh-caps", kept, "--ambient-caps", kept]


def site(user=DAEMON_USER, uid=STRANGER, own=False, **settings):
    """A Brim with one mailbox that takes two letters; OWN: its directories are USER's."""
    brim = Brim(daemon_user=user, min_uid=1, **settings)
    owner = pwd.getpwnam(user)
    if own:
        brim.usage_dir.mkdir(mode=0o700)
        for folder in (brim.usage_dir, brim.socket.parent):
            os.chown(folder, owner.pw_uid, owner.pw_gid)
    brim.mail = brim.mailbox("bob@example.org", uid=uid, quota=2048)
    brim.uid = uid
    return brim


def fill(brim, prefix=()):
    """Delivers, begun by root under PREFIX, until it is refused: the codes of three."""
    become = ["setpriv", f"--reuid={brim.uid}", f"--regid={brim.uid}", "--clear-groups"]
    return [brim.deliver("bob@example.org", LETTER, uid=0, prefix=[*prefix, *become]).code
            for _ in range(3)]


def delivers_counts_and_refuses(brim, prefix=()):
    assert fill(brim, prefix) == [None, None, "4.2.2"], brim.log.read_text()
    assert int(brim.usage("bob@example.org")["used"]) == brim.total(brim.mail)


def log_of(brim, words):
    return [line for line in brim.log.read_text().splitlines() if words in line]


def start_fails(brim, prefix):
    """Its last line."""
    done = subprocess.run([*prefix, BIN / "quotad", "-c", brim.conf], capture_output=True,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def processes(brim):
    """The daemon and its scanners: id -> lines of /proc/ID/status."""
    def status(pid):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    found, new = {}, [brim.quotad.pid]
    while new:
        pid = new.pop()
        with contextlib.suppress(OSError):
            found[pid] = status(pid)
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
            new += map(int, children.split())
    return found


def capabilities(brim):
    """Every capability that any of its processes has, as a mask."""
    mask = 0
    for status in processes(brim).values():
        mask |= int(status["CapPrm"], 16) | int(status["CapEff"], 16)
    return mask


# --- root with fewer capabilities -----------------------------------------------------------

def test_with_a_containers_default_capabilities_it_starts_and_says_what_is_missing():
    with site() as brim:
        brim.start_quotad(prefix=with_capabilities(*DEFAULT))
        told = log_of(brim, "started without")
        assert len(told) == 1 and "CAP_DAC_READ_SEARCH (" in told[0]
        assert "is counted as its owner" in told[0]


def test_with_a_containers_default_capabilities_other_users_mailboxes_are_counted():
    with site() as brim:
        brim.start_quotad(prefix=with_capabilities(*DEFAULT))
        delivers_counts_and_refuses(brim)


def test_what_nobody_may_count_waits_and_the_log_says_why():
    with site(scan_as="scanner") as brim:
        brim.start_quotad(prefix=with_capabilities(*DEFAULT))
        assert fill(brim) == 3 * ["4.3.0"]
        told = log_of(brim, "started without CAP_DAC_READ_SEARCH (")
        assert len(told) == 1 and "is not counted, and its mail waits" in told[0]


def test_where_daemon_user_owns_the_mailboxes_the_default_capabilities_are_enough():
    with site(OWNER.pw_name, OWNER.pw_uid) as brim:
        brim.start_quotad(prefix=with_capabilities(*DEFAULT))
        delivers_counts_and_refuses(brim)


def test_override_is_never_used_in_the_place_of_read_search():
    with site() as brim:
        brim.start_quotad(prefix=with_capabilities(*DEFAULT))
        fill(brim)
        assert not capabilities(brim) & OVERRIDE
        daemon = pwd.getpwnam(DAEMON_USER).pw_uid
        for pid, status in processes(brim).items():
            assert status["NoNewPrivs"] == "1" and status["CapBnd"] == "0" * 16
            # a child that counts is the mailbox's owner
            uids = {daemon} if pid == brim.quotad.pid else {daemon, brim.uid}
            assert set(map(int, status["Uid"].split())) in [{uid} for uid in uids]


def test_with_read_search_added_every_mailbox_is_counted():
    with site() as brim:
        brim.start_quotad(prefix=with_capabilities(*DEFAULT, "dac_read_search"))
        delivers_counts_and_refuses(brim)
        assert not log_of(brim, "started without")
        assert capabilities(brim) & READ_SEARCH


def test_without_setpcap_the_bounding_set_stays_and_all_else_is_given_up():
    with site() as brim:
        brim.start_quotad(prefix=with_capabilities("setuid", "setgid", "chown",
                                                   "dac_read_search"))
        delivers_counts_and_refuses(brim)
        assert len(log_of(brim, "started without CAP_SETPCAP (")) == 1
        assert not capabilities(brim) & ~(READ_SEARCH | IDS)
        assert all(s["NoNewPrivs"] == "1" for s in processes(brim).values())


def test_with_two_capabilities_it_starts_in_directories_of_its_own():
    with site(OWNER.pw_name, OWNER.pw_uid, own=True) as brim:
        brim.start_quotad(prefix=with_capabilities("setuid", "setgid"))
        delivers_counts_and_refuses(brim)
        told = log_of(brim, "started without")
        assert len(told) == 1
        assert all(f"CAP_{n} (" in told[0] for n in ("DAC_READ_SEARCH", "SETPCAP", "CHOWN"))


def test_without_chown_it_makes_the_directories_of_daemon_user_all_the_same():
    with site() as brim:
        brim.start_quotad(prefix=with_capabilities("setuid", "setgid"))
        delivers_counts_and_refuses(brim)
        for made in (brim.usage_dir, brim.socket.with_name("quotad.sock.d")):
            assert made.owner() == DAEMON_USER and made.stat().st_mode & 0o777 == 0o700
        assert sorted(p.name for p in brim.usage_dir.parent.iterdir()) == \
            ["usage", "users.db", "users.db.lock"]


@pytest.mark.parametrize("missing", ["setuid", "setgid"])
def test_root_that_can_not_become_daemon_user_says_what_that_takes(missing):
    with site() as brim:
        kept = [name for name in DEFAULT if name != missing]
        line = start_fails(brim, with_capabilities(*kept))
        assert f"root without CAP_{missing.upper()} can't become uid 1, gid 1" in line
        assert "or start it as that user" in line


def test_root_without_any_capability_says_so():
    with site() as brim:
        assert "root without CAP_SETUID and CAP_SETGID" in start_fails(brim, with_capabilities())


def test_a_fresh_volume_of_roots_becomes_the_usage_store():
    with site() as brim:
        brim.usage_dir.mkdir(mode=0o755)
        (brim.usage_dir / "lost+found").mkdir()
        brim.start_quotad(prefix=with_capabilities(*DEFAULT, "dac_read_search"))
        delivers_counts_and_refuses(brim)
        assert brim.usage_dir.owner() == DAEMON_USER
        assert brim.usage_dir.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_roots_that_holds_something_stays_roots():
    with site() as brim:
        brim.usage_dir.mkdir(mode=0o755)
        (brim.usage_dir / "letters").touch()
        assert "belongs to uid 0, not to uid 1" in start_fails(brim, [])
        assert brim.usage_dir.owner() == "root"
        assert brim.usage_dir.stat().st_mode & 0o777 == 0o755


# --- started as an ordinary user ------------------------------------------------------------

def test_started_as_the_mail_user_it_needs_no_capability():
    with site(OWNER.pw_name, OWNER.pw_uid, own=True) as brim:
        brim.start_quotad(prefix=as_user(OWNER))
        delivers_counts_and_refuses(brim)
        assert not capabilities(brim)
        assert len(log_of(brim, "started without CAP_DAC_READ_SEARCH (")) == 1


def test_of_ambient_capabilities_the_scanner_keeps_read_search_alone():
    with site(OWNER.pw_name, own=True) as brim:
        brim.start_quotad(prefix=as_user(OWNER, "dac_read_search", "dac_override", "chown"))
        delivers_counts_and_refuses(brim)
        assert not log_of(brim, "started without")
        assert capabilities(brim) == READ_SEARCH
        assert all(s["NoNewPrivs"] == "1" and s["CapAmb"] == "0" * 16
                   for s in processes(brim).values())


# --- user namespaces ------------------------------------------------------------------------

def test_in_a_user_namespace_without_daemon_users_id_it_says_so():
    with site() as brim:
        assert "this user namespace has no such id" in start_fails(
            brim, ["unshare", "--user", "--map-root-user"])


def test_where_a_user_namespace_denies_setgroups_the_groups_stay():
    """Its ids are mapped, as those of a rootless container."""
    with site(OWNER.pw_name, OWNER.pw_uid) as brim:
        brim.start_quotad(prefix=[sys.executable, "-c", NAMESPACE])
        delivers_counts_and_refuses(brim)
        assert len(log_of(brim, "denies setgroups")) == 1


# --- what is not mounted --------------------------------------------------------------------

def without_proc(*options):
    """In a mount namespace without /proc, or with one that is mounted with these."""
    change = f"mount -t proc {' '.join(options)} proc /proc" if options else "umount -l /proc"
    return ["unshare", "--mount", "sh", "-c", f'{change} && exec "$0" "$@"']


@pytest.mark.parametrize("options", [
    pytest.param((), id="none",
                 marks=pytest.mark.skipif(SANITIZED, reason="ASan needs /proc")),
    pytest.param(("-o", "subset=pid"), id="subset"),
    pytest.param(("-o", "hidepid=2"), id="hidepid")])
def test_whatever_is_there_of_proc_it_delivers_counts_and_refuses(options):
    with site() as brim:
        brim.start_quotad(prefix=without_proc(*options))
        delivers_counts_and_refuses(brim, without_proc(*options))
        assert len(log_of(brim, "boot_id can't be read")) == ("hidepid=2" not in options)


def test_without_the_boots_id_mailboxes_are_counted_after_each_start():
    with site() as brim:
        for counts in ("first", "boot"):
            brim.start_quotad(prefix=without_proc("-o", "subset=pid"))
            (brim.mail / "cur" / f"1.{counts}.host:2,S").write_bytes(LETTER)
            assert int(brim.usage("bob@example.org")["used"]) == brim.total(brim.mail)
            brim.stop_quotad()


def test_without_a_syslog_the_log_goes_to_standard_error():
    with site(log="syslog") as brim:
        hide = "! test -e /dev/log || mount --bind /dev/null /dev/log"
        brim.start_quotad(prefix=["unshare", "--mount", "sh", "-c",
                                  f'{hide}; exec "$0" "$@"'])
        assert len(log_of(brim, ": ready, ")) == 1
        assert "<" not in brim.log.read_text()


def test_without_dev_null_it_says_so():
    with site() as brim:
        said = start_fails(brim, ["unshare", "--mount", "sh", "-c",
                                  'mount -t tmpfs none /dev; exec "$0" "$@"'])
        assert "/dev/null can't be opened: No such file" in said


def test_with_a_read_only_root_its_own_directories_are_enough():
    with site() as brim:
        change = f"mount --bind {brim.folder} {brim.folder} && mount -o remount,bind,ro /"
        brim.start_quotad(prefix=["unshare", "--mount", "sh", "-c",
                                  f'{change} && ! touch /brim && exec "$0" "$@"'])
        delivers_counts_and_refuses(brim)


# --- process 1 ------------------------------------------------------------------------------

@contextlib.contextmanager
def first_process(brim):
    """quotad as the first process of a container: its id outside."""
    unshare = brim.start_quotad(prefix=["unshare", "--pid", "--fork", "--kill-child"])
    first = next(pid for pid in processes(brim) if pid != unshare.pid)
    try:
        yield first
    finally:
        # it has become another user, so that --kill-child does not reach it any more
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
        brim.stop_quotad(signal.SIGKILL)  # unshare takes no other


def children(pid, name):
    """Ids of its children of that name, dead ones too."""
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if name_of(child) == name]


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return None


def wait_until(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_as_process_1_it_waits_for_whoever_dies_without_a_parent():
    with site() as brim, first_process(brim) as quotad:
        for _ in range(3):
            subprocess.run(["nsenter", "-t", str(quotad), "--pid", "sh", "-c",
                            "sleep 0.1 & sleep 0.2 &"], check=True)
        wait_until(lambda: not children(quotad, "sleep"))
        delivers_counts_and_refuses(brim)


def test_as_process_1_it_waits_for_a_scanner_that_was_killed():
    with site() as brim, first_process(brim) as quotad:
        scanner = children(quotad, "quotad-scanner")[0]
        wait_until(lambda: children(scanner, "quotad-scanner"))  # its spare
        os.kill(scanner, signal.SIGKILL)
        wait_until(lambda: scanner not in children(quotad, "quotad-scanner"))
        delivers_counts_and_refuses(brim)


def test_as_process_1_it_ends_on_sigterm():
    with site() as brim, first_process(brim) as quotad:
        os.kill(quotad, signal.SIGTERM)
        assert brim.quotad.wait(PATIENCE) == 0
        assert len(log_of(brim, "stopping on signal 15")) == 1
