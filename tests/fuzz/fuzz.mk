# Fuzzing of what strangers' bytes reach first. Each tests/fuzz/fuzz_x.c is a target (fuzz.h).

FUZZ_RUNS ?= 10000000
FUZZ_BYTES ?= 256
FUZZ_TARGETS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

# The rooms that they try; neighbours are fakes.
$B/fuzzed.a: $(addprefix $B/quotad/protocol/,socketmap.o policy.o policy_instances.o \
		policy_request.o) $B/lda/delivery/received.o
	@rm -f $@
	$(Q)ar rcsT $@ $^

# By libFuzzer: so many inputs each, found by what they reach. It tells its seed.
fuzz:
	$(call need,$(BUILD_PACKAGES) clang)
	@$(MAKE) --no-print-directory FUZZ=1 $(addprefix build/fuzz/,$(FUZZ_TARGETS))
	@for target in $(FUZZ_TARGETS); do echo "== $$target"; \
		ASAN_OPTIONS=quarantine_size_mb=8:malloc_context_size=4:max_malloc_fill_size=64 \
		build/fuzz/$$target -runs=$(FUZZ_RUNS) -max_len=$(FUZZ_BYTES) \
			-print_final_stats=1 -artifact_prefix=build/fuzz/ || exit 1; done

ifdef FUZZ
$B/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/mutator.o $B/tests/fuzz/promise.o $B/fuzzed.a \
		$B/libbrim.a
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -pie -o $@ $^ -ldb-5.3 -lcap -levent_core -lpthread
endif

# In each run of the tests, as a unit test: a short share, by chance alone.
$B/unit/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/share.o $B/tests/fuzz/promise.o \
		$B/tests/unit/suite.o $B/fuzzed.a $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^ -ldb-5.3 -lcap -levent_core -lcheck_pic \
		-lsubunit -lm -lrt -lpthread

unit: $(addprefix $B/unit/,$(FUZZ_TARGETS))

.PHONY: fuzz
