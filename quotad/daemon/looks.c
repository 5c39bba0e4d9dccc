/* Looks at mailboxes. */
#include "looks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "server.h"

struct failed_look {
	SLIST_ENTRY(failed_look) next;
	struct account *account;
	int probe;
	struct reason why;
};

/* The ledger must not be told the end of a count before it has begun. */
static void
fail_later(struct server *v, struct account *a, int probe, const struct reason *why)
{
	struct failed_look *f = calloc(1, sizeof *f);

	if (f == NULL) {
		server_fail(v, "no memory");
		return;
	}
	f->account = a;
	f->probe = probe;
	f->why = *why;
	SLIST_INSERT_HEAD(&v->failed_looks, f, next);
}

void
looks_tell_failures(struct server *v)
{
	struct failed_look *f = SLIST_FIRST(&v->failed_looks), *next;

	SLIST_INIT(&v->failed_looks);
	for (; f != NULL; f = next) {
		const struct ledger_count c = {.failed = 1, .text = f->why.text};

		next = SLIST_NEXT(f, next);
		if (f->probe)
			ledger_probed(v->ledger, f->account, 0, 1);
		else
			ledger_counted(v->ledger, f->account, &c);
		free(f);
	}
}

void
looks_free(struct server *v)
{
	struct failed_look *f;

	while ((f = SLIST_FIRST(&v->failed_looks)) != NULL) {
		SLIST_REMOVE_HEAD(&v->failed_looks, next);
		free(f);
	}
}

/* The mailbox's place by its record, which the caller clears. */
static int
find_place(struct server *v, const char *key, struct record *record, struct reason *why)
{
	struct users *users = users_reload_table(v->users);
	int found;

	memset(record, 0, sizeof *record);
	if (users == NULL)
		return reason_set(why, "no user table could be read yet");
	found = users_get(users, key, record, why);
	if (found == -1)
		return -1;
	if (found == 0 || record_get(record, "mail") == NULL)
		return reason_set(why, "%.80s is not in the user table", key);
	return 0;
}

static void
start_look(struct server *v, struct account *a, int by_files, int probe)
{
	struct scanner_job job = {
		.key = a, .mailbox = ledger_name(a), .by_files = by_files};
	struct record record;
	struct reason why;

	if (find_place(v, job.mailbox, &record, &why) == -1) {
		fail_later(v, a, probe, &why);
	} else {
		job.path = record_get(&record, "mail");
		job.ignore = v->conf.quota_ignore;
		record_number(&record, "uid", UINT64_MAX, &job.owner);
		record_number(&record, "gid", UINT64_MAX, &job.group);
		(probe ? scanner_probe : scanner_count)(v->scanner, &job);
	}
	record_clear(&record);
}

void
looks_count(void *server, struct account *a, int by_files)
{
	start_look(server, a, by_files, 0);
}

void
looks_probe(void *server, struct account *a)
{
	start_look(server, a, 0, 1);
}

void
looks_recount(void *server, const char *mailbox)
{
	struct server *v = server;
	struct account *a = ledger_account(v->ledger, mailbox);

	if (a != NULL)
		ledger_recount(v->ledger, a, 1);
}

/* --- what the scanner tells ------------------------------------------------------- */

static void
names(void *server, void *account, void (*add)(void *to, const char *name), void *to)
{
	struct server *v = server;

	ledger_count_names(v->ledger, account, add, to);
}

/* Once, when it begins: it may go on for as long as the mailbox lives. */
static void
log_wrong_names(const struct server *v, const struct account *a, uint64_t wrong)
{
	struct ledger_numbers n;

	ledger_numbers(v->ledger, a, &n);
	if (wrong && !n.wrong_names)
		log_info("count mailbox=%s wrong_names=%" PRIu64
			 ": it is counted by its files until they are right",
			ledger_name(a), wrong);
}

/* When it was counted is shown, and the last tick may be long ago. */
static void
counted(void *server, void *account, const struct scanner_result *found)
{
	struct server *v = server;
	const struct ledger_count c = {
		.exact = found->exact,
		.failed = found->failed,
		.bytes = found->bytes,
		.messages = found->messages,
		.stamp = found->stamp,
		.directory = found->directory,
		.missing = found->missing != 0,
		.ignored = found->ignored != 0,
		.seen = found->seen,
		.seen_count = found->seen_count,
		.text = found->text,
		.sure_bytes = found->sure_bytes,
		.sure_messages = found->sure_messages,
		.by_name = found->by_name,
		.wrong = found->wrong,
	};

	ledger_clock(v->ledger, clock_now_ms());
	log_wrong_names(v, account, found->wrong);
	ledger_counted(v->ledger, account, &c);
}

static void
probed(void *server, void *account, const struct scanner_result *found)
{
	struct server *v = server;

	ledger_probed(v->ledger, account, found->stamp, found->failed);
}

static void
died(void *server)
{
	server_fail(server, "the scanner has died, and its spare too");
}

int
looks_attach(struct server *v)
{
	static const struct scanner_calls calls = {
		.names = names, .counted = counted, .probed = probed, .died = died};

	return scanner_attach(v->scanner, v->base, &calls, v);
}
