/*
 * The counting protocol of quotad's ledger: one mailbox, a few deliveries at once, and
 * everything that can go wrong between them. README.md has the rules in words. What is
 * checked here:
 *
 *   S1  never more messages in the mailbox than the limit;
 *   S2  where the number is trusted, used + tickets is never less than what is there;
 *   N1  after a count, the number is the messages;
 *   L1  once all is quiet, one exact count makes it so, and no ticket is left: room comes back;
 *   B1  orphans are bounded;
 *   F1  no refusal that messages and tickets in use don't justify, no hard one that the
 *       messages alone don't justify, no "try again" without something that may still come.
 *
 * Every message has size 1, and the limit is LIMIT. A transition is one step of one program:
 * the processes below take them in any order. What a step says is printed in a replay.
 *
 * Every part of a rule is a PART(name) here. With -DWITHOUT=name the model lacks that part,
 * and must break: `run` tries them all.
 */

/* the size of the world */
#ifndef LDAS
#define LDAS 2          /* deliveries, each of one message under one name */
#endif
#ifndef OLD
#define OLD 1           /* messages that are there already, in cur/ */
#endif
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef KILLS
#define KILLS 0         /* ldas killed by anybody (each lda's own deadline comes on top) */
#endif
#ifndef RESTARTS
#define RESTARTS 0      /* quotad killed and started again */
#endif
#ifndef CLOSES
#define CLOSES 0        /* connections that quotad closes by itself (idle, limits) */
#endif
#ifndef LOSSES
#define LOSSES 0        /* quotad killed and its store lost, in the same boot */
#endif
#ifndef CUTS
#define CUTS 0          /* power cuts, each with a boot */
#endif
#ifndef DELETES
#define DELETES 0       /* messages that the user deletes */
#endif
#ifndef CANCELS
#define CANCELS 1       /* 1: ldas may fail before the link and CANCEL; 2: after it, too */
#endif
#ifndef MOVES_BACK
#define MOVES_BACK 0    /* 1: messages also move to the directory that a count reads first */
#endif
#ifndef LOWERS
#define LOWERS 0        /* `deadline` is lowered, and quotad told; old ldas go by the old one */
#endif
#ifndef TICKETS
#define TICKETS 9       /* most open tickets */
#endif
#ifndef ORPHANS
#define ORPHANS 9       /* with so many orphans there is no new ticket */
#endif
#ifndef KEPT
#define KEPT 9          /* most names of committed messages kept for a count */
#endif
#ifndef PASSES
#define PASSES 0        /* 1: refusals also rest on two passes that were not exact */
#endif
#define NAMES (LDAS + OLD)

/* the parts of the rules, by number of the rule */
#define names_in_tickets        101 /* a count can tell which tickets' messages it saw */
#define stored_at_all           102 /* a ticket is in the store */
#define stored_before_ok        103 /* ... before OK is sent */
#define commit_grows_used       201
#define cancel_ends_ticket      202
#define orphan_stays_charged    203 /* a connection's end does not end its ticket */
#define seen_ends_orphan        204
#define unseen_ends_orphan      205
#define unseen_since_its_end    206 /* ... only by a count that began after its lda's end */
#define deadline_after_restart  207 /* an orphan of a restart may have a live lda */
#define deadline_after_close    208 /* so may one whose connection quotad closed */
#define no_deadline_after_boot  209 /* but none from before a boot */
#define takes_over_open         210
#define takes_over_orphan       211
#define no_second_charge        212 /* a take-over needs no room */
#define taken_over_is_spared    213 /* a running count no longer ends a ticket taken over */
#define older_refused_if_open   214 /* RESERVE on an earlier connection than the ticket's */
#define older_refused_if_orphan 215
#define eof_of_owner_only       216
#define commit_of_owner_only    217
#define cancel_of_owner_only    218
#define unlinked_before_cancel  219 /* an lda that fails after the link */
#define takes_over_before_limit 221 /* the limit of open tickets is for new ones */
#define limit_spares_orphans    222 /* ... and orphans are none of them */
#define orphans_bounded         223
#define larger_deadline         224 /* a lowered deadline: the old one counts for a while, */
#define lowered_is_kept         225 /* ... also after a restart */
#define lda_ends_by_deadline    220
#define names_begun_meanwhile   301 /* of tickets begun during the count, too */
#define seen_open_subtracted    302
#define unseen_commit_added     303
#define seen_commit_not_added   304
#define inexact_never_lowers    305
#define inexact_ends_no_orphan  306
#define one_count_at_a_time     307
#define nameless_is_inexact     308 /* more was committed than names are kept */
#define ctimes_compared         401
#define ctimes_over_whole_count 402 /* of all directories, over all readings */
#define clock_grain             403
#define once_by_name            404
#define basis_exact             501 /* a refusal rests on an exact count */
#define basis_ends_by_commit    502
#define basis_ends_by_ctime     503
#define pending_eof_first       504
#define pending_commit_first    505
#define pending_cancel_first    506
#define ended_orphan_recounts   507
#define maybe_orphan_no_refusal 508 /* orphans in the way whose ldas may live: 4.3.0 */
#define tickets_never_hard      509 /* open tickets in the way: 4.2.2 */
#define both_passes             510 /* not exact: what was seen in two successive passes */
#define boot_counts             601 /* no number of another boot, however low */
#define boot_mark               602 /* ... also not after one more restart in this boot */
#define lost_waits              603 /* store lost: no grant until the deadline */
#define lost_counts             604 /* ... and a count was made */
#define lost_counts_after_wait  605 /* ... that began after the deadline */
#define lost_wait_is_kept       606 /* a restart during that wait begins it again */

#ifndef WITHOUT
#define WITHOUT 0
#endif
#define PART(p) (WITHOUT != (p))

/* an lda */
#define IDLE     0      /* not begun */
#define ASKING   1      /* has sent RESERVE */
#define HAS_OK   2      /* has read OK from a connection that was still open */
#define LINKED   3      /* the message has its name in new/ */
#define FAILED   4      /* has unlinked it again, since the directory could not be synced */
#define ENDED    5
#define CUT_OFF  6      /* ended by a power cut */

/* one of its two connections: what quotad has not read yet, or has answered */
#define CLOSED      0
#define ASKED       1   /* RESERVE unread */
#define ASKED_EOF   2   /* RESERVE and the end of the connection unread */
#define GRANTED     3   /* OK sent */
#define GRANTED_EOF 4
#define COMMIT_EOF  5   /* COMMIT, then the end */
#define CANCEL_EOF  6
#define BROKEN      7   /* quotad's side is closed, and the lda has not noticed */

/* its message */
#define NOWHERE 0
#define NEW     1
#define CUR     2

/* its ticket in the ledger */
#define NONE  0
#define OPEN  1
#define MAYBE 2         /* orphan, its lda may be alive */
#define GONE  3         /* orphan, its lda has ended */

typedef name_t {
	unsigned does : 3;      /* the lda */
	unsigned attempt : 1;   /* the connection in use */
	unsigned file : 2;
	unsigned ticket : 2;
	unsigned owner : 2;     /* the ticket's connection, counted from 1; 0: of an earlier daemon */
	/* of the count that is running */
	unsigned seen : 2;      /* times */
	unsigned committed : 1; /* since it began */
	unsigned gone : 1;      /* was a GONE orphan when it began, and still is */
#if WITHOUT == names_begun_meanwhile
	unsigned known : 1;     /* had a ticket when it began */
#endif
#if LOSSES
	unsigned old : 1;       /* lda was alive when the store was lost */
#endif
#if LOWERS
	unsigned slow : 1;      /* lda goes by the old, longer deadline */
#endif
#if PASSES
	unsigned before : 1;    /* was seen in the pass before this one */
#endif
	byte line[2]
};
name_t name[NAMES];

/* the ledger */
byte used = OLD;
bit trusted = 1;        /* the number may be used */
bit basis;              /* the last exact count holds: no COMMIT, no ctime moved since */
#if LOSSES
bit waiting;            /* the store was lost, and the deadline has not passed since */
bit waited;             /* it had passed when the count began */
#endif

/* the count: 0 none, 1 begun, 2 new/ read, 3 cur/ read too */
unsigned phase : 2;
bit inexact;            /* a ctime moved */
bit later;              /* a COMMIT, or a ctime after the reading: exact, but no basis */
#if WITHOUT == clock_grain
bit young;              /* a directory's ctime is now: a change leaves it alone */
#endif

#if LOWERS
bit slow;               /* quotad knows that ldas of a longer deadline may live */
#endif
#if PASSES
bit passed;             /* there was a pass just before this one */
unsigned between : 3;   /* the messages when this one began */
#endif

/* what may still go wrong */
byte kills = KILLS;
byte restarts = RESTARTS;
byte closes = CLOSES;
byte losses = LOSSES;
byte cuts = CUTS;
byte deletes = DELETES;
#if LOWERS
byte lowers = LOWERS;
#endif

byte j, total, opens; /* scratch, 0 between steps */

#if NAMES == 2
#define SUM(p) ((p(0)) + (p(1)))
#define ALL(p) ((p(0)) && (p(1)))
#elif NAMES == 3
#define SUM(p) ((p(0)) + (p(1)) + (p(2)))
#define ALL(p) ((p(0)) && (p(1)) && (p(2)))
#elif NAMES == 4
#define SUM(p) ((p(0)) + (p(1)) + (p(2)) + (p(3)))
#define ALL(p) ((p(0)) && (p(1)) && (p(2)) && (p(3)))
#endif

#define ALIVE(i)       (name[i].does >= ASKING && name[i].does <= FAILED)
#define IS_FILE(i)     (name[i].file != NOWHERE)
#define IS_TICKET(i)   (name[i].ticket != NONE)
#define IS_OPEN(i)     (name[i].ticket == OPEN)
#define IS_ORPHAN(i)   (IS_TICKET(i) && !IS_OPEN(i))
/* The messages that the number must hold, and those that it may: a RESERVE that is read too
 * late may give a counted message a second ticket, until the next count. */
#define IS_UNCHARGED(i) (IS_FILE(i) && !IS_TICKET(i))
#define IS_COUNTED(i)  (IS_FILE(i) && !(IS_OPEN(i) && ALIVE(i) && \
			name[i].owner == name[i].attempt + 1))
#define IS_SLOW(i)     (name[i].slow)
#define IS_KEPT(i)     (name[i].committed)
#define NOT_GONE(i)    (name[i].ticket != GONE)
#define NO_LINE_AT(i, s) (name[i].line[0] != (s) && name[i].line[1] != (s))
#define NO_EOF(i)      NO_LINE_AT(i, GRANTED_EOF)
#define NO_COMMIT(i)   NO_LINE_AT(i, COMMIT_EOF)
#define NO_CANCEL(i)   NO_LINE_AT(i, CANCEL_EOF)
/* a ticket whose message may still come, and one of which quotad may not know better */
#define IN_USE(i)      (IS_TICKET(i) && name[i].file == NOWHERE && ALIVE(i))
#define MAY_COME(i)    (IN_USE(i) || (name[i].ticket == MAYBE && name[i].does != CUT_OFF))
#define QUIET(i)       (!ALIVE(i) && name[i].ticket != MAYBE && \
			name[i].line[0] == CLOSED && name[i].line[1] == CLOSED)

#define files   SUM(IS_FILE)
#define tickets SUM(IS_TICKET)

#if LOSSES
#define WAITING waiting
#define SET(var, value) var = value
#else
#define WAITING false
#define SET(var, value) skip
#endif
#if LOWERS
#define SET_SLOW(var, value) var = value
#else
#define SET_SLOW(var, value) skip
#endif

/* ------------------------------------------------------------------- the mailbox */

/* A directory changed: its ctime moves. Rules 4 and 5. */
inline touch()
{
	if
	:: PART(basis_ends_by_ctime) -> basis = 0
	:: else
	fi;
	if
#if WITHOUT == clock_grain
	:: phase == 2 && young -> skip
	:: phase == 2 && !young -> inexact = 1
#else
	:: phase == 2 && PART(ctimes_over_whole_count) -> inexact = 1
	:: phase == 2 && !PART(ctimes_over_whole_count) -> later = 1
#endif
	:: phase == 3 && PART(basis_ends_by_ctime) -> later = 1
	:: else
	fi
}

/* ------------------------------------------------------------------- tickets */

inline end_ticket(i)
{
	name[i].ticket = NONE;
	name[i].owner = 0;
	name[i].gone = 0
}

/* The ticket lives on connection k, new or taken over: a running count can no longer end it. */
inline open_ticket(i, k)
{
	name[i].ticket = OPEN;
	name[i].owner = k + 1;
	if
	:: PART(taken_over_is_spared) -> name[i].gone = 0
	:: else
	fi;
	name[i].line[k] = (name[i].line[k] == ASKED -> GRANTED : GRANTED_EOF)
}

/* Its connection ended, and so its lda did. Rule 2. */
inline orphan_by_eof(i)
{
	if
	:: PART(orphan_stays_charged) -> name[i].ticket = GONE
	:: else -> end_ticket(i)
	fi
}

/* ------------------------------------------------------------------- an lda */

#define LINE name[i].line[name[i].attempt]

/* What the kernel does with a connection when its lda closes it. */
inline hang_up(i, k)
{
	if
	:: name[i].line[k] == ASKED -> name[i].line[k] = ASKED_EOF
	:: name[i].line[k] == GRANTED -> name[i].line[k] = GRANTED_EOF
	:: name[i].line[k] == BROKEN -> name[i].line[k] = CLOSED
	:: else
	fi
}

inline end_lda(i)
{
	name[i].does = ENDED;
	hang_up(i, 0);
	hang_up(i, 1);
	name[i].attempt = 0;
	SET(name[i].old, 0);
	SET_SLOW(name[i].slow, 0)
}

inline ask_again(i)
{
	hang_up(i, 0);
	name[i].does = ASKING;
	name[i].attempt = 1;
	name[i].line[1] = ASKED
}

#if LOWERS
#define OUTLIVES(i) (name[i].slow && !slow)
#else
#define OUTLIVES(i) false
#endif

proctype lda(byte i)
{
	do
	/* Names are alike, so the ldas begin in order. */
	:: d_step { name[i].does == IDLE && (i == 0 || name[i - 1].does != IDLE) ->
		printf("lda %d sends RESERVE\n", i);
		name[i].does = ASKING;
		name[i].line[0] = ASKED }

	:: d_step { name[i].does == ASKING && LINE == GRANTED ->
		printf("lda %d has OK\n", i);
		name[i].does = HAS_OK }

	/*
	 * Once more under the same name on another connection: at a time-out, or where quotad
	 * is lost (as it finds before the link at the latest).
	 */
	:: d_step { (name[i].does == ASKING || (name[i].does == HAS_OK && LINE == BROKEN)) &&
		name[i].attempt == 0 ->
		printf("lda %d hangs up and sends RESERVE on its second connection\n", i);
		ask_again(i) }

	:: d_step { name[i].does == ASKING && (name[i].attempt == 1 || LINE == BROKEN) ->
		printf("lda %d gives up\n", i);
		end_lda(i) }

	:: d_step { name[i].does == HAS_OK ->
		printf("lda %d links its message\n", i);
		name[i].does = LINKED;
		name[i].file = NEW;
		touch() }

	:: d_step { name[i].does == LINKED ->
		printf("lda %d sends COMMIT if it can, exits 0\n", i);
		LINE = (LINE == GRANTED -> COMMIT_EOF : LINE);
		end_lda(i) }

#if CANCELS > 0
	:: d_step { (name[i].does == HAS_OK || name[i].does == FAILED) ->
		printf("lda %d sends CANCEL if it can, gives up\n", i);
		LINE = (LINE == GRANTED -> CANCEL_EOF : LINE);
		end_lda(i) }
#endif
#if CANCELS > 1
#if WITHOUT != unlinked_before_cancel
	:: d_step { name[i].does == LINKED && name[i].file == NEW ->
		printf("lda %d can't sync the directory, unlinks its message\n", i);
		name[i].does = FAILED;
		name[i].file = NOWHERE;
		touch() }
#else
	:: d_step { name[i].does == LINKED && name[i].file == NEW && LINE == GRANTED ->
		printf("lda %d can't sync the directory, sends CANCEL\n", i);
		LINE = CANCEL_EOF }
	:: d_step { name[i].does == LINKED && name[i].file == NEW && LINE != GRANTED ->
		printf("lda %d unlinks its message and exits\n", i);
		name[i].file = NOWHERE;
		touch();
		end_lda(i) }
#endif
#endif

	:: d_step { ALIVE(i) && kills > 0 ->
		printf("lda %d is killed\n", i);
		kills--;
		end_lda(i) }

	/*
	 * Rule 2: `deadline` after the ticket became an orphan its lda has ended, by itself.
	 */
	:: d_step { name[i].ticket == MAYBE ->
		printf("the deadline passes for orphan %d\n", i);
		name[i].ticket = GONE;
		if
		:: ALIVE(i) && PART(lda_ends_by_deadline) && !OUTLIVES(i) -> end_lda(i)
		:: else
		fi }
	od
}

/* ------------------------------------------------------------------- quotad: requests */

#define HAS_NAMED (IS_TICKET(i) && PART(takes_over_before_limit))
#define TOO_MANY (!HAS_NAMED && \
	(PART(limit_spares_orphans) -> SUM(IS_OPEN) : tickets) >= TICKETS)
#define TOO_MANY_ORPHANS (!IS_TICKET(i) && SUM(IS_ORPHAN) >= ORPHANS && PART(orphans_bounded))
#define HAS_ROOM (used + tickets + 1 <= LIMIT)
#define MY name[i].line[k]
#define RESERVE_UNREAD (MY == ASKED || MY == ASKED_EOF)
#define EARLIER (k + 1 < name[i].owner)

/* Rule 2: whose ticket a RESERVE takes over. */
#define TAKES_OVER \
	((IS_OPEN(i) && PART(takes_over_open) && !(EARLIER && PART(older_refused_if_open))) || \
	(IS_TICKET(i) && !IS_OPEN(i) && PART(takes_over_orphan) && \
	!(EARLIER && PART(older_refused_if_orphan))))

/* Rule 6: which numbers a RESERVE may be granted upon. */
#define MAY_GRANT \
	(trusted || (!PART(boot_counts) && !WAITING && used + tickets + 1 < LIMIT))

#if PASSES
#define IS_SURE(i) (name[i].seen > 0 && (name[i].before || !PART(both_passes)))
#endif

/* Rule 5: nothing is left to read or to count before a refusal. */
#define SETTLED ((basis || !PART(basis_exact)) && trusted && \
	(ALL(NO_EOF) || !PART(pending_eof_first)) && \
	(ALL(NO_COMMIT) || !PART(pending_commit_first)) && \
	(ALL(NO_CANCEL) || !PART(pending_cancel_first)) && \
	(ALL(NOT_GONE) || !PART(ended_orphan_recounts)))

/* An answer that is no OK; its lda, if it still listens, ends with it. */
inline refuse(i, k)
{
	MY = CLOSED;
	if
	:: ALIVE(i) && name[i].attempt == k -> end_lda(i)
	:: else
	fi
}

/* quotad's side of connection k of lda i. */
proctype session(byte i; byte k)
{
	do
	/* Rule 2: a ticket of this name, open or orphan, of an earlier connection. */
	:: d_step { RESERVE_UNREAD && !TOO_MANY && TAKES_OVER &&
		(PART(no_second_charge) || HAS_ROOM) ->
		printf("quotad: ticket %d is taken over by connection %d\n", i, k + 1);
		open_ticket(i, k) }

	/* Rule 2: but not of a later one. */
	:: d_step { RESERVE_UNREAD && IS_TICKET(i) && !TAKES_OVER ->
		printf("quotad: ERR to RESERVE %d on connection %d\n", i, k + 1);
		assert(!(ALIVE(i) && name[i].attempt == k)); /* F1: an lda that waits gets no ERR */
		refuse(i, k) }

	/* Rule 2: tickets are limited, and orphans are, by themselves. */
	:: d_step { RESERVE_UNREAD && TOO_MANY ->
		printf("quotad: 4.3.0 to RESERVE %d, too many deliveries\n", i);
		assert(!(IS_TICKET(i) && ALIVE(i) && name[i].attempt == k)); /* F1: its own ticket is no refusal */
		assert(SUM(IS_OPEN) >= TICKETS); /* F1: orphans are no deliveries */
		refuse(i, k) }
	:: d_step { RESERVE_UNREAD && TOO_MANY_ORPHANS ->
		printf("quotad: 4.3.0 to RESERVE %d, too many orphans\n", i);
		refuse(i, k) }

	/* Rules 1 and 2: a new ticket, in the store before OK is sent. */
	:: d_step { RESERVE_UNREAD && !TOO_MANY && !TOO_MANY_ORPHANS && !IS_TICKET(i) && MAY_GRANT &&
		HAS_ROOM ->
		printf("quotad: OK to RESERVE %d on connection %d\n", i, k + 1);
		open_ticket(i, k) }

	/* Rule 6: no number to grant upon. (Or a count comes in time.) */
	:: d_step { RESERVE_UNREAD && !IS_TICKET(i) && !MAY_GRANT ->
		printf("quotad: 4.3.0 to RESERVE %d, must count first\n", i);
		refuse(i, k) }

	/*
	 * Rule 5. No room: the refusal waits until all is settled.
	 */
	:: d_step { RESERVE_UNREAD && (!IS_TICKET(i) || (TAKES_OVER && !PART(no_second_charge))) &&
		!HAS_ROOM && SETTLED ->
		opens = (PART(maybe_orphan_no_refusal) -> SUM(IS_OPEN) : tickets);
		if
		:: used + (PART(tickets_never_hard) -> 0 : opens) + 1 > LIMIT ->
			printf("quotad: full to RESERVE %d, 4.2.2 or 5.2.2\n", i);
			assert(files + 1 > LIMIT) /* F1: full, for good */
		:: else ->
			if
			:: used + opens + 1 > LIMIT ->
				printf("quotad: full to RESERVE %d, 4.2.2\n", i);
				assert(files + SUM(IN_USE) - (IN_USE(i)) + 1 > LIMIT) /* F1: full, for now */
			:: else ->
				printf("quotad: 4.3.0 to RESERVE %d, orphans in the way\n", i);
				assert(files + SUM(MAY_COME) - (MAY_COME(i)) + 1 > LIMIT) /* F1: try again */
			fi
		fi;
		opens = 0;
		refuse(i, k) }

#if PASSES
	/* Rule 5: no exact count was to be had. */
	:: d_step { RESERVE_UNREAD && !IS_TICKET(i) && trusted && !HAS_ROOM &&
		phase == 3 && inexact && passed && SUM(IS_SURE) + 1 > LIMIT ->
		printf("quotad: full to RESERVE %d, 4.2.2, by two passes\n", i);
		assert(between + 1 > LIMIT || files + 1 > LIMIT); /* F1: full, now or when the second pass began */
		refuse(i, k) }
#endif

	/* Rule 2: COMMIT ends the ticket of its connection, and no other. */
	:: d_step { MY == COMMIT_EOF ->
		MY = CLOSED;
		if
		:: name[i].owner == k + 1 || (IS_TICKET(i) && !PART(commit_of_owner_only)) ->
			printf("quotad: COMMIT %d\n", i);
			end_ticket(i);
			used = used + PART(commit_grows_used);
			if
			:: PART(basis_ends_by_commit) -> basis = 0; later = (phase > 0)
			:: else
			fi;
			name[i].committed = (phase > 0 && SUM(IS_KEPT) < KEPT);
			inexact = inexact || (phase > 0 && !name[i].committed && PART(nameless_is_inexact))
		:: else -> printf("quotad: COMMIT %d of no ticket\n", i)
		fi }

	/* Rule 2: CANCEL likewise. */
	:: d_step { MY == CANCEL_EOF ->
		MY = CLOSED;
		if
		:: name[i].owner == k + 1 || (IS_TICKET(i) && !PART(cancel_of_owner_only)) ->
			printf("quotad: CANCEL %d\n", i);
			if
			:: PART(cancel_ends_ticket) -> end_ticket(i)
			:: else -> orphan_by_eof(i)
			fi
		:: else -> printf("quotad: CANCEL %d of no ticket\n", i)
		fi }

	/* Rule 2: the end of the connection that has the ticket makes it an orphan. */
	:: d_step { MY == GRANTED_EOF ->
		MY = CLOSED;
		if
		:: name[i].owner == k + 1 || (IS_OPEN(i) && !PART(eof_of_owner_only)) ->
			printf("quotad: EOF, ticket %d is an orphan\n", i);
			orphan_by_eof(i)
		:: else -> printf("quotad: EOF of connection %d of %d, no longer its ticket's\n", k + 1, i)
		fi }

	/* Rule 2: quotad closes a connection, which says nothing about its lda. */
	:: d_step { closes > 0 && MY != CLOSED && MY != BROKEN ->
		printf("quotad closes connection %d of lda %d\n", k + 1, i);
		closes--;
		MY = (MY == ASKED || MY == GRANTED -> BROKEN : CLOSED);
		if
		:: IS_OPEN(i) && name[i].owner == k + 1 ->
			name[i].ticket = (PART(deadline_after_close) -> MAYBE : GONE)
		:: else
		fi }
	od
}

/* ------------------------------------------------------------------- quotad: counts */

inline forget_count()
{
	for (j : 0 .. NAMES - 1) {
		name[j].seen = 0;
		name[j].committed = 0;
		name[j].gone = 0;
#if WITHOUT == names_begun_meanwhile
		name[j].known = 0
#endif
	}
	j = 0;
	phase = 0;
	inexact = 0;
	later = 0;
#if PASSES
	between = 0;
#endif
	SET(waited, 0);
#if WITHOUT == clock_grain
	young = 0
#endif
}

inline forget_passes()
{
#if PASSES
	for (j : 0 .. NAMES - 1) {
		name[j].before = 0
	}
	j = 0;
	passed = 0
#else
	skip
#endif
}

inline begin_count()
{
	for (j : 0 .. NAMES - 1) {
		name[j].committed = 0;
		name[j].gone = (name[j].ticket == GONE);
#if WITHOUT == names_begun_meanwhile
		name[j].known = IS_TICKET(j)
#endif
	}
	j = 0;
	later = 0;
#if PASSES
	between = files;
#endif
	SET(waited, !trusted && !waiting)
}

/* A message that was seen in new/ and again in cur/ counts once, by its name. Rule 4. */
inline read_dir(dir)
{
	for (j : 0 .. NAMES - 1) {
		name[j].seen = (name[j].file != dir -> name[j].seen :
			(PART(once_by_name) -> 1 : name[j].seen + 1))
	}
	j = 0
}

#if WITHOUT == names_begun_meanwhile
#define SEEN(j) (name[j].seen > 0 && name[j].known)
#else
#define SEEN(j) (name[j].seen > 0)
#endif

/* What the number is after this count. Rule 3. */
inline sum_up()
{
	total = 0;
	for (j : 0 .. NAMES - 1) {
		total = total + name[j].seen;
		if
		:: PART(names_in_tickets) && PART(seen_open_subtracted) && IS_OPEN(j) && SEEN(j) ->
			total--
		:: PART(unseen_commit_added) && name[j].committed && (!SEEN(j) ||
			!PART(seen_commit_not_added) || !PART(names_in_tickets)) ->
			total++
		:: else
		fi
	}
	j = 0
}

/* Which orphans end with this count. Rule 2. */
inline end_orphans()
{
	for (j : 0 .. NAMES - 1) {
		if
		:: IS_OPEN(j) || !IS_TICKET(j)
		:: else ->
			if
			:: SEEN(j) && PART(seen_ends_orphan) && PART(names_in_tickets) ->
				end_ticket(j)
			:: (!name[j].seen || !PART(names_in_tickets)) && PART(unseen_ends_orphan) &&
				(name[j].gone || (name[j].ticket == GONE && !PART(unseen_since_its_end))) ->
				end_ticket(j)
			:: else
			fi
		fi
	}
	j = 0
}

/* Rule 6: whether the number is trusted after this exact count. */
#if LOSSES
#define TRUSTED_NOW (trusted || waited || (!waiting && !PART(lost_counts_after_wait)))
#else
#define TRUSTED_NOW 1
#endif

inline apply_exact()
{
	sum_up();
	used = total;
	total = 0;
	end_orphans();
	basis = !later;
	trusted = TRUSTED_NOW;
	forget_count();
	forget_passes();
	assert(!trusted || used >= SUM(IS_UNCHARGED)); /* N1: no less than the messages */
#if DELETES == 0 && CANCELS < 2
	assert(!trusted || used <= SUM(IS_COUNTED)) /* N1: no more than the messages */
#endif
}

proctype count()
{
	do
	/* Rule 3: one count at a time. */
	:: atomic { phase == 0 ->
		printf("count: begins\n");
		d_step { begin_count(); phase = 1 };
		/* Rule 4: a directory may have changed within the clock's grain. */
		if
		:: skip
		:: true ->
			printf("count: a directory is younger than the clock's grain\n");
#if WITHOUT == clock_grain
			young = 1
#else
			inexact = 1
#endif
		fi }
#if WITHOUT == one_count_at_a_time
	:: d_step { phase > 1 ->
		printf("count: another one begins, with the same books\n");
		begin_count() }
#endif

	:: d_step { phase == 1 ->
		printf("count: reads new/\n");
		read_dir(NEW);
		phase = 2 }

	:: d_step { phase == 2 ->
		printf("count: reads cur/\n");
		read_dir(CUR);
		phase = 3 }

	/* A rename inside the directory while it is read may hide a message, and moves the ctime. */
	:: atomic { phase == 2 && !inexact ->
		d_step { read_dir(CUR); phase = 3 };
		if
		:: name[0].file == CUR && name[0].seen -> name[0].seen--
		:: name[1].file == CUR && name[1].seen -> name[1].seen--
#if NAMES > 2
		:: name[2].file == CUR && name[2].seen -> name[2].seen--
#endif
#if NAMES > 3
		:: name[3].file == CUR && name[3].seen -> name[3].seen--
#endif
		:: else
		fi;
		printf("count: reads cur/, a flag change hides a message\n");
#if WITHOUT == clock_grain
		inexact = !young;
#else
		inexact = 1;
#endif
		basis = 0 }

	:: d_step { phase == 3 && (!inexact || !PART(ctimes_compared)) ->
		printf("count: exact\n");
		apply_exact() }

	/* Rule 4: it is done again, */
	:: d_step { phase == 3 && inexact ->
		printf("count: not exact, again\n");
#if PASSES
		for (j : 0 .. NAMES - 1) {
			name[j].before = (name[j].seen > 0)
		}
		passed = 1;
#endif
		forget_count() }

	/* or stays inexact: rule 3, it may raise the number and no more. */
	:: d_step { phase == 3 && inexact ->
		sum_up();
		printf("count: not exact\n");
		used = (total > used || !PART(inexact_never_lowers) -> total : used);
		total = 0;
#if DELETES == 0 && CANCELS < 2
		assert(!trusted || used <= SUM(IS_COUNTED)); /* N1: no more, not exact */
#endif
		if
		:: !PART(inexact_ends_no_orphan) -> end_orphans()
		:: else
		fi;
		forget_count();
		forget_passes() }

	/* L1. (A count with nothing in between: no new state of the world.) */
	:: d_step { phase == 0 && ALL(QUIET) && !WAITING ->
		printf("all is quiet; count: exact\n");
		begin_count();
		read_dir(NEW);
		read_dir(CUR);
		apply_exact();
		assert(trusted && basis); /* L1: the number serves again */
		assert(used == files); /* L1: the number is the messages */
		assert(tickets == 0) } /* L1: no ticket is left */
	od
}

/* ------------------------------------------------------------------- the user */

proctype user(byte i)
{
	do
	:: d_step { name[i].file == NEW ->
		printf("message %d moves to cur/\n", i);
		name[i].file = CUR;
		touch() }
#if MOVES_BACK
	:: d_step { name[i].file == CUR ->
		printf("message %d moves to new/\n", i);
		name[i].file = NEW;
		touch() }
#endif
#if DELETES > 0
	:: d_step { IS_FILE(i) && deletes > 0 ->
		printf("message %d is deleted\n", i);
		deletes--;
		name[i].file = NOWHERE;
		touch() }
#endif
	od
}

/* ------------------------------------------------------------------- the world */

/* What a new daemon finds of the connections: nothing. */
inline break_lines()
{
	for (j : 0 .. LDAS - 1) {
		name[j].line[0] = (name[j].line[0] == ASKED || name[j].line[0] == GRANTED ||
			name[j].line[0] == BROKEN -> BROKEN : CLOSED);
		name[j].line[1] = (name[j].line[1] == ASKED || name[j].line[1] == GRANTED ||
			name[j].line[1] == BROKEN -> BROKEN : CLOSED)
	}
	j = 0
}

/*
 * Rule 2: after a restart every ticket is an orphan, and its lda may be alive: what the
 * daemon before knew of its end is forgotten.
 */
inline orphan_all()
{
	for (j : 0 .. LDAS - 1) {
		name[j].does = (name[j].does == CUT_OFF -> ENDED : name[j].does);
		if
		:: IS_OPEN(j) && !PART(stored_before_ok) -> end_ticket(j)
		:: IS_TICKET(j) && !PART(stored_at_all) -> end_ticket(j)
		:: else ->
			if
			:: IS_TICKET(j) ->
				name[j].ticket = (PART(deadline_after_restart) -> MAYBE : GONE);
				name[j].owner = 0
			:: else
			fi
		fi
	}
	j = 0
}

#if LOSSES
/* Rule 6: the store is lost. ldas with tickets of it may live until the deadline. */
inline lose_all()
{
	for (j : 0 .. LDAS - 1) {
		end_ticket(j);
	}
	j = 0;
	used = 0;
	trusted = 0
}

inline wait_for_deadline()
{
	for (j : 0 .. LDAS - 1) {
		name[j].old = (ALIVE(j))
	}
	j = 0;
	waiting = 1
}

inline end_old()
{
	for (j : 0 .. LDAS - 1) {
		if
		:: name[j].old && ALIVE(j) -> end_lda(j)
		:: else -> name[j].old = 0
		fi
	}
	j = 0
}
#endif

#if CUTS
/*
 * Rule 6: a boot finds the store as it was at some time before: any tickets, any number.
 * A message is gone if its directory was not synced.
 */
inline cut(i)
{
	if
	:: name[i].does == LINKED && name[i].file == NEW -> name[i].file = NOWHERE
	:: true
	fi;
	name[i].line[0] = CLOSED;
	name[i].line[1] = CLOSED;
	name[i].attempt = 0;
	end_ticket(i);
	if
	:: name[i].does != IDLE ->
		name[i].does = CUT_OFF;
		if
		:: name[i].ticket = (PART(no_deadline_after_boot) -> GONE : MAYBE)
		:: true
		fi
	:: else
	fi
}
#endif

proctype world()
{
	do
#if RESTARTS
	:: d_step { restarts > 0 ->
		printf("quotad is killed and started again\n");
		restarts--;
		forget_count();
		basis = 0;
		break_lines();
		orphan_all();
		trusted = trusted || !PART(boot_mark);
		SET_SLOW(slow, slow && PART(lowered_is_kept));
#if LOSSES
		if
		:: waiting && PART(lost_wait_is_kept) -> wait_for_deadline()
		:: else -> waiting = 0
		fi
#endif
		}
#endif
#if LOWERS
	:: d_step { lowers > 0 ->
		printf("deadline is lowered\n");
		lowers--;
		for (j : 0 .. LDAS - 1) {
			name[j].slow = (ALIVE(j))
		}
		j = 0;
		slow = PART(larger_deadline) }
	:: d_step { lowers == 0 && (slow || SUM(IS_SLOW)) ->
		printf("the old deadline passes since then\n");
		for (j : 0 .. LDAS - 1) {
			if
			:: name[j].slow && ALIVE(j) -> end_lda(j)
			:: else
			fi
		}
		j = 0;
		slow = 0 }
#endif
#if LOSSES
	:: d_step { losses > 0 ->
		printf("quotad is killed and started again, its store is lost\n");
		losses--;
		forget_count();
		basis = 0;
		break_lines();
		lose_all();
		if
		:: PART(lost_waits) -> wait_for_deadline()
		:: else
		fi }
	:: d_step { waiting ->
		printf("the deadline passes since quotad's start\n");
		end_old();
		waiting = 0;
		trusted = trusted || !PART(lost_counts) }
#endif
#if CUTS
	:: atomic { cuts > 0 ->
		printf("power cut and boot\n");
		cuts--;
		d_step { forget_count(); basis = 0; trusted = 0; SET(waiting, 0) };
		cut(0);
#if LDAS > 1
		cut(1);
#endif
#if LDAS > 2
		cut(2);
#endif
		if
		:: used = 0
		:: used = LIMIT
		:: true
		fi }
#endif
	:: d_step { SUM(IS_ORPHAN) > ORPHANS + TICKETS - 1 ->
		assert(SUM(IS_ORPHAN) <= ORPHANS + TICKETS - 1) } /* B1: orphans are bounded */
	/* The end of every run: something is wrong. */
	:: d_step { files > LIMIT ->
		assert(files <= LIMIT) } /* S1: never over the limit */
	:: d_step { trusted && used + tickets < files ->
		assert(used + tickets >= files) } /* S2: every message is charged */
	od
}

init {
	byte i;
	atomic {
		for (i : LDAS .. NAMES - 1) {
			name[i].does = ENDED;
			name[i].file = CUR
		}
		for (i : 0 .. LDAS - 1) {
			run lda(i);
			run session(i, 0);
			run session(i, 1)
		}
		for (i : 0 .. NAMES - 1) {
			run user(i)
		}
		run count();
		run world();
		i = 0
	}
}
