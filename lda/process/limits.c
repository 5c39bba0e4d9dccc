/*
 * The look is taken by the resolver of an indirect function, which the C library calls as
 * it relocates the program. There are no thread's variables yet: no errno, no stack
 * protector, and no call that can fail.
 */
#include "limits.h"

#include <poll.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "verdict.h"

#define LINE(limit, least) "4.3.0 the limit " limit " must leave lda at least " least "\n"
#define REQUIRE(limit, least, text)                                                      \
	require(limit, least, LINE(#limit, text), sizeof LINE(#limit, text) - 1)

static void
nothing(void)
{
}

#if defined __SANITIZE_ADDRESS__ || defined BRIM_COVERAGE

void
limits_check(void)
{
	nothing();
}

#else

/* The line is written only where somebody reads: a write that fails would set errno. */
__attribute__((no_stack_protector)) static void
require(int resource, rlim_t least, const char *line, size_t length)
{
	struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
	struct timespec now = {0, 0};
	struct rlimit limit;

	syscall(SYS_prlimit64, 0, resource, NULL, &limit);
	if (limit.rlim_cur >= least)
		return;
	syscall(SYS_ppoll, &output, 1, &now, NULL, 0);
	if (output.revents == POLLOUT)
		syscall(SYS_write, STDOUT_FILENO, line, length);
	syscall(SYS_exit_group, VERDICT_TRY_AGAIN);
}

/* More than twice what a delivery took; see lda(8). No table, which would cost each
 * delivery one more page of memory. */
__attribute__((used, no_stack_protector)) static void (*look(void))(void)
{
	REQUIRE(RLIMIT_AS, 8 << 20, "8 MB");
	REQUIRE(RLIMIT_DATA, 4 << 20, "4 MB");
	REQUIRE(RLIMIT_STACK, 128 << 10, "128 KB");
	return nothing;
}

void limits_check(void) __attribute__((ifunc("look")));

#endif
