"""The Makefile, where what lda is linked with is not all there."""

import subprocess

import pytest

from brim import ROOT, SANITIZED

pytestmark = pytest.mark.skipif(SANITIZED, reason="linked with the other C library")

# As musl 1.2.5 and 1.2.6 declare what 1.2.3 does not.
NEWER = {
    "sys/stat.h": """
        #define STATX_TYPE 1U
        struct statx_timestamp { long tv_sec; };
        struct statx { unsigned stx_mask; };
        int statx(int, const char *restrict, int, unsigned, struct statx *restrict);""",
    "stdio.h": """
        #define RENAME_NOREPLACE (1 << 0)
        int renameat2(int, const char *, int, const char *, unsigned);""",
}


def make(build, *arguments, name="lib/base/child"):
    return subprocess.run(["make", "-C", ROOT, f"{build}/musl/{name}.o", f"B={build}", f"M={build}/musl",
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


@pytest.mark.parametrize("name", [
    "lib/base/kernel_calls", "lib/base/descriptors", "lib/maildir/file_system",
    "lib/maildir/publish"])
def test_newer_musl_may_have_the_functions_too(tmp_path, name):
    for header, text in NEWER.items():
        path = tmp_path / "include" / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#pragma GCC system_header\n#ifndef NEWER_{path.stem}\n"
                        f"#define NEWER_{path.stem}\n#include_next <{header}>\n{text}\n#endif\n")
    result = make(tmp_path / "build", f"CFLAGS=-I{tmp_path}/include", name=name)
    assert result.returncode == 0, result.stderr
