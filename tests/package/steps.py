"""What the tests in a Debian of their own share: running things, the installed quotad, and
ending with a line and 1 where something is not as it should be."""

import fcntl
import pathlib
import socket
import struct
import subprocess
import sys
import time

HERE = pathlib.Path("/brim-test")
CONF = pathlib.Path("/etc/brim/brim.conf")
SOCKET = pathlib.Path("/run/brim/quotad.sock")
LDA = pathlib.Path("/usr/lib/brim/lda")
VIRTUAL = pathlib.Path("/usr/lib/brim/lda-virtual")
QUOTAD = pathlib.Path("/usr/sbin/quotad")
PATIENCE = 20
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1  # <linux/sockios.h>, <linux/if.h>


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, **more)
    if done.returncode != 0:
        sys.exit(f"{command}: {done.returncode}\n{(done.stdout + done.stderr).decode()}")
    return done.stdout.decode()


def must(what, is_so):
    if not is_so:
        sys.exit(f"not so: {what}")


def wait_until(what, condition, patience=PATIENCE):
    limit = time.monotonic() + patience
    while not condition():
        if time.monotonic() > limit:
            sys.exit(f"waited in vain: {what}")
        time.sleep(0.05)


def bring_up_loopback():
    """The interface lo of this network namespace, which is new."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(s, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


class Quotad:
    """A quotad with the installed settings; there is no systemd to start it."""

    def __init__(self, program=QUOTAD):
        self.program = program
        self.process = None

    def __enter__(self):
        SOCKET.unlink(missing_ok=True)
        self.process = subprocess.Popen([self.program])
        wait_until("quotad listens", SOCKET.exists)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        must("quotad ends with 0", self.process.wait(PATIENCE) == 0)

    def restart(self):
        self.__exit__()
        self.__enter__()
