"""brimadm check: each mistake alone is found by its name, and gone after its own command.

Run as root. Every test has a host of its own (host.py), sound to begin with: a mailbox,
a quotad that runs, and, for Postfix, its settings. A mistake is made, check finds it and
nothing else, sh runs the command that check gives, and check finds nothing any more.
"""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time

import pytest

import brim as private_brim
from brim import DAEMON_USER, Brim
from host import Host, mount, unmount
from postfix import set_back, write_settings

ADDRESS = "alice@example.org"
UID = 20001
PATIENCE = 15


class Sound:
    """A host where check finds nothing."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.host = stack.enter_context(Host())
            self.remove_accounts()
            self.brim = stack.enter_context(Brim())
            self.conf = self.brim.conf
            self.programs = private_brim.BIN
            self.mail = self.brim.mailbox(ADDRESS, uid=UID)
            self.brim.start_quotad()
            stack.callback(self.end_listener)
            self.undo = stack.enter_context(contextlib.ExitStack())
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    @staticmethod
    def remove_accounts():
        path = pathlib.Path("/etc/passwd")
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(
            line for line in lines
            if int(line.split(":")[2]) < 1000 or line.startswith("nobody:")))

    def end_listener(self):
        """The quotads that repairs have started are no children of this process: one that
        listens, and, where two repairs started one each, another that waits for its end."""
        limit = time.monotonic() + PATIENCE
        while (pids := self.quotads()) and time.monotonic() < limit:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def quotads(self):
        """Those that run with these settings."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it may have ended
                words = pathlib.Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"quotad") and os.fsencode(self.conf) in words:
                    found.append(int(pid))
        return found

    def check(self, *arguments):
        done = self.brim.admin("check", *arguments, check=False)
        assert done.returncode in (0, 1), done
        return done

    def findings(self, *arguments):
        done = self.check("--json", *arguments)
        found = json.loads(done.stdout)
        assert done.returncode == int(bool(found)), done
        return found

    def names(self, *arguments):
        return sorted({f["check"] for f in self.findings(*arguments)})

    def run(self, command):
        path = f"{self.programs}:{os.environ['PATH']}:/usr/sbin:/sbin"
        return subprocess.run(["sh", "-c", command], env={**os.environ, "PATH": path},
                              capture_output=True, text=True, timeout=60)

    def wait_until_sound(self):
        limit = time.monotonic() + PATIENCE
        while (found := self.findings()) and time.monotonic() < limit:
            time.sleep(0.1)
        assert not found, found

    def repairs(self, name, *others, may_be=()):
        """The mistake is found alone, and its command takes it away."""
        found = self.findings()
        assert {f["check"] for f in found} - set(may_be) == {name, *others}, found
        for f in found:
            if f["check"] == name:
                done = self.run(f["mend"])
                assert done.returncode == 0, (f, done)
        self.wait_until_sound()

    def tells(self, name, *words):
        """The mistake is found alone; no command repairs it, but a sentence says what to do."""
        found = self.findings()
        assert {f["check"] for f in found} == {name}, found
        assert found[0]["mend"].endswith("."), found
        for word in words:
            assert word in found[0]["what"] + found[0]["mend"], found


@pytest.fixture
def sound():
    with Sound() as s:
        s.wait_until_sound()
        yield s


# the report


def test_where_nothing_is_wrong_it_says_so_and_exits_0(sound):
    done = sound.check()
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr == "brimadm: 0 found: 0 errors, 0 warnings; 1 mailbox looked at\n"
    assert sound.findings() == []


def test_a_finding_is_what_why_and_repair_and_exits_1(sound):
    sound.mail.chmod(0o777)
    done = sound.check()
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"mailbox-mode (error) {ADDRESS}",
        f"  what:   the mode of {sound.mail}/ is 0777",
        "  why:    lda defers with 4.3.5 where others may write to the mailbox, or its owner "
        "may not.",
        f"  repair: setsid -w setpriv --reuid={UID} --regid={UID} --clear-groups "
        f"chmod u+rwx,go-w {sound.mail}"]
    assert "1 found: 1 error, 0 warnings" in done.stderr


def test_json_has_stable_names(sound):
    sound.mail.chmod(0o777)
    assert sorted(sound.findings()[0]) == [
        "check", "mend", "severity", "subject", "what", "why"]


def test_only_root_can_check(sound):
    done = subprocess.run([sound.programs / "brimadm", "-c", sound.conf, "check"],
                          user=UID, group=UID, extra_groups=[], capture_output=True, text=True)
    assert done.returncode == 75 and "only root" in done.stderr and done.stdout == ""


def test_one_address_is_looked_at_alone(sound):
    bob = sound.brim.mailbox("bob@example.org", uid=UID + 1)
    bob.chmod(0o777)
    assert sound.findings(ADDRESS) == []
    assert sound.names("bob@example.org") == ["mailbox-mode"]
    assert sound.names("nobody@example.org") == ["recipient"]
    assert "5.1.1" in sound.findings("nobody@example.org")[0]["what"]


def test_ten_thousand_mailboxes_take_less_than_ten_seconds(sound):
    records = []
    mount("tmpfs", sound.brim.home, "tmpfs", data="mode=755")
    sound.undo.callback(unmount, sound.brim.home)
    sound.brim.make_maildir(sound.mail, UID, UID)
    for i in range(10_000):
        mail = sound.brim.home / str(i % 100) / str(i) / "Maildir"
        for folder in ("new", "cur", "tmp"):
            (mail / folder).mkdir(parents=True)
        for folder in (mail.parent, mail, mail / "new", mail / "cur", mail / "tmp"):
            os.chown(folder, UID, UID)
            folder.chmod(0o700)
        records.append(f"u{i}@example.org uid={UID} gid={UID} mail={mail}/")
    sound.brim.load(*records)
    start = time.monotonic()
    done = sound.check()
    assert time.monotonic() - start < 10
    assert done.returncode == 0 and "10001 mailboxes" in done.stderr


def test_the_man_page_tells_every_name():
    source = (private_brim.ROOT / "tools/admin/check/kinds.c").read_text()
    page = (private_brim.ROOT / "man/brimadm.8").read_text()
    page = page[page.index(".Sh CHECKS"):page.index(".Sh TEXT FORM")]
    names = re.findall(r'\[CHECK_\w+\] =\s*\{"([a-z-]+)"', source)
    assert len(names) > 40
    for name in names:
        assert re.search(rf"[ \n]{name}[ \n]", page), name


# settings


@pytest.mark.parametrize("line", ["quotta = 1G", "quota = lots", "deadline = 5d", "nonsense"])
def test_a_bad_line_of_the_settings(sound, line):
    text = sound.conf.read_text()
    sound.conf.write_text(f"{text}{line}\n")
    sound.repairs("settings")
    assert sound.conf.read_text() == f"{text}#{line}\n"


@pytest.mark.parametrize("lines, mended", [
    ("quota = 1G\nquota = 2G", "#quota = 1G\nquota = 2G"),
    ("trusted_users = 0\n  mail\n# mine\n\n\tnews\n# hers\nmin_uid = 100\n"
     "trusted_users = mail\n news",
     "#trusted_users = 0\n#  mail\n## mine\n#\n#\tnews\n# hers\nmin_uid = 100\n"
     "trusted_users = mail\n news"),
    ("min_uid = 100\n\tquota = 1G", "min_uid = 100\nquota = 1G"),
    ("quota: 1G", "quota= 1G"),
    ("; mine", "# mine"),
    ("quota = 1G ; mine", "quota = 1G\n# mine"),
    ("[brim]", "#[brim]"),
    ("quota_ignore = 50%", "quota_ignore = 50%25"),
    ("quota_ignore = a%20b,%%41%\n# 9%\n\t%00,%zz,%25,100%5\n# 5%",
     "quota_ignore = a%20b,%25%41%25\n# 9%\n\t%2500,%25zz,%25,100%255\n# 5%"),
    ("# mine\rquota = 1G", "# mine\nquota = 1G"),
    ("# a\0b", "# ab"),
    ("quotta = 1G\n  2G\n\n# mine\n\t3G\nmin_uid = 100",
     "#quotta = 1G\n#  2G\n#\n## mine\n#\t3G\nmin_uid = 100"),
])
def test_a_fault_of_form_in_the_settings(sound, lines, mended):
    text = sound.conf.read_text()
    sound.conf.write_bytes(f"{text}{lines}\n".encode())
    sound.repairs("settings")
    assert sound.conf.read_text() == f"{text}{mended}\n"


@pytest.mark.parametrize("before, after", [("\ufeff", ""), ("  ", "")])
def test_what_is_before_the_settings(sound, before, after):
    text = sound.conf.read_text()
    sound.conf.write_text(before + text)
    sound.repairs("settings")
    assert sound.conf.read_text() == after + text


def test_settings_that_others_can_not_read(sound):
    sound.conf.chmod(0o600)
    sound.repairs("settings-mode")


def test_settings_that_others_can_change(sound):
    sound.conf.chmod(0o666)
    sound.repairs("settings-mode")


def test_settings_of_another_owner(sound):
    os.chown(sound.conf, UID, UID)
    sound.repairs("settings-mode")


def test_a_settings_file_that_is_not_there_can_not_be_checked(sound):
    sound.conf.unlink()
    done = sound.brim.admin("check", check=False)
    assert done.returncode == 75 and done.stdout == ""


# the table


def test_a_missing_table(sound):
    sound.brim.users_db.unlink()
    found = sound.findings()
    assert "table-missing" in [f["check"] for f in found]
    assert sound.run(found[0]["mend"]).returncode == 0
    assert "table-missing" not in sound.names()


def test_a_table_of_another_owner(sound):
    os.chown(sound.brim.users_db, UID, UID)
    sound.repairs("table-owner")


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
def test_a_table_of_another_mode(sound, mode):
    sound.brim.users_db.chmod(mode)
    sound.repairs("table-mode", may_be=["quotad-table"])  # if quotad could not read it already


def test_a_table_that_others_can_replace(sound):
    sound.brim.users_db.parent.chmod(0o777)
    sound.repairs("table-directory")
    os.chown(sound.brim.users_db.parent, UID, UID)
    sound.repairs("table-directory")


def test_a_table_out_of_reach(sound):
    sound.brim.users_db.parent.chmod(0o750)
    sound.repairs("table-reach")


def test_a_damaged_table(sound):
    with open(sound.brim.users_db, "r+b") as f:
        f.seek(4096 + 100)
        f.write(bytes([255]) * 64)
    assert "table-damaged" in sound.names()
    assert sound.findings()[0]["mend"].endswith(".")


def test_an_empty_table(sound):
    sound.host.add_user("carol", home=sound.brim.home / "carol")
    sound.brim.make_maildir(sound.brim.home / "carol/Maildir", 21000, 21000)
    sound.brim.users_db.unlink()
    sound.brim.admin("init")
    sound.repairs("table-empty", "accounts")


# mailboxes


def test_a_mailbox_of_another_owner(sound):
    os.chown(sound.mail, 0, 0)
    sound.repairs("mailbox-owner")


def test_a_folder_of_another_owner(sound):
    os.chown(sound.mail / "new", 0, 0)
    sound.repairs("mailbox-owner")


def test_a_mailbox_that_others_can_write_to(sound):
    (sound.mail / "new").chmod(0o770)
    sound.repairs("mailbox-mode")


def test_a_mailbox_that_its_owner_can_not_write_to(sound):
    sound.mail.chmod(0o500)
    sound.repairs("mailbox-mode")


def test_a_missing_mailbox_whose_parent_is_the_owners_is_no_mistake(sound):
    shutil.rmtree(sound.mail)
    assert sound.findings() == []
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


def test_a_missing_mailbox_in_anothers_directory(sound):
    shutil.rmtree(sound.mail)
    os.chown(sound.mail.parent, 0, 0)
    sound.repairs("mailbox-missing")
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


def test_a_missing_parent(sound):
    shutil.rmtree(sound.mail.parent)
    sound.repairs("mailbox-missing")
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


def test_a_way_that_the_recipient_can_not_go(sound):
    os.chown(sound.mail.parent, 0, 0)
    sound.mail.parent.chmod(0o700)
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 75
    sound.repairs("mailbox-way")
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


def test_a_users_link_on_the_way(sound):
    real = sound.mail.parent / "Real"
    sound.mail.rename(real)
    sound.mail.symlink_to(real)
    os.lchown(sound.mail, UID, UID)
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 75
    sound.repairs("mailbox-link")
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


@pytest.mark.parametrize("name", ["it's $HOME", "caf\u00e9", "\x1b[2J", "a;b\"c"])
def test_an_odd_path_is_quoted_for_the_shell(sound, name):
    mail = sound.brim.home / name / "Maildir"
    sound.brim.make_maildir(mail, UID, UID)
    path = "".join(f"%{b:02X}" if not 32 < b < 127 or b == 37 else chr(b)
                   for b in os.fsencode(mail))
    sound.brim.load(f"bob@example.org uid={UID} gid={UID} mail={path}/")
    os.chown(mail, 0, 0)
    sound.repairs("mailbox-owner")
    assert mail.stat().st_uid == UID


def test_a_link_in_the_mailbox(sound):
    (sound.mail / "new").rmdir()
    (sound.mail / "new").symlink_to(sound.mail / "cur")
    sound.tells("mailbox-link", "is a link")


def in_time(sound, *arguments):
    """What brimadm prints as JSON; it must end by itself."""
    done = subprocess.run([sound.programs / "brimadm", "-c", sound.conf, *arguments],
                          capture_output=True, text=True, timeout=PATIENCE)
    return json.loads(done.stdout)


def put_link(sound, target, path=None):
    """The user's own link in the place of the mailbox, or of another path."""
    path = path or sound.mail
    shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(target)
    os.lchown(path, UID, UID)


def test_a_users_link_to_a_directory_of_roots_is_repaired_by_words(sound):
    target = sound.brim.folder / "cron.d"
    target.mkdir()
    put_link(sound, target)
    sound.tells("mailbox-link", "in the place of the link")
    (target / "job").write_text("")
    sound.tells("mailbox-link", "in the place of the link")


def test_a_users_link_to_its_own_directory_that_is_no_maildir_is_repaired_by_words(sound):
    target = sound.mail.parent / "Documents"
    target.mkdir()
    os.chown(target, UID, UID)
    (target / "letter").write_text("")
    put_link(sound, target)
    sound.tells("mailbox-link", "in the place of the link")


def test_a_users_link_to_a_place_that_another_can_change_is_repaired_by_words(sound):
    between = sound.brim.folder / "between"
    between.mkdir()
    sound.brim.make_maildir(between / "Maildir", UID, UID)
    os.chown(between, UID + 1, UID + 1)
    put_link(sound, between / "Maildir")
    sound.tells("mailbox-link", "in the place of the link")


def test_a_directory_of_roots_that_is_no_maildir_is_not_given_away(sound):
    target = sound.brim.folder / "cron.d"
    target.mkdir()
    (target / "job").write_text("")
    sound.brim.load(f"{ADDRESS} uid={UID} gid={UID} mail={target}/")
    sound.tells("mailbox-owner", "belongs to uid 0", "Look at")


def test_a_mailbox_below_a_directory_that_its_user_can_turn_is_not_given_away(sound):
    mail = sound.mail.parent / "mail" / "Maildir"
    sound.brim.make_maildir(mail, UID, UID)
    sound.brim.load(f"{ADDRESS} uid={UID} gid={UID} mail={mail}/")
    os.chown(mail, 0, 0)
    sound.tells("mailbox-owner", "Look at")


def swapped_after_the_look(sound, swap):
    """Runs the repairs of the findings after the user has put a link in the place of a part."""
    found = sound.findings()
    swap()
    assert found
    for f in found:
        if not f["mend"].endswith("."):
            sound.run(f["mend"])


@pytest.mark.parametrize("owner", [0, UID + 1])
def test_a_link_put_there_after_the_look_gives_nothing_away(sound, owner):
    target = sound.brim.folder / "cron.d"
    sound.brim.make_maildir(target, owner, owner)
    (target / "new/job").write_text("")
    os.chown(sound.mail, 0, 0)
    swapped_after_the_look(sound, lambda: put_link(sound, target))
    assert target.stat().st_uid == (target / "new").stat().st_uid == owner
    assert (target / "new/job").stat().st_uid == 0


def test_a_link_put_there_after_the_look_changes_no_mode(sound):
    target = sound.brim.folder / "spool"
    sound.brim.make_maildir(target, 0, 0)
    for path in (target, target / "tmp"):
        path.chmod(0o1777)
    sound.mail.chmod(0o770)
    swapped_after_the_look(sound, lambda: put_link(sound, target))
    sound.mail.unlink()
    sound.brim.make_maildir(sound.mail, UID, UID)
    (sound.mail / "tmp").chmod(0o770)
    swapped_after_the_look(sound, lambda: put_link(sound, target))
    assert target.stat().st_mode & 0o7777 == (target / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_a_link_put_there_after_the_look_removes_no_file_of_anothers(sound):
    target = sound.brim.folder / "files"
    target.mkdir()
    (target / "new").write_text("root's")
    (sound.mail / "new").rmdir()
    (sound.mail / "new").write_text("")
    os.chown(sound.mail / "new", UID, UID)
    swapped_after_the_look(sound, lambda: put_link(sound, target))
    assert (target / "new").exists()


def test_a_link_put_there_after_the_look_makes_no_mailbox_of_roots_directory(sound):
    target = sound.brim.folder / "cron.d"
    target.mkdir(mode=0o755)
    parent = sound.mail.parent / "mail"
    parent.mkdir()
    os.chown(parent, UID, UID)
    parent.chmod(0o777)
    mail = parent / "Maildir"
    sound.brim.load(f"{ADDRESS} uid={UID} gid={UID} mail={mail}/")
    swapped_after_the_look(sound, lambda: put_link(sound, target, mail))
    assert target.stat().st_uid == 0


def test_a_link_put_there_after_the_look_opens_no_directory_of_roots(sound):
    target = sound.brim.folder / "private"
    target.mkdir(mode=0o600)
    closed = sound.mail.parent / "mail"
    mail = closed / "Maildir"
    sound.brim.make_maildir(mail, UID, UID)
    sound.brim.load(f"{ADDRESS} uid={UID} gid={UID} mail={mail}/")
    closed.chmod(0o600)
    swapped_after_the_look(sound, lambda: put_link(sound, target, closed))
    assert target.stat().st_mode & 0o7777 == 0o600


def test_a_directory_of_the_users_own_that_it_can_not_search(sound):
    sound.mail.parent.chmod(0o600)
    sound.repairs("mailbox-way")


def test_a_missing_parent_in_the_users_directory(sound):
    shutil.rmtree(sound.mail)
    below = sound.mail.parent / "mail"
    sound.brim.load(f"{ADDRESS} uid={UID} gid={UID} mail={below}/Maildir/")
    sound.repairs("mailbox-missing")
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


def test_a_file_system_that_never_answers_hides_no_other_mailbox(sound):
    bob = sound.brim.mailbox("bob@example.org", uid=UID + 1)
    bob.chmod(0o500)
    sound.brim.stop_quotad()
    node = sound.brim.folder / "fuse"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(10, 229))
    try:
        device = os.open(node, os.O_RDWR)
    except OSError:
        pytest.skip("no FUSE here")
    mount("none", sound.mail, "fuse",
          data=f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other")
    try:
        found = {f["subject"]: f["check"] for f in in_time(sound, "check", "--json")}
        assert found[ADDRESS] == "mailbox-open" and found["bob@example.org"] == "mailbox-mode"
        shown = in_time(sound, "explain", "--json", ADDRESS)
        assert "does not answer" in json.dumps(shown)
    finally:
        os.close(device)
        unmount(sound.mail)


def test_a_file_in_the_place_of_a_mailbox(sound):
    shutil.rmtree(sound.mail)
    sound.mail.write_text("")
    sound.tells("mailbox-open", "mail=PATH/")


def test_a_file_in_the_place_of_a_folder(sound):
    (sound.mail / "new").rmdir()
    (sound.mail / "new").write_text("")
    os.chown(sound.mail / "new", UID, UID)
    sound.repairs("mailbox-open")
    assert sound.brim.deliver(ADDRESS, uid=UID).status == 0


def test_a_uid_below_min_uid(sound):
    sound.brim.configure(min_uid=30000)
    sound.repairs("record")


def test_two_mailboxes_in_one_directory(sound):
    way = sound.brim.folder / "way"
    way.symlink_to(sound.mail.parent)
    sound.brim.mailbox("bob@example.org", uid=UID, mail=way / "Maildir", make=False)
    sound.repairs("mailbox-shared")


def test_a_directory_of_two_users_leads_no_mail_to_the_other(sound):
    other = sound.brim.folder / "other"
    other.symlink_to(sound.mail.parent)
    sound.brim.mailbox("bob@example.org", uid=UID + 1, mail=other / "Maildir", make=False)
    found = sound.findings()
    assert [f["check"] for f in found] == ["mailbox-owner", "mailbox-shared"]
    assert all(f["mend"].endswith(".") for f in found), found


def test_a_disabled_mailbox_needs_no_directory(sound):
    shutil.rmtree(sound.mail.parent)
    sound.brim.admin("disable", ADDRESS)
    assert sound.findings() == []


@contextlib.contextmanager
def file_system(sound, options):
    """A file system of its own for the mailbox."""
    mount("tmpfs", sound.mail.parent, "tmpfs", data=f"mode=755,uid={UID},gid={UID},{options}")
    try:
        sound.brim.make_maildir(sound.mail, UID, UID)
        yield
    finally:
        unmount(sound.mail.parent)


def test_a_read_only_file_system(sound):
    with file_system(sound, "size=1m"):
        subprocess.run(["mount", "-o", "remount,ro", sound.mail.parent], check=True)
        sound.repairs("disk-read-only")


def test_a_full_file_system(sound):
    with file_system(sound, "size=1m"):
        full = sound.mail.parent / "full"
        full.write_bytes(bytes((1 << 20) - 8192))
        sound.tells("disk-room", "du -x")
        full.unlink()
        assert sound.findings() == []


def test_a_file_system_without_inodes(sound):
    with file_system(sound, "size=1m,nr_inodes=40"):
        files = [sound.mail.parent / str(i) for i in range(40)]
        with contextlib.suppress(OSError):
            for f in files:
                f.write_text("")
        sound.tells("disk-inodes", "--inodes")
        for f in files:
            f.unlink(missing_ok=True)
        assert sound.findings() == []


def test_a_file_system_of_new_alone(sound):
    mount("tmpfs", sound.mail / "new", "tmpfs", data=f"mode=700,uid={UID},gid={UID},size=1m")
    try:
        full = sound.mail / "new/.full"
        full.write_bytes(bytes((1 << 20) - 8192))
        sound.tells("disk-room", f"du -x {sound.mail}/new shows")
        full.unlink()
        subprocess.run(["mount", "-o", "remount,ro", sound.mail / "new"], check=True)
        sound.tells("disk-read-only", "Maildir/new")
    finally:
        unmount(sound.mail / "new")


@pytest.mark.parametrize("inodes, is_full", [(10**9, False), (65536, True)])
def test_a_number_of_inodes_that_a_program_made_up(sound, inodes, is_full):
    """rclone mount has 10^9, and as many in use."""
    told = struct.pack("=7q", 0x65735546, 4096, 1000, 900, 900, inodes, 0)
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null",
         "-e", f"inject=statfs:poke_exit=@arg2={told.hex()}",
         private_brim.BIN / "brimadm", "-c", sound.conf, "check", ADDRESS],
        capture_output=True, text=True, timeout=60)
    assert ("disk-inodes" in done.stdout) == is_full, done


# quotad, users, accounts


def test_quotad_is_down(sound):
    sound.brim.stop_quotad()
    sound.repairs("quotad-down")


def test_quotad_does_not_answer(sound):
    quotad = sound.brim.quotad
    quotad.send_signal(signal.SIGSTOP)
    try:
        found = sound.findings()
    finally:
        quotad.send_signal(signal.SIGCONT)
    assert [f["check"] for f in found] == ["quotad-down"]
    assert f"kill -KILL {quotad.pid} && " in found[0]["mend"]


def test_a_stranger_listens(sound):
    sound.brim.stop_quotad()
    sound.brim.socket.unlink(missing_ok=True)
    sound.brim.socket.parent.chmod(0o777)
    stranger = subprocess.Popen(
        ["socat", f"UNIX-LISTEN:{sound.brim.socket},fork,mode=666", "SYSTEM:cat"],
        user=UID, group=UID, extra_groups=[], stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + PATIENCE
        while not sound.brim.socket.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        sound.repairs("quotad-stranger")
    finally:
        stranger.kill()
        stranger.wait()


@contextlib.contextmanager
def without_capabilities(brim, mail):
    """quotad is started anew as its user, whose its directories are, as in a container."""
    daemon = pwd.getpwnam(DAEMON_USER)
    prefix = ["setpriv", f"--reuid={daemon.pw_uid}", f"--regid={daemon.pw_gid}",
              "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    brim.stop_quotad()
    for folder in (brim.socket.parent, brim.usage_dir):
        for path in (folder, *folder.iterdir()):
            os.chown(path, daemon.pw_uid, daemon.pw_gid)
    for folder in (mail, *mail.iterdir()):
        folder.chmod(0o700)
    brim.start_quotad(prefix=prefix)
    yield


def test_quotad_can_not_read_what_belongs_to_others(sound):
    with without_capabilities(sound.brim, sound.mail):
        assert "* read_search=0" in sound.brim.ask("STATS")
        sound.tells("scan-as", "may not read it", "without CAP_DAC_READ_SEARCH", "CAP_SETUID")
        assert sound.findings()[0]["subject"] == ADDRESS
        for folder in (sound.mail, *sound.mail.iterdir()):
            folder.chmod(0o755)
        assert sound.findings() == []  # everybody may
    sound.mail.chmod(0o700)
    sound.brim.stop_quotad()
    sound.brim.start_quotad()
    assert "* read_search=1" in sound.brim.ask("STATS")
    assert sound.findings() == []


def test_quotad_has_another_table(sound):
    other = sound.brim.users_db.with_name("other.db")
    shutil.copy(sound.brim.users_db, other)
    sound.brim.configure(users_db=other)
    sound.repairs("quotad-table")


def test_a_socket_out_of_reach(sound):
    sound.brim.socket.parent.chmod(0o750)
    sound.repairs("socket-reach")


def test_a_socket_that_others_can_not_write_to(sound):
    sound.brim.socket.chmod(0o600)
    sound.repairs("socket-reach")


def test_a_daemon_user_that_does_not_exist(sound):
    sound.brim.configure(daemon_user="brimtest")
    found = sound.findings()
    assert "daemon-user" in {f["check"] for f in found}
    done = sound.run(next(f["mend"] for f in found if f["check"] == "daemon-user"))
    assert done.returncode == 0, done
    assert "daemon-user" not in sound.names()


def test_a_usage_store_of_another_owner(sound):
    os.chown(sound.brim.usage_dir, 0, 0)
    sound.repairs("usage-owner")


@pytest.mark.parametrize("name, meant", [
    ("@host.test", "host.test"), (".host.test", "host.test"), ("host.test.", "host.test"),
    ('"host.test"', "host.test"), ("*", None), ("$mydomain", None), ("hash:/etc/domains", None),
    ("/etc/domains", None), ("host..test", None), ("bob@host.test", None), ("a;host.test", None)])
def test_a_local_domain_that_is_none(sound, name, meant):
    sound.brim.configure(local_domains=f"b.test, mü.test {name}")
    if meant:
        sound.repairs("local-domain")
        assert f"local_domains = b.test m%C3%BC.test {meant}\n" in sound.conf.read_text()
    else:
        sound.tells("local-domain", "no domain", "Write the domains")


def test_local_domains_of_all_forms(sound):
    sound.brim.configure(local_domains="host.test, HOST.test,localhost  münchen.test xn--mnchen-3ya.test "
                         "[192.0.2.1] [IPv6:2001:db8::1] 192.0.2.1 a_b.test host")
    assert sound.findings() == []


def test_a_trusted_user_that_does_not_exist(sound):
    sound.brim.configure(trusted_users="mail vmale, news")
    sound.repairs("trusted-user")
    assert "trusted_users = mail news\n" in sound.conf.read_text()


@pytest.mark.parametrize("text, mode, owner", [
    ("@bad.test\n<>\n  example.org # none\n", 0o644, 0),
    ("@bad.test\n", 0o666, 0),
    ("@bad.test\n", 0o644, UID),
    ("@bad.test\n", 0o640, 0),
], ids=["lines", "for all to write", "a user's", "for root alone"])
def test_a_list_of_blocked_senders_with_a_fault(sound, text, mode, owner):
    path = sound.brim.folder / "the blocked"
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, owner, 0)
    sound.brim.configure(blocked_senders=path)
    if "<>" in text:
        assert "line 2: the null sender" in sound.findings()[0]["what"]
        sound.run(sound.findings()[0]["mend"])
    sound.repairs("blocked-senders")
    assert "\n@bad.test\n" in "\n" + path.read_text()


def test_a_list_of_blocked_senders_that_has_own_ones(sound):
    path = sound.brim.folder / "blocked"
    sound.brim.configure(blocked_senders=path, local_domains="Host.Test")
    sound.brim.load("@other.test")
    for line, named in ((f"{ADDRESS.upper()}", ADDRESS), (".org", "@example.org"),
                        ("@host.test", "@Host.Test"), ("@OTHER.test\nx@example.org", "@other.test")):
        path.write_text(f"spam@sender.test\n{line}\n")
        sound.tells("blocked-own", f"of this host: {named}", str(path))
    path.write_text("x@example.org\n.sub.example.org\n@sender.test\n")
    assert sound.findings() == []


def test_a_list_of_blocked_senders_that_is_not_there_or_behind_a_closed_door(sound):
    folder = sound.brim.folder / "closed"
    sound.brim.configure(blocked_senders=folder / "list")
    sound.tells("blocked-senders", "No such file", "take blocked_senders out of")
    folder.mkdir(mode=0o700)
    (folder / "list").write_text("@bad.test\n")
    sound.tells("blocked-senders", "daemon, whom quotad runs as", "search the directories")


def test_a_trusted_user_that_does_not_exist_in_a_line_that_continues(sound):
    text = sound.conf.read_text()
    lines = "trusted_users =\n  # ours\n  mail,\n\n  vmale\n\tnews\nquota = 0\n"
    sound.conf.write_text(text + lines)
    sound.repairs("trusted-user")
    assert sound.conf.read_text() == (
        f"{text}trusted_users = mail news\n  # ours\n\nquota = 0\n")


def test_an_account_without_a_record(sound):
    home = sound.brim.home / "carol"
    uid = sound.host.add_user("carol", home=home)
    sound.brim.make_maildir(home / "Maildir", uid, uid)
    sound.repairs("accounts")


# Postfix

MASTER = """\
pickup unix n - n 60 1 pickup
local unix - n n - - local
"""
PIPE = ("brim unix - n n - 20 pipe flags=DRX user={user} null_sender= "
        "argv={lda} -d ${{recipient}} -f ${{sender}}\n")


class WithPostfix(Sound):
    """The same with a Postfix that delivers by mailbox_command, and by pipe if it is told."""

    def __enter__(self):
        super().__enter__()
        try:
            self.home = self.brim.home / "bob"
            uid = self.host.add_user("bob", home=self.home)
            self.brim.mailbox("bob", uid=uid, mail=self.home / "Maildir")
            self.lda = self.host.folder / "lda"
            shutil.copy(private_brim.BIN / "lda", self.lda)
            self.lda.chmod(0o755)
            self.etc = pathlib.Path("/etc/postfix")
            self.spool = self.host.folder / "spool"
            self.spool.mkdir()
            self.write_main()
            (self.etc / "master.cf").write_text(MASTER)
            pathlib.Path("/etc/aliases").write_text("postmaster: root\nroot: bob\n")
            assert self.run("newaliases").returncode == 0
        except BaseException:
            self.__exit__()
            raise
        return self

    def write_main(self, *lines):
        main = self.etc / "main.cf"
        write_settings(main, "".join(f"{line}\n" for line in (
            "compatibility_level = 3.6", "myhostname = host.test", "mydestination = host.test",
            f"queue_directory = {self.spool}", "alias_maps = hash:/etc/aliases",
            "alias_database = hash:/etc/aliases", f"mailbox_command = {self.lda}",
            "mailbox_size_limit = 0", "delay_warning_time = 4h", *lines)))
        main.chmod(0o644)

    def add_pipe(self, user="news", lda=None):
        """Its user news is made the owner of the virtual mailbox."""
        for path, columns in (("/etc/passwd", "x:{0}:{0}:"), ("/etc/group", "x:{0}:")):
            text = pathlib.Path(path).read_text()
            pathlib.Path(path).write_text(re.sub(
                r"^news:x:" + r"\d+:" * (columns.count(":") - 1),
                "news:" + columns.format(UID), text, flags=re.M))
        with open(self.etc / "master.cf", "a") as f:
            f.write(PIPE.format(user=user, lda=lda or self.lda))
        self.brim.configure(trusted_users="news mail")

    def run(self, command):
        done = super().run(command)
        set_back(self.etc / "main.cf")
        return done


@pytest.fixture
def postfix():
    with WithPostfix() as s:
        yield s


def test_a_sound_postfix(postfix):
    assert postfix.findings() == []
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    assert postfix.findings() == []


def test_a_postfix_without_brim_is_left_alone(postfix):
    postfix.write_main("mailbox_command =", "mailbox_size_limit = 51200000",
                       "delay_warning_time = 0", "local_recipient_maps =")
    assert postfix.findings() == []


@pytest.mark.parametrize("name, line", [
    ("postfix-file-limit", "mailbox_size_limit = 51200000"),
    ("postfix-time-limit", "command_time_limit = 300s"),
    ("postfix-time-limit", "command_time_limit = 2m"),
    ("postfix-queue-lifetime", "maximal_queue_lifetime = 1d"),
    ("postfix-queue-lifetime", "maximal_queue_lifetime = 3"),
    ("postfix-delay-warning", "delay_warning_time = 0"),
    ("postfix-delay-warning", "delay_warning_time = 0h"),
    ("postfix-delay-warning", "delay_warning_time = 10d"),
    ("postfix-local-recipients", "local_recipient_maps ="),
])
def test_a_setting_of_postfix(postfix, name, line):
    postfix.write_main(line)
    postfix.repairs(name)


def test_unknown_names_that_somebody_takes(postfix):
    for taker in ("luser_relay = all@host.test", "fallback_transport = smtp:old.host.test"):
        postfix.write_main("local_recipient_maps =", taker)
        assert "postfix-local-recipients" not in postfix.names(), taker


@pytest.mark.parametrize("form", ['{lda} -d "$USER"', "exec {lda}", "{lda} ; true",
                                  "{lda} -f $SENDER"])
def test_a_command_that_needs_a_shell(postfix, form):
    postfix.write_main("mailbox_command = " + form.format(lda=postfix.lda))
    if form == "exec {lda}":
        assert postfix.findings() == []  # no byte of it needs one
    else:
        postfix.repairs("postfix-shell")


def test_settings_that_postconf_can_not_read(postfix):
    write_settings(postfix.etc / "main.cf", "mailbox_command = /x/lda\nnonsense\n")
    postfix.tells("postfix", "postfix(1)")


@pytest.mark.parametrize("over_quota", ["defer", "bounce"])
def test_a_queue_that_keeps_nothing(postfix, over_quota):
    postfix.brim.configure(over_quota=over_quota)
    postfix.write_main("maximal_queue_lifetime = 1h", "bounce_queue_lifetime = 1h")
    postfix.repairs("postfix-queue-short")


# mail that waits for room


@pytest.fixture
def waiting(postfix):
    postfix.release = postfix.brim.folder / "run/release.sock"
    postfix.brim.configure(release_socket=postfix.release)
    postfix.brim.admin("set", ADDRESS, "smtp_full=wait")
    return postfix


def test_nobody_releases_what_waits(waiting):
    waiting.repairs("release-down")
    waiting.brim.configure(release_socket=waiting.release.with_name("other"))
    waiting.brim.admin("set", ADDRESS, "smtp_full=refuse")
    assert waiting.findings() == []
    waiting.brim.configure(smtp_full="wait")
    assert waiting.names() == ["release-down"]


def test_a_release_without_a_postqueue(waiting):
    program = waiting.host.folder / "postqueue"
    subprocess.Popen([waiting.programs / "brim-release", "-c", waiting.conf, "-u", "games",
                      "-p", program], stderr=subprocess.DEVNULL)
    limit = time.monotonic() + PATIENCE
    while waiting.names() == ["release-down"] and time.monotonic() < limit:
        time.sleep(0.05)
    waiting.tells("release-postqueue", "No such file", "-p /usr/sbin/postqueue")
    shutil.copy("/usr/sbin/postqueue", program)
    assert waiting.findings() == []


def test_an_over_quota_of_one_mailbox_that_is_too_long(postfix):
    assert postfix.run("postconf -e bounce_queue_lifetime=3w").returncode == 0
    postfix.brim.admin("set", ADDRESS, "over_quota=20d")
    postfix.repairs("postfix-queue-lifetime")


def test_an_over_quota_that_no_queue_is_kept_for(postfix):
    postfix.brim.admin("set", ADDRESS, "over_quota=120d")
    postfix.tells("postfix-queue-lifetime", "100d")


def test_a_larger_message_than_brim_takes(postfix):
    postfix.brim.configure(message_size_limit="1M")
    postfix.repairs("postfix-message-size")


def test_root_has_no_alias(postfix):
    pathlib.Path("/etc/aliases").write_text("postmaster: bob\n")
    assert postfix.run("newaliases").returncode == 0
    postfix.repairs("root-mail")
    done = postfix.run("postalias -q root hash:/etc/aliases")
    assert done.stdout == "bob\n", done


def test_aliases_that_were_not_compiled(postfix):
    later = time.time() + 10
    os.utime("/etc/aliases", (later, later))
    assert postfix.names() == ["aliases-old"]
    now = time.time() - 5
    os.utime("/etc/aliases", (now, now))
    os.utime("/etc/aliases.db", (now - 60, now - 60))
    postfix.repairs("aliases-old")


def test_an_lda_that_is_not_there(postfix):
    postfix.write_main("mailbox_command = /nonexistent/lda")
    postfix.tells("lda-path", "Install lda")


def test_an_lda_that_others_can_not_run(postfix):
    postfix.lda.chmod(0o700)
    postfix.repairs("lda-path")


def test_an_lda_out_of_reach(postfix):
    folder = postfix.host.folder / "closed"
    folder.mkdir(mode=0o700)
    shutil.copy(postfix.lda, folder / "lda")
    postfix.write_main(f"mailbox_command = {folder}/lda")
    postfix.repairs("lda-path")


def test_a_pipe_for_many_recipients(postfix):
    postfix.add_pipe()
    postfix.repairs("pipe-recipients")


def test_a_time_limit_of_the_pipe(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1", "brim_time_limit = 60s")
    postfix.repairs("postfix-time-limit")


def test_a_user_of_the_pipe_that_does_not_exist(postfix):
    postfix.add_pipe(user="vmale")
    postfix.write_main("brim_destination_recipient_limit = 1")
    found = postfix.findings()
    assert [f["check"] for f in found] == ["pipe-user"]
    assert postfix.run(found[0]["mend"]).returncode == 0
    assert postfix.names() == ["pipe-trust"]


def test_a_user_of_the_pipe_that_is_not_trusted(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    postfix.brim.configure(trusted_users="mail")
    postfix.repairs("pipe-trust")
    assert "trusted_users = mail news\n" in postfix.conf.read_text()
    postfix.brim.configure(trusted_users=None)
    postfix.repairs("pipe-trust")
    assert "trusted_users = news\n" in postfix.conf.read_text()


def test_a_pipe_whose_user_owns_another_mailbox(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1", "virtual_transport = brim:x",
                       "virtual_mailbox_domains = example.org")
    assert postfix.findings() == []
    postfix.brim.mailbox("eve@example.org", uid=UID + 1)
    postfix.tells("pipe-owner", "1 mailbox", f"uid {UID}:", "eve@example.org has uid")
    postfix.brim.admin("disable", "eve@example.org")
    assert postfix.findings() == []


def test_a_pipe_whose_user_pipe_does_not_take(postfix):
    postfix.brim.configure(trusted_users="postfix")
    for user in ("root", "postfix:mail"):
        (postfix.etc / "master.cf").write_text(MASTER + PIPE.format(user=user, lda=postfix.lda))
        postfix.write_main("brim_destination_recipient_limit = 1")
        found = [f for f in postfix.findings() if f["check"] != "lda-path"]
        assert [f["check"] for f in found] == ["pipe-user"] and found[0]["mend"].endswith("."), found


def test_a_pipe_whose_user_or_group_is_not_there(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    for user in ("user=news:news ", "user=news:mail ", "user=news: "):
        master.write_text(sound.replace("user=news ", user))
        assert postfix.findings() == [], user
    for user, word in (("user=news:nogroups ", "nogroups"), ("user=news:root ", "group of root"),
                       ("user=news:postfix ", "mail_owner"), ("", "no user=")):
        master.write_text(sound.replace("user=news ", user))
        postfix.tells("pipe-user", word)


def test_an_account_with_another_uid_than_its_record(postfix):
    postfix.brim.admin("set", "bob", "uid=30001", "gid=30001")
    for path in (postfix.home, postfix.home / "Maildir", *(postfix.home / "Maildir").iterdir()):
        os.chown(path, 30001, 30001)
    (found,) = postfix.findings()
    assert found["check"] == "account-owner" and "uid 30001" in found["what"]
    assert postfix.run(found["mend"]).returncode == 0
    assert "mailbox-owner" in postfix.names()


@pytest.mark.parametrize("name", ["ev<e", "a@b@c", "x" * 400, "e\x01ve"])
def test_an_account_whose_name_is_no_address(postfix, name):
    with open("/etc/passwd", "a") as f:
        f.write(f"{name}:x:31000:31000::/nonexistent:/bin/sh\n")
    assert set(postfix.names()) <= {"accounts"}


def test_limits_and_columns_of_a_service_alone(postfix):
    master = postfix.etc / "master.cf"
    postfix.add_pipe()
    pipe = master.read_text().splitlines()[-1]
    postfix.write_main()
    master.write_text(f"{MASTER}{pipe}\nqmgr unix n - n 300 1 qmgr -o brim_destination_recipient_limit=1\n")
    assert postfix.findings() == []
    sound = master.read_text()
    for name, old, new in (
            ("postfix-time-limit", "pipe flags", "pipe -o command_time_limit=60s flags"),
            ("postfix-time-limit", "pipe flags", "pipe -o brim_time_limit=1m flags"),
            ("postfix-time-limit", "- - local", "- - local -o command_time_limit=10"),
            ("pipe-columns", "brim unix - n n", "brim unix - n y"),
            ("pipe-columns", "brim unix - n n", "brim unix - - n"),
            ("pipe-columns", "local unix - n n", "local unix - n y")):
        master.write_text(sound.replace(old, new))
        postfix.repairs(name)


# settings that Postfix and Brim both have: each way in which Postfix can say them


def only(postfix, name, subject=None):
    """One thing is found, and it is this."""
    found = [(f["check"], f["subject"]) for f in postfix.findings()]
    assert [f[0] for f in found] == [name] and subject in (None, found[0][1]), found


def test_a_delimiter_that_brim_does_not_have(postfix):
    master = postfix.etc / "master.cf"
    for lines, services, wanted in (
            (["recipient_delimiter =", "  +-"], "", "+-"),
            (["dash = -", "recipient_delimiter = ${dash}"], "", "-"),
            ([], "other unix - n n - - local -o { recipient_delimiter = = }\n", "="),
            (["recipient_delimiter = +"],
             "other unix - n n - - local\n  -o recipient_delimiter=-\n", "+-")):
        postfix.write_main(*lines)
        master.write_text(MASTER + services)
        (found,) = postfix.findings()
        assert found["check"] == "postfix-delimiter" and f"is {wanted}," in found["what"]
    postfix.repairs("postfix-delimiter")
    assert "recipient_delimiter = +-\n" in postfix.conf.read_text()


def test_delimiters_that_cut_names(postfix):
    """brim.conf would refuse them, so they are no repair of it."""
    postfix.write_main("recipient_delimiter = none")
    (found,) = postfix.findings()
    assert found["check"] == "postfix-delimiter" and "cut names" in found["what"]
    postfix.repairs("postfix-delimiter")
    assert "recipient_delimiter" not in postfix.conf.read_text()


def test_delimiters_that_are_the_same(postfix):
    postfix.brim.configure(recipient_delimiter="+-")
    for line in ("recipient_delimiter = -+", "recipient_delimiter ="):
        postfix.write_main(line)
        assert postfix.findings() == []


def test_accounts_whose_names_postfix_cuts(postfix):
    for name in ("mary-ann", "ann-request", "owner-x", "-y", "ann-lee"):
        postfix.brim.mailbox(name, uid=UID, mail=postfix.home / name)
    postfix.brim.mailbox("jo-e@example.org", uid=UID)  # virtual: found as it stands
    postfix.brim.configure(recipient_delimiter="+-")
    postfix.write_main("recipient_delimiter = +")
    assert "postfix-name-cut" not in postfix.names()
    postfix.write_main("recipient_delimiter = +-")
    (found,) = [f for f in postfix.findings() if f["check"] == "postfix-name-cut"]
    assert found["subject"] == "local" and "2 mailboxes" in found["what"]
    assert found["what"].endswith(": ann-lee") and "recipient_delimiter" in found["mend"]
    with open("/etc/aliases", "a") as f:
        f.write("ann-lee: bob\nMary-Ann: bob\n")
    assert postfix.run("newaliases").returncode == 0
    assert "postfix-name-cut" not in postfix.names()


@pytest.mark.parametrize("option, cuts", [
    ("${user}@${domain}", True), ("$(user)@$(domain)", True), ("$user@$domain", True),
    ("${recipient}", False), ("${mailbox}@${domain}", False)])
def test_addresses_that_a_pipe_cuts(postfix, option, cuts):
    postfix.add_pipe()
    master = postfix.etc / "master.cf"
    assert "-d ${recipient}" in master.read_text()
    master.write_text(master.read_text().replace("-d ${recipient}", f"-d {option}"))
    postfix.brim.mailbox("jo-e@example.org", uid=UID)
    postfix.brim.configure(recipient_delimiter="-")
    postfix.write_main("brim_destination_recipient_limit = 1", "recipient_delimiter = -",
                       "virtual_mailbox_domains = example.org", "virtual_transport = brim")
    found = [f for f in postfix.findings() if f["check"] == "postfix-name-cut"]
    assert [f["subject"] for f in found] == ["brim"] * cuts
    assert all("jo-e@example.org" in f["what"] for f in found)


@pytest.fixture
def lists(postfix):
    """Files and tables that name b.test."""
    postfix.list = postfix.etc / "domains"
    postfix.list.write_text("# ours\nhost.test\n b.test,\n")
    (postfix.etc / "table").write_text("host.test x\nb.test x\nbob@c.test x\n")
    (postfix.etc / "plain").write_text("/^(host|b)\\.test$/ ok\n/^d[0-9]\\.test$/ ok\n")
    assert postfix.run("postmap hash:/etc/postfix/table").returncode == 0
    return postfix


NAMES = ["host.test, b.test", "host.test\n  b.test", "$mydomain $myhostname",
         "/etc/postfix/domains", "hash:/etc/postfix/table", "proxy:hash:/etc/postfix/table",
         "texthash:/etc/postfix/table", "regexp:/etc/postfix/plain",
         "inline:{ {host.test = x}, {b.test = x} }",
         "unionmap:{texthash:/etc/postfix/table, inline:{b.test=x}}",
         "pipemap:{unionmap:{hash:/etc/postfix/table}, inline:{x=y, ok=z}}",
         "!/etc/postfix/none !c.test b.test host.test"]


def test_a_domain_of_this_host_that_brim_does_not_know(lists):
    (lists.etc / "none").write_text("c.test\n")
    for value in NAMES:
        lists.write_main("mydomain = b.test", f"mydestination = {value}")
        only(lists, "postfix-domain", "b.test")
    lists.repairs("postfix-domain")
    assert "local_domains = host.test b.test\n" in lists.conf.read_text()


def test_an_address_outside_that_is_this_hosts(postfix):
    postfix.write_main("proxy_interfaces = 203.0.113.9, 2001:db8::9")
    assert {f["subject"] for f in postfix.findings()} == {"[203.0.113.9]", "[IPv6:2001:db8::9]"}
    postfix.repairs("postfix-domain")


def test_what_is_this_hosts_in_any_case_need_not_be_named(postfix):
    host = socket.gethostname()
    pathlib.Path("/etc/hosts").write_text(f"127.0.1.1 {host}.full.test {host}\n")
    postfix.write_main(f"mydestination = host.test {host} {host}.full.test localhost "
                       "[127.0.0.1] !other.test")
    assert postfix.findings() == []


def test_a_domain_of_a_transport_that_the_table_does_not_have(lists):
    lists.add_pipe()
    (lists.etc / "none").write_text("c.test\n")
    brim = ["brim_destination_recipient_limit = 1", "virtual_transport = brim:", "mydomain = b.test"]
    lines = [f"virtual_mailbox_domains = example.org {value}" for value in NAMES[1::3]] + [
        "virtual_mailbox_maps = hash:/etc/postfix/table inline:{{example.org=x},{@example.org=x}}",
        "transport_maps = inline:{ {b.test = brim:}, {example.org = brim} }",
        "transport_maps = inline:{ {x@b.test = brim:}, {example.org = brim} }",
        "relay_transport = brim\nrelay_domains = b.test example.org"]
    for line in lines:
        lists.write_main(*brim, line)
        only(lists, "postfix-domain", "b.test")
    lists.brim.load("@b.test")
    assert lists.findings() == []


@pytest.fixture
def listing(postfix):
    """Lists of recipients that must have the same addresses as the user table."""
    postfix.add_pipe()
    postfix.brim.load("sales@example.org alias=alice@example.org",
                      f"gone@example.org uid={UID} gid={UID} mail=/gone/ state=disabled")

    def write(*maps):
        postfix.write_main("brim_destination_recipient_limit = 1", "virtual_transport = brim",
                           "virtual_mailbox_domains = example.org", *maps)

    postfix.write = write
    return postfix


BOTH = "{alice@example.org=x}, {sales@example.org=x}"


@pytest.mark.parametrize("maps", [
    [], ["virtual_mailbox_maps ="], ["virtual_mailbox_maps = static:x"],
    [f"virtual_mailbox_maps = inline:{{ {BOTH} }}"],
    [f"virtual_mailbox_maps = inline:{{ {BOTH}, {{eve@other.test=x}} }}"],
    ["virtual_mailbox_maps = inline:{@example.org=x}"],
    ["virtual_mailbox_maps = regexp:{ {/^(ALICE|sales)@/ x} }"],
    ["virtual_mailbox_maps = inline:{alice@example.org=x}",
     "virtual_alias_maps = inline:{sales@example.org=alice@example.org}"],
    [f"virtual_mailbox_maps = inline:{{ {BOTH}, {{eve@example.org=x}} }}",
     "transport_maps = inline:{eve@example.org=lmtp:unix:x}"],
    ["virtual_mailbox_maps = inline:{a@b.test=x}", "smtpd_reject_unlisted_recipient = no"],
    ["virtual_mailbox_maps = inline:{a@b.test=x}, texthash:/nonexistent"],
])
def test_recipients_that_both_know(listing, maps):
    listing.write(*maps)
    assert listing.findings() == []


def test_a_recipient_that_postfix_does_not_have(listing):
    """It refuses valid mail."""
    for maps, word in (("inline:{sales@example.org=x}", "1 address of the user table is not in it: alice@"),
                       ("texthash:/etc/postfix/table", "2 addresses of the user table are not")):
        (listing.etc / "table").write_text("bob@b.test x\n")
        listing.write(f"virtual_mailbox_maps = {maps}")
        listing.tells("postfix-recipient-unlisted", "--apply maps")
        assert word in listing.findings()[0]["what"]
    listing.brim.admin("set", "@example.org", f"catchall={ADDRESS}")
    listing.write(f"virtual_mailbox_maps = inline:{{ {BOTH} }}")
    assert listing.findings()[0]["what"].endswith("not in it: @example.org")
    for more in ("{@example.org=x}", "{@x.test=y}} regexp:{{/@example.org$$/ x}"):
        listing.write(f"virtual_mailbox_maps = inline:{{ {BOTH}, {more} }}")
        assert listing.findings() == []
    listing.brim.admin("set", "@example.org", "catchall=")
    listing.brim.configure(recipient_delimiter="-")
    listing.brim.load("@a-b.test", f"bob@a-b.test alias={ADDRESS}",
                      f"a-b@example.org alias={ADDRESS}")
    listing.write("recipient_delimiter = -", "virtual_mailbox_domains = example.org a-b.test",
                  f"virtual_mailbox_maps = inline:{{ {BOTH}, {{a@example.org=x}} }}")
    assert "1 address of the user table is not in it: bob@" in listing.findings()[0]["what"]
    listing.brim.admin("remove", "bob@a-b.test")
    listing.write("recipient_delimiter = -", "virtual_mailbox_domains =", "relay_domains = example.org",
                  "relay_transport = brim", "relay_recipient_maps = inline:{a@example.org=x}")
    assert set(listing.names()) == {"postfix-recipient-unlisted", "postfix-recipient-nobody"}


def test_a_recipient_that_postfix_alone_has(listing):
    """It accepts mail that bounces."""
    listing.write(f"virtual_mailbox_maps = inline:{{ {BOTH}, {{eve@example.org=x}} }}")
    listing.tells("postfix-recipient-nobody", "add eve@example.org")
    for maps in ("virtual_alias_maps = inline:{ {x@b.test = alice@example.org, eve@example.org} }",
                 "alias_maps = hash:/etc/aliases inline:{ {team = root, eve+x@example.org} }"):
        listing.write(maps)
        listing.tells("postfix-recipient-nobody", "1 target is not")
        listing.write(maps, "transport_maps = inline:{ {eve@example.org=lmtp:unix:x}, "
                      "{eve+x@example.org=lmtp:unix:x} }")
        assert listing.findings() == []
    for line in ("recipient_canonical_maps = inline:{x@b.test=eve@example.org}",
                 "recipient_bcc_maps = inline:{alice@example.org=eve@example.org}",
                 "sender_bcc_maps = inline:{@b.test=eve@example.org}",
                 "always_bcc = eve@example.org"):
        listing.write(line)
        assert [f["subject"] for f in listing.findings()] == [line.split(" = ")[0]]
        listing.tells("postfix-recipient-nobody", "1 target is not")
        listing.write(line, "virtual_alias_maps = inline:{eve@example.org=alice@example.org}")
        assert listing.findings() == []
    listing.write("virtual_alias_maps = inline:{ {x@b.test = eve@example.org}, "
                  "{eve@example.org=alice+y@example.org bob@c.test} }")
    assert listing.findings() == []
    listing.write("virtual_mailbox_maps = inline:{eve@example.org=x} static:x")
    assert listing.names() == ["postfix-recipient-nobody"]
    listing.brim.admin("set", "@example.org", f"catchall={ADDRESS}")
    assert listing.findings() == []


def test_a_domain_that_goes_elsewhere(postfix):
    postfix.add_pipe()
    brim = ["brim_destination_recipient_limit = 1", "virtual_transport = brim",
            "virtual_mailbox_domains = example.org other.test"]
    postfix.brim.load("@other.test")
    postfix.write_main(*brim)
    assert postfix.findings() == []
    for lines in (["virtual_alias_domains = example.org"],
                  ["virtual_mailbox_domains = other.test"],
                  ["transport_maps = inline:{example.org=lmtp:unix:private/x}"],
                  ["virtual_mailbox_domains = example.org", "virtual_transport = virtual"],
                  ["virtual_mailbox_domains = other.test", "relay_domains = example.org"]):
        postfix.write_main(*brim, *lines)
        postfix.tells("postfix-domain-elsewhere", "Let Postfix hand it to lda")
        assert [f["subject"] for f in postfix.findings()] == ["example.org"]
    postfix.brim.configure(local_domains="host.test gone.test")
    postfix.write_main(*brim)
    postfix.tells("postfix-domain-elsewhere", "Add it to mydestination")


@pytest.mark.parametrize("keys, subjects", [
    ("{*=smtp:[x.test]}", ["a.example.org", "example.org", "host.test"]),
    ("{example.org=:},{*=smtp:[x.test]}", ["a.example.org", "host.test"]),
    ("{.example.org=:},{example.org=brim},{host.test=:},{*=smtp:[x.test]}", []),
    ("{.example.org=smtp:[x.test]}", ["a.example.org"]),
    ("{.org=smtp:[x.test]},{.example.org=brim:}", ["example.org"]),
    ("{*=brim:},{host.test=local:}", []),
    ("{host.test=mailman:}", []),  # it is named: a choice
])
def test_patterns_in_transport_maps(postfix, keys, subjects):
    postfix.add_pipe()
    postfix.brim.mailbox("eve@a.example.org", uid=UID)
    postfix.write_main(
        "brim_destination_recipient_limit = 1", f"transport_maps = inline:{{ {keys} }}",
        "virtual_mailbox_domains = example.org a.example.org", "virtual_transport = brim")
    found = postfix.findings()
    assert {f["check"] for f in found} <= {"postfix-domain-elsewhere"}
    assert sorted(f["subject"] for f in found) == subjects
    assert all("transport_maps" in f["what"] for f in found)


def test_a_parent_in_transport_maps_may_stand_for_all_below_it(postfix):
    postfix.add_pipe()
    postfix.brim.mailbox("eve@a.example.org", uid=UID)
    lines = ("brim_destination_recipient_limit = 1", "virtual_transport = virtual",
             "virtual_mailbox_domains = example.org a.example.org",
             "transport_maps = inline:{ {example.org=brim:} }")
    postfix.write_main(*lines, "parent_domain_matches_subdomains = relay_domains, transport_maps")
    assert postfix.findings() == []
    postfix.write_main(*lines)
    assert [f["subject"] for f in postfix.findings()] == ["a.example.org"]


def test_another_instance_was_not_looked_at(postfix):
    other = postfix.host.folder / "postfix-in"
    none = postfix.host.folder / "none"
    other.mkdir()
    write_settings(other / "main.cf", "compatibility_level = 3.6\nmyhostname = in.test\n"
                   f"mydestination =\nqueue_directory = {postfix.spool}\n")
    (other / "master.cf").write_text(MASTER)

    def notes():
        done = postfix.check("--json")
        assert done.returncode == 0, done
        found = json.loads(done.stdout)
        assert {(f["check"], f["severity"], f["subject"]) for f in found} <= {
            ("postfix-instance", "note", str(other))}
        return [f["what"] for f in found]

    both = (f"multi_instance_directories = {other} {none}, /etc/postfix",
            f"alternate_config_directories = {other}")
    postfix.write_main(*both)
    (what,) = notes()
    assert "Postfix /etc/postfix alone" in what and "lda" not in what
    postfix.write_main(*both, "mailbox_command =")  # then none of both is Brim's
    assert notes() == []
    postfix.write_main(both[1], "mailbox_command =")
    for path, text in ((other / "main.cf", f"mailbox_command = {postfix.lda}\n"),
                       (other / "master.cf", PIPE.format(user="news", lda=postfix.lda))):
        before = path.read_text()
        write_settings(path, before + text)
        assert "which runs lda" in notes()[0]
        write_settings(path, before)
    write_settings(other / "main.cf", f"mailbox_command = {postfix.lda}\nmailbox_size_limit = 9\n"
                   f"queue_directory = {postfix.spool}\ncompatibility_level = 3.6\n")
    postfix.brim.configure(local_domains=None)
    (found,) = json.loads(postfix.check("--json").stdout)
    done = postfix.run(found["mend"] + " --json")
    assert "postfix-file-limit" in {f["check"] for f in json.loads(done.stdout)}, done


def test_the_arguments_of_a_pipe(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound, before = master.read_text(), postfix.run("postconf -M").stdout
    for name, old, new in (
            ("pipe-arguments", "-d ${recipient}", ""),
            ("pipe-arguments", "-d ${recipient}", "-d ${user}"),
            ("pipe-arguments", "-d ${recipient}", "-d $mailbox"),
            ("pipe-arguments", "-d ${recipient}", "-d${original_recipient}"),
            ("pipe-arguments", "-d ${recipient}", "-d ${user}@${nexthop}"),
            ("pipe-arguments", "-d ${recipient}", "-d bob@example.org"),
            ("pipe-arguments", "-d ${recipient}", "-d ${recipient} -d ${recipient}"),
            ("pipe-arguments", "-f ${sender}", "-f ${recipient}"),
            ("pipe-arguments", "flags=DRX", "-o x=y flags=DRXq"),
            ("pipe-null-sender", "null_sender= ", ""),
            ("pipe-null-sender", "null_sender= ", "null_sender=nobody ")):
        master.write_text(sound.replace(old, new))
        only(postfix, name, "brim")
    master.write_text(sound.replace("null_sender= ", "").replace("DRX", "qDRX")
                      .replace("-d ${recipient}", "-d\n  $user"))
    found = postfix.findings()
    assert sorted(f["check"] for f in found) == ["pipe-arguments"] * 2 + ["pipe-null-sender"]
    assert postfix.run(found[-1]["mend"]).returncode == 0
    assert postfix.findings() == [] and postfix.run("postconf -M").stdout == before


def test_a_pipe_that_changes_the_message_or_refuses_it(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound, before = master.read_text(), postfix.run("postconf -M").stdout
    for name, new, words in (
            ("pipe-flags", "flags=DRX.", "a dot before"), ("pipe-flags", "flags=DRBX", "empty line"),
            ("pipe-flags", "flags=>DRX", "From"), ("pipe-flags", "flags=DRX FLAGS=B", "empty line"),
            ("pipe-flags", "flags=DRXZ", "flag Z is none"), ("pipe-flags", r"flags=DRX eol=\r\n", "eol="),
            ("pipe-flags", "flags=DRX Eol=", "eol="), ("pipe-flags", "flags=DRX sise=9", "sise=9"),
            ("pipe-flags", "flags=DRX size=10M", "no number"),
            ("pipe-columns", "flags=DRX chroot=/var", "chroot=/var has no /"),
            ("pipe-columns", "flags=DRX directory=/no/where", "directory=/no/where is none"),
            ("pipe-size", "flags=DRX size=10239999", "of 10240000 bytes")):
        master.write_text(sound.replace("flags=DRX", new))
        only(postfix, name, "brim")
        (found,) = postfix.findings()
        assert words in found["what"], found
        assert postfix.run(found["mend"]).returncode == 0
        assert postfix.findings() == [] and postfix.run("postconf -M").stdout == before
    master.write_text(sound.replace("flags=DRX", r"flags=Dq.B size=1 flags=RX eol=\r\n"))
    found = postfix.findings()
    assert sorted(f["check"] for f in found) == ["pipe-arguments", *["pipe-flags"] * 3, "pipe-size"]
    assert postfix.run(found[0]["mend"]).returncode == 0 and postfix.findings() == []


def test_attributes_of_a_pipe_that_do_no_harm(postfix):
    postfix.add_pipe()
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    for new in ("flags=DRFhuX", "flags=DR", "flags=DORX", r"flags=DRX eol=\n", r"flags=DRX eol=\012",
                "-v -o x=y flags=DRX directory=/", "flags=DRX chroot=/ size=0", "flags=DRX size=10240000"):
        postfix.write_main("brim_destination_recipient_limit = 1")
        master.write_text(sound.replace("flags=DRX", new))
        assert postfix.findings() == [], new


def test_the_limit_of_a_pipe_is_beside_all_that_postfix_and_brim_take(postfix):
    postfix.add_pipe()
    master = postfix.etc / "master.cf"
    master.write_text(master.read_text().replace("flags=DRX", "flags=DRX size=20480000"))
    limit = "brim_destination_recipient_limit = 1"
    postfix.write_main(limit)
    assert postfix.findings() == []
    postfix.write_main(limit, "message_size_limit = 0")
    only(postfix, "pipe-size", "brim")
    with open(master, "a") as f:
        f.write("smtp inet n - n - - smtpd -o message_size_limit=30000000\n")
    postfix.write_main(limit)
    only(postfix, "pipe-size", "brim")
    postfix.brim.configure(message_size_limit="10M")
    assert set(postfix.names()) == {"postfix-message-size"}


def another_conf(postfix, name="other.conf", **changed):
    """A brim.conf like the one that check reads, but for this."""
    path = postfix.host.folder / name
    text = postfix.conf.read_text()
    for setting, value in changed.items():
        text = re.sub(rf"^{setting} = .*$", f"{setting} = {value}", text, flags=re.M)
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_a_pipe_that_reads_other_settings(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound = master.read_text()

    def tell(option, flags="DRX"):
        master.write_text(sound.replace(" -d ${rec", f" {option} -d ${{rec").replace("DRX", flags))

    for path in (postfix.conf, another_conf(postfix, deadline="200s")):
        for option in (f"-c {path}", f"-c{path}", f"-c {{{path}}}"):
            tell(option)
            assert postfix.findings() == [], option
    for change in ({"users_db": "/var/lib/other/users.db"}, {"socket": "/run/other/sock"}):
        for option in ("-c {}", "-c{}"):
            tell(option.format(another_conf(postfix, **change)))
            postfix.repairs("lda-conf-other")
            assert option.format(postfix.conf) in postfix.run("postconf -M").stdout
    tell(f"-c {postfix.host.folder}/none")
    postfix.repairs("lda-conf")
    tell(f"-c {another_conf(postfix, socket='/run/other/sock')}", "DRX.")
    assert set(postfix.names()) == {"lda-conf-other", "pipe-flags"}
    postfix.run(next(f["mend"] for f in postfix.findings() if f["check"] == "pipe-flags"))
    assert postfix.findings() == []
    closed = another_conf(postfix)
    tell(f"-c {closed}")
    closed.chmod(0o600)
    postfix.repairs("lda-conf")
    assert str(closed) in master.read_text() and closed.stat().st_mode & 0o777 == 0o644
    folder = postfix.host.folder / "closed"
    folder.mkdir(mode=0o700)
    tell(f"-c {shutil.copy(closed, folder)}")
    postfix.tells("lda-conf", "Permission denied", "namei -l")
    shutil.chown(folder, UID, UID)
    assert postfix.findings() == []


def test_a_command_that_reads_other_settings(postfix):
    other = another_conf(postfix, users_db="/var/lib/other/users.db")
    for option in (f" -c {other}", f" -c{other}"):
        postfix.write_main(f"mailbox_command = {postfix.lda}{option}")
        postfix.repairs("lda-conf-other")
    postfix.write_main(f"mailbox_command = {postfix.lda} -c {postfix.conf}")
    assert postfix.findings() == []
    other.chmod(0o600)
    postfix.write_main(f"mailbox_command = {postfix.lda} -c {other}")
    assert postfix.names() == ["lda-conf"]
    postfix.write_main(f"mailbox_command_maps = inline:{{{{bob = {postfix.lda} -c {other}x}}}}",
                       "mailbox_command =")
    postfix.tells("lda-conf", f"Take -c {other}x out")


@pytest.mark.parametrize("old, new", [
    ("-d ${recipient}", "-d ${recipient} -e"),
    ("-d ${recipient}", "-d ${recipient} -a ${recipient} -m ${extension}"),
    ("-d ${recipient}", "-d ${recipient} ${user}"),
    ("-d ${recipient}", "${recipient}"),
    ("-f ${sender}", "-f ${sender} -f ${sender}"),
    ("-f ${sender}", "-f ${sender} -c /etc/brim/brim.conf -c /etc/brim/brim.conf"),
    ("-f ${sender}", "-f"),
    ("argv={lda} -d", "ARGV={lda} -m {${extension}} -d"),
])
def test_arguments_of_a_pipe_that_lda_does_not_take(postfix, old, new):
    """As they are left of another program's line: each delivery is 4.3.5."""
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    master.write_text(sound.replace(old.format(lda=postfix.lda) if "argv" in old else old,
                                    new.replace("{lda}", str(postfix.lda))))
    assert sound != master.read_text()
    found = postfix.findings()
    assert "lda-arguments" in [f["check"] for f in found], found
    assert postfix.run(found[-1]["mend"]).returncode == 0
    assert postfix.findings() == []
    line = postfix.run("postconf -M brim/unix").stdout
    assert "-d ${recipient}" in line and not re.search(r" -[em] |user}|extension", line), line


@pytest.mark.parametrize("words, kept", [("-e", ""), ("bob", ""), ("-f -", "-f -"),
                                         ("-a x -c {conf} -m", "-c {conf}")])
def test_arguments_of_the_command_that_lda_does_not_take(postfix, words, kept):
    words, kept = (w.format(conf=postfix.conf) for w in (words, kept))
    postfix.write_main(f"mailbox_command = {postfix.lda} {words}")
    if words == kept:
        assert postfix.findings() == []
        return
    postfix.repairs("lda-arguments")
    assert postfix.run("postconf -h mailbox_command").stdout == f"{postfix.lda} {kept}".strip() + "\n"


def test_arguments_of_the_command_of_a_service_alone(postfix):
    postfix.write_main("mailbox_command =")
    (postfix.etc / "master.cf").write_text(
        MASTER + f"  -o {{ mailbox_command = {postfix.lda} -e }}\n")
    postfix.repairs("lda-arguments")


def test_a_pipe_without_a_user_or_with_names_in_capitals(postfix):
    """pipe(8) takes the names of its attributes in any case, and dies without a user."""
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    shouted = sound
    for name in ("flags", "user", "null_sender", "argv"):
        shouted = shouted.replace(f"{name}=", f"{name.title()}=")
    master.write_text(shouted)
    assert postfix.findings() == []
    for old, new, wanted in (("DRX", "DRXq", "pipe-arguments"), ("DRX", "DRX>", "pipe-flags"),
                             ("Sender=", "Sender=x", "pipe-null-sender"),
                             ("-d ${recipient}", "-d ${user}", "pipe-arguments"),
                             ("User=news", "User=vmale", "pipe-user")):
        master.write_text(shouted.replace(old, new))
        assert postfix.names() == [wanted]
    master.write_text(sound.replace("user=news", ""))
    postfix.tells("pipe-user", "user=")


def test_arguments_of_a_pipe_that_are_right(postfix):
    postfix.add_pipe()
    postfix.write_main("brim_destination_recipient_limit = 1")
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    for value in ("$(recipient)", "$recipient", "${user}@${domain}", "{${recipient}}",
                  "${mailbox}@${domain}"):
        master.write_text(sound.replace("-d ${recipient}", f"\n  -d {value}\n "))
        assert postfix.findings() == []


def test_what_goes_before_the_command(postfix):
    postfix.write_main("mailbox_transport = lmtp:unix:private/x")
    postfix.repairs("postfix-before-command")
    for line in ("mailbox_command_maps = inline:{{bob = /usr/bin/procmail -t}}",
                 "mailbox_transport_maps = static:lmtp:unix:private/x"):
        postfix.write_main(line)
        postfix.tells("postfix-before-command", "bob" if "inline" in line else "root", "not by lda")


def test_a_transport_whose_mail_waits(postfix):
    postfix.add_pipe()
    brim = ["brim_destination_recipient_limit = 1", "virtual_transport = brim",
            "virtual_mailbox_domains = example.org"]
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    for line in ("defer_transports = smtp, brim", "defer_transports = local brim\n smtp"):
        postfix.write_main(*brim, line)
        postfix.repairs("postfix-defer-transports")
        assert postfix.run("postconf -h defer_transports").stdout == "smtp\n"
    master.write_text(sound + "qmgr unix n - n 300 1 qmgr -o defer_transports=smtp,local,x\n")
    postfix.write_main(*brim)
    postfix.repairs("postfix-defer-transports")
    assert postfix.run("postconf -Ph qmgr/unix/defer_transports").stdout == "smtp,x\n"
    master.write_text(sound)
    postfix.write_main(*brim[:1], "defer_transports = smtp brim locally")  # nothing goes to brim
    assert postfix.findings() == []


def test_a_service_that_nobody_starts(postfix):
    postfix.add_pipe()
    brim = ["brim_destination_recipient_limit = 1", "virtual_transport = brim:",
            "virtual_mailbox_domains = example.org"]
    with open(postfix.etc / "master.cf", "a") as f:
        f.write("smtp inet n - n - - smtpd\nbounce unix - - n - 0 bounce\nother unix - - n - 0 smtp\n")
    for value, kept in (("brim/unix", ""), ("other/unix, Brim.unix inet", "other/unix,inet"),
                        ("unix", ""), ("!bounce/unix unix", "!bounce/unix"),
                        ("local/unix !bounce/unix bounce/unix", "!bounce/unix,bounce/unix")):
        postfix.write_main(*brim, f"master_service_disable = {value}")
        postfix.repairs("postfix-service-disabled")
        assert postfix.run("postconf -h master_service_disable").stdout == f"{kept}\n"
    for value in ("inet", "other/unix smtp/inet fifo", "!brim/unix,!local/unix,!bounce/unix unix"):
        postfix.write_main(*brim, f"master_service_disable = {value}")
        assert postfix.findings() == [], value


def test_a_transport_in_the_place_of_local(postfix):
    with open(postfix.etc / "master.cf", "a") as f:
        f.write("error unix - - n - - error\nlmtp unix - - n - - lmtp\nrewrite unix - - n - - "
                "trivial-rewrite\ndiscard unix - - n - - discard\nhere unix - n n - - local\n")
    master = postfix.etc / "master.cf"
    sound = master.read_text()
    for value in ("error:no mail here", "discard:", "gone"):
        postfix.write_main(f"local_transport = {value}")
        postfix.repairs("postfix-transport-error")
    postfix.write_main("local_transport = lmtp:unix:private/x")
    postfix.repairs("postfix-before-command")
    master.write_text(sound.replace("trivial-rewrite", "trivial-rewrite -o local_transport=error:x"))
    postfix.repairs("postfix-transport-error")
    postfix.write_main("local_transport = here:$myhostname")
    assert postfix.findings() == []
    postfix.brim.admin("remove", "bob")
    postfix.write_main("local_transport = error:no mail here")
    assert set(postfix.names()) <= {"accounts"}


def test_no_way_to_senders_elsewhere_is_a_choice(postfix):
    with open(postfix.etc / "master.cf", "a") as f:
        f.write("error unix - - n - - error\nsmtp unix - - n - - smtp\n")
    postfix.write_main("default_transport = smtp")
    assert postfix.findings() == []
    postfix.write_main("default_transport = error:not from here")
    done = postfix.check("--json")
    (found,) = json.loads(done.stdout)
    assert (found["check"], found["severity"]) == ("postfix-default-transport", "note")
    assert done.returncode == 0 and "postconf -X default_transport" in found["mend"]


def test_lda_by_a_map_of_commands_or_a_service_alone(postfix):
    postfix.write_main("mailbox_command =", "mailbox_size_limit = 9",
                       f"mailbox_command_maps = inline:{{ {{bob = {postfix.lda}}} }}")
    assert postfix.names() == ["postfix-file-limit"]
    postfix.write_main("mailbox_command =", "mailbox_size_limit = 9")
    (postfix.etc / "master.cf").write_text(MASTER + f"  -o mailbox_command={postfix.lda}\n")
    assert postfix.names() == ["postfix-file-limit"]


def test_a_size_limit_of_a_service_alone(postfix):
    postfix.brim.configure(message_size_limit="20M")
    (postfix.etc / "master.cf").write_text(
        MASTER + "smtp inet n - n - - smtpd -o message_size_limit=0\n")
    postfix.repairs("postfix-message-size")


# what Postfix asks at SMTP time


POLICY = "check_policy_service { unix:private/brim-policy, default_action=DUNNO, timeout=5s, try_limit=2 }"
GUARDED = "smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, "
END = f"smtpd_end_of_data_restrictions = {POLICY}"
SMTPD = "smtp inet n - y - - smtpd\n"
MAP = "socketmap:unix:private/brim-map:"
MAPS = (f"virtual_mailbox_maps = {MAP}mailbox", f"virtual_mailbox_domains = {MAP}domain",
        f"virtual_alias_maps = {MAP}alias", "virtual_alias_domains =",
        f"local_recipient_maps = {MAP}mailbox $alias_maps", f"relocated_maps = {MAP}relocated")


class Asking(WithPostfix):
    """The same with a Postfix that asks the policy service and the maps of a quotad."""

    def __enter__(self):
        super().__enter__()
        try:
            shutil.chown(self.brim.folder, "root", "root")
            self.private = self.spool / "private"
            self.private.mkdir(mode=0o700)
            shutil.chown(self.private, "postfix", "root")
            self.policy, self.map = self.private / "brim-policy", self.private / "brim-map"
            self.listen(self.policy, self.map)
            (self.etc / "master.cf").write_text(MASTER + SMTPD)
            self.write_main(GUARDED + POLICY, END, *MAPS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def listen(self, policy, maps, **more):
        self.brim.configure(policy_listen=policy, map_listen=maps, **more)
        self.brim.stop_quotad()
        self.end_listener()
        self.brim.start_quotad()

    def findings(self, *arguments):
        """But for the one note that maps need quotad."""
        return [f for f in super_findings(self, *arguments) if f["check"] != "map-down"]


def super_findings(asking, *arguments):
    return json.loads(asking.check("--json", *arguments).stdout)


@pytest.fixture(scope="module")
def asking_host():
    with Asking() as s:
        yield s


@pytest.fixture
def asking(asking_host):
    s = asking_host
    s.write_main(GUARDED + POLICY, END, *MAPS)
    (s.etc / "master.cf").write_text(MASTER + SMTPD)
    if (s.brim.settings["policy_listen"], s.brim.settings["map_listen"]) != (s.policy, s.map) \
            or s.restarted:
        s.listen(s.policy, s.map, policy_group=None, policy_mode=None, map_mode=None)
    s.restarted = False
    return s


Asking.restarted = True


def lines(asking, *changed):
    """main.cf with these lines in the place of those of the same names."""
    kept = {line.split(" =")[0]: line for line in (GUARDED + POLICY, END, *MAPS)}
    asking.write_main(*{**kept, **{line.split(" =")[0]: line for line in changed}}.values())


def test_a_postfix_that_asks_as_it_should(asking):
    assert asking.findings() == []
    (note,) = super_findings(asking)
    assert note["check"] == "map-down" and note["severity"] == "note"
    assert "virtual_mailbox_maps" in note["subject"] and "hash:" in note["mend"]
    assert asking.check().returncode == 0


BRIM = POLICY.split(" ", 1)[1]
GUARD = "reject_unauth_destination"
RCPT = "smtpd_recipient_restrictions = "


@pytest.mark.parametrize("name, line", [
    ("policy-order", f"{RCPT}permit_mynetworks\n  {POLICY}\n  {GUARD}, permit"),
    ("policy-order", f"smtpd_relay_restrictions = {POLICY} Defer_Unauth_Destination"),
    ("policy-order", f"smtpd_sender_restrictions = permit_mynetworks, {POLICY}\nsmtpd_delay_reject = no"),
    ("policy-unused", f"{RCPT}{GUARD}, permit, {POLICY}"),
    ("policy-down", f"{RCPT}{GUARD}, check_policy_service unix:private/brim-policy"),
    ("policy-down", f"{RCPT}{GUARD}, {POLICY.replace('default_action=DUNNO', '{ default_action = 451 4.3.0 x }')}"),
    ("policy-down", f"{RCPT}{GUARD}, {POLICY.replace('try_limit=2', 'try_limit=9')}"),
    ("policy-down", f"{END.replace('default_action=DUNNO, ', 'policy_context=a, ')}"),
    ("policy-down", f"{RCPT}{GUARD}, {POLICY.replace('try_limit=2', 'try_limit=1')}"),
    ("policy-size", "smtpd_end_of_data_restrictions ="),
    ("policy-twice", f"{RCPT}{GUARD}, {POLICY}, {POLICY}"),
    ("policy-reach", f"{RCPT}{GUARD}, {POLICY.replace('private', '/run')}"),
    ("map-reach", f"virtual_mailbox_maps = proxy:{MAP.replace('private', '/run')}mailbox"),
    ("map-reach", f"relocated_maps = hash:/etc/x {MAP.replace('brim-map', 'brim')}relocated"),
    ("map-name", f"virtual_mailbox_maps = inline:{{ {ADDRESS}=x }}, {MAP}mailboxes"),
    ("map-name", f"virtual_alias_maps = {MAP}mailbox"),
    ("map-name", f"virtual_mailbox_domains = $virtual_mailbox_maps"),
    ("map-name", f"virtual_uid_maps = static:5000 {MAP}mailbox"),
    ("map-twice", f"relocated_maps = {MAP}relocated, proxy:{MAP}relocated"),
    ("map-aliases", f"local_recipient_maps = {MAP}mailbox"),
])
def test_a_setting_by_which_postfix_asks(asking, name, line):
    lines(asking, *line.split("\n") if "\n  " not in line else [line])
    asking.repairs(name)
    assert "hash:/etc/x" not in line or "hash:/etc/x" in (asking.etc / "main.cf").read_text()


@pytest.mark.parametrize("name, own", [
    ("policy-down", "check_policy_service unix:private/brim-policy, permit_sasl_authenticated, reject"),
    ("policy-reach", f"{POLICY.replace('private', '/run')}, permit_sasl_authenticated, reject"),
    ("policy-unused", f"reject, {POLICY}")])
def test_a_list_of_a_service_alone(asking, name, own):
    (asking.etc / "master.cf").write_text(
        f"{MASTER}{SMTPD}submission inet n - y - - smtpd\n"
        f"  -o {{ smtpd_recipient_restrictions = {own} }}\n  -o syslog_name=postfix/submission\n")
    asking.repairs(name)
    assert "reject" in asking.run("postconf -Ph submission/inet/smtpd_recipient_restrictions").stdout


BACK = "127.0.0.1:10026 inet n - n - - smtpd\n  -o content_filter=\n"


def test_a_service_behind_a_content_filter_asks_again(asking):
    (asking.etc / "master.cf").write_text(
        f"{MASTER}{SMTPD}{BACK}  -o {{ smtpd_data_restrictions = {POLICY} }}\n")
    lines(asking, "content_filter = scan:127.0.0.1:10025")
    asking.repairs("policy-again")
    for name, value in (("end_of_data", ""), ("data", ""), ("recipient", "permit_mynetworks,reject")):
        asked = f"postconf -Ph 127.0.0.1:10026/inet/smtpd_{name}_restrictions"
        assert asking.run(asked).stdout == f"{value}\n"


def test_services_behind_filters_that_are_right(asking):
    master = asking.etc / "master.cf"
    master.write_text(MASTER + SMTPD + "  -o smtpd_proxy_filter=127.0.0.1:10025\n"
                      + BACK.replace("  -o content_filter=\n", ""))
    assert asking.findings() == []
    master.write_text(MASTER + SMTPD + "  -o content_filter=scan:127.0.0.1:10025\n" + BACK +
                      "  -o smtpd_recipient_restrictions=permit_mynetworks,reject\n"
                      "  -o smtpd_end_of_data_restrictions=\n"
                      "submission inet n - y - - smtpd\n  -o content_filter=\n")
    assert asking.findings() == []


def test_a_class_that_a_table_alone_names(asking):
    (asking.etc / "master.cf").write_text(MASTER + SMTPD + "  -o syslog_name=postfix/mx\n")
    lines(asking, "smtpd_restriction_classes = asked other", "other = reject",
          "asked = check_policy_service unix:private/brim-policy",
          f"{RCPT}{GUARD}, check_recipient_access inline:{{example.org=asked}}")
    asking.repairs("policy-down")


@pytest.mark.parametrize("before, after", [
    ("permit_auth_destination", "reject"), ("permit_mx_backup", f"{GUARD}, permit"),
    (f"permit_mx_backup, {GUARD}", "permit")])
def test_a_word_that_passes_all_mail_for_this_host(asking, before, after):
    lines(asking, f"{RCPT}permit_mynetworks, {before}, {POLICY}, {after}")
    found = asking.findings()[0]
    assert before.split(",")[0] in found["what"]
    asking.repairs("policy-unused")
    shown = asking.run("postconf -xh smtpd_recipient_restrictions").stdout
    assert shown.startswith(f"permit_mynetworks, {POLICY}, {before}")


def test_a_list_by_another_name_that_ends_before(asking):
    lines(asking, "others = permit_mynetworks, reject", f"{RCPT}$others, {POLICY}")
    asking.repairs("policy-unused")


def test_a_guard_that_only_warns_is_none(asking):
    lines(asking, f"{RCPT}{POLICY}, warn_if_reject {GUARD}, permit_mynetworks, {GUARD}")
    asking.repairs("policy-order")
    lines(asking, f"{RCPT}permit_mynetworks, {GUARD}, {POLICY}, warn_if_reject {GUARD}")
    assert asking.findings() == []


def test_lists_that_are_right(asking):
    master = asking.etc / "master.cf"
    for line, services in (
            (f"{RCPT}permit_mynetworks, {GUARD}, check_policy_service inet:127.0.0.1:10023, {POLICY}", ""),
            (f"{RCPT}check_policy_service unix:postgrey/socket, {GUARD}, {POLICY}", ""),
            (f"{RCPT}{POLICY}", ""),
            (f"{RCPT}{GUARD}, asked\nsmtpd_restriction_classes = asked\nasked = {POLICY}", ""),
            (GUARDED + POLICY, "submission inet n - y - - smtpd\n  -o { smtpd_recipient_restrictions "
             f"= {POLICY}, permit_sasl_authenticated, reject }}\n")):
        lines(asking, *line.split("\n"))
        master.write_text(MASTER + SMTPD + services)
        assert asking.findings() == [], line


def test_a_class_is_looked_into(asking):
    lines(asking, "smtpd_restriction_classes = asked",
          "asked = check_policy_service unix:private/brim-policy", f"{RCPT}{GUARD}, asked")
    asking.repairs("policy-down")
    lines(asking, "smtpd_restriction_classes = asked", f"asked = {POLICY}",
          f"{RCPT}asked, {GUARD}")
    asking.tells("policy-order", "the class asked")


def test_nobody_asks(asking):
    lines(asking, RCPT, END.split("=")[0] + "=")
    asking.repairs("policy-unused")
    asking.write_main(GUARDED + POLICY, END)
    asking.tells("map-unused", "postfix maps")


def test_postfix_alone_knows_an_address(asking):
    asking.restarted = True
    lines(asking, f"virtual_alias_maps = {MAP}alias inline:{{ info@virtual.test=alice@virtual.test }}")
    try:
        asking.repairs("policy-unknown")
        assert "policy_unknown = pass\n" in asking.conf.read_text()
    finally:
        asking.brim.configure(policy_unknown=None)


def test_others_have_mailboxes_in_a_domain_of_brims(asking):
    lines(asking, f"virtual_mailbox_maps = {MAP}mailbox inline:{{ {ADDRESS}=x }}")
    assert asking.findings() == []
    asking.restarted = True
    lines(asking, f"virtual_mailbox_maps = {MAP}mailbox inline:{{ dora@example.org=x }}",
          "transport_maps = inline:{ dora@example.org=lmtp:unix:private/x }")
    try:
        (found,) = asking.findings()
        assert found["check"] == "policy-unknown" and "virtual_mailbox_maps" in str(found)
        asking.repairs("policy-unknown")
        assert "policy_unknown = pass\n" in asking.conf.read_text()
    finally:
        asking.brim.configure(policy_unknown=None)


@pytest.mark.parametrize("users", ["", "postfic www-data"])
def test_nobody_is_promised_room(asking, users):
    asking.restarted = True
    asking.brim.configure(policy_users=users)
    try:
        asking.repairs("policy-users")
        assert f"policy_users = {users} postfix\n".replace("  ", " ") in asking.conf.read_text()
        asking.brim.configure(policy_users=users, promise_time="0")
        assert asking.findings() == []
    finally:
        asking.brim.configure(policy_users=None, promise_time=None)


def test_warn_if_reject_refuses_nothing(asking):
    lines(asking, f"{RCPT}{GUARD}, warn_if_reject {POLICY}")
    asking.tells("policy-unused", "warn_if_reject")


def test_quotad_was_not_told(asking):
    asking.restarted = True
    asking.brim.configure(policy_listen=None)
    asking.listen(None, asking.map)
    asking.repairs("policy-reach", "policy-reach")
    assert asking.conf.read_text().count(f"policy_listen = {asking.policy}\n") == 1


def test_quotad_runs_without_what_its_settings_say(asking):
    asking.restarted = True
    asking.brim.stop_quotad()
    asking.end_listener()
    asking.brim.configure(map_listen=None)
    asking.brim.start_quotad()
    asking.brim.configure(map_listen=asking.map)
    asking.repairs("map-reach")


@pytest.mark.parametrize("folder", ["./private", "././private//", "private/.", "/./private/./."])
def test_a_socket_by_another_spelling_of_its_path(asking, folder):
    lines(asking, *(line.replace("unix:private", f"unix:{folder}") for line in (GUARDED + POLICY, END)))
    assert asking.findings() == []


def test_a_socket_outside_the_chroot(asking):
    asking.restarted = True
    outside = asking.brim.folder / "run/brim-policy"
    asking.listen(outside, asking.map)
    lines(asking, *(line.replace("private/brim-policy", str(outside))
                    for line in (GUARDED + POLICY, END)))
    (asking.etc / "master.cf").write_text(MASTER + SMTPD.replace("y", "-"))
    outside.chmod(0o666)
    assert asking.findings() == []  # nothing is locked in
    (asking.etc / "master.cf").write_text(MASTER + SMTPD)
    asking.repairs("policy-reach")
    assert f"{outside} {asking.policy}\n" in asking.conf.read_text()


def test_a_socket_that_postfix_may_not_open(asking):
    settings = {"policy_group": "news", "policy_mode": "0600"}
    asking.restarted = True
    asking.private.chmod(0o755)
    shutil.chown(asking.private, "root", "root")
    try:
        asking.listen(asking.policy, asking.map, **settings)
        asking.repairs("policy-reach")
        text = asking.conf.read_text()
        assert "policy_group = postfix\n" in text and "policy_mode = 0660\n" in text
    finally:
        asking.private.chmod(0o700)
        shutil.chown(asking.private, "postfix", "root")


def test_a_directory_that_postfix_may_not_pass(asking):
    asking.restarted = True
    closed = asking.spool / "closed"
    closed.mkdir(mode=0o700)
    asking.listen(closed / "brim-policy", asking.map)
    lines(asking, *(line.replace("private/", "closed/") for line in (GUARDED + POLICY, END)))
    asking.repairs("policy-reach")


def test_a_quotad_that_is_down_is_one_finding(asking):
    asking.restarted = True
    asking.brim.stop_quotad()
    asking.end_listener()
    assert asking.names() == ["quotad-down"]


# lda-virtual


@pytest.fixture
def virtual(postfix):
    """With lda-virtual by pipe, as it has to be."""
    postfix.virtual = postfix.host.folder / "lda-virtual"
    shutil.copy(postfix.lda, postfix.virtual)
    postfix.add_pipe(lda=postfix.virtual)
    shutil.chown(postfix.virtual, "root", "news")
    postfix.virtual.chmod(0o750)
    subprocess.run(["setcap", "cap_setuid,cap_setgid=ep", postfix.virtual], check=True)
    postfix.write_main("brim_destination_recipient_limit = 1")
    if os.statvfs(postfix.virtual).f_flag & os.ST_NOSUID:
        pytest.skip("the temporary folder is mounted nosuid")
    assert postfix.findings() == []
    return postfix


def test_lda_virtual_without_its_capabilities(virtual):
    subprocess.run(["setcap", "-r", virtual.virtual], check=True)
    virtual.repairs("lda-capabilities")


def test_lda_virtual_with_settings_of_its_own(virtual):
    master = virtual.etc / "master.cf"
    master.write_text(master.read_text().replace(" -d $", f" -c {virtual.conf} -d $"))
    virtual.repairs("lda-conf")
    assert "-c" not in master.read_text()


def test_lda_virtual_with_more_capabilities(virtual):
    subprocess.run(["setcap", "cap_setuid,cap_setgid,cap_chown=ep", virtual.virtual], check=True)
    virtual.repairs("lda-capabilities")


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o4750])
def test_lda_virtual_of_another_mode(virtual, mode):
    virtual.virtual.chmod(mode)
    virtual.repairs("lda-capabilities")


def test_lda_virtual_of_another_group(virtual):
    shutil.chown(virtual.virtual, "root", "root")
    virtual.repairs("lda-capabilities")


def test_lda_virtual_on_a_nosuid_file_system(virtual):
    folder = virtual.host.folder / "nosuid"
    folder.mkdir()
    mount("tmpfs", folder, "tmpfs", data="mode=755")
    try:
        shutil.copy(virtual.virtual, folder / "lda-virtual")
        shutil.chown(folder / "lda-virtual", "root", "news")
        (folder / "lda-virtual").chmod(0o750)
        subprocess.run(["setcap", "cap_setuid,cap_setgid=ep", folder / "lda-virtual"],
                       check=True)
        subprocess.run(["mount", "-o", "remount,nosuid", folder], check=True)
        master = virtual.etc / "master.cf"
        master.write_text(master.read_text().replace(
            str(virtual.virtual), str(folder / "lda-virtual")))
        virtual.repairs("lda-nosuid")
    finally:
        unmount(folder)


@pytest.mark.parametrize("unit", ["postfix.service", "postfix@-.service"])
def test_a_unit_without_new_privileges(virtual, unit):
    folder = pathlib.Path(f"/etc/systemd/system/{unit}.d")
    folder.mkdir(parents=True)
    (folder / "harden.conf").write_text("[Service]\nNoNewPrivileges=yes\n")
    virtual.repairs("postfix-no-new-privileges")
