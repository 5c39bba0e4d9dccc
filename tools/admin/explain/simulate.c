/*
 * The command simulate: what lda would say to a message, asked of the same functions as
 * lda asks (lib/mailbox, quotad), without a delivery. quotad is asked by EXPLAIN, since a
 * CHECK that is refused begins the time after which "full" is for good. It can't see what
 * only the delivery itself meets: the Maildir's file system, who lda runs as, and what
 * the MTA tells beside -d: other names in the environment, and on top of the message.
 */
#include "brimadm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "missing.h"
#include "quota_client.h"
#include "stage.h"

/* What a sender's report says on MTAs that go by the exit status; measured on Exim 4.96,
 * OpenSMTPD 6.8 and sendmail 8.17. Postfix (3.7) says the code of the line. */
static const struct mta_status {
	int exit_status;
	const char *exim, *opensmtpd, *sendmail;
} statuses[] = {
	{0, "2.0.0", "2.0.0", "2.0.0"},
	{67, "5.0.0", "5.3.0", "5.1.1"},
	{69, "5.0.0", "5.3.0", "5.5.0"},
	{75, "4.0.0", "deferred", "4.2.0"},
	{77, "5.0.0", "5.3.0", "5.3.0"},
};

#define STEPS_MAX (4 * MAILBOX_ALIASES_MAX) /* aliases, and alias domains between */

struct simulation {
	struct brimadm *a;
	struct mailbox mailbox;
	struct outcome outcome;
	uint64_t size;
	int is_missing;                /* its Maildir, or new/ in it */
	int had_mail;                  /* when quotad looked at it last */
	char quotad[REASON_SIZE + 64]; /* what it says */
	json_t *way;                   /* the steps through the table, as texts */
	json_t *notes; /* what lda may know besides, and would answer then; as texts */
};

/* A name as it is shown. */
static char *
show_name(const struct simulation *s, const char *name)
{
	return s->a->option[OPTION_JSON] ? tool_json_escape(name) : record_escape(name);
}

/* TO, if any, is another name. */
static void
step(struct simulation *s, const char *from, const char *what, const char *to)
{
	char *text, *shown = show_name(s, from), *shown_to = show_name(s, to ? to : "");

	if (shown && shown_to && asprintf(&text, "%s: %s%s", shown, what, shown_to) > 0) {
		json_array_append_new(s->way, tool_json_text(text));
		free(text);
	}
	free(shown);
	free(shown_to);
}

/* Where an address that has no record leads by its domain's; a new string, or NULL. */
static char *
domain_step(struct simulation *s, struct users *u, const struct address *address)
{
	char domain[ADDRESS_MAX + 2], *target = NULL;
	const char *alias, *catchall;
	struct record r = {0};

	snprintf(domain, sizeof domain, "@%s", address->domain);
	users_get(u, domain, &r, &s->a->why);
	alias = record_get(&r, "alias");
	catchall = record_get(&r, "catchall");
	if (alias) {
		step(s, domain, "alias domain -> ", alias);
		if (asprintf(&target, "%s%s", address->local, alias) < 0)
			target = NULL;
	} else {
		step(s, domain, catchall ? "catch-all -> " : "no catch-all", catchall);
		target = catchall ? strdup(catchall) : NULL;
	}
	record_clear(&r);
	return target;
}

/* Where the address leads at once; the target as a new string, or NULL at the end, which
 * several targets are for a delivery. */
static char *
one_step(struct simulation *s, struct users *u, const char *text)
{
	struct brimadm *a = s->a;
	struct address address;
	struct record r = {0};
	char *target;
	const char *to;

	if (address_parse(&address, text, a->conf.recipient_delimiter, &a->why)) {
		step(s, text, a->why.text, NULL);
		return NULL;
	}
	if (mailbox_find_record(u, &a->conf, &address, &r, &a->why) > 0) {
		to = record_get(&r, "alias");
		step(s, address.text, to ? "alias -> " : "mailbox ", to ? to : r.key);
		target = to && !strchr(to, ',') ? strdup(to) : NULL;
	} else {
		step(s, address.text, "not there", NULL);
		target = domain_step(s, u, &address);
	}
	record_clear(&r);
	return target;
}

static void
trace(struct simulation *s, struct users *u, const char *recipient)
{
	char *at = strdup(recipient);

	for (int i = 0; at && i < STEPS_MAX; i++) {
		char *next = one_step(s, u, at);

		free(at);
		at = next;
	}
	free(at);
}

static void
note(struct simulation *s, const char *text)
{
	json_array_append_new(s->notes, tool_json_text(text));
}

/* As lda says that nobody has the recipient, which it was given by -d alone. What else an
 * MTA may tell it is noted. */
static void
judge_absence(struct simulation *s, const char *recipient)
{
	if (s->mailbox.match == MAILBOX_MATCH || s->mailbox.match == MAILBOX_UNREADABLE)
		return;
	if (s->outcome.verdict == VERDICT_NO_SUCH_USER &&
		!mailbox_is_macro(recipient, &s->outcome))
		note(s, "4.3.5 where Delivered-To: on top of the message names a mailbox "
			"of the table, and -d is all that lda is given");
	note(s, "where the MTA's environment has other names of the recipient, lda tries "
		"them first");
}

/* As lda takes quotad's word: only what it may say about room. */
static int
take_verdict(struct simulation *s, enum verdict verdict, const char *text)
{
	if (verdict == VERDICT_DELIVERED) {
		snprintf(s->quotad, sizeof s->quotad, "there is room");
		return 0;
	}
	outcome_from_quotad(&s->outcome, verdict, text);
	snprintf(s->quotad, sizeof s->quotad, "%.300s", text);
	return -1;
}

static int
without_quotad(struct simulation *s, const struct reason *why)
{
	int delivers = s->a->conf.quotad_down_delivers && !s->is_missing;

	snprintf(s->quotad, sizeof s->quotad, "%s; quotad_down = %s", why->text,
		s->a->conf.quotad_down_delivers ? "deliver" : "defer");
	if (!delivers)
		outcome_set(&s->outcome, VERDICT_TROUBLE, "%s", why->text);
	return delivers ? 0 : -1;
}

/* The last answer to EXPLAIN; those before it tell of the ledger. */
static int
receive_last(struct simulation *s, struct quota_client *q, struct quota_answer *answer,
	struct reason *why)
{
	uint64_t had;

	do {
		quota_answer_clear(answer);
		if (quota_receive(q, answer, why))
			return -1;
		if (record_number(&answer->fields, "had_mail", 0, &had) == 0 && had)
			s->had_mail = 1;
	} while (answer->kind == QUOTA_MORE);
	return 0;
}

static int
take_answer(struct simulation *s, const struct quota_answer *answer)
{
	const char *next = record_get(&answer->fields, "next");
	const char *text = record_get(&answer->fields, "text");
	enum verdict verdict;

	if (quota_is_too_old(answer))
		return take_verdict(s, VERDICT_TROUBLE,
			"it is of an older version, which can't tell: start it again");
	if (s->is_missing && s->had_mail)
		return take_verdict(s, VERDICT_TROUBLE, VERDICT_MISSING_TEXT);
	if (answer->kind != QUOTA_OK)
		return take_verdict(s, VERDICT_TROUBLE, answer->outcome.text);
	if (!next || verdict_parse(next, &verdict))
		return take_verdict(s, VERDICT_TROUBLE, "its answer makes no sense");
	return take_verdict(s, verdict, text ? text : "");
}

static int
ask_quotad(struct simulation *s)
{
	const struct conf *c = &s->a->conf;
	char *key = record_escape(s->mailbox.key);
	struct quota_client q = {.fd = -1};
	struct quota_answer answer = {0};
	struct reason why;
	int result;

	reason_set(&why, "no memory");
	if (!key ||
		quota_connect(&q, c->socket, c->daemon_user, c->quotad_timeout, &why) ||
		quota_send(&q, &why, "EXPLAIN %s %" PRIu64, key, s->size) ||
		receive_last(s, &q, &answer, &why))
		result = without_quotad(s, &why);
	else
		result = take_answer(s, &answer);
	quota_answer_clear(&answer);
	quota_close(&q);
	free(key);
	return result;
}

/* All that is looked at of the mailbox itself: whether a delivery would have to make it.
 */
static int
look_for_mailbox(struct simulation *s)
{
	struct probe probe = {0};

	s->is_missing = missing_on_disk(&probe, s->mailbox.path);
	probe_end(&probe);
	return 0;
}

static int
simulate(struct simulation *s, const char *recipient)
{
	struct brimadm *a = s->a;
	struct users *u = users_open(a->conf.users_db, &a->why);
	int result;

	outcome_set(&s->outcome, VERDICT_DELIVERED, NULL);
	if (!u) {
		outcome_set(&s->outcome, VERDICT_MISCONFIGURED, "%s", a->why.text);
		return -1;
	}
	trace(s, u, recipient);
	result = mailbox_find(&s->mailbox, u, &a->conf, recipient, &s->outcome);
	users_close(&u);
	judge_absence(s, recipient);
	return result || mailbox_policy(&s->mailbox, &a->conf, s->size, &s->outcome) ||
	       look_for_mailbox(s) || ask_quotad(s);
}

/* --- showing it ------------------------------------------------------------ */

static json_t *
statuses_json(const struct simulation *s)
{
	int status = verdict_exit_status(s->outcome.verdict);
	json_t *mta = json_object();

	json_object_set_new(
		mta, "postfix", json_string(verdict_code(s->outcome.verdict)));
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (statuses[i].exit_status == status) {
			json_object_set_new(mta, "exim", json_string(statuses[i].exim));
			json_object_set_new(
				mta, "opensmtpd", json_string(statuses[i].opensmtpd));
			json_object_set_new(
				mta, "sendmail", json_string(statuses[i].sendmail));
		}
	return mta;
}

/* Of nobody's mailbox there is nothing to be told. */
static void
add_mailbox(const struct simulation *s, json_t *all)
{
	const struct mailbox *m = &s->mailbox;

	if (!m->path)
		return;
	json_object_set_new(all, "mailbox", tool_json_name(m->key));
	json_object_set_new(all, "mail", tool_json_name(m->path));
	json_object_set_new(all, "uid", json_integer(m->uid));
	json_object_set_new(all, "quota", tool_json_number(m->quota));
}

static json_t *
as_json(const struct simulation *s)
{
	char line[VERDICT_LINE_MAX + 1];
	json_t *all = json_object();

	line[outcome_line(&s->outcome, line)] = '\0';
	line[strcspn(line, "\n")] = '\0';
	json_object_set(all, "way", s->way);
	add_mailbox(s, all);
	if (s->quotad[0])
		json_object_set_new(all, "quotad", tool_json_text(s->quotad));
	json_object_set_new(
		all, "verdict", tool_json_text(verdict_name(s->outcome.verdict)));
	json_object_set_new(all, "exit_status",
		json_integer(verdict_exit_status(s->outcome.verdict)));
	json_object_set_new(all, "line", tool_json_text(line));
	if (json_array_size(s->notes))
		json_object_set(all, "notes", s->notes);
	json_object_set_new(all, "dsn", statuses_json(s));
	return all;
}

static void
print_name(const char *label, const char *name)
{
	char *escaped = record_escape(name);

	printf(SIMULATE_LABEL "%s\n", label, escaped ? escaped : "");
	free(escaped);
}

static void
print_mailbox(const struct mailbox *m)
{
	char quota[AMOUNT_SIZE];

	print_name("mailbox", m->key);
	print_name("mail", m->path);
	printf(SIMULATE_LABEL "%u\n", "uid", (unsigned)m->uid);
	printf(SIMULATE_LABEL "%s\n", "quota",
		m->quota ? amount_show(m->quota, quota) : "none");
}

void
simulate_print_all(const char *label, const json_t *all)
{
	const char *name;
	json_t *value;
	int first = 1;

	for (size_t i = 0; i < json_array_size(all); i++)
		printf(SIMULATE_LABEL "%s\n", i == 0 ? label : "",
			json_string_value(json_array_get(all, i)));
	json_object_foreach((json_t *)all, name, value)
	{
		printf(SIMULATE_LABEL "%s %s\n", first ? label : "", name,
			json_string_value(value));
		first = 0;
	}
}

/* What there is nothing to be told of has no line. */
static void
print_text(const struct simulation *s, json_t *all)
{
	const char *line = json_string_value(json_object_get(all, "line"));

	simulate_print_all("way", s->way);
	if (s->mailbox.path)
		print_mailbox(&s->mailbox);
	if (s->quotad[0])
		printf(SIMULATE_LABEL "%s\n", "quotad", s->quotad);
	printf(SIMULATE_LABEL "%s\n", "verdict", verdict_name(s->outcome.verdict));
	printf(SIMULATE_LABEL "%d\n", "exit_status",
		verdict_exit_status(s->outcome.verdict));
	if (line && *line)
		printf(SIMULATE_LABEL "%s\n", "line", line);
	simulate_print_all("note", s->notes);
	simulate_print_all("dsn", json_object_get(all, "dsn"));
}

int
brimadm_simulate(struct brimadm *a, int argc, char **argv)
{
	struct simulation s = {.a = a, .size = 0};
	const char *stage = a->option[OPTION_STAGE];
	json_t *all;

	(void)argc;
	if (a->option[OPTION_SIZE] &&
		amount_size(a->option[OPTION_SIZE], &s.size, &a->why))
		return tool_fail(TOOL_USAGE, "--size: %s", a->why.text);
	if (stage && strcmp(stage, "delivery") != 0)
		return simulate_stage(a, argv[0], stage, s.size);
	s.way = json_array();
	s.notes = json_array();
	simulate(&s, argv[0]);
	all = as_json(&s);
	if (a->option[OPTION_JSON]) {
		tool_json_print(all);
	} else {
		print_text(&s, all);
		json_decref(all);
	}
	json_decref(s.way);
	json_decref(s.notes);
	mailbox_clear(&s.mailbox);
	if (s.outcome.verdict == VERDICT_DELIVERED)
		return TOOL_OK;
	return verdict_exit_status(s.outcome.verdict) == 75 ? TOOL_CANT : TOOL_NO;
}
