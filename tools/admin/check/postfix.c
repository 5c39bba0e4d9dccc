/*
 * check: the settings of a Postfix that delivers by Brim, by mailbox_command or by pipe.
 * Without Postfix, or where it runs no lda, there is nothing to find.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "postfix/smtp_time.h"
#include "privileges.h"

#define BLANKS " \t"
#define QUOTES "\"'"

/* Postfix runs a command of these bytes alone without a shell
 * (src/global/exec_command.c). */
static const char no_shell[] = "1234567890!@%-_=+:,./\n \t"
			       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* --- reading --------------------------------------------------------------- */

static int
is_lda(const char *path)
{
	const char *base = strrchr(path, '/');

	return base && (strcmp(base, "/lda") == 0 || check_is_virtual(path));
}

const char *
check_find_lda(struct check *c, const char *command)
{
	size_t n;

	for (const char *p = command; *p; p += n) {
		const char *word;

		p += strspn(p, BLANKS QUOTES ";&|");
		n = strcspn(p, BLANKS QUOTES ";&|");
		word = check_text(c, "%.*s", (int)n, p);
		if (is_lda(word))
			return word;
	}
	return NULL;
}

void
check_postfix_read(struct check *c)
{
	struct reason why;
	int there = postconf_read(&c->postfix, &why);

	c->has_postfix = there > 0;
	if (there < 0)
		check_found(c, CHECK_POSTFIX, "postconf",
			"Repair what it says; postfix(1) check says more.", "%s",
			why.text);
	else if (there > 0)
		check_find_command(c);
}

void
check_postfix_free(struct check *c)
{
	postconf_free(&c->postfix);
	free(c->command);
}

const char *
check_postfix_value(const struct check *c, const char *name)
{
	const char *value = postconf_get(&c->postfix, name);

	return value ? value : "";
}

static int
get_time(const struct check *c, const char *name, char unit, uint64_t *seconds)
{
	const char *value = postconf_get(&c->postfix, name);

	return value ? postconf_time(value, unit, seconds) : -1;
}

/* A Postfix that runs must be told. */
const char *
check_postfix_reload(struct check *c)
{
	FILE *from = fopen(check_text(c, "%s/pid/master.pid",
				   check_postfix_value(c, "queue_directory")),
		"re");
	long pid = 0;

	if (!from)
		return "";
	if (fscanf(from, "%9ld", &pid) != 1)
		pid = 0;
	fclose(from);
	return pid > 1 && kill((pid_t)pid, 0) == 0 ? " && postfix reload" : "";
}

const char *
check_postfix_setting(struct check *c, const char *name, const char *value)
{
	return check_text(c, "postconf -e %s%s",
		check_quote(c, check_text(c, "%s=%s", name, value)),
		check_postfix_reload(c));
}

const char *
check_postfix_own(struct check *c, const struct postconf_service *s, const char *name,
	const char *value)
{
	if (!postconf_override(&c->postfix, s, name))
		return check_postfix_setting(c, name, value);
	return check_text(c, "postconf -Pe %s%s",
		check_quote(
			c, check_text(c, "%s/%s/%s=%s", s->name, s->type, name, value)),
		check_postfix_reload(c));
}

/* --- mailbox_command ------------------------------------------------------- */

static void
check_file_limit(struct check *c)
{
	const char *limit = check_postfix_value(c, "mailbox_size_limit");

	if (strcmp(limit, "0") != 0)
		check_found(c, CHECK_FILE_LIMIT, "mailbox_size_limit",
			check_postfix_setting(c, "mailbox_size_limit", "0"), "it is %s",
			limit);
}

/* NAME is the limit's, which may be unset; FALLBACK is whose value it has then. */
static void
check_time_limit(struct check *c, const char *name, const char *fallback)
{
	uint64_t limit, deadline = c->a->conf.deadline;

	if (get_time(c, name, 's', &limit) && get_time(c, fallback, 's', &limit))
		return;
	if (limit <= deadline)
		check_found(c, CHECK_TIME_LIMIT, name,
			check_postfix_setting(c, name, "1000s"),
			"%s is %llu s, and deadline is %llu s", name,
			(unsigned long long)limit, (unsigned long long)deadline);
}

/* The columns of a service that becomes another user and runs lda. */
static void
check_columns(struct check *c, const struct postconf_service *s)
{
	const int is_locked_in = sockets_chroot(&c->postfix, s);
	const char *name = check_text(c, "%s/%s", s->name, s->type);

	if (!is_locked_in && s->unprivileged[0] == 'n')
		return;
	check_found(c, CHECK_PIPE_COLUMNS, s->name,
		check_text(c, "postconf -F %s%s",
			check_quote(c, check_text(c, "%s/chroot=n", name)),
			check_text(c, " %s%s",
				check_quote(c, check_text(c, "%s/unprivileged=n", name)),
				check_postfix_reload(c))),
		"its columns unpriv and chroot are %s and %s", s->unprivileged,
		s->chroot);
}

/* A limit that the service itself sets goes before those of main.cf, and its own before
 * that of all commands. */
static void
check_own_time_limit(struct check *c, const struct postconf_service *s, const char *name)
{
	static const char common[] = "command_time_limit";
	const int has_own = postconf_override(&c->postfix, s, name) != NULL;
	const char *value = check_postfix_value(c, name);
	uint64_t limit;

	if (!has_own && (!postconf_override(&c->postfix, s, common) ||
				(value[0] && strcmp(value, check_postfix_value(
								   c, common)) != 0))) {
		check_time_limit(c, name, common);
		return;
	}
	name = has_own ? name : common;
	value = postconf_override(&c->postfix, s, name);
	if (postconf_time(value, 's', &limit) == 0 && limit <= c->a->conf.deadline)
		check_found(c, CHECK_TIME_LIMIT,
			check_text(c, "%s/%s/%s", s->name, s->type, name),
			check_postfix_own(c, s, name, "1000s"),
			"it is %s, and deadline is %llu s", value,
			(unsigned long long)c->a->conf.deadline);
}

static void
check_shell(struct check *c)
{
	const char *lda = check_find_lda(c, c->command);

	if (c->command[strspn(c->command, no_shell)] == '\0') {
		check_command_arguments(c, lda);
		return;
	}
	check_found(c, CHECK_SHELL, "mailbox_command",
		lda[strspn(lda, no_shell)]
			? "Give lda a path without such a byte."
			: check_postfix_setting(c, "mailbox_command", lda),
		"its byte '%c' needs a shell: %s",
		c->command[strspn(c->command, no_shell)], c->command);
}

static void
check_local_recipients(struct check *c)
{
	if (check_postfix_value(c, "local_recipient_maps")[0] == '\0' &&
		!smtp_time_takes_unknown(&c->postfix))
		check_found(c, CHECK_LOCAL_RECIPIENTS, "local_recipient_maps",
			check_text(c, "postconf -X local_recipient_maps%s",
				check_postfix_reload(c)),
			"it is empty");
}

/* --- aliases --------------------------------------------------------------- */

/* The path of the first alias database that is a file with a text; NULL without one. */
static const char *
find_aliases(struct check *c)
{
	static const char *const types[] = {"hash:", "btree:", "lmdb:", "cdb:", "dbm:"};
	const char *maps = check_postfix_value(c, "alias_maps");

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		const char *map = strstr(maps, types[i]);

		if (map) {
			map += strlen(types[i]);
			return check_text(c, "%.*s", (int)strcspn(map, ", \t"), map);
		}
	}
	return NULL;
}

/* 1 where the file has an alias for the name, 0 where not, -1 without a file. */
static int
has_alias(const char *path, const char *name)
{
	FILE *from = fopen(path, "re");
	char *line = NULL, *p;
	size_t size = 0, length = strlen(name);
	int has = 0;

	if (!from)
		return errno == ENOENT ? 0 : -1;
	while (!has && getline(&line, &size, from) >= 0) {
		p = line + (line[0] == '"');
		has = strncasecmp(p, name, length) == 0 &&
		      p[length + strspn(p + length, "\" \t")] == ':';
	}
	free(line);
	fclose(from);
	return has;
}

static void
check_root_alias(struct check *c, const char *path)
{
	const char *repair = "Give root an alias there, and run newaliases.";

	if (has_alias(path, "root") != 0)
		return;
	if (c->some_account)
		repair = check_text(c, "printf 'root: %%s\\n' %s >>%s && newaliases",
			check_quote(c, c->some_account), check_quote(c, path));
	check_found(c, CHECK_ROOT_MAIL, "root", repair, "%s has no alias for root", path);
}

/* Whom Postfix tells of errors: a name without a domain is one of this host. */
static void
check_notice_alias(struct check *c, const char *path, const char *setting)
{
	const char *name = check_postfix_value(c, setting);
	struct record r = {0};
	struct reason why;

	if (!*name || strcmp(name, "root") == 0 || strchr(name, '@') ||
		has_alias(path, name) != 0 || getpwnam(name) ||
		(c->users && users_get(c->users, name, &r, &why) != 0))
		return;
	check_found(c, CHECK_NOTICES, name,
		check_text(c, "printf '%%s: root\\n' %s >>%s && newaliases",
			check_quote(c, name), check_quote(c, path)),
		"%s has no alias for it, and %s names it", path, setting);
}

static void
check_notice_aliases(struct check *c, const char *path)
{
	static const char *const settings[] = {"error_notice_recipient",
		"bounce_notice_recipient", "2bounce_notice_recipient",
		"delay_notice_recipient"};

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		size_t first = 0;

		while (strcmp(check_postfix_value(c, settings[first]),
			       check_postfix_value(c, settings[i])) != 0)
			first++;
		if (first == i)
			check_notice_alias(c, path, settings[i]);
	}
}

static void
check_aliases(struct check *c)
{
	const char *path = find_aliases(c);
	struct stat text, compiled;

	if (!path || c->address)
		return;
	check_root_alias(c, path);
	check_notice_aliases(c, path);
	if (stat(path, &text) == 0 &&
		(stat(check_text(c, "%s.db", path), &compiled) == 0 ||
			stat(check_text(c, "%s.lmdb", path), &compiled) == 0) &&
		compiled.st_mtime < text.st_mtime)
		check_found(c, CHECK_ALIASES_OLD, path, "newaliases",
			"it was changed after its database was made");
}

static void
check_local(struct check *c)
{
	const char *lda = check_find_lda(c, c->command);

	if (lda) {
		check_lda(c, lda, NULL);
		check_command_conf(c, lda);
	}
	if (!c->is_mapped) {
		check_shell(c);
		check_before_command(c);
	}
	check_file_limit(c);
	for (size_t i = 0; i < c->postfix.service_count; i++)
		if (strcmp(c->postfix.services[i].command, "local") == 0) {
			check_columns(c, &c->postfix.services[i]);
			if (postconf_override(&c->postfix, &c->postfix.services[i],
				    "command_time_limit"))
				check_own_time_limit(
					c, &c->postfix.services[i], "command_time_limit");
		}
	check_time_limit(c, "command_time_limit", "command_time_limit");
	check_local_recipients(c);
	check_aliases(c);
}

/* --- pipe ------------------------------------------------------------------ */

static void
check_trust(struct check *c, const char *user)
{
	const char *list = c->a->conf.trusted_users;

	if (!conf_list_has(list, user))
		check_found(c, CHECK_PIPE_TRUST, user,
			check_text(c, "%s%s",
				check_setting(c, "trusted_users",
					check_text(c, "%s%s%s", list, *list ? " " : "",
						user)),
				check_reload(c)),
			"trusted_users does not name it");
}

static void
check_pipe_user(struct check *c, const char *name, const char *lda)
{
	struct privileges_user user;
	struct reason why;
	uid_t uid = 0;

	if (strcmp(name, check_postfix_value(c, "mail_owner")) == 0 ||
		(privileges_find_uid(name, &uid, &why) == 1 &&
			privileges_find_user(name, &user, &why)))
		check_found(c, CHECK_PIPE_USER, name,
			"Give the service another user, whose the mailboxes are.",
			"pipe(8) runs nothing as root, or as Postfix's mail_owner");
	else if (privileges_find_user(name, &user, &why))
		check_found(c, CHECK_PIPE_USER, name, check_add_user(c, name), "%s",
			why.text);
	else if (!check_is_virtual(lda))
		check_trust(c, name);
}

/* "user=NAME:GROUP" */
static void
check_pipe_group(struct check *c, const struct postconf_service *s, const char *name)
{
	const struct passwd *owner = getpwnam(check_postfix_value(c, "mail_owner"));
	const gid_t owners = owner ? owner->pw_gid : 0;
	const struct group *g = getgrnam(name);

	if (!g)
		check_found(c, CHECK_PIPE_USER, s->name,
			"Give the service no group, or one that there is.",
			"its group %s does not exist", name);
	else if (g->gr_gid == 0 || g->gr_gid == owners)
		check_found(c, CHECK_PIPE_USER, s->name,
			"Give the service another group.",
			"pipe(8) runs nothing with the group of root, or of Postfix's "
			"mail_owner");
}

static void
check_pipe(struct check *c, const struct postconf_service *s, const char *lda)
{
	const struct postconf_service *qmgr = postconf_service(&c->postfix, "qmgr", NULL);
	char *user = postconf_argument(s, "user"), *group, *limit, *time;
	const char *value;

	group = user ? strchr(user, ':') : NULL;
	if (group)
		*group++ = '\0';
	check_lda(c, lda, user);
	if (user)
		check_pipe_user(c, user, lda);
	else
		check_found(c, CHECK_PIPE_USER, s->name,
			"Give the service user= with the user whose the mailboxes are.",
			"it has no user=");
	if (group && *group)
		check_pipe_group(c, s, group);
	free(user);
	if (asprintf(&limit, "%s_destination_recipient_limit", s->name) < 0)
		limit = NULL;
	if (asprintf(&time, "%s_time_limit", s->name) < 0)
		time = NULL;
	value = limit && qmgr ? postconf_override(&c->postfix, qmgr, limit) : NULL;
	if (!value)
		value = limit ? check_postfix_value(c, limit) : "1";
	if (strcmp(value, "1") != 0)
		check_found(c, CHECK_PIPE_RECIPIENTS, limit,
			check_postfix_setting(c, limit, "1"), "it is %s",
			*value ? value : "not set");
	if (time)
		check_own_time_limit(c, s, time);
	check_columns(c, s);
	free(limit);
	free(time);
}

const char *
check_pipe_lda(struct check *c, const struct postconf_service *s)
{
	char *argv =
		strcmp(s->command, "pipe") == 0 ? postconf_argument(s, "argv") : NULL;
	const char *lda = argv ? check_find_lda(c, argv) : NULL;

	free(argv);
	return lda;
}

/* The number of pipe services that run lda; each is looked at. */
static size_t
check_pipes(struct check *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];
		const char *lda = check_pipe_lda(c, s);

		if (lda) {
			check_pipe(c, s, lda);
			check_pipe_arguments(c, s);
			count++;
		}
	}
	return count;
}

/* --- both ------------------------------------------------------------------ */

void
check_postfix(struct check *c)
{
	size_t services;

	if (!c->has_postfix)
		return;
	if (c->command)
		check_local(c);
	services = check_pipes(c) + (c->command != NULL);
	check_instances(c, services > 0);
	check_policy(c, services > 0);
	check_brims_maps(c, services > 0);
	if (services == 0)
		return;
	check_stopped(c);
	check_reports(c, services > (c->command != NULL));
	check_message_size(c);
	check_delimiter(c);
	check_cut_names(c);
	check_domains(c);
}
