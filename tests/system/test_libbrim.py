"""libbrim: installed, found by pkg-config, linked by programs that are not Brim's, asked."""

import json
import os
import pwd
import re
import signal
import subprocess

import pytest

from brim import DAEMON_USER, ROOT, SANITIZED, Brim

ALICE = 20001
PREFIXES = ("amount_", "outcome_", "quota_", "reason_", "record_", "verdict_")

pytestmark = pytest.mark.skipif(SANITIZED, reason="the library is not linked with ASan")


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The library, built in a folder of its own and installed in another."""
    folder = tmp_path_factory.mktemp("libbrim")
    run("make", "-C", ROOT, "install-lib", f"B={folder}/build", f"PREFIX={folder}/usr")
    return folder / "usr"


@pytest.fixture
def brim():
    with Brim(min_uid=1) as b:
        b.alice = b.mailbox("alice@example.org", uid=ALICE, quota=10000)
        (b.alice / "cur/1.host,S=2500:2,S").write_bytes(b"x" * 2500)
        b.start_quotad()
        yield b


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, **more)


def pkg_config(prefix, *arguments):
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    return run("pkg-config", *arguments, "libbrim", env=environment).stdout.split()


def compile_example(prefix, name, static):
    program = prefix / f"{name}-{'static' if static else 'shared'}"
    flags = pkg_config(prefix, "--cflags", "--libs")
    if static:
        flags = [flag.replace("-lbrim", "-l:libbrim.a") for flag in flags]
    run("cc", "-Wall", "-Wextra", "-Werror", "-o", program, ROOT / f"examples/{name}.c", *flags)
    return program


def start(prefix, program, brim, *arguments):
    return subprocess.run([program, *arguments, brim.socket, DAEMON_USER], capture_output=True,
                          text=True, timeout=60, env={"LD_LIBRARY_PATH": str(prefix / "lib")})


@pytest.mark.parametrize("static", [True, False], ids=["static", "shared"])
def test_another_program_hears_what_brimq_hears(prefix, brim, static):
    ask = compile_example(prefix, "ask", static)
    shown = json.loads(brim.query("--json", "alice@example.org").stdout)[0]
    done = start(prefix, ask, brim, "alice@example.org")
    assert done.returncode == 0, done
    assert done.stdout == f"{shown['used']} of {shown['limit']}\n" == "2500 of 10000\n"
    linked = run("ldd", ask, env={"LD_LIBRARY_PATH": str(prefix / "lib")}).stdout
    assert ("libbrim.so.0 => " + str(prefix) in linked) is not static


def test_an_address_that_is_odd_or_unknown_is_told(prefix, brim):
    ask = compile_example(prefix, "ask", True)
    for address in ("nobody@example.org", "a\nSTATS", "100%"):
        done = start(prefix, ask, brim, address)
        assert done.returncode == 1 and done.stdout == "" and done.stderr, done


def test_without_quotad_it_is_said(prefix, brim):
    ask = compile_example(prefix, "ask", True)
    brim.stop_quotad()
    done = start(prefix, ask, brim, "alice@example.org")
    assert done.returncode == 75 and "quotad can't be reached" in done.stderr


LISTENER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listening", flush=True)
connection = listener.accept()[0]
connection.sendall(b"OK used=1 limit=2\\n")
connection.recv(100)
"""


@pytest.mark.parametrize("believed", [DAEMON_USER, "nobody"])
def test_a_quotad_of_another_user_is_not_believed(prefix, brim, believed):
    ask = compile_example(prefix, "ask", True)
    folder = brim.folder / "other"
    folder.mkdir()
    os.chown(folder, pwd.getpwnam(DAEMON_USER).pw_uid, -1)
    with subprocess.Popen(["/usr/bin/python3", "-c", LISTENER, folder / "sock"], text=True,
                          stdout=subprocess.PIPE, user=DAEMON_USER) as listener:
        listener.stdout.readline()
        done = subprocess.run([ask, "alice@example.org", folder / "sock", believed],
                              capture_output=True, text=True, timeout=60)
        listener.kill()
    if believed == DAEMON_USER:
        assert done.returncode == 0 and done.stdout == "1 of 2\n"
    else:
        assert done.returncode == 75 and "listens there" in done.stderr and not done.stdout


def test_another_program_delivers_what_fits_and_nothing_else(prefix, brim):
    reserve = compile_example(prefix, "reserve", True)
    message = brim.alice / "tmp/message"
    message.write_bytes(b"y" * 7500)
    done = start(prefix, reserve, brim, "alice@example.org", message, brim.alice)
    assert done.returncode == 0, done
    assert brim.usage("alice@example.org")["used"] == "10000"
    assert brim.recount("alice@example.org")["used"] == "10000"
    done = start(prefix, reserve, brim, "alice@example.org", message, brim.alice)
    assert done.returncode in (69, 75) and re.match(r"[45]\.2\.2 ", done.stderr)
    assert len(brim.files(brim.alice)) == 2
    assert brim.usage("alice@example.org")["tickets"] == "0"


def test_a_message_that_could_not_be_stored_is_cancelled(prefix, brim):
    reserve = compile_example(prefix, "reserve", True)
    message = brim.folder / "message"
    message.write_bytes(b"y" * 7500)
    done = start(prefix, reserve, brim, "alice@example.org", message, brim.folder / "missing")
    assert done.returncode == 75
    assert brim.usage("alice@example.org")["reserved"] == "0"


def names_of(*command):
    return {line.split()[-1] for line in run(*command).stdout.splitlines() if " T " in line}


def test_both_libraries_have_public_names_alone_and_the_manual_has_them_all(prefix):
    shared = names_of("nm", "-D", "--defined-only", prefix / "lib/libbrim.so.0")
    static = names_of("nm", "--defined-only", "--extern-only", prefix / "lib/libbrim.a")
    assert shared == static and "quota_ask" in shared
    assert all(name.startswith(PREFIXES) for name in shared), shared
    manual = (ROOT / "man/libbrim.3").read_text()
    assert {name for name in shared if name not in re.findall(r"\w+", manual)} == set()


def test_it_needs_the_c_library_alone(prefix):
    needed = run("readelf", "-d", prefix / "lib/libbrim.so.0").stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", needed) == ["libc.so.6"]


def test_each_header_stands_alone_in_c_and_the_whole_in_cpp(prefix):
    headers = sorted(path.name for path in (prefix / "include/brim").iterdir())
    assert "brim.h" in headers and "users.h" not in headers
    flags = pkg_config(prefix, "--cflags")
    for header in headers:
        for standard in ("c99", "gnu17"):
            run("cc", f"-std={standard}", "-Wall", "-Werror", "-fsyntax-only", "-x", "c", "-",
                *flags, input=f"#include <brim/{header}>\n")
    run("g++", "-Wall", "-Werror", "-fsyntax-only", "-x", "c++", "-", *flags,
        input="#include <brim/brim.h>\nint main() { return amount_add(1, 2) != 3; }\n")


def test_the_defaults_are_those_of_the_settings(brim):
    header = (ROOT / "include/brim.h").read_text()
    shown = json.loads(brim.admin("config", "--json").stdout)
    assert re.search(r'BRIM_SOCKET\s+"(.*)"', header)[1] == shown["socket"]["default"]
    assert re.search(r'BRIM_DAEMON_USER\s+"(.*)"', header)[1] == shown["daemon_user"]["default"]


def test_pkg_config_and_the_manual_are_installed(prefix):
    assert pkg_config(prefix, "--modversion")[0][0].isdigit()
    assert (prefix / "share/man/man3/libbrim.3").read_text().startswith(".Dd ")


def test_a_program_outlives_a_quotad_that_dies(prefix, brim):
    """SIGPIPE would kill one that does not ignore it."""
    source = """
        #include <brim/brim.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            struct quota_client q; struct quota_answer a; struct reason why;
            if (argc < 3 || quota_connect(&q, argv[1], argv[2], 10, &why)) return 1;
            puts("connected"); fflush(stdout); getchar();
            if (quota_ask(&q, &a, &why, "STATS") == 0) return 2;
            return quota_ask(&q, &a, &why, "STATS") == 0 || q.fd != -1 ? 3 : 0;
        }"""
    program = prefix / "outlive"
    run("cc", "-o", program, "-x", "c", "-", "-x", "none",
        *[f.replace("-lbrim", "-l:libbrim.a") for f in pkg_config(prefix, "--cflags", "--libs")],
        input=source)
    with subprocess.Popen([program, brim.socket, DAEMON_USER], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "connected\n"
        brim.stop_quotad(signal.SIGKILL)
        process.communicate("\n", timeout=20)
    assert process.returncode == 0
