/* The forms of syslog, of the journal, of containers, and of the mail servers' own log
 * files, taken apart in place. */
#include "log_line.h"

#include <ctype.h>
#include <string.h>

#define DIGITS    "0123456789"
#define LENGTH(s) (sizeof(s) - 1)

/* Whether the text begins like the pattern, in which 0 is a digit, a a letter, and _ any
 * byte. */
static int
begins_like(const char *text, const char *pattern)
{
	for (; *pattern; text++, pattern++) {
		const unsigned char byte = (unsigned char)*text;

		if (!byte || (*pattern == '0' && !isdigit(byte)) ||
			(*pattern == 'a' && !isalpha(byte)) ||
			(!strchr("0a_", *pattern) && *pattern != *text))
			return 0;
	}
	return 1;
}

/* The length of the time in front, with a fraction and a zone; 0 without one. */
static size_t
time_length(const char *line)
{
	static const struct {
		const char *form, *zone;
	} times[] = {{"aaa _0 00:00:00", ""},         /* syslog's */
		{"0000-00-00T00:00:00", ""},          /* RFC 3339 */
		{"0000-00-00 00:00:00", " _0000 "},   /* Exim's */
		{"aaa 0000-00-00 00:00:00", " aaa "}, /* journalctl's short-full */
		{"0000000000.000000", ""},            /* and short-unix */
		{"0000 aaa _0 00:00:00", ""}};
	size_t length = 0, i = 0;

	while (i < sizeof times / sizeof *times && !begins_like(line, times[i].form))
		i++;
	if (i == sizeof times / sizeof *times)
		return 0;
	length = strlen(times[i].form);
	if (line[length] == '.' || line[length] == ',')
		length += 1 + strspn(line + length + 1, DIGITS);
	if (line[length] != ' ')
		length += strcspn(line + length, " ");
	else if (times[i].zone[0] && begins_like(line + length, times[i].zone))
		length += strlen(times[i].zone) - 1;
	return length;
}

/* Behind what a container's log has in front of each line: "postfix-1  | ". */
static char *
skip_container(char *line)
{
	const size_t name = strcspn(line, " |"), blanks = strspn(line + name, " ");

	if (name == 0 || name > 63 || blanks == 0 || line[name + blanks] != '|' ||
		line[name + blanks + 1] != ' ')
		return line;
	return line + name + blanks + LENGTH("| ");
}

/* Behind a time and, in brackets, the process, as Exim writes them. */
const char *
log_line_skip_time(const char *text)
{
	size_t time = time_length(text), pid;

	if (time && text[time] == ' ')
		text += time + 1;
	pid = *text == '[' ? strspn(text + 1, DIGITS) : 0;
	return pid && text[pid + 1] == ']' && text[pid + 2] == ' ' ? text + pid + 3
								   : text;
}

/* Cuts the word off that names a program, "postfix/smtpd[123]:", without its process;
 * NULL where another stands there. */
static char *
take_program(char **rest)
{
	const size_t name = strcspn(*rest, " :["), all = strcspn(*rest, " ");
	char *word = *rest;

	if (name == 0 || word[all] != ' ' || word[all - 1] != ':' ||
		(word[name] == '[' ? name + 1 + strspn(word + name + 1, DIGITS) + 2
				   : name + 1) != all)
		return NULL;
	*rest += all + 1;
	word[name] = '\0';
	return word;
}

/* Cuts a word off. */
static char *
take_word(char **rest)
{
	char *word = *rest;

	*rest += strcspn(*rest, " ");
	if (**rest)
		*(*rest)++ = '\0';
	return word;
}

/* RFC 5424: host, program, process, kind of message, structured data, text. */
static void
read_5424(struct log_line *l, char *rest)
{
	int is_quoted = 0, is_list;

	l->host = take_word(&rest);
	l->program = take_word(&rest);
	take_word(&rest);
	take_word(&rest);
	is_list = *rest == '[';
	for (; *rest && (is_quoted || *rest != ' ' || (is_list && rest[-1] != ']'));
		rest++) {
		if (*rest == '\\' && rest[1])
			rest++;
		else if (*rest == '"')
			is_quoted = !is_quoted;
	}
	rest += *rest == ' ';
	if (strncmp(rest, "\357\273\277", 3) == 0) /* a byte order mark */
		rest += 3;
	l->text = rest;
}

/* "mx postfix/smtpd[1]: ", with the facility between them as some write it, "mail.info"
 * or "<mail.info>"; without the host; or the program in brackets alone. */
static void
read_names(struct log_line *l, char *rest)
{
	size_t host, bracket;
	char *behind, *program = NULL;

	if (strncmp(rest, "<mail.", 6) == 0)
		take_word(&rest);
	host = strcspn(rest, " ");
	bracket = strcspn(rest, "]");
	behind = rest + host;
	if (rest[0] == '[' && isalpha((unsigned char)rest[1]) && rest[bracket] &&
		rest[bracket + 1] == ' ') {
		rest[bracket] = '\0';
		l->program = rest + 1;
		l->text = rest + bracket + LENGTH("] ");
		return;
	}
	l->text = log_line_skip_time(rest);
	program = rest[strcspn(rest, " :[")] == '[' ? take_program(&rest) : NULL;
	if (!program && host && *behind++ && rest[host - 1] != ':') {
		if (strncmp(behind, "mail.", 5) == 0 || strncmp(behind, "<mail.", 6) == 0)
			behind += strcspn(behind, " ") + (strchr(behind, ' ') != NULL);
		program = take_program(&behind);
		if (program) {
			rest[host] = '\0';
			l->host = rest;
			rest = behind;
		}
	}
	if (program) {
		l->program = program;
		l->text = log_line_skip_time(rest);
	}
}

void
log_line_read(struct log_line *l, char *line)
{
	size_t length;
	int is_5424 = 0;

	l->host = l->program = "";
	line = skip_container(line);
	if (begins_like(line, "<0")) { /* syslog's priority */
		line += strcspn(line, ">") + (strchr(line, '>') != NULL);
		is_5424 = strncmp(line, "1 ", 2) == 0;
		line += is_5424 ? 2 : 0;
	}
	length = time_length(line);
	l->time = length ? line : "";
	if (length && line[length])
		line[length++] = '\0';
	line += length;
	length = time_length(line); /* the program's own, behind the container's */
	line += length + (length && line[length] == ' ');
	if (is_5424)
		read_5424(l, line);
	else
		read_names(l, line);
}
