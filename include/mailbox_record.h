/*
 * What a record of the user table may hold: the kinds of records, the fields of each, and
 * what their values may be. Unknown fields may hold anything.
 */
#ifndef BRIM_MAILBOX_RECORD_H
#define BRIM_MAILBOX_RECORD_H

#include "reason.h"
#include "record.h"

enum mailbox_state {
	MAILBOX_ENABLED,
	MAILBOX_DISABLED,
	MAILBOX_SUSPENDED,
	MAILBOX_MOVED
};

enum mailbox_field_type {
	MAILBOX_FIELD_ID, /* uid, gid */
	MAILBOX_FIELD_PATH,
	MAILBOX_FIELD_SIZE,
	MAILBOX_FIELD_COUNT,
	MAILBOX_FIELD_OVER_QUOTA,
	MAILBOX_FIELD_SMTP_FULL,
	MAILBOX_FIELD_STATE,
	MAILBOX_FIELD_ADDRESS,
	MAILBOX_FIELD_WHOLE_ADDRESS, /* with a domain */
	MAILBOX_FIELD_ADDRESSES,     /* with commas between */
	MAILBOX_FIELD_DOMAIN         /* @domain */
};

/* The kinds of records: told by the key (@domain) and by the field alias. */
enum mailbox_kind {
	MAILBOX_KIND_MAILBOX = 1,
	MAILBOX_KIND_ALIAS,
	MAILBOX_KIND_DOMAIN,
	MAILBOX_KIND_ALIAS_DOMAIN /* its addresses are those of another domain */
};

struct mailbox_field {
	const char *name;
	enum mailbox_field_type type;
	unsigned kinds; /* bits 1 << enum mailbox_kind */
	const char *sentence;
};

/* The field of that name or, by number from 0 on, each; NULL if there is none. */
const struct mailbox_field *mailbox_field(const char *name);
const struct mailbox_field *mailbox_field_at(size_t i);

/* Whether a field of that type may have the value: 0, -1. */
int mailbox_check_value(
	enum mailbox_field_type type, const char *value, struct reason *why);

/* The state of that name: 0, -1. */
int mailbox_read_state(const char *value, enum mailbox_state *state, struct reason *why);

enum mailbox_kind mailbox_kind_of(const struct record *r);

/* Checks a record before it goes into the table: that it has the fields that its kind
 * must have, and the values of all that are known; unknown fields may hold anything. Does
 * not look at other records. */
int mailbox_check_record(const struct record *r, struct reason *why);

#endif
