"""brimq: what it shows, to whom, and what its exit status says."""

import json
import subprocess
import time

import pytest

from brim import BIN, Brim

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


def fill(brim, size):
    mail = brim.home / "alice_example.org/Maildir"
    (mail / f"cur/2.host,S={size}:2,S").write_bytes(b"x" * size)
    brim.recount("alice@example.org")


def test_a_mailbox_is_a_line_with_a_bar(brim):
    lines = brim.query("alice@example.org").stdout.splitlines()
    assert lines[0].split() == ["MAILBOX", "USED", "LIMIT", "%", "MESSAGES", "STATE",
                                "FOR"]
    assert lines[1].split() == ["alice@example.org", "2.44K", "9.76K", "25",
                                "[#####...............]", "1"]


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
    assert done.returncode == 1 and "[####################]" in done.stdout
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
    ["-s"]], ids=" ".join)
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
