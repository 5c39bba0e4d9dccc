/* The host's names by uname and /etc/hosts, its addresses by netlink: no name service. */
#include "this_host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#define HOSTS       "/etc/hosts"
#define BLANKS      " \t\r\n"
#define LINES_MAX   10000 /* of /etc/hosts */
#define LITERAL_MAX 64

/* --- addresses ---------------------------------------------------------------------- */

/* An address of either family; of IPv4 in IPv6's form, so that two can be compared. */
static void
map_address(struct in6_addr *to, const struct in_addr *from)
{
	memset(to, 0, sizeof *to);
	to->s6_addr[10] = to->s6_addr[11] = 0xff;
	memcpy(to->s6_addr + 12, from, sizeof *from);
}

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]": 1, or 0 for what is no such literal. */
static int
read_literal(const char *domain, struct in6_addr *address)
{
	static const char tag[] = "IPv6:";
	char text[LITERAL_MAX];
	size_t length = strlen(domain);
	struct in_addr four;

	if (length < 3 || length >= sizeof text || domain[0] != '[' ||
		domain[length - 1] != ']')
		return 0;
	memcpy(text, domain + 1, length - 2);
	text[length - 2] = '\0';
	if (strncasecmp(text, tag, strlen(tag)) == 0)
		return inet_pton(AF_INET6, text + strlen(tag), address) == 1;
	if (inet_pton(AF_INET, text, &four) != 1)
		return 0;
	map_address(address, &four);
	return 1;
}

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
			map_address(&address,
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
		return read_literal(domain, &address) &&
		       (is_loopback(&address) || is_of_interface(&address));
	return strcasecmp(domain, "localhost") == 0 ||
	       strcasecmp(domain, "localhost.localdomain") == 0 || is_name(domain);
}
