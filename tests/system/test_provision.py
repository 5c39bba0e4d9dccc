"""Provisioning: load, apply and the imports at scale. Run as root."""

import contextlib
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import time
import fcntl
import termios

import pytest

from brim import BIN, PATIENCE, Brim

ALICE = "alice@example.org uid=20001 gid=20001 mail=/home/alice/Maildir/"
BOB = "bob@example.org uid=20002 gid=20002 mail=/home/bob/Maildir/"


@pytest.fixture
def brim():
    with Brim() as b:
        b.admin("init")
        yield b


@pytest.fixture
def users(brim):
    """Twenty mailboxes and their domain."""
    brim.load(*many(20))
    return brim


def many(count, quota=None):
    end = f" quota={quota}" if quota else ""
    return ["@example.org"] + [
        f"u{i:07} uid=20001 gid=20001 mail=/m/u{i:07}/".replace(" ", "@example.org ", 1) + end
        for i in range(count)]


def dump(brim):
    return brim.admin("dump").stdout.splitlines()


def text(lines):
    return "".join(f"{line}\n" for line in lines)


def unchanged(brim, *arguments, status=64, words=(), input=None):
    """The command ends with the status and the words, and leaves the table as it was."""
    before = brim.users_db.read_bytes()
    done = brim.admin(*arguments, check=False, input=input)
    assert done.returncode == status, done
    for word in words:
        assert word in done.stderr, done.stderr
    assert brim.users_db.read_bytes() == before
    assert not pathlib.Path(f"{brim.users_db}.new").exists()
    return done


# --dry-run


def test_a_dry_run_of_load_shows_each_difference_and_changes_nothing(users):
    lines = many(20)
    lines[1] += " quota=5 messages=7"
    del lines[2]
    lines.append(ALICE)
    done = unchanged(users, "load", "--replace", "--dry-run", status=0, input=text(lines),
                     words=("1 to add, 1 to remove, 1 to change",))
    assert done.stdout.splitlines() == [
        f"+ {ALICE}",
        "~ u0000000@example.org quota= -> 5",
        "~ u0000000@example.org messages= -> 7",
        "- u0000001@example.org uid=20001 gid=20001 mail=/m/u0000001/"]


def test_a_dry_run_of_apply_shows_each_difference_and_changes_nothing(users):
    users.admin("set", "u0000003@example.org", "quota=1G")
    done = unchanged(users, "apply", "--dry-run", status=0, input=(
        "set u0000003@example.org quota=2G\nremove u0000004@example.org\n"
        "set u0000005@example.org quota=1M\nset u0000005@example.org quota=\n"
        "add b uid=20001 gid=20001 mail=/a%20b/\n"))
    assert done.stdout.splitlines() == [
        "+ b uid=20001 gid=20001 mail=/a%20b/",
        "~ u0000003@example.org quota=1073741824 -> 2147483648",
        "- u0000004@example.org uid=20001 gid=20001 mail=/m/u0000004/"]


def test_a_dry_run_refuses_what_the_run_would(users):
    unchanged(users, "apply", "--dry-run", input="alias a@example.org no@example.org\n",
              words=("no@example.org",))
    done = unchanged(users, "load", "--dry-run", "--replace", input=text(many(10)),
                     words=("10 of 21", "--force"))
    assert len(done.stdout.splitlines()) == 10


def test_a_dry_run_of_a_table_many_batches_long_shows_one_change_alone(brim):
    lines = many(3000)
    brim.load(*lines)
    lines[2000] += " quota=1"
    done = unchanged(brim, "load", "--replace", "--dry-run", status=0, input=text(lines))
    assert done.stdout == "~ u0001999@example.org quota= -> 1\n"


def test_the_lock_is_free_while_a_reader_of_the_difference_takes_its_time(brim):
    lines = text(many(3000))
    (brim.folder / "lines").write_text(lines)
    with subprocess.Popen(
            [BIN / "brimadm", "-c", brim.conf, "load", "--dry-run", brim.folder / "lines"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE) as dry:
        assert dry.stdout.read(1) == b"+"  # the rest does not fit into a pipe
        done = brim.admin("add", "@example.net")
        assert done.stderr == "" and dry.poll() is None
        assert len(dry.stdout.read().splitlines()) == 3001
    assert dry.returncode == 0
    assert dump(brim) == ["@example.net"]


# load


def test_a_faulty_line_of_many_is_told_with_file_line_and_field(users):
    lines = many(500)
    lines[333] = lines[333].replace("uid=20001", "uid=x")
    (users.folder / "lines").write_text(text(lines))
    unchanged(users, "load", users.folder / "lines",
              words=(f"{users.folder}/lines:334: ", "uid"))


def test_load_replace_removes_a_tenth_but_no_more_without_force(users):
    lines = many(20)
    unchanged(users, "load", "--replace", input=text(lines[:18]),
              words=("3 of 21", "more than a tenth", "--force"))
    users.admin("load", "--replace", input=text(lines[:19]))
    assert len(dump(users)) == 19
    users.admin("load", "--replace", "--force", input=text(lines[:2]))
    assert len(dump(users)) == 2


def test_what_has_a_new_value_is_not_removed(users):
    users.admin("load", "--replace", input=text(many(20, quota=5)))
    assert all("quota=5" in line for line in dump(users)[1:])


def test_a_damaged_table_is_replaced_without_force(users):
    table = bytearray(users.users_db.read_bytes())
    table[4096:8192] = bytes(4096)
    users.users_db.write_bytes(table)
    done = users.admin("load", "--replace", input=text(many(2)))
    assert "damaged" in done.stderr
    assert dump(users) == many(2)


# what stands where


def on_terminal(brim, *arguments, input=None, width=60):
    """Standard error of brimadm, a terminal of that width, and the exit status."""
    control, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    command = subprocess.Popen([BIN / "brimadm", "-c", brim.conf, *map(str, arguments)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    output = b""
    with contextlib.suppress(OSError):  # EIO at the end
        while data := os.read(control, 65536):
            output += data
    os.close(control)
    data = command.stdout.read()
    command.stdout.close()
    assert data == b""
    return output.decode(), command.wait(PATIENCE)


def test_a_terminal_shows_a_bar_within_its_width_ten_times_a_second_at_most(brim):
    lines = brim.folder / "lines"
    lines.write_text(text(many(30000)))
    start = time.monotonic()
    output, status = on_terminal(brim, "load", lines)
    seconds = time.monotonic() - start
    assert status == 0
    drawn = [d for d in output.split("\r") if "%" in d]
    assert drawn and len(drawn) <= 10 * seconds + 1
    assert all(re.fullmatch(r"reading +\d+ % \[=* *\]", d) for d in drawn), drawn
    assert all(len(d) < 60 for d in drawn)
    shares = [int(re.search(r"(\d+) %", d)[1]) for d in drawn]
    assert shares == sorted(shares) and shares[0] < 90
    assert output.endswith("\r") and output.split("\r")[-2].strip() == ""


def test_an_error_does_not_stand_behind_the_bar(brim):
    lines = brim.folder / "lines"
    lines.write_text(text(many(30000)) + "x\n")
    output, status = on_terminal(brim, "load", lines)
    assert status == 64
    assert output.split("\r")[-2].startswith("brimadm: ")


def test_no_terminal_sees_no_bar(brim):
    assert brim.admin("load", input=text(many(30000))).stderr == ""


def run_shell(brim, script, **more):
    return subprocess.run(["sh", "-c", script, "sh", BIN / "brimadm", brim.conf],
                          capture_output=True, text=True, timeout=60, **more)


def test_dump_into_head_ends_in_one_line_and_75(brim):
    brim.load(*many(20000))
    done = run_shell(brim, '{ "$1" -c "$2" dump; echo $? >&2; } | head -n 1')
    assert done.stdout == "@example.org\n"
    assert re.fullmatch(r"brimadm: can't write to standard output.*\n75\n", done.stderr)


@pytest.mark.parametrize("command", ["dump", "load --dry-run --replace", "apply --interval 1s"])
def test_a_full_disk_for_the_output_is_one_error_and_75(users, command):
    words = {"dump": "", "load --dry-run --replace": text([*many(20), ALICE]),
             "apply --interval 1s": "set u0000001@example.org quota=1G\n"}[command]
    done = run_shell(users, f'"$1" -c "$2" {command} > /dev/full', input=words)
    assert done.returncode == 75
    assert "can't write to standard output" in done.stderr


# apply --interval


class Stream:
    """brimadm apply --interval, fed and answered line by line."""

    def __init__(self, brim, interval):
        self.process = subprocess.Popen(
            [BIN / "brimadm", "-c", brim.conf, "apply", "--interval", interval],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate()

    def send(self, *lines):
        self.process.stdin.write(text(lines).encode())
        self.process.stdin.flush()

    def answers(self, count, patience=PATIENCE):
        limit = time.monotonic() + patience
        while self.rest.count(b"\n") < count:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                break
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            self.rest += data
        lines = self.rest.decode().splitlines()
        self.rest = b"".join(self.rest.splitlines(True)[count:])
        return lines[:count]

    def end(self):
        """All that is still said, the messages, and the status."""
        output, errors = self.process.communicate(timeout=PATIENCE)
        return (self.rest + output).decode().splitlines(), errors.decode(), \
            self.process.returncode


def quota(name, value):
    return f"set {name}@example.org quota={value}"


def test_a_line_is_answered_when_it_is_in_force_while_the_stream_is_open(users):
    with Stream(users, "1s") as s:
        s.send(quota("u0000001", "1G"))
        assert s.answers(1) == ["ok 1"]
        assert "quota=1073741824" in dump(users)[2]
        s.send(quota("u0000002", "1G"), "", "# a comment", quota("u0000003", "1G"))
        assert s.answers(4) == ["ok 2", "ok 3", "ok 4", "ok 5"]
        assert "quota=1073741824" in dump(users)[4]
        s.process.stdin.close()
        s.process.stdin = None
        assert s.end() == ([], "", 0)


def test_changes_are_published_no_more_often_than_the_interval(users):
    with Stream(users, "2s") as s:
        s.send(quota("u0000001", "1G"))
        s.answers(1)
        start, table = time.monotonic(), users.users_db.stat().st_ino
        for i in range(2, 6):
            s.send(quota(f"u{i:07}", "1G"))
            time.sleep(0.1)
        assert s.answers(1, patience=1) == []
        assert users.users_db.stat().st_ino == table
        assert s.answers(4) == [f"ok {n}" for n in range(2, 6)]
        assert 1.7 < time.monotonic() - start < 3


def test_quotad_has_the_change_when_it_is_answered(users):
    users.start_quotad()
    with Stream(users, "0") as s:
        for i in range(1, 4):
            s.send(f"add new{i}@example.org uid=20001 gid=20001 mail={users.home}/new{i}/")
            assert s.answers(1) == [f"ok {i}"]
            assert users.ask(f"CHECK new{i}@example.org 1")[0].startswith("OK")


def test_refused_lines_are_told_and_the_others_hold(users):
    lines = [quota("u0000001", "1G"),
             quota("nobody", "1G"),
             "set u0000002@example.org mail=/m/u0000003/",
             "frobnicate",
             "add u0000004@example.org uid=20001 gid=20001 mail=/x/",
             "set u0000005@example.org quota=5",
             "list",
             "set u0000006@example.org extra%",
             "add new@example.org uid=20001 gid=20001 mail=/n/",
             quota("new", "3M")]
    done = users.admin("apply", "--interval", "0", input=text(lines), check=False)
    answers = [line.split(" ", 3) for line in done.stdout.splitlines()]
    assert [a[:2] for a in answers] == [
        ["ok", "1"], ["failed", "2"], ["failed", "3"], ["failed", "4"], ["failed", "5"],
        ["failed", "6"], ["failed", "7"], ["failed", "8"], ["ok", "9"], ["ok", "10"]]
    assert [a[2] for a in answers if a[0] == "failed"] == ["1"] + 6 * ["64"]
    assert "not in the table" in answers[1][3] and "u0000003" in answers[2][3]
    assert done.stderr == "" and done.returncode == 64
    expected = many(20)
    expected[2] += " quota=1073741824"
    assert dump(users) == sorted(
        [*expected, "new@example.org uid=20001 gid=20001 mail=/n/ quota=3145728"])


def test_a_refused_path_leaves_the_mailbox_where_it_was(users):
    """Its own old path must be given back, for others are still compared with it."""
    done = users.admin("apply", "--interval", "0", check=False, input=text([
        "set u0000001@example.org mail=/m/",
        "add new@example.org uid=20001 gid=20001 mail=/m/u0000001/inner/"]))
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["failed", "failed"]
    assert dump(users) == many(20)


def test_aliases_at_fault_are_found_among_many_lines(users):
    lines = [f"alias a{i}@example.org u{i % 20:07}@example.org" for i in range(300)]
    lines[17] = "alias a17@example.org missing@example.org"
    lines[100] = "remove u0000000@example.org"  # a0 leads there
    lines[200] = "alias a200@example.org a200@example.org"
    lines[250] = "alias a250@example.net missing@example.net"  # not ours: well
    lines[251] = "add fresh@example.com uid=20001 gid=20001 mail=/f/"
    done = users.admin("apply", "--interval", "0", input=text(lines), check=False)
    failed = [line.split(" ", 3) for line in done.stdout.splitlines()
              if not line.startswith("ok ")]
    assert [(f[1], f[2]) for f in failed] == [("18", "64"), ("101", "64"), ("201", "64")]
    assert "missing@example.org" in failed[0][3]
    keys = [line.split()[0] for line in dump(users)]
    assert "u0000000@example.org" in keys and "a17@example.org" not in keys
    assert "@example.com" in keys
    assert len(done.stdout.splitlines()) == 300


def test_a_line_that_is_undone_takes_the_domain_it_made_with_it(users):
    done = users.admin("apply", "--interval", "0", check=False, input=text([
        "add x@example.com uid=20001 gid=20001 mail=/x/",
        "set u0000001@example.org quota=1G",
        "alias y@example.org missing@example.com"]))
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok", "ok", "failed"]
    assert "@example.com" in dump(users)
    done = users.admin("apply", "--interval", "0", check=False, input=text([
        "alias y@example.org missing@example.org", "remove u0000001@example.org"]))
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["failed", "ok"]


def test_a_line_without_an_end_is_not_run(users):
    done = users.admin("apply", "--interval", "0", check=False,
                       input=quota("u0000001", "1G") + "\n" + quota("u0000002", "1G"))
    assert done.stdout.splitlines()[0] == "ok 1"
    assert done.stdout.splitlines()[1].startswith("failed 2 64 the line has no end")
    assert "quota" not in dump(users)[3]


def test_a_line_that_is_too_long_or_has_a_nul_is_told(users):
    done = users.admin("apply", "--interval", "0", check=False,
                       input="x" * 200000 + "\n" + quota("u0000001", "1G") + "\na\0b\n")
    answers = done.stdout.splitlines()
    assert answers[0] == "failed 1 64 the line is too long" and answers[1] == "ok 2"
    assert answers[2].startswith("failed 3 64 ") and "NUL" in answers[2]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_publishes_what_was_read_and_answers_it(users, how):
    with Stream(users, "1h") as s:
        s.send(quota("u0000001", "1G"))
        assert s.answers(1) == ["ok 1"]
        s.send(quota("u0000002", "1G"))
        time.sleep(0.5)
        s.process.send_signal(how)
        assert s.end() == (["ok 2"], "", 0)
    assert "quota=1073741824" in dump(users)[3]


def test_the_end_publishes_what_was_read_at_once(users):
    start = time.monotonic()
    done = users.admin("apply", "--interval", "1h",
                       input=text(quota(f"u{i:07}", "1G") for i in range(20)))
    assert done.stdout == text(f"ok {n + 1}" for n in range(20))
    assert time.monotonic() - start < 5


def test_the_lock_is_free_between_batches(users):
    with Stream(users, "1h") as s:
        s.send(quota("u0000001", "1G"))
        s.answers(1)
        s.send(quota("u0000002", "1G"))
        assert users.admin("set", "u0000003@example.org", "quota=2G").stderr == ""
        s.process.send_signal(signal.SIGTERM)
        s.end()
    assert sum("quota=" in line for line in dump(users)) >= 2
    assert "quota=2147483648" in dump(users)[4]


def test_ten_thousand_lines_are_one_batch_of_a_second_or_two(brim):
    brim.load(*many(10000))
    lines = brim.folder / "lines"
    lines.write_text(text(quota(f"u{i:07}", "1G") for i in range(10000)))
    start = time.monotonic()
    done = brim.admin("apply", "--interval", "1h", lines)
    assert time.monotonic() - start < 5
    assert done.stdout == text(f"ok {n + 1}" for n in range(10000))
    assert sum("quota=1073741824" in line for line in dump(brim)) == 10000


@pytest.fixture
def small():
    """A Brim whose table is on a disk of 256 KiB."""
    with Brim() as b:
        disk = b.users_db.parent
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "none", disk],
                       check=True)
        b.cleanups.append(lambda: subprocess.run(["umount", disk], check=True))
        b.admin("init")
        b.load(*many(20))
        yield b


def test_a_full_disk_leaves_the_table_and_exits_75(small):
    for arguments in (("load",), ("apply",)):
        words = many(3000) if arguments == ("load",) else [f"add {line}" for line in many(3000)
                                                           if line > "u0000020"]
        done = unchanged(small, *arguments, input=text(words), status=75)
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_lines_that_could_not_be_published_fail_and_the_next_ones_are_tried(small):
    with Stream(small, "0") as s:
        s.send(quota("u0000001", "1G"))
        assert s.answers(1) == ["ok 1"]
        filler = small.users_db.parent / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))
        s.send(quota("u0000002", "1G"))
        (answer,) = s.answers(1)
        assert re.match(r"failed 2 75 .*[Ss]pace", answer), answer
        filler.unlink()
        s.send(quota("u0000003", "1G"))
        assert s.answers(1) == ["ok 3"]
        s.process.send_signal(signal.SIGTERM)
        assert s.end()[2] == 75
    lines = dump(small)
    assert "quota" in lines[2] and "quota" not in lines[3] and "quota" in lines[4]


@pytest.mark.parametrize("arguments, words", [
    (("--interval", "1"), ("--interval", "90s")),
    (("--interval", "1s", "--dry-run"), ("--dry-run",)),
])
def test_an_interval_that_makes_no_sense_is_told(users, arguments, words):
    unchanged(users, "apply", *arguments, words=words, input="")


def test_two_writers_wait_for_each_other_and_say_so(brim):
    lines = brim.folder / "lines"
    os.mkfifo(lines)
    with subprocess.Popen([BIN / "brimadm", "-c", brim.conf, "load", lines],
                          stderr=subprocess.PIPE) as first:
        with open(lines, "w") as feed:
            feed.write("@example.org\n")
            feed.flush()
            limit = time.monotonic() + PATIENCE
            while not pathlib.Path(f"{brim.users_db}.new").exists():
                assert time.monotonic() < limit
                time.sleep(0.01)
            with subprocess.Popen([BIN / "brimadm", "-c", brim.conf, "add", "@example.net"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE) as second:
                assert second.stderr.readline() == \
                    b"brimadm: waiting: another brimadm is changing the table\n"
                assert second.poll() is None
                feed.close()
                assert second.stdout.read() == b""
        assert first.wait(PATIENCE) == 0 and second.returncode == 0
    assert dump(brim) == ["@example.net", "@example.org"]


# import-passwd

PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
# a comment
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
Carol:x:1001:1001:Carol,,,:{home}/carol:/bin/bash
dave:x:1002:100::{home}/dave/:/usr/sbin/nologin
erin:x:500:500::{home}/erin:/bin/sh
"""


def passwd(brim, more=""):
    """A passwd file whose accounts have their homes; MORE is put behind it."""
    for name, uid in (("carol", 1001), ("dave", 1002), ("erin", 500)):
        (brim.home / name).mkdir(exist_ok=True)
        os.chown(brim.home / name, uid, uid)
    path = brim.folder / "passwd"
    path.write_text((PASSWD + more).format(home=brim.home))
    return path


def account(brim, name, uid, gid):
    return f"{name} uid={uid} gid={gid} mail={brim.home}/{name}/Maildir/"


def test_accounts_become_mailboxes_in_their_homes(brim):
    done = brim.admin("import-passwd", passwd(brim))
    assert dump(brim) == [account(brim, "carol", 1001, 1001), account(brim, "dave", 1002, 100)]
    assert done.stdout == ""
    assert done.stderr == "brimadm: imported: 2, in the table already: 0, left out: 4\n"


def test_min_uid_says_which_accounts(brim):
    brim.configure(min_uid=500)
    done = brim.admin("import-passwd", "--min-uid", "500", passwd(brim))
    assert "imported: 3" in done.stderr
    unchanged(brim, "import-passwd", "--min-uid", "many", words=("--min-uid",))


def test_an_account_that_has_a_record_keeps_it(brim):
    brim.admin("add", "carol", "uid=1001", "gid=1001", "mail=/mail/carol/", "quota=1G")
    before = dump(brim)
    done = brim.admin("import-passwd", passwd(brim))
    assert dump(brim)[0] == before[0] and len(dump(brim)) == 2
    assert "imported: 1, in the table already: 1" in done.stderr


def test_a_dry_run_of_an_import_shows_the_records(brim):
    done = unchanged(brim, "import-passwd", "--dry-run", passwd(brim), status=0,
                     words=("to import: 2",))
    assert done.stdout.splitlines() == ["+ " + account(brim, "carol", 1001, 1001),
                                        "+ " + account(brim, "dave", 1002, 100)]


def test_every_account_that_can_have_no_mailbox_is_told_with_its_line(brim):
    path = passwd(brim, "frank:x:1003:1003::/:/bin/sh\n"
                  "grace:x:1001:1001::{home}/carol:/bin/sh\nhalf:x:1005\n")
    done = unchanged(brim, "import-passwd", path, words=(
        f"{path}:8: frank", f"{path}:9: grace", "in the mailbox of carol",
        f"{path}:10: ", "3 lines can't be imported", "alias"))
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.parametrize("home, words", [
    ("{home}/none", "missing"), ("{home}/roots", "root"), ("{home}/carol", "uid 1001"),
    ("/dev/null", "no directory"), ("{home}/file", "no directory"), ("", "empty"),
    ("/", "no mailbox's own"), ("//", "no mailbox's own"), ("/./", "no mailbox's own"),
    ("home/frank", "absolute"), (".", "no mailbox's own"), ("{home}/x /", "blank"),
])
def test_a_home_that_is_missing_or_anothers_makes_no_mailbox(brim, home, words):
    (brim.home / "roots").mkdir()
    (brim.home / "file").write_text("")
    os.chown(brim.home / "file", 1003, 1003)
    path = passwd(brim, f"frank:x:1003:1003::{home}:/bin/sh\n")
    unchanged(brim, "import-passwd", path, words=(f"{path}:8: frank", words, "alias first"))
    brim.admin("add", "carol", "uid=1001", "gid=1001", "mail=/mail/carol/")
    brim.admin("alias", "frank", "carol")  # what the message asks for is enough
    brim.admin("import-passwd", path)
    assert "frank alias=carol" in dump(brim)


@pytest.mark.parametrize("line", ["+", "+@staff::::::", "-mallory", "-@guests::::::"])
def test_lines_for_nis_are_left_out_with_a_note(brim, line):
    path = passwd(brim, line + "\n")
    done = brim.admin("import-passwd", path)
    assert len(dump(brim)) == 2
    assert f"{path}:8: left out: {line}" in done.stderr and "NIS" in done.stderr
    assert "imported: 2, in the table already: 0, left out: 5" in done.stderr


@pytest.mark.parametrize("name", ["gina@other.example", "DOMAIN\\gina", "@other.example"])
def test_a_name_of_another_domain_makes_no_mailbox(brim, name):
    path = passwd(brim, f"{name}:x:1001:1001::{{home}}/carol:/bin/sh\n")
    unchanged(brim, "import-passwd", path, words=(f"{path}:8: {name}", "@ or \\"))


def test_the_alias_that_the_fault_asks_for_mends_it(brim):
    brim.admin("add", "carol", "uid=1001", "gid=1001", f"mail={brim.home}/carol/Maildir/")
    brim.admin("alias", "grace", "carol")
    brim.admin("import-passwd", passwd(brim, "grace:x:1001:1004::{home}/carol:/bin/sh\n"))
    assert "grace alias=carol" in dump(brim)


# import-postfix

WORDS = ("uid=static:20001", "gid=20001", "base=/var/mail/vhosts/")


def maps(brim, **files):
    for name, content in files.items():
        (brim.folder / name).write_text(content)
    return [brim.folder / name for name in files]


def test_virtual_maps_become_records(brim):
    files = maps(
        brim, domains="# ours\nexample.org  anything\nEXAMPLE.com OK\n",
        mailboxes="Alice@example.org   example.org/alice/\n"
                  "bob@example.org\texample.org/bob/\n",
        aliases="sales@example.org alice@example.org,\n    bob@example.org\n"
                "\n# joined above\n  # too\n"
                "info@example.org  sales@example.org\n@example.org alice@example.org\n"
                "bob@example.org bob@example.org\njohn carol@elsewhere.example\n")
    done = brim.admin("import-postfix", *WORDS, *files)
    assert dump(brim) == [
        "@example.com",
        "@example.org catchall=alice@example.org",
        "alice@example.org uid=20001 gid=20001 mail=/var/mail/vhosts/example.org/alice/",
        "bob@example.org uid=20001 gid=20001 mail=/var/mail/vhosts/example.org/bob/",
        "info@example.org alias=sales@example.org",
        "john alias=carol@elsewhere.example",
        "sales@example.org alias=alice@example.org,bob@example.org"] or done


def test_the_setting_says_what_a_file_holds(brim):
    (path,) = maps(brim, file="john.smith carol@elsewhere.example\nj.s jsmith@elsewhere.example\n")
    brim.admin("import-postfix", f"virtual_alias_maps=hash:{path}")
    assert len(dump(brim)) == 2 and all("alias=" in line for line in dump(brim))
    (path,) = maps(brim, domains="example.org\nexample.net\n")
    brim.admin("import-postfix", f"virtual_mailbox_domains={path}")
    assert dump(brim)[:2] == ["@example.net", "@example.org"]


@pytest.mark.parametrize("line, words", [
    ("/^(.*)@example.org$/ alice@example.org", ("pattern",)),
    ("if /x/", ("pattern",)),
    ("alice: bob", ("aliases(5)",)),
    ("alice@example.org", ("no right-hand side",)),
    ("alice@example.org example.org/alice", ("mbox", "Maildirs")),
    ("@example.org example.org/all/", ("catchall",)),
    ("@example.org @example.net, @example.com", ("more than one target",)),
    ("alice@example.org /", ("no mailbox's own",)),
    ("alice@example.org ../../", ("no mailbox's own",)),
    ("@example.org a@example.net, b@example.net", ("more than one target",)),
    ("alice@example.org a/ b/", ("more than one path",)),
    ("alice@example.org |/bin/cat", ("command",)),
    ("alice@example.org alice@example.org, b@elsewhere.example", ("keeps its mail",)),
    ("\"a b\"@example.org x@elsewhere.example", ("quoted",)),
    ("alice@example.org ../etc/", ("mail",)),
])
def test_what_can_not_be_carried_over_is_told_with_its_line(brim, line, words):
    (path,) = maps(brim, file=f"# a comment\n\nbob@example.org b/\n{line}\n")
    done = unchanged(brim, "import-postfix", *WORDS, path,
                     words=(f"{path}:4: ", *words, "1 line can't be imported"))
    assert len(done.stderr.splitlines()) == 2


def test_a_domain_as_target_is_an_alias_domain_or_the_same_name_there(brim):
    files = maps(brim, domains="example.org OK\nexample.net OK\nexample.com OK\n",
                 mailboxes="Bob@example.org b/\n",
                 aliases="@Example.net   @Example.org\nbob@example.com @example.net\n"
                         "bob@example.net @example.net\nwe@example.com @example.net,b@d.example\n"
                         "@example.com @example.net\n")
    unchanged(brim, "import-postfix", *WORDS, *files,
              words=("we@example.com leads to we@example.org", "would not be in the table"))
    files[2].write_text(files[2].read_text().replace("we@example.com @", "we@example.com bob@"))
    done = brim.admin("import-postfix", *WORDS, *files)
    assert dump(brim) == [
        "@example.com alias=@example.net", "@example.net alias=@example.org", "@example.org",
        "bob@example.com alias=bob@example.net",
        "bob@example.org uid=20001 gid=20001 mail=/var/mail/vhosts/b/",
        "we@example.com alias=bob@example.net,b@d.example"]
    assert "left out: 1" in done.stderr


@pytest.mark.parametrize("target, words", [
    ("@elsewhere.example", ("@elsewhere.example, which would not be in the table",)),
    ("@example.org\n@example.org @example.net", ("itself",)),
    ("@example.org\nx@example.net x/", ("x@example.net is a mailbox",)),
])
def test_an_alias_domain_that_can_not_be_is_not_imported(brim, target, words):
    (path,) = maps(brim, file=f"example.org OK\n@example.net {target}\n")
    unchanged(brim, "import-postfix", *WORDS, path, words=words)


def test_a_map_of_another_type_is_told(brim):
    unchanged(brim, "import-postfix", "virtual_alias_maps=mysql:/etc/x.cf", words=("mysql:",))


def test_a_mailbox_needs_its_words(brim):
    (path,) = maps(brim, file="bob@example.org b/\n")
    unchanged(brim, "import-postfix", "base=/m", path, words=(":1: ", "uid= and gid="))
    unchanged(brim, "import-postfix", "uid=20001", "gid=20001", path, words=(":1: ", "base="))
    unchanged(brim, "import-postfix", "base=m", path, words=("absolute",))
    unchanged(brim, "import-postfix", "base=/m", words=("no file",))


def test_an_address_that_stands_twice_is_told(brim):
    files = maps(brim, one="bob@example.org b/\n", two="\nbob@example.org c/\n")
    unchanged(brim, "import-postfix", *WORDS, *files, words=(f"{files[1]}:2: ", "twice"))


# import-postfixadmin

MAILBOX = ('"username","password","name","maildir","quota","local_part","domain","active"\r\n'
           '"alice@example.org","$1$secret","Alice ""A"", of\r\nmany lines","example.org/alice/",'
           '"1024000000","alice","example.org","1"\r\n'
           '"bob@example.org","$1$secret","Bob","example.org/bob/",0,"bob","example.org","0"\r\n')
ALIAS = ('address;goto;domain;active\n'
         'alice@example.org;alice@example.org;example.org;1\n'
         'sales@example.org;"alice@example.org,x@elsewhere.example";example.org;1\n'
         'old@example.org;alice@example.org;example.org;0\n'
         '@example.org;alice@example.org;example.org;1\n')
DOMAIN = ('domain,description,aliases,mailboxes,maxquota,quota,transport,backupmx,active\n'
          'ALL,,0,0,0,0,,0,1\nexample.org,"Ours, too",10,10,0,0,virtual,0,1\n'
          'backup.example,,0,0,0,0,,1,1\nexample.net,,10,10,0,0,virtual,0,1\n')


def test_postfixadmin_tables_become_records_without_passwords(brim):
    files = maps(brim, alias=ALIAS, mailbox="\ufeff" + MAILBOX, domain=DOMAIN)
    done = brim.admin("import-postfixadmin", "uid=20001", "gid=20001", "base=/srv/mail", *files)
    assert dump(brim) == [
        "@example.net",
        "@example.org catchall=alice@example.org",
        "alice@example.org uid=20001 gid=20001 mail=/srv/mail/example.org/alice/ "
        "quota=1024000000",
        "bob@example.org uid=20001 gid=20001 mail=/srv/mail/example.org/bob/ state=disabled",
        "sales@example.org alias=alice@example.org,x@elsewhere.example"]
    assert b"secret" not in brim.users_db.read_bytes()
    assert "left out: 4" in done.stderr


@pytest.mark.parametrize("content, words", [
    ("", ("empty",)),
    ("a,b,c\n", (":1: ", "first line")),
    ("alias_domain,other,active\na,b,1\n", (":1: ", "first line")),
    ("alias_domain,target_domain,active\na.example,,1\n", (":2: ", "nothing behind its @")),
    ("username,maildir,quota,active\nx@example.org,,0,1\n", (":2: ", "path is empty")),
    ("username,maildir,quota,active\nx@example.org,/,0,1\n", (":2: ", "no mailbox's own")),
    ("username,maildir,quota,active\nx@example.org,./,0,1\n", (":2: ", "no mailbox's own")),
    ("username,maildir,quota,active\nx@example.org,x/./,0,1\n", (":2: ", "empty, . or ..")),
    ("username,maildir,quota,active\nx@example.org,x/ ,0,1\n", (":2: ", "Maildirs")),
    ("username,maildir,quota,active\nx@example.org,x /,0,1\n", (":2: ", "blank")),
    ("username,maildir,quota,active\nx@example.org, /,0,1\n", (":2: ", "blank")),
    ('username,maildir,quota,active\nx@example.org,"x\ny/",0,1\n', (":2: ", "control byte")),
    ("address,goto\nx@example.org\n", (":2: ", "1 column,", "has 2")),
    ('address,goto\n"x@example.org,y\n', (":2: ", "no end")),
    ("address,goto\nx@example.org,\"x@example.org,y@elsewhere.example\"\n",
     (":2: ", "keeps its mail")),
    ("username,maildir,quota,active\nx@example.org,x/,lots,1\n", (":2: ", "quota")),
    ("username,maildir,quota,active\nx@example.org,x,0,1\n", (":2: ", "Maildirs")),
    ("domain,backupmx,active\nexample.org,0,0\n", (":2: ", "not active")),
    ("domain,backupmx,active\nexample.org,No,off\n", (":2: ", "not active")),
    ("domain,backupmx,active\nexample.org,?,1\n", (":2: ", 'backupmx is "?"')),
    ("username,maildir,quota,active\nx@example.org,x/,0,\\N\n", (":2: ", "active is")),
    ("username,maildir,quota,active\nx@example.org,x/,0,b'0'\n", (":2: ", "active is")),
    ("address,goto\n\"a\nb\",c\nx@example.org,\n", (":4: ", "no target")),
])
def test_a_row_that_can_not_be_carried_over_is_told_with_its_line(brim, content, words):
    (path,) = maps(brim, file=content)
    unchanged(brim, "import-postfixadmin", "uid=20001", "gid=20001", "base=/m", path,
              words=(str(path), *words))


def test_alias_domains_of_postfixadmin_become_alias_domains(brim):
    files = maps(brim, domain=DOMAIN, mailbox=MAILBOX,
                 alias_domain='"alias_domain","target_domain","created","active"\r\n'
                              '"example.net","Example.org","2026-01-01","1"\r\n'
                              '"example.com","example.org","2026-01-01","0"\r\n')
    done = brim.admin("import-postfixadmin", "uid=20001", "gid=20001", "base=/m", *files)
    assert dump(brim)[:2] == ["@example.net alias=@example.org", "@example.org"]
    assert len(dump(brim)) == 4 and "left out: 3" in done.stderr
    (path,) = maps(brim, more="alias_domain,target_domain\na.example,b.example\n")
    unchanged(brim, "import-postfixadmin", path, words=("@b.example, which would not be in",))


def test_a_quote_that_is_left_open_does_not_swallow_a_large_file(brim):
    rows = text(f"a{i}@example.org,b@elsewhere.example" for i in range(300000))
    (path,) = maps(brim, file='address,goto\n"x@example.org,y\n' + rows)
    start = time.monotonic()
    unchanged(brim, "import-postfixadmin", path, words=(":2: ", "no end"))
    assert time.monotonic() - start < 5


def test_every_fault_of_an_import_is_told_at_once(brim):
    (path,) = maps(brim, file="address,goto\na@example.org,\nb@example.org,\nc@example.org,\n")
    done = unchanged(brim, "import-postfixadmin", path, words=("3 lines can't be imported",))
    assert len(done.stderr.splitlines()) == 4
