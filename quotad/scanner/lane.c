/* Jobs that wait, run or are slow, and whose turn it is. */
#include "lane.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define SLOW_MS   5000 /* a job that has run so long is slow */
#define SLOW_MOST 4    /* times as many slow jobs as other ones may run */

static int
share_has_key(const void *share, const void *key, size_t length)
{
	return memcmp(&((const struct share *)share)->key, key, length) == 0;
}

static int
queue_has_key(const void *queue, const void *key, size_t length)
{
	return memcmp(&((const struct queue *)queue)->key, key, length) == 0;
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
	return hash_init(&lane->owners, share_has_key) ||
			       hash_init(&lane->disks, share_has_key) ||
			       hash_init(&lane->queues, queue_has_key)
		       ? -1
		       : 0;
}

void
lane_clear(struct lane *lane)
{
	hash_free(&lane->owners);
	hash_free(&lane->disks);
	hash_free(&lane->queues);
}

/* --- whose a job is ---------------------------------------------------------------- */

/* The one of that key, made if it has no job yet; NULL without memory. */
static struct share *
find_share(struct hash *all, uint64_t key)
{
	struct share *s = hash_find(all, &key, sizeof key);

	if (s || !(s = calloc(1, sizeof *s)))
		return s;
	s->key = key;
	TAILQ_INIT(&s->turns);
	if (hash_add(all, &key, sizeof key, s) == 1)
		return s;
	free(s);
	return NULL;
}

static struct queue *
find_queue(struct hash *all, const struct queue_key *key)
{
	struct queue *q = hash_find(all, key, sizeof *key);

	if (q || !(q = calloc(1, sizeof *q)))
		return q;
	q->key = *key;
	TAILQ_INIT(&q->waiting);
	if (hash_add(all, key, sizeof *key, q) == 1)
		return q;
	free(q);
	return NULL;
}

/* Those that have no job are forgotten. */
static void
forget_idle(struct lane *lane, struct queue *q, struct share *owner, struct share *disk)
{
	if (q && q->jobs == 0) {
		hash_remove(&lane->queues, &q->key, sizeof q->key);
		free(q);
	}
	if (owner && owner->jobs == 0) {
		hash_remove(&lane->owners, &owner->key, sizeof owner->key);
		free(owner);
	}
	if (disk && disk->jobs == 0) {
		hash_remove(&lane->disks, &disk->key, sizeof disk->key);
		free(disk);
	}
}

int
lane_enter(struct lane *lane, struct job *job, uint64_t uid, uint64_t group)
{
	const struct queue_key key = {uid, group};
	struct queue *q = find_queue(&lane->queues, &key);
	struct share *owner = find_share(&lane->owners, uid);
	struct share *disk = find_share(&lane->disks, group);

	job->lane = lane;
	if (!q || !owner || !disk) {
		forget_idle(lane, q, owner, disk);
		return -1;
	}
	q->owner = owner;
	q->disk = disk;
	q->jobs++;
	owner->jobs++;
	disk->jobs++;
	job->queue = q;
	return 0;
}

void
lane_leave(struct job *job)
{
	struct queue *q = job->queue;

	if (!q)
		return;
	q->jobs--;
	q->owner->jobs--;
	q->disk->jobs--;
	forget_idle(job->lane, q, q->owner, q->disk);
	job->queue = NULL;
}

/* --- waiting ----------------------------------------------------------------------- */

void
lane_wait(struct job *job)
{
	struct queue *q = job->queue;

	if (TAILQ_EMPTY(&q->disk->turns))
		TAILQ_INSERT_TAIL(&job->lane->turns, q->disk, turn);
	if (TAILQ_EMPTY(&q->waiting))
		TAILQ_INSERT_TAIL(&q->disk->turns, q, turn);
	if (job->tries > 0)
		TAILQ_INSERT_HEAD(&q->waiting, job, link);
	else
		TAILQ_INSERT_TAIL(&q->waiting, job, link);
	job->lane->waiting++;
}

void
lane_stop_waiting(struct job *job)
{
	struct queue *q = job->queue;
	struct lane *lane = job->lane;

	TAILQ_REMOVE(&q->waiting, job, link);
	lane->waiting--;
	TAILQ_REMOVE(&lane->turns, q->disk, turn);
	TAILQ_REMOVE(&q->disk->turns, q, turn);
	if (!TAILQ_EMPTY(&q->waiting))
		TAILQ_INSERT_TAIL(&q->disk->turns, q, turn);
	if (!TAILQ_EMPTY(&q->disk->turns))
		TAILQ_INSERT_TAIL(&lane->turns, q->disk, turn);
}

/* How many slow jobs one owner, or one file system, may have. */
static unsigned int
slow_most(const struct lane *lane)
{
	const unsigned int most = lane->kind->at_once / 4;

	return most > 0 ? most : 1;
}

/* Whether one that may have MOST jobs run may have one more: less with each slow one. */
static int
has_place(const struct lane *lane, const struct share *s, unsigned int most)
{
	unsigned int few = s->slow ? most >> (4 * s->slow / slow_most(lane)) : most;

	return s->running < (few ? few : 1);
}

static unsigned int
owners_most(const struct lane *lane)
{
	return lane->kind->at_once - lane->kind->at_once / 4;
}

/* What can't hang (group 0) has the whole lane. */
static int
disk_has_place(const struct lane *lane, const struct share *disk)
{
	return disk->key == 0 || has_place(lane, disk, lane->kind->at_once / 4);
}

struct job *
lane_next(const struct lane *lane)
{
	const struct share *disk;
	struct queue *q;

	if (lane->count >= lane->kind->at_once)
		return NULL;
	TAILQ_FOREACH(disk, &lane->turns, turn)
		if (disk_has_place(lane, disk))
			TAILQ_FOREACH(q, &disk->turns, turn)
				if (has_place(lane, q->owner, owners_most(lane)))
					return TAILQ_FIRST(&q->waiting);
	return NULL;
}

void
lane_run(struct job *job)
{
	TAILQ_INSERT_TAIL(&job->lane->running, job, link);
	job->begun_ms = clock_now_ms();
	job->lane->count++;
	job->queue->owner->running++;
	job->queue->disk->running++;
}

void
lane_stop_running(struct job *job)
{
	TAILQ_REMOVE(&job->lane->running, job, link);
	if (job->is_slow) {
		job->lane->slow--;
		job->queue->owner->slow--;
		job->queue->disk->slow--;
	} else {
		job->lane->count--;
		job->queue->owner->running--;
		job->queue->disk->running--;
	}
	job->is_slow = 0;
}

struct job *
lane_take(struct lane *lane)
{
	struct share *disk = TAILQ_FIRST(&lane->turns);
	struct job *job = disk ? TAILQ_FIRST(&TAILQ_FIRST(&disk->turns)->waiting)
			       : TAILQ_FIRST(&lane->running);

	if (disk)
		lane_stop_waiting(job);
	else if (job)
		lane_stop_running(job);
	return job;
}

int
lane_note_slow(struct job *job)
{
	struct lane *lane = job->lane;
	struct share *owner = job->queue->owner, *disk = job->queue->disk;

	if (job->is_slow || clock_now_ms() - job->begun_ms < SLOW_MS ||
		owner->slow >= slow_most(lane) ||
		(disk->key != 0 && disk->slow >= slow_most(lane)) ||
		lane->slow >= SLOW_MOST * lane->kind->at_once)
		return 0;
	job->is_slow = 1;
	lane->slow++;
	lane->count--;
	owner->slow++;
	owner->running--;
	disk->slow++;
	disk->running--;
	return 1;
}
