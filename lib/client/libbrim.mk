# libbrim for other programs: the client's side of quotad's socket, and what it needs, as a
# static and a shared library. $B/libbrim.a is another thing: all of lib/, for Brim's own.

LIBDIR     = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include

PUBLIC         = $B/public
PUBLIC_ROOMS   = quota_client reason record amount verdict privileges_user clock
PUBLIC_HEADERS = $(addprefix include/,brim.h quota_client.h reason.h record.h amount.h verdict.h)
# What other programs see; what is not named so is nobody's but the library's.
PUBLIC_NAMES   = quota record reason amount verdict outcome
PUBLIC_SONAME  = libbrim.so.0

lib: $(PUBLIC)/libbrim.a $(PUBLIC)/$(PUBLIC_SONAME) $(PUBLIC)/libbrim.pc

vpath %.c $(sort $(dir $(shell find lib -name '*.c')))

$(PUBLIC)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,$(say) CC $@)
	$(Q)$(CC) $(CFLAGS_ALL) -Ilib -fPIC -c -o $@ $<

# One object, so that a name that is not public can be hidden in a static library, too.
$(PUBLIC)/all.o: $(patsubst %,$(PUBLIC)/%.o,$(PUBLIC_ROOMS))
	$(Q)ld -r -o $@ $^
	$(Q)objcopy -w $(foreach name,$(PUBLIC_NAMES),--keep-global-symbol='$(name)_*') $@

$(PUBLIC)/libbrim.a: $(PUBLIC)/all.o
	@rm -f $@
	$(Q)ar rcs $@ $^

$(PUBLIC)/$(PUBLIC_SONAME): $(PUBLIC)/all.o
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(PUBLIC_SONAME) -Wl,-z,defs -o $@ $^

# Made each time: it holds the place where it will be.
$(PUBLIC)/libbrim.pc: etc/libbrim.pc.in FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(or $(VERSION),0.1)|' $< >$@

install-lib: lib
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/brim \
		$(DESTDIR)$(MANDIR)/man3
	install -m 644 $(PUBLIC)/libbrim.a $(PUBLIC)/$(PUBLIC_SONAME) $(DESTDIR)$(LIBDIR)
	ln -sf $(PUBLIC_SONAME) $(DESTDIR)$(LIBDIR)/libbrim.so
	install -m 644 $(PUBLIC)/libbrim.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(PUBLIC_HEADERS) $(DESTDIR)$(INCLUDEDIR)/brim
	install -m 644 man/libbrim.3 $(DESTDIR)$(MANDIR)/man3

.PHONY: lib install-lib
