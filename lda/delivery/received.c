/* Header by header, then word by word; nothing is copied but names and ids. */
#include "received.h"

#include <string.h>
#include <strings.h>

#include "address.h"
#include "mailbox.h"

#define LINES_MAX 16 /* that are looked at: this host's are on top of all others */

static const char header[] = "Received:";

struct span {
	const char *at;
	size_t length;
};

/* --- headers --------------------------------------------------------------------- */

/* The length of the header in front, with its folded lines; 0 where the headers end, or
 * where the rest of it is not there. */
static size_t
header_length(const struct span *text, int is_whole)
{
	const char *stop = text->at, *end = text->at + text->length;

	if (stop == end || *stop == '\n' ||
		(*stop == '\r' && end - stop > 1 && stop[1] == '\n'))
		return 0;
	do {
		stop = memchr(stop, '\n', (size_t)(end - stop));
		if (!stop || ++stop == end)
			return is_whole ? text->length : 0;
	} while (*stop == ' ' || *stop == '\t');
	return (size_t)(stop - text->at);
}

/* Takes the next Received: off the front, with all that is before it: 1 with its value,
 * or 0 where there is none. */
static int
next_received(struct span *text, int is_whole, struct span *value)
{
	const size_t name = sizeof header - 1;
	size_t length;

	while ((length = header_length(text, is_whole)) > 0) {
		*value = *text;
		text->at += length;
		text->length -= length;
		if (length < name || strncasecmp(value->at, header, name) != 0)
			continue;
		value->at += name;
		value->length = length - name;
		return 1;
	}
	return 0;
}

/* --- words ----------------------------------------------------------------------- */

static void
skip(struct span *rest, size_t length)
{
	rest->at += length;
	rest->length -= length;
}

/* The length of what begins with a parenthesis or a quote, up to what closes it (RFC 5322
 * section 3.2); all of the rest where nothing does. */
static size_t
closed_length(const struct span *rest)
{
	const int is_quote = *rest->at == '"';
	size_t depth = 1, i;

	for (i = 1; i < rest->length && depth > 0; i++) {
		if (rest->at[i] == '\\')
			i++;
		else if (rest->at[i] == (is_quote ? '"' : ')'))
			depth--;
		else if (rest->at[i] == '(' && !is_quote)
			depth++;
	}
	return i < rest->length ? i : rest->length;
}

/* Takes the next word off the front, with the blanks and comments before it: 1, or 0 at
 * the end, which is where the date begins. */
static int
next_word(struct span *rest, struct span *word)
{
	while (rest->length > 0 && strchr(" \t\r\n(", *rest->at) && *rest->at)
		skip(rest, *rest->at == '(' ? closed_length(rest) : 1);
	*word = (struct span){rest->at, 0};
	while (rest->length > 0 && (!*rest->at || !strchr(" \t\r\n(;", *rest->at)))
		skip(rest, *rest->at == '"' ? closed_length(rest) : 1);
	word->length = (size_t)(rest->at - word->at);
	return word->length > 0;
}

static int
is_word(const struct span *word, const char *text)
{
	return word->length == strlen(text) &&
	       strncasecmp(word->at, text, word->length) == 0;
}

/* Takes host and queue id from a line, which is pairs of words: "from x by y with z id
 * 1". What is not there is left as it is. */
static void
read_pairs(struct span value, struct span *by, struct span *id)
{
	struct span name, word;

	while (next_word(&value, &name) && next_word(&value, &word)) {
		if (is_word(&name, "by") && by->length == 0)
			*by = word;
		else if (is_word(&name, "id") && id->length == 0)
			*id = word;
	}
}

/* --- ids ------------------------------------------------------------------------- */

/* Whether the word is the topmost line's host, which is kept in TOP, or this one. */
static int
is_ours(const struct conf *c, const struct span *by, char top[ADDRESS_MAX + 1])
{
	char name[ADDRESS_MAX + 1] = "";

	if (by->length == 0 || by->length > ADDRESS_MAX ||
		memchr(by->at, '\0', by->length))
		return 0;
	for (size_t i = 0; i < by->length; i++)
		name[i] = by->at[i] >= 'A' && by->at[i] <= 'Z' ? by->at[i] | ' '
							       : by->at[i];
	if (!top[0])
		strcpy(top, name);
	return strcmp(name, top) == 0 ||
	       (c->local_domains && name[0] != '[' && mailbox_domain_is_local(c, name));
}

static int
is_id(const struct span *word)
{
	for (size_t i = 0; i < word->length; i++) {
		const char byte = word->at[i];

		if (!(byte >= '0' && byte <= '9') && !(byte >= 'A' && byte <= 'Z') &&
			!(byte >= 'a' && byte <= 'z') && byte != '-')
			return 0;
	}
	return word->length > 0 && word->length <= RECEIVED_ID_MAX;
}

void
received_ids(char ids[RECEIVED_SIZE], const struct conf *c, const char *text,
	size_t length, int is_whole)
{
	struct span rest = {text, length}, value = {"", 0};
	char top[ADDRESS_MAX + 1] = "", *to = ids;
	int count = 0;

	for (int i = 0; i < LINES_MAX && count < RECEIVED_IDS; i++) {
		struct span by = {"", 0}, id = {"", 0};

		if (!next_received(&rest, is_whole, &value))
			break;
		read_pairs(value, &by, &id);
		if (!is_ours(c, &by, top) || !is_id(&id))
			continue;
		if (count++ > 0)
			*to++ = ',';
		to = mempcpy(to, id.at, id.length);
	}
	*to = '\0';
}
