/* The table of verdicts, and the line that tells one to an MTA. */
#include "verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "printable.h"

/*
 * Measured on Postfix 3.7, Exim 4.96, OpenSMTPD 6.8 and sendmail 8.17: 75 alone is "try
 * again" on all of them. 70, 71, 73, 74 and 78 bounce on at least one, so a full disk or
 * a wrong setting must never leave as what sysexits.h would call it.
 */
static const struct row {
	const char *name;
	int exit_status;
	enum { OF_LDA = 1, OF_QUOTAD } decided; /* who may; 0 is an omission */
	const char *code;
	const char *smtp;
	const char *text;
} rows[VERDICTS] = {
	[VERDICT_DELIVERED] = {"delivered", EX_OK, OF_LDA, "2.0.0", "DUNNO", "delivered"},
	/* its first words are what log watchers look for (fail2ban's filter for Postfix)
	 */
	[VERDICT_NO_SUCH_USER] = {"no-such-user", EX_NOUSER, OF_LDA, "5.1.1", "550 5.1.1",
		"User unknown, no such mailbox here"},
	[VERDICT_MOVED] = {"moved", EX_UNAVAILABLE, OF_LDA, "5.1.6", "551 5.1.6",
		"the mailbox has moved"},
	[VERDICT_DISABLED] = {"disabled", EX_UNAVAILABLE, OF_LDA, "5.2.1", "550 5.2.1",
		"the mailbox is disabled"},
	[VERDICT_SUSPENDED] = {"suspended", EX_TEMPFAIL, OF_LDA, "4.2.1", "450 4.2.1",
		"the mailbox takes no mail at the moment"},
	[VERDICT_FULL_FOR_NOW] = {"full-for-now", EX_TEMPFAIL, OF_QUOTAD, "4.2.2",
		"452 4.2.2", "the mailbox is full"},
	[VERDICT_FULL] = {"full", EX_UNAVAILABLE, OF_QUOTAD, "5.2.2", "552 5.2.2",
		"the mailbox is full"},
	[VERDICT_TOO_LARGE] = {"too-large", EX_UNAVAILABLE, OF_QUOTAD, "5.2.3",
		"552 5.2.3", "the message is larger than this mailbox may take"},
	[VERDICT_REFUSED] = {"refused", EX_NOPERM, OF_LDA, "5.7.1", "554 5.7.1",
		"refused by the policy of this mailbox"},
	[VERDICT_NO_DISK] = {"no-disk", EX_TEMPFAIL, OF_QUOTAD, "4.3.1", "452 4.3.1",
		"no room on the mail server's disk"},
	[VERDICT_TROUBLE] = {"trouble", EX_TEMPFAIL, OF_LDA, "4.3.0", "451 4.3.0",
		"error on the mail server"},
	[VERDICT_MISCONFIGURED] = {"misconfigured", EX_TEMPFAIL, OF_QUOTAD, "4.3.5",
		"451 4.3.5", "the mail server is not set up right"},
};

_Static_assert(VERDICT_TRY_AGAIN == EX_TEMPFAIL, "sysexits.h has the same number");

const char *
verdict_name(enum verdict v)
{
	return rows[v].name;
}

int
verdict_parse(const char *name, enum verdict *v)
{
	for (int i = 0; i < VERDICTS; i++)
		if (strcmp(rows[i].name, name) == 0) {
			*v = (enum verdict)i;
			return 0;
		}
	return -1;
}

int
verdict_is_quotads(enum verdict v)
{
	return rows[v].decided - OF_LDA;
}

int
verdict_exit_status(enum verdict v)
{
	return rows[v].exit_status;
}

const char *
verdict_code(enum verdict v)
{
	return rows[v].code;
}

const char *
verdict_smtp(enum verdict v)
{
	return rows[v].smtp;
}

/* Where it stands among all, from the gentlest on. */
static int
rank(enum verdict v)
{
	static const enum verdict order[VERDICTS] = {
		VERDICT_DELIVERED,
		VERDICT_TROUBLE,
		VERDICT_MISCONFIGURED,
		VERDICT_NO_DISK,
		VERDICT_FULL_FOR_NOW,
		VERDICT_SUSPENDED,
		VERDICT_MOVED,     /* the sender learns the new address, */
		VERDICT_TOO_LARGE, /* or may write less, */
		VERDICT_FULL,      /* or later */
		VERDICT_DISABLED,
		VERDICT_NO_SUCH_USER,
		VERDICT_REFUSED,
	};
	int i = 0;

	while (i < VERDICTS && order[i] != v)
		i++;
	return i;
}

int
verdict_is_gentler(enum verdict a, enum verdict b)
{
	return rank(a) < rank(b);
}

void
outcome_set(struct outcome *o, enum verdict v, const char *format, ...)
{
	va_list args;

	o->verdict = v;
	va_start(args, format);
	if (format)
		vsnprintf(o->text, sizeof o->text, format, args);
	else
		snprintf(o->text, sizeof o->text, "%s", rows[v].text);
	va_end(args);
	printable_text(o->text);
}

void
outcome_from_quotad(struct outcome *o, enum verdict v, const char *text)
{
	if (verdict_is_quotads(v) == 1)
		outcome_set(o, v, "%s", text);
	else
		outcome_set(o, VERDICT_TROUBLE, "quotad: %s", text);
}

size_t
outcome_line(const struct outcome *o, char line[VERDICT_LINE_MAX + 1])
{
	const char *text = o->text[0] ? o->text : rows[o->verdict].text;
	int n;

	line[0] = '\0';
	if (o->verdict == VERDICT_DELIVERED)
		return 0;
	n = snprintf(line, VERDICT_LINE_MAX, "%s %s", verdict_code(o->verdict), text);
	if (n >= VERDICT_LINE_MAX)
		n = VERDICT_LINE_MAX - 1;
	printable_ascii(line);
	line[n] = '\n';
	line[n + 1] = '\0';
	return (size_t)n + 1;
}

void
outcome_reply(const struct outcome *o, char reply[OUTCOME_REPLY_SIZE])
{
	const int is_ours =
		o->verdict == VERDICT_TROUBLE || o->verdict == VERDICT_MISCONFIGURED;
	const char *text = o->text[0] && !is_ours ? o->text : rows[o->verdict].text;
	const int has_text = o->verdict != VERDICT_DELIVERED;
	char *colon = reply;

	snprintf(reply, OUTCOME_REPLY_SIZE, "%s%s%s", verdict_smtp(o->verdict),
		has_text ? " " : "", has_text ? text : "");
	printable_ascii(reply);
	/* one within an address stays */
	while ((colon = strchr(colon, ':')) != NULL) {
		const size_t colons = strspn(colon, ":");

		if (colon[colons] == ' ' || colon[colons] == '\0')
			memmove(colon, colon + colons, strlen(colon + colons) + 1);
		else
			colon += colons;
	}
}
