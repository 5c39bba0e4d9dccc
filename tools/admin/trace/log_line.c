/* The forms of syslog, of Postfix's own log file and of Exim's, taken apart in place. */
#include "log_line.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DIGITS    "0123456789"
#define ID_BYTES  DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"
#define LENGTH(s) (sizeof(s) - 1)

/* --- the line's parts ------------------------------------------------------------- */

/* Whether the text begins like the pattern, in which 0 is a digit, a a letter, and _ any
 * byte. */
static int
begins_like(const char *text, const char *pattern)
{
	for (; *pattern; text++, pattern++) {
		const unsigned char byte = (unsigned char)*text;

		if (!byte || (*pattern == '0' && !isdigit(byte)) ||
			(*pattern == 'a' && !isalpha(byte)) ||
			(!strchr("0a_", *pattern) && *pattern != *text))
			return 0;
	}
	return 1;
}

/* The length of the time in front: "Nov 27 04:40:10", "2026-11-27T04:40:10.123+00:00" or
 * "2026-11-27 04:40:10"; 0 without one. */
static size_t
time_length(const char *line)
{
	if (begins_like(line, "aaa _0 00:00:00 "))
		return LENGTH("aaa _0 00:00:00");
	if (begins_like(line, "0000-00-00 00:00:00"))
		return strcspn(line + LENGTH("0000-00-00 "), " ") + LENGTH("0000-00-00 ");
	return begins_like(line, "0000-00-00T00:00:00") ? strcspn(line, " ") : 0;
}

/* Cuts the word off that names a program, "postfix/smtpd[123]:", without its process;
 * NULL where another stands there. */
static char *
take_program(char **rest)
{
	const size_t name = strcspn(*rest, " :["), all = strcspn(*rest, " ");
	char *word = *rest;

	if (name == 0 || word[all] != ' ' || word[all - 1] != ':' ||
		(word[name] == '[' ? name + 1 + strspn(word + name + 1, DIGITS) + 2
				   : name + 1) != all)
		return NULL;
	*rest += all + 1;
	word[name] = '\0';
	return word;
}

void
log_line_read(struct log_line *l, char *line)
{
	size_t length;
	char *program, *behind;

	if (begins_like(line, "<0")) /* syslog's priority */
		line += strcspn(line, ">") + (strchr(line, '>') != NULL);
	length = time_length(line);
	l->time = length ? line : "";
	if (length && line[length])
		line[length++] = '\0';
	line += length;
	program = line[strcspn(line, " :[")] == '[' ? take_program(&line) : NULL;
	behind = line + strcspn(line, " ");
	if (!program && *behind++) { /* the host's name */
		program = take_program(&behind);
		line = program ? behind : line;
	}
	l->program = program ? program : "";
	l->text = line;
}

/* --- queue ids -------------------------------------------------------------------- */

int
log_line_is_id(const char *text, size_t length)
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

/* The id in front: what follows it tells that it is one. */
static size_t
leading_id(const char *text)
{
	size_t length = strspn(text, ID_BYTES);

	if (text[length] != ':' && !(text[length] == ' ' && is_exims(text, length)))
		return 0;
	return log_line_is_id(text, length) ? length : 0;
}

/* What stands before an id. */
static const char *const marks[] = {" id=", ",id=", "evpid=", "msgid=", "queued as ",
	"notification: ", "forwarded as ", "mail_id: "};

/* The id behind the first mark from AT on; *ID is where it begins, or NULL without one.
 */
static size_t
marked_id(const char *at, const char **id)
{
	const char *found, *first = NULL, *mark = NULL;
	size_t length;

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		found = strstr(at, marks[i]);
		if (found && (!first || found < first)) {
			first = found;
			mark = marks[i];
		}
	}
	*id = first ? first + strlen(mark) : NULL;
	if (!first)
		return 0;
	length = strspn(*id, ID_BYTES);
	if (strcmp(mark, "evpid=") == 0 && length == 16) /* of one recipient */
		return log_line_is_id(*id, 8) ? 8 : 0;
	return (*id)[length] == '\0' || strchr(" ,;)>\"'", (*id)[length])
		       ? (log_line_is_id(*id, length) ? length : 0)
		       : 0;
}

size_t
log_line_next_id(const struct log_line *l, const char **at, const char **id)
{
	size_t length = 0;

	if (*at == l->text) {
		if (begins_like(*at, "0000-00-00 00:00:00 ")) /* Exim's, by syslog */
			*at += LENGTH("0000-00-00 00:00:00 ");
		*id = *at;
		length = leading_id(*at);
		*at += length + !length * (**at != '\0');
		if (length)
			return length;
	}
	while ((length = marked_id(*at, id)) == 0 && *id)
		*at = *id;
	if (length)
		*at = *id + length;
	return length;
}

int
log_line_has_message_id(const struct log_line *l, const char *message_id)
{
	static const char *const before[] = {"message-id=<", "msgid=<",
		"message-id=", " id=", "Message-ID: <", "msgid="};
	const size_t length = strlen(message_id);
	const char *at = l->text;

	while ((at = strstr(at, message_id))) {
		for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
			const size_t known = strlen(before[i]);

			if ((size_t)(at - l->text) >= known &&
				memcmp(at - known, before[i], known) == 0 &&
				(!at[length] || strchr(" >,", at[length])))
				return 1;
		}
		at++;
	}
	return 0;
}

/* --- steps ------------------------------------------------------------------------ */

static const struct step {
	const char *program; /* begins so */
	const char *mark, *step;
} steps[] = {
	{"quotad", "policy: ", "asked at SMTP"},
	{"quotad", "waiting for room", "waits"},
	{"quotad", "room for a message", "has room"},
	{"quotad", "waits no more", "waits no more"},
	{"quotad", "waits for", "waits"},
	{"brim-release", "not released", "not released"},
	{"brim-release", "released", "released"},
	/* Postfix */
	{"", "status=sent", "delivered"},
	{"", "status=deferred", "deferred"},
	{"", "status=bounced", "bounced"},
	{"", "status=expired", "given up"},
	{"", "status=SOFTBOUNCE", "deferred"},
	{"", "sender non-delivery notification", "bounce sent"},
	{"", "sender delay notification", "delay told"},
	{"", "sender delivery status notification", "success told"},
	{"", "reject: ", "refused"},
	{"", "milter-", "milter"},
	{"", "(queue active)", "queued"},
	{"", "client=", "received"},
	{"", "message-id=", "received"},
	{"", "uid=", "submitted"},
	{"", ": removed", "removed"},
	/* Exim */
	{"", " <= ", "received"},
	{"", " => ", "delivered"},
	{"", " -> ", "delivered"},
	{"", " == ", "deferred"},
	{"", " ** ", "bounced"},
	{"", " Completed", "removed"},
	/* OpenSMTPD */
	{"", "result=Ok", "delivered"},
	{"", "result=TempFail", "deferred"},
	{"", "result=PermFail", "bounced"},
	{"", " message msgid=", "received"},
	/* sendmail */
	{"", "stat=Sent", "delivered"},
	{"", "stat=Deferred", "deferred"},
	{"", "dsn=4", "deferred"},
	{"", "dsn=5", "bounced"},
	{"", ": DSN: ", "bounce sent"},
	{"", "msgid=", "received"},
};

const char *
log_line_step(const struct log_line *l, char buffer[32])
{
	static const char verdict[] = " verdict=";
	const char *found, *first = NULL, *step = "";

	found = strncmp(l->program, "brim-lda", 8) == 0 ? strstr(l->text, verdict) : NULL;
	if (found) {
		snprintf(buffer, 32, "%.*s", (int)strcspn(found + LENGTH(verdict), " "),
			found + LENGTH(verdict));
		return buffer;
	}
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		const struct step *s = &steps[i];

		if (strncmp(l->program, s->program, strlen(s->program)) != 0)
			continue;
		found = strstr(l->text, s->mark);
		if (found && (!first || found < first)) {
			first = found;
			step = s->step;
		}
	}
	return step;
}
