/* The kernel's list of mounts. Only those that may hang are kept, and what is mounted on
 * or in them. */
#include "mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "siphash.h"

enum { HANGS = 1, JUDGES = 2, HAS_SERVER = 4 };

/* Where another process or host answers; so do "fuse" and "fuse.NAME". The source of some
 * begins with the server's name. */
static const struct {
	const char *type;
	unsigned traits;
} kinds[] = {
	{"nfs", HANGS | JUDGES | HAS_SERVER},
	{"nfs4", HANGS | JUDGES | HAS_SERVER},
	{"cifs", HANGS | JUDGES | HAS_SERVER},
	{"smb3", HANGS | JUDGES | HAS_SERVER},
	{"ceph", HANGS | JUDGES | HAS_SERVER},
	{"fuse", HANGS | JUDGES},
	{"fuseblk", HANGS | JUDGES},
	{"virtiofs", HANGS | JUDGES},
	{"9p", HANGS | JUDGES},
	{"afs", HANGS | JUDGES},
	{"lustre", HANGS | JUDGES},
	{"beegfs", HANGS | JUDGES},
	{"coda", HANGS | JUDGES},
	{"gpfs", HANGS},
	{"vboxsf", HANGS},
	{"orangefs", HANGS},
	{"ecryptfs", HANGS},
	{"autofs", HANGS},
};

struct mount {
	char *point;
	unsigned traits;
	uint64_t group;
};

struct mounts {
	FILE *list;
	struct mount *all;
	size_t count;
	int some_hang;
};

static unsigned
traits_of(const char *type)
{
	size_t length = strcspn(type, ".");

	if (type[length] && (length != 4 || memcmp(type, "fuse", 4) != 0))
		length = strlen(type);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strlen(kinds[i].type) == length &&
			memcmp(kinds[i].type, type, length) == 0)
			return kinds[i].traits;
	return 0;
}

int
mounts_type_may_hang(const char *type)
{
	return (traits_of(type) & HANGS) != 0;
}

/* --- the list ---------------------------------------------------------------------- */

/* Exports of one server ("host:/a", "//host/a") hang together; else what has one device's
 * number. What a user may have mounted (FUSE) names no server: its source is that user's
 * word. */
static uint64_t
group_of(unsigned traits, const char *device, const char *source)
{
	static const struct siphash_key key;
	size_t skip = strspn(source, "/");
	const char *end =
		skip == 2 ? strchr(source + skip, '/') : strstr(source + skip, ":/");
	uint64_t group;

	if ((traits & HAS_SERVER) && end)
		group = siphash(&key, source + skip, (size_t)(end - source) - skip);
	else
		group = siphash(&key, device, strlen(device));
	return group ? group : 1;
}

/* Spaces and the like are written as \ooo. */
static void
decode(char *text)
{
	unsigned byte;
	char *to = text;

	for (; *text; text++)
		if (*text == '\\' && sscanf(text + 1, "%3o", &byte) == 1) {
			*to++ = (char)byte;
			text += 3;
		} else {
			*to++ = *text;
		}
	*to = '\0';
}

/* Mail is not below /proc, where every systemd has an autofs, nor below /run/user, where
 * desktops have a FUSE. */
static int
can_have_mail(const char *point)
{
	return strncmp(point, "/proc/", 6) != 0 && strncmp(point, "/run/user/", 10) != 0;
}

static void
take_line(struct mounts *m, char *line)
{
	char *left = strstr(line, " - "), *type, *source, *device = NULL, *point = NULL;
	struct mount *grown;
	unsigned traits;

	if (!left)
		return;
	left += 3;
	type = strsep(&left, " ");
	source = strsep(&left, " ");
	for (int i = 0; line && i < 5; i++) {
		char *word = strsep(&line, " ");

		device = i == 2 ? word : device;
		point = i == 4 ? word : point;
	}
	if (!point || !source || !can_have_mail(point))
		return;
	grown = reallocarray(m->all, m->count + 1, sizeof *grown);
	if (!grown)
		return;
	m->all = grown;
	decode(point);
	traits = traits_of(type);
	grown[m->count] =
		(struct mount){strcmp(point, "/") == 0 ? strdup("") : strdup(point),
			traits, traits & HANGS ? group_of(traits, device, source) : 0};
	m->some_hang |= (traits & HANGS) != 0;
	m->count += grown[m->count].point != NULL;
}

static void
forget(struct mounts *m)
{
	while (m->count > 0)
		free(m->all[--m->count].point);
	m->some_hang = 0;
}

/* The kernel tells once that the list is another one. */
static int
has_changed(struct mounts *m)
{
	struct pollfd list = {.fd = fileno(m->list), .events = POLLPRI};

	return m->count == 0 || (poll(&list, 1, 0) > 0 && (list.revents & POLLPRI));
}

static void
read_list(struct mounts *m)
{
	char *line = NULL;
	size_t size = 0;

	forget(m);
	rewind(m->list);
	while (getline(&line, &size, m->list) > 0) {
		line[strcspn(line, "\n")] = '\0';
		take_line(m, line);
	}
	free(line);
}

struct mounts *
mounts_open(void)
{
	struct mounts *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->list = fopen("/proc/self/mountinfo", "re");
	if (!m->list) {
		free(m);
		return NULL;
	}
	return m;
}

void
mounts_close(struct mounts **m)
{
	if (!*m)
		return;
	forget(*m);
	free((*m)->all);
	fclose((*m)->list);
	free(*m);
	*m = NULL;
}

/* --- paths ------------------------------------------------------------------------- */

/* What is open, as a path without links. */
static char *
name_open(int fd)
{
	char link[40], name[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof name - 1);
	if (n <= 0)
		return NULL;
	name[n] = '\0';
	if (strcmp(name, "/") == 0)
		name[0] = '\0';
	return strdup(name);
}

/* The path without links, as far as the kernel has it in its cache; what follows is as it
 * was. NULL without memory. O_DIRECTORY would let an automounter mount. */
static char *
without_links(const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
	size_t length = strlen(path);
	char *part = strdup(path), *real = NULL, *whole;
	int fd = -1;

	while (part && length > 1 && part[length - 1] == '/')
		part[--length] = '\0';
	for (; part && length > 0 && fd < 0;
		length = (size_t)(strrchr(part, '/') - part)) {
		part[length] = '\0';
		fd = (int)syscall(SYS_openat2, AT_FDCWD, part, &how, sizeof how);
		if (fd >= 0)
			break;
	}
	if (fd >= 0) {
		real = name_open(fd);
		close(fd);
	}
	if (!part || asprintf(&whole, "%s%s", real ? real : "",
			     path + (real ? length : 0)) < 0)
		whole = NULL;
	free(part);
	free(real);
	return whole;
}

/* Whether the path is the directory or below it. */
static int
is_in(const char *path, const char *directory, size_t length)
{
	return strncmp(path, directory, length) == 0 &&
	       (path[length] == '\0' || path[length] == '/');
}

/* The one that the path is on is the last of those with the longest mount point. */
static void
find(const struct mounts *m, const char *path, struct mounts_found *found)
{
	const struct mount *on = NULL, *below = NULL;
	size_t longest = 0, path_length = strlen(path);

	while (path_length > 0 && path[path_length - 1] == '/')
		path_length--;
	for (size_t i = 0; i < m->count; i++) {
		const struct mount *mount = &m->all[i];
		size_t length = strlen(mount->point);

		if (length >= longest && is_in(path, mount->point, length)) {
			on = mount;
			longest = length;
		} else if ((mount->traits & HANGS) && length > path_length &&
			   is_in(mount->point, path, path_length)) {
			below = mount;
		}
	}
	if (on && (on->traits & HANGS))
		below = on;
	found->may_hang = below != NULL;
	found->group = below ? below->group : 0;
	found->judges = on && (on->traits & JUDGES);
}

void
mounts_find(struct mounts *m, const char *path, struct mounts_found *found)
{
	char *real;

	*found = (struct mounts_found){0};
	if (!m || path[0] != '/')
		return;
	if (has_changed(m))
		read_list(m);
	if (!m->some_hang)
		return;
	real = without_links(path);
	find(m, real ? real : path, found);
	free(real);
}
