"""brimadm check: what spoils the reports that Postfix writes to senders is found where it is set,
and gone after its own command. The mistakes of one file are made together, since each check asks
Postfix for all its settings."""

import json
import pathlib

import pytest

from test_check import ADDRESS, MASTER, WithPostfix

OWN = """\
bounce unix - - n - 0 discard
defer unix - - n - 0 discard -v
trace unix - - n - 0 bounce
qmgr unix n - n 300 1 qmgr
  -o maximal_queue_lifetime=2d
cleanup unix n - n - 0 cleanup
  -o delay_warning_time=0h
smtpd unix - - n - - smtpd
  -o soft_bounce=yes
slow unix - n n - - local
  -o soft_bounce=no
"""


@pytest.fixture
def postfix():
    with WithPostfix() as s:
        yield s


def found(postfix):
    """By what and whose it is, notes too."""
    return {(f["check"], f["subject"]): f for f in json.loads(postfix.check("--json").stdout)}


def repair_all(postfix, expected):
    """Just these are found, and none after the command of each."""
    mistakes = found(postfix)
    assert set(mistakes) == expected
    for mistake in mistakes.values():
        done = postfix.run(mistake["mend"])
        assert done.returncode == 0, (mistake, done)
    assert found(postfix) == {}


def test_settings_of_main_cf(postfix):
    postfix.write_main("soft_bounce = Yes", "bounce_queue_lifetime = 0",
                       "maximal_queue_lifetime = 3d", "delay_warning_time = 0",
                       "bounce_notice_recipient = wizard", "2bounce_notice_recipient = wizard",
                       "delay_notice_recipient = bob", "error_notice_recipient = a@elsewhere.test")
    repair_all(postfix, {
        ("postfix-soft-bounce", "soft_bounce"), ("postfix-notices", "wizard"),
        ("postfix-queue-lifetime", "maximal_queue_lifetime"),
        ("postfix-bounce-lifetime", "bounce_queue_lifetime"),
        ("postfix-delay-warning", "delay_warning_time")})
    assert postfix.run("postalias -q wizard hash:/etc/aliases").stdout == "root\n"


def test_settings_of_master_cf(postfix):
    (postfix.etc / "master.cf").write_text(MASTER + OWN)
    repair_all(postfix, {
        ("postfix-bounce-service", "bounce"), ("postfix-bounce-service", "defer"),
        ("postfix-queue-lifetime", "qmgr/unix/maximal_queue_lifetime"),
        ("postfix-delay-warning", "cleanup/unix/delay_warning_time"),
        ("postfix-soft-bounce", "smtpd/unix/soft_bounce")})


def test_where_a_full_mailbox_bounces_nobody_waits(postfix):
    """Nor need anything live long in the queue."""
    postfix.brim.configure(over_quota="bounce")
    postfix.write_main("delay_warning_time = 0", "maximal_queue_lifetime = 1h",
                       "bounce_queue_lifetime = 0")
    short = ("postfix-queue-short", "maximal_queue_lifetime")  # for all that is put off
    assert set(found(postfix)) == {short}
    postfix.brim.admin("set", ADDRESS, "over_quota=defer")
    assert set(found(postfix)) == {short, ("postfix-delay-warning", "delay_warning_time")}


def test_a_filter_that_makes_another_verdict(postfix):
    """One that changes the words or the detail alone is none of ours."""
    path = pathlib.Path("/etc/postfix/status")
    path.write_text("/^4.2.2 (.*)/ 4.2.0 $1\n/^5.1.1 .*/ 5.1.10 no such user\n")
    postfix.write_main(f"default_delivery_status_filter = regexp:{path}")
    assert found(postfix) == {}
    path.write_text("/^4.2.2 (.*)/ 5.2.2 $1\n")
    mistakes = found(postfix)
    assert {name for name, _ in mistakes} == {"postfix-status-filter"}
    assert {subject for _, subject in mistakes} == {"local_delivery_status_filter"}
    for mistake in mistakes.values():
        assert '"5.2.2 the mailbox is full"' in mistake["what"] and str(path) in mistake["mend"]
    path.unlink()
    assert ["can't be read" in mistake["what"] for mistake in found(postfix).values()] == [True]
