/*
 * The table's file, whoever reads it: owner, mode and the first page, which are looked at
 * before any other, and what all of its keys have in common.
 */
#include "users_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "amount.h"
#include "btree_page.h"

const char users_key_first[1] = "\001";
const char users_key_table[2] = "\002";
const char users_key_records[1] = "\003";
const char users_key_last[ADDRESS_MAX + 1] = {[0 ... ADDRESS_MAX] = '\377'};

/* The first page (libdb's dbinc/db_page.h). */
struct meta {
	uint8_t lsn[8];
	uint32_t number, magic, version, page_size;
	uint8_t encryption, type, flags, unused;
	uint32_t free, last_page, parts, keys, records, tree_flags;
	uint8_t id[20];
	uint32_t unused_2, least_keys, record_length, record_pad, root;
	uint8_t unused_3[400];
	uint32_t sum;
	uint8_t longer_sum[16];
};

_Static_assert(sizeof(struct meta) == BTREE_META_SIZE, "libdb's first page");

#define META_BTREE    0x053162
#define META_CHECKSUM 0x01
#define META_VERSION  9
#define META_TYPE     9

static int
check_owner(const struct stat *st, const char *name, struct reason *why)
{
	if (!S_ISREG(st->st_mode))
		return reason_set(why, "%s: not a regular file", name);
	if (st->st_uid != 0)
		return reason_set(why, "%s: belongs to uid %u, must be root's", name,
			(unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return reason_set(why, "%s: others than root may write to it (mode %04o)",
			name, (unsigned)st->st_mode & 07777);
	return 0;
}

int
users_file_open(
	int dir, const char *path, const char *name, struct stat *st, struct reason *why)
{
	int fd = openat(
		dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ELOOP)
		return reason_set(why, "%s: a symbolic link, must be a file", name);
	if (fd < 0)
		return reason_errno(why, "%s", name);
	if (fstat(fd, st))
		reason_errno(why, "%s: stat", name);
	else if (check_owner(st, name, why) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
has_right_sum(struct meta *m)
{
	uint32_t sum = m->sum;

	m->sum = 0;
	return sum == btree_page_sum((const uint8_t *)m, sizeof *m);
}

/* No duplicates, record numbers, compression, encryption, partitions. */
static int
is_usual(const struct meta *m)
{
	return m->version == META_VERSION && m->type == META_TYPE &&
	       m->flags == META_CHECKSUM && !m->encryption && !m->parts && !m->tree_flags;
}

int
users_file_check(struct users *u, struct reason *why)
{
	struct meta m;
	ssize_t n = pread(u->fd, &m, sizeof m, 0);

	if (n < 0)
		return reason_errno(why, "%s: read", u->path);
	if (n == 0)
		return reason_set(why, "%s: damaged: the file is empty", u->path);
	if (n != sizeof m || m.magic != META_BTREE || m.page_size != BTREE_PAGE_SIZE ||
		!(m.flags & META_CHECKSUM))
		return reason_set(why, "%s: damaged, or not a table of Brim", u->path);
	if ((uint64_t)u->stat.st_size != ((uint64_t)m.last_page + 1) * BTREE_PAGE_SIZE)
		return reason_set(why, "%s: damaged: %s long, its first page says %llu",
			u->path, AMOUNT_OF((uint64_t)u->stat.st_size, "byte", "bytes"),
			((unsigned long long)m.last_page + 1) * BTREE_PAGE_SIZE);
	if (!has_right_sum(&m))
		return btree_page_damaged(u, 0, "has a wrong checksum", why);
	u->root = m.root;
	u->free = m.free;
	u->usual = is_usual(&m);
	return 0;
}

int
users_file_check_form(const struct users *u, struct reason *why)
{
	if (u->usual)
		return 0;
	return reason_set(why,
		"%s: a form of Berkeley DB's tables that Brim does not write; brimadm "
		"dump, then load --replace, makes it anew",
		u->path);
}

struct users *
users_file_begin(const char *path, struct reason *why)
{
	struct users *u = calloc(1, sizeof *u);

	if (u)
		u->fd = -1;
	if (!u || !(u->path = strdup(path))) {
		reason_no_memory(why, path);
		users_close(&u);
		return NULL;
	}
	u->fd = users_file_open(AT_FDCWD, path, path, &u->stat, why);
	if (u->fd < 0 || users_file_check(u, why))
		users_close(&u);
	return u;
}

int
users_seek(struct users *u, const void *key, size_t size, DBT *found, DBT *value,
	struct reason *why)
{
	return u->access->seek(u, key, size, found, value, why);
}

int
users_file_totals(const char *text, size_t size, struct totals *t)
{
	struct record r;
	int has = -1;

	if (record_parse(&r, text, size, 0, NULL))
		return -1;
	if (!record_get(&r, "records") && !record_get(&r, "sum"))
		has = 0;
	else if (record_get(&r, "records") && record_get(&r, "sum") &&
		 record_number(&r, "records", 0, &t->records) == 0 &&
		 record_number(&r, "sum", 0, &t->sum) == 0)
		has = 1;
	record_clear(&r);
	return has;
}

int
users_file_compare(const DBT *a, const void *b, size_t size)
{
	size_t common = a->size < size ? a->size : size;
	int order = common ? memcmp(a->data, b, common) : 0;

	return order ? order : (a->size > size) - (a->size < size);
}

int
users_file_damaged(const struct users *u, const char *what, struct reason *why)
{
	return reason_set(why, "%s: damaged: %s", u->path, what);
}
