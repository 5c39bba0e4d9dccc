/* STATS. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "line_request.h"
#include "scanner/jobs.h"
#include "waiting/waiting.h"

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
write_numbers(const struct line_request *l, FILE *to)
{
	const struct ledger_totals *t = ledger_totals(l->line->room->ledger);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"generation", users_reload_generation(l->line->room->users)},
		{"accounts", t->accounts},
		{"tickets", t->tickets},
		{"orphans", t->orphans},
		{"waiting", t->waiting},
		{"promises", t->promises},
		{"promised_bytes", t->promised_bytes},
		{"granted", t->granted},
		{"refused", t->refused},
		{"later", t->later},
		{"committed", t->committed},
		{"cancelled", t->cancelled},
		{"counts", t->counts},
		{"inexact_counts", t->inexact_counts},
		{"probes", t->probes},
		{"corrected", t->corrected},
		{"connections", request_connections(l->request)},
		{"uptime", (clock_now_ms() - l->line->started_ms) / 1000},
		{"rss", resident_bytes()},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		fprintf(to, "* %s=%" PRIu64 "\n", rows[i].name, rows[i].value);
}

/* Mail that waits for room in the mail server's queue. */
static void
write_waiting(const struct waiting *waiting, FILE *to)
{
	struct waiting_totals t;

	waiting_totals(waiting, &t);
	fprintf(to,
		"* waiting_messages=%" PRIu64 "\n* waiting_bytes=%" PRIu64
		"\n* waiting_mailboxes=%" PRIu64 "\n* released=%" PRIu64
		"\n* not_released=%" PRIu64 "\n",
		t.messages, t.bytes, t.mailboxes, t.released, t.not_released);
}

/* A table that can't be used, and why. */
static void
write_refused(const struct users_reload *users, FILE *to)
{
	char refused[USERS_IDENTITY_SIZE];
	const char *fault = users_reload_fault(users, refused);
	char *escaped = fault ? record_escape(fault) : NULL;

	if (escaped)
		fprintf(to, "* users_refused=%s users_fault=%s\n", refused, escaped);
	free(escaped);
}

/* Who reads mailboxes, and how often that was their owner. */
static void
write_readers(const struct scanner *scanner, FILE *to)
{
	if (scanner != NULL)
		fprintf(to, "* scan_as=%s\n* read_search=%d\n* as_owner=%" PRIu64 "\n",
			scanner_scan_as(scanner), scanner_read_search(scanner),
			scanner_as_owner(scanner));
}

/* Whoever has changed the user table asks until it has been taken: so it is looked at
 * now. */
void
line_statistics(struct line_request *l)
{
	struct users_reload *users = l->line->room->users;
	char *text = NULL;
	size_t length;
	FILE *to = open_memstream(&text, &length);

	users_reload_look(users);
	if (to != NULL) {
		fprintf(to, "* version=%s\n* users_table=%s\n* store=%s\n", BRIM_VERSION,
			users_reload_identity(users),
			usage_on_disk(l->line->usage) ? "disk" : "memory");
		write_refused(users, to);
		write_readers(l->line->scanner, to);
		write_numbers(l, to);
		if (l->line->waiting != NULL)
			write_waiting(l->line->waiting, to);
	}
	if (to == NULL || fclose(to) != 0)
		line_error(l, "no memory");
	else
		request_answer(l->request, "%sOK\n", text);
	free(text);
}
