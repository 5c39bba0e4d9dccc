/* Transports, and transport_maps as transport(5) has it looked up. */
#include "transports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "postfix/brim_side.h"

enum check_route
check_route(struct check *c, const char *transport)
{
	const char *name = check_text(c, "%.*s", (int)strcspn(transport, ":"), transport);
	const struct postconf_service *s = postconf_service(&c->postfix, name, "unix");
	const char *before;

	if (s && check_pipe_lda(c, s))
		return ROUTE_PIPE;
	if (!s || strcmp(s->command, "local") != 0)
		return ROUTE_OTHER;
	before = postconf_for(&c->postfix, s, "mailbox_transport");
	if (*before) /* by local(8) again it would be a loop */
		return strncmp(before, "local", 5) == 0 ? ROUTE_OTHER
							: check_route(c, before);
	return c->command ? ROUTE_COMMAND : ROUTE_OTHER;
}

/* --- reading ------------------------------------------------------------------------ */

#define LISTS 3 /* as enum transports_way */

struct reading {
	struct check *c;
	FILE *to[LISTS];
};

/* "*", ".example.org" or "example.org". */
static int
is_pattern_or_domain(const char *key)
{
	return strcmp(key, "*") == 0 || brim_side_is_domain(key + (*key == '.'));
}

/* "example.org brim:" and "bob@example.org brim:"; a value without a transport changes
 * nothing, but ends the search. */
static void
take(void *arg, const char *key, const char *value)
{
	struct reading *r = arg;
	const char *at = strrchr(key, '@'), *domain = at ? at + 1 : key;
	enum transports_way way = TRANSPORTS_AS_USUAL;

	if (!is_pattern_or_domain(domain))
		return;
	if (*value && *value != ':')
		way = check_route(r->c, value) != ROUTE_OTHER ? TRANSPORTS_TO_LDA
							      : TRANSPORTS_ELSEWHERE;
	if (way == TRANSPORTS_TO_LDA || !at)
		fprintf(r->to[way], "%s\n", domain);
}

int
transports_read(struct check *c, struct transports *t, const char *asked)
{
	struct names *const names[LISTS] = {&t->as_usual, &t->to_lda, &t->elsewhere};
	struct reading r = {.c = c};
	char *lines[LISTS] = {NULL};
	size_t sizes[LISTS];
	int result = 0;

	t->by_parents = strstr(check_postfix_value(c, "parent_domain_matches_subdomains"),
				"transport_maps") != NULL;
	for (size_t i = 0; i < LISTS; i++) {
		r.to[i] = open_memstream(&lines[i], &sizes[i]);
		result |= r.to[i] ? 0 : -1;
	}
	if (result == 0) /* what can't be read is Postfix's to tell */
		names_of_maps(check_postfix_value(c, "transport_maps"), asked, take, &r);
	for (size_t i = 0; i < LISTS; i++) {
		if (r.to[i] && fclose(r.to[i]))
			result = -1;
		if (result == 0)
			result = names_of_lines(names[i], lines[i]);
		free(lines[i]);
	}
	return result;
}

void
transports_free(struct transports *t)
{
	names_free(&t->as_usual);
	names_free(&t->to_lda);
	names_free(&t->elsewhere);
}

/* --- looking up --------------------------------------------------------------------- */

/* 1 where there is the key. */
static int
look_up(const struct transports *t, const char *key, enum transports_way *way)
{
	if (names_have(&t->to_lda, key))
		*way = TRANSPORTS_TO_LDA;
	else if (names_have(&t->elsewhere, key))
		*way = TRANSPORTS_ELSEWHERE;
	else
		return names_have(&t->as_usual, key);
	return 1;
}

enum transports_way
transports_of(const struct transports *t, const char *domain)
{
	enum transports_way way = TRANSPORTS_AS_USUAL;
	const char *dot = domain;

	if (look_up(t, domain, &way))
		return way;
	while (*domain != '[' && (dot = strchr(dot + 1, '.')))
		if (look_up(t, dot + t->by_parents, &way))
			return way;
	look_up(t, "*", &way);
	return way;
}
