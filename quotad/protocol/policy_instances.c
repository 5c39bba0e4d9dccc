/* Instances, by name and by age. */
#include "policy_instances.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "hash.h"

#define COST 256 /* bytes, about, with the table's */

struct instance {
	TAILQ_ENTRY(instance) by_age;
	char *recipients; /* each with its NUL */
	size_t length, size, count;
	size_t added, added_first; /* requests: all, and of the first recipient */
	int is_cut;                /* there were more */
	uint64_t changed_ms;
	char name[];
};

struct policy_instances {
	struct hash by_name;
	TAILQ_HEAD(, instance) by_age; /* the oldest first */
	size_t count, bytes;
};

static int
has_name(const void *instance, const void *name, size_t length)
{
	const struct instance *i = instance;

	return strlen(i->name) == length && memcmp(i->name, name, length) == 0;
}

struct policy_instances *
policy_instances_new(void)
{
	struct policy_instances *all = calloc(1, sizeof *all);

	if (all == NULL || hash_init(&all->by_name, has_name) == -1) {
		free(all);
		return NULL;
	}
	TAILQ_INIT(&all->by_age);
	return all;
}

static void
end(struct policy_instances *all, struct instance *i)
{
	TAILQ_REMOVE(&all->by_age, i, by_age);
	hash_remove(&all->by_name, i->name, strlen(i->name));
	all->count--;
	all->bytes -= COST + i->size;
	free(i->recipients);
	free(i);
}

void
policy_instances_free(struct policy_instances **instances)
{
	struct policy_instances *all = *instances;

	*instances = NULL;
	if (all == NULL)
		return;
	while (!TAILQ_EMPTY(&all->by_age))
		end(all, TAILQ_FIRST(&all->by_age));
	hash_free(&all->by_name);
	free(all);
}

/* Those that are too old, and so many of the oldest as are too many. */
static void
end_oldest(struct policy_instances *all, uint64_t now_ms)
{
	struct instance *i;

	while ((i = TAILQ_FIRST(&all->by_age)) != NULL &&
		(all->count > POLICY_INSTANCES_MAX ||
			all->bytes > POLICY_INSTANCES_BYTES ||
			now_ms - i->changed_ms > POLICY_INSTANCE_MS))
		end(all, i);
}

static struct instance *
find(const struct policy_instances *all, const char *name)
{
	return hash_find(&all->by_name, name, strlen(name));
}

static struct instance *
begin(struct policy_instances *all, const char *name)
{
	size_t length = strlen(name);
	struct instance *i = calloc(1, sizeof *i + length + 1);

	if (i == NULL)
		return NULL;
	memcpy(i->name, name, length + 1);
	if (hash_add(&all->by_name, name, length, i) != 1) {
		free(i);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&all->by_age, i, by_age);
	all->count++;
	all->bytes += COST;
	return i;
}

static int
has_recipient(const struct instance *i, const char *recipient)
{
	const char *r = i->recipients;

	for (size_t n = 0; n < i->count; n++, r += strlen(r) + 1)
		if (strcmp(r, recipient) == 0)
			return 1;
	return 0;
}

/* 0, or -1 where it would be too much or there is no memory. */
static int
grow(struct policy_instances *all, struct instance *i, size_t wanted)
{
	size_t size = wanted <= 128 ? 128 : wanted * 2;
	char *grown;

	if (wanted > POLICY_INSTANCE_BYTES)
		return -1;
	if (wanted <= i->size)
		return 0;
	grown = realloc(i->recipients, size);
	if (grown == NULL)
		return -1;
	all->bytes += size - i->size;
	i->recipients = grown;
	i->size = size;
	return 0;
}

void
policy_instances_add(struct policy_instances *all, const char *name,
	const char *recipient, int is_first, uint64_t now_ms)
{
	size_t length = strlen(recipient) + 1;
	struct instance *i;

	if (name[0] == '\0' || strlen(name) > POLICY_INSTANCE_NAME)
		return;
	i = find(all, name);
	if (i == NULL && (i = begin(all, name)) == NULL)
		return;
	i->changed_ms = now_ms;
	i->added++;
	i->added_first += is_first != 0;
	TAILQ_REMOVE(&all->by_age, i, by_age);
	TAILQ_INSERT_TAIL(&all->by_age, i, by_age);
	if (!i->is_cut && !has_recipient(i, recipient)) {
		if (grow(all, i, i->length + length) == -1) {
			i->is_cut = 1;
		} else {
			memcpy(i->recipients + i->length, recipient, length);
			i->length += length;
			i->count++;
		}
	}
	end_oldest(all, now_ms);
}

/* How many recipients have been named, by as many requests as the first one took. */
static size_t
named(const struct instance *i)
{
	size_t times = i->added_first > 0 ? i->added / i->added_first : 0;

	return times > i->count ? times : i->count;
}

const char *
policy_instances_find(struct policy_instances *all, const char *name, uint64_t of_message,
	size_t *count, uint64_t now_ms)
{
	const struct instance *i;

	end_oldest(all, now_ms);
	i = find(all, name);
	*count = i == NULL || i->is_cut || named(i) < of_message ? 0 : i->count;
	return *count == 0 ? NULL : i->recipients;
}

void
policy_instances_forget(struct policy_instances *all, const char *name)
{
	struct instance *i = find(all, name);

	if (i != NULL)
		end(all, i);
}

size_t
policy_instances_bytes(const struct policy_instances *all)
{
	return all->bytes;
}
