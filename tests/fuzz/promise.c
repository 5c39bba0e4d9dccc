#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

void
fuzz_promise(int holds, const char *promise, const char *answer)
{
	if (holds)
		return;
	fprintf(stderr, "broken promise: %s\nanswer: \"%.400s\"\n", promise, answer);
	abort();
}
