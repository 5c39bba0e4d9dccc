# make bench: the programs that it needs besides Brim's own.

BENCH = $(addprefix $B/bench/,driver empty floor floor-musl load echo scan)

$B/bench/driver $B/bench/load: $B/bench/%: $B/tests/bench/%.o
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $<

# Linked as tightly as a program can be.
$B/bench/empty $B/bench/floor: $B/bench/%: $B/tests/bench/%.o
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -static -o $@ $<

# The floor in the C library that lda has: how much of lda's time is its own.
$B/bench/floor-musl: $M/tests/bench/floor.o
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) $(LDA_START) -o $@ $< $(LDA_END)

$B/bench/echo: $B/tests/bench/echo.o
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $< -levent_core

$B/bench/scan: $B/tests/bench/scan.o $B/rooms.a $B/libbrim.a
	@mkdir -p $(@D)
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pie -o $@ $^

bench: bench-deps
	@$(MAKE) --no-print-directory all bench-programs
	@BRIM_BIN=$B/bin tests/bench/run $B/bench

bench-programs: $(BENCH)

.PHONY: bench bench-programs
