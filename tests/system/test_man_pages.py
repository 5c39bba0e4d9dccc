"""The man pages have everything that the programs' own tables have, and nothing that is gone.
A failure lists what is missing."""

import json
import re
import subprocess

import pytest

from brim import BIN, ROOT

STATUSES = {"EX_OK": 0, "EX_NOUSER": 67, "EX_UNAVAILABLE": 69, "EX_TEMPFAIL": 75,
            "EX_NOPERM": 77}


def page(name):
    return (ROOT / "man" / name).read_text()


def items(name):
    """The page's items, each as its words without macros and punctuation."""
    words = []
    for line in re.findall(r"^\.It (.*(?:\\\n.*)?)", page(name), re.M):
        words.append(line.replace("\\\n", " ").replace("\\-", "-"))
    return words


def options_of(name):
    """Every option in the head of an item, its own or a command's: "-c", "--json"."""
    found = set()
    for item in items(name):
        found |= {"--" + word for word in re.findall(r"Fl Fl ([a-z-]+)", item)}
        found |= {"-" + word for word in re.findall(r"Fl ([a-zA-Z])\b(?! Fl)", item)}
    return found


def usage(tool):
    done = subprocess.run([BIN / tool, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    return done.stdout


def part_of_usage(tool, heading):
    return usage(tool).split(f"\n{heading}:\n")[1].split("\n\n")[0].splitlines()


def options_in(tool):
    found = set()
    for line in part_of_usage(tool, "options"):
        words = re.match(r"\s+(-\w)?(?:, )?\s*(--[a-z-]+)?", line)
        found |= {word for word in words.groups() if word}
    return found


def source(name):
    return (ROOT / name).read_text()


def settings():
    done = subprocess.run([BIN / "brimadm", "-c", ROOT / "etc/brim.conf", "config", "--json"],
                          capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout)


def test_every_setting_with_its_default():
    documented = {}
    for item in items("brim.conf.5"):
        found = re.match(r"Ic (\w+) No = ?(?:Pa )?(.*)", item)
        if found:
            documented[found[1]] = found[2].strip()
    # An empty default that stands for something is told in words.
    assert documented == {name: one["default"] for name, one in settings().items()}


def test_every_setting_is_shown_in_the_file_that_is_installed():
    shown = dict(re.findall(r"^#(\w+) = ?(.*)$", source("etc/brim.conf"), re.M))
    assert shown == {name: one["default"] for name, one in settings().items()}


@pytest.mark.parametrize("tool, name", [("brimadm", "brimadm.8"), ("brimq", "brimq.1")])
def test_every_option(tool, name):
    assert options_in(tool)
    assert sorted(options_in(tool) ^ options_of(name)) == []


def test_every_command():
    commands = {line.split()[0] for line in part_of_usage("brimadm", "commands")}
    documented = {found[1] for item in items("brimadm.8")
                  if (found := re.match(r"Cm ([a-z-]+)(?: |$)", item))}
    assert sorted(commands - documented) == []


def test_every_field():
    fields = {line.split()[0] for line in part_of_usage("brimadm", "fields")}
    documented = {word for item in items("brimadm.8") if item.startswith("Cm")
                  for word in re.findall(r"\w+", item)}
    assert sorted(fields - documented) == []


def test_every_verdict_with_its_status_and_code():
    rows = re.findall(r'\{"[a-z-]+", (EX_\w+), OF_\w+, "([\d.]+)"', source("lib/base/verdict.c"))
    assert len(rows) > 10
    verdicts = {(STATUSES[status], code if STATUSES[status] else "") for status, code in rows}
    documented = {(int(status), code) for status, code in
                  re.findall(r"^\.It (\d+) Ta ?([\d.]*) Ta", page("lda.8"), re.M)}
    assert documented == verdicts


def test_every_exit_status_of_the_tools():
    statuses = {int(number) for number in re.findall(
        r"TOOL_\w+ = (\d+)", source("tools/cli/tool.h").split("enum tool_status")[1].split("}")[0])}
    assert {0, 64, 75} <= statuses
    for name in ("brimadm.8", "brimq.1"):
        documented = {int(item) for item in items(name) if item.isdigit()}
        assert sorted(statuses - documented) == [], name


def test_every_request_with_its_arguments():
    table = re.findall(r'"([A-Z]+)((?: [^"]*)?)"\},', source("quotad/protocol/line.c"))
    assert len(table) >= 8
    documented = {item.split()[1]: item for item in items("quotad.8")
                  if re.match(r"Ic [A-Z]+", item)}
    missing = [name for name, _ in table if name not in documented]
    missing += [f"{name}: {word}" for name, words in table if name in documented
                for word in re.findall(r"[a-z]+", words) if word not in documented[name]]
    assert missing == []


def test_every_number_of_stats():
    names = re.findall(r'^\t\t\{"(\w+)", ', source("quotad/protocol/statistics.c"), re.M)
    assert len(names) > 10
    text = page("quotad.8")
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("program", ["lda", "quotad"])
def test_every_key_of_the_log(program):
    """Keys stand before a value, as sender=, in what is logged."""
    keys = set()
    for path in (ROOT / program).rglob("*.c"):
        for call in re.findall(r"log_(?:info|warning|error)\((.*?)\);", path.read_text(), re.S):
            text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', call))
            keys |= set(re.findall(r"\b([a-z_]+)=%", text))
    assert keys
    documented = set(re.findall(r"\b([a-z_]+)(?:=|\b)", page(f"{program}.8")))
    assert sorted(keys - documented) == []


@pytest.mark.parametrize("path", sorted((ROOT / "man").glob("*.[1-8]")), ids=lambda p: p.name)
def test_pages_are_sound(path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path],
                          capture_output=True, text=True, timeout=30)
    wrong = [line for line in (done.stdout + done.stderr).splitlines()
             if "mandoc.db" not in line and "referenced manual not found" not in line]
    assert wrong == []


def test_the_sample_log_lines_of_lda_have_its_keys_in_its_order():
    text = re.search(r"log_info\((.*?),\n\t\trecipient", source("lda/delivery/delivery.c"), re.S)[1]
    keys = re.findall(r"(\w+)=", text)
    assert keys[0] == "recipient" and keys[-1] == "ms"
    sample = page("lda.8").split(".Sh DIAGNOSTICS")[1].split(".Ed")[0]
    delivered, refused = (re.findall(r"[ \n](\w+)=", line) for line in sample.split("lda[")[1:])
    assert [k for k in delivered if k != "S"] == keys
    assert [k for k in refused if k != "S"] == [*keys, "reason"]
