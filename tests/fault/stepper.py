"""Stops a program at each instruction of one of its functions, to do something there.

    with Stepper(lambda **popen: start(..., **popen), program, "emergency_prepare") as s:
        while s.enter():           # the function is called once more
            while s.step():        # one of its own instructions was run
                ...
        s.leave(signal.SIGTERM)    # and the program goes on, with this signal

What the function calls runs to its return in one step. x86-64 alone.
"""

import ctypes
import functools
import os
import signal
import subprocess

TRACEME, PEEKTEXT, PEEKUSER, POKETEXT, POKEUSER = 0, 1, 3, 4, 6
CONT, SINGLESTEP, DETACH, SETOPTIONS, EXITKILL = 7, 9, 17, 0x4200, 0x100000
RIP, RSP = 16 * 8, 19 * 8  # in struct user
BREAKPOINT = 0xcc

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, pid, address=0, data=0):
    ctypes.set_errno(0)
    result = libc.ptrace(request, pid, address, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request}")
    return result & (1 << 64) - 1


@functools.cache
def find_symbol(program, name):
    """The function's offset in the file's image, and its size."""
    for line in subprocess.check_output(["nm", "-S", program], text=True).splitlines():
        words = line.split()
        if len(words) == 4 and words[3] == name:
            return int(words[0], 16), int(words[1], 16)
    raise LookupError(f"{program} has no function {name}")


def find_base(pid, program):
    """Where the program's image begins in the process."""
    with open(f"/proc/{pid}/maps") as lines:
        return min(int(line.split("-")[0], 16) for line in lines
                   if line.rstrip().endswith(str(program)))


class Stepper:
    def __init__(self, start, program, function):
        offset, self.size = find_symbol(program, function)
        self.process = start(preexec_fn=lambda: ptrace(TRACEME, 0))
        self.pid = self.process.pid
        self._wait()
        ptrace(SETOPTIONS, self.pid, 0, EXITKILL)
        self.start = find_base(self.pid, program) + offset

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
        self.process.wait()

    def _wait(self):
        """Until it stops again; whether it does, rather than end."""
        _, status = os.waitpid(self.pid, 0)
        if os.WIFSTOPPED(status):
            assert os.WSTOPSIG(status) == signal.SIGTRAP, os.WSTOPSIG(status)
            return True
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return False

    def _pc(self):
        return ptrace(PEEKUSER, self.pid, RIP)

    def _run_to(self, address):
        """Whether the program gets there."""
        word = ptrace(PEEKTEXT, self.pid, address)
        ptrace(POKETEXT, self.pid, address, word & ~0xff | BREAKPOINT)
        ptrace(CONT, self.pid)
        if not self._wait():
            return False
        ptrace(POKETEXT, self.pid, address, word)
        ptrace(POKEUSER, self.pid, RIP, address)
        return True

    def enter(self):
        """Runs to the function's next call: whether there is one."""
        if self._pc() == self.start:  # it stands at the breakpoint
            ptrace(SINGLESTEP, self.pid)
            self._wait()
        if not self._run_to(self.start):
            return False
        self.back = ptrace(PEEKTEXT, self.pid, ptrace(PEEKUSER, self.pid, RSP))
        return True

    def step(self):
        """One instruction: whether the function is still running."""
        ptrace(SINGLESTEP, self.pid)
        if not self._wait():
            return False
        if self._pc() != self.back and not 0 <= self._pc() - self.start < self.size:
            called_from = ptrace(PEEKTEXT, self.pid, ptrace(PEEKUSER, self.pid, RSP))
            if not self._run_to(called_from):
                return False
        return self._pc() != self.back

    def leave(self, number=0):
        """Lets the program go on by itself, with the signal first."""
        ptrace(DETACH, self.pid, 0, int(number))
