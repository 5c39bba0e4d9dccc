"""The form of brim.conf: the programs and the package's preinst refuse the same, in the same
words."""

import os
import pathlib
import random
import re
import shutil
import subprocess
import time

import pytest

from brim import BIN, ROOT, Brim
from host import Host

PREINST = (ROOT / "debian/brim.preinst").read_text()
NAMES = re.findall(r"^#(\w+) =", (ROOT / "etc/brim.conf").read_text(), re.M)
FAULTS = {
    "quota = 1G\n# x\nquota = 2G\n": "line 3: quota is set already in line 1: take that one out",
    "trusted_users = vmail\n  quota = 1G\n":
        'line 2: "quota" looks like a setting, but the blank before it continues line 1',
    "trusted_users = vmail\n\n#\n\tquota:1G\n": 'line 4: "quota" looks like a setting',
    "[mail]\nquota = 1G\n": "line 1: sections are not used",
    "quota = 1G\n [mail]\n": "line 2: sections are not used",
    "quota: 1G\n": "line 1: not \"name = value\": write = for the colon",
    "socket:/run/a=b\n": "line 1: not \"name = value\": write = for the colon",
    "; mine\n": "line 1: comments begin with #",
    "quota = 1G\n  ; mine\n": "line 2: comments begin with #",
    "quota = 1G ; mine\n": 'line 1: " ;" begins no comment',
    "trusted_users =\t;vmail\n": 'line 1: " ;" begins no comment',
    "# fine\n quota = 1G\n": "line 2: a line that begins with a blank continues a setting",
    "quota = 1G\nquota_ignore\n": "line 2: not \"name = value\": the = is missing",
    "quota = 1G\nquota ignore: x\n": "line 2: not \"name = value\": the = is missing",
    "= 1G\n": "line 1: not \"name = value\": the name is missing",
    "recipient_delimiter = ++++-_=.,/#\nqouta = 1G\n": 'line 2: there is no setting "qouta"',
    "qouta = 1G\n": 'line 1: there is no setting "qouta"',
    "quo ta = 1G\n": 'line 1: there is no setting "quo ta"',
    "qu\u00f6ta = 1G\n": 'line 1: there is no setting "qu??ta"',
    "quota_ignore = 50%\n": 'line 1: quota_ignore: "50%" has no place in a list: write a blank '
                            "in a name as %20, and a % as %25",
    "\ntrusted_users = a%20b\n  c,\t%%41\nlog = stderr\n": 'line 2: trusted_users: "%%41" has no',
    "local_domains =a%2,b\n": 'line 1: local_domains: "a%2" has no place',
    "local_domains=b%00\n": 'line 1: local_domains: "b%00" has no place',
    "quota_ignore = \u00e4%" + "x" * 99: 'line 1: quota_ignore: "??%' + "x" * 77 + '" has no',
    "quota_ignore = a%20" + "x" * 1020: 'line 1: quota_ignore: "a%20' + "x" * 76 + '" has no',
    "quota = 1G\n\n# a\0b\n": "line 3: a NUL byte is in it",
    "\ufeffquota = 1G\n": "line 1: it begins with a byte order mark",
    "# old\rquota = 1G\r": "line 1: a CR is in it",
    "#" * ((1 << 20) + 1): "can't be read: it is larger than 1 MB",
}
SOUND = {
    "": {},
    "quota = 1G": {"quota": "1G"},
    "quota = 1G\r\n\r\nquotad_down = deliver\r\n": {"quota": "1G", "quotad_down": "deliver"},
    "trusted_users =\n  vmail\n \t \n# one\n  # two\n\n\tnews\nquota=1G\n":
        {"trusted_users": "vmail\tnews", "quota": "1G"},
    "quota\n  = 1G\n": {"quota": "1G"},
    "local_domains = a.example,\n  [192.0.2.1]\n [IPv6:2001:db8::1]\n":
        {"local_domains": "a.example,  [192.0.2.1] [IPv6:2001:db8::1]"},
    "quota_ignore = a%20b,%41%fF%10\t%01%25,\n %25%25":
        {"quota_ignore": "a%20b,%41%fF%10\t%01%25, %25%25"},
    "quota_ignore = a%20" + "x" * 1019: {"quota_ignore": "a%20" + "x" * 1019},
    "trusted_users = " + "u" * 1024: {"trusted_users": "u" * 1024},
    "users_db = /50%": {"users_db": "/50%"},
    "users_db = /a;b:c=d#e # f\n": {"users_db": "/a;b:c=d#e # f"},
    "trusted_users = vmail\n  quota 1G quotas=1G\n": {"trusted_users": "vmail  quota 1G quotas=1G"},
    "trusted_users = " + "u" * 5000 + "\n  " + "v" * 300 + "\n":
        {"trusted_users": "u" * 5000 + "  " + "v" * 300},
}


def read_by_programs(file):
    """Their reason, in ASCII as lda and quotad have it; empty where they take it."""
    done = subprocess.run([BIN / "brimadm", "-c", file, "config"], capture_output=True,
                          text=True, errors="replace", timeout=30)
    shown = re.sub(r"[^ -~]", lambda c: "?" * len(c[0].encode()), done.stderr.strip())
    return shown.removeprefix("brimadm: ") if done.returncode else ""


@pytest.fixture
def read_by_preinst(tmp_path):
    """The same by the package's script, as debian/rules makes it, for a file elsewhere."""
    script = tmp_path / "preinst"

    def read(file, verb="upgrade"):
        script.write_text(PREINST.replace("#SETTINGS#", " ".join(NAMES))
                          .replace("/etc/brim/brim.conf", str(file)))
        done = subprocess.run(["sh", script, verb, "0.1"], capture_output=True, text=True,
                              errors="replace", timeout=30)
        assert (done.returncode != 0) == bool(done.stderr), done.stderr
        return done.stderr.split("\n")[0].removeprefix("brim: ")
    return read


@pytest.fixture
def brim():
    with Brim() as b:
        yield b


def settings(file):
    text = subprocess.run([BIN / "brimadm", "-c", file, "config"], capture_output=True,
                          text=True, check=True, timeout=30).stdout
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.M))


@pytest.mark.parametrize("text, fault", FAULTS.items(), ids=range(len(FAULTS)))
def test_a_fault_of_form_is_told_alike_by_programs_and_preinst(tmp_path, read_by_preinst, text,
                                                               fault):
    file = tmp_path / "brim.conf"
    file.write_bytes(text.encode())
    assert read_by_programs(file).startswith(f"{file} {fault}")
    assert read_by_preinst(file) == read_by_programs(file)


@pytest.mark.parametrize("text, found", SOUND.items(), ids=range(len(SOUND)))
def test_sound_forms_are_taken_by_both(tmp_path, read_by_preinst, text, found):
    file = tmp_path / "brim.conf"
    file.write_bytes(text.encode())
    assert settings(file) == found
    assert read_by_preinst(file) == ""


def test_programs_and_preinst_agree_about_any_lines(tmp_path, read_by_preinst):
    """But for values, which preinst leaves to the programs. Each run has lines of its own."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    file = tmp_path / "brim.conf"
    pieces = ["quota", "log", "trusted_users", "qouta", " ", "  ", "\t", "=", " = ", ":", ";",
              "#", "[", "%", "%2", "\r", "\n", "\n", "\n", "\n ", "1G", "vmail", "\n\n", "\u00e4"]
    seen = set()
    for _ in range(24):
        text = "".join(chance.choices(pieces, k=chance.randrange(1, 16)))
        file.write_bytes(text.encode())
        fault = read_by_programs(file)
        if not re.search(r"line \d+: (quota|log): ", fault):
            assert read_by_preinst(file) == fault, (seed, text)
            seen.add(re.sub(r".*line \d+: ", "", fault))
    assert len(seen) > 3, seed


@pytest.mark.parametrize("value, word", [("none", "letters"), ("+ -", "blanks"), ("@", "an @"),
                                         ("+1", "digits"), ("\u00e9", "letters"),
                                         ('"+"', "quotation"), ("'+'", "quotation")])
def test_a_delimiter_is_no_part_of_names(brim, value, word):
    """Of a name less an o, n or e mail would be another's."""
    brim.mailbox("j@example.org")
    brim.configure(recipient_delimiter=value)
    fault = read_by_programs(brim.conf)
    assert "recipient_delimiter: " in fault and word in fault
    assert brim.deliver("jon@example.org").code == "4.3.5"


def test_preinst_knows_which_settings_are_lists():
    lists = re.findall(r'^\t\{"(\w+)", LIST,', (ROOT / "lib/base/conf.c").read_text(), re.M)
    assert len(lists) > 2
    assert re.search(r'split\("([a-z_ ]+)", list', PREINST)[1].split() == lists


def test_preinst_knows_every_setting_and_asks_only_where_programs_come(tmp_path, read_by_preinst):
    file = tmp_path / "brim.conf"
    assert read_by_preinst(file) == ""
    file.write_text("".join(f"{name} =\n" for name in NAMES))
    assert read_by_preinst(file) == ""
    file.write_text("; bad\n")
    assert read_by_preinst(file, "abort-upgrade") == ""
    assert read_by_preinst(file, "install") != ""


@pytest.mark.parametrize("kind", ["directory", "fifo", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path, read_by_preinst, kind):
    file = tmp_path / "brim.conf"
    if kind == "directory":
        file.mkdir()
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    began = time.monotonic()
    assert read_by_programs(file) == f"{file} can't be read: it is not a regular file"
    assert read_by_preinst(file) == read_by_programs(file)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("uid, mode, fault", [
    (0, 0o644, ""),
    (0, 0o4640, ""),
    (1234, 0o644, "belongs to uid 1234, not to root: chown root"),
    (0, 0o646, "can be changed by others (mode 0646): chmod go-w"),
    (0, 0o664, "can be changed by others (mode 0664): chmod go-w"),
])
def test_settings_that_others_can_change_are_refused(tmp_path, read_by_preinst, uid, mode, fault):
    file = tmp_path / "brim.conf"
    file.write_text("quota = 1G\n")
    os.chown(file, uid, 0)
    file.chmod(mode)
    assert read_by_programs(file) == (f"{file} {fault} {file}" if fault else "")
    assert read_by_preinst(file) == read_by_programs(file)


def test_lda_and_quotad_take_no_settings_that_others_can_change(brim):
    brim.mailbox("alice@example.org", uid=20001)
    brim.conf.chmod(0o666)
    refused = brim.deliver("alice@example.org")
    assert (refused.status, refused.code) == (75, "4.3.5"), refused
    assert f"chmod go-w {brim.conf}" in (refused.output + refused.errors).decode(), refused
    with pytest.raises(AssertionError, match=f"chmod go-w {brim.conf}"):
        brim.start_quotad()


def test_a_user_s_own_settings_are_taken_by_its_own_programs_alone(brim):
    for uid in (20001, 20002):
        brim.mailbox(f"u{uid}@example.org", uid=uid)
    brim.start_quotad()
    os.chown(brim.conf, 20001, 20001)
    assert brim.deliver("u20001@example.org", uid=20001).status == 0
    assert brim.deliver("u20002@example.org", uid=20002).code == "4.3.5"


@pytest.mark.parametrize("what", ["brim.conf", "."])
def test_a_link_to_settings_that_are_lost_is_a_mistake(what):
    """Nobody meant the defaults, by which another address may be unknown."""
    with Host() as host:
        where = pathlib.Path("/etc/brim")
        if where.exists():
            shutil.rmtree(where)
        link = where if what == "." else where / what
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(host.folder / "lost")
        done = subprocess.run([BIN / "lda", "-d", "bob@example.org"], input=b"x\n", check=False,
                              stdout=subprocess.PIPE)
        assert done.returncode == 75 and done.stdout.startswith(b"4.3.5"), done
        assert b"/etc/brim/brim.conf" in done.stdout
        done = subprocess.run([BIN / "brimadm", "check"], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert "brim.conf can't be opened" in done.stdout, done
