"""A user that a damaged table has lost is not told to be none: quotad, which has the table
of before, is asked, and mail waits."""

import os
import socket
import time

import pytest

import brim as private_brim
from brim import Brim
from test_damaged_table import Table, address

MESSAGE = b"Subject: hello\n\nhello\n"
UID = 20001


@pytest.fixture
def brim():
    with Brim(quotad_timeout="2s") as b:
        yield b


def put(brim, content):
    """A new file in the table's place, as a restored one comes, damaged or not."""
    new = brim.users_db.with_name("new.db")
    new.write_bytes(content)
    os.rename(new, brim.users_db)


def wait_for_log(brim, text, times):
    deadline = time.monotonic() + private_brim.PATIENCE
    while brim.log.read_text().count(text) < times:
        assert time.monotonic() < deadline, f"quotad's log has no {text}"
        time.sleep(0.02)


def code(brim, recipient, **how):
    result = brim.deliver(recipient, MESSAGE, **how)
    assert result.seconds < 4, result
    return result.code


def table_without(brim, key):
    """The bytes of the table as it is without the record, which stays as it is."""
    whole = brim.users_db.read_bytes()
    brim.admin("remove", key)
    without = brim.users_db.read_bytes()
    put(brim, whole)
    return without


def test_a_user_that_quotad_knows_is_not_told_to_be_none(brim):
    """Whatever the table of lda's: quotad is held at the one of before."""
    brim.mailbox("alice@example.org", uid=UID)
    brim.mailbox("bob@example.org", uid=UID)
    without = table_without(brim, "alice@example.org")
    brim.start_quotad()
    assert code(brim, "alice@example.org") is None
    damaged = bytearray(without)
    damaged[-1] ^= 1  # of its last page's checksum's bytes: quotad refuses it
    put(brim, bytes(damaged))
    wait_for_log(brim, "can't be used", 1)
    for recipient in ("alice@example.org", "alice+tag@example.org", "ALICE@example.org"):
        assert code(brim, recipient, uid=0) in ("4.3.0", "4.3.5"), recipient
    put(brim, without)
    wait_for_log(brim, "user table taken", 2)
    assert code(brim, "alice@example.org", uid=0) == "5.1.1"


def test_mail_for_nobody_waits_while_the_table_is_one_that_quotad_refused(brim):
    table = Table(brim)
    brim.start_quotad()
    assert code(brim, "nobody@example.org") == "5.1.1"
    for page, content in list(table.copies((1,)))[::6]:
        refusals = brim.log.read_text().count("can't be used")
        whole = bytearray(table.sound)
        whole[page * 4096:(page + 1) * 4096] = content
        put(brim, whole)
        for _ in range(3):  # while it is read through, and afterwards
            assert code(brim, "nobody@example.org", uid=UID)[0] == "4"
            assert code(brim, address(7) + "x", uid=20009)[0] == "4"
        wait_for_log(brim, "can't be used", refusals + 1)
        assert code(brim, "nobody@example.org", uid=20009)[0] == "4"
        for i in range(0, 400, 40):
            assert code(brim, address(i), uid=20009)[0] == "4"
    put(brim, table.sound)
    deadline = time.monotonic() + private_brim.PATIENCE
    while code(brim, "nobody@example.org") != "5.1.1":
        assert time.monotonic() < deadline


def test_a_lost_user_is_not_told_to_be_none_without_quotad(brim):
    table = Table(brim)
    assert code(brim, "nobody@example.org") == "5.1.1"
    for page, content in table.copies((1,)):
        table.put((page, content))
        for i in range(3, 400, 66):
            assert code(brim, address(i), uid=20009)[0] == "4", page


def test_no_such_user_is_told_at_once_where_no_quotad_runs(brim):
    brim.mailbox("alice@example.org", uid=UID)
    assert brim.deliver("nobody@example.org", MESSAGE).seconds < 1
    assert code(brim, "nobody@example.org") == "5.1.1"
    with socket.socket(socket.AF_UNIX) as left:  # by a quotad that was killed
        left.bind(str(brim.socket))
        os.chmod(brim.socket, 0o666)
    assert code(brim, "nobody@example.org") == "5.1.1"


def test_mail_waits_where_quotad_is_there_and_silent(brim):
    brim.mailbox("alice@example.org", uid=UID)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(brim.socket))
        os.chmod(brim.socket, 0o666)
        silent.listen(8)
        assert code(brim, "nobody@example.org") == "4.3.0"
