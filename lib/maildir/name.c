/* Maildir names: made unique, and read without trust in who gave them. */
#include "maildir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* What a name needs beside the host: three numbers, 16 hex digits, ",S=" and a number. */
#define HOST_SIZE (MAILDIR_NAME_SIZE - 90)

/* The host's name, with what has a meaning in a Maildir name written as \ooo. */
static int
get_host(char host[HOST_SIZE])
{
	struct utsname u;
	char *to = host;

	if (uname(&u))
		return -1;
	for (const char *p = u.nodename; *p && to < host + HOST_SIZE - 5; p++) {
		if (strchr("/:,%", *p) || *p < '!' || *p > '~')
			to += snprintf(to, 5, "\\%03o", (unsigned char)*p);
		else
			*to++ = *p;
	}
	*to = '\0';
	if (host[0] == '\0')
		strcpy(host, "localhost");
	return 0;
}

int
maildir_make_name(char name[MAILDIR_NAME_SIZE], uint64_t bytes)
{
	char host[HOST_SIZE];
	struct timespec now;
	uint64_t random;
	ssize_t got;

	do
		got = getrandom(&random, sizeof random, 0);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof random || clock_gettime(CLOCK_REALTIME, &now) ||
		get_host(host))
		return -1;
	snprintf(name, MAILDIR_NAME_SIZE, "%lld.M%ldP%dR%016" PRIx64 ".%s,S=%" PRIu64,
		(long long)now.tv_sec, now.tv_nsec / 1000, (int)getpid(), random, host,
		bytes);
	return 0;
}

/* What follows PREFIX and then one byte of SET or more; NULL where that is not there. */
static const char *
behind(const char *p, const char *prefix, const char *set)
{
	size_t length = strlen(prefix), more;

	if (!p || strncmp(p, prefix, length) != 0)
		return NULL;
	more = strspn(p + length, set);
	return more ? p + length + more : NULL;
}

/* The host in a name that maildir_make_name may have made, and all behind it; else NULL.
 */
static const char *
find_host(const char *name)
{
	static const char digits[] = "0123456789";
	const char *random =
		behind(behind(behind(name, "", digits), ".M", digits), "P", digits);
	const char *end = behind(random, "R", "0123456789abcdef");

	return end && end - random == sizeof "R" - 1 + 16 && *end == '.' ? end + 1 : NULL;
}

int
maildir_is_own(const char *name, uint64_t bytes)
{
	char host[HOST_SIZE], size[sizeof ",S=" + 20];
	const char *there = find_host(name);
	size_t length;

	if (!there || get_host(host))
		return 0;
	length = strlen(host);
	snprintf(size, sizeof size, ",S=%" PRIu64, bytes);
	return strncmp(there, host, length) == 0 && strcmp(there + length, size) == 0;
}

int
maildir_is_unfinished(const char *name)
{
	const char *host = find_host(name);
	size_t length = host ? strcspn(host, "/:,%") : 0;

	return length && strcmp(host + length, ",S=0") == 0;
}

/* Digits up to ',', ':' or the end, that fit: 1, or 0. */
static int
take_size(const char *digits, uint64_t *bytes)
{
	uint64_t n = 0;
	const char *p;

	for (p = digits; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return 0;
	if (p == digits || (*p && *p != ',' && *p != ':'))
		return 0;
	*bytes = n;
	return 1;
}

int
maildir_size(const char *name, uint64_t *bytes)
{
	const char *end = name + maildir_unique_length(name);

	for (const char *p = name; (p = strstr(p, ",S=")) && p < end; p++)
		if (take_size(p + 3, bytes))
			return 1;
	return 0;
}

size_t
maildir_unique_length(const char *name)
{
	return strcspn(name, ":");
}
