/* check: settings that Postfix and Brim both have, and what goes before mailbox_command.
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "check.h"
#include "postfix/brim_side.h"
#include "postfix/names.h"
#include "privileges.h"

#define ACCOUNTS_MAX  1000 /* that a map is asked for */
#define FIRST_ACCOUNT 1000

/* --- the command -------------------------------------------------------------------- */

/* Takes the command if it runs lda, else frees it. */
static int
take_command(struct check *c, char *command)
{
	if (command)
		command[strcspn(command, "\n")] = '\0';
	if (command && check_find_lda(c, command)) {
		c->command = command;
		return 1;
	}
	free(command);
	return 0;
}

/* As it is written: postconf -x would take the names of a shell's variables for its own.
 */
static int
read_command(struct check *c, const char *option, const char *name)
{
	const char *const arguments[] = {option, name, NULL};
	char *command;
	struct reason why;

	return postconf_run(arguments, &command, &why) == 0 && take_command(c, command);
}

/* The accounts that a map is asked for where it can't be listed, one a line. */
static const char *
account_names(struct check *c)
{
	FILE *from = fopen("/etc/passwd", "re");
	const struct passwd *p;
	const char *names = "root\n";
	int count = 0;

	while (from && count < ACCOUNTS_MAX && (p = fgetpwent(from)))
		if (p->pw_uid >= FIRST_ACCOUNT && p->pw_uid != UID_NOBODY) {
			names = check_text(c, "%s%s\n", names, p->pw_name);
			count++;
		}
	if (from)
		fclose(from);
	return names;
}

static void
take_mapped(void *arg, const char *key, const char *value)
{
	struct check *c = arg;

	(void)key;
	if (!c->command)
		c->is_mapped = take_command(c, strdup(value));
}

void
check_find_command(struct check *c)
{
	const char *maps = check_postfix_value(c, "mailbox_command_maps");
	int found = read_command(c, "-h", "mailbox_command");

	for (size_t i = 0; i < c->postfix.service_count && !found; i++) {
		const struct postconf_service *s = &c->postfix.services[i];

		if (strcmp(s->command, "local") == 0 &&
			postconf_override(&c->postfix, s, "mailbox_command"))
			found = read_command(c, "-Ph",
				check_text(c, "%s/%s/mailbox_command", s->name, s->type));
	}
	if (!found && *maps)
		names_of_maps(maps, account_names(c), take_mapped, c);
}

/* --- what goes before it ------------------------------------------------------------ */

struct elsewhere {
	struct check *c;
	int is_transport; /* of values; else they are commands */
	size_t count;
	char *key, *value; /* the first */
};

static void
take_elsewhere(void *arg, const char *key, const char *value)
{
	struct elsewhere *e = arg;

	if (!*value || (e->is_transport ? check_route(e->c, value) != ROUTE_OTHER
					: check_find_lda(e->c, value) != NULL))
		return;
	if (e->count++ == 0) {
		e->key = strdup(key);
		e->value = strdup(value);
	}
}

static void
check_maps(struct check *c, const char *name, int is_transport)
{
	struct elsewhere e = {.c = c, .is_transport = is_transport};
	const char *maps = check_postfix_value(c, name);

	if (!*maps)
		return;
	names_of_maps(maps, account_names(c), take_elsewhere, &e);
	if (e.key && e.value)
		check_found(c, CHECK_BEFORE_COMMAND, name,
			check_text(c,
				"Take them out of %s, or leave them to it on purpose.",
				maps),
			"%s delivered by it, not by lda: %s by %s",
			AMOUNT_OF(e.count, "account is", "accounts are"), e.key, e.value);
	free(e.key);
	free(e.value);
}

/* The service's own, else that of main.cf. */
static void
check_transport(struct check *c, const struct postconf_service *s)
{
	static const char name[] = "mailbox_transport";
	const char *own = postconf_override(&c->postfix, s, name),
		   *value = own ? own : check_postfix_value(c, name), *subject;

	if (!*value || check_route(c, value) == ROUTE_PIPE)
		return;
	subject = own ? check_text(c, "%s/%s/%s", s->name, s->type, name) : name;
	check_found(c, CHECK_BEFORE_COMMAND, subject,
		own ? check_text(c, "postconf -PX %s%s", check_quote(c, subject),
			      check_postfix_reload(c))
		    : check_postfix_setting(c, name, ""),
		"it is %s", value);
}

void
check_before_command(struct check *c)
{
	for (size_t i = 0; i < c->postfix.service_count; i++)
		if (strcmp(c->postfix.services[i].command, "local") == 0)
			check_transport(c, &c->postfix.services[i]);
	check_maps(c, "mailbox_transport_maps", 1);
	check_maps(c, "mailbox_command_maps", 0);
}

/* --- delimiter and size ------------------------------------------------------------- */

void
check_delimiter(struct check *c)
{
	static const char name[] = "recipient_delimiter";
	char *delimiters = brim_side_delimiters(&c->postfix, &c->a->conf);
	const char *theirs = postconf_get(&c->postfix, name), *repair;

	if (theirs && brim_side_cuts_names(theirs))
		check_found(c, CHECK_DELIMITER, name,
			check_postfix_setting(c, name, c->a->conf.recipient_delimiter),
			"Postfix's is %s: its letters and digits cut names in two",
			theirs);
	if (!delimiters)
		return;
	repair = check_setting(c, name, delimiters);
	if (repair[strlen(repair) - 1] != '.')
		repair = check_text(c, "%s%s", repair, check_reload(c));
	check_found(c, CHECK_DELIMITER, name, repair,
		"Postfix's is %s, and that in %s is %s", delimiters, check_conf_file(c),
		c->a->conf.recipient_delimiter);
	free(delimiters);
}

/* VALUE is main.cf's, or that of a service. */
static void
compare_size(struct check *c, const char *value, const struct postconf_service *s)
{
	static const char name[] = "message_size_limit";
	uint64_t ours = c->a->conf.message_size_limit, theirs;
	const char *number = check_text(c, "%llu", (unsigned long long)ours);
	const char *own = s ? check_text(c, "%s/%s/%s", s->name, s->type, name) : name;

	if (amount_count(value, &theirs, NULL) || (theirs != 0 && theirs <= ours))
		return;
	check_found(c, CHECK_MESSAGE_SIZE, own,
		s ? check_text(c, "postconf -Pe %s%s",
			    check_quote(c, check_text(c, "%s=%s", own, number)),
			    check_postfix_reload(c))
		  : check_postfix_setting(c, name, number),
		"Postfix's is %s, and that in %s is %s", value, check_conf_file(c),
		number);
}

void
check_message_size(struct check *c)
{
	static const char name[] = "message_size_limit";

	if (c->a->conf.message_size_limit == 0)
		return;
	compare_size(c, check_postfix_value(c, name), NULL);
	for (size_t i = 0; i < c->postfix.service_count; i++) {
		const struct postconf_service *s = &c->postfix.services[i];
		const char *own = postconf_override(&c->postfix, s, name);

		if (own)
			compare_size(c, own, s);
	}
}
