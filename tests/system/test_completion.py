"""Completion for bash and zsh: what the tools take is offered, and nothing else. The scripts
are plain files; what they must say comes from the usage, and from what the tools refuse."""

import re
import subprocess

import pytest

from brim import BIN, ROOT

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
want=$1 script=$2 service=$3 PREFIX=$4
shift 4
words=("$@")
source $script
"""
# zsh's part that says which options it was given, and what it says of each.
ZSH_OPTIONS = """
_arguments() { print -l -- "$@" }
service=$2
source $1
"""
TOOLS = ("brimadm", "brimq")
SCRIPTS = {shell: ROOT / f"etc/completion.{shell}" for shell in ("bash", "zsh")}


def run(*command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          timeout=30, **more)


@pytest.fixture
def complete(tmp_path):
    """Completes the last of the words, as bash cuts them; the words offered."""
    def offered(*words):
        done = run("bash", "--norc", "-c", BASH, "bash", SCRIPTS["bash"], len(words) - 1, *words,
                   cwd=tmp_path)
        assert done.stderr == ""
        return set(done.stdout.split())
    return offered


@pytest.fixture
def zsh(tmp_path):
    """What zsh is told in the state: a command is wanted, or an argument of WORDS."""
    def told(state, prefix="", *words):
        done = run("zsh", "-f", "-c", ZSH, "zsh", state, SCRIPTS["zsh"], "brimadm", prefix, *words,
                   cwd=tmp_path)
        assert done.stderr == ""
        return done.stdout.splitlines()
    return told


def usage(tool, heading):
    """The lines of a part of the usage: what is named there, and the sentence."""
    text = run(BIN / tool, "--help").stdout.split(f"\n{heading}:\n")[1].split("\n\n")[0]
    return [re.match(r" +(.*?)(?:  +|(?<=\.\.\.) )(\S.*)", line).groups()
            for line in text.splitlines()]


def part_of_usage(heading):
    return {name.split()[0] for name, _ in usage("brimadm", heading)}


def options(tool):
    return {word for name, _ in usage(tool, "options") for word in re.findall(r"--[a-z-]+", name)}


ALWAYS = {"--config", "--help"}


def options_taken(command):
    """Those that brimadm does not refuse to the command; it does so before it reads settings."""
    name, _, arguments = command.partition(" ")
    least = [word for word in arguments.split() if not word.startswith("[")]

    def refuses(option):
        given = [option] if option not in valued("brimadm") else [option, "x"]
        done = run(BIN / "brimadm", "-c", "/nonexistent", *given, name, *least)
        assert done.returncode != 0
        return f"has no {option}" in done.stderr
    return {o for o in options("brimadm") - ALWAYS if not refuses(o)} | ALWAYS


def valued(tool):
    """The options that take a word."""
    return {word for name, _ in usage(tool, "options") if re.search(r" [A-Z]+$", name)
            for word in re.findall(r"--[a-z-]+", name)}


def test_every_command_is_offered(complete, zsh):
    commands = part_of_usage("commands")
    assert len(commands) > 10
    assert complete("brimadm", "") == commands
    assert {line.split(":")[0] for line in zsh("command")} == commands


def test_what_is_begun_is_completed(complete):
    assert complete("brimadm", "sus") == {"suspend"}
    assert complete("brimadm", "-c", "/dev/null", "sus") == {"suspend"}


@pytest.mark.parametrize("command", [c for c, _ in usage("brimadm", "commands")])
def test_a_command_has_its_own_options_alone(complete, command):
    assert complete("brimadm", command.split()[0], "--") == options_taken(command)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_argument_of_an_option_is_no_command_and_no_option(complete, tool):
    for option in valued(tool):
        assert not any(word.startswith("-") for word in complete(tool, option, "")), option
        if tool == "brimadm":
            assert "show" in complete("brimadm", option, "x", "sh"), option


@pytest.mark.parametrize("tool", TOOLS)
def test_zsh_has_every_option_with_its_sentence(tool):
    done = run("zsh", "-f", "-c", ZSH_OPTIONS, "zsh", SCRIPTS["zsh"], tool)
    assert done.stderr == ""
    found = re.findall(r"^(?:\(.*\))?(--[a-z-]+)(?:=-)?\[(.*?)\](:.*)?$", done.stdout, re.M)
    assert {name: sentence for name, sentence, _ in found} == {
        re.search(r"--[a-z-]+", name)[0]: sentence for name, sentence in usage(tool, "options")}
    assert {name for name, _, value in found if value.startswith(":") and value[1] != ":"} == \
        valued(tool)


def test_zsh_has_every_command_with_its_sentence(zsh):
    assert zsh("command") == [f"{name.split()[0]}:{sentence}"
                              for name, sentence in usage("brimadm", "commands")]


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


def test_what_postfix_is_to_ask_is_offered(complete, zsh):
    assert complete("brimadm", "postfix", "--apply", "") >= {"policy", "maps"}
    assert zsh("argument", "", "postfix") == ["policy", "maps"]


def test_another_option_s_argument_is_nobody_s_guess(complete):
    assert complete("brimadm", "simulate", "--size", "") == set()


@pytest.mark.parametrize("option, values", [
    ("--transport", {"mailbox_command", "pipe", "virtual"}),
    ("--stage", {"rcpt", "data", "message", "delivery", "map"}),
    ("--sort", {"used", "percent", "limit", "messages", "name"})])
def test_values_that_are_offered_are_those_of_the_usage(complete, option, values):
    tool = "brimq" if option == "--sort" else "brimadm"
    sentence = dict(usage(tool, "options"))[next(
        name for name, _ in usage(tool, "options") if option in name)]
    assert all(re.search(rf"\b{value}\b", sentence) for value in values)
    assert complete(tool, option, "") == values


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_are_sound(shell):
    assert run(shell, "-n", SCRIPTS[shell]).stderr == ""


def test_bash_finds_both_tools_in_one_file():
    done = run("bash", "--norc", "-c", 'source "$1"; complete -p brimadm brimq', "bash",
               SCRIPTS["bash"])
    assert done.stdout.splitlines() == ["complete -o filenames -F _brimadm brimadm",
                                        "complete -o filenames -F _brimq brimq"]
