/* Two processes: the one that the MTA knows, and the one that delivers. */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "emergency.h"
#include "file_system.h"
#include "log.h"
#ifdef BRIM_COVERAGE
#include <gcov.h>
#endif

#define STORED  '\0' /* is no byte of any line */
#define LAST_MS 1000 /* that the other process has to end itself when it was asked to */
#define STEP_MS 1000 /* of a wait, which musl begins again where it was stopped */

static int is_guarded; /* this is the process that delivers */

/* What it told so far, with the byte that is no part of the line. */
struct told {
	char text[VERDICT_LINE_MAX + 2];
	size_t length;
};

static void
read_told(int input, struct told *t)
{
	ssize_t n;

	t->length = 0;
	while (t->length < sizeof t->text &&
		(n = read(input, t->text + t->length, sizeof t->text - t->length)) > 0)
		t->length += (size_t)n;
}

/* Ends as the other process did: it has also logged what it did. */
static void
end_like(const struct told *t, int status)
{
	emergency_write(t->text, t->length);
#ifdef BRIM_COVERAGE
	__gcov_dump();
#endif
	_exit(status);
}

/* Waits until the other process has ended, and asks it to end whenever the MTA asks this
 * one. Its status, or -1 where there is no time left. */
static int
wait_for(pid_t child, const sigset_t *signals, uint64_t seconds)
{
	uint64_t now = clock_now_ms(), end = now + seconds * 1000;
	int status, signal;

	for (; now < end; now = clock_now_ms()) {
		uint64_t ms = end - now < STEP_MS ? end - now : STEP_MS;
		struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

		signal = sigtimedwait(signals, NULL, &left);
		if (signal == SIGCHLD && waitpid(child, &status, WNOHANG) == child)
			return status;
		if (signal > 0 && signal != SIGCHLD) {
			kill(child, signal);
			if (end > clock_now_ms() + LAST_MS)
				end = clock_now_ms() + LAST_MS;
		}
	}
	return -1;
}

/* In the process that the MTA knows. */
static int
wait_and_answer(pid_t child, int input, const sigset_t *signals, uint64_t seconds,
	struct outcome *o)
{
	int status = wait_for(child, signals, seconds);
	struct told t;

	if (status < 0)
		kill(child, SIGKILL);
	read_told(input, &t);
	if (t.length && t.text[0] == STORED) {
		t.length = 0;
		end_like(&t, 0);
	}
	if (status >= 0 && WIFEXITED(status))
		end_like(&t, WEXITSTATUS(status));
	outcome_set(o, VERDICT_TROUBLE, "%s",
		status < 0 ? "the mailbox's file system gave no answer in time"
			   : "the delivery was killed");
	return -1;
}

/* In the process that delivers. It dies with the other one, though a call that hangs
 * holds it until the call returns. */
static int
take_over(const int pipe[2], pid_t waiting, struct outcome *o)
{
	is_guarded = 1;
	emergency_end_early(LAST_MS / 1000);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != waiting ||
		dup2(pipe[1], STDOUT_FILENO) < 0) {
		outcome_set(o, VERDICT_TROUBLE, "a process can't be made ready");
		return -1;
	}
	close(pipe[0]);
	close(pipe[1]);
	return 0;
}

/* What may be sent to a delivery, and how its end is told. */
static void
list_signals(sigset_t *signals)
{
	static const int list[] = {
		SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGXCPU, SIGALRM};

	sigemptyset(signals);
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		sigaddset(signals, list[i]);
}

int
guard_begin(void *arg, const char *path, uint64_t seconds, struct outcome *o)
{
	pid_t waiting = getpid(), child = -1;
	sigset_t signals;
	int pipe[2], result = 0;

	(void)arg;
	if (!file_system_may_hang(path))
		return 0;
	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK)) {
		outcome_set(
			o, VERDICT_TROUBLE, "a pipe can't be made: %s", strerror(errno));
		return -1;
	}
	alarm(0);
	list_signals(&signals);
	signal(SIGCHLD, SIG_DFL); /* ignored, there would be no status */
	sigprocmask(SIG_BLOCK, &signals, NULL);
	child = fork();
	if (child == 0)
		result = take_over(pipe, waiting, o);
	else if (child > 0)
		result = wait_and_answer(child, pipe[0], &signals, seconds, o);
	else
		log_warning("no process for a mailbox on a network: %m");
	if (child != 0) {
		close(pipe[0]);
		close(pipe[1]);
	}
	sigdelset(&signals, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	return result;
}

void
guard_stored(void)
{
	static const char stored = STORED;

	if (is_guarded && write(STDOUT_FILENO, &stored, 1) < 0)
		errno = 0;
}
