"""Completion for bash and zsh: what the tools know is offered, and nothing else."""

import re
import subprocess

import pytest

from brim import BIN

BASH = """
source "$1"
COMP_CWORD=$2
shift 2
COMP_WORDS=("$@")
_$1
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh's own parts, which say what they were given.
ZSH = """
_arguments() { state=$want }
_describe() { print -l -- ${(P)2} }
_files() { print files }
compset() { true }
compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- "$@" }
want=$1 script=$2 PREFIX=$3
shift 3
words=("$@")
source $script
"""
TOOLS = ("brimadm", "brimq")


def run(*command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          timeout=30, **more)


def script(tool, shell):
    done = run(BIN / tool, "--completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def complete(tmp_path):
    """Completes the last of the words, as bash cuts them; the words offered."""
    def offered(*words):
        path = tmp_path / "script"
        path.write_text(script(words[0], "bash"))
        done = run("bash", "--norc", "-c", BASH, "bash", path, len(words) - 1, *words,
                   cwd=tmp_path)
        assert done.stderr == ""
        return set(done.stdout.split())
    return offered


@pytest.fixture
def zsh(tmp_path):
    """What zsh is told in the state: a command is wanted, or an argument of WORDS."""
    def told(state, prefix="", *words):
        path = tmp_path / "script"
        path.write_text(script("brimadm", "zsh"))
        done = run("zsh", "-f", "-c", ZSH, "zsh", state, path, prefix, *words, cwd=tmp_path)
        assert done.stderr == ""
        return done.stdout.splitlines()
    return told


def part_of_usage(heading):
    text = run(BIN / "brimadm", "--help").stdout.split(f"\n{heading}:\n")[1].split("\n\n")[0]
    return {line.split()[0] for line in text.splitlines()}


def options(tool):
    return {word for word in re.findall(r"--[a-z-]+", run(BIN / tool, "--help").stdout.split(
        "\noptions:\n")[1])}


def test_every_command_is_offered(complete, zsh):
    commands = part_of_usage("commands")
    assert len(commands) > 10
    assert complete("brimadm", "") == commands
    assert {line.split(":")[0] for line in zsh("command")} == commands


def test_what_is_begun_is_completed(complete):
    assert complete("brimadm", "sus") == {"suspend"}
    assert complete("brimadm", "-c", "/dev/null", "sus") == {"suspend"}


def test_a_command_has_its_own_options_alone(complete):
    assert complete("brimadm", "load", "--") >= {"--replace", "--dry-run", "--force"}
    assert complete("brimadm", "list", "--") == {"--json", "--config", "--help"}


def test_every_option_of_brimq_is_offered(complete):
    assert complete("brimq", "--") == {o for o in options("brimq")}


@pytest.mark.parametrize("command", ["add", "set"])
def test_every_field_is_offered(complete, zsh, command):
    fields = {f"{name}=" for name in part_of_usage("fields")}
    assert "quota=" in fields
    assert complete("brimadm", command, "alice@example.org", "") == fields
    assert set(zsh("argument", "", command)) == fields


def test_states_are_offered(complete, zsh):
    states = {"enabled", "disabled", "suspended", "moved"}
    assert complete("brimadm", "set", "alice@example.org", "state", "=") == states
    assert complete("brimadm", "set", "alice@example.org", "state", "=", "dis") == {"disabled"}
    assert set(zsh("argument", "state=", "set")) == states


def test_offered_states_are_taken():
    """By the tool, which knows better."""
    help_line = next(line for line in run(BIN / "brimadm", "--help").stdout.splitlines()
                     if line.strip().startswith("state "))
    assert all(s in help_line for s in ("enabled", "disabled", "suspended", "moved"))


def test_files_are_offered_where_a_file_is_read(complete, zsh, tmp_path):
    (tmp_path / "dump.txt").touch()
    assert "dump.txt" in complete("brimadm", "load", "du")
    assert complete("brimadm", "show", "du") == set()
    assert "dump.txt" in complete("brimadm", "-c", "du")
    assert zsh("argument", "", "load") == ["files"]


def test_another_option_s_argument_is_nobody_s_guess(complete):
    assert complete("brimadm", "simulate", "--size", "") == set()


@pytest.mark.parametrize("tool", TOOLS)
def test_scripts_are_sound(tool, tmp_path):
    for shell in ("bash", "zsh"):
        path = tmp_path / shell
        path.write_text(script(tool, shell))
        assert run(shell, "-n", path).stderr == ""


@pytest.mark.parametrize("tool", TOOLS)
def test_another_shell_is_refused(tool):
    done = run(BIN / tool, "--completion", "fish")
    assert (done.returncode, done.stdout) == (64, "")
    assert "bash or zsh" in done.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_how_they_are_made_is_not_in_the_usage(tool):
    assert "completion" not in run(BIN / tool, "--help").stdout
