/*
 * What a fuzz target and what drives it have in common. A target gets any bytes, gives
 * them to a protocol as a client would, with fakes behind it, and stops the program where
 * a promise is broken. Two drive it: libFuzzer (make fuzz) with mutator.c, and share.c in
 * each run of the tests.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Inputs to begin with, strings; NULL at the end. */
extern const char *const fuzz_seeds[];

/* The target. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the program, and says which promise was broken by what, unless it HOLDS. */
void fuzz_promise(int holds, const char *promise, const char *answer);

#endif
