"""What load, apply and the imports make of files that another system's editor wrote."""

import os

import pytest

from brim import Brim

COMMANDS = {  # what the command reads, and a record that it makes
    "load": ("@example.net\nann@example.org uid=20001 gid=20001 mail=/m/ann/\n", "@example.net"),
    "apply": ("add @example.net\n\nset @example.net quota=1K\n", "@example.net quota=1024"),
    "apply --interval 0": ("add @example.net\n\nset @example.net quota=1K\n",
                           "@example.net quota=1024"),
    "import-passwd": ("frank:x:1003:1003::{home}:/bin/sh\n\n",
                      "frank uid=1003 gid=1003 mail={home}/Maildir/"),
    "import-postfix uid=20001 gid=20001 base=/m":
        ("ann@example.org ann/\n\nx@example.org\n  ann@example.org,\n  b@d.example\n",
         "x@example.org alias=ann@example.org,b@d.example"),
    "import-postfixadmin": ("address,goto\nx@example.org,y@d.example\n\n",
                            "x@example.org alias=y@d.example"),
}


@pytest.fixture(name="brim", scope="module")
def one_brim():
    with Brim() as b:
        (b.home / "frank").mkdir()
        os.chown(b.home / "frank", 1003, 1003)
        b.admin("init")
        yield b


def run(brim, command, how):
    """The command reads the bytes that HOW makes of its text, with an empty table; what it
    said, the table, and the record that should be in it."""
    content, record = (part.format(home=brim.home / "frank") for part in COMMANDS[command])
    brim.users_db.unlink()
    brim.admin("init")
    path = brim.folder / "file"
    path.write_bytes(how(content))
    done = brim.admin(*command.split(), path, check=False)
    return done, brim.admin("dump").stdout.splitlines(), record


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mark, end", [("\ufeff", "\n"), ("", "\r\n"), ("\ufeff", "\r\n")])
def test_a_mark_in_front_and_ends_of_another_system_are_no_part_of_lines(
        brim, command, mark, end):
    done, table, record = run(
        brim, command, lambda text: (mark + text).replace("\n", end).encode())
    assert done.returncode == 0, done
    assert record in table and "%" not in "".join(table)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("mark, form", [("\ufeff", "utf-16-le"), ("\ufeff", "utf-16-be"),
                                        ("", "utf-16-le")])
def test_utf_16_is_refused(brim, command, mark, form):
    done, table, _ = run(brim, command, lambda text: (mark + text).encode(form))
    assert done.returncode == 64 and table == []
    if mark:
        assert "UTF-16" in done.stdout + done.stderr and "UTF-8" in done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("first", ["", "# all of them\n"])
def test_lines_that_end_in_cr_alone_are_refused(brim, command, first):
    """They are one line: with a comment or names of columns in front nothing would be read."""
    if first and "postfixadmin" in command:
        return
    done, table, _ = run(brim, command, lambda text: (first + text).replace("\n", "\r").encode())
    word = "no end" if "interval" in command else "CR alone"
    assert done.returncode == 64 and table == [] and word in done.stdout + done.stderr, done


def test_load_skips_comments_and_takes_none_for_a_mailbox(brim):
    brim.users_db.unlink()
    brim.admin("init")
    record = "uid=20001 gid=20001 mail=/m"
    brim.admin("load", input=f"# mailboxes\n#\n@example.org\n#\tb@example.org {record}/b/\n"
                             f"a@example.org {record}/a/\n")
    assert brim.admin("dump").stdout == f"@example.org\na@example.org {record}/a/\n"
    for line in (f"#b@example.org {record}/b/", "##", "#!/bin/sh"):
        done = brim.admin("load", input=f"{line}\n", check=False)
        assert done.returncode == 64 and ":1: it begins with #" in done.stderr, done
    done = brim.admin("load", "--replace", input="# all gone\n", check=False)
    assert done.returncode == 64 and "no record" in done.stderr


@pytest.mark.parametrize("key", ["%23", "%23a", "%23a@example.org"])
def test_an_address_that_begins_as_a_comment_is_dumped_and_loaded_again(brim, key):
    brim.users_db.unlink()
    brim.admin("init")
    brim.admin("load", input=f"{key} uid=20001 gid=20001 mail=/m/a/\n")
    dump = brim.admin("dump").stdout
    assert f"{key} uid=" in dump
    brim.admin("load", "--replace", input=dump)
    assert brim.admin("dump").stdout == dump
