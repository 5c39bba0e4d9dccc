/* The words of a mailbox's numbers. */
#include "numbers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Adds to the text; NUMBERS_SIZE has room for all that is. */
static void __attribute__((format(printf, 2, 3)))
add(char text[NUMBERS_SIZE], const char *format, ...)
{
	size_t at = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + at, NUMBERS_SIZE - at, format, args);
	va_end(args);
}

int
numbers_text(char text[NUMBERS_SIZE], const char *mailbox, const struct ledger_numbers *n,
	const struct ledger_limits *limits, enum mailbox_state state, int known)
{
	static const char *const states[] = {[MAILBOX_ENABLED] = "",
		[MAILBOX_DISABLED] = " state=disabled",
		[MAILBOX_SUSPENDED] = " state=suspended",
		[MAILBOX_MOVED] = " state=moved"};
	char *escaped = record_escape(mailbox);

	if (escaped == NULL)
		return -1;
	snprintf(text, NUMBERS_SIZE, "mailbox=%s", escaped);
	free(escaped);
	if (known)
		add(text, " used=%" PRIu64 " messages=%" PRIu64, n->used, n->messages);
	add(text,
		" limit=%" PRIu64 " message_limit=%" PRIu64 " reserved=%" PRIu64
		" tickets=%" PRIu64,
		limits->bytes, limits->messages, n->reserved, n->tickets);
	if (known && (limits->bytes || limits->messages))
		add(text, " percent=%" PRIu64, larger_percent(n, limits));
	if (n->promises)
		add(text, " promised=%" PRIu64 " promises=%" PRIu64, n->promised,
			n->promises);
	if (n->full_for)
		add(text, " full_for=%" PRIu64, n->full_for);
	add(text, "%s%s", n->missing ? " missing=1" : "", states[state]);
	return 0;
}
