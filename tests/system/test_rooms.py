"""tests/rooms, which `make lint` runs, finds what it is for."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

FAULTS = {
    "a circle in one room": (
        {"quotad/ledger/x.h": '#include "y.h"\n', "quotad/ledger/y.h": '#include "x.h"\n'},
        "a circle of includes: quotad/ledger/x.h -> quotad/ledger/y.h -> quotad/ledger/x.h"),
    "a circle of public headers": (
        {"lib/base/x.c": '#include "x.h"\n', "include/x.h": '#include "y.h"\n',
         "lib/base/y.c": '#include "y.h"\n', "include/y.h": '#include "x.h"\n'},
        "a circle of includes: include/x.h -> include/y.h -> include/x.h"),
    "an arrow up in quotad": (
        {"quotad/store/x.c": '#include "ledger/ledger.h"\n'},
        "quotad/store/x.c includes quotad/ledger/ledger.h: ledger is not below store"),
    "the room of the verdict asks a protocol": (
        {"quotad/room.c": '#include "protocol/x.h"\n', "quotad/protocol/x.h": "\n"},
        "quotad/room.c includes quotad/protocol/x.h: protocol is not below room"),
    "a delivery that knows its process": (
        {"lda/delivery/x.c": '#include "process/x.h"\n', "lda/process/x.h": "\n"},
        "lda/delivery/x.c includes lda/process/x.h: process is not below delivery"),
    "base that knows who has a mailbox": (
        {"lib/base/x.c": '#include "users.h"\n'},
        "lib/base/x.c includes include/users.h: directory is not below base"),
    "another program's header": (
        {"lda/delivery/x.c": '#include "ledger/ledger.h"\n'},
        '"ledger/ledger.h" is in none of the folders that it may use'),
    "lib that knows a program": (
        {"lib/base/x.c": '#include "../../quotad/ledger/ledger.h"\n'},
        '"../../quotad/ledger/ledger.h" is in none of the folders that it may use'),
    "a room that is not in the plan": (
        {"quotad/attic/x.c": '#include "ledger/ledger.h"\n'},
        "quotad/attic/x.c: tests/rooms knows no room attic in quotad"),
    "a header that nothing is behind": (
        {"include/x.h": "int x;\n"}, "include/x.h: no source of lib/ is behind it"),
    "a long function": (
        {"lda/delivery/x.c": "int\nx(void)\n{\n" + "\treturn 1;\n" * 58 + "}\n"},
        "lda/delivery/x.c: x has 61 lines, more than 60"),
    "a long file": ({"tools/cli/x.c": "\n" * 601}, "tools/cli/x.c has 601 lines, more than 600"),
}


@pytest.fixture
def tree(tmp_path):
    for folder in ("include", "lib", "lda", "quotad", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def rooms(tree):
    return subprocess.run([ROOT / "tests/rooms", tree], capture_output=True, text=True, timeout=60)


def test_the_house_has_no_circle_and_no_arrow_up(tree):
    done = rooms(tree)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_finds(tree, fault):
    files, expected = FAULTS[fault]
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    done = rooms(tree)
    assert done.returncode == 1
    assert expected in done.stdout
