/* Their addresses, looked up in the user table. */
#include "others.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox.h"
#include "names.h"
#include "plan.h"
#include "sockets.h"
#include "users.h"

struct look {
	const struct conf *conf;
	struct users *users; /* NULL: it can't be read */
	int found;
};

/* A key of a map: an address; or @domain, which is whoever may be there. */
static void
look_up(void *arg, const char *key, const char *value)
{
	struct look *l = arg;
	struct mailbox m;
	struct outcome o;
	char *address = NULL;
	int is_ours;

	(void)value;
	if (l->found || !strchr(key, '@'))
		return;
	if (asprintf(&address, "%s%s", key[0] == '@' ? "anybody" : "", key) < 0)
		address = NULL;
	is_ours =
		address ? mailbox_address_is_ours(l->users, l->conf, address, NULL) : -1;
	l->found = is_ours < 0;
	if (is_ours > 0) {
		int result = mailbox_find(&m, l->users, l->conf, address, &o);

		l->found = m.match == MAILBOX_NO_MATCH || m.match == MAILBOX_UNREADABLE;
		if (result == 0)
			mailbox_clear(&m);
	}
	free(address);
}

/* Whether postmap(1) lists all that a map of the type has. */
static int
is_listed(const char *map)
{
	static const char *const types[] = {"hash:", "btree:", "lmdb:", "cdb:", "dbm:",
		"sdbm:", "texthash:", "inline:"};

	if (strncmp(map, "proxy:", strlen("proxy:")) == 0)
		map += strlen("proxy:");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strncmp(map, types[i], strlen(types[i])) == 0)
			return 1;
	return 0;
}

static int
look_into(struct look *l, const char *map)
{
	return !l->users || !is_listed(map) || names_listed(map, look_up, l) || l->found;
}

int
others_have_mailboxes(const struct postconf *now, const struct conf *conf,
	const char *maps, unsigned transports)
{
	const char *routes = postconf_get(now, "transport_maps");
	struct look l = {.conf = conf};
	size_t n;

	/* Brim gets them all */
	if (transports & (PLAN_PIPE | PLAN_VIRTUAL) && (!routes || !routes[0]))
		return 0;
	l.users = users_open(conf->users_db, NULL);
	for (const char *p = maps; !l.found && (p = names_next(p, &n), n); p += n) {
		char *map = strndup(p, n);

		l.found =
			!map || (!sockets_is_brims_map(conf, map) && look_into(&l, map));
		free(map);
	}
	if (l.users)
		users_close(&l.users);
	return l.found;
}
