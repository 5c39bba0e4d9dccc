"""The table and the settings change under a living quotad: a number is worth nothing where
it was not counted, and what was promised stays promised. Nothing may pass its limit, and no
change may make a mailbox full that is not."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from brim import Brim

UID = 20001
ALICE = "alice@example.org"
BOB = "bob@example.org"


@pytest.fixture
def brim():
    with Brim() as b:
        yield b


@contextlib.contextmanager
def another_table(brim):
    """brimadm and lda use a copy of the table, of which quotad knows nothing."""
    kept, socket = brim.conf, brim.settings["socket"]
    folder = brim.folder / "other"
    if not folder.exists():
        folder.mkdir(mode=0o755)
        shutil.copy(brim.users_db, folder / "users.db")
        text = kept.read_text().replace(str(brim.users_db), str(folder / "users.db"))
        (folder / "lda.conf").write_text(text)
        (folder / "admin.conf").write_text(text.replace(str(socket), f"{folder}/none"))
    brim.conf = folder / "lda.conf"

    def change(*lines):
        brim.conf = folder / "admin.conf"
        brim.admin("apply", input="".join(f"{line}\n" for line in lines))
        brim.conf = folder / "lda.conf"
    try:
        yield change
    finally:
        brim.conf = kept


def make_mailbox_of(brim, uid=UID):
    """What the alias becomes: a Maildir, and the changes of the table."""
    new = brim.home / "new/Maildir"
    brim.make_maildir(new, uid, uid)
    return new, (f"remove {ALICE}", f"add {ALICE} uid={uid} gid={uid} mail={new}/ quota=10K")


# --- what lda's table says, and quotad's ---------------------------------------------


def test_an_alias_that_became_a_mailbox_waits_for_quotad(brim):
    """quotad's table still has the alias: room in the mailbox behind it is none here."""
    brim.mailbox(BOB, uid=UID, quota=1 << 20)
    brim.load(f"{ALICE} alias={BOB}")
    brim.start_quotad()
    new, changes = make_mailbox_of(brim)
    with another_table(brim) as change:
        change(*changes)
        results = [brim.deliver(ALICE, b"x" * 3400) for _ in range(6)]
    assert brim.total(new) <= 10240
    assert [r.code for r in results] == ["4.3.0"] * 6, results
    assert brim.usage(BOB)["used"] == "0"
    brim.admin("apply", input="".join(f"{line}\n" for line in changes))
    results = [brim.deliver(ALICE, b"x" * 3400) for _ in range(3)]
    assert [r.status for r in results] == [0, 0, 75] and results[2].code == "4.2.2", results


def test_a_full_mailbox_behind_an_old_alias_bounces_nothing(brim):
    old = brim.mailbox(BOB, uid=UID, quota=1000, over_quota="bounce")
    (old / "new/1.a").write_bytes(b"x" * 2000)
    brim.load(f"{ALICE} alias={BOB}")
    brim.start_quotad()
    with another_table(brim) as change:
        change(*make_mailbox_of(brim)[1])
        assert brim.deliver(ALICE, b"x" * 100).code == "4.3.0"
    assert brim.deliver(BOB, b"x" * 100).code == "5.2.2"


@pytest.mark.parametrize("field", ["uid", "mail"])
def test_another_owner_or_path_is_another_place(brim, field):
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE).status == 0
    new, _ = make_mailbox_of(brim)
    uid = UID + (field == "uid")
    with another_table(brim) as change:
        change(f"set {ALICE} uid={uid}" if field == "uid" else f"set {ALICE} mail={new}/")
        for path in (mail.parent, mail, mail / "new", mail / "cur", mail / "tmp"):
            shutil.chown(path, uid)
        assert brim.deliver(ALICE, uid=uid).code == "4.3.0"
    assert len(brim.files(mail)) == 1 and brim.files(new) == []


def test_a_renamed_address_is_the_same_place(brim):
    """quotad need not know the new name where the old one leads to the same mailbox."""
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.load(f"{BOB} alias={ALICE}")
    brim.start_quotad()
    with another_table(brim) as change:
        change(f"remove {BOB}", f"remove {ALICE}", f"add {BOB} uid={UID} gid={UID} mail={mail}/")
        assert brim.deliver(BOB).status == 0
    assert brim.usage(ALICE)["used"] == str(brim.total(mail))


# --- what the number belongs to ------------------------------------------------------


def change_mail(brim, mail, new):
    brim.admin("set", ALICE, f"mail={new}/")


def change_by_remove_and_add(brim, mail, new):
    brim.admin("remove", ALICE)
    brim.admin("add", ALICE, f"uid={UID}", f"gid={UID}", f"mail={new}/", "quota=1M")


def change_by_one_load(brim, mail, new):
    lines = brim.admin("dump").stdout.splitlines()
    brim.load(*(line.replace(f"{mail}/", f"{new}/") for line in lines), replace=True)


def change_by_another_name(brim, mail, new):
    """Another address has the new place first; then it gets this one's name."""
    brim.admin("add", BOB, f"uid={UID}", f"gid={UID}", f"mail={new}/", "quota=1M")
    assert brim.usage(BOB)["used"] == "900000"
    brim.admin("apply", input=f"remove {ALICE}\nremove {BOB}\n"
               f"add {ALICE} uid={UID} gid={UID} mail={new}/ quota=1M\n")


CHANGES = [change_mail, change_by_remove_and_add, change_by_one_load, change_by_another_name]


def restart(brim, how):
    """Not at all, or by a clean end, or by a kill."""
    if how is not None:
        brim.stop_quotad(how)
        brim.start_quotad()


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("change", CHANGES)
def test_another_mailbox_by_the_same_name_is_counted(brim, change, how):
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE, b"x" * 1000).status == 0
    new, _ = make_mailbox_of(brim)
    (new / "cur/1.a:2,S").write_bytes(b"x" * 900_000)
    change(brim, mail, new)
    restart(brim, how)
    assert brim.usage(ALICE)["used"] == "900000"
    assert brim.deliver(ALICE, b"x" * 500_000).code == "4.2.2"
    assert brim.total(new) == 900_000
    assert brim.deliver(ALICE, b"x" * 100_000).status == 0


def test_a_list_tells_no_other_mailboxs_number(brim):
    brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE, b"x" * 1000).status == 0
    limit = time.monotonic() + 10  # lda ends without waiting for the COMMIT's answer
    while " used=10" not in brim.ask("LIST")[0] and time.monotonic() < limit:
        time.sleep(0.01)
    assert " used=10" in brim.ask("LIST")[0]
    new, _ = make_mailbox_of(brim)
    brim.admin("set", ALICE, f"mail={new}/")
    assert "used=" not in brim.ask("LIST")[0]


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_what_is_ignored_no_more_is_counted(brim, how):
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    trash = mail / ".Trash"
    brim.make_maildir(trash, UID, UID)
    shutil.chown(mail, UID, UID)
    (trash / "cur/1.a:2,S").write_bytes(b"x" * 900_000)
    brim.configure(quota_ignore="Trash Junk")
    brim.start_quotad()
    assert brim.deliver(ALICE, b"x" * 1000).status == 0
    brim.configure(quota_ignore="Junk")
    if how == signal.SIGHUP:
        brim.quotad.send_signal(how)
        wait_for_settings(brim, 1)
    else:
        restart(brim, how)
    assert brim.deliver(ALICE, b"x" * 500_000).code == "4.2.2"
    assert int(brim.usage(ALICE)["used"]) == brim.total(mail) + 900_000
    brim.configure(quota_ignore="Junk trash")
    brim.quotad.send_signal(signal.SIGHUP)
    wait_for_settings(brim, 2 if how == signal.SIGHUP else 1)
    assert brim.deliver(ALICE, b"x" * 500_000).status == 0


def wait_for_settings(brim, times):
    limit = time.monotonic() + 10
    while brim.log.read_text().count("settings read again") < times:
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_limit_state_and_settings_cost_no_count(brim):
    brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE, b"x" * 1000).status == 0

    def counts():
        return int(next(line for line in brim.ask("STATS") if line.startswith("* counts="))[9:])
    limit = time.monotonic() + 3  # the slow round counts it as well, a second after the start
    while counts() < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    before = counts()
    brim.admin("set", ALICE, "quota=2M")
    brim.admin("suspend", ALICE)
    brim.admin("enable", ALICE)
    brim.configure(over_quota="1d", quota_ignore=" ")
    brim.quotad.send_signal(signal.SIGHUP)
    wait_for_settings(brim, 1)
    assert brim.deliver(ALICE, b"x" * 1000).status == 0
    assert counts() == before


# --- what was promised ---------------------------------------------------------------


@contextlib.contextmanager
def delivery_under_way(brim, recipient, size):
    """An lda that has its ticket and waits for the end of a stopped quotad's pause: it is
    stopped itself before it links."""
    with brim.connect() as s, s.makefile("r") as lines:
        s.sendall(f"RESERVE {recipient} {size} name=1.held\n".encode())
        answer = lines.readline()
        assert answer.startswith("OK ticket="), answer
        yield lambda verb: s.sendall(f"{verb} {answer.split('=')[1]}".encode())


def rename_address(brim, mail):
    brim.admin("apply", input=f"remove {ALICE}\n"
               f"add {BOB} uid={UID} gid={UID} mail={mail}/ quota=1M\n")
    return BOB


def make_it_an_alias(brim, mail):
    brim.admin("apply", input=f"remove {ALICE}\n"
               f"add {BOB} uid={UID} gid={UID} mail={mail}/ quota=1M\nalias {ALICE} {BOB}\n")
    return ALICE


def move_the_maildir(brim, mail):
    new = mail.parent / "Elsewhere"
    mail.rename(new)
    brim.admin("set", ALICE, f"mail={new}/")
    return ALICE


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("change", [rename_address, make_it_an_alias, move_the_maildir])
def test_what_was_promised_stays_promised(brim, change, how):
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    with delivery_under_way(brim, ALICE, 800_000) as end:
        recipient = change(brim, mail)
        restart(brim, how)
        result = brim.deliver(recipient, b"x" * 800_000)
        assert result.status == 75, result
        if how is None:
            end("CANCEL")
            assert brim.deliver(recipient, b"x" * 800_000).status == 0


# --- how long an lda may live --------------------------------------------------------


def orphans(brim):
    """The states of the mailbox's tickets, as EXPLAIN tells them."""
    return [word for line in brim.ask(f"EXPLAIN {ALICE}") for word in line.split()
            if word.startswith("state=")]


@pytest.mark.parametrize("how", ["hup", "restart", "both", "twice", "lost"])
def test_a_lowered_deadline_is_none_for_ldas_of_before(brim, how):
    """quotad was killed under a delivery, which may live for 300 s; the deadline is 2 s
    now. Nothing of what it was promised is given away."""
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    with delivery_under_way(brim, ALICE, 800_000):
        brim.configure(deadline="2s")
        if how in ("hup", "both"):
            brim.quotad.send_signal(signal.SIGHUP)
            wait_for_settings(brim, 1)
        brim.stop_quotad(signal.SIGKILL)
        if how == "lost":
            shutil.rmtree(brim.usage_dir)
        brim.start_quotad()
        if how == "twice":
            restart(brim, signal.SIGTERM)
        time.sleep(3.5)
        result = brim.deliver(ALICE, b"x" * 800_000)
        assert result.code == "4.3.0", result
        assert how == "lost" or orphans(brim) == ["state=unsure"]
    assert brim.files(mail) == []


# --- what is removed -----------------------------------------------------------------


def statistics(brim):
    return dict(line[2:].split("=", 1) for line in brim.ask("STATS") if line.startswith("* "))


def wait_for_statistics(brim, **wanted):
    limit = time.monotonic() + 20
    while {name: statistics(brim)[name] for name in wanted} != wanted:
        assert time.monotonic() < limit, statistics(brim)
        time.sleep(0.05)


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_removed_mailbox(brim, how):
    """Its account and what was cut off go, in memory and in the store."""
    brim.configure(deadline="2s")
    brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.mailbox(BOB, uid=UID + 1, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE).status == 0 and brim.deliver(BOB, uid=UID + 1).status == 0
    with brim.connect() as s, s.makefile("r") as lines:
        for i in range(20):
            s.sendall(f"RESERVE {ALICE} 100 name=1.cut{i}\n".encode())
            assert lines.readline().startswith("OK ticket=")
        brim.admin("remove", ALICE)
        wait_for_statistics(brim, accounts="2", tickets="20")  # its ldas may be alive
    restart(brim, how)
    wait_for_statistics(brim, accounts="1", tickets="0", orphans="0")
    assert brim.usage(BOB)["messages"] == "1"


def test_a_removed_mailbox_is_forgotten_after_a_restart(brim):
    brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.mailbox(BOB, uid=UID + 1, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE).status == 0 and brim.deliver(BOB, uid=UID + 1).status == 0
    brim.stop_quotad()
    brim.admin("remove", ALICE)
    brim.start_quotad()
    wait_for_statistics(brim, accounts="1")
    restart(brim, signal.SIGKILL)
    wait_for_statistics(brim, accounts="1")


# --- what the paths lead to ----------------------------------------------------------


@pytest.fixture
def two(brim):
    """Two mailboxes of one user, which quotad has counted: a nearly empty and a full one."""
    full = brim.mailbox(BOB, uid=UID, quota=1 << 20)
    (full / "cur/1.a:2,S").write_bytes(b"x" * 900_000)
    mail = brim.mailbox(ALICE, uid=UID, quota=1 << 20)
    brim.start_quotad()
    assert brim.deliver(ALICE, b"x" * 1000).status == 0
    assert brim.deliver(BOB, b"x" * 1000).status == 0
    return mail, full


def swap(mail, other):
    aside = mail.parent / "aside"
    mail.rename(aside)
    other.rename(mail)
    aside.rename(other)


def deliver_until_known(brim, recipient, size):
    """Where both directories are looked at anew a delivery may be told to wait."""
    limit = time.monotonic() + 15
    while (result := brim.deliver(recipient, b"x" * size)).code in ("4.3.0", "4.3.5"):
        assert time.monotonic() < limit, result
        time.sleep(0.1)
    return result


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_two_maildirs_that_change_places_are_counted(brim, two, how):
    mail, full = two
    swap(mail, full)
    restart(brim, how)
    for _ in range(4):
        brim.deliver(ALICE, b"x" * 50_000)
    assert brim.total(mail) <= 1 << 20
    assert deliver_until_known(brim, ALICE, 500_000).code == "4.2.2"
    assert deliver_until_known(brim, BOB, 500_000).status == 0
    assert brim.total(full) < 1 << 20 and brim.total(mail) <= 1 << 20


def test_a_maildir_at_the_path_of_another_is_counted(brim, two):
    """The other is still in the table, and its path leads nowhere, on purpose."""
    mail, full = two
    mail.rename(mail.parent / "aside")
    full.rename(mail)
    assert deliver_until_known(brim, ALICE, 500_000).code == "4.2.2"
    assert deliver_until_known(brim, ALICE, 50_000).status == 0
    assert int(brim.usage(ALICE)["used"]) == brim.total(mail)
    assert brim.deliver(BOB, b"x" * 1000).code == "4.3.0"  # it had mail: where is its disk?
    brim.admin("recount", "--empty", BOB)
    assert brim.deliver(BOB, b"x" * 1000).status == 0
    assert int(brim.usage(BOB)["used"]) == brim.total(full) < 2000


@pytest.mark.parametrize("how", [None, signal.SIGKILL])
def test_two_mailboxes_in_one_directory_are_one_too_many(brim, two, how):
    mail, full = two
    for path in (mail, full):
        path.rename(path.parent / "aside")
    both = brim.home / "both"
    brim.make_maildir(both, UID, UID)
    both.chmod(0o700)
    for path in (mail, full):
        path.symlink_to(both)
        path.parent.chmod(0o755)
        shutil.chown(path.parent, 0, 0)
    assert deliver_until_known(brim, ALICE, 400_000).status == 0
    restart(brim, how)
    results = [brim.deliver(who, b"x" * 100_000) for who in (BOB, ALICE) * 4]
    assert {r.status for r in results[::2]} == {75}, results
    assert results[6].code == "4.3.5" and b"same directory" in results[6].output, results
    assert brim.total(both) == int(brim.usage(ALICE)["used"]) <= 1 << 20
    full.unlink()
    brim.make_maildir(full, UID, UID)
    assert deliver_until_known(brim, BOB, 1000).status == 0


@pytest.mark.parametrize("limit", ["1M", "0"])
def test_a_bind_mount_is_one_directory_too(brim, two, limit):
    mail, full = two
    brim.admin("set", BOB, f"quota={limit}")
    if subprocess.run(["mount", "--bind", mail, full]).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        for _ in range(20):
            brim.deliver(BOB, b"x" * 100_000)
            brim.deliver(ALICE, b"x" * 100_000)
        result = brim.deliver(BOB, b"x" * 1000)
        assert (result.status, result.code) == (75, "4.3.5"), result
        assert brim.total(mail) <= 1 << 20
    finally:
        subprocess.run(["umount", full], check=True)


def test_a_maildir_that_moves_away_under_a_slow_message_gets_none(brim, two):
    """lda has the full one open; what is at its path now has room, but is another."""
    mail, full = two
    lda = brim.start_lda("-d", BOB)
    lda.stdin.write(b"Subject: slow\n\n")
    lda.stdin.flush()
    limit = time.monotonic() + 10
    while not any(str(full) == os.readlink(f) for f in
                  pathlib.Path(f"/proc/{lda.pid}/fd").iterdir() if os.path.lexists(f)):
        assert time.monotonic() < limit
        time.sleep(0.01)
    swap(mail, full)
    assert int(brim.recount(BOB)["used"]) < 10_000
    lda.stdin.write(b"x" * 500_000)
    output, _ = lda.communicate()
    assert lda.returncode == 75 and output.startswith(b"4.3.0 "), output
    assert brim.total(mail) <= 1 << 20
