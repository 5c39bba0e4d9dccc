"""What brimadm takes change by change, its own load takes as a whole: no command leaves a
table that a dump of it could not make again. Run as root."""

import pytest

from brim import Brim

FIELDS = "uid=20001 gid=20001"
TABLE = [
    "@b.test", f"bob@b.test {FIELDS} mail=/m/b/",
    "@a.test catchall=sales@a.test", f"alice@a.test {FIELDS} mail=/m/a/",
    "sales@a.test alias=mid@a.test", "mid@a.test alias=alice@a.test",
    "far@a.test alias=who@c.test",
    "@e.test catchall=alice+x@a.test", "@f.test",
    *(f"n{i}@a.test alias=n{i + 1}@a.test" for i in range(9)), "n9@a.test alias=alice@a.test",
]
# each with what the refusal names
REFUSED = {
    "add @c.test": "far@a.test leads to who@c.test",
    f"add other@c.test {FIELDS} mail=/m/c/": "far@a.test leads to who@c.test",
    "add @c.test catchall=bob@b.test": "far@a.test leads to who@c.test",
    "alias other@c.test bob@b.test\nadd @c.test": "far@a.test leads to who@c.test",
    "alias sales@a.test alice@a.test,bob@b.test": "the catchall of @a.test",
    "alias mid@a.test alice@a.test,bob@b.test": "the catchall of @a.test",
    "alias mid@a.test someone@elsewhere.test": "the catchall of @a.test",
    "alias alice+x@a.test alice@a.test,bob@b.test": "the catchall of @e.test",
    "alias n9@a.test mid@a.test": "n0@a.test leads over more than",
    "set @b.test catchall=nobody@b.test": "the catchall of @b.test",
    "alias alice+y@a.test mid@a.test\nset @f.test catchall=alice+y@a.test\n"
    "alias mid@a.test alice@a.test,bob@b.test": "the catchall of",
}
TAKEN = [
    f"add who@c.test {FIELDS} mail=/m/c/", "remove who@c.test\nalias who@c.test bob@b.test",
    "alias sales@a.test bob@b.test", "alias new@a.test mid@a.test",
    "set @f.test catchall=nobody@a.test", "alias far@a.test alice@a.test,bob@b.test",
]


@pytest.fixture
def brim():
    with Brim() as b:
        b.load(*TABLE)
        yield b


def dump(brim):
    return brim.admin("dump").stdout


def test_what_would_break_another_record_is_refused(brim):
    before = dump(brim)
    for lines, words in REFUSED.items():
        done = brim.admin("apply", input=f"{lines}\n", check=False)
        assert done.returncode == 64 and words in done.stderr, (lines, done)
        assert dump(brim) == before, lines


def test_what_is_taken_can_be_loaded_as_a_whole(brim):
    for lines in TAKEN:
        brim.admin("apply", input=f"{lines}\n")
        brim.admin("load", "--replace", "--dry-run", input=dump(brim))


def test_a_stream_refuses_the_line_alone(brim):
    done = brim.admin("apply", "--interval", "0", check=False, input=(
        "alias sales@a.test alice@a.test,bob@b.test\nadd @c.test\nset bob@b.test quota=1G\n"
        "alias far@a.test bob@b.test\n"))
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "failed", "failed", "ok", "ok"], done
    brim.admin("load", "--replace", "--dry-run", input=dump(brim))


# paths that change places

SWAPS = {
    "two": ("/m/b/", "/m/a/", "/m/3/"),
    "three": ("/m/b/", "/m/3/", "/m/a/"),
    "inside the other's old one": ("/m/b/x/", "/m/y/", "/m/3/"),
    "around the other's old one": ("/m/", "/new/b/", "/new/3/"),
}
MAILBOXES = ("alice@a.test", "bob@b.test", "third@b.test")


def test_mailboxes_may_change_places_in_one_change(brim):
    brim.load(f"third@b.test {FIELDS} mail=/m/3/")
    whole = dump(brim)
    for name, paths in SWAPS.items():
        records = "".join(f"{key} {FIELDS} mail={path}\n"
                          for key, path in zip(MAILBOXES, paths, strict=True))
        for command, lines in (("load", records), ("apply", "".join(
                f"set {key} mail={path}\n" for key, path in zip(MAILBOXES, paths, strict=True)))):
            brim.admin(command, input=lines)
            assert set(records.splitlines()) <= set(dump(brim).splitlines()), (name, command)
            brim.admin("load", "--replace", "--dry-run", input=dump(brim))
            # the index of paths is whole: each place is taken by its new owner
            done = brim.admin("add", "new@b.test", *FIELDS.split(), f"mail={paths[1]}",
                              check=False)
            assert done.returncode == 64 and "in the mailbox of bob" in done.stderr, (name, done)
            brim.admin("load", "--replace", "--force", input=whole)


@pytest.mark.parametrize("command, text", [
    ("load", "{} " + FIELDS + " mail={}\n"), ("apply", "set {} mail={}\n")])
def test_a_path_that_stays_another_s_is_told_with_its_line(brim, command, text):
    before = dump(brim)
    for moves in ([("alice@a.test", "/m/b/")], [("alice@a.test", "/m/b/"), ("bob@b.test", "/m/b/")],
                  [("alice@a.test", "/m/b/x/"), ("bob@b.test", "/m/")]):
        lines = "\n" + "".join(text.format(*move) for move in moves)
        done = brim.admin(command, input=lines, check=False)
        assert done.returncode == 64 and "standard input:2: alice@a.test: mail=" in done.stderr
        assert "in the mailbox of bob@b.test" in done.stderr and dump(brim) == before, done
    brim.admin("apply", input="set alice@a.test mail=/m/b/\nset alice@a.test mail=/m/a/\n")
    assert dump(brim) == before
    assert brim.admin("set", "alice@a.test", "mail=/m/b/", check=False).returncode == 64


@pytest.mark.parametrize("more", [[], ["--replace"], ["--dry-run"]])
@pytest.mark.parametrize("first, second", [("C@a.test", "c@a.test"), ("c@a.test", "C@a.test"),
                                           ("%C3%9Cser@a.test", "%C3%BCser@a.test")])
def test_two_lines_that_are_one_address_are_refused(more, first, second):
    with Brim() as brim:
        brim.admin("init")
        done = brim.admin("load", *more, check=False, input=f"{first} {FIELDS} mail=/m/c/\n"
                        f"{second} uid=20002 gid=20002 mail=/m/d/\n")
        assert done.returncode == 64 and ":2: " in done.stderr and "stands twice" in done.stderr
