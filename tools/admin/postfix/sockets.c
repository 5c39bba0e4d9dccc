/* Paths of sockets, as Postfix sees them and as they are. */
#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "record.h"

static const struct kind {
	const char *setting, *name;
} kinds[] = {
	[SOCKETS_POLICY] = {"policy_listen", "private/brim-policy"},
	[SOCKETS_MAP] = {"map_listen", "private/brim-map"},
};

const char *
sockets_setting(enum sockets_kind kind)
{
	return kinds[kind].setting;
}

const char *
sockets_listed(const struct conf *conf, enum sockets_kind kind)
{
	return kind == SOCKETS_POLICY ? conf->policy_listen : conf->map_listen;
}

/* --- the chroot --------------------------------------------------------------------- */

/* "-" is no, but for settings that say they are of a Postfix before 3.0 (master(5)). */
int
sockets_chroot(const struct postconf *p, const struct postconf_service *s)
{
	const char *level = postconf_get(p, "compatibility_level");

	if (s->chroot[0] != '-')
		return s->chroot[0] == 'y';
	return level && strtol(level, NULL, 10) < 1;
}

int
sockets_any_chroot(const struct postconf *p, const char *programs)
{
	for (size_t i = 0; i < p->service_count; i++)
		if (conf_list_has(programs, p->services[i].command) &&
			sockets_chroot(p, &p->services[i]))
			return 1;
	return 0;
}

/* --- paths -------------------------------------------------------------------------- */

/* Without doubled slashes, parts that are ".", or a slash at the end. */
static char *
squeeze(char *path)
{
	char *to = path;

	for (const char *from = path; from && *from; from++) {
		while (strncmp(from, "/./", 3) == 0)
			from += 2;
		if (from[0] != '/' || (from[1] != '/' && (from[1] || from == path)))
			*to++ = *from;
	}
	if (path)
		*to = '\0';
	return path;
}

char *
sockets_path(const struct postconf *p, const char *name, int chroot)
{
	const char *queue = postconf_get(p, "queue_directory");
	char *path;
	int n;

	if (name[0] == '/' && !chroot)
		n = asprintf(&path, "%s", name);
	else
		n = asprintf(&path, "%s/%s", queue ? queue : "", name);
	return n < 0 ? NULL : squeeze(path);
}

int
sockets_have(const char *list, const char *path)
{
	char *one;
	int has = 0;

	while (!has && (one = conf_list_next(&list))) {
		has = strcmp(squeeze(one), path) == 0;
		free(one);
	}
	return has;
}

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int
sockets_is_brims(const char *list, const char *name)
{
	const char *last = last_part(name);
	char *one;
	int is = strstr(last, "brim") != NULL;

	while (!is && (one = conf_list_next(&list))) {
		is = strcmp(last_part(one), last) == 0;
		free(one);
	}
	return is;
}

int
sockets_is_brims_map(const struct conf *conf, const char *map)
{
	static const char socketmap[] = "socketmap:unix:";
	const char *name = strstr(map, socketmap), *colon;
	char *path;
	int is_brims;

	if (!name)
		return 0;
	name += strlen(socketmap);
	colon = strrchr(name, ':');
	path = strndup(name, colon ? (size_t)(colon - name) : strlen(name));
	is_brims = path && sockets_is_brims(conf->map_listen, path);
	free(path);
	return is_brims;
}

/* What is below the queue's directory, as Postfix names it; NULL where the path is not.
 */
static const char *
below(const char *path, const char *queue)
{
	size_t n = strlen(queue);

	return strncmp(path, queue, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static char *
find_name(const char *list, const char *queue, int chroot)
{
	char *one, *name = NULL, *other = NULL;

	while (!name && (one = conf_list_next(&list))) {
		const char *inside = below(squeeze(one), queue);

		if (inside)
			name = strdup(inside);
		else if (!chroot && !other)
			other = strdup(one);
		free(one);
	}
	if (name)
		free(other);
	return name ? name : other;
}

char *
sockets_name(const struct postconf *p, const struct conf *conf, enum sockets_kind kind,
	int chroot, char **list)
{
	const char *listed = sockets_listed(conf, kind);
	char *queue = sockets_path(p, "", 1), *name, *path, *escaped;

	*list = NULL;
	if (!queue)
		return NULL;
	name = find_name(listed, queue, chroot);
	free(queue);
	if (name)
		return name;
	path = sockets_path(p, kinds[kind].name, 1);
	escaped = path ? record_escape(path) : NULL;
	if (escaped &&
		asprintf(list, "%s%s%s", listed, listed[0] ? " " : "", escaped) < 0)
		*list = NULL;
	free(path);
	free(escaped);
	return *list ? strdup(kinds[kind].name) : NULL;
}
