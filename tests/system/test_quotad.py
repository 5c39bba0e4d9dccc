"""quotad's shell: who is served, what is refused, and that nothing a client does harms
another; start, signals, systemd, privileges, the user table's changes."""

import contextlib
import fcntl
import glob
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from brim import BIN, PATIENCE, Brim

ALICE, BOB = 20001, 20002


@pytest.fixture
def brim():
    with Brim() as b:
        b.mailbox("alice@example.org", uid=ALICE, quota=1 << 20)
        b.mailbox("bob@example.org", uid=BOB, quota=1 << 20)
        yield b


@pytest.fixture
def running(brim):
    brim.start_quotad()
    yield brim
    assert brim.quotad.poll() is None, "quotad died:\n" + brim.log.read_text()


def ask_as(brim, uid, *requests, groups=()):
    """Sends the requests as that user by socat; all lines that come back."""
    done = subprocess.run(
        ["socat", "-t", "10", "-", f"UNIX-CONNECT:{brim.socket}"],
        input="".join(f"{r}\n" for r in requests), capture_output=True, text=True,
        timeout=60, user=uid, group=uid, extra_groups=list(groups))
    return done.stdout.splitlines()


def wait_until(what, seconds=PATIENCE, pause=0.02):
    limit = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(pause)


def served(brim, within=1.0):
    """Somebody else's question is answered in time."""
    began = time.monotonic()
    assert ask_as(brim, BOB, "GET bob@example.org")[0].startswith("OK ")
    return time.monotonic() - began < within


def is_listening(brim):
    with contextlib.suppress(OSError):
        brim.connect().close()
        return True
    return False


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ASan keeps freed memory for a while
SANITIZED = b"__asan_init" in (BIN / "quotad").read_bytes()


def rss(pid):
    return 0 if SANITIZED else int(status_of(pid)["VmRSS"].split()[0]) * 1024


def read_all(s):
    """Everything until the other end closes; a reset is an end, too."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := s.recv(65536):
            data += chunk
    return data


def start_by_hand(brim, *prefix, **popen):
    with open(brim.log, "ab") as log:
        return subprocess.Popen([*prefix, BIN / "quotad", "-c", brim.conf],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen)


# --- who may ask ------------------------------------------------------------------------

def test_a_user_sees_its_own_mailbox_and_no_other(running):
    own, other, nobody = ask_as(running, ALICE, "GET alice@example.org",
                                "GET bob@example.org", "GET nobody@example.org")
    assert own.startswith("OK mailbox=alice@example.org used=0 ")
    assert other.startswith("ERR 4.7.0 ") and nobody == other


def test_a_user_can_do_nothing_to_another_users_mailbox(running):
    refused = ask_as(running, ALICE, "CHECK bob@example.org 1",
                     "RESERVE bob@example.org 1 name=a", "RECOUNT bob@example.org", "LIST",
                     "STATS")
    assert len(set(refused)) == 1 and refused[0].startswith("ERR 4.7.0 ")
    assert running.usage("bob@example.org")["tickets"] == "0"


def test_trusted_users_and_the_daemons_group_see_all(brim):
    brim.configure(trusted_users="games no-such-user")
    brim.start_quotad()
    assert ask_as(brim, 5, "GET bob@example.org")[0].startswith("OK ")
    assert ask_as(brim, ALICE, "LIST", groups=[1])[-1] == "OK count=2"
    assert ask_as(brim, ALICE, "LIST", groups=[2])[-1].startswith("ERR 4.7.0 ")
    assert "no user is named no-such-user" in brim.log.read_text()


@pytest.mark.parametrize("trusted_users", ["", "daemon"])
def test_the_daemons_own_user_may_ask_as_anyone_else(brim, trusted_users):
    # the scanner's children are of that user and group
    brim.configure(trusted_users=trusted_users, min_uid="1")
    brim.mailbox("own@example.org", uid=1)
    brim.start_quotad()
    for request in ("GET alice@example.org", "RECOUNT alice@example.org", "LIST", "STATS",
                    "RESERVE alice@example.org 1 name=1.a.host"):
        assert ask_as(brim, 1, request, groups=[1])[-1].startswith("ERR 4.7.0 "), request
    assert ask_as(brim, 1, "GET own@example.org")[-1].startswith("OK mailbox=own@")
    assert ask_as(brim, 1, "RESERVE own@example.org 1 name=1.a.host")[-1].startswith("OK ")


def test_a_list_and_a_get_agree_on_the_domain(running):
    running.load("@defaults.example quota=78848")
    for key in ("a@b@defaults.example", "a@defaults.example"):
        running.load(f"{key} uid={ALICE} gid={ALICE} mail={running.home}/{key}/")
    listed = {line.split()[1]: line.split()[2:] for line in running.ask("LIST *")[:-1]}
    for key in ("a@b@defaults.example", "a@defaults.example"):
        limit = f"limit={running.usage(key)['limit']}"
        assert limit == "limit=78848" and limit in listed[f"mailbox={key}"]


def test_nobody_may_ask_nothing(running):
    answers = ask_as(running, 65534, "GET alice@example.org", "COMMIT 1", "STATS")
    assert len(answers) == 3 and all(a.startswith("ERR 4.7.0 ") for a in answers)


def test_another_connections_ticket_is_not_there(running):
    with running.connect() as first:
        first.sendall(b"RESERVE alice@example.org 1000 name=one\n")
        ticket = first.recv(100).decode().strip().removeprefix("OK ticket=")
        answers = running.ask(f"COMMIT {ticket}", f"CANCEL {ticket}")
        assert all(a.startswith("ERR 4.3.0 ") for a in answers)
        assert running.usage("alice@example.org")["reserved"] == "1000"
        first.sendall(f"CANCEL {ticket}\n".encode())
        assert first.recv(100) == b"OK\n"


def test_a_user_has_so_many_tickets_and_no_more(brim):
    brim.configure(max_user_tickets=5)
    brim.start_quotad()
    answers = ask_as(brim, ALICE,
                     *[f"RESERVE alice@example.org 1 name=n{i}" for i in range(8)])
    assert sum(a.startswith("OK ticket=") for a in answers) == 5
    assert sum(a.startswith("ERR 4.3.0 too many") for a in answers) == 3
    # those of a connection that is gone are the mailbox's until a count
    answers = [ask_as(brim, ALICE, f"RESERVE alice@example.org 1 name=m{i}")[0]
               for i in range(10)]
    assert int(brim.usage("alice@example.org")["tickets"]) <= 5, answers
    assert ask_as(brim, BOB, "RESERVE bob@example.org 1 name=a")[0].startswith("OK ")


# --- bad input --------------------------------------------------------------------------

@pytest.mark.parametrize("garbage", [
    b"\0", b"GET alice\0@example.org\n", b"\x80\xff\r\n", b"GET alice@example.org\r\n",
    b"A" * 5000 + b"\n", b"\n" * 100, os.urandom(20000), b"%00\n", b"GET %zz\n",
    b"RESERVE alice@example.org 99999999999999999999999 name=a\n",
    b"GET " + b"a" * 4000 + b"@example.org\n", b"STATS STATS STATS STATS STATS STATS\n",
], ids=["nul", "nul-inside", "8bit", "crlf", "5000-bytes", "empty-lines", "random", "escaped-nul",
        "bad-escape", "number", "long-address", "words"])
def test_garbage_is_answered_or_closed_and_harms_nobody(running, garbage):
    with running.connect() as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall(garbage)
            s.shutdown(socket.SHUT_WR)
        for line in read_all(s).splitlines():
            assert line.startswith(b"ERR 4."), line
    assert served(running)


def test_one_gigabyte_without_a_line_end_is_cut_off(running):
    sent, chunk = 0, b"x" * (1 << 20)
    with running.connect() as s:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while sent < 1 << 30:
                sent += s.send(chunk)
        assert sent < 4 << 20
    assert served(running)
    assert rss(running.quotad.pid) < 30 << 20


def test_pipelining_without_reading_is_bounded(running):
    request, sent = b"GET alice@example.org\n" * 1000, 0
    with running.connect(timeout=1) as s:
        with contextlib.suppress(TimeoutError):
            while sent < 200 << 20:
                sent += s.send(request)
        assert sent < 8 << 20
        assert served(running)
        assert rss(running.quotad.pid) < 30 << 20
        busy = cpu_seconds(running.quotad.pid)
        time.sleep(1)
        assert cpu_seconds(running.quotad.pid) - busy < 0.2
        s.settimeout(PATIENCE)  # and whoever reads at last gets everything
        s.shutdown(socket.SHUT_WR)
        whole = read_all(s)
        assert whole.count(b"OK mailbox=alice@example.org ") == sent // 22


def test_one_byte_a_minute_is_idle(brim):
    # A minute takes a second, on every clock of quotad. Without the wrapper faketime(1),
    # which would stay in between as quotad's parent.
    library, = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    brim.start_quotad(prefix=["env", "ASAN_OPTIONS=verify_asan_link_order=0",
                              f"LD_PRELOAD={library}", "FAKETIME=+0 x60"])
    with brim.connect(timeout=30) as slow:
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            for byte in b"GET alice@example.org\n":
                slow.send(bytes([byte]))
                time.sleep(1)
                assert served(brim)
        assert read_all(slow) == b""
        assert time.monotonic() - began < 15


def test_descriptors_sent_along_are_not_kept(running):
    def descriptors():
        return len(os.listdir(f"/proc/{running.quotad.pid}/fd"))

    before = descriptors()
    with running.connect() as s, open("/dev/null", "rb") as null:
        for _ in range(50):
            socket.send_fds(s, [b"GET alice@example.org\n"], [null.fileno()] * 200)
            assert s.recv(1000).startswith(b"OK ")
        assert descriptors() < before + 100  # of 10,000


# --- many clients -----------------------------------------------------------------------

MANY = """
import json, resource, socket, sys
path, count = sys.argv[1], int(sys.argv[2])
open_, refused = [], 0
for i in range(count):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(20)
    open_.append(s)
kept = []
for s in open_:
    try:
        s.sendall(b"GET alice@example.org\\n")
        ok = s.recv(1000).startswith(b"OK ")
    except OSError:
        ok = False
    if ok:
        kept.append(s)
    else:
        refused += 1
        s.close()
print(json.dumps([len(kept), refused]), flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def many_clients(brim, count, uid):
    """A process of that user which holds as many connections as it gets."""
    def raise_limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    process = subprocess.Popen([sys.executable, "-c", MANY, str(brim.socket), str(count)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               preexec_fn=raise_limit)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(PATIENCE)


def test_ten_thousand_connections_of_one_user_are_capped(running):
    with many_clients(running, 10000, ALICE) as (kept, refused):
        assert (kept, refused) == (100, 9900)
        assert served(running)
        assert running.ask("STATS")[-1] == "OK"
    wait_until(lambda: "* connections=1" in running.ask("STATS"))
    assert ask_as(running, ALICE, "GET alice@example.org")[0].startswith("OK ")


def test_ten_thousand_connections_of_root_leave_others_served(brim):
    brim.configure(max_user_connections=700)
    brim.start_quotad()
    with many_clients(brim, 10000, 0) as (kept, refused):
        assert (kept, refused) == (10000, 0)
        assert served(brim)
        assert rss(brim.quotad.pid) < 60 << 20
    wait_until(lambda: "* connections=1" in brim.ask("STATS"))


def test_ordinary_users_leave_a_quarter_to_the_trusted(brim):
    brim.configure(max_connections=40, max_user_connections=25)
    brim.start_quotad()
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(many_clients(brim, 25, uid))[0]
                for uid in (ALICE, BOB, 20003)]
        assert kept[0] == 25 and sum(k for k in kept[1:2]) <= 5
        assert brim.ask("STATS")[-1] == "OK"


# root of some containers may not raise its limit; the others are made like it
FEW_FILES = ["setpriv", "--bounding-set=-sys_resource"]


def test_with_few_descriptors_the_last_clients_are_told(brim):
    brim.start_quotad(prefix=FEW_FILES + ["prlimit", "--nofile=100:100"])
    assert "only 100 descriptors" in brim.log.read_text()
    with many_clients(brim, 200, 0) as (kept, refused):
        assert (kept, refused) == (50, 150)
    wait_until(lambda: served(brim, PATIENCE))


def test_no_descriptor_left_is_waited_out_without_spinning(brim):
    # a crowd in the backlog, and descriptors taken by a limit that is far too low
    brim.start_quotad(prefix=FEW_FILES + ["prlimit", "--nofile=28:28"])
    running, pid = brim, brim.quotad.pid
    assert running.usage("alice@example.org")["used"] == "0"
    clients = [running.connect() for _ in range(30)]
    time.sleep(0.5)
    busy = cpu_seconds(pid)
    time.sleep(2)
    assert cpu_seconds(pid) - busy < 0.4
    answered = turned_away = 0
    for c in clients:
        try:
            c.sendall(b"GET alice@example.org\n")
            answered += c.recv(1000).startswith(b"OK ")
        except (BrokenPipeError, ConnectionResetError):
            turned_away += 1
    assert answered >= 1 and turned_away >= 1
    assert "accept: Too many open files" in running.log.read_text()
    for c in clients:
        c.close()
    wait_until(lambda: served(running, PATIENCE))


# --- start and end ----------------------------------------------------------------------

def test_a_second_quotad_on_the_socket_is_refused(running):
    second = start_by_hand(running)
    assert second.wait(PATIENCE) == 1
    assert f"another quotad serves {running.socket}" in running.log.read_text()
    assert served(running)


def test_a_second_quotad_on_the_store_is_refused(running):
    before = running.conf.read_text()
    running.configure(socket=running.folder / "run/other.sock")
    second = start_by_hand(running)
    assert second.wait(PATIENCE) == 1
    assert "can't start: server: " in running.log.read_text()
    running.conf.write_text(before)
    running.socket = running.folder / "run/quotad.sock"
    assert served(running)


def test_a_stale_socket_is_replaced_and_another_file_is_not(brim):
    brim.start_quotad()
    brim.stop_quotad(signal.SIGKILL)
    assert brim.socket.is_socket()
    brim.start_quotad()
    assert served(brim)
    brim.stop_quotad()
    with contextlib.suppress(FileNotFoundError):
        brim.socket.unlink()
    brim.socket.write_text("precious")
    assert start_by_hand(brim).wait(PATIENCE) == 1
    assert brim.socket.read_text() == "precious"
    assert "is not a socket" in brim.log.read_text()


def test_the_lock_of_a_killed_one_s_children_is_waited_for(brim):
    with open(f"{brim.socket}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        quotad = start_by_hand(brim)
        time.sleep(0.5)  # it has met the lock by now; where not, it finds none
    wait_until(lambda: "ready, " in brim.log.read_text())
    quotad.send_signal(signal.SIGTERM)
    assert quotad.wait(PATIENCE) == 0


def test_a_limit_on_files_that_the_store_does_not_fit_in_is_told_and_ends_nothing(brim):
    brim.start_quotad(prefix=["prlimit", "--fsize=1000"])
    assert brim.deliver("alice@example.org").status == 0
    assert "can't be opened: File too large; going on in memory" in brim.log.read_text()


def test_a_socket_path_that_is_too_long_is_told(brim):
    brim.configure(socket=brim.folder / "run" / ("s" * 120))
    assert start_by_hand(brim).wait(PATIENCE) == 1
    assert "107 at most are possible" in brim.log.read_text()


def test_the_sockets_directory_is_made(brim):
    brim.socket = brim.folder / "run/brim/quotad.sock"
    brim.configure(socket=brim.socket)
    brim.start_quotad()
    assert brim.socket.parent.stat().st_mode & 0o7777 == 0o755
    assert brim.socket.stat().st_mode & 0o7777 == 0o666
    assert brim.usage_dir.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("line", ["quota = 12", "no_such_setting = 1", "deadline = 5y"])
def test_it_does_not_start_with_bad_settings(brim, line):
    brim.conf.write_text(brim.conf.read_text() + line + "\n")
    assert start_by_hand(brim).wait(PATIENCE) == 1
    assert line.split(" ")[0] in brim.log.read_text()


def test_bad_options_are_a_usage_error(brim):
    for arguments in (["-x"], ["-c"], ["-c", str(brim.conf), "word"]):
        done = subprocess.run([BIN / "quotad", *arguments], capture_output=True, text=True)
        assert done.returncode == 64 and "usage: quotad" in done.stderr
    done = subprocess.run([BIN / "quotad", "-v"], capture_output=True, text=True)
    assert done.returncode == 0 and re.match(r"quotad \d", done.stdout)


def test_a_user_that_is_missing_or_root_is_refused(brim):
    for name in ("no-such-user", "root"):
        brim.configure(daemon_user=name)
        assert start_by_hand(brim).wait(PATIENCE) == 1
    assert "can't start: user: " in brim.log.read_text()


def test_closed_standard_descriptors_are_no_harm(brim):
    process = subprocess.Popen(
        ["sh", "-c", f"exec {BIN}/quotad -c {brim.conf} <&- >&- 2>&-"])
    brim.quotad = process
    wait_until(brim.socket.exists)
    wait_until(lambda: served(brim, PATIENCE))
    links = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in (0, 1, 2)]
    assert links == ["/dev/null"] * 3


def test_sigterm_ends_it_and_keeps_what_was_answered(running):
    with running.connect() as s:
        s.sendall(b"RESERVE alice@example.org 1000 name=one\n")
        assert s.recv(100).startswith(b"OK ticket=")
        assert running.stop_quotad(signal.SIGTERM) == 0
    assert children_are_gone(running)
    running.start_quotad()
    assert running.usage("alice@example.org")["reserved"] == "1000"


def test_the_socket_s_lock_is_given_up_last(running):
    ask_as(running, ALICE, "GET alice@example.org")
    with (open(f"{running.socket}.lock", "rb") as first,
          open(running.usage_dir / "lock", "rb") as second):
        running.quotad.send_signal(signal.SIGTERM)
        wait_until(lambda: is_locked_by_us(first), pause=0)
        assert is_locked_by_us(second), "quotad still has the store"
    assert running.quotad.wait(PATIENCE) == 0
    running.quotad = None
    running.start_quotad()


def is_locked_by_us(file):
    """Takes the lock, where nobody else has it."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def test_a_user_cannot_flood_the_log(running):
    new = running.home / "alice_example.org/Maildir/new"
    running.recount("alice@example.org")
    began = time.monotonic()
    for i in range(60):
        (new / f"{i}").write_bytes(b"x")
        running.recount("alice@example.org")
    seconds = int(time.monotonic() - began) + 2
    assert running.stop_quotad() == 0
    log = running.log.read_text()
    lines = log.count(": corrected ")
    left_out = re.findall(r': lines left out, count=(\d+) like="corrected ', log)
    assert lines <= 10 * seconds and lines + sum(map(int, left_out)) == 60
    running.start_quotad()


def children_are_gone(brim):
    wait_until(lambda: not [p for p in os.listdir("/proc") if p.isdigit()
                            and command_of(p) == [os.fsencode(BIN / "quotad"), b"-c",
                                                  os.fsencode(brim.conf)]])
    return True


def command_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    return []


def test_after_kill_9_tickets_are_orphans(running):
    with running.connect() as s:
        s.sendall(b"RESERVE alice@example.org 1000 name=one\n")
        assert s.recv(100).startswith(b"OK ticket=")
        running.stop_quotad(signal.SIGKILL)
    assert children_are_gone(running)
    running.start_quotad()
    assert "* orphans=1" in running.ask("STATS")
    usage = running.usage("alice@example.org")
    assert (usage["reserved"], usage["tickets"]) == ("1000", "1")


def test_50_starts_and_stops_leave_nothing_behind(brim):
    for i in range(50):
        brim.start_quotad()
        assert brim.stop_quotad(signal.SIGTERM if i % 2 else signal.SIGKILL) in (0, -9)
    brim.start_quotad()
    assert served(brim)


# --- settings, again --------------------------------------------------------------------

def test_sighup_reads_the_settings_again(brim):
    brim.mailbox("carol@example.org", uid=20003)
    brim.start_quotad()
    assert brim.usage("carol@example.org")["limit"] == "0"
    brim.configure(quota="7M", trusted_users="games")
    assert ask_as(brim, 5, "LIST")[-1].startswith("ERR ")
    brim.quotad.send_signal(signal.SIGHUP)
    wait_until(lambda: brim.usage("carol@example.org")["limit"] == str(7 << 20))
    assert ask_as(brim, 5, "LIST")[-1] == "OK count=3"


def test_bad_settings_leave_the_old_in_force(running):
    running.configure(quota="7M", no_such_setting="1")
    running.quotad.send_signal(signal.SIGHUP)
    wait_until(lambda: "the old settings stay" in running.log.read_text())
    assert "no_such_setting" in running.log.read_text()
    assert running.usage("alice@example.org")["limit"] == str(1 << 20)
    assert served(running)


def test_settings_that_take_a_restart_are_named_until_it_comes(running):
    def reload():
        lines = running.log.read_text().count("settings read again")
        running.quotad.send_signal(signal.SIGHUP)
        wait_until(lambda: running.log.read_text().count("settings read again") > lines)
        return running.log.read_text().count("usage_dir was changed: that takes a restart")

    running.configure(usage_dir=running.folder / "lib/elsewhere")
    assert (reload(), reload()) == (1, 2)
    running.configure(usage_dir=running.usage_dir)
    assert reload() == 2


# --- systemd ----------------------------------------------------------------------------

@contextlib.contextmanager
def by_systemd(brim, **environment):
    """quotad as systemd starts it: a socket as descriptor 3, and one to be told by."""
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(brim.folder / "notify"))
    os.chmod(brim.folder / "notify", 0o666)
    told.settimeout(PATIENCE)
    given = socket.socket(socket.AF_UNIX)
    given.bind(str(brim.socket))
    os.chmod(brim.socket, 0o666)
    given.listen()

    def at_three():
        os.dup2(given.fileno(), 3)

    brim.quotad = start_by_hand(
        brim, "sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh",
        env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(brim.folder / "notify"),
             "LISTEN_FDS": "1", **environment},
        preexec_fn=at_three, pass_fds=[3])
    try:
        yield told
    finally:
        given.close()
        told.close()


def test_systemds_socket_is_taken_and_it_is_told(brim):
    with by_systemd(brim) as told:
        with brim.connect() as early:  # before it is ready: waits in the backlog
            early.sendall(b"GET alice@example.org\n")
            assert told.recv(100) == b"READY=1"
            assert early.recv(1000).startswith(b"OK ")
        assert not (brim.folder / "run/quotad.sock.lock").exists()
        assert brim.stop_quotad() == 0
        assert told.recv(100) == b"STOPPING=1"
    assert brim.socket.is_socket()  # systemd's, not ours to remove


def test_the_watchdog_hears_of_it_while_it_lives(brim):
    with by_systemd(brim, WATCHDOG_USEC="300000") as told:
        assert told.recv(100) == b"READY=1"
        for _ in range(3):
            assert told.recv(100) == b"WATCHDOG=1"
        brim.quotad.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        told.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            while True:
                told.recv(100)
        told.settimeout(1)
        with pytest.raises(TimeoutError):
            told.recv(100)
        brim.quotad.send_signal(signal.SIGCONT)
        told.settimeout(PATIENCE)
        assert told.recv(100) == b"WATCHDOG=1"


def scanners(brim):
    """The ids of the daemon's scanner and its spare."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, rest = pathlib.Path(path).read_text().rsplit(")", 1)
            if name.endswith("(quotad-scanner"):
                found.append((int(rest.split()[1]), int(name.split()[0])))
    family = {brim.quotad.pid}
    while more := {pid for parent, pid in found if parent in family} - family:
        family |= more
    return family - {brim.quotad.pid}


def hears_nothing(told, seconds):
    """What was on its way is taken first."""
    time.sleep(0.4)
    told.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while True:
            told.recv(100)
    told.settimeout(seconds)
    with pytest.raises(TimeoutError):
        told.recv(100)
    told.settimeout(PATIENCE)
    return True


def test_the_watchdog_hears_nothing_while_the_scanner_hangs(brim):
    with by_systemd(brim, WATCHDOG_USEC="300000") as told:
        assert told.recv(100) == b"READY=1"
        assert told.recv(100) == b"WATCHDOG=1"
        stopped = scanners(brim)
        assert stopped
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert hears_nothing(told, 1)
            # the daemon itself is well, and answers what needs no scanner
            assert brim.ask("STATS")[-1] == "OK"
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert told.recv(100) == b"WATCHDOG=1"
        assert "no heartbeat for systemd" in brim.log.read_text()


def test_the_watchdogs_mark_in_the_store_is_no_damage(brim):
    with by_systemd(brim, WATCHDOG_USEC="300000") as told:
        assert told.recv(100) == b"READY=1"
        assert told.recv(100) == b"WATCHDOG=1"
        with brim.connect() as s:
            s.sendall(b"RESERVE alice@example.org 500 name=9.z.host,S=500\n")
            assert s.recv(100).startswith(b"OK ticket=")
            brim.stop_quotad(signal.SIGKILL)
    brim.socket.unlink()
    brim.start_quotad()
    assert "set aside" not in brim.log.read_text()
    assert brim.ask("STATS").count("* store=disk") == 1
    assert brim.usage("alice@example.org")["tickets"] == "1"


def test_what_is_no_listening_socket_is_refused_from_systemd(brim):
    def at_three():
        os.dup2(os.open("/dev/null", os.O_RDONLY), 3)

    process = start_by_hand(
        brim, "sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh",
        env={"PATH": os.environ["PATH"], "LISTEN_FDS": "1"}, preexec_fn=at_three,
        pass_fds=[3])
    assert process.wait(PATIENCE) == 1
    assert "descriptor 3 from systemd is not" in brim.log.read_text()


@pytest.mark.parametrize("name", ["line", "unknown", "quotad.socket", ""])
def test_systemds_socket_has_its_protocol_by_its_name(brim, name):
    with by_systemd(brim, LISTEN_FDNAMES=name) as told:
        assert told.recv(100) == b"READY=1"
        assert brim.ask("STATS")[-1] == "OK"


@pytest.mark.parametrize("name, fault", [
    ("poetry", 'a socket named "poetry", and no protocol has that name'),
    ("line:line", "LISTEN_FDNAMES=line:line has 2 names for 1 socket")])
def test_systemds_socket_of_no_protocol_is_refused_by_its_name(brim, name, fault):
    with by_systemd(brim, LISTEN_FDNAMES=name):
        assert brim.quotad.wait(PATIENCE) == 1
        assert fault in brim.log.read_text()


@pytest.mark.parametrize("count", ["17", "two", "-1"])
def test_more_sockets_of_systemd_than_16_are_refused(brim, count):
    with by_systemd(brim, LISTEN_FDS=count):
        assert brim.quotad.wait(PATIENCE) == 1
        assert f"LISTEN_FDS={count} is not a number from 0 to 16" in brim.log.read_text()


# --- privileges -------------------------------------------------------------------------

def test_daemon_and_scanner_have_what_they_need_and_no_more(running):
    daemon = status_of(running.quotad.pid)
    assert daemon["Uid"].split() == ["1"] * 4 and daemon["Gid"].split() == ["1"] * 4
    assert daemon["Groups"].strip() == "" and daemon["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(daemon[name], 16) == 0
    kept = {}
    for pid in children(running.quotad.pid):
        scanner = status_of(pid)
        kept[scanner["Name"].strip()] = int(scanner["CapEff"], 16)
        assert scanner["Uid"].split() == ["1"] * 4
        assert scanner["Groups"].strip() == "" and scanner["NoNewPrivs"] == "1"
        assert int(scanner["CapEff"], 16) == int(scanner["CapPrm"], 16)
        assert int(scanner["CapBnd"], 16) == int(scanner["CapAmb"], 16) == 0
    assert kept == {"quotad-scanner": 1 << 2, "quotad-spawner": 1 << 6 | 1 << 7}


def is_believed_as(brim, user):
    """Whether an lda whose settings name that daemon_user takes its word."""
    brim.configure(daemon_user=user)
    done = brim.deliver("alice@example.org")
    assert (done.status, done.code) in ((0, None), (75, "4.3.0")), done
    return done.status == 0


def test_a_quotad_that_has_become_another_user_is_not_believed(running):
    assert is_believed_as(running, "daemon")
    assert not is_believed_as(running, "games")


def test_on_a_socket_of_systemds_it_is_not_believed_either(brim):
    with by_systemd(brim) as told:
        assert told.recv(100) == b"READY=1"
        assert is_believed_as(brim, "daemon")
        assert not is_believed_as(brim, "games")


@pytest.mark.parametrize("follow", [[], ["-f"]], ids=["daemon", "scanner-too"])
@pytest.mark.parametrize("calls", ["setresuid", "setresgid", "capset"])
def test_pretended_success_is_noticed(brim, calls, follow):
    process = start_by_hand(brim, "strace", *follow, "-o", "/dev/null", "-e",
                            f"trace={calls}", "-e", f"inject={calls}:retval=0")
    assert process.wait(PATIENCE) == 1
    assert "can't start: " in brim.log.read_text()


def test_an_ordinary_user_stays_that_user(brim):
    for name in ("run", "lib"):
        os.chown(brim.folder / name, ALICE, ALICE)
    brim.quotad = start_by_hand(brim, user=ALICE, group=ALICE, extra_groups=[])
    wait_until(lambda: is_listening(brim) and brim.ask("STATS")[-1] == "OK")
    status = status_of(brim.quotad.pid)
    assert status["Uid"].split() == [str(ALICE)] * 4
    assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"
    assert ask_as(brim, ALICE, "GET alice@example.org")[0].startswith("OK ")
    assert ask_as(brim, BOB, "GET alice@example.org")[0].startswith("ERR 4.7.0 ")


# --- the user table ---------------------------------------------------------------------

def test_a_new_table_is_taken_within_a_moment(running):
    running.mailbox("carol@example.org", uid=20003, quota=5000)
    assert running.usage("carol@example.org")["limit"] == "5000"


def damage(brim, change):
    """A damaged copy in the table's place, as a bad restore would leave it."""
    data = bytearray(brim.users_db.read_bytes())
    change(data)
    other = brim.users_db.with_name("damaged")
    other.write_bytes(data)
    other.chmod(0o644)
    other.rename(brim.users_db)


def flip(data):
    data[len(data) - 2000] ^= 0xFF


def zero_page(data):
    data[4096:8192] = bytes(4096)


def truncate(data):
    del data[len(data) // 2:]


def empty(data):
    del data[:]


def no_database(data):
    data[:] = b"root:x:0:0:\n" * 1000


@pytest.mark.parametrize("change", [flip, zero_page, truncate, empty, no_database])
def test_a_damaged_table_leaves_the_old_one_in_use(running, change):
    good = running.users_db.read_bytes()
    damage(running, change)
    wait_until(lambda: "the one before stays in use" in running.log.read_text())
    assert running.usage("alice@example.org")["limit"] == str(1 << 20)
    running.users_db.write_bytes(good)
    running.mailbox("carol@example.org", uid=20003)
    assert running.usage("carol@example.org")["used"] == "0"


def test_a_table_damaged_in_place_is_not_used_any_more(running):
    data = bytearray(running.users_db.read_bytes())
    good = bytes(data)
    zero_page(data)
    with open(running.users_db, "r+b") as table:
        table.write(data)
    wait_until(lambda: "mail has to wait" in running.log.read_text())
    assert running.ask("CHECK alice@example.org 1")[0].startswith("ERR 4.3.0 ")
    with open(running.users_db, "r+b") as table:
        table.write(good)
    wait_until(lambda: running.ask("CHECK alice@example.org 1")[0] == "OK")


def test_a_missing_table_is_waited_for(brim):
    kept = brim.users_db.with_name("kept")
    brim.users_db.rename(kept)
    brim.start_quotad()
    assert brim.ask("CHECK alice@example.org 1")[0].startswith("ERR 4.3.0 ")
    assert "* users_table=none" in brim.ask("STATS")
    assert "No such file" in brim.log.read_text()
    kept.rename(brim.users_db)
    wait_until(lambda: brim.ask("CHECK alice@example.org 1")[0] == "OK")
    brim.users_db.rename(kept)
    time.sleep(0.6)
    assert brim.ask("CHECK alice@example.org 1")[0] == "OK"


def test_a_table_that_others_may_write_is_not_taken(running):
    running.users_db.chmod(0o666)
    wait_until(lambda: "can't be used" in running.log.read_text())
    other = running.users_db.with_name("other")
    other.write_bytes(running.users_db.read_bytes())
    os.chown(other, ALICE, ALICE)
    other.rename(running.users_db)
    wait_until(lambda: running.log.read_text().count("can't be used") >= 2)


# --- lists and counts -------------------------------------------------------------------

def test_a_list_of_20000_is_streamed_to_a_slow_reader(brim):
    lines = [f"u{i:05d}@example.org uid=30001 gid=30001 mail={brim.home}/u{i}/"
             for i in range(20000)]
    brim.load(*lines)
    brim.start_quotad()
    before = rss(brim.quotad.pid)
    with brim.connect(timeout=60) as s:
        s.sendall(b"LIST u*@example.org\nGET alice@example.org\n")
        time.sleep(0.5)
        assert served(brim)
        with s.makefile("rb") as answers:
            listed = [answers.readline() for _ in range(20002)]
    assert listed[19999].startswith(b"* mailbox=u19999@example.org ")
    assert listed[20000] == b"OK count=20000\n"
    assert listed[20001].startswith(b"OK mailbox=alice@example.org ")
    assert rss(brim.quotad.pid) - before < 4 << 20


def test_the_slow_round_finds_what_names_do_not_say(brim):
    brim.configure(recount_every="60s")
    mail = brim.home / "alice@example.org".replace("@", "_") / "Maildir"
    (mail / "cur/1.a.host,S=10:2,S").write_bytes(b"x" * 5000)
    brim.start_quotad()
    wait_until(lambda: brim.usage("alice@example.org")["used"] == "5000", 30)
