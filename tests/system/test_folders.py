"""Folders at any depth, of Dovecot's LAYOUT=fs too: what of them counts, what does not and
who says so; and that whoever has just deleted mail is told the number without it."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from brim import BIN, PATIENCE, Brim

ALICE = "alice@example.org"
BOB = "bob@example.org"
UID = 20001
KILO = 1024


@pytest.fixture
def brim():
    with Brim(quotad_timeout="5s") as b:
        b.mail = b.mailbox(ALICE, uid=UID, quota=100 * KILO)
        yield b


def put(mail, folder, size, part="cur", name="1.x"):
    """A message in a folder, which is made as a server makes it."""
    for each in "new", "cur", "tmp":
        (mail / folder / each).mkdir(parents=True, exist_ok=True)
    path = mail / folder / part / name
    path.write_bytes(b"")
    os.truncate(path, size)
    subprocess.run(["chown", "-R", f"{UID}:{UID}", mail], check=True)
    return path


def deliver(brim, size):
    return brim.deliver(ALICE, b"Subject: t\n\n" + b"x" * (size - 13) + b"\n", uid=UID)


def used(brim):
    return int(brim.usage(ALICE)["used"])


# --- a real Dovecot ---------------------------------------------------------------------


class Dovecot:
    """doveadm for one Maildir of LAYOUT=fs, without a server."""

    def __init__(self, brim, options=""):
        self.home = brim.folder / "dovecot"
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self.conf = self.home / "dovecot.conf"
        self.conf.write_text(
            f"mail_location = maildir:{brim.mail}:LAYOUT=fs{options}\n"
            f"base_dir = {self.home}\nstate_dir = {self.home}\n"
            "log_path = /dev/stderr\nfirst_valid_uid = 1\nssl = no\n")

    def __call__(self, *arguments, input=""):
        return subprocess.run(["doveadm", "-c", self.conf, *arguments], input=input, text=True,
                              check=True, user=UID, group=UID, extra_groups=[],
                              env={**os.environ, "HOME": str(self.home), "USER": "alice"})

    def save(self, folder, size):
        self("save", "-m", folder, input="Subject: t\n\n" + "x" * (size - 13) + "\n")


def files(mail):
    return sum(p.stat().st_size for p in pathlib.Path(mail).rglob("*")
               if p.is_file() and p.parent.name in ("new", "cur"))


@pytest.mark.skipif(not shutil.which("doveadm"), reason="doveadm is not installed")
@pytest.mark.parametrize("options", ["", ":DIRNAME=mail"])
def test_folders_of_dovecot_without_a_dot_fill_the_mailbox(brim, options):
    dovecot = Dovecot(brim, options)
    dovecot("mailbox", "create", "Archive/2024/Q1", "Junk E-mail")
    for folder in "INBOX", "Archive/2024/Q1", "Junk E-mail":
        dovecot.save(folder, 30 * KILO)
    brim.start_quotad()
    assert used(brim) == files(brim.mail) == 90 * KILO
    assert deliver(brim, 20 * KILO).code == "4.2.2"
    dovecot("mailbox", "delete", "-r", "Archive")
    assert used(brim) == files(brim.mail) < 70 * KILO
    assert deliver(brim, 20 * KILO).status == 0
    assert used(brim) == files(brim.mail)


# --- what counts ------------------------------------------------------------------------


def test_a_folder_that_appears_deep_down_is_seen_before_a_delivery(brim):
    put(brim.mail, "Archive/2024", 85 * KILO)
    brim.start_quotad()
    assert used(brim) == 85 * KILO
    put(brim.mail, "Archive/by/year/2025", 14 * KILO, part="new")
    assert deliver(brim, 5 * KILO).code == "4.2.2"


def test_directories_that_hold_no_mail_count_as_nothing(brim):
    put(brim.mail, "Sent", KILO)
    for name in "sieve/tmp", "dovecot.index", "courierimapkeywords/x":
        (brim.mail / name).mkdir(parents=True)
        (brim.mail / name / "file").write_bytes(b"x" * 5000)
    put(brim.mail, "tmp/Folder", 3000)
    put(brim.mail, "cur/Folder", 3000)
    brim.start_quotad()
    assert used(brim) == KILO


@pytest.mark.parametrize("ignore, expected", [
    ("Trash, Deleted%20Items", 0b110), ("archive/2023", 0b1011), (".Trash", 0b1110),
    ("Trash/", 0b1110), ("/archive/2023// sent/", 0b1001), ("/", 0b1111),
    ("2023 rash", 0b1111), ("Archive", 0b1111)])
def test_quota_ignore_names_folders_by_their_paths(brim, ignore, expected):
    for bit, folder in enumerate((".Trash", "Sent", "Archive/2023", "Deleted Items")):
        put(brim.mail, folder, 1 << bit)
    brim.configure(quota_ignore=ignore)
    brim.start_quotad()
    assert used(brim) == expected
    found = json.loads(brim.admin("explain", ALICE, "--json").stdout)["files"]
    assert found["bytes"] == expected
    assert sum(d["bytes"] for d in found["directories"]) == 0b1111


@pytest.mark.parametrize("name, folder", [
    ("Gelöscht", ".Gel&APY-scht"), ("GELÖSCHT", ".gel&APY-scht"), ("Gel&APY-scht", ".Gel&APY-scht"),
    ("Gelöscht", ".Gelöscht"), ("Корзина", "&BBoEPgRABDcEOAQ9BDA-"), ("Q&A", ".Q&-A"),
    ("Archiv.Gelöschte%20Objekte", ".Archiv.Gel&APY-schte Objekte"),
    ("Früher/Müll", "Fr&APw-her/M&APw-ll"), ("\U0001f5d1", ".&2D3d0Q-"), ("日本語/台北", ".&ZeVnLIqe-/&U,BTFw-")])
def test_quota_ignore_names_folders_as_people_see_them(brim, name, folder):
    put(brim.mail, folder, KILO)
    put(brim.mail, ".Sent", 1)
    for odd in (".Gel&AP-", ".&", ".&-&", ".&2D0-", ".&3dE-", ".&AAA-", ".x&APY"):
        put(brim.mail, odd, 1)
    brim.configure(quota_ignore=name)
    brim.start_quotad()
    assert used(brim) == 8


# --- what does not count, and who says so -----------------------------------------------


def findings(brim):
    done = brim.admin("check", ALICE, "--json", check=False)
    return {f["check"]: f for f in json.loads(done.stdout) if f["check"].startswith("mailbox")}


def test_a_link_in_the_place_of_a_folder_is_told_of(brim):
    far = brim.folder / "far"
    put(far, "", KILO)
    (brim.mail / "sieve").mkdir()
    (brim.mail / "sieve/main.sieve").write_text("keep;\n")
    os.chown(brim.mail / "sieve", UID, UID)
    (brim.mail / ".dovecot.sieve").symlink_to("sieve/main.sieve")
    (brim.mail / "gone").symlink_to("nowhere")
    brim.start_quotad()
    assert findings(brim) == {}
    put(brim.mail, "Sent", KILO)
    (brim.mail / "Archive").symlink_to(far)
    (brim.mail / "Sent/2024 old").symlink_to(far)
    assert used(brim) == KILO
    assert "is a link to a directory" in findings(brim)["mailbox-not-counted"]["what"]
    page = brim.admin("explain", ALICE).stdout
    assert "not counted  Archive: it is a link" in page
    assert "not counted  Sent/2024%20old: it is a link" in page
    found = json.loads(brim.admin("explain", ALICE, "--json").stdout)["files"]
    assert sorted(found["links_not_counted"]) == ["Archive", "Sent/2024 old"]


def test_folders_that_cannot_be_counted_are_told_of(brim):
    deep = brim.mail
    for _ in range(257):
        deep = deep / "d"
        deep.mkdir()
    assert "256 deep" in findings(brim)["mailbox-count"]["what"]


def test_a_link_of_roots_where_others_may_write_is_not_called_a_users(brim):
    place = brim.folder / "shared"
    place.mkdir(mode=0o770)
    os.chown(place, 0, UID)
    place.chmod(0o775)
    (place / "alice").symlink_to(brim.mail)
    brim.load(f"{BOB} uid={UID} gid={UID} mail={place}/alice/")
    done = json.loads(brim.admin("check", BOB, "--json", check=False).stdout)
    told = next(f["what"] for f in done if f["check"] == "mailbox-link")
    assert "the link alice on the way" in told
    assert "stands in a directory that others than root may write to" in told
    assert "is not root's" not in told


# --- GET looks --------------------------------------------------------------------------


def shown(brim, *arguments, **options):
    done = subprocess.run([BIN / "brimq", "-c", brim.conf, "--json", *arguments],
                          capture_output=True, text=True, timeout=PATIENCE, **options)
    answer = json.loads(done.stdout)
    return (answer[0] if isinstance(answer, list) else answer)["used"]


def test_the_first_answer_after_mail_was_deleted_is_the_new_number(brim):
    first = put(brim.mail, "Sent", 5000)
    second = put(brim.mail, "", 300)
    third = put(brim.mail, "Archive/2024", 20)
    brim.start_quotad()
    assert shown(brim, ALICE) == 5320
    first.unlink()
    assert shown(brim, ALICE) == 320
    second.unlink()
    assert shown(brim, ALICE, user=UID, group=UID, extra_groups=[]) == 20
    third.unlink()
    assert used(brim) == 0


def test_a_list_is_told_without_a_look(brim):
    message = put(brim.mail, "Sent", 5000)
    brim.configure(recount_every="60d")
    brim.start_quotad()
    assert used(brim) == 5000
    time.sleep(1.5)  # the slow round takes its first mailbox a second after the start
    assert used(brim) == 5000
    message.unlink()
    assert shown(brim, "--list") == 5000
    assert used(brim) == 0


def children(pid):
    """The processes below that one."""
    path = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    for child in path.read_text().split():
        yield int(child)
        yield from children(int(child))


def test_a_look_that_takes_long_leaves_the_number_that_is_known(brim):
    message = put(brim.mail, "Sent", 5000)
    brim.start_quotad()
    assert used(brim) == 5000
    message.unlink()
    stopped = list(children(brim.quotad.pid))
    assert stopped
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        assert used(brim) == 5000
        assert time.monotonic() - begun >= 0.9
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    limit = time.monotonic() + PATIENCE
    while used(brim) != 0:
        assert time.monotonic() < limit
