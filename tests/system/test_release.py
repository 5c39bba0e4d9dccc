"""brim-release: has Postfix deliver one message now, for root and quotad's user alone, and can't
be made to do anything else."""

import contextlib
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import time

import pytest

from brim import DAEMON_USER
from postfix import MailServer
from release import (CLIENTS_MOST, HANGS, ID, QUEUE_MOST, RECORDS, STRANGER, USER, Release,
                     answers, hanging, unread, wait_until)


@pytest.fixture
def release():
    one = Release()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture(scope="module")
def running():
    """For tests that leave it as it was."""
    one = Release()
    try:
        yield one.start()
    finally:
        one.close()


# --- what it does --------------------------------------------------------------------------


def test_runs_postqueue_for_that_message_with_nothing_but_its_user(release):
    """No shell between, no variable, descriptor, group or capability of anybody's."""
    release.start("-C", "/etc/other", env={**os.environ, "LD_PRELOAD": "", "MAIL_DEBUG": "1"})
    assert release.ask(ID) == ["OK"]
    user = pwd.getpwnam(USER)
    assert release.records("args") == [f"-i {ID}"]
    assert release.records("Uid") == ["\t".join([str(user.pw_uid)] * 4)]
    assert release.records("Gid") == ["\t".join([str(user.pw_gid)] * 4)]
    assert release.records("Groups") == [""]
    assert set(release.records("Cap")) == {"Prm\t" + "0" * 16, "Bnd\t" + "0" * 16}
    own = 1 << 31 | 1 << 32  # libc's own two signals, which no program can block or ignore by it
    masks = dict(record.split("\t") for record in release.records("Sig"))
    assert [int(masks[of], 16) & ~own for of in ("Ign", "Blk")] == [0, 0]
    variables = {v for v in release.records("env") if not v.startswith(("PWD=", "_=", "OLDPWD="))}
    assert variables == {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG=/etc/other"}
    # the script itself is read by a descriptor; ls has its directory
    assert set(release.records("fd")) <= {"0", "1", "2", "3", "4", "10", "255"}
    assert f"released, id={ID}" in release.log.read_text()


def test_is_not_root_and_has_no_way_back(running):
    status = pathlib.Path(f"/proc/{running.process.pid}/status").read_text()
    uid = pwd.getpwnam(USER).pw_uid
    assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", status, re.M)
    assert re.search(r"^Groups:\s*$", status, re.M)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert re.search(rf"^{name}:\t0+$", status, re.M), name
    assert re.search(r"^NoNewPrivs:\t0$", status, re.M)  # or postqueue would get no group


def test_socket_is_root_s_and_the_daemon_s_group_s_alone(running):
    found = running.socket.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (
        0, pwd.getpwnam(DAEMON_USER).pw_gid, 0o660)
    with running.connect() as s:  # who listens is root: quotad can tell
        assert struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, 17, 12))[1] == 0


def test_answers_come_in_the_order_of_asking(running):
    assert [a.split()[0] for a in running.ask(ID, "-q", ID, "", ID)] == [
        "OK", "ERR", "OK", "ERR", "OK"]


def test_a_client_that_only_ends_its_asking_gets_its_answer(running):
    with running.connect() as s:
        s.sendall(f"RELEASE {ID}\n".encode())
        s.shutdown(socket.SHUT_WR)
        with s.makefile("rb") as lines:
            assert lines.read() == b"OK\n"


# --- misuse: who asks ----------------------------------------------------------------------


def test_root_and_the_daemon_may_ask(running):
    daemon = pwd.getpwnam(DAEMON_USER)
    assert running.ask(ID, uid=daemon.pw_uid, gid=daemon.pw_gid) == ["OK"]
    assert running.ask(ID) == ["OK"]


@pytest.mark.parametrize("who", [
    {"uid": STRANGER, "gid": STRANGER}, {"uid": 65534, "gid": 65534},
    {"uid": pwd.getpwnam(USER).pw_uid, "gid": pwd.getpwnam(USER).pw_gid}])
def test_others_can_not_connect(running, who):
    with pytest.raises(PermissionError):
        running.connect(**who)


def test_others_may_not_ask_where_the_socket_lets_them_in(running):
    """A member of the daemon's group, and anybody once the mode was changed."""
    before = running.seen.read_text()
    group = pwd.getpwnam(DAEMON_USER).pw_gid
    assert "ERR not for uid 20001" in running.ask(ID, uid=STRANGER, gid=group)[0]
    running.socket.chmod(0o666)
    try:
        assert "ERR not for uid 65534" in running.ask(ID, uid=65534, gid=65534)[0]
    finally:
        running.socket.chmod(0o660)
    assert running.seen.read_text() == before


# --- misuse: what is asked -----------------------------------------------------------------

NOT_IDS = [b"ALL", b"-q", b"-f", b"-i4cYtQx1B", b"4cYtQx1B;id", b"4cYtQx 1BqC",
           b" 4cYtQx1BqC", b"4cYtQx1BqC ", b"4cYtQx1BqC\r", b"4cYtQ\x001BqC", b"4cYtQx1B\x00",
           b"12345", b"x" * 21, b"", b"4cYtQx1B/../x", b"$(id)xxxxx", b"`id`xxxxx", b"*******",
           b"4cYtQx1Bq\xc3\xa9", b"4cYtQx1BqC\tx", b"4cYtQx.1BqC", b"4cYtQx_1BqC"]


def test_what_is_no_queue_id_runs_nothing(running):
    before = running.seen.read_text()
    found = running.ask(*(b"RELEASE " + i + b"\n" for i in NOT_IDS))
    assert found == ["ERR not a queue id: 6 to 20 digits and letters"] * len(NOT_IDS)
    assert running.seen.read_text() == before


@pytest.mark.parametrize("line", [b"release 4cYtQx1B\n", b"RELEASE\n", b"\n", b"FLUSH\n",
                                  b"RELEASE\t4cYtQx1B\n", b"\0\0\0\n", b"GET a@b\n"])
def test_what_is_no_request_is_told_so(running, line):
    assert running.ask(line, ID) == ['ERR not "RELEASE <queue id>"', "OK"]


def test_ids_of_6_and_20_bytes_are_taken(running):
    running.seen.write_text("")
    assert running.ask("a" * 6, "Z9" * 10) == ["OK", "OK"]
    assert running.records("args") == ["-i aaaaaa", "-i " + "Z9" * 10]


@pytest.mark.parametrize("flood", [
    b"RELEASE " + b"x" * (1 << 20), b"\0" * (1 << 20),
    b"RELEASE " + b"A" * 57 + b"\n" + b"RELEASE 4cYtQx1B\n" * 99],
    ids=["a megabyte", "of NULs", "and others behind it"])
def test_a_long_line_ends_the_connection_and_nothing_else(running, flood):
    before = running.seen.read_text()
    with running.connect() as s:
        with contextlib.suppress(OSError):
            s.sendall(flood)
        with contextlib.suppress(ConnectionResetError), s.makefile("rb") as lines:
            assert lines.read() in (b"ERR a line is too long\n", b"")
    assert running.seen.read_text() == before
    assert running.ask(ID) == ["OK"]


def test_half_a_line_keeps_nobody_waiting(running):
    with running.connect() as half:
        half.sendall(f"RELEASE {ID[:4]}".encode())
        assert running.ask(ID) == ["OK"]
        half.sendall(f"{ID[4:]}\n".encode())
        assert answers(half, 1) == ["OK"]


# --- misuse: how much ----------------------------------------------------------------------


def test_no_more_than_ten_a_second_are_released(running):
    count = 14
    begun = time.monotonic()
    assert running.ask(*[ID] * count) == ["OK"] * count
    assert time.monotonic() - begun >= (count - 1) / 10  # a slow machine takes longer yet


def test_more_requests_than_may_wait_are_refused_at_once(release):
    release.program(HANGS)
    release.start("-t", "300s")
    with release.connect() as flood:
        flood.sendall(f"RELEASE {ID}\n".encode() * (QUEUE_MOST + 500))
        wait_until("all is read", lambda: unread(flood) == 0)
        assert release.ask(ID) == [f"ERR {QUEUE_MOST} requests wait already"]
        assert release.process.poll() is None


def test_a_client_that_goes_takes_its_requests_with_it(release):
    """As quotad does when it is started again: all of it makes room."""
    release.program(HANGS)
    release.start("-t", "300s")
    with release.connect() as flood:
        flood.sendall(f"RELEASE {ID}\n".encode() * (QUEUE_MOST + 1))
        wait_until("all is read", lambda: unread(flood) == 0)
        wait_until("it hangs", hanging)
    release.program(RECORDS % release.seen)
    children = f"/proc/{release.process.pid}/task/{release.process.pid}/children"
    with release.connect() as s:
        s.sendall(b"RELEASE another1\n")
        os.kill(int(pathlib.Path(children).read_text()), signal.SIGKILL)
        assert answers(s, 1) == ["OK"]
    assert release.records("args") == ["-i another1"]


def test_more_connections_than_may_be_open_are_told_so(running):
    with contextlib.ExitStack() as stack:
        def count_open():
            return len(list(pathlib.Path(f"/proc/{running.process.pid}/fd").iterdir()))
        before = count_open()
        for _ in range(CLIENTS_MOST):
            stack.enter_context(running.connect())
        wait_until("all are taken", lambda: count_open() == before + CLIENTS_MOST)
        assert running.ask(ID) == [f"ERR {CLIENTS_MOST} connections are open already"]
    wait_until("they are gone", lambda: running.ask(ID) == ["OK"])


def test_a_client_that_reads_no_answers_is_ended(running):
    with running.connect() as s:
        s.settimeout(0.2)
        with contextlib.suppress(OSError):
            while True:
                s.sendall(b"x\n" * 10000)
        wait_until("it is ended", lambda: "reads no answers" in running.log.read_text())
    assert running.ask(ID) == ["OK"]


# --- misuse: postqueue ---------------------------------------------------------------------


def test_a_postqueue_that_fails_is_told_with_its_words(release):
    release.program("#!/bin/sh\necho 'postqueue: fatal: \"no\001such\" message' >&2\nexit 69\n")
    release.start()
    found = release.ask(ID)[0]
    assert found == 'ERR postqueue ended with status 69: postqueue: fatal: "no such" message '
    assert f"not released, id={ID}" in release.log.read_text()


def test_a_postqueue_that_hangs_or_floods_is_killed_with_all_that_it_started(release):
    release.program(HANGS)
    release.start("-t", "1s")
    assert release.ask(ID) == ["ERR postqueue took longer than 1s and was killed: I hang "]
    wait_until("all are gone", lambda: not hanging())
    release.program("#!/bin/sh\nexec yes it has no end\n")
    found = release.ask(ID)[0]
    assert found.startswith("ERR postqueue took longer than 1s and was killed: it has no end")
    assert len(found) < 300
    release.program(RECORDS % release.seen)
    assert release.ask(ID) == ["OK"]


def test_a_postqueue_that_dies_is_told(release):
    release.program("#!/bin/sh\nkill -SEGV $$\n")
    release.start()
    assert release.ask(ID) == ["ERR postqueue was ended by signal 11"]


def make_link(one):
    one.postqueue.rename(one.folder / "bin/real")
    one.postqueue.symlink_to(one.folder / "bin/real")


def make_dangling(one):
    one.postqueue.unlink()
    one.postqueue.symlink_to("/nowhere")


def make_directory(one):
    one.postqueue.unlink()
    one.postqueue.mkdir()


SPOILED = {
    "writable by a group": (lambda one: one.postqueue.chmod(0o775), "what root alone can"),
    "writable by anyone": (lambda one: one.postqueue.chmod(0o757), "what root alone can"),
    "a user's": (lambda one: os.chown(one.postqueue, STRANGER, 0), "what root alone can"),
    "a link": (make_link, "is a link"),
    "a link to nothing": (make_dangling, "is a link"),
    "a directory": (make_directory, "is not a program"),
    "missing": (lambda one: one.postqueue.unlink(), "No such file"),
    "in a directory of others": (lambda one: one.postqueue.parent.chmod(0o777), "by others"),
    "in a user's directory": (lambda one: os.chown(one.postqueue.parent, STRANGER, 0),
                              "by others"),
    "not executable": (lambda one: one.postqueue.chmod(0o644), "status 127"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_postqueue_that_others_could_have_made_is_not_run(release, how):
    """Neither at the start nor later, when it was changed."""
    spoil, words = SPOILED[how]
    release.start()
    spoil(release)
    assert words in release.ask(ID)[0]
    assert release.seen.read_text() == ""


def test_a_postqueue_that_comes_later_is_taken(release):
    release.postqueue.rename(release.folder / "bin/later")
    release.start()
    assert "nothing can be released" in release.log.read_text()
    (release.folder / "bin/later").rename(release.postqueue)
    assert release.ask(ID) == ["OK"]


# --- misuse: its start ---------------------------------------------------------------------


def test_starts_as_root_alone_and_as_no_other_user_s_process(release):
    assert "must be started as root" in release.refuses(user=STRANGER)
    assert "no_new_privs holds" in release.refuses(prefix=["setpriv", "--no-new-privs"])
    assert "CAP_SETPCAP" in release.refuses(
        prefix=["setpriv", "--bounding-set", "-setpcap", "--inh-caps", "-setpcap"])
    assert "is quotad's" in release.refuses("-u", DAEMON_USER)
    assert "root's uid" in release.refuses("-u", "root")
    assert "no user nobody-s" in release.refuses("-u", "nobody-s")
    assert "not an absolute path" in release.refuses("-p", "postqueue")
    assert "not an absolute path" in release.refuses("-C", "etc")
    assert "not between" in release.refuses("-t", "0")
    assert "usage:" in release.refuses("RELEASE")


def test_a_socket_path_that_is_taken_is_left_alone(release):
    release.socket.parent.mkdir()
    release.socket.write_text("mine")
    assert "is not a socket" in release.refuses()
    assert release.socket.read_text() == "mine"
    release.socket.unlink()
    target = release.folder / "target"
    release.socket.symlink_to(target)
    assert "is not a socket" in release.refuses()
    assert not target.exists()
    release.socket.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(release.socket))
        other.listen()
        assert "is served already" in release.refuses()
    release.start()  # what nobody serves is removed
    assert release.ask(ID) == ["OK"]
    assert "another brim-release serves" in release.refuses()
    assert release.ask(ID) == ["OK"]


def test_is_started_again_after_a_kill_while_a_client_is_connected(release):
    release.start()
    with release.connect() as s:
        s.sendall(f"RELEASE {ID}\n".encode())
        assert answers(s, 1) == ["OK"]
        release.stop(signal.SIGKILL)
        assert s.recv(1) == b""  # quotad sees the end, and connects anew
    release.log.write_text("")
    release.start()
    assert release.ask(ID) == ["OK"]


def test_its_end_leaves_no_postqueue(release):
    release.program(HANGS)
    release.start("-t", "300s")
    with release.connect() as s:
        s.sendall(f"RELEASE {ID}\nRELEASE {ID}\n".encode())
        wait_until("it hangs", hanging)
        assert release.stop() == 0
        wait_until("all are gone", lambda: not hanging())
        assert s.recv(1) == b""


# --- with Postfix --------------------------------------------------------------------------


def test_postfix_delivers_that_message_now_and_no_other():
    """The first messages are tried once, into a full mailbox; there is room then, and nobody
    tells Postfix but brim-release."""
    release = Release()
    try:
        with MailServer() as server:
            bob = server.mailbox("bob", quota=2000, over_quota="defer")
            fill = bob.maildir / "new/fill"
            fill.write_bytes(b"x" * 1900)
            sent = [server.postfix.send("me@sender.test", bob.address, b"Subject: hi\n\n" +
                                        b"y" * 300 + b"\n") for _ in range(2)]
            assert {m.fate().status for m in sent} == {"deferred"}
            fill.unlink()
            release.postqueue = pathlib.Path(shutil.which("postqueue"))
            release.start()
            daemon = pwd.getpwnam(DAEMON_USER)
            assert release.ask(sent[1].queue_id, uid=daemon.pw_uid, gid=daemon.pw_gid) == ["OK"]
            assert sent[1].fate().status == "sent"
            assert server.postfix.queue() == [sent[0].queue_id]
            assert len(server.brim.files(bob.maildir)) == 1
    finally:
        release.close()
