/* Looks at mailboxes. */
#include "looks.h"

#include <stdlib.h>
#include <string.h>

#include "server.h"

struct failure {
	struct failure *next;
	struct account *account;
	int probe;
	struct reason why;
};

/* The ledger must not be told the end of a count before it has begun. */
static void
fail_later(struct server *v, struct account *a, int probe, const struct reason *why)
{
	struct failure *f = calloc(1, sizeof *f);

	if (f == NULL) {
		server_fail(v, "no memory");
		return;
	}
	f->account = a;
	f->probe = probe;
	f->why = *why;
	f->next = v->failures;
	v->failures = f;
}

void
looks_tell_failures(struct server *v)
{
	struct failure *f = v->failures, *next;

	v->failures = NULL;
	for (; f != NULL; f = next) {
		const struct ledger_count c = {.failed = 1, .text = f->why.text};

		next = f->next;
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
	struct failure *next;

	for (; v->failures != NULL; v->failures = next) {
		next = v->failures->next;
		free(v->failures);
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
start_look(struct server *v, struct account *a, int thorough, int probe)
{
	struct scanner_job job = {.account = a, .thorough = thorough};
	struct record record;
	struct reason why;

	if (find_place(v, ledger_name(a), &record, &why) == -1) {
		fail_later(v, a, probe, &why);
	} else {
		job.path = record_get(&record, "mail");
		job.ignore = v->conf.quota_ignore;
		(probe ? scanner_probe : scanner_count)(v->scanner, &job);
	}
	record_clear(&record);
}

void
looks_count(void *server, struct account *a, int thorough)
{
	start_look(server, a, thorough, 0);
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
