/* The commands that change one record. */
#include "brimadm.h"

#include <stdlib.h>
#include <string.h>

static int
read_key(struct brimadm *a, char key[ADDRESS_MAX + 1], const char *text)
{
	struct reason fault;

	if (address_key(key, text, &fault) == 0)
		return TOOL_OK;
	return brimadm_refuse(a, TOOL_USAGE, "\"%.80s\": %.200s", text, fault.text);
}

/* Gets the record that must be there; TOOL_NO if it is not. */
static int
get(struct brimadm *a, const char *text, struct record *r)
{
	char key[ADDRESS_MAX + 1];
	int found, status = read_key(a, key, text);

	memset(r, 0, sizeof *r);
	if (status)
		return status;
	found = users_edit_get(a->edit, key, r, &a->why);
	if (found < 0)
		return TOOL_CANT;
	return found ? TOOL_OK
		     : brimadm_refuse(a, TOOL_NO, "%.100s is not in the table", key);
}

/* An empty record of that key; refused if there is one. */
static int
get_new(struct brimadm *a, const char *text, struct record *r)
{
	int status = get(a, text, r);
	char key[ADDRESS_MAX + 1];

	if (status == TOOL_OK)
		return brimadm_refuse(a, TOOL_USAGE,
			"%.100s is in the table already: change it with brimadm set",
			r->key);
	if (status != TOOL_NO)
		return status;
	read_key(a, key, text);
	return record_set_key(r, key) ? brimadm_refuse(a, TOOL_CANT, "no memory")
				      : TOOL_OK;
}

static int
set_fields(struct brimadm *a, struct record *r, int count, char **words)
{
	int status = TOOL_OK;

	for (int i = 0; i < count && !status; i++)
		status = brimadm_set_field(a, r, words[i]);
	return status;
}

int
brimadm_add(struct brimadm *a, int argc, char **argv)
{
	struct record r;
	int status = get_new(a, argv[0], &r);

	if (!status)
		status = set_fields(a, &r, argc - 1, argv + 1);
	if (!status)
		status = brimadm_store(a, &r);
	record_clear(&r);
	return status;
}

int
brimadm_set(struct brimadm *a, int argc, char **argv)
{
	struct record r;
	int status = get(a, argv[0], &r);

	if (!status)
		status = set_fields(a, &r, argc - 1, argv + 1);
	if (!status)
		status = brimadm_store(a, &r);
	record_clear(&r);
	return status;
}

/* --- remove ----------------------------------------------------------------------------
 */

struct search {
	const char *domain; /* with its '@' */
	char found[ADDRESS_MAX + 1];
};

static int
lies_in_domain(void *arg, const struct record *r)
{
	struct search *s = arg;
	const char *at = strrchr(r->key, '@');

	if (!at || at == r->key || strcmp(at, s->domain) != 0)
		return 0;
	strcpy(s->found, r->key);
	return 1;
}

/* A domain is not removed from under its addresses: mail for others in it, which bounces
 * now, would wait instead. */
static int
check_empty_domain(struct brimadm *a, const char *key)
{
	struct search s = {.domain = key};
	int found = users_edit_each(a->edit, "", lies_in_domain, &s, &a->why);

	if (found < 0)
		return TOOL_CANT;
	if (found)
		return brimadm_refuse(a, TOOL_USAGE,
			"%.80s still has addresses, such as %.80s: remove them first",
			key, s.found);
	return TOOL_OK;
}

int
brimadm_remove(struct brimadm *a, int argc, char **argv)
{
	struct record r;
	int status = get(a, argv[0], &r);

	(void)argc;
	if (!status && mailbox_kind_of(&r) == MAILBOX_KIND_DOMAIN)
		status = check_empty_domain(a, r.key);
	if (!status && users_edit_remove(a->edit, r.key, &a->why) < 0)
		status = TOOL_CANT;
	a->removed = 1;
	record_clear(&r);
	return status;
}

/* --- alias -----------------------------------------------------------------------------
 */

static int
get_alias(struct brimadm *a, const char *text, struct record *r)
{
	int status = get(a, text, r);

	if (status == TOOL_NO)
		status = get_new(a, text, r);
	else if (!status && mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX)
		status = brimadm_refuse(a, TOOL_USAGE,
			"%.100s is a mailbox: remove it before it can be an alias",
			r->key);
	if (!status && mailbox_kind_of(r) == MAILBOX_KIND_DOMAIN)
		status = brimadm_refuse(a, TOOL_USAGE,
			"%.80s is a domain: brimadm set %.80s catchall=ADDRESS", r->key,
			r->key);
	return status;
}

int
brimadm_alias(struct brimadm *a, int argc, char **argv)
{
	struct record r;
	int status = get_alias(a, argv[0], &r);
	char *targets = status ? NULL : brimadm_fold(a, argv[1]);

	(void)argc;
	if (!status && !targets)
		status = TOOL_USAGE;
	if (!status && record_set(&r, "alias", targets))
		status = brimadm_refuse(a, TOOL_CANT, "no memory");
	if (!status)
		status = brimadm_store(a, &r);
	free(targets);
	record_clear(&r);
	return status;
}

/* --- states ----------------------------------------------------------------------------
 */

/* STATE NULL is the ordinary one. */
static int
change_state(struct brimadm *a, const char *text, const char *state, const char *moved_to)
{
	struct record r;
	int status = get(a, text, &r);

	if (!status && mailbox_kind_of(&r) != MAILBOX_KIND_MAILBOX)
		status = brimadm_refuse(a, TOOL_USAGE, "%.100s is not a mailbox", r.key);
	if (!status &&
		(record_set(&r, "state", state) || record_set(&r, "moved_to", moved_to)))
		status = brimadm_refuse(a, TOOL_CANT, "no memory");
	if (!status)
		status = brimadm_store(a, &r);
	record_clear(&r);
	return status;
}

int
brimadm_enable(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	return change_state(a, argv[0], NULL, NULL);
}

int
brimadm_disable(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	return change_state(a, argv[0], "disabled", NULL);
}

int
brimadm_suspend(struct brimadm *a, int argc, char **argv)
{
	(void)argc;
	return change_state(a, argv[0], "suspended", NULL);
}

int
brimadm_move(struct brimadm *a, int argc, char **argv)
{
	char old[ADDRESS_MAX + 1], new[ADDRESS_MAX + 1];
	int status = read_key(a, old, argv[0]);

	(void)argc;
	if (!status)
		status = read_key(a, new, argv[1]);
	if (status)
		return status;
	if (!strchr(new, '@') || new[0] == '@')
		return brimadm_refuse(a, TOOL_USAGE,
			"the new address \"%.100s\" must be whole, as name@example.org",
			new);
	if (strcmp(old, new) == 0)
		return brimadm_refuse(a, TOOL_USAGE, "%.100s is the old address", new);
	return change_state(a, old, "moved", new);
}
