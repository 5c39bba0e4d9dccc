/* Rotated files: what stands beside the log in its directory. */
#include "rotated.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATEST 9 /* of each kind: FILE.9 is the oldest that is looked for */

enum kind { NUMBER, DATE, KINDS };

struct rotated {
	enum kind kind;
	char *name;
	size_t length; /* without the ending of what packed it */
};

static const struct packer {
	const char *ending, *program;
} packers[] = {
	{".gz", "gzip"},
	{".xz", "xz"},
	{".zst", "zstd"},
	{".bz2", "bzip2"},
};

static const struct packer *
packer_of(const char *name)
{
	const size_t length = strlen(name);

	for (size_t i = 0; i < sizeof packers / sizeof *packers; i++) {
		const size_t n = strlen(packers[i].ending);

		if (length > n && strcmp(name + length - n, packers[i].ending) == 0)
			return &packers[i];
	}
	return NULL;
}

const char *
rotated_unpacker(const char *path)
{
	const struct packer *p = packer_of(path);

	return p ? p->program : NULL;
}

/* Whether the name is one of the log BASE: ".1", or "-" and a date, of which logrotate's
 * dateformat may have more than the day. */
static int
is_rotated(struct rotated *r, const char *base)
{
	const size_t n = strlen(base), length = strlen(r->name);
	const struct packer *p = packer_of(r->name);
	const char *rest = r->name + n;

	if (strncmp(r->name, base, n) != 0)
		return 0;
	r->length = length - (p ? strlen(p->ending) : 0);
	r->kind = *rest == '.' ? NUMBER : DATE;
	if (r->kind == NUMBER)
		return r->length == n + 2 && rest[1] >= '1' && rest[1] <= '9';
	return *rest == '-' && strspn(rest + 1, "0123456789") >= 8 &&
	       strspn(rest, "0123456789-") == r->length - n;
}

/* The oldest first: of dates the smallest, of numbers the largest; what is packed behind
 * what is not. */
static int
compare(const void *a, const void *b)
{
	const struct rotated *one = a, *other = b;
	int order = (int)one->kind - (int)other->kind;

	if (order == 0 && one->kind == NUMBER && one->length == other->length)
		order = other->name[other->length - 1] - one->name[one->length - 1];
	return order ? order : strcmp(one->name, other->name);
}

static int
is_same_file(const struct rotated *a, const struct rotated *b)
{
	return a->length == b->length && strncmp(a->name, b->name, a->length) == 0;
}

/* Adds the name to the list: 0, -1 without memory. */
static int
add(struct rotated **list, size_t *count, const char *name, const char *base)
{
	struct rotated r = {.name = (char *)name}, *grown;

	if (!is_rotated(&r, base))
		return 0;
	grown = reallocarray(*list, *count + 1, sizeof *grown);
	if (!grown)
		return -1;
	*list = grown;
	r.name = strdup(name);
	if (!r.name)
		return -1;
	grown[(*count)++] = r;
	return 0;
}

/* A directory that can't be read is none: what is wrong with it the log itself tells. */
static int
list_all(struct rotated **list, size_t *count, const char *folder, const char *base)
{
	DIR *d = opendir(folder);
	const struct dirent *e;
	int result = 0;

	while (d && result == 0 && (e = readdir(d)))
		result = add(list, count, e->d_name, base);
	if (d)
		closedir(d);
	if (*count)
		qsort(*list, *count, sizeof **list, compare);
	return result;
}

/* Where the latest begin of those of one kind that begin at FIRST, and END their end. */
static size_t
find_latest(const struct rotated *list, size_t first, size_t end)
{
	size_t i = end, files = 0;

	while (i > first) {
		files += i == end || !is_same_file(&list[i - 1], &list[i]);
		if (files > LATEST)
			break;
		i--;
	}
	return i;
}

/* Of a file that is there packed and not, the first that is still there is read. */
static int
read_kind(const struct rotated *list, size_t first, size_t end, const char *folder,
	int (*read)(const char *path, void *arg, struct reason *why), void *arg,
	struct reason *why)
{
	const struct rotated *done = NULL;
	int result = 0;
	char *path;

	for (size_t i = find_latest(list, first, end); i < end && result >= 0; i++) {
		if (done && is_same_file(done, &list[i]))
			continue;
		if (asprintf(&path, "%s/%s", folder, list[i].name) < 0)
			return reason_no_memory(why, folder);
		result = read(path, arg, why);
		done = result == 0 ? &list[i] : done;
		free(path);
	}
	return result < 0 ? -1 : 0;
}

int
rotated_each(const char *path,
	int (*read)(const char *path, void *arg, struct reason *why), void *arg,
	struct reason *why)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct rotated *list = NULL;
	size_t count = 0, first = 0, end;
	int result = 0;

	if (!folder || list_all(&list, &count, folder, base))
		result = reason_no_memory(why, path);
	for (; first < count && result == 0; first = end) {
		for (end = first; end < count && list[end].kind == list[first].kind;)
			end++;
		result = read_kind(list, first, end, folder, read, arg, why);
	}
	for (size_t i = 0; i < count; i++)
		free(list[i].name);
	free(list);
	free(folder);
	return result;
}
