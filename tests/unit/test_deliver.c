/*
 * The story of a delivery (deliver.c), with a table, a quotad and a store that only write
 * down what is asked of them: the order of the steps, what a failure of each leaves, and
 * that many deliveries may run in one process, one after another and in threads.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lda/delivery/delivery.h"
#include "suite.h"

#define ADDED        "Return-Path: <>\nDelivered-To: alice@example.org\n"
#define SHORT_LENGTH 20
#define LONG_LENGTH  (MESSAGE_CHUNK + 5)
#define STORY_MAX    4096

/* The deliveries that go different ways. */
enum shape {
	SHORT,     /* a message that fits the first buffer */
	LONG,      /* one that does not */
	MISSING,   /* a short one for a mailbox that has to be made */
	OTHER_NAME /* a short one for whom the table has by another of the MTA's names */
};

#define SHAPES (OTHER_NAME + 1)

/* What one delivery did; deliveries in other threads have their own. */
static __thread struct trace {
	enum shape shape;
	char story[STORY_MAX];
	const char *failing; /* the step that fails, or NULL */
	int mute;            /* it fails without an outcome */
	int may_be_there;    /* and then the message can't be removed */
	int is_doubted;      /* quotad says "try again" of a mailbox that is missing */
	int is_made;         /* which another delivery has made by the second look */
	int looks;           /* at the mailbox, so far */
	char stored[sizeof ADDED + LONG_LENGTH];
	enum verdict prepared;
	struct store *watched;
} trace;

static int
step(const char *name, struct outcome *o)
{
	if (strlen(trace.story) + strlen(name) + 2 > sizeof trace.story)
		abort();
	strcat(strcat(trace.story, trace.story[0] ? " " : ""), name);
	if (!trace.failing || strcmp(trace.failing, name))
		return 0;
	if (o && !trace.mute)
		outcome_set(o, VERDICT_NO_DISK, "%s failed", name);
	return -1;
}

static size_t
length(void)
{
	return strlen(ADDED) + (trace.shape == LONG ? LONG_LENGTH : SHORT_LENGTH);
}

/* --- the process ----------------------------------------------------------------- */

static void
prepare(void *arg, enum verdict v, const char *text, uint64_t seconds)
{
	(void)text;
	ck_assert_ptr_eq(arg, &trace);
	ck_assert_uint_ge(seconds, 1);
	ck_assert_uint_le(seconds, DELIVERY_SECONDS);
	trace.prepared = v;
}

static void
watch(void *arg, struct store *s)
{
	ck_assert_ptr_eq(arg, &trace);
	trace.watched = s;
}

static int
become(void *arg, const struct mailbox *m, struct outcome *o)
{
	ck_assert_ptr_eq(arg, &trace);
	ck_assert_uint_eq(m->uid, 1001);
	return step("become", o);
}

static int
guard(void *arg, const char *path, uint64_t seconds, struct outcome *o)
{
	ck_assert_ptr_eq(arg, &trace);
	ck_assert_str_eq(path, "/m/alice/");
	ck_assert_uint_ge(seconds, 1);
	ck_assert_uint_le(seconds, DELIVERY_SECONDS);
	trace.prepared = VERDICT_DELIVERED; /* the deadline must be set anew */
	return step("guard", o);
}

/* --- the table ------------------------------------------------------------------- */

int
recipient_find(const struct recipient *r, const struct conf *c, struct mailbox *m,
	struct outcome *o)
{
	(void)c;
	ck_assert_int_eq((int)trace.prepared, VERDICT_MISCONFIGURED);
	memset(m, 0, sizeof *m);
	strcpy(m->key, "alice@example.org");
	m->uid = m->gid = 1001;
	m->path = strdup("/m/alice/");
	if (trace.shape != OTHER_NAME || r->has_names)
		return step("find", o);
	free(m->path);
	m->path = NULL;
	return step("try", o) ? -1 : 1;
}

int
recipient_add_names(struct recipient *r, struct message *m, struct outcome *o)
{
	(void)m;
	ck_assert_int_eq((int)trace.prepared, VERDICT_TROUBLE);
	r->has_names = 1;
	return step("add-names", o);
}

void
recipient_clear(struct recipient *r)
{
	r->has_names = 0;
}

void
recipient_take(struct recipient *r, const struct envelope *e)
{
	r->address = e->recipient;
	r->sender = "";
	r->has_names = 0;
}

int
recipient_uncensor(struct recipient *r, struct message *m, struct outcome *o)
{
	(void)r;
	(void)m;
	return step("uncensor", o);
}

/* --- quotad ---------------------------------------------------------------------- */

void
quota_init(struct quota *q, const struct conf *c)
{
	q->conf = c;
}

int
quota_begin(struct quota *q, const struct mailbox *m, struct outcome *o)
{
	(void)q;
	ck_assert_str_eq(m->key, "alice@example.org");
	return step("ask", o);
}

void
quota_identify(struct quota *q, const char *ids)
{
	(void)q;
	ck_assert_str_eq(ids, "");
	step("identify", NULL);
}

int
quota_check(struct quota *q, uint64_t bytes, int is_missing)
{
	(void)q;
	ck_assert_int_eq(is_missing, trace.shape == MISSING);
	ck_assert_uint_eq(bytes, trace.shape == LONG ? 0 : length());
	return step("check", NULL);
}

int
quota_checked(struct quota *q, int is_missing, struct outcome *o)
{
	(void)q;
	ck_assert_int_eq(is_missing, trace.shape == MISSING);
	if (!trace.is_doubted)
		return step("checked", o);
	outcome_set(o, VERDICT_TROUBLE, "it had mail");
	step("doubted", o);
	return -1;
}

int
quota_reserve(struct quota *q, const char *name, uint64_t directory, uint64_t bytes)
{
	(void)directory;
	ck_assert_str_eq(name, "unique");
	ck_assert_uint_eq(bytes, length());
	q->has_ticket = 1;
	return step("reserve", NULL);
}

int
quota_reserved(struct quota *q, struct outcome *o)
{
	(void)q;
	return step("reserved", o);
}

int
quota_still_reserved(struct quota *q, struct outcome *o)
{
	(void)q;
	return step("still-reserved", o);
}

int
quota_commit(struct quota *q)
{
	q->has_ticket = 0;
	return step("commit", NULL);
}

void
quota_cancel(struct quota *q)
{
	if (q->has_ticket)
		step("cancel", NULL);
	q->has_ticket = 0;
}

void
quota_end(struct quota *q)
{
	ck_assert_int_eq(q->has_ticket, trace.may_be_there);
}

/* --- the store ------------------------------------------------------------------- */

static int
fake_open(struct store *s, const char *path, uid_t owner, struct outcome *o)
{
	ck_assert_str_eq(path, "/m/alice/");
	ck_assert_uint_eq(owner, 1001);
	s->state = &trace;
	s->is_missing = trace.shape == MISSING && !(trace.is_made && trace.looks);
	trace.looks++;
	return step("open", o);
}

static int
fake_begin(struct store *s, struct outcome *o)
{
	s->phase = STORE_BEGUN;
	return step("begin", o);
}

static int
fake_write(struct store *s, const char *data, size_t length, struct outcome *o)
{
	if (s->bytes + length >= sizeof trace.stored)
		abort();
	memcpy(trace.stored + s->bytes, data, length);
	s->bytes += length;
	return step("write", o);
}

static int
fake_choose_name(struct store *s, uint64_t bytes, struct outcome *o)
{
	ck_assert_uint_eq(bytes, length());
	strcpy(s->name, "unique");
	return step("choose-name", o);
}

static int
fake_sync(struct store *s, struct outcome *o)
{
	(void)s;
	return step("sync", o);
}

static int
fake_link(struct store *s, struct outcome *o)
{
	if (step("link", o)) {
		s->may_be_there = trace.may_be_there;
		return -1;
	}
	s->phase = STORE_STORED;
	return 0;
}

static void
fake_close(struct store *s)
{
	step(s->phase == STORE_STORED ? "close" : "remove", NULL);
	if (s->phase != STORE_STORED)
		trace.stored[0] = '\0';
}

static int
fake_end_now(struct store *s)
{
	(void)s;
	step("end-now", NULL);
	return 0;
}

static const struct store_type fake = {
	.open = fake_open,
	.begin = fake_begin,
	.write = fake_write,
	.choose_name = fake_choose_name,
	.sync = fake_sync,
	.link = fake_link,
	.close = fake_close,
	.end_now = fake_end_now,
};

const struct store_type *
store_type_of(const char *path, struct reason *why)
{
	(void)path;
	return step("type", NULL) ? (reason_set(why, "no type"), NULL) : &fake;
}

/* --- the deliveries -------------------------------------------------------------- */

static int
open_message(size_t length)
{
	char path[] = "/tmp/brim-deliver-XXXXXX", text[LONG_LENGTH];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(unlink(path), 0);
	memset(text, 'x', length);
	ck_assert_int_eq(pwrite(fd, text, length, 0), length);
	return fd;
}

/* Settings that are all defaults. */
static char conf_file[sizeof "/tmp/brim-deliver-XXXXXX"];

static void
setup(void)
{
	int fd;

	strcpy(conf_file, "/tmp/brim-deliver-XXXXXX");
	fd = mkstemp(conf_file);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void
teardown(void)
{
	unlink(conf_file);
}

/* One delivery, from its start to its end, as the trace that is begun says. */
static struct outcome
run_begun(void)
{
	struct delivery_host host = {prepare, watch, become, guard, &trace};
	struct envelope envelope = {.recipient = "alice@example.org"};
	struct delivery *d = calloc(1, sizeof *d);
	int input = open_message(trace.shape == LONG ? LONG_LENGTH : SHORT_LENGTH);
	struct outcome o;

	delivery_init(d, &host, input);
	ck_assert_ptr_eq(trace.watched, &d->store);
	d->conf_file = conf_file;
	recipient_take(&d->recipient, &envelope);
	deliver(d, &o);
	delivery_end(d);
	close(input);
	free(d);
	return o;
}

/* One with a step that fails, or none. */
static struct outcome
run(enum shape shape, const char *failing, int mute, int may_be_there)
{
	trace = (struct trace){.shape = shape,
		.failing = failing,
		.mute = mute,
		.may_be_there = may_be_there};
	return run_begun();
}

#define BEGINNING "find become ask guard type open uncensor identify "
#define END       " still-reserved link commit close"
#define ALL_SHORT "choose-name reserve begin write reserved sync" END

static const char *const stories[SHAPES] = {
	[SHORT] = BEGINNING ALL_SHORT,
	[LONG] = BEGINNING "check checked begin write write choose-name"
			   " reserve sync reserved" END,
	[MISSING] = BEGINNING
	"check checked begin write choose-name reserve sync reserved" END,
	[OTHER_NAME] = "try add-names " BEGINNING ALL_SHORT,
};

static void
assert_delivered(const struct outcome *o)
{
	ck_assert_int_eq((int)o->verdict, VERDICT_DELIVERED);
	ck_assert_str_eq(trace.story, stories[trace.shape]);
	ck_assert_uint_eq(strlen(trace.stored), length());
	ck_assert_int_eq(strncmp(trace.stored, ADDED "xxx", strlen(ADDED "xxx")), 0);
}

START_TEST(the_steps_come_in_their_order)
{
	struct outcome o = run((enum shape)_i, NULL, 0, 0);

	assert_delivered(&o);
}
END_TEST

/* Each step that may fail. */
static const char *const steps[] = {"try", "add-names", "uncensor", "find", "become",
	"ask", "guard", "type", "open", "checked", "choose-name", "begin", "write",
	"reserved", "sync", "still-reserved", "link"};

#define STEPS (int)(sizeof steps / sizeof *steps)

/* Where the word is in the story, or NULL. */
static const char *
find_step(const char *story, const char *step)
{
	const char *at = story;

	for (; (at = strstr(at, step)); at++)
		if ((at == story || at[-1] == ' ') && at[strlen(step)] == ' ')
			return at;
	return NULL;
}

/* What is left to do after a step that failed. */
static const char *
after(const char *story, const char *at)
{
	if (at < find_step(story, "open"))
		return "";
	/* which may be that quotad has to be asked again */
	if (trace.shape == MISSING && trace.mute && at == find_step(story, "checked"))
		return " remove type open remove";
	return at < find_step(story, "reserve") ? " remove" : " cancel remove";
}

static void
assert_failed(const char *step)
{
	const char *story = stories[trace.shape], *at = find_step(story, step);
	char wanted[STORY_MAX];

	snprintf(wanted, sizeof wanted, "%.*s%s%s", (int)(at - story), story, step,
		after(story, at));
	ck_assert_str_eq(trace.story, wanted);
	ck_assert_str_eq(trace.stored, "");
}

/* A step that is not in this shape's story fails nothing. */
static struct outcome
run_failing(int i, int mute, const char **step)
{
	enum shape shape = (enum shape)(i / STEPS);

	*step = find_step(stories[shape], steps[i % STEPS]) ? steps[i % STEPS] : "find";
	return run(shape, *step, mute, 0);
}

START_TEST(a_failure_ends_the_story_and_leaves_nothing)
{
	const char *step;
	struct outcome o = run_failing(_i, 0, &step);

	assert_failed(step);
	if (strcmp(step, "type") == 0) {
		ck_assert_int_eq((int)o.verdict, VERDICT_MISCONFIGURED);
		ck_assert_ptr_nonnull(strstr(o.text, "no type"));
	} else {
		ck_assert_int_eq((int)o.verdict, VERDICT_NO_DISK);
		ck_assert_ptr_nonnull(strstr(o.text, step));
	}
}
END_TEST

START_TEST(a_failure_that_tells_no_outcome_is_no_delivery)
{
	const char *step;
	struct outcome o = run_failing(_i, 1, &step);

	assert_failed(step);
	ck_assert_int_eq(verdict_exit_status(o.verdict), VERDICT_TRY_AGAIN);
}
END_TEST

START_TEST(a_ticket_stays_where_the_message_may_be)
{
	struct outcome o = run((enum shape)_i, "link", 0, 1);

	ck_assert_int_eq((int)o.verdict, VERDICT_NO_DISK);
	ck_assert_ptr_null(strstr(trace.story, "cancel"));
	ck_assert_ptr_null(strstr(trace.story, "commit"));
}
END_TEST

START_TEST(a_mailbox_that_quotad_doubts_is_not_made)
{
	struct outcome o;

	trace = (struct trace){.shape = MISSING, .is_doubted = 1};
	o = run_begun();
	ck_assert_int_eq((int)o.verdict, VERDICT_TROUBLE);
	ck_assert_str_eq(o.text, "it had mail");
	ck_assert_str_eq(trace.story, BEGINNING "check doubted remove type open remove");
}
END_TEST

START_TEST(one_that_another_delivery_has_made_is_delivered_to)
{
	struct outcome o;

	trace = (struct trace){.shape = MISSING, .is_doubted = 1, .is_made = 1};
	o = run_begun();
	ck_assert_int_eq((int)o.verdict, VERDICT_DELIVERED);
	ck_assert_str_eq(
		trace.story, BEGINNING "check doubted remove type open " ALL_SHORT);
}
END_TEST

START_TEST(an_emergency_asks_the_store_only_while_it_must)
{
	struct store s;

	memset(&trace, 0, sizeof trace);
	store_init(&s);
	ck_assert_int_eq(store_end_now(&s), 0);
	s.type = &fake;
	ck_assert_int_eq(store_end_now(&s), 0);
	ck_assert_str_eq(trace.story, "");
	s.phase = STORE_BEGUN;
	ck_assert_int_eq(store_end_now(&s), 0);
	ck_assert_str_eq(trace.story, "end-now");
	s.phase = STORE_STORED;
	ck_assert_int_eq(store_end_now(&s), 1);
	ck_assert_str_eq(trace.story, "end-now");
}
END_TEST

/* --- many in one process --------------------------------------------------------- */

static void *
deliver_many(void *arg)
{
	for (int i = 0; i < 4 * SHAPES * STEPS; i++) {
		const char *step;
		struct outcome o;

		if (i % 2) {
			run_failing(i / 2 % (SHAPES * STEPS), 0, &step);
			assert_failed(step);
		} else {
			o = run((enum shape)(i / 2 % SHAPES), NULL, 0, 0);
			assert_delivered(&o);
		}
	}
	return arg;
}

START_TEST(one_process_runs_many_deliveries)
{
	deliver_many(NULL);
}
END_TEST

START_TEST(two_threads_deliver_at_a_time)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, deliver_many, NULL), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

void
add_tests(Suite *suite)
{
	const TTest *const tests[] = {a_mailbox_that_quotad_doubts_is_not_made,
		one_that_another_delivery_has_made_is_delivered_to,
		an_emergency_asks_the_store_only_while_it_must,
		one_process_runs_many_deliveries, two_threads_deliver_at_a_time};
	TCase *c = ADD_CASE(
		suite, tests, .setup = setup, .teardown = teardown, .timeout = 60);

	tcase_add_loop_test(c, the_steps_come_in_their_order, 0, SHAPES);
	tcase_add_loop_test(c, a_ticket_stays_where_the_message_may_be, 0, SHAPES);
	tcase_add_loop_test(
		c, a_failure_ends_the_story_and_leaves_nothing, 0, SHAPES * STEPS);
	tcase_add_loop_test(
		c, a_failure_that_tells_no_outcome_is_no_delivery, 0, SHAPES * STEPS);
}
