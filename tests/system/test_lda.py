"""lda by itself, run as an MTA runs it, with a quotad that does as the test says."""

import contextlib
import ctypes
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from brim import BIN, SANITIZED, Brim, instruments

UID = 20001
ALICE = "alice@example.org"
ADDED = b"Return-Path: <bob@example.net>\nDelivered-To: alice@example.org\n"
LINE = re.compile(rb"[45]\.\d\.\d [ -~]+\n")
STATUSES = {0, 67, 69, 75, 77}


class FakeQuotad:
    """Listens where lda asks, and answers each request by the script: a function from
    the request's words to bytes, None for silence, or False to hang up."""

    def __init__(self, path, script=None):
        self.requests = []
        self.connections = 0
        self.script = script or self.agree
        self.path = path
        self.open = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    @staticmethod
    def agree(words):
        return {"RESERVE": b"OK ticket=7\n", "TABLE": b"OK state=used\n"}.get(words[0], b"OK\n")

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                words = line.decode().split()
                if words == ["STATS"]:  # brimadm's, after a change of the table
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                self.requests.append(words)
                answer = self.script(words)
                if answer is False:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                if answer is not None:
                    connection.sendall(answer)

    def verbs(self):
        """The requests' first words, once nothing more is under way."""
        time.sleep(0.05)
        return [words[0] for words in self.requests]

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@pytest.fixture
def brim():
    with Brim(quotad_timeout="1s", deadline="20s") as b:
        b.mail = b.mailbox(ALICE, uid=UID)
        b.fake = FakeQuotad(b.socket)
        b.cleanups.append(lambda: b.fake.close())
        yield b


def fake(brim, script):
    """Another quotad in the place of the one that agrees."""
    brim.fake.close()
    brim.fake = FakeQuotad(brim.socket, script)
    return brim.fake


def send(brim, message=b"Subject: test\n\ntest\n", recipient=ALICE, **more):
    """One delivery from bob, with what must hold for every delivery."""
    result = brim.deliver(recipient, message, sender="bob@example.net", **more)
    check_contract(result)
    return result


def check_contract(result):
    assert result.status in STATUSES, result
    assert result.errors == b"", result
    if result.status == 0:
        assert result.output == b"", result
    else:
        assert LINE.fullmatch(result.output) and len(result.output) <= 400, result
        soft = result.status == 75
        assert result.output.startswith(b"4." if soft else b"5."), result


def assert_delivered(brim, result, stored):
    assert result.status == 0, result
    assert brim.messages(brim.mail) == [stored]
    assert brim.leftovers(brim.mail) == []


def assert_nothing_left(brim, result, code):
    assert result.code == code, result
    assert brim.files(brim.mail) == []
    assert brim.leftovers(brim.mail) == []


def injected(brim, *injections, **more):
    """A delivery with system calls that fail; strace's own words are not lda's. The message is
    synced before it has its name, whatever file system is here (see test_journal)."""
    log = brim.folder / "strace"
    log.touch()
    log.chmod(0o666)
    options = [word for i in (*injections, "fstatfs:error=ENOSYS")
               for word in ("-e", f"inject={i}")]
    return send(brim, prefix=["strace", "-f", "-o", log, *options], **more)


def position(brim, call, word):
    """Which of the calls of that name in a delivery is the first with, or after, a line
    that has the word in it."""
    assert injected(brim, "getppid:error=EPERM").status == 0
    lines = (brim.folder / "strace").read_text().splitlines()
    for path in brim.files(brim.mail):
        path.unlink()
    brim.fake.requests.clear()
    start = next(i for i, line in enumerate(lines) if word in line)
    return 1 + sum(f" {call}(" in line for line in lines[:start])


# --- the message's bytes ------------------------------------------------------------


MESSAGES = {
    "empty_message": b"",
    "one_byte": b"x",
    "one_line_end": b"\n",
    "no_headers": b"just a line\nand another\n",
    "nul_and_8_bit": b"Subject: \xff\x00\xfe\n\n\x00\x80\xc3\n\x1a\n",
    "no_line_end_at_the_end": b"Subject: x\n\nlast line",
    "crlf": b"Subject: x\r\n\r\nline\r\n.\r\nlone \r and \n\r\n",
    "line_of_10_mb": b"Subject: x\n\n" + b"y" * 10_000_000 + b"\n",
    "header_of_10_mb": b"Subject: " + b"y" * 10_000_000 + b"\n\nbody\n",
    "from_line_in_the_body": b"Subject: x\n\nFrom me to you\n>From me\n",
    "exactly_one_chunk": b"a" * 65536,
    "one_more_than_a_chunk": b"a" * 65537,
    "senders_own_trace_headers":
        b"Received: by x\nReturn-Path: <evil@x>\nDelivered-To: evil@x\n\nbody\n",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message_is_stored_byte_for_byte(brim, name):
    result = send(brim, MESSAGES[name])
    assert_delivered(brim, result, ADDED + MESSAGES[name])


def test_name_and_reservation_tell_the_exact_size(brim):
    send(brim, b"x" * 1000)
    (path,) = brim.files(brim.mail)
    (reserve,) = [words for words in brim.fake.requests if words[0] == "RESERVE"]
    assert reserve[:4] == ["RESERVE", ALICE, str(1000 + len(ADDED)), f"name={path.name}"]
    assert path.name.endswith(f",S={path.stat().st_size}")


def test_file_is_the_recipients_alone(brim):
    send(brim, preexec_fn=lambda: os.umask(0))
    status = brim.files(brim.mail)[0].stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_nlink) == (UID, 1)


def test_from_line_in_front_is_taken_off(brim):
    body = b"Subject: x\n\nbody\n"
    result = send(brim, b"From bob@example.net  Tue Nov 24 02:28:35 2026\n" + body)
    assert_delivered(brim, result, ADDED + body)


def test_from_line_alone_is_an_empty_message(brim):
    assert_delivered(brim, send(brim, b"From x y\n"), ADDED)


def test_from_line_without_an_end_is_the_message(brim):
    assert_delivered(brim, send(brim, b"From x"), ADDED + b"From x")


TOPS = {
    "postfix_local": (
        b"From bob  Tue Nov 24 02:28:35 2026\n", b"Return-Path: <bob@x>\n"
        b"X-Original-To: alice@example.org\nDelivered-To: alice@example.org\n", b""),
    "return_path_only": (
        b"", b"Return-Path: <bob@x>\n", b"Delivered-To: alice@example.org\n"),
    "delivered_to_only": (
        b"", b"delivered-to: alice@example.org\n", b"Return-Path: <bob@example.net>\n"),
    "other_case": (
        b"", b"Return-Path: <>\nDelivered-To: Alice@EXAMPLE.org\n", b""),
    "exim_additions": (
        b"", b"Return-path: <bob@x>\nEnvelope-to: alice@example.org\n"
        b"Delivery-date: Tue, 24 Nov 2026 02:28:35 +0000\n",
        b"Delivered-To: alice@example.org\n"),
    "folded": (
        b"", b"Return-Path:\n <bob@x>\nDelivered-To: alice@example.org\r\n", b""),
}


@pytest.mark.parametrize("name", TOPS)
def test_headers_of_the_mta_are_not_added_twice(brim, name):
    front, top, added = TOPS[name]
    rest = b"Received: by x\nReturn-Path: <evil@x>\nSubject: x\n\nbody\n"
    assert_delivered(brim, send(brim, front + top + rest), added + top + rest)


def test_top_that_comes_byte_by_byte_is_the_same(brim):
    message = (b"From x y\nReturn-Path: <b@x>\nDelivered-To: alice@example.org\n"
               b"Received: z\n\nbody\n")
    with brim.start_lda("-d", ALICE) as lda:
        for i in range(len(message)):
            lda.stdin.write(message[i:i + 1])
            lda.stdin.flush()
            time.sleep(0.001)
        output, errors = lda.communicate()
    assert (lda.returncode, output, errors) == (0, b"", b"")
    assert brim.messages(brim.mail) == [message[len(b"From x y\n"):]]


def test_non_blocking_input_is_waited_for(brim):
    read, write = os.pipe2(os.O_NONBLOCK)
    with brim.start_lda("-d", ALICE, stdin=read) as lda:
        os.close(read)
        time.sleep(0.2)
        os.set_blocking(write, True)
        os.write(write, b"Subject: late\n\n")
        os.close(write)
        assert lda.wait() == 0
    assert brim.messages(brim.mail)[0].endswith(b"Subject: late\n\n")


def test_input_from_a_file_is_stored(brim):
    path = brim.folder / "message"
    path.write_bytes(b"Subject: file\n\n" + b"z" * 200_000)
    with open(path, "rb") as message, brim.start_lda("-d", ALICE, stdin=message) as lda:
        assert lda.wait() == 0
    assert brim.messages(brim.mail)[0].endswith(path.read_bytes())


# --- addresses ----------------------------------------------------------------------


ODD = {
    "dots_and_slashes": "../../etc/passwd@example.org",
    "absolute": "/etc/passwd@example.org",
    "quotes": "\"a'b\"@example.org",
    "spaces": "a b@example.org",
    "percent": "%s%n%2e%00@example.org",
    "control_bytes": "a\x01\x7f\r\nb@example.org",
    "64_kb": "a" * 65536 + "@example.org",
    "empty": "",
    "only_at": "@",
    "no_local_part": "@example.org",
    "no_domain": "alice@",
    "8_bit": "\u00e9t\u00e9@example.org",
    "shell": "$(id);`id`|id&@example.org",
    "leading_minus": "-d@example.org",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_address_is_nobody_or_an_error(brim, name):
    result = send(brim, recipient=ODD[name])
    assert result.code in ("5.1.1", "4.3.5", "4.3.0"), result
    assert brim.files(brim.mail) == []
    assert "RESERVE" not in brim.fake.verbs()


@pytest.mark.parametrize("extension", ["../../x", "/etc", "a/b", "%2e%2e", "new", "+", ""])
def test_extension_with_a_path_in_it_is_no_path(brim, extension):
    result = send(brim, recipient=f"alice+{extension}@example.org")
    assert result.status == 0
    assert len(brim.files(brim.mail)) == 1
    assert sorted(p.name for p in brim.mail.iterdir()) == ["cur", "new", "tmp"]


def test_delivered_to_keeps_what_the_mta_gave(brim):
    send(brim, b"", recipient="ALICE+Ext@Example.ORG")
    assert b"Delivered-To: ALICE+Ext@Example.ORG\n" in brim.messages(brim.mail)[0]


@pytest.mark.parametrize("sender", ["<>", "", "MAILER-DAEMON", "mailer-daemon"])
def test_null_sender_is_an_empty_return_path(brim, sender):
    assert brim.deliver(ALICE, b"x\n", sender=sender).status == 0
    assert brim.messages(brim.mail)[0].startswith(b"Return-Path: <>\nDelivered-To:")


def test_sender_with_a_line_break_adds_no_header(brim):
    brim.deliver(ALICE, b"\nx\n", sender="a\r\nBcc: b\x00@x".replace("\x00", "\x01"))
    head = brim.messages(brim.mail)[0].split(b"\n\n")[0]
    assert head.split(b"\n") == [
        b'Return-Path: <"a__Bcc: b_"@x>', b"Delivered-To: alice@example.org"]


SENDERS = {
    "bob@x": b"bob@x",
    "<bob@x>": b"bob@x",
    "a b@x": b'"a b"@x',
    'a"b\\@x': b'"a\\"b\\\\"@x',
    '"a b"@x': b'"a b"@x',
    "a>b@x": b'"a>b"@x',
    ".a@x": b'".a"@x',
    "a" * 300 + "@x": b"a" * 300 + b"@x",
    "a" * 2046 + "@x": b"a" * 2046 + b"@x",
    '"' * 2046 + "@x": b'"' + b'\\"' * 2046 + b'"@x',
    "root": b"root",
    "a..b@x": b'"a..b"@x',
    "a.@x": b'"a."@x',
    "a.b.c@x.y": b"a.b.c@x.y",
    '"a"b"@x': b'"\\"a\\"b\\""@x',
    '"a\\"@x': b'"\\"a\\\\\\""@x',
    '"a\\"b"@x': b'"a\\"b"@x',
    '"@x': b'"\\""@x',
    "@x": b'""@x',
    "a@b@x": b'"a@b"@x',
    "a@[192.0.2.1]": b"a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]": b"a@[IPv6:2001:db8::1]",
    "a b@[IPv6:::1]": b'"a b"@[IPv6:::1]',
    "a@x>, <b@y>": b'"a@x>, <b@y>"',
    "a@x>, <b@y": b'"a@x>, <b"@y',
    "m\u00fcller@x": "m\u00fcller@x".encode(),
}


@pytest.mark.parametrize("sender", SENDERS, ids=lambda s: s[:12])
def test_return_path_is_quoted_as_it_must_be(brim, sender):
    brim.deliver(ALICE, b"\n", sender=sender)
    first = brim.messages(brim.mail)[0].split(b"\n")[0]
    assert first == b"Return-Path: <" + SENDERS[sender] + b">"


def test_a_sender_that_fits_no_header_is_not_the_null_sender(brim):
    for length in (2047, 70000):
        assert brim.deliver(ALICE, b"x\n", sender="a" * length + "@x").status == 0
    assert brim.messages(brim.mail) == [b"Delivered-To: alice@example.org\nx\n"] * 2


# What another mailbox's MTA has put on top of a message that was fetched from there.
FOREIGN = [b"someone@provider.example", b"alice@provider.example", b"alice+x@example.org", b"",
           b"alice", b"\n alice@example.org", b'"alice"b"@example.org', b"a" * 3000 + b"@x"]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f[:16])
def test_a_foreign_delivered_to_is_not_this_deliverys(brim, foreign):
    message = b"Return-Path: <o@s>\nDelivered-To: " + foreign + b"\nReceived: by p\n\nhi\n"
    assert_delivered(brim, send(brim, message), b"Delivered-To: alice@example.org\n" + message)


# --- who it is for, without arguments -----------------------------------------------


def from_environment(brim, message=b"Received: x\n\nx\n", **env):
    result = brim.run_lda(message=message, env=env)
    check_contract(result)
    return result


def test_postfix_environment_names_both(brim):
    assert from_environment(brim, RECIPIENT=ALICE, SENDER="bob@x").status == 0
    assert brim.messages(brim.mail)[0].startswith(b"Return-Path: <bob@x>\n")


def test_exim_environment_names_both(brim):
    result = from_environment(
        brim, LOCAL_PART="alice", LOCAL_PART_SUFFIX="+x", DOMAIN="example.org",
        RECIPIENT="root@elsewhere.test", SENDER="")
    assert result.status == 0
    assert brim.messages(brim.mail)[0].startswith(
        b"Return-Path: <>\nDelivered-To: alice+x@example.org\n")


def test_arguments_win_over_the_environment(brim):
    result = brim.deliver(ALICE, env={"RECIPIENT": "nobody@example.org"})
    assert result.status == 0


def test_no_recipient_is_our_fault(brim):
    assert_nothing_left(brim, from_environment(brim), "4.3.5")


CENSORED = {
    # RECIPIENT, Delivered-To, the recipient that is meant; a_b is another user's if it is not
    "quoted": ("a_b@example.org", b'"a;b"@example.org', "a;b@example.org"),
    "escaped": ("a_b@example.org", b'"a\\"b"@example.org', 'a"b@example.org'),
    "real_underscore": ("a_b@example.org", b"a_b@example.org", "a_b@example.org"),
    "another_address": ("a_b@example.org", b"alice@example.org", "a_b@example.org"),
    "another_length": ("a_b@example.org", b"a;;b@example.org", "a_b@example.org"),
}


@pytest.mark.parametrize("name", CENSORED)
def test_censored_recipient_is_read_from_the_mtas_header(brim, name):
    recipient, header, meant = CENSORED[name]
    for key in ("a;b", 'a"b', "a_b"):
        uid = UID + (key == "a_b" != meant[:3])
        brim.mailbox(f"{key}@example.org", uid=uid, mail=brim.home / f"{ord(key[1])}/M")
    top = b"From x y\nReturn-Path: <b@x>\nDelivered-To: " + header + b"\n"
    result = from_environment(brim, top + b"Received: x\n\n", RECIPIENT=recipient)
    assert result.status == 0, result
    assert len(brim.files(brim.home / f"{ord(meant[1])}/M")) == 1


def test_senders_own_header_names_no_recipient(brim):
    brim.mailbox("a;b@example.org", uid=UID, mail=brim.home / "x/M")
    result = from_environment(
        brim, b"Received: x\nDelivered-To: a;b@example.org\n\n",
        RECIPIENT="a_b@example.org")
    assert result.code == "5.1.1"
    assert brim.files(brim.home / "x/M") == []


USAGE = {
    "unknown_option": ["-x", "-d", ALICE],
    "no_value": ["-d"],
    "two_recipients": ["-d", ALICE, "bob@example.org"],
    "recipient_twice": ["-d", ALICE, "-d", ALICE],
    "operand_first": [ALICE],
    "long_option": ["--help"],
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_error_is_a_soft_configuration_error(brim, name):
    result = brim.run_lda(*USAGE[name])
    check_contract(result)
    assert_nothing_left(brim, result, "4.3.5")


def test_no_argument_vector_at_all_is_survived(brim):
    program = brim.folder / "exec.py"
    program.write_text(
        "import ctypes, sys\n"
        "empty = (ctypes.c_char_p * 1)(None)\n"
        f"ctypes.CDLL(None).execve({str(BIN / 'lda')!r}.encode(), empty, empty)\n")
    done = subprocess.run(
        ["/usr/bin/python3", program], input=b"x", capture_output=True, user=UID, group=UID)
    assert done.returncode == 75 and done.stdout.startswith(b"4.3.5 ")


# --- the table's answers ------------------------------------------------------------


def test_unknown_user_of_our_domain_bounces(brim):
    result = send(brim, recipient="nobody@example.org")
    assert (result.status, result.code) == (67, "5.1.1")


def test_unknown_domain_is_our_mistake(brim):
    result = send(brim, recipient="alice@elsewhere.test")
    assert (result.status, result.code) == (75, "4.3.5")


STATES = {
    "state=disabled": (69, "5.2.1"),
    "state=suspended": (75, "4.2.1"),
    "state=moved moved_to=alice@new.test": (69, "5.1.6"),
}


@pytest.mark.parametrize("state", STATES)
def test_state_of_the_mailbox_is_the_verdict(brim, state):
    fields = dict(word.split("=") for word in state.split())
    brim.mailbox(ALICE, uid=UID, **fields)
    result = send(brim)
    assert (result.status, result.code) == STATES[state]
    assert brim.files(brim.mail) == []
    assert b"moved" not in state.encode() or b"alice@new.test" in result.output


def test_record_of_another_uid_is_refused(brim):
    result = send(brim, uid=UID + 1)
    assert_nothing_left(brim, result, "4.3.5")
    assert b"uid" in result.output


def test_message_above_the_limit_is_too_large(brim):
    brim.configure(message_size_limit="100K")
    for size, code in ((100 * 1024 - len(ADDED), None), (100 * 1024, "5.2.3")):
        assert send(brim, b"x" * size).code == code
    assert len(brim.files(brim.mail)) == 1


def test_large_message_is_read_to_its_end_though_refused(brim):
    brim.configure(message_size_limit="1K")
    read, write = os.pipe()
    with brim.start_lda("-d", ALICE, stdin=read) as lda:
        os.close(read)
        for _ in range(100):
            os.write(write, b"x" * 65536)  # EPIPE would raise
        os.close(write)
        assert lda.stdout.read().startswith(b"5.2.3 ")
    assert lda.returncode == 69


def test_bad_table_is_a_configuration_error(brim):
    for damage in (
            lambda p: p.unlink(),
            lambda p: p.write_bytes(b""),
            lambda p: p.write_bytes(b"no database\n" * 1000),
            lambda p: p.write_bytes(os.urandom(8192)),
            lambda p: p.symlink_to("/etc/passwd")):
        with contextlib.suppress(FileNotFoundError):
            brim.users_db.unlink()
        if damage.__code__.co_names[0] != "symlink_to":
            brim.users_db.write_bytes(b"x")
        damage(brim.users_db)
        assert_nothing_left(brim, send(brim), "4.3.5")


# --- settings -----------------------------------------------------------------------


def test_missing_settings_are_a_configuration_error(brim):
    brim.conf.unlink()
    result = send(brim)
    assert_nothing_left(brim, result, "4.3.5")
    assert str(brim.conf).encode() in result.output


def test_unreadable_settings_are_a_configuration_error(brim):
    brim.conf.chmod(0o600)
    assert_nothing_left(brim, send(brim), "4.3.5")


@pytest.mark.parametrize("line", [
    "no_such_setting = 1", "deadline = soon", "deadline", "deadline = 300",
    "[section]\nquota = 1M", "quota = 1M\nquota = 1M", "quota = 1M\n  min_uid = 1",
    "quota: 1M", "; mine", "quota = 1M ; mine", "# a\0"])
def test_bad_setting_is_a_configuration_error(brim, line):
    with brim.conf.open("a") as f:
        f.write(line + "\n")
    result = send(brim)
    assert_nothing_left(brim, result, "4.3.5")
    assert b"line" in result.output


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda p: os.symlink("/dev/zero", p),
                                  lambda p: p.write_bytes(b"\n" * (1 << 21))])
def test_settings_that_are_no_file_are_a_configuration_error_at_once(brim, make):
    brim.conf.unlink()
    make(brim.conf)
    began = time.monotonic()
    assert_nothing_left(brim, send(brim), "4.3.5")
    assert time.monotonic() - began < 5


# --- quotad -------------------------------------------------------------------------


SHORT, LONG = b"Subject: test\n\ntest\n", b"x" * 70_000  # the first buffer holds 65,536
ASKED = {SHORT: ["RESERVE"], LONG: ["CHECK", "RESERVE"]}
LENGTHS = pytest.mark.parametrize("message", [SHORT, LONG], ids=["short", "long"])


@LENGTHS
def test_one_connection_tells_the_whole_story(brim, message):
    assert send(brim, message).status == 0
    assert brim.fake.verbs() == [*ASKED[message], "COMMIT"]
    if message == LONG:
        assert brim.fake.requests[0][:3] == ["CHECK", ALICE, "0"]
    assert brim.fake.requests[-2][2] == str(len(ADDED + message))
    assert brim.fake.requests[-1] == ["COMMIT", "7"]
    assert brim.fake.connections == 1


def test_the_one_question_is_asked_before_anything_is_written(brim):
    assert injected(brim, "getppid:error=EPERM").status == 0
    trace = (brim.folder / "strace").read_text()
    calls = ["sendto(", "O_TMPFILE", "recvfrom(", "fsync(", "linkat(", "COMMIT"]
    assert sorted(calls, key=trace.index) == calls


@pytest.mark.parametrize("length", [16_383, 16_384, 16_385, 65_535, 65_536, 65_537])
def test_the_size_is_exact_around_the_first_buffer_s_parts(brim, length):
    message = b"y" * length
    assert_delivered(brim, send(brim, message), ADDED + message)
    (reserve,) = [words for words in brim.fake.requests if words[0] == "RESERVE"]
    assert reserve[2] == str(len(ADDED) + length)


def test_a_short_message_in_many_pieces_is_one_question(brim):
    with brim.start_lda("-d", ALICE, "-f", "bob@example.net") as lda:
        for byte in SHORT:
            lda.stdin.write(bytes([byte]))
            lda.stdin.flush()
            time.sleep(0.001)
        lda.stdin.close()
        assert (lda.wait(), lda.stdout.read()) == (0, b"")
    assert brim.fake.verbs() == ["RESERVE", "COMMIT"]
    assert brim.messages(brim.mail) == [ADDED + SHORT]


def test_quotad_is_told_which_place_was_found(brim):
    """Another for each path and owner; see quotad(8) for what it is."""
    send(brim, LONG)
    (place,) = [w for w in brim.fake.requests[0] if w.startswith("place=")]
    assert re.fullmatch("place=[0-9a-f]{16}", place)
    assert place in brim.fake.requests[1]
    brim.mail.rename(brim.mail.parent / "Elsewhere")
    brim.admin("set", ALICE, f"mail={brim.mail.parent / 'Elsewhere'}/")
    brim.fake.requests.clear()
    send(brim, LONG)
    places = [w for words in brim.fake.requests for w in words if w.startswith("place=")]
    assert len(places) == 2 and places[0] == places[1] != place


def test_quotad_that_knows_no_places_is_asked_without(brim):
    def older(words):
        if words[0] == "RESERVE" and len(words) > 4:
            return b"ERR 4.5.2 RESERVE has no such field\n"
        return FakeQuotad.agree(words)
    fake(brim, older)
    assert send(brim).status == 0
    assert [w for w in brim.fake.verbs() if w != "CHECK"] == ["RESERVE", "RESERVE", "COMMIT"]


def refuse_at(verb, answer):
    def script(words):
        return answer if words[0] == verb else FakeQuotad.agree(words)
    return script


NOES = {
    b"NO full 5.2.2 mailbox full\n": (69, b"5.2.2 mailbox full\n"),
    b"NO full-for-now 4.2.2 mailbox full\n": (75, b"4.2.2 mailbox full\n"),
    b"NO too-large 5.2.3 too big\n": (69, b"5.2.3 too big\n"),
    b"NO trouble 4.3.0 counting\n": (75, b"4.3.0 quotad: counting\n"),
    b"NO no-such-user 5.1.1 who\n": (75, b"4.3.0 quotad: who\n"),
    b"NO disabled 5.2.1 gone\n": (75, b"4.3.0 quotad: gone\n"),
}


@pytest.mark.parametrize("verb, message", [
    ("CHECK", LONG), ("RESERVE", LONG), ("RESERVE", SHORT)],
    ids=["check", "reserve_long", "reserve_short"])
@pytest.mark.parametrize("answer", NOES)
def test_a_no_is_said_in_quotads_words(brim, verb, message, answer):
    fake(brim, refuse_at(verb, answer))
    result = send(brim, message)
    assert (result.status, result.output) == NOES[answer]
    assert_nothing_left(brim, result, result.code)
    assert brim.fake.verbs() == (["CHECK"] if verb == "CHECK" else ASKED[message])


def test_full_mailbox_is_known_before_a_long_message_is_written(brim):
    fake(brim, refuse_at("CHECK", b"NO full 5.2.2 full\n"))
    assert injected(brim, "getppid:error=EPERM", message=LONG).status == 69
    trace = (brim.folder / "strace").read_text()
    assert "O_TMPFILE" not in trace and "fsync" not in trace and "linkat" not in trace


@pytest.mark.parametrize("store", ["nameless", "in_tmp"])
def test_full_mailbox_is_known_before_a_short_message_is_synced(brim, store):
    when = position(brim, "openat", "O_TMPFILE")
    fake(brim, refuse_at("RESERVE", b"NO full 5.2.2 full\n"))
    injection = {"nameless": "getppid:error=EPERM",
                 "in_tmp": f"openat:error=EOPNOTSUPP:when={when}"}[store]
    assert_nothing_left(brim, injected(brim, injection), "5.2.2")
    trace = (brim.folder / "strace").read_text()
    assert "O_TMPFILE" in trace
    assert " fsync(" not in trace and " linkat(" not in trace and " renameat" not in trace


def test_a_long_message_too_large_for_its_full_mailbox_is_too_large(brim):
    """quotad was asked before the size was known; the whole of it is 5.2.3 ever after."""
    for full in (b"NO full-for-now 4.2.2 full\n", b"NO full 5.2.2 full\n"):
        fake(brim, lambda words, full=full: full)
        brim.mailbox("small@example.org", uid=UID, quota=100_000)
        for length, code in ((70_000, full.split()[2].decode()), (100_001, "5.2.3")):
            result = send(brim, b"x" * length, recipient="small@example.org")
            assert result.code == code, result


def test_too_large_by_the_settings_is_said_before_quotad_is_asked(brim):
    brim.configure(message_size_limit="1K")
    assert_nothing_left(brim, send(brim, b"x" * 1024), "5.2.3")
    assert brim.fake.verbs() == []


@LENGTHS
def test_refused_reservation_leaves_nothing(brim, message):
    fake(brim, refuse_at("RESERVE", b"NO full 5.2.2 full\n"))
    assert_nothing_left(brim, send(brim, message), "5.2.2")


@LENGTHS
def test_error_of_a_living_quotad_is_not_asked_again(brim, message):
    fake(brim, refuse_at("RESERVE", b"ERR 4.3.0 not now\n"))
    assert_nothing_left(brim, send(brim, message), "4.3.0")
    assert brim.fake.verbs() == ASKED[message]


def test_error_to_check_leaves_it_to_the_reservation(brim):
    fake(brim, refuse_at("CHECK", b"ERR 4.3.0 not now\n"))
    assert send(brim, LONG).status == 0


def test_absent_quotad_defers(brim):
    brim.fake.close()
    assert_nothing_left(brim, send(brim), "4.3.0")
    brim.socket.unlink()
    assert_nothing_left(brim, send(brim), "4.3.0")


def test_absent_quotad_delivers_where_the_administrator_says_so(brim):
    brim.fake.close()
    brim.configure(quotad_down="deliver")
    assert send(brim).status == 0
    assert len(brim.files(brim.mail)) == 1


FAULTS = {
    "hangs_up": False,
    "silent": None,
    "dead_in_mid_answer": b"OK tick",
    "garbage": b"\x00\xff\xfeSSH-2.0\n",
    "wrong_words": b"OK ticket=many\n",
    "no_ticket": b"OK\n",
    "a_list": b"* a=1\n",
    "endless_line": b"OK " + b"a" * 1_000_000,
}


@LENGTHS
@pytest.mark.parametrize("name", FAULTS)
def test_reservation_is_asked_once_more(brim, name, message):
    def script(words, seen=[]):
        if words[0] == "RESERVE":
            seen.append(words)
            if len(seen) == 1:
                return FAULTS[name]
            assert words == seen[0]
        return FakeQuotad.agree(words)
    script.__defaults__ = ([],)
    fake(brim, script)
    assert send(brim, message).status == 0
    assert brim.fake.verbs() == [*ASKED[message], "RESERVE", "COMMIT"]
    assert brim.fake.connections == 2
    assert len(brim.files(brim.mail)) == 1


@LENGTHS
@pytest.mark.parametrize("name", FAULTS)
def test_reservation_is_asked_no_third_time(brim, name, message):
    fake(brim, refuse_at("RESERVE", FAULTS[name]))
    result = send(brim, message)
    assert_nothing_left(brim, result, "4.3.0")
    assert brim.fake.verbs() == [*ASKED[message], "RESERVE"]
    assert result.seconds < 4


@LENGTHS
@pytest.mark.parametrize("name", FAULTS)
def test_quotad_that_fails_every_time_takes_bounded_time(brim, name, message):
    fake(brim, lambda words: FAULTS[name])
    result = send(brim, message)
    assert_nothing_left(brim, result, "4.3.0")
    assert result.seconds < 6
    brim.configure(quotad_down="deliver")
    assert send(brim, message).status == 0


def test_gigabyte_without_an_end_costs_no_memory(brim):
    def flood(words):
        for _ in range(1 << 14):
            brim.fake.open[-1].sendall(b"a" * (1 << 16))
        return b"\n"
    fake(brim, flood)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = send(brim)
    assert_nothing_left(brim, result, "4.3.0")
    assert result.seconds < 6
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after <= max(before, 64 * 1024)


@contextlib.contextmanager
def impostor(brim):
    """Another user's process, where quotad should listen."""
    brim.fake.close()
    os.unlink(brim.socket)
    os.chmod(brim.socket.parent, 0o777)
    server = (
        "import socket, sys, os\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        f"s.bind({str(brim.socket)!r})\n"
        f"os.chmod({str(brim.socket)!r}, 0o666)\n"
        "s.listen(8)\nprint('ready', flush=True)\n"
        "while True:\n"
        "    c, _ = s.accept()\n"
        "    while c.recv(4096):\n"
        "        c.sendall(b'OK ticket=1\\n')\n")
    with subprocess.Popen(["/usr/bin/python3", "-c", server], user=UID, group=UID,
                          stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()


def test_another_users_listener_is_not_believed(brim):
    with impostor(brim):
        result = send(brim)
        assert_nothing_left(brim, result, "4.3.0")
        assert f"uid {UID} listens".encode() in result.output


def test_a_daemon_user_that_does_not_exist_is_a_configuration_error(brim):
    brim.configure(daemon_user="no-such-user")
    with impostor(brim):
        for recipient in (ALICE, "nobody@example.org"):
            for message in (SHORT, LONG):
                result = send(brim, message, recipient=recipient)
                assert_nothing_left(brim, result, "4.3.5")
                assert b"no-such-user" in result.output


@LENGTHS
def test_ticket_that_is_lost_before_the_link_is_asked_for_again(brim, message):
    seen = []

    def script(words):
        if words[0] == "RESERVE":
            seen.append(words)
            if len(seen) == 1:
                brim.fake.open[-1].sendall(b"OK ticket=1\n")
                return False
            return b"OK ticket=2\n"
        return b"OK\n"
    fake(brim, script)
    # while the message is synced the answer comes, and the connection ends
    assert injected(brim, "fsync:delay_enter=300000", message=message).status == 0
    assert brim.fake.verbs() == [*ASKED[message], "RESERVE", "COMMIT"]
    assert seen[0] == seen[1]
    assert brim.fake.requests[-1] == ["COMMIT", "2"]
    assert len(brim.files(brim.mail)) == 1


@LENGTHS
def test_ticket_that_is_lost_and_then_refused_leaves_nothing(brim, message):
    seen = []

    def script(words):
        if words[0] == "RESERVE":
            seen.append(words)
            if len(seen) == 1:
                brim.fake.open[-1].sendall(b"OK ticket=1\n")
                return False
            return b"NO full-for-now 4.2.2 full\n"
        return b"OK\n"
    fake(brim, script)
    result = injected(brim, "fsync:delay_enter=300000", message=message)
    assert_nothing_left(brim, result, "4.2.2")
    assert brim.fake.verbs() == [*ASKED[message], "RESERVE"]


@LENGTHS
@pytest.mark.parametrize("step", ["fsync:error=EIO:when=1", "linkat:error=EIO:when=1",
                                  "fsync:error=EIO:when=2"])
def test_failed_delivery_gives_its_ticket_back(brim, step, message):
    assert_nothing_left(brim, injected(brim, step, message=message), "4.3.0")
    assert brim.fake.verbs() == [*ASKED[message], "CANCEL"]


def test_failure_before_the_answer_gives_its_ticket_back_too(brim):
    """Else quotad would have to count the mailbox to know what became of it."""
    assert_nothing_left(brim, injected(brim, "write:error=ENOSPC:when=1"), "4.3.1")
    assert brim.fake.verbs() == ["RESERVE", "CANCEL"]
    assert brim.fake.requests[-1] == ["CANCEL", "7"]


@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
def test_failure_stays_what_it_is_where_quotad_fails_too(brim, answer):
    fake(brim, lambda words: answer)
    result = injected(brim, "write:error=ENOSPC:when=1")
    assert_nothing_left(brim, result, "4.3.1")
    assert brim.fake.verbs() == ["RESERVE"] and result.seconds < 4


def test_commit_that_fails_is_no_failed_delivery(brim):
    fake(brim, refuse_at("COMMIT", False))
    assert send(brim).status == 0
    fake(brim, refuse_at("COMMIT", b"ERR 4.3.0 no\n"))
    assert send(brim).status == 0
    assert len(brim.files(brim.mail)) == 2


def test_odd_mailbox_names_are_one_word_on_the_wire(brim):
    brim.mailbox("a%20b@example.org", uid=UID, mail=brim.home / "odd/M")
    assert send(brim, recipient="a b@example.org").status == 0
    assert brim.fake.requests[0][:2] == ["RESERVE", "a%20b@example.org"]


# --- the mailbox --------------------------------------------------------------------


def test_missing_maildir_is_made(brim):
    shutil.rmtree(brim.mail)
    assert send(brim).status == 0
    assert len(brim.files(brim.mail)) == 1
    for folder in (brim.mail, brim.mail / "new", brim.mail / "cur", brim.mail / "tmp"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder.stat().st_uid == UID


@pytest.mark.parametrize("missing", [".", "new"])
@pytest.mark.parametrize("message", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("answer, code", [
    (b"NO full 5.2.2 full\n", "5.2.2"), (b"ERR 4.3.0 not now\n", "4.3.0"),
    (b"* a=1\n", "4.3.0"), (False, "4.3.0"), (None, "4.3.0")])
def test_missing_maildir_is_made_only_after_a_yes(brim, missing, message, answer, code):
    shutil.rmtree(brim.mail / missing)
    fake(brim, lambda words: answer)
    assert send(brim, message).code == code
    assert not (brim.mail / missing).exists()
    fake(brim, FakeQuotad.agree)
    assert send(brim, message).status == 0
    size = "0" if message == LONG else str(len(ADDED + message))
    assert brim.fake.requests[0][:3] == ["CHECK", ALICE, size]


@pytest.mark.parametrize("missing", [".", "new"])
def test_missing_maildir_is_not_made_without_quotad_whatever_the_settings(brim, missing):
    """quotad alone knows whether it had mail, and its file system may not be mounted."""
    shutil.rmtree(brim.mail / missing)
    brim.fake.close()
    for down in ("defer", "deliver"):
        brim.configure(quotad_down=down)
        assert send(brim).code == "4.3.0" and not (brim.mail / missing).exists()


@pytest.mark.parametrize("message", [SHORT, LONG], ids=["short", "long"])
def test_missing_maildir_is_asked_about_as_such(brim, message):
    """An older quotad does not know the word."""
    shutil.rmtree(brim.mail)
    assert send(brim, message).status == 0
    assert brim.fake.requests[0][4:] == ["directory=0000000000000000"]
    shutil.rmtree(brim.mail)
    fake(brim, lambda words: b"ERR 4.5.2 CHECK <recipient> <bytes>\n" if len(words) > 4
         and words[0] == "CHECK" else FakeQuotad.agree(words))
    assert send(brim, message).status == 0
    assert brim.fake.verbs() == ["CHECK", "CHECK", "RESERVE", "COMMIT"]


@pytest.mark.parametrize("message", [SHORT, LONG], ids=["short", "long"])
def test_maildir_that_another_delivery_has_made_meanwhile_is_delivered_to(brim, message):
    shutil.rmtree(brim.mail)

    def script(words):
        if words[-1] == "directory=0000000000000000":
            brim.make_maildir(brim.mail, UID, UID)
            return b"ERR 4.3.0 it had mail\n"
        return FakeQuotad.agree(words)
    fake(brim, script)
    assert send(brim, message).status == 0
    assert brim.fake.verbs() == ["CHECK", *ASKED[message], "COMMIT"]
    assert len(brim.files(brim.mail)) == 1


def test_missing_maildir_is_made_by_many_at_once(brim):
    shutil.rmtree(brim.mail)
    ldas = [brim.start_lda("-d", ALICE) for _ in range(20)]
    for lda in ldas:
        lda.stdin.write(b"\nx\n")
        lda.stdin.close()
    for lda in ldas:
        assert (lda.wait(), lda.stdout.read()) == (0, b"")
        lda.stdout.close()
        lda.stderr.close()
    assert len(brim.files(brim.mail)) == 20


def test_missing_maildir_in_anothers_folder_is_not_made(brim):
    shutil.rmtree(brim.mail)
    os.chown(brim.mail.parent, UID + 1, UID + 1)
    assert send(brim).code == "4.3.5"
    assert not brim.mail.exists()


def test_maildir_whose_parent_is_missing_is_not_made(brim):
    shutil.rmtree(brim.mail.parent)
    assert send(brim).code == "4.3.5"
    assert not brim.mail.parent.exists()


def test_missing_new_is_made(brim):
    (brim.mail / "new").rmdir()
    assert send(brim).status == 0
    assert len(brim.files(brim.mail)) == 1


def test_missing_tmp_and_cur_are_no_fault(brim):
    (brim.mail / "tmp").rmdir()
    (brim.mail / "cur").rmdir()
    assert send(brim).status == 0


@pytest.mark.parametrize("folder", [".", "new"])
@pytest.mark.parametrize("fault", ["owner", "group", "others", "unreadable"])
def test_maildir_that_is_not_the_recipients_alone_is_refused(brim, folder, fault):
    path = brim.mail / folder
    if fault == "owner":
        os.chown(path, UID + 1, UID)
        path.chmod(0o777)
    else:
        path.chmod({"group": 0o770, "others": 0o707, "unreadable": 0o000}[fault])
    result = send(brim)
    assert_nothing_left(brim, result, "4.3.5")


def test_maildir_that_cant_be_written_to_is_refused(brim):
    (brim.mail / "new").chmod(0o500)
    assert_nothing_left(brim, send(brim), "4.3.5")


@pytest.mark.parametrize("kind", ["file", "fifo", "link", "dangling"])
def test_new_that_is_no_directory_is_refused_at_once(brim, kind):
    new = brim.mail / "new"
    new.rmdir()
    other = brim.home / "other"
    other.mkdir()
    os.chown(other, UID, UID)
    if kind == "file":
        new.touch()
    elif kind == "fifo":
        os.mkfifo(new)
    else:
        new.symlink_to(other if kind == "link" else "/nowhere")
    result = send(brim)
    assert result.code == "4.3.5" and result.seconds < 2, result
    assert list(other.iterdir()) == []


def test_maildir_behind_a_users_link_is_refused(brim):
    real = brim.home / "real"
    os.rename(brim.mail, real)
    brim.mail.symlink_to(real)
    os.chown(brim.mail, UID, UID, follow_symlinks=False)
    assert send(brim).code == "4.3.5"
    assert brim.files(real) == []


def test_maildir_behind_roots_link_is_followed(brim):
    disk = brim.folder / "disk"
    os.rename(brim.home, disk)
    brim.home.symlink_to(disk)
    assert send(brim).status == 0
    assert len(brim.files(brim.mail)) == 1


def test_roots_link_in_a_users_folder_is_refused(brim):
    real = brim.home / "real"
    os.rename(brim.mail, real)
    brim.mail.symlink_to(real)
    assert send(brim).code == "4.3.5"


# --- disks that fill up -------------------------------------------------------------


@contextlib.contextmanager
def small_disk(brim, options):
    """alice's home on a tmpfs of its own."""
    home = brim.mail.parent
    shutil.rmtree(brim.mail)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", home], check=True)
    try:
        os.chown(home, UID, UID)
        home.chmod(0o755)
        brim.make_maildir(brim.mail, UID, UID)
        yield home
    finally:
        subprocess.run(["umount", home], check=True)


def test_full_disk_at_write_is_4_3_1(brim):
    with small_disk(brim, "size=256k"):
        assert_nothing_left(brim, send(brim, b"x" * 1_000_000), "4.3.1")
        assert send(brim, b"x" * 1000).status == 0


def test_full_disk_while_a_maildir_is_made_is_4_3_1(brim):
    with small_disk(brim, "nr_inodes=6") as home:
        shutil.rmtree(brim.mail)
        (home / "filler").mkdir()
        (home / "filler2").mkdir()
        (home / "filler3").mkdir()
        assert send(brim).code == "4.3.1"


def test_no_inode_left_at_open_is_4_3_1(brim):
    with small_disk(brim, "nr_inodes=5"):
        assert_nothing_left(brim, send(brim), "4.3.1")


INJECTED = {
    "open": "openat:error={}:when={}",
    "write": "write:error={}:when=1",
    "sync": "fsync:error={}:when=1",
    "link": "linkat:error={}:when=1",
    "directory_sync": "fsync:error={}:when=2",
}


CODES = {"ENOSPC": "4.3.1", "EDQUOT": "4.2.2", "EIO": "4.3.0"}


@pytest.mark.parametrize("error", CODES)
@pytest.mark.parametrize("step", INJECTED)
def test_full_or_broken_disk_at_each_step(brim, step, error):
    when = position(brim, "openat", "O_TMPFILE") if step == "open" else 0
    result = injected(brim, INJECTED[step].format(error, when))
    assert_nothing_left(brim, result, CODES[error])
    if error == "EDQUOT":
        assert b"the disk quota of the mailbox's owner" in result.output
        assert b"not of Brim" in result.output


@pytest.mark.parametrize("step", ["mkdir,mkdirat", "fsync"])
def test_disk_quota_while_a_maildir_is_made_is_4_2_2(brim, step):
    shutil.rmtree(brim.mail)
    assert injected(brim, f"{step}:error=EDQUOT:when=1").code == "4.2.2"


def test_disk_quota_gives_its_ticket_back(brim):
    """So quotad has refused nothing, and begins no time after which it is for good."""
    assert_nothing_left(brim, injected(brim, "linkat:error=EDQUOT:when=1"), "4.2.2")
    assert brim.fake.verbs() == ["RESERVE", "CANCEL"]


@pytest.mark.parametrize("missing", [["cur"], ["tmp"], ["cur", "tmp"]], ids="+".join)
@pytest.mark.parametrize("folders", [(), (".Sent", ".Drafts")], ids=len)
def test_missing_folders_are_made(brim, missing, folders):
    """As a backup leaves them that keeps no empty folders."""
    for name in missing:
        (brim.mail / name).rmdir()
    for name in folders:
        (brim.mail / name).mkdir()
    assert send(brim).status == 0 and len(brim.files(brim.mail)) == 1
    for name in missing:
        made = (brim.mail / name).stat()
        assert (made.st_uid, made.st_mode & 0o7777) == (UID, 0o700)


def test_refused_message_makes_no_folders(brim):
    (brim.mail / "cur").rmdir()
    assert injected(brim, "fsync:error=EIO:when=1").code == "4.3.0"
    assert not (brim.mail / "cur").exists()


def test_folder_that_cant_be_made_is_no_failed_delivery(brim):
    (brim.mail / "cur").rmdir()
    assert injected(brim, "mkdirat,mkdir:error=EDQUOT").status == 0
    (brim.mail / "cur").symlink_to("nowhere")
    assert send(brim).status == 0 and len(brim.files(brim.mail)) == 2
    assert not (brim.mail / "nowhere").exists()


def test_file_system_without_nameless_files_uses_tmp(brim):
    when = position(brim, "openat", "O_TMPFILE")
    result = injected(brim, f"openat:error=EOPNOTSUPP:when={when}")
    assert_delivered(brim, result, ADDED + b"Subject: test\n\ntest\n")


@pytest.mark.parametrize("step", ["write", "fsync", "renameat2"])
def test_file_in_tmp_is_removed_after_a_failure(brim, step):
    when = position(brim, "openat", "O_TMPFILE")
    log = brim.folder / "strace"
    result = send(brim, prefix=[
        "strace", "-f", "-o", log, "-e", f"inject=openat:error=EOPNOTSUPP:when={when}",
        "-e", f"inject={step}:error=ENOSPC:when=1"])
    assert_nothing_left(brim, result, "4.3.1")


def leave_in_tmp(brim, name, hours, uid=UID, make=lambda path: path.write_bytes(b"x")):
    """A file that nobody has used for so long."""
    path = brim.mail / "tmp" / name
    make(path)
    os.chown(path, uid, uid, follow_symlinks=False)
    then = time.time() - hours * 3600
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def send_by_tmp(brim, *injections):
    """A delivery on a file system that has no nameless files."""
    when = position(brim, "openat", "O_TMPFILE")
    return injected(brim, f"openat:error=EOPNOTSUPP:when={when}", *injections)


OURS = f"1700000000.M123P45R0123456789abcdef.{os.uname().nodename},S=0"
NOT_OURS = {
    "young": {"hours": 35},
    "of_another_program": {"name": f"1700000000.M123P45.{os.uname().nodename}"},
    "with_a_size": {"name": OURS.replace(",S=0", ",S=01")},
    "with_flags": {"name": OURS + ":2,S"},
    "of_another_user": {"uid": UID + 1},
    "directory": {"make": lambda path: path.mkdir()},
    "link": {"make": lambda path: path.symlink_to("../../kept")},
    "fifo": {"make": os.mkfifo},
}


def test_old_leftovers_of_ours_are_removed(brim):
    """Whether the message was stored or not: what they hold may be what is missing."""
    assert leave_in_tmp(brim, OURS, 37).exists()
    assert send_by_tmp(brim).status == 0 and brim.leftovers(brim.mail) == []
    leave_in_tmp(brim, OURS, 37)
    assert send_by_tmp(brim, "fsync:error=EDQUOT:when=1").code == "4.2.2"
    assert brim.leftovers(brim.mail) == []


def test_so_they_are_where_the_host_had_another_name(brim):
    """A container that was made anew, or another host of the same NFS."""
    leave_in_tmp(brim, OURS.replace(os.uname().nodename, "0f3c2a1b9d8e"), 37)
    young = leave_in_tmp(brim, OURS.replace(",S=0", ".example,S=0"), 35)
    assert send_by_tmp(brim).status == 0 and brim.leftovers(brim.mail) == [young]


def test_so_they_are_where_tmp_is_not_needed_any_more(brim):
    """The mailbox has moved to a disk that has O_TMPFILE, or the kernel is newer."""
    leave_in_tmp(brim, OURS, 37)
    young = leave_in_tmp(brim, **{"name": OURS.replace("M123", "M124"), **NOT_OURS["young"]})
    assert send(brim).status == 0 and brim.leftovers(brim.mail) == [young]


def test_other_files_in_tmp_stay(brim):
    kept = brim.mail.parent / "kept"
    kept.write_bytes(b"kept")
    paths = [leave_in_tmp(brim, **{"name": OURS.replace("M123", f"M{i}"), "hours": 37, **what})
             for i, what in enumerate(NOT_OURS.values())]
    assert send_by_tmp(brim).status == 0
    assert brim.leftovers(brim.mail) == sorted(paths) and kept.read_bytes() == b"kept"


def test_many_leftovers_are_removed_by_and_by(brim):
    for i in range(120):
        leave_in_tmp(brim, OURS.replace("M123", f"M{i}"), 37)
    assert send_by_tmp(brim).status == 0
    assert 0 < len(brim.leftovers(brim.mail)) < 120
    assert send_by_tmp(brim).status == 0 and send_by_tmp(brim).status == 0
    assert brim.leftovers(brim.mail) == []


@pytest.mark.parametrize("name", ["lda", "lda-virtual"])
def test_nothing_of_libdb_is_in_it(name):
    """Its messages begin with BDB and a number; a program that is not static names it."""
    program = (BIN / name).read_bytes()
    assert not re.search(rb"BDB\d{4} |libdb-|db_create\0", program)
    assert re.search(rb"BDB\d{4} |libdb-", (BIN / "quotad").read_bytes())


def test_file_size_limit_is_4_3_1_and_names_the_setting(brim):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    result = send(brim, b"x" * 200_000, preexec_fn=limit)
    assert_nothing_left(brim, result, "4.3.1")
    assert b"mailbox_size_limit" in result.output


@pytest.mark.parametrize("error, code", [
    ("EIO", "4.3.0"), ("EINTR", "4.3.0"), ("ENOSPC", "4.3.1"), ("EDQUOT", "4.2.2")])
def test_bytes_that_a_close_has_lost_are_try_again(brim, error, code):
    """As FUSE's flush() tells it."""
    number = position(brim, "close", " dup(")
    result = injected(brim, f"close:error={error}:when={number}")
    assert_nothing_left(brim, result, code)


# --- what is inherited --------------------------------------------------------------


LEAST = {"AS": 8 << 20, "DATA": 4 << 20, "STACK": 128 << 10}  # as lda(8) says
STARTS = {"AS": 1 << 20, "DATA": 256 << 10, "STACK": 32 << 10}  # what the kernel starts it with


def set_limits(**limits):
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))


@pytest.mark.skipif(SANITIZED, reason="ASan's shadow takes more than any limit")
@pytest.mark.parametrize("message", [SHORT, LONG], ids=["short", "long"])
def test_limits_of_the_man_page_are_enough(brim, message):
    brim.load(*(f"other{i}@example.org uid={UID} gid={UID} mail={brim.home}/other/{i}/"
                for i in range(1000)))
    limit = lambda: set_limits(NOFILE=16, NPROC=0, **LEAST)
    assert_delivered(brim, send(brim, message, preexec_fn=limit), ADDED + message)
    assert send(brim, message, recipient="nobody@example.org", preexec_fn=limit).code == "5.1.1"


@pytest.mark.skipif(SANITIZED, reason="ASan's shadow takes more than any limit")
@pytest.mark.parametrize("name", LEAST)
def test_lower_limit_is_try_again(brim, name):
    """Without a look at them a delivery that finds no memory dies by a signal."""
    for part in range(10):
        value = STARTS[name] + part * (LEAST[name] - 1 - STARTS[name]) // 9
        result = send(brim, preexec_fn=lambda v=value: set_limits(**{name: v}))
        assert_nothing_left(brim, result, "4.3.0")
        assert f"RLIMIT_{name} ".encode() in result.output


@pytest.mark.skipif(SANITIZED, reason="ASan's shadow takes more than any limit")
def test_lower_limit_is_try_again_where_nobody_reads(brim):
    def limit():
        set_limits(AS=4 << 20)
        os.close(1)
    assert brim.deliver(ALICE, preexec_fn=limit).status == 75
    read, write = os.pipe()
    os.close(read)
    with brim.start_lda("-d", ALICE, stdout=write,
                        preexec_fn=lambda: set_limits(AS=4 << 20)) as lda:
        assert lda.wait(timeout=60) == 75
    os.close(write)


@pytest.mark.parametrize("closed", [[1], [2], [1, 2]])
def test_closed_output_is_no_mailbox(brim, closed):
    result = send(brim, preexec_fn=lambda: [os.close(fd) for fd in closed])
    assert_delivered(brim, result, ADDED + b"Subject: test\n\ntest\n")
    result = brim.deliver("nobody@example.org", preexec_fn=lambda: os.close(1))
    assert result.status == 67


def test_closed_input_is_no_message(brim):
    result = send(brim, preexec_fn=lambda: os.close(0))
    assert_nothing_left(brim, result, "4.3.0")


def test_all_closed_is_survived(brim):
    result = brim.deliver(ALICE, preexec_fn=lambda: [os.close(fd) for fd in (0, 1, 2)])
    assert result.status == 75
    assert brim.files(brim.mail) == []


def test_input_that_is_a_directory_is_an_error(brim):
    fd = os.open("/", os.O_RDONLY)
    with brim.start_lda("-d", ALICE, stdin=fd) as lda:
        assert lda.stdout.read().startswith(b"4.3.0 ")
    os.close(fd)
    assert lda.returncode == 75


def full_pipe():
    """One that takes nothing more, and that a writer would wait for."""
    read, write = os.pipe2(os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    return read, write


@pytest.mark.parametrize("recipient, status", [(ALICE, 75), ("nobody@example.org", 67)])
@pytest.mark.parametrize("by", ["signal", "deadline"])
def test_end_that_nobody_reads_comes_all_the_same(brim, recipient, status, by):
    """Of a message that has begun and has no end: its top may name the recipient, too."""
    read, write = full_pipe()
    message, sender = os.pipe()
    os.write(sender, b"Subject: x\n\n")
    brim.configure(deadline="2s" if by == "deadline" else "300s")
    with brim.start_lda("-d", recipient, stdin=message, stdout=write) as lda:
        wait_until_reading(lda)
        if by == "signal":
            lda.terminate()
        assert lda.wait(timeout=60) == status
    for end in (read, write, message, sender):
        os.close(end)
    assert brim.files(brim.mail) == [] and brim.leftovers(brim.mail) == []


@pytest.mark.parametrize("number", ["ALRM", "TERM", "HUP", "XCPU"])
def test_signal_with_the_line_leaves_line_and_status_in_agreement(brim, number):
    result = injected(brim, f"write:signal={number}:when=1", recipient="nobody@example.org")
    assert (result.status, result.code) == (67, "5.1.1")


def test_full_output_pipe_does_not_change_the_status(brim):
    read, write = full_pipe()
    os.set_blocking(write, False)
    done = subprocess.run(
        [BIN / "lda", "-c", brim.conf, "-d", "nobody@example.org"], input=b"x",
        stdout=write, stderr=subprocess.PIPE, user=UID, group=UID, env=instruments(()))
    os.close(read)
    os.close(write)
    assert (done.returncode, done.stderr) == (67, b"")


def test_inherited_signals_and_mask_do_no_harm(brim):
    def spoil():
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    brim.configure(deadline="2s")
    assert send(brim, b"x" * 5000, preexec_fn=spoil).code == "4.3.1"
    with brim.start_lda("-d", ALICE, preexec_fn=spoil) as lda:
        assert lda.stdout.read().startswith(b"4.3.0 ")
    assert lda.returncode == 75


def test_inherited_alarm_is_not_the_deadline(brim):
    with brim.start_lda("-d", ALICE, preexec_fn=lambda: signal.setitimer(
            signal.ITIMER_REAL, 0.5, 0.1)) as lda:
        wait_until_reading(lda)
        time.sleep(0.7)
        output, errors = lda.communicate(b"Subject: test\n\ntest\n")
    assert (lda.returncode, output, errors) == (0, b"", b"")


def test_signal_that_was_pending_at_the_start_is_try_again(brim):
    def spoil():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)
    assert_nothing_left(brim, send(brim, preexec_fn=spoil), "4.3.0")


@pytest.mark.skipif(SANITIZED, reason="linked dynamically")
def test_environment_and_descriptors_have_no_effect(brim):
    env = {"LD_PRELOAD": "/nowhere.so", "DB_HOME": "/tmp", "TMPDIR": "/nowhere",
           "MALLOC_CHECK_": "3", "GLIBC_TUNABLES": "glibc.malloc.check=3", "PATH": ".",
           "LOCPATH": "/nowhere", "TZ": "/etc/shadow", "HOME": "/root", "X": "y" * 100_000}
    fds = [os.open("/etc/passwd", os.O_RDONLY) for _ in range(20)]
    for fd in fds:
        os.set_inheritable(fd, True)
    result = send(brim, env=env, close_fds=False)
    for fd in fds:
        os.close(fd)
    assert_delivered(brim, result, ADDED + b"Subject: test\n\ntest\n")


@pytest.mark.skipif(SANITIZED, reason="linked with the other C library")
def test_the_c_librarys_own_start_is_a_handful_of_calls(brim):
    """A program of the GNU C library has made a dozen by then, and asked the processor dozens of
    questions, which no trace shows. It opens no file either."""
    injected(brim, "madvise:error=EINVAL")
    trace = (brim.folder / "strace").read_text().splitlines()
    own = next(i for i, line in enumerate(trace) if "RLIMIT_AS" in line)
    assert own <= 5, trace[:own]
    opened = [line for line in trace if "open" in line.split("(")[0]]
    assert '"/dev/null"' in opened[0]


@pytest.mark.skipif(SANITIZED, reason="linked with the other C library")
def test_constants_with_an_address_in_them_cannot_be_changed(brim):
    parts = subprocess.run(["readelf", "-lW", BIN / "lda"], capture_output=True, text=True,
                           check=True).stdout
    start, size = (int(word, 16) for word in re.search(
        r"GNU_RELRO +\S+ (\S+) \S+ \S+ (\S+)", parts).groups())
    with brim.start_lda("-d", ALICE) as lda:
        wait_until_reading(lda)
        with open(f"/proc/{lda.pid}/maps") as maps:
            own = [line.split() for line in maps if line.endswith("/lda\n")]
        lda.communicate(b"Subject: test\n\ntest\n")
    base = int(own[0][0].split("-")[0], 16)
    page = os.sysconf("SC_PAGESIZE")
    first, last = base + start, base + (start + size) // page * page - 1
    for address in (first, last):
        (access,) = [words[1] for words in own
                     if int(words[0].split("-")[0], 16) <= address < int(words[0].split("-")[1], 16)]
        assert access == "r--p", own


@pytest.mark.skipif(SANITIZED, reason="ASan needs room")
@pytest.mark.parametrize("limits", [
    {"NOFILE": 3}, {"NOFILE": 4}, {"NOFILE": 6}, {"AS": 8 << 20},
    {"STACK": 64 << 10}, {"NPROC": 0}, {"DATA": 1 << 20}])
def test_tight_limits_end_in_a_delivery_or_in_try_again(brim, limits):
    def tighten():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    brim.configure(deadline="2s")
    result = send(brim, preexec_fn=tighten)
    assert result.status in (0, 75)
    assert len(brim.files(brim.mail)) == (result.status == 0)


def test_db_config_in_the_current_directory_is_not_read(brim):
    for folder in (brim.folder, brim.home, brim.mail.parent, brim.users_db.parent):
        (folder / "DB_CONFIG").write_text("set_data_dir /nowhere\nnonsense\n")
    with brim.start_lda("-d", ALICE) as lda:
        pass
    done = subprocess.run(
        [BIN / "lda", "-c", brim.conf, "-d", ALICE], input=b"x\n", capture_output=True,
        user=UID, group=UID, env={}, cwd=brim.mail.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- the end that nobody planned ----------------------------------------------------


def test_input_that_never_comes_ends_at_the_deadline(brim):
    brim.configure(deadline="2s")
    start = time.monotonic()
    with brim.start_lda("-d", ALICE) as lda:
        assert lda.stdout.read().startswith(b"4.3.0 ")
        assert lda.wait() == 75
    assert 1 < time.monotonic() - start < 4
    assert brim.files(brim.mail) == []


def endless(brim, *arguments):
    """Writes until lda ends; its output and status."""
    with brim.start_lda(*arguments) as lda:
        with contextlib.suppress(BrokenPipeError):
            while True:
                lda.stdin.write(b"x" * 1000)
                lda.stdin.flush()
                time.sleep(0.01)
        with contextlib.suppress(BrokenPipeError):
            lda.stdin.close()
        return lda.stdout.read(), lda.wait()


def test_input_that_never_ends_ends_at_the_deadline(brim):
    brim.configure(deadline="2s")
    output, status = endless(brim, "-d", ALICE)
    assert LINE.fullmatch(output) and output.startswith(b"4.3.0 ") and status == 75
    assert brim.files(brim.mail) == [] and brim.leftovers(brim.mail) == []


def test_refusal_stands_where_the_input_never_ends(brim):
    brim.configure(deadline="2s")
    output, status = endless(brim, "-d", "nobody@example.org")
    assert output.startswith(b"5.1.1 ") and status == 67


def test_censored_recipient_with_no_input_ends_at_the_deadline(brim):
    brim.configure(deadline="2s")
    with brim.start_lda(env={"RECIPIENT": "a_b@example.org"}) as lda:
        assert lda.stdout.read().startswith(b"4.3.0 ")
    assert lda.returncode == 75


SIGNALS = [s for s in range(1, 65) if s not in (
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, 32, 33)] + [32, 33]


@pytest.mark.parametrize("number", SIGNALS)
def test_no_signal_is_a_death(brim, number):
    with brim.start_lda("-d", ALICE) as lda:
        wait_until_reading(lda)
        ctypes.CDLL(None).kill(lda.pid, int(number))
        time.sleep(0.02)
        lda.stdin.write(b"\nx\n") if lda.poll() is None else None
        with contextlib.suppress(BrokenPipeError):
            lda.stdin.close()
        output, status = lda.stdout.read(), lda.wait()
        errors = lda.stderr.read()
    assert status in (0, 75) and errors == b""
    assert bool(LINE.fullmatch(output)) == (status == 75)
    assert len(brim.files(brim.mail)) == (status == 0)
    assert brim.leftovers(brim.mail) == []


def wait_until_reading(lda):
    """Until lda waits for its input, with the file already made."""
    for _ in range(500):
        with contextlib.suppress(OSError):
            with open(f"/proc/{lda.pid}/syscall") as f:
                if f.read().startswith("0 0x0 "):
                    return
        time.sleep(0.005)
    raise AssertionError("lda does not read")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV])
def test_file_in_tmp_is_removed_by_a_signal(brim, number):
    when = position(brim, "openat", "O_TMPFILE")
    prefix = ["strace", "-f", "-o", brim.folder / "strace", "-e",
              f"inject=openat:error=EOPNOTSUPP:when={when}", "-e",
              f"inject=write:signal={number}:when=1"]
    result = send(brim, prefix=prefix)
    assert_nothing_left(brim, result, "4.3.0")


def test_file_that_stays_in_tmp_is_no_delivery(brim):
    when = position(brim, "openat", "O_TMPFILE")
    result = send(brim, prefix=[
        "strace", "-f", "-o", brim.folder / "strace", "-e",
        f"inject=openat:error=EOPNOTSUPP:when={when}", "-e", "inject=unlinkat:error=EIO",
        "-e", "inject=write:signal=TERM:when=1"])
    assert result.status == 75 and result.code == "4.3.0"
    assert brim.files(brim.mail) == []


def test_signal_when_the_directory_cannot_be_synced_leaves_nothing(brim):
    result = injected(brim, "fsync:error=EIO:when=2+", "linkat:signal=TERM:when=1")
    assert_nothing_left(brim, result, "4.3.0")


@pytest.mark.parametrize("call, count", [("linkat", 1), ("fsync", 2)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, signal.SIGALRM])
def test_signal_after_the_link_is_a_delivery(brim, call, count, number):
    # strace delivers the signal after the call
    result = injected(brim, f"{call}:signal={int(number)}:when={count}")
    assert_delivered(brim, result, ADDED + b"Subject: test\n\ntest\n")


def test_signal_while_the_file_in_tmp_gets_its_name_is_a_delivery(brim):
    when = position(brim, "openat", "O_TMPFILE")
    result = send(brim, prefix=[
        "strace", "-f", "-o", brim.folder / "strace", "-e",
        f"inject=openat:error=EOPNOTSUPP:when={when}", "-e",
        "inject=renameat2:signal=TERM:when=1"])
    assert_delivered(brim, result, ADDED + b"Subject: test\n\ntest\n")


def test_crash_in_the_look_up_is_a_configuration_error(brim):
    when = position(brim, "pread64", "users.db")
    result = injected(brim, f"pread64:signal=SEGV:when={when}")
    assert_nothing_left(brim, result, "4.3.5")


def test_look_up_that_hangs_ends_with_its_own_time(brim):
    brim.configure(deadline="2s")
    when = position(brim, "pread64", "users.db")
    result = injected(brim, f"pread64:delay_enter=3000000:when={when}")
    assert_nothing_left(brim, result, "4.3.5")


def test_silence_and_nothing_else_on_success(brim):
    result = send(brim)
    assert (result.status, result.output, result.errors) == (0, b"", b"")


# --- the log ------------------------------------------------------------------------


KEYS = ["recipient", "mailbox", "sender", "id", "bytes", "verdict", "code", "ticket", "name", "ms"]


@contextlib.contextmanager
def log_socket(brim):
    """One that a delivery finds at /dev/log, and the words before the command that has it."""
    path = brim.folder / "log"
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        path.chmod(0o666)
        log.setblocking(False)
        script = (f"mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && "
                  f"ln -s {path} /dev/log && exec setpriv --reuid={UID} --regid={UID} "
                  f"--clear-groups \"$0\" -c {brim.conf} \"$@\"")
        yield log, ["unshare", "-m", "sh", "-c", script]


def drain(log):
    lines = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(log.recv(8192).decode("ascii"))
    return lines


def fill(log):
    """As many lines as it has room for, and one client that goes on having no room."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.sendto(b"another's", log.getsockname())


def logged(brim, *arguments, input=b"\nx\n"):
    """The lines that one delivery sends to syslog, in a /dev of its own."""
    with log_socket(brim) as (log, prefix):
        done = subprocess.run([*prefix, BIN / "lda", *arguments], input=input,
                              capture_output=True)
        return done, drain(log)


def test_a_line_waits_for_a_log_daemon_that_is_behind(brim):
    with log_socket(brim) as (log, prefix):
        fill(log)
        with subprocess.Popen([*prefix, BIN / "lda", "-d", ALICE], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as lda:
            lda.stdin.write(b"\nx\n")
            lda.stdin.close()
            while not brim.files(brim.mail) and lda.poll() is None:
                time.sleep(0.001)
            time.sleep(0.01)
            lines = drain(log)
            assert lda.wait(timeout=60) == 0
        (line,) = [line for line in lines + drain(log) if "verdict=delivered" in line]
        assert line.startswith("<22>brim-lda")


def test_a_log_daemon_that_hangs_stops_no_delivery(brim):
    with log_socket(brim) as (log, prefix):
        fill(log)
        done = subprocess.run([*prefix, BIN / "lda", "-d", ALICE], input=b"\nx\n",
                              capture_output=True, timeout=60)
        assert done.returncode == 0 and done.stdout == b""
        assert set(drain(log)) == {"another's"}
    assert len(brim.files(brim.mail)) == 1


def test_delivery_is_one_line_of_the_log(brim):
    done, (line,) = logged(brim, "-d", "Alice+x@example.org", "-f", "bob@x")
    assert done.returncode == 0
    assert re.match(r"<22>brim-lda\[\d+\]: recipient=Alice\+x@example.org "
                    r"mailbox=alice@example.org sender=<bob@x> id= bytes=\d+ "
                    r"verdict=delivered code=2.0.0 ticket=7 name=\S+,S=\d+ ms=\d+$", line)


@pytest.mark.parametrize("arguments", [
    ["-d", "nobody@example.org"], ["-d", "a\nb c=\x01%@x"], ["-x"], [], ["-d", "a" * 9999]])
def test_refusal_is_one_line_of_the_log_with_its_reason(brim, arguments):
    done, (line,) = logged(brim, *arguments)
    fields = line.split(": ", 1)[1]
    assert [w.split("=")[0] for w in fields.split(' reason="')[0].split(" ")] == KEYS
    assert done.stdout.split(b" ", 1)[1].strip().decode() in line


# --- the real quotad ----------------------------------------------------------------


@pytest.fixture
def real():
    if not (BIN / "quotad").exists():
        pytest.skip("quotad is not built")
    with Brim() as b:
        b.mail = b.mailbox(ALICE, uid=UID, quota=100_000)
        b.start_quotad()
        yield b


def test_room_is_used_up_to_the_limit_and_not_a_byte_further(real):
    size = 10_000 - len(ADDED)
    for _ in range(10):
        assert send(real, b"x" * size).status == 0
    result = send(real, b"x")
    assert result.status in (69, 75) and result.code in ("5.2.2", "4.2.2")
    assert real.total(real.mail) == 100_000
    assert int(real.usage(ALICE)["used"]) == 100_000


def test_room_of_a_failed_delivery_comes_back(real):
    result = injected(real, "linkat:error=EIO:when=1", message=b"x" * 90_000)
    assert result.code == "4.3.0"
    assert send(real, b"x" * 90_000).status == 0


def test_dead_quotad_defers_and_the_next_try_delivers(real):
    real.stop_quotad(signal.SIGKILL)
    assert send(real).code == "4.3.0"
    real.start_quotad()
    assert send(real).status == 0


def test_stopped_quotad_defers_within_its_time(real):
    real.configure(quotad_timeout="1s")
    real.quotad.send_signal(signal.SIGSTOP)
    result = send(real)
    real.quotad.send_signal(signal.SIGCONT)
    assert result.code == "4.3.0" and result.seconds < 5
