/*
 * Promises: room for messages that were accepted at SMTP time, until they are delivered. One
 * message has two recipients that lead to this mailbox, another has one and may be larger when
 * it is delivered; strangers' messages have no promise. How tickets end is in ledger.pml: here a
 * message is there with its COMMIT. Sizes are 1, but for a larger message's. What is checked:
 *
 *   S1  never more in the mailbox than the limit;
 *   K1  what was told yes, and is no larger, is not refused before its time is over;
 *   U1  no promise is used twice;
 *   L1  once all is delivered or over, nothing but the messages is charged: room comes back;
 *   F1  no refusal for good that the messages alone don't justify.
 *
 * Every part of the rule is a PART(name) here, as in ledger.pml.
 */

/* the size of the world */
#ifndef LIMIT
#define LIMIT 3
#endif
#ifndef RESTARTS
#define RESTARTS 1      /* of quotad, killed and started again */
#endif
#ifndef STRANGERS
#define STRANGERS 2
#endif
#define KEYS 3          /* promises that may be: recipients of messages */
#define MESSAGE(k) ((k) / 2)

/* the parts of the rule */
#define promise_is_charged     1001
#define own_not_in_the_way     1002 /* of the delivery that uses it */
#define used_in_one_step       1003 /* the ticket is charged as the promise ends */
#define used_once              1004
#define use_is_kept            1005 /* the store has that it was used */
#define promise_is_kept        1006 /* the store has it, */
#define kept_before_yes        1007 /* ... before yes is said */
#define one_a_key              1008 /* the same question again is no second charge */
#define one_a_recipient        1009 /* a message's other recipient is another question */
#define ids_are_compared       1010 /* who tells no id, or another, uses none */
#define larger_needs_room      1011 /* for the difference */
#define time_ends_promise      1012
#define end_is_kept            1013 /* the store has when, so that no restart begins anew */
#define promises_never_hard    1014 /* a refusal that they cause is soft */
#define no_count_ends_promise  1015
#define takes_over_unused      1016 /* a ticket of the name is taken over, and no promise used */
#define comes_back             1017 /* where the ticket ends without a message, */
#define rest_is_kept           1018 /* ... also in another quotad's */

#ifndef WITHOUT
#define WITHOUT 0
#endif
#define PART(p) (WITHOUT != (p))

/* a delivery */
#define IDLE   0
#define TAKES  1        /* its promise has ended, its ticket is not charged yet */
#define HAS    2        /* a ticket */
#define LOST   3        /* its connection: the ticket is an orphan */
#define ENDED  4
byte lda[KEYS];
byte size[KEYS];

byte used;              /* what is there, which quotad knows */
byte tickets;
byte promises[KEYS];    /* in memory, */
byte stored[KEYS];      /* ... and in the store */
byte took[KEYS];        /* the promise that the delivery's ticket has used; KEYS: none */
bit rests[KEYS];        /* quotad knows of that */
bit saying[KEYS];       /* yes is in memory, and not said yet */

bit told[KEYS];         /* yes was said, */
bit over[KEYS];         /* ... and its time is over */
byte made[2];           /* promises that were told, by message, */
byte uses[2];           /* ... uses, */
byte left[2];           /* ... and promises that must hold: neither used nor over */

byte restarts = RESTARTS;
byte strangers = STRANGERS;
byte again = 1;         /* a message is asked about a second time */
byte counts = 1;
byte failures = 1;      /* of deliveries, that are tried again */
byte i;

#define PROMISED (promises[0] + promises[1] + promises[2])
#define CHARGED  (PART(promise_is_charged) -> PROMISED : 0)
#define SAME(a, b) (MESSAGE(a) == MESSAGE(b))
#define OWN(k) (promises[k] > 0 -> k : (k == 0 && promises[1] > 0 -> 1 : \
		(k == 1 && promises[0] > 0 -> 0 : KEYS)))
#define ALL_ENDED (lda[0] == ENDED && lda[1] == ENDED && lda[2] == ENDED)

/* A refusal of SIZE bytes: for good where what is there leaves no room. */
inline refuse(bytes)
{
	hard = (PART(promises_never_hard) -> used + bytes > LIMIT :
		used + PROMISED + bytes > LIMIT);
	assert(!hard || used + bytes > LIMIT); /* F1: for good only by what is there */
	hard = 0
}

/* Promise number own is used. */
inline use(own)
{
	uses[MESSAGE(own)]++;
	assert(uses[MESSAGE(own)] <= made[MESSAGE(own)]); /* U1: no promise is used twice */
	if
	:: PART(used_once) ->
		promises[own]--;
		if
		:: PART(use_is_kept) -> stored[own] = promises[own]
		:: else
		fi
	:: else
	fi
}

inline be_entitled(message)
{
	if
	:: left[message] > 0 -> left[message]--
	:: else
	fi
}

/* END-OF-MESSAGE for a recipient. */
proctype smtp(byte k)
{
	bit hard;
	bit is_there;

	do
	:: d_step { !told[k] && !saying[k] && !over[k] ->
		is_there = 0;
		if
		:: !PART(one_a_recipient) -> is_there = (OWN(k) != KEYS)
		:: else
		fi;
		if
		:: is_there || used + tickets + PROMISED + 1 <= LIMIT ->
			promises[k] = promises[k] + 1 - is_there;
			if
			:: PART(promise_is_kept) && PART(kept_before_yes) -> stored[k] = promises[k]
			:: else
			fi;
			saying[k] = 1;
			if
			:: PART(kept_before_yes) ->
				saying[k] = 0; told[k] = 1; made[MESSAGE(k)]++; left[MESSAGE(k)]++
			:: else
			fi
		:: else ->
			refuse(1);
			over[k] = 1;
			lda[k] = ENDED
		fi }
	:: d_step { saying[k] && !told[k] ->
		told[k] = 1; made[MESSAGE(k)]++; left[MESSAGE(k)]++ }
	:: d_step { saying[k] && told[k] ->
		saying[k] = 0;
		stored[k] = promises[k] }
	:: d_step { told[k] && again > 0 && promises[k] > 0 ->
		again--;
		if
		:: !PART(one_a_key) && used + tickets + PROMISED + 1 <= LIMIT ->
			promises[k]++;
			stored[k]++
		:: else
		fi }

	/* Its time. */
	:: d_step { told[k] && !over[k] && !saying[k] ->
		over[k] = 1;
		if
		:: promises[k] > 0 -> be_entitled(MESSAGE(k))
		:: else
		fi;
		for (i : 0 .. KEYS - 1) {
			if
			:: took[i] == k -> took[i] = KEYS; rests[i] = 0
			:: else
			fi
		}
		i = 0;
		if
		:: PART(time_ends_promise) ->
			promises[k] = 0;
			if
			:: PART(end_is_kept) -> stored[k] = 0
			:: else
			fi
		:: else
		fi }
	:: over[k] -> break
	od
}

/* The delivery to a recipient that was accepted. */
proctype delivery(byte k)
{
	byte own;
	bit hard;

	do
	:: d_step { lda[k] == IDLE && told[k] ->
		if
		:: size[k] == 0 && k == 2 -> size[k] = 2
		:: size[k] == 0 -> size[k] = 1
		:: else
		fi;
		own = OWN(k);
		if
		:: own != KEYS && !PART(used_in_one_step) && size[k] == 1 ->
			promises[own]--;
			stored[own] = promises[own];
			lda[k] = TAKES
		:: !(own != KEYS && !PART(used_in_one_step) && size[k] == 1) &&
			(used + tickets + CHARGED + size[k] -
				((own != KEYS && PART(own_not_in_the_way) &&
					PART(promise_is_charged)) -> 1 : 0) <= LIMIT ||
				(own != KEYS && !PART(larger_needs_room))) ->
			tickets = tickets + size[k];
			lda[k] = HAS;
			if
			:: own != KEYS -> use(own); be_entitled(MESSAGE(k)); took[k] = own; rests[k] = 1
			:: else
			fi
		:: else ->
			assert(left[MESSAGE(k)] == 0 || size[k] > 1); /* K1: what was told yes is kept */
			refuse(size[k]);
			lda[k] = ENDED
		fi;
		own = 0 }
	:: d_step { lda[k] == TAKES ->
		if
		:: used + tickets + PROMISED + 1 <= LIMIT ->
			tickets++;
			be_entitled(MESSAGE(k));
			lda[k] = HAS
		:: else ->
			assert(left[MESSAGE(k)] == 0); /* K1: what was told yes is kept */
			lda[k] = ENDED
		fi }

	/* RESERVE again under the same name, after the connection was lost */
	:: d_step { lda[k] == LOST ->
		lda[k] = HAS;
		own = OWN(k);
		if
		:: !PART(takes_over_unused) && own != KEYS -> use(own)
		:: else
		fi;
		own = 0 }

	:: d_step { lda[k] == HAS -> /* COMMIT */
		tickets = tickets - size[k];
		used = used + size[k];
		assert(used <= LIMIT); /* S1: never more than the limit */
		took[k] = KEYS;
		rests[k] = 0;
		lda[k] = ENDED }
	/* CANCEL, or a count that does not see it; and tried again */
	:: d_step { (lda[k] == HAS || lda[k] == LOST) && failures > 0 ->
		failures--;
		tickets = tickets - size[k];
		if
		:: took[k] != KEYS ->
			uses[MESSAGE(k)]--;
			left[MESSAGE(k)]++;
			if
			:: PART(comes_back) && rests[k] ->
				promises[took[k]]++;
				stored[took[k]] = promises[took[k]]
			:: else
			fi
		:: else
		fi;
		took[k] = KEYS;
		rests[k] = 0;
		lda[k] = IDLE }
	:: lda[k] == ENDED -> break
	od
}

/* Other mail, which nothing was told about; it is delivered at once. */
proctype stranger()
{
	byte own;
	bit hard;

	do
	:: d_step { strangers > 0 ->
		strangers--;
		own = (PART(ids_are_compared) -> KEYS : OWN(0));
		if
		:: own != KEYS ->
			promises[own]--;
			stored[own] = promises[own];
			used++
		:: own == KEYS && used + tickets + CHARGED + 1 <= LIMIT -> used++
		:: else -> refuse(1)
		fi;
		assert(used <= LIMIT); /* S1: never more than the limit */
		own = 0 }
	:: strangers > 0 -> strangers--
	:: strangers == 0 -> break
	od
}

proctype world()
{
	do
	/* quotad is killed and started again: the tickets are orphans of its store */
	:: d_step { restarts > 0 ->
		restarts--;
		for (i : 0 .. KEYS - 1) {
			promises[i] = stored[i];
			if
			:: lda[i] == HAS -> lda[i] = LOST
			:: else
			fi;
			rests[i] = (PART(rest_is_kept) -> rests[i] : 0);
			saying[i] = 0
		}
		i = 0 }

	/* a count, which finds what is there */
	:: d_step { counts > 0 ->
		counts--;
		if
		:: !PART(no_count_ends_promise) ->
			for (i : 0 .. KEYS - 1) {
				promises[i] = 0;
				stored[i] = 0
			}
			i = 0
		:: else
		fi }

	:: ALL_ENDED && over[0] && over[1] && over[2] ->
		assert(PROMISED == 0 && tickets == 0); /* L1: room comes back */
		break
	od
}

init {
	atomic {
		for (i : 0 .. KEYS - 1) {
			took[i] = KEYS;
			run smtp(i);
			run delivery(i)
		}
		i = 0;
		run stranger();
		run world()
	}
}
