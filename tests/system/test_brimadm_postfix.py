"""brimadm postfix: what it sets makes a real Postfix deliver, and what it takes back is
byte for byte as it was."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import stat
import subprocess

import pytest

import brim as private_brim
from host import MS_BIND, mount
from postfix import HOST_DOMAIN, VIRTUAL_DOMAIN, MailServer, set_back, write_settings

WAYS = ("mailbox_command", "pipe", "virtual")
MESSAGE = b"From: me@sender.test\nSubject: test\n\nhello\n"
SETTINGS = "compatibility_level = 3.6\n"
SERVICE = "retry     unix  -       -       n       -       -       error"

# Files as administrators leave them: (main.cf, master.cf)
ODD = {
    "plain": (SETTINGS, SERVICE + "\n"),
    "no_final_newline": (SETTINGS + "mailbox_command = /bin/old", SERVICE),
    "comment_at_the_end": (SETTINGS + "# the end", SERVICE + "\n# the end"),
    "continuation_lines": (
        SETTINGS + "mailbox_command=/bin/old\n# in between\n   -x\n\t-y\nmydestination = a.test,\n"
        "  b.test\n\n\n",
        "smtp inet n - n - - smtpd\n  -o {smtpd_sasl_type = a b}\n# note\n  -o smtpd_x=1\n"),
    "twice_and_crowded": (
        "\n\n  \n" + SETTINGS + "mailbox_size_limit = 1\nmailbox_size_limit =2\nvirtual_transport=lmtp\n",
        "\n" + SERVICE + "\nbrim unix - n n - 9 pipe flags=R user=nobody argv=/bin/cat\n"
        "  ${recipient}\n"),
    "bytes_of_another_charset": (
        SETTINGS + "# gr\xfc\xdfe\r\n", SERVICE + "\n# \xfc\n"),
}


class BareServer(MailServer):
    """A mail server whose Postfix knows nothing of Brim, and lda where it is installed."""

    def _ways(self):
        return "", ""

    def _lend_lda(self):
        shown = subprocess.run(
            [private_brim.BIN / "brimadm", "-c", private_brim.ROOT / "etc/brim.conf", "postfix",
             "--transport", "mailbox_command"], check=True, capture_output=True, text=True).stdout
        path = pathlib.Path(re.search(r"^mailbox_command = (\S+)$", shown, re.M)[1])
        self._open_up(path.parent)
        shutil.copy(private_brim.BIN / "lda", path)
        path.chmod(0o755)
        shutil.copy(path, path.with_name("lda-virtual"))
        return path

    def _open_up(self, folder):
        """Makes the folder in this host alone, whatever is there already."""
        there = next(p for p in (folder, *folder.parents) if p.exists())
        kept, new = self.host.folder / "kept", self.host.folder / "opened"
        kept.mkdir()
        new.mkdir()
        mount(there, kept, flags=MS_BIND)
        mount("tmpfs", new, "tmpfs", data="mode=755")
        for entry in kept.iterdir():
            if entry.name != (folder / "x").relative_to(there).parts[0]:
                (new / entry.name).symlink_to(entry)
        mount(new, there, flags=MS_BIND)
        folder.mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="module")
def server():
    with BareServer() as mail_server:
        mail_server.host.add_user("brimlda")
        yield mail_server


class Folder:
    """Postfix's settings in a folder of their own."""

    def __init__(self, server, path, main=SETTINGS, master=SERVICE + "\n"):
        self.server = server
        self.path = path
        self.main, self.master = path / "main.cf", path / "master.cf"
        write_settings(self.main, main)
        self.master.write_bytes(master.encode("latin-1"))

    def run(self, *arguments, prefix=(), conf=None):
        done = subprocess.run(
            [*prefix, private_brim.BIN / "brimadm", "-c", conf or self.server.brim.conf,
             "postfix", *arguments],
            env={"PATH": os.environ["PATH"], "MAIL_CONFIG": str(self.path)},
            capture_output=True, text=True, timeout=60)
        with contextlib.suppress(FileNotFoundError):
            set_back(self.main)
        return done

    def apply(self, way, **more):
        done = self.run("--transport", way, "--apply", **more)
        assert done.returncode == 0, done
        return done.stdout

    def undo(self):
        done = self.run("--undo")
        assert done.returncode == 0, done
        return done.stdout

    def get(self, name):
        return subprocess.run(["postconf", "-c", self.path, "-xh", name], check=True,
                              capture_output=True, text=True).stdout.rstrip("\n")

    def services(self):
        return subprocess.run(["postconf", "-c", self.path, "-M"], check=True,
                              capture_output=True, text=True).stdout

    def state(self):
        """All that must be as before."""
        found = {}
        for path in sorted(self.path.iterdir()):
            st = path.lstat()
            found[path.name] = (path.read_bytes() if path.is_file() else None,
                                stat.filemode(st.st_mode), st.st_uid, st.st_gid)
        return found


@pytest.fixture
def folder(server, tmp_path):
    return Folder(server, tmp_path)


# --- the settings deliver ----------------------------------------------------------------

def reload(server):
    """What brimadm tells to do, and waits until Postfix has: each daemon of its is a new one."""
    master = server.postfix.master.pid

    def daemons():
        return set(pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split())

    def count():
        return sum("reload -- version" in line for line in server.host.log_lines())
    before, old = count(), daemons()
    server.postfix.master.send_signal(signal.SIGHUP)
    server.postfix.wait(lambda: count() > before and old.isdisjoint(daemons()),
                        "Postfix to read its settings again")


@pytest.mark.parametrize("way", ["mailbox_command", "pipe"])
def test_real_mail_is_delivered_after_apply_and_undo_leaves_the_files_as_they_were(server, way):
    etc = pathlib.Path("/etc/postfix")
    before = {path.name: path.read_bytes() for path in etc.iterdir()}
    make = server.account if way == "mailbox_command" else server.mailbox
    mailbox = make(f"by{way.replace('_', '')}")
    nobody = f"nobody@{HOST_DOMAIN if way == 'mailbox_command' else VIRTUAL_DOMAIN}"

    shown = server.brim.admin("postfix", "--transport", way, "--apply").stdout
    assert "postfix reload" in shown
    reload(server)
    found = json.loads(server.brim.admin("check", "--json", check=False).stdout)
    assert not [f for f in found if f["severity"] != "note" and f["check"].startswith(
        ("pipe-", "lda-", "postfix-before", "postfix-defer", "postfix-service", "postfix-tr"))]
    fate = server.postfix.send("me@sender.test", mailbox.address, MESSAGE).fate()
    assert (fate.status, fate.code) == ("sent", "2.0.0"), fate
    (stored,) = server.brim.messages(mailbox.maildir)
    assert stored.endswith(b"\nhello\n")
    assert server.brim.files(mailbox.maildir)[0].stat().st_uid == mailbox.uid
    if way == "pipe":
        fate = server.postfix.send("me@sender.test", nobody, MESSAGE).fate()
        assert (fate.status, fate.code) == ("bounced", "5.1.1"), fate

    server.brim.admin("postfix", "--undo")
    assert {path.name: path.read_bytes() for path in etc.iterdir()} == before


FULL_NAME = f"mx.{HOST_DOMAIN}"  # what Postfix calls itself, and the kernel does not


@pytest.fixture
def debian(server):
    """Postfix as Debian sets it up, brim.conf as `brimadm config` prints it, and an alias of
    root's: README's steps."""
    etc = pathlib.Path("/etc/postfix")
    kept = {path: path.read_bytes() for path in (etc / "main.cf", etc / "master.cf",
                                                 server.brim.conf)}
    account = server.account("dora")
    server.brim.configure(local_domains=None)
    yield account
    for path, content in kept.items():
        path.write_bytes(content)
    server.brim.configure(local_domains=HOST_DOMAIN)
    set_back(etc / "main.cf")
    reload(server)


def set_up(delimiter):
    main = pathlib.Path("/etc/postfix/main.cf")
    text = main.read_text().replace(f"mydestination = {HOST_DOMAIN}\n", "")
    text = text.replace("alias_maps =\nalias_database =\n", "")
    text = re.sub(r"recipient_delimiter = .*\n", "", text)
    host = socket.gethostname()
    write_settings(main, text + f"""\
mydestination = $myhostname,
  {host}, localhost.localdomain, , localhost
alias_maps = hash:/etc/aliases
alias_database = hash:/etc/aliases
recipient_delimiter = {delimiter}
""")
    pathlib.Path("/etc/aliases").write_text("postmaster: root\nroot: dora\ndora.d: dora\n")
    subprocess.run(["newaliases"], check=True)
    return [f"dora@{host}", f"dora@{FULL_NAME}", "dora@[127.0.0.1]", "dora",
            f"dora{delimiter}ext", f"dora{delimiter}x@localhost", f"dora.d@{FULL_NAME}",
            "root", "root@localhost", f"postmaster@{FULL_NAME}"]


@pytest.mark.parametrize("delimiter, conf", [("+", "brim.conf"), ("-", "link")])
def test_all_that_a_fresh_debian_takes_is_delivered(server, debian, delimiter, conf):
    etc, conf = pathlib.Path("/etc/postfix"), \
        server.brim.conf if conf == "brim.conf" else pathlib.Path("/etc/brim/brim.conf")
    addresses = set_up(delimiter)
    files = [etc / "main.cf", etc / "master.cf", server.brim.conf]
    before = [(path.read_bytes(), path.stat().st_mode) for path in files]

    def admin(*arguments):
        return subprocess.run([private_brim.BIN / "brimadm", "-c", conf, *arguments],
                              capture_output=True, text=True, timeout=60)

    shown = admin("postfix", "--transport", "mailbox_command")
    assert f"local_domains = {FULL_NAME}\n" in shown.stdout, shown
    shown = admin("postfix", "--transport", "mailbox_command", "--apply")
    assert shown.returncode == 0 and f"+local_domains = {FULL_NAME}\n" in shown.stdout, shown
    assert ("+recipient_delimiter = -\n" in shown.stdout) == (delimiter == "-"), shown
    assert "SIGHUP to quotad" in shown.stdout or "reload quotad" in shown.stdout, shown
    reload(server)
    server.brim.quotad.send_signal(signal.SIGHUP)
    for address in addresses:
        server.postfix.send("me@sender.test", address, MESSAGE)
    server.postfix.wait(lambda: len(server.brim.messages(debian.maildir)) == len(addresses),
                        "the mail for dora")
    found = json.loads(admin("check", "--json").stdout)
    # what other tests of this server have made, and that it sends nothing out
    found = [f for f in found if f["check"] not in (
             "accounts", "account-owner", "postfix-default-transport")
             and f["subject"] != VIRTUAL_DOMAIN]
    assert found == []

    shown = admin("postfix", "--undo")
    assert shown.returncode == 0 and f"-local_domains = {FULL_NAME}\n" in shown.stdout, shown
    assert [(path.read_bytes(), path.stat().st_mode) for path in files] == before
    assert not [*etc.glob("*brim-*"), *server.brim.conf.parent.glob("*brim-*")]


def test_domains_of_the_table_become_virtual(server, folder):
    folder.apply("pipe")
    assert folder.get("virtual_mailbox_domains") == VIRTUAL_DOMAIN


# --- apply and undo ------------------------------------------------------------------------

@pytest.mark.parametrize("files", ODD)
@pytest.mark.parametrize("way", WAYS)
def test_undo_takes_back_byte_for_byte(server, tmp_path, way, files):
    folder = Folder(server, tmp_path, *ODD[files])
    folder.main.chmod(0o640)
    os.chown(folder.master, 12345, 12346)
    before = folder.state()

    shown = folder.apply(way)
    if way == "mailbox_command":
        assert folder.get("mailbox_command") == str(server.lda)
        assert f"+mailbox_command = {server.lda}\n" in shown
        assert folder.get("mailbox_size_limit") == "0"
    else:
        name = {"pipe": "brim", "virtual": "brim-virtual"}[way]
        assert folder.get("virtual_transport") == name
        assert folder.get(f"{name}_destination_recipient_limit") == "1"
        assert re.search(rf"^{name} +unix +- +n +n +- +20 +pipe flags=DRX ", folder.services(), re.M)
    assert folder.main.stat().st_mode & 0o7777 == 0o640
    assert folder.master.stat().st_uid == 12345
    assert "retry" not in ODD[files][1] or re.search("^retry .* error$", folder.services(), re.M)

    folder.undo()
    assert folder.state() == before


def test_what_is_shown_is_what_changes(folder):
    write_settings(folder.main, SETTINGS + "mailbox_command = /bin/old\n")
    shown = folder.apply("mailbox_command")
    assert "-mailbox_command = /bin/old\n+mailbox_command = " in shown
    assert "compatibility_level" not in shown and "config_directory" not in shown
    assert "+mailbox_command = /bin/old\n" in folder.undo()


@pytest.mark.parametrize("way", WAYS)
def test_a_second_apply_changes_nothing_and_keeps_the_first_copy(folder, way):
    before = folder.state()
    folder.apply(way)
    applied = folder.state()
    assert folder.apply(way) == "Nothing to change.\n"
    assert folder.state() == applied
    folder.undo()
    assert folder.state() == before


def test_another_way_is_refused_until_the_first_is_taken_back(folder):
    before = folder.state()
    folder.apply("mailbox_command")
    applied = folder.state()
    done = folder.run("--transport", "pipe", "--apply")
    assert done.returncode == 75 and "--undo" in done.stderr
    assert folder.state() == applied
    folder.undo()
    folder.apply("pipe")
    folder.undo()
    assert folder.state() == before


def test_files_edited_since_are_left_alone_and_the_commands_shown_mend_them(folder):
    write_settings(folder.main, SETTINGS + "mailbox_command = /bin/it's old\n")
    before = folder.main.read_bytes(), folder.services()
    folder.apply("pipe")
    with open(folder.main, "a") as f:
        f.write("# mine\n")
    set_back(folder.main)
    edited = folder.state()
    done = folder.run("--undo")
    assert done.returncode == 75 and "edited" in done.stderr
    assert folder.state() == edited
    subprocess.run(["sh", "-e"], input=done.stdout, text=True, check=True,
                   stderr=subprocess.DEVNULL,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(folder.path)})
    assert folder.main.read_bytes() == before[0] + b"# mine\n"
    assert folder.services() == before[1]
    assert sorted(folder.state()) == ["main.cf", "master.cf"]


def test_undo_of_nothing_says_so(folder):
    before = folder.state()
    done = folder.run("--undo")
    assert done.returncode == 1 and "nothing to take back" in done.stderr
    assert folder.state() == before


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_kill_at_any_rename_leaves_whole_files_and_undo_mends(folder, nth):
    before = folder.state()
    folder.apply("pipe")
    after = folder.state()
    folder.undo()
    done = folder.run("--transport", "pipe", "--apply", prefix=[
        "strace", "-qq", "-o", "/dev/null", "-e", "trace=renameat",
        "-e", f"inject=renameat:signal=KILL:when={nth}"])
    assert done.returncode in (-9, 137), done
    for name in before:
        assert folder.state()[name] in (before[name], after[name])
    done = folder.run("--undo")
    assert done.returncode == (1 if nth <= 3 else 0), done
    folder.apply("pipe")
    folder.undo()
    assert folder.state() == before


def kept_of(folder, conf):
    return [folder.main.with_name("main.cf.brim-before"),
            folder.main.with_name("master.cf.brim-before"),
            conf.with_name("brim.conf.brim-before")]


@pytest.mark.parametrize("way", ["pipe", "mailbox_command"])
@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [0, 1, 2], [1, 2]], ids=str)
def test_undo_without_all_that_was_kept_changes_nothing(server, folder, tmp_path, way, gone):
    """Half of it would leave a transport without its service."""
    write_settings(folder.main, SETTINGS + BOTH)
    conf = own_conf(server, folder, "")
    before = folder.state(), conf_state(conf)
    folder.apply(way, conf=conf)
    kept = [kept_of(folder, conf)[i] for i in gone]
    for path in kept:
        path.rename(tmp_path / f"{path.name}.away")
    made = {**folder.state(), **conf_state(conf)}
    done = folder.run("--undo", conf=conf)
    assert done.returncode == 75 and any(f"{path} was removed" in done.stderr for path in kept)
    assert "nothing is changed" in done.stderr
    assert {**folder.state(), **conf_state(conf)} == made
    repair = re.search(r": (cd .*)$", done.stderr)[1]
    assert folder.run("--transport", way, "--apply", conf=conf).stdout == "Nothing to change.\n"
    for path in kept:
        (tmp_path / f"{path.name}.away").rename(path)
    assert folder.run("--undo", conf=conf).returncode == 0
    assert (folder.state(), conf_state(conf)) == before
    folder.apply(way, conf=conf)
    kept[0].unlink()
    subprocess.run(["sh", "-e", "-c", repair], check=True)
    assert not [name for name in {**folder.state(), **conf_state(conf)} if "brim-" in name]
    done = folder.run("--undo", conf=conf)
    assert done.returncode == 1 and "nothing to take back" in done.stderr


def test_undo_without_any_copy_of_one_changes_nothing(folder):
    folder.apply("pipe")
    for suffix in ("before", "after"):
        folder.main.with_name(f"main.cf.brim-{suffix}").unlink()
    made = folder.state()
    done = folder.run("--undo")
    assert done.returncode == 75 and "main.cf.brim-before was removed" in done.stderr
    assert folder.state() == made


@pytest.mark.parametrize("way", ["pipe", "mailbox_command"])
@pytest.mark.parametrize("call", ["renameat", "unlinkat"])
def test_an_undoing_that_was_cut_short_goes_on(server, folder, way, call):
    write_settings(folder.main, SETTINGS + BOTH)
    conf = own_conf(server, folder, "")
    before = folder.state(), conf_state(conf)
    status, nth = None, 0
    while status != 0:
        nth += 1
        folder.apply(way, conf=conf)
        status = folder.run("--undo", conf=conf, prefix=[
            "strace", "-qq", "-o", "/dev/null", "-E", "ASAN_OPTIONS=detect_leaks=0",
            "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}"]).returncode
        assert status in (0, -9, 137)
        if status:
            done = folder.run("--undo", conf=conf)
            is_done = done.returncode == 1 and "nothing to take back" in done.stderr
            assert done.returncode == 0 or (is_done and call != "renameat"), (nth, done)
        assert (folder.state(), conf_state(conf)) == before, nth
    assert nth > 3


def test_what_an_older_undo_has_left_is_taken_back(folder):
    """It noted nothing: the old file is there with its old time."""
    before = folder.state()
    folder.apply("pipe")
    folder.main.with_name("main.cf.brim-before").rename(folder.main)
    folder.undo()
    assert folder.state() == before


# --- brim.conf with them ---------------------------------------------------------------------

ODD_CONF = {
    "plain": "",
    "no_final_newline": "# the end",
    "set_and_continued":
        "local_domains = a.test,\n# and\n    b.test\n\n  c.test\nrecipient_delimiter=+\n",
}


def own_conf(server, folder, text):
    conf = conf_with(server, folder.path / "brim" / "brim.conf", local_domains=None)
    conf.write_text(conf.read_text() + text)
    conf.chmod(0o640)
    return conf


def conf_state(conf):
    return {p.name: (p.read_bytes(), p.stat().st_mode, p.stat().st_uid)
            for p in conf.parent.iterdir()}


BOTH = "mydestination = a.test localhost n.test\nrecipient_delimiter = -;\n"


@pytest.mark.parametrize("text", ODD_CONF.values(), ids=ODD_CONF)
def test_undo_takes_brim_conf_back_byte_for_byte(server, folder, text):
    write_settings(folder.main, SETTINGS + BOTH)
    conf = own_conf(server, folder, text)
    before = folder.state(), conf_state(conf)
    folder.apply("mailbox_command", conf=conf)
    wanted = "a.test, b.test c.test n.test" if "c.test" in text else "a.test n.test"
    config = subprocess.run([private_brim.BIN / "brimadm", "-c", conf, "config"], check=True,
                            capture_output=True, text=True).stdout
    assert re.sub(r"\s+", " ", wanted) in re.sub(r"[\s#]+", " ", config)
    assert "\nrecipient_delimiter = -;\n" in config
    assert folder.apply("mailbox_command", conf=conf) == "Nothing to change.\n"
    done = folder.run("--undo", conf=conf)
    assert done.returncode == 0, done
    assert (folder.state(), conf_state(conf)) == before


def test_a_brim_conf_that_was_edited_since_is_left_alone_and_commands_mend_it(server, folder):
    write_settings(folder.main, SETTINGS + BOTH)
    conf = own_conf(server, folder, ODD_CONF["set_and_continued"])
    main = folder.main.read_bytes()
    folder.apply("mailbox_command", conf=conf)
    with conf.open("a") as f:
        f.write("quota = 1G\n")
    edited = conf.read_bytes()
    done = folder.run("--undo", conf=conf)
    assert done.returncode == 75 and "edited" in done.stderr and conf.read_bytes() == edited
    subprocess.run(["sh", "-e"], input=done.stdout, text=True, check=True,
                   stderr=subprocess.DEVNULL,
                   env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(folder.path)})
    assert folder.main.read_bytes() == main
    assert [p.name for p in conf.parent.iterdir()] == ["brim.conf"]
    config = subprocess.run([private_brim.BIN / "brimadm", "-c", conf, "config"], check=True,
                            capture_output=True, text=True).stdout
    assert "local_domains = a.test, b.test c.test\n" in re.sub(r"[ \t]+", " ", config)
    assert "#recipient_delimiter = +\n" in config and "\nquota = 1G\n" in config


@pytest.mark.parametrize("nth", range(1, 11))
def test_a_kill_at_any_rename_leaves_brim_conf_whole(server, folder, nth):
    write_settings(folder.main, SETTINGS + BOTH)
    conf = own_conf(server, folder, "")
    before = folder.state(), conf_state(conf)
    done = folder.run("--transport", "mailbox_command", "--apply", conf=conf, prefix=[
        "strace", "-qq", "-o", "/dev/null", "-e", "trace=renameat",
        "-e", f"inject=renameat:signal=KILL:when={nth}"])
    assert done.returncode in (-9, 137), done
    done = folder.run("--undo", conf=conf)
    assert done.returncode in ((0, 1) if nth < 6 else (0,)), done
    folder.apply("mailbox_command", conf=conf)
    folder.run("--undo", conf=conf)
    assert (folder.state(), conf_state(conf)) == before


def test_undo_leaves_alone_what_brim_conf_has_for_another_postfix(server, folder, tmp_path):
    write_settings(folder.main, SETTINGS + BOTH)
    conf = own_conf(server, folder, "")
    (tmp_path / "second").mkdir()
    second = Folder(server, tmp_path / "second", main=SETTINGS + BOTH)
    states = [f.state() for f in (folder, second)]
    before = conf_state(conf)
    folder.apply("mailbox_command", conf=conf)
    applied = conf_state(conf)
    done = second.run("--undo", conf=conf)
    assert done.returncode == 1 and "nothing to take back" in done.stderr, done
    second.apply("mailbox_command", conf=conf)  # which finds brim.conf right already
    assert conf_state(conf) == applied
    done = second.run("--undo", conf=conf)
    assert done.returncode == 0 and "brim.conf" not in done.stdout, done
    assert conf_state(conf) == applied and second.state() == states[1]
    assert folder.run("--undo", conf=conf).returncode == 0
    assert conf_state(conf) == before
    shutil.rmtree(second.path)
    assert {k: v for k, v in folder.state().items() if k != "second"} == {
        k: v for k, v in states[0].items() if k != "second"}


def test_a_brim_conf_that_is_not_there_is_made_and_removed(server, folder):
    link = pathlib.Path("/etc/brim/brim.conf")
    target = os.readlink(link)
    write_settings(folder.main, SETTINGS + BOTH)
    link.unlink()
    try:
        for command in ("--transport mailbox_command --apply", "--undo"):
            done = subprocess.run([private_brim.BIN / "brimadm", "postfix", *command.split()],
                                  env={"PATH": os.environ["PATH"], "MAIL_CONFIG": str(folder.path)},
                                  capture_output=True, text=True, timeout=60)
            set_back(folder.main)
            assert done.returncode == 0, done
            assert link.exists() == ("--apply" in command)
        assert not list(link.parent.glob("brim.conf*"))
    finally:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


# --- what Postfix asks at SMTP time ------------------------------------------------------------

POLICY = ("check_policy_service { unix:private/brim-policy, default_action=DUNNO, timeout=5s, "
          "try_limit=2 }")
MAP = "socketmap:unix:private/brim-map"
LOGINS = "submission inet n - y - - smtpd\n  -o smtpd_recipient_restrictions="
LISTS = {  # of main.cf, and what it becomes
    "none": ("", POLICY),
    "guarded": ("permit_mynetworks,\n # hm\n  reject_unauth_destination\n  reject_rbl_client z.test",
                f"permit_mynetworks, reject_unauth_destination, {POLICY}, reject_rbl_client z.test"),
    "deferred": ("permit_mynetworks Defer_Unauth_Destination,", f"permit_mynetworks "
                 f"Defer_Unauth_Destination, {POLICY}"),
    "open at the end": ("permit_mynetworks, reject_rbl_client z.test",
                        f"permit_mynetworks, reject_rbl_client z.test, {POLICY}"),
    "closed": ("permit_mynetworks, reject", f"permit_mynetworks, {POLICY}, reject"),
    "passing": ("permit_mynetworks, permit_auth_destination, reject",
                f"permit_mynetworks, {POLICY}, permit_auth_destination, reject"),
    "passing before a guard": ("permit_mynetworks Permit_MX_Backup reject_unauth_destination permit",
                               f"permit_mynetworks, {POLICY}, Permit_MX_Backup "
                               "reject_unauth_destination permit"),
    "only warned of": ("warn_if_reject reject_unauth_destination permit_mynetworks "
                       "defer_unauth_destination",
                       "warn_if_reject reject_unauth_destination permit_mynetworks "
                       f"defer_unauth_destination, {POLICY}"),
    "ended before a guard": ("permit_mynetworks, reject, reject_unauth_destination",
                             f"permit_mynetworks, {POLICY}, reject, reject_unauth_destination"),
    "of another name": ("$others", f"permit_mynetworks, reject_unauth_destination, {POLICY}, permit"),
    "another service": (
        "reject_unauth_destination check_policy_service { inet:[::1]:10023, "
        "{ default_action = 451 4.3.0 no }}",
        f"reject_unauth_destination, {POLICY}, check_policy_service {{ inet:[::1]:10023, "
        "{ default_action = 451 4.3.0 no }}"),
}


def parts_conf(server, folder, **settings):
    conf = conf_with(server, folder.path / "brim" / "brim.conf", **settings)
    conf.chmod(0o640)
    return conf


def in_conf(conf, name):
    return re.findall(rf"^{name} = (.*)$", conf.read_text(), re.M)


@pytest.mark.parametrize("case", LISTS)
def test_the_policy_service_goes_behind_the_guard_and_all_else_stays(server, folder, case):
    before, after = LISTS[case]
    write_settings(folder.main, SETTINGS + "queue_directory = /q//x/\n"
                   "others = permit_mynetworks, reject_unauth_destination, permit\n" +
                   (f"smtpd_recipient_restrictions = {before}\n" if before else ""))
    conf = parts_conf(server, folder)
    states = folder.state(), conf_state(conf)
    done = folder.run("--apply", "policy", conf=conf)
    assert done.returncode == 0, done
    assert " ".join(folder.get("smtpd_recipient_restrictions").split()) == after
    assert folder.get("smtpd_end_of_data_restrictions") == POLICY
    assert in_conf(conf, "policy_listen") == ["/q/x/private/brim-policy"]
    assert re.search("restart (of )?quotad.* postfix reload", done.stdout), done
    assert folder.run("--apply", "policy", conf=conf).stdout == "Nothing to change.\n"
    done = folder.run("--undo", conf=conf)
    assert re.search("postfix reload.*restart (of )?quotad", done.stdout), done
    assert (folder.state(), conf_state(conf)) == states


@pytest.mark.parametrize("setting, passes", [
    ("virtual_alias_maps = inline:{ info@virtual.test=a@virtual.test }", ["pass"]),
    ("canonical_maps = inline:{ info@virtual.test=a@virtual.test }", ["pass"]),
    (f"virtual_alias_maps = {MAP}:alias", []),
    (f"transport_maps = {MAP}:transport inline:{{ x.test=lmtp: }}", ["pass"]),
    ("transport_maps = inline:{ x.test=lmtp: }", []),
    (f"virtual_mailbox_maps = {MAP}:mailbox", [])])
def test_unknown_users_are_left_to_a_postfix_that_rewrites_recipients(
        server, folder, setting, passes):
    write_settings(folder.main, f"{SETTINGS}queue_directory = /q\n{setting}\n")
    conf = parts_conf(server, folder)
    states = folder.state(), conf_state(conf)
    assert folder.run("--apply", "policy", conf=conf).returncode == 0
    assert in_conf(conf, "policy_unknown") == passes
    assert folder.run("--apply", "policy", conf=conf).stdout == "Nothing to change.\n"
    folder.run("--undo", conf=conf)
    assert (folder.state(), conf_state(conf)) == states


LMTP, TO_BRIM = "virtual_transport = lmtp:unix:x", "virtual_transport = brim"
OTHERS = "dora@virtual.test=x"
ROUTES = "transport_maps = inline:{ dora@virtual.test=lmtp:unix:x }"


@pytest.mark.parametrize("settings, passes", [
    ([f"inline:{{ {{{OTHERS}}}, {{mine@virtual.test=x}} }}", LMTP], True),
    ([f"inline:{{ {OTHERS} }}", TO_BRIM, ROUTES], True),
    ([f"{MAP}:mailbox proxy:inline:{{ {OTHERS} }}", LMTP], True),
    (["inline:{ @virtual.test=x }", LMTP], True),
    (["texthash:/nowhere/to/be/found", LMTP], True),
    (["regexp:/nowhere/to/be/found", LMTP], True),
    ([f"inline:{{ {OTHERS} }}", TO_BRIM], False),
    (["regexp:/nowhere/to/be/found", TO_BRIM], False),
    (["inline:{ {Mine@Virtual.test=x}, {mine+box@virtual.test=x} }", LMTP], False),
    (["inline:{ {dora@elsewhere.test=x}, {virtual.test=x}, {@elsewhere.test=x} }", LMTP], False),
    (["", LMTP, ROUTES], False)], ids=range(11))
def test_unknown_users_are_left_to_a_postfix_where_others_have_mailboxes(
        server, folder, settings, passes):
    maps, *more = settings
    server.mailbox("mine")
    folder.master.write_text(f"{SERVICE}\nbrim unix - n n - - pipe flags=DRX user=vmail "
                             "argv=/usr/local/lib/brim/lda -d ${recipient}\n")
    write_settings(folder.main, "\n".join([
        f"{SETTINGS}queue_directory = /q", f"virtual_mailbox_maps = {maps}", *more, ""]))
    conf = parts_conf(server, folder, recipient_delimiter="+")
    states = folder.state(), conf_state(conf)
    assert folder.run("--apply", "policy", conf=conf).returncode == 0
    assert in_conf(conf, "policy_unknown") == ["pass"] * passes
    assert folder.run("--apply", "policy", conf=conf).stdout == "Nothing to change.\n"
    folder.run("--undo", conf=conf)
    assert (folder.state(), conf_state(conf)) == states


def smtp(server, *recipients, message=None):
    """What Postfix answers to each recipient and, if one was taken, to the message."""
    with smtplib.SMTP("127.0.0.1", server.postfix.port, "client.test", timeout=60) as s:
        s.ehlo()
        s.docmd("MAIL FROM:<me@sender.test>")
        replies = [s.docmd(f"RCPT TO:<{r}>") for r in recipients]
        if message:
            replies.append(s.data(message))
        return [f"{code} {text.decode()}" for code, text in replies]


def test_after_apply_a_client_hears_it_at_once_and_undo_leaves_the_files(server):
    etc, name = pathlib.Path("/etc/postfix"), f"@{HOST_DOMAIN}"
    full = server.account("fulda", quota=1000, over_quota="bounce")
    server.account("roomy", quota=4000, over_quota="bounce")
    new = full.maildir / "new/1"
    new.write_bytes(b"x" * 1000)
    os.chown(new, full.uid, full.uid)
    files = [*etc.iterdir(), server.brim.conf]
    before = {path: path.read_bytes() for path in files}

    shown = server.brim.admin("postfix", "--transport", "mailbox_command", "--apply", "policy",
                              "maps").stdout
    assert re.search("restart (of )?quotad.* postfix reload", shown), shown
    server.brim.stop_quotad()
    server.brim.start_quotad()
    reload(server)
    unknown, refused, room = smtp(server, f"nobody{name}", full.address, f"roomy{name}")
    assert unknown.startswith(f"550 5.1.1 <nobody{name}>: Recipient address rejected: ")
    assert refused.startswith(f"552 5.2.2 <{full.address}>: Recipient address rejected: ")
    assert room == "250 2.1.5 Ok"
    room, large = smtp(server, f"roomy{name}", message=b"x" * 70 + b"\r\n" + b"y" * 5000)
    assert room.startswith("250") and re.match("552 5.2.[23] <END-OF-MESSAGE>: End-of-data rej", large)

    server.brim.stop_quotad()  # mail that the policy service would judge is taken without it
    subprocess.run(["postconf", "-X", "local_recipient_maps", "virtual_alias_maps",
                    "relocated_maps"], check=True)
    reload(server)
    assert smtp(server, full.address) == ["250 2.1.5 Ok"]

    (etc / "main.cf").write_bytes((etc / "main.cf.brim-after").read_bytes())
    server.brim.admin("postfix", "--undo")
    assert {path: path.read_bytes() for path in [*etc.iterdir(), server.brim.conf]} == before
    server.brim.start_quotad()
    reload(server)
    assert smtp(server, full.address) == ["250 2.1.5 Ok"]


def test_lists_without_any_guard_get_one(server, folder):
    write_settings(folder.main, "compatibility_level = 0\n")
    conf = parts_conf(server, folder)
    assert folder.run("--apply", "policy", conf=conf).returncode == 0
    assert folder.get("smtpd_recipient_restrictions").endswith(f"reject_unauth_destination, {POLICY}")


@pytest.mark.parametrize("own, wanted", [
    ("permit_sasl_authenticated,reject", "check_policy_service,{%s},permit_sasl_authenticated,reject"),
    ("reject_unauth_destination,permit", "reject_unauth_destination,check_policy_service,{%s},permit"),
    ("$logins", "check_policy_service,{%s},$logins"),
    ("$others", "permit_mynetworks,check_policy_service,{%s},reject"),
    ("", "check_policy_service,{%s}")])
def test_a_service_with_a_list_of_its_own_gets_it_there(server, folder, own, wanted):
    write_settings(folder.main, SETTINGS + "logins = permit_sasl_authenticated,reject\n"
                   "others = permit_mynetworks,reject\n")
    inside = "127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_recipient_restrictions=reject\n"
    folder.master.write_text(LOGINS + own + "\n" + inside)
    conf = parts_conf(server, folder)
    before = folder.state(), conf_state(conf)
    assert folder.run("--apply", "policy", conf=conf).returncode == 0
    shown = subprocess.run(["postconf", "-c", folder.path, "-Ph",
                            "submission/inet/smtpd_recipient_restrictions"],
                           check=True, capture_output=True, text=True).stdout.strip()
    assert shown == wanted % re.sub(r"[ {}]", "", POLICY.split(" ", 1)[1])
    assert inside in folder.master.read_text()
    assert folder.run("--undo", conf=conf).returncode == 0
    assert (folder.state(), conf_state(conf)) == before


def test_a_service_with_a_list_of_its_own_for_whole_messages_gets_it_there(server, folder):
    inside = "127.0.0.1:10025 inet n - n - - smtpd\n  -o smtpd_end_of_data_restrictions=\n"
    folder.master.write_text("submission inet n - y - - smtpd\n"
                             "  -o smtpd_end_of_data_restrictions=reject_multi_recipient_bounce\n" + inside)
    conf = parts_conf(server, folder)
    before = folder.state(), conf_state(conf)
    assert folder.run("--apply", "policy", conf=conf).returncode == 0
    shown = subprocess.run(["postconf", "-c", folder.path, "-Ph",
                            "submission/inet/smtpd_end_of_data_restrictions"],
                           check=True, capture_output=True, text=True).stdout.strip()
    assert shown == "reject_multi_recipient_bounce," + POLICY.replace(" { ", ",{").replace(
        ", ", ",").replace(" }", "}")
    assert inside in folder.master.read_text()
    assert folder.run("--undo", conf=conf).returncode == 0
    assert (folder.state(), conf_state(conf)) == before


@pytest.mark.parametrize("transport", WAYS)
def test_the_maps_of_a_transport(server, folder, transport):
    conf = parts_conf(server, folder)
    before = folder.state(), conf_state(conf)
    done = folder.run("--transport", transport, "--apply", "maps", "policy", conf=conf)
    assert done.returncode == 0, done
    maps = {"relocated_maps": f"{MAP}:relocated", "virtual_alias_maps": f"{MAP}:alias"}
    if transport == "mailbox_command":
        maps["local_recipient_maps"] = f"{MAP}:mailbox {folder.get('alias_maps')}".rstrip()
    else:
        maps["virtual_mailbox_maps"] = f"{MAP}:mailbox"
        maps["virtual_mailbox_domains"] = f"{MAP}:domain"
    assert {name: folder.get(name) for name in maps} == maps
    assert folder.get("smtpd_recipient_restrictions") == POLICY
    done = folder.run("--transport", transport, "--apply", "policy", "maps", conf=conf)
    assert done.stdout == "Nothing to change.\n"
    assert folder.run("--undo", conf=conf).returncode == 0
    assert (folder.state(), conf_state(conf)) == before


def test_tables_of_the_site_s_own_stay_and_sockets_that_are_there_are_used(server, folder):
    write_settings(folder.main, SETTINGS + f"mailbox_command = {server.lda}\n"
                   "queue_directory = /q\nlocal_recipient_maps = hash:/etc/a,\n  hash:/etc/b\n"
                   "virtual_alias_maps = hash:/etc/c\n")
    folder.master.write_text("smtp inet n - n - - smtpd\n" + SERVICE + "\n")
    conf = parts_conf(server, folder, policy_listen="/run/p.sock", map_listen="/run/m /q/sub/m")
    done = folder.run("--apply", "policy", "maps", conf=conf)
    assert done.returncode == 0 and "listen" not in done.stdout, done
    assert folder.get("local_recipient_maps").split() == [
        "hash:/etc/a,", "hash:/etc/b", "socketmap:unix:sub/m:mailbox"]
    assert folder.get("virtual_alias_maps") == "hash:/etc/c socketmap:unix:sub/m:alias"
    assert "unix:/run/p.sock," in folder.get("smtpd_recipient_restrictions")
    folder.run("--undo", conf=conf)
    folder.master.write_text("smtp inet n - y - - smtpd\n")
    assert folder.run("--apply", "policy", conf=conf).returncode == 0
    assert in_conf(conf, "policy_listen") == ["/run/p.sock /q/private/brim-policy"]


@pytest.mark.parametrize("site, kept", [
    ("virtual_maps = hash:/etc/old,\n  hash:/etc/older\n",
     {"virtual_alias_maps": f"hash:/etc/old, hash:/etc/older {MAP}:alias"}),
    ("virtual_mailbox_maps = hash:/etc/boxes\n",
     {"virtual_mailbox_domains": f"hash:/etc/boxes {MAP}:domain",
      "virtual_mailbox_maps": f"hash:/etc/boxes {MAP}:mailbox"}),
    (f"virtual_mailbox_maps = {MAP}:mailbox hash:/etc/boxes\nvirtual_mailbox_domains = $virtual_mailbox_maps\n",
     {"virtual_mailbox_domains": f"hash:/etc/boxes {MAP}:domain"}),
    (f"virtual_mailbox_maps = {MAP}:mailbox\n", {"virtual_mailbox_domains": f"{MAP}:domain"})])
def test_what_a_default_means_stays(server, folder, site, kept):
    write_settings(folder.main, SETTINGS + "queue_directory = /q\n" + site)
    conf = parts_conf(server, folder, map_listen="/q/private/brim-map")
    before = folder.state(), conf_state(conf)
    assert folder.run("--transport", "pipe", "--apply", "maps", conf=conf).returncode == 0
    assert {name: folder.get(name) for name in kept} == kept
    assert folder.run("--transport", "pipe", "--apply", "maps", conf=conf).stdout == "Nothing to change.\n"
    folder.run("--undo", conf=conf)
    assert (folder.state(), conf_state(conf)) == before


def test_domains_of_tables_of_mailboxes_stay(folder):
    write_settings(folder.main, SETTINGS + f"virtual_mailbox_maps = hash:/etc/boxes {MAP}:mailbox\n")
    folder.apply("pipe")
    assert folder.get("virtual_mailbox_domains") == f"hash:/etc/boxes, {VIRTUAL_DOMAIN}"


@pytest.mark.parametrize("taker", ["luser_relay = all@host.test", "fallback_transport = smtp:old.host.test",
                                   "fallback_transport_maps = inline:{ x=smtp: }"])
@pytest.mark.parametrize("parts", [[], ["maps"]])
def test_unknown_names_that_somebody_takes_are_not_refused(server, folder, taker, parts):
    write_settings(folder.main, f"{SETTINGS}queue_directory = /q\nlocal_recipient_maps =\n{taker}\n")
    done = folder.run("--transport", "mailbox_command", "--apply", *parts, conf=parts_conf(server, folder))
    assert done.returncode == 0 and folder.get("local_recipient_maps") == "", done


def test_a_transport_alone_asks_for_neither(folder):
    folder.apply("pipe")
    assert folder.get("smtpd_recipient_restrictions") == ""
    assert "socketmap" not in folder.main.read_text()


def test_maps_for_no_transport_are_refused(folder):
    done = folder.run("--apply", "maps")
    assert done.returncode == 64 and "--transport" in done.stderr
    for words in (["nonsense"], ["--undo", "policy"], ["policy", "maps", "policy"]):
        assert folder.run(*words).returncode == 64, words


# --- what is set and what is not -------------------------------------------------------------

def test_without_apply_it_shows_and_changes_nothing(folder):
    before = folder.state()
    for way in WAYS:
        done = folder.run("--transport", way)
        assert done.returncode == 0 and done.stderr == ""
        assert "# --- lines for" in done.stdout
    assert folder.state() == before


def test_the_lines_shown_can_be_pasted(folder):
    shown = folder.run("--transport", "pipe").stdout
    main, master = shown.split("# --- lines for ")[1:]
    write_settings(folder.main, folder.main.read_text() + "#" + main)
    folder.master.write_text(folder.master.read_text() + "#" + master)
    assert folder.run("--transport", "pipe", "--apply").stdout == "Nothing to change.\n"


def conf_with(server, path, **settings):
    """Brim's settings with some others."""
    text = "".join(f"{k} = {v}\n" for k, v in {**server.brim.settings, **settings}.items()
                   if v is not None)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_limits_that_would_bounce_mail_are_raised(server, folder):
    write_settings(folder.main, SETTINGS + "command_time_limit = 600\n")
    conf = conf_with(server, folder.path / "brim.conf", deadline="600s", over_quota="10d")
    folder.apply("mailbox_command", conf=conf)
    assert folder.get("command_time_limit") == "1200s"
    assert folder.get("maximal_queue_lifetime") == "12d"
    assert folder.get("delay_warning_time") == "4h"


def test_limits_that_are_right_are_left_alone(folder):
    write_settings(folder.main, SETTINGS + "delay_warning_time = 2\nmaximal_queue_lifetime = 9\n"
                           "command_time_limit = 2h\n")
    folder.apply("mailbox_command")
    assert folder.get("delay_warning_time") == "2"
    assert folder.get("maximal_queue_lifetime") == "9"
    assert folder.get("command_time_limit") == "2h"


def test_what_goes_before_mailbox_command_is_taken_out(folder):
    write_settings(folder.main, SETTINGS + "mailbox_transport = lmtp:unix:private/x\n"
                           "local_recipient_maps =\n")
    folder.apply("mailbox_command")
    assert folder.get("mailbox_transport") == ""
    assert folder.get("local_recipient_maps") != ""


# --- what is refused ---------------------------------------------------------------------------

@pytest.mark.parametrize("arguments", [
    (), ("--apply",), ("--transport", "lmtp"), ("--undo", "--apply"), ("--undo", "--transport", "pipe")])
def test_a_command_line_that_makes_no_sense_is_refused(folder, arguments):
    before = folder.state()
    assert folder.run(*arguments).returncode == 64
    assert folder.state() == before


def refused(folder, words, way="pipe", **more):
    before = folder.state()
    done = folder.run("--transport", way, "--apply", **more)
    assert done.returncode == 75 and words in done.stderr, done
    assert folder.state() == before


def test_a_link_is_not_replaced_by_a_file(folder):
    folder.main.rename(folder.path / "real.cf")
    folder.main.symlink_to("real.cf")
    refused(folder, "is a link")


def test_a_mail_user_that_may_not_ask_or_does_not_exist_is_refused(server, folder):
    conf = conf_with(server, folder.path / "brim.conf", trusted_users="nosuchuser")
    refused(folder, "nosuchuser", conf=conf)
    conf_with(server, conf, trusted_users="")
    refused(folder, "trusted_users = vmail", conf=conf)


def test_a_main_cf_that_postconf_refuses_is_left_alone(folder):
    folder.master.write_text("what is this\n")
    refused(folder, "postconf: ")


def test_without_a_main_cf_it_shows_but_does_not_apply(folder):
    folder.main.unlink()
    refused(folder, "no settings")
    assert "mailbox_command = " in folder.run("--transport", "mailbox_command").stdout


def test_the_old_name_of_the_option_is_taken(folder):
    assert folder.run("--way", "pipe").stdout == folder.run("--transport", "pipe").stdout


def test_only_root_may_apply(server, folder):
    folder.path.chmod(0o755)
    refused(folder, "only root", prefix=["setpriv", "--reuid=daemon", "--clear-groups"])


def test_two_at_once_do_not_mix(folder):
    before = folder.state()
    done = folder.run("--transport", "pipe", "--apply", prefix=["flock", "--no-fork", folder.path])
    assert done.returncode == 75 and "another brimadm" in done.stderr, done
    assert folder.state() == before
