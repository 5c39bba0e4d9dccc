/*
 * What brimadm explain has found out of one mailbox: the files, counted by quotad's own
 * rules, and what quotad's ledger holds. Read only; no link of a user's is followed.
 */
#ifndef BRIMADM_EXPLAIN_H
#define BRIMADM_EXPLAIN_H

#include "brimadm.h"
#include "count.h"

/* One directory with messages. */
struct explain_directory {
	char *folder; /* "." is the Maildir itself */
	const char *part;
	int ignored; /* by quota_ignore: no part of the sum */
	int changed; /* since the last count; -1: not known */
	struct count_part found;
};

/* A delivery that has been promised room. */
struct explain_ticket {
	char *name, *state;
	uint64_t bytes, age;
	int earlier;  /* of a quotad before this one */
	int is_there; /* its file */
};

struct explain_ledger {
	int asked; /* quotad answered */
	struct reason why_not;
	uint64_t known, used, messages, reserved, tickets, limit, message_limit;
	uint64_t promised, promises;
	uint64_t over_quota; /* CONF_DEFER: never hard */
	uint64_t full_for, full_smallest, counting, held_ms, had_mail;
	char *counted_why; /* "never" where it was not */
	uint64_t counted_ago_ms, counted_exact, counted_was, counted_found;
	/* the answer to the question what the next message would get */
	char *next, *code, *text;
	uint64_t used_then; /* once it had been found */
};

struct explain {
	struct mailbox mailbox;
	struct explain_directory *directories;
	size_t directory_count;
	char **links; /* to directories, in the place of folders or their parts */
	size_t link_count;
	int missing;          /* there is no such Maildir */
	int moving;           /* it was changed while it was read */
	struct reason unread; /* why it could not be read; "" if it was */
	uint64_t bytes, messages, larger, excess, smaller,
		shortfall; /* of all that count */
	struct explain_ledger ledger;
	struct explain_ticket *tickets;
	size_t ticket_count;
	uint64_t tickets_left_out;
	uint64_t there_bytes, there; /* tickets whose files are there already */
};

/* Print it all on standard output. */
void explain_show(const struct explain *e);
void explain_show_json(const struct explain *e);

/* For both: the reasons, as texts, for which the sum of the files is not the ledger's
 * number; a new array. */
json_t *explain_reasons(const struct explain *e);

/* "open", "orphan" or, where its lda may still run, "orphan-maybe-alive". */
const char *explain_ticket_state(const struct explain_ticket *t);

#endif
