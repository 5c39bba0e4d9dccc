/* Jobs that wait, run or are slow, and whose turn it is. */
#include "lane.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define SLOW_MS   5000 /* a job that has run so long is slow */
#define SLOW_MOST 4    /* times as many slow jobs as other ones may run */

static int
owner_has_uid(const void *owner, const void *uid, size_t length)
{
	return memcmp(&((const struct owner *)owner)->uid, uid, length) == 0;
}

int
lane_init(struct lane *lane, const struct kind *kind)
{
	lane->kind = kind;
	TAILQ_INIT(&lane->turns);
	TAILQ_INIT(&lane->running);
	for (int i = 0; i < READERS; i++) {
		TAILQ_INIT(&lane->children[i].resting);
		lane->children[i].most = kind->at_once;
	}
	return hash_init(&lane->owners, owner_has_uid);
}

void
lane_clear(struct lane *lane)
{
	hash_free(&lane->owners);
}

struct owner *
lane_owner(struct lane *lane, uint64_t uid)
{
	struct owner *o = hash_find(&lane->owners, &uid, sizeof uid);

	if (o || !(o = calloc(1, sizeof *o)))
		return o;
	o->uid = uid;
	TAILQ_INIT(&o->waiting);
	if (hash_add(&lane->owners, &uid, sizeof uid, o) == 1)
		return o;
	free(o);
	return NULL;
}

void
lane_forget(struct job *job)
{
	struct owner *o = job->owner;

	if (--o->jobs > 0)
		return;
	hash_remove(&job->lane->owners, &o->uid, sizeof o->uid);
	free(o);
}

void
lane_wait(struct job *job)
{
	struct owner *o = job->owner;

	if (TAILQ_EMPTY(&o->waiting))
		TAILQ_INSERT_TAIL(&job->lane->turns, o, turn);
	if (job->tries > 0)
		TAILQ_INSERT_HEAD(&o->waiting, job, link);
	else
		TAILQ_INSERT_TAIL(&o->waiting, job, link);
	job->lane->waiting++;
}

void
lane_stop_waiting(struct job *job)
{
	struct owner *o = job->owner;

	TAILQ_REMOVE(&o->waiting, job, link);
	job->lane->waiting--;
	TAILQ_REMOVE(&job->lane->turns, o, turn);
	if (!TAILQ_EMPTY(&o->waiting))
		TAILQ_INSERT_TAIL(&job->lane->turns, o, turn);
}

/* How many slow jobs one owner may have. */
static unsigned int
slow_share(const struct lane *lane)
{
	return lane->kind->at_once / 4;
}

/* How many others: less with each slow one, down to a 16th. */
static unsigned int
share(const struct lane *lane, const struct owner *o)
{
	unsigned int most = lane->kind->at_once - lane->kind->at_once / 4;

	return o->slow ? most >> (4 * o->slow / slow_share(lane)) : most;
}

struct job *
lane_next(const struct lane *lane)
{
	struct owner *o;

	if (lane->count < lane->kind->at_once)
		TAILQ_FOREACH(o, &lane->turns, turn)
			if (o->running < share(lane, o))
				return TAILQ_FIRST(&o->waiting);
	return NULL;
}

void
lane_run(struct job *job)
{
	TAILQ_INSERT_TAIL(&job->lane->running, job, link);
	job->begun_ms = clock_now_ms();
	job->lane->count++;
	job->owner->running++;
}

void
lane_stop_running(struct job *job)
{
	TAILQ_REMOVE(&job->lane->running, job, link);
	if (job->is_slow) {
		job->lane->slow--;
		job->owner->slow--;
	} else {
		job->lane->count--;
		job->owner->running--;
	}
	job->is_slow = 0;
}

struct job *
lane_take(struct lane *lane)
{
	struct owner *o = TAILQ_FIRST(&lane->turns);
	struct job *job = o ? TAILQ_FIRST(&o->waiting) : TAILQ_FIRST(&lane->running);

	if (o)
		lane_stop_waiting(job);
	else if (job)
		lane_stop_running(job);
	return job;
}

int
lane_note_slow(struct job *job)
{
	struct lane *lane = job->lane;

	if (job->is_slow || clock_now_ms() - job->begun_ms < SLOW_MS ||
		job->owner->slow >= slow_share(lane) ||
		lane->slow >= SLOW_MOST * lane->kind->at_once)
		return 0;
	job->is_slow = 1;
	lane->slow++;
	job->owner->slow++;
	lane->count--;
	job->owner->running--;
	return 1;
}
