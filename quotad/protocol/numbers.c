/* The words of a mailbox's numbers. */
#include "numbers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "record.h"

static uint64_t
percent(uint64_t n, uint64_t limit)
{
	unsigned __int128 result = limit ? (unsigned __int128)n * 100 / limit : 0;

	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

static void
write_used(FILE *to, const struct ledger_numbers *n)
{
	fprintf(to, " used=%" PRIu64 " messages=%" PRIu64, n->used, n->messages);
}

/* The larger of both. */
static void
write_percent(
	FILE *to, const struct ledger_numbers *n, const struct ledger_limits *limits)
{
	uint64_t bytes = percent(n->used, limits->bytes),
		 messages = percent(n->messages, limits->messages);

	fprintf(to, " percent=%" PRIu64, bytes > messages ? bytes : messages);
}

static void
write_words(FILE *to, const struct ledger_numbers *n, const struct ledger_limits *limits,
	int known)
{
	if (known)
		write_used(to, n);
	fprintf(to,
		" limit=%" PRIu64 " message_limit=%" PRIu64 " reserved=%" PRIu64
		" tickets=%" PRIu64,
		limits->bytes, limits->messages, n->reserved, n->tickets);
	if (known && (limits->bytes || limits->messages))
		write_percent(to, n, limits);
	if (n->full_for)
		fprintf(to, " full_for=%" PRIu64, n->full_for);
}

char *
numbers_text(const char *mailbox, const struct ledger_numbers *n,
	const struct ledger_limits *limits, enum mailbox_state state, int known)
{
	static const char *const states[] = {[MAILBOX_ENABLED] = "",
		[MAILBOX_DISABLED] = " state=disabled",
		[MAILBOX_SUSPENDED] = " state=suspended",
		[MAILBOX_MOVED] = " state=moved"};
	char *escaped = record_escape(mailbox), *text = NULL;
	size_t length;
	FILE *to = escaped ? open_memstream(&text, &length) : NULL;

	if (to != NULL) {
		fprintf(to, "mailbox=%s", escaped);
		write_words(to, n, limits, known);
		fputs(states[state], to);
		if (fclose(to) != 0) {
			free(text);
			text = NULL;
		}
	}
	free(escaped);
	return text;
}
