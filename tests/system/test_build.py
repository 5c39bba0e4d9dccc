"""The Makefile, where what lda is linked with is not all there."""

import subprocess

import pytest

from brim import ROOT, SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="linked with the other C library")


def make(build, *arguments):
    target = f"{build}/musl/lib/base/child.o"
    return subprocess.run(["make", "-C", ROOT, target, f"B={build}", f"M={build}/musl",
                           *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_musl_of_another_processor_is_none(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\n[ "$1" = -print-multiarch ] && exec echo other-linux-gnu\n'
                        'exec cc "$@"\n')
    compiler.chmod(0o755)
    result = make(tmp_path / "build", f"CC={compiler}")
    assert result.returncode == 2
    assert "musl is missing: apt install musl-dev" in result.stderr, result


def test_header_that_is_missing_is_told_and_looked_for_again(tmp_path):
    result = make(tmp_path, "MUSL_HEADERS=linux no/such.h")
    assert result.returncode == 2
    assert "no/such.h is missing: make deps" in result.stderr, result
    result = make(tmp_path)
    assert result.returncode == 0, result
    assert (tmp_path / "musl/include/sys/capability.h").is_file()
