# The tests' part of the Makefile: unit tests here, the rest by their own runners.

UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT := $(patsubst tests/unit/%.c,$B/unit/%,$(UNIT_SOURCES))

# Each tests/unit/test_x.c is a program of its own; a fake of a neighbour in it wins over
# the library's at link time.
$B/unit/%: $B/tests/unit/%.o $B/libbrim.a $B/rooms.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -pie -o $@ $< $B/rooms.a $B/libbrim.a -ldb-5.3 -linih -lcap \
		-levent_core -lcheck_pic -lsubunit -lm -lrt -lpthread

# The programs' rooms, so that a test takes just those that it names.
$B/rooms.a: $(filter-out %/main.o,$(LDA) $(QUOTAD))
	@rm -f $@
	ar rcs $@ $^

unit: $(UNIT)
	@for t in $(UNIT); do $$t || exit 1; done

.PHONY: unit
