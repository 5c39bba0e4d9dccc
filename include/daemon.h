/* What a daemon sets right before anything else, whoever started it. */
#ifndef BRIM_DAEMON_H
#define BRIM_DAEMON_H

/* Descriptors 0 to 2 are open, so that no file of ours gets their numbers: 0, or -1. */
int daemon_open_standard(void);

/* Every signal has its default and is let through, but those that a daemon ignores:
 * SIGPIPE, SIGXFSZ (a write tells of both), and SIGHUP until somebody takes it. */
void daemon_reset_signals(void);

/* FILE as a path that stays right when the current directory is left; the caller frees
 * it. NULL without memory. */
char *daemon_absolute(const char *file);

#endif
