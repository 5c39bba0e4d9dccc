/* The commands that change one record. */
#include "brimadm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_name.h"

static int
read_key(struct brimadm *a, char key[ADDRESS_MAX + 1], const char *text)
{
	struct reason fault;
	enum change_result result = change_name(a->change, key, text, &fault);

	return result ? brimadm_refuse(a, (enum tool_status)brimadm_status(result),
				"\"%.80s\": %.200s", text, fault.text)
		      : TOOL_OK;
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
	found = change_get(a->change, key, r, &a->why);
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

/* A field that stands twice would silently be what it is last. */
static int
check_each_once(struct brimadm *a, int count, char **fields)
{
	for (int i = 1; i < count; i++) {
		size_t length = strcspn(fields[i], "=") + 1;

		for (int j = 0; j < i; j++)
			if (strncmp(fields[i], fields[j], length) == 0)
				return brimadm_refuse(a, TOOL_USAGE,
					"%.*s is given twice: %.80s and %.80s",
					length < 40 ? (int)length - 1 : 40, fields[i],
					fields[j], fields[i]);
	}
	return TOOL_OK;
}

/* Sets the fields, unless STATUS says that there is no record for them, and puts it. */
static int
put_fields(struct brimadm *a, int status, struct record *r, int count, char **fields)
{
	if (!status)
		status = check_each_once(a, count, fields);
	for (int i = 0; i < count && !status; i++)
		status = brimadm_set_field(a, r, fields[i]);
	if (!status)
		status = brimadm_put(a, r);
	record_clear(r);
	return status;
}

int
brimadm_add(struct brimadm *a, int argc, char **argv)
{
	struct record r;

	return put_fields(a, get_new(a, argv[0], &r), &r, argc - 1, argv + 1);
}

int
brimadm_set(struct brimadm *a, int argc, char **argv)
{
	struct record r;

	return put_fields(a, get(a, argv[0], &r), &r, argc - 1, argv + 1);
}

int
brimadm_remove(struct brimadm *a, int argc, char **argv)
{
	char key[ADDRESS_MAX + 1];
	int status = read_key(a, key, argv[0]);

	(void)argc;
	if (!status)
		status = brimadm_status(change_remove(a->change, key, &a->why));
	return status;
}

/* --- alias --- */

/* A domain can be an alias of another, no more. */
static int
get_alias(struct brimadm *a, const char *text, const char *target, struct record *r)
{
	int status = get(a, text, r);

	if (status == TOOL_NO)
		status = get_new(a, text, r);
	else if (!status && mailbox_kind_of(r) == MAILBOX_KIND_MAILBOX)
		status = brimadm_refuse(a, TOOL_USAGE,
			"%.100s is a mailbox: remove it before it can be an alias",
			r->key);
	if (!status && r->key[0] == '@' && target[0] != '@')
		status = brimadm_refuse(a, TOOL_USAGE,
			"%.80s is a domain: brimadm set %.80s catchall=ADDRESS, or "
			"brimadm alias %.80s @DOMAIN",
			r->key, r->key, r->key);
	return status;
}

int
brimadm_alias(struct brimadm *a, int argc, char **argv)
{
	struct record r;
	int status = get_alias(a, argv[0], argv[1], &r);
	char *targets = status ? NULL : brimadm_fold(a, argv[1]);

	(void)argc;
	if (!status && !targets)
		status = TOOL_USAGE;
	if (!status && record_set(&r, "alias", targets))
		status = brimadm_refuse(a, TOOL_CANT, "no memory");
	if (!status)
		status = brimadm_put(a, &r);
	free(targets);
	record_clear(&r);
	return status;
}

/* --- states --- */

/* STATE NULL is the ordinary one. */
static int
set_state(struct brimadm *a, const char *text, const char *state, const char *moved_to)
{
	struct record r;
	int status = get(a, text, &r);

	if (!status && mailbox_kind_of(&r) != MAILBOX_KIND_MAILBOX)
		status = brimadm_refuse(a, TOOL_USAGE, "%.100s is not a mailbox", r.key);
	if (!status &&
		(record_set(&r, "state", state) || record_set(&r, "moved_to", moved_to)))
		status = brimadm_refuse(a, TOOL_CANT, "no memory");
	if (!status)
		status = brimadm_put(a, &r);
	record_clear(&r);
	return status;
}

int
brimadm_state(struct brimadm *a, int argc, char **argv)
{
	static const struct {
		const char *command, *state;
	} states[] = {
		{"enable", NULL},
		{"disable", "disabled"},
		{"suspend", "suspended"},
	};

	(void)argc;
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(states[i].command, a->command->name) == 0)
			return set_state(a, argv[0], states[i].state, NULL);
	return brimadm_refuse(a, TOOL_USAGE, "%s sets no state", a->command->name);
}

int
brimadm_move(struct brimadm *a, int argc, char **argv)
{
	char old[ADDRESS_MAX + 1], new[ADDRESS_MAX + 1];
	int status = read_key(a, old, argv[0]);
	struct reason fault;

	(void)argc;
	if (status)
		return status;
	if (address_name(new, argv[1], &fault))
		return brimadm_refuse(
			a, TOOL_USAGE, "\"%.80s\": %.200s", argv[1], fault.text);
	if (!strchr(new, '@') || new[0] == '@')
		return brimadm_refuse(a, TOOL_USAGE,
			"the new address \"%.100s\" must be whole, as name@example.org",
			new);
	if (strcmp(old, new) == 0)
		return brimadm_refuse(a, TOOL_USAGE, "%.100s is the old address", new);
	return set_state(a, old, "moved", new);
}
