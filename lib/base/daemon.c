/* The start of a daemon. */
#include "daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
daemon_open_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd == -1)
			return -1;
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
