"""The table and the settings change under a living quotad: a number is worth nothing where
it was not counted, and what was promised stays promised. Nothing may pass its limit, and no
change may make a mailbox full that is not."""

import contextlib
import shutil

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
