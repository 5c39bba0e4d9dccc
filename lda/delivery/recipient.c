/* Recipient and sender: cleaned, looked up, made exact. */
#include "recipient.h"

#include <stdlib.h>
#include <string.h>

#include "absence.h"
#include "names.h"

/* The sender for a header: control bytes are '_'. One that is too long for any header is
 * cut to what is still too long. */
static const char *
clean_sender(char clean[ADDRESS_LONG + 2], const char *sender)
{
	size_t length = sender ? strlen(sender) : 0;

	if (length >= 2 && sender[0] == '<' && sender[length - 1] == '>') {
		sender++;
		length -= 2;
	}
	if (length > ADDRESS_LONG)
		length = ADDRESS_LONG + 1;
	for (size_t i = 0; i < length; i++)
		clean[i] = (char)((unsigned char)sender[i] < ' ' || sender[i] == 0x7f
					  ? '_'
					  : sender[i]);
	clean[length] = '\0';
	return strcasecmp(clean, "MAILER-DAEMON") == 0 ? "" : clean;
}

void
recipient_take(struct recipient *r, const struct envelope *e)
{
	memset(r, 0, sizeof *r);
	r->told = *e;
	r->address = e->recipient ? e->recipient : "";
	r->sender = clean_sender(r->clean, e->sender);
}

void
recipient_clear(struct recipient *r)
{
	for (size_t i = 0; i < RECIPIENT_NAMES; i++) {
		free(r->names[i]);
		r->names[i] = NULL;
	}
}

/* --- the look-up ------------------------------------------------------------------ */

/* Whether a further name is worth a try. */
static int
is_doubtful(const struct recipient *r, const struct mailbox *m, int result,
	const struct outcome *o)
{
	if (r->told.mta == MTA_NONE || m->match == MAILBOX_UNREADABLE)
		return 0;
	if (r->told.mta == MTA_OPTION)
		return o->verdict == VERDICT_NO_SUCH_USER && result;
	return result || m->match != MAILBOX_MATCH || m->uid != r->told.uid;
}

/* OpenSMTPD runs lda for all virtual mailboxes as one user, whose own mailbox is not
 * meant where the address has a domain of the table's with a catch-all of that user. */
static int
is_mail_users(const struct recipient *r, const struct mailbox *m, const char *name)
{
	return r->told.mta == MTA_OPENSMTPD && m->match == MAILBOX_CAUGHT && m->path &&
	       m->uid == r->told.uid && r->told.account &&
	       strcmp(name, r->told.account) == 0;
}

/* The first further name that is a mailbox of lda's own user takes M's place: 1. A name
 * that the table has, but for nothing that could be delivered to, says so in O: such a
 * message is somebody's. */
static int
try_names(const struct recipient *r, struct users *u, const struct conf *c,
	struct mailbox *m, struct outcome *o)
{
	struct mailbox other;
	struct outcome fault;

	for (size_t i = 0; i < RECIPIENT_NAMES && r->names[i]; i++) {
		int result;

		if (is_mail_users(r, m, r->names[i]))
			continue;
		result = mailbox_find(&other, u, c, r->names[i], &fault);
		if (result == 0 && other.match == MAILBOX_MATCH &&
			other.uid == r->told.uid) {
			mailbox_clear(m);
			*m = other;
			return 1;
		}
		if (result == 0)
			outcome_set(&fault, VERDICT_MISCONFIGURED,
				"%.100s is a mailbox of uid %u, but lda runs as uid %u",
				r->names[i], (unsigned)other.uid, (unsigned)r->told.uid);
		if (other.match >= MAILBOX_MATCH && o->verdict == VERDICT_NO_SUCH_USER)
			*o = fault;
		mailbox_clear(&other);
	}
	return 0;
}

/* A pipe that is given the address before aliases (-d ${original_recipient}) has put the
 * one after them on top of the message. A sender may write such a line, too, and must not
 * choose a mailbox by it. */
static int
is_before_alias(const struct recipient *r, struct users *u, const struct conf *c,
	struct outcome *o)
{
	struct mailbox m;
	struct outcome ignored;
	int known;

	if (r->told.mta != MTA_OPTION || !r->top || !r->top[0])
		return 0;
	known = mailbox_find(&m, u, c, r->top, &ignored) == 0 && m.match == MAILBOX_MATCH;
	mailbox_clear(&m);
	if (known)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has no %.100s, but it has %.100s, which "
			"Delivered-To: names; is -d the address before aliases?",
			r->address, r->top);
	return known;
}

/* What the names are for that the table does not have: is that sure? */
static void
judge_absence(const struct recipient *r, struct users *u, const struct conf *c,
	struct outcome *o)
{
	if (r->told.mta == MTA_OPENSMTPD)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has neither %.100s nor the account %.50s, for "
			"which the MTA took it",
			r->address, r->told.account);
	else if (r->told.mta == MTA_POSTFIX && !r->is_exact)
		outcome_set(o, VERDICT_MISCONFIGURED,
			"the user table has no %.100s, in which Postfix may have "
			"replaced odd bytes by _; there is no Delivered-To: that tells",
			r->address);
	else if (!mailbox_is_macro(r->address, o) && !is_before_alias(r, u, c, o))
		absence_confirm(c, users_stat(u), r->address, o);
}

int
recipient_find(const struct recipient *r, const struct conf *c, struct mailbox *m,
	struct outcome *o)
{
	struct reason why;
	struct users *users = users_open(c->users_db, &why);
	int result;

	if (!users) {
		outcome_set(o, VERDICT_MISCONFIGURED, "%s", why.text);
		return -1;
	}
	result = mailbox_find(m, users, c, r->address, o);
	if (is_doubtful(r, m, result, o) && !r->has_names) {
		mailbox_clear(m);
		result = 1;
	} else if (is_doubtful(r, m, result, o) && try_names(r, users, c, m, o)) {
		result = 0;
	}
	if (result < 0 && o->verdict == VERDICT_NO_SUCH_USER)
		judge_absence(r, users, c, o);
	users_close(&users);
	return result;
}

/* --- other names ------------------------------------------------------------------ */

int
recipient_add_names(struct recipient *r, struct message *m, struct outcome *o)
{
	if (message_read_top(m, o) || recipient_uncensor(r, m, o))
		return -1;
	r->has_names = 1;
	r->top = m->delivered_to;
	if (r->told.mta == MTA_OPTION)
		return 0;
	r->is_exact =
		!strchr(r->told.address, '_') || names_is_mtas(&r->told, m->delivered_to);
	if (names_list(r->names, &r->told, m->delivered_to) == 0)
		return 0;
	outcome_set(o, VERDICT_TROUBLE, "no memory");
	return -1;
}

int
recipient_uncensor(struct recipient *r, struct message *m, struct outcome *o)
{
	const struct envelope *e = &r->told;

	if (!names_may_hide(e) || strcmp(r->address, e->address) != 0)
		return 0;
	if (message_read_top(m, o))
		return -1;
	if (names_is_hidden(e, m->delivered_to)) {
		strcpy(r->exact, m->delivered_to);
		r->address = r->exact;
	}
	return 0;
}
