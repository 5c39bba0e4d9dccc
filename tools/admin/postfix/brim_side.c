/* Postfix's mydestination and recipient_delimiter, as Brim's. */
#include "brim_side.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox.h"
#include "record.h"

#define BYTES 256

static const char *
value_of(const struct postconf *now, const char *name)
{
	const char *value = postconf_get(now, name);

	return value ? value : "";
}

/* --- domains ------------------------------------------------------------------------ */

/* "[192.0.2.1]" for an address; nothing for a name. */
static void
print_literal(FILE *to, const char *address)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, address, bytes) == 1)
		fprintf(to, ", [%s]", address);
	else if (inet_pton(AF_INET6, address, bytes) == 1)
		fprintf(to, ", [IPv6:%s]", address);
}

int
brim_side_own(const struct postconf *now, const char *asked, struct names *own)
{
	const char *proxies = value_of(now, "proxy_interfaces");
	char *list = NULL, *address;
	size_t size;
	FILE *to = open_memstream(&list, &size);
	int result;

	if (!to)
		return -1;
	fputs(value_of(now, "mydestination"), to);
	while ((address = conf_list_next(&proxies))) {
		print_literal(to, address);
		free(address);
	}
	result = fclose(to) ? -1 : names_read(own, list, asked);
	free(list);
	return result;
}

int
brim_side_is_domain(const char *name)
{
	return name[0] != '.' && !strchr(name, '@') && !strchr(name, '*') &&
	       name[strcspn(name, "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")];
}

static int
print_missing(FILE *to, const struct conf *conf, const struct names *own)
{
	int missing = 0;

	fputs(conf->local_domains, to);
	for (size_t i = 0; i < own->count; i++) {
		const struct names_entry *e = &own->entries[i];
		char *escaped;

		if (e->excluded || !brim_side_is_domain(e->name) ||
			mailbox_domain_is_local(conf, e->name))
			continue;
		escaped = record_escape(e->name);
		if (!escaped)
			return 0;
		fprintf(to, "%s%s", missing++ || conf->local_domains[0] ? " " : "",
			escaped);
		free(escaped);
	}
	return missing;
}

char *
brim_side_local_domains(const struct postconf *now, const struct conf *conf)
{
	struct names own = {0};
	char *list = NULL;
	size_t size;
	int missing = 0;
	FILE *to = open_memstream(&list, &size);

	if (!to)
		return NULL;
	if (brim_side_own(now, "", &own) == 0)
		missing = print_missing(to, conf, &own);
	names_free(&own);
	if (fclose(to) == 0 && missing)
		return list;
	free(list);
	return NULL;
}

/* --- delimiters --------------------------------------------------------------------- */

/* Letters and the like, which brim.conf(5) refuses. */
static int
is_of_names(char byte)
{
	const unsigned char c = (unsigned char)byte;

	return isalnum(c) || c == '@' || c >= 0x80;
}

int
brim_side_cuts_names(const char *delimiters)
{
	while (*delimiters && !is_of_names(*delimiters))
		delimiters++;
	return *delimiters != '\0';
}

static void
add_bytes(char set[BYTES], const char *bytes)
{
	size_t n = strlen(set);

	for (; *bytes; bytes++)
		if (!isspace((unsigned char)*bytes) && !is_of_names(*bytes) &&
			!strchr(set, *bytes)) {
			set[n++] = *bytes;
			set[n] = '\0';
		}
}

char *
brim_side_delimiters(const struct postconf *now, const struct conf *conf)
{
	static const char name[] = "recipient_delimiter";
	const char *ours = conf->recipient_delimiter;
	char set[BYTES] = "";

	add_bytes(set, value_of(now, name));
	for (size_t i = 0; i < now->service_count; i++) {
		const char *own = postconf_override(now, &now->services[i], name);

		add_bytes(set, own ? own : "");
	}
	if (!set[0] ||
		(set[strspn(set, ours)] == '\0' && ours[strspn(ours, set)] == '\0'))
		return NULL;
	return strdup(set);
}
