/* The uids of the table, in memory that parent and child share. */
#include "known_uids.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "amount.h"

#define RECORD_LEAST 16 /* bytes of a mailbox's record in the table's file */

struct known_uids {
	size_t size, count; /* of the room; of the uids in it */
	uid_t uids[];
};

struct known_uids *
known_uids_new(off_t table_size)
{
	size_t size = sizeof(struct known_uids) +
		      ((size_t)table_size / RECORD_LEAST + 1) * sizeof(uid_t);
	/* what is not written takes no memory */
	struct known_uids *k = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (k == MAP_FAILED)
		return NULL;
	k->size = size;
	return k;
}

void
known_uids_free(struct known_uids **known)
{
	if (*known != NULL)
		munmap(*known, (*known)->size);
	*known = NULL;
}

/* Neighbours in the table are often the same one's: the mail user's of virtual mailboxes,
 * say. */
static int
add_uid(void *arg, const struct record *record)
{
	struct known_uids *k = arg;
	const char *text = record_get(record, "uid");
	uint64_t uid;

	if (text == NULL || amount_count(text, &uid, NULL) == -1 || uid > (uid_t)-1)
		return 0;
	if (k->count > 0 && k->uids[k->count - 1] == uid)
		return 0;
	if (sizeof *k + (k->count + 1) * sizeof *k->uids > k->size)
		return 1;
	k->uids[k->count++] = (uid_t)uid;
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const uid_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

int
known_uids_collect(struct known_uids *k, struct users *users, struct reason *why)
{
	int result = users_each(users, "", add_uid, k, why);

	if (result == 1)
		return reason_set(why, "it has more uids than its size allows");
	if (result == 0)
		qsort(k->uids, k->count, sizeof *k->uids, compare);
	return result;
}

int
known_uids_has(const struct known_uids *k, uid_t uid)
{
	return bsearch(&uid, k->uids, k->count, sizeof *k->uids, compare) != NULL;
}
