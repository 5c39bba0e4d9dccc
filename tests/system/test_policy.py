"""The policy service at a real socket, and what a client that talks to real Postfix is told
while it is still connected: Postfix's smtpd runs in its chroot."""

import contextlib
import os
import pwd
import signal
import smtplib
import socket
import stat
import time

import pytest

from brim import PATIENCE, Brim
from postfix import VIRTUAL_DOMAIN, MailServer

DUNNO = b"action=DUNNO\n\n"
POSTFIX = pwd.getpwnam("postfix")
LETTER = b"From: me@sender.test\nSubject: test\n\n"
LIMIT = 20000


class Policy:
    """A connection to the policy service."""

    def __init__(self, path, timeout=PATIENCE):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, state="RCPT", **attributes):
        lines = {"request": "smtpd_access_policy", "protocol_state": state, **attributes}
        self.socket.sendall("".join(f"{k}={v}\n" for k, v in lines.items()).encode() + b"\n")

    def answer(self):
        """The next answer; empty where the connection has ended."""
        answer = b""
        while not answer.endswith(b"\n\n"):
            try:
                got = self.socket.recv(1)
            except ConnectionResetError:
                got = b""
            if not got:
                return answer
            answer += got
        return answer

    def ask(self, state="RCPT", **attributes):
        self.send(state, **attributes)
        return self.answer()


@pytest.fixture(scope="module")
def brim():
    with Brim() as b:
        b.policy = b.folder / "run/policy"
        b.configure(policy_listen=b.policy, policy_group="")
        b.mailbox("alice@example.org", uid=20001, quota=LIMIT, over_quota="bounce")
        b.load("@host.test quota=1000000", "carol uid=20001 gid=20001 mail=/home/carol/Maildir/")
        b.start_quotad()
        yield b


def refuses(answer, code):
    return answer.startswith(f"action={code} ".encode()) and answer.endswith(b"\n\n")


# --- the socket ---------------------------------------------------------------------------


@pytest.fixture
def private():
    """A Brim with a directory as Postfix has it, which nobody else may enter."""
    with Brim() as b:
        b.private = b.folder / "private"
        b.private.mkdir(mode=0o700)
        os.chown(b.private, POSTFIX.pw_uid, 0)
        b.policy = b.private / "brim-policy"
        b.configure(policy_listen=f"{b.policy} {b.folder}/run/policy", policy_group="postfix",
                    map_listen=b.private / "brim-map", map_group="nobody-has-this-group")
        b.mailbox("alice@example.org", uid=20001)
        yield b


def as_user(user, step):
    """Does it in a process of that user, in its own group alone; its result as a number."""
    child = os.fork()
    if child == 0:
        result = 99
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            result = step()
        os._exit(result)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def asks(path):
    def step():
        with contextlib.suppress(PermissionError), Policy(path) as policy:
            return 0 if policy.ask(recipient="alice@example.org") == DUNNO else 1
        return 13
    return step


def test_sockets_in_private_are_for_postfix_alone(private):
    private.start_quotad()
    found = private.policy.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, POSTFIX.pw_gid)
    assert as_user(POSTFIX, asks(private.policy)) == 0
    assert as_user(POSTFIX, asks(private.folder / "run/policy")) == 0
    assert as_user(pwd.getpwnam("man"), asks(private.folder / "run/policy")) == 13
    assert stat.S_IMODE((private.private / "brim-map").stat().st_mode) == 0o600
    assert "nobody-has-this-group" in private.log.read_text()
    assert private.stop_quotad() == 0


def test_socket_is_made_without_the_right_to_override_permissions(private):
    """As the unit has it: root may not write in Postfix's directory."""
    private.start_quotad(prefix=["setpriv", "--bounding-set", "-dac_override",
                                 "--inh-caps", "-dac_override"])
    assert as_user(POSTFIX, asks(private.policy)) == 0
    private.stop_quotad(signal.SIGKILL)
    private.start_quotad()  # the stale ones are replaced, and their locks taken
    assert as_user(POSTFIX, asks(private.policy)) == 0


def test_another_quotad_leaves_the_socket_alone(private):
    private.start_quotad()
    with Brim() as other:
        other.mailbox("alice@example.org")
        other.configure(policy_listen=private.policy)
        other.start_quotad()  # it delivers all the same
        assert f"another quotad serves {private.policy}" in other.log.read_text()
    assert as_user(POSTFIX, asks(private.policy)) == 0


def test_a_socket_that_can_not_be_made_is_told_and_deliveries_go_on(private):
    os.rename(private.private, private.folder / "elsewhere")
    private.start_quotad()
    assert f"{private.policy}" in private.log.read_text()
    assert private.deliver("alice@example.org").status == 0
    assert not private.private.exists()


def test_a_path_of_two_sockets_or_too_many_are_told_and_deliveries_go_on(private):
    many = [private.folder / f"run/p{i}" for i in range(20)]
    private.configure(policy_listen=" ".join(map(str, [private.socket, *many])),
                      map_listen=many[0])
    private.start_quotad()
    log = private.log.read_text()
    for setting, path in (("policy_listen", private.socket), ("map_listen", many[0])):
        assert f"{setting}: {path}: it is the path of another socket" in log
    assert f"policy_listen: {many[19]}: too many sockets; it is left out" in log
    assert as_user(POSTFIX, asks(many[0])) == 0
    assert private.deliver("alice@example.org").status == 0


def test_a_socket_that_was_removed_is_told(private):
    private.start_quotad()
    private.policy.unlink()
    private.quotad.send_signal(signal.SIGHUP)  # else within some seconds
    limit = time.monotonic() + PATIENCE
    while f"was removed, {private.policy}" not in private.log.read_text():
        assert time.monotonic() < limit
        time.sleep(0.05)
    private.stop_quotad()
    private.start_quotad()
    assert as_user(POSTFIX, asks(private.policy)) == 0


# --- the protocol -------------------------------------------------------------------------


def test_requests_on_one_connection_are_answered_in_order(brim):
    with Policy(brim.policy) as policy:
        for i in range(100):
            policy.send(recipient="alice@example.org" if i % 3 else "nobody@example.org")
        answers = [policy.answer() for _ in range(100)]
    assert [a == DUNNO for a in answers] == [i % 3 > 0 for i in range(100)]
    assert refuses(answers[0], "550 5.1.1")


@pytest.mark.parametrize("rubbish", [
    b"\n", b"GET / HTTP/1.1\nHost: x\n\n", b"recipient\n\n", b"=x\n\n", b"a=\0\n\n",
    b"recipient=" + b"x" * (1 << 20) + b"\n\n"])
def test_what_can_not_be_read_gets_no_answer_and_a_line_in_the_log(brim, rubbish):
    told = brim.log.read_text().count("can't be read")
    with Policy(brim.policy) as policy:
        assert policy.ask(recipient="alice@example.org") == DUNNO
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            policy.socket.sendall(rubbish)
        assert policy.answer() == b""
    assert brim.log.read_text().count("can't be read") == told + 1


def test_a_client_that_stops_in_the_middle_gets_nothing(brim):
    with Policy(brim.policy) as policy:
        policy.socket.sendall(b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=x")
        policy.socket.shutdown(socket.SHUT_WR)
        assert policy.answer() == b""


@pytest.mark.parametrize("recipient", [
    "alice", "root@host.test", "Info+x@host.test", "@", "a@b@example.net", "x@[192.0.2.1]", " ", "\u00fc@b\u00fccher.test",
    "x" * 3000 + "@elsewhere.test", "%s%n@elsewhere.test", "\x01\x7f@elsewhere.test"])
def test_what_is_not_ours_is_passed(brim, recipient):
    with Policy(brim.policy) as policy:
        assert policy.ask(recipient=recipient) == DUNNO


def test_a_refused_address_is_told_in_ascii(brim):
    with Policy(brim.policy) as policy:
        answer = policy.ask(recipient="\u00fc: \x01@example.org")
    assert refuses(answer, "550 5.1.1")
    assert all(0x20 <= c <= 0x7e for c in answer[:-2]) and b":" not in answer


# --- several recipients, sizes ------------------------------------------------------------


def test_end_of_message_is_refused_only_if_all_would_refuse(brim):
    for name in ("small1", "small2"):
        brim.mailbox(f"{name}@example.org", uid=20002, quota=LIMIT, over_quota="bounce")
    brim.mailbox("large@example.org", uid=20003)
    with Policy(brim.policy) as first, Policy(brim.policy) as second:
        for instance, names in (("1", ("small1", "small2")), ("2", ("small1", "large"))):
            for name in names:  # each from a process of its own
                with Policy(brim.policy) as rcpt:
                    assert rcpt.ask(recipient=f"{name}@example.org",
                                    instance=instance) == DUNNO
        for policy, instance in ((first, "1"), (second, "2")):
            policy.last = policy.ask("END-OF-MESSAGE", recipient="", recipient_count=2,
                                     size=LIMIT + 1, instance=instance)
    assert refuses(first.last, "552 5.2.3")
    assert second.last == DUNNO


# --- crowds -------------------------------------------------------------------------------


def test_limits_of_a_table_that_is_not_the_newest_refuse_nothing_for_good(brim):
    """The newest, which can't be taken, may have raised them."""
    sound = brim.users_db.read_bytes()

    def put(table):
        new = brim.users_db.with_suffix(".new")
        new.write_bytes(table)
        new.rename(brim.users_db)

    with Policy(brim.policy) as policy:
        def answer():
            return policy.ask(recipient="alice@example.org", size=LIMIT + 1)
        assert refuses(answer(), "552 5.2.3")
        put(b"")
        try:
            assert refuses(answer(), "451 4.3.0")
            (line,) = brim.ask(f"RESERVE alice@example.org {LIMIT + 1} name=1.M1P1.host")
            assert line.startswith("ERR 4.3.0 ")
            assert policy.ask(recipient="alice@example.org", size=LIMIT) == DUNNO
        finally:
            put(sound)
        limit = time.monotonic() + PATIENCE
        while not refuses(answer(), "552 5.2.3"):
            assert time.monotonic() < limit
            time.sleep(0.05)


def test_a_flood_on_the_policy_socket_takes_no_connection_from_deliveries(brim):
    """The socket has far fewer than all connections, and a user of it never the last."""
    with Brim(max_connections=64) as b:
        b.configure(policy_listen=b.folder / "run/policy", policy_group="", policy_mode="0666")
        b.mailbox("alice@example.org")
        b.start_quotad()
        with contextlib.ExitStack() as stack:
            def enter():
                policy = stack.enter_context(Policy(b.folder / "run/policy"))
                return policy.ask(recipient="alice@example.org") == DUNNO
            taken = 0
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                while enter():
                    taken += 1
            assert taken == 54  # seven eighths, but two for others
            assert b.deliver("alice@example.org").status == 0
            assert as_user(pwd.getpwnam("man"), asks(b.folder / "run/policy")) == 0


# --- real Postfix -------------------------------------------------------------------------


class PolicyServer(MailServer):
    """A second smtpd, in its chroot, asks Brim; the first does not."""

    def _ways(self):
        settings, services = super()._ways()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        services += (f"\n127.0.0.1:{self.port} inet n - y - - smtpd\n"
                     "  -o smtpd_recipient_restrictions=reject_unauth_destination,$ask_brim\n"
                     "  -o smtpd_end_of_data_restrictions=$ask_brim\n")
        settings += (f"virtual_alias_maps = inline:{{ info@{VIRTUAL_DOMAIN}=alice@{VIRTUAL_DOMAIN} }}\n"
                     "ask_brim = check_policy_service { unix:private/brim-policy,\n"
                     "  default_action=DUNNO, timeout=5s, try_limit=2, retry_delay=1s }\n")
        return settings, services

    def __enter__(self):
        super().__enter__()
        self.blocked = self.brim.folder / "blocked"
        self.blocked.write_text("blocked@sender.test\n")
        self.policy = self.postfix.spool / "private/brim-policy"
        self.restart(policy_listen=self.policy, blocked_senders=self.blocked)
        return self

    def restart(self, **settings):
        self.brim.stop_quotad()
        self.brim.configure(**settings)
        self.brim.start_quotad()

    @contextlib.contextmanager
    def session(self, sender="me@sender.test", size=None, options=""):
        with smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=60) as s:
            s.ehlo()
            size = f" SIZE={size}" if size else ""
            assert s.docmd(f"MAIL FROM:<{sender}>{size}{options}")[0] == 250
            yield s

    def rcpt(self, recipient, **more):
        """The reply to RCPT, as one line."""
        with self.session(**more) as s:
            return line(s.docmd(f"RCPT TO:<{recipient}>"))


def line(reply):
    code, text = reply
    return f"{code} {text.decode()}"


@pytest.fixture(scope="module")
def server():
    with PolicyServer() as s:
        yield s


def fill(server, mailbox, size):
    (mailbox.maildir / "new/1.x.host").write_bytes(b"x" * size)


REFUSED = "Recipient address rejected"
VERDICTS = {
    "unknown": ("550 5.1.1", "User unknown, no such mailbox here"),
    "moved": ("551 5.1.6", "the mailbox has moved, new address moved@new.test"),
    "disabled": ("550 5.2.1", "the mailbox is disabled"),
    "suspended": ("450 4.2.1", "the mailbox takes no mail at the moment"),
    "full": ("552 5.2.2", "the mailbox is full"),
    "waits": ("452 4.2.2", "the mailbox is full"),
    "large": ("552 5.2.3", "the message is larger than"),
    "blocked": ("554 5.7.1", ""),
}


@pytest.fixture(scope="module")
def mailboxes(server):
    server.mailbox("moved", state="moved", moved_to="moved@new.test")
    server.mailbox("disabled", state="disabled")
    server.mailbox("suspended", state="suspended")
    fill(server, server.mailbox("full", quota=LIMIT, over_quota="bounce"), LIMIT)
    fill(server, server.mailbox("waits", quota=LIMIT, over_quota="defer"), LIMIT)
    server.mailbox("large", quota=LIMIT)
    server.mailbox("blocked")
    server.alice = server.mailbox("alice")


@pytest.mark.parametrize("name", VERDICTS)
def test_each_verdict_is_the_reply_of_postfix_and_the_code_of_the_bounce(
        server, mailboxes, name):
    reply, text = VERDICTS[name]
    address = f"{name}@{VIRTUAL_DOMAIN}"
    sender = "blocked@sender.test" if name == "blocked" else "me@sender.test"
    told = server.rcpt(address, sender=sender, size=LIMIT + 1 if name == "large" else None)
    assert told.startswith(f"{reply} <{address}>: {REFUSED}: {text}"), told
    if name == "blocked":
        return  # said at SMTP time alone, where no bounce follows
    letter = LETTER + b"y" * 70 + b"\n" * (LIMIT + 1 if name == "large" else 1)
    fate = server.postfix.send("me@sender.test", address, letter).fate()
    assert fate.code == reply.split()[1], fate


def test_a_dot_behind_the_domain_is_no_way_past(server, mailboxes):
    """Postfix takes it away only after it has asked, and delivers to the address without it."""
    for name in "full", "nobody":
        address = f"{name}@{VIRTUAL_DOMAIN}"
        told = server.rcpt(address)
        assert told.startswith("55") and server.rcpt(address + ".") == told.replace(
            f"<{address}>", f"<{address}.>")
    with server.session() as s:
        assert s.docmd(f"RCPT TO:<large@{VIRTUAL_DOMAIN}.>")[0] == 250
        assert line(s.data(LETTER + b"x" * 70 + b"\n" + b"y" * LIMIT)).startswith("552 5.2.3 ")


def test_mail_with_room_is_taken(server, mailboxes):
    with server.session() as s:
        for address in (f"alice@{VIRTUAL_DOMAIN}", f"alice+news@{VIRTUAL_DOMAIN}",
                        f'"alice"@{VIRTUAL_DOMAIN}'):
            assert s.docmd(f"RCPT TO:<{address}>")[0] == 250
        assert s.data(LETTER)[0] == 250


def test_domains_of_others_are_no_open_relay(server, mailboxes):
    assert server.rcpt("x@elsewhere.test").startswith("554 5.7.1 <x@elsewhere.test>: Relay")


def test_a_size_that_was_not_announced_is_judged_at_the_end(server, mailboxes):
    with server.session() as s:
        assert s.docmd(f"RCPT TO:<large@{VIRTUAL_DOMAIN}>")[0] == 250
        told = line(s.data(LETTER + b"y" * LIMIT))
    assert told.startswith("552 5.2.3 <END-OF-MESSAGE>: End-of-data rejected: "), told


def test_several_recipients_are_taken_for_the_sake_of_one(server, mailboxes):
    with server.session() as s:
        assert s.docmd(f"RCPT TO:<full@{VIRTUAL_DOMAIN}>")[0] == 552
        for name in ("large", "alice"):
            assert s.docmd(f"RCPT TO:<{name}@{VIRTUAL_DOMAIN}>")[0] == 250
        assert s.data(LETTER + b"y" * LIMIT)[0] == 250
    server.mailbox("larger", quota=LIMIT)
    with server.session() as s:
        for name in ("large", "larger"):
            assert s.docmd(f"RCPT TO:<{name}@{VIRTUAL_DOMAIN}>")[0] == 250
        assert line(s.data(LETTER + b"y" * LIMIT)).startswith("552 5.2.3 <END-OF-MESSAGE>")


def test_a_recipient_that_is_named_twice_is_one(server, mailboxes):
    """As Postfix delivers to it once: the whole message is judged, and its room kept once."""
    twice = server.mailbox("twice", quota=LIMIT, over_quota="bounce")
    fill(server, twice, LIMIT - 9000)

    def send(letter):
        with server.session() as s:
            for _ in range(2):
                assert s.docmd(f"RCPT TO:<twice@{VIRTUAL_DOMAIN}>")[0] == 250
            return line(s.data(letter))

    assert send(LETTER + b"y" * 9001) == \
        "552 5.2.2 <END-OF-MESSAGE>: End-of-data rejected: the mailbox is full"
    assert send(LETTER).startswith("250 ")
    assert "recipients=1 " in [text for text in server.brim.log.read_text().splitlines()
                               if "policy: message id=" in text][-1]
    server.postfix.wait(lambda: len(os.listdir(twice.maildir / "new")) > 1, "the message")


def test_the_table_may_change_between_rcpt_and_the_end(server, mailboxes):
    server.mailbox("changes")
    with server.session() as s:
        assert s.docmd(f"RCPT TO:<changes@{VIRTUAL_DOMAIN}>")[0] == 250
        server.mailbox("changes", state="disabled")
        told = line(s.data(LETTER))
    assert told == "550 5.2.1 <END-OF-MESSAGE>: End-of-data rejected: the mailbox is disabled"


def test_utf8_addresses(server, mailboxes):
    server.mailbox("j%C3%BCrgen")
    for name, code in (("j\u00fcrgen", 250), ("gr\u00fcn", 550)):
        with server.session(options=" SMTPUTF8") as s:
            s.command_encoding = "utf-8"
            assert s.docmd(f"RCPT TO:<{name}@{VIRTUAL_DOMAIN}>")[0] == code


def test_quotad_is_replaced_during_a_session(server, mailboxes):
    """Postfix notices that its connection has ended when it asks next, and connects again."""
    with server.session() as s:
        assert s.docmd(f"RCPT TO:<full@{VIRTUAL_DOMAIN}>")[0] == 552
        server.restart()
        assert s.docmd(f"RCPT TO:<full@{VIRTUAL_DOMAIN}>")[0] == 552
        assert s.docmd(f"RCPT TO:<alice@{VIRTUAL_DOMAIN}>")[0] == 250


def test_without_quotad_postfix_takes_its_default_action(server, mailboxes):
    server.brim.stop_quotad()
    try:
        assert server.rcpt(f"full@{VIRTUAL_DOMAIN}").startswith("250 ")
    finally:
        server.brim.start_quotad()


def test_a_table_that_can_not_be_read_is_no_refusal(server, mailboxes):
    table = server.brim.users_db
    away = table.with_name("away")
    server.brim.stop_quotad()
    os.rename(table, away)
    try:
        server.brim.start_quotad()
        address = f"unknown@{VIRTUAL_DOMAIN}"
        assert server.rcpt(address) == \
            f"451 4.3.0 <{address}>: {REFUSED}: error on the mail server"
        server.restart(policy_error="pass")
        assert server.rcpt(address).startswith("250 ")
    finally:
        os.rename(away, table)
        server.restart(policy_error=None)


def test_what_postfix_alone_knows_is_taken_where_unknown_users_are_passed(server, mailboxes):
    info = f"info@{VIRTUAL_DOMAIN}"
    refused = f"550 5.1.1 <{info}>: {REFUSED}: User unknown"
    assert server.rcpt(info).startswith(refused)
    server.restart(policy_unknown="pass")
    try:
        new = server.alice.maildir / "new"
        before = len(os.listdir(new)) if new.exists() else 0
        with server.session() as s:
            assert line(s.docmd(f"RCPT TO:<{info}>")).startswith("250 ")
            assert s.docmd(f"RCPT TO:<full@{VIRTUAL_DOMAIN}>")[0] == 552
            assert s.data(LETTER)[0] == 250
        server.postfix.wait(lambda: len(os.listdir(new)) > before, "the message")
    finally:
        server.restart(policy_unknown=None)
