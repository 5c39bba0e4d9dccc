"""The demo: each message has its fate, each sender its reply at SMTP time, and nothing is left, however it ends."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from brim import BIN, ROOT

LINES_SHOWN = ("5.1.1  x-unix; User unknown, ", "4.2.2  ", "5.2.2  x-unix; ", "4.3.0  ",
               "5 of them", "15 of them", "3 of them")
REPLIES = ("250    2.1.5 Ok", "550    5.1.1 <", "550    5.2.1 <", "450    4.2.1 <", "452    4.2.2 <",
           "551    5.1.6 <", "552    5.2.3 <", "552    5.2.2 <")


class Traces:
    """What a demo could leave behind, but for processes."""

    def __init__(self):
        self.files = {path: pathlib.Path(path).read_bytes()
                      for path in ("/etc/passwd", "/etc/group")}
        mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
        self.mounts = [line for line in mounts if re.search(" /(etc|dev|run|proc)", line)]
        self.names = [sorted(os.listdir(path)) for path in ("/etc", "/dev", "/run")]


def processes(mark):
    """Ids of the processes that have the mark in their environment."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and mark in pathlib.Path("/proc", name, "environ").read_bytes():
                found.append(int(name))
        except OSError:
            pass
    return found


@pytest.fixture
def start():
    """Starts the demo; nothing of it must be left at the end."""
    before, demos, mark = Traces(), [], f"BRIM_DEMO_TEST={time.monotonic_ns()}"

    def start_demo(**more):
        demos.append(subprocess.Popen(
            ["env", mark, ROOT / "tests/demo"], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env={**os.environ, "BRIM_BIN": str(BIN)},
            start_new_session=True, **more))
        return demos[-1]
    yield start_demo
    for demo in demos:
        demo.stdout.close()
        demo.wait(20)
    limit = time.monotonic() + 10
    while processes(mark.encode()) and time.monotonic() < limit:
        time.sleep(0.05)
    assert processes(mark.encode()) == []
    assert vars(Traces()) == vars(before)


def test_the_demo_shows_each_fate_and_leaves_nothing(start):
    demo = start()
    output = demo.communicate(timeout=60)[0]
    assert demo.returncode == 0, output
    for line in LINES_SHOWN:
        assert line in output, output
    for reply in REPLIES:
        assert f"  at SMTP {reply}" in output, output
    assert max(map(len, output.splitlines())) <= 100


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_cut_short_leaves_nothing(start, how):
    demo = start()
    assert any("to an extension" in line for line in demo.stdout)
    if how == signal.SIGINT:  # as the terminal does
        os.killpg(demo.pid, how)
    else:
        demo.send_signal(how)
    assert demo.wait(20) != 0


def test_the_demo_says_in_a_line_that_it_needs_root(start):
    demo = start(user=20001, group=20001, extra_groups=[])
    output = demo.communicate(timeout=20)[0]
    assert demo.returncode != 0
    assert output.count("\n") == 1 and "root" in output
