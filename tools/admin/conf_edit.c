/* Lines of brim.conf, by their form alone: conf.h knows what they mean. */
#include "conf_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/quote.h"

/* Whether the line sets the setting. */
static int
is_setting(const char *line, const char *name)
{
	if (strncmp(line, name, strlen(name)) != 0)
		return 0;
	line += strlen(name);
	return line[strspn(line, " \t")] == '=';
}

enum line { NEITHER, CONTINUES, BEGINS };

/* What a line is to the setting before it; comments and empty ones are neither. */
static enum line
kind_of(const char *line)
{
	size_t blanks = strspn(line, " \t");

	if (strchr("#\r\n", line[blanks]))
		return NEITHER;
	return blanks ? CONTINUES : BEGINS;
}

/* A value that begins with ';' would be a comment behind a blank. */
static const char *
blank_before(const char *value)
{
	return strchr(";", value[0]) ? "" : " ";
}

/* --- a text ------------------------------------------------------------------------- */

static void
print_edited(FILE *to, const char *text, const char *name, const char *value)
{
	enum { BEFORE, WITHIN, BEHIND } place = BEFORE;
	const char *end;

	for (; *text; text = end) {
		enum line kind = kind_of(text);

		end = text + strcspn(text, "\n");
		end += *end == '\n';
		if (place == BEFORE && is_setting(text, name)) {
			place = WITHIN;
			fprintf(to, "%s =%s%s\n", name, blank_before(value), value);
			continue;
		}
		if (place == WITHIN && kind == BEGINS)
			place = BEHIND;
		if (place == WITHIN && kind == CONTINUES)
			continue;
		fwrite(text, 1, (size_t)(end - text), to);
		if (end[-1] != '\n')
			fputc('\n', to);
	}
	if (place == BEFORE)
		fprintf(to, "\n%s =%s%s\n", name, blank_before(value), value);
}

char *
conf_edit_text(const char *text, size_t *length, const char *name, const char *value)
{
	char *edited = NULL;
	FILE *to = open_memstream(&edited, length);

	if (!to)
		return NULL;
	print_edited(to, text, name, value);
	if (fclose(to) == 0)
		return edited;
	free(edited);
	return NULL;
}

int
conf_edit_has(const char *text, const char *name)
{
	for (; *text && !is_setting(text, name); text += *text == '\n')
		text += strcspn(text, "\n");
	return *text != '\0';
}

/* --- a command ---------------------------------------------------------------------- */

char *
conf_edit_command(const char *file, const char *name, const char *value)
{
	char *script = NULL, *word = NULL, *path = NULL, *command = NULL;
	const char *odd = value ? value + strcspn(value, "|&\\\n") : "";
	int n;

	if (*odd)
		return NULL;
	n = value ? asprintf(&script,
			    "/^%s[[:blank:]]*=/,/^[^[:blank:]#]/{s|^%s[[:blank:]]*=.*|"
			    "%s =%s%s|;/^[[:blank:]]+[^[:blank:]#]/d}",
			    name, name, name, blank_before(value), value)
		  : asprintf(&script,
			    "/^%s[[:blank:]]*=/,/^[^[:blank:]#]/{/^%s[[:blank:]]*=/d;"
			    "/^[[:blank:]]+[^[:blank:]#]/d}",
			    name, name);
	if (n >= 0 && (word = quote_word(script)) && (path = quote_word(file)) &&
		asprintf(&command, "sed -E -i %s %s", word, path) < 0)
		command = NULL;
	if (n >= 0)
		free(script);
	free(word);
	free(path);
	return command;
}
