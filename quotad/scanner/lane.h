/*
 * A lane: the jobs of one kind, which wait or run, each with an owner and a file system.
 * File systems take turns, and on each of them owners do. No owner has more than three
 * quarters of the places, no file system that may hang more than a quarter. A job that
 * has run for long is slow and gives its place back, so that mailboxes on a file system
 * that never answers hold up nobody else's; each slow one leaves its owner and its file
 * system fewer places.
 */
#ifndef QUOTAD_SCANNER_LANE_H
#define QUOTAD_SCANNER_LANE_H

#include <stdint.h>
#include <sys/queue.h>

#include "answer.h"
#include "children.h"
#include "hash.h"

/* Who looks at the mailbox: a child of the scanner, or one of the spawner as its owner.
 */
enum job_reader { BY_SCANNER, BY_OWNER, READERS };

struct job {
	TAILQ_ENTRY(job) link;
	struct scanner *scanner;
	struct lane *lane;
	void *key;
	char *request; /* as the scanner gets it; NULL where it can't be asked */
	enum job_reader reader;
	struct queue *queue; /* NULL: it is in no lane */
	struct child *child; /* NULL: it has none */
	uint64_t begun_ms, deadline_ms;
	int tries, is_slow;
	struct answer answer;
	char mailbox[];
};

TAILQ_HEAD(job_list, job);

struct kind {
	const char *name;
	enum answer_kind answer;
	unsigned int at_once;
	unsigned int seconds;
	void (*done)(struct job *job);
};

/* The jobs of one owner, by uid, or of one file system, by its group (mounts.h). */
struct share {
	uint64_t key;
	unsigned int jobs, running, slow;
	TAILQ_ENTRY(share) turn;   /* a file system's, while any of its jobs waits */
	TAILQ_HEAD(, queue) turns; /* its owners' */
};

/* Those of one owner on one file system. */
struct queue {
	struct queue_key {
		uint64_t uid, group;
	} key;
	struct share *owner, *disk;
	TAILQ_ENTRY(queue) turn; /* while any of them waits */
	struct job_list waiting;
	unsigned int jobs;
};

/* Jobs of one kind. */
struct lane {
	const struct kind *kind;
	struct hash owners, disks, queues;
	TAILQ_HEAD(, share) turns;
	struct job_list running;
	unsigned int waiting, count, slow; /* jobs; running are the other two */
	struct children children[READERS];
};

/* 0, or -1 without memory; lane_clear is for either. */
int lane_init(struct lane *lane, const struct kind *kind);
/* It has no job any more. */
void lane_clear(struct lane *lane);

/* The job is the lane's from now on, and in none of its lists: 0, or -1 without memory.
 */
int lane_enter(struct lane *lane, struct job *job, uint64_t uid, uint64_t group);
/* The job, which is in no list, is its lane's no more. */
void lane_leave(struct job *job);

/* The job waits; one that was begun already is its owner's first. */
void lane_wait(struct job *job);
/* It waits no more, and its owner has had its turn. */
void lane_stop_waiting(struct job *job);
void lane_run(struct job *job);
void lane_stop_running(struct job *job);

/* The next that may run now, or NULL. */
struct job *lane_next(const struct lane *lane);
/* Any job, which neither waits nor runs any more; NULL: there is none. */
struct job *lane_take(struct lane *lane);
/* 1 where a job that runs has become slow, and its place is free. */
int lane_note_slow(struct job *job);

#endif
