/* The host's names by uname and /etc/hosts, its addresses by netlink: no name service. */
#include "this_host.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "literal.h"

#define HOSTS     "/etc/hosts"
#define BLANKS    " \t\r\n"
#define LINES_MAX 10000 /* of /etc/hosts */

/* --- addresses ---------------------------------------------------------------------- */

static int
is_loopback(const struct in6_addr *a)
{
	return IN6_IS_ADDR_LOOPBACK(a) ||
	       (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == IN_LOOPBACKNET);
}

static int
is_of_interface(const struct in6_addr *wanted)
{
	struct ifaddrs *all, *i;
	struct in6_addr address;
	int found = 0;

	if (getifaddrs(&all))
		return 0;
	for (i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			literal_map(&address,
				&((const struct sockaddr_in *)(const void *)i->ifa_addr)
					 ->sin_addr);
		else if (i->ifa_addr->sa_family == AF_INET6)
			address = ((const struct sockaddr_in6 *)(const void *)i->ifa_addr)
					  ->sin6_addr;
		else
			continue;
		found = IN6_ARE_ADDR_EQUAL(&address, wanted);
	}
	freeifaddrs(all);
	return found;
}

/* --- names -------------------------------------------------------------------------- */

/* Whether a line of /etc/hosts names both: "127.0.1.1 mail.example.org mail". */
static int
stand_together(const char *domain, const char *host)
{
	FILE *from = fopen(HOSTS, "re");
	char *line = NULL;
	size_t size = 0;
	int together = 0;

	for (int n = 0; from && n < LINES_MAX && !together; n++) {
		int has_domain = 0, has_host = 0;
		char *name, *rest;

		if (getline(&line, &size, from) < 0)
			break;
		line[strcspn(line, "#")] = '\0';
		name = strtok_r(line, BLANKS, &rest); /* the address */
		while (name && (name = strtok_r(NULL, BLANKS, &rest))) {
			has_domain |= strcasecmp(name, domain) == 0;
			has_host |= strcasecmp(name, host) == 0;
		}
		together = has_domain && has_host;
	}
	free(line);
	if (from)
		fclose(from);
	return together;
}

int
this_host_is(const char *domain)
{
	struct utsname host;

	return domain[0] && uname(&host) == 0 && strcasecmp(host.nodename, domain) == 0;
}

/* The kernel's name is a host's full name or its first label; each tells the other. */
static int
is_name(const char *domain)
{
	struct utsname host;
	size_t label;

	if (uname(&host))
		return 0;
	label = strcspn(host.nodename, ".");
	if (label == 0 || strncasecmp(domain, host.nodename, label) != 0)
		return 0;
	if (domain[label] == '\0' || strcasecmp(domain, host.nodename) == 0)
		return 1;
	return domain[label] == '.' && host.nodename[label] == '\0' &&
	       stand_together(domain, host.nodename);
}

int
this_host_has(const char *domain)
{
	struct in6_addr address;

	if (domain[0] == '[')
		return literal_read(domain, &address) &&
		       (is_loopback(&address) || is_of_interface(&address));
	return strcasecmp(domain, "localhost") == 0 ||
	       strcasecmp(domain, "localhost.localdomain") == 0 || is_name(domain);
}
