# make            lda, lda-virtual, quotad, brim-release, brimadm, brimq and filter-brim
#                 in build/bin
# make deps       what building and testing need, from Debian's packages
# make demo       real mail through a private Postfix, as root
# make test       every test, as root         make bench   speed and memory, as root
# make lint       clang-tidy, cppcheck, layout, who may include what
# make fuzz       the protocols at SMTP time, by libFuzzer
# make install    honours DESTDIR and PREFIX; make install-lib: libbrim for other programs
# make deb        Debian packages in build/deb; make test-package installs them, as root
#
# CC=clang picks the compiler; SAN=1 builds with ASan and UBSan, COV=1 for coverage,
# each in a folder of its own.

CC      = gcc
VERSION = 0.2
PREFIX  = /usr/local
BINDIR  = $(PREFIX)/bin
SBINDIR = $(PREFIX)/sbin
LIBEXEC = $(PREFIX)/lib/brim
MANDIR  = $(PREFIX)/share/man
UNITDIR = $(PREFIX)/lib/systemd/system
SYSUSERS = $(PREFIX)/lib/sysusers.d
TMPFILES = $(PREFIX)/lib/tmpfiles.d
BASH_COMPLETION = $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETION  = $(PREFIX)/share/zsh/site-functions

ifdef FUZZ
B = build/fuzz
CC = clang
VARIANT = -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -O1
else ifdef SAN
B = build/san
VARIANT = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
LDA_LINK = -pie
# The tests start tens of thousands of these, whose runtime is found and bound each time. Not
# for lda and quotad: what faketime moves the clock of needs the shared one.
ifeq ($(findstring clang,$(CC)),)
RUNTIME = -static-libasan -static-libubsan
endif
else ifdef COV
B = build/cov
VARIANT = --coverage -fprofile-update=atomic -O0 -DBRIM_COVERAGE
LDA_LINK = -static -Wl,-w
else
B = build
VARIANT = -O2 -D_FORTIFY_SOURCE=2
M = $B/musl
endif

# lda and lda-virtual are linked with musl, where nothing instruments them: a static program of
# the GNU C library asks the processor some dozen questions as it starts, which are a quarter
# of a millisecond where it is virtualised. What they share with the others is compiled for each.
M ?= $B
ifneq ($M,$B)
MACHINE = $(shell $(CC) -print-multiarch)
MUSL = $(or $(patsubst %/libc.a,%,$(wildcard /usr/lib/$(subst -gnu,-musl,$(MACHINE))/libc.a)),$\
	$(error musl is missing: apt install musl-dev))
# musl's headers alone, and these few of the others.
MUSL_HEADERS = linux asm asm-generic db.h sys/capability.h
MUSL_CFLAGS = -nostdinc -isystem $(MUSL:/usr/lib/%=/usr/include/%) -isystem $M/include \
	-isystem $(shell $(CC) -print-file-name=include)
LDA_START = -nostdlib -static-pie $(MUSL)/rcrt1.o $(MUSL)/crti.o
LDA_END = $(MUSL)/libc.a $(shell $(CC) -print-file-name=libgcc.a) $(MUSL)/crtn.o
else
LDA_START = $(LDA_LINK)
LDA_END = -lpthread
endif

WARN = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
	-Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wold-style-definition -Wredundant-decls
HARDEN = -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
CFLAGS_ALL = -std=gnu11 -g -D_GNU_SOURCE -DBRIM_VERSION='"$(VERSION)"' $(INCLUDES) -MMD -MP \
	$(WARN) $(HARDEN) $(VARIANT) $(CFLAGS)
LDFLAGS_ALL = -Wl,-z,relro,-z,now $(VARIANT) $(LDFLAGS)

# What a folder and those below it hold, as objects.
objects = $(patsubst %.c,$B/%.o,$(sort $(shell find $(1) -name '*.c')))

LIB      := $(call objects,lib) $B/fold_table.o
# lda-virtual becomes the recipient, lda stays who it is: one file differs.
LDA_ALL  := $(call objects,lda)
LDA      := $(filter-out %/identity_become.o,$(LDA_ALL))
VIRTUAL  := $(filter-out %/identity_same.o,$(LDA_ALL))
QUOTAD   := $(call objects,quotad)
RELEASE  := $(call objects,release)
BRIMADM  := $(filter $B/tools/admin/% $B/tools/cli/%,$(call objects,tools))
BRIMQ    := $(filter $B/tools/query/% $B/tools/cli/%,$(call objects,tools))
FILTER   := $(filter $B/tools/opensmtpd/%,$(call objects,tools))
PROGRAMS = $(addprefix $B/bin/,lda lda-virtual quotad brim-release brimadm brimq \
	filter-brim)

# A program sees include/ and its own folders, named from its root.
INCLUDES = -Iinclude
$B/lib/%.o $M/lib/%.o: INCLUDES += -Ilib
$B/lda/%.o $M/lda/%.o: INCLUDES += -Ilda
$B/quotad/%.o: INCLUDES += -Iquotad
$B/release/%.o: INCLUDES += -Irelease
$B/tools/%.o: INCLUDES += -Itools
$B/tools/admin/%.o: INCLUDES += -Itools/admin
$B/tests/%.o: INCLUDES += -I. -Ilib -Ilda -Iquotad

# make V=1 shows the whole commands
say = @printf '  %-5s %s\n'
Q = $(if $(V),,@)

all: $(PROGRAMS)

$B/libbrim.a: $(LIB)
	@rm -f $@
	$(Q)ar rcsT $@ $^

ifneq ($M,$B)
# Without what takes headers of other libraries, for programs of the others.
$M/libbrim.a: $(filter-out %/address_name.o %/users_db.o %/snapshot.o %/brim.o,$(LIB:$B/%=$M/%))
	@rm -f $@
	$(Q)ar rcsT $@ $^

$M/include: Makefile
	@: $(MUSL) # is there at all
	@rm -rf $@ $@.new && mkdir -p $@.new/sys
	@for name in $(MUSL_HEADERS); do \
		found=$$(ls -d /usr/include/$(MACHINE)/$$name /usr/include/$$name 2>/dev/null | head -n 1); \
		[ "$$found" ] || { echo "$$name is missing: make deps" >&2; exit 1; }; \
		ln -s "$$found" $@.new/$$name || exit 1; done
	@mv $@.new $@

$M/%.o: %.c | $M/include
	@mkdir -p $(@D)
	$(if $(V),,$(say) CC '$< (musl)')
	$(Q)$(CC) $(MUSL_CFLAGS) $(CFLAGS_ALL) -c -o $@ $<

$M/fold_table.o: $B/fold_table.c | $M/include
	$(Q)$(CC) $(MUSL_CFLAGS) $(CFLAGS_ALL) -Ilib/base -c -o $@ $<
endif

$B/bin/lda: $(LDA:$B/%=$M/%) $M/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(LDA_START) -o $@ $^ $(LDA_END)

$B/bin/lda-virtual: $(VIRTUAL:$B/%=$M/%) $M/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(LDA_START) -o $@ $^ -lcap $(LDA_END)

$B/bin/quotad: $(QUOTAD) $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^ -ldb-5.3 -lcap -levent_core -lpthread

$B/bin/brim-release: $(RELEASE) $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^ -lcap -levent_core

$B/bin/brimadm: $(BRIMADM) $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(RUNTIME) -pie -o $@ $^ -ldb-5.3 -lcap -ljansson -lidn2

$B/bin/brimq: $(BRIMQ) $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(RUNTIME) -pie -o $@ $^ -lcap -ljansson

$B/bin/filter-brim: $(FILTER) $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^ -lpthread

# Which letters are one, of Debian's package unicode-data.
CASE_FOLDING = /usr/share/unicode/CaseFolding.txt

$B/fold_table.c: lib/base/fold_table.awk $(CASE_FOLDING)
	@mkdir -p $(@D)
	$(Q)awk -f $^ >$@

$B/fold_table.o: $B/fold_table.c
	$(Q)$(CC) $(CFLAGS_ALL) -Ilib/base -c -o $@ $<

# brimadm tells Postfix where lda is installed.
$B/libexec: FORCE
	@mkdir -p $(@D)
	@echo '$(LIBEXEC)' | cmp -s - $@ || echo '$(LIBEXEC)' >$@

$B/tools/%.o: CFLAGS_ALL += -DBRIM_LIBEXEC='"$(LIBEXEC)"'
$(BRIMADM): $B/libexec

$B/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,$(say) CC $<)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

install: all
	install -d $(DESTDIR)$(LIBEXEC) $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) \
		$(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 \
		$(DESTDIR)$(MANDIR)/man8
	install -m 755 $B/bin/lda $(DESTDIR)$(LIBEXEC)/lda
	install -m 750 $B/bin/lda-virtual $(DESTDIR)$(LIBEXEC)/lda-virtual
	@$(give_capabilities)
	install -m 755 $B/bin/filter-brim $(DESTDIR)$(LIBEXEC)
	install -m 755 $B/bin/quotad $B/bin/brim-release $B/bin/brimadm $(DESTDIR)$(SBINDIR)
	install -m 755 $B/bin/brimq $(DESTDIR)$(BINDIR)
	for page in man/*.[1578]; do \
		install -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/ || exit 1; done
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERS) $(DESTDIR)$(TMPFILES)
	for name in quotad brim-release; do \
		sed 's|/usr/local/sbin/|$(SBINDIR)/|' etc/$$name.service \
			>$(DESTDIR)$(UNITDIR)/$$name.service && \
		install -m 644 etc/$$name.socket $(DESTDIR)$(UNITDIR) || exit 1; done
	install -m 644 etc/brim.sysusers $(DESTDIR)$(SYSUSERS)/brim.conf
	install -m 644 etc/brim.tmpfiles $(DESTDIR)$(TMPFILES)/brim.conf
	install -d $(DESTDIR)$(BASH_COMPLETION) $(DESTDIR)$(ZSH_COMPLETION)
	install -m 644 etc/completion.bash $(DESTDIR)$(BASH_COMPLETION)/brimadm
	ln -sf brimadm $(DESTDIR)$(BASH_COMPLETION)/brimq
	install -m 644 etc/completion.zsh $(DESTDIR)$(ZSH_COMPLETION)/_brim

# What lda-virtual needs where it will run: the group of the user that runs it, and then
# (a change of group takes them away) its capabilities.
VIRTUAL_FILE = $(LIBEXEC)/lda-virtual
grant = chgrp brimlda $(VIRTUAL_FILE) && chmod 750 $(VIRTUAL_FILE) && \
	setcap cap_setuid,cap_setgid=ep $(VIRTUAL_FILE)
define give_capabilities
if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ] && getent group brimlda >/dev/null; then \
	$(grant); \
else \
	echo 'lda-virtual, for mailboxes of many uids, still needs the system user and group'; \
	echo 'brimlda, and then, as root:'; \
	echo '  $(grant)'; \
fi
endef

clean:
	rm -rf build

.DELETE_ON_ERROR:
.SECONDARY:

-include $(shell find build -path build/mta -prune -o -name '*.d' -print 2>/dev/null)


include lib/client/libbrim.mk
include tests/tests.mk

.PHONY: all install clean FORCE
