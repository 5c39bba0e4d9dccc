/* Completion: one printer a shell, over the same tables. */
#include "completion.h"

#include <stdio.h>
#include <string.h>

/* --- both ------------------------------------------------------------------------- */

static int
is_shown(const struct tool_option *o)
{
	return o->sentence != NULL;
}

/* The next argument is the option's, not a word of its own. */
static int
takes_word(const struct tool_option *o)
{
	return is_shown(o) && o->argument && o->argument[0] != '[';
}

static int
names_file(const char *arguments)
{
	return strstr(arguments, "FILE") || strstr(arguments, "SOCKET");
}

static int
has_option(const struct completion *c, const struct completion_command *command, size_t i)
{
	return i >= c->commands_options || command->options & 1U << i;
}

/* " -c --config" */
static void
print_names(const struct tool_option *o, const char *between)
{
	if (o->letter)
		printf("-%c%s", o->letter, o->name ? between : "");
	if (o->name)
		printf("--%s", o->name);
}

/* --- bash ------------------------------------------------------------------------- */

/* Options whose argument is the next word, as a pattern of case; FILES: of those alone
 * that name a file. */
static void
bash_patterns(const struct completion *c, int files)
{
	int count = 0;

	for (const struct tool_option *o = c->options; o->value; o++)
		if (takes_word(o) && (!files || names_file(o->argument))) {
			fputs(count++ ? "|" : "", stdout);
			print_names(o, "|");
		}
	if (count == 0)
		fputs("''", stdout);
}

static void
bash_options(const struct completion *c, const struct completion_command *command)
{
	for (size_t i = 0; c->options[i].value; i++)
		if (is_shown(&c->options[i]) && has_option(c, command, i)) {
			putchar(' ');
			print_names(&c->options[i], " ");
		}
}

static void
bash_fields(const struct completion *c)
{
	struct completion_field f;

	for (size_t i = 0; c->field(i, &f); i++)
		printf(" %s=", f.name);
}

static void
bash_commands(const struct completion *c)
{
	struct completion_command one;

	printf("\tcase $command in\n\t'')\n\t\twords='");
	for (size_t i = 0; c->command(i, &one); i++)
		printf("%s%s", i ? " " : "", one.name);
	printf("'\n\t\toptions='");
	bash_options(c, &(struct completion_command){.options = 0});
	printf("' ;;\n");
	for (size_t i = 0; c->command(i, &one); i++) {
		printf("\t%s)\n\t\toptions='", one.name);
		bash_options(c, &one);
		putchar('\'');
		if (strstr(one.arguments, "FIELD=")) {
			printf("\n\t\twords='");
			bash_fields(c);
			putchar('\'');
		}
		printf("%s ;;\n", names_file(one.arguments) ? "\n\t\tfiles=yes" : "");
	}
	printf("\tesac\n");
}

/* bash takes "state=dis" for three words. */
static void
bash_values(const struct completion *c)
{
	struct completion_field f;

	printf("\tif [[ $word == '=' || $before == '=' ]]; then\n"
	       "\t\t[[ $word == '=' ]] && word= || before=${COMP_WORDS[COMP_CWORD-2]}\n"
	       "\t\twords=\n\t\tcase $before in\n");
	for (size_t i = 0; c->field(i, &f); i++)
		if (f.values)
			printf("\t\t%s) words='%s' ;;\n", f.name, f.values);
	printf("\t\tmail) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n\t\tesac\n"
	       "\t\t[[ $words ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
	       "\t\treturn\n\tfi\n");
}

static void
print_bash(const struct completion *c)
{
	printf("# bash completion of %s, printed by it from its own tables\n\n_%s()\n{\n"
	       "\tlocal word=${COMP_WORDS[COMP_CWORD]} "
	       "before=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal command= words= options= files= i\n\n\tCOMPREPLY=()\n",
		c->tool, c->tool);
	printf("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t");
	bash_patterns(c, 0);
	printf(") ((i++)) ;;\n\t\t-*) ;;\n\t\t*) command=${COMP_WORDS[i]}; break ;;\n"
	       "\t\tesac\n\tdone\n\tcase $before in\n\t");
	bash_patterns(c, 1);
	printf(")\n\t\tCOMPREPLY=($(compgen -f -- \"$word\"))\n\t\treturn ;;\n\t");
	bash_patterns(c, 0);
	printf(") return ;;\n\tesac\n");
	if (c->command) {
		bash_values(c);
		bash_commands(c);
	} else {
		printf("\toptions='");
		bash_options(c, &(struct completion_command){.options = 0});
		printf("'\n");
	}
	printf("\t[[ $word == -* ]] && words=$options files=\n"
	       "\tCOMPREPLY=($(compgen ${files:+-f} -W \"$words\" -- \"$word\"))\n"
	       "\t[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
	       "\treturn 0\n}\ncomplete -o filenames -F _%s %s\n",
		c->tool, c->tool);
}

/* --- zsh -------------------------------------------------------------------------- */

/* Inside '...', where STOPS have a meaning of their own. */
static void
zsh_quote(const char *text, const char *stops)
{
	for (; *text; text++) {
		if (*text == '\'') {
			fputs("'\\''", stdout);
			continue;
		}
		if (strchr(stops, *text))
			putchar('\\');
		putchar(*text);
	}
}

/* '(-c --config)'{-c,--config}'[sentence]:FILE:_files' */
static void
zsh_option(const struct tool_option *o)
{
	const char *argument = o->argument;

	fputs("\t\t", stdout);
	if (o->letter && o->name)
		printf("'(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter,
			o->name);
	else {
		putchar('\'');
		print_names(o, "");
		printf("%s[", argument && argument[0] == '[' ? "=-" : "");
	}
	zsh_quote(o->sentence, "[]\\");
	putchar(']');
	if (argument) {
		printf("%s:", argument[0] == '[' ? ":" : "");
		zsh_quote(argument, "[]:\\");
		printf(":%s", names_file(argument) ? "_files" : " ");
	}
	printf("' \\\n");
}

static void
zsh_commands(const struct completion *c)
{
	struct completion_command one;

	printf("local -a known=(\n");
	for (size_t i = 0; c->command(i, &one); i++) {
		printf("\t'%s:", one.name);
		zsh_quote(one.sentence, "");
		printf("'\n");
	}
	printf(")\n");
}

static void
zsh_fields(const struct completion *c)
{
	struct completion_field f;

	for (size_t i = 0; c->field(i, &f); i++)
		if (f.values)
			printf("\t\t%s=*) compset -P '*='; compadd -- %s ;;\n", f.name,
				f.values);
	printf("\t\tmail=*) compset -P '*='; _files ;;\n\t\t*=*) ;;\n");
	printf("\t\t*) compadd -S '' --");
	bash_fields(c);
	printf(" ;;\n");
}

static void
zsh_arguments(const struct completion *c)
{
	struct completion_command one;

	printf("case $state in\ncommand) _describe command known ;;\n"
	       "argument)\n\tcase $words[1] in\n");
	for (size_t i = 0; c->command(i, &one); i++) {
		if (strstr(one.arguments, "FIELD=")) {
			printf("\t%s)\n\t\tcase $PREFIX in\n", one.name);
			zsh_fields(c);
			printf("\t\tesac ;;\n");
		} else if (names_file(one.arguments)) {
			printf("\t%s) _files ;;\n", one.name);
		}
	}
	printf("\tesac ;;\nesac\n");
}

static void
print_zsh(const struct completion *c)
{
	printf("#compdef %s\n# printed by it from its own tables\n\n", c->tool);
	if (c->command) {
		zsh_commands(c);
		printf("local state line\ntypeset -A opt_args\n");
	}
	printf("_arguments%s \\\n", c->command ? " -C" : "");
	for (const struct tool_option *o = c->options; o->value; o++)
		if (is_shown(o))
			zsh_option(o);
	if (!c->command) {
		printf("\t\t'*:address: '\n");
		return;
	}
	printf("\t\t'1:command:->command' '*::argument:->argument'\n\n");
	zsh_arguments(c);
}

/* ---------------------------------------------------------------------------------- */

int
completion_print(const struct completion *c, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		print_bash(c);
	else if (strcmp(shell, "zsh") == 0)
		print_zsh(c);
	else
		return tool_fail(TOOL_USAGE, "--completion %s: for bash or zsh", shell);
	return TOOL_OK;
}
