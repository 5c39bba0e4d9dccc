/*
 * The ledger in a storm: ldas with time-outs and second attempts, an IMAP server that
 * moves and deletes, counts that read while all that goes on, kills, restarts, boots and
 * lost stores, and an administrator who changes table and settings meanwhile: limits,
 * places, owners, aliases, names, directories, quota_ignore, deadline. In random order.
 *
 * After each step: never over the limit, nothing uncharged; at each refusal: there really
 * was no room; in the end: each number is the files, no ticket is left anywhere, and all
 * room can be had again.
 *
 * STORM_SEED repeats a run, STORM_RUNS asks for more than the 3000 of a test,
 * STORM_SECONDS for as many as fit into that time, and STORM_TRACE tells each step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quotad/ledger/ledger.h"
#include "suite.h"

enum { KEYS = 3, PLACES = 4, LDAS = 6, CONNECTIONS = 400, FILES = 420 };
enum { TICKETS = 1000, STEPS = 500, TICKET_LIMIT = 3 };
enum { DEADLINE = 300000, SHORT_DEADLINE = 60000, ANSWER = 7500 };

enum lda_state { ENDED, WAITS, GRANTED, LINKED };

enum message { RESERVE, COMMIT, CANCEL, HANG_UP };

/* A record of the user table: nothing, an alias of a key, or a mailbox. */
struct entry {
	enum { NOTHING, ALIAS, MAILBOX } kind;
	int target, path, owner, disabled;
	uint64_t limit; /* 0: none */
};

struct table {
	struct entry entries[KEYS];
};

struct connection {
	struct ledger_connection ledger;
	enum message queue[4];
	int queued, lda, open, asking; /* open: at the daemon's end */
	int owns;                      /* a ticket, about which a refusal waits */
	char name[16];                 /* what its RESERVE says */
	uint64_t bytes;
	struct ledger_place place;
	int key, directory;
	int account; /* of its ticket */
	uint64_t ticket;
	struct ledger_answer answer;
	int answered;
};

static struct world {
	struct ledger *ledger;
	uint64_t now, next_number, held_until;
	int at_rest;
	struct table table, taken; /* as brimadm made it, and as quotad has it */
	uint64_t deadline, rules;  /* of the settings; 1: what is in Trash counts */
	uint64_t ldas_until;       /* those of a longer deadline that there was */
	struct ledger_rules in_force;
	struct lda {
		enum lda_state state;
		char name[16];
		uint64_t bytes, started, deadline;
		int key, directory, connection, attempts;
		struct ledger_place place;
	} ldas[LDAS];
	struct connection connections[CONNECTIONS];
	int connection_count;
	/* what each path leads to, and what was said of it at the last grant there */
	int leads_to[PLACES];
	struct directory {
		uint64_t stamp, limit, rules;
		int has_lost; /* a message, which its COMMIT may bring into a number */
	} directories[PLACES];
	struct file {
		char name[16];
		uint64_t bytes;
		int there, directory, in_cur, in_trash;
		unsigned seen, probed; /* by which accounts' */
	} files[FILES];
	int file_count;
	/* what the scanner does for each account */
	struct look {
		enum { IDLE, BEGUN, READ_NEW, READ_CUR, CHECKED } count;
		int exact, directory, probing, counted;
		uint64_t stamp, rules, probed_bytes;
	} looks[KEYS];
	struct kept {
		int is_kept;
		struct ledger_numbers numbers;
	} stored[KEYS];
	struct kept_ticket {
		int key;
		char name[16];
		uint64_t bytes, path, directory;
	} tickets[TICKETS];
	int ticket_count;
	char granted[16]; /* the name of the ticket that was saved last, a new one */
	unsigned long refusals, grants;
} w;

static unsigned long long seed, run_seed; /* run_seed repeats the run that failed */

#define CHECK_OR_TELL(condition, format, ...)                                            \
	ck_assert_msg(condition, format " (STORM_SEED=%llu)", __VA_ARGS__, run_seed)

#define NUMBER(n) ((unsigned long long)(n))

static int tells; /* each step, for who looks for the reason of a failure */

#define TELL(...) (tells ? (void)fprintf(stderr, __VA_ARGS__) : (void)0)

static unsigned
roll(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

static const char *const keys[KEYS] = {"alice", "bob", "carol"};

static int
key_of(const struct account *a)
{
	for (int i = 0; i < KEYS; i++)
		if (strcmp(keys[i], ledger_name(a)) == 0)
			return i;
	ck_abort_msg("an account of no key: %s", ledger_name(a));
}

static struct ledger_place
place_of(const struct entry *e)
{
	return (struct ledger_place){
		.path = 1000 + (uint64_t)e->path, .owner = 5000 + (uint64_t)e->owner};
}

static int
is_same(struct ledger_place a, struct ledger_place b)
{
	return a.path == b.path && a.owner == b.owner;
}

/* The entry that the key leads to, or NULL. */
static const struct entry *
look_in(const struct table *t, int key, int *found)
{
	const struct entry *e = &t->entries[key];

	if (e->kind == ALIAS) {
		key = e->target;
		e = &t->entries[key];
	}
	*found = key;
	return e->kind == MAILBOX ? e : NULL;
}

static uint64_t
bytes_in(int directory, uint64_t trash_counts)
{
	uint64_t bytes = 0;

	for (int i = 0; i < w.file_count; i++)
		if (w.files[i].there && w.files[i].directory == directory &&
			(trash_counts || !w.files[i].in_trash))
			bytes += w.files[i].bytes;
	return bytes;
}

/* --- the ledger's neighbours ------------------------------------------------------ */

/* Bytes of tickets whose lda is alive and whose file wasn't there when the last probe
 * looked: no refusal can know what was removed since. */
static uint64_t live;
static int live_key;

static int
was_probed(const char *name)
{
	for (int i = 0; i < w.file_count; i++)
		if (w.files[i].probed & 1U << live_key &&
			strcmp(w.files[i].name, name) == 0)
			return 1;
	return 0;
}

static void
add_if_live(void *arg, const struct ledger_ticket *t)
{
	(void)arg;
	for (int i = 0; i < LDAS; i++)
		if (w.ldas[i].state != ENDED && strcmp(w.ldas[i].name, t->name) == 0 &&
			!was_probed(t->name))
			live += t->bytes;
}

static void
justify(const struct connection *c, const struct ledger_answer *answer)
{
	uint64_t limit = w.taken.entries[c->account].limit;
	uint64_t found = w.looks[c->account].probed_bytes;

	w.refusals++;
	live = 0;
	live_key = c->account;
	ledger_show_tickets(
		w.ledger, ledger_find(w.ledger, keys[c->account]), add_if_live, NULL);
	CHECK_OR_TELL(limit, "full without a limit: %s", keys[c->account]);
	if (answer->verdict == VERDICT_FULL)
		CHECK_OR_TELL(found + c->bytes > limit, "false full: %llu + %llu > %llu",
			NUMBER(found), NUMBER(c->bytes), NUMBER(limit));
	else if (answer->text)
		CHECK_OR_TELL(found + live + c->bytes > limit,
			"false full for now: %llu + %llu + %llu > %llu", NUMBER(found),
			NUMBER(live), NUMBER(c->bytes), NUMBER(limit));
}

/* A ticket taken over needs no room, and rests on no limit. */
static void
note_grant(const struct connection *c)
{
	struct directory *d = &w.directories[c->directory];

	w.grants++;
	if (strcmp(w.granted, c->name) == 0) {
		d->limit = w.taken.entries[c->account].limit;
		d->rules = w.in_force.counting;
	}
	w.granted[0] = '\0';
}

static struct kept_ticket *
find_kept(int key, const char *name)
{
	for (int i = 0; i < w.ticket_count; i++)
		if ((key < 0 || w.tickets[i].key == key) &&
			strcmp(w.tickets[i].name, name) == 0)
			return &w.tickets[i];
	return NULL;
}

/* An lda that asks again is never refused its own ticket. */
static void
check_trouble(const struct connection *c, const struct ledger_answer *answer)
{
	const struct lda *d = &w.ldas[c->lda];

	if (d->state == WAITS && &w.connections[d->connection] == c && answer->text &&
		find_kept(c->account, c->name))
		CHECK_OR_TELL(!strstr(answer->text, "of that name") &&
				      !strstr(answer->text, "too many"),
			"%s is refused its ticket: %s", c->name, answer->text);
}

static void
take_answer(void *arg, void *cookie, const struct ledger_answer *answer)
{
	struct connection *c = cookie;

	(void)arg;
	c->answered = 1;
	c->asking = 0;
	c->answer = *answer;
	c->ticket = answer->ticket;
	TELL("%s gets %s %s for %s\n", c->name, verdict_name(answer->verdict),
		answer->text ? answer->text : "", keys[c->account]);
	if (answer->verdict == VERDICT_FULL || answer->verdict == VERDICT_FULL_FOR_NOW)
		justify(c, answer);
	else if (answer->verdict == VERDICT_DELIVERED)
		note_grant(c);
	else
		check_trouble(c, answer);
}

static void
begin_count(void *arg, struct account *a, int thorough)
{
	int key = key_of(a), found;
	const struct entry *e = look_in(&w.taken, key, &found);
	struct look *look = &w.looks[key];

	(void)arg;
	(void)thorough;
	ck_assert_int_eq(look->count, IDLE);
	TELL("a count of %s begins\n", keys[key]);
	look->count = BEGUN;
	look->rules = w.in_force.counting;
	look->directory = e && found == key ? w.leads_to[e->path] : -1;
	if (look->directory >= 0)
		look->stamp = w.directories[look->directory].stamp;
	for (int i = 0; i < w.file_count; i++)
		w.files[i].seen &= ~(1U << key);
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	w.looks[key_of(a)].probing = 1;
}

static int
save_account(void *arg, struct account *a)
{
	struct kept *kept = &w.stored[key_of(a)];

	(void)arg;
	kept->is_kept = 1;
	ledger_numbers(w.ledger, a, &kept->numbers);
	return 0;
}

static int
save_ticket(void *arg, struct account *a, const struct ledger_ticket *t)
{
	struct kept_ticket *kept = &w.tickets[w.ticket_count];

	(void)arg;
	ck_assert_int_lt(w.ticket_count, TICKETS);
	ck_assert_ptr_null(find_kept(key_of(a), t->name));
	if (!find_kept(-1, t->name))
		strcpy(w.granted, t->name);
	kept->key = key_of(a);
	strcpy(kept->name, t->name);
	kept->bytes = t->bytes;
	kept->path = t->path;
	kept->directory = t->directory;
	w.ticket_count++;
	TELL("ticket %s of %s is saved, place %llu\n", t->name, ledger_name(a),
		NUMBER(t->path));
	return 0;
}

static void
remove_ticket(void *arg, struct account *a, const char *name)
{
	struct kept_ticket *kept = find_kept(key_of(a), name);

	(void)arg;
	TELL("ticket %s of %s is removed\n", name, ledger_name(a));
	if (kept)
		*kept = w.tickets[--w.ticket_count];
}

static void
corrected(void *arg, struct account *a, uint64_t was, uint64_t now)
{
	(void)arg;
	(void)a;
	ck_assert_uint_ne(was, now);
}

static int
look_up(void *arg, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits)
{
	int key = key_of(a), found;
	const struct entry *e = look_in(&w.taken, key, &found);

	(void)arg;
	if (!e || found != key)
		return -1;
	*place = place_of(e);
	*limits = (struct ledger_limits){.bytes = e->limit};
	return 0;
}

static int
is_removed(void *arg, const struct account *a)
{
	(void)arg;
	return w.taken.entries[key_of(a)].kind != MAILBOX;
}

static void
remove_account(void *arg, struct account *a)
{
	(void)arg;
	TELL("%s is forgotten\n", ledger_name(a));
	w.stored[key_of(a)].is_kept = 0;
}

static const struct ledger_calls calls = {
	.answer = take_answer,
	.count = begin_count,
	.probe = begin_probe,
	.save_account = save_account,
	.save_ticket = save_ticket,
	.remove_ticket = remove_ticket,
	.corrected = corrected,
	.look_up = look_up,
	.is_removed = is_removed,
	.remove_account = remove_account,
};

/* --- ldas ------------------------------------------------------------------------- */

static void
send_message(int connection, enum message m)
{
	struct connection *c = &w.connections[connection];

	if (c->open)
		c->queue[c->queued++] = m;
}

static void
connect_and_reserve(int lda)
{
	struct connection *c = &w.connections[w.connection_count];
	struct lda *d = &w.ldas[lda];

	memset(c, 0, sizeof *c);
	ledger_connect(&c->ledger, ++w.next_number);
	c->lda = lda;
	c->open = 1;
	c->key = d->key;
	c->place = d->place;
	c->directory = d->directory;
	c->bytes = d->bytes;
	strcpy(c->name, d->name);
	d->connection = w.connection_count++;
	d->state = WAITS;
	d->attempts++;
	send_message(d->connection, RESERVE);
	TELL("%s reserves %llu in %s, place %llu\n", d->name, NUMBER(d->bytes),
		keys[d->key], NUMBER(d->place.path));
}

static void
lda_ends(struct lda *d)
{
	TELL("%s ends\n", d->name);
	send_message(d->connection, HANG_UP);
	d->state = ENDED;
}

/* It reads table and settings, and opens the directory. */
static void
lda_begins(int lda)
{
	static int names;
	struct lda *d = &w.ldas[lda];
	const struct entry *e = look_in(&w.table, (int)roll(KEYS), &d->key);

	if (w.connection_count == CONNECTIONS || w.file_count == FILES)
		return;
	if (!e || e->disabled)
		return;
	snprintf(d->name, sizeof d->name, "m%d", ++names);
	d->bytes = 1 + roll(roll(4) ? 30 : 90);
	d->place = place_of(e);
	d->directory = w.leads_to[e->path];
	d->started = w.now;
	d->deadline = w.deadline;
	d->attempts = 0;
	connect_and_reserve(lda);
}

static void
lda_tries_again(int lda)
{
	send_message(w.ldas[lda].connection, HANG_UP);
	if (w.ldas[lda].attempts < 2 && w.connection_count < CONNECTIONS)
		connect_and_reserve(lda);
	else
		w.ldas[lda].state = ENDED;
}

static void
lda_links(struct lda *d)
{
	struct file *f = &w.files[w.file_count++];
	const struct directory *at = &w.directories[d->directory];
	uint64_t bytes;

	memset(f, 0, sizeof *f);
	strcpy(f->name, d->name);
	f->bytes = d->bytes;
	f->directory = d->directory;
	f->there = 1;
	w.directories[d->directory].stamp++;
	d->state = LINKED;
	TELL("%s is linked\n", d->name);
	bytes = bytes_in(d->directory, at->rules);
	CHECK_OR_TELL(!at->limit || bytes <= at->limit,
		"over the limit: %s makes directory %d %llu of %llu", d->name,
		d->directory, NUMBER(bytes), NUMBER(at->limit));
}

static void
lda_goes_on(int lda)
{
	struct lda *d = &w.ldas[lda];
	struct connection *c = &w.connections[d->connection];

	if (d->state == ENDED) {
		lda_begins(lda);
	} else if (d->state == GRANTED) {
		if (w.file_count < FILES && roll(2))
			lda_links(d); /* whatever has become of the daemon meanwhile */
	} else if (d->state == LINKED) {
		send_message(d->connection, COMMIT);
		lda_ends(d);
	} else if (d->state == WAITS && !c->answered) {
		if (!c->open || roll(8) == 0)
			lda_tries_again(lda);
	} else if (d->state == WAITS && c->answer.verdict != VERDICT_DELIVERED) {
		lda_ends(d);
	} else if (!c->open || roll(12) == 0) {
		lda_tries_again(lda); /* or its patience ended just before the answer */
	} else if (roll(10) == 0) {
		send_message(d->connection, CANCEL);
		lda_ends(d);
	} else {
		d->state = GRANTED;
	}
}

/* --- the daemon's end ------------------------------------------------------------- */

static void
refuse(struct connection *c)
{
	c->answered = 1;
	c->asking = 0;
	c->answer = (struct ledger_answer){.verdict = VERDICT_TROUBLE};
}

/* As room.c does it: what the record says by itself, and the limit of tickets. */
static void
reserve(struct connection *c)
{
	const struct entry *e = look_in(&w.taken, c->key, &c->account);
	struct ledger_request r = {.kind = LEDGER_RESERVE,
		.connection = &c->ledger,
		.bytes = c->bytes,
		.name = c->name,
		.place = c->place,
		.cookie = c};
	struct ledger_numbers n;

	if (!e || e->disabled || !is_same(place_of(e), c->place)) {
		refuse(c);
		return;
	}
	c->asking = 1;
	r.account = ledger_account(w.ledger, keys[c->account]);
	r.limits = (struct ledger_limits){.bytes = e->limit, .orphans = TICKET_LIMIT};
	ledger_bind(w.ledger, r.account, place_of(e));
	ledger_numbers(w.ledger, r.account, &n);
	if (n.tickets - n.orphans >= TICKET_LIMIT &&
		!ledger_has_ticket(r.account, c->name))
		refuse(c);
	else
		ledger_ask(w.ledger, &r);
}

static void
execute(struct connection *c, enum message m)
{
	struct account *a;

	TELL("quotad reads %s of %s on %llu\n",
		(const char *const[]){"RESERVE", "COMMIT", "CANCEL", "EOF"}[m], c->name,
		NUMBER(c->ledger.number));
	switch (m) {
	case RESERVE:
		reserve(c);
		return;
	case COMMIT:
		ledger_commit(w.ledger, &c->ledger, c->ticket, &a);
		return;
	case CANCEL:
		ledger_cancel(w.ledger, &c->ledger, c->ticket);
		return;
	case HANG_UP:
		c->open = 0;
		ledger_forget(w.ledger, &c->ledger);
		ledger_disconnected(w.ledger, &c->ledger, 1);
	}
}

/* An lda that is gone may have taken its request with it. */
static void
read_one(struct connection *c)
{
	enum message m = c->queue[0];

	if (m == RESERVE && c->queued > 1 && roll(2)) {
		c->queued = 1;
		m = HANG_UP;
	}
	memmove(c->queue, c->queue + 1, sizeof c->queue - sizeof *c->queue);
	c->queued--;
	execute(c, m);
}

static void
read_all(void)
{
	for (int i = 0; i < w.connection_count; i++)
		while (w.connections[i].open && w.connections[i].queued)
			read_one(&w.connections[i]);
}

static void
read_some(void)
{
	unsigned i = w.connection_count ? roll((unsigned)w.connection_count) : 0;

	for (int k = 0; k < 8 && w.connection_count; k++, i++) {
		struct connection *c = &w.connections[i % (unsigned)w.connection_count];

		if (c->open && c->queued) {
			read_one(c);
			return;
		}
	}
}

static void
daemon_closes_one(void)
{
	struct connection *c;

	if (!w.connection_count)
		return;
	c = &w.connections[roll((unsigned)w.connection_count)];
	if (!c->open)
		return;
	TELL("quotad closes %s's connection\n", c->name);
	c->open = 0;
	c->queued = 0;
	ledger_forget(w.ledger, &c->ledger);
	ledger_disconnected(w.ledger, &c->ledger, 0);
}

static void
mark_owner(void *arg, struct ledger_connection *c)
{
	(void)arg;
	((struct connection *)c)->owns = 1; /* it is its first member */
}

static int
is_read(void *arg, struct ledger_connection *c)
{
	(void)arg;
	return ((struct connection *)c)->queued == 0;
}

/* Those that own tickets are read, now or next time, and no others. */
static void
settle(void)
{
	ledger_each_owner(w.ledger, mark_owner, NULL);
	for (int i = 0; i < w.connection_count; i++) {
		struct connection *c = &w.connections[i];

		while (c->owns && c->open && c->queued && roll(8))
			read_one(c);
		c->owns = 0;
	}
	ledger_settle(w.ledger, is_read, NULL);
}

static void
take_table(void)
{
	TELL("quotad takes the table\n");
	w.taken = w.table;
	ledger_table_changed(w.ledger);
}

/* As the store has it, over restarts. */
static void
note_deadline(void)
{
	uint64_t until = w.now + w.in_force.deadline_ms;

	if (w.deadline < w.in_force.deadline_ms && until > w.ldas_until)
		w.ldas_until = until;
}

static void
take_settings(void)
{
	TELL("quotad takes the settings: deadline %llu, rules %llu\n", NUMBER(w.deadline),
		NUMBER(w.rules));
	note_deadline();
	w.in_force.deadline_ms = w.deadline;
	w.in_force.counting = w.rules;
	ledger_set_rules(w.ledger, &w.in_force);
	ledger_table_changed(w.ledger);
}

enum start { AGAIN, WITHOUT_STORE, AFTER_BOOT };

static void
load_store(enum start how)
{
	for (int i = 0; i < KEYS; i++) {
		struct ledger_numbers *n = &w.stored[i].numbers;

		if (!w.stored[i].is_kept)
			continue;
		n->known = n->known && how == AGAIN;
		ledger_load(w.ledger, ledger_account(w.ledger, keys[i]), n);
	}
	for (int i = 0; i < w.ticket_count; i++) {
		const struct kept_ticket *kept = &w.tickets[i];
		const struct ledger_ticket t = {.name = kept->name,
			.bytes = kept->bytes,
			.path = kept->path,
			.directory = kept->directory,
			.state = how == AFTER_BOOT ? LEDGER_ENDED : LEDGER_UNSURE};

		ledger_load_ticket(
			w.ledger, ledger_account(w.ledger, keys[kept->key]), &t);
	}
}

static void
new_daemon(enum start how)
{
	w.taken = w.table;
	note_deadline();
	w.in_force = (struct ledger_rules){w.deadline, ANSWER, 80, w.rules};
	w.ledger = ledger_new(&calls, NULL, &w.in_force, w.now);
	for (int i = 0; i < KEYS; i++) {
		w.looks[i].count = IDLE;
		w.looks[i].probing = 0;
	}
	if (how == WITHOUT_STORE) {
		w.ticket_count = 0;
		memset(w.stored, 0, sizeof w.stored);
		w.held_until = w.now + DEADLINE;
	} else if (how == AFTER_BOOT) {
		w.held_until = 0;
	}
	if (w.now < w.ldas_until)
		ledger_expect_ldas(w.ledger, w.ldas_until - w.now);
	/* the mark of a lost store stays until the wait is over */
	if (w.now < w.held_until)
		ledger_hold(w.ledger);
	load_store(how);
}

static void
restart(enum start how)
{
	TELL("quotad starts, %d\n", how);
	ledger_free(&w.ledger);
	for (int i = 0; i < LDAS; i++)
		if (how == AFTER_BOOT)
			w.ldas[i].state = ENDED;
	for (int i = 0; i < w.connection_count; i++)
		w.connections[i].open = w.connections[i].queued = 0;
	new_daemon(how);
}

/* --- the administrator ------------------------------------------------------------ */

static int
is_free(int path)
{
	for (int i = 0; i < KEYS; i++)
		if (w.table.entries[i].kind == MAILBOX && w.table.entries[i].path == path)
			return 0;
	return 1;
}

/* A new mailbox, or another path for one; none if all are in use. */
static void
give_path(struct entry *e)
{
	int path = (int)roll(PLACES);

	for (int i = 0; i < PLACES; i++, path = (path + 1) % PLACES)
		if (is_free(path)) {
			if (e->kind != MAILBOX)
				*e = (struct entry){.kind = MAILBOX, .limit = 100};
			e->path = path;
			return;
		}
}

static void
alias_to(int key, int target)
{
	for (int i = 0; i < KEYS; i++)
		if (w.table.entries[i].kind == ALIAS && w.table.entries[i].target == key)
			return;
	if (w.table.entries[target].kind == MAILBOX)
		w.table.entries[key] = (struct entry){.kind = ALIAS, .target = target};
}

static void
swap_paths(struct entry *a, struct entry *b)
{
	int path = a->path;

	a->path = b->path;
	b->path = path;
}

/* What would lead nowhere goes, too. */
static void
remove_key(int key)
{
	w.table.entries[key] = (struct entry){.kind = NOTHING};
	for (int i = 0; i < KEYS; i++)
		if (w.table.entries[i].kind == ALIAS && w.table.entries[i].target == key)
			w.table.entries[i].kind = NOTHING;
}

static void
rename_key(int from, int to)
{
	if (from == to || w.table.entries[to].kind != NOTHING)
		return;
	w.table.entries[to] = w.table.entries[from];
	remove_key(from);
}

static void
change_table(void)
{
	static const uint64_t limits[] = {100, 100, 60, 140, 0};
	int key = (int)roll(KEYS), other = (int)roll(KEYS);
	struct entry *e = &w.table.entries[key];
	unsigned what = roll(12);

	if (e->kind != MAILBOX && what < 5) {
		give_path(e);
	} else if (what < 2) {
		e->limit = limits[roll(5)];
	} else if (what == 2) {
		give_path(e);
	} else if (what == 3) {
		e->owner = !e->owner;
	} else if (what == 4) {
		e->disabled = !e->disabled;
	} else if (what == 5 || what > 9) {
		rename_key(key, other);
	} else if (what == 6) {
		remove_key(key);
	} else if (what == 7 && key != other) {
		alias_to(key, other);
	} else if (e->kind == MAILBOX && w.table.entries[other].kind == MAILBOX) {
		swap_paths(e, &w.table.entries[other]);
	}
	for (int i = 0; i < KEYS; i++)
		TELL("%s: %d alias %d place %llu limit %llu\n", keys[i],
			w.table.entries[i].kind, w.table.entries[i].target,
			NUMBER(place_of(&w.table.entries[i]).path),
			NUMBER(w.table.entries[i].limit));
}

static void
change_settings(void)
{
	if (roll(2))
		w.rules = !w.rules;
	else
		w.deadline = w.deadline == DEADLINE ? SHORT_DEADLINE : DEADLINE;
	if (w.deadline > w.in_force.deadline_ms)
		take_settings(); /* told at once: ldas go by it from now on */
}

/* Most changes reach quotad a while later. */
static void
administrator_does_something(void)
{
	unsigned what = roll(20);

	if (what < 12)
		change_table();
	if (what < 4 || what == 12)
		take_table();
	if (what == 13)
		change_settings();
	if (what > 13)
		roll(2) ? take_settings() : take_table();
}

/* --- the scanner and the IMAP server ---------------------------------------------- */

static const char *wanted[500];
static size_t wanted_count;

static void
want(void *arg, const char *name)
{
	(void)arg;
	wanted[wanted_count++] = name;
}

/* Bytes of what is there or was seen, less what the account's open tickets stand for. */
static uint64_t countable;
static int countable_key;

static int
is_countable(const struct file *f)
{
	const struct look *look = &w.looks[countable_key];

	return (f->there || f->seen & 1U << countable_key) &&
	       f->directory == look->directory && (look->rules || !f->in_trash);
}

static void
leave_out_open(void *arg, const struct ledger_ticket *t)
{
	(void)arg;
	for (int i = 0; i < w.file_count; i++)
		if (t->state == LEDGER_OPEN && strcmp(w.files[i].name, t->name) == 0 &&
			is_countable(&w.files[i]))
			countable -= t->bytes;
}

static void
sum_countable(int key, struct account *a)
{
	countable = 0;
	countable_key = key;
	for (int i = 0; i < w.file_count; i++)
		countable += is_countable(&w.files[i]) ? w.files[i].bytes : 0;
	ledger_show_tickets(w.ledger, a, leave_out_open, NULL);
}

/* An exact count leaves no number that is larger than what there was. */
static void
check_count(int key, struct account *a)
{
	int directory = w.looks[key].directory;
	struct ledger_numbers n;

	ledger_numbers(w.ledger, a, &n);
	if (n.known && n.last.exact && directory >= 0 &&
		!w.directories[directory].has_lost)
		CHECK_OR_TELL(n.used <= countable,
			"counted too much: %s has %llu of %llu", keys[key],
			NUMBER(n.used), NUMBER(countable));
}

static void
count_is_over(int key, struct account *a)
{
	struct look *look = &w.looks[key];
	struct ledger_count result = {.exact = look->exact, .stamp = look->stamp};
	const char *seen[500];

	wanted_count = 0;
	ledger_count_names(w.ledger, a, want, NULL);
	result.seen = seen;
	for (int i = 0; i < w.file_count; i++) {
		if (!(w.files[i].seen & 1U << key))
			continue;
		if (look->rules || !w.files[i].in_trash) {
			result.bytes += w.files[i].bytes;
			result.messages++;
		}
		for (size_t k = 0; k < wanted_count; k++)
			if (strcmp(wanted[k], w.files[i].name) == 0)
				seen[result.seen_count++] = w.files[i].name;
	}
	look->count = IDLE;
	look->counted = look->directory;
	TELL("the count of %s found %llu, %s\n", keys[key], NUMBER(result.bytes),
		result.exact ? "exact" : "not exact");
	sum_countable(key, a);
	TELL("countable %llu\n", NUMBER(countable));
	ledger_counted(w.ledger, a, &result);
	if (result.exact)
		check_count(key, a);
}

static void
count_fails(int key, struct account *a)
{
	const struct ledger_count failed = {
		.failed = 1, .text = "it is not in the user table"};

	w.looks[key].count = IDLE;
	ledger_counted(w.ledger, a, &failed);
}

/* A flag change while the directory is read may hide a message. */
static void
hide_one(int key, const struct look *look)
{
	struct file *f = &w.files[roll((unsigned)w.file_count)];

	if (!f->there || f->directory != look->directory)
		return;
	f->seen &= ~(1U << key);
	w.directories[f->directory].stamp++;
}

static void
count_goes_on(int key, struct account *a)
{
	struct look *look = &w.looks[key];

	if (look->directory < 0) {
		count_fails(key, a);
	} else if (look->count == BEGUN || look->count == READ_NEW) {
		for (int i = 0; i < w.file_count; i++) {
			struct file *f = &w.files[i];

			if (f->there && f->directory == look->directory &&
				f->in_cur == (look->count == READ_NEW))
				f->seen |= 1U << key;
		}
		if (!w.at_rest && roll(12) == 0)
			hide_one(key, look);
		look->count++;
	} else if (look->count == READ_CUR) {
		look->exact = look->stamp == w.directories[look->directory].stamp;
		look->count = CHECKED;
	} else if (roll(2)) { /* much can happen meanwhile */
		count_is_over(key, a);
	}
}

static void
probe_is_over(int key, struct account *a)
{
	int found, directory;
	const struct entry *e = look_in(&w.taken, key, &found);

	w.looks[key].probing = 0;
	if (!e || found != key) {
		ledger_probed(w.ledger, a, 0, 1);
		return;
	}
	directory = w.leads_to[e->path];
	w.looks[key].probed_bytes = bytes_in(directory, w.in_force.counting);
	for (int i = 0; i < w.file_count; i++) {
		struct file *f = &w.files[i];

		f->probed &= ~(1U << key);
		if (f->there && f->directory == directory)
			f->probed |= 1U << key;
	}
	ledger_probed(w.ledger, a, w.directories[directory].stamp, 0);
}

static void
scanner_goes_on(int key)
{
	struct account *a = ledger_find(w.ledger, keys[key]);

	if (w.looks[key].probing && roll(2))
		probe_is_over(key, a);
	else if (w.looks[key].count != IDLE)
		count_goes_on(key, a);
}

/* Messages go to cur/, are deleted, or go to Trash, from where nothing comes back: what
 * a user adds is no matter of the ledger's. */
static void
imap_does_something(void)
{
	struct file *f = w.file_count ? &w.files[roll((unsigned)w.file_count)] : NULL;

	if (!f || !f->there)
		return;
	if (!f->in_cur)
		f->in_cur = 1;
	else if (roll(3) == 0)
		f->in_trash = w.directories[f->directory].has_lost = 1;
	else if (roll(2))
		f->there = 0, w.directories[f->directory].has_lost = 1;
	else
		return;
	w.directories[f->directory].stamp++;
}

static void
time_passes(uint64_t ms)
{
	TELL("%llu ms pass\n", NUMBER(ms));
	w.now += ms;
	for (int i = 0; i < LDAS; i++)
		if (w.ldas[i].state != ENDED &&
			w.now - w.ldas[i].started >= w.ldas[i].deadline)
			lda_ends(&w.ldas[i]);
	ledger_tick(w.ledger, w.now);
}

/* --- one run ---------------------------------------------------------------------- */

static void
any_lda_goes_on(void)
{
	lda_goes_on((int)roll(LDAS));
}

static void
any_scan_goes_on(void)
{
	scanner_goes_on((int)roll(KEYS));
}

static void
a_moment_passes(void)
{
	time_passes(50 + roll(2000));
}

static void
a_deadline_passes(void)
{
	time_passes(roll(3) ? SHORT_DEADLINE : DEADLINE);
}

static void
lda_is_killed(void)
{
	struct lda *d = &w.ldas[roll(LDAS)];

	if (d->state != ENDED)
		lda_ends(d);
}

static void
daemon_is_killed(void)
{
	static const enum start hows[] = {
		AGAIN, AGAIN, AGAIN, AGAIN, WITHOUT_STORE, AFTER_BOOT};

	restart(hows[roll(6)]);
}

/* Of a thousand steps so many are each of these, as a rule: each run has more of one and
 * less of another. */
static const struct {
	void (*happens)(void);
	unsigned often;
	int varies;
} events[] = {
	{any_lda_goes_on, 420, 0},
	{read_some, 220, 0},
	{any_scan_goes_on, 180, 0},
	{imap_does_something, 50, 1},
	{settle, 40, 1},
	{administrator_does_something, 40, 1},
	{a_moment_passes, 20, 1},
	{lda_is_killed, 12, 1},
	{daemon_is_killed, 5, 1},
	{daemon_closes_one, 6, 1},
	{a_deadline_passes, 3, 1},
};

enum { EVENTS = sizeof events / sizeof *events };

static unsigned weights[EVENTS], all_weights;

static void
set_the_mood(void)
{
	static const unsigned quarters[] = {0, 2, 4, 4, 4, 12, 40};

	all_weights = 0;
	for (int i = 0; i < EVENTS; i++) {
		weights[i] = events[i].often * (events[i].varies ? quarters[roll(7)] : 4);
		all_weights += weights[i];
	}
}

static void
step(void)
{
	unsigned what = roll(all_weights);
	int i = 0;

	while (what >= weights[i])
		what -= weights[i++];
	events[i].happens();
}

/* A number that is bound to where the table has the mailbox is worth something. */
static void
check_account(int key)
{
	struct account *a = ledger_find(w.ledger, keys[key]);
	int found;
	const struct entry *e = look_in(&w.taken, key, &found);
	struct ledger_numbers n;
	uint64_t files;

	if (!a)
		return;
	ledger_numbers(w.ledger, a, &n);
	CHECK_OR_TELL(n.tickets - n.orphans <= n.tickets && n.orphans <= 3 * TICKET_LIMIT,
		"%s has %llu orphans", keys[key], NUMBER(n.orphans));
	if (!e || found != key || !n.known || !is_same(n.place, place_of(e)))
		return;
	files = bytes_in(w.leads_to[e->path], w.in_force.counting);
	CHECK_OR_TELL(n.used + n.reserved >= files,
		"uncharged: %s has %llu + %llu < %llu", keys[key], NUMBER(n.used),
		NUMBER(n.reserved), NUMBER(files));
}

static void
check_promises(void)
{
	for (int i = 0; i < KEYS; i++)
		check_account(i);
}

static void
let_all_end(void)
{
	w.at_rest = 1;
	for (int i = 0; i < LDAS; i++)
		if (w.ldas[i].state != ENDED)
			lda_ends(&w.ldas[i]);
	read_all();
	take_table();
	take_settings();
}

static void
scan_for_a_while(void)
{
	for (int i = 0; i < 100; i++)
		for (int k = 0; k < KEYS; k++)
			scanner_goes_on(k);
}

/* The limit's last byte can be had. */
static void
check_room(int key, const struct entry *e)
{
	struct connection *c = &w.connections[w.connection_count - 1];
	uint64_t files = bytes_in(w.leads_to[e->path], w.in_force.counting);

	if (e->disabled || e->limit <= files)
		return;
	memset(c, 0, sizeof *c);
	ledger_connect(&c->ledger, ++w.next_number);
	c->open = 1;
	c->key = key;
	c->place = place_of(e);
	c->directory = w.leads_to[e->path];
	c->bytes = e->limit - files;
	snprintf(c->name, sizeof c->name, "last.%u", (unsigned)key % 1000);
	reserve(c);
	scan_for_a_while();
	settle();
	scan_for_a_while();
	settle();
	CHECK_OR_TELL(c->answered && c->answer.verdict == VERDICT_DELIVERED,
		"room is lost: %s, %llu of %llu: %s", keys[key], NUMBER(files),
		NUMBER(e->limit), c->answer.text ? c->answer.text : "?");
	execute(c, CANCEL);
	execute(c, HANG_UP);
}

static void
check_end_of(int key)
{
	const struct entry *e = &w.table.entries[key];
	struct account *a = ledger_find(w.ledger, keys[key]);
	struct ledger_numbers n = {0};

	if (e->kind == MAILBOX) {
		uint64_t files = bytes_in(w.leads_to[e->path], w.in_force.counting);

		a = ledger_account(w.ledger, keys[key]);
		ledger_recount(w.ledger, a, 0);
		scan_for_a_while();
		ledger_numbers(w.ledger, a, &n);
		CHECK_OR_TELL(n.known && n.used == files,
			"the number of %s is %llu, and not %llu", keys[key],
			NUMBER(n.used), NUMBER(files));
		check_room(key, e);
	}
	if (e->kind != MAILBOX)
		CHECK_OR_TELL(
			!a && !w.stored[key].is_kept, "%s is not forgotten", keys[key]);
	if (a)
		ledger_numbers(w.ledger, a, &n);
	CHECK_OR_TELL(n.tickets == 0 && n.reserved == 0, "%s still has %llu tickets",
		keys[key], NUMBER(n.tickets));
}

static void
come_to_rest(void)
{
	let_all_end();
	for (int i = 0; i < 8; i++) {
		time_passes(DEADLINE + 1);
		scan_for_a_while();
	}
	for (int i = 0; i < KEYS; i++)
		check_end_of(i);
	CHECK_OR_TELL(
		w.ticket_count == 0, "%d tickets are left in the store", w.ticket_count);
	ck_assert_uint_eq(ledger_totals(w.ledger)->tickets, 0);
	ck_assert_uint_eq(ledger_totals(w.ledger)->orphans, 0);
	ck_assert_uint_eq(ledger_totals(w.ledger)->waiting, 0);
}

static unsigned long refusals, grants;

static void
one_run(void)
{
	memset(&w, 0, sizeof w);
	w.now = 1000000;
	w.deadline = roll(2) ? DEADLINE : SHORT_DEADLINE;
	for (int i = 0; i < PLACES; i++) {
		w.leads_to[i] = i;
		w.directories[i].stamp = 1 + (uint64_t)i * 1000000;
	}
	for (int i = 0; i < PLACES * 2; i++)
		w.files[w.file_count++] = (struct file){.bytes = 1 + roll(45),
			.there = 1,
			.in_cur = 1,
			.directory = i / 2};
	for (int i = 0; i < KEYS - 1; i++)
		give_path(&w.table.entries[i]);
	set_the_mood();
	new_daemon(AFTER_BOOT);
	for (int i = 0; i < STEPS; i++) {
		step();
		check_promises();
	}
	come_to_rest();
	ledger_free(&w.ledger);
	refusals += w.refusals;
	grants += w.grants;
}

START_TEST(a_storm_breaks_no_promise)
{
	const char *runs = getenv("STORM_RUNS"), *from = getenv("STORM_SEED");
	const char *seconds = getenv("STORM_SECONDS");
	long n = runs ? atol(runs) : 3000, done = 0;
	time_t end = seconds ? time(NULL) + atol(seconds) : 0;

	tells = getenv("STORM_TRACE") != NULL;
	seed = from ? strtoull(from, NULL, 0) : (unsigned long long)time(NULL) << 20;
	fprintf(stderr, "storm: STORM_SEED=%llu\n", seed);
	while (seconds ? time(NULL) < end : done < n) {
		run_seed = seed;
		one_run();
		done++;
	}
	fprintf(stderr, "storm: %ld runs, %lu grants, %lu refusals\n", done, grants,
		refusals);
	ck_assert_uint_gt(refusals, (unsigned long)done / 20);
	ck_assert_uint_gt(grants, (unsigned long)done / 20);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_storm_breaks_no_promise};

	ADD_CASE(suite, tests, .timeout = 86400);
}
