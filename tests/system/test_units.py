"""What etc/ gives to systemd: the units' score, and quotad doing its whole job with no more
capabilities and system calls than its unit leaves it, on a socket that it was handed."""

import contextlib
import functools
import os
import pathlib
import pwd
import re
import socket
import stat
import subprocess
import time

import pytest

from brim import BIN, DAEMON_USER, PATIENCE, ROOT, SANITIZED, Brim
from postfix import MailServer
from release import Release

ETC = ROOT / "etc"
UNIT = ETC / "quotad.service"
RELEASE_UNIT = ETC / "brim-release.service"
ALICE = 20001
SCORE = 2.0  # of `systemd-analyze security`; 10 is a service without any protection
FIRST_FD = 3  # of the sockets that systemd hands over


def settings(unit):
    """Every value of each name, in order."""
    found = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True,
                          text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@functools.cache
def call_sets():
    """systemd's sets of system calls: name to names."""
    sets, name = {}, None
    for line in analyze("syscall-filter")[1].splitlines():
        word = line.strip()
        if line.startswith("@"):
            name = sets[word] = set()
        elif name is not None and word and not word.startswith("#"):
            name.add(word)
    return sets


def expand(word):
    if not word.startswith("@"):
        return {word}
    return set().union(*(expand(member) for member in call_sets()[word]))


def allowed_calls(unit=UNIT):
    """What the unit's SystemCallFilter= lines leave, as systemd reads them."""
    allowed = expand("@default")
    for value in settings(unit)["SystemCallFilter"]:
        names = set().union(*(expand(word) for word in value.lstrip("~").split()))
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def calls_of(lines):
    """Each call that begins in a trace, without its process: NAME(ARGUMENTS. What strace says
    of signals, of ends, and of a process that died before it could be asked, is no call."""
    return [found[1] for found in (re.match(r"\d+ +([a-z_]\w*\(.*)", line) for line in lines)
            if found]


class Service:
    """quotad started as the unit has it: by root, with its capabilities, a socket, a place
    to say that it is ready. Every system call is written down."""

    def __init__(self, brim):
        self.brim = brim
        self.trace = brim.folder / "trace"
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(brim.folder / "notify"))
        os.chmod(brim.folder / "notify", 0o777)  # as systemd's own
        self.notify.settimeout(PATIENCE)

    def command(self):
        names = settings(UNIT)["CapabilityBoundingSet"][0].lower().split()
        bounds = ",".join(["-all"] + [f"+{name.removeprefix('cap_')}" for name in names])
        name = settings(ETC / "quotad.socket")["FileDescriptorName"][0]
        shell = f'LISTEN_FDS=1 LISTEN_FDNAMES={name} LISTEN_PID=$$ exec "$@"'
        return ["strace", "-f", "-qqq", "-o", str(self.trace), "--signal=none",
                "sh", "-c", shell, "sh", "setpriv", "--bounding-set", bounds,
                "--inh-caps", "-all", "--no-new-privs",
                str(BIN / "quotad"), "-c", str(self.brim.conf)]

    @contextlib.contextmanager
    def running(self):
        self.brim.socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s, \
                open(self.brim.log, "ab") as log:
            s.bind(str(self.brim.socket))
            os.chmod(self.brim.socket, 0o666)
            s.listen()
            process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[FIRST_FD], preexec_fn=lambda: os.dup2(s.fileno(), FIRST_FD),
                env={**os.environ, "NOTIFY_SOCKET": str(self.brim.folder / "notify"),
                     "WATCHDOG_USEC": "900000"})
        try:
            yield process
        finally:
            self.stop(process)

    def stop(self, process):
        """quotad itself is stopped: strace ends with its last child."""
        with contextlib.suppress(OSError):
            os.kill(self.main_pid(process), 15)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    @staticmethod
    def main_pid(process):
        path = f"/proc/{process.pid}/task/{process.pid}/children"
        return int(pathlib.Path(path).read_text().split()[0])

    def said(self, word):
        """Waits until quotad has said the word to systemd."""
        while word not in self.notify.recv(4096).decode():
            pass

    def calls(self):
        """All calls from quotad's own start on."""
        lines = self.trace.read_text(errors="replace").splitlines()
        begun = next(i for i, line in enumerate(lines) if f'execve("{BIN}/quotad"' in line)
        return calls_of(lines[begun:])


@pytest.fixture(scope="module")
def service():
    if SANITIZED:
        pytest.skip("ASan itself needs other calls")
    with Brim() as brim:
        brim.mail = brim.mailbox("alice@example.org", uid=ALICE, quota=20000,
                                 over_quota="bounce")
        one = Service(brim)
        yield one
        one.notify.close()


def do_everything(service):
    """Counts, deliveries, a refusal, a new table, a reload."""
    brim, letter = service.brim, b"Subject: x\n\n" + b"y" * 9000
    assert brim.deliver("alice@example.org", letter).status == 0
    brim.mail.parent.chmod(0o700)  # as homes are: the scanner needs its capability
    (brim.mail / "new/another").write_bytes(b"z" * 5000)
    assert int(brim.recount("alice@example.org")["used"]) == brim.total(brim.mail)
    assert brim.deliver("alice@example.org", letter).code == "5.2.2"
    brim.mailbox("bob@example.org", uid=ALICE + 1)  # taken after its child has read it
    assert brim.usage("bob@example.org")["used"] == "0"
    os.kill(service.process_pid, 1)
    time.sleep(0.1)
    assert brim.ask("STATS")[-1].startswith("OK")


@pytest.fixture(scope="module")
def done(service):
    """The service after its day's work; its calls."""
    with service.running() as process:
        service.said("READY=1")
        service.process_pid = service.main_pid(process)
        do_everything(service)
        service.said("WATCHDOG=1")
    assert process.returncode == 0, service.brim.log.read_text()
    return service.calls()


def test_does_its_job_with_the_unit_s_capabilities_and_calls(done):
    names = {call.split("(")[0] for call in done}
    assert {"setresuid", "capset", "accept4", "fdatasync"} <= names  # the trace has it all
    assert names - allowed_calls() == set()


def test_a_line_of_the_trace_that_names_no_call_is_passed_over():
    lines = """\
        7 close(3) = 0
        8 read(4, <unfinished ...>
        8 <... read resumed>"", 1) = 0
        8 ????( <unfinished ...>
        8 <... ???? resumed>) = ?
        8  <unfinished ...>
        8
        --- SIGCHLD {si_signo=SIGCHLD} ---
        8 --- SIGHUP {si_signo=SIGHUP} ---
        8 +++ exited with 0 +++
        8 syscall_0x1c7(0x1) = -1 ENOSYS (Function not implemented)
        strace: Can't find process 8"""
    calls = calls_of(line.strip() for line in lines.splitlines())
    assert [call.split("(")[0] for call in calls] == ["close", "read", "syscall_0x1c7"]


def test_speaks_no_other_protocol_than_the_unit_allows(done):
    families = {call.split("(")[1].split(",")[0] for call in done if call.startswith("socket(")}
    assert families == set(settings(UNIT)["RestrictAddressFamilies"])


def test_makes_no_memory_that_is_written_and_executed(done):
    calls = [call for call in done if "PROT_EXEC" in call]
    assert calls
    assert [call for call in calls if "PROT_WRITE" in call or "mprotect" in call] == []


def test_makes_files_in_the_unit_s_directories_alone(service, done):
    folder = service.brim.folder
    opened = (re.match(r'open(?:at)?\([^"]*"([^"]+)".*O_(?:WRONLY|RDWR|CREAT)', call)
              for call in done)
    written = {found[1] for found in opened if found}
    assert written
    outside = {path for path in written if path.startswith("/") and not path.startswith((
        "/dev/null", f"{folder}/run/", f"{folder}/lib/"))}
    assert outside == set()


def test_units_are_as_systemd_wants_them(tmp_path):
    """With the program in its place."""
    for name in ("quotad.service", "quotad.socket", "brim-release.service",
                 "brim-release.socket"):
        text = re.sub("/usr/local/sbin/[a-z-]+", "/bin/true", (ETC / name).read_text())
        text = re.sub(r"Documentation=man:.*\n", "", text)  # not installed here
        (tmp_path / name).write_text(text)
    status, output = analyze("verify", *tmp_path.iterdir())
    assert (status, output.strip()) == (0, "")


@pytest.mark.parametrize("unit", [UNIT, RELEASE_UNIT], ids=lambda unit: unit.name)
def test_service_is_exposed_below_the_mark(unit):
    status, output = analyze("security", "--offline=yes", unit)
    score = re.search(rf"exposure level for {unit.name}: ([\d.]+)", output)
    assert score and float(score[1]) < SCORE, output


def test_service_can_see_mailboxes():
    """What would blind it, or take their owners' ids away, is not there."""
    unit = settings(UNIT)
    assert "PrivateUsers" not in unit and "User" not in unit
    assert unit["ProtectHome"] == ["read-only"]


def test_service_has_the_descriptors_that_quotad_wants():
    """Without CAP_SYS_RESOURCE quotad can't raise the limit by itself."""
    clients = re.search(r"#max_connections = (\d+)", (ETC / "brim.conf").read_text())[1]
    header = (ROOT / "quotad/wire/peer.h").read_text()
    others = re.search(r"#define PEER_OTHER_FILES (\d+)", header)[1]
    assert settings(UNIT)["LimitNOFILE"] == [str(int(clients) + int(others))]


def test_socket_is_that_of_the_settings_and_anyone_may_connect():
    unit = settings(ETC / "quotad.socket")
    default = re.search(r"#socket = (\S+)", (ETC / "brim.conf").read_text())[1]
    assert (unit["ListenStream"], unit["SocketMode"]) == ([default], ["0666"])
    assert unit["FileDescriptorName"] == ["line"]  # and the service above was started with it


# --- brim-release -----------------------------------------------------------------------------


def bounded_by(unit):
    """setpriv that leaves the unit's capabilities."""
    names = settings(unit)["CapabilityBoundingSet"][0].lower().split()
    bounds = ",".join(["-all"] + [f"+{name.removeprefix('cap_')}" for name in names])
    return ["setpriv", "--bounding-set", bounds, "--inh-caps", "-all"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Calls of brim-release and of the real postqueue that it runs, on a socket that it was
    handed, for a message that waits in a real Postfix."""
    if SANITIZED:
        pytest.skip("ASan itself needs other calls")
    trace = tmp_path_factory.mktemp("trace") / "trace"
    shell = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'
    one = Release()
    try:
        one.socket.parent.mkdir()
        with MailServer() as server, socket.socket(socket.AF_UNIX) as s:
            s.bind(str(one.socket))
            s.listen()
            os.chown(one.socket, 0, pwd.getpwnam(DAEMON_USER).pw_gid)
            bob = server.mailbox("bob", quota=2000, over_quota="defer")
            fill = bob.maildir / "new/fill"
            fill.write_bytes(b"x" * 1900)
            sent = server.postfix.send("me@sender.test", bob.address, b"\n" + b"y" * 300 + b"\n")
            assert sent.fate().status == "deferred"
            fill.unlink()
            one.postqueue = "/usr/sbin/postqueue"
            one.start(prefix=["strace", "-f", "-qqq", "-o", str(trace), "--signal=none", "sh", "-c",
                              shell, "sh", *bounded_by(RELEASE_UNIT)], pass_fds=[FIRST_FD],
                      preexec_fn=lambda: os.dup2(s.fileno(), FIRST_FD))
            assert one.ask(sent.queue_id) == ["OK"]
            assert sent.fate().status == "sent"
            os.kill(Service.main_pid(one.process), 15)
            assert one.process.wait(PATIENCE) == 0
    finally:
        one.close()
    lines = trace.read_text(errors="replace").splitlines()
    begun = next(i for i, line in enumerate(lines) if f'execve("{BIN}/brim-release"' in line)
    return calls_of(lines[begun:])


def test_release_and_postqueue_make_no_other_calls_than_the_unit_allows(released):
    names = {call.split("(")[0] for call in released}
    assert {"setresuid", "capset", "execveat", "connect"} <= names
    assert names - allowed_calls(RELEASE_UNIT) == set()


def test_release_and_postqueue_speak_no_other_protocol_than_the_unit_allows(released):
    families = {call.split("(")[1].split(",")[0] for call in released
                if call.startswith("socket(")}
    assert families <= set(settings(RELEASE_UNIT)["RestrictAddressFamilies"][0].split())
    assert not [call for call in released if call.startswith("connect(") and "AF_INET" in call]


def test_release_makes_no_memory_that_is_written_and_executed(released):
    assert [call for call in released if "PROT_EXEC" in call and
            ("PROT_WRITE" in call or call.startswith("mprotect"))] == []


def test_release_gets_postqueue_its_group():
    """systemd sets no_new_privs with NoNewPrivileges=, and with User= for most others."""
    unit = settings(RELEASE_UNIT)
    assert unit["NoNewPrivileges"] == ["no"]
    assert not {"User", "DynamicUser", "PrivateUsers"} & set(unit)


def test_release_socket_is_that_of_the_settings_for_quotad_alone():
    unit = settings(ETC / "brim-release.socket")
    default = re.search(r"#release_socket = (\S+)", (ETC / "brim.conf").read_text())[1]
    daemon = re.search(r"#daemon_user = (\S+)", (ETC / "brim.conf").read_text())[1]
    assert unit["ListenStream"] == [default]
    assert (unit["SocketUser"], unit["SocketGroup"], unit["SocketMode"]) == (
        ["root"], [daemon], ["0660"])


# --- users and directories --------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    """A root of its own for systemd's tools."""
    for name in ("etc", "run", "var/lib"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("passwd", "group"):
        (tmp_path / "etc" / name).write_text("")
    return tmp_path


def test_users_are_three_without_a_shell(root):
    subprocess.run(["systemd-sysusers", f"--root={root}", ETC / "brim.sysusers"], check=True)
    users = {line.split(":")[0]: line.split(":") for line in
             (root / "etc/passwd").read_text().splitlines()}
    assert set(users) == {"brim", "brimlda", "brim-release"}
    assert len({u[2] for u in users.values()} - {"0"}) == 3
    assert all(u[6] == "/usr/sbin/nologin" for u in users.values())


def test_directories_are_root_s(root):
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    subprocess.run(["systemd-tmpfiles", f"--root={root}", "--create", ETC / "brim.tmpfiles"],
                   check=True)
    for name in ("run/brim", "var/lib/brim"):
        found = (root / name).stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o755)
        assert found.st_uid != pwd.getpwnam("daemon").pw_uid
