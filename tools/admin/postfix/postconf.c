/* postconf(1), run without a shell, and its output taken apart in place. */
#include "postconf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "amount.h"
#include "io.h"

#define PATH          "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
#define ARGUMENTS_MAX 32
#define OUTPUT_MAX    (64 << 20)
#define PATIENCE_MS   10000 /* for postmap, whose database may not answer */
#define BLANKS        " \t"

/* The program, in PATH's room; NULL where Postfix is not installed. */
static const char *
find_program(const char *name, char path[32])
{
	static const char *const places[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, 32, "%s/%s", places[i], name);
		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

/* --- running ---------------------------------------------------------------------- */

struct run {
	const char *name; /* of the program */
	int input;        /* -1: none */
	int output, errors;
	int patience; /* ms; -1: until it ends */
};

static int
redirect(posix_spawn_file_actions_t *actions, const struct run *r)
{
	int input = r->input < 0 ? posix_spawn_file_actions_addopen(actions, STDIN_FILENO,
					   "/dev/null", O_RDONLY, 0)
				 : posix_spawn_file_actions_adddup2(
					   actions, r->input, STDIN_FILENO);

	return input ||
	       posix_spawn_file_actions_adddup2(actions, r->output, STDOUT_FILENO) ||
	       posix_spawn_file_actions_adddup2(actions, r->errors, STDERR_FILENO);
}

/* Its wait status, or -1 with errno; it is killed when the patience ends. */
static int
wait_for(pid_t child, int patience)
{
	int fd = patience < 0 ? -1 : (int)syscall(SYS_pidfd_open, child, 0), status = -1;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd >= 0) {
		while ((status = poll(&p, 1, patience)) < 0 && errno == EINTR)
			;
		if (status == 0)
			kill(child, SIGKILL);
		close(fd);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* Runs the program to its end; its wait status, or -1 with errno. */
static int
spawn_and_wait(const char *program, char *const *argv, const struct run *r)
{
	const char *folder = getenv("MAIL_CONFIG");
	char *config = NULL,
	     *environment[] = {(char *)PATH, (char *)"LC_ALL=C", NULL, NULL};
	posix_spawn_file_actions_t actions;
	pid_t child;
	int failed, status = -1;

	if (folder && asprintf(&config, "MAIL_CONFIG=%s", folder) < 0)
		return -1;
	environment[2] = config;
	errno = posix_spawn_file_actions_init(&actions);
	if (errno == 0) {
		failed = redirect(&actions, r);
		if (!failed)
			failed = posix_spawn(
				&child, program, &actions, NULL, argv, environment);
		posix_spawn_file_actions_destroy(&actions);
		errno = failed;
		if (!failed)
			status = wait_for(child, r->patience);
	}
	free(config);
	return status;
}

/* All that was written to the file, as a new string. */
static char *
read_back(int fd)
{
	struct stat st;
	char *text = NULL;
	ssize_t n = -1;

	if (fstat(fd, &st) == 0 && st.st_size < OUTPUT_MAX)
		text = malloc((size_t)st.st_size + 1);
	if (text)
		n = pread(fd, text, (size_t)st.st_size, 0);
	if (n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

/* The line that says what is wrong: the one with "fatal", else the first; 0 where postmap
 * has only not found anything. */
static int
explain(const struct run *r, struct reason *why)
{
	char *text = read_back(r->errors);
	const char *line = text ? strstr(text, "fatal: ") : NULL;
	int asked = r->input >= 0 && text && !line;

	if (!line)
		line = text ? text : "";
	if (!asked)
		reason_set(why, "%s: %.*s", r->name, (int)strcspn(line, "\n"),
			*line ? line : "it failed and does not say why");
	free(text);
	return asked ? 0 : -1;
}

static int
run_into(const struct run *r, const char *const *arguments, struct reason *why)
{
	char path[32], *argv[ARGUMENTS_MAX + 2] = {(char *)r->name};
	const char *program = find_program(r->name, path);
	int n = 0, status;

	if (!program)
		return reason_set(
			why, "Postfix is not installed: there is no %s", r->name);
	for (; arguments[n]; n++) {
		if (n == ARGUMENTS_MAX)
			return reason_set(why, "too many arguments for %s", r->name);
		argv[n + 1] = (char *)arguments[n];
	}
	status = spawn_and_wait(program, argv, r);
	if (status < 0)
		return reason_errno(why, "%s can't be run", program);
	if (status == 0)
		return 0;
	if (WIFSIGNALED(status))
		return reason_set(why, "%s did not end by itself", r->name);
	return explain(r, why);
}

/* Fills OUTPUT (may be NULL). */
static int
run(struct run *r, const char *const *arguments, char **output, struct reason *why)
{
	int result = -1;

	r->output = memfd_create("output", MFD_CLOEXEC);
	r->errors = memfd_create("errors", MFD_CLOEXEC);
	if (output)
		*output = NULL;
	if (r->output < 0 || r->errors < 0)
		reason_errno(why, "no room for the output of %s", r->name);
	else
		result = run_into(r, arguments, why);
	if (result == 0 && output && !(*output = read_back(r->output)))
		result = reason_set(why, "the output of %s can't be read", r->name);
	if (r->output >= 0)
		close(r->output);
	if (r->errors >= 0)
		close(r->errors);
	return result;
}

int
postconf_run(const char *const *arguments, char **output, struct reason *why)
{
	struct run r = {.name = "postconf", .input = -1, .patience = -1};

	return run(&r, arguments, output, why);
}

char *
postconf_read_raw(const char *name, struct reason *why)
{
	const char *const arguments[] = {strchr(name, '/') ? "-Ph" : "-h", name, NULL};
	char *value;

	if (postconf_run(arguments, &value, why))
		return NULL;
	value[strcspn(value, "\n")] = '\0';
	return value;
}

int
postmap_run(const char *const *arguments, const char *input, char **output,
	struct reason *why)
{
	struct run r = {.name = "postmap", .patience = PATIENCE_MS};
	int result = -1;

	*output = NULL;
	r.input = memfd_create("input", MFD_CLOEXEC);
	if (r.input < 0)
		return reason_errno(why, "no room for the input of postmap");
	if (io_write_all(r.input, input, strlen(input)) ||
		lseek(r.input, 0, SEEK_SET) != 0)
		reason_errno(why, "the input of postmap can't be written");
	else
		result = run(&r, arguments, output, why);
	close(r.input);
	return result;
}

/* --- taking it apart ---------------------------------------------------------------- */

static size_t
count_lines(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* "name = value", or "name =" */
static int
split_settings(struct postconf_setting **settings, size_t *count, char *text)
{
	char *line, *equals, *end;

	*settings = calloc(count_lines(text), sizeof **settings);
	if (!*settings)
		return -1;
	while ((line = strsep(&text, "\n"))) {
		equals = strchr(line, '=');
		if (!equals || equals == line)
			continue;
		for (end = equals; end > line && strchr(BLANKS, end[-1]); end--)
			;
		*end = '\0';
		equals += 1 + strspn(equals + 1, BLANKS);
		(*settings)[(*count)++] = (struct postconf_setting){line, equals};
	}
	return 0;
}

/* Cuts the next word off; "" where there is none. */
static char *
take_word(char **rest)
{
	char *word = *rest + strspn(*rest, BLANKS), *end = word + strcspn(word, BLANKS);

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

static void
split_service(struct postconf_service *s, char *line)
{
	const char **const columns[] = {&s->name, &s->type, &s->private, &s->unprivileged,
		&s->chroot, &s->wakeup, &s->processes, &s->command};

	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		*columns[i] = take_word(&line);
	s->arguments = line + strspn(line, BLANKS);
}

static int
split_services(struct postconf *p, char *text)
{
	char *line;

	p->services = calloc(count_lines(text), sizeof *p->services);
	if (!p->services)
		return -1;
	while ((line = strsep(&text, "\n")))
		if (*line)
			split_service(&p->services[p->service_count++], line);
	return 0;
}

/* --- reading ------------------------------------------------------------------------ */

/* Whether there is a main.cf at all; the reason where there is none. */
static int
has_settings(struct reason *why)
{
	static const char *const which[] = {"-d", "-h", "config_directory", NULL};
	const char *folder = getenv("MAIL_CONFIG");
	char *told = NULL, *path = NULL;
	int there = 0;

	if (!folder && postconf_run(which, &told, why) == 0 && told) {
		told[strcspn(told, "\n")] = '\0';
		folder = told;
	}
	if (folder && asprintf(&path, "%s/main.cf", folder) >= 0) {
		there = access(path, F_OK) == 0 || errno != ENOENT;
		if (!there)
			reason_set(why, "Postfix has no settings: there is no %s", path);
		free(path);
	}
	free(told);
	return there;
}

/* Runs postconf twice, and takes apart what it says. */
static int
read_both(struct postconf *p, const char *const *settings, const char *const *services,
	struct reason *why)
{
	if (postconf_run(settings, &p->texts[0], why) ||
		postconf_run(services, &p->texts[1], why))
		return -1;
	if (split_settings(&p->settings, &p->setting_count, p->texts[0]) ||
		split_services(p, p->texts[1]))
		return reason_set(why, "no memory");
	return 0;
}

/* A Postfix before 2.11 can't tell them. */
static int
read_overrides(struct postconf *p, struct reason *why)
{
	static const char *const arguments[] = {"-xP", NULL};

	if (postconf_run(arguments, &p->texts[2], why))
		return 0;
	return split_settings(&p->overrides, &p->override_count, p->texts[2])
		       ? reason_set(why, "no memory")
		       : 0;
}

int
postconf_read(struct postconf *p, struct reason *why)
{
	static const char *const settings[] = {"-x", NULL}, *const services[] = {
								    "-M", NULL};

	char path[32];

	memset(p, 0, sizeof *p);
	if (!find_program("postconf", path)) {
		reason_set(why, "Postfix is not installed: there is no postconf");
		return 0;
	}
	if (!has_settings(why))
		return 0;
	if (read_both(p, settings, services, why) || read_overrides(p, why))
		return -1;
	p->folder = postconf_get(p, "config_directory");
	return p->folder ? 1 : reason_set(why, "postconf tells no config_directory");
}

static void
drop_setting(struct postconf *p, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->setting_count; i++)
		/* each that is counted has a name */
		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		if (strcmp(p->settings[i].name, name) != 0)
			p->settings[kept++] = p->settings[i];
	p->setting_count = kept;
}

int
postconf_read_folder(struct postconf *p, const char *folder, struct reason *why)
{
	const char *const settings[] = {"-c", folder, "-n", NULL};
	const char *const services[] = {"-c", folder, "-M", NULL};

	memset(p, 0, sizeof *p);
	if (read_both(p, settings, services, why))
		return -1;
	drop_setting(p, "config_directory"); /* what -c says */
	return 0;
}

void
postconf_free(struct postconf *p)
{
	free(p->settings);
	free(p->services);
	free(p->overrides);
	for (size_t i = 0; i < sizeof p->texts / sizeof *p->texts; i++)
		free(p->texts[i]);
	memset(p, 0, sizeof *p);
}

static const struct postconf_setting *
find_setting(const struct postconf *p, const char *name)
{
	for (size_t i = 0; i < p->setting_count; i++)
		if (strcmp(p->settings[i].name, name) == 0)
			return &p->settings[i];
	return NULL;
}

const char *
postconf_name(const struct postconf *p, const char *name)
{
	const struct postconf_setting *s = find_setting(p, name);

	return s ? s->name : NULL;
}

const char *
postconf_get(const struct postconf *p, const char *name)
{
	const struct postconf_setting *s = find_setting(p, name);

	return s ? s->value : NULL;
}

/* "brim/unix/NAME" */
static int
is_override(const char *key, const struct postconf_service *s, const char *name)
{
	size_t n = strlen(s->name), m = strlen(s->type);

	return strncmp(key, s->name, n) == 0 && key[n] == '/' &&
	       strncmp(key + n + 1, s->type, m) == 0 && key[n + 1 + m] == '/' &&
	       strcmp(key + n + 1 + m + 1, name) == 0;
}

const char *
postconf_override(
	const struct postconf *p, const struct postconf_service *s, const char *name)
{
	const char *value = NULL; /* the last one counts */

	for (size_t i = 0; i < p->override_count; i++)
		if (is_override(p->overrides[i].name, s, name))
			value = p->overrides[i].value;
	return value;
}

const char *
postconf_for(const struct postconf *p, const struct postconf_service *s, const char *name)
{
	const char *value = postconf_override(p, s, name);

	if (!value)
		value = postconf_get(p, name);
	return value ? value : "";
}

const struct postconf_service *
postconf_service(const struct postconf *p, const char *name, const char *type)
{
	for (size_t i = 0; i < p->service_count; i++)
		if (strcmp(p->services[i].name, name) == 0 &&
			(!type || strcmp(p->services[i].type, type) == 0))
			return &p->services[i];
	return NULL;
}

char *
postconf_argument(const struct postconf_service *s, const char *name)
{
	size_t length = strlen(name);
	int last = strcmp(name, "argv") == 0;

	for (const char *p = s->arguments; *p; p += strspn(p, BLANKS)) {
		size_t n = strcspn(p, BLANKS);

		if (n > length && strncasecmp(p, name, length) == 0 && p[length] == '=')
			return last ? strdup(p + length + 1)
				    : strndup(p + length + 1, n - length - 1);
		if (strncasecmp(p, "argv=", 5) == 0)
			return NULL; /* all the rest is the command's */
		p += n;
	}
	return NULL;
}

int
postconf_time(const char *text, char unit, uint64_t *seconds)
{
	char with_unit[AMOUNT_SIZE];
	size_t length = strlen(text);

	if (length == 0 || length + 2 > sizeof with_unit)
		return -1;
	memcpy(with_unit, text, length + 1);
	if (strspn(text, "0123456789") == length) {
		with_unit[length] = unit;
		with_unit[length + 1] = '\0';
	}
	return amount_time(with_unit, seconds, NULL);
}
