"""Who the recipient is, by all that each MTA tells: the environments are as the real ones
set them (Postfix 3.7, Exim 4.96, OpenSMTPD 6.8)."""

import pytest

from brim import Brim

UID = 20001
OTHER = 20002
RECORDS = [
    "@example.org catchall=caught@example.org", "@host2.test", "@other.test",
    "@taken.test catchall=taken",
    f"john_doe uid={UID} gid={UID} mail=M/john_doe/",
    f"john uid={UID} gid={UID} mail=M/john/",
    f"mary-ann uid={UID} gid={UID} mail=M/mary-ann/",
    f"mary uid={OTHER} gid={UID} mail=M/mary/",
    f"taken uid={OTHER} gid={UID} mail=M/taken/",
    "team alias=john,mary", f"bob@host2.test uid={UID} gid={UID} mail=M/bob/",
    f"owner-bob@host2.test uid={UID} gid={UID} mail=M/owner-bob/",
    f"o$dd@host2.test uid={UID} gid={UID} mail=M/odd/",
    f"a/b@host2.test uid={UID} gid={UID} mail=M/slash/",
    f"public@host2.test uid={UID} gid={UID} mail=M/public/",
    f"caught@example.org uid={UID} gid={UID} mail=M/caught/",
    f"known@example.org uid={UID} gid={UID} mail=M/known/",
    f"virtual@other.test uid={UID} gid={UID} mail=M/virtual/",
]


@pytest.fixture(scope="module")
def brim():
    with Brim(quotad_down="deliver") as b:
        for record in RECORDS:
            if "mail=" in record:
                b.make_maildir(b.home / record.split("mail=M/")[1][:-1], UID, UID)
        b.load(*(r.replace("mail=M/", f"mail={b.home}/") for r in RECORDS))
        yield b


def postfix(recipient, header=None, original=None, extension=None, user=None, **more):
    """Environment and top of the message of a mailbox_command."""
    local, domain = recipient.rsplit("@", 1)
    header = header or original or recipient
    env = {"RECIPIENT": recipient, "LOCAL": local.lower(), "DOMAIN": domain,
           "USER": user or local.lower().split("+")[0], "SENDER": "s@s.test", "SHELL": "/bin/sh",
           "HOME": "/", "ORIGINAL_RECIPIENT": original or recipient, "MAIL_CONFIG": "/etc/postfix",
           "PATH": "/usr/bin:/bin", "LANG": "C"}
    env["LOGNAME"] = env["USER"]
    if extension:
        env["EXTENSION"] = extension
    top = f"From s@s.test  Thu Nov 26 08:00:00 2026\nReturn-Path: <s@s.test>\n" \
          f"X-Original-To: {header}\nDelivered-To: {header}\n"
    return {**env, **more}, top


def opensmtpd(recipient, user, extension=None, **more):
    local, domain = recipient.rsplit("@", 1)
    env = {"USER": user, "LOGNAME": user, "HOME": "/", "SHELL": "/bin/sh", "PATH": "/bin",
           "RECIPIENT": recipient, "LOCAL": local, "DOMAIN": domain, "SENDER": "s@s.test"}
    if extension:
        env["EXTENSION"] = extension
    return {**env, **more}, f"Return-Path: <s@s.test>\nDelivered-To: {recipient}\n"


def exim(local, domain, suffix="", prefix="", recipient=None):
    return {"LOCAL_PART": local, "LOCAL_PART_SUFFIX": suffix, "LOCAL_PART_PREFIX": prefix,
            "DOMAIN": domain, "RECIPIENT": recipient or f"{prefix}{local}{suffix}@{domain}",
            "SENDER": "s@s.test", "HOME": "/", "LOGNAME": local, "USER": local,
            "SHELL": "/bin/sh", "QUALIFY_DOMAIN": domain, "PATH": "/bin"}, "From s@s.test d\n"


# What the MTA tells, and whose mailbox it is, or the code.
TOLD = {
    "postfix_alias_with_dot": (
        postfix("john_doe@host.test", original="john.doe@host.test"), "john_doe"),
    "postfix_alias_with_minus": (
        postfix("john_doe@host.test", original="john-doe@host.test"), "john_doe"),
    "postfix_alias_with_an_odd_byte": (
        postfix("john_doe@host.test", header='"john;doe"@host.test',
                original="john_doe@host.test"), "john_doe"),
    "postfix_alias_that_is_a_mailbox_too": (
        postfix("john_doe@host.test", original="john@host.test"), "john_doe"),
    "postfix_luser_relay": (
        postfix("john+lost@host.test", original="no_body@host.test", extension="lost"), "john"),
    "postfix_odd_byte": (postfix("o_dd@host2.test", header="o$dd@host2.test"), "odd"),
    "postfix_odd_byte_in_upper_case": (
        postfix("O_dd@host2.test", header="O$dd@host2.test"), "odd"),
    "postfix_odd_byte_and_extension": (
        postfix("o_dd-a_b@host2.test", header="o$dd-a$b@host2.test", extension="a_b"), "odd"),
    "postfix_odd_byte_and_no_header": (
        (postfix("o_dd@host2.test")[0], "Received: x\n"), "4.3.5"),
    "postfix_other_delimiter": (postfix("john-x@host.test", extension="x", user="john"), "john"),
    "postfix_other_delimiter_in_upper_case": (
        postfix("Bob-X-Y@host2.test", extension="x-y", user="nosuch"), "bob"),
    "postfix_no_delimiter": (postfix("mary-ann@host.test"), "mary-ann"),
    "postfix_extension_that_is_not_there": (
        postfix("nosuch@host.test", extension="x", user="nosuch"), "5.1.1"),
    "postfix_record_of_the_account_alone": (postfix("jd@host2.test", user="john"), "john"),
    "postfix_record_of_the_alias_alone": (
        postfix("pub@host.test", original="public@host2.test", user="pub"), "public"),
    "postfix_record_of_another_user": (
        postfix("taken@host.test", original="known@example.org", user="john"), "john"),
    "postfix_records_of_another_user_alone": (postfix("taken@host.test", user="mary"), "4.3.5"),
    "postfix_account_of_another_user": (postfix("nosuch@host.test", user="taken"), "4.3.5"),
    "postfix_unknown": (postfix("nosuch@host.test"), "5.1.1"),
    "postfix_unknown_with_underscore": (postfix("no_such@host.test"), "5.1.1"),
    "postfix_unknown_alias": (
        postfix("no_such@host.test", original="alias@host.test"), "5.1.1"),
    "postfix_catchall": (postfix("nosuch@example.org"), "caught"),
    "postfix_split_before_catchall": (
        postfix("known-x@example.org", extension="x", user="nosuch"), "known"),
    "postfix_exact_name_before_catchall": (
        postfix("j_@example.org", header='"j;"@example.org', user="john"), "john"),
    "postfix_without_original": (
        postfix("nosuch@host.test", ORIGINAL_RECIPIENT="", user="nosuch"), "5.1.1"),
    "opensmtpd_alias": (opensmtpd("info@host.test", "john"), "john"),
    "opensmtpd_root": (opensmtpd("root@host.test", "john"), "john"),
    "opensmtpd_alias_in_an_unknown_domain": (opensmtpd("info@nowhere.test", "john"), "john"),
    "opensmtpd_alias_of_many": (opensmtpd("team@host.test", "john"), "john"),
    "opensmtpd_alias_that_is_another_users": (opensmtpd("mary@host.test", "john"), "john"),
    "opensmtpd_catchall_of_a_domain_before_the_mail_user": (
        opensmtpd("info@example.org", "john"), "caught"),
    "opensmtpd_account_before_a_catchall_of_another_user": (
        opensmtpd("info@taken.test", "john"), "john"),
    "opensmtpd_known": (opensmtpd("bob@host2.test", "john"), "bob"),
    "opensmtpd_other_delimiter": (
        opensmtpd("bob-x@host2.test", "vmail", extension="x"), "bob"),
    "opensmtpd_slash": (
        (opensmtpd("a:b@host2.test", "vmail")[0], "Delivered-To: a/b@host2.test\n"), "slash"),
    "opensmtpd_logname_alone": (opensmtpd("info@host.test", "john", USER=None), "john"),
    "opensmtpd_account_of_another_user": (opensmtpd("info@host.test", "taken"), "4.3.5"),
    "opensmtpd_account_without_record": (opensmtpd("info@host.test", "nosuch"), "4.3.5"),
    "opensmtpd_unknown": (opensmtpd("nosuch@host2.test", "nosuch"), "4.3.5"),
    "exim_suffix": (exim("john", "host.test", "+x"), "john"),
    "exim_other_suffix": (exim("john", "host.test", "-x-y"), "john"),
    "exim_prefix": (exim("bob", "host2.test", prefix="real-"), "bob"),
    "exim_prefix_that_is_a_mailbox": (exim("nosuch-x", "host2.test", prefix="bob+"), "bob"),
    "exim_prefix_and_suffix": (exim("bob", "host2.test", "-x", "real-"), "bob"),
    "exim_recipient": (exim("nosuch", "host2.test", recipient="bob@host2.test"), "bob"),
    "exim_unknown": (exim("nosuch", "host2.test", "-x"), "5.1.1"),
    "exim_account_of_another": (exim("taken", "host2.test"), "4.3.5"),
    "exim_batch": (exim("NULL", "host2.test", recipient="@host2.test"), "4.3.5"),
    "exim_batch_of_domains": (exim("NULL", "NULL", recipient="@"), "4.3.5"),
    "exim_user_of_that_name": (exim("NULL", "host2.test", recipient="NULL@host2.test"), "5.1.1"),
    "exim_censors_nothing": (
        (exim("o_dd", "host2.test")[0], "Delivered-To: o$dd@host2.test\n"), "5.1.1"),
    "nothing": (({"RECIPIENT": "", "USER": "john"}, ""), "4.3.5"),
    "recipient_alone": (({"RECIPIENT": "bob@host2.test"}, ""), "bob"),
    "unknown_alone": (({"RECIPIENT": "nosuch@host2.test"}, ""), "5.1.1"),
}


def run(brim, told, *arguments, message="Received: by x\n\nhi\n"):
    """The message that was stored, and where; or what lda said."""
    env, top = told
    env = {name: value for name, value in env.items() if value is not None}
    result = brim.run_lda(*arguments, message=f"{top}{message}".encode(), env=env)
    found = [file for folder in brim.home.iterdir() for file in brim.files(folder)]
    if result.status:
        assert not found and (result.status == 67) == (result.code == "5.1.1"), result
        return None, result.code, result.output.decode()
    (file,) = found
    stored = file.read_text()
    file.unlink()
    return file.parent.parent.name, None, stored


@pytest.mark.parametrize("name", TOLD)
def test_all_that_the_mta_tells_is_tried(brim, name):
    told, expected = TOLD[name]
    place, code, text = run(brim, told)
    assert expected in (place, code), text


def test_the_address_of_the_mta_is_in_the_message_and_no_name_of_ours(brim):
    stored = run(brim, opensmtpd("info@host.test", "john"))[2]
    assert stored.startswith("Return-Path: <s@s.test>\nDelivered-To: info@host.test\nReceived")
    stored = run(brim, postfix("o_dd@host2.test", header="o$dd@host2.test"))[2]
    assert stored.count("Delivered-To:") == 1
    stored = run(brim, postfix("john_doe@host.test", original="john.doe@host.test"))[2]
    assert stored.startswith("Delivered-To: john_doe@host.test\nReturn-Path:")


def test_a_recipient_with_a_line_break_adds_no_header(brim):
    told = opensmtpd("info\nBcc: b@host.test", "john")[0], ""
    assert "\nBcc:" not in run(brim, told)[2].split("\n\n")[0]


def test_an_option_comes_first_and_the_environment_behind_it(brim):
    told = postfix("john@host.test")
    assert run(brim, told, "-d", "bob@host2.test")[0] == "bob"
    assert run(brim, told, "-d", "nosuch@host2.test")[0] == "john"
    assert run(brim, opensmtpd("info@host.test", "john"), "-d", "info@host.test")[0] == "john"
    assert run(brim, postfix("nosuch@host.test"), "-d", "nosuch@host2.test")[1] == "5.1.1"


@pytest.mark.parametrize("name", ["virtual", "Virtual", "virtual+x"])
def test_a_local_part_alone_of_a_virtual_mailbox_is_our_mistake(brim, name):
    """As pipe(8) gives it by -d ${user}."""
    _, code, text = run(brim, ({}, ""), "-d", name)
    assert code == "4.3.5" and "whole address" in text


def test_a_name_without_domain_bounces_only_where_the_table_has_such_names():
    with Brim() as brim:
        brim.mailbox("alice@example.org", uid=UID)
        for name in ("alice", "nosuch", "nosuch+x", "nosuch@host.test"):
            assert brim.deliver(name).code == "4.3.5", name
        assert brim.deliver("nosuch@example.org").code == "5.1.1"
        brim.load(f"john uid={UID} gid={UID} mail={brim.home}/john/")
        for name in ("nosuch", "nosuch+x", "nosuch@host.test"):
            assert brim.deliver(name).code == "5.1.1", name
        assert brim.deliver("alice").code == "4.3.5"
        brim.admin("remove", "john")
        assert brim.deliver("nosuch").code == "4.3.5"


@pytest.mark.parametrize("name", ["${recipient}", "$user", "%u"])
def test_a_macro_that_was_not_expanded_is_our_mistake(brim, name):
    _, code, text = run(brim, ({}, ""), "-d", name)
    assert code == "4.3.5" and "is no recipient" in text, text


def test_an_address_before_aliases_is_our_mistake_where_the_message_tells_the_other(brim):
    """pipe(8) with -d ${original_recipient} and the flag D; the line may be a sender's."""
    for header in ("bob@host2.test", "Bob+x@Host2.test", '"o$dd"@host2.test'):
        told = {}, f"X-Original-To: sales@host2.test\nDelivered-To: {header}\n"
        for option in ("sales@host2.test", "sales"):
            _, code, text = run(brim, told, "-d", option)
            assert code == "4.3.5" and "before aliases" in text, text
    for header in ("sales@host2.test", "nosuch@host2.test", "x@elsewhere.test", ""):
        told = {}, f"Delivered-To: {header}\n"
        assert run(brim, told, "-d", "sales@host2.test")[1] == "5.1.1", header
    told = {}, "Delivered-To: bob@host2.test\n"
    assert run(brim, told, "-d", "public@host2.test")[0] == "public"


NAMES_WITH_DELIMITERS = {
    # what of these is in the table is in front; a delimiter; the recipient, whose it is
    "ann-x@host2.test": [("+-", "ann-x+y@host2.test"), ("+-", "ann-x-y-z@host2.test"),
                         ("-", "Ann-X-y@Host2.test"), ("+", "ann-x+y+z@host2.test")],
    "sue-x": [("-", "sue-x-y"), ("+-", "sue-x+y@host.test")],
    "a-b-c@host2.test": [("-", "a-b-c-d-e@host2.test")],
}


def test_a_name_may_have_a_delimiter_of_its_own():
    with Brim(quotad_down="deliver") as brim:
        for name in ("ann-x@host2.test", "sue-x", "a-b@host2.test", "a-b-c@host2.test",
                     "mary@host2.test", "mary-ann@host2.test"):
            brim.mailbox(name, uid=UID)
        for name, cases in NAMES_WITH_DELIMITERS.items():
            for delimiter, recipient in cases:
                brim.configure(recipient_delimiter=delimiter)
                mail = brim.home / name.replace("@", "_") / "Maildir"
                before = len(brim.files(mail))
                assert brim.deliver(recipient).status == 0, recipient
                assert len(brim.files(mail)) == before + 1, recipient
        brim.configure(recipient_delimiter="-")
        # Postfix cuts at the first one
        assert brim.deliver("mary-ann-x@host2.test").status == 0
        assert len(brim.files(brim.home / "mary_host2.test/Maildir")) == 1
        for recipient in ("ann-y@host2.test", "ann@host2.test", "sue-x-y@host2.test",
                          "-ann-y@host2.test", "x" + "-y" * 100 + "@host2.test"):
            assert brim.deliver(recipient).code == "5.1.1", recipient


@pytest.mark.parametrize("length", [260, 400, 5000, 70000])
def test_an_extension_of_any_length_is_delivered(brim, length):
    for domain, place in (("@host2.test", "bob"), ("@host.test", "john"), ("", "john")):
        address = f"{place}+{'x' * length}{domain}"
        stored = run(brim, ({}, ""), "-d", address)
        assert stored[0] == place
        assert f"Delivered-To: {address}\n" in stored[2] or length > 2000


def test_5_1_1_begins_with_what_log_watchers_look_for(brim):
    assert run(brim, ({}, ""), "-d", "x@host2.test")[2].startswith("5.1.1 User unknown, ")
