/* Log lines: one datagram or one write each, dropped rather than waited for. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FACILITY_MAIL (2 << 3) /* RFC 5424, table 1 */

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
static int syslog_fd = -1;

void
log_open_syslog(const char *name)
{
	ident = name;
	target = TO_SYSLOG;
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

/* A second try on a new socket: the log daemon may have been started again. */
static void
send_syslog(const char *line, size_t length)
{
	for (int try = 0; try < 2; try++) {
		if (syslog_fd < 0)
			syslog_fd = connect_syslog();
		if (syslog_fd < 0 || send(syslog_fd, line, length, MSG_NOSIGNAL) >= 0)
			return;
		if (errno == EAGAIN)
			return;
		close(syslog_fd);
		syslog_fd = -1;
	}
}

static void
emit(char *line, size_t start, int length)
{
	size_t end = start + (size_t)length;

	for (size_t i = start; i < end; i++)
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	if (target == TO_SYSLOG) {
		send_syslog(line, end);
	} else {
		line[end] = '\n';
		if (write(STDERR_FILENO, line, end + 1) < 0)
			return; /* nobody is left to tell */
	}
}

void
log_line(enum log_level level, const char *format, ...)
{
	char line[2048];
	int error = errno, head, n;
	va_list args;

	if (target == TO_NOTHING)
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
