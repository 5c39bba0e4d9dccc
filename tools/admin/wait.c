/* After a change: quotad must have the new table before the command says that it is done.
 */
#include "brimadm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "quota_client.h"

#define WAIT_SECONDS 5
#define PAUSE_MS     20

/* Whether the daemon's "device:inode:seconds.nanoseconds" is this file. */
static int
is_table(const char *identity, const struct stat *st)
{
	unsigned long long device, inode, seconds, nanoseconds;

	return identity &&
	       sscanf(identity, "%llu:%llu:%llu.%llu", &device, &inode, &seconds,
		       &nanoseconds) == 4 &&
	       device == st->st_dev && inode == st->st_ino &&
	       seconds == (unsigned long long)st->st_mtim.tv_sec &&
	       nanoseconds == (unsigned long long)st->st_mtim.tv_nsec;
}

/* Asks once: 1 if quotad has the table, 0 if not yet, -1 without an answer. */
static int
ask(struct quota_client *q, const struct stat *table, struct reason *why)
{
	struct quota_answer answer;
	int has = 0;
	enum quota_kind kind;

	if (quota_send(q, why, "STATS"))
		return -1;
	do {
		if (quota_receive(q, &answer, why))
			return -1;
		kind = answer.kind;
		if (is_table(record_get(&answer.fields, "users_table"), table))
			has = 1;
		quota_answer_clear(&answer);
	} while (kind == QUOTA_MORE);
	return has;
}

static int
poll_daemon(struct quota_client *q, const struct stat *table, struct reason *why)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	uint64_t end = clock_now_ms() + WAIT_SECONDS * 1000;
	int has;

	while ((has = ask(q, table, why)) == 0 && clock_now_ms() < end)
		nanosleep(&pause, NULL);
	return has;
}

void
brimadm_wait(const struct brimadm *a, const struct stat *table)
{
	struct quota_client q;
	struct reason why;
	int has = -1;

	/* nobody listens: nobody has to be waited for */
	if (access(a->conf.socket, F_OK))
		return;
	errno = 0;
	if (quota_connect(&q, a->conf.socket, a->conf.daemon_user, WAIT_SECONDS, &why)) {
		if (errno == ECONNREFUSED || errno == ENOENT)
			return;
	} else {
		has = poll_daemon(&q, table, &why);
		quota_close(&q);
	}
	if (has < 0)
		tool_warn(
			"the table is changed, but quotad can't be asked whether it has "
			"taken it: %s",
			why.text);
	else if (has == 0)
		tool_warn("the table is changed, but quotad has not taken it after %d s: "
			  "see its log",
			WAIT_SECONDS);
}
