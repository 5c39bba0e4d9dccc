"""lda-virtual: mailboxes of many uids, delivered to by real Postfix and by hand; each of its
refusals; every step of its change pretended, failed and killed."""

import collections
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest

from brim import BIN, ROOT, SANITIZED, Result
from host import mount, unmount
from postfix import ETC, VIRTUAL_DOMAIN, MailServer

CAPS = "cap_setuid,cap_setgid=ep"
MESSAGE = b"From: me@sender.test\nSubject: test\n\nhello\n"
BIG = MESSAGE + b"0123456789abcde\n" * 2000
LINE = re.compile(rb"[45]\.\d\.\d [ -~]+\n")
MS_NOSUID = 2
PATIENCE = 20
CHANGE = ("setgroups", "setresgid", "setresuid", "capset", "prctl")
NOBODY, NO_ID = 65534, 2**32 - 1

numbers = itertools.count(1)
Box = collections.namedtuple("Box", "address uid gid maildir")


def lend(path, gid, caps=CAPS):
    """A copy of lda-virtual as it is installed."""
    shutil.copy(BIN / "lda-virtual", path)
    os.chown(path, 0, gid)
    path.chmod(0o750)
    if caps:
        subprocess.run(["setcap", caps, path], check=True)
    return path


class VirtualServer(MailServer):
    """Postfix, quotad (which trusts nobody) and lda-virtual, with the lines in etc/."""

    def _lend_lda(self):
        self.user = self.host.add_user("brimlda")
        return lend(self.host.folder / "lda-virtual", self.user)

    def _ways(self):
        here = {"/usr/local/lib/brim/lda-virtual": str(self.lda),
                "example.org": VIRTUAL_DOMAIN}
        services, settings = self._adapt(ETC / "postfix-virtual.cf", here).split(
            "/etc/postfix/main.cf\n")
        return settings, services

    def box(self, **fields):
        """A mailbox of an owner of its own, whose gid is not the uid."""
        name = f"user{next(numbers)}"
        home = self.brim.home / name
        uid = self.host.add_user(name, home=home)
        address, maildir = f"{name}@{VIRTUAL_DOMAIN}", home / "Maildir"
        self.brim.mailbox(address, uid=uid, gid=uid + 5000, mail=maildir, **fields)
        home.chmod(0o700)
        return Box(address, uid, uid + 5000, maildir)

    def start(self, *arguments, program=None, prefix=(), user=None, env=None, **popen):
        """lda-virtual as Postfix starts it, but by hand; as brimlda unless USER is given."""
        user = self.user if user is None else user
        return subprocess.Popen(
            [*prefix, program or self.lda, *arguments],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
               "stderr": subprocess.PIPE, "user": user, "group": user, "extra_groups": [],
               "env": env or {}, "cwd": "/", **popen})

    def run(self, *arguments, message=MESSAGE, **more):
        """The Result of a run."""
        start = time.monotonic()
        with self.start(*arguments, **more) as process:
            output, errors = process.communicate(message, PATIENCE)
        return Result(process.returncode, output, errors, time.monotonic() - start)

    def traced(self, box, *options, message=MESSAGE, program=None):
        """A delivery under strace, which must be root's for the file's capabilities to
        count; returns the Result and what strace saw."""
        if SANITIZED:
            pytest.skip("LeakSanitizer fails under strace")
        log = self.brim.folder / "strace"
        result = self.run("-d", box.address, message=message, user=0, program=program,
                          prefix=["strace", "-f", "-u", "brimlda", "-o", log, *options])
        return result, log.read_text()

    def deliver(self, box, **more):
        """A delivery that must work; returns the file."""
        result = self.run("-d", box.address, **more)
        assert (result.status, result.output, result.errors) == (0, b"", b""), result
        (file,) = self.brim.files(box.maildir)
        return file

    def must_be_empty(self, box):
        assert self.brim.files(box.maildir) == []
        assert self.brim.leftovers(box.maildir) == []

    def must_refuse(self, box, result, words, code="4.3.5"):
        """Nothing was delivered, and the line says why."""
        assert (result.status, result.code, result.errors) == (75, code, b""), result
        assert LINE.fullmatch(result.output) and words.encode() in result.output, result
        self.must_be_empty(box)

    def stopped(self, box, **more):
        """A delivery that waits for its message, after its change."""
        process = self.start("-d", box.address, **more)
        limit = time.monotonic() + PATIENCE
        while not reads_standard_input(process.pid):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < limit
            time.sleep(0.01)
        return process


def reads_standard_input(pid):
    """Whether it waits in read(0, ...)."""
    return pathlib.Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 ")


@pytest.fixture(scope="module")
def server():
    with VirtualServer(trusted_users=None) as virtual:
        yield virtual


@pytest.fixture
def box(server):
    return server.box()


@contextlib.contextmanager
def settings(server, **changed):
    """Other settings for a while."""
    old = {name: server.brim.settings.get(name) for name in changed}
    server.brim.configure(**changed)
    try:
        yield
    finally:
        server.brim.configure(**old)


# --- Postfix ------------------------------------------------------------------------


def send(server, recipients, message=MESSAGE):
    sender = f"me{next(numbers)}@sender.test"
    return sender, server.postfix.send(sender, recipients, message)


def test_postfix_delivers_to_three_uids_each_file_its_owners_alone(server):
    boxes = [server.box() for _ in range(3)]
    assert len({b.uid for b in boxes}) == 3
    sender, sent = send(server, [b.address for b in boxes])
    for b in boxes:
        fate = sent.fate(b.address)
        assert (fate.status, fate.code) == ("sent", "2.0.0"), fate
    for b in boxes:
        (file,) = server.brim.files(b.maildir)
        st = file.stat()
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (b.uid, b.gid, 0o600)
        stored = file.read_bytes()
        assert b"Delivered-To: " + b.address.encode() + b"\n" in stored
        assert f"Return-Path: <{sender}>".encode() in stored and stored.endswith(b"hello\n")
        for reader in [o.uid for o in boxes] + [server.user]:
            done = subprocess.run(["cat", file], user=reader, group=b.gid, extra_groups=[],
                                  capture_output=True)
            assert (done.returncode == 0) == (reader == b.uid)


def test_a_full_mailbox_bounces_through_postfix_and_its_owner_sees_why(server):
    box = server.box(quota=512, over_quota="bounce")
    sender, sent = send(server, box.address, BIG)
    fate = sent.fate()
    assert (fate.status, fate.code) in (("bounced", "5.2.2"), ("bounced", "5.2.3")), fate
    assert server.postfix.bounce(sender)[box.address].status == fate.code
    server.must_be_empty(box)


def test_an_unknown_address_bounces_through_postfix(server):
    sender, sent = send(server, f"stranger@{VIRTUAL_DOMAIN}")
    fate = sent.fate()
    assert (fate.status, fate.code) == ("bounced", "5.1.1"), fate


def test_without_capabilities_mail_stays_in_the_queue(server, box):
    subprocess.run(["setcap", "-r", server.lda], check=True)
    try:
        _, sent = send(server, box.address)
        fate = sent.fate()
        assert (fate.status, fate.code) == ("deferred", "4.3.5"), fate
        assert "without its capabilities" in fate.text
        server.must_be_empty(box)
    finally:
        subprocess.run(["setcap", CAPS, server.lda], check=True)
    assert sent.retry().status == "sent"


# --- whose it is --------------------------------------------------------------------


def test_a_missing_mailbox_is_made_as_its_owners(server, box):
    shutil.rmtree(box.maildir)
    file = server.deliver(box)
    for path in (box.maildir, box.maildir / "new", file):
        assert (path.stat().st_uid, path.stat().st_gid) == (box.uid, box.gid)
    assert stat.S_IMODE(box.maildir.stat().st_mode) == 0o700


def test_a_mailbox_that_is_another_users_is_refused(server, box):
    other = server.box()
    os.chown(box.maildir, other.uid, other.gid)
    os.chown(box.maildir.parent, other.uid, other.gid)
    box.maildir.parent.chmod(0o755)
    box.maildir.chmod(0o755)
    server.must_refuse(box, server.run("-d", box.address),
                       f"belongs to uid {other.uid}, not to uid {box.uid}")


def test_quotad_is_asked_as_the_owner_and_counts(server, box):
    file = server.deliver(box)
    assert server.brim.usage(box.address)["used"] == str(file.stat().st_size)


def status_of(process):
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: " ".join(value.split())
            for name, value in (line.split(":", 1) for line in lines)}


def test_after_the_change_nothing_is_left_but_the_recipient(server, box):
    with server.stopped(box) as process:
        status = status_of(process)
        inside = os.stat(f"/proc/{process.pid}/environ").st_uid
        assert process.communicate(MESSAGE, PATIENCE) == (b"", b"")
    assert status["Uid"] == " ".join([str(box.uid)] * 4)
    assert status["Gid"] == " ".join([str(box.gid)] * 4)
    assert status["Groups"] == ""
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"
    assert inside == 0  # not dumpable: nobody but root may look inside
    assert len(server.brim.files(box.maildir)) == 1


def test_with_setpcap_the_bounding_set_is_emptied_too(server, box):
    program = lend(server.host.folder / "lda-setpcap", server.user,
                   "cap_setuid,cap_setgid,cap_setpcap=ep")
    with server.stopped(box, program=program) as process:
        status = status_of(process)
        process.communicate(MESSAGE, PATIENCE)
    assert [int(status[f"Cap{s}"], 16) for s in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [0] * 5
    assert status["Uid"] == " ".join([str(box.uid)] * 4)
    assert len(server.brim.files(box.maildir)) == 1


def test_groups_of_the_caller_are_left_behind(server, box):
    with server.stopped(box, extra_groups=[0, 4, server.user]) as process:
        assert status_of(process)["Groups"] == ""
        process.communicate(MESSAGE, PATIENCE)


# --- what it refuses to become ------------------------------------------------------


def with_ids(server, box, uid, gid):
    """Puts ids into the record that brimadm refuses, past it."""
    path = server.brim.users_db
    dump = subprocess.run(["db5.3_dump", "-p", path], check=True, capture_output=True,
                          text=True).stdout
    old = f"uid={box.uid} gid={box.gid}"
    assert dump.count(old) == 1
    new = path.with_name("changed.db")
    subprocess.run(["db5.3_load", new], check=True, text=True,
                   input=dump.replace(old, f"uid={uid} gid={gid}"))
    new.chmod(0o644)
    new.rename(path)


def wait_for_table(server):
    """Until quotad uses the table that is there now."""
    st = server.brim.users_db.stat()
    identity = f"* users_table={st.st_dev}:{st.st_ino}:"
    end = time.monotonic() + PATIENCE
    while not any(line.startswith(identity) for line in server.brim.ask("STATS")):
        assert time.monotonic() < end, "quotad does not take the table"
        time.sleep(0.01)


@pytest.mark.parametrize("uid, gid, words", [
    (0, 30000, "uid 0"), (30000, 0, "gid 0"), (0, 0, "uid 0"),
    (NOBODY, 30000, f"uid {NOBODY}"), (30000, NOBODY, f"gid {NOBODY}"),
    (NO_ID, 30000, f"uid {NO_ID}"), (30000, NO_ID, f"gid {NO_ID}"), (99, 30000, "min_uid")])
def test_it_becomes_neither_root_nor_nobody_nor_the_systems_users(server, box, uid, gid, words):
    kept = server.brim.users_db.with_name("kept.db")
    os.link(server.brim.users_db, kept)
    with_ids(server, box, uid, gid)
    try:
        result, log = server.traced(box, "-e", "trace=setresuid,setresgid,setgroups")
    finally:
        kept.rename(server.brim.users_db)
        wait_for_table(server)
    server.must_refuse(box, result, words)
    assert "set" not in log
    server.deliver(box)


def test_it_becomes_nobody_below_min_uid(server, box):
    with settings(server, min_uid=box.uid + 1):
        server.must_refuse(box, server.run("-d", box.address), "min_uid")
    server.deliver(box)


# --- how it was started -------------------------------------------------------------


def test_on_a_nosuid_file_system_it_says_so(server, box):
    folder = server.host.folder / "nosuid"
    folder.mkdir()
    mount("tmpfs", folder, "tmpfs", MS_NOSUID, "mode=755")
    try:
        program = lend(folder / "lda-virtual", server.user)
        result = server.run("-d", box.address, program=program)
    finally:
        unmount(folder)
    server.must_refuse(box, result, "without its capabilities: it is on a nosuid file system")


def test_under_no_new_privileges_it_says_so(server, box):
    result = server.run("-d", box.address, prefix=["setpriv", "--no-new-privs"])
    server.must_refuse(box, result, "without its capabilities: no_new_privs holds")


@pytest.mark.parametrize("caps", [None, "cap_setuid=ep", "cap_setgid=ep"])
def test_without_a_files_capabilities_it_says_so(server, box, caps):
    program = lend(server.host.folder / "lda-plain", server.user, caps)
    result = server.run("-d", box.address, program=program)
    server.must_refuse(box, result, "without its capabilities: has its file none?")


def test_as_root_it_refuses(server, box):
    server.must_refuse(box, server.run("-d", box.address, user=0), "started as root")


def test_only_its_group_may_run_it(server, box):
    with pytest.raises(PermissionError):
        server.run("-d", box.address, user=box.uid)


def test_it_takes_no_settings_from_its_caller(server, box):
    conf = server.brim.folder / "other.conf"
    shutil.copy(server.brim.conf, conf)
    for program in (server.lda, lend(server.host.folder / "lda-plain", server.user, None)):
        result = server.run("-c", conf, "-d", box.address, program=program)
        server.must_refuse(box, result, "lda-virtual -d RECIPIENT [-f SENDER]")


def test_lda_with_capabilities_takes_no_settings_either(server, box):
    program = server.host.folder / "lda-secure"
    shutil.copy(BIN / "lda", program)
    program.chmod(0o755)
    subprocess.run(["setcap", "cap_net_raw=ep", program], check=True)
    result = server.run("-c", server.brim.conf, "-d", box.address, program=program)
    server.must_refuse(box, result, "-c is not for a program with capabilities")


def environment(box):
    user, domain = box.address.split("@")
    return {"RECIPIENT": box.address, "SENDER": "evil@sender.test", "LOCAL_PART": user,
            "DOMAIN": domain, "HOME": "/nonexistent", "DB_HOME": "/nonexistent",
            "TMPDIR": "/nonexistent", "LD_PRELOAD": "/nonexistent.so"}


def test_the_environment_names_no_recipient(server, box):
    result = server.run(env=environment(box))
    server.must_refuse(box, result, "no recipient")
    result = server.run("-f", "me@sender.test", env=environment(box))
    server.must_refuse(box, result, "no recipient")


def test_the_environment_names_no_other_recipient_and_no_sender(server, box):
    other = server.box()
    stored = server.deliver(box, env=environment(other)).read_bytes()
    assert stored.startswith(b"Return-Path: <>\n") and b"evil" not in stored
    server.must_be_empty(other)


def test_the_current_directory_does_not_count(server, box):
    folder = server.brim.folder / "cwd"
    folder.mkdir()
    (folder / "DB_CONFIG").write_text("this is nonsense\n")
    server.deliver(box, cwd=folder)
    assert sorted(p.name for p in folder.iterdir()) == ["DB_CONFIG"]


def test_descriptors_of_the_caller_are_closed(server, box):
    with open(server.brim.conf, "rb") as file:
        extra = [os.dup(file.fileno()) for _ in range(20)]
    try:
        with server.stopped(box, pass_fds=extra) as process:
            targets = [os.readlink(f"/proc/{process.pid}/fd/{fd}")
                       for fd in os.listdir(f"/proc/{process.pid}/fd")]
            process.communicate(MESSAGE, PATIENCE)
    finally:
        for fd in extra:
            os.close(fd)
    assert str(server.brim.conf) not in targets and len(targets) > 3


def test_closed_input_is_no_message(server, box):
    """The C library of a program with capabilities opens /dev/null there before main."""
    result = server.run("-d", box.address, preexec_fn=lambda: os.close(0))
    server.must_refuse(box, result, "message", code="4.3.0")


@pytest.mark.parametrize("closed", [[1], [2], [1, 2]])
def test_closed_output_is_no_mailbox(server, box, closed):
    result = server.run("-d", box.address, preexec_fn=lambda: [os.close(fd) for fd in closed])
    assert result.status == 0, result
    (file,) = server.brim.files(box.maildir)
    assert file.read_bytes().endswith(MESSAGE)


# --- each step of the change --------------------------------------------------------


WRITES = re.compile(r"O_CREAT|O_TMPFILE|mkdir|linkat|rename|chown|chmod")


def test_without_a_fault_strace_sees_a_delivery(server, box):
    result, log = server.traced(box)
    assert result.status == 0, result
    assert all(f" {call}(" in log for call in CHANGE) and WRITES.search(log)


@pytest.mark.parametrize("fault", ["retval=0", "retval=1", "error=EPERM", "error=ENOSYS"])
@pytest.mark.parametrize("call", [*CHANGE, "setresuid,setresgid", "capset,prctl",
                                  "setgroups,setresgid,setresuid,capset,prctl"])
def test_a_step_that_fails_or_pretends_is_noticed(server, box, call, fault):
    result, log = server.traced(box, "-e", f"inject={call}:{fault}")
    assert (result.status, result.code) == (75, "4.3.0"), result
    assert LINE.fullmatch(result.output)
    assert not WRITES.search(log), log
    server.must_be_empty(box)
    assert server.brim.usage(box.address)["used"] == "0"


def pretend_one(server, box, call, program=None):
    """The first call that begins so, and no other, only says that it worked."""
    _, log = server.traced(box, "-e", "inject=fsync:error=EIO", program=program)
    calls = [line.split(" ", 1)[1].strip() for line in log.splitlines()]
    name = call.split("(")[0]
    at = next(i for i, text in enumerate(calls) if text.startswith(call))
    number = sum(text.startswith(f"{name}(") for text in calls[:at + 1])
    result, log = server.traced(box, "-e", f"inject={name}:retval=0:when={number}",
                                program=program)
    assert (result.status, result.code) == (75, "4.3.0"), result
    assert b"can't become uid" in result.output
    assert "(INJECTED)" in log and not WRITES.search(log), log
    server.must_be_empty(box)


@pytest.mark.parametrize("call", ["setgroups(", "setresgid(", "setresuid(", "capset(",
                                  "prctl(PR_SET_NO_NEW_PRIVS"])
def test_a_single_call_that_pretends_is_noticed(server, box, call):
    pretend_one(server, box, call)


@pytest.mark.parametrize("call", ["prctl(PR_CAPBSET_DROP", "prctl(PR_SET_SECUREBITS"])
def test_with_setpcap_a_bounding_set_that_pretends_is_noticed(server, box, call):
    program = lend(server.host.folder / "lda-setpcap", server.user,
                   "cap_setuid,cap_setgid,cap_setpcap=ep")
    pretend_one(server, box, call, program)


@pytest.mark.parametrize("call", ["getresuid", "getresgid", "getgroups", "capget"])
def test_a_look_back_that_fails_is_no_success(server, box, call):
    result, log = server.traced(box, "-e", f"inject={call}:error=EPERM")
    assert (result.status, result.code) in ((75, "4.3.0"), (75, "4.3.5")), result
    assert not WRITES.search(log), log
    server.must_be_empty(box)


@pytest.mark.parametrize("call", ["setresuid", "setresgid", "setgroups"])
def test_a_way_back_is_noticed(server, box, call):
    """Only the calls after the change are pretended: as if they gave the old user back."""
    result, log = server.traced(box, "-e", f"inject={call}:retval=0:when=2+")
    assert (result.status, result.code) == (75, "4.3.0"), result
    assert b"can be regained" in result.output
    assert not WRITES.search(log), log


def calls_of_a_delivery(server):
    """Each call from the change on, with its number among those of its name."""
    box, seen, calls, begun = server.box(), collections.Counter(), [], False
    result, log = server.traced(box)
    assert result.status == 0, result
    for line in log.splitlines():
        match = re.match(r"\d+ +(\w+)\(", line)
        # strace can't inject into a call that it has no name for
        if match and match[1] != "exit_group" and not match[1].startswith("syscall_"):
            seen[match[1]] += 1
            begun = begun or match[1] == "setgroups"
            if begun:
                calls.append((match[1], seen[match[1]]))
    return calls


def test_killed_at_each_call_it_leaves_the_whole_message_or_nothing(server, box):
    calls, kills = calls_of_a_delivery(server), 0
    assert len(calls) > 40
    for name, number in calls:
        result, _ = server.traced(box, "-e", f"inject={name}:signal=KILL:when={number}",
                                  message=BIG)
        assert result.status in (0, -signal.SIGKILL) and result.output == b"", result
        kills += result.status != 0
        files = server.brim.files(box.maildir)
        assert server.brim.leftovers(box.maildir) == []
        assert len(files) <= 1 and all(f.read_bytes().endswith(BIG) for f in files)
        assert files or result.status != 0
        for file in files:
            assert file.stat().st_uid == box.uid
            file.unlink()
    assert kills > 0.9 * len(calls)


# --- its installation ---------------------------------------------------------------


def install(server, *variables):
    """make install of the programs under test, without building any."""
    build = server.host.folder / "build"
    build.mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (build / "bin").symlink_to(BIN)
    return subprocess.run(["make", "-s", "-o", "all", "install", f"B={build}", *variables],
                          cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_installed_by_root_it_can_deliver(server, box):
    prefix = server.host.folder / "usr"
    assert "setcap" not in install(server, f"PREFIX={prefix}")
    program = prefix / "lib/brim/lda-virtual"
    st = program.stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (0, server.user, 0o750)
    server.deliver(box, program=program)


def test_installed_elsewhere_it_has_nothing_and_make_says_what_is_left(server):
    folder = server.host.folder / "package"
    output = install(server, "PREFIX=/usr", f"DESTDIR={folder}")
    program = folder / "usr/lib/brim/lda-virtual"
    assert stat.S_IMODE(program.stat().st_mode) == 0o750 and program.stat().st_gid == 0
    assert "chgrp brimlda /usr/lib/brim/lda-virtual" in output
    assert "setcap cap_setuid,cap_setgid=ep /usr/lib/brim/lda-virtual" in output
    assert "security.capability" not in os.listxattr(program)
