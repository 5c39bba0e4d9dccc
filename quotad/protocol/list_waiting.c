/*
 * WAITING: for which mailboxes mail waits, a piece at each of the request's turns, in the
 * order in which the first came. Whoever may not ask about every mailbox sees his own.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "line_request.h"
#include "record.h"
#include "waiting/waiting.h"

#define MAILBOXES_A_TURN 200

static int
may_see(const struct line_request *l, const char *mailbox)
{
	const struct room_asker asker = request_asker(l->request);
	const struct account *a = ledger_find(l->line->room->ledger, mailbox);
	struct ledger_numbers n;

	if (a == NULL)
		return asker.trusted && !asker.nobody;
	ledger_numbers(l->line->room->ledger, a, &n);
	return room_may_ask(&asker, (uid_t)n.place.owner);
}

static void
add_mailbox(struct line_request *l, const struct waiting_mailbox *m)
{
	char *escaped = record_escape(m->name), *line = NULL;

	if (escaped != NULL && asprintf(&line,
				       "* mailbox=%s messages=%" PRIu64 " bytes=%" PRIu64
				       " since=%" PRIu64 "\n",
				       escaped, m->messages, m->bytes, m->since_s) == -1)
		line = NULL;
	if (line != NULL) {
		request_add(l->request, line);
		l->listed++;
	}
	free(line);
	free(escaped);
}

static void
add_piece(struct line_request *l)
{
	struct waiting_mailbox m = {.number = l->last_number, .name = l->last};

	for (int i = 0; i < MAILBOXES_A_TURN; i++) {
		if (!waiting_next(l->line->waiting, &m)) {
			request_answer(l->request, "OK count=%" PRIu64 "\n", l->listed);
			return;
		}
		if (fnmatch(l->pattern, m.name, 0) == 0 && may_see(l, m.name))
			add_mailbox(l, &m);
	}
	l->last_number = m.number;
	snprintf(l->last, ADDRESS_MAX + 1, "%s", m.name);
}

void
line_list_waiting(struct line_request *l, const char *pattern)
{
	l->pattern = strdup(pattern);
	l->last = calloc(1, ADDRESS_MAX + 1);
	l->add_piece = add_piece;
	if (l->pattern == NULL || l->last == NULL)
		line_error(l, "no memory");
	else
		request_stream(l->request);
}
