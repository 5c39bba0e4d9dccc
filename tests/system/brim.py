"""A private Brim for tests: settings, table, quotad and mailboxes in a folder of its own.

    with Brim() as brim:
        alice = brim.mailbox("alice@example.org", uid=20001, quota=1 << 20)
        brim.start_quotad()
        result = brim.deliver("alice@example.org", b"Subject: hello\n\nhello\n")
        assert result.status == 0 and result.output == b""
        assert brim.messages(alice)[0].endswith(b"hello\n")

The programs come from the folder that BRIM_BIN names (build/bin without it). Nothing
outside the folder is changed and every process is stopped by its own id.
"""

import contextlib
import itertools
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("BRIM_BIN") or ROOT / "build/bin").resolve()
DAEMON_USER = "daemon"  # on every Debian, and nobody's own in a test
PATIENCE = 20  # seconds that anything may take to start or end


def is_sanitized():
    """Whether lda was built with ASan: then it is linked dynamically, and larger."""
    with contextlib.suppress(OSError):
        return b"__asan_init" in (BIN / "lda").read_bytes()
    return False


SANITIZED = is_sanitized()


def hear_ignored_signals():
    """What nohup or a background job set to be ignored would be ignored by every program that
    a test starts, too. A handler that does nothing lets this process live on as before, and
    its children begin with the default."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGALRM,
                   signal.SIGTSTP, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


hear_ignored_signals()


# Looking for leaks takes more than all else that a program built with ASan does in its short
# life. So every eighth is asked for them, and each quotad, whose life is long.
ASAN_OPTIONS = os.environ.get("ASAN_OPTIONS", "detect_leaks=0")
if SANITIZED:
    os.environ["ASAN_OPTIONS"] = ASAN_OPTIONS
LEAKS_ARE_ASKED_FOR = itertools.cycle([True] + 7 * [False])


def instruments(prefix, leaks=None):
    """Environment that a program built with ASan needs: leaks can't be told under strace."""
    if not SANITIZED:
        return {}
    if leaks is None:
        leaks = next(LEAKS_ARE_ASKED_FOR)
    return {"ASAN_OPTIONS": f"{ASAN_OPTIONS}:detect_leaks={int(leaks and not prefix)}"}


class Result:
    """What an lda left: exit status (negative: killed by that signal), both streams."""

    def __init__(self, status, output, errors, seconds):
        self.status = status
        self.output = output
        self.errors = errors
        self.seconds = seconds

    @property
    def code(self):
        """The enhanced status code of the line, or None."""
        word = self.output.split(b" ", 1)[0].decode("ascii", "replace")
        return word if self.output else None

    def __repr__(self):
        return (f"status {self.status} output {self.output!r} "
                f"errors {self.errors!r} {self.seconds:.2f} s")


class Brim:
    """One private installation. Settings are given as keyword arguments."""

    def __init__(self, parent=None, **settings):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="brim-", dir=parent))
        self.folder.chmod(0o755)
        self.conf = self.folder / "brim.conf"
        self.socket = self.folder / "run/quotad.sock"
        self.users_db = self.folder / "lib/users.db"
        self.usage_dir = self.folder / "lib/usage"
        self.home = self.folder / "home"
        self.log = self.folder / "quotad.log"
        for name in ("run", "lib", "home"):
            (self.folder / name).mkdir(mode=0o755)
        self.settings = {
            "users_db": self.users_db,
            "usage_dir": self.usage_dir,
            "socket": self.socket,
            "daemon_user": DAEMON_USER,
            "local_domains": "host.test",
            "log": "stderr",
        }
        self.quotad = None
        self.cleanups = []
        self.configure(**settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stop_quotad()
        for cleanup in reversed(self.cleanups):
            cleanup()
        self.cleanups = []
        shutil.rmtree(self.folder, ignore_errors=True)

    # settings and the table

    def configure(self, **settings):
        """Changes settings (None takes one out) and writes brim.conf."""
        self.settings.update(settings)
        lines = [f"{k} = {v}\n" for k, v in self.settings.items() if v is not None]
        self.conf.write_text("".join(lines))
        self.conf.chmod(0o644)

    def admin(self, *arguments, input=None, check=True):
        """brimadm with these settings; returns the CompletedProcess (text)."""
        done = subprocess.run(
            [BIN / "brimadm", "-c", self.conf, *map(str, arguments)],
            input=input, capture_output=True, text=True, timeout=60,
            env={**os.environ, **instruments(())})
        if check and done.returncode != 0:
            raise AssertionError(f"brimadm {arguments}: {done.returncode} {done.stderr}")
        return done

    def query(self, *arguments, check=True):
        """brimq with these settings; returns the CompletedProcess (text)."""
        done = subprocess.run(
            [BIN / "brimq", "-c", self.conf, *map(str, arguments)],
            capture_output=True, text=True, timeout=60,
            env={**os.environ, **instruments(())})
        if check and done.returncode != 0:
            raise AssertionError(f"brimq {arguments}: {done.returncode} {done.stderr}")
        return done

    def load(self, *lines, replace=False):
        """Loads records, one line of the dump's form each; makes the table if need be."""
        if not self.users_db.exists():
            self.admin("init")
        options = ["--replace", "--force"] if replace else []
        self.admin("load", *options, input="".join(f"{line}\n" for line in lines))

    def mailbox(self, address, uid=20001, gid=None, mail=None, make=True, **fields):
        """Adds a mailbox (with its domain) and makes its home; returns the Maildir."""
        gid = uid if gid is None else gid
        mail = pathlib.Path(mail or self.home / address.replace("@", "_") / "Maildir")
        if make:
            self.make_maildir(mail, uid, gid)
        record = f"{address} uid={uid} gid={gid} mail={mail}/"
        record += "".join(f" {k}={v}" for k, v in fields.items())
        if "@" in address:
            self.load("@" + address.split("@")[1], record)
        else:
            self.load(record)
        return mail

    @staticmethod
    def make_maildir(mail, uid, gid):
        """A Maildir in a home of the user's own."""
        mail = pathlib.Path(mail)
        mail.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.chown(mail.parent, uid, gid)
        for folder in (mail, mail / "new", mail / "cur", mail / "tmp"):
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, uid, gid)

    # quotad

    def start_quotad(self, *arguments, prefix=()):
        """Starts quotad in the foreground and waits until it answers."""
        assert self.quotad is None
        with open(self.log, "ab") as log:
            self.quotad = subprocess.Popen(
                [*prefix, BIN / "quotad", "-c", self.conf, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **instruments(prefix, leaks=True)})
        limit = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if self.ask("STATS")[-1].startswith("OK"):
                    return self.quotad
            if self.quotad.poll() is not None or time.monotonic() > limit:
                self.stop_quotad(signal.SIGKILL)
                raise AssertionError("quotad did not start:\n" + self.log.read_text())
            time.sleep(0.02)

    def stop_quotad(self, how=signal.SIGTERM):
        """Stops quotad, with SIGKILL if it does not go; returns its status."""
        if self.quotad is None:
            return None
        process, self.quotad = self.quotad, None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
            if how != signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def connect(self, timeout=PATIENCE):
        """A connection to quotad, as root."""
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(timeout)
        try:
            s.connect(str(self.socket))
        except OSError:
            s.close()
            raise
        return s

    def connect_as(self, uid, timeout=PATIENCE):
        """A connection to quotad, as that user: the kernel asks who this thread is."""
        os.setresuid(-1, uid, -1)
        try:
            return self.connect(timeout)
        finally:
            os.setresuid(-1, 0, -1)

    def ask(self, *requests, timeout=PATIENCE):
        """Sends the requests over one connection; the lines of all their answers."""
        with self.connect(timeout) as s:
            s.sendall("".join(f"{r}\n" for r in requests).encode())
            with s.makefile("r", encoding="ascii") as lines:
                answers, left = [], len(requests)
                while left:
                    line = lines.readline()
                    if not line.endswith("\n"):
                        raise ConnectionError(f"closed after {answers}")
                    answers.append(line.rstrip("\n"))
                    left -= not line.startswith("* ")
                return answers

    def usage(self, address):
        """GET as a dictionary of strings."""
        answer = self.ask(f"GET {address}")[0]
        assert answer.startswith("OK "), answer
        return dict(word.split("=", 1) for word in answer.split()[1:])

    def recount(self, mailbox):
        """RECOUNT as a dictionary of strings."""
        answer = self.ask(f"RECOUNT {mailbox}")[0]
        assert answer.startswith("OK "), answer
        return dict(word.split("=", 1) for word in answer.split()[1:])

    # deliveries

    def start_lda(self, *arguments, uid=20001, gid=None, env=None, prefix=(),
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, **popen):
        """Starts lda as the user, in an empty environment but for ENV."""
        return subprocess.Popen(
            [*prefix, BIN / "lda", "-c", self.conf, *map(os.fsencode, arguments)],
            stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
            user=uid, group=uid if gid is None else gid, extra_groups=[],
            env={**instruments(prefix), **(env or {})}, cwd="/", start_new_session=True, **popen)

    def run_lda(self, *arguments, message=b"Subject: test\n\ntest\n", timeout=60, **popen):
        """Runs lda with the message on standard input; returns a Result."""
        start = time.monotonic()
        with self.start_lda(*arguments, **popen) as lda:
            try:
                output, errors = lda.communicate(message, timeout)
            except subprocess.TimeoutExpired:
                os.killpg(lda.pid, signal.SIGKILL)  # what runs under PREFIX, too
                raise
        return Result(lda.returncode, output, errors, time.monotonic() - start)

    def deliver(self, recipient, message=b"Subject: test\n\ntest\n", sender=None, **more):
        """Delivers one message to one recipient given with -d."""
        arguments = ["-d", recipient]
        if sender is not None:
            arguments += ["-f", sender]
        return self.run_lda(*arguments, message=message, **more)

    @staticmethod
    def files(mail):
        """Every message file in new/ and cur/ of the Maildir, sorted."""
        return sorted(p for d in ("new", "cur") for p in pathlib.Path(mail, d).glob("*"))

    @classmethod
    def messages(cls, mail):
        """The messages' bytes."""
        return [p.read_bytes() for p in cls.files(mail)]

    @classmethod
    def total(cls, mail):
        """The sum of the messages' sizes, as a count of the mailbox must find it."""
        return sum(p.stat().st_size for p in cls.files(mail))

    @staticmethod
    def leftovers(mail):
        """What is in tmp/ and should not be."""
        return sorted(pathlib.Path(mail, "tmp").glob("*"))
