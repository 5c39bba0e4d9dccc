/*
 * brimq again and again. On a screen it uses the alternate one, so that what was there
 * before is back afterwards; whatever ends or stops the program gives the terminal back
 * as it was, from the signal's own handler, since a round may be waiting for quotad.
 */
#include "brimq.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ENTER                                                                            \
	"\033[?1049h\033[?25l\033[?7l" /* alternate screen, no cursor, no wrapping */
#define LEAVE   "\033[?7h\033[?25h\033[?1049l"
#define TOP     "\033[H\033[J"
#define HEADING 2 /* lines: what it is, and the titles */

static struct {
	struct termios before;
	volatile sig_atomic_t is_screen, has_keys;
} terminal;

/* --- the terminal ---------------------------------------------------------- */

/* Also called by handlers, so no stdio. */
static void
write_code(const char *code)
{
	ssize_t n = write(STDOUT_FILENO, code, strlen(code));

	(void)n; /* a terminal that is gone needs nothing back */
}

/* 'q' is to come at once and unseen. */
static void
take_keys(void)
{
	struct termios raw = terminal.before;

	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

static void
enter(void)
{
	if (terminal.has_keys)
		take_keys();
	if (terminal.is_screen)
		write_code(ENTER);
}

static void
leave(void)
{
	if (terminal.is_screen)
		write_code(LEAVE);
	if (terminal.has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
}

/* --- signals --------------------------------------------------------------- */

/* The handler is reset by now: the signal does what it does. */
static void
end_by(int signal_number)
{
	leave();
	raise(signal_number);
}

static void
stop_by(int signal_number)
{
	int error = errno;

	(void)signal_number;
	leave();
	raise(SIGSTOP);
	enter();
	errno = error;
}

static void
wake_up(int signal_number)
{
	(void)signal_number;
}

/* What nohup or a shell has set to be ignored stays so. */
static void
handle(int signal_number, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, before;

	sigemptyset(&action.sa_mask);
	if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(signal_number, &action, NULL);
}

/* SIGWINCH comes in the pauses alone, so that none is missed. */
static void
handle_all(sigset_t *in_pauses)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t resized;

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		handle(ends[i], end_by, (int)(SA_RESETHAND | SA_NODEFER));
	handle(SIGTSTP, stop_by, SA_RESTART);
	handle(SIGWINCH, wake_up, 0);
	sigemptyset(&resized);
	sigaddset(&resized, SIGWINCH);
	sigprocmask(SIG_BLOCK, &resized, in_pauses);
}

/* --- rounds ---------------------------------------------------------------- */

static void
print_heading(uint64_t seconds)
{
	time_t now = time(NULL);
	char clock[16] = "";
	struct tm local;

	if (localtime_r(&now, &local))
		strftime(clock, sizeof clock, "%H:%M:%S", &local);
	printf(TOP "%s  every %llu s, q ends\n", clock, (unsigned long long)seconds);
}

/* What the screen has no room for need not be kept. */
static int
show_screen(struct brimq *q, uint64_t seconds, size_t most)
{
	struct tool_terminal t;
	size_t rows;
	int status;

	tool_terminal_look(&t);
	rows = t.height > HEADING ? (size_t)(t.height - HEADING - 1) : 1;
	q->choice.most = most < rows ? most : rows;
	print_heading(seconds);
	tool_messages(stdout);
	status = brimq_ask(q);
	tool_messages(NULL);
	return status;
}

static int
show_block(struct brimq *q)
{
	int status = brimq_ask(q);

	putchar('\n');
	return status;
}

/* Whether to go on: 'q', or an end of the keys, says no. */
static int
take_key(void)
{
	char key;

	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q';
}

/* Until the time is over or the screen has another size: whether to go on. */
static int
pause_for(uint64_t seconds, const sigset_t *mask)
{
	struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
	struct timespec span = {.tv_sec = (time_t)seconds};

	if (ppoll(&keys, terminal.has_keys ? 1 : 0, &span, mask) > 0)
		return take_key();
	return 1;
}

int
brimq_watch(struct brimq *q, uint64_t seconds)
{
	static char frame[1 << 16]; /* one write, so that the screen does not flicker */
	size_t most = q->choice.most;
	struct tool_terminal t;
	sigset_t in_pauses;
	int status;

	tool_terminal_look(&t);
	terminal.is_screen = t.is_screen && !q->choice.json;
	terminal.has_keys =
		terminal.is_screen && tcgetattr(STDIN_FILENO, &terminal.before) == 0;
	handle_all(&in_pauses);
	setvbuf(stdout, frame, _IOFBF, sizeof frame);
	enter();
	do
		status = terminal.is_screen ? show_screen(q, seconds, most)
					    : show_block(q);
	while (fflush(stdout) == 0 && !ferror(stdout) && pause_for(seconds, &in_pauses));
	leave();
	return status;
}
