/* The limits, and how much of each a delivery may need. */
#include "limits.h"

#include <stddef.h>
#include <sys/resource.h>

#if !defined __SANITIZE_ADDRESS__ && !defined BRIM_COVERAGE

/* More than twice what a delivery took; see lda(8). */
static const struct {
	int resource;
	rlim_t least;
	const char *name, *text;
} limits[] = {
	{RLIMIT_AS, 8 << 20, "RLIMIT_AS", "8 MB"},
	{RLIMIT_DATA, 4 << 20, "RLIMIT_DATA", "4 MB"},
	{RLIMIT_STACK, 128 << 10, "RLIMIT_STACK", "128 KB"},
};

int
limits_check(struct outcome *o)
{
	struct rlimit limit;

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		if (getrlimit(limits[i].resource, &limit) ||
			limit.rlim_cur >= limits[i].least)
			continue;
		outcome_set(o, VERDICT_TROUBLE, "the limit %s must leave lda at least %s",
			limits[i].name, limits[i].text);
		return -1;
	}
	return 0;
}

#else

/* Instrumented, it takes more than any limit. */
int
limits_check(struct outcome *o)
{
	(void)o;
	return 0;
}

#endif
