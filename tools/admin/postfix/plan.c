/* The tables: what a transport is, and what each setting must be for it. */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address_name.h"
#include "amount.h"
#include "brim_side.h"
#include "mailbox.h"
#include "privileges.h"
#include "smtp_time.h"
#include "users.h"

#ifndef BRIM_LIBEXEC
#define BRIM_LIBEXEC "/usr/local/lib/brim"
#endif

#define DOMAINS_MAX 20 /* more belong in a map */
#define DAY         (UINT64_C(24) * 60 * 60)

static const struct transport transports[] = {
	{"mailbox_command", PLAN_LOCAL, BRIM_LIBEXEC "/lda", NULL, NULL},
	{"pipe", PLAN_PIPE, BRIM_LIBEXEC "/lda", "brim", NULL},
	{"virtual", PLAN_VIRTUAL, BRIM_LIBEXEC "/lda-virtual", "brim-virtual", "brimlda"},
};

const struct transport *
plan_transport(const char *name)
{
	for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
		if (strcmp(transports[i].name, name) == 0)
			return &transports[i];
	return NULL;
}

/* --- values: 1 with the value printed, 0 where there is nothing to set ------------ */

static const char *
now(const struct plan *p, const char *name)
{
	const char *value = postconf_get(&p->now, name);

	return value ? value : "";
}

static int
program(const struct plan *p, FILE *to)
{
	return fputs(p->transport->program, to) >= 0;
}

static int
zero(const struct plan *p, FILE *to)
{
	(void)p;
	return fputs("0", to) >= 0;
}

static int
one(const struct plan *p, FILE *to)
{
	(void)p;
	return fputs("1", to) >= 0;
}

static int
two(const struct plan *p, FILE *to)
{
	(void)p;
	return fputs("2", to) >= 0;
}

static int
transport(const struct plan *p, FILE *to)
{
	return fputs(p->transport->service, to) >= 0;
}

static int
no_transport(const struct plan *p, FILE *to)
{
	(void)to;
	return now(p, "mailbox_transport")[0] != '\0';
}

static int
recipient_maps(const struct plan *p, FILE *to)
{
	const char *value = postconf_get(&p->now, "local_recipient_maps");

	return !(p->parts & PLAN_MAPS) && value && !value[0] &&
	       !smtp_time_takes_unknown(&p->now) &&
	       fputs("proxy:unix:passwd.byname $alias_maps", to) >= 0;
}

struct domains {
	const struct plan *plan;
	FILE *to;
	int count;
};

/* A domain that Postfix delivers as its own must not be virtual, too. */
static int
print_domain(void *arg, const struct record *r)
{
	struct domains *d = arg;
	const char *domain = r->key + 1;
	char *written;

	if (r->key[0] != '@' || d->count > DOMAINS_MAX)
		return 1;
	if (mailbox_domain_is_local(d->plan->conf, domain) ||
		conf_list_has(now(d->plan, "mydestination"), domain))
		return 0;
	fprintf(d->to, "%s%s", d->count++ ? ", " : "", domain);
	written = address_written(r->key);
	if (written) /* Postfix compares the form that the client gave */
		fprintf(d->to, ", %s", written + 1);
	free(written);
	return 0;
}

/* Where the administrator has named domains they stay. So do those of tables of
 * mailboxes, by which Postfix knows them where none are named. */
static int
domains(const struct plan *p, FILE *to)
{
	struct domains d = {p, to, 0};
	struct users *u;
	char *others;

	if (p->parts & PLAN_MAPS ||
		strcmp(now(p, "virtual_mailbox_domains"), now(p, "virtual_mailbox_maps")))
		return 0;
	u = users_open(p->conf->users_db, NULL);
	if (!u)
		return 0;
	others = smtp_time_others(now(p, "virtual_mailbox_maps"), p->conf);
	if (others && others[0])
		fprintf(to, "%s, ", others);
	free(others);
	users_each(u, "@", print_domain, &d, NULL);
	users_close(&u);
	return d.count > 0 && d.count <= DOMAINS_MAX;
}

static int
command_time(const struct plan *p, FILE *to)
{
	uint64_t limit;

	return postconf_time(now(p, "command_time_limit"), 's', &limit) == 0 &&
	       limit <= p->conf->deadline &&
	       fprintf(to, "%" PRIu64 "s", 2 * p->conf->deadline) > 0;
}

static int
warning_time(const struct plan *p, FILE *to)
{
	uint64_t after = 0;

	return postconf_time(now(p, "delay_warning_time"), 'h', &after) == 0 && !after &&
	       fputs("4h", to) >= 0;
}

static int
queue_lifetime(const struct plan *p, FILE *to)
{
	uint64_t lifetime, full = p->conf->over_quota;

	return full != CONF_DEFER &&
	       postconf_time(now(p, "maximal_queue_lifetime"), 'd', &lifetime) == 0 &&
	       lifetime <= full && fprintf(to, "%" PRIu64 "d", full / DAY + 2) > 0;
}

static int
message_size(const struct plan *p, FILE *to)
{
	uint64_t ours = p->conf->message_size_limit, theirs;

	return ours && amount_count(now(p, "message_size_limit"), &theirs, NULL) == 0 &&
	       (!theirs || theirs > ours) && fprintf(to, "%" PRIu64, ours) > 0;
}

static const struct setting {
	const char *name;
	unsigned transports;
	int (*value)(const struct plan *p, FILE *to);
	const char *reason;
} settings[] = {
	{"mailbox_command", PLAN_LOCAL, program,
		"No quotes, $ or ; here: with them Postfix runs a shell, and a shell "
		"turns a\n# killed delivery into a bounce. Recipient and sender are in "
		"the environment."},
	{"mailbox_size_limit", PLAN_LOCAL, zero,
		"A limit for every file that a delivery writes; limits are Brim's."},
	{"mailbox_transport", PLAN_LOCAL, no_transport,
		"It would go before mailbox_command."},
	{"local_recipient_maps", PLAN_LOCAL, recipient_maps,
		"With it unknown names are refused while the sender is still there; "
		"empty, they\n# are taken and bounced."},
	{"virtual_mailbox_domains", PLAN_PIPE | PLAN_VIRTUAL, domains,
		"The domains of the user table."},
	{"virtual_transport", PLAN_PIPE | PLAN_VIRTUAL, transport, "The service below."},
	{"brim_destination_recipient_limit", PLAN_PIPE, one,
		"One exit status can't speak for many."},
	{"brim-virtual_destination_recipient_limit", PLAN_VIRTUAL, one,
		"One exit status can't speak for many."},
	{"brim-virtual_destination_concurrency_limit", PLAN_VIRTUAL, two,
		"A recipient can stop its own delivery: it holds two, not all."},
	{"command_time_limit", PLAN_ALL, command_time,
		"Longer than lda's deadline: Postfix bounces what runs into this."},
	{"delay_warning_time", PLAN_ALL, warning_time,
		"The sender is told that the message waits, for room say; with 0 nobody "
		"is."},
	{"maximal_queue_lifetime", PLAN_ALL, queue_lifetime,
		"Longer than over_quota in brim.conf, or mail for a full mailbox "
		"bounces\n# before that."},
	{"message_size_limit", PLAN_ALL, message_size,
		"That of brim.conf: a larger message is refused while the sender is "
		"still there."},
};

#define SETTINGS (sizeof settings / sizeof *settings)

/* The value as a new string, or NULL where there is nothing to set. */
static char *
value_of(const struct plan *p, const struct setting *s)
{
	char *text = NULL;
	size_t size;
	FILE *to;
	int set;

	if (!p->transport || !(s->transports & p->transport->bit))
		return NULL;
	to = open_memstream(&text, &size);
	if (!to)
		return NULL;
	set = s->value(p, to);
	if (fclose(to) == 0 && set)
		return text;
	free(text);
	return NULL;
}

int
plan_each(const struct plan *p, plan_setting *each, void *arg)
{
	int result = 0;

	for (const struct setting *s = settings; s < settings + SETTINGS && !result;
		s++) {
		char *value = value_of(p, s);

		if (value)
			result = each(arg, s->name, value, s->reason);
		free(value);
	}
	return result ? result : smtp_time_each(p, each, arg);
}

static const struct brim_setting {
	const char *name;
	unsigned transports;
	char *(*value)(const struct postconf *now, const struct conf *conf);
	const char *reason;
} brim_settings[] = {
	{"local_domains", PLAN_LOCAL, brim_side_local_domains,
		"All of Postfix's mydestination: an account has addresses in each."},
	{"recipient_delimiter", PLAN_ALL, brim_side_delimiters,
		"Postfix's: an extension that one of them takes off, the other must."},
};

int
plan_each_of_brim(const struct plan *p, plan_setting *each, void *arg)
{
	int result = 0;

	for (size_t i = 0; i < sizeof brim_settings / sizeof *brim_settings && !result;
		i++) {
		const struct brim_setting *s = &brim_settings[i];
		char *value = p->transport && s->transports & p->transport->bit
				      ? s->value(&p->now, p->conf)
				      : NULL;

		if (value)
			result = each(arg, s->name, value, s->reason);
		free(value);
	}
	return result ? result : smtp_time_each_of_brim(p, each, arg);
}

char *
plan_service(const struct plan *p, const char *break_)
{
	char *line;

	return asprintf(&line,
		       "%s unix - n n - 20 pipe%sflags=DRX user=%s null_sender=%s"
		       "argv=%s -d ${recipient} -f ${sender}",
		       p->transport->service, break_, p->user, break_,
		       p->transport->program) < 0
		       ? NULL
		       : line;
}

/* The bit of a service of pipe(8) that runs lda or lda-virtual; 0 where it does not. */
static unsigned
find_pipe(const struct plan *p, const char *name)
{
	size_t n = strcspn(name, ":");

	for (size_t i = 0; i < p->now.service_count; i++) {
		const struct postconf_service *s = &p->now.services[i];

		if (strlen(s->name) == n && strncmp(s->name, name, n) == 0 &&
			strcmp(s->command, "pipe") == 0 && strstr(s->arguments, "/lda"))
			return strstr(s->arguments, "/lda-virtual") ? PLAN_VIRTUAL
								    : PLAN_PIPE;
	}
	return 0;
}

unsigned
plan_find_transports(const struct plan *p)
{
	unsigned found = find_pipe(p, now(p, "virtual_transport"));

	if (strstr(now(p, "mailbox_command"), "/lda") ||
		find_pipe(p, now(p, "mailbox_transport")) ||
		find_pipe(p, now(p, "local_transport")))
		found |= PLAN_LOCAL;
	return found;
}

int
plan_find_user(struct plan *p)
{
	const char *trusted = p->conf->trusted_users;

	if (!p->transport)
		return 0;
	p->user = p->transport->user ? strdup(p->transport->user)
				     : conf_list_next(&trusted);
	if (!p->user)
		p->user = strdup("vmail");
	return p->user ? 0 : -1;
}

int
plan_check_ready(const struct plan *p, struct reason *why)
{
	struct privileges_user user;

	if (!p->transport)
		return 0;
	if (access(p->transport->program, X_OK))
		return reason_errno(why, "%s is not installed", p->transport->program);
	if (p->transport->service && privileges_find_user(p->user, &user, why))
		return -1;
	if (p->transport->bit == PLAN_PIPE &&
		!conf_list_has(p->conf->trusted_users, p->user))
		return reason_set(why,
			"brim.conf must let the user %s ask about all mailboxes: "
			"trusted_users = %s",
			p->user, p->user);
	return 0;
}
