"""brimq: what it shows, to whom, and what its exit status says."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from brim import BIN, SANITIZED, Brim

ALICE, BOB = 20001, 20002


@pytest.fixture
def brim():
    with Brim(min_uid=1) as b:
        mail = b.mailbox("alice@example.org", uid=ALICE, quota=10000)
        (mail / "cur/1.host,S=2500:2,S").write_bytes(b"x" * 2500)
        b.mailbox("bob@example.org", uid=BOB)
        b.mailbox("games", uid=5, quota=1 << 20, messages=4)
        b.start_quotad()
        yield b


def query_as(brim, uid, *arguments):
    return subprocess.run([BIN / "brimq", "-c", brim.conf, *arguments],
                          capture_output=True, text=True, timeout=60, user=uid, group=uid,
                          extra_groups=[])


def query_with(brim, environment, *arguments):
    return subprocess.run([BIN / "brimq", "-c", brim.conf, *arguments], text=True,
                          capture_output=True, timeout=60, env={**os.environ, **environment})


def fill(brim, size):
    mail = brim.home / "alice_example.org/Maildir"
    (mail / f"cur/2.host,S={size}:2,S").write_bytes(b"x" * size)
    brim.recount("alice@example.org")


def test_a_mailbox_is_a_line_with_a_bar(brim):
    lines = brim.query("alice@example.org").stdout.splitlines()
    assert lines[0].split() == ["MAILBOX", "USED", "LIMIT", "%", "MESSAGES", "STATE",
                                "FOR"]
    assert lines[1].split()[:4] == ["alice@example.org", "2.44K", "9.76K", "25"]
    assert re.search(r"  \[####\.{15}\]  ", lines[1])
    assert lines[1].endswith("]         1")


def test_without_a_limit_there_is_no_bar(brim):
    words = brim.query("bob@example.org").stdout.splitlines()[1].split()
    assert words == ["bob@example.org", "0B", "-", "0"]


def test_several_are_shown_in_the_order_asked(brim):
    lines = brim.query("bob@example.org", "alice@example.org").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["bob@example.org",
                                                       "alice@example.org"]


def test_a_limit_of_messages_is_shown(brim):
    assert "0/4" in brim.query("games").stdout.splitlines()[1].split()


def test_json_has_the_numbers(brim):
    shown = json.loads(brim.query("--json", "alice@example.org").stdout)
    assert shown == [{"mailbox": "alice@example.org", "used": 2500, "messages": 1,
                      "limit": 10000, "message_limit": 0, "reserved": 0, "tickets": 0,
                      "percent": 25}]


def test_a_list_takes_a_pattern_and_counts_nothing(brim):
    lines = brim.query("--list", "*@example.org").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["alice@example.org",
                                                       "bob@example.org"]
    assert "uncounted" in lines[1]
    assert json.loads(brim.query("--list", "--json", "no*").stdout) == []
    assert len(json.loads(brim.query("--list", "--json").stdout)) == 3
    assert "* counts=0" in brim.ask("STATS")


def test_a_recount_says_what_it_was(brim):
    brim.query("alice@example.org")
    mail = brim.home / "alice_example.org/Maildir"
    (mail / "cur/2.host,S=500:2,S").write_bytes(b"x" * 500)
    shown = json.loads(brim.query("--recount", "--json", "alice@example.org").stdout)
    assert shown == [{"mailbox": "alice@example.org", "used": 3000, "was": 2500}]
    lines = brim.query("--recount", "alice@example.org").stdout.splitlines()
    assert lines[0].split() == ["MAILBOX", "USED", "WAS"]


def test_statistics(brim):
    words = dict(line.split() for line in brim.query("--stats").stdout.splitlines())
    assert words["store"] == "disk" and int(words["rss"]) > 0
    assert json.loads(brim.query("--stats", "--json").stdout)["connections"] == 1


def test_without_an_address_it_is_the_callers_own(brim):
    done = query_as(brim, 5)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[0] == "games"


def test_a_caller_without_a_name_is_told(brim):
    done = query_as(brim, 31234)
    assert done.returncode == 75 and "has no name" in done.stderr


def test_ordinary_users_see_their_own_alone(brim):
    assert query_as(brim, ALICE, "alice@example.org").returncode == 0
    for arguments in (["bob@example.org"], ["nobody@example.org"], ["--list"], ["--stats"],
                      ["--recount", "bob@example.org"]):
        done = query_as(brim, ALICE, *arguments)
        assert done.returncode == 75 and "not yours" in done.stderr, arguments
        assert "bob" not in done.stdout


def test_no_such_mailbox_is_1_and_the_others_are_shown(brim):
    done = brim.query("nobody@example.org", "bob@example.org", check=False)
    assert done.returncode == 1
    assert "nobody@example.org: " in done.stderr
    assert "bob@example.org" in done.stdout


def test_over_its_limit_is_1_and_full_to_the_brim_is_not(brim):
    fill(brim, 7500)
    assert brim.query("alice@example.org", check=False).returncode == 0
    fill(brim, 7501)
    done = brim.query("alice@example.org", check=False)
    assert done.returncode == 1 and "[###################]" in done.stdout
    assert "over" in done.stdout
    assert brim.query("--list", "--json", check=False).returncode == 1


def wait_until_full(brim):
    limit = time.monotonic() + 20
    while "full_for" not in brim.usage("alice@example.org"):
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_since_when_a_mailbox_is_full_is_shown(brim):
    fill(brim, 7000)
    assert brim.ask("RESERVE alice@example.org 5000 name=a")[0].startswith("NO ")
    wait_until_full(brim)
    words = brim.query("alice@example.org").stdout.splitlines()[1].split()
    assert words[-2] == "full" and words[-1].endswith("s")


def test_what_can_not_be_told_is_75(brim):
    brim.stop_quotad()
    done = brim.query("alice@example.org", check=False)
    assert done.returncode == 75 and "quotad can't be reached" in done.stderr
    done = brim.query("-s", "/nonexistent/socket", check=False)
    assert done.returncode == 75
    done = subprocess.run([BIN / "brimq", "-c", "/nonexistent", "x"], capture_output=True)
    assert done.returncode == 75


@pytest.mark.parametrize("arguments", [
    ["--recount"], ["--stats", "x"], ["--list", "a", "b"], ["--list", "--stats"], ["--foo"],
    ["-s"], ["--sort", "size"], ["--sort", ""], ["--top", "0"], ["--top", "few"], ["--top", "-1"],
    ["--over", "much"], ["--over", "90%%"], ["--over", "%"], ["--over", "9" * 30],
    ["--watch=0"], ["--watch=soon"], ["--watch", "99999999"], ["--domain", "a@b"],
    ["--domain", "*"], ["--domain", ""], ["--domain", "a.org", "x@a.org"],
    ["--domain", "a.org", "--list", "*"], ["--raw"], ["--raw", "STATS", "x"],
    ["--raw", "--watch", "STATS"], ["--stats", "--top", "1"], ["--recount", "--sort", "used", "x"],
    ["--json=x"]], ids=" ".join)
def test_usage_is_64(arguments):
    done = subprocess.run([BIN / "brimq", *arguments], capture_output=True, text=True)
    assert done.returncode == 64 and done.stderr and not done.stdout


def test_odd_addresses_travel_unharmed(brim):
    for address in ("a b@example.org", "x\ny", "%41lice@example.org", "ö@example.org",
                    "a" * 3000):
        done = brim.query(address, check=False)
        assert done.returncode in (1, 75), (address, done)
        assert len(done.stderr.splitlines()) == 1


def test_help_and_a_full_disk(brim):
    assert "--recount" in brim.query("--help").stdout
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "brimq", "-c", brim.conf, "--list"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 75 and "standard output" in done.stderr


# --- which, and in which order


@pytest.fixture
def many():
    """Five mailboxes, four of them counted, of two domains."""
    sizes = {"a@one.test": (900, 1000), "b@one.test": (5000, 100000), "c@two.test": (2000, 2000),
             "d@two.test": (2001, 2000)}
    with Brim(min_uid=1) as b:
        for address, (used, quota) in sizes.items():
            mail = b.mailbox(address, uid=ALICE, quota=quota)
            (mail / f"cur/1.host,S={used}:2,S").write_bytes(b"x" * used)
        b.mailbox("e@two.test", uid=BOB, quota=0)
        b.start_quotad()
        for address in sizes:
            b.usage(address)
        yield b


def names(done):
    return "".join(line[0] for line in done.stdout.splitlines()[1:])


@pytest.mark.parametrize("options, order", [
    ("--sort used", "bdcae"), ("--sort percent", "dcabe"), ("--sort limit", "ebcda"),
    ("--sort name", "abcde"), ("--top 2", "bd"), ("--top 3 --sort percent", "dca"),
    ("--top 1 --sort name", "a"), ("--top 99", "bdcae"), ("--over 90", "cd"), ("--over 89%", "acd"),
    ("--over 100", "d"), ("--over 5", "acd"), ("--over 4", "abcd"), ("--domain TWO.test", "cde"),
    ("--domain two.test --top 2 --sort percent", "dc"), ("--list --sort used *@one.test", "ba"),
    ("--sort used a@one.test e@two.test b@one.test", "bae")])
def test_what_is_chosen_and_in_which_order(many, options, order):
    assert names(many.query(*options.split(), check=False)) == order


def test_the_status_is_of_those_that_are_shown(many):
    assert many.query("--top", "1", check=False).returncode == 0
    assert many.query("--top", "2", check=False).returncode == 1


def test_json_is_chosen_from_as_well(many):
    shown = json.loads(many.query("--json", "--top", "2", check=False).stdout)
    assert [s["mailbox"] for s in shown] == ["b@one.test", "d@two.test"]
    assert json.loads(many.query("--json", "--over", "500").stdout) == []


def test_the_first_of_many_are_those_of_the_whole_sorted(brim):
    lines = [f"u{i:04}@example.org uid=5 gid=5 mail=/srv/u{i}/ quota={(i * 7919) % 10007 + 1}"
             for i in range(3000)]
    brim.load(*lines)
    command = ["--json", "--domain", "example.org", "--sort", "limit"]
    whole = json.loads(brim.query(*command).stdout)
    limits = [s["limit"] or 1 << 64 for s in whole]
    assert limits == sorted(limits, reverse=True) and len(whole) == 3002
    first = json.loads(brim.query(*command, "--top", "57").stdout)
    # numbers may have come meanwhile: the slow round counts
    assert [(s["mailbox"], s["limit"]) for s in first] == \
        [(s["mailbox"], s["limit"]) for s in whole[:57]]


@pytest.mark.skipif(SANITIZED, reason="ASan keeps what is freed")
def test_a_list_of_any_length_needs_no_more_memory(brim):
    def peak(*arguments):
        """KiB, looked at while brimq waits for its second round."""
        command = [BIN / "brimq", "-c", brim.conf, "--watch=60", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            end = "]\n" if "--json" in arguments else "\n"
            while process.stdout.readline() != end:
                pass
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            process.kill()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

    least = peak("--list")
    brim.load(*[f"u{i:05}@example.org uid=5 gid=5 mail=/srv/u{i}/" for i in range(20000)])
    assert peak("--list") < least + 3000
    assert peak("--top", "10") < least + 1000
    assert peak("--json", "--list") < least + 1000


# --- a request as it is


def test_a_request_as_it_is(brim):
    done = brim.query("--raw", "GET alice@example.org")
    assert done.stdout == brim.ask("GET alice@example.org")[0] + "\n"
    done = brim.query("--raw", "LIST *@example.org")
    assert done.stdout.splitlines() == brim.ask("LIST *@example.org")
    done = brim.query("--raw", "CHECK alice@example.org 10001", check=False)
    assert done.returncode == 1 and done.stdout.startswith("NO ")
    done = brim.query("--raw", "NONSENSE", check=False)
    assert done.returncode == 75 and done.stdout.startswith("ERR ")


def test_one_request_does_not_become_two(brim):
    done = brim.query("--raw", "STATS\nSTATS", check=False)
    assert done.returncode == 75 and done.stdout == "" and "odd byte" in done.stderr


# --- the state of a record


@contextlib.contextmanager
def answering(path, line):
    """A quotad, root's, that answers one request so."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer():
            connection = listener.accept()[0]
            with connection:
                connection.recv(100)
                connection.sendall(line.encode() + b"\n")
                connection.recv(100)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield
        thread.join(20)


@pytest.mark.parametrize("state, shown", [("disabled", "disabled"), ("enabled", "uncounted"),
                                          ("moved", "moved")])
def test_the_state_of_the_record_says_more_than_uncounted(brim, state, shown):
    path = brim.folder / "fake.sock"
    with answering(path, f"OK mailbox=bob limit=0 state={state}"):
        words = brim.query("-s", path, "bob").stdout.splitlines()[1].split()
    assert words == ["bob", "?", "-", "?", shown]


# --- the terminal


def widest(done):
    return max(len(line) for line in done.stdout.splitlines())


def test_bars_are_as_wide_as_there_is_room(brim):
    assert widest(brim.query("alice@example.org")) <= 80
    wide = query_with(brim, {"COLUMNS": "95"}, "alice@example.org").stdout
    assert len(re.search(r"\[#+\.*\]", wide)[0]) == 36
    widest_bar = query_with(brim, {"COLUMNS": "300"}, "alice@example.org").stdout
    assert len(re.search(r"\[#+\.*\]", widest_bar)[0]) == 42
    assert "[" not in query_with(brim, {"COLUMNS": "60"}, "alice@example.org").stdout
    for odd in ("", "0", "-5", "1e9", "99999999999999999999"):
        assert query_with(brim, {"COLUMNS": odd}, "alice@example.org").stdout == \
            brim.query("alice@example.org").stdout


def test_no_line_ends_in_blanks(brim):
    for arguments in (["--list"], ["alice@example.org", "games"], ["--recount", "games"]):
        for line in brim.query(*arguments).stdout.splitlines():
            assert line == line.rstrip(), arguments


def test_no_colour_elsewhere_than_on_a_terminal(brim):
    done = query_with(brim, {"TERM": "xterm"}, "alice@example.org")
    assert "\x1b" not in done.stdout


class Terminal:
    """brimq on a pseudo-terminal; what it has printed is gathered in .shown."""

    def __init__(self, brim, *arguments, columns=100, rows=12, **environment):
        self.keys, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.resize(columns, rows)
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
        self.process = subprocess.Popen(
            [BIN / "brimq", "-c", brim.conf, *arguments], stdin=slave, stdout=slave, stderr=slave,
            env={**kept, "TERM": "xterm", **environment}, start_new_session=True)
        self.slave = slave
        self.shown = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.keys, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        while select.select([self.keys], [], [], seconds)[0]:
            self.shown += os.read(self.keys, 65536).decode()
            seconds = 0.05

    def wait_for(self, pattern):
        limit = time.monotonic() + 20
        while not re.search(pattern, self.shown):
            assert time.monotonic() < limit, self.shown
            self.read(0.1)

    def type(self, key):
        os.write(self.keys, key)

    def end(self):
        """The exit status, with all that was printed read."""
        status = self.process.wait(20)
        self.read(0.2)
        return status

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.keys)
        os.close(self.slave)


def test_a_terminal_gets_colour_unless_it_is_dumb_or_told_not_to(brim):
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True),
                                  ({"TERM": "dumb"}, False), ({"TERM": ""}, False)):
        with Terminal(brim, "alice@example.org", **environment) as t:
            assert t.end() == 0
            assert "alice@example.org" in t.shown
            assert ("\x1b[32m" in t.shown) == coloured, environment


def test_a_full_mailbox_is_red_and_a_nearly_full_one_yellow(brim):
    fill(brim, 6000)
    with Terminal(brim, "alice@example.org") as t:
        assert t.end() == 0 and "\x1b[33m85\x1b[m" in t.shown
    fill(brim, 8000)
    with Terminal(brim, "alice@example.org") as t:
        assert t.end() == 1 and "\x1b[31mover\x1b[m" in t.shown


def test_the_terminals_width_is_obeyed(brim):
    for columns, bar in ((60, None), (70, 11), (89, 30)):
        with Terminal(brim, "alice@example.org", columns=columns, NO_COLOR="1") as t:
            assert t.end() == 0
            found = re.search(r"\[[#.]+\]", t.shown)
            assert (found and len(found[0])) == bar
    assert found[0].count("#") == 7  # a quarter of what is inside


ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"


def test_a_watch_shows_what_changes_and_q_ends_it(brim):
    with Terminal(brim, "--watch", "1", "alice@example.org", NO_COLOR="1") as t:
        t.wait_for(r"2\.44K")
        assert not t.is_as_before()
        fill(brim, 1000)
        t.wait_for(r"3\.41K")
        t.type(b"x")
        t.type(b"q")
        assert t.end() == 0
        assert t.shown.startswith(ENTERED) and t.shown.rstrip().endswith(LEFT)
        assert t.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(brim, number):
    with Terminal(brim, "--watch", "60", "--list") as t:
        t.wait_for("games")
        t.process.send_signal(number)
        assert t.end() == -number
        assert t.shown.rstrip().endswith(LEFT) and t.is_as_before()


def test_a_signal_ends_a_watch_that_waits_for_quotad(brim):
    with Terminal(brim, "--watch", "1", "--list") as t:
        t.wait_for("games")
        os.kill(brim.quotad.pid, signal.SIGSTOP)
        time.sleep(1.5)
        t.process.send_signal(signal.SIGINT)
        assert t.end() == -signal.SIGINT and t.is_as_before()
        assert t.shown.rstrip().endswith(LEFT)


def test_a_stopped_watch_gives_the_terminal_back_and_takes_it_again(brim):
    with Terminal(brim, "--watch", "60", "--list") as t:
        t.wait_for("games")
        t.process.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(os.waitpid(t.process.pid, os.WUNTRACED)[1])
        t.wait_for(re.escape(LEFT))
        assert t.is_as_before()
        t.process.send_signal(signal.SIGCONT)
        t.wait_for(re.escape(ENTERED) + "(?s:.*)" + re.escape(ENTERED))
        t.type(b"q")
        assert t.end() == 0 and t.is_as_before()


def test_a_watch_fits_a_screen_that_changes(brim):
    brim.load(*[f"u{i:04}@example.org uid=5 gid=5 mail=/srv/u{i}/ quota=99" for i in range(50)])
    with Terminal(brim, "--watch=60", "--domain", "example.org", rows=10) as t:
        t.wait_for("u0004")
        assert "u0006" not in t.shown
        t.resize(100, 15)
        t.process.send_signal(signal.SIGWINCH)
        t.wait_for("u0009")
        t.type(b"q")
        assert t.end() == 0


def test_a_watch_outlives_quotad(brim):
    with Terminal(brim, "--watch", "1", "--list") as t:
        t.wait_for("games")
        brim.stop_quotad()
        t.wait_for("quotad can't be reached")
        brim.start_quotad()
        t.shown = ""
        t.wait_for("games")
        t.type(b"q")
        assert t.end() == 0


def test_a_watch_under_nohup_outlives_its_terminal(brim):
    ignore = ["/usr/bin/env", "--ignore-signal=HUP"]
    with subprocess.Popen([*ignore, BIN / "brimq", "-c", brim.conf, "--watch=1", "games"],
                          stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert [process.stdout.readline() for _ in range(5)][4]
        process.kill()


def test_a_watch_elsewhere_prints_blocks(brim):
    process = subprocess.Popen([BIN / "brimq", "-c", brim.conf, "--watch=1", "games"],
                               stdout=subprocess.PIPE, text=True)
    with process:
        lines = [process.stdout.readline().split(" ")[0].strip() for _ in range(6)]
        process.stdout.close()
        assert process.wait(20) == 75
    assert lines == ["MAILBOX", "games", ""] * 2


def test_a_watch_leaves_no_connection_behind(brim):
    with subprocess.Popen([BIN / "brimq", "-c", brim.conf, "--watch=1", "games"],
                          stdout=subprocess.PIPE, text=True) as process:
        for _ in range(9):
            process.stdout.readline()
        limit = time.monotonic() + 0.8  # before the next round
        while "* connections=1" not in brim.ask("STATS"):
            assert time.monotonic() < limit
            time.sleep(0.02)
        process.kill()
