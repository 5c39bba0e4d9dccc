/* STATS, asked for again until it tells of the table. */
#include "daemon_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "users.h"

#define PAUSE_MS 5

/* What quotad says of its table; the identity is NULL where it says nothing. */
struct told {
	char *identity;
	char *refused; /* the identity of a table that it can't use, or NULL */
	struct reason fault;
	uint64_t generation; /* 0: none, or an older quotad */
};

/*
 * Whether quotad's "device:inode:seconds.nanoseconds" is this file, or a file of at least
 * this generation that was written no earlier: another change came on top of this one.
 * The time tells it from a table of before, which may have a higher generation than one
 * from a backup.
 */
static int
is_table(const struct told *t, const struct stat *st, uint64_t generation)
{
	unsigned long long device, inode, seconds, nanoseconds;
	const unsigned long long st_seconds = (unsigned long long)st->st_mtim.tv_sec,
				 st_nanoseconds = (unsigned long long)st->st_mtim.tv_nsec;

	if (sscanf(t->identity, "%llu:%llu:%llu.%llu", &device, &inode, &seconds,
		    &nanoseconds) != 4)
		return 0;
	if (generation && t->generation >= generation)
		return seconds > st_seconds ||
		       (seconds == st_seconds && nanoseconds >= st_nanoseconds);
	return device == st->st_dev && inode == st->st_ino && seconds == st_seconds &&
	       nanoseconds == st_nanoseconds;
}

static int
is_refused(const struct told *t, const struct stat *st)
{
	char identity[USERS_IDENTITY_SIZE];

	return t->refused && strcmp(t->refused, users_identity(st, identity)) == 0;
}

/* Takes what this line of the answer tells of the table. */
static void
take_line(struct told *t, const struct record *fields)
{
	const char *identity = record_get(fields, "users_table"),
		   *refused = record_get(fields, "users_refused"),
		   *fault = record_get(fields, "users_fault");

	if (identity && !t->identity)
		t->identity = strdup(identity);
	if (refused && fault && !t->refused) {
		t->refused = strdup(refused);
		reason_set(&t->fault, "%s", fault);
	}
	if (record_number(fields, "generation", t->generation, &t->generation))
		t->generation = 0;
}

static void
forget(struct told *t)
{
	free(t->identity);
	free(t->refused);
	t->identity = t->refused = NULL;
}

/* Asks quotad for its table: 0, or -1 with the reason and no identity. */
static int
ask(struct quota_client *q, struct told *t, struct reason *why)
{
	struct quota_answer answer;
	enum quota_kind kind;

	*t = (struct told){0};
	if (quota_send(q, why, "STATS"))
		return -1;
	do {
		if (quota_receive(q, &answer, why)) {
			forget(t);
			return -1;
		}
		kind = answer.kind;
		take_line(t, &answer.fields);
		quota_answer_clear(&answer);
	} while (kind == QUOTA_MORE);
	if (!t->identity)
		return reason_set(why, "quotad does not tell its table");
	return 0;
}

int
daemon_table_wait(struct quota_client *q, const struct stat *table, uint64_t generation,
	uint64_t ms, char **identity, struct reason *why)
{
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	const uint64_t end = clock_now_ms() + ms;
	struct told now;
	int has;

	if (identity)
		*identity = NULL;
	while ((has = ask(q, &now, why)) == 0) {
		has = is_table(&now, table, generation);
		if (has || is_refused(&now, table) || clock_now_ms() >= end)
			break;
		forget(&now);
		nanosleep(&pause, NULL);
	}
	if (has == 0)
		reason_set(why, "%s", is_refused(&now, table) ? now.fault.text : "");
	if (identity && has >= 0) {
		*identity = now.identity;
		now.identity = NULL;
	}
	forget(&now);
	return has;
}
