/* Attributes. */
#include "policy_request.h"

#include <string.h>

#include "address.h"
#include "amount.h"

/* --- where it ends ---------------------------------------------------------------- */

static int
has_name_and_value(const char *line, size_t length)
{
	return length > 1 && line[0] != '=' && memchr(line, '=', length) != NULL;
}

/* Each line, up to the empty one. */
static int
is_sound(const char *bytes, size_t length)
{
	const char *end = bytes + length - 1;

	if (memchr(bytes, '\0', length) != NULL)
		return 0;
	while (bytes < end) {
		const char *line_end = memchr(bytes, '\n', (size_t)(end - bytes));

		if (!has_name_and_value(bytes, (size_t)(line_end - bytes)))
			return 0;
		bytes = line_end + 1;
	}
	return 1;
}

ssize_t
policy_request_length(const char *bytes, size_t length)
{
	const size_t most =
		length < POLICY_REQUEST_MAX ? length : (size_t)POLICY_REQUEST_MAX;
	const char *end = memmem(bytes, most, "\n\n", 2);

	if (length > 0 && bytes[0] == '\n')
		return -1;
	if (end == NULL)
		return length >= POLICY_REQUEST_MAX ? -1 : 0;
	length = (size_t)(end - bytes) + 2;
	return is_sound(bytes, length) ? (ssize_t)length : -1;
}

/* --- what it says ----------------------------------------------------------------- */

enum type { TEXT, NUMBER };

#define AT(member) offsetof(struct policy_request, member)

static const struct attribute {
	const char *name;
	enum type type;
	size_t offset;
} attributes[] = {
	{"request", TEXT, AT(request)},
	{"protocol_state", TEXT, AT(state)},
	{"sender", TEXT, AT(sender)},
	{"recipient", TEXT, AT(recipient)},
	{"recipient_count", NUMBER, AT(recipients)},
	{"instance", TEXT, AT(instance)},
	{"size", NUMBER, AT(bytes)},
	{"sasl_username", TEXT, AT(login)},
	{"queue_id", TEXT, AT(queue_id)},
	{"client_address", TEXT, AT(client)},
};

/* What is larger than 64 bits have is as large as can be. An empty one is not told. */
static int
take_number(uint64_t *n, const char *value)
{
	const size_t length = strlen(value);

	*n = 0;
	if (strspn(value, "0123456789") != length)
		return -1;
	if (length > 0 && amount_count(value, n, NULL) == -1)
		*n = UINT64_MAX;
	return 0;
}

static void
take(struct policy_request *q, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
		const struct attribute *a = &attributes[i];
		void *at = (char *)q + a->offset;

		if (a->name[0] != name[0] || strcmp(a->name, name) != 0)
			continue;
		if (a->type == TEXT)
			*(const char **)at = value;
		else if (take_number(at, value) == -1)
			q->no_number = a->name;
	}
}

void
policy_request_read(struct policy_request *q, char *text)
{
	*q = (struct policy_request){0};
	while (text[0] != '\n' && text[0] != '\0') {
		char *value = strchr(text, '=');
		char *end = strchr(value, '\n');

		*value++ = '\0';
		*end = '\0';
		take(q, text, value);
		if (value == q->recipient)
			address_drop_last_dot(value);
		text = end + 1;
	}
}
