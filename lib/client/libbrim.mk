# libbrim for other programs: brim.h's functions and the rooms that they use, as a static
# and a shared library. $B/libbrim.a is another thing: all of lib/, for Brim's own.

LIBDIR     = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include

PUBLIC        = $B/public
PUBLIC_ROOMS  = brim quota_client reason printable record amount verdict \
	privileges_user clock
PUBLIC_SONAME = libbrim.so.1
PUBLIC_MAP    = lib/client/libbrim.map

lib: $(PUBLIC)/libbrim.a $(PUBLIC)/$(PUBLIC_SONAME) $(PUBLIC)/libbrim.pc

vpath %.c $(sort $(dir $(shell find lib -name '*.c')))

$(PUBLIC)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,$(say) CC $@)
	$(Q)$(CC) $(CFLAGS_ALL) -Ilib -fPIC -c -o $@ $<

# One object, so that what the map does not name can be hidden in a static library, too.
$(PUBLIC)/all.o: $(patsubst %,$(PUBLIC)/%.o,$(PUBLIC_ROOMS)) $(PUBLIC_MAP)
	$(Q)ld -r -o $@ $(filter %.o,$^)
	$(Q)sed -n 's/^\t\t\(brim_[a-z_]*\);$$/\1/p' $(PUBLIC_MAP) >$(PUBLIC)/names
	$(Q)objcopy --keep-global-symbols=$(PUBLIC)/names $@

$(PUBLIC)/libbrim.a: $(PUBLIC)/all.o
	@rm -f $@
	$(Q)ar rcs $@ $^

$(PUBLIC)/$(PUBLIC_SONAME): $(PUBLIC)/all.o
	$(if $(V),,$(say) LINK $@)
	$(Q)$(CC) $(LDFLAGS_ALL) -shared -Wl,-soname,$(PUBLIC_SONAME) -Wl,-z,defs \
		-Wl,--version-script=$(PUBLIC_MAP) -o $@ $^

# Made each time: it holds the place where it will be.
$(PUBLIC)/libbrim.pc: etc/libbrim.pc.in FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

install-lib: lib
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/brim \
		$(DESTDIR)$(MANDIR)/man3
	install -m 644 $(PUBLIC)/libbrim.a $(PUBLIC)/$(PUBLIC_SONAME) $(DESTDIR)$(LIBDIR)
	ln -sf $(PUBLIC_SONAME) $(DESTDIR)$(LIBDIR)/libbrim.so
	install -m 644 $(PUBLIC)/libbrim.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 include/brim.h $(DESTDIR)$(INCLUDEDIR)/brim
	install -m 644 man/libbrim.3 $(DESTDIR)$(MANDIR)/man3

.PHONY: lib install-lib
