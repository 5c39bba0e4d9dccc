/*
 * Requests. Each of the table's functions ends in an answer or in ledger_ask, after which
 * the request may be gone already.
 *
 * Whoever may not ask about a mailbox hears the same about any name, in the table or not.
 * What is not known here (a recipient, say: this table may be a moment older than lda's)
 * is 4.3.0, never a refusal.
 */
#include "line.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amount.h"
#include "clock.h"
#include "explain.h"
#include "mailbox.h"
#include "record.h"

#define WORDS_MAX      5   /* of a line; one more than any request has */
#define RECORDS_A_TURN 500 /* of a list */
#define NUMBERS_SIZE   (3 * ADDRESS_MAX + 400)

#define FORBIDDEN "ERR 4.7.0 not yours to ask about"

enum who { ANYONE, TRUSTED };

struct command {
	const char *word;
	int least, most; /* arguments */
	enum who who;    /* ANYONE: about mailboxes of its own uid */
	int tells_all;   /* yes says no, too */
	void (*perform)(struct server *v, struct request *r, char **argument);
	/* says yes, for the ledger; NULL where it is not asked */
	void (*yes)(struct server *v, struct request *r, const struct ledger_answer *a);
	const char *usage;
};

/* --- answers ---------------------------------------------------------------------- */

/* The request itself is at fault. */
static void
malformed(struct request *r, const char *text)
{
	session_fault(r);
	session_answer(r, "ERR 4.5.2 %s", text);
}

static void
trouble(struct request *r, const char *text)
{
	session_answer(r, "ERR %s %s", verdict_code(VERDICT_TROUBLE), text);
}

static void
refuse(struct request *r, const struct outcome *o)
{
	char line[VERDICT_LINE_MAX + 1];
	size_t length = outcome_line(o, line);

	line[length > 0 ? length - 1 : 0] = '\0'; /* its line's end */
	session_answer(r, "NO %s %s", verdict_name(o->verdict), line);
}

static uint64_t
percent(uint64_t n, uint64_t limit)
{
	unsigned __int128 result = limit ? (unsigned __int128)n * 100 / limit : 0;

	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

/* "mailbox=... used=..." into TEXT, NUMBERS_SIZE bytes; the numbers of a mailbox that is
 * not KNOWN are absent, and so is the state of one that is enabled. */
static void
show_numbers(char *text, const char *escaped, const struct ledger_numbers *n,
	const struct request *r, int known)
{
	static const char *const states[] = {[MAILBOX_DISABLED] = " state=disabled",
		[MAILBOX_SUSPENDED] = " state=suspended",
		[MAILBOX_MOVED] = " state=moved"};
	const struct ledger_limits *limits = &r->limits;
	uint64_t bytes = percent(n->used, limits->bytes),
		 messages = percent(n->messages, limits->messages);
	int at = snprintf(text, NUMBERS_SIZE, "mailbox=%s", escaped);

	if (known)
		at += snprintf(text + at, NUMBERS_SIZE - (size_t)at,
			" used=%" PRIu64 " messages=%" PRIu64, n->used, n->messages);
	at += snprintf(text + at, NUMBERS_SIZE - (size_t)at,
		" limit=%" PRIu64 " message_limit=%" PRIu64 " reserved=%" PRIu64
		" tickets=%" PRIu64,
		limits->bytes, limits->messages, n->reserved, n->tickets);
	if (known && (limits->bytes || limits->messages))
		at += snprintf(text + at, NUMBERS_SIZE - (size_t)at, " percent=%" PRIu64,
			bytes > messages ? bytes : messages);
	if (n->full_for)
		at += snprintf(text + at, NUMBERS_SIZE - (size_t)at, " full_for=%" PRIu64,
			n->full_for);
	if (r->state != MAILBOX_ENABLED)
		snprintf(text + at, NUMBERS_SIZE - (size_t)at, "%s", states[r->state]);
}

static void
set_outcome(struct outcome *o, const struct ledger_answer *answer)
{
	if (answer->text != NULL)
		outcome_set(o, answer->verdict, "%s", answer->text);
	else
		outcome_set(o, answer->verdict, NULL);
}

static void
say_ok(struct server *v, struct request *r, const struct ledger_answer *a)
{
	(void)v;
	(void)a;
	session_answer(r, "OK");
}

static void
say_ticket(struct server *v, struct request *r, const struct ledger_answer *a)
{
	(void)v;
	session_answer(r, "OK ticket=%" PRIu64, a->ticket);
}

static void
say_recounted(struct server *v, struct request *r, const struct ledger_answer *a)
{
	struct ledger_numbers n;

	ledger_numbers(v->ledger, r->account, &n);
	session_answer(r, "OK used=%" PRIu64 " was=%" PRIu64, n.used, a->was);
}

static void
say_numbers(struct server *v, struct request *r, const struct ledger_answer *a)
{
	char text[NUMBERS_SIZE], *escaped = record_escape(ledger_name(r->account));
	struct ledger_numbers n;

	(void)a;
	if (escaped == NULL) {
		trouble(r, "no memory");
		return;
	}
	ledger_numbers(v->ledger, r->account, &n);
	show_numbers(text, escaped, &n, r, 1);
	free(escaped);
	session_answer(r, "OK %s", text);
}

/* --- who asks about what ---------------------------------------------------------- */

static void
take_limits(struct request *r, const struct mailbox *m)
{
	r->limits.bytes = m->quota;
	r->limits.messages = m->messages;
	r->limits.over_quota = m->over_quota;
	r->state = m->state;
}

/* A delivery hears 4.3.0 of a recipient that is not in this table: lda has the say. */
static void
not_found(struct request *r, const struct outcome *o, const char *unknown)
{
	const char *code = verdict_code(o->verdict);

	if (!peer_is_trusted(session_peer(r)))
		session_answer(r, FORBIDDEN);
	else
		session_answer(r, "ERR %s %s",
			o->verdict == VERDICT_NO_SUCH_USER ? unknown : code, o->text);
}

/* The mailbox of the recipient, its account and its limits: 0 with *m, which the caller
 * clears; or -1, and the request is answered. UNKNOWN is the code for no such user. */
static int
find(struct server *v, struct request *r, const char *recipient, const char *unknown,
	struct mailbox *m)
{
	struct users *users = users_reload_table(v->users);
	struct outcome o;

	if (users == NULL) {
		trouble(r, "no user table could be read yet");
		return -1;
	}
	if (mailbox_find(m, users, &v->conf, recipient, &o) == -1) {
		not_found(r, &o, unknown);
		return -1;
	}
	if (!peer_may_ask(session_peer(r), m->uid)) {
		session_answer(r, FORBIDDEN);
	} else if ((r->account = ledger_account(v->ledger, m->key)) == NULL) {
		trouble(r, "no memory");
	} else {
		take_limits(r, m);
		return 0;
	}
	mailbox_clear(m);
	return -1;
}

static void
ask(struct server *v, struct request *r, enum ledger_kind kind, uint64_t bytes,
	const char *name)
{
	const struct ledger_request q = {
		.kind = kind,
		.account = r->account,
		.connection = session_connection(r),
		.limits = r->limits,
		.bytes = bytes,
		.name = name,
		.cookie = r,
	};

	ledger_ask(v->ledger, &q);
}

/* --- room ------------------------------------------------------------------------- */

/* Of the user, or (orphans are nobody's any more) for the mailbox. */
static int
has_too_many(const struct server *v, struct request *r)
{
	const struct peer *peer = session_peer(r);
	uint64_t limit = peer_ticket_limit(v->peers, peer);
	struct ledger_numbers n;

	ledger_numbers(v->ledger, r->account, &n);
	return peer_tickets(peer) >= limit || n.tickets >= limit;
}

/* What the record alone says, and then the ledger. */
static void
ask_for_room(struct server *v, struct request *r, enum ledger_kind kind, char **argument,
	const char *name)
{
	struct mailbox m;
	struct outcome o;
	uint64_t bytes;

	if (amount_count(argument[1], &bytes, NULL) == -1) {
		malformed(r, "the size must be a number of bytes");
		return;
	}
	if (find(v, r, argument[0], verdict_code(VERDICT_TROUBLE), &m) == -1)
		return;
	if (mailbox_policy(&m, &v->conf, bytes, &o) == -1)
		refuse(r, &o);
	else if (kind == LEDGER_RESERVE && has_too_many(v, r))
		trouble(r, "too many deliveries at once");
	else
		ask(v, r, kind, bytes, name);
	mailbox_clear(&m);
}

/* CHECK <recipient> <bytes> [<sender>] */
static void
check(struct server *v, struct request *r, char **argument)
{
	ask_for_room(v, r, LEDGER_CHECK, argument, NULL);
}

/* A plain file name, as a message in a Maildir has it; NULL where it is none. */
static const char *
message_name(const char *field)
{
	static const char label[] = "name=";
	const char *name = field + sizeof label - 1;

	if (strncmp(field, label, sizeof label - 1) != 0)
		return NULL;
	if (*name == '\0' || *name == '.' || strlen(name) > 255)
		return NULL;
	return strpbrk(name, "/:\n") == NULL ? name : NULL;
}

/* RESERVE <recipient> <bytes> name=<basename> */
static void
reserve(struct server *v, struct request *r, char **argument)
{
	const char *name = message_name(argument[2]);

	if (name == NULL)
		malformed(r, "name= must be the name of a message's file");
	else
		ask_for_room(v, r, LEDGER_RESERVE, argument, name);
}

/* COMMIT <ticket> */
static void
commit(struct server *v, struct request *r, char **argument)
{
	struct ledger_numbers n;
	struct account *a;
	uint64_t ticket;

	if (amount_count(argument[0], &ticket, NULL) == -1) {
		malformed(r, "a ticket is a number");
		return;
	}
	if (ledger_commit(v->ledger, session_connection(r), ticket, &a) == -1) {
		trouble(r, "this connection has no such ticket");
		return;
	}
	ledger_numbers(v->ledger, a, &n);
	session_answer(r, "OK used=%" PRIu64, n.used);
}

/* CANCEL <ticket> */
static void
cancel(struct server *v, struct request *r, char **argument)
{
	uint64_t ticket;

	if (amount_count(argument[0], &ticket, NULL) == -1)
		malformed(r, "a ticket is a number");
	else if (ledger_cancel(v->ledger, session_connection(r), ticket) == -1)
		trouble(r, "this connection has no such ticket");
	else
		session_answer(r, "OK");
}

/* --- questions -------------------------------------------------------------------- */

static void
look(struct server *v, struct request *r, enum ledger_kind kind, const char *recipient)
{
	struct mailbox m;

	if (find(v, r, recipient, "4.1.1", &m) == -1)
		return;
	mailbox_clear(&m);
	ask(v, r, kind, 0, NULL);
}

/* GET <recipient> */
static void
get(struct server *v, struct request *r, char **argument)
{
	look(v, r, LEDGER_GET, argument[0]);
}

/* The last line: what the next message would get. */
static void
say_next(struct server *v, struct request *r, const struct outcome *o)
{
	char *text = record_escape(o->text);
	struct ledger_numbers n;

	ledger_numbers(v->ledger, r->account, &n);
	if (text == NULL)
		trouble(r, "no memory");
	else
		session_answer(r,
			"%sOK next=%s code=%s text=%s used=%" PRIu64 " messages=%" PRIu64,
			r->lines, verdict_name(o->verdict), verdict_code(o->verdict),
			text, n.used, n.messages);
	free(text);
}

static void
say_explained(struct server *v, struct request *r, const struct ledger_answer *a)
{
	struct outcome o;

	set_outcome(&o, a);
	say_next(v, r, &o);
}

/* EXPLAIN <recipient> [<bytes>]: what the ledger holds, as it is before the question what
 * the next message would get makes it look at the mailbox. */
static void
explain(struct server *v, struct request *r, char **argument)
{
	struct mailbox m;
	struct outcome o;
	uint64_t bytes = 1;

	if (argument[1] != NULL && amount_count(argument[1], &bytes, NULL) == -1) {
		malformed(r, "the size must be a number of bytes");
		return;
	}
	if (find(v, r, argument[0], "4.1.1", &m) == -1)
		return;
	ledger_clock(v->ledger, clock_now_ms());
	r->lines = explain_lines(v->ledger, r->account, &r->limits);
	if (r->lines == NULL)
		trouble(r, "no memory");
	else if (mailbox_policy(&m, &v->conf, bytes, &o) == -1)
		say_next(v, r, &o);
	else
		ask(v, r, LEDGER_EXPLAIN, bytes, NULL);
	mailbox_clear(&m);
}

/* RECOUNT <mailbox> */
static void
recount(struct server *v, struct request *r, char **argument)
{
	look(v, r, LEDGER_RECOUNT, argument[0]);
}

static uint64_t
resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t all, resident = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%" SCNu64 " %" SCNu64, &all, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
write_statistics(const struct server *v, FILE *to)
{
	const struct ledger_totals *t = ledger_totals(v->ledger);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"accounts", t->accounts},
		{"tickets", t->tickets},
		{"orphans", t->orphans},
		{"waiting", t->waiting},
		{"granted", t->granted},
		{"refused", t->refused},
		{"later", t->later},
		{"committed", t->committed},
		{"cancelled", t->cancelled},
		{"counts", t->counts},
		{"inexact_counts", t->inexact_counts},
		{"probes", t->probes},
		{"corrected", t->corrected},
		{"connections", peers_connections(v->peers)},
		{"uptime", (clock_now_ms() - v->started_ms) / 1000},
		{"rss", resident_bytes()},
	};

	fprintf(to, "* version=%s\n* users_table=%s\n* store=%s\n", SERVER_VERSION,
		users_reload_identity(v->users),
		usage_on_disk(v->usage) ? "disk" : "memory");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		fprintf(to, "* %s=%" PRIu64 "\n", rows[i].name, rows[i].value);
	fprintf(to, "OK");
}

/* STATS. Whoever has changed the table asks until it has been taken: so look at once. */
static void
stats(struct server *v, struct request *r, char **argument)
{
	char *text = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);

	(void)argument;
	users_reload_look(v->users);
	if (to != NULL)
		write_statistics(v, to);
	if (to == NULL || fclose(to) != 0)
		trouble(r, "no memory");
	else
		session_answer(r, "%s", text);
	free(text);
}

/* --- lists ------------------------------------------------------------------------ */

/* LIST [<pattern>]: the table from its first key on, a piece at each of the request's
 * turns. Only the key is kept in between, so that a long list needs no memory, and a
 * table that is replaced meanwhile is no harm. */
static void
list(struct server *v, struct request *r, char **argument)
{
	(void)v;
	r->pattern = strdup(argument[0] ? argument[0] : "*");
	r->last = calloc(1, ADDRESS_MAX + 1);
	if (r->pattern == NULL || r->last == NULL)
		trouble(r, "no memory");
	else
		r->streams = 1;
}

struct piece {
	struct server *v;
	struct request *r;
	int records;
};

static int
read_mailbox(struct server *v, struct mailbox *m, const struct record *record)
{
	struct users *users = users_reload_table(v->users);
	const char *at = strchr(record->key, '@');
	struct record domain = {0};
	struct reason why;
	int result;

	if (at != NULL && users_get(users, at, &domain, &why) == -1)
		return -1;
	result = mailbox_from_record(
		m, record, domain.key ? &domain : NULL, &v->conf, &why);
	record_clear(&domain);
	return result;
}

/* One line, without a count of what is not known. */
static void
list_mailbox(struct server *v, struct request *r, const struct mailbox *m)
{
	char text[NUMBERS_SIZE], line[NUMBERS_SIZE + 2], *escaped = record_escape(m->key);
	struct account *a = ledger_find(v->ledger, m->key);
	struct ledger_numbers n = {0};

	if (escaped == NULL)
		return;
	take_limits(r, m);
	if (a != NULL)
		ledger_numbers(v->ledger, a, &n);
	show_numbers(text, escaped, &n, r, n.known);
	snprintf(line, sizeof line, "* %s", text);
	session_part(r, line);
	r->listed++;
	free(escaped);
}

static int
list_record(void *arg, const struct record *record)
{
	struct piece *p = arg;
	struct mailbox m;

	if (p->records++ == RECORDS_A_TURN)
		return 1;
	if (mailbox_kind_of(record) == MAILBOX_KIND_MAILBOX &&
		fnmatch(p->r->pattern, record->key, 0) == 0 &&
		read_mailbox(p->v, &m, record) == 0) {
		list_mailbox(p->v, p->r, &m);
		mailbox_clear(&m);
	}
	snprintf(p->r->last, ADDRESS_MAX + 1, "%s", record->key);
	return 0;
}

void
requests_continue(struct server *v, struct request *r)
{
	struct users *users = users_reload_table(v->users);
	struct piece p = {.v = v, .r = r};
	struct reason why;
	int more;

	if (users == NULL) {
		trouble(r, "there is no user table at the moment");
		return;
	}
	more = users_each(users, r->last, list_record, &p, &why);
	if (more == -1)
		trouble(r, why.text);
	else if (more == 0)
		session_answer(r, "OK count=%" PRIu64, r->listed);
}

/* --- the table -------------------------------------------------------------------- */

static const struct command commands[] = {
	{"CHECK", 2, 3, ANYONE, 0, check, say_ok, "CHECK <recipient> <bytes> [<sender>]"},
	{"RESERVE", 3, 3, ANYONE, 0, reserve, say_ticket,
		"RESERVE <recipient> <bytes> name=<basename>"},
	{"COMMIT", 1, 1, ANYONE, 0, commit, NULL, "COMMIT <ticket>"},
	{"CANCEL", 1, 1, ANYONE, 0, cancel, NULL, "CANCEL <ticket>"},
	{"GET", 1, 1, ANYONE, 0, get, say_numbers, "GET <recipient>"},
	{"LIST", 0, 1, TRUSTED, 0, list, NULL, "LIST [<pattern>]"},
	{"RECOUNT", 1, 1, ANYONE, 0, recount, say_recounted, "RECOUNT <mailbox>"},
	{"EXPLAIN", 1, 2, TRUSTED, 1, explain, say_explained,
		"EXPLAIN <recipient> [<bytes>]"},
	{"STATS", 0, 0, TRUSTED, 0, stats, NULL, "STATS"},
};

static const struct command *
find_command(const char *word)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].word, word) == 0)
			return &commands[i];
	return NULL;
}

/* Splits the line at its spaces and decodes the words: their number, or -1 where there
 * are too many, an empty one, or one that is not well written. */
static int
split(char *line, char *words[WORDS_MAX + 1])
{
	int count = 0;
	char *word;

	while ((word = strsep(&line, " ")) != NULL) {
		if (count == WORDS_MAX || *word == '\0' || record_unescape(word) == -1)
			return -1;
		words[count++] = word;
	}
	words[count] = NULL;
	return count;
}

static int
is_printable(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			return 0;
	return 1;
}

/* Who may say the word at all; about which mailbox is for find() to say. */
static int
may_say(const struct command *c, const struct peer *peer)
{
	if (peer_is_nobody(peer))
		return 0;
	return c == NULL || c->who == ANYONE || peer_is_trusted(peer);
}

void
requests_perform(struct server *v, struct request *r, char *line, size_t length)
{
	char *words[WORDS_MAX + 1];
	int arguments = is_printable(line, length) ? split(line, words) - 1 : -1;
	const struct command *c = arguments >= 0 ? find_command(words[0]) : NULL;

	r->command = c;
	if (!may_say(c, session_peer(r)))
		session_answer(r, FORBIDDEN);
	else if (arguments < 0)
		malformed(r, "not a request: words with one space between, other bytes "
			     "as %XX");
	else if (c == NULL)
		malformed(r, "no such request");
	else if (arguments < c->least || arguments > c->most)
		malformed(r, c->usage);
	else
		c->perform(v, r, words + 1);
}

/* --- what the ledger says --------------------------------------------------------- */

void
requests_answered(struct server *v, struct request *r, const struct ledger_answer *answer)
{
	struct outcome o;

	if (answer->verdict == VERDICT_DELIVERED || r->command->tells_all) {
		r->command->yes(v, r, answer);
		return;
	}
	set_outcome(&o, answer);
	if (answer->verdict == VERDICT_TROUBLE)
		trouble(r, o.text);
	else
		refuse(r, &o);
}

void
requests_clear(struct request *r)
{
	free(r->pattern);
	free(r->last);
	free(r->lines);
}
