"""Alias domains: all addresses of one domain are another's, whoever is asked."""

import json

import pytest

from brim import Brim


@pytest.fixture(name="brim", scope="module")
def two_domains():
    """bob@b.example and an alias; a.example is b.example, and aa.example is a.example."""
    with Brim() as b:
        b.bob = b.mailbox("bob@b.example", uid=20001, quota=1 << 20)
        b.mailbox("carol", uid=20001)
        b.load("sales@b.example alias=bob@b.example")
        b.admin("alias", "@A.example", "@B.example")
        b.admin("alias", "@aa.example", "@a.example")
        b.admin("alias", "@h.example", "@host.test")
        b.admin("alias", "abuse@a.example", "sales@a.example")
        b.start_quotad()
        yield b


ADDRESSES = ["bob@a.example", "BOB+lists@aa.example", "sales@aa.example", "abuse@aa.example",
             "bob@b.example"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_answer_is_that_of_the_other_domain_whoever_is_asked(brim, address):
    before = brim.files(brim.bob)
    assert brim.ask(f"CHECK {address} 1") == ["OK"]
    assert brim.ask(f"CHECK {address} {2 << 20}")[0].startswith("NO too-large 5.2.3")
    assert brim.usage(address)["mailbox"] == "bob@b.example"
    assert brim.deliver(address).status == 0
    (path,) = set(brim.files(brim.bob)) - set(before)
    assert f"delivered-to: {address}\n".lower() in path.read_text().lower()
    assert int(brim.usage(address)["messages"]) == len(before) + 1
    assert "bob@b.example" in brim.query(address).stdout
    assert brim.admin("explain", address).stdout.startswith("mailbox      bob@b.example\n")
    said = json.loads(brim.admin("simulate", "--json", address).stdout)
    assert (said["mailbox"], said["exit_status"]) == ("bob@b.example", 0)
    assert said["way"][-1].endswith("@b.example: mailbox bob@b.example")


def test_a_ticket_of_either_address_is_charged_to_the_one_mailbox(brim):
    used = int(brim.usage("bob@b.example")["used"])
    ticket = brim.ask("RESERVE bob@a.example 500 name=1.a.x", "GET bob@aa.example")
    assert ticket[0].startswith("OK ticket=")
    assert f"used={used} " in ticket[1] and "reserved=500" in ticket[1]


def test_what_the_other_domain_has_not_bounces_as_there(brim):
    for address in ("nobody@a.example", "nobody+x@aa.example", "nobody@h.example"):
        result = brim.deliver(address)
        assert (result.status, result.code) == (67, "5.1.1"), result
        assert brim.ask(f"CHECK {address} 1")[0].startswith("ERR ")
    assert brim.deliver("carol@h.example").status == 0


def test_the_way_through_the_domains_is_shown(brim):
    said = json.loads(brim.admin("simulate", "--json", "bob+x@aa.example").stdout)
    assert said["way"] == [
        "bob+x@aa.example: not there", "@aa.example: alias domain -> @a.example",
        "bob+x@a.example: not there", "@a.example: alias domain -> @b.example",
        "bob+x@b.example: mailbox bob@b.example"]


def test_the_record_is_shown_listed_and_comes_back_from_a_dump(brim):
    assert json.loads(brim.admin("show", "--json", "@a.example").stdout) == \
        {"address": "@a.example", "alias": "@b.example"}
    line = next(line for line in brim.admin("list").stdout.splitlines()
                if line.startswith("@a.example "))
    assert line.split() == ["@a.example", "alias", "@b.example"]
    dump = brim.admin("dump").stdout
    assert "@a.example alias=@b.example\n" in dump
    done = brim.admin("load", "--replace", "--dry-run", input=dump)
    assert done.stdout == ""
    done = brim.admin("load", "--replace", "--dry-run",
                      input=dump.replace("@h.example alias=@host.test", "@h.example alias=@a.example"))
    assert done.stdout == "~ @h.example alias=@host.test -> @a.example\n"


@pytest.mark.parametrize("words, told", [
    (("alias", "@b.example", "@aa.example"), "itself"),
    (("alias", "@c.example", "@c.example"), "itself"),
    (("alias", "@c.example", "@gone.example"), "would not be in the table"),
    (("alias", "@c.example", "@a.example,@b.example"), "no domain"),
    (("alias", "@c.example", "bob@b.example"), "brimadm alias @c.example @DOMAIN"),
    (("alias", "@b.example", "@host.test"), "bob@b.example is a mailbox"),
    (("add", "dave@a.example", "uid=20001", "gid=20001", "mail=/m/d/"),
     "dave@a.example is a mailbox"),
    (("set", "@a.example", "catchall=bob@b.example"), "no field catchall"),
    (("set", "@a.example", "quota=1G"), "no field quota"),
    (("remove", "@b.example"), "still has addresses"),
    (("remove", "@a.example"), "still has addresses, such as abuse@a.example"),
    (("set", "@a.example", "alias="), "sales@a.example, which would not be in the table"),
])
def test_what_would_leave_an_alias_domain_without_sense_is_refused(brim, words, told):
    before = brim.admin("dump").stdout
    done = brim.admin(*words, check=False)
    assert done.returncode == 64 and told in done.stderr, done
    assert brim.admin("dump").stdout == before


def test_a_catch_all_and_a_new_mailbox_hold_in_the_alias_domain_at_once(brim):
    brim.admin("set", "@b.example", "catchall=bob@b.example")
    assert brim.usage("anybody+x@aa.example")["mailbox"] == "bob@b.example"
    assert brim.deliver("anybody@a.example").status == 0
    brim.admin("set", "@b.example", "catchall=")
    eve = brim.mailbox("eve@b.example", uid=20001)
    assert brim.deliver("eve@aa.example").status == 0 and len(brim.files(eve)) == 1


def test_in_one_change_the_order_does_not_matter(brim):
    brim.admin("apply", input="alias x@d.example bob@e.example\nalias @d.example @e.example\n"
                              "alias @e.example @b.example\n")
    assert brim.deliver("x@d.example").status == 0
    done = brim.admin("apply", "--interval", "0", check=False, input=(
        "alias @e.example @d.example\nset @b.example quota=1G\nremove @e.example\n"
        "alias @f.example @e.example\n"))
    assert [line.split()[0] for line in done.stdout.splitlines()] == \
        ["failed", "ok", "failed", "ok"]
