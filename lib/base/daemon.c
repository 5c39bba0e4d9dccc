/* The start of a daemon. */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

int
daemon_open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1) {
			dprintf(STDERR_FILENO,
				"error: can't start: /dev/null can't be opened: %s\n",
				strerror(errno));
			return -1;
		}
	} while (fd <= STDERR_FILENO);
	return close(fd);
}

/* Process 1 has no default for a signal: until the loop takes it, it would be lost. */
static void
end_at_once(int signal)
{
	_exit(128 + signal);
}

void
daemon_reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	if (getpid() == 1) {
		signal(SIGTERM, end_at_once);
		signal(SIGINT, end_at_once);
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

char *
daemon_absolute(const char *file)
{
	char *directory, *path = NULL;

	if (file[0] == '/')
		return strdup(file);
	directory = getcwd(NULL, 0);
	if (directory != NULL && asprintf(&path, "%s/%s", directory, file) == -1)
		path = NULL;
	free(directory);
	return path;
}

int
daemon_take_environment(struct systemd *systemd, struct reason *why)
{
	if (chdir("/") == -1)
		return reason_errno(why, "/");
	if (systemd_take_environment(systemd, why) == -1)
		return -1;
	return clearenv() == 0 ? 0 : reason_set(why, REASON_NO_MEMORY);
}

void
daemon_open_log(const char *name, const struct conf *c, unsigned lines)
{
	log_bound_rate(lines);
	if (c->log == CONF_LOG_STDERR || isatty(STDERR_FILENO))
		log_open_stderr(name);
	else
		log_open_syslog_or_stderr(name);
}
