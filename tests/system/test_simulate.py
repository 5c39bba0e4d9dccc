"""brimadm simulate says what the real lda then does."""

import json
import time

import pytest

from brim import Brim

UID = 20001
CASES = {
    "mailbox": "a@x.test", "extension": "a+ext@x.test", "capitals": "A@X.test",
    "alias": "alias@x.test", "catch_all": "whoever@y.test", "no_such_user": "nobody@x.test",
    "domain_not_ours": "a@z.test", "moved": "moved@x.test", "disabled": "off@x.test",
    "suspended": "later@x.test", "full": "full@x.test", "too_large": "small@x.test",
    "bare_name": "acct@host.test", "malformed": "@x.test",
    "macro": "${recipient}", "macro_of_a_name": "$user", "macro_of_opensmtpd": "%{rcpt}",
    "macro_before_aliases": "${original_recipient}", "macro_in_a_name": "x${extension}",
    "macro_with_domain": "${user}@x.test",
}


@pytest.fixture(scope="module")
def brim():
    with Brim(message_size_limit="100M") as b:
        b.mailbox("a@x.test", uid=UID)
        for name, fields in {"moved": {"state": "moved", "moved_to": "new@z.test"},
                             "off": {"state": "disabled"}, "later": {"state": "suspended"},
                             "small": {"quota": 100}}.items():
            b.mailbox(f"{name}@x.test", uid=UID, **fields)
        full = b.mailbox("full@x.test", uid=UID, quota=1000, over_quota="bounce")
        (full / "cur/1.a.b,S=1000").write_bytes(b"x" * 1000)
        b.mailbox("acct", uid=UID)
        b.load("@y.test catchall=alias@x.test", "alias@x.test alias=a@x.test")
        b.start_quotad()
        yield b


def simulate(brim, *arguments):
    done = brim.admin("simulate", *arguments, "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def agree(brim, recipient, message=b"Subject: x\n\n" + b"x" * 200 + b"\n"):
    files = len(list(brim.home.rglob("new/*")))
    status, said = simulate(brim, recipient, "--size", f"{len(message)}B")
    assert len(list(brim.home.rglob("new/*"))) == files
    real = brim.deliver(recipient, message, uid=UID)
    assert said["exit_status"] == real.status, (said, real)
    assert said["line"] == real.output.decode().rstrip("\n")
    assert status == {0: 0, 75: 75}.get(real.status, 1)
    return said


@pytest.mark.parametrize("case", CASES)
def test_status_and_line_are_those_of_lda(brim, case):
    agree(brim, CASES[case])


def test_a_simulated_refusal_does_not_begin_the_time_of_being_full():
    with Brim() as b:
        full = b.mailbox("full@x.test", uid=UID, quota=1000)
        (full / "cur/1.a.b,S=1000").write_bytes(b"x" * 1000)
        b.start_quotad()
        _, said = simulate(b, "full@x.test", "--size", "100B")
        assert said["line"].startswith("4.2.2 ")
        time.sleep(1.1)  # a second is the grain of full_for
        assert "full_for=" not in b.ask("EXPLAIN full@x.test")[0]
        b.ask("CHECK full@x.test 100")
        time.sleep(1.1)
        assert "full_for=" in b.ask("EXPLAIN full@x.test")[0]


def test_the_way_is_shown_step_by_step(brim):
    _, said = simulate(brim, "who+x@y.test")
    assert said["way"] == ["who+x@y.test: not there", "@y.test: catch-all -> alias@x.test",
                           "alias@x.test: alias -> a@x.test", "a@x.test: mailbox a@x.test"]


def test_an_empty_table_and_a_quotad_that_is_down_are_soft():
    with Brim() as b:
        b.admin("init")
        assert agree(b, "a@x.test")["line"].startswith("4.3.5 ")
        b.mailbox("a@x.test", uid=UID)
        assert agree(b, "a@x.test")["line"].startswith("4.3.0 ")
        b.configure(quotad_down="deliver")
        assert agree(b, "a@x.test")["line"] == ""


def test_people_get_sizes_as_they_write_them_and_no_row_without_a_thing(brim):
    shown = brim.admin("simulate", "small@x.test").stdout
    assert "\nuid          20001\n" in shown and "\nquota        100B\n" in shown
    shown = brim.admin("simulate", "a@x.test").stdout
    assert "\nquota        none\n" in shown and "\nline " not in shown
    nobody = brim.admin("simulate", "nobody@x.test", check=False).stdout
    rows = {line.split()[0] for line in nobody.splitlines()}
    assert rows.isdisjoint({"uid", "quota", "mailbox", "mail", "quotad"}), nobody
    _, said = simulate(brim, "nobody@x.test")
    assert set(said) == {"way", "verdict", "exit_status", "line", "notes", "dsn"}


def test_a_macro_is_a_mistake_of_a_delivery_alone_and_no_error_of_a_map(brim):
    assert agree(brim, "${recipient}")["line"].startswith("4.3.5 ")
    assert agree(brim, "${user}@x.test")["line"].startswith("5.1.1 ")
    _, said = simulate(brim, "${recipient}", "--stage", "map")
    assert {m["answer"] for m in said["maps"].values()} == {"NOTFOUND"}


def test_what_lda_may_be_told_besides_is_noted(brim):
    for name, words in {"a@x.test": [], "moved@x.test": [], "whoever@y.test": ["environment"],
                        "${recipient}": ["environment"],
                        "nobody@x.test": ["Delivered-To:", "environment"]}.items():
        notes = simulate(brim, name)[1].get("notes", [])
        assert len(notes) == len(words), notes
        assert all(word in text for word, text in zip(words, notes)), notes
    shown = brim.admin("simulate", "nobody@x.test", check=False).stdout
    assert "\nnote         4.3.5 where Delivered-To:" in shown
    # both are so
    top = b"Delivered-To: a@x.test\nReceived: by x\n\nhi\n"
    assert brim.deliver("nobody@x.test", top, uid=UID).code == "4.3.5"
    told = {"RECIPIENT": "a@x.test", "MAIL_CONFIG": "/etc/postfix"}
    assert brim.run_lda("-d", "whoever@y.test", uid=UID, env=told).status == 0


@pytest.mark.parametrize("name", ["full@x.test", "nobody@x.test", "a@x.test"])
def test_an_absolute_domain_is_asked_about_as_the_policy_service_does(brim, name):
    """Postfix delivers to both in one way, but asks before it takes the dot off."""
    status, said = simulate(brim, name, "--stage", "rcpt")
    assert simulate(brim, name + ".", "--stage", "rcpt") == (status, said)
    assert (status == 0) == (name == "a@x.test")
    assert simulate(brim, name + "..", "--stage", "rcpt")[1]["reply"] == "DUNNO"
