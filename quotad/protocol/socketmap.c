/*
 * The socketmap protocol. An answer is OK with the value, NOTFOUND, or TEMP, after which
 * the MTA has its client try again; never PERM, of which sendmail makes a refusal. So
 * what can't be read, and what quotad does not know, is TEMP.
 */
#include "socketmap.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "maps.h"

#define QUERY_MAX  10240 /* bytes; Postfix sends 10000 at most */
#define LENGTH_MAX 5     /* digits of that */

/* --- netstrings: "5:hello," -------------------------------------------------------- */

/* Reads a netstring's head: its length with the colon, 0 where there is more to come, -1
 * where it is none. */
static int
read_head(struct evbuffer *bytes, size_t *length)
{
	char head[LENGTH_MAX + 2] = "";
	const ev_ssize_t n = evbuffer_copyout(bytes, head, LENGTH_MAX + 1);
	const size_t digits = strspn(head, "0123456789");

	if (n <= 0)
		return n < 0 ? -1 : 0;
	if (digits > LENGTH_MAX || (head[0] == '0' && digits > 1))
		return -1;
	if (digits == (size_t)n)
		return 0;
	*length = strtoul(head, NULL, 10);
	if (digits == 0 || head[digits] != ':' || *length > QUERY_MAX)
		return -1;
	return (int)digits + 1;
}

static enum protocol_read
read_netstring(struct evbuffer *bytes, char **message, size_t *length)
{
	const int head = read_head(bytes, length);

	if (head <= 0)
		return head < 0 ? PROTOCOL_NONSENSE : PROTOCOL_INCOMPLETE;
	if (evbuffer_get_length(bytes) < (size_t)head + *length + 1)
		return PROTOCOL_INCOMPLETE;
	*message = malloc(*length + 1);
	if (*message == NULL)
		return PROTOCOL_NONSENSE;
	evbuffer_drain(bytes, (size_t)head);
	/* with the comma, which the NUL replaces */
	evbuffer_remove(bytes, *message, *length + 1);
	if ((*message)[*length] == ',') {
		(*message)[*length] = '\0';
		return PROTOCOL_MESSAGE;
	}
	free(*message);
	*message = NULL;
	return PROTOCOL_NONSENSE;
}

/* --- answers ---------------------------------------------------------------------- */

static void
answer(struct request *r, const char *word, const char *text)
{
	request_answer(r, "%zu:%s %s,", strlen(word) + 1 + strlen(text), word, text);
}

/* What is no query says nothing about any key. */
static void
malformed(struct request *r, const char *text)
{
	request_fault(r);
	answer(r, "TEMP", text);
}

static void
look_up(const struct socketmap *s, struct request *r, const char *map, const char *key)
{
	struct users *users = users_reload_table(s->room->users);
	struct outcome o;
	char *value;

	if (users == NULL) {
		answer(r, "TEMP", "no user table could be read yet");
		return;
	}
	switch (maps_find(map, users, s->conf, key, &value, &o)) {
	case MAPS_FOUND:
		answer(r, "OK", value);
		free(value);
		break;
	case MAPS_NOT_FOUND:
		/* the MTA refuses for good what this map has not */
		if (strcmp(map, "mailbox") == 0 &&
			!users_reload_is_newest(s->room->users))
			answer(r, "TEMP", "there is a newer user table");
		else
			answer(r, "NOTFOUND", "");
		break;
	case MAPS_ERROR:
		answer(r, "TEMP", o.text);
		break;
	}
}

/* --- the protocol ----------------------------------------------------------------- */

/* "MAP KEY": the key may have spaces. */
static void
perform(void *service, struct request *r, char *query, size_t length)
{
	char *key = query != NULL ? strchr(query, ' ') : NULL;

	if (query == NULL)
		malformed(r, "that is no netstring, or too long");
	else if (strlen(query) != length)
		malformed(r, "a query has no NUL in it");
	else if (key == NULL)
		malformed(r, "a query is the name of a map, a space and a key");
	else {
		*key = '\0';
		look_up(service, r, query, key + 1);
	}
}

static void
turn_away(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%zu:TEMP %s,", strlen("TEMP ") + strlen(text), text);
}

const struct protocol socketmap_protocol = {
	.name = "socketmap",
	.read = read_netstring,
	.perform = perform,
	.turn_away = turn_away,
};
