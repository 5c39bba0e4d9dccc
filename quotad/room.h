/*
 * Room: the one verdict on a message. Whoever asks, and by whatever protocol, asks here:
 * a recipient, a number of bytes and what is wanted go in, an outcome comes out by
 * callback, at once or when the ledger has decided. Nothing here is text of a protocol.
 *
 * Whoever may not ask about a mailbox is told the same of every name, in the user table
 * or not. What is not known here is VERDICT_TROUBLE, never a refusal;
 * VERDICT_NO_SUCH_USER is what this user table says, which may be a moment older than
 * another reader's.
 */
#ifndef QUOTAD_ROOM_H
#define QUOTAD_ROOM_H

#include <stdint.h>
#include <sys/types.h>

#include "ledger/ledger.h"
#include "mailbox.h"
#include "users_reload.h"

/* What answers rest on. */
struct room {
	const struct conf *conf;
	struct ledger *ledger;
	struct users_reload *users;
};

/* Who asks, as it was when the question came. */
struct room_asker {
	uid_t uid;
	int nobody;  /* the kernel can't name the user, who may ask nothing */
	int trusted; /* may ask about every mailbox */
	uint64_t tickets, ticket_limit; /* of this user: open or asked for, and at most */
	struct ledger_connection *connection;
};

/* A question. The caller keeps it until it is answered or its connection is forgotten by
 * the ledger; what the first half points to is needed during room_ask alone. */
struct room_question {
	enum ledger_kind kind;
	const char *recipient; /* as it was given */
	const char *sender;    /* envelope sender; NULL: not told */
	uint64_t bytes;        /* 0: not known yet */
	const char *name;      /* RESERVE: of the message's file */
	int has_place;         /* the asker's table says where the mailbox is */
	uint64_t place;        /* as mailbox_place has it */
	uint64_t directory; /* RESERVE: the open Maildir, as walk_identity has it, or 0 */
	int is_missing;     /* CHECK, RESERVE: there is no Maildir, or no new/ in it */
	int is_meant;       /* RECOUNT: and that is so on purpose */
	const struct ledger_promise *promise; /* PROMISE */
	const char *ids; /* CHECK, RESERVE: the message's queue ids; NULL: not told */

	/* The mailbox is known and may be asked about; the ledger has not been asked yet.
	 * May be NULL. */
	void (*found)(struct room_question *q);
	/* Once, and the last that is done with the question. */
	void (*answered)(struct room_question *q, const struct outcome *o);

	/* Set by room_ask. */
	struct account *account; /* NULL: the recipient led to no mailbox */
	struct ledger_limits limits;
	enum mailbox_state state;
	int smtp_full_waits; /* as the mailbox's smtp_full */
	int promised;        /* PROMISE: its room is kept; RESERVE: a promise was used */
	int forbidden;       /* not this asker's to ask about */
	uint64_t ticket;     /* RESERVE that was granted */
	uint64_t was;        /* RECOUNT: used before it */
};

/* Asks. VERDICT_DELIVERED is yes. */
void room_ask(
	const struct room *room, struct room_question *q, const struct room_asker *asker);

/* The ledger has decided: its call "answer", with the question as the cookie; ROOM is the
 * room. */
void room_decided(void *room, void *question, const struct ledger_answer *answer);

/* Whether the asker may ask about mailboxes of that uid. */
int room_may_ask(const struct room_asker *asker, uid_t owner);

/* The ledger's call "look_up"; ROOM is the room. */
int room_look_up(void *room, const struct account *a, struct ledger_place *place,
	struct ledger_limits *limits);

/* The ledger's call "is_removed". */
int room_is_removed(void *room, const struct account *a);

/* Where the mailbox's record has it. */
struct ledger_place room_place(const struct mailbox *m);

/* What the mailbox's record says of its limits. */
struct ledger_limits room_limits(const struct mailbox *m);

#endif
