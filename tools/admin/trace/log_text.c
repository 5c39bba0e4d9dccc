/* Tables of what Postfix, Exim, OpenSMTPD, sendmail and Brim write, and where. */
#include "log_text.h"

#include <stdio.h>
#include <string.h>

#define DIGITS    "0123456789"
#define HEX       DIGITS "abcdef"
#define ID_BYTES  DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"
#define LENGTH(s) (sizeof(s) - 1)

static int
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static int
is_brims(const struct log_line *l)
{
	return begins(l->program, "brim-") || begins(l->program, "quotad");
}

/* --- fields ----------------------------------------------------------------------- */

/* Behind ", NAME=" or another mark, which does not stand in a quoted string, as the local
 * part of an address may be one; NULL without it. */
static const char *
behind_mark(const char *text, const char *mark)
{
	int is_quoted = 0;

	for (; *text; text++) {
		if (is_quoted && *text == '\\' && text[1])
			text++;
		else if (*text == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && begins(text, mark))
			return text + strlen(mark);
	}
	return NULL;
}

/* The word that begins so among those of Brim's lines, whose values have no blanks but
 * for the reason, the last; behind that beginning, or NULL. */
static const char *
brims_value(const char *text, const char *name)
{
	while (*text && !begins(text, name)) {
		if (begins(text, "reason="))
			return NULL;
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return *text ? text + strlen(name) : NULL;
}

/* Whether the host "name[192.0.2.1]" is this one, or has a private address. */
static int
is_near(const char *host)
{
	static const char *const near[] = {"127.", "::1]", "10.", "192.168.", "172.16.",
		"172.17.", "172.18.", "172.19.", "172.2", "172.30.", "172.31.", "fc",
		"fd", "private/", "public/", "/"};
	const char *address = host ? host + strcspn(host, "[,") : "";

	if (*address != '[')
		return 0;
	address++;
	address += begins(address, "IPv6:") ? LENGTH("IPv6:") : 0;
	for (size_t i = 0; i < sizeof near / sizeof *near; i++)
		if (begins(address, near[i]))
			return 1;
	return 0;
}

/* --- queue ids -------------------------------------------------------------------- */

int
log_text_is_id(const char *text, size_t length)
{
	int is_word = 1; /* as "warning" is */

	for (size_t i = 0; i < length; i++) {
		if (!memchr(ID_BYTES, text[i], LENGTH(ID_BYTES)))
			return 0;
		is_word = is_word && text[i] >= 'a' && text[i] <= 'z';
	}
	return length >= 5 && length <= LOG_ID_MAX && !is_word &&
	       !(length == 7 && memcmp(text, "NOQUEUE", 7) == 0);
}

/* "1vOoHp-0001Xy-2a", or since Exim 4.97 "1vOoHp-000000001Xy-2aBc". */
static int
is_exims(const char *text, size_t length)
{
	return (length == 16 || length == 23) && text[6] == '-';
}

/* The id in front: what follows it tells that it is one. REST is what it is told of it.
 */
static size_t
leading_id(const char *text, const char **rest)
{
	const size_t length = strspn(text, ID_BYTES);

	*rest = text;
	if ((!begins(text + length, ": ") &&
		    !(text[length] == ' ' && is_exims(text, length))) ||
		!log_text_is_id(text, length))
		return 0;
	*rest = text + length + (text[length] == ':' ? LENGTH(": ") : LENGTH(" "));
	return length;
}

/* The id at this place: 1, or 0 where none is. */
static int
take_id(const char *at, struct log_id *id)
{
	const size_t length = at ? strspn(at, ID_BYTES) : 0;

	if (!length || (at[length] && !strchr(" ,;)>\"':", at[length])) ||
		!log_text_is_id(at, length) || strcspn(at, DIGITS) >= length)
		return 0;
	id->text = at;
	id->length = length;
	return 1;
}

/* The id that a reply says the message has got: "250 2.0.0 Ok: queued as 4bA1zQ", "250 OK
 * id=1vOoHp-0001Xy-2a", "250 2.0.0 4AR4eA1x012345 Message accepted for delivery". */
static int
replied_id(const char *reply, struct log_id *id)
{
	const char *const accepted = strstr(reply, " Message accepted for delivery"),
			  *queued = strstr(reply, "queued as ");
	const char *at = accepted;

	while (at && at > reply && strchr(ID_BYTES, at[-1]))
		at--;
	if (queued)
		at = queued + LENGTH("queued as ");
	else if (!at && (at = strstr(reply, "OK id=")))
		at += LENGTH("OK id=");
	return take_id(at, id);
}

/* The other id that a line of Postfix, Exim or sendmail tells of its message: 1 or 0. */
static int
linked_id(const char *rest, struct log_id *id)
{
	static const char *const links[] = {"sender non-delivery notification: ",
		"sender delay notification: ", "sender delivery status notification: ",
		"postmaster non-delivery notification: ",
		"postmaster delay notification: ", "<= <> R=", "clone "};
	const char *at;

	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (begins(rest, links[i]))
			return take_id(rest + strlen(links[i]), id);
	if (begins(rest, "client="))
		return take_id(behind_mark(rest, ", orig_queue_id="), id);
	if (begins(rest, "=> ") || begins(rest, "-> "))
		return is_near(behind_mark(rest, " H=")) &&
		       (at = behind_mark(rest, " C=")) && replied_id(at, id);
	if (!begins(rest, "to=")) /* "ID: DSN: " */
		return rest[strspn(rest, ID_BYTES)] == ':' && take_id(rest, id);
	at = behind_mark(rest, ", status=sent (");
	if (at && begins(at, "forwarded as "))
		return take_id(at + LENGTH("forwarded as "), id);
	if (!at)
		at = behind_mark(rest, ", stat=Sent (");
	return at && is_near(behind_mark(rest, ", relay=")) && replied_id(at, id);
}

/* OpenSMTPD's, behind a session's number: "mda delivery evpid=", of which the first half
 * is the message's; NULL of other lines. */
static const char *
opensmtpds(const char *text)
{
	const char *what = text + strspn(text, HEX), *id, *msgid;

	if (what == text || (!begins(what, " smtp ") && !begins(what, " mda ") &&
				    !begins(what, " mta ")))
		return NULL;
	msgid = strstr(what, " msgid=");
	id = strstr(what, " evpid=");
	if (msgid && (!id || msgid < id))
		id = msgid;
	return id ? id + LENGTH(" evpid=") : NULL;
}

size_t
log_text_ids(const struct log_line *l, struct log_id ids[LOG_IDS])
{
	const char *const evpid = opensmtpds(l->text), *rest;
	size_t count = 0;

	if (is_brims(l))
		return (size_t)take_id(brims_value(l->text, "id="), &ids[0]);
	if (begins(l->program, "amavis")) {
		count = (size_t)take_id(behind_mark(l->text, ", Queue-ID: "), &ids[0]);
		rest = behind_mark(l->text, ", queued_as: ");
		return count + (size_t)(count && take_id(rest, &ids[1]));
	}
	if (evpid && strspn(evpid, HEX) >= 8) {
		ids[0] = (struct log_id){evpid, 8};
		return 1;
	}
	ids[0] = (struct log_id){l->text, leading_id(l->text, &rest)};
	if (!ids[0].length)
		return 0;
	return 1 + (size_t)linked_id(rest, &ids[1]);
}

/* Whether it stands there, with or without brackets, before the text or field ends. */
static int
is_message_id(const char *at, const char *message_id)
{
	const size_t length = strlen(message_id), bracket = at && *at == '<';

	return at && strncmp(at + bracket, message_id, length) == 0 &&
	       (bracket ? at[length + 1] == '>' : strchr(" ,", at[length]) != NULL);
}

int
log_text_has_message_id(const struct log_line *l, const char *message_id)
{
	const char *rest;

	if (begins(l->program, "amavis"))
		return is_message_id(behind_mark(l->text, ", Message-ID: "), message_id);
	if (is_brims(l) || !leading_id(l->text, &rest))
		return 0;
	if (begins(rest, "message-id="))
		return is_message_id(rest + LENGTH("message-id="), message_id);
	if (begins(rest, "resent-message-id="))
		return is_message_id(rest + LENGTH("resent-message-id="), message_id);
	if (begins(rest, "<= "))
		return is_message_id(behind_mark(rest, " id="), message_id);
	return begins(rest, "from=") &&
	       is_message_id(behind_mark(rest, ", msgid="), message_id);
}

/* --- steps ------------------------------------------------------------------------ */

struct step {
	const char *begins, *step;
};

static const struct step of_brim[] = {{"policy: ", "asked at SMTP"},
	{"waiting for room", "waits"}, {"room for a message", "has room"},
	{"waits no more", "waits no more"}, {"waits for", "waits"},
	{"not released", "not released"}, {"released", "released"}, {NULL, ""}};

static const struct step of_id[] = {{"client=", "received"}, {"message-id=", "received"},
	{"resent-message-id=", "received"}, {"uid=", "submitted"}, {"removed", "removed"},
	{"reject: ", "refused"}, {"milter-", "milter"}, {"hold: ", "held"},
	{"placed on hold", "held"}, {"released from hold", "released"},
	{"discard: ", "discarded"}, {"sender non-delivery notification", "bounce sent"},
	{"sender delay notification", "delay told"},
	{"sender delivery status notification", "success told"},
	{"postmaster non-delivery notification", "postmaster told"},
	{"postmaster delay notification", "postmaster told"},
	/* Exim */
	{"<= ", "received"}, {"=> ", "delivered"}, {"-> ", "delivered"},
	{">> ", "delivered"}, {"*> ", "not delivered"}, {"== ", "deferred"},
	{"** ", "bounced"}, {"Completed", "removed"}, {"Frozen", "frozen"},
	{"Message is frozen", "frozen"}, {"Unfrozen", "thawed"},
	/* sendmail */
	{"DSN: ", "bounce sent"}, {"return to sender: ", "bounce sent"},
	{"sender notify: ", "delay told"}, {"postmaster notify: ", "postmaster told"},
	{NULL, ""}};

static const struct step of_status[] = {{"sent", "delivered"}, {"deferred", "deferred"},
	{"bounced", "bounced"}, {"expired", "given up"}, {"force-expired", "given up"},
	{"SOFTBOUNCE", "deferred"}, {NULL, ""}};

static const struct step of_stat[] = {{"Sent", "delivered"}, {"Deferred", "deferred"},
	{"queued", "queued"}, {NULL, ""}};

static const struct step of_result[] = {{"Ok", "delivered"}, {"TempFail", "deferred"},
	{"PermFail", "bounced"}, {NULL, ""}};

static const char *
find_step(const struct step *s, const char *text)
{
	while (s->begins && !begins(text, s->begins))
		s++;
	return s->step;
}

/* Of a recipient: Postfix's status, or sendmail's stat and, for what is no success, dsn.
 */
static const char *
recipients_step(const char *rest)
{
	const char *status = behind_mark(rest, ", status="),
		   *stat = behind_mark(rest, ", stat="), *dsn, *step;

	if (status && (!stat || status < stat))
		return find_step(of_status, status);
	step = stat ? find_step(of_stat, stat) : "";
	dsn = behind_mark(rest, ", dsn=");
	return *step || !dsn ? step
	       : *dsn == '4' ? "deferred"
	       : *dsn == '5' ? "bounced"
			     : "";
}

static const char *
senders_step(const char *rest)
{
	const char *status = behind_mark(rest, ", status=");

	if (status)
		return find_step(of_status, status);
	if (behind_mark(rest, " (queue active)"))
		return "queued";
	return behind_mark(rest, ", msgid=") ? "received" : "";
}

const char *
log_text_step(const struct log_line *l, char buffer[32])
{
	const char *verdict, *rest, *evpid = opensmtpds(l->text);
	struct log_id second;

	if (begins(l->program, "brim-lda")) {
		verdict = brims_value(l->text, "verdict=");
		snprintf(buffer, 32, "%.*s", verdict ? (int)strcspn(verdict, " ") : 0,
			verdict ? verdict : "");
		return buffer;
	}
	if (is_brims(l))
		return find_step(of_brim, l->text);
	if (evpid) {
		rest = strstr(l->text, " result=");
		return rest ? find_step(of_result, rest + LENGTH(" result="))
		       : strstr(l->text, " message msgid=") ? "received"
							    : "";
	}
	if (!leading_id(l->text, &rest))
		return "";
	if (begins(rest, "to="))
		return recipients_step(rest);
	if (begins(rest, "from="))
		return senders_step(rest);
	if (rest[strspn(rest, ID_BYTES)] == ':' && take_id(rest, &second))
		leading_id(rest, &rest); /* sendmail's "ID: ID: DSN: " */
	return find_step(of_id, rest);
}
