"""brimadm: each command, each refusal, and what a fault leaves behind. Run as root."""

import json
import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

import pytest

from brim import BIN, Brim

ALWAYS = {"--config", "--help"}
ALICE = ("add", "alice@example.org", "uid=20001", "gid=20001", "mail=/home/alice/Maildir/")


@pytest.fixture
def brim():
    with Brim() as b:
        b.admin("init")
        yield b


@pytest.fixture
def alice(brim):
    brim.admin(*ALICE, "quota=1G")
    return brim


def dump(brim):
    return brim.admin("dump").stdout.splitlines()


def refused(brim, *arguments, status=64, words=(), input=None):
    """The command fails with one line that has the words, and changes nothing."""
    before = brim.users_db.read_bytes() if brim.users_db.exists() else None
    done = brim.admin(*arguments, check=False, input=input)
    assert done.returncode == status, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("brimadm: ")
    for word in words:
        assert word in done.stderr, done.stderr
    assert (brim.users_db.read_bytes() if brim.users_db.exists() else None) == before
    assert not pathlib.Path(f"{brim.users_db}.new").exists()
    return done.stderr


# usage


def test_help_lists_every_command_on_standard_output(brim):
    done = brim.admin("--help")
    for word in ("init", "load [FILE]", "move ADDRESS NEW-ADDRESS", "over_quota"):
        assert word in done.stdout
    assert done.stderr == ""


def test_the_man_page_tells_every_command_field_and_option(brim):
    page = (pathlib.Path(__file__).parents[2] / "man/brimadm.8").read_text()
    commands, fields, options = brim.admin("--help").stdout.split("\n\n")[1:]
    for line in commands.splitlines()[1:]:
        assert f".It Cm {line.split()[0]}" in page
    for line in fields.splitlines()[1:]:
        assert line.split()[0] in page
    for line in options.splitlines()[1:]:
        assert f"Fl Fl {line.split('--')[1].split()[0]}" in page


def test_each_command_has_a_help_of_its_own_with_an_example_that_is_taken(brim):
    usage, fields, options = brim.admin("--help").stdout.split("\n\n")[1:]
    own = {}
    lines = [line.split()[0] for line in usage.splitlines()[1:]]
    assert len(lines) > 20
    for command in lines:
        done = brim.admin(command, "--help")
        told, _, example = done.stdout.partition("\nexample:\n")
        others = "|".join(set(lines) - {command})
        assert done.stderr == "" and told.startswith(f"usage: brimadm [-c FILE] {command}"), done
        assert not re.search(rf"^  ({others})\b(?!=)", told.split("\noptions:")[0]
                             .split("\nfields:")[0], re.M), command
        assert (fields.strip() in told) == (command in ("add", "set")), command
        words = shlex.split(example.replace("\\\n", "").split(" > ")[0])
        last = [i for i, word in enumerate(words) if word == "brimadm"][-1]
        assert words[last + 1] == command, example
        # an option that the command lacks is refused before the settings are read
        run = subprocess.run([BIN / "brimadm", "-c", "/nonexistent/conf", *words[last + 1:]],
                             capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if command == "trace":  # it needs no settings
            assert run.returncode in (1, 75) and "usage" not in run.stderr, (example, run)
        else:
            assert run.returncode == 75 and "/nonexistent/conf" in run.stderr, (example, run)
        own[command] = set(re.findall(r"--[a-z-]+", told.split("\noptions:")[1])) - ALWAYS
    assert own["load"] == {"--replace", "--dry-run", "--force"} and own["set"] == set()
    assert set.union(*own.values()) == set(re.findall(r"--[a-z-]+", options)) - ALWAYS


def test_the_help_of_no_command_names_the_nearest(brim):
    refused(brim, "lsit", "--help", words=("do you mean list?",))
    assert brim.admin("--help", "set").stdout == brim.admin("set", "-h", "x").stdout


def test_no_command_prints_usage_and_exits_64(brim):
    done = brim.admin(check=False)
    assert done.returncode == 64 and done.stdout == "" and "commands:" in done.stderr


@pytest.mark.parametrize("arguments, words", [
    (("lsit",), ("lsit", "do you mean list?")),
    (("frobnicate",), ("frobnicate", "--help")),
    (("show",), ("usage: brimadm show ADDRESS",)),
    (("show", "a", "b"), ("usage: brimadm show ADDRESS",)),
    (("remove",), ("usage: brimadm remove ADDRESS",)),
    (("dump", "--json"), ("dump has no --json",)),
    (("list", "--replace"), ("list has no --replace",)),
    (("list", "--frob"), ("--frob", "--help")),
    (("list", "-x"), ("-x",)),
    (("list", "-c"), ("-c needs an argument",)),
])
def test_wrong_usage_is_one_line_and_64(brim, arguments, words):
    refused(brim, *arguments, words=words)


# making the table


def test_without_init_every_command_says_to_run_it():
    with Brim() as b:
        for command in (ALICE, ("show", "a"), ("list",), ("dump",), ("remove", "a"),
                        ("load",), ("apply",)):
            refused(b, *command, status=75, words=("brimadm init",), input="")
        assert not b.users_db.exists()


def test_init_makes_an_empty_public_table_and_its_directory():
    with Brim() as b:
        b.users_db.parent.rmdir()
        b.admin("init")
        assert b.users_db.stat().st_mode & 0o7777 == 0o644
        assert dump(b) == []


def test_init_leaves_a_table_that_is_there(alice):
    before = alice.users_db.stat()
    done = alice.admin("init")
    assert "already" in done.stderr
    assert alice.users_db.stat().st_ino == before.st_ino


def test_init_says_that_a_table_is_damaged(brim):
    brim.users_db.write_bytes(b"")
    refused(brim, "init", status=75, words=("empty",))


# records


def test_add_makes_the_domain_with_its_first_mailbox(alice):
    assert dump(alice) == [
        "@example.org",
        "alice@example.org uid=20001 gid=20001 mail=/home/alice/Maildir/ quota=1073741824",
    ]


def test_a_bare_name_needs_no_domain(brim):
    brim.admin("add", "Carol", "uid=20003", "gid=20003", "mail=/home/carol/Maildir/")
    assert dump(brim) == ["carol uid=20003 gid=20003 mail=/home/carol/Maildir/"]


def test_set_changes_and_an_empty_value_removes(alice):
    alice.admin("set", "ALICE@example.org", "quota=", "messages=5", "over_quota=bounce")
    assert dump(alice)[1] == ("alice@example.org uid=20001 gid=20001 "
                              "mail=/home/alice/Maildir/ messages=5 over_quota=bounce")


def test_set_may_move_a_mailbox_inside_its_own_path(alice):
    alice.admin("set", "alice@example.org", "mail=/home/alice/Maildir/inner/")
    alice.admin("set", "alice@example.org", "mail=/home/alice/")
    assert "mail=/home/alice/ " in dump(alice)[1]


def test_a_domain_has_defaults(alice):
    alice.admin("set", "@Example.org", "quota=100G", "catchall=Alice@example.org")
    assert dump(alice)[0] == "@example.org quota=107374182400 catchall=alice@example.org"


def test_states_follow_their_commands(alice):
    def state():
        return dump(alice)[1].partition(" quota=1073741824")[2]

    alice.admin("disable", "alice@example.org")
    assert state() == " state=disabled"
    alice.admin("suspend", "alice@example.org")
    assert state() == " state=suspended"
    alice.admin("move", "alice@example.org", "Alice@New.test")
    assert state() == " state=moved moved_to=alice@new.test"
    alice.admin("enable", "alice@example.org")
    assert state() == ""


def test_remove_never_touches_the_mail(brim):
    mail = brim.mailbox("bob@example.org")
    (mail / "new/1.x.host,S=2").write_bytes(b"x\n")
    brim.admin("remove", "bob@example.org")
    assert (mail / "new/1.x.host,S=2").read_bytes() == b"x\n"
    assert dump(brim) == ["@example.org"]
    brim.admin("remove", "@example.org")
    assert dump(brim) == []


def test_aliases_lead_to_one_or_many_here_or_elsewhere(alice):
    alice.admin("alias", "Sales@example.org", "Alice@Example.org")
    alice.admin("alias", "all@example.org", "alice@example.org, someone@elsewhere.test")
    alice.admin("alias", "sales@example.org", "alice+sales@example.org")
    assert dump(alice)[2:] == [
        "all@example.org alias=alice@example.org,someone@elsewhere.test",
        "sales@example.org alias=alice+sales@example.org",
    ]


# refusals


@pytest.mark.parametrize("arguments, words", [
    (ALICE, ("alice@example.org", "already", "brimadm set")),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=/home/alice/Maildir/"),
     ("b@example.org", "/home/alice/Maildir/", "mailbox of alice@example.org")),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=/home/alice/Maildir/.b/"),
     ("mailbox of alice@example.org",)),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=/home/alice/"),
     ("mailbox of alice@example.org",)),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=home/b/"), ("absolute",)),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=/home/../b/"), ("..",)),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=/home//b/"), ("empty",)),
    (("add", "b@example.org", "uid=20002", "gid=20002", "mail=/var/mail/b"),
     ("does not end in /", "Maildirs")),
    (("add", "b@example.org", "gid=20002", "mail=/m/b/"), ("needs uid=",)),
    (("add", "b@example.org", "uid=20002", "mail=/m/b/"), ("needs gid=",)),
    (("add", "b@example.org", "uid=20002", "gid=20002"), ("needs mail=",)),
    (("add", "b@example.org", "uid=0", "gid=20002", "mail=/m/b/"), ("uid", "root")),
    (("add", "b@example.org", "uid=20002", "gid=0", "mail=/m/b/"), ("gid", "root")),
    (("add", "b@example.org", "uid=65534", "gid=20002", "mail=/m/b/"), ("nobody",)),
    (("add", "b@example.org", "uid=20002", "gid=65534", "mail=/m/b/"), ("nobody",)),
    (("add", "b@example.org", "uid=4294967295", "gid=20002", "mail=/m/b/"), ("nobody",)),
    (("add", "b@example.org", "uid=5", "gid=20002", "mail=/m/b/"), ("min_uid",)),
    (("add", "", "uid=20002", "gid=20002", "mail=/m/b/"), ("empty",)),
    (("add", "b@", "uid=20002", "gid=20002", "mail=/m/b/"), ("behind",)),
    (("add", "b\nc@example.org", "uid=20002", "gid=20002", "mail=/m/b/"), ("control",)),
    (("add", "b" * 400, "uid=20002", "gid=20002", "mail=/m/b/"), ("longer",)),
    (("add", "@new.test", "uid=20002"), ("a domain has no field uid",)),
    (("set", "alice@example.org", "qouta=1G"), ("qouta", "do you mean quota?")),
    (("set", "alice@example.org", "colour=blue"), ("colour", "--help")),
    (("set", "alice@example.org", "quota"), ("FIELD=VALUE",)),
    (("set", "alice@example.org", "=1"), ("no field",)),
    (("set", "alice@example.org", "quota=1000"), ("quota", "no unit", "1000M")),
    (("set", "alice@example.org", "quota=-1"), ("not a size",)),
    (("set", "alice@example.org", "quota=NaN"), ("not a size",)),
    (("set", "alice@example.org", "quota=10GiB"), ("not a size",)),
    (("set", "alice@example.org", "quota=99999999999999999999G"), ("not a size",)),
    (("set", "alice@example.org", "quota=16777216T"), ("not a size",)),
    (("set", "alice@example.org", "messages=1K"), ("messages", "not a number")),
    (("set", "alice@example.org", "over_quota=later"), ("defer, bounce",)),
    (("set", "alice@example.org", "state=asleep"), ("enabled, disabled",)),
    (("set", "alice@example.org", "state=moved"), ("moved_to",)),
    (("set", "alice@example.org", "mail="), ("needs mail=",)),
    (("set", "alice@example.org", "alias=b@example.org"), ("an alias has no field",)),
    (("set", "alice@example.org", "note=x"), ("no field",)),
    (("set", "@example.org", "catchall=nobody@example.org"),
     ("catchall of @example.org", "nobody@example.org")),
    (("set", "@example.org", "catchall=x@elsewhere.test"), ("must lead to a mailbox",)),
    (("set", "@example.org", "catchall=a@b.test,c@d.test"), ("more than one",)),
    (("alias", "sales@example.org", "nobody@example.org"),
     ("sales@example.org", "nobody@example.org", "not be in the table")),
    (("alias", "sales@example.org", "nobody"), ("not be in the table",)),
    (("alias", "sales@example.org", "alice@example.org,"), ("empty",)),
    (("alias", "sales@example.org", ""), ("empty",)),
    (("alias", "sales@example.org", "sales@example.org"), ("loop",)),
    (("alias", "alice@example.org", "b@elsewhere.test"), ("is a mailbox", "remove")),
    (("alias", "@example.org", "alice@example.org"), ("is a domain", "catchall=")),
    (("move", "alice@example.org", "alice"), ("must be whole",)),
    (("move", "alice@example.org", "alice@example.org"), ("old address",)),
    (("enable", "@example.org"), ("not a mailbox",)),
    (("remove", "@example.org"), ("alice@example.org", "remove them first")),
])
def test_a_refusal_says_what_and_where_and_changes_nothing(alice, arguments, words):
    refused(alice, *arguments, words=words)


@pytest.mark.parametrize("command", [
    ("show",), ("remove",), ("enable",), ("disable",), ("suspend",), ("set", "quota=1G"),
    ("move", "x@y.test"),
])
def test_an_address_that_is_not_there_is_status_1(alice, command):
    refused(alice, command[0], "nobody@example.org", *command[1:], status=1,
            words=("nobody@example.org is not in the table",))


def test_a_loop_of_aliases_is_refused_wherever_it_closes(alice):
    alice.admin("alias", "a@example.org", "alice@example.org")
    alice.admin("alias", "b@example.org", "a@example.org")
    alice.admin("alias", "c@example.org", "b@example.org,alice@example.org")
    refused(alice, "alias", "a@example.org", "c@example.org", words=("a@example.org", "loop"))


def test_ten_aliases_in_a_row_are_allowed_and_eleven_refused(alice):
    previous = "alice@example.org"
    for i in range(10):
        alice.admin("alias", f"a{i}@example.org", previous)
        previous = f"a{i}@example.org"
    refused(alice, "alias", "a10@example.org", previous, words=("more than 10 aliases",))


def test_an_alias_that_fans_out_without_end_is_refused(alice):
    lines = ["alias a0@example.org alice@example.org,alice@example.org"]
    for i in range(1, 10):
        many = ",".join([f"a{i - 1}@example.org"] * 8)
        lines.append(f"alias a{i}@example.org {many}")
    refused(alice, "apply", input="\n".join(lines) + "\n", words=("steps",))


@pytest.mark.parametrize("record", ["sales@example.org", "@example.org"])
def test_what_others_lead_to_is_not_removed(alice, record):
    if record[0] == "@":
        alice.admin("set", record, "catchall=alice@example.org")
    else:
        alice.admin("alias", record, "alice@example.org")
    refused(alice, "remove", "alice@example.org", words=(record, "alice@example.org"))


# showing


def test_show_is_for_people_and_json_for_programs(alice):
    text = alice.admin("show", "Alice@example.org").stdout
    assert "quota    1G\n" in text and "mail     /home/alice/Maildir/\n" in text
    assert json.loads(alice.admin("show", "--json", "alice@example.org").stdout) == {
        "address": "alice@example.org", "uid": 20001, "gid": 20001,
        "mail": "/home/alice/Maildir/", "quota": 1 << 30}


def test_list_takes_a_pattern(alice):
    alice.admin("alias", "sales@example.org", "alice@example.org")
    lines = alice.admin("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "ADDRESS", "@example.org", "alice@example.org", "sales@example.org"]
    lines = alice.admin("list", "S*@example.org").stdout.splitlines()
    assert lines[1].split() == ["sales@example.org", "alias", "alice@example.org"]
    found = json.loads(alice.admin("list", "--json", "*alice*").stdout)
    assert [r["address"] for r in found] == ["alice@example.org"]


def test_list_without_a_match_is_status_1(alice):
    done = alice.admin("list", "nobody*", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert json.loads(alice.admin("list", "--json", "nobody*", check=False).stdout) == []


@pytest.mark.parametrize("name", [b"\xe9t\xe9", b'a"b\\c', b"a b%41", b"\xff\xff", b"\xc3\xa9"])
def test_odd_names_survive_every_output(brim, name):
    address = os.fsdecode(name) + "@example.org"
    brim.admin("add", address, "uid=20001", "gid=20001", "mail=/m/x y/")
    lines = dump(brim)
    assert len(lines) == 2 and all(" " <= c <= "~" for c in "".join(lines))
    assert json.loads(brim.admin("list", "--json").stdout)[1]["mail"] == "/m/x y/"
    assert len(brim.admin("list").stdout.splitlines()) == 3
    brim.admin("show", address)
    brim.admin("load", "--replace", input="\n".join(lines) + "\n")
    assert dump(brim) == lines


def test_config_prints_settings_that_can_be_read_back(brim):
    text = brim.admin("config").stdout
    copy = brim.folder / "copy.conf"
    copy.write_text(text)
    again = subprocess.run([BIN / "brimadm", "-c", copy, "config"], capture_output=True,
                           text=True, check=True)
    assert again.stdout == text
    settings = json.loads(brim.admin("config", "--json").stdout)
    assert settings["users_db"]["value"] == str(brim.users_db)
    assert settings["over_quota"]["default"] == "3d"


def test_bad_settings_are_named_with_file_and_line(brim):
    brim.conf.write_text("users_db = /x/y\nno_such_setting = 1\n")
    done = brim.admin("list", check=False)
    assert done.returncode == 75 and "no_such_setting" in done.stderr
    assert str(brim.conf) in done.stderr and len(done.stderr.splitlines()) == 1


# dump, load, apply


def many(count):
    yield "@example.org quota=5"
    for i in range(count):
        yield f"u{i:05}@example.org uid=20001 gid=20001 mail=/m/u{i:05}/ other_field=a%20b"


def test_dump_load_dump_is_the_same(brim):
    lines = list(many(2000))
    brim.admin("load", input="\n".join(lines) + "\n")
    assert dump(brim) == lines
    file = brim.folder / "dump"
    file.write_text(brim.admin("dump").stdout)
    brim.admin("load", "--replace", file)
    assert dump(brim) == lines


def test_load_keeps_the_others_and_replace_does_not(alice):
    line = "bob@example.org uid=20002 gid=20002 mail=/m/b/\n"
    alice.admin("load", input=line)
    assert len(dump(alice)) == 3
    alice.admin("load", "--replace", "--force", "-", input=line)
    assert dump(alice) == ["@example.org", line.strip()]


def test_load_takes_records_in_any_order(brim):
    brim.admin("load", input="a@x.test alias=b@x.test\n"
                             "@x.test catchall=a@x.test\n"
                             "b@x.test uid=20001 gid=20001 mail=/m/b/\n")
    assert len(dump(brim)) == 3


@pytest.mark.parametrize("line, words", [
    ("x uid=1", ("4:",)),
    ("bob@example.org uid=20002 gid=20002 mail=/home/alice/Maildir/x/", ("4:", "alice")),
    ("bob@example.org uid=20002 gid=20002 mail=/m/b/ quota=1G", ("4:", "not a number")),
    ("bob@example.org uid=20002 gid=20002 mail=/m/b/ quota=18446744073709551616", ("4:",)),
    ("bob@example.org uid=20002  gid=20002", ("4:", "column")),
    ("bob@example.org uid=%ZZ", ("4:", "%XX")),
    ("bob@example.org uid=1 uid=1", ("4:", "twice")),
    ("bob@example.org \x01=1", ("4:", "%XX")),
    ("x" * 5000, ("4:", "longer")),
    ("b@example.org alias=nobody@example.org", ("nobody@example.org",)),
    ("bob@example.org uid=20002 gid=20002 mail=/m/b\0/", ("4:", "%XX")),
    ("bob%01@example.org uid=20002 gid=20002 mail=/m/b/", ("4:", "control")),
])
def test_load_is_all_or_nothing_and_names_the_line(alice, line, words):
    good = "c@example.org uid=20003 gid=20003 mail=/m/c/\n"
    refused(alice, "load", input=f"{good}\n\n{line}\n", words=words)


def test_a_dump_that_was_cut_off_is_refused(alice):
    text = alice.admin("dump").stdout
    refused(alice, "load", "--replace", input=text[:-1], words=(":2:", "cut off"))


def test_replace_by_nothing_is_refused(alice):
    refused(alice, "load", "--replace", input="\n\n", words=("no record",))


def test_replace_refuses_a_key_that_stands_twice(brim):
    line = "a uid=20001 gid=20001 mail=/m/a/\n"
    refused(brim, "load", "--replace", input=line + line, words=(":2:", "twice"))


def test_a_file_that_is_not_there_is_named(brim):
    refused(brim, "load", "/nonexistent/file", status=75, words=("/nonexistent/file",))
    refused(brim, "apply", "/", status=75, words=("directory",))


def test_apply_is_one_change(brim):
    before = brim.users_db.stat().st_ino
    brim.admin("apply", input="""
# comments and empty lines are skipped
add alice@example.org uid=20001 gid=20001 mail=/m/a%20b/ quota=1G
alias sales@example.org alice@example.org
	set   alice@example.org   quota=2G
suspend alice@example.org
add tmp uid=20002 gid=20002 mail=/m/t/
remove tmp
""")
    assert dump(brim) == [
        "@example.org",
        "alice@example.org uid=20001 gid=20001 mail=/m/a%20b/ quota=2147483648 "
        "state=suspended",
        "sales@example.org alias=alice@example.org",
    ]
    assert brim.users_db.stat().st_ino != before


@pytest.mark.parametrize("line, status, words", [
    ("remove nobody", 1, ("nobody",)),
    ("rmeove nobody", 64, ("do you mean remove?",)),
    ("dump", 64, ("can't be applied",)),
    ("load x", 64, ("can't be applied",)),
    ("set alice@example.org", 64, ("usage",)),
    ("set alice@example.org quota=%Z", 64, ("%XX",)),
    ("set alice@example.org quota=5", 64, ("no unit",)),
    ("set alice@example.org quota=5K\0", 64, ("NUL",)),
])
def test_apply_is_all_or_nothing_and_names_the_line(alice, line, status, words):
    refused(alice, "apply", input=f"disable alice@example.org\n\n{line}\nenable x\n",
            status=status, words=("standard input:3: ", *words))


# output that can't be written


@pytest.mark.parametrize("command", ["dump", "list", "config"])
def test_a_full_disk_under_the_output_is_an_error(brim, command):
    brim.admin("load", input="\n".join(many(500)) + "\n")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BIN / "brimadm", "-c", brim.conf, command], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 75 and len(done.stderr.splitlines()) == 1
    assert "standard output" in done.stderr


@pytest.mark.parametrize("arguments", [("dump",), ("list",), ("list", "--json")])
def test_a_reader_that_goes_away_is_a_clean_error(brim, arguments):
    brim.admin("load", input="\n".join(many(3000)) + "\n")
    process = subprocess.Popen([BIN / "brimadm", "-c", brim.conf, *arguments],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(20) == 75
    assert errors.splitlines() == [errors.strip()] and "standard output" in errors


def test_closed_descriptors_never_become_the_table(alice):
    before = alice.users_db.stat().st_size
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" dump <&- >&- 2>&-', BIN / "brimadm", alice.conf])
    assert done.returncode == 75
    subprocess.run(["/bin/sh", "-c", 'exec "$0" -c "$1" disable alice@example.org <&- >&- 2>&-',
                    BIN / "brimadm", alice.conf], check=True)
    assert "state=disabled" in dump(alice)[1]
    assert abs(alice.users_db.stat().st_size - before) < 100000


# who may


def test_an_ordinary_user_reads_and_can_change_nothing(alice):
    os.chmod(alice.folder, 0o755)

    def run(*arguments):
        return subprocess.run([BIN / "brimadm", "-c", alice.conf, *arguments],
                              capture_output=True, text=True, user=20001, group=20001,
                              extra_groups=[])
    assert run("show", "alice@example.org").returncode == 0
    for command in (("init",), ("disable", "alice@example.org"), ("load",), ("apply",)):
        done = run(*command)
        assert done.returncode == 75
        assert done.stderr == "brimadm: only root can change the user table\n"
    alice.configure(users_mode="0640")
    alice.admin("disable", "alice@example.org")
    assert run("show", "alice@example.org").returncode == 75


def test_mode_and_group_are_as_set(alice):
    alice.configure(users_mode="0640", users_group="mail")
    alice.admin("disable", "alice@example.org")
    st = alice.users_db.stat()
    assert st.st_mode & 0o7777 == 0o640 and st.st_gid == 8
    alice.configure(users_group="no_such_group")
    refused(alice, "enable", "alice@example.org", status=75, words=("no_such_group",))


@pytest.mark.parametrize("spoil, word", [
    (lambda t: os.chown(t, 20001, 0), "20001"),
    (lambda t: os.chmod(t, 0o666), "may write"),
    (lambda t: t.write_bytes(b""), "empty"),
    (lambda t: t.write_bytes(t.read_bytes()[:-4096]), "damaged"),
    (lambda t: t.write_bytes(b"\0" * 20480), "not a table"),
    (lambda t: os.chmod(t.parent, 0o777), "nobody else"),
])
def test_a_table_that_can_not_be_trusted_is_status_75(alice, spoil, word):
    spoil(alice.users_db)
    refused(alice, "disable", "alice@example.org", status=75, words=(word,))


def test_a_damaged_table_is_mended_from_a_dump(alice):
    text = alice.admin("dump").stdout
    alice.users_db.write_bytes(alice.users_db.read_bytes()[:4096] + b"\0" * 8192)
    refused(alice, "list", status=75)
    alice.admin("load", "--replace", input=text)
    assert alice.admin("dump").stdout == text


# faults


def strace(*arguments):
    return ["strace", "-f", "-o", "/dev/null", "-E", "ASAN_OPTIONS=detect_leaks=0", *arguments]


@pytest.mark.parametrize("call, error, when", [
    ("fsync", "EIO", 1), ("fsync", "EIO", 2),
    ("rename,renameat,renameat2", "EIO", 1), ("rename,renameat,renameat2", "EROFS", 1),
    ("fchown", "EPERM", 1), ("fchmod", "EPERM", 1), ("flock", "ENOLCK", 1),
    ("copy_file_range", "EIO", 1), ("copy_file_range", "ENOSPC", 1),
    ("write,pwrite64", "ENOSPC", 1), ("write,pwrite64", "EIO", 1),
    ("write,pwrite64", "EFBIG", 1),
])
def test_a_failing_call_leaves_the_old_table(alice, call, error, when):
    before = dump(alice)
    only = ("-P", f"{alice.users_db}.new") if "write" in call else ()
    done = subprocess.run(
        strace(*only, "-e", f"inject={call}:error={error}:when={when}+", BIN / "brimadm", "-c",
               alice.conf, "disable", "alice@example.org"),
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 75, done
    assert len(done.stderr.splitlines()) == 1 and str(alice.users_db) in done.stderr
    assert not pathlib.Path(f"{alice.users_db}.new").exists()
    if "power cut" not in done.stderr:  # the directory's sync comes after the rename
        assert dump(alice) == before


@pytest.mark.parametrize("call", ["copy_file_range:error=EXDEV", "copy_file_range:error=EINVAL",
                                  "copy_file_range:error=ENOSYS"])
def test_a_kernel_that_can_not_copy_is_done_without(alice, call):
    subprocess.run(
        strace("-e", f"inject={call}", BIN / "brimadm", "-c", alice.conf, "disable",
               "alice@example.org"), check=True, timeout=60)
    assert "state=disabled" in dump(alice)[1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 KB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k,mode=755", "tmpfs", tmp_path],
                   check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_leaves_the_old_table(brim, small_disk):
    brim.configure(users_db=small_disk / "users.db")
    brim.users_db = small_disk / "users.db"
    brim.admin("init")
    brim.admin("load", input="\n".join(many(100)) + "\n")
    lines = dump(brim)
    error = refused(brim, "load", "--replace", status=75, input="\n".join(many(4000)) + "\n")
    assert "No space left on device" in error
    (small_disk / "filler").write_bytes(
        b"x" * (os.statvfs(small_disk).f_bavail * 4096 - 8192))
    refused(brim, "remove", "u00001@example.org", status=75,
            words=("No space left on device", str(brim.users_db)))
    assert dump(brim) == lines
    (small_disk / "filler").unlink()
    brim.admin("remove", "u00001@example.org")


def test_kill_9_at_any_moment_leaves_old_or_new(brim):
    brim.admin("load", input="\n".join(many(300)) + "\n")
    old = dump(brim)
    generator = random.Random(4)
    changed = 0
    for i in range(60):
        new = [line.replace("quota=5", f"quota={1000 + i}") for line in old]
        process = subprocess.Popen(
            [BIN / "brimadm", "-c", brim.conf, "load", "--replace"],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        process.stdin.write(("\n".join(new) + "\n").encode())
        process.stdin.close()
        time.sleep(generator.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        now = dump(brim)
        assert now in (old, new)
        changed += now == new
        old = now if now == new else old
        old = [line.replace(f"quota={1000 + i}", "quota=5") for line in old]
        if now != old:
            brim.admin("load", "--replace", input="\n".join(old) + "\n")
    assert changed < 60


def test_writers_at_once_lose_nothing(brim):
    def add(i):
        brim.admin("add", f"u{i}@example.org", "uid=20001", "gid=20001", f"mail=/m/{i}/")

    threads = [threading.Thread(target=add, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(dump(brim)) == 13


def test_a_db_config_has_no_effect(alice):
    for folder in (alice.folder, alice.users_db.parent):
        (folder / "DB_CONFIG").write_text("this is no setting\n")
    env = {"DB_HOME": str(alice.folder), "HOME": str(alice.folder)}
    done = subprocess.run([BIN / "brimadm", "-c", alice.conf, "disable", "alice@example.org"],
                          cwd=alice.folder, env=env, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert "state=disabled" in dump(alice)[1]


# quotad


def test_a_change_waits_until_quotad_has_taken_it(alice):
    alice.start_quotad()
    for command in ("disable", "enable", "disable"):
        assert alice.admin(command, "alice@example.org").stderr == ""
        st = alice.users_db.stat()
        identity = (f"* users_table={st.st_dev}:{st.st_ino}:"
                    f"{st.st_mtime_ns // 10**9}.{st.st_mtime_ns % 10**9:09}")
        assert identity in alice.ask("STATS")


def test_each_change_adds_one_to_the_generation_that_stats_tells(alice):
    def generation():
        return next(int(line.partition("=")[2]) for line in alice.ask("STATS")
                    if line.startswith("* generation="))

    alice.start_quotad()
    before = generation()
    records = dump(alice)
    alice.admin("disable", "alice@example.org")
    assert generation() == before + 1
    alice.admin("load", "--replace", input="".join(f"{line}\n" for line in records))
    assert generation() == before + 2
    alice.admin("apply", "--dry-run", input="disable alice@example.org\n")
    assert generation() == before + 2
    assert dump(alice) == records


def disable_before(alice, *tells):
    """Disables Alice before a quotad whose STATS are these, the last again and again: what
    brimadm says, and for how long it waited."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(alice.socket))
    server.listen()

    def answer():
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            for number, _ in enumerate(lines):
                connection.sendall(tells[min(number, len(tells) - 1)].encode() + b"OK\n")

    thread = threading.Thread(target=answer)
    thread.start()
    start = time.monotonic()
    done = alice.admin("disable", "alice@example.org")
    waited = time.monotonic() - start
    thread.join()
    server.close()
    assert done.returncode == 0 and "state=disabled" in dump(alice)[1]
    return done.stderr, waited


# Alice was the first change, so this one is the second. 9999999999 is long after it.
LATER, EARLIER = "* users_table=1:2:9999999999.000000004\n", "* users_table=1:2:3.000000004\n"


@pytest.mark.parametrize("tells", [
    LATER,                           # an older quotad
    LATER + "* generation=1\n",      # a table from a backup
    EARLIER + "* generation=9\n",    # the table that one from a backup has replaced
])
def test_a_quotad_that_does_not_take_it_is_told_after_5_s(alice, tells):
    stderr, waited = disable_before(alice, tells)
    assert 4.5 < waited < 8
    assert "has not taken it" in stderr


def test_a_table_that_another_brimadm_has_replaced_is_taken_with_the_later_one(alice):
    stderr, waited = disable_before(alice, EARLIER + "* generation=1\n",
                                    LATER + "* generation=9\n")
    assert stderr == "" and waited < 4.5


def test_a_quotad_that_says_nothing_is_told(alice):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(alice.socket))
        server.listen()
        start = time.monotonic()
        done = alice.admin("disable", "alice@example.org")
        assert time.monotonic() - start < 8
    assert done.returncode == 0 and "can't be asked" in done.stderr


def test_no_quotad_is_nothing_special(alice):
    assert alice.admin("disable", "alice@example.org").stderr == ""
    with socket.socket(socket.AF_UNIX) as server:  # its socket alone is left
        server.bind(str(alice.socket))
    assert alice.admin("enable", "alice@example.org").stderr == ""
