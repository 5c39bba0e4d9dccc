/*
 * The socketmap protocol. An answer is OK with the value, NOTFOUND, or TEMP, after which
 * the MTA has its client try again; never PERM, of which sendmail makes a refusal. So
 * what can't be read, and what quotad does not know, is TEMP. What a table says that is
 * not the newest is no reason to refuse: the query waits while that is under check.
 */
#include "socketmap.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
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

/* --- look-ups --------------------------------------------------------------------- */

/* A query that waits. */
struct socketmap_held {
	LIST_ENTRY(socketmap_held) next;
	struct request *request;
	uint64_t since_ms;
	int is_listed;
	const char *key;
	char map[]; /* and the key behind it */
};

/* Whether the MTA may refuse a recipient by it, or send its mail elsewhere: what a map
 * does not have, and what relocated has. */
static int
is_final(const char *map, enum maps_answer answer)
{
	return answer == (strcmp(map, "relocated") == 0 ? MAPS_FOUND : MAPS_NOT_FOUND);
}

/* Keeps the query of the request; NULL without memory. */
static struct socketmap_held *
keep(struct request *r, const char *map, const char *key)
{
	const size_t map_size = strlen(map) + 1, key_size = strlen(key) + 1;
	struct socketmap_held *h = calloc(1, sizeof *h + map_size + key_size);

	if (h == NULL)
		return NULL;
	memcpy(h->map, map, map_size);
	h->key = memcpy(h->map + map_size, key, key_size);
	h->request = r;
	h->since_ms = clock_now_ms();
	request_set_state(r, h);
	return h;
}

/* Whether the query waits, as it may for as long as quotad_timeout. HELD: it has waited
 * before. */
static int
hold(struct socketmap *s, struct request *r, const char *map, const char *key,
	struct socketmap_held *held)
{
	if (!users_reload_is_checking(s->room->users))
		return 0;
	if (held == NULL)
		held = keep(r, map, key);
	if (held == NULL ||
		clock_now_ms() - held->since_ms >= s->conf->quotad_timeout * 1000)
		return 0;
	if (LIST_EMPTY(&s->held))
		s->table = users_reload_number(s->room->users);
	held->is_listed = 1;
	LIST_INSERT_HEAD(&s->held, held, next);
	return 1;
}

static void
look_up(struct socketmap *s, struct request *r, const char *map, const char *key,
	struct socketmap_held *held)
{
	struct users *users = users_reload_table(s->room->users);
	enum maps_answer found = MAPS_ERROR;
	struct outcome o;
	char *value = NULL;

	if (users == NULL)
		outcome_set(&o, VERDICT_TROUBLE, "no user table could be read yet");
	else
		found = maps_find(map, users, s->conf, key, &value, &o);
	if (is_final(map, found) && !users_reload_is_newest(s->room->users)) {
		if (!hold(s, r, map, key, held))
			answer(r, "TEMP", "there is a newer user table");
	} else if (found == MAPS_FOUND) {
		answer(r, "OK", value);
	} else if (found == MAPS_NOT_FOUND) {
		answer(r, "NOTFOUND", "");
	} else {
		answer(r, "TEMP", o.text);
	}
	if (found == MAPS_FOUND)
		free(value);
}

/* Those that wait on are put into the list anew. An answer may end requests, but none
 * that is listed. */
void
socketmap_go_on(struct socketmap *s, uint64_t now_ms)
{
	const uint64_t patience_ms = s->conf->quotad_timeout * 1000;
	struct socketmap_held *h = LIST_FIRST(&s->held), *next;
	int is_settled;

	if (h == NULL)
		return;
	is_settled = s->table != users_reload_number(s->room->users) ||
		     !users_reload_is_checking(s->room->users);
	s->table = users_reload_number(s->room->users);
	for (; h != NULL; h = next) {
		next = LIST_NEXT(h, next);
		if (!is_settled && now_ms - h->since_ms < patience_ms)
			continue;
		LIST_REMOVE(h, next);
		h->is_listed = 0;
		look_up(s, h->request, h->map, h->key, h);
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
		look_up(service, r, query, key + 1, NULL);
	}
}

static void
finish(struct request *r)
{
	struct socketmap_held *h = request_state(r);

	if (h != NULL && h->is_listed)
		LIST_REMOVE(h, next);
	free(h);
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
	.finish = finish,
	.turn_away = turn_away,
};
