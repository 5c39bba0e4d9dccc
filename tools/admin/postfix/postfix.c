/*
 * The command postfix: what main.cf and master.cf must say for a way of delivery, each
 * setting with its reason. It shows them, makes them (--apply) or takes them back
 * (--undo); the files are the next room's work. It never reloads Postfix.
 */
#include "brimadm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "postconf.h"
#include "privileges.h"

#ifndef BRIM_LIBEXEC
#define BRIM_LIBEXEC "/usr/local/lib/brim"
#endif

#define DOMAINS_MAX 20 /* more belong in a map */
#define DAY         (UINT64_C(24) * 60 * 60)

#define LOCAL   1u /* accounts of this host, as themselves */
#define PIPE    2u /* all mailboxes as one user */
#define VIRTUAL 4u /* mailboxes of many uids */

static const struct way {
	const char *name;
	unsigned bit;
	const char *program;
	const char *transport; /* in master.cf; NULL without one */
	const char *user;      /* NULL: the first of trusted_users */
} ways[] = {
	{"mailbox_command", LOCAL, BRIM_LIBEXEC "/lda", NULL, NULL},
	{"pipe", PIPE, BRIM_LIBEXEC "/lda", "brim", NULL},
	{"virtual", VIRTUAL, BRIM_LIBEXEC "/lda-virtual", "brim-virtual", "brimlda"},
};

#define WAYS (sizeof ways / sizeof *ways)

struct plan {
	const struct way *way;
	const struct conf *conf;
	struct postconf now; /* empty without Postfix */
	char *user;          /* of the transport */
};

/* --- values: 1 with the value printed, 0 where there is nothing to set ---------------
 */

static const char *
now(const struct plan *p, const char *name)
{
	const char *value = postconf_get(&p->now, name);

	return value ? value : "";
}

static int
program(const struct plan *p, FILE *to)
{
	return fputs(p->way->program, to) >= 0;
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
	return fputs(p->way->transport, to) >= 0;
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

	return value && !value[0] &&
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

	if (r->key[0] != '@' || d->count > DOMAINS_MAX)
		return 1;
	if (mailbox_domain_is_local(d->plan->conf, domain) ||
		conf_list_has(now(d->plan, "mydestination"), domain))
		return 0;
	fprintf(d->to, "%s%s", d->count++ ? ", " : "", domain);
	return 0;
}

/* Where the administrator has named domains they stay. */
static int
domains(const struct plan *p, FILE *to)
{
	struct domains d = {p, to, 0};
	struct users *u;

	if (strcmp(now(p, "virtual_mailbox_domains"), now(p, "virtual_mailbox_maps")))
		return 0;
	u = users_open(p->conf->users_db, NULL);
	if (!u)
		return 0;
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

static const struct setting {
	const char *name;
	unsigned ways;
	int (*value)(const struct plan *p, FILE *to);
	const char *reason;
} settings[] = {
	{"mailbox_command", LOCAL, program,
		"No quotes, $ or ; here: with them Postfix runs a shell, and a shell "
		"turns a\n# killed delivery into a bounce. Recipient and sender are in "
		"the environment."},
	{"mailbox_size_limit", LOCAL, zero,
		"A limit for every file that a delivery writes; limits are Brim's."},
	{"mailbox_transport", LOCAL, no_transport, "It would go before mailbox_command."},
	{"local_recipient_maps", LOCAL, recipient_maps,
		"With it unknown names are refused while the sender is still there; "
		"empty, they\n# are taken and bounced."},
	{"virtual_mailbox_domains", PIPE | VIRTUAL, domains,
		"The domains of the user table."},
	{"virtual_transport", PIPE | VIRTUAL, transport, "The service below."},
	{"brim_destination_recipient_limit", PIPE, one,
		"One exit status can't speak for many."},
	{"brim-virtual_destination_recipient_limit", VIRTUAL, one,
		"One exit status can't speak for many."},
	{"brim-virtual_destination_concurrency_limit", VIRTUAL, two,
		"A recipient can stop its own delivery: it holds two, not all."},
	{"command_time_limit", LOCAL | PIPE | VIRTUAL, command_time,
		"Longer than lda's deadline: Postfix bounces what runs into this."},
	{"delay_warning_time", LOCAL | PIPE | VIRTUAL, warning_time,
		"The sender is told that the message waits, for room say; with 0 nobody "
		"is."},
	{"maximal_queue_lifetime", LOCAL | PIPE | VIRTUAL, queue_lifetime,
		"Longer than over_quota in brim.conf, or mail for a full mailbox "
		"bounces\n# before that."},
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

	if (!(s->ways & p->way->bit))
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

/* The line of master.cf, with BREAK between the flags and the command. */
static char *
service_line(const struct plan *p, const char *break_)
{
	char *line;

	return asprintf(&line,
		       "%s unix - n n - 20 pipe%sflags=DRX user=%s null_sender=%s"
		       "argv=%s -d ${recipient} -f ${sender}",
		       p->way->transport, break_, p->user, break_, p->way->program) < 0
		       ? NULL
		       : line;
}

/* --- the plan -------------------------------------------------------------------------
 */

static int
find_way(struct brimadm *a, struct plan *p)
{
	const char *name = a->option[OPTION_TRANSPORT];

	for (size_t i = 0; name && i < WAYS; i++)
		if (strcmp(ways[i].name, name) == 0) {
			p->way = &ways[i];
			return TOOL_OK;
		}
	return tool_fail(TOOL_USAGE, "%s%s%s--way is mailbox_command, pipe or virtual",
		name ? "\"" : "", name ? name : "", name ? "\" is no way: " : "");
}

/* As whom the transport runs. */
static int
find_user(struct plan *p)
{
	const char *trusted = p->conf->trusted_users;

	p->user = p->way->user ? strdup(p->way->user) : conf_list_next(&trusted);
	if (!p->user)
		p->user = strdup("vmail");
	return p->user ? TOOL_OK : tool_fail(TOOL_CANT, "no memory");
}

/* What must be done before the settings can work: 0, or -1 with the reason. */
static int
check_ready(const struct plan *p, struct reason *why)
{
	struct privileges_user user;

	if (access(p->way->program, X_OK))
		return reason_errno(why, "%s is not installed", p->way->program);
	if (p->way->transport && privileges_find_user(p->user, &user, why))
		return -1;
	if (p->way->bit == PIPE && !conf_list_has(p->conf->trusted_users, p->user))
		return reason_set(why,
			"brim.conf must let the user %s ask about all mailboxes: "
			"trusted_users = %s",
			p->user, p->user);
	return 0;
}

/* --- showing it
 * -------------------------------------------------------------------------
 */

static void
print_service(const struct plan *p, const char *folder)
{
	char *line = p->way->transport ? service_line(p, "\n  ") : NULL;

	if (line)
		printf("\n# --- lines for %s/master.cf\n\n"
		       "# D, R and X: Delivered-To: and Return-Path: in front, and this "
		       "is "
		       "the last stop.\n%s\n",
			folder, line);
	free(line);
}

static int
print_plan(const struct plan *p)
{
	const char *folder = p->now.folder ? p->now.folder : "/etc/postfix";
	struct reason why;

	if (check_ready(p, &why))
		printf("# First: %s.\n\n", why.text);
	printf("# --- lines for %s/main.cf\n", folder);
	for (const struct setting *s = settings; s < settings + SETTINGS; s++) {
		char *value = value_of(p, s);

		if (value)
			printf("\n# %s\n%s =%s%s\n", s->reason, s->name,
				value[0] ? " " : "", value);
		free(value);
	}
	print_service(p, folder);
	return TOOL_OK;
}

/* --- differences
 * ------------------------------------------------------------------------
 */

/* Called for each: a setting's name or a service's name/type, and its texts; NULL where
 * there is none. */
typedef void difference(const char *key, int service, const char *old, const char *new);

static char *
service_key(const struct postconf_service *s)
{
	char *key;

	return asprintf(&key, "%s/%s", s->name, s->type) < 0 ? NULL : key;
}

static char *
service_text(const struct postconf_service *s)
{
	char *text;

	return !s || asprintf(&text, "%s %s %s %s %s %s %s %s%s%s", s->name, s->type,
			     s->private, s->unprivileged, s->chroot, s->wakeup,
			     s->processes, s->command, s->arguments[0] ? " " : "",
			     s->arguments) < 0
		       ? NULL
		       : text;
}

static size_t
compare_settings(const struct postconf *old, const struct postconf *new, difference *each)
{
	size_t count = 0;

	for (size_t i = 0; i < old->setting_count; i++) {
		const struct postconf_setting *s = &old->settings[i];
		const char *value = postconf_get(new, s->name);

		if (value && strcmp(value, s->value) == 0)
			continue;
		each(s->name, 0, s->value, value);
		count++;
	}
	for (size_t i = 0; i < new->setting_count; i++)
		if (!postconf_get(old, new->settings[i].name)) {
			each(new->settings[i].name, 0, NULL, new->settings[i].value);
			count++;
		}
	return count;
}

static size_t
compare_service(const struct postconf_service *old, const struct postconf_service *new,
	difference *each)
{
	char *key = service_key(old ? old : new), *before = service_text(old),
	     *after = service_text(new);
	size_t differs = !before || !after || strcmp(before, after) != 0;

	if (differs && key)
		each(key, 1, before, after);
	free(key);
	free(before);
	free(after);
	return differs;
}

static size_t
compare(const struct postconf *old, const struct postconf *new, difference *each)
{
	size_t count = compare_settings(old, new, each);

	for (size_t i = 0; i < old->service_count; i++) {
		const struct postconf_service *s = &old->services[i];

		count +=
			compare_service(s, postconf_service(new, s->name, s->type), each);
	}
	for (size_t i = 0; i < new->service_count; i++) {
		const struct postconf_service *s = &new->services[i];

		if (!postconf_service(old, s->name, s->type))
			count += compare_service(NULL, s, each);
	}
	return count;
}

static void
print_difference(const char *key, int service, const char *old, const char *new)
{
	const char *name = service ? "" : key, *equals = service ? "" : " = ";

	if (old)
		printf("-%s%s%s\n", name, equals, old);
	if (new)
		printf("+%s%s%s\n", name, equals, new);
}

/* For a shell. */
static void
print_quoted(const char *key, const char *equals, const char *text)
{
	printf("'%s%s", key, equals);
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*text);
	puts("'");
}

/* The command that makes OLD of NEW again. */
static void
print_command(const char *key, int service, const char *old, const char *new)
{
	(void)new;
	printf("postconf -%s%s ", service ? "M" : "", old ? "e" : "X");
	if (old)
		print_quoted(key, service ? "=" : " = ", old);
	else
		puts(key);
}

/* Prints what the staged files change, and says how many things. */
static int
show_differences(const struct postfix_files *f, size_t *count, struct reason *why)
{
	struct postconf old, new = {0};
	int result = -1;

	if (postconf_read_folder(&old, f->folder, why) == 0 &&
		postconf_read_folder(&new, f->staged, why) == 0) {
		*count = compare(&old, &new, print_difference);
		result = 0;
	}
	postconf_free(&old);
	postconf_free(&new);
	return result;
}

/* --- applying
 * ---------------------------------------------------------------------------
 */

/* Runs postconf with one option and "KEY=VALUE" on the staged files. */
static int
edit(const struct postfix_files *f, const char *option, const char *key,
	const char *value, struct reason *why)
{
	const char *arguments[] = {"-c", f->staged, option, NULL, NULL};
	char *word;
	int result;

	if (asprintf(&word, "%s=%s", key, value) < 0)
		return reason_set(why, "no memory");
	arguments[3] = word;
	result = postconf_run(arguments, NULL, why);
	free(word);
	return result;
}

static int
edit_service(const struct plan *p, const struct postfix_files *f, struct reason *why)
{
	char *line, *key = NULL;
	int result = -1;

	if (!p->way->transport)
		return 0;
	line = service_line(p, " ");
	if (!line || asprintf(&key, "%s/unix", p->way->transport) < 0)
		reason_set(why, "no memory");
	else
		result = edit(f, "-Me", key, line, why);
	free(key);
	free(line);
	return result;
}

static int
edit_staged(const struct plan *p, const struct postfix_files *f, struct reason *why)
{
	int failed = 0;

	for (const struct setting *s = settings; s < settings + SETTINGS && !failed;
		s++) {
		char *value = value_of(p, s);
		const char *old = postconf_get(&p->now, s->name);

		if (value && !(old && strcmp(old, value) == 0))
			failed = edit(f, "-e", s->name, value, why);
		free(value);
	}
	return failed ? -1 : edit_service(p, f, why);
}

/* What --apply refuses over. */
static int
check_state(const struct postfix_files *f, struct reason *why)
{
	enum postfix_state state;

	if (postfix_files_state(f, &state, why))
		return -1;
	if (state == POSTFIX_FREE)
		return 0;
	return reason_set(why,
		"other settings of brimadm postfix are in force: take them back first, "
		"with brimadm postfix --undo");
}

static int
apply_staged(const struct plan *p, struct postfix_files *f, struct reason *why)
{
	size_t count = 0;

	if (postfix_files_stage(f, "", why) || edit_staged(p, f, why))
		return -1;
	postfix_files_set_back(f);
	if (show_differences(f, &count, why))
		return -1;
	if (count == 0) {
		puts("Nothing to change.");
		return 0;
	}
	fflush(stdout);
	if (check_state(f, why) || postfix_files_commit(f, why))
		return -1;
	puts("Done; it takes effect with: postfix reload");
	return 0;
}

static int
apply(const struct plan *p, struct reason *why)
{
	struct postfix_files f;
	int result;

	if (check_ready(p, why) || postfix_files_open(&f, p->now.folder, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	result = apply_staged(p, &f, why);
	postfix_files_close(&f);
	return result ? tool_fail(TOOL_CANT, "%s; nothing is changed", why->text)
		      : TOOL_OK;
}

static int
show_or_apply(struct brimadm *a, struct plan *p)
{
	int found, status = find_way(a, p);

	if (!p->way)
		return status;
	status = find_user(p);
	if (status)
		return status;
	found = postconf_read(&p->now, &a->why);
	if (found < 0 || (!found && a->option[OPTION_APPLY]))
		return tool_fail(TOOL_CANT, "%s", a->why.text);
	return a->option[OPTION_APPLY] ? apply(p, &a->why) : print_plan(p);
}

/* --- undoing
 * ----------------------------------------------------------------------------
 */

/* Prints the commands that take back what was applied and nothing else. */
static int
print_by_hand(struct postfix_files *f, struct reason *why)
{
	struct postconf after = {0}, before = {0};
	int result = -1;

	if (postfix_files_stage(f, ".brim-after", why) == 0 &&
		postconf_read_folder(&after, f->staged, why) == 0 &&
		postfix_files_stage(f, ".brim-before", why) == 0 &&
		postconf_read_folder(&before, f->staged, why) == 0) {
		compare(&before, &after, print_command);
		printf("cd %s && rm -f main.cf.brim-* master.cf.brim-*\n", f->folder);
		result = 0;
	}
	postconf_free(&after);
	postconf_free(&before);
	return result;
}

static int
undo_applied(struct postfix_files *f, struct reason *why)
{
	size_t count;

	if (postfix_files_stage(f, ".brim-before", why) ||
		show_differences(f, &count, why) || postfix_files_undo(f, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	puts("Done; it takes effect with: postfix reload");
	return TOOL_OK;
}

static int
undo_files(struct postfix_files *f, struct reason *why)
{
	enum postfix_state state;

	if (postfix_files_state(f, &state, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	if (state == POSTFIX_FREE)
		return tool_fail(
			TOOL_NO, "there is nothing to take back in %s", f->folder);
	if (state == POSTFIX_APPLIED)
		return undo_applied(f, why);
	if (print_by_hand(f, why))
		return tool_fail(TOOL_CANT, "%s", why->text);
	return tool_fail(TOOL_CANT,
		"main.cf or master.cf was edited since --apply, and those edits would be "
		"lost: nothing is changed; the commands above take back Brim's part");
}

static int
undo(struct brimadm *a)
{
	struct postfix_files f;
	struct postconf p;
	int status;

	if (postconf_read(&p, &a->why) <= 0 ||
		postfix_files_open(&f, p.folder, &a->why)) {
		status = tool_fail(TOOL_CANT, "%s", a->why.text);
	} else {
		status = undo_files(&f, &a->why);
		postfix_files_close(&f);
	}
	postconf_free(&p);
	return status;
}

int
brimadm_postfix(struct brimadm *a, int argc, char **argv)
{
	struct plan p = {.conf = &a->conf};
	int status;

	(void)argc;
	(void)argv;
	if (a->option[OPTION_UNDO] &&
		(a->option[OPTION_APPLY] || a->option[OPTION_TRANSPORT]))
		return tool_fail(TOOL_USAGE, "--undo goes with no other option");
	if ((a->option[OPTION_UNDO] || a->option[OPTION_APPLY]) && geteuid() != 0)
		return tool_fail(TOOL_CANT, "only root can change Postfix's settings");
	if (a->option[OPTION_UNDO])
		return undo(a);
	status = show_or_apply(a, &p);
	postconf_free(&p.now);
	free(p.user);
	return status;
}
