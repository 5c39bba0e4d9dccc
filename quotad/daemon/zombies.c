/* Waiting for what is nobody's. */
#include "zombies.h"

#include <sys/wait.h>
#include <unistd.h>

/* 0: there is none. */
static pid_t
first_dead(void)
{
	siginfo_t dead = {.si_pid = 0};

	if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == -1)
		return 0;
	return dead.si_pid;
}

/* The death of a child of quotad's own is an event (SIGCHLD, the end of its socket) that
 * was there before the zombie, and the next pass sees to it. */
int
zombies_reap(void)
{
	static pid_t seen;
	pid_t dead;

	if (getpid() != 1)
		return 0;
	dead = first_dead();
	if (dead != 0 && dead == seen) {
		waitpid(dead, NULL, WNOHANG);
		dead = first_dead();
	}
	seen = dead;
	return dead != 0;
}
