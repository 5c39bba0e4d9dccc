"""The queue ids of a message's Received: lines: what lda tells quotad and its log of them, and
that a quotad of an older version, which takes none, stands in no delivery's way."""

import re

import pytest

from brim import Brim
from test_lda import ADDED, ALICE, LONG, SHORT, UID, FakeQuotad, fake, logged, send  # noqa: F401
from test_lda import brim  # noqa: F401, the fixture

RECEIVED = b"""\
Received: from localhost (localhost [127.0.0.1])
\tby mx.host.test (Postfix) with ESMTP id 4bB2z
\tfor <alice@example.org>; Fri, 27 Nov 2026 04:40:11 +0000 (UTC)
Received: from mx.host.test ([127.0.0.1])
\tby filter (mx.host.test [127.0.0.1]) (amavisd-new, port 10024)
\twith ESMTP id aBcDeF for <alice@example.org>; Fri, 27 Nov 2026 04:40:10 +0000 (UTC)
Received: from a.test (a.test [192.0.2.1])
\tby mx.host.test (Postfix) with ESMTPS id 4bA1z
\tfor <alice@example.org>; Fri, 27 Nov 2026 04:40:09 +0000 (UTC)
"""
MESSAGES = {"short": RECEIVED + SHORT, "long": RECEIVED + LONG}
IDS = "ids=4bB2z,4bA1z"
OLDER = {  # what it answers to a request that has the field
    "ids": {"ids="},
    "places": {"ids=", "place=", "directory="},
}


def asked(brim):
    """The requests, once all are there."""
    brim.fake.verbs()
    return [words for words in brim.fake.requests if words[0] in ("CHECK", "RESERVE")]


@pytest.mark.parametrize("length", MESSAGES)
def test_quotad_is_told_all_ids_the_topmost_first(brim, length):
    assert send(brim, MESSAGES[length]).status == 0
    assert brim.messages(brim.mail) == [ADDED + MESSAGES[length]]
    assert [words[0] for words in asked(brim)] == \
        {"short": ["RESERVE"], "long": ["CHECK", "RESERVE"]}[length]
    assert all(words[-1] == IDS for words in asked(brim))


def test_quotad_is_told_them_before_a_maildir_is_made(brim):
    (brim.mail / "new").rmdir()
    assert send(brim, MESSAGES["short"]).status == 0
    assert [words[-1] for words in asked(brim)] == [IDS, IDS]
    assert asked(brim)[0][-2] == "directory=0000000000000000"


def test_without_an_id_quotad_is_told_none(brim):
    assert send(brim, b"Received: by x with nothing\n" + SHORT).status == 0
    assert not any("ids=" in word for words in asked(brim) for word in words)


@pytest.mark.parametrize("length", MESSAGES)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("older", OLDER)
def test_an_older_quotad_is_asked_without_what_it_does_not_know(brim, length, missing, older):
    """First without ids=, so that one of the version before keeps its other walls."""
    def answers(words):
        known = words[0] not in ("CHECK", "RESERVE") or not any(
            word.startswith(name) for word in words for name in OLDER[older]
            if words[0] == "RESERVE" or name != "place=")
        return FakeQuotad.agree(words) if known else b"ERR 4.5.2 no such field\n"
    if missing:
        (brim.mail / "new").rmdir()
    fake(brim, answers)
    assert send(brim, MESSAGES[length]).status == 0
    assert brim.messages(brim.mail) == [ADDED + MESSAGES[length]]
    assert brim.fake.verbs()[-1] == "COMMIT"
    assert [words[-1] == IDS for words in asked(brim)].count(True) == 1
    assert any(word.startswith("place=") for word in asked(brim)[-1]) == (older == "ids")


@pytest.mark.parametrize("status, fields", [
    (0, {}), (69, {"state": "disabled"}), (69, {"message_size_limit": "1K"})])
def test_the_log_has_the_id_of_the_last_hop(brim, status, fields):
    """Of a delivery and of a refusal, whether the message was read before it or not."""
    if "state" in fields:
        brim.admin("disable", ALICE)
    brim.configure(**{name: value for name, value in fields.items() if name != "state"})
    done, (line,) = logged(brim, "-d", ALICE, input=MESSAGES["short"] + 2000 * b"x")
    assert done.returncode == status, done
    assert re.search(r" id=4bB2z bytes=", line)


def test_the_log_has_it_where_the_settings_are_wrong(brim):
    brim.conf.write_text("nonsense\n")
    done, (line,) = logged(brim, "-d", ALICE, input=MESSAGES["long"])
    assert done.returncode == 75 and " id=4bB2z bytes=" in line


def test_a_real_quotad_takes_them():
    with Brim() as b:
        b.mail = b.mailbox(ALICE, uid=UID)
        b.start_quotad()
        for message in MESSAGES.values():
            assert send(b, message).status == 0
        assert len(b.messages(b.mail)) == 2
