/* A list of senders: a set of canonical keys, "name@domain", "@domain" and ".domain". */
#include "sender_list.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "conf.h"
#include "hash.h"

#define BLANKS " \t\r"

struct sender_list {
	struct hash keys;
};

/* --- reading ---------------------------------------------------------------------- */

/* Where a comment begins: at the line's begin, or behind a blank, since a name may have a
 * # in it. */
static void
cut_comment(char *line)
{
	for (char *p = strchr(line, '#'); p; p = strchr(p + 1, '#'))
		if (p == line || strchr(BLANKS, p[-1])) {
			*p = '\0';
			return;
		}
}

static char *
trim(char *text)
{
	size_t length;

	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length && strchr(BLANKS, text[length - 1]))
		text[--length] = '\0';
	return text;
}

/* What people write that means something else, or nobody, elsewhere; and two lines in
 * one, where the first had no end when the second was appended. */
static int
check_form(const char *entry, struct reason *why)
{
	if (strcmp(entry, "<>") == 0 || strcmp(entry, "\"\"") == 0)
		return reason_set(why,
			"the null sender can't be blocked: bounces and reports have it");
	if (entry[0] == '*' && (entry[1] == '@' || entry[1] == '.'))
		return reason_set(why, "* stands for nothing here: write %.80s",
			strpbrk(entry, "@."));
	if (entry[0] != '.' && !strchr(entry, '@'))
		return reason_set(why,
			"\"%.80s\" has no @: write name@example.org, or @%.80s for a "
			"domain",
			entry, entry);
	if (entry[0] != '"' && strchr(entry, '@') != strrchr(entry, '@'))
		return reason_set(why,
			"\"%.80s\" has more than one @: a line is one sender", entry);
	return 0;
}

/* KEY has ADDRESS_MAX + 1 bytes. */
static int
entry_key(char *key, char *entry, struct reason *why)
{
	const int is_below = entry[0] == '.';

	if (check_form(entry, why))
		return -1;
	if (is_below)
		entry[0] = '@';
	if (address_check(entry, why) || address_key(key, entry, why))
		return -1;
	if (is_below)
		key[0] = '.';
	return 0;
}

static int
take_line(struct sender_list *l, char *line, struct reason *why)
{
	char key[ADDRESS_MAX + 1], *entry;

	cut_comment(line);
	entry = trim(line);
	if (*entry == '\0')
		return 0;
	if (entry_key(key, entry, why))
		return -1;
	return hash_add(&l->keys, key, strlen(key), NULL) < 0
		       ? reason_set(why, "no memory")
		       : 0;
}

static int
take_text(struct sender_list *l, const char *path, char *text, size_t size,
	struct reason *why)
{
	struct reason fault;
	unsigned number = 1;

	if (strlen(text) != size)
		return reason_set(why, "%s: a NUL byte is in it: take that out", path);
	if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;
	for (char *line; (line = strsep(&text, "\n")); number++)
		if (take_line(l, line, &fault))
			return reason_set(
				why, "%s line %u: %s", path, number, fault.text);
	return 0;
}

struct sender_list *
sender_list_read(const char *path, struct reason *why)
{
	size_t size;
	char *text = conf_read_file(path, &size, why);
	struct sender_list *l = text ? calloc(1, sizeof *l) : NULL;
	int result = -1;

	if (text && (!l || hash_init(&l->keys, NULL))) {
		reason_no_memory(why, path);
		free(l);
		l = NULL;
	}
	if (l)
		result = take_text(l, path, text, size, why);
	if (result)
		sender_list_free(&l);
	free(text);
	return l;
}

void
sender_list_free(struct sender_list **l)
{
	if (*l) {
		hash_free(&(*l)->keys);
		free(*l);
	}
	*l = NULL;
}

/* --- asking ----------------------------------------------------------------------- */

size_t
sender_list_count(const struct sender_list *l)
{
	return l->keys.count;
}

static int
has(const struct sender_list *l, const char *key)
{
	return hash_has(&l->keys, key, strlen(key));
}

/* The key of an address, whose domain may be written as an absolute one: 0, -1. */
static int
absolute_key(char key[ADDRESS_MAX + 1], const char *address)
{
	char text[ADDRESS_MAX + 1];
	size_t length = strlen(address);

	if (length > ADDRESS_MAX)
		return -1;
	memcpy(text, address, length + 1);
	if (length && text[length - 1] == '.')
		text[length - 1] = '\0';
	return address_key(key, text, NULL);
}

/* The domain is looked for by itself: a name of any length or kind may stand before it.
 */
int
sender_list_has(const struct sender_list *l, const char *sender)
{
	const char *at = address_domain_key(sender);
	char key[ADDRESS_MAX + 1];

	if (!at)
		return 0;
	if (absolute_key(key, sender) == 0 && has(l, key))
		return 1;
	if (absolute_key(key, at))
		return 0;
	if (has(l, key))
		return 1;
	key[0] = '.';
	for (const char *p = key; p; p = strchr(p + 1, '.'))
		if (has(l, p))
			return 1;
	return 0;
}
