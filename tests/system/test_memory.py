"""Where memory is short that is what is said, with the limit's name: no table is called damaged
for it, and the one before stays in use. Run as root."""

import os
import resource
import subprocess

import pytest

from brim import BIN, DAEMON_USER, SANITIZED, Brim

pytestmark = pytest.mark.skipif(SANITIZED, reason="ASan reserves more than any limit")
SHORT = "no memory: RLIMIT_AS is "


@pytest.fixture
def brim():
    with Brim() as b:
        b.load("@x.test", "a@x.test uid=20001 gid=20001 mail=/srv/a/")
        yield b


def test_quotad_takes_a_sound_table_under_a_limit_that_leaves_room(brim):
    brim.start_quotad(prefix=("prlimit", "--as=60000000"))
    assert "users_table=none" not in "".join(brim.ask("STATS"))
    assert brim.admin("set", "a@x.test", "quota=1G").stderr == ""
    assert "not sound" not in brim.log.read_text()


def test_a_quotad_without_room_for_a_look_says_so_and_keeps_the_table_before(brim):
    brim.start_quotad()
    with open(f"/proc/{brim.quotad.pid}/status") as status:
        size = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmSize"))
    subprocess.run(["prlimit", "--pid", str(brim.quotad.pid), f"--as={size}"], check=True,
                   user=DAEMON_USER, group=DAEMON_USER, extra_groups=[])
    before = brim.ask("STATS")[1]
    told = brim.admin("set", "a@x.test", "quota=1G").stderr
    assert SHORT in told and "keeps the one before" in told and len(told.splitlines()) == 1, told
    assert SHORT in brim.log.read_text() and "not sound" not in brim.log.read_text()
    after = brim.ask("STATS")
    assert after[1] == before and any(SHORT.replace(" ", "%20") in line for line in after), after


def test_brimadm_without_memory_says_so_and_changes_nothing(brim):
    before, told = brim.users_db.read_bytes(), []
    for megabytes in range(12, 40):  # quarters, from where it can't be loaded to where it runs
        limit = megabytes << 18
        done = subprocess.run(
            [BIN / "brimadm", "-c", brim.conf, "set", "a@x.test", "quota=1G"],
            capture_output=True, text=True, timeout=30,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        if done.returncode == 0:
            break
        assert brim.users_db.read_bytes() == before
        told += [done.stderr] if done.stderr.startswith("brimadm: ") else []
    assert done.returncode == 0, done
    assert not [line for line in told if "no memory" not in line], told


def test_a_usage_dir_that_can_not_be_used_is_named_as_the_setting(brim):
    for spoil in (lambda: brim.usage_dir.write_text(""),
                  lambda: (brim.usage_dir.unlink(), brim.usage_dir.mkdir(mode=0o755),
                           os.chown(brim.usage_dir, 12345, 12345)),
                  lambda: brim.configure(usage_dir="/nonexistent/usage")):
        spoil()
        with pytest.raises(AssertionError, match=r"usage_dir:? .*usage"):
            brim.start_quotad()
