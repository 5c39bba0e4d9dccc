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
#define LIMIT(name, least, text)                                                         \
	{                                                                                \
		name, least, sizeof LINE(#name, text) - 1, LINE(#name, text)             \
	}

/* More than twice what a delivery took; see lda(8). */
static const struct {
	int resource;
	rlim_t least;
	size_t length;
	char line[80];
} limits[] = {
	LIMIT(RLIMIT_AS, 8 << 20, "8 MB"),
	LIMIT(RLIMIT_DATA, 4 << 20, "4 MB"),
	LIMIT(RLIMIT_STACK, 128 << 10, "128 KB"),
};

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

/* Only where somebody reads: a write that fails would set errno. */
__attribute__((no_stack_protector)) static void
say(const char *line, size_t length)
{
	struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
	struct timespec now = {0, 0};

	syscall(SYS_ppoll, &output, 1, &now, NULL, 0);
	if (output.revents == POLLOUT)
		syscall(SYS_write, STDOUT_FILENO, line, length);
}

__attribute__((used, no_stack_protector)) static void (*look(void))(void)
{
	struct rlimit now;

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		syscall(SYS_prlimit64, 0, limits[i].resource, NULL, &now);
		if (now.rlim_cur < limits[i].least) {
			say(limits[i].line, limits[i].length);
			syscall(SYS_exit_group, VERDICT_TRY_AGAIN);
		}
	}
	return nothing;
}

void limits_check(void) __attribute__((ifunc("look")));

#endif
