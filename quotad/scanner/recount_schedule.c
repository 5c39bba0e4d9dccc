/* The slow round: how many mailboxes there are is known once a round has gone through. */
#include "recount_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mailbox.h"

#define RECORDS_A_STEP 500
#define FIRST_STEP_MS  1000
#define LEAST_STEP_MS  20
#define EMPTY_STEP_MS  60000 /* after a round without any mailbox */

struct round {
	struct server *server;
	struct event *timer;
	uint64_t mailboxes; /* seen in this round so far */
	uint64_t step_ms;
	int records; /* looked at in this step */
	int found;
	char key[ADDRESS_MAX + 1]; /* of the record that was looked at last */
};

static uint64_t
step_for(uint64_t mailboxes, uint64_t recount_every)
{
	uint64_t ms = mailboxes ? recount_every * 1000 / mailboxes : EMPTY_STEP_MS;

	return ms < LEAST_STEP_MS ? LEAST_STEP_MS : ms;
}

/* Stops at the next mailbox, or after so many records that hold none. */
static int
find_next(void *arg, const struct record *record)
{
	struct round *r = arg;

	snprintf(r->key, sizeof r->key, "%s", record->key);
	r->found = mailbox_kind_of(record) == MAILBOX_KIND_MAILBOX;
	return r->found || ++r->records == RECORDS_A_STEP;
}

static void
count_found(struct round *r)
{
	struct ledger *l = r->server->ledger;
	struct account *a = ledger_account(l, r->key);

	r->mailboxes++;
	if (a != NULL)
		ledger_recount(l, a, 1);
}

static void
begin_again(struct round *r)
{
	r->step_ms = step_for(r->mailboxes, r->server->conf.recount_every);
	r->mailboxes = 0;
	r->key[0] = '\0';
}

/* A table that can't be read is looked at again in a step's time. */
static void
step(int fd, short what, void *arg)
{
	struct round *r = arg;
	struct users *users = table_users(r->server->table);
	struct reason why;
	struct timeval wait;
	int more = -1;

	(void)fd;
	(void)what;
	r->found = r->records = 0;
	if (users != NULL)
		more = users_each(users, r->key, find_next, r, &why);
	if (users != NULL && more == -1)
		log_warning("the slow round can't go on: %s", why.text);
	if (r->found)
		count_found(r);
	else if (more == 0)
		begin_again(r);
	wait.tv_sec = (time_t)(r->step_ms / 1000);
	wait.tv_usec = (suseconds_t)(r->step_ms % 1000 * 1000);
	event_add(r->timer, &wait);
}

struct round *
round_new(struct server *v)
{
	const struct timeval first = {.tv_sec = FIRST_STEP_MS / 1000};
	struct round *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->server = v;
	r->step_ms = FIRST_STEP_MS;
	r->timer = evtimer_new(v->base, step, r);
	if (r->timer == NULL || event_add(r->timer, &first) == -1)
		round_free(&r);
	return r;
}

void
round_free(struct round **r)
{
	if (*r == NULL)
		return;
	if ((*r)->timer != NULL)
		event_free((*r)->timer);
	free(*r);
	*r = NULL;
}
