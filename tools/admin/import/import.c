/* What the imports share. */
#include "import.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_name.h"

int
import_begin(struct brimadm *a, struct import *i)
{
	i->a = a;
	a->shows_progress = 1;
	return brimadm_begin(a, CHANGE_CHECK_ALL | CHANGE_EACH_ONCE);
}

int
import_end(struct import *i, int status)
{
	if (!status && i->faults)
		status = brimadm_refuse(i->a, TOOL_USAGE,
			"%s can't be imported: nothing is changed",
			AMOUNT_OF(i->faults, "line", "lines"));
	status = brimadm_end(i->a, status);
	if (!status)
		tool_warn("%s: %llu, in the table already: %llu, left out: %llu",
			i->a->option[OPTION_DRY_RUN] ? "to import" : "imported", i->added,
			i->there, i->left_out);
	return status;
}

int
import_judge(struct import *i, struct input *in, unsigned long line, int status)
{
	if (!status)
		return TOOL_OK;
	if (status == TOOL_CANT) {
		struct reason why = i->a->why;

		return brimadm_refuse(
			i->a, TOOL_CANT, "%s:%lu: %s", in->name, line, why.text);
	}
	progress_end(&in->progress);
	tool_warn("%s:%lu: %s", in->name, line, i->a->why.text);
	i->faults++;
	return TOOL_OK;
}

void
import_leave_out(struct import *i, struct input *in, const char *format, ...)
{
	char *text;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	progress_end(&in->progress);
	tool_warn("%s:%lu: left out: %s", in->name, in->number, n < 0 ? "" : text);
	if (n >= 0)
		free(text);
	i->left_out++;
}

/* --- records --- */

int
import_has_record(struct import *i, const char *key)
{
	struct users *old = change_table_before(i->a->change, &i->a->why);
	struct record r;
	int found = old ? users_get(old, key, &r, &i->a->why) : -1;
	int bare = found > 0 && r.count == 0 && key[0] == '@';

	if (found > 0)
		record_clear(&r);
	return bare ? 0 : found;
}

static int
set_fields(struct import *i, struct record *r, const struct import_field *fields)
{
	for (; fields->name; fields++)
		if (fields->value && record_set(r, fields->name, fields->value))
			return brimadm_refuse(i->a, TOOL_CANT, "no memory");
	return TOOL_OK;
}

int
import_record(struct import *i, const char *address, const struct import_field *fields)
{
	char key[ADDRESS_MAX + 1];
	struct record r = {0};
	struct reason fault;
	enum change_result named = change_name(i->a->change, key, address, &fault);
	int there, status;

	if (named)
		return brimadm_refuse(i->a, (enum tool_status)brimadm_status(named),
			"\"%.80s\": %.150s", address, fault.text);
	there = import_has_record(i, key);
	if (there) {
		i->there += there > 0;
		return there > 0 ? TOOL_OK : TOOL_CANT;
	}
	status = record_set_key(&r, key) ? brimadm_refuse(i->a, TOOL_CANT, "no memory")
					 : set_fields(i, &r, fields);
	if (!status)
		status = brimadm_put(i->a, &r);
	i->added += status == TOOL_OK;
	record_clear(&r);
	return status;
}

int
import_domain(struct import *i, const char *domain)
{
	char text[ADDRESS_MAX + 2], key[ADDRESS_MAX + 1];
	struct record r;
	struct reason fault;
	enum change_result named;
	int found;

	snprintf(text, sizeof text, "@%s", domain);
	named = change_name(i->a->change, key, text, &fault);
	if (named)
		return brimadm_refuse(i->a, (enum tool_status)brimadm_status(named),
			"\"%.80s\": %.150s", domain, fault.text);
	found = change_get(i->a->change, key, &r, &i->a->why);
	if (found == 0)
		return import_record(i, key, (const struct import_field[]){{0}});
	record_clear(&r);
	i->there += found > 0;
	return found > 0 ? TOOL_OK : TOOL_CANT;
}

/* The path below base=, without two '/' in a row; NULL without memory. */
static char *
whole_path(const struct import *i, const char *path)
{
	char *whole, *to;

	if (asprintf(&whole, "%s%s%s", i->base ? i->base : "", i->base ? "/" : "", path) <
		0)
		return NULL;
	to = whole;
	for (const char *p = whole; *p; p++)
		if (to == whole || *p != '/' || to[-1] != '/')
			*to++ = *p;
	*to = '\0';
	return whole;
}

int
import_check_path(const char *path, struct reason *why)
{
	if (path[0] == '\0')
		return reason_set(why, "the path is empty");
	if (path[strspn(path, "/.")] == '\0')
		return reason_set(why, "the path %.80s is no mailbox's own", path);
	for (const char *p = path; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return reason_set(why, "the path has a control byte in it");
		if (*p == ' ' && (p == path || p[-1] == '/' || p[1] == '/' || !p[1]))
			return reason_set(why,
				"the path \"%.80s\" has a blank at an end of a name",
				path);
	}
	return 0;
}

int
import_mailbox(struct import *i, const char *address, const char *path, const char *quota,
	const char *state)
{
	struct reason fault;
	char *whole;
	int status;

	if (address[0] == '@')
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: one mailbox for a whole domain: add a mailbox and set "
			"catchall= of the domain",
			address);
	if (!i->uid || !i->gid)
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: a mailbox needs the words uid= and gid=", address);
	if (import_check_path(path, &fault))
		return brimadm_refuse(
			i->a, TOOL_USAGE, "%.80s: %.200s", address, fault.text);
	if (!i->base && path[0] != '/')
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: the path %.80s needs the word base=", address, path);
	whole = whole_path(i, path);
	if (!whole)
		return brimadm_refuse(i->a, TOOL_CANT, "no memory");
	status = import_record(i, address,
		(const struct import_field[]){{"uid", i->uid}, {"gid", i->gid},
			{"mail", whole}, {"quota", quota}, {"state", state}, {0}});
	free(whole);
	return status;
}

/* The targets as a new string with single commas between; how many, or -1 without memory.
 * A domain as the target of one address is the same name in that domain (virtual(5)). */
static int
join(const char *address, const char *targets, char **joined)
{
	static const char between[] = ", \t\r\n";
	const char *at = strrchr(address, '@');
	int local = (int)(at ? at - address : (ptrdiff_t)strlen(address)), count = 0;
	size_t size;
	FILE *to = open_memstream(joined, &size);

	if (!to)
		return -1;
	for (const char *p = targets; *(p += strspn(p, between));) {
		size_t n = strcspn(p, between);

		fprintf(to, "%s%.*s%.*s", count++ ? "," : "", *p == '@' ? local : 0,
			address, (int)n, p);
		p += n;
	}
	if (fclose(to) == 0)
		return count;
	free(*joined);
	*joined = NULL;
	return -1;
}

static int
check_target(struct import *i, const char *address, const char *targets, int count)
{
	if (count == 0)
		return brimadm_refuse(i->a, TOOL_USAGE, "%.100s has no target", address);
	if (targets[strcspn(targets, "|:\"")])
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: a command, file or quoted address (%.80s) can't be "
			"carried over",
			address, targets);
	if (address[0] == '@' && count > 1)
		return brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s: a catch-all with more than one target can't be carried "
			"over",
			address);
	return TOOL_OK;
}

/* Whether the address is one of the folded targets. */
static int
has_itself(const char *address, const char *targets)
{
	char key[ADDRESS_MAX + 1];
	size_t length;

	if (address_name(key, address, NULL))
		return 0;
	length = strlen(key);
	for (const char *p = targets;; p++) {
		size_t n = strcspn(p, ",");

		if (n == length && memcmp(p, key, n) == 0)
			return 1;
		p += n;
		if (*p == '\0')
			return 0;
	}
}

int
import_alias(struct import *i, const char *address, const char *targets)
{
	char *joined = NULL, *folded = NULL;
	int count = join(address, targets, &joined),
	    status = joined ? check_target(i, address, joined, count)
			    : brimadm_refuse(i->a, TOOL_CANT, "no memory");
	int catches = address[0] == '@' && joined && joined[0] != '@';

	if (!status && !(folded = brimadm_fold(i->a, joined)))
		status = TOOL_USAGE;
	if (!status && has_itself(address, folded) && count > 1)
		status = brimadm_refuse(i->a, TOOL_USAGE,
			"%.80s keeps its mail and sends it on (%.100s), which a record "
			"can't say: leave the line out, and the rest to the MTA",
			address, folded);
	else if (!status && has_itself(address, folded))
		i->left_out++; /* leads to itself: says that the address is one */
	else if (!status)
		status = import_record(i, address,
			(const struct import_field[]){
				{catches ? "catchall" : "alias", folded}, {0}});
	free(joined);
	free(folded);
	return status;
}

/* --- words --- */

int
import_words(struct import *i, int argc, char **argv)
{
	const struct {
		const char *name;
		const char **value;
	} words[] = {{"uid=", &i->uid}, {"gid=", &i->gid}, {"base=", &i->base}};
	int left = 0;

	for (int n = 0; n < argc; n++) {
		const char **value = NULL;

		for (size_t w = 0; w < sizeof words / sizeof *words; w++)
			if (strncmp(argv[n], words[w].name, strlen(words[w].name)) == 0) {
				value = words[w].value;
				*value = argv[n] + strlen(words[w].name);
			}
		if (!value)
			argv[left++] = argv[n];
	}
	if (i->base && i->base[0] != '/')
		return reason_set(&i->a->why, "base=%.100s is no absolute path", i->base);
	if (left == 0)
		return reason_set(&i->a->why, "no file is named");
	return left;
}
