"""The lines that Postfix needs are the same wherever they stand: `brimadm postfix` prints
them, etc/ has them as files, the README and lda(8) show them."""

import os
import re
import subprocess

import pytest

from brim import BIN, ROOT

TRANSPORTS = ("mailbox_command", "pipe", "virtual")
# A site's own: brimadm takes the domains from the table, and leaves the map to you.
SITE = {"virtual_mailbox_domains", "virtual_mailbox_maps"}


def lines(text):
    """Settings by name and services by name/type, as one line each with single blanks; a
    setting behind a # counts as well."""
    joined = re.sub(r"\n[ \t]+(?=\S)", " ", text)
    found = {}
    for line in joined.splitlines():
        if setting := re.match(r"#?(\w[\w-]*) = (.*)$", line):
            found[setting[1]] = " ".join(setting[2].split())
        elif service := re.match(r"([\w-]+) +unix +(.*)$", line):
            found[f"{service[1]}/unix"] = " ".join(service[2].split())
    return found


def of_brimadm(transport, tmp_path):
    """Where Postfix has no settings yet, and lda is where it is unless PREFIX says more."""
    done = subprocess.run(
        [BIN / "brimadm", "-c", ROOT / "etc/brim.conf", "postfix", "--transport", transport],
        env={**os.environ, "MAIL_CONFIG": str(tmp_path)}, capture_output=True, text=True,
        check=True)
    return lines(re.sub(r"/[^\s=]*/(?=lda(-virtual)?\b)", "/usr/local/lib/brim/", done.stdout))


def blocks_of_readme():
    text = (ROOT / "README.md").read_text()
    for block in re.findall(r"(?:^(?:    .*)?\n)+", text, re.M):
        yield re.sub(r"^    ", "", block, flags=re.M)


def blocks_of_the_man_page():
    """The displays, of which those that follow one another belong together."""
    text = (ROOT / "man/lda.8").read_text().replace(".Ed\n.Bd -literal -offset indent\n", "")
    yield from re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_files_have_what_brimadm_prints(transport, tmp_path):
    file = lines((ROOT / f"etc/postfix-{transport}.cf").read_text())
    assert {name: value for name, value in file.items() if name not in SITE} == \
        of_brimadm(transport, tmp_path)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("blocks", [blocks_of_readme, blocks_of_the_man_page])
def test_what_is_shown_is_in_the_files_and_is_all_of_it(blocks, transport, tmp_path):
    file = lines((ROOT / f"etc/postfix-{transport}.cf").read_text())
    wanted = of_brimadm(transport, tmp_path)
    first = next(iter(wanted))
    shown = [found for found in map(lines, blocks())
             if found.get(first) == wanted[first]]
    if blocks is blocks_of_readme and transport == "virtual":
        assert shown == [] and f"etc/postfix-{transport}.cf" in (ROOT / "README.md").read_text()
        return
    (found,) = shown
    assert found.items() <= file.items()
    assert found.keys() >= wanted.keys()
