/* Records: the one text form, read and written. */
#include "record.h"

#include <stdlib.h>
#include <string.h>

#include "amount.h"

#define FIELDS_AT_ONCE 8

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int
record_unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (*p != '%') {
			*to++ = *p;
			continue;
		}
		int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);

		if (low < 0 || (high == 0 && low == 0))
			return -1;
		*to++ = (char)(high << 4 | low);
		p += 2;
	}
	*to = '\0';
	return 0;
}

static int
needs_escape(char c)
{
	return c < '!' || c > '~' || c == '%';
}

static char *
put_escaped(char *to, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++) {
		if (needs_escape(*text)) {
			*to++ = '%';
			*to++ = hex[(unsigned char)*text >> 4];
			*to++ = hex[(unsigned char)*text & 15];
		} else {
			*to++ = *text;
		}
	}
	return to;
}

char *
record_escape(const char *text)
{
	char *line = malloc(3 * strlen(text) + 1);

	if (line)
		*put_escaped(line, text) = '\0';
	return line;
}

void
record_clear(struct record *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->fields[i].name);
	free(r->fields);
	free(r->key);
	memset(r, 0, sizeof *r);
}

static struct record_field *
find_field(const struct record *r, const char *name)
{
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->fields[i].name, name) == 0)
			return &r->fields[i];
	return NULL;
}

static int
valid_name(const char *name)
{
	const char *c = name;

	while ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_')
		c++;
	return c > name && *c == '\0';
}

static void
remove_field(struct record *r, struct record_field *f)
{
	free(f->name);
	r->count--;
	memmove(f, f + 1, (size_t)(r->fields + r->count - f) * sizeof *f);
}

/* A copy of both in one piece, which the name begins: 0, or -1 without memory. */
static int
copy_field(struct record_field *f, const char *name, const char *value)
{
	size_t length = strlen(name) + 1, size = strlen(value) + 1;
	char *copy = malloc(length + size);

	if (!copy)
		return -1;
	memcpy(copy, name, length);
	memcpy(copy + length, value, size);
	f->name = copy;
	f->value = copy + length;
	return 0;
}

static int
add_field(struct record *r, const char *name, const char *value)
{
	struct record_field *grown;

	/* room for so many fields at a time */
	if (r->count % FIELDS_AT_ONCE == 0) {
		grown = reallocarray(r->fields, r->count + FIELDS_AT_ONCE, sizeof *grown);
		if (!grown)
			return -1;
		r->fields = grown;
	}
	if (copy_field(&r->fields[r->count], name, value))
		return -1;
	r->count++;
	return 0;
}

const char *
record_get(const struct record *r, const char *name)
{
	const struct record_field *f = find_field(r, name);

	return f ? f->value : NULL;
}

int
record_number(const struct record *r, const char *name, uint64_t fallback, uint64_t *n)
{
	const char *value = record_get(r, name);

	*n = fallback;
	return value ? amount_count(value, n, NULL) : 0;
}

int
record_set(struct record *r, const char *name, const char *value)
{
	struct record_field *f = find_field(r, name), old;

	if (!value) {
		if (f)
			remove_field(r, f);
		return 0;
	}
	if (!f)
		return valid_name(name) ? add_field(r, name, value) : -1;
	old = *f;
	if (copy_field(f, name, value))
		return -1;
	free(old.name);
	return 0;
}

int
record_set_number(struct record *r, const char *name, uint64_t n)
{
	char digits[AMOUNT_SIZE];

	amount_put(digits, n);
	return record_set(r, name, digits);
}

int
record_set_key(struct record *r, const char *key)
{
	char *copy = strdup(key);

	if (!copy)
		return -1;
	free(r->key);
	r->key = copy;
	return 0;
}

int
record_copy(struct record *to, const struct record *from)
{
	record_clear(to);
	if (from->key && record_set_key(to, from->key))
		return -1;
	for (size_t i = 0; i < from->count; i++)
		if (add_field(to, from->fields[i].name, from->fields[i].value)) {
			record_clear(to);
			return -1;
		}
	return 0;
}

/* One word of a line, decoded; COLUMN is for the reason. */
static int
take_field(struct record *r, char *word, size_t column, struct reason *why)
{
	char *equals = strchr(word, '=');

	if (!equals)
		return reason_set(
			why, "column %zu: \"%.60s\" is not name=value", column, word);
	*equals = '\0';
	if (!valid_name(word))
		return reason_set(
			why, "column %zu: \"%.60s\" is not a field's name", column, word);
	if (find_field(r, word))
		return reason_set(
			why, "column %zu: the field %s is given twice", column, word);
	if (record_unescape(equals + 1))
		return reason_set(why, "column %zu: %s has a bad %%XX", column, word);
	return add_field(r, word, equals + 1) ? reason_set(why, "no memory") : 0;
}

static int
take_key(struct record *r, char *word, struct reason *why)
{
	if (record_unescape(word))
		return reason_set(why, "column 1: the key has a bad %%XX");
	return record_set_key(r, word) ? reason_set(why, "no memory") : 0;
}

/* Takes the line apart in place. */
static int
take_words(struct record *r, char *line, int with_key, struct reason *why)
{
	for (char *word = line, *next; word; word = next) {
		size_t column = (size_t)(word - line) + 1;

		next = strchr(word, ' ');
		if (next)
			*next++ = '\0';
		if (*word == '\0')
			return reason_set(why, "column %zu: a word is missing", column);
		if (with_key && word == line ? take_key(r, word, why)
					     : take_field(r, word, column, why))
			return -1;
	}
	return 0;
}

static int
check_line(const char *line, size_t length, struct reason *why)
{
	if (length > RECORD_LINE_MAX)
		return reason_set(
			why, "the line is longer than %d bytes", RECORD_LINE_MAX);
	for (size_t i = 0; i < length; i++)
		if (line[i] < ' ' || line[i] > '~')
			return reason_set(why,
				"column %zu: a byte that must be written %%XX", i + 1);
	return 0;
}

int
record_parse(struct record *r, const char *line, size_t length, int with_key,
	struct reason *why)
{
	char copy[RECORD_LINE_MAX + 1];

	memset(r, 0, sizeof *r);
	if (check_line(line, length, why))
		return -1;
	if (length == 0)
		return with_key ? reason_set(why, "the line is empty") : 0;
	memcpy(copy, line, length);
	copy[length] = '\0';
	if (take_words(r, copy, with_key, why)) {
		record_clear(r);
		return -1;
	}
	return 0;
}

char *
record_format(const struct record *r)
{
	size_t size = 1 + (r->key ? 3 * strlen(r->key) + 1 : 0);
	char *line, *to;

	for (size_t i = 0; i < r->count; i++)
		size += strlen(r->fields[i].name) + 3 * strlen(r->fields[i].value) + 2;
	line = to = malloc(size);
	if (!line)
		return NULL;
	if (r->key && r->key[0] == '#') /* a line that begins so is a comment */
		to = put_escaped(stpcpy(to, "%23"), r->key + 1);
	else if (r->key)
		to = put_escaped(to, r->key);
	for (size_t i = 0; i < r->count; i++) {
		if (to > line)
			*to++ = ' ';
		to = stpcpy(to, r->fields[i].name);
		*to++ = '=';
		to = put_escaped(to, r->fields[i].value);
	}
	*to = '\0';
	return line;
}
