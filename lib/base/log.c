/* Log lines: one datagram or one write each, dropped rather than waited for long. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

#define FACILITY_MAIL (2 << 3) /* RFC 5424, table 1 */
#define KINDS         64       /* told apart in a second; those beyond share the last */

static const struct {
	int severity;
	const char *word;
} levels[] = {
	[LOG_LEVEL_ERROR] = {3, "error: "},
	[LOG_LEVEL_WARNING] = {4, "warning: "},
	[LOG_LEVEL_INFO] = {6, ""},
};

static enum { TO_NOTHING, TO_SYSLOG, TO_STDERR } target = TO_NOTHING;
static const char *ident;
static int syslog_fd = -1, or_stderr;
static unsigned patience; /* ms */

/* Lines with one format. */
static struct kind {
	const char *format;
	enum log_level level;
	unsigned lines, left_out; /* in this second */
} kinds[KINDS];
static unsigned most_lines; /* of a kind; 0: no bound */

void
log_open_syslog(const char *name)
{
	ident = name;
	target = TO_SYSLOG;
}

void
log_open_syslog_or_stderr(const char *name)
{
	log_open_syslog(name);
	or_stderr = 1;
}

void
log_wait(unsigned ms)
{
	patience = ms;
}

void
log_open_stderr(const char *name)
{
	ident = name;
	target = TO_STDERR;
}

static int
connect_syslog(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* 0, or -1 with errno, EAGAIN where its time is over. */
static int
send_in_time(const char *line, size_t length)
{
	struct pollfd p = {.fd = syslog_fd, .events = POLLOUT};
	uint64_t now = 0, end = 0;

	while (send(syslog_fd, line, length, MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN || patience == 0)
			return -1;
		now = clock_now_ms();
		end = end ? end : now + patience;
		if (now >= end)
			return -1;
		poll(&p, 1, (int)(end - now));
	}
	return 0;
}

/* A second try on a new socket: the log daemon may have been started again. -1 where
 * there is none. */
static int
send_syslog(const char *line, size_t length)
{
	for (int try = 0; try < 2; try++) {
		if (syslog_fd < 0)
			syslog_fd = connect_syslog();
		if (syslog_fd < 0)
			return -1;
		if (send_in_time(line, length) == 0 || errno == EAGAIN)
			return 0;
		close(syslog_fd);
		syslog_fd = -1;
	}
	return -1;
}

/* Without syslog's priority. */
static void
write_stderr(const char *line, size_t size)
{
	const char *text = line[0] == '<' ? strchr(line, '>') + 1 : line;

	if (write(STDERR_FILENO, text, size - (size_t)(text - line)) < 0)
		return; /* nobody is left to tell */
}

static void
emit(char *line, size_t start, int length)
{
	size_t end = start + (size_t)length;

	for (size_t i = start; i < end; i++)
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	if (target == TO_SYSLOG && (send_syslog(line, end) == 0 || !or_stderr))
		return;
	line[end] = '\n';
	write_stderr(line, end + 1);
}

void
log_bound_rate(unsigned lines)
{
	most_lines = lines;
}

/* Whether one more line of its kind may be logged. */
static int
is_within_rate(enum log_level level, const char *format)
{
	struct kind *k = kinds;

	if (most_lines == 0)
		return 1;
	while (k < &kinds[KINDS - 1] && k->format != NULL && k->format != format)
		k++;
	k->format = format;
	k->level = level;
	if (k->lines < most_lines)
		k->lines++;
	else
		k->left_out++;
	return k->left_out == 0;
}

void
log_next_second(void)
{
	unsigned bound = most_lines;

	most_lines = 0; /* these lines are not counted themselves */
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].left_out > 0)
			log_line(kinds[i].level, "lines left out, count=%u like=\"%s\"",
				kinds[i].left_out, kinds[i].format);
	memset(kinds, 0, sizeof kinds);
	most_lines = bound;
}

void
log_line(enum log_level level, const char *format, ...)
{
	char line[2048];
	int error = errno, head, n;
	va_list args;

	if (target == TO_NOTHING || !is_within_rate(level, format))
		return;
	if (target == TO_SYSLOG)
		head = snprintf(line, sizeof line, "<%d>%s[%d]: %s",
			FACILITY_MAIL | levels[level].severity, ident, (int)getpid(),
			levels[level].word);
	else
		head = snprintf(line, sizeof line, "%s[%d]: %s", ident, (int)getpid(),
			levels[level].word);
	va_start(args, format);
	n = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
	va_end(args);
	if (n >= (int)(sizeof line - (size_t)head - 1))
		n = (int)(sizeof line - (size_t)head) - 2;
	if (n > 0)
		emit(line, (size_t)head, n);
	errno = error;
}
