/* The words of a mailbox's numbers. */
#include "numbers.h"

#include <stdlib.h>
#include <string.h>

#include "amount.h"
#include "record.h"

static uint64_t
percent(uint64_t n, uint64_t limit)
{
	unsigned __int128 result = limit ? (unsigned __int128)n * 100 / limit : 0;

	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

static uint64_t
larger_percent(const struct ledger_numbers *n, const struct ledger_limits *limits)
{
	uint64_t bytes = percent(n->used, limits->bytes),
		 messages = percent(n->messages, limits->messages);

	return bytes > messages ? bytes : messages;
}

/* Adds to the text's end; NUMBERS_SIZE has room for all that is. Returns the new end. */
static char *
put(char *end, const char *name, uint64_t n)
{
	return amount_put(stpcpy(end, name), n);
}

int
numbers_text(char text[NUMBERS_SIZE], const char *mailbox, const struct ledger_numbers *n,
	const struct ledger_limits *limits, enum mailbox_state state, int known)
{
	static const char *const states[] = {[MAILBOX_ENABLED] = "",
		[MAILBOX_DISABLED] = " state=disabled",
		[MAILBOX_SUSPENDED] = " state=suspended",
		[MAILBOX_MOVED] = " state=moved"};
	char *escaped = record_escape(mailbox), *end;

	if (escaped == NULL)
		return -1;
	end = stpcpy(stpcpy(text, "mailbox="), escaped);
	free(escaped);
	if (known) {
		end = put(end, " used=", n->used);
		end = put(end, " messages=", n->messages);
	}
	end = put(end, " limit=", limits->bytes);
	end = put(end, " message_limit=", limits->messages);
	end = put(end, " reserved=", n->reserved);
	end = put(end, " tickets=", n->tickets);
	if (known && (limits->bytes || limits->messages))
		end = put(end, " percent=", larger_percent(n, limits));
	if (n->promises) {
		end = put(end, " promised=", n->promised);
		end = put(end, " promises=", n->promises);
	}
	if (n->full_for)
		end = put(end, " full_for=", n->full_for);
	stpcpy(stpcpy(end, n->missing ? " missing=1" : ""), states[state]);
	return 0;
}
