/* The name=value fields of CHECK and RESERVE. */
#include "line_fields.h"

#include <stdlib.h>
#include <string.h>

/* A plain file name, as a message in a Maildir has it. */
static int
take_name(struct room_question *q, const char *value)
{
	q->name = value;
	return *value == '\0' || *value == '.' || strlen(value) > 255 ||
			       strpbrk(value, "/:\n") != NULL
		       ? -1
		       : 0;
}

/* 16 hexadecimal digits. */
static int
take_hash(uint64_t *hash, const char *value)
{
	if (strlen(value) != 16 || strspn(value, "0123456789abcdef") != 16)
		return -1;
	*hash = strtoull(value, NULL, 16);
	return 0;
}

static int
take_place(struct room_question *q, const char *value)
{
	if (take_hash(&q->place, value) == -1)
		return -1;
	q->has_place = 1;
	return 0;
}

/* Zeros: there is no Maildir, or no new/ in it. */
static int
take_directory(struct room_question *q, const char *value)
{
	if (take_hash(&q->directory, value) == -1)
		return -1;
	q->is_missing = q->directory == 0;
	return 0;
}

/* The queue ids of the message, with commas between. */
static int
take_ids(struct room_question *q, const char *value)
{
	const char *id = value;

	for (int count = 1; count <= LEDGER_IDS; count++) {
		size_t length = strspn(id, LEDGER_ID_BYTES);

		if (length == 0 || length > LEDGER_ID_MAX)
			return -1;
		if (id[length] == '\0') {
			q->ids = value;
			return 0;
		}
		if (id[length] != ',')
			return -1;
		id += length + 1;
	}
	return -1;
}

/* The name=value fields of RESERVE. */
static const struct option {
	const char *name;
	int required;
	int (*take)(struct room_question *q, const char *value);
	const char *rule;
} options[] = {
	{"name", 1, take_name, "name= must be the name of a message's file"},
	{"place", 0, take_place, "place= must be 16 hexadecimal digits"},
	{"directory", 0, take_directory, "directory= must be 16 hexadecimal digits"},
	{"ids", 0, take_ids, "ids= must be up to 8 queue ids with commas between"},
};

_Static_assert(
	sizeof options / sizeof *options == LINE_FIELDS, "the fields that there are");

/* The number of the field's option; LINE_FIELDS if there is none of that name. */
static int
find_option(const char *field)
{
	size_t length = strcspn(field, "=");
	int i;

	for (i = 0; i < LINE_FIELDS; i++)
		if (field[length] == '=' && strlen(options[i].name) == length &&
			strncmp(options[i].name, field, length) == 0)
			break;
	return i;
}

const char *
line_fields_take(struct room_question *q, char **fields)
{
	int taken[LINE_FIELDS] = {0};

	for (; *fields != NULL; fields++) {
		int i = find_option(*fields);

		if (i == LINE_FIELDS)
			return "RESERVE has no such field";
		if (taken[i]++ || options[i].take(q, strchr(*fields, '=') + 1) == -1)
			return options[i].rule;
	}
	for (int i = 0; i < LINE_FIELDS; i++)
		if (options[i].required && !taken[i])
			return options[i].rule;
	return NULL;
}

/* Takes the field off the end of the arguments, if that is one. */
static void
take_last(struct room_question *q, char **argument, const char *name,
	int (*take)(struct room_question *q, const char *value))
{
	size_t length = strlen(name);

	while (argument[0] != NULL && argument[1] != NULL)
		argument++;
	if (*argument != NULL && strncmp(*argument, name, length) == 0 &&
		take(q, *argument + length) == 0)
		*argument = NULL;
}

void
line_fields_take_last(struct room_question *q, char **argument)
{
	take_last(q, argument, "ids=", take_ids);
	take_last(q, argument, "directory=", take_directory);
	take_last(q, argument, "place=", take_place);
}
