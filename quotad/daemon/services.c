/* The list of services. That of a protocol without a socket of its own is there, too: for
 * one that systemd may have. */
#include "services.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "protocol/policy.h"
#include "protocol/socketmap.h"

/* Without NSS, as all such look-ups of quotad; (gid_t)-1 where there is none. */
static gid_t
find_group(const char *setting, const char *name)
{
	FILE *file = fopen("/etc/group", "re");
	const struct group *g = NULL;
	gid_t gid = (gid_t)-1;

	while (file != NULL && (g = fgetgrent(file)) != NULL)
		if (strcmp(g->gr_name, name) == 0)
			break;
	if (g != NULL)
		gid = g->gr_gid;
	else
		log_warning("%s: /etc/group has no \"%.64s\": the sockets are open to "
			    "their owner alone",
			setting, name);
	if (file != NULL)
		fclose(file);
	return gid;
}

/* Why the path gets no socket; NULL where nothing is wrong with it. */
static const char *
wrong_with(const struct server *v, const char *path)
{
	for (size_t i = 0; i < v->service_count; i++)
		if (v->services[i].path != NULL && strcmp(v->services[i].path, path) == 0)
			return "it is the path of another socket";
	if (v->service_count + 1 >= SERVER_SERVICES) /* one is kept for maps */
		return "too many sockets";
	return NULL;
}

static void
add(struct server *v, const struct service *s)
{
	v->services[v->service_count++] = *s;
}

/* One for each path of the list, which are freed with it. What can't be had is told:
 * deliveries need none of them. */
static int
add_each(struct server *v, const char *setting, const char *list, struct service s,
	struct reason *why)
{
	const char *wrong;
	char *path;

	if (list[strspn(list, " ,\t")] == '\0') {
		add(v, &s);
		return 0;
	}
	while ((path = conf_list_next(&list)) != NULL) {
		wrong = wrong_with(v, path);
		s.path = path;
		if (wrong == NULL) {
			add(v, &s);
			continue;
		}
		log_error("%s: %s: %s; it is left out", setting, path, wrong);
		free(path);
	}
	return errno == ENOMEM ? reason_set(why, "no memory") : 0;
}

static gid_t
group_of(const char *list, const char *setting, const char *name)
{
	return list[0] == '\0' || name[0] == '\0' ? (gid_t)-1 : find_group(setting, name);
}

int
services_list(struct server *v, struct reason *why)
{
	const struct conf *c = &v->conf;
	const struct service line = {
		c->socket, &line_protocol, &v->line, SERVICE_ANYONE, 0, (gid_t)-1};
	const struct service policy = {NULL, &policy_protocol, &v->policy,
		SERVICE_PERMITTED, (mode_t)c->policy_mode,
		group_of(c->policy_listen, "policy_group", c->policy_group)};
	const struct service map = {NULL, &socketmap_protocol, &v->socketmap,
		SERVICE_PERMITTED, (mode_t)c->map_mode,
		group_of(c->map_listen, "map_group", c->map_group)};

	add(v, &line);
	if (add_each(v, "policy_listen", c->policy_listen, policy, why) == -1)
		return -1;
	return add_each(v, "map_listen", c->map_listen, map, why);
}

void
services_relist(struct server *v)
{
	v->services[0].path = v->conf.socket;
}

void
services_free(struct server *v)
{
	for (size_t i = 1; i < v->service_count; i++)
		free((char *)v->services[i].path);
	v->service_count = 0;
}
