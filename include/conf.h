/*
 * The settings: brim.conf is "name = value", read as Postfix reads main.cf. One table in
 * lib/base/conf.c has every setting with its type, default, bounds or words, what a
 * change takes and one sentence; loading, checking and printing go through it. An unknown
 * name, a name given twice or a bad value fails with file, line and name, and no program
 * works with half-read settings.
 */
#ifndef BRIM_CONF_H
#define BRIM_CONF_H

#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include "reason.h"

#define CONF_DIRECTORY "/etc/brim"
#define CONF_FILE      CONF_DIRECTORY "/brim.conf"
#define CONF_DEFER     UINT64_MAX /* over_quota: never give up */

/* As whom a mailbox is counted: the scanner, the mailbox's owner, or as its file system
 * asks for. */
enum conf_scan_as { CONF_SCAN_AUTO, CONF_SCAN_AS_SCANNER, CONF_SCAN_AS_OWNER };

enum conf_log { CONF_LOG_SYSLOG, CONF_LOG_STDERR };

struct conf {
	char *users_db;
	char *users_group;
	char *usage_dir;
	char *socket;
	char *daemon_user;
	char *trusted_users;
	char *policy_listen;
	char *policy_group;
	char *policy_users;
	char *promise_trusted;
	char *map_listen;
	char *map_group;
	char *recipient_delimiter;
	char *local_domains;
	char *map_transport;
	char *quota_ignore;
	char *blocked_senders;
	char *release_socket;
	uint64_t users_mode;
	uint64_t policy_mode;
	uint64_t map_mode;
	uint64_t policy_error_passes;   /* 1 where policy_error = pass */
	uint64_t policy_unknown_passes; /* 1 where policy_unknown = pass */
	uint64_t promise_time;          /* seconds, as all times here; 0: no promises */
	uint64_t
		over_quota; /* seconds until "full" is hard: 0 is bounce, or CONF_DEFER */
	uint64_t smtp_full_waits; /* 1 where smtp_full = wait */
	uint64_t wait_max;
	uint64_t quota;
	uint64_t message_size_limit;
	uint64_t send_quota;
	uint64_t quotad_down_delivers; /* 1 where quotad_down = deliver */
	uint64_t deadline;
	uint64_t quotad_timeout;
	uint64_t recheck_above; /* per cent */
	uint64_t recount_every;
	uint64_t max_connections;
	uint64_t max_user_connections;
	uint64_t max_user_tickets;
	uint64_t min_uid;
	uint64_t scan_as; /* enum conf_scan_as */
	uint64_t log;     /* enum conf_log */
};

/* Reads FILE (NULL: CONF_FILE, where a missing file means the defaults). 0, or -1 with
 * file, line and name; the settings are freed then. */
int conf_load(struct conf *c, const char *file, struct reason *why);

void conf_free(struct conf *c);

/* Whether the file's status lets nobody change it but root and this process's user: 0, or
 * -1 with the reason and the repair. conf_load takes no other file. */
int conf_check_owner(const char *path, const struct stat *st, struct reason *why);

/* Reads a file that an administrator writes: its *SIZE bytes with a NUL behind them,
 * which the caller frees; NULL with the reason and errno where it can't be read, is no
 * regular file, larger than 1 MB, or conf_check_owner refuses it. */
char *conf_read_file(const char *path, size_t *size, struct reason *why);

/* Reads one value as the table says for NAME, "over_quota" say: what a record's field may
 * hold is checked by the same row. */
int conf_set(struct conf *c, const char *name, const char *value, struct reason *why);

/* Prints every setting with its sentence and its default, ready to be a brim.conf. */
int conf_print(const struct conf *c, FILE *to);

struct conf_row {
	const char *name;
	const char *value; /* in force */
	const char *fallback;
	const char *sentence;
	int takes_restart; /* of quotad: SIGHUP does not change it */
};

/* Calls TAKE for each setting. */
void conf_each(const struct conf *c, void (*take)(void *arg, const struct conf_row *row),
	void *arg);

/* For settings that were read again: of those that take a restart of quotad, NEW gets the
 * value that is in force, and KEPT the name where that is another one. IN_FORCE is to be
 * freed then, and nothing else. */
void conf_keep(struct conf *new, struct conf *in_force,
	void (*kept)(void *arg, const char *name), void *arg);

/* "defer", "bounce", "3d" as seconds, and back. */
int conf_over_quota(const char *text, uint64_t *seconds, struct reason *why);

/* "refuse" or "wait" as smtp_full_waits. */
int conf_smtp_full(const char *text, uint64_t *waits, struct reason *why);

/* Whether NAME stands in a setting that is a list of names: blanks or commas between, a
 * blank in a name written %20. Upper and lower case are the same. */
int conf_list_has(const char *list, const char *name);

/* The next name of a list, decoded, and *LIST behind it; the caller frees it. NULL at the
 * end, or with errno where there is no memory. */
char *conf_list_next(const char **list);

#endif
