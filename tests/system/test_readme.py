"""The README's walk through the house names rooms that are there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]


def rooms_of(row):
    """The files of a row's first cell; a bare name stands in the folder of the one before."""
    folder = ROOT
    for name in re.findall(r"`([^`]+)`", row.split("|")[1]):
        path = ROOT / name if "/" in name else folder / name
        folder = path.parent
        yield path


def test_every_room_that_the_readme_names_is_there():
    text = (ROOT / "README.md").read_text().split("## Reading it")[1].split("\n## ")[0]
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    assert len(rows) > 30
    assert [str(path) for row in rows for path in rooms_of(row) if not path.exists()] == []


def test_every_folder_of_sources_has_its_line():
    text = (ROOT / "README.md").read_text()
    folders = {path.parent.relative_to(ROOT) for program in ("lib", "lda", "quotad", "tools")
               for path in (ROOT / program).rglob("*.c")}
    rooms = {"/".join(folder.parts[:2]) for folder in folders if len(folder.parts) > 1}
    assert len(rooms) > 12
    assert [room for room in sorted(rooms) if f"`{room}/`" not in text] == []
