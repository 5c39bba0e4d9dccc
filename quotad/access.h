/*
 * Access: the one answer at SMTP time, whatever the protocol. A sender, recipients as the
 * client has named them and a size go in; an outcome comes out by callback, at once or
 * later. What a mailbox says is the room's answer, the same as at delivery.
 *
 * An address with several targets, or several recipients, is refused only if every one
 * would refuse, with the gentlest of their answers. They are asked one after the other,
 * up to the first yes; of a whole message that has a queue id all are, and each that says
 * yes keeps its room for promise_ms, as far as clients.h allows it. What is not ours is a
 * yes: VERDICT_DELIVERED is "nothing to object". VERDICT_TROUBLE and
 * VERDICT_MISCONFIGURED are errors of ours, which no protocol may make a refusal of.
 *
 * Full is no refusal where smtp_full = wait: the mail server takes the message, which
 * waits in its queue, up to wait_max bytes for each mailbox.
 *
 * The announced size is anybody's claim: only a small one, that ordinary mail has, starts
 * or keeps "full since" (ledger/full_since.c) as the real one does.
 */
#ifndef QUOTAD_ACCESS_H
#define QUOTAD_ACCESS_H

#include "clients.h"
#include "room.h"
#include "senders.h"
#include "targets.h"
#include "waiting/waiting.h"

#define ACCESS_ORDINARY_BYTES 65536 /* an announced size that ordinary mail has */
#define ACCESS_ALL            256   /* mailboxes that are told of a message, at most */
#define ACCESS_MOST           2000  /* that are asked; with more it is a yes */

/* What answers rest on. */
struct access {
	const struct conf *conf;
	const struct room *room;
	struct senders *senders; /* that the site has blocked; NULL: none */
	struct waiting *waiting; /* mail that does; NULL: none is remembered */
	struct clients *clients; /* that have promises; NULL: none gets any */
};

enum access_stage {
	ACCESS_RCPT,   /* with the announced size */
	ACCESS_DATA,   /* the same */
	ACCESS_MESSAGE /* the whole message is there: its real size */
};

/* A question. The caller keeps it until access_finish, and the queue id; the other
 * strings are needed during access_ask alone. */
struct access_question {
	enum access_stage stage;
	const char *const *recipients; /* as the client has named them */
	size_t count;                  /* 0: several, and it is not known which */
	const char *sender;            /* "": the null sender; NULL: not told */
	const char *login;             /* sasl_username; NULL or "": not logged in */
	uint64_t bytes;                /* 0: not known */
	int leaves_no_trace;           /* a person only wants to know */
	const char *queue_id; /* of a whole message, from who is believed; else NULL */
	uint64_t client;      /* its account, as in clients.h */
	uint64_t promise_ms;  /* how long room is kept; 0: it is not */
	/* Once, and the last that is done with the question. */
	void (*answered)(struct access_question *q, const struct outcome *o);

	size_t promised; /* set: how many keep its room */

	/* access.c's own */
	struct access_work {
		struct room_question room; /* of the target that is asked about */
		struct ledger_promise promise;
		const struct access *access;
		struct room_asker asker;
		char **recipients;      /* copies, in one piece of memory */
		size_t recipient;       /* the next */
		struct targets targets; /* of the recipient before it */
		size_t target;          /* the next */
		size_t asked;           /* mailboxes so far */
		uint64_t since_ms;
		struct outcome gentlest; /* so far */
		int has_outcome;
		int is_asking, is_answered; /* the room, in this very call */
	} work;
};

/* Asks. The question is answered once: at once, or later as long as the asker's
 * connection is not forgotten by the ledger. */
void access_ask(const struct access *access, struct access_question *q,
	const struct room_asker *asker);

/* Frees what the question keeps, answered or not. */
void access_finish(struct access_question *q);

#endif
