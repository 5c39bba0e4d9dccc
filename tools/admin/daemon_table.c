/* STATS, asked for again until it tells of the table. */
#include "daemon_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"

#define PAUSE_MS 20

/* Whether quotad's "device:inode:seconds.nanoseconds" is this file. */
static int
is_table(const char *identity, const struct stat *st)
{
	unsigned long long device, inode, seconds, nanoseconds;

	return sscanf(identity, "%llu:%llu:%llu.%llu", &device, &inode, &seconds,
		       &nanoseconds) == 4 &&
	       device == st->st_dev && inode == st->st_ino &&
	       seconds == (unsigned long long)st->st_mtim.tv_sec &&
	       nanoseconds == (unsigned long long)st->st_mtim.tv_nsec;
}

/* What quotad says of its table, as a new string; NULL with the reason. */
static char *
ask(struct quota_client *q, struct reason *why)
{
	struct quota_answer answer;
	char *identity = NULL;
	const char *value;
	enum quota_kind kind;

	if (quota_send(q, why, "STATS"))
		return NULL;
	do {
		if (quota_receive(q, &answer, why)) {
			free(identity);
			return NULL;
		}
		kind = answer.kind;
		value = record_get(&answer.fields, "users_table");
		if (value && !identity)
			identity = strdup(value);
		quota_answer_clear(&answer);
	} while (kind == QUOTA_MORE);
	if (!identity)
		reason_set(why, "quotad does not tell its table");
	return identity;
}

int
daemon_table_wait(struct quota_client *q, const struct stat *table, uint64_t ms,
	char **identity, struct reason *why)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	const uint64_t end = clock_now_ms() + ms;
	char *now = ask(q, why);
	int has = now && is_table(now, table);

	while (now && !has && clock_now_ms() < end) {
		nanosleep(&pause, NULL);
		free(now);
		now = ask(q, why);
		has = now && is_table(now, table);
	}
	if (!now)
		has = -1;
	if (identity)
		*identity = now;
	else
		free(now);
	return has;
}
