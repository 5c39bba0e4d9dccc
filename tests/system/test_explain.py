"""brimadm explain: where a mailbox's number comes from, with a real quotad, real files and
real deliveries that are cut off."""

import contextlib
import json
import os
import re
import signal
import time

import pytest

from brim import PATIENCE, Brim

ALICE = 20001
ADDRESS = "alice@example.org"


@pytest.fixture
def brim():
    with Brim() as b:
        b.alice = b.mailbox(ADDRESS, uid=ALICE, quota=1 << 20)
        b.start_quotad()
        yield b
        assert b.quotad is None or b.quotad.poll() is None, b.log.read_text()


def put(mail, name, size=None, folder="", part="cur"):
    """A message as another program stores it: as large as its name says, or of that size."""
    told = re.search(r",S=(\d+)", name)
    parent = mail / folder / part
    if not parent.exists():
        parent.mkdir(parents=True)
    size = int(told[1]) if size is None and told else size or 0
    (parent / name).write_bytes(b"")
    os.truncate(parent / name, size)


def explain(brim, status=0, address=ADDRESS):
    """The page as JSON."""
    done = brim.admin("explain", address, "--json", check=False)
    assert done.returncode == status, (done.returncode, done.stderr)
    return json.loads(done.stdout)


def wait_for_the_slow_round(brim):
    """It counts the one mailbox a second after the start, and then not for days."""
    limit = time.monotonic() + PATIENCE
    while (explain(brim)["ledger"]["last_count"] or {}).get("why") != "round":
        assert time.monotonic() < limit
        time.sleep(0.1)


def page(brim, status=0):
    done = brim.admin("explain", ADDRESS, check=False)
    assert done.returncode == status, (done.returncode, done.stderr)
    return done.stdout


def directories(answer):
    return {(d["folder"], d["part"]): d for d in answer["files"]["directories"]}


def fill(brim, size=1 << 20):
    put(brim.alice, f"1.a.host,S={size}:2,S")
    brim.recount(ADDRESS)


def test_directories_add_up_to_the_ledgers_number(brim):
    put(brim.alice, "1.a.host,S=100:2,S")
    put(brim.alice, "2.b.host:2,S", 50)
    put(brim.alice, "3.c.host,S=7", folder=".Sent", part="new")
    brim.recount(ADDRESS)
    answer = explain(brim)
    found = directories(answer)
    assert found[".", "cur"]["messages"] == 2
    assert found[".", "cur"]["by_name"] == 100
    assert found[".", "cur"]["by_size"] == 50
    assert found[".Sent", "new"]["bytes"] == 7
    assert not any(d["changed_since_count"] for d in found.values())
    assert answer["files"]["bytes"] == answer["ledger"]["used"] == 157
    assert answer["ledger"]["last_count"]["why"] == "recount"
    assert answer["ledger"]["exact"] is True
    assert answer["difference"] == []
    assert answer["next_message"]["verdict"] == "delivered"
    text = page(brim)
    assert "difference   none" in text
    assert "a message of 1 byte would be delivered" in text


def test_a_mailbox_that_was_never_counted_says_so(brim):
    answer = explain(brim)
    assert answer["ledger"]["last_count"] is None
    assert answer["ledger"]["exact"] is False
    assert "no exact count" in answer["difference"][0]


def test_explaining_leaves_no_trace_of_a_refusal(brim):
    fill(brim)
    answer = explain(brim)
    assert answer["next_message"]["verdict"] == "full-for-now"
    assert explain(brim)["ledger"]["full"] is None


def test_what_another_program_removed_is_the_difference(brim):
    wait_for_the_slow_round(brim)
    put(brim.alice, "1.a.host,S=100:2,S")
    put(brim.alice, "2.b.host,S=30", part="new")
    brim.recount(ADDRESS)
    time.sleep(0.1)
    (brim.alice / "cur/1.a.host,S=100:2,S").unlink()
    answer = explain(brim)
    assert answer["files"]["bytes"] == 30
    assert answer["ledger"]["used"] == 130
    assert "100 bytes are not there any more" in answer["difference"]
    assert directories(answer)[".", "cur"]["changed_since_count"] is True
    assert directories(answer)[".", "new"]["changed_since_count"] is False
    assert "difference   -100 bytes" in page(brim)
    assert "100 bytes are not there any more" in page(brim)
    brim.recount(ADDRESS)
    last = explain(brim)["ledger"]["last_count"]
    assert (last["was"], last["found"]) == (130, 30)
    assert "it corrected 130 to 30, by -100 bytes" in page(brim)


def test_what_the_last_count_corrected_survives_a_restart(brim):
    fill(brim, 100)
    (brim.alice / "cur/1.a.host,S=100:2,S").unlink()
    brim.recount(ADDRESS)
    before = explain(brim)["ledger"]["last_count"]
    brim.stop_quotad()
    brim.start_quotad()
    after = explain(brim)["ledger"]["last_count"]
    before.pop("seconds_ago")
    assert after.pop("seconds_ago") < 60
    assert after == before == {"why": "recount", "exact": True, "was": 100, "found": 0}


def test_a_file_changed_in_place_is_a_number_that_is_wrong(brim):
    wait_for_the_slow_round(brim)
    put(brim.alice, "1.a.host", 100)
    brim.recount(ADDRESS)
    with (brim.alice / "cur/1.a.host").open("ab") as message:
        message.write(b"y" * 11)
    answer = explain(brim)
    assert "11 bytes have come from others than lda" in answer["difference"]
    assert any("no directory that counts has changed" in r for r in answer["difference"])


def test_files_larger_than_named_explain_the_slow_rounds_number(brim):
    put(brim.alice, "1.a.host,S=10:2,S", 100)
    brim.stop_quotad()
    brim.configure(recount_every="1h")
    brim.start_quotad()
    limit = time.monotonic() + PATIENCE
    while True:
        answer = explain(brim)
        last = answer["ledger"]["last_count"]
        if last and last["why"] == "round":
            break
        assert time.monotonic() < limit, answer
        time.sleep(0.1)
    assert answer["files"]["bytes"] == 10
    assert answer["files"]["excess"] == 90
    assert answer["ledger"]["used"] == 100
    assert len(answer["difference"]) == 1
    assert "counted by its size: 90 bytes more, 0 less" in answer["difference"][0]


def test_an_open_ticket_is_shown_with_its_bytes(brim):
    fill(brim, 100)
    with brim.connect() as s:
        s.sendall(f"RESERVE {ADDRESS} 500 name=9.z.host,S=500\n".encode())
        assert s.recv(100).startswith(b"OK ticket=")
        answer = explain(brim)
        assert answer["ledger"]["reserved"] == 500
        ticket, = answer["tickets"]
        assert ticket["name"] == "9.z.host,S=500"
        assert ticket["bytes"] == 500
        assert ticket["state"] == "open"
        assert ticket["file_is_there"] is False
        put(brim.alice, "9.z.host,S=500", part="new")
        answer = explain(brim)
        assert answer["tickets"][0]["file_is_there"] is True
        assert answer["files"]["bytes"] == 600
        assert answer["difference"] == [
            "500 bytes are in files of deliveries that are still charged as tickets"]
        assert "9.z.host,S=500" in page(brim)
        s.sendall(b"CANCEL 1\n")


def test_an_orphan_of_an_earlier_quotad_is_told_from_an_open_ticket(brim):
    fill(brim, 100)
    with brim.connect() as s:
        s.sendall(f"RESERVE {ADDRESS} 500 name=9.z.host,S=500\n".encode())
        assert s.recv(100).startswith(b"OK ticket=")
        brim.stop_quotad(signal.SIGKILL)
    brim.start_quotad()
    ticket, = explain(brim)["tickets"]
    assert ticket["state"] == "orphan-maybe-alive"
    assert ticket["earlier_quotad"] is True


def test_an_orphan_whose_delivery_has_ended_says_so(brim):
    fill(brim, 100)
    with brim.connect() as s:
        s.sendall(f"RESERVE {ADDRESS} 500 name=9.z.host,S=500\n".encode())
        assert s.recv(100).startswith(b"OK ticket=")
    limit = time.monotonic() + PATIENCE
    while (tickets := explain(brim)["tickets"]) and tickets[0]["state"] == "open":
        assert time.monotonic() < limit
    # within ten seconds a count has not taken it away yet
    assert [t["state"] for t in tickets] == ["orphan"]


def test_a_full_mailbox_tells_since_when_and_when_it_bounces(brim):
    fill(brim)
    assert brim.deliver(ADDRESS).code == "4.2.2"
    answer = explain(brim)
    full = answer["ledger"]["full"]
    assert 1 <= full["seconds"] < 60
    assert 3 * 86400 - 60 < full["bounces_in"] < 3 * 86400
    assert answer["next_message"]["verdict"] == "full-for-now"
    assert answer["next_message"]["code"] == "4.2.2"
    assert answer["ledger"]["last_count"]["why"] in ("recount", "refusal")
    text = page(brim)
    assert "mail for it bounces in 2d 23h" in text
    assert "next message 4.2.2 " in text


def test_a_full_mailbox_that_bounces_says_so(brim):
    brim.admin("set", ADDRESS, "over_quota=bounce")
    fill(brim)
    assert brim.deliver(ADDRESS).code == "5.2.2"
    assert explain(brim)["next_message"]["code"] == "5.2.2"
    assert "mail for it bounces" in page(brim)


def test_a_disabled_mailbox_hears_what_its_record_says(brim):
    brim.admin("disable", ADDRESS)
    assert explain(brim)["next_message"]["code"] == "5.2.1"


def test_an_ignored_folder_is_shown_and_does_not_count(brim):
    brim.stop_quotad()
    brim.configure(quota_ignore="Trash")
    brim.start_quotad()
    put(brim.alice, "1.a.host,S=100:2,S")
    put(brim.alice, "2.b.host,S=900:2,S", folder=".Trash")
    brim.recount(ADDRESS)
    answer = explain(brim)
    trash = directories(answer)[".Trash", "cur"]
    assert trash["bytes"] == 900 and trash["ignored"] is True
    assert answer["files"]["bytes"] == answer["ledger"]["used"] == 100
    assert answer["difference"] == []
    assert ".Trash/cur" in page(brim) and "ignored" in page(brim)


def test_a_blank_in_an_ignored_folder_s_name_is_percent_20(brim):
    brim.stop_quotad()
    brim.configure(quota_ignore="Deleted%20Items,\n  Trash")
    brim.start_quotad()
    put(brim.alice, "1.a.host,S=100:2,S")
    for folder, size in ((".Deleted Items", 900), (".Trash", 800), (".Deleted", 50), (".Items", 7)):
        put(brim.alice, f"2.{size}.host,S={size}:2,S", folder=folder)
    brim.recount(ADDRESS)
    answer = explain(brim)
    found = {folder for (folder, _), d in directories(answer).items() if d["ignored"]}
    assert found == {".Deleted Items", ".Trash"}
    assert answer["files"]["bytes"] == answer["ledger"]["used"] == 157


def test_without_quotad_the_files_are_shown_alone(brim):
    fill(brim, 100)
    brim.stop_quotad()
    answer = explain(brim, status=75)
    assert answer["files"]["bytes"] == 100
    assert "error" in answer["ledger"]
    assert "tickets" not in answer
    done = brim.admin("explain", ADDRESS, check=False)
    assert done.returncode == 75
    assert "the files    100 bytes" in done.stdout
    assert "quotad did not answer" in done.stdout
    assert done.stderr.startswith("brimadm: ")


def test_a_mailbox_that_cant_be_read_shows_the_ledger_alone(brim):
    fill(brim, 100)
    elsewhere = brim.alice.rename(brim.alice.with_name("elsewhere"))
    os.symlink(elsewhere, brim.alice)
    os.lchown(brim.alice, ALICE, ALICE)  # a user's link is not followed
    answer = explain(brim, status=75)
    assert answer["files"]["error"]
    assert answer["ledger"]["used"] == 100
    assert "difference" not in answer
    assert "the files    can't be read" in page(brim, status=75)


def test_an_unknown_address_is_1_and_an_alias_is_followed(brim):
    done = brim.admin("explain", "nobody@example.org", check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    brim.admin("alias", "sales@example.org", ADDRESS)
    assert explain(brim, address="sales@example.org")["mailbox"] == ADDRESS


def test_a_missing_maildir_is_an_empty_mailbox(brim):
    brim.load(f"bob@example.org uid=20002 gid=20002 mail={brim.home}/bob/Maildir/")
    answer = explain(brim, address="bob@example.org")
    assert answer["files"]["missing"] is True
    assert answer["files"]["bytes"] == 0


def test_no_link_in_a_mailbox_is_followed(brim):
    put(brim.alice, "1.a.host,S=100:2,S")
    secret = brim.folder / "secret"
    put(secret, "5.x.host,S=5000", part="cur")
    put(secret, "6.x.host,S=5000", part="new")
    os.symlink(secret, brim.alice / ".Link")
    (brim.alice / "new").rmdir()
    os.symlink(secret / "new", brim.alice / "new")
    os.symlink(secret / "cur/5.x.host,S=5000", brim.alice / "cur/7.x.host,S=5000")
    os.mkfifo(brim.alice / "cur/8.x.host,S=5000")
    answer = explain(brim)
    assert answer["files"]["bytes"] == 100
    assert list(directories(answer)) == [(".", "cur")]


def test_odd_folder_names_stay_on_their_line(brim):
    put(brim.alice, "1.a.host,S=1", folder=".od\nd\x1b[1m%")
    brim.recount(ADDRESS)
    assert "\x1b" not in page(brim)
    assert ".od%0Ad%1B[1m%25/cur" in page(brim)


def test_quotads_explanation_is_for_the_trusted_alone(brim):
    lines = brim.ask(f"EXPLAIN {ADDRESS}")
    assert lines[0].startswith(f"* mailbox={ADDRESS} ")
    assert lines[-1].startswith("OK next=delivered code=2.0.0 ")
    assert brim.ask("EXPLAIN nobody@example.org")[0].startswith("ERR 4.1.1 ")
