"""JSON has one rule for names: UTF-8 as it is, another byte as %XX, % always as %25; what a
tool prints, apply reads. Run as root."""

import json
import re
import subprocess
import urllib.parse

import pytest

from brim import BIN, ROOT, Brim

UID = 20001
ADDRESS = "50%41@example.org"  # its bare form is another mailbox's: 50a@example.org
PATH = "/srv/%2F\udcff \u00e9\n/"
PRINTED = "/srv/%252F%FF \u00e9\n/"


@pytest.fixture
def brim():
    with Brim() as b:
        b.admin("init")
        for address, path in ((ADDRESS, PATH), ("50a@example.org", "/srv/a/")):
            b.admin("add", address, f"uid={UID}", f"gid={UID}", f"mail={path}", "quota=1M")
        yield b


def dump(brim):
    return brim.admin("dump").stdout.splitlines()


def record(brim, address):
    return json.loads(brim.admin("show", "--json", address).stdout)


def apply(brim, *lines, **how):
    return brim.admin("apply", input="".join(f"{json.dumps(line)}\n" for line in lines), **how)


def told_by_every_tool(brim):
    """Each member with the mailbox's name in it, and each with its path."""
    brim.start_quotad()
    listed = json.loads(brim.admin("list", "--json").stdout)[0]
    shown = record(brim, ADDRESS)
    explained = json.loads(brim.admin("explain", "--json", ADDRESS, check=False).stdout)
    simulated = json.loads(brim.admin("simulate", "--json", ADDRESS, check=False).stdout)
    asked = json.loads(brim.query("--json", ADDRESS, check=False).stdout)[0]
    in_list = json.loads(brim.query("--json", "--list", check=False).stdout)[0]
    checked = [f["subject"] for f in json.loads(brim.admin("check", "--json", check=False).stdout)
               if f["check"] == "mailbox-missing"]
    names = [listed["address"], shown["address"], explained["mailbox"], simulated["mailbox"],
             simulated["way"][0].split(":")[0], asked["mailbox"], in_list["mailbox"]]
    return names, [listed["mail"], shown["mail"], explained["path"], simulated["mail"]], checked


def test_every_tool_writes_names_by_one_rule(brim):
    names, paths, checked = told_by_every_tool(brim)
    assert set(names) == {"50%2541@example.org"}
    assert set(paths) == {PRINTED}
    assert "50%2541@example.org" in checked or PRINTED in checked, checked


def test_a_folder_and_a_setting_are_names_too(brim):
    mail = brim.mailbox("folders@example.org", uid=UID)
    for folder in (".J%41", b".\xff".decode(errors="surrogateescape")):
        brim.make_maildir(mail / folder, UID, UID)
    explained = json.loads(brim.admin("explain", "--json", "folders@example.org",
                                      check=False).stdout)
    assert {d["folder"] for d in explained["files"]["directories"]} == {".", ".J%2541", ".%FF"}
    brim.configure(quota_ignore="Tr%20ash")
    settings = json.loads(brim.admin("config", "--json").stdout)
    assert settings["quota_ignore"]["value"] == "Tr%2520ash"
    assert "%20" in settings["quota_ignore"]["about"]  # a sentence is no name


def test_a_command_is_printed_as_sh_must_get_it(brim):
    found = json.loads(brim.admin("check", "--json", check=False).stdout)
    assert any("printf '\\n%s\\n'" in f["mend"] or f["mend"] for f in found)
    assert not any("%25" in f["mend"].replace("%2541", "") for f in found)


def test_what_list_prints_apply_gives_back_to_the_same_mailbox(brim):
    names = ["%41", "%2541", "\u00e9", "a%", "%%", "%c3%a9"]
    for number, name in enumerate(names):
        brim.admin("add", f"{name}@example.org", f"uid={UID}", f"gid={UID}",
                   f"mail=/m{number}/%2/\udcfe/", f"messages={number + 1}")
    before = dump(brim)
    listed = [r for r in json.loads(brim.admin("list", "--json").stdout) if "uid" in r]
    apply(brim, *({"set" if k == "address" else k: v for k, v in r.items()} for r in listed))
    assert dump(brim) == before
    for r in listed:
        if "messages" in r:
            assert urllib.parse.unquote(r["address"]) == f"{names[r['messages'] - 1]}@example.org"
            apply(brim, {"set": r["address"], "quota": "2G"})
            changed = set(dump(brim)) - set(before)
            assert len(changed) == 1 and f" messages={r['messages']} " in changed.pop()
            before = dump(brim)


def test_the_pipelines_of_the_man_page_reach_the_same_mailbox(brim):
    page = (ROOT / "man/brimadm.8").read_text().replace("\\e", "\\")
    pipelines = re.findall(r"^# (brimadm list --json \|(?:.*\n\t)?.*)$", page, re.M)
    assert pipelines
    jq = subprocess.run(["sh", "-c", "command -v jq"], capture_output=True).returncode == 0
    for pipeline in pipelines if jq else ():
        script = f'brimadm() {{ "{BIN}/brimadm" -c "{brim.conf}" "$@"; }}\n{pipeline}\n'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (done, script)
        assert record(brim, ADDRESS)["quota"] == 2 << 30
        assert record(brim, "50a@example.org")["quota"] == 2 << 30


# lines that apply reads


def test_every_command_of_apply_may_be_json(brim):
    apply(brim,
          {"add": "bob@example.org", "uid": UID, "gid": UID, "mail": "/srv/b%25/", "quota": 5},
          {"quota": None, "over_quota": "bounce", "set": "bob@example.org"},
          {"add": "tmp@example.org", "uid": UID, "gid": UID, "mail": "/srv/t/", "messages": 9},
          {"remove": "tmp@example.org"},
          {"alias": "sales@example.org", "target": "bob@example.org,50%2541@example.org"},
          {"alias": "50%2541@example.org", "set": "sales@example.org"},
          {"disable": "50a@example.org"}, {"enable": "50a@example.org"},
          {"suspend": "50a@example.org"},
          {"move": "bob@example.org", "to": "bob@elsewhere.example"},
          {"set": "@example.org", "quota": 3 << 30, "catchall": ADDRESS.replace("%", "%25")})
    assert dump(brim) == [
        f"50%2541@example.org uid={UID} gid={UID} mail=/srv/%252F%FF%20%C3%A9%0A/ quota=1048576",
        f"50a@example.org uid={UID} gid={UID} mail=/srv/a/ quota=1048576 state=suspended",
        "@example.org quota=3221225472 catchall=50%2541@example.org",
        f"bob@example.org uid={UID} gid={UID} mail=/srv/b%25/ over_quota=bounce state=moved "
        "moved_to=bob@elsewhere.example",
        "sales@example.org alias=50%2541@example.org"]


def test_text_and_json_may_stand_in_one_file(brim):
    brim.admin("apply", input='# x\n\nset 50a@example.org quota=3G\n'
                              ' \t{"set": "50a@example.org", "messages": "7"}\n')
    assert record(brim, "50a@example.org")["messages"] == 7


REFUSED = {
    '{"quota": 5}': "no command", '{}': "no command", '{"set": "a": 1}': "JSON",
    '{"set": "50a@example.org", "quota": 1, "quota": 2}': "duplicate",
    '{': "jq -c", '{"set": "50a@example.org"} x': "JSON", '{"list": ""}': "no command",
    '{"set": "50a@example.org", "remove": "50a@example.org"}': "two commands",
    '{"set": ["50a@example.org"], "quota": 1}': '"set" must be text',
    '{"set": "50%zz@example.org", "quota": 1}': "%XX",
    '{"set": "50%@example.org", "quota": 1}': "%25",
    '{"set": "50%00@example.org", "quota": 1}': "%XX",
    '{"set": "50\\u0000@example.org", "quota": 1}': "JSON",
    '{"set": "50\\ud800@example.org", "quota": 1}': "JSON",
    '{"set": "50a@example.org"}': "usage",
    '{"set": "50a@example.org", "quota": "5"}': "no unit",
    '{"set": "50a@example.org", "quota": 1.5}': "whole number",
    '{"set": "50a@example.org", "quota": -1}': "below 0",
    '{"set": "50a@example.org", "quota": true}': "whole number",
    '{"set": "50a@example.org", "quota": 99999999999999999999}': "JSON",
    '{"set": "50a@example.org", "qouta": 1}': "no field",
    '{"set": "50a@example.org", "mail=/x": "1"}': "no field",
    '{"set": "50a@example.org", "address": "x"}': "no field",
    '{"disable": "50a@example.org", "quota": 1}': "disable takes no",
    '{"alias": "x@example.org"}': 'needs "target"',
    '{"move": "50a@example.org", "target": "x@y.example"}': "move takes no",
    '{"disable": "nobody@example.org"}': "not in the table",
}


def test_json_that_makes_no_sense_is_told_with_its_line_and_changes_nothing(brim):
    before = brim.users_db.read_bytes()
    for line, words in REFUSED.items():
        done = brim.admin("apply", input=f'{{"disable": "50a@example.org"}}\n{line}\n',
                          check=False)
        assert done.returncode in (1, 64), (line, done)
        assert done.stderr.startswith("brimadm: standard input:2: "), (line, done)
        assert words in done.stderr and len(done.stderr.splitlines()) == 1, (line, done)
        assert brim.users_db.read_bytes() == before


def test_a_stream_answers_json_lines_one_by_one(brim):
    done = brim.admin("apply", "--interval", "0", check=False, input=(
        '{"disable": "50%2541@example.org"}\n{"disable": "50%41@example.org", "x": 1}\n{\n'
        'enable 50a@example.org\n'))
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "1"], ["failed", "2"], ["failed", "3"], ["ok", "4"]]
    assert record(brim, ADDRESS)["state"] == "disabled"


def test_a_field_that_is_given_twice_is_refused(brim):
    before = dump(brim)
    done = brim.admin("set", "50a@example.org", "quota=1G", "messages=1", "quota=2G", check=False)
    assert done.returncode == 64 and "quota is given twice: quota=1G and quota=2G" in done.stderr
    assert dump(brim) == before


LARGE = {"18446744073709551615B": 2**64 - 1, "9223372036854775808B": 2**63, "8192P": 2**63,
         "9223372036854775807B": 2**63 - 1, "16383P": 16383 << 50}


def quotas(brim, address):
    """What every tool prints as the quota, of the record and of what quotad makes of it."""
    explained, simulated = (json.loads(brim.admin(c, "--json", address, check=False).stdout)
                            for c in ("explain", "simulate"))
    listed = json.loads(brim.admin("list", "--json", address).stdout)[0]
    asked = json.loads(brim.query("--json", address, check=False).stdout)[0]
    return {"list": listed["quota"], "show": record(brim, address)["quota"],
            "simulate": simulated["quota"], "explain": explained["ledger"]["limit"],
            "brimq": asked["limit"]}


def test_a_size_of_64_bits_is_the_same_number_everywhere():
    with Brim() as brim:
        brim.mailbox("a@example.org", uid=UID)
        brim.start_quotad()
        for written, n in LARGE.items():
            brim.admin("set", "a@example.org", f"quota={written}")
            assert f"quota={n}" in brim.admin("dump").stdout.split()
            assert set(quotas(brim, "a@example.org").items()) == \
                {(tool, n) for tool in ("list", "show", "simulate", "explain", "brimq")}
        brim.load(f"b@example.org uid={UID} gid={UID} mail=/srv/b/ messages={2**64 - 1}")
        assert record(brim, "b@example.org")["messages"] == 2**64 - 1


def test_a_text_that_looks_like_a_large_number_stays_a_text(brim):
    path = "/srv/\"\\u000018446744073709551615\x01/"
    brim.admin("set", ADDRESS, f"mail={path}", "quota=16383P")
    shown = record(brim, ADDRESS)
    assert shown["mail"] == path and shown["quota"] == 16383 << 50


def test_a_number_that_is_too_large_is_refused_with_its_reason(brim):
    for size in ("18446744073709551616B", "16384P", "99999999999999999999G"):
        done = brim.admin("set", ADDRESS, f"quota={size}", check=False)
        assert done.returncode == 64 and "is not a size" in done.stderr, done
    done = brim.admin("set", ADDRESS, f"quota={2**64 - 1}", check=False)
    assert done.returncode == 64 and "has no unit" in done.stderr, done
    done = brim.admin("load", input=f"{ADDRESS.replace('%', '%25')} uid=1 gid=1 mail=/srv/x/ "
                                    f"quota={2**64}\n", check=False)
    assert done.returncode == 64 and "is not a number" in done.stderr, done
    done = apply(brim, {"set": ADDRESS.replace("%", "%25"), "quota": 2**63}, check=False)
    assert done.returncode == 64 and "must be text" in done.stderr, done
    apply(brim, {"set": ADDRESS.replace("%", "%25"), "quota": f"{2**64 - 1}B"})
    assert record(brim, ADDRESS)["quota"] == 2**64 - 1
