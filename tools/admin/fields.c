/* Values of fields as people write and read them. */
#include "brimadm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address_name.h"

static const char *
field_name(size_t i)
{
	return mailbox_field_at(i) ? mailbox_field_at(i)->name : NULL;
}

static const struct mailbox_field *
known_field(struct brimadm *a, const char *name)
{
	const struct mailbox_field *f = mailbox_field(name);
	const char *near = f ? NULL : tool_nearest(name, field_name);

	if (!f)
		brimadm_refuse(a, TOOL_USAGE,
			near ? "there is no field \"%.40s\"; do you mean %s?"
			     : "there is no field \"%.40s\"; see brimadm --help%s",
			name, near ? near : "");
	return f;
}

/* Appends the address, folded and trimmed. */
static int
fold_one(struct brimadm *a, FILE *to, const char *text, size_t length)
{
	char one[ADDRESS_MAX + 2], key[ADDRESS_MAX + 1];

	while (length && text[0] == ' ') {
		text++;
		length--;
	}
	while (length && text[length - 1] == ' ')
		length--;
	if (length >= sizeof one)
		length = sizeof one - 1;
	memcpy(one, text, length);
	one[length] = '\0';
	if (address_name(key, one, &a->why))
		return -1;
	fputs(key, to);
	return 0;
}

char *
brimadm_fold(struct brimadm *a, const char *addresses)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	int result = to ? 0 : reason_set(&a->why, "no memory");

	for (const char *p = addresses; !result; p++) {
		size_t length = strcspn(p, ",");

		result = fold_one(a, to, p, length);
		p += length;
		if (*p == '\0')
			break;
		fputc(',', to);
	}
	if (to && fclose(to))
		result = reason_set(&a->why, "no memory");
	if (result == 0)
		return text;
	free(text);
	return NULL;
}

/* The value in the form that the table holds, as a new string; NULL with the reason. */
static char *
table_form(struct brimadm *a, const struct mailbox_field *f, const char *value)
{
	uint64_t n;
	char *text = NULL;

	switch (f->type) {
	case MAILBOX_FIELD_SIZE:
		if (amount_size(value, &n, &a->why))
			return NULL;
		if (asprintf(&text, "%llu", (unsigned long long)n) < 0)
			text = NULL;
		break;
	case MAILBOX_FIELD_ADDRESS:
	case MAILBOX_FIELD_WHOLE_ADDRESS:
	case MAILBOX_FIELD_ADDRESSES:
		return brimadm_fold(a, value);
	default:
		text = strdup(value);
	}
	if (!text)
		reason_set(&a->why, "no memory");
	return text;
}

int
brimadm_set_field(struct brimadm *a, struct record *r, const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	const struct mailbox_field *f;
	char *name, *value = NULL;
	struct reason fault;
	int status = TOOL_USAGE;

	if (!equals)
		return brimadm_refuse(
			a, TOOL_USAGE, "\"%.80s\" is not FIELD=VALUE", assignment);
	name = strndup(assignment, (size_t)(equals - assignment));
	f = name ? known_field(a, name) : NULL;
	if (f && equals[1])
		value = table_form(a, f, equals + 1);
	fault = a->why;
	if (f && equals[1] && !value)
		brimadm_refuse(
			a, TOOL_USAGE, "%.80s: %s: %.180s", r->key, f->name, fault.text);
	else if (f)
		status = record_set(r, name, value) ? TOOL_CANT : TOOL_OK;
	free(value);
	free(name);
	return status;
}

const char *
brimadm_show_field(const char *name, const char *value, char buf[AMOUNT_SIZE])
{
	const struct mailbox_field *f = mailbox_field(name);
	uint64_t n;

	if (f && f->type == MAILBOX_FIELD_SIZE && amount_count(value, &n, NULL) == 0)
		return n ? amount_exact(n, buf) : "0";
	return value;
}

static json_t *
json_value(const struct record_field *f)
{
	const struct mailbox_field *known = mailbox_field(f->name);
	uint64_t n;

	if (known &&
		(known->type == MAILBOX_FIELD_ID || known->type == MAILBOX_FIELD_SIZE ||
			known->type == MAILBOX_FIELD_COUNT) &&
		amount_count(f->value, &n, NULL) == 0)
		return tool_json_number(n);
	return tool_json_name(f->value);
}

json_t *
brimadm_json(const struct record *r)
{
	json_t *object = json_object();

	json_object_set_new(object, "address", tool_json_name(r->key));
	for (size_t i = 0; i < r->count; i++)
		json_object_set_new(object, r->fields[i].name, json_value(&r->fields[i]));
	return object;
}
