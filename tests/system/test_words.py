"""What is said of one thing says one: no "1 files". Run as root."""

import re

from brim import ROOT, Brim

THINGS = ("accounts?|addresses|aliases|bytes?|columns?|errors?|files?|folders?|lines?|mailbox(es)?"
          "|messages?|names?|records?|sockets?|tickets?|times|users?|warnings?")
NUMBER = r'(%(zu|l?l?[ud]|u)|%" PRIu64 ")'
BOUND = r"(than|at most|it has) $"  # before a constant that is not 1


def test_numbers_of_things_are_written_by_the_one_function_for_it():
    """A format with a number and a thing behind it would say "1 files", or "1 file(s)"."""
    found = []
    for folder in ("lib", "lda", "quotad", "tools"):
        for path in sorted((ROOT / folder).rglob("*.c")):
            text = re.sub(r'"\s*\n\s*"', "", path.read_text())
            found += [f"{path.name}: {hit[0]}" for hit in re.finditer(
                rf"{NUMBER} (of (them|%\w+) )?({THINGS})\b(?!=)", text)
                if not re.search(BOUND, text[:hit.start()])]
    assert found == [], "\n".join(found)


def test_explain_agrees_with_the_number():
    with Brim() as brim:
        mail = brim.mailbox("a@x.test", messages=1, quota=1)
        brim.start_quotad()
        (mail / "new/1.h").write_bytes(b"x")
        brim.recount("a@x.test")
        (mail / "new/1.h").rename(mail / "new/1.h,S=0")
        shown = brim.admin("explain", "a@x.test").stdout
    assert not re.search(r"\b1 (\w+ )?(bytes|messages|files|are|were|have)\b", shown), shown
    for words in ("the ledger   1 byte (1B), 1 message", "limit        1 byte (1B)",
                  "limit        1 message", "difference   -1 byte, from the ledger to the files",
                  "             1 file was counted by its size: 1 byte more, 0 less than its "
                  "name says"):
        assert f"\n{words}\n" in shown, shown
