/*
 * LIST: the user table from its first key on, a piece at each of the request's turns.
 * Only the key is kept in between, so that a long list needs no memory, and a table that
 * is replaced meanwhile is no harm. Nothing is counted for it.
 */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "line_request.h"
#include "numbers.h"

#define RECORDS_A_TURN 500

struct piece {
	struct line_request *l;
	struct users *users;
	char pattern[ADDRESS_MAX + 1]; /* the request's, as a key; "" for none */
	int records;
};

static int
read_mailbox(const struct piece *p, struct mailbox *m, const struct record *record)
{
	const char *at = address_domain_key(record->key);
	struct record domain = {0};
	struct reason why;
	int result;

	if (at != NULL && users_get(p->users, at, &domain, &why) == -1)
		return -1;
	result = mailbox_from_record(
		m, record, domain.key ? &domain : NULL, p->l->line->room->conf, &why);
	record_clear(&domain);
	return result;
}

static void
add_mailbox(struct line_request *l, const struct mailbox *m)
{
	const struct ledger_limits limits = room_limits(m);
	const struct ledger_place place = room_place(m);
	struct ledger *ledger = l->line->room->ledger;
	struct account *a = ledger_find(ledger, m->key);
	struct ledger_numbers n = {0};
	char text[NUMBERS_SIZE], added[NUMBERS_SIZE + 4];

	if (a != NULL)
		ledger_numbers(ledger, a, &n);
	/* Those of another place say nothing of this mailbox. */
	if (n.place.path != place.path || n.place.owner != place.owner)
		n = (struct ledger_numbers){0};
	if (numbers_text(text, m->key, &n, &limits, m->state, n.known) == -1)
		return;
	snprintf(added, sizeof added, "* %s\n", text);
	request_add(l->request, added);
	l->listed++;
}

static int
list_record(void *arg, const struct record *record)
{
	struct piece *p = arg;
	struct line_request *l = p->l;
	struct mailbox m;

	if (p->records++ == RECORDS_A_TURN)
		return 1;
	if (mailbox_kind_of(record) == MAILBOX_KIND_MAILBOX &&
		(fnmatch(l->pattern, record->key, 0) == 0 ||
			fnmatch(p->pattern, record->key, 0) == 0) &&
		read_mailbox(p, &m, record) == 0) {
		add_mailbox(l, &m);
		mailbox_clear(&m);
	}
	snprintf(l->last, ADDRESS_MAX + 1, "%s", record->key);
	return 0;
}

static void
add_piece(struct line_request *l)
{
	struct piece p = {.l = l, .users = users_reload_table(l->line->room->users)};
	struct reason why = {""};
	int more;

	if (p.users == NULL) {
		line_error(l, "there is no user table at the moment");
		return;
	}
	if (address_key(p.pattern, l->pattern, NULL))
		p.pattern[0] = '\0';
	more = users_each(p.users, l->last, list_record, &p, &why);
	if (more == -1)
		line_error(l, why.text);
	else if (more == 0)
		request_answer(l->request, "OK count=%" PRIu64 "\n", l->listed);
}

void
line_list(struct line_request *l, const char *pattern)
{
	l->pattern = strdup(pattern);
	l->last = calloc(1, ADDRESS_MAX + 1);
	l->add_piece = add_piece;
	if (l->pattern == NULL || l->last == NULL)
		line_error(l, "no memory");
	else
		request_stream(l->request);
}
