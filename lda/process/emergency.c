/* The handler, what it knows, and the signals that it is for. */
#include "emergency.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef BRIM_COVERAGE
#include <gcov.h>
#endif

#define WRITE_MS 2000 /* that somebody has to take the line */

/* What ends a delivery: the alarm, requests to end, and a crash. */
static const int fatal[] = {SIGALRM, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGXCPU, SIGSEGV,
	SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};

#define FATAL (sizeof fatal / sizeof *fatal)

static char handler_stack[64 * 1024];

/* What an emergency writes, and its exit status. */
struct last_words {
	char line[VERDICT_LINE_MAX + 1];
	size_t length;
	int status;
};

#define CUT_SHORT "4.3.0 the delivery was cut short\n"

/* Two, so that one is always whole: the other is filled, then becomes the current one.
 * Both mean "try again" before anything has been prepared: a status of 0 would be a
 * delivery. */
static struct last_words both[2] = {
	{CUT_SHORT, sizeof CUT_SHORT - 1, VERDICT_TRY_AGAIN},
	{CUT_SHORT, sizeof CUT_SHORT - 1, VERDICT_TRY_AGAIN},
};

/* What the handler reads is atomic, so that the compiler keeps its order: each is stored
 * after what it tells of. */
static struct last_words *_Atomic current = &both[0];
static struct store *_Atomic watched;
static unsigned early; /* seconds before the deadline */

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_POINTER_LOCK_FREE == 2,
	"a signal handler may use atomics without locks alone");

static struct last_words *
other(void)
{
	return current == &both[0] ? &both[1] : &both[0];
}

void
emergency_write(const char *line, size_t length)
{
	struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};

	if (length == 0 || poll(&output, 1, WRITE_MS) == 0)
		return;
	if (write(STDOUT_FILENO, line, length) < 0)
		errno = 0;
}

static void
end(int signal)
{
	const struct last_words *last = current;
	struct store *store = watched;
	int status = 0;

	(void)signal;
	if (!store || !store_end_now(store)) {
		status = last->status;
		emergency_write(last->line, last->length);
	}
#ifdef BRIM_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* Blocks every signal but those of the list. The C library hides signals of its own
 * from its sigprocmask, and those end a process as well. */
static int
allow_only(const int *signals, size_t count)
{
	uint64_t blocked = ~UINT64_C(0);

	for (size_t i = 0; i < count; i++)
		blocked &= ~(UINT64_C(1) << (signals[i] - 1));
	return (int)syscall(
		SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked);
}

int
emergency_install(void)
{
	stack_t alternate = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack};
	struct sigaction action = {.sa_handler = end, .sa_flags = SA_ONSTACK};

	sigfillset(&action.sa_mask);
	if (sigaltstack(&alternate, NULL))
		return -1;
	for (size_t i = 0; i < FATAL; i++)
		if (sigaction(fatal[i], &action, NULL))
			return -1;
	return allow_only(fatal, FATAL);
}

void
emergency_prepare(void *arg, enum verdict v, const char *text, uint64_t seconds)
{
	struct last_words *next = other();
	struct outcome o;

	(void)arg;
	outcome_set(&o, v == VERDICT_DELIVERED ? VERDICT_TROUBLE : v, "%s", text);
	next->length = outcome_line(&o, next->line);
	next->status = verdict_exit_status(o.verdict);
	current = next;
	alarm(seconds > early ? (unsigned)seconds - early : 1);
}

void
emergency_watch(void *arg, struct store *s)
{
	(void)arg;
	watched = s;
}

void
emergency_end_early(unsigned seconds)
{
	early = seconds;
}

void
emergency_over(void)
{
	allow_only(NULL, 0);
}
