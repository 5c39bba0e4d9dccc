"""A damaged table: whatever became of a page, its number and checksum right, no command
takes a part of the table for the whole, and each ends in time."""

import os
import re
import struct
import subprocess
import time

import pytest

import brim as private_brim
from brim import BIN, Brim

PAGE, USERS, UID = 4096, 400, 20001
IN_TIME = 10  # seconds that a command may take on a busy machine; the table has 160 kB


def address(i):
    return f"u{i:03d}@example.org"


LINES = ["@example.org"] + [
    f"{address(i)} uid={UID} gid={UID} mail=/srv/mail/example.org/u{i:03d}/Maildir/ quota={i + 1}"
    for i in range(USERS)]


def checksum(page):
    """As libdb adds it up, with the sum's own bytes as zero."""
    total = 0
    for byte in page[:28] + b"\0" * 4 + page[32:]:
        total = (total * 33 + byte) & 0xFFFFFFFF
    return total


def as_page(content, number):
    """The content as the page of that number."""
    page = content[:8] + struct.pack("<I", number) + content[12:]
    return page[:28] + struct.pack("<I", checksum(page)) + page[32:]


class Table:
    """A loaded table, and what becomes of it."""

    def __init__(self, brim):
        self.brim = brim
        self.dump = brim.folder / "users.dump"
        self.dump.write_text("\n".join(LINES) + "\n")
        brim.admin("init")
        brim.admin("load", "--replace", "--force", self.dump)
        self.sound = brim.users_db.read_bytes()
        self.pages = len(self.sound) // PAGE

    def page(self, number):
        return self.sound[number * PAGE:(number + 1) * PAGE]

    def put(self, *changes):
        """The sound table but for these pages (number, bytes)."""
        table = bytearray(self.sound)
        for number, page in changes:
            table[number * PAGE:(number + 1) * PAGE] = page
        self.brim.users_db.write_bytes(table)

    def copies(self, each):
        """Each page as some others, EACH steps apart."""
        for page in range(1, self.pages):
            for step in each:
                other = 1 + (page - 1 + step) % (self.pages - 1)
                if other != page:
                    yield page, as_page(self.page(other), page)

    def run(self, *words, **how):
        return subprocess.run([BIN / "brimadm", "-c", self.brim.conf, *map(str, words)],
                              capture_output=True, text=True, timeout=IN_TIME, **how)

    def is_told(self, words, status=1, **how):
        done = self.run(*words, **how)
        assert done.returncode == status and done.stdout == "", done
        assert "damaged" in done.stderr and str(self.brim.users_db) in done.stderr, done
        assert "dump --salvage" in done.stderr, done


@pytest.fixture
def table():
    with Brim() as brim:
        yield Table(brim)


def test_dump_prints_all_records_or_none(table):
    assert table.run("dump").stdout == table.dump.read_text()
    for page, content in table.copies((1, 7, 19)):
        table.put((page, content))
        table.is_told(["dump"])


def test_zeroed_swapped_and_cut_off_pages_are_told_in_time(table):
    for page in range(table.pages):
        table.put((page, b"\0" * PAGE))
        table.is_told(["dump"])
    for page in range(1, table.pages - 1):
        table.put((page, as_page(table.page(page + 1), page)),
                  (page + 1, as_page(table.page(page), page + 1)))
        table.is_told(["dump"])
        table.brim.users_db.write_bytes(table.sound[:page * PAGE])
        table.is_told(["dump"])


COMMANDS = [
    (["list"], 1), (["show", address(7)], 1), (["show", "nobody@example.org"], 1),
    (["set", address(7), "quota=1M"], 75), (["remove", address(7)], 75),
    (["add", address(901), "uid=5000", "gid=5000", "mail=/srv/new/"], 75),
    (["alias", "a@example.org", address(7)], 75), (["load", "users.dump"], 75),
    (["apply", "apply"], 75), (["import-passwd", "passwd"], 75),
]


@pytest.mark.parametrize("words, status", COMMANDS, ids=lambda x: "-".join(x)
                         if isinstance(x, list) else None)
def test_every_command_tells_damage_and_changes_nothing(table, words, status):
    (table.brim.folder / "apply").write_text(f"set {address(3)} quota=1M\n")
    home = table.brim.home / "bob"
    home.mkdir()
    os.chown(home, 20009, 20009)
    (table.brim.folder / "passwd").write_text(f"bob:x:20009:20009::{home}:/bin/sh\n")
    for page, content in list(table.copies((1, 11)))[::5]:
        table.put((page, content))
        before = table.brim.users_db.read_bytes()
        table.is_told(words, status, cwd=table.brim.folder)
        assert table.brim.users_db.read_bytes() == before


def test_check_tells_damage(table):
    for page, content in list(table.copies((1,)))[::8]:
        table.put((page, content))
        done = table.run("check")
        assert done.returncode == 1 and "is damaged" in done.stdout + done.stderr or \
            "damaged:" in done.stdout + done.stderr, done


def test_salvage_prints_what_is_there_and_tells_what_is_missing(table):
    missing = []
    for page, content in table.copies((1,)):
        table.put((page, content))
        done = table.run("dump", "--salvage")
        lines = done.stdout.splitlines()
        assert set(lines) <= set(LINES) and lines == sorted(lines, key=lambda x: x.split()[0])
        missing.append(len(LINES) - len(lines))
        assert done.returncode == (1 if missing[-1] else 0), done
        said = re.search(r"(\d+) are missing", done.stderr)
        assert (int(said[1]) if said else 0) == missing[-1] or "can't be told" in done.stderr, done
    assert sum(n > 0 for n in missing) > 5 and missing.count(0) > 0


def test_salvage_of_a_sound_table_is_its_dump(table):
    done = table.run("dump", "--salvage")
    assert done.returncode == 0 and done.stdout == table.dump.read_text()
    assert "sound" in done.stderr


def first_damage_that_loses(table):
    """Puts it in place; its salvaged lines."""
    for page, content in table.copies((1,)):
        table.put((page, content))
        done = table.run("dump", "--salvage")
        if "are missing:" in done.stderr:
            return done.stdout
    raise AssertionError("no page loses a record")


def test_a_salvaged_dump_does_not_replace_a_table_that_had_more(table):
    lines = first_damage_that_loses(table)
    done = table.run("load", "--replace", input=lines)
    assert done.returncode == 64 and "--force" in done.stderr, done
    assert "damaged" in table.run("dump").stderr
    table.is_told(["dump"])
    assert table.run("load", "--replace", input=table.dump.read_text()).returncode == 0
    assert table.run("dump").stdout == table.dump.read_text()


def test_nothing_is_removed_unasked_wherever_the_damage_is(table):
    """A page of zeros, or with one bit flipped: the table may have lost what it says of
    itself as well."""
    refused = 0
    for page in range(1, table.pages):
        flipped = bytearray(table.page(page))
        flipped[PAGE // 2] ^= 1
        for content in (bytes(PAGE), bytes(flipped)):
            table.put((page, content))
            lines = table.run("dump", "--salvage").stdout
            if len(lines.splitlines()) == len(LINES):
                continue
            done = table.run("load", "--replace", input=lines)
            assert done.returncode == 64 and "--force" in done.stderr, (page, done)
            refused += 1
    assert refused > table.pages // 2


def test_a_table_of_before_is_believed_and_check_says_so(table):
    assert "its records" not in table.run("check").stderr + table.run("check").stdout
    own = table.sound.index(b"generation=")
    at = table.sound.index(b" records=", own)
    page = own // PAGE
    content = bytearray(table.page(page))
    size = struct.unpack_from("<H", content, own % PAGE - 3)[0]
    struct.pack_into("<H", content, own % PAGE - 3, at - own)
    assert size > at - own
    table.put((page, as_page(bytes(content), page)))
    assert table.run("dump").stdout == table.dump.read_text()
    said = table.run("check")
    assert "an older brimadm" in said.stdout + said.stderr
    assert table.run("set", address(1), "quota=1M").returncode == 0
    said = table.run("check")
    assert "an older brimadm" not in said.stdout + said.stderr


def test_a_sum_that_an_older_brimadm_left_counts_for_nothing(table):
    """libdb takes the stamp of the page that it changes, and an older brimadm knows nothing
    of the sum beside it."""
    found = table.sound.index(b"quota=77")
    page = found // PAGE
    content = bytearray(table.page(page))
    content[found % PAGE + 6] = ord("8")
    table.put((page, as_page(bytes(content), page)))
    table.is_told(["dump"])  # nobody but damage leaves the stamp
    content[:8] = struct.pack("<II", 0, 1)
    table.put((page, as_page(bytes(content), page)))
    assert table.run("dump").returncode == 0
    said = table.run("check")
    assert "an older brimadm" in said.stdout + said.stderr
    assert table.run("set", address(1), "quota=1M").returncode == 0
    assert table.run("dump").stdout.count("quota=87") == 2
    said = table.run("check")
    assert "an older brimadm" not in said.stdout + said.stderr


def test_quotad_refuses_a_page_of_another_and_keeps_its_table(table):
    brim = table.brim
    brim.start_quotad()
    for page, content in list(table.copies((1,)))[::9]:
        new = brim.folder / "lib/new.db"
        whole = bytearray(table.sound)
        whole[page * PAGE:(page + 1) * PAGE] = content
        new.write_bytes(whole)
        os.rename(new, brim.users_db)
        refusals = brim.log.read_text().count("can't be used")
        deadline = time.monotonic() + private_brim.PATIENCE
        while brim.log.read_text().count("can't be used") == refusals:
            assert time.monotonic() < deadline, "quotad has not refused the table"
            brim.ask("STATS")
            time.sleep(0.02)
        assert brim.ask(f"GET {address(399)}")[0].startswith("OK")
