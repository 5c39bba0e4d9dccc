/*
 * JSON holds UTF-8 alone, and what the tools show may be any bytes. A name is written so
 * that it can be read back: UTF-8 as it is, another byte as %XX, and % always as %25.
 *
 * A number may be any of 64 bits; Jansson has those of 63. A larger one is kept as a
 * string that begins with a NUL, which no text does, and printed as the number it is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"
#include "tool.h"

/* How many bytes of a code point stand there, 1 to 4; 0 where it is none (RFC 3629: no
 * surrogate, nothing beyond U+10FFFF, no form longer than need be). */
static size_t
code_point(const unsigned char *t)
{
	size_t n = t[0] < 0x80   ? 1
		   : t[0] < 0xc2 ? 0
		   : t[0] < 0xe0 ? 2
		   : t[0] < 0xf0 ? 3
		   : t[0] < 0xf5 ? 4
				 : 0;

	for (size_t i = 1; i < n; i++)
		if ((t[i] & 0xc0) != 0x80)
			return 0;
	if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) ||
		(t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] > 0x8f))
		return 0;
	return n;
}

/* TEXT as UTF-8, a new string: what is none, and the bytes of ESCAPED, are %XX. */
static char *
make_utf8(const char *text, char escaped)
{
	char *result = malloc(3 * strlen(text) + 1), *to = result;

	while (to && *text) {
		size_t n = *text == escaped ? 0 : code_point((const unsigned char *)text);

		if (n == 0) {
			to += snprintf(
				to, sizeof "%XX", "%%%02X", (unsigned char)*text++);
			continue;
		}
		memcpy(to, text, n);
		to += n;
		text += n;
	}
	if (to)
		*to = '\0';
	return result;
}

static json_t *
take_string(char *utf8)
{
	json_t *value = utf8 ? json_string(utf8) : NULL;

	free(utf8);
	return value;
}

char *
tool_json_escape(const char *name)
{
	return make_utf8(name, '%');
}

json_t *
tool_json_name(const char *name)
{
	return take_string(tool_json_escape(name));
}

json_t *
tool_json_text(const char *text)
{
	return take_string(make_utf8(text, '\0'));
}

json_t *
tool_json_number(uint64_t n)
{
	char digits[24] = "";

	if (n <= INT64_MAX)
		return json_integer((json_int_t)n);
	return json_stringn(digits,
		1 + (size_t)snprintf(digits + 1, sizeof digits - 1, "%" PRIu64, n));
}

/* Prints the JSON text, large numbers without what stands around them. */
static void
print_numbers(const char *text)
{
	static const char before[] = "\"\\u0000";
	const char *large;

	while ((large = strstr(text, before))) {
		const char *digits = large + strlen(before);
		const size_t length = strspn(digits, "0123456789");

		printf("%.*s%.*s", (int)(large - text), text, (int)length, digits);
		text = digits + length + 1;
	}
	fputs(text, stdout);
}

static void
dump(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;

	/* a failed write is told by tool_finish */
	if (text)
		print_numbers(text);
	free(text);
	json_decref(value);
}

void
tool_json_print(json_t *value)
{
	dump(value);
	putchar('\n');
}

void
tool_json_item(json_t *value, size_t *count)
{
	fputs((*count)++ ? ",\n" : "[\n", stdout);
	dump(value);
}

void
tool_json_end(size_t count)
{
	fputs(count ? "\n]\n" : "[]\n", stdout);
}
