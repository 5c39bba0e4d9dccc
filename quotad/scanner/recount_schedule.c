/* The slow round: how many mailboxes there are is known once a round has gone through. */
#include "recount_schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mailbox.h"

#define RECORDS_A_STEP 500
#define FIRST_STEP_MS  1000
#define LEAST_STEP_MS  20
#define EMPTY_STEP_MS  60000 /* after a round without any mailbox */

struct recount_schedule {
	struct users_reload *reload;
	uint64_t every_s; /* once for each mailbox in so long */
	void (*recount)(void *arg, const char *mailbox);
	void *arg;
	struct event *timer;
	uint64_t mailboxes; /* seen in this round so far */
	uint64_t step_ms;
	int records; /* looked at in this step */
	int found;
	char key[ADDRESS_MAX + 1]; /* of the record that was looked at last */
};

static uint64_t
step_for(uint64_t mailboxes, uint64_t every_s)
{
	uint64_t ms = mailboxes ? every_s * 1000 / mailboxes : EMPTY_STEP_MS;

	return ms < LEAST_STEP_MS ? LEAST_STEP_MS : ms;
}

/* Stops at the next mailbox, or after so many records that hold none. */
static int
find_next(void *arg, const struct record *record)
{
	struct recount_schedule *r = arg;

	snprintf(r->key, sizeof r->key, "%s", record->key);
	r->found = mailbox_kind_of(record) == MAILBOX_KIND_MAILBOX;
	return r->found || ++r->records == RECORDS_A_STEP;
}

static void
begin_again(struct recount_schedule *r)
{
	r->step_ms = step_for(r->mailboxes, r->every_s);
	r->mailboxes = 0;
	r->key[0] = '\0';
}

/* A table that can't be read is looked at again in a step's time. */
static void
step(int fd, short what, void *arg)
{
	struct recount_schedule *r = arg;
	struct users *users = users_reload_table(r->reload);
	struct reason why = {""};
	struct timeval wait;
	int more = -1;

	(void)fd;
	(void)what;
	r->found = r->records = 0;
	if (users != NULL)
		more = users_each(users, r->key, find_next, r, &why);
	if (users != NULL && more == -1)
		log_warning("the slow round can't go on: %s", why.text);
	if (r->found) {
		r->mailboxes++;
		r->recount(r->arg, r->key);
	} else if (more == 0) {
		begin_again(r);
	}
	wait.tv_sec = (time_t)(r->step_ms / 1000);
	wait.tv_usec = (suseconds_t)(r->step_ms % 1000 * 1000);
	event_add(r->timer, &wait);
}

struct recount_schedule *
recount_schedule_new(struct event_base *base, struct users_reload *reload,
	void (*recount)(void *arg, const char *mailbox), void *arg)
{
	const struct timeval first = {.tv_sec = FIRST_STEP_MS / 1000};
	struct recount_schedule *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->reload = reload;
	r->recount = recount;
	r->arg = arg;
	r->step_ms = FIRST_STEP_MS;
	r->timer = evtimer_new(base, step, r);
	if (r->timer == NULL || event_add(r->timer, &first) == -1)
		recount_schedule_free(&r);
	return r;
}

void
recount_schedule_set(struct recount_schedule *r, uint64_t every_s)
{
	r->every_s = every_s;
}

void
recount_schedule_free(struct recount_schedule **r)
{
	if (*r == NULL)
		return;
	if ((*r)->timer != NULL)
		event_free((*r)->timer);
	free(*r);
	*r = NULL;
}
