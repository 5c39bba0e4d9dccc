/*
 * What a number belongs to (rule 0): two keys of the table, two paths, two directories, and
 * ldas that opened one of them while all that changes. The rest of the counting protocol is
 * in ledger.pml, and is as simple here as it can be: one connection an lda, and a count
 * reads a mailbox in one step. README.md has the rules in words. What is checked here:
 *
 *   S1  no link makes a directory hold more messages than the limit;
 *   S2  where a number is trusted, used + tickets is never less than what its directory holds;
 *   N1  after a count, the number is the messages;
 *   L1  once all is quiet, counts make each number so, and no ticket is left anywhere;
 *   F1  no refusal that the messages and tickets in use don't justify.
 *
 * Every part of a rule is a PART(name) here, as in ledger.pml.
 */

/* the size of the world */
#ifndef KILLS
#define KILLS 0         /* ldas killed by anybody */
#endif
#ifndef RESTARTS
#define RESTARTS 0      /* quotad killed and started again */
#endif
#ifndef CHANGES
#define CHANGES 0       /* changes of the table */
#endif
#ifndef RENAMES
#define RENAMES 0       /* changes of what the paths lead to */
#endif
#ifndef RULES
#define RULES 0         /* changes of quota_ignore */
#endif
#ifndef INODES
#define INODES 1        /* 0: a place is its path alone, as it is where no path is renamed */
#endif
#define LDAS  2
#define LIMIT 2
#define TRASH (RULES > 0) /* messages of directory 1 that count by some rules only */

/* the parts of the rule, by number of the rule */
#define place_compared          1 /* RESERVE says which path its lda opened, */
#define inode_compared          2 /* ... and which directory */
#define number_of_place         3 /* another path: the number is unknown */
#define tickets_stay            4 /* ... but the tickets are charged, */
#define tickets_follow_path     5 /* ... also where another key gets their path, */
#define tickets_follow_inode    6 /* ... or its path leads to their directory */
#define count_of_place          7 /* a count begun before that is dropped */
#define binding_count_is_none   8 /* the count that finds a directory only binds to it */
#define one_account_an_inode    9 /* the account that it is found for last, */
#define second_if_first_is_there 10 /* ... and is refused only where that still is so */
#define forgotten_when_quiet    11 /* an account is forgotten without open or unsure tickets */
#define removed_is_forgotten    12 /* ... and then it is */
#define number_of_rules         13 /* other rules: the number is unknown, */
#define count_of_rules          14 /* ... and a count begun before that is dropped */
#define ticket_place_is_kept    15 /* the store has the place of a ticket */
#define number_place_is_kept    16 /* ... and of a number */
#define other_place_adds_nothing 17 /* a COMMIT for another place than the account's */
#define pending_of_moved_first  18 /* before a refusal the owners of all its tickets are read */

#ifndef WITHOUT
#define WITHOUT 0
#endif
#define PART(p) (WITHOUT != (p))

/* an lda */
#define IDLE   0
#define ASKING 1        /* has opened the directory and sent RESERVE */
#define HAS_OK 2
#define LINKED 3
#define ENDED  4

/* its connection: what quotad has not read yet, or has answered */
#define CLOSED      0
#define ASKED       1
#define ASKED_EOF   2
#define GRANTED     3
#define GRANTED_EOF 4
#define COMMIT_EOF  5
#define CANCEL_EOF  6

/* its ticket */
#define NONE  0
#define OPEN  1
#define MAYBE 2         /* orphan, its lda may be alive */
#define GONE  3         /* orphan, its lda has ended */

/* Paths and directories are 1 and 2; 0 is none, or unknown. */
typedef lda_t {
	unsigned does : 3;
	unsigned line : 3;
	unsigned key : 1;       /* the recipient */
	unsigned path : 2;      /* what its table says, */
	unsigned inode : 2;     /* and what it opened there */
	unsigned file : 1;      /* the message is in that directory */
	unsigned ticket : 2;
	unsigned payer : 1;        /* the account that it is charged to */
	unsigned tpath : 2;     /* the place that it is for, as far as quotad knows */
	unsigned tinode : 2;
	unsigned seen : 1;      /* of the count that is running, as in ledger.pml */
	unsigned committed : 1;
	unsigned gone : 1
};
lda_t lda[LDAS];

typedef account_t {
	unsigned path : 2;      /* the place that it is bound to */
	unsigned inode : 2;
	unsigned used : 3;
	unsigned known : 1;     /* the number may be used */
	unsigned basis : 1      /* the last exact count holds */
};
account_t account[2];

/* the table as it is, as quotad has read it, and what the paths lead to */
unsigned table0 : 2 = 1;
unsigned table1 : 2 = 0;
unsigned read0 : 2 = 1;
unsigned read1 : 2 = 0;
unsigned inode1 : 2 = 1;
unsigned inode2 : 2 = 2;
bit rules;              /* 1: the messages in Trash count */
unsigned granted_rules : 1; /* those of the last grant in directory 1 */

/* the count: of which account, what it found */
bit counting;
bit counted;
bit later;              /* COMMIT or a change since it was read */
unsigned found : 2;     /* the directory */
unsigned total : 3;

byte kills = KILLS;
byte restarts = RESTARTS;
byte changes = CHANGES;
byte renames = RENAMES;
byte rulings = RULES;

byte j, n; /* scratch, 0 between steps */

#define TABLE(k) ((k) == 0 -> table0 : table1)
#define READ(k)  ((k) == 0 -> read0 : read1)
#define LEADS(p) ((p) == 1 -> inode1 : ((p) == 2 -> inode2 : 0))
#define OLD(d)   (d) /* directory 1 has one message, 2 has two */

#define ALIVE(i)     (lda[i].does >= ASKING && lda[i].does <= LINKED)
#define IS_TICKET(i) (lda[i].ticket != NONE)
#define FILE_IN(i, d) (lda[i].file && lda[i].inode == (d))
#define FILES(d)     (OLD(d) + FILE_IN(0, d) + FILE_IN(1, d))
#define COUNTS(d)    (FILES(d) + ((d) == 1 && rules && TRASH))
#define CHARGED(i, k) (IS_TICKET(i) && lda[i].payer == (k))
#define TICKETS(k)   (CHARGED(0, k) + CHARGED(1, k))
#define OPENS(k)     ((CHARGED(0, k) && lda[0].ticket == OPEN) + \
			(CHARGED(1, k) && lda[1].ticket == OPEN))
/* a message in directory D that no ticket stands for */
#define BARE(i, d)   (FILE_IN(i, d) && !IS_TICKET(i))
#define BARE_IN(d)   (OLD(d) + BARE(0, d) + BARE(1, d))
#define IN_USE(i, k) (CHARGED(i, k) && !lda[i].file && ALIVE(i))
#define MAY_COME(i, k) (IN_USE(i, k) || (CHARGED(i, k) && lda[i].ticket == MAYBE))
#define QUIET(i)     (!ALIVE(i) && lda[i].ticket != MAYBE && lda[i].line == CLOSED)

/* A directory changed: a count of it serves for no refusal any more. */
inline touch(d)
{
	account[0].basis = account[0].basis && account[0].inode != (d);
	account[1].basis = account[1].basis && account[1].inode != (d);
	later = later || (counting && found == (d))
}

/* ------------------------------------------------------------------- quotad: places */

inline drop_count()
{
	for (j : 0 .. LDAS - 1) {
		lda[j].seen = 0;
		lda[j].committed = 0;
		lda[j].gone = 0
	}
	j = 0;
	counting = 0;
	counted = 0;
	later = 0;
	found = 0;
	total = 0
}

inline end_ticket(i)
{
	lda[i].ticket = NONE;
	lda[i].payer = 0;
	lda[i].tpath = 0;
	lda[i].tinode = 0;
	lda[i].gone = 0
}

inline unbind(k)
{
	account[k].path = 0;
	account[k].inode = 0;
	account[k].used = 0;
	account[k].known = 0;
	account[k].basis = 0
}

#define HAS_INODE(k, d) (INODES && account[k].inode == (d))

/* The table has another path for the account. */
inline bind_path(k)
{
	if
	:: counting && counted == k && PART(count_of_place) -> drop_count()
	:: else
	fi;
	if
	:: account[1 - k].path == READ(k) ->
		if
		:: counting && counted == 1 - k && PART(count_of_place) -> drop_count()
		:: else
		fi;
		unbind(1 - k)
	:: else
	fi;
	for (j : 0 .. LDAS - 1) {
		if
		:: CHARGED(j, k) && !PART(tickets_stay) -> end_ticket(j)
		:: IS_TICKET(j) && lda[j].tpath == READ(k) && PART(tickets_follow_path) &&
			!HAS_INODE(lda[j].payer, lda[j].tinode) ->
			lda[j].payer = k
		:: else
		fi
	}
	j = 0;
	account[k].path = READ(k);
	if
	:: PART(number_of_place) ->
		account[k].inode = 0;
		account[k].used = 0;
		account[k].known = 0;
		account[k].basis = 0
	:: else
	fi
}

/* A count found another directory than the account's: its tickets are charged here. */
inline bind_inode(k, d)
{
	for (j : 0 .. LDAS - 1) {
		if
		:: IS_TICKET(j) && lda[j].tinode == (d) && PART(tickets_follow_inode) ->
			lda[j].payer = k
		:: else
		fi
	}
	j = 0;
	if
	:: account[1 - k].inode == (d) && PART(one_account_an_inode) ->
		account[1 - k].inode = 0;
		account[1 - k].known = 0;
		account[1 - k].basis = 0
	:: else
	fi;
	account[k].inode = d;
	account[k].known = 0;
	account[k].basis = 0
}

/* Whether the other account has that directory, and its path still leads there. */
#define IS_ANOTHERS(k, d) (account[1 - k].inode == (d) && PART(one_account_an_inode) && \
	(!PART(second_if_first_is_there) || (account[1 - k].path == READ(1 - k) && \
	READ(1 - k) != 0 && LEADS(READ(1 - k)) == (d))))

/* ------------------------------------------------------------------- quotad: counts */

inline begin_count(k)
{
	counting = 1;
	counted = k;
	found = LEADS(account[k].path);
	total = COUNTS(found);
	for (j : 0 .. LDAS - 1) {
		lda[j].seen = (FILE_IN(j, found));
		lda[j].committed = 0;
		lda[j].gone = (lda[j].ticket == GONE && lda[j].payer == k)
	}
	j = 0
}

/* Rule 3 of ledger.pml. */
inline sum_up()
{
	for (j : 0 .. LDAS - 1) {
		if
		:: CHARGED(j, counted) && lda[j].ticket == OPEN && lda[j].seen -> total--
		:: lda[j].committed && !lda[j].seen -> total++
		:: else
		fi;
		if
		:: CHARGED(j, counted) && lda[j].ticket != OPEN && (lda[j].seen || lda[j].gone) ->
			end_ticket(j)
		:: else
		fi
	}
	j = 0;
	account[counted].used = total;
	account[counted].known = 1;
	account[counted].basis = !later
}

inline apply_count()
{
	if
	:: found == account[counted].inode || !INODES ->
		account[counted].inode = found;
		sum_up()
	:: INODES && found != account[counted].inode && IS_ANOTHERS(counted, found) ->
		account[counted].inode = 0;
		account[counted].known = 0;
		account[counted].basis = 0
	:: else ->
		bind_inode(counted, found);
		if
		:: !PART(binding_count_is_none) -> sum_up()
		:: else
		fi
	fi;
	n = counted;
	drop_count()
}

/* ------------------------------------------------------------------- quotad: requests */

#define MY lda[i].line
#define K  lda[i].key
#define RESERVE_UNREAD (MY == ASKED || MY == ASKED_EOF)
#define RIGHT_PATH (lda[i].path == READ(K) || !PART(place_compared))
#define BOUND (READ(K) != 0 && account[K].path == READ(K))
#define RIGHT_PLACE (BOUND && RIGHT_PATH && account[K].known && \
	(account[K].inode == lda[i].inode || !INODES || !PART(inode_compared)))
#define HAS_ROOM (account[K].used + TICKETS(K) + 1 <= LIMIT)
#define UNREAD(m, k) (CHARGED(m, k) && lda[m].line >= GRANTED_EOF && \
	(lda[m].key == (k) || PART(pending_of_moved_first)))
#if INODES
#define IS_OF_PLACE(i) (lda[i].tinode == account[lda[i].payer].inode)
#else
#define IS_OF_PLACE(i) (lda[i].tpath == account[lda[i].payer].path)
#endif
#define SETTLED(k) (account[k].basis && !UNREAD(0, k) && !UNREAD(1, k) && \
	!(CHARGED(0, k) && lda[0].ticket == GONE) && !(CHARGED(1, k) && lda[1].ticket == GONE))

inline end_lda(i)
{
	lda[i].does = ENDED;
	lda[i].line = (lda[i].line == ASKED -> ASKED_EOF :
		(lda[i].line == GRANTED -> GRANTED_EOF : lda[i].line))
}

inline refuse(i)
{
	MY = CLOSED;
	if
	:: ALIVE(i) -> lda[i].does = ENDED
	:: else
	fi
}

proctype session(byte i)
{
	do
	/* Another path in quotad's table: the account is bound anew. */
	:: d_step { RESERVE_UNREAD && READ(K) != 0 && !BOUND ->
		printf("quotad: account %d is of path %d now\n", K, READ(K));
		n = K;
		bind_path(n);
		n = 0 }

	/* The tables differ, or the directories do, or there is no number, or no count: 4.3.0. */
	:: d_step { RESERVE_UNREAD && (!RIGHT_PLACE || LEADS(account[K].path) == 0) ->
		printf("quotad: 4.3.0 to RESERVE %d\n", i);
		refuse(i) }

	:: d_step { RESERVE_UNREAD && RIGHT_PLACE && HAS_ROOM ->
		printf("quotad: OK to RESERVE %d for account %d\n", i, K);
		lda[i].ticket = OPEN;
		lda[i].payer = K;
		lda[i].tpath = account[K].path;
		lda[i].tinode = account[K].inode;
		granted_rules = (account[K].inode == 1 && TRASH -> rules : granted_rules);
		MY = (MY == ASKED -> GRANTED : GRANTED_EOF) }

	:: d_step { RESERVE_UNREAD && RIGHT_PLACE && !HAS_ROOM && SETTLED(K) ->
		n = account[K].inode;
		if
		:: account[K].used + 1 > LIMIT ->
			printf("quotad: full to RESERVE %d\n", i);
			assert(COUNTS(n) + 1 > LIMIT) /* F1: full, for good */
		:: else ->
			if
			:: account[K].used + OPENS(K) + 1 > LIMIT ->
				printf("quotad: full to RESERVE %d, 4.2.2\n", i);
				assert(COUNTS(n) + IN_USE(0, K) + IN_USE(1, K) + 1 > LIMIT) /* F1: full, for now */
			:: else ->
				printf("quotad: 4.3.0 to RESERVE %d, orphans in the way\n", i);
				assert(COUNTS(n) + MAY_COME(0, K) + MAY_COME(1, K) + 1 > LIMIT) /* F1: try again */
			fi
		fi;
		n = 0;
		refuse(i) }

	:: d_step { MY == COMMIT_EOF ->
		printf("quotad: COMMIT %d\n", i);
		MY = CLOSED;
		if
		:: lda[i].ticket == OPEN ->
			if
			:: IS_OF_PLACE(i) || !PART(other_place_adds_nothing) ->
				account[lda[i].payer].used++;
				lda[i].committed = (counting && counted == lda[i].payer);
				later = later || lda[i].committed
			:: else
			fi;
			account[lda[i].payer].basis = 0;
			end_ticket(i)
		:: else
		fi }

	:: d_step { MY == CANCEL_EOF ->
		printf("quotad: CANCEL %d\n", i);
		MY = CLOSED;
		if
		:: lda[i].ticket == OPEN -> end_ticket(i)
		:: else
		fi }

	:: d_step { MY == GRANTED_EOF ->
		printf("quotad: EOF, ticket %d is an orphan\n", i);
		MY = CLOSED;
		if
		:: lda[i].ticket == OPEN -> lda[i].ticket = GONE
		:: else
		fi }
	od
}

/* ------------------------------------------------------------------- an lda */

proctype delivery(byte i)
{
	do
	:: d_step { lda[i].does == IDLE && (i == 0 || lda[0].does != IDLE) && LEADS(table0) != 0 ->
		lda[i].key = 0;
		lda[i].path = table0;
		lda[i].inode = LEADS(lda[i].path);
		printf("lda %d opens %d by path %d, sends RESERVE 0\n", i, lda[i].inode, lda[i].path);
		lda[i].does = ASKING;
		lda[i].line = ASKED }
	:: d_step { lda[i].does == IDLE && (i == 0 || lda[0].does != IDLE) && LEADS(table1) != 0 ->
		lda[i].key = 1;
		lda[i].path = table1;
		lda[i].inode = LEADS(lda[i].path);
		printf("lda %d opens %d by path %d, sends RESERVE 1\n", i, lda[i].inode, lda[i].path);
		lda[i].does = ASKING;
		lda[i].line = ASKED }

	:: d_step { lda[i].does == ASKING && lda[i].line == GRANTED ->
		printf("lda %d has OK\n", i);
		lda[i].does = HAS_OK }

	:: d_step { lda[i].does == ASKING && lda[i].line == CLOSED ->
		printf("lda %d gives up\n", i);
		end_lda(i) }

	:: d_step { lda[i].does == HAS_OK ->
		printf("lda %d links its message in %d\n", i, lda[i].inode);
		lda[i].does = LINKED;
		lda[i].file = 1;
		touch(lda[i].inode);
		assert(FILES(lda[i].inode) + (lda[i].inode == 1 && TRASH && granted_rules) <= LIMIT) /* S1: never over the limit */ }

	:: d_step { lda[i].does == LINKED ->
		printf("lda %d sends COMMIT if it can, exits 0\n", i);
		lda[i].line = (lda[i].line == GRANTED -> COMMIT_EOF : lda[i].line);
		end_lda(i) }

	:: d_step { lda[i].does == HAS_OK ->
		printf("lda %d sends CANCEL if it can, gives up\n", i);
		lda[i].line = (lda[i].line == GRANTED -> CANCEL_EOF : lda[i].line);
		end_lda(i) }

	:: d_step { ALIVE(i) && kills > 0 ->
		printf("lda %d is killed\n", i);
		kills--;
		end_lda(i) }

	:: d_step { lda[i].ticket == MAYBE ->
		printf("the deadline passes for orphan %d\n", i);
		lda[i].ticket = GONE;
		if
		:: ALIVE(i) -> end_lda(i)
		:: else
		fi }
	od
}

/* ------------------------------------------------------------------- counts come */

/* An account of no key of the table goes, its ended orphans with it. */
inline forget(k)
{
	for (j : 0 .. LDAS - 1) {
		if
		:: CHARGED(j, k) -> end_ticket(j)
		:: else
		fi
	}
	j = 0;
	unbind(k)
}

#define IS_BUSY(i, k) (CHARGED(i, k) && lda[i].ticket != GONE)
#define CAN_FORGET(k) (READ(k) == 0 && PART(removed_is_forgotten) && \
	(!PART(forgotten_when_quiet) || (!IS_BUSY(0, k) && !IS_BUSY(1, k))))

/* One account at rest. The first count may find another directory, and bind to it. */
inline rest(k)
{
	if
	:: CAN_FORGET(k) -> forget(k)
	:: READ(k) == 0 && !CAN_FORGET(k)
	:: else ->
		if
		:: account[k].path != READ(k) -> bind_path(k)
		:: else
		fi;
		if
		:: LEADS(READ(k)) != 0 ->
			begin_count(k);
			apply_count();
			begin_count(k);
			apply_count();
			n = 0
		:: else
		fi
	fi
}

/* Both keys lead to one directory: one of them stays 4.3.5. */
#define IS_SHARED (LEADS(read0) != 0 && LEADS(read0) == LEADS(read1))
/* A ticket may stay where its account can't be counted. */
#define IS_LEFT(i) (IS_TICKET(i) && \
	(READ(lda[i].payer) == 0 || LEADS(READ(lda[i].payer)) != 0))
#define IS_RIGHT(k) (READ(k) == 0 || LEADS(READ(k)) == 0 || \
	(account[k].known && account[k].inode == LEADS(READ(k)) && \
	account[k].used == COUNTS(account[k].inode)))

proctype counts()
{
	do
	:: d_step { !counting && read0 != 0 && account[0].path == read0 && LEADS(read0) != 0 ->
		printf("count: reads path %d for account 0\n", account[0].path);
		begin_count(0) }
	:: d_step { !counting && read1 != 0 && account[1].path == read1 && LEADS(read1) != 0 ->
		printf("count: reads path %d for account 1\n", account[1].path);
		begin_count(1) }
	:: d_step { counting ->
		printf("count: of account %d is done\n", counted);
		apply_count();
		assert(!account[n].known || account[n].used >= BARE_IN(account[n].inode)); /* N1: no less than the messages */
		assert(!account[n].known || account[n].used <= COUNTS(account[n].inode)); /* N1: no more than the messages */
		n = 0 }

	:: d_step { CAN_FORGET(0) && (account[0].path != 0 || TICKETS(0) > 0) ->
		printf("quotad: account 0 is forgotten\n");
		if
		:: counting && counted == 0 -> drop_count()
		:: else
		fi;
		forget(0) }
	:: d_step { CAN_FORGET(1) && (account[1].path != 0 || TICKETS(1) > 0) ->
		printf("quotad: account 1 is forgotten\n");
		if
		:: counting && counted == 1 -> drop_count()
		:: else
		fi;
		forget(1) }

	/* L1. (Counts with nothing in between.) */
	:: d_step { !counting && QUIET(0) && QUIET(1) && read0 == table0 && read1 == table1 ->
		printf("all is quiet: each account is counted, or forgotten\n");
		rest(0);
		rest(1);
		rest(0);
		assert(IS_RIGHT(0) || IS_SHARED); /* L1: the number is the messages */
		assert(IS_RIGHT(1) || IS_SHARED); /* L1: the number is the messages */
		assert(IS_RIGHT(0) || IS_RIGHT(1)); /* L1: one of the two serves */
		assert((!IS_LEFT(0) && !IS_LEFT(1)) || IS_SHARED) } /* L1: no ticket is left */
	od
}

/* ------------------------------------------------------------------- the world */

inline change_table(a, b)
{
	printf("brimadm: key 0 has path %d, key 1 has path %d\n", a, b);
	changes--;
	table0 = a;
	table1 = b
}

inline change_paths(a, b)
{
	printf("path 1 leads to %d, path 2 to %d\n", a, b);
	renames--;
	n = a;
	inode2 = b;
	inode1 = n;
	n = 0;
	/* what was counted is not what is there */
	account[0].basis = 0;
	account[1].basis = 0;
	later = later || counting
}

proctype world()
{
	do
#if CHANGES
	:: d_step { changes > 0 && table0 != 0 -> change_table(0, 0) }
	:: d_step { changes > 0 && !(table0 == 1 && table1 == 0) -> change_table(1, 0) }
	:: d_step { changes > 0 && !(table0 == 2 && table1 == 0) -> change_table(2, 0) }
	:: d_step { changes > 0 && !(table0 == 0 && table1 == 1) -> change_table(0, 1) }
	:: d_step { changes > 0 && !(table0 == 0 && table1 == 2) -> change_table(0, 2) }
	:: d_step { changes > 0 && !(table0 == 1 && table1 == 2) -> change_table(1, 2) }
	:: d_step { changes > 0 && !(table0 == 2 && table1 == 1) -> change_table(2, 1) }

	:: d_step { read0 != table0 || read1 != table1 ->
		printf("quotad takes the new table\n");
		read0 = table0;
		read1 = table1 }
#endif
#if RENAMES
	/* Directories are renamed, away or over each other, or one is mounted at both paths. */
	:: d_step { renames > 0 && inode1 != inode2 -> change_paths(inode2, inode1) }
	:: d_step { renames > 0 && inode1 != inode2 -> change_paths(inode1, inode1) }
	:: d_step { renames > 0 && inode1 != inode2 -> change_paths(inode2, inode2) }
	:: d_step { renames > 0 && inode1 != 0 -> change_paths(0, inode1) }
	:: d_step { renames > 0 && inode2 != 0 -> change_paths(inode2, 0) }
	:: d_step { renames > 0 && !(inode1 == 1 && inode2 == 2) -> change_paths(1, 2) }
#endif
#if RULES
	:: d_step { rulings > 0 ->
		printf("quota_ignore is another\n");
		rulings--;
		rules = !rules;
		if
		:: counting && PART(count_of_rules) -> drop_count()
		:: else
		fi;
		account[0].basis = 0;
		account[1].basis = 0;
		account[0].known = account[0].known && !PART(number_of_rules);
		account[1].known = account[1].known && !PART(number_of_rules) }
#endif
#if RESTARTS
	:: d_step { restarts > 0 ->
		printf("quotad is killed and started again\n");
		restarts--;
		drop_count();
		read0 = table0;
		read1 = table1;
		for (n : 0 .. LDAS - 1) {
			lda[n].line = CLOSED;
			lda[n].ticket = (IS_TICKET(n) -> MAYBE : NONE);
			if
			:: !PART(ticket_place_is_kept) -> lda[n].tpath = 0; lda[n].tinode = 0
			:: else
			fi
		}
		n = 0;
		account[0].basis = 0;
		account[1].basis = 0;
		if
		:: !PART(number_place_is_kept) ->
			account[0].path = READ(0);
			account[1].path = READ(1);
			account[0].inode = LEADS(READ(0));
			account[1].inode = LEADS(READ(1))
		:: else
		fi }
#endif
	/* The end of every run: something is wrong. */
	:: d_step { account[0].known && account[0].used + TICKETS(0) < FILES(account[0].inode) ->
		assert(account[0].used + TICKETS(0) >= FILES(account[0].inode)) } /* S2: every message is charged */
	:: d_step { account[1].known && account[1].used + TICKETS(1) < FILES(account[1].inode) ->
		assert(account[1].used + TICKETS(1) >= FILES(account[1].inode)) } /* S2: every message is charged */
	od
}

init {
	atomic {
		run delivery(0);
		run delivery(1);
		run session(0);
		run session(1);
		run counts();
		run world()
	}
}
