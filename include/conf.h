/*
 * The settings: brim.conf is lines of "name = value". One table in lib/conf.c has every
 * setting with its type, default, bounds and one sentence; loading, checking and printing
 * go through it. An unknown name or a bad value fails with file, line and name, and no
 * program works with half-read settings.
 */
#ifndef BRIM_CONF_H
#define BRIM_CONF_H

#include <stdint.h>
#include <stdio.h>

#include "reason.h"

#define CONF_FILE  "/etc/brim/brim.conf"
#define CONF_DEFER UINT64_MAX /* over_quota: never give up */

struct conf {
	char *users_db;
	char *users_group;
	char *usage_dir;
	char *socket;
	char *daemon_user;
	char *trusted_users;
	char *recipient_delimiter;
	char *local_domains;
	char *quota_ignore;
	char *log;
	uint64_t users_mode;
	uint64_t
		over_quota; /* seconds until "full" is hard: 0 is bounce, or CONF_DEFER */
	uint64_t quota;
	uint64_t message_size_limit;
	uint64_t quotad_down_delivers; /* 1 where quotad_down = deliver */
	uint64_t deadline;             /* seconds, as all times here */
	uint64_t quotad_timeout;
	uint64_t recheck_above; /* per cent */
	uint64_t recount_every;
	uint64_t max_connections;
	uint64_t max_user_connections;
	uint64_t max_user_tickets;
	uint64_t min_uid;
};

/* Reads FILE (NULL: CONF_FILE, where a missing file means the defaults). 0, or -1 with
 * file, line and name; the settings are freed then. */
int conf_load(struct conf *c, const char *file, struct reason *why);

void conf_free(struct conf *c);

/* Reads one value as the table says for NAME, "over_quota" say: what a record's field may
 * hold is checked by the same row. */
int conf_set(struct conf *c, const char *name, const char *value, struct reason *why);

/* Prints every setting with its sentence and its default, ready to be a brim.conf. */
int conf_print(const struct conf *c, FILE *to);

/* Calls ROW for each setting: its name, value in force, default and sentence. */
void conf_each(const struct conf *c,
	void (*row)(void *arg, const char *name, const char *value, const char *fallback,
		const char *sentence),
	void *arg);

/* "defer", "bounce", "3d" as seconds, and back. */
int conf_over_quota(const char *text, uint64_t *seconds, struct reason *why);

/* Whether WORD stands in a setting that is a list of words (spaces or commas between). */
int conf_list_has(const char *list, const char *word);

#endif
