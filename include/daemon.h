/* What a daemon sets right before anything else, whoever started it. */
#ifndef BRIM_DAEMON_H
#define BRIM_DAEMON_H

#include "conf.h"
#include "reason.h"
#include "systemd.h"

/* Descriptors 0 to 2 are open, so that no file of ours gets their numbers: 0, or -1,
 * which it says on standard error, if that is open. */
int daemon_open_standard(void);

/* Every signal has its default and is let through, but those that a daemon ignores:
 * SIGPIPE, SIGXFSZ (a write tells of both), and SIGHUP until somebody takes it. */
void daemon_reset_signals(void);

/* FILE as a path that stays right when the current directory is left; the caller frees
 * it. NULL without memory. */
char *daemon_absolute(const char *file);

/* Leaves the current directory for the root, takes what systemd tells from the
 * environment, and empties that: 0, or -1 with the reason. */
int daemon_take_environment(struct systemd *systemd, struct reason *why);

/* Opens the log that the settings name, for so many lines of a kind a second. */
void daemon_open_log(const char *name, const struct conf *c, unsigned lines);

#endif
