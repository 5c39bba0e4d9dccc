/*
 * What is prepared before root is given up: socket, directories, limits.
 *
 * A container may have taken any capability from root. Where root without
 * CAP_DAC_OVERRIDE may not write, the directory is the daemon's own, or ought to be: then
 * the step is done as that user. What belongs to root and is empty, such as a fresh
 * volume, is given to the user.
 */
#ifndef QUOTAD_PREPARE_H
#define QUOTAD_PREPARE_H

#include "privileges.h"
#include "reason.h"
#include "server.h"

/* USER is whom root becomes; NULL where this process is an ordinary user, who stays. */

/* Opens the server's listener: its own socket, or -1; those of policy and maps where they
 * can be had, with a line in the log where not. */
int prepare_listener(
	struct server *v, const struct privileges_user *user, struct reason *why);

/* Makes usage_dir and RUN_DIR, which the daemon alone may enter. One that is there
 * already keeps its owner, which usage_open judges. */
int prepare_directories(const struct server *v, const char *run_dir,
	const struct privileges_user *user, struct reason *why);

/* Raises the limit of open files for max_connections, or logs that it can't: quotad
 * starts all the same. */
int prepare_limits(const struct server *v, struct reason *why);

/* Logs in one line which capabilities are missing, and what that costs. */
void prepare_tell_missing(const struct server *v, const struct privileges_user *user);

#endif
