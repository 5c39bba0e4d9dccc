# The tests' part of the Makefile: what they need, how each kind is built and run.

# --- what building, testing and measuring need ------------------------------------------

BUILD_PACKAGES = gcc libc6-dev pkg-config libdb5.3-dev libcap-dev libevent-dev \
	libjansson-dev libidn2-dev musl-dev unicode-data
TEST_PACKAGES = check libsubunit-dev g++ spin python3 python3-fusepy python3-pytest postfix faketime strace \
	socat mandoc libcap2-bin db5.3-util e2fsprogs xfsprogs btrfs-progs procps systemd zsh \
	bzip2 xz-utils zstd fuse3 bindfs encfs gocryptfs mergerfs sshfs openssh-sftp-server
BENCH_PACKAGES = maildrop dovecot-core
DEB_PACKAGES = debhelper dpkg-dev fakeroot lintian
LINT_PACKAGES = clang clang-format clang-tidy cppcheck gcovr

# Does nothing where all is there. Postfix is installed without a configuration of its own.
define need
	@tests/need $(1)
endef

# Mail servers that conflict with Postfix as packages are unpacked, not installed.
deps:
	$(call need,$(BUILD_PACKAGES) $(TEST_PACKAGES))
	@tests/unpack build/mta/exim exim4-daemon-light
	@tests/unpack build/mta/opensmtpd opensmtpd
	@tests/unpack build/mta/sendmail sendmail-bin sendmail-cf

bench-deps: deps
	$(call need,$(BENCH_PACKAGES))

lint-deps: deps
	$(call need,$(LINT_PACKAGES))

# --- unit tests: each tests/unit/test_x.c is a program, with the main of suite.c ---------

UNIT := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/test_*.c))

# The programs' rooms as a library, so that a test takes just those that it names, and a
# fake of a neighbour in it wins at link time.
$B/rooms.a: $(filter-out %/main.o,$(LDA) $(QUOTAD))
	@rm -f $@
	$(Q)ar rcsT $@ $^

$B/unit/%: $B/tests/unit/%.o $B/tests/unit/suite.o $B/rooms.a $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(RUNTIME) -pie -o $@ $(filter %.o,$^) $B/rooms.a $B/libbrim.a -ldb-5.3 -lcap \
		-levent_core -lidn2 -lcheck_pic -lsubunit -lm -lrt -lpthread

# Fakes that several tests share.
$B/unit/test_mailbox $B/unit/test_targets: $B/tests/unit/line_table.o
$(addprefix $B/unit/test_,ledger ledger_turns ledger_missing promises room): $B/tests/unit/ledger_fakes.o

unit: $(UNIT)

# --- running ----------------------------------------------------------------------------

test: deps
	@$(MAKE) --no-print-directory all unit
	@tests/run $B

demo: deps
	@$(MAKE) --no-print-directory all
	@BRIM_BIN=$B/bin tests/demo

test-model:
	@tests/model/run --long

test-power: all
	@BRIM_BIN=$B/bin tests/power/run

SECONDS ?= 3600
test-storm: unit
	@left=$(SECONDS); while [ $$left -gt 0 ]; do \
		now=$$((left < 900 ? left : 900)); left=$$((left - now)); \
		STORM_SECONDS=$$now $B/unit/test_ledger_storm || exit 1; done

# Clients that rename and move messages while a mailbox is filled and emptied 1,000 times.
test-moves: all unit
	@MOVES=1000 $B/unit/test_count_moving
	@bin=$$(mktemp -d) && chmod 755 $$bin && cp -a $B/bin/. $$bin && MOVES=1000 BRIM_BIN=$$bin \
		/usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/system/test_counting.py -k client; \
	result=$$?; rm -rf "$$bin"; exit $$result

# Deliveries to mailboxes behind a server that hangs for a while.
test-mounts: all
	@bin=$$(mktemp -d) && chmod 755 $$bin && cp -a $B/bin/. $$bin && MOUNTS=200 BRIM_BIN=$$bin \
		/usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/system/test_network_mounts.py -k hangs; \
	result=$$?; rm -rf "$$bin"; exit $$result

# Everything once more under ASan and UBSan.
test-san: deps
	@$(MAKE) --no-print-directory SAN=1 all unit
	@tests/run build/san

# Lines of lib, lda and quotad that the tests run.
coverage: lint-deps
	@$(MAKE) --no-print-directory COV=1 all unit
	@tests/coverage

lint: lint-deps
	@tests/lint

# The Debian package, for this release alone; lintian has nothing against it.
deb:
	$(call need,$(BUILD_PACKAGES) $(DEB_PACKAGES))
	@tests/package/build build/deb
	@lintian --fail-on error,warning build/deb/*.changes
	@ls build/deb/*.deb

# It is installed, used, upgraded, removed and purged in a Debian of its own, which is fetched,
# and upgraded to from the release before while mail arrives.
BEFORE_PACKAGES = libinih-dev
test-package: deb
	$(call need,debootstrap git $(BEFORE_PACKAGES))
	@before=$$(tests/package/release build/before) && tests/package/run build/deb "$$before"

include tests/fuzz/fuzz.mk
include tests/bench/bench.mk

.PHONY: deb test-package deps bench-deps lint-deps unit test demo test-model test-power test-storm test-moves test-mounts test-san \
	coverage lint
