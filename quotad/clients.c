/* Clients: those that have promises, or had some within a day, in a table by account. */
#include "clients.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "conf.h"
#include "hash.h"
#include "log.h"
#include "network.h"
#include "uid_list.h"

#define ACCOUNT_TEXT 40

struct client {
	uint64_t account;
	uint64_t since_ms; /* its day began, in which these ended: */
	uint64_t used, unused;
	uint64_t open;
	uint64_t heard_ms; /* when its last promise ended */
	int is_barred;     /* for the rest of the day */
	TAILQ_ENTRY(client) idle;
};

TAILQ_HEAD(client_list, client);

struct clients {
	struct uid_list users;
	struct network *trusted;
	size_t trusted_count;
	struct hash all;
	struct client_list idle; /* without a promise, heard of longest ago first */
};

static int
has_account(const void *client, const void *account, size_t length)
{
	return memcmp(&((const struct client *)client)->account, account, length) == 0;
}

struct clients *
clients_new(void)
{
	struct clients *c = calloc(1, sizeof *c);

	if (c == NULL || hash_init(&c->all, has_account) == -1) {
		free(c);
		return NULL;
	}
	TAILQ_INIT(&c->idle);
	return c;
}

void
clients_free(struct clients **clients)
{
	struct clients *c = *clients;
	struct client *k;
	size_t at = 0;

	*clients = NULL;
	if (c == NULL)
		return;
	while ((k = hash_next(&c->all, &at)) != NULL)
		free(k);
	hash_free(&c->all);
	uid_list_free(&c->users);
	free(c->trusted);
	free(c);
}

/* --- settings --------------------------------------------------------------------- */

/* The list's networks, for free. It has been checked when it was read (conf.c). */
static int
read_networks(
	const char *list, struct network **networks, size_t *count, struct reason *why)
{
	struct network *grown;
	char *name;
	int result = 0;

	*networks = NULL;
	*count = 0;
	while (result == 0 && (name = conf_list_next(&list)) != NULL) {
		grown = reallocarray(*networks, *count + 1, sizeof *grown);
		if (grown == NULL) {
			result = reason_set(why, "no memory");
		} else {
			*networks = grown;
			result = network_parse(&grown[*count], name, why);
			*count += 1;
		}
		free(name);
	}
	if (result == 0 && errno == ENOMEM)
		result = reason_set(why, "no memory");
	if (result == -1) {
		free(*networks);
		*networks = NULL;
	}
	return result;
}

int
clients_configure(struct clients *c, const struct conf *conf, struct reason *why)
{
	const char *setting = conf->policy_listen[0] != '\0' ? "policy_users" : NULL;
	struct network *trusted;
	struct uid_list users;
	size_t count;

	if (read_networks(conf->promise_trusted, &trusted, &count, why) == -1)
		return -1;
	if (uid_list_read(&users, setting, conf->policy_users, why) == -1) {
		free(trusted);
		return -1;
	}
	uid_list_free(&c->users);
	free(c->trusted);
	c->users = users;
	c->trusted = trusted;
	c->trusted_count = count;
	return 0;
}

/* --- accounts --------------------------------------------------------------------- */

/* An IPv4 address is its own account. The /64 of an IPv6 address is one that no IPv4
 * address has, but where its first half is 0: then it is 1, which is no server's. */
static uint64_t
account_of(const unsigned char address[NETWORK_ADDRESS])
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	int is_four = memcmp(address, mapped, sizeof mapped) == 0;
	const unsigned char *at = is_four ? address + sizeof mapped : address;
	size_t length = is_four ? NETWORK_ADDRESS - sizeof mapped : NETWORK_ADDRESS / 2;
	uint64_t account = 0;

	for (size_t i = 0; i < length; i++)
		account = account << 8 | at[i];
	return account == 0 ? 1 : account;
}

static void
show_account(uint64_t account, char text[ACCOUNT_TEXT])
{
	const unsigned n = (unsigned)account;

	if (account <= UINT32_MAX)
		snprintf(text, ACCOUNT_TEXT, "%u.%u.%u.%u", n >> 24, n >> 16 & 255,
			n >> 8 & 255, n & 255);
	else
		snprintf(text, ACCOUNT_TEXT, "[%x:%x:%x:%x::]/64",
			(unsigned)(account >> 48), (unsigned)(account >> 32 & 0xffff),
			n >> 16, n & 0xffff);
}

int
clients_identify(
	const struct clients *c, uid_t peer, const char *address, uint64_t *account)
{
	unsigned char bytes[NETWORK_ADDRESS];

	if (!uid_list_has(&c->users, peer) || address == NULL ||
		network_address(bytes, address) == -1)
		return 0;
	*account = account_of(bytes);
	for (size_t i = 0; i < c->trusted_count; i++)
		if (network_has(&c->trusted[i], bytes))
			*account = 0;
	return 1;
}

/* --- what is remembered ------------------------------------------------------------ */

static struct client *
find(const struct clients *c, uint64_t account)
{
	return hash_find(&c->all, &account, sizeof account);
}

/* After a day all is new. */
static void
renew(struct client *k, uint64_t now_ms)
{
	if (now_ms - k->since_ms < CLIENTS_DAY_MS)
		return;
	k->since_ms = now_ms;
	k->used = k->unused = 0;
	k->is_barred = 0;
}

/* Forgets clients without a promise that tell nothing any more, and the first of all
 * where there are too many. */
static void
forget(struct clients *c, uint64_t now_ms)
{
	struct client *k;

	while ((k = TAILQ_FIRST(&c->idle)) != NULL &&
		(c->all.count >= CLIENTS_MAX || now_ms - k->heard_ms >= CLIENTS_DAY_MS)) {
		TAILQ_REMOVE(&c->idle, k, idle);
		hash_remove(&c->all, &k->account, sizeof k->account);
		free(k);
	}
}

/* A new one; NULL without memory. */
static struct client *
add(struct clients *c, uint64_t account, uint64_t now_ms)
{
	struct client *k = c->all.count < CLIENTS_MAX ? calloc(1, sizeof *k) : NULL;

	if (k == NULL)
		return NULL;
	k->account = account;
	k->since_ms = now_ms;
	if (hash_add(&c->all, &account, sizeof account, k) == 1)
		return k;
	free(k);
	return NULL;
}

int
clients_may_promise(struct clients *c, uint64_t account, uint64_t now_ms)
{
	struct client *k = account == 0 ? NULL : find(c, account);

	if (k == NULL)
		return account == 0 || c->all.count < CLIENTS_MAX ||
		       !TAILQ_EMPTY(&c->idle);
	renew(k, now_ms);
	return !k->is_barred && k->open < CLIENTS_OPEN;
}

void
clients_promised(struct clients *c, uint64_t account, uint64_t now_ms)
{
	struct client *k = account == 0 ? NULL : find(c, account);

	if (account == 0)
		return;
	if (k != NULL && k->open == 0)
		TAILQ_REMOVE(&c->idle, k, idle);
	forget(c, now_ms);
	if (k == NULL)
		k = add(c, account, now_ms);
	if (k != NULL)
		k->open++;
}

/* A promise of the account has ended. NULL where the client is not known. */
static struct client *
end(struct clients *c, uint64_t account, uint64_t now_ms)
{
	struct client *k = account == 0 ? NULL : find(c, account);

	if (k == NULL || k->open == 0)
		return NULL;
	renew(k, now_ms);
	k->heard_ms = now_ms;
	if (--k->open == 0)
		TAILQ_INSERT_TAIL(&c->idle, k, idle);
	return k;
}

void
clients_used(struct clients *c, uint64_t account, uint64_t now_ms)
{
	struct client *k = end(c, account, now_ms);

	if (k != NULL)
		k->used++;
}

void
clients_ran_out(struct clients *c, uint64_t account, uint64_t now_ms)
{
	struct client *k = end(c, account, now_ms);
	char text[ACCOUNT_TEXT];

	if (k == NULL || ++k->unused < k->used + CLIENTS_SPARE || k->is_barred)
		return;
	k->is_barred = 1;
	k->since_ms = now_ms;
	show_account(account, text);
	log_info("promises: client %s gets none for a day: used=%" PRIu64
		 " ran_out=%" PRIu64,
		text, k->used, k->unused);
}

void
clients_gone(struct clients *c, uint64_t account, uint64_t now_ms)
{
	end(c, account, now_ms);
}
