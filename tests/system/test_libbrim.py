"""libbrim: installed, found by pkg-config, linked by programs that are not Brim's, asked."""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess

import pytest

from brim import DAEMON_USER, ROOT, SANITIZED, Brim

ALICE = 20001
SONAME = "libbrim.so.1"
# What a library must not call: it would end the program, print, change its signals, or
# share memory with another thread.
NOT_FOR_A_LIBRARY = set(
    "exit _exit abort __assert_fail signal sigaction raise kill fork printf puts putchar "
    "vprintf fprintf vfprintf perror syslog stdout stderr fgetpwent getpwnam getpwuid strtok "
    "strerror localtime gmtime ctime asctime setlocale putenv setenv chdir umask".split())

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
def test_another_program_is_told_what_brimq_is_told(prefix, brim, static):
    ask = compile_example(prefix, "ask", static)
    shown = json.loads(brim.query("--json", "alice@example.org").stdout)[0]
    done = start(prefix, ask, brim, "alice@example.org")
    assert done.returncode == 0, done
    assert done.stdout == f"{shown['used']} of {shown['limit']}\n" == "2500 of 10000\n"
    linked = run("ldd", ask, env={"LD_LIBRARY_PATH": str(prefix / "lib")}).stdout
    assert ("libbrim.so.1 => " + str(prefix) in linked) is not static


def test_an_address_that_is_odd_or_unknown_is_told(prefix, brim):
    ask = compile_example(prefix, "ask", True)
    for address, status in (("nobody@example.org", 1), ("a\nSTATS", 75), ("100%", 75)):
        done = start(prefix, ask, brim, address)
        assert (done.returncode, done.stdout) == (status, "") and done.stderr, done


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
connection.sendall(b"OK mailbox=a used=1 limit=2\\n")
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
    """The functions, without the version behind a name."""
    return {line.split()[-1].split("@")[0] for line in run(*command).stdout.splitlines()
            if " T " in line}


def declared():
    """The functions that the header names."""
    header = (ROOT / "include/brim.h").read_text()
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    return set(re.findall(r"\b(brim_[a-z_]+)\(", code))


def test_header_libraries_map_and_manual_have_the_same_functions(prefix):
    functions = declared()
    assert 10 <= len(functions) <= 12 and {"brim_connect", "brim_close"} <= functions
    shared = prefix / "lib" / SONAME
    assert names_of("nm", "-D", "--defined-only", shared) == functions
    assert names_of("nm", "--defined-only", "--extern-only",
                    prefix / "lib/libbrim.a") == functions
    manual = (ROOT / "man/libbrim.3").read_text()
    synopsis = manual.partition(".Sh SYNOPSIS")[2].partition(".Sh DESCRIPTION")[0]
    assert set(re.findall(r"^\.F[no] \"?(\w+)", synopsis, re.MULTILINE)) == functions
    package = (ROOT / "debian/libbrim1.symbols").read_text()
    assert set(re.findall(r"^ (brim_\w+)@BRIM_1 ", package, re.MULTILINE)) == functions


def test_nothing_else_is_exported(prefix):
    """Data, weak and local-looking symbols included; each function has its version."""
    shared = prefix / "lib" / SONAME
    listed = run("nm", "-D", "--defined-only", shared).stdout.split("\n")
    names = {line.split()[-1] for line in listed if line}
    assert names == {"BRIM_1"} | {f"{name}@@BRIM_1" for name in declared()}
    static = run("nm", "--defined-only", "--extern-only", prefix / "lib/libbrim.a").stdout
    assert {line.split()[-1] for line in static.split("\n") if " " in line} == declared()
    assert f"Library soname: [{SONAME}]" in run("readelf", "-d", shared).stdout


def test_every_constant_is_in_the_manual():
    header = (ROOT / "include/brim.h").read_text()
    constants = set(re.findall(r"\b(BRIM_[A-Z_]+)\b", header)) - {"BRIM_BRIM_H"}
    assert "BRIM_FULL_FOR" in constants
    manual = (ROOT / "man/libbrim.3").read_text()
    assert {name for name in constants if f"Dv {name}" not in manual} == set()


def test_it_calls_nothing_that_a_library_must_not(prefix):
    called = run("nm", "-D", "--undefined-only", prefix / "lib" / SONAME).stdout
    names = {line.split()[-1].split("@")[0] for line in called.splitlines()}
    assert "connect" in names
    assert names & NOT_FOR_A_LIBRARY == set()


def test_it_needs_the_c_library_alone(prefix):
    needed = run("readelf", "-d", prefix / "lib/libbrim.so.1").stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", needed) == ["libc.so.6"]


def test_one_header_is_installed_and_stands_alone_in_c_and_cpp(prefix):
    headers = [path.name for path in (prefix / "include").rglob("*") if path.is_file()]
    assert headers == ["brim.h"]
    flags = pkg_config(prefix, "--cflags")
    include = "#include <brim/brim.h>\n#include <brim/brim.h>\n"
    for standard in ("c99", "gnu17"):
        run("cc", f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
            "-fsyntax-only", "-x", "c", "-", *flags, input=include)
    program = prefix / "cpp"
    run("g++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", program, "-x", "c++", "-",
        "-x", "none", *pkg_config(prefix, "--cflags", "--libs"), input=include + """
        int main() { brim *b = nullptr; brim_result r = brim_connect(&b, "/x", nullptr, 1);
            brim_close(&b); return r == BRIM_LATER && b == nullptr ? 0 : 1; }""")
    assert subprocess.run([program], env={"LD_LIBRARY_PATH": str(prefix / "lib")},
                          timeout=20).returncode == 0


def test_the_defaults_are_those_of_the_settings(brim):
    header = (ROOT / "include/brim.h").read_text()
    shown = json.loads(brim.admin("config", "--json").stdout)
    assert re.search(r'BRIM_SOCKET\s+"(.*)"', header)[1] == shown["socket"]["default"]
    assert re.search(r'BRIM_DAEMON_USER\s+"(.*)"', header)[1] == shown["daemon_user"]["default"]


def test_pkg_config_and_the_manual_are_installed(prefix):
    assert pkg_config(prefix, "--modversion")[0][0].isdigit()
    assert (prefix / "share/man/man3/libbrim.3").read_text().startswith(".Dd ")


def compile_program(prefix, name, source):
    program = prefix / name
    flags = [flag.replace("-lbrim", "-l:libbrim.a")
             for flag in pkg_config(prefix, "--cflags", "--libs")]
    run("cc", "-Wall", "-Werror", "-o", program, "-x", "c", "-", "-x", "none", *flags,
        input=source)
    return program


def test_a_list_has_what_each_mailbox_has(prefix, brim):
    brim.mailbox("bob@example.org", uid=ALICE)
    brim.usage("alice@example.org")
    source = """
        #include <brim/brim.h>
        #include <stdio.h>
        static int show(void *arg, const struct brim_mailbox *m) {
            printf("%s %llu %llu\\n", brim_name(m),
                (unsigned long long)brim_get(m, BRIM_USED, 77),
                (unsigned long long)brim_get(m, BRIM_LIMIT, 77));
            return *(int *)arg;
        }
        int main(int argc, char **argv) {
            struct brim *b; int stop = argc > 4;
            if (brim_connect(&b, argv[1], argv[2], 10)) return 1;
            if (brim_list(b, argv[3], show, &stop)) return puts(brim_code(b)), 2;
            return brim_check(b, "alice@example.org", 1);
        }"""
    program = shutil.copy(compile_program(prefix, "list", source), brim.folder)

    def listed(*arguments, **more):
        return subprocess.run([program, brim.socket, DAEMON_USER, *arguments], timeout=60,
                              capture_output=True, text=True, **more)

    assert listed("*").stdout == "alice@example.org 2500 10000\nbob@example.org 77 0\n"
    assert listed("b*").stdout == "bob@example.org 77 0\n"
    done = listed("*", "stop")
    assert done.returncode == 0 and done.stdout == "alice@example.org 2500 10000\n"
    done = listed("*", user=ALICE, group=ALICE, extra_groups=[])
    assert done.returncode == 2 and done.stdout == "4.7.0\n"


def test_a_program_outlives_a_quotad_that_dies(prefix, brim):
    """SIGPIPE would kill one that does not ignore it."""
    source = """
        #include <brim/brim.h>
        #include <stdio.h>
        int main(int argc, char **argv) {
            struct brim *b;
            if (argc < 3 || brim_connect(&b, argv[1], argv[2], 10)) return 1;
            puts("connected"); fflush(stdout); getchar();
            if (brim_check(b, "a", 1) != BRIM_LATER) return 2;
            return brim_check(b, "a", 1) == BRIM_LATER && *brim_error(b) ? 0 : 3;
        }"""
    program = compile_program(prefix, "outlive", source)
    with subprocess.Popen([program, brim.socket, DAEMON_USER], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "connected\n"
        brim.stop_quotad(signal.SIGKILL)
        process.communicate("\n", timeout=20)
    assert process.returncode == 0
