# ferryd. `make help` lists what can be made; `make` builds build/bin/ferryd and build/bin/ferryctl.
#
#   VARIANT=asan|tsan|fuzz   instrumented build in build/VARIANT
#   BUILD=DIR                build there instead (two builds at once in one checkout need two)
#   DIRS="base config"       only these directories of src/ and their unit tests
#   V=1                      show commands

SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# Parallel unless told otherwise. A child gets its share from its parent.
ifeq ($(MAKELEVEL),0)
ifeq ($(filter -j% --jobs%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory

VARIANT ?=
BUILD ?= build
B := $(BUILD)$(if $(VARIANT),/$(VARIANT))
Q := $(if $(V),,@)
PYTHON := /usr/bin/python3
FUZZ_TIME ?= 60
TEST_TIMEOUT ?= 120

VERSION := $(shell cat VERSION)
GIT_VERSION := $(shell git describe --always --dirty --abbrev=10 2>/dev/null)
FERRY_VERSION := $(VERSION)$(if $(GIT_VERSION),+$(GIT_VERSION))

# ---- sources

DIRS ?= base config stats runtime message endpoint transform route admin daemon ctl
ALL_SRC := $(sort $(wildcard $(foreach d,$(DIRS),src/$d/*.c src/$d/*/*.c)))
CTL_SRC := $(filter src/ctl/main.c,$(ALL_SRC))
MAIN_SRC := $(filter src/daemon/main.c,$(ALL_SRC))
LIB_SRC := $(filter-out $(CTL_SRC) $(MAIN_SRC),$(ALL_SRC))

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c \
	$(foreach d,$(DIRS),tests/unit/$d/test_*.c tests/unit/$d/*/test_*.c)))
# What unit tests share: any .c below tests/unit or tests/support that is no test itself.
SUPPORT_SRC := $(sort $(wildcard tests/support/*.c))
PROPERTY_SRC := $(sort $(wildcard tests/property/*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
# A directory there is part of the benchmark of its name.
BENCH_PART_SRC := $(sort $(wildcard tests/bench/*/*.c))

# ---- tools and flags

ifeq ($(VARIANT),fuzz)
CC := clang-14
else ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PKG_CONFIG ?= pkg-config
PACKAGES := libevent libevent_pthreads hiredis librabbitmq rdkafka yaml-0.1 jansson libxxhash libsystemd openssl
HAVE_PACKAGES := $(shell $(PKG_CONFIG) --exists $(PACKAGES) 2>/dev/null && echo yes)
ifeq ($(HAVE_PACKAGES),yes)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES))
endif
CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)

WARNINGS := -Wall -Wextra -Werror -Wno-missing-field-initializers -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat=2 -Wvla -Wundef -Wwrite-strings -Wimplicit-fallthrough
HARDEN_CFLAGS := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIE
HARDEN_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack
OPTIMISE := -O2

ifeq ($(VARIANT),asan)
OPTIMISE := -O1 -fno-omit-frame-pointer
HARDEN_CFLAGS := -fPIE
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
OPTIMISE := -O1 -fno-omit-frame-pointer
HARDEN_CFLAGS := -fPIE
SANITIZE := -fsanitize=thread
WARNINGS += -Wno-error=tsan
else ifeq ($(VARIANT),fuzz)
OPTIMISE := -O1 -fno-omit-frame-pointer
HARDEN_CFLAGS := -fPIE
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
else ifneq ($(VARIANT),)
$(error no VARIANT '$(VARIANT)': there are asan, tsan and fuzz)
endif

# CPPFLAGS, CFLAGS and LDFLAGS are the user's; ours come before them.
FERRY_CPPFLAGS := -D_GNU_SOURCE -Isrc -Iinclude $(PKG_CFLAGS) $(if $(VARIANT),-DFERRY_VARIANT_$(VARIANT)=1)
FERRY_CFLAGS := -std=c11 $(OPTIMISE) -g $(WARNINGS) $(HARDEN_CFLAGS) $(SANITIZE) -pthread
FERRY_LDFLAGS := $(HARDEN_LDFLAGS) $(SANITIZE) -pthread -rdynamic -Wl,--as-needed
FERRY_LIBS := $(PKG_LIBS) -lm
COMPILE = $(CC) $(FERRY_CPPFLAGS) $(CPPFLAGS) $(FERRY_CFLAGS) $(CFLAGS)
# Results appear whole, by a rename: two makes at once then do no harm, nor does relinking what runs.
link = $(CC) $(FERRY_LDFLAGS) $(CFLAGS) $(LDFLAGS) $(1) -o $@.$$$$
moved = && mv -f $@.$$$$ $@ || { rm -f $@.$$$$; exit 1; }

# ---- what is built

objects = $(patsubst %.c,$(B)/obj/%.o,$(1))
LIB := $(B)/libferry.a
SUPPORT := $(B)/libsupport.a
PROGRAMS := $(if $(MAIN_SRC),$(B)/bin/ferryd) $(if $(CTL_SRC),$(B)/bin/ferryctl)
UNIT := $(patsubst tests/%.c,$(B)/tests/%,$(UNIT_SRC))
PROPERTY := $(patsubst tests/%.c,$(B)/tests/%,$(PROPERTY_SRC))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
BENCHES := $(patsubst tests/bench/%.c,$(B)/bench/%,$(BENCH_SRC))
EVERY_SRC := $(ALL_SRC) $(UNIT_SRC) $(SUPPORT_SRC) $(PROPERTY_SRC) $(FUZZ_SRC) $(BENCH_SRC) $(BENCH_PART_SRC)

.PHONY: all build
all: build  ## the daemon and its client (the default)
build: $(LIB) $(PROGRAMS)

# Everything is rebuilt when the command line changes, or the compiler.
FLAGS_STAMP := $(B)/flags
FLAGS_TEXT := $(CC) $(FERRY_CPPFLAGS) $(CPPFLAGS) $(FERRY_CFLAGS) $(CFLAGS) $(FERRY_LDFLAGS) $(LDFLAGS) $(FERRY_LIBS)
.PHONY: FORCE
FORCE:

# $(call keep,TEXT): writes TEXT to the target if it says something else now.
keep = @mkdir -p $(@D); { [ -e $@ ] && [ "$$(cat $@)" = '$(1)' ]; } || printf '%s\n' '$(1)' >$@

$(FLAGS_STAMP): FORCE
ifneq ($(HAVE_PACKAGES),yes)
	@echo "make: a library is missing: $$($(PKG_CONFIG) --print-errors --exists $(PACKAGES) 2>&1 | head -n 1)" >&2
	@echo "make: 'scripts/setup build' installs all that the build needs (as root)" >&2
	@exit 1
endif
	@command -v $(firstword $(CC)) >/dev/null || \
		{ echo "make: no $(firstword $(CC)); 'scripts/setup build lint' installs the compilers (as root)" >&2; exit 1; }
	$(call keep,$(FLAGS_TEXT))

# Only who mentions the version is compiled again when it changes.
VERSION_STAMP := $(B)/version
$(VERSION_STAMP): FORCE
	$(call keep,$(FERRY_VERSION))
VERSION_USERS := $(if $(ALL_SRC),$(shell grep -l FERRY_VERSION $(ALL_SRC)))
$(call objects,$(VERSION_USERS)): $(VERSION_STAMP)
$(call objects,$(VERSION_USERS)): VERSION_FLAG = -DFERRY_VERSION='"$(FERRY_VERSION)"'

TEST_OBJECTS := $(call objects,$(UNIT_SRC) $(SUPPORT_SRC) $(PROPERTY_SRC) $(FUZZ_SRC) $(BENCH_SRC) $(BENCH_PART_SRC))
$(TEST_OBJECTS): TEST_FLAGS = -Itests $(CHECK_CFLAGS)

$(B)/obj/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $(if $(VARIANT),[$(VARIANT)] )$<"
	$(Q)$(COMPILE) $(TEST_FLAGS) $(VERSION_FLAG) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@.$$$$ $(moved)

# The list is kept so that a removed source leaves the library too.
$(B)/libferry.list: FORCE
	$(call keep,$(LIB_SRC))

$(LIB): $(call objects,$(LIB_SRC)) $(B)/libferry.list
	@echo "  AR    $@"
	$(Q)$(AR) rcs $@.$$$$ $(filter %.o,$^) $(moved)

$(B)/bin/ferryd: $(call objects,$(MAIN_SRC)) $(LIB)
$(B)/bin/ferryctl: $(call objects,$(CTL_SRC)) $(LIB)
$(B)/bin/ferryd $(B)/bin/ferryctl:
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(call link,) $(filter %.o,$^) $(LIB) $(FERRY_LIBS) $(moved)

# An archive, so that a test takes only the support that it uses, and DIRS may leave out what the rest needs.
$(SUPPORT): $(call objects,$(SUPPORT_SRC))
	@echo "  AR    $@"
	$(Q)$(AR) rcs $@.$$$$ $(filter %.o,$^) $(moved)

$(UNIT) $(PROPERTY): $(B)/tests/%: $(B)/obj/tests/%.o $(SUPPORT) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(call link,) $(filter %.o,$^) $(SUPPORT) $(LIB) $(CHECK_LIBS) $(FERRY_LIBS) $(moved)

bench_parts = $(call objects,$(filter tests/bench/$(1)/%,$(BENCH_PART_SRC)))
.SECONDEXPANSION:
$(BENCHES): $(B)/bench/%: $(B)/obj/tests/bench/%.o $$(call bench_parts,$$*) $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(call link,) $(filter %.o,$^) $(LIB) $(FERRY_LIBS) $(moved)

$(FUZZERS): $(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(LIB)
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(call link,-fsanitize=fuzzer) $(filter %.o,$^) $(LIB) $(FERRY_LIBS) $(moved)

# Objects of test programs are no mere steps on the way.
.SECONDARY:

-include $(patsubst %.o,%.d,$(call objects,$(EVERY_SRC)))

# ---- tests

RUN_TESTS := $(PYTHON) scripts/run-tests --timeout $(TEST_TIMEOUT) $(if $(TESTS),--only '$(TESTS)')

.PHONY: unit property tests
unit: $(UNIT)  ## unit tests, with the brokers that they need (TESTS=part-of-a-name runs some)
	@$(RUN_TESTS) --name unit$(if $(VARIANT),-$(VARIANT)) $(UNIT)
property: $(PROPERTY)  ## property tests
	@$(RUN_TESTS) --name property$(if $(VARIANT),-$(VARIANT)) $(PROPERTY)
tests: $(UNIT) $(PROPERTY)

.PHONY: asan tsan fuzz-build fuzz bench-build bench
asan:  ## unit and property tests with address and undefined-behaviour sanitizers
	+@$(MAKE) VARIANT=asan unit
	+@$(MAKE) VARIANT=asan property
tsan:  ## unit tests with the thread sanitizer
	+@$(MAKE) VARIANT=tsan unit
fuzz-build:
	+@$(MAKE) VARIANT=fuzz fuzzers
fuzz: fuzz-build  ## every fuzz target for FUZZ_TIME seconds (60)
	@scripts/fuzz $(BUILD)/fuzz/fuzz $(FUZZ_TIME)
.PHONY: fuzzers
fuzzers: $(FUZZERS)
bench-build: $(PROGRAMS) $(BENCHES)
bench: bench-build  ## benchmarks (tests/bench/run; BENCH="--quick" adds arguments)
	@FERRY_BIN=$(abspath $(B)/bin) FERRY_BENCH=$(abspath $(B)/bench) tests/bench/run $(BENCH)

.PHONY: integration faults demo check setup brokers brokers-stop
integration: build  ## pytest against real brokers (PYTEST="-k name -x" adds arguments)
	@FERRY_BIN=$(abspath $(B)/bin) scripts/integration $(PYTEST)
faults: build  ## the fault campaign (tests/faults/run)
	@FERRY_BIN=$(abspath $(B)/bin) tests/faults/run $(FAULTS)
setup:  ## install what build, demo and tests need (as root)
	@scripts/setup
demo:  ## set up, build, and show messages crossing between the three brokers
	@scripts/setup build run || [ $$? -eq 3 ]
	+@$(MAKE) build
	@FERRY_BIN=$(abspath $(B)/bin) scripts/demo
check:  ## set up, build, and run every test; stops at the first stage that fails
	+@MAKE='$(MAKE)' scripts/check
brokers:  ## start private Redis, RabbitMQ and Kafka
	@scripts/brokers start
brokers-stop:  ## stop them
	@scripts/brokers stop

# ---- lint

C_FILES := $(sort $(wildcard $(foreach d,src/*/ src/*/*/ include/ferry/ tests/support/ tests/unit/ tests/unit/*/ \
	tests/unit/*/*/ tests/property/ tests/fuzz/ tests/bench/ tests/bench/*/,$(d)*.c $(d)*.h)))
TIDY := $(patsubst %.c,$(B)/tidy/%.ok,$(ALL_SRC))

.PHONY: lint lint-format lint-layers lint-scripts tidy format
lint: lint-format lint-layers lint-scripts lint-reference tidy  ## formatting, layers, shell scripts, reference, clang-tidy
need = @command -v $(1) >/dev/null || \
	{ echo "make: no $(1); 'scripts/setup lint' installs it (as root)" >&2; exit 1; }
lint-format:
	$(call need,clang-format)
	@$(if $(C_FILES),clang-format --dry-run -Werror $(C_FILES) && )echo "lint: $(words $(C_FILES)) files are formatted"
lint-layers:
	@scripts/lint-layers --self-test && scripts/lint-layers
lint-scripts:
	$(call need,shellcheck)
	@grep -lE '^#!/bin/(ba)?sh' scripts/* .ci/* | xargs shellcheck -x -P scripts && echo "lint: shell scripts are clean"
tidy: $(TIDY)
# The object stands for every header that the source reads.
$(B)/tidy/%.ok: $(B)/obj/%.o .clang-tidy
	@mkdir -p $(@D)
	$(call need,clang-tidy)
	@echo "  TIDY  $*.c"
	$(Q)clang-tidy --quiet $*.c -- -std=c11 $(FERRY_CPPFLAGS) -DFERRY_VERSION='"0"' 2>&1 | \
		{ grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed |^Use -' || true; } ; exit $${PIPESTATUS[0]}
	@touch $@
.PHONY: reference lint-reference
reference: build  ## write ferry.yaml(5) and docs/reference.md from the option tables
	@scripts/man-reference $(B)/bin/ferryd
lint-reference: build
	@scripts/man-reference --check $(B)/bin/ferryd && echo "lint: the reference is up to date"
format:  ## format all C files in place
	$(call need,clang-format)
	$(if $(C_FILES),clang-format -i $(C_FILES))

# ---- install

prefix ?= /usr/local
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
sbindir ?= $(exec_prefix)/sbin
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/ferryd
sysconfdir ?= $(if $(filter /usr,$(prefix)),/etc,$(prefix)/etc)
unitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
INSTALL ?= install

MAN := $(wildcard man/*.[1-8])
UNITS := $(wildcard systemd/*.service systemd/*.socket)
# The service's; the rest of conf/ is to be read.
CONF := conf/ferry.yaml
EXAMPLES := $(filter-out $(CONF),$(wildcard conf/*.yaml))
HEADERS := $(wildcard include/ferry/*.h)
man_path = $(mandir)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1)).gz
PLACES := -e 's,@sbindir@,$(sbindir),g' -e 's,@bindir@,$(bindir),g' -e 's,@sysconfdir@,$(sysconfdir),g'

define put
	@$(INSTALL) -d $(DESTDIR)$(dir $(3)) && $(INSTALL) -m $(1) $(2) $(DESTDIR)$(3) && echo "  INSTALL $(DESTDIR)$(3)"

endef
define put_man
	@$(INSTALL) -d $(DESTDIR)$(dir $(call man_path,$(1))) && gzip -9nc $(1) >$(DESTDIR)$(call man_path,$(1)) && \
		chmod 644 $(DESTDIR)$(call man_path,$(1)) && echo "  INSTALL $(DESTDIR)$(call man_path,$(1))"

endef
# What names other installed files: $(1) becomes $(2), with the places filled in.
define put_placed
	@$(INSTALL) -d $(DESTDIR)$(dir $(2)) && sed $(PLACES) $(1) >$(DESTDIR)$(2) && chmod 644 $(DESTDIR)$(2) && \
		echo "  INSTALL $(DESTDIR)$(2)"

endef
# A configuration that is there is its owner's.
define put_conf
	@if [ -e $(DESTDIR)$(sysconfdir)/ferry/$(notdir $(1)) ]; then echo "  KEEP    $(DESTDIR)$(sysconfdir)/ferry/$(notdir $(1))"; \
	else $(INSTALL) -d $(DESTDIR)$(sysconfdir)/ferry && $(INSTALL) -m 640 $(1) $(DESTDIR)$(sysconfdir)/ferry/ && \
		echo "  INSTALL $(DESTDIR)$(sysconfdir)/ferry/$(notdir $(1))"; fi

endef

.PHONY: install uninstall clean help
install: build  ## install under prefix (/usr/local); DESTDIR= stages
	$(if $(MAIN_SRC),$(call put,755,$(B)/bin/ferryd,$(sbindir)/ferryd))
	$(if $(CTL_SRC),$(call put,755,$(B)/bin/ferryctl,$(bindir)/ferryctl))
	$(foreach f,$(MAN),$(call put_man,$f))
	$(foreach f,$(UNITS),$(call put_placed,$f,$(unitdir)/$(notdir $f)))
	$(call put_placed,systemd/ferryd.sysusers,$(sysusersdir)/ferryd.conf)
	$(call put_placed,systemd/ferryd.tmpfiles,$(tmpfilesdir)/ferryd.conf)
	$(foreach f,$(CONF),$(call put_conf,$f))
	$(foreach f,$(EXAMPLES),$(call put,644,$f,$(docdir)/examples/$(notdir $f)))
	$(foreach f,$(HEADERS),$(call put,644,$f,$(includedir)/ferry/$(notdir $f)))

uninstall:  ## remove what install put there, except the configuration
	rm -f $(DESTDIR)$(sbindir)/ferryd $(DESTDIR)$(bindir)/ferryctl \
		$(foreach f,$(MAN),$(DESTDIR)$(call man_path,$f)) \
		$(foreach f,$(UNITS),$(DESTDIR)$(unitdir)/$(notdir $f)) \
		$(DESTDIR)$(sysusersdir)/ferryd.conf $(DESTDIR)$(tmpfilesdir)/ferryd.conf \
		$(foreach f,$(EXAMPLES),$(DESTDIR)$(docdir)/examples/$(notdir $f)) \
		$(foreach f,$(HEADERS),$(DESTDIR)$(includedir)/ferry/$(notdir $f))

clean:  ## remove what was built
	rm -rf $(BUILD)

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
