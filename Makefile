# presignd - build, test, install. `make help` lists the targets.
#
#   make CC=clang        another compiler            (build/clang)
#   make SAN=1           ASan and UBSan              (build/san)
#   make TSAN=1          ThreadSanitizer             (build/tsan)
#   make WERROR=1        warnings are errors
#   make B=DIR           another build folder
#   make NODEPS=1        do not look for missing Debian packages
#
# Everything that asks an installed tool (pkg-config, the compiler) is expanded in recipes only:
# on a bare machine tests/deps has installed it by then.

VERSION := 0.1.0

# ---- the program, in floor order: a file includes only what stands before it ---------------------

SRCS := \
    src/base/str.c src/base/status.c src/base/buf.c src/base/arena.c src/base/fault.c \
    src/base/json_write.c src/base/json_guard.c src/base/json_read.c src/base/xml_read.c \
    src/base/log.c src/base/metrics.c src/base/loop.c src/base/notify.c \
    \
    src/crypto/secret.c src/crypto/hash.c src/crypto/random.c src/crypto/encode.c \
    src/crypto/date.c \
    \
    src/sign/endpoint.c src/sign/sigv4.c src/sign/post_packet.c src/sign/signed_headers.c \
    src/sign/url_packet.c src/sign/header_sign.c \
    \
    src/net/address.c src/net/file_want.c src/net/fetch.c \
    src/net/resp_name.c src/net/resp_wire.c src/net/resp_hello.c \
    src/net/resp_queue.c src/net/resp_link.c \
    \
    src/creds/creds.c src/creds/cred_source.c src/creds/cred_json.c src/creds/cred_env.c \
    src/creds/cred_container.c src/creds/cred_imds.c src/creds/sts_xml.c src/creds/sts_request.c \
    src/creds/cred_assume.c src/creds/cred_web_identity.c src/creds/ini.c src/creds/cred_file.c \
    src/creds/cred_auto.c src/creds/cred_store.c \
    \
    src/auth/jwk.c src/auth/jwk_verify.c src/auth/keyset.c src/auth/token.c \
    src/auth/principal.c src/auth/claims.c src/auth/keyring.c src/auth/token_cache.c \
    src/auth/key_refresh.c src/auth/key_source.c src/auth/mint.c \
    \
    src/rules/content_type.c src/rules/filename.c src/rules/template.c \
    src/rules/profile_texts.c src/rules/profile.c src/rules/decide.c src/rules/decide_packet.c \
    \
    src/ledger/limits.c src/ledger/upload.c src/ledger/ledger.c src/ledger/ledger_none.c \
    src/ledger/tally_text.c src/ledger/ledger_copier.c src/ledger/ledger_db.c src/ledger/ledger_rows.c \
    src/ledger/ledger_reserve.c src/ledger/ledger_uploads.c src/ledger/ledger_operator.c \
    src/ledger/ledger_job.c src/ledger/ledger_thread.c src/ledger/ledger_sqlite.c \
    src/ledger/ledger_db_copy.c src/ledger/rate_share.c src/ledger/ledger_scripts.c \
    src/ledger/ledger_redis_ask.c src/ledger/ledger_redis_answer.c src/ledger/ledger_redis.c \
    src/ledger/object_look.c \
    src/ledger/sweeper.c \
    \
    src/http/inherited.c src/http/gate.c src/http/cors.c src/http/problem.c src/http/route.c \
    src/http/request.c src/http/answer.c src/http/exposition.c src/http/access_log.c src/http/server.c \
    \
    src/api/worker.c src/api/ledger_call.c src/api/limit_json.c src/api/ratelimit.c \
    src/api/grant.c src/api/idempotency.c src/api/authenticate.c src/api/packet_json.c \
    src/api/uploads.c src/api/upload_view.c src/api/quota.c src/api/presign.c src/api/probes.c \
    src/api/ledger_admin.c src/api/web.c src/api/routes.c \
    \
    src/config.c src/config_credentials.c src/config_plans.c src/config_tables.c src/config_shape.c \
    src/config_env.c src/config_document.c src/config_threads.c \
    \
    src/cmd/common.c src/cmd/check.c src/cmd/token.c src/cmd/ledger.c src/cmd/health.c \
    src/cmd/s3_refusal.c src/cmd/packet_view.c src/cmd/explain_codes.c src/cmd/explain_judge.c \
    src/cmd/explain.c \
    src/cmd/doctor_call.c src/cmd/doctor_report.c src/cmd/doctor_here.c src/cmd/doctor_ledger.c \
    src/cmd/doctor_store.c src/cmd/doctor_plan.c src/cmd/doctor_cors.c src/cmd/doctor_upload.c \
    src/cmd/doctor_object.c src/cmd/doctor.c \
    src/cmd/version.c src/cmd/dev.c src/cmd/web_files.c src/cmd/reload.c src/cmd/lanes.c \
    src/cmd/ledgers.c src/cmd/supervisor.c src/cmd/serve.c \
    \
    src/main.c

# Texts that the program carries: src/ledger/base.lua is `const struct str data_ledger_base_lua`.
DATA := $(addprefix src/ledger/,base.lua reserve.lua handed.lua release.lua upload.lua due.lua \
    tallies.lua probe.lua)

# The upload page and the client module; include/presignd/web_list.h says which path each is served at.
WEB := $(addprefix src/web/,index.html page.css page.js words.js session.js row.js total.js files.js \
    panel.js thumbnail.js quota.js favicon.svg presignd.js presignd.d.ts)
DATA += $(WEB)
CLIENT := src/web/presignd.js
CLIENT_BYTES_MAX := 6144

FLOORS := base crypto sign net creds auth rules ledger http api app
LIBS := libmicrohttpd jansson libjwt uuid libcurl openssl libutf8proc sqlite3 hiredis expat

# ---- variant and flags ---------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
ifneq ($(and $(SAN),$(TSAN)),)
$(error SAN=1 and TSAN=1 exclude each other)
endif

empty :=
space := $(empty) $(empty)
VARIANT := $(subst $(space),-,$(strip $(filter-out gcc cc,$(notdir $(firstword $(CC)))) \
             $(if $(SAN),san) $(if $(TSAN),tsan)))
B ?= build$(if $(VARIANT),/$(VARIANT))
BIN := $(B)/presignd

ifneq ($(SAN),)
MODE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
else ifneq ($(TSAN),)
MODE := -O1 -fno-omit-frame-pointer -fsanitize=thread
else
MODE := -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
    -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 \
    -Wimplicit-fallthrough -Wnull-dereference $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fPIE \
    $(if $(filter x86_64,$(shell uname -m)),-fstack-clash-protection -fcf-protection)

CPPFLAGS += -D_GNU_SOURCE -Iinclude
CFLAGS ?= -g
BASE_FLAGS = -std=gnu11 $(WARN) $(HARDEN) $(CPPFLAGS)
ALL_CFLAGS = $(BASE_FLAGS) $(MODE) $(CFLAGS)
ALL_LDFLAGS = $(MODE) $(HARDEN) -pie -pthread -Wl,-z,relro,-z,now,--as-needed $(LDFLAGS)
TEST_FLAGS := -Itests/unit -Itests/oom

# Asked once, when the first recipe needs the answer.
PC_CFLAGS = $(eval PC_CFLAGS := $(call pc,--cflags) $(call tls,-DPRESIGND_HIREDIS_SSL))$(PC_CFLAGS)
PC_LIBS = $(eval PC_LIBS := $(call pc,--libs))$(PC_LIBS)
pc = $(or $(shell pkg-config $1 $(LIBS) $(call tls,hiredis_ssl) && \
    echo ' '),$(error pkg-config does not know all of $(LIBS)))
# hiredis 1.0 and later bring TLS along.
tls = $(if $(shell pkg-config --exists hiredis_ssl && echo yes),$1)

BUILD_ID = $(or $(shell git rev-parse --short HEAD 2>/dev/null),release)
$(B)/src/cmd/version.o: CPPFLAGS += -DPRESIGND_VERSION='"$(VERSION)"' \
    -DPRESIGND_BUILD='"$(BUILD_ID)"'
$(B)/src/cmd/version.o: $(B)/build-id

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all run demo check check-programs bench fuzz fuzz-programs lint format format-web \
    install uninstall deb man deps clean help FORCE
Q := $(if $(V),,@)

all: $(BIN)

# ---- packages ------------------------------------------------------------------------------------

# Each group is looked at once per call; sub-makes are told that it was.
DEPS ?= build test demo bench lint
deps:
	$(Q)tests/deps $(DEPS)
deps-%: FORCE
	$(if $(NODEPS),,$(Q)tests/deps $*)
FORCE:
SUBMAKE = +$(Q)$(MAKE) --no-print-directory NODEPS=1

# ---- objects, one archive per floor, the program -------------------------------------------------

floor_of = $(if $(filter src/config%.c src/main.c src/cmd/% src/web/%,$1),app,$(word 2,$(subst /, ,$1)))
floor_srcs = $(foreach s,$(filter-out src/main.c,$(SRCS)),$(if $(filter $1,$(call floor_of,$s)),$s))
floor_data = $(foreach d,$(DATA),$(if $(filter $1,$(call floor_of,$d)),$d))
# Archives up to and including a floor, the highest first, as the linker wants them.
upto = $(if $(filter $1,$(FLOORS)),$(call upto_,$1,$(FLOORS)),$(error no floor "$1" ($2)))
upto_ = $(if $(filter-out $(firstword $2),$1),$(call upto_,$1,$(wordlist 2,99,$2))) \
    $(B)/lib/$(firstword $2).a

# Changes when the flags do, so that objects follow.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(ALL_CFLAGS))' | cmp -s - $@ || \
	    echo '$(subst ','\'',$(CC) $(ALL_CFLAGS))' >$@

# The same for what names the commit.
$(B)/build-id: FORCE
	@mkdir -p $(@D)
	@id='$(BUILD_ID)'; echo "$$id" | cmp -s - $@ || echo "$$id" >$@

$(B)/%.o: %.c $(B)/flags | deps-build
	@mkdir -p $(@D)
	@echo "CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(PC_CFLAGS) -MMD -MP -c -o $@ $<

# A text as a C array: its name is its path below src/, all but letters and digits as "_".
$(DATA:%=$(B)/data/%.c): $(B)/data/%.c: %
	@mkdir -p $(@D)
	@echo "DATA $<"
	$(Q)name=data_$$(echo '$(<:src/%=%)' | tr -c 'A-Za-z0-9\n' _); \
	{ echo '#include "presignd/str.h"'; \
	    echo "extern const struct str $$name;"; \
	    echo 'static const unsigned char bytes[] = {'; \
	    od -An -v -tu1 '$<' | sed 's/[0-9][0-9]*/&,/g'; \
	    echo '};'; \
	    echo "const struct str $$name = { (const char *)bytes, sizeof(bytes) };"; } >$@

$(DATA:%=$(B)/data/%.o): %.o: %.c $(B)/flags | deps-build
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define floor_rule
$(B)/lib/$1.a: $(patsubst %.c,$(B)/%.o,$(call floor_srcs,$1)) \
    $(patsubst %,$(B)/data/%.o,$(call floor_data,$1)) | deps-build
	@mkdir -p $$(@D)
	@echo "AR $$@"
	$$(Q)rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach f,$(FLOORS),$(eval $(call floor_rule,$f)))

# What a browser has to load, as it is and as a compressing server in front sends it.
thousands = sed ':next; s/\B[0-9]\{3\}\>/,&/; t next'
define web_sizes
@raw=0; packed=0; for f in $(filter-out %.d.ts,$(WEB)); do \
    r=$$(wc -c <$$f); p=$$(gzip -9n <$$f | wc -c); raw=$$((raw + r)); packed=$$((packed + p)); \
    test $$f != $(CLIENT) || { client=$$p; \
        echo "WEB $$f $$r bytes, $$p gzipped (at most $(CLIENT_BYTES_MAX))" | $(thousands); }; \
done; echo "WEB the page $$raw bytes, $$packed gzipped" | $(thousands); \
test $$client -le $(CLIENT_BYTES_MAX) || { echo "$(CLIENT) is too large" >&2; exit 1; }
endef

$(BIN): $(B)/src/main.o $(call upto,app)
	@echo "LD $@"
	$(web_sizes)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PC_LIBS)

# ---- test programs -------------------------------------------------------------------------------

# A test of module m links the floors up to m's own; a first line like "/* floor: auth" overrides
# that, and a test of no module gets them all.
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
ifneq ($(UNIT_SRCS)$(FUZZ_SRCS),)
MARKS := $(shell sed -sn '1s|^/\* floor: \([a-z]*\).*|\1|;t name;b;:name;F;p' \
             $(UNIT_SRCS) $(FUZZ_SRCS) | paste -sd' \n' | sed 's|.*/\(.*\)\.c |\1:|')
WITH_OOM := $(shell grep -l '^\#include "oom.h"' $(UNIT_SRCS))
WITH_CLOCK := $(shell grep -l '^\#include "pretend_clock.h"' $(UNIT_SRCS))
CLOCK_LDFLAGS := -Wl,--wrap=clock_gettime,--wrap=epoll_wait
endif

module_floor = $(call floor_of,$(firstword $(filter %/$1.c,$(SRCS))))
test_floor = $(or $(patsubst $1:%,%,$(filter $1:%,$(MARKS))),$(strip \
    $(call module_floor,$(patsubst test_%,%,$(patsubst fuzz_%,%,$1)))),app)

UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/tests/%)
REPLAY_BINS := $(FUZZ_SRCS:tests/fuzz/fuzz_%.c=$(B)/tests/replay_%)

$(B)/tests/unit/%.o $(B)/tests/oom/%.o: CPPFLAGS += $(TEST_FLAGS)
$(B)/tests/oom/%.o: MODE := -O2
$(UNIT_SRCS:%.c=$(B)/%.o): | deps-test

define unit_rule
$(B)/tests/$1: $(B)/tests/unit/$1.o $(if $(filter %/$1.c,$(WITH_OOM)),$(B)/tests/oom/oom.o) \
    $(call upto,$(call test_floor,$1),tests/unit/$1.c)
	@echo "LD $$@"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) $(if $(filter %/$1.c,$(WITH_CLOCK)),$(CLOCK_LDFLAGS)) \
	    -o $$@ $$^ $$(PC_LIBS) -lcmocka
endef
$(foreach t,$(notdir $(UNIT_SRCS:.c=)),$(eval $(call unit_rule,$t)))

# Replays files through a fuzz target with any compiler.
define replay_rule
$(B)/tests/replay_$1: $(B)/tests/fuzz/fuzz_$1.o $(B)/tests/fuzz/replay.o \
    $(call upto,$(call test_floor,fuzz_$1),tests/fuzz/fuzz_$1.c)
	@echo "LD $$@"
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(PC_LIBS)
endef
$(foreach t,$(FUZZ_SRCS:tests/fuzz/fuzz_%.c=%),$(eval $(call replay_rule,$t)))

# The signer for pytest to talk to (tests/blackbox/test_oracle.py), and its benchmark.
SIGNERS := $(B)/tests/sign_driver $(B)/tests/bench_sign
$(B)/tests/sign_driver: $(B)/tests/oracle/sign_driver.o $(call upto,sign)
$(B)/tests/bench_sign: $(B)/tests/bench/bench_sign.o $(call upto,sign)
$(SIGNERS):
	@echo "LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PC_LIBS)

check-programs: all $(UNIT_BINS) $(REPLAY_BINS) $(SIGNERS)
	@:

# make test-str builds and runs one unit test.
test-%: $(B)/tests/test_%
	$(Q)$<

# ---- fuzzing (clang) -----------------------------------------------------------------------------

F ?= build/fuzz
FUZZ_FLAGS := -std=gnu11 -g -O1 -fno-omit-frame-pointer -D_GNU_SOURCE -Iinclude \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(F)/%)
FUZZ_SECONDS ?= 600

$(F)/%.o: %.c | deps-build deps-test
	@mkdir -p $(@D)
	@echo "CC $< (fuzz)"
	$(Q)clang $(FUZZ_FLAGS) $(PC_CFLAGS) -MMD -MP -c -o $@ $<

$(DATA:%=$(F)/data/%.o): $(F)/data/%.o: $(B)/data/%.c | deps-build deps-test
	@mkdir -p $(@D)
	$(Q)clang $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

fuzz_floor = $(patsubst %.c,$(F)/%.o,$(call floor_srcs,$1)) \
    $(patsubst %,$(F)/data/%.o,$(call floor_data,$1))
fuzz_objs = $(foreach a,$(call upto,$1,$2),$(call fuzz_floor,$(basename $(notdir $a))))
define fuzz_rule
$(F)/$1: $(F)/tests/fuzz/$1.o $(call fuzz_objs,$(call test_floor,$1),tests/fuzz/$1.c)
	@echo "LD $$@"
	$$(Q)clang -g -fsanitize=fuzzer,address,undefined -o $$@ $$^ $$(PC_LIBS)
endef
$(foreach t,$(notdir $(FUZZ_SRCS:.c=)),$(eval $(call fuzz_rule,$t)))

fuzz-programs: $(FUZZ_BINS)
	@:

fuzz: deps-build deps-test
	$(SUBMAKE) fuzz-programs
	$(Q)tests/run --fuzz-only --fuzz $(F) --fuzz-seconds $(FUZZ_SECONDS) \
	    $(if $(FUZZ),--only $(FUZZ))

# ---- running -------------------------------------------------------------------------------------

run: all
	$(Q)$(BIN) serve --dev

demo: deps-build deps-demo
	$(SUBMAKE) all
	$(Q)PRESIGND_BIN=$(BIN) tests/demo

bench: deps-build deps-bench
	$(SUBMAKE) all
	$(Q)PRESIGND_BIN=$(BIN) tests/bench/run

# Programs first, with the compiler that tests/deps may just have installed. The live seconds of
# fuzzing belong to the plain variant: a fuzz target has ASan and UBSan of its own.
CHECK_FUZZ_SECONDS ?= 3
check: deps-build deps-test
	$(Q)tests/web-tools axe-core || echo 'check: what needs axe-core is skipped' >&2
	$(SUBMAKE) check-programs
	+$(Q)$(if $(VARIANT),,if command -v clang >/dev/null; then \
	    $(MAKE) --no-print-directory NODEPS=1 fuzz-programs; fi)
	$(Q)tests/run --build $(B) $(if $(VARIANT),,--fuzz $(F) --fuzz-seconds $(CHECK_FUZZ_SECONDS)) \
	    $(if $(SAN),--san) $(if $(TSAN),--tsan) $(if $(ALL),--all) $(if $(LABEL),--label $(LABEL))

# ---- install -------------------------------------------------------------------------------------

# Below PREFIX, source:destination. No configuration is installed, so none is overwritten: the
# service starts when /etc/presignd/presignd.json is there.
PREFIX ?= /usr/local
UNITS := $(notdir $(wildcard systemd/*.service systemd/*.socket))
INSTALLED = $(BIN):bin/presignd \
    $(foreach u,$(UNITS),$(B)/systemd/$u:lib/systemd/system/$u) \
    src/man/presignd.1:share/man/man1/presignd.1 \
    src/man/presignd.json.5:share/man/man5/presignd.json.5 \
    src/man/presignd.bash:share/bash-completion/completions/presignd \
    $(foreach f,presignd.json presignd.schema.json,config/$f:share/presignd/$f) \
    $(foreach f,$(notdir $(CLIENT) $(CLIENT:.js=.d.ts)),src/web/$f:share/presignd/web/$f) \
    $(foreach f,presignd.dashboard.json presignd.rules.yml,\
        config/monitoring/$f:share/presignd/monitoring/$f)

# It stands in the unit and in commands as it is.
define check_prefix
@printf '%s\n' '$(subst ','\'',$(PREFIX))' | grep -qxE '/[A-Za-z0-9/._+-]*' || { \
    echo 'make: PREFIX must be an absolute path of letters, digits and / . _ + -' >&2; exit 1; }
endef

install: all
	$(check_prefix)
	$(Q)mkdir -p $(B)/systemd
	$(Q)for unit in $(UNITS); do \
	    sed 's|/usr/bin/presignd|$(PREFIX)/bin/presignd|' systemd/$$unit >$(B)/systemd/$$unit || exit; \
	done
	$(Q)for pair in $(INSTALLED); do \
	    case $$pair in *:bin/*) mode=0755 ;; *) mode=0644 ;; esac; \
	    to="$(DESTDIR)$(PREFIX)/$${pair#*:}"; echo "INSTALL $$to"; \
	    install -D -m $$mode "$${pair%%:*}" "$$to" || exit; \
	done

# Takes away what install has put there; configuration and ledger stay.
uninstall:
	$(check_prefix)
	$(Q)for pair in $(INSTALLED); do rm -f "$(DESTDIR)$(PREFIX)/$${pair#*:}"; done
	$(Q)if test -d "$(DESTDIR)$(PREFIX)/share/presignd"; then \
	    find "$(DESTDIR)$(PREFIX)/share/presignd" -type d -empty -delete; fi

# A Debian package in the build folder. Linked once more without symbols: the same commit gives the
# same bytes, wherever it stands. A commit without a tag is later than the version it is named for,
# and than the commits before it.
DEB_VERSION ?= $(VERSION)$(addprefix +git,$(shell git tag --points-at HEAD 2>/dev/null | grep -q . || \
    TZ=UTC git log -1 --format=%cd.%h --date=format-local:%Y%m%d.%H%M%S 2>/dev/null))
deb: all deps-deb
	$(Q)rm -rf $(B)/deb $(B)/presignd_*.deb && mkdir -p $(B)/deb
	$(SUBMAKE) install BIN=$(B)/deb/presignd LDFLAGS='$(LDFLAGS) -s' DESTDIR=$(abspath $(B))/deb/root \
	    PREFIX=/usr
	$(Q)config/debian/build $(B)/deb/root $(DEB_VERSION) $(B)

# The part of presignd.json(5) that the schema knows.
man:
	$(Q)src/man/members config/presignd.schema.json src/man/presignd.json.5 >$(B)/page && \
	    cat $(B)/page >src/man/presignd.json.5

# ---- lint ----------------------------------------------------------------------------------------

# LINTED: those to leave out, as what they show is known.
LINTS := lint-format lint-text lint-headers lint-gcc lint-clang lint-tidy lint-cppcheck lint-shell \
    lint-web lint-deb
.PHONY: $(LINTS)
HDRS := $(wildcard include/presignd/*.h)
OUR_C := $(SRCS) $(HDRS) $(wildcard $(addprefix tests/,unit/*.[ch] oom/*.[ch] fuzz/*.[ch] \
             oracle/*.c bench/*.c))

lint: deps-build deps-test deps-lint
	$(SUBMAKE) -k $(filter-out $(LINTED),$(LINTS))
	@echo "lint: clean"

format:
	$(Q)clang-format -i $(if $(FILES),$(FILES),$(OUR_C))

format-web:
	$(Q)tests/check-web --write

# One version decides how code is laid out; others differ in small ways.
lint-format:
	$(Q)if clang-format --version | grep -q 'version 14\.'; then \
	    clang-format --dry-run -Werror $(OUR_C); \
	else echo "lint-format: only clang-format 14 (Debian 12) is asked"; fi

lint-text:
	$(Q)tests/check-floors $(SRCS)
	$(Q)tests/check-size
	$(Q)tests/check-banned

lint-headers:
	$(Q)bad=0; for cc in gcc clang; do for h in $(HDRS:include/%=%); do \
	    printf '#include "%s"\nint stands_alone;\n' "$$h" | \
	        $$cc $(BASE_FLAGS) -Werror $(PC_CFLAGS) -x c -fsyntax-only - || \
	        { echo "lint-headers: $$h does not stand alone ($$cc)"; bad=1; }; \
	done; done; exit $$bad

lint-gcc:
	$(SUBMAKE) CC=gcc WERROR=1 B=build/lint-gcc check-programs
lint-clang:
	$(SUBMAKE) CC=clang WERROR=1 B=build/lint-clang check-programs

TIDIED := $(SRCS:%.c=build/tidy/%.ok)
lint-tidy: $(TIDIED)
	@:
build/tidy/%.ok: %.c .clang-tidy $(HDRS)
	@mkdir -p $(@D)
	@echo "TIDY $<"
	$(Q)clang-tidy --quiet $< -- -std=gnu11 $(CPPFLAGS) $(PC_CFLAGS) 2>$@.err || \
	    { cat $@.err; exit 1; }
	$(Q)touch $@

# uninitvar does not see that a fixed buffer writes into its array; gcc and clang-tidy do.
lint-cppcheck:
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=uninitvar \
	    --error-exitcode=1 -D_GNU_SOURCE -D__linux__ -Iinclude $(SRCS)

SHELL_SCRIPTS := $(shell grep -lsE -m1 '^\#! */.*[/ ](ba)?sh( |$$)' .ci/* tests/* tests/*/* docker/* \
                     config/debian/* systemd/*)
lint-shell:
	$(Q)shellcheck -x -S warning $(SHELL_SCRIPTS) src/man/presignd.bash

lint-deb:
	$(Q)if command -v lintian >/dev/null; then \
	    $(MAKE) --no-print-directory NODEPS=1 CC=gcc WERROR=1 B=build/lint-deb deb >/dev/null && \
	    lintian --allow-root --fail-on error,warning build/lint-deb/presignd_$(DEB_VERSION)_*.deb; \
	else echo 'lint-deb: lintian is not installed; not asked'; fi

# prettier and TypeScript, as npm has them; without them this fails, for it has checked nothing.
lint-web:
	$(Q)tests/check-web

# ---- the rest ------------------------------------------------------------------------------------

compile_commands.json: FORCE | deps-build
	@{ sep='['; for f in $(SRCS) $(UNIT_SRCS) $(FUZZ_SRCS); do \
	    printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' "$$sep" '$(CURDIR)' "$$f" \
	        '$(CC) $(BASE_FLAGS) $(TEST_FLAGS) $(PC_CFLAGS) -c '"$$f"; sep=','; \
	done; printf '\n]\n'; } >$@
	@echo "GEN $@"

clean:
	rm -rf build compile_commands.json

help:
	@echo 'make                 build build/presignd'
	@echo 'make run             start it with no configuration; prints a token and a curl line'
	@echo 'make demo            a real S3, a packet, an upload, three refusals (KEEP=1: stays, with the page)'
	@echo 'make check           all tests (SAN=1, TSAN=1: with sanitizers; ALL=1: there browsers too)'
	@echo 'make test-NAME       one unit test (tests/unit/test_NAME.c)'
	@echo 'make format          lay the code out (FILES="...": only these)'
	@echo 'make format-web      the same for what browsers get'
	@echo 'make lint            format, floors, sizes, both compilers, analysers'
	@echo 'make fuzz            each fuzz target for FUZZ_SECONDS=600 (FUZZ=NAME: one)'
	@echo 'make bench           figures against nginx and Node'
	@echo 'make install         DESTDIR= PREFIX=/usr/local; make uninstall takes it away'
	@echo 'make deb             build/presignd_VERSION_ARCH.deb'
	@echo 'make man             presignd.json(5) anew from the schema'
	@echo 'make deps            Debian packages (DEPS="build test demo bench lint deb")'
	@echo 'make compile_commands.json | clean'

-include $(shell find $(B)/src $(B)/tests $(B)/data $(F)/src $(F)/tests -name '*.d' 2>/dev/null)
