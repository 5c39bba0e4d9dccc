"""brimadm trace: what the log says became of a message, from written logs, from a journal and
from the log of a real Postfix."""

import gzip
import json
import os
import subprocess

import pytest

from brim import BIN
from postfix import MailServer

A, B, C = "4bA1zQ", "4bB2zQ", "4bC3zQ"
MESSAGE_ID = "20261127.1@a.test"
FILTERED = f"""\
Nov 27 04:40:10 mx postfix/smtpd[1]: {A}: client=a.test[192.0.2.1]
Nov 27 04:40:10 mx postfix/cleanup[2]: {A}: message-id=<{MESSAGE_ID}>
Nov 27 04:40:10 mx quotad[3]: policy: message id={A} client=192.0.2.1 recipients=1 bytes=5 promised=1 action=DUNNO
Nov 27 04:40:11 mx postfix/smtpd[1]: {B}: client=localhost[127.0.0.1]
Nov 27 04:40:11 mx postfix/smtp[1]: {A}: to=<a@x>, relay=127.0.0.1[127.0.0.1]:10024, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {B})
Nov 27 04:40:11 mx brim-lda[9]: recipient=a@x sender=<> id={B} verdict=full-for-now code=4.2.2
Nov 27 04:40:11 mx postfix/pipe[1]: {B}: to=<a@x>, dsn=4.2.2, status=deferred (the mailbox is full)
Nov 27 04:40:11 mx quotad[3]: waiting for room, id={B} recipient=a@x bytes=5
Nov 27 04:40:12 mx brim-release[3]: released, id={B} ms=4
Nov 27 04:40:13 mx postfix/bounce[1]: {B}: sender non-delivery notification: {C}
Nov 27 04:40:13 mx postfix/qmgr[2]: {C}: from=<>, size=5, nrcpt=1 (queue active)
"""
STEPS = ["received", "received", "asked at SMTP", "received", "delivered", "full-for-now", "deferred",
         "waits", "released", "bounce sent", "queued"]
OTHERS = f"""\
Nov 27 04:40:10 mx postfix/smtpd[1]: 4bA1zQx: client=a.test[192.0.2.1]
Nov 27 04:40:10 mx postfix/smtpd[1]: x{A}: client=a.test[192.0.2.1]
Nov 27 04:40:10 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from x: 550 helo=<{A}>
Nov 27 04:40:10 mx postfix/smtpd[1]: warning: {A} looks like an id
Nov 27 04:40:10 mx sshd[1]: Failed password for {A}
"""


def trace(*arguments, status=0, **more):
    done = subprocess.run([BIN / "brimadm", "trace", *map(str, arguments)], capture_output=True,
                          text=True, errors="strict", timeout=60, **more)
    assert done.returncode == status, done
    return done


def rows(done):
    """Those of the table, as (step, the rest)."""
    head, *lines = done.stdout.splitlines()
    step, program = head.index("STEP"), head.index("PROGRAM")
    return [(line[step:program].strip(), line[program:]) for line in lines]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "mail.log"
    path.write_text(FILTERED + OTHERS)
    return path


@pytest.mark.parametrize("known", [A, B, C, MESSAGE_ID, f"<{MESSAGE_ID}>"])
def test_all_of_a_message_is_found_by_any_of_its_names(log, known):
    """Also what stands before the line from which its next name is known."""
    shown = rows(trace("--log", log, known))
    assert [step for step, _ in shown] == STEPS
    for (_, text), line in zip(shown, FILTERED.splitlines()):
        assert text.split("  ")[-1].strip() == line.split("]: ", 1)[1]


def test_a_message_that_is_not_there_is_told_by_the_status(log):
    for unknown in ("4bX1zQ", "4bA1z", "other@a.test", "20261127.1@a.tes"):
        done = trace("--log", log, unknown, status=1)
        assert done.stdout == "" and "the log has nothing of" in done.stderr


@pytest.mark.parametrize("pattern", [".*", "4b.1zQ", "4bA1zQ|x", "[0-9]*", "", "<>", "warning", "a" * 99])
def test_what_is_no_id_is_refused(log, pattern):
    assert trace("--log", log, "--", pattern, status=64).stdout == ""


def test_rotated_files_come_before_the_log_the_oldest_first(log):
    first, second, third, last = (FILTERED.splitlines(keepends=True)[part] for part in (
        slice(0, 2), slice(2, 4), slice(4, 7), slice(7, None)))
    with gzip.open(f"{log}.3.gz", "wt") as f:
        f.writelines(first)
    with gzip.open(f"{log}.2.gz", "wt") as f:
        f.writelines(second)
    log.with_name("mail.log.1").write_text("".join(third))
    log.write_text("".join(last))
    assert [step for step, _ in rows(trace("--log", log, A))] == STEPS
    assert len(rows(trace("--log", f"{log}.3.gz", A))) == 2


def test_rotated_files_are_found_by_their_dates(log):
    """dateext of logrotate; each message's lines over files packed in four ways, and not."""
    lines = FILTERED.splitlines(keepends=True)
    parts = [lines[at:at + 2] for at in range(0, 10, 2)] + [lines[10:]]
    packed = {"20261120.bz2": ("bzip2", parts[0]), "20261121.gz": ("gzip", parts[1]),
              "20261122-1764028800.xz": ("xz", parts[2]), "20261123.zst": ("zstd", parts[3])}
    for name, (tool, part) in packed.items():
        log.with_name(f"mail.log-{name}").write_bytes(subprocess.run(
            [tool, "-c"], input="".join(part).encode(), stdout=subprocess.PIPE, check=True).stdout)
    log.with_name("mail.log-20261124").write_text("".join(parts[4]))
    log.with_name("mail.log-20261124.gz").write_text("is being written")
    for other in "mail.log-old", "mail.log-2026112", "mail.log-20261125.bak", "mail.logs-20261125":
        log.with_name(other).write_text(FILTERED)
    log.write_text("".join(parts[5]))
    assert [step for step, _ in rows(trace("--log", log, A))] == STEPS
    assert [step for step, _ in rows(trace("--log", log.name, A, cwd=log.parent))] == STEPS
    for day in range(1, 9):  # the latest nine
        log.with_name(f"mail.log-202611{day + 10}").write_text("")
    assert [step for step, _ in rows(trace("--log", log, A))] == STEPS
    for day in range(25, 31):
        log.with_name(f"mail.log-202611{day}").write_text("")
    assert 0 < len(rows(trace("--log", log, A))) < len(STEPS)


def test_a_damaged_rotated_file_is_trouble(log):
    log.with_name("mail.log.2.gz").write_bytes(gzip.compress(FILTERED.encode())[:-20])
    done = trace("--log", log, A, status=75)
    assert "gzip failed" in done.stderr


def test_a_log_that_can_t_be_read_is_trouble(tmp_path):
    assert "No such file" in trace("--log", tmp_path / "no", A, status=75).stderr
    assert trace("--log", tmp_path, A, status=75).stderr


def test_what_a_log_holds_can_do_nothing_to_the_terminal(log):
    log.write_bytes(b"Nov 27 04:40:10 mx x[1]: " + A.encode() + b": \x1b[2J\x07\0 \xff %41 \r\n" +
                    b"<22>brim-lda[1]: recipient=x id=" + A.encode() + b" verdict=" + b"v" * 99 + b"\x1b code\n" +
                    f"\n:\n : \n[]: x\n{A}: no time\nNov 27 {A}: x".encode())
    done = trace("--log", log, A)
    assert all(" " <= byte <= "~" for line in done.stdout.splitlines() for byte in line)
    assert f"{A}: %1B[2J%07  %FF %41 %0D" in done.stdout and "no time" in done.stdout


def test_a_line_without_an_end_is_cut_and_the_next_one_found(log):
    with open(log, "w") as f:
        f.write(f"Nov 27 04:40:10 mx x[1]: {A}: " + "y" * 3_000_000 + f" id={B}\n{FILTERED}")
        f.write(f"Nov 27 04:40:10 mx x[1]: {A}: the last, with no end")
    done = trace("--log", log, A)
    assert len(rows(done)) == 2 + len(STEPS)
    assert max(map(len, done.stdout.splitlines())) < 1200 and done.stdout.endswith("no end\n")


@pytest.mark.parametrize("line, program, step", [
    (f"2026-11-27T04:40:10.1+00:00 mx postfix/local[1]: {A}: to=<x>, status=bounced (x status=sent)",
     "postfix/local", "bounced"),
    (f"<22>Nov  7 04:40:10 postfix/local[1]: {A}: to=<x>, status=sent (x)", "postfix/local", "delivered"),
    ("2026-11-27 04:40:10 1vOoHp-0001Xy-2a <= a@b H=x P=esmtp S=5 id=x@y", "", "received"),
    ("2026-11-27 04:40:10 1vOoHp-0001Xy-2a ** a@b R=x T=y: 5.2.2 the mailbox is full", "", "bounced"),
    ("Nov 27 04:40:10 mx exim[1]: 2026-11-27 04:40:10 1vOoHp-0001Xy-2a == a@b R=x", "exim", "deferred"),
    ("Nov 27 04:40:10 mx smtpd[1]: 3b5f mda delivery evpid=1a2b3c4d5e6f7788 from=<> result=TempFail",
     "smtpd", "deferred"),
    ("Nov 27 04:40:10 mx sm-mta[1]: 4AR4eA1x012345: to=<x>, dsn=5.2.2, stat=Service unavailable", "sm-mta",
     "bounced"),
])
def test_every_mail_server_s_lines_are_read(tmp_path, line, program, step):
    log = tmp_path / "log"
    log.write_text(line + "\n")
    known = next(name for name in (A, "1vOoHp-0001Xy-2a", "1a2b3c4d", "4AR4eA1x012345") if name in line)
    (shown,) = rows(trace("--log", log, known))
    assert shown[0] == step and shown[1].startswith(program)


EXIM = "1vOoHp-0001Xy-2a"


@pytest.mark.parametrize("line", [
    f"2026-11-27 04:40:10.123 +0100 [1234] {EXIM} => bob@x R=r T=t",
    f"Nov 27 04:40:10 mx exim[1]: 2026-11-27 04:40:10.123 [1234] {EXIM} => bob@x R=r T=t",
    f"postfix-1  | Nov 27 04:40:10 mx postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
    f"2026-11-27T04:40:10.123456789Z Nov 27 04:40:10 mx postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
    f"Nov 27 04:40:10.123456 mx postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
    f"Fri 2026-11-27 04:40:10 UTC mx postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
    f"1764218410.123456 mx postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
    f'<22>1 2026-11-27T04:40:10.123Z mx postfix/pipe 1 - [a b="]\\" "] {A}: to=<x>, status=sent (x)',
    f"Nov 27 04:40:10 [postfix/pipe] {A}: to=<x>, status=sent (x)",
    f"Nov 27 04:40:10 mx mail.info postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
    f"Nov 27 04:40:10 <mail.info> mx postfix/pipe[1]: {A}: to=<x>, status=sent (x)",
])
def test_every_form_of_a_log_is_read(tmp_path, line):
    log = tmp_path / "log"
    log.write_text(line + "\n")
    done = trace("--log", log, EXIM if EXIM in line else A)
    ((step, rest),) = rows(done)
    assert step == "delivered" and "04:40:10" in done.stdout or "1764218410" in done.stdout
    assert rest.split()[0] == (EXIM if line.startswith("2026-11-27 ") else "exim" if EXIM in line else "postfix/pipe")


@pytest.mark.parametrize("line, step", [
    (f'{A}: to=<"x>, dsn=2.0.0, status=sent (y"@x>, relay=brim, dsn=5.1.1, status=bounced (no)', "bounced"),
    (f'{A}: to=<b@x>, orig_to=<"a\\", status=sent ("@x>, relay=brim, dsn=4.2.2, status=deferred (z)', "deferred"),
    (f"{A}: to=<b@x>, relay=m.test[192.0.2.1]:25, dsn=5.0.0, status=bounced (said: 550 x, status=sent (y))", "bounced"),
    (f'{A}: from=<"x (queue active)"@x>, status=expired, returned to sender', "given up"),
    (f"{A}: warning: header Subject: x, status=sent (queued as {B}) from a.test; to=<b@x>", ""),
    (f"{A}: to=<b@x>, relay=m.test[192.0.2.1]:25, dsn=2.0.0, status=sent (250 Ok: queued as {B})", "delivered"),
    (f'{A}: to="x, stat=Sent (y"@x, delay=1, dsn=5.1.1, stat=User unknown', "bounced"),
    (f'{EXIM} <= a@b H=x P=esmtp S=5 id=i@x T="** => R={B} C=\\"250 OK id={B}\\""', "received"),
    (f'{EXIM} ** "=> x"@x R=r T=t: 5.2.2 full', "bounced"),
    (f"{A}: milter-reject: END-OF-MESSAGE from x: status=sent", "milter"),
])
def test_what_others_write_tells_no_step_and_leads_to_no_message(tmp_path, line, step):
    """Recipients, senders, subjects, and what a server elsewhere replies."""
    log = tmp_path / "log"
    log.write_text(f"Nov 27 04:40:10 mx mta[1]: {line}\nNov 27 04:40:10 mx postfix/pipe[1]: {B}: removed\n")
    assert [found for found, _ in rows(trace("--log", log, EXIM if EXIM in line else A))] == [step]


@pytest.mark.parametrize("first, second, line", [
    (EXIM, "1vOoHq-0001Xz-1b", "{second} <= <> R={first} U=x P=local S=9"),
    (EXIM, "1vOoHq-0001Xz-1b", '{first} => b@x R=r T=t H=127.0.0.1 [127.0.0.1] C="250 OK id={second}"'),
    ("4AR4eA1x012345", "4AR4eA1y012345", "{first}: {second}: DSN: Service unavailable"),
    ("4AR4eA1x012345", "4AR4eA1y012345", "{first}: clone {second}, owner=x"),
    ("4AR4eA1x012345", "4AR4eA1y012345",
     "{first}: to=b, relay=[127.0.0.1] [127.0.0.1], dsn=2.0.0, stat=Sent ({second} Message accepted for delivery)"),
    (A, B, "{second}: client=localhost[127.0.0.1], orig_queue_id={first}, orig_client=a[192.0.2.1]"),
    (A, B, "{first}: postmaster non-delivery notification: {second}"),
    (A, B, "{first}: to=<b@x>, relay=filter[172.22.1.9]:588, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {second})"),
])
def test_the_next_id_of_a_message_is_followed(tmp_path, first, second, line):
    log = tmp_path / "log"
    log.write_text("".join(f"Nov 27 04:40:10 mx mta[1]: {text}\n" for text in (
        f"{first}: x", line.format(first=first, second=second), f"{second}: removed")))
    for known in (first, second):
        assert len(rows(trace("--log", log, known))) >= 2
    assert "removed" in trace("--log", log, first).stdout


def test_the_id_of_one_recipient_finds_opensmtpd_s_message(tmp_path):
    """As smtpctl shows it."""
    log = tmp_path / "log"
    log.write_text("Nov 27 04:40:10 mx smtpd[1]: 3b5f6a7b8c9d0e1f smtp message msgid=1a2b3c4d size=3\n")
    assert [step for step, _ in rows(trace("--log", log, "1a2b3c4d5e6f7788"))] == ["received"]


def test_a_message_id_without_a_host_is_found_in_brackets(log):
    with open(log, "a") as f:
        f.write("Nov 27 04:40:10 mx postfix/cleanup[2]: 4bD1zQ: message-id=<local-1>\n")
    assert len(rows(trace("--log", log, "<local-1>"))) == 1
    assert "nothing of <local-2>\n" in trace("--log", log, "<local-2>", status=1).stderr


def test_an_id_that_is_given_again_is_told(log):
    line = f"mx postfix/qmgr[1]: {A}: removed\nNov 27 04:50:11 mx postfix/smtpd[1]: {A}: client=b.test\n"
    assert "another" not in trace("--log", log, A).stderr
    with open(log, "a") as f:
        f.write(f"Nov 27 04:50:10 {line}")
    assert "from Nov 27 04:50:11 on a queue id of the message is another" in trace("--log", log, A).stderr


def test_the_host_is_shown_where_there_are_several(log):
    assert "HOST" not in trace("--log", log, A).stdout
    with open(log, "a") as f:
        f.write(f"Nov 27 04:40:10 mx2 postfix/qmgr[1]: {A}: removed\n")
    shown = trace("--log", log, A).stdout
    assert "HOST" in shown and " mx2 " in shown.splitlines()[-1]


def test_a_loop_of_mail_ends(log):
    """More names than are kept, each of which leads to the next."""
    with open(log, "w") as f:
        for i in reversed(range(200)):
            f.write(f"Nov 27 04:40:10 mx postfix/local[1]: 4bL{i:03}z: to=<x>, relay=local, status=sent (forwarded as 4bL{i + 1:03}z)\n")
    assert 1 < len(rows(trace("--log", log, "4bL000z"))) <= 64


# --- the journal ----------------------------------------------------------------------------

JOURNALCTL = """\
#!/bin/sh
echo "$*" >>{folder}/arguments
cat {folder}/entries
"""


def test_the_journal_is_read_where_there_is_one(tmp_path):
    """journalctl's output is played; its entries may have bytes that are no text."""
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL.format(folder=tmp_path))
    program.chmod(0o755)
    entries = [{"__REALTIME_TIMESTAMP": "1795754410000000", "SYSLOG_IDENTIFIER": who.split("[")[0],
                "MESSAGE": text} for who, text in
               (line[len("Nov 27 04:40:10 mx "):].split(": ", 1) for line in FILTERED.splitlines())]
    entries.append({"MESSAGE": f"{A}: to=<b@x>, status=sent (logger)", "SYSLOG_IDENTIFIER": "postfix/pipe", "_UID": "1001"})
    entries.append({"MESSAGE": list(f"{A}: \x1b".encode()) + [255, 0]})
    entries += [{"MESSAGE": None}, {}]
    (tmp_path / "entries").write_text("".join(json.dumps(e, separators=(",", ":")) + "\n" for e in entries) + f"{{\"{A}\n")
    here = f"mkdir -p /run/systemd/journal && exec {BIN}/brimadm trace {A}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /run && {here}"], capture_output=True,
        text=True, timeout=60,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TZ": "UTC"})
    assert done.returncode == 0, done
    shown = rows(done)
    assert [step for step, _ in shown] == [*STEPS, "delivered", ""]
    assert shown[-2][1].startswith("postfix/pipe, uid 1001")  # a user's own line
    assert shown[-1][1].strip() == f"{A}: %1B%FF"
    assert "2026-11-27T" in done.stdout
    assert "SYSLOG_FACILITY=2" in (tmp_path / "arguments").read_text()


# --- a real Postfix -------------------------------------------------------------------------


def test_a_real_message_s_way_is_shown():
    """From Postfix's own log file and Brim's lines: a delivery, and a bounce with its report."""
    with MailServer() as server:
        alice = server.account("alice")
        bob = server.mailbox("bob", quota="0", state="disabled")
        body = b"Message-ID: <real.1@sender.test>\n\nhi\n"
        sent = server.postfix.send("me@sender.test", alice.address, body)
        assert sent.fate().status == "sent"
        refused = server.postfix.send("me@sender.test", bob.address, b"\nhi\n")
        assert refused.fate().status == "bounced"
        server.postfix.bounce("me@sender.test")
        server.postfix.wait(lambda: not server.postfix.queue(), "the queue to be empty")
        log = server.host.log

        def steps(known):
            return [step for step, _ in rows(trace("--log", log, known))]
        for known in (sent.queue_id, "real.1@sender.test"):
            assert steps(known) == ["received", "received", "queued", "delivered", "delivered", "removed"]
        assert {"disabled", "bounced", "bounce sent"} <= set(steps(refused.queue_id))
        assert steps(refused.queue_id).count("removed") == 2  # the message and its report
