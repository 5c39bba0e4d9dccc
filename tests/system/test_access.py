"""ACCESS and brimadm simulate --stage: what is said at SMTP time, by the real quotad over
real mailboxes, and that it is what the delivery then says."""

import contextlib
import json
import socket
import time

import pytest

from brim import PATIENCE, Brim

UID = 20001
FULL = "452 4.2.2 the mailbox is full"
NOBODY = "550 5.1.1 User unknown, no such mailbox here"


def fill(mail, size=1000):
    (mail / f"cur/1.a.b,S={size}").write_bytes(b"x" * size)


@contextlib.contextmanager
def house():
    with Brim(message_size_limit="100M") as b:
        b.configure(policy_listen=b.folder / "run/policy", policy_group="")
        b.mailbox("free@x.test", uid=UID)
        for name, fields in {"moved": {"state": "moved", "moved_to": "new@z.test"},
                             "off": {"state": "disabled"}, "later": {"state": "suspended"},
                             "small": {"quota": 100}}.items():
            b.mailbox(f"{name}@x.test", uid=UID, **fields)
        for name, over_quota in ("full", "3d"), ("bounce", "bounce"):
            fill(b.mailbox(f"{name}@x.test", uid=UID, quota=1000, over_quota=over_quota))
        b.mailbox("acct", uid=UID)
        b.load("@y.test catchall=alias@x.test", "alias@x.test alias=free@x.test",
               "@also.test alias=@x.test", "hopeless@x.test alias=bounce@x.test,off@x.test",
               "patient@x.test alias=bounce@x.test,full@x.test",
               "team@x.test alias=bounce@x.test,free@x.test,off@x.test",
               "abroad@x.test alias=someone@z.test", "both@x.test alias=off@x.test,a@z.test")
        b.start_quotad()
        yield b


@pytest.fixture(scope="module")
def brim():
    with house() as b:
        yield b


def ask(brim, recipient, size=100, *more):
    return " ".join(brim.ask(" ".join(("ACCESS", recipient, str(size), *more))))


def ask_policy(brim, recipient, stage, size):
    """What the policy service has Postfix say."""
    state = {"rcpt": "RCPT", "data": "DATA", "message": "END-OF-MESSAGE"}[stage]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(brim.folder / "run/policy"))
        connection.sendall(f"request=smtpd_access_policy\nprotocol_state={state}\nrecipient="
                           f"{recipient}\nsize={size}\nrecipient_count=1\n\n".encode())
        line = connection.makefile("rb").readline()
    assert line.startswith(b"action=") and line.endswith(b"\n")
    return line[7:-1]


def simulate(brim, recipient, stage, *arguments):
    done = brim.admin("simulate", recipient, "--stage", stage, "--json", *arguments, check=False)
    return done.returncode, json.loads(done.stdout)


ANSWERS = {
    "free@x.test": "OK", "FREE+x@X.test": "OK", "free@also.test": "OK", "anyone@y.test": "OK",
    "nobody@x.test": f"NO no-such-user {NOBODY}", "nobody@also.test": f"NO no-such-user {NOBODY}",
    "moved@x.test": "NO moved 551 5.1.6 the mailbox has moved, new address: new@z.test",
    "off@x.test": "NO disabled 550 5.2.1 the mailbox is disabled",
    "later@x.test": "NO suspended 450 4.2.1 the mailbox takes no mail at the moment",
    "full@x.test": f"NO full-for-now {FULL}",
    "bounce@x.test": "NO full 552 5.2.2 the mailbox is full",
    "small@x.test": "NO too-large 552 5.2.3 the message is larger than 100B, the whole quota of "
                    "this mailbox",
    "acct": "OK", "acct@host.test": "OK",
    # the gentlest of their answers
    "alias@x.test": "OK", "team@x.test": "OK", "abroad@x.test": "OK", "both@x.test": "OK",
    "patient@x.test": f"NO full-for-now {FULL}",
    "hopeless@x.test": "NO full 552 5.2.2 the mailbox is full",
    # not the table's
    "someone@z.test": "OK", "root": "OK", "root@host.test": "OK", "postmaster": "OK",
    "@": "OK", "%01@z.test": "OK",
}


@pytest.mark.parametrize("recipient", ANSWERS)
def test_what_is_said_at_smtp_time(brim, recipient):
    assert ask(brim, recipient, 101) == ANSWERS[recipient]


@pytest.mark.parametrize("stage", ["rcpt", "data", "message", "delivery"])
@pytest.mark.parametrize("recipient", ["free@x.test", "nobody@x.test", "moved@x.test",
                                       "off@x.test", "later@x.test", "bounce@x.test",
                                       "small@x.test", "anyone@y.test"])
def test_a_delivery_is_told_the_same(brim, recipient, stage):
    message = b"Subject: x\n\n" + b"x" * 200 + b"\n"
    said = ask(brim, recipient, len(message), f"stage={stage}")
    real = brim.deliver(recipient, message, uid=UID)
    line = real.output.decode().rstrip("\n")
    assert said == "OK" if real.status == 0 else said.endswith(f" {line}"), (said, real)


def test_a_delivery_expands_no_alias_of_many(brim):
    assert ask(brim, "team@x.test", 1, "stage=delivery").startswith("ERR 4.3.5 ")


def test_only_a_size_that_is_there_or_ordinary_starts_the_time_of_being_full():
    def is_full_since():
        return "full_for=" in b.ask("EXPLAIN full@x.test")[0]

    with house() as b:
        b.load(f"full@x.test uid={UID} gid={UID} mail={b.home}/large/Maildir/ quota=200000")
        b.make_maildir(b.home / "large/Maildir", UID, UID)
        fill(b.home / "large/Maildir", 200000)
        assert ask(b, "full@x.test", 1 << 30).startswith("NO too-large 552 5.2.3 ")
        for more in (), ("stage=data",), ("a@b.test",), ("stage=message", "trace=no"):
            assert ask(b, "full@x.test", 65537, *more) == f"NO full-for-now {FULL}"
            assert ask(b, "patient@x.test", 65537, *more).startswith("NO full-for-now ")
        assert ask(b, "full@x.test", 10, "trace=no") == f"NO full-for-now {FULL}"
        assert ask(b, "full@x.test", 10, "stage=delivery") == f"NO full-for-now {FULL}"
        for stage in "rcpt", "data", "message", "delivery":
            simulate(b, "full@x.test", stage, "--size", "1K")
        time.sleep(1.1)  # a second is the grain of full_for
        assert not is_full_since()
        assert ask(b, "full@x.test", 65536) == f"NO full-for-now {FULL}"
        limit = time.monotonic() + PATIENCE
        while not is_full_since():
            assert time.monotonic() < limit
            time.sleep(0.1)


def test_a_real_size_starts_it_whatever_it_is():
    with Brim() as b:
        fill(b.mailbox("full@x.test", uid=UID, quota=200000), 200000)
        b.start_quotad()
        assert ask(b, "full@x.test", 100000, "stage=message") == f"NO full-for-now {FULL}"
        limit = time.monotonic() + PATIENCE
        while "full_for=" not in b.ask("EXPLAIN full@x.test")[0]:
            assert time.monotonic() < limit
            time.sleep(0.1)


def test_what_only_an_older_table_says_refuses_nothing_for_good():
    with house() as b:
        assert ask(b, "nobody@x.test") == f"NO no-such-user {NOBODY}"
        damaged = b.users_db.with_name("damaged")
        damaged.write_bytes(b"x" * 8192)
        damaged.chmod(0o644)
        damaged.rename(b.users_db)
        for recipient in "nobody@x.test", "off@x.test", "moved@x.test":
            assert ask(b, recipient) == "ERR 4.3.0 there is a newer user table"
        assert ask(b, "free@x.test") == "OK"
        b.users_db.unlink()
        assert ask(b, "nobody@x.test") == "ERR 4.3.0 there is a newer user table"


def test_strangers_may_not_ask(brim):
    with brim.connect_as(UID) as connection:
        connection.sendall(b"ACCESS free@x.test 1\nACCESS nobody@x.test 1\n")
        answers = connection.makefile("rb")
        assert answers.readline() == answers.readline() == b"ERR 4.7.0 not yours to ask about\n"


def test_an_alias_of_a_thousand_targets_is_asked_to_its_end():
    with Brim() as b:
        mailboxes = [f"m{i}@x.test uid=20001 gid=20001 mail={b.home}/m{i}/ state=disabled"
                     for i in range(1000)]
        names = [line.split()[0] for line in mailboxes]
        b.load(*mailboxes, "@x.test", f"a@x.test alias={','.join(names[:200])}",
               f"b@x.test alias={','.join(names[200:400])}", "all@x.test alias=a@x.test,b@x.test",
               "hope@x.test alias=all@x.test,someone@z.test")
        b.start_quotad()
        assert ask(b, "all@x.test") == "NO disabled 550 5.2.1 the mailbox is disabled"
        assert ask(b, "hope@x.test") == "OK"


# --- brimadm simulate --stage --------------------------------------------------------------


@pytest.mark.parametrize("recipient", ["free@x.test", "nobody@x.test", "bounce@x.test",
                                       "moved@x.test", "patient@x.test", "someone@z.test"])
@pytest.mark.parametrize("stage", ["rcpt", "data", "message"])
def test_simulate_says_the_reply_at_smtp_time(brim, recipient, stage):
    status, said = simulate(brim, recipient, stage, "--size", "101B")
    answer = ANSWERS[recipient].split(" ", 2)
    assert said["reply"] == (answer[2].replace(": ", " ") if answer[0] == "NO" else "DUNNO")
    assert said["reply"].encode() == ask_policy(brim, recipient, stage, 101)
    assert said["verdict"] == (answer[1] if answer[0] == "NO" else "delivered")
    assert status == {"D": 0, "4": 75, "5": 1}[said["reply"][0]]


def test_simulate_shows_all_that_an_address_leads_to(brim):
    assert simulate(brim, "both@x.test", "rcpt")[1]["targets"] == [
        {"kind": "mailbox", "address": "off@x.test"}, {"kind": "elsewhere", "address": "a@z.test"}]
    assert simulate(brim, "nobody@x.test", "rcpt")[1]["targets"] == [
        {"kind": "nobody", "address": "nobody@x.test"}]
    shown = brim.admin("simulate", "both@x.test", "--stage", "rcpt").stdout
    assert shown == ("targets      mailbox off@x.test\n             elsewhere a@z.test\n"
                     "verdict      delivered\nreply        DUNNO\n")


def test_simulate_says_what_each_map_answers(brim):
    status, said = simulate(brim, "moved@x.test", "map")
    assert status == 0 and list(said["maps"]) == ["mailbox", "alias", "domain", "relocated",
                                                  "transport"]
    assert {name: answer["answer"] for name, answer in said["maps"].items()} == {
        "mailbox": "OK", "alias": "NOTFOUND", "domain": "OK", "relocated": "OK",
        "transport": said["maps"]["transport"]["answer"]}
    assert said["maps"]["relocated"]["value"] == "new@z.test"
    assert said["maps"]["domain"]["value"] == "x.test"
    shown = brim.admin("simulate", "team@x.test", "--stage", "map").stdout.splitlines()
    assert shown[0].startswith("maps         mailbox OK ")
    assert shown[1] == "             alias OK bounce@x.test,free@x.test,off@x.test"
    status, said = simulate(brim, "nobody@x.test", "map")
    assert status == 0 and said["maps"]["mailbox"] == {"answer": "NOTFOUND"}
    status, said = simulate(brim, "someone@z.test", "map")
    assert status == 75 and said["maps"]["domain"] == {"answer": "NOTFOUND"}
    assert said["maps"]["mailbox"] == {
        "answer": "TEMP", "value": "the user table knows no domain z.test"}


def test_simulate_without_quotad_says_so_and_refuses_nothing():
    with Brim() as b:
        b.mailbox("a@x.test", uid=UID)
        status, said = simulate(b, "a@x.test", "rcpt")
        assert status == 75 and said["verdict"] == "trouble" and "reply" not in said
        assert "quotad" in said


def test_an_error_of_ours_is_what_policy_error_makes_of_it():
    with Brim() as b:
        mail = b.mailbox("gone@x.test", uid=UID, quota=10000)
        fill(mail)
        b.start_quotad()
        assert simulate(b, "gone@x.test", "rcpt")[1]["reply"] == "DUNNO"
        mail.rename(b.home / "elsewhere")
        b.ask("RECOUNT gone@x.test")
        text = "the mailbox had mail and is missing now: is its file system mounted?"
        assert ask(b, "gone@x.test") == f"ERR 4.3.0 {text}"
        status, said = simulate(b, "gone@x.test", "rcpt")
        assert status == 75 and said["quotad"] == text
        assert said["reply"] == "451 4.3.0 error on the mail server"
        b.configure(policy_error="pass")
        status, said = simulate(b, "gone@x.test", "rcpt")
        assert status == 75 and said["reply"] == "DUNNO" and said["quotad"] == text


def test_simulate_knows_its_stages(brim):
    done = brim.admin("simulate", "free@x.test", "--stage", "eom", check=False)
    assert done.returncode == 64
    assert "--stage is rcpt, data, message, delivery or map" in done.stderr
    assert simulate(brim, "free@x.test", "delivery")[1]["exit_status"] == 0
