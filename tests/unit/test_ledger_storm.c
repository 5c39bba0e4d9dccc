/*
 * The ledger in a storm: ldas with time-outs and second attempts, an IMAP server that
 * moves and deletes, counts that read while all that goes on, kills, restarts and lost
 * stores, in random order. After each step: never over the limit, nothing uncharged; at
 * each refusal: there really was no room; in the end: the number is the files, and all
 * room is back.
 *
 * STORM_SEED repeats a run, STORM_RUNS asks for more than the 3000 of a test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quotad/ledger/ledger.h"
#include "suite.h"

enum { LIMIT = 100, LDAS = 6, CONNECTIONS = 400, FILES = 400, STEPS = 400 };
enum { DEADLINE = 300000, ANSWER = 7500 };

enum lda_state { ENDED, WAITS, GRANTED, LINKED };

enum message { RESERVE, COMMIT, CANCEL, HANG_UP };

struct connection {
	struct ledger_connection ledger;
	enum message queue[4];
	int queued, lda, open, asking; /* open: at the daemon's end */
	int owns;                      /* a ticket, about which a refusal waits */
	uint64_t ticket;
	struct ledger_answer answer;
	int answered;
};

static struct world {
	struct ledger *ledger;
	struct account *account;
	uint64_t now, stamp, next_number, held_until;
	struct lda {
		enum lda_state state;
		char name[16];
		uint64_t bytes, started;
		int connection, attempts;
	} ldas[LDAS];
	struct connection connections[CONNECTIONS];
	int connection_count;
	struct file {
		char name[16];
		uint64_t bytes;
		int there, in_cur, seen, probed;
	} files[FILES];
	int file_count;
	enum { IDLE, BEGUN, READ_NEW, READ_CUR, CHECKED } count;
	int count_exact;
	uint64_t count_stamp;
	int probing;
	uint64_t probed_bytes; /* of the files that the last probe could see */
	struct ledger_numbers stored;
	struct {
		char name[16];
		uint64_t bytes;
	} tickets[LDAS * 40];
	int ticket_count;
	unsigned long refusals, grants, restarts;
} w;

static unsigned long long seed, run_seed; /* run_seed repeats the run that failed */

static unsigned
roll(unsigned n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % n;
}

static uint64_t
bytes_of_files(void)
{
	uint64_t bytes = 0;

	for (int i = 0; i < w.file_count; i++)
		if (w.files[i].there)
			bytes += w.files[i].bytes;
	return bytes;
}

/* --- the ledger's neighbours --- */

/* Bytes of tickets whose lda is alive and whose file wasn't there when the last probe
 * looked: no refusal can know what was removed since. */
static uint64_t live;

static int
was_probed(const char *name)
{
	for (int i = 0; i < w.file_count; i++)
		if (w.files[i].probed && strcmp(w.files[i].name, name) == 0)
			return 1;
	return 0;
}

static void
look(void)
{
	w.probed_bytes = 0;
	for (int i = 0; i < w.file_count; i++) {
		w.files[i].probed = w.files[i].there;
		if (w.files[i].there)
			w.probed_bytes += w.files[i].bytes;
	}
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
	const struct lda *d = &w.ldas[c->lda];
	uint64_t bytes = d->bytes;

	/* nobody reads it, and what was asked about may be forgotten */
	if (d->state == ENDED || &w.connections[d->connection] != c)
		return;
	w.refusals++;
	live = 0;
	ledger_show_tickets(w.ledger, w.account, add_if_live, NULL);
	if (answer->verdict == VERDICT_FULL)
		ck_assert_msg(w.probed_bytes + bytes > LIMIT,
			"false full: %llu + %llu (STORM_SEED=%llu)",
			(unsigned long long)w.probed_bytes, (unsigned long long)bytes,
			run_seed);
	else if (answer->text)
		ck_assert_msg(w.probed_bytes + live + bytes > LIMIT,
			"false full for now: %llu + %llu + %llu (STORM_SEED=%llu)",
			(unsigned long long)w.probed_bytes, (unsigned long long)live,
			(unsigned long long)bytes, run_seed);
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
	if (answer->verdict == VERDICT_FULL || answer->verdict == VERDICT_FULL_FOR_NOW)
		justify(c, answer);
	else if (answer->verdict == VERDICT_DELIVERED)
		w.grants++;
}

static void
begin_count(void *arg, struct account *a, int thorough)
{
	(void)arg;
	(void)a;
	(void)thorough;
	ck_assert_int_eq(w.count, IDLE);
	w.count = BEGUN;
	w.count_stamp = w.stamp;
	for (int i = 0; i < w.file_count; i++)
		w.files[i].seen = 0;
}

static void
begin_probe(void *arg, struct account *a)
{
	(void)arg;
	(void)a;
	w.probing = 1;
}

static int
save_account(void *arg, struct account *a)
{
	(void)arg;
	ledger_numbers(w.ledger, a, &w.stored);
	return 0;
}

static int
save_ticket(void *arg, struct account *a, const struct ledger_ticket *t)
{
	(void)arg;
	(void)a;
	ck_assert_int_lt(w.ticket_count, LDAS * 40);
	strcpy(w.tickets[w.ticket_count].name, t->name);
	w.tickets[w.ticket_count++].bytes = t->bytes;
	return 0;
}

static void
remove_ticket(void *arg, struct account *a, const char *name)
{
	(void)arg;
	(void)a;
	for (int i = 0; i < w.ticket_count; i++)
		if (strcmp(w.tickets[i].name, name) == 0) {
			w.tickets[i] = w.tickets[--w.ticket_count];
			return;
		}
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
	(void)arg;
	(void)a;
	(void)place;
	(void)limits;
	return -1;
}

static const struct ledger_calls calls = {take_answer, begin_count, begin_probe,
	save_account, save_ticket, remove_ticket, corrected, look_up};
static const struct ledger_rules rules = {DEADLINE, ANSWER, 80, 0};

/* --- ldas --- */

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

	memset(c, 0, sizeof *c);
	ledger_connect(&c->ledger, ++w.next_number);
	c->lda = lda;
	c->open = 1;
	w.ldas[lda].connection = w.connection_count++;
	w.ldas[lda].state = WAITS;
	w.ldas[lda].attempts++;
	send_message(w.ldas[lda].connection, RESERVE);
}

static void
lda_ends(struct lda *d)
{
	send_message(d->connection, HANG_UP);
	d->state = ENDED;
}

static void
lda_begins(int lda)
{
	static int names;
	struct lda *d = &w.ldas[lda];

	if (w.connection_count == CONNECTIONS || w.file_count == FILES)
		return;
	snprintf(d->name, sizeof d->name, "m%d", ++names);
	d->bytes = 1 + roll(roll(4) ? 30 : 90);
	d->started = w.now;
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

	memset(f, 0, sizeof *f);
	strcpy(f->name, d->name);
	f->bytes = d->bytes;
	f->there = 1;
	w.stamp++;
	d->state = LINKED;
}

static void
lda_goes_on(int lda)
{
	struct lda *d = &w.ldas[lda];
	struct connection *c = &w.connections[d->connection];

	if (d->state == ENDED) {
		lda_begins(lda);
	} else if (d->state == GRANTED) {
		if (w.file_count < FILES)
			lda_links(d); /* whatever has become of the daemon meanwhile */
	} else if (d->state == LINKED) {
		send_message(d->connection, COMMIT);
		lda_ends(d);
	} else if (d->state == WAITS && !c->answered) {
		if (!c->open || roll(20) == 0)
			lda_tries_again(lda);
	} else if (d->state == WAITS && c->answer.verdict != VERDICT_DELIVERED) {
		lda_ends(d);
	} else if (!c->open) {
		lda_tries_again(lda);
	} else if (roll(15) == 0) {
		send_message(d->connection, CANCEL);
		lda_ends(d);
	} else {
		d->state = GRANTED;
	}
}

/* --- the daemon's end --- */

static void
execute(struct connection *c, enum message m)
{
	struct ledger_request r = {LEDGER_RESERVE, w.account, &c->ledger,
		{.bytes = LIMIT}, w.ldas[c->lda].bytes, w.ldas[c->lda].name, {0, 0}, c};
	struct account *a;

	switch (m) {
	case RESERVE:
		c->asking = 1;
		ledger_ask(w.ledger, &r);
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

/* A lda that is gone has taken its request's name and size with it: the daemon drops the
 * request with the connection. */
static void
read_one(struct connection *c)
{
	enum message m = c->queue[0];

	if (m == RESERVE && c->queued > 1) {
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
daemon_closes_one(void)
{
	struct connection *c = &w.connections[roll((unsigned)w.connection_count)];

	if (!c->open)
		return;
	c->open = 0;
	c->queued = 0;
	ledger_forget(w.ledger, &c->ledger);
	ledger_disconnected(w.ledger, &c->ledger, 0);
}

static void
new_daemon(int lost)
{
	int count = w.ticket_count;

	w.ledger = ledger_new(&calls, NULL, &rules, w.now);
	w.account = ledger_account(w.ledger, "alice");
	w.count = IDLE;
	w.probing = 0;
	if (lost) {
		w.ticket_count = count = 0;
		memset(&w.stored, 0, sizeof w.stored);
		w.held_until = w.now + DEADLINE;
	}
	/* the mark of a lost store stays until the wait is over */
	if (w.now < w.held_until)
		ledger_hold(w.ledger);
	ledger_load(w.ledger, w.account, &w.stored);
	for (int i = 0; i < count; i++) {
		const struct ledger_ticket kept = {.name = w.tickets[i].name,
			.bytes = w.tickets[i].bytes,
			.state = LEDGER_UNSURE};

		ledger_load_ticket(w.ledger, w.account, &kept);
	}
}

static void
restart(int lost)
{
	w.restarts++;
	ledger_free(&w.ledger);
	for (int i = 0; i < w.connection_count; i++)
		w.connections[i].open = w.connections[i].queued = 0;
	new_daemon(lost);
}

static void
mark_owner(void *arg, struct ledger_connection *c)
{
	(void)arg;
	((struct connection *)c)->owns = 1; /* it is its first member */
}

/* Those that own tickets are read, and no others. */
static void
settle(void)
{
	ledger_each_owner(w.ledger, mark_owner, NULL);
	for (int i = 0; i < w.connection_count; i++) {
		struct connection *c = &w.connections[i];

		while (c->owns && c->open && c->queued)
			read_one(c);
		c->owns = 0;
	}
	ledger_settle(w.ledger, NULL, NULL);
}

/* --- the scanner and the IMAP server --- */

static const char *wanted[500];
static size_t wanted_count;

static void
want(void *arg, const char *name)
{
	(void)arg;
	wanted[wanted_count++] = name;
}

static void
count_is_over(void)
{
	struct ledger_count result = {
		.exact = w.count_stamp == w.stamp, .stamp = w.stamp};
	const char *seen[500];

	wanted_count = 0;
	ledger_count_names(w.ledger, w.account, want, NULL);
	result.seen = seen;
	for (int i = 0; i < w.file_count; i++) {
		if (!w.files[i].seen)
			continue;
		result.bytes += w.files[i].bytes;
		result.messages++;
		for (size_t k = 0; k < wanted_count; k++)
			if (strcmp(wanted[k], w.files[i].name) == 0)
				seen[result.seen_count++] = w.files[i].name;
	}
	w.count = IDLE;
	ledger_counted(w.ledger, w.account, &result);
}

static void
scanner_goes_on(void)
{
	if (w.probing && roll(2)) {
		w.probing = 0;
		look();
		ledger_probed(w.ledger, w.account, w.stamp, 0);
		return;
	}
	if (w.count == BEGUN || w.count == READ_NEW) {
		for (int i = 0; i < w.file_count; i++)
			if (w.files[i].there &&
				w.files[i].in_cur == (w.count == READ_NEW))
				w.files[i].seen = 1;
		w.count++;
	} else if (w.count == READ_CUR) {
		w.count_exact = w.count_stamp == w.stamp;
		w.count = CHECKED;
	} else if (w.count == CHECKED && roll(2)) { /* much can happen meanwhile */
		count_is_over();
	}
}

static void
imap_does_something(void)
{
	struct file *f = w.file_count ? &w.files[roll((unsigned)w.file_count)] : NULL;

	if (!f || !f->there)
		return;
	if (!f->in_cur)
		f->in_cur = 1;
	else if (roll(2))
		f->there = 0;
	else
		return;
	w.stamp++;
}

static void
time_passes(uint64_t ms)
{
	w.now += ms;
	for (int i = 0; i < LDAS; i++)
		if (w.ldas[i].state != ENDED && w.now - w.ldas[i].started >= DEADLINE)
			lda_ends(&w.ldas[i]);
	ledger_tick(w.ledger, w.now);
}

/* --- one run --- */

static void
step(void)
{
	unsigned what = roll(1000), i;

	if (what < 450) {
		lda_goes_on((int)roll(LDAS));
	} else if (what < 700) {
		i = w.connection_count ? roll((unsigned)w.connection_count) : 0;
		for (int k = 0; k < 8 && w.connection_count; k++, i++) {
			struct connection *c =
				&w.connections[i % (unsigned)w.connection_count];

			if (c->open && c->queued) {
				read_one(c);
				break;
			}
		}
	} else if (what < 850) {
		scanner_goes_on();
	} else if (what < 900) {
		imap_does_something();
	} else if (what < 950) {
		settle();
	} else if (what < 975) {
		time_passes(50 + roll(2000));
	} else if (what < 985) {
		struct lda *d = &w.ldas[roll(LDAS)];

		if (d->state != ENDED)
			lda_ends(d);
	} else if (what < 990) {
		restart(roll(4) == 0);
	} else if (what < 995 && w.connection_count) {
		daemon_closes_one();
	} else if (roll(3) == 0) {
		time_passes(DEADLINE);
	}
}

static void
check_promises(void)
{
	struct ledger_numbers n;
	uint64_t files = bytes_of_files();

	ck_assert_msg(files <= LIMIT, "over the limit: %llu (STORM_SEED=%llu)",
		(unsigned long long)files, run_seed);
	ledger_numbers(w.ledger, w.account, &n);
	if (n.known)
		ck_assert_msg(n.used + n.reserved >= files,
			"uncharged: %llu + %llu < %llu (STORM_SEED=%llu)",
			(unsigned long long)n.used, (unsigned long long)n.reserved,
			(unsigned long long)files, run_seed);
}

static void
come_to_rest(void)
{
	struct ledger_numbers n;

	for (int i = 0; i < LDAS; i++)
		if (w.ldas[i].state != ENDED)
			lda_ends(&w.ldas[i]);
	read_all();
	time_passes(DEADLINE + 1);
	for (int i = 0; i < 80; i++)
		scanner_goes_on();
	ledger_recount(w.ledger, w.account, 0);
	for (int i = 0; i < 80; i++)
		scanner_goes_on();
	ledger_numbers(w.ledger, w.account, &n);
	ck_assert_uint_eq(n.used, bytes_of_files());
	ck_assert_uint_eq(n.tickets, 0);
	ck_assert_uint_eq(n.reserved, 0);
	ck_assert_int_eq(w.ticket_count, 0);
	ck_assert_uint_eq(ledger_totals(w.ledger)->waiting, 0);
}

static unsigned long refusals, grants;

static void
one_run(void)
{
	memset(&w, 0, sizeof w);
	w.now = 1000000;
	w.stamp = 1;
	new_daemon(0);
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
	long n = runs ? atol(runs) : 3000;

	seed = from ? strtoull(from, NULL, 0) : (unsigned long long)time(NULL) << 20;
	fprintf(stderr, "storm: %ld runs, STORM_SEED=%llu\n", n, seed);
	for (long i = 0; i < n; i++) {
		run_seed = seed;
		one_run();
	}
	ck_assert_uint_gt(refusals, (unsigned long)n / 10);
	ck_assert_uint_gt(grants, (unsigned long)n / 10);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_storm_breaks_no_promise};

	ADD_CASE(suite, tests, .timeout = 3600);
}
