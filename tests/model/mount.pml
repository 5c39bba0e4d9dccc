/*
 * A mailbox that is missing (rule 0): its file system is unmounted and mounted again, or its
 * user has emptied and removed it, while ldas deliver and quotad counts. What is used and
 * promised is in ledger.pml. No lda is alive while the file system comes or goes: one takes
 * milliseconds, and holds what it has opened. What is checked here:
 *
 *   M1  no lda makes a Maildir where mail had been seen, when it was looked at last, by the time
 *       of the yes;
 *   M2  no delivery waits for a file system where none was seen.
 *
 * Every part of the rule is a PART(name) here, as in ledger.pml.
 */

/* the size of the world */
#ifndef UNMOUNTS
#define UNMOUNTS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1      /* of quotad, which may stay down for a while */
#endif
#ifndef EMPTIES
#define EMPTIES 1       /* the user removes all mail, and then the Maildir, or new/ in it */
#endif
#ifndef REMOVALS
#define REMOVALS 1      /* the administrator moves the Maildir away, and says so */
#endif
#define LDAS 3

/* the parts of the rule */
#define missing_is_deferred      1 /* what had mail and is missing is not made, */
#define made_after_yes           2 /* ... nor anything before quotad has said yes, */
#define not_made_without_quotad  3 /* ... which says nothing while it is down */
#define commit_is_mail           4 /* a COMMIT tells of mail, without a count, */
#define commit_in_count_is_mail  5 /* ... also one that came while a count ran */
#define missing_is_no_count      6 /* a count that finds it missing leaves what is known */
#define mail_is_kept             7 /* the store has it */
#define empty_is_no_mail         8 /* a count that finds it there and empty ends it, */
#define meant_is_no_mail         9 /* ... and so does the administrator */
#define another_lda_has_made_it 10 /* who is told to wait looks again */

#ifndef WITHOUT
#define WITHOUT 0
#endif
#define PART(p) (WITHOUT != (p))

/* an lda */
#define IDLE   0
#define FOUND  1        /* it has opened the mailbox */
#define MISSES 2        /* it has found none */
#define MAKES  3        /* and may make one */
#define LINKED 4
#define ENDED  5
byte lda[LDAS];
bit knew[LDAS];         /* mail had been seen when it was told yes */
bit there_at[LDAS];     /* where it stores: 1 on the disk, 0 under the mount point */

/* what is on the disk, and under the mount point: a Maildir with its new/, and messages */
bit mounted = 1;
bit maildir[2];
byte mail[2];
#define HERE mounted

/* quotad: whether the place had mail, and what the store has of that */
bit up = 1;
bit had;
bit kept;

/* a count that runs: what it has found, and COMMITs since it began */
bit counting;
bit missing;
byte found;
bit committed;

bit seen;               /* mail was there at the last look: the truth about what is known */

byte unmounts = UNMOUNTS;
byte restarts = RESTARTS;
byte empties = EMPTIES;
byte removals = REMOVALS;
byte i;

#define ALIVE(n) (lda[n] != IDLE && lda[n] != ENDED)
#define NONE_ALIVE (!ALIVE(0) && !ALIVE(1) && !ALIVE(2))

inline end_count()
{
	counting = 0;
	missing = 0;
	found = 0;
	committed = 0
}

inline make()
{
	if
	:: !maildir[HERE] ->
		assert(!knew[n]); /* M1: nothing is hidden under a mount point */
		maildir[HERE] = 1
	:: else
	fi;
	there_at[n] = HERE
}

proctype delivery(byte n)
{
	do
	:: d_step { lda[n] == IDLE && maildir[HERE] -> lda[n] = FOUND; there_at[n] = HERE }
	:: d_step { lda[n] == IDLE && !maildir[HERE] ->
		lda[n] = MISSES;
		knew[n] = seen;
		if
		:: !PART(made_after_yes) -> make()
		:: else
		fi }

	/* CHECK */
	:: d_step { lda[n] == MISSES && up && had && PART(missing_is_deferred) && maildir[HERE] &&
		PART(another_lda_has_made_it) ->
		lda[n] = FOUND; there_at[n] = HERE }
	:: d_step { lda[n] == MISSES && up && had && PART(missing_is_deferred) &&
		!(maildir[HERE] && PART(another_lda_has_made_it)) ->
		assert(seen && !maildir[HERE]); /* M2: none waits in vain */
		lda[n] = ENDED }
	:: d_step { lda[n] == MISSES && up && !(had && PART(missing_is_deferred)) ->
		knew[n] = seen;
		lda[n] = MAKES }
	:: d_step { lda[n] == MISSES && !up ->
		if
		:: PART(not_made_without_quotad) -> lda[n] = ENDED
		:: else -> lda[n] = MAKES
		fi }

	:: d_step { lda[n] == MAKES -> make(); lda[n] = FOUND }
	:: d_step { lda[n] == FOUND -> mail[there_at[n]]++; lda[n] = LINKED }

	/* COMMIT, or its end alone: then a count finds the message */
	:: d_step { lda[n] == LINKED && up ->
		lda[n] = ENDED;
		seen = 1;
		committed = counting;
		if
		:: PART(commit_is_mail) -> had = 1; kept = 1
		:: else
		fi }
	:: d_step { lda[n] == LINKED && !up -> lda[n] = ENDED }

	:: lda[n] == ENDED -> break
	od
}

proctype quotad()
{
	do
	:: d_step { up && !counting ->
		counting = 1;
		missing = !maildir[HERE];
		found = mail[HERE];
		committed = 0 }
	:: d_step { up && counting ->
		if
		:: missing && !committed && !PART(missing_is_no_count) -> had = 0
		:: !missing ->
			seen = (found > 0 || committed);
			if
			:: found > 0 || (committed && PART(commit_in_count_is_mail)) -> had = 1
			:: found == 0 && !(committed && PART(commit_in_count_is_mail)) &&
				PART(empty_is_no_mail) -> had = 0
			:: else
			fi
		:: else
		fi;
		kept = had;
		end_count() }

	:: d_step { up && restarts > 0 -> restarts--; up = 0; end_count() }
	:: d_step { !up -> up = 1; had = (PART(mail_is_kept) -> kept : 0) }

	/* Nothing is left to happen. */
	:: !ALIVE(0) && lda[0] == ENDED && lda[1] == ENDED && lda[2] == ENDED && !counting && up ->
		break
	od
}

proctype world()
{
	do
	:: d_step { NONE_ALIVE && mounted && unmounts > 0 -> unmounts--; mounted = 0 }
	:: d_step { NONE_ALIVE && !mounted -> mounted = 1 }

	:: d_step { NONE_ALIVE && mounted && empties > 0 && mail[1] > 0 ->
		empties--;
		mail[1] = 0 }
	:: d_step { NONE_ALIVE && mounted && maildir[1] && mail[1] == 0 && !seen && !counting ->
		maildir[1] = 0 }

	/* brimadm recount --empty: a count that began after it was said */
	:: d_step { NONE_ALIVE && mounted && removals > 0 && maildir[1] && up && !counting ->
		removals--;
		maildir[1] = 0;
		mail[1] = 0;
		seen = 0;
		if
		:: PART(meant_is_no_mail) -> had = 0; kept = 0
		:: else
		fi }
	:: lda[0] == ENDED && lda[1] == ENDED && lda[2] == ENDED -> break
	od
}

init {
	atomic {
		maildir[1] = 0;
		for (i : 0 .. LDAS - 1) {
			run delivery(i)
		}
		i = 0;
		run quotad();
		run world()
	}
}
