"""One address, however the MTA writes it; what no MTA delivers to is no key."""

import json
import re
import subprocess
import urllib.parse

import pytest

from brim import Brim

UID = 20001
MOVE = ("uid=20001", "gid=20001", "mail=/srv/m/")

# what people write, the key, and what an MTA may hand over for it
NAMES = {
    "иван@example.org": ("иван@example.org", ("Иван@example.org", "ИВАН+Тест@Example.ORG")),
    "MÜLLER@example.org": ("müller@example.org", ("müller@example.org", "MüLLER@example.org")),
    "bob@MÜLLER.example": ("bob@xn--mller-kva.example", (
        "bob@müller.example", "BOB+x@MÜLLER.EXAMPLE", "bob@XN--MLLER-KVA.example")),
    "bob@xn--e1afmkfd.xn--p1ai": ("bob@xn--e1afmkfd.xn--p1ai", (
        "bob@пример.рф", "bob@ПРИМЕР.РФ", "bob@пример.xn--p1ai")),
    "ann@mu\u0308nchen.example": ("ann@xn--mnchen-3ya.example", ("ann@MÜNCHEN.example",)),
    "ὈΔΥΣΣΕΎΣ@example.org": ("ὀδυσσεύσ@example.org", ("ὀδυσσεύς@example.org",)),
    '"John Doe"@example.org': ("john doe@example.org", (
        "John Doe@example.org", '"john doe"@example.org')),
    '"j\\.d"@example.org': ("j.d@example.org", ("J.D@example.org",)),
    "a..b@example.org": ("a..b@example.org", ("a..b@example.org", "A..B@example.org")),
    "bob@under_score.example": ("bob@under_score.example", ("bob@under_score.example",)),
    "bob@[IPv6:2001:DB8::1]": ("bob@[ipv6:2001:db8::1]", (
        "bob@[IPv6:2001:DB8::1]", "bob+x@[IPV6:2001:0db8:0:0:0:0:0:1]", "bob@[ipv6:2001:db8::0.0.0.1]")),
    "bob@[IPv6:0:0:0:0:0:0:0:1]": ("bob@[ipv6:::1]", (
        "bob@[IPv6:::1]", "Bob@[ipv6:0::1]", "bob@[IPv6:0:0:0:0:0:0:0:1]")),
    "bob@[IPv6:1:2:3:0:5:6:7:8]": ("bob@[ipv6:1:2:3:0:5:6:7:8]", ("bob@[IPv6:1:2:3::5:6:7:8]",)),
    "bob@[IPv6:::FFFF:C000:0201]": ("bob@[ipv6:::ffff:192.0.2.1]", (
        "bob@[IPv6:::ffff:192.0.2.1]", "bob@[ipv6:0:0:0:0:0:ffff:c000:201]")),
    "bob@[IPv6:::192.0.2.1]": ("bob@[ipv6:::c000:201]", ("bob@[IPv6:::192.0.2.1]",)),
}

NO_KEYS = {
    "bob@example.org.": "dot at its end",
    "bob@example..org": "empty part",
    "bob@.example.org": "empty part",
    "<bob@example.com>": '"<"',
    "Bob <bob@example.com>": '"<"',
    "bob@example.com (Bob)": '" "',
    "bob@exa mple.org": '" "',
    " bob@example.org": "blank",
    "bob @example.org": "blank",
    "bob@@example.net": "@ too many",
    "bob@a.example;ann@a.example": "more than one address",
    '"bob@example.org': "quotation mark",
    "mailto:bob@example.org": "mailto",
    "bob\u200b@example.org": "U+200B",
    "bob@exa\u00admple.org": "U+00AD",
    "\ufeffbob@example.org": "U+FEFF",
    "bob\u00a0@example.org": "U+00A0",
    "\u202ebob@example.org": "U+202E",
    "bob@[192.0.2.300]": "brackets",
    "bob@[2001:db8::1]": "brackets",
    "bob@" + "a" * 64 + ".example": "63",
    "bob@" + "abcdefgh." * 28 + "example": "253",
    "bob@exam/ple.org": '"/"',
    "bob@-example.org": "ends with -",
    "bob@example-.org": "ends with -",
    "bob@192.0.2.1": "[192.0.2.1]",
}


@pytest.fixture(scope="module")
def brim():
    with Brim() as b:
        b.admin("init")
        yield b


@pytest.fixture(scope="module")
def named(brim):
    """Each name's mailbox, by its key."""
    brim.mail = {}
    for i, (written, (key, _)) in enumerate(NAMES.items()):
        mail = brim.home / str(i) / "Maildir"
        brim.make_maildir(mail, UID, UID)
        brim.admin("add", written, f"uid={UID}", f"gid={UID}", f"mail={mail}/")
        brim.mail[key] = mail
    brim.start_quotad()
    return brim


def escape(key):
    return urllib.parse.quote(key, safe="!\"#$&'()*+,/:;<=>?@[\\]^`{|}")


def keys(brim):
    return [line.split()[0] for line in brim.admin("dump").stdout.splitlines()]


def test_an_address_has_one_key_however_it_is_written(named):
    assert set(keys(named)) >= {escape(key) for key in named.mail}
    for written, (key, others) in NAMES.items():
        for name in (written, key, *others):
            if "+" not in name:
                shown = named.admin("show", name, "--json").stdout
                assert json.loads(shown)["address"] == key, name
        for name in (key, *others):
            assert named.usage(escape(name))["mailbox"] == escape(key), name


@pytest.mark.parametrize("written", NAMES)
def test_mail_arrives_however_the_mta_writes_the_address(named, written):
    key, others = NAMES[written]
    for i, name in enumerate(others, 1):
        assert named.deliver(name).status == 0, name
        assert len(named.files(named.mail[key])) == i


def test_a_dump_is_loaded_and_a_list_tells_the_names_that_people_know(named):
    before = named.admin("dump").stdout
    named.admin("load", "--replace", input=before)
    assert named.admin("dump").stdout == before
    for pattern in ("*@müller.example", "*@MÜLLER.example", "*mülle*", "*xn--mller*"):
        found = json.loads(named.admin("list", "--json", pattern).stdout)
        assert "bob@xn--mller-kva.example" in [r["address"] for r in found], pattern
    assert "bob@xn--mller-kva.example" in named.query("bob@Müller.example").stdout
    assert named.ask("LIST *@M%C3%9CLLER.example")[0].split()[1] == "mailbox=bob@xn--mller-kva.example"
    assert "bob@m%C3%BCller.example" in named.admin("show", "bob@müller.example").stdout
    assert named.admin("list", "*@nobody.example", check=False).returncode == 1


def test_targets_of_aliases_and_domains_are_names_too(named):
    named.admin("alias", "ЯН@example.org", "Bob@MÜLLER.example")
    named.admin("set", "@MÜLLER.example", "catchall=Иван@example.org")
    dumped = named.admin("dump").stdout
    assert f"{escape('ян@example.org')} alias=bob@xn--mller-kva.example\n" in dumped
    assert f"@xn--mller-kva.example catchall={escape('иван@example.org')}\n" in dumped
    mail = named.mail["иван@example.org"]
    before = len(named.files(mail))
    assert named.deliver("anybody@Müller.example").status == 0
    assert len(named.files(mail)) == before + 1
    named.admin("set", "@müller.example", "catchall=")
    assert named.deliver("nobody@Müller.example").code == "5.1.1"
    named.admin("remove", "ян@example.org")


def test_a_domain_of_the_host_may_be_written_in_either_form(named):
    named.make_maildir(named.home / "carol/Maildir", UID, UID)
    named.admin("add", "carol", f"uid={UID}", f"gid={UID}", f"mail={named.home}/carol/Maildir/")
    for written in ("хост.example", "xn--n1agdj.example"):
        named.configure(local_domains=written)
        for domain in ("хост.example", "ХОСТ.example", "xn--n1agdj.example"):
            assert named.deliver(f"carol@{domain}").status == 0, (written, domain)
    named.configure(local_domains="host.test")
    named.admin("remove", "carol")


def refused(brim, *arguments, word, input=None):
    before = brim.users_db.read_bytes()
    done = brim.admin(*arguments, input=input, check=False)
    assert done.returncode == 64 and word in done.stderr, (arguments, input, done)
    assert brim.users_db.read_bytes() == before


@pytest.mark.parametrize("name", NO_KEYS, ids=lambda n: ascii(n)[:20])
def test_what_no_mta_delivers_to_is_no_key(brim, name):
    word, text = NO_KEYS[name], escape(name)
    refused(brim, "load", word=word, input=f"{text} {' '.join(MOVE)}\n")
    if name[0] != " ":  # blanks around a target are no part of it
        refused(brim, "apply", word=word, input=f"alias x@example.org {text}\n")


def test_no_command_takes_a_name_that_is_none(brim):
    bad, word = "bob@example.org.", "dot at its end"
    brim.load("@taken.example", "old@taken.example uid=20001 gid=20001 mail=/srv/old/")
    refused(brim, "add", bad, *MOVE, word=word)
    refused(brim, "apply", word=word, input=f"add {bad} {' '.join(MOVE)}\n")
    refused(brim, "alias", bad, "old@taken.example", word=word)
    refused(brim, "set", "@taken.example", f"catchall={bad}", word=word)
    refused(brim, "set", "old@taken.example", f"moved_to={bad}", word=word)
    refused(brim, "move", "old@taken.example", bad, word=word)
    refused(brim, "load", word=word, input=f"x@taken.example alias={bad}\n")
    refused(brim, "load", word=word, input=f"@taken.example catchall={bad}\n")
    refused(brim, "load", word=word, input="@other.example. quota=1024\n")
    for line in (f"{bad} alias=old@taken.example", f"x@taken.example {bad}"):
        file = brim.folder / "map"
        file.write_text(line.replace("alias=", "") + "\n")
        refused(brim, "import-postfix", file, word=word)
    file.write_text("bad\u200bname:x:20001:20001::/home/x:/bin/sh\n")
    refused(brim, "import-passwd", file, word="U+200B")


def test_a_new_address_is_whole_and_another(brim):
    brim.load("@whole.example", "old@whole.example uid=20001 gid=20001 mail=/srv/whole/")
    for new in ("bob", "|prog", "/var/mail/bob", ":include:/x"):
        refused(brim, "set", "old@whole.example", f"moved_to={new}", word="is not whole")
        refused(brim, "load", word="is not whole",
                input=f"x@whole.example uid=20001 gid=20001 mail=/srv/x/ moved_to={new}\n")
    refused(brim, "set", "old@whole.example", "moved_to=OLD@Whole.example", word="old address")
    brim.admin("set", "old@whole.example", "state=moved", "moved_to=New@Müller.example")
    assert "moved_to=new@xn--mller-kva.example" in brim.admin("dump").stdout


def test_a_literal_of_this_host_may_be_spelled_in_any_way(named):
    named.make_maildir(named.home / "dora/Maildir", UID, UID)
    named.load(f"dora uid={UID} gid={UID} mail={named.home}/dora/Maildir/")
    named.admin("remove", "bob@[ipv6:::1]")  # with its domain no account has addresses there
    named.admin("remove", "@[IPv6:::1]")
    spelled = "[IPv6:2001:db8:5::1]", "[IPV6:2001:DB8:0005:0:0:0:0:1]", "[ipv6:2001:db8:5:0::1]"
    for listed in spelled:
        named.configure(local_domains=listed)
        for domain in (*spelled, "[IPv6:::1]", "[ipv6:0:0:0:0:0:0:0:1]", "[127.0.0.1]"):
            assert named.deliver(f"dora@{domain}").status == 0, (listed, domain)
    named.configure(local_domains="host.test")
    assert named.deliver(f"dora@{spelled[0]}").code == "4.3.5"
    named.admin("remove", "dora")


def test_a_literal_in_an_older_spelling_works_until_it_is_made_new():
    with Brim() as brim:
        brim.make_maildir(brim.home / "bob/Maildir", UID, UID)
        brim.load(f"bob@[ipv6:2001:db8::7] uid={UID} gid={UID} mail={brim.home}/bob/Maildir/")
        respell(brim, "[ipv6:2001:db8::7]", "[ipv6:2001:db8:0:0:0:0:0:7]")
        brim.start_quotad()
        name = "bob@[IPv6:2001:DB8:0:0:0:0:0:7]"
        assert brim.deliver(name).status == 0
        brim.admin("set", name, "quota=1G")
        assert keys(brim) == ["@[ipv6:2001:db8:0:0:0:0:0:7]", "bob@[ipv6:2001:db8:0:0:0:0:0:7]"]
        found = {f["check"]: f for f in json.loads(
            brim.admin("check", "--json", check=False).stdout)}
        assert "bob@[ipv6:2001:db8:0:0:0:0:0:7]" in found["address-older"]["what"]
        brim.admin("load", "--replace", input=brim.admin("dump").stdout)
        assert keys(brim) == ["@[ipv6:2001:db8::7]", "bob@[ipv6:2001:db8::7]"]
        for spelled in (name, "bob@[IPv6:2001:db8::7]"):
            assert brim.deliver(spelled).status == 0


def respell(brim, key, older):
    """The table as a brimadm made it that left literals as they were."""
    path, new = brim.users_db, brim.users_db.with_name("new.db")
    dump = subprocess.run(["db5.3_dump", "-p", path], check=True, capture_output=True,
                          text=True).stdout
    assert key in dump
    subprocess.run(["db5.3_load", new], check=True, text=True, input=dump.replace(key, older))
    new.chmod(0o644)
    new.rename(path)


def make_older(brim):
    """The table as a brimadm made it that folded ASCII letters alone and took any domain."""
    path, new = brim.users_db, brim.users_db.with_name("new.db")
    for key in ("ivan@example.org", "bob@example.org"):
        brim.mailbox(key, uid=UID)
    dump = subprocess.run(["db5.3_dump", "-p", path], check=True, capture_output=True,
                          text=True).stdout
    for key, older in (("ivan@example.org", r"\d0\98\d0\b2@example.org"),
                       ("bob@example.org", "bob@example.org.")):
        assert key in dump
        dump = dump.replace(key, older)
    dump = re.sub(r" older=\d+", "", dump)  # that brimadm did not say so
    subprocess.run(["db5.3_load", new], check=True, text=True, input=dump)
    new.chmod(0o644)
    new.rename(path)


def test_an_older_table_works_and_is_told():
    with Brim() as brim:
        make_older(brim)
        brim.start_quotad()
        for name in ("ИВ@example.org", "ж@example.org", '"a b"@example.org'):
            assert brim.deliver(name).code == "4.3.5", name
        assert brim.deliver("nobody@example.org").code == "5.1.1"
        for name in ("Ив@example.org", "bob@example.org."):
            assert brim.deliver(name).status == 0, name
            brim.admin("set", name, "quota=1G")
            assert brim.deliver("ИВ@example.org").code == "4.3.5", name
            assert brim.deliver(name).status == 0, name
        found = {f["check"]: f for f in json.loads(
            brim.admin("check", "--json", check=False).stdout)}
        assert escape("Ив@example.org") in found["address-older"]["what"]
        assert found["address"]["subject"] == "bob@example.org."
        brim.admin("remove", "bob@example.org.")
        brim.admin("remove", "@example.org.")
        brim.admin("load", "--replace", input=brim.admin("dump").stdout)
        for name in ("Ив@example.org", "ИВ@example.org"):
            assert brim.deliver(name).status == 0, name
        assert brim.deliver("ж@example.org").code == "5.1.1"


def test_a_reason_repeats_what_was_written_and_masks_what_nobody_sees(brim):
    name = "müller@bücher.de"
    for arguments, status in ((("show", name), 1), (("set", name, "quota=1G"), 1),
                              (("explain", name), 75), (("remove", name), 1)):
        done = brim.admin(*arguments, check=False)
        assert done.returncode == status and "müller@" in done.stderr, done
    done = brim.admin("apply", input=f"set {escape(name)} quota=1024\n", check=False)
    assert "müller@" in done.stderr, done
    for odd, shown in {"mü\u202e\u200bx": "mü??????x", "a\x1b[1m\x9b": "a?[1m?",
                       "ü\udcff": "ü?", "x\u0085": "x??"}.items():
        done = brim.admin("show", odd, check=False)
        assert done.returncode and f"brimadm: {shown}" in done.stderr.replace('"', ""), done


def test_what_lda_prints_of_a_name_is_ascii():
    with Brim() as brim:
        brim.mailbox("acct", uid=UID)
        brim.start_quotad()
        result = brim.deliver("$müller")
        assert result.code == "4.3.5" and b'"$m??ller" is no' in result.output, result
        done = brim.admin("simulate", "$müller", "--json", check=False)
        assert json.loads(done.stdout)["line"] == result.output.decode().rstrip("\n")
