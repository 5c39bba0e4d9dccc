"""The tools with a quotad of a version that does not know their newer requests."""

import socket
import threading

import pytest

from brim import Brim


def serve(listener):
    """Answers as the first quotad would: GET, and nothing newer."""
    while True:
        try:
            connection = listener.accept()[0]
        except OSError:
            return
        with connection, connection.makefile("rw", newline="\n") as lines:
            for line in lines:
                known = line.startswith("GET ")
                lines.write("OK mailbox=alice@example.org used=5 messages=1 limit=0 "
                            "message_limit=0 reserved=0 tickets=0\n" if known else
                            "ERR 4.5.2 no such request\n")
                lines.flush()


@pytest.fixture
def brim():
    with Brim(min_uid=1) as b:
        b.mailbox("alice@example.org", uid=20001)
        b.socket.parent.mkdir(exist_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(b.socket))
            listener.listen()
            threading.Thread(target=serve, args=(listener,), daemon=True).start()
            yield b
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("command", ["explain", "simulate"])
def test_brimadm_says_that_quotad_is_older(brim, command):
    done = brim.admin(command, "alice@example.org", check=False)
    assert "is of an older version, which can't tell: start it again" in done.stdout + done.stderr
    assert "makes no sense" not in done.stdout + done.stderr


def test_brimq_asks_what_the_older_one_knows(brim):
    done = brim.query("--json", "alice@example.org")
    assert done.returncode == 0 and '"used": 5' in done.stdout, done


@pytest.mark.parametrize("option", ["--stats", "--list"])
def test_brimq_says_what_the_older_one_does_not_know(brim, option):
    done = brim.query(option, check=False)
    assert done.returncode == 75 and "no such request" in done.stderr, done


def test_check_says_that_quotad_does_not_tell(brim):
    done = brim.admin("check", check=False)
    assert "quotad does not tell its table" in done.stdout, done
