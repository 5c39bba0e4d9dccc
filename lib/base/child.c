/* The end of a forked child. */
#include "child.h"

#include <unistd.h>

#ifdef BRIM_COVERAGE
#include <gcov.h>
#endif

void
child_leave(int status)
{
#ifdef BRIM_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}
