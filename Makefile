# pool, a connection pool inside PostgreSQL
#
# make, make install, make installcheck work as for every PGXS extension
# (installcheck needs a server with shared_preload_libraries = 'pool', and leaves
# out what takes long or needs a build with fault points); test/run.sh does all of
# it in throw-away clusters of its own.

MODULE_big = pool
ROOMS = base options shared metrics statement session worker sql dblink
OBJS = $(patsubst %.c,%.o,src/pool.c $(sort $(wildcard $(ROOMS:%=src/%/*.c))))

# The module that serves metrics by HTTP, in a library of its own, since it needs
# GNU libmicrohttpd.  with_metrics=yes or no; without it as that library is there.
METRICS = pool_metrics
ALL_ROOMS = $(ROOMS) http
METRICS_OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/http/*.c)))

EXTENSION = pool pool_dblink
DATA = sql/pool--1.0.sql sql/pool--1.0--1.1.sql sql/pool_dblink--1.1.sql
PGFILEDESC = "pool - connection pool inside the server"

# By which a database goes from dblink to pool_dblink, and back
DATA += sql/pool_dblink_switch.sql

# Of both kinds the test "init" makes what the others use, and so comes first.
REGRESS = init options options_names params params_values result result_statements result_sets binary columns \
	query query_statements query_errors query_leftovers \
	lease lease_errors lease_hold lease_savepoint lease_transaction lease_broken lease_callers \
	stats stats_failures stats_prewarm stats_roles stats_objects stats_drop \
	security security_roles security_servers metrics \
	dblink_local

ISOLATION = init $(filter-out init, \
	$(basename $(notdir $(sort $(wildcard test/isolation/specs/*.spec)))))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=pool

TAP_TESTS = 1

# Not those that take minutes, nor those that fail without -DPOOL_FAULT_POINTS.
PROVE_TESTS = $(shell grep -LiE 'fault_?point|^. Runs with --long only\.$$' test/t/*.pl)

PG_CPPFLAGS = -I$(srcdir)/src -I$(libpq_srcdir)
SHLIB_LINK_INTERNAL = $(libpq)

# The same OpenSSL as libpq, for tls.c; threads, for lookup.c.
SHLIB_LINK = $(filter -lssl -lcrypto, $(LIBS)) -lpthread

# PostgreSQL's own headers have unused parameters, as has every function whose
# signature a callback type prescribes; all else that -Wextra finds is ours.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

with_metrics ?= $(shell echo '\#include <microhttpd.h>' | $(CC) $(CPPFLAGS) -E - \
	>/dev/null 2>&1 && echo yes || echo no)

ifeq ($(with_metrics), yes)
all: $(METRICS)$(DLSUFFIX)
install: install-metrics
endif

$(METRICS)$(DLSUFFIX): $(METRICS_OBJS)
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDFLAGS_SL) -shared -o $@ -lmicrohttpd

.PHONY: install-metrics uninstall-metrics clean-metrics

install-metrics: $(METRICS)$(DLSUFFIX) installdirs
	$(INSTALL_SHLIB) $< '$(DESTDIR)$(pkglibdir)/$<'

uninstall: uninstall-metrics
uninstall-metrics:
	rm -f '$(DESTDIR)$(pkglibdir)/$(METRICS)$(DLSUFFIX)'

clean: clean-metrics
clean-metrics:
	rm -f $(METRICS)$(DLSUFFIX) $(METRICS_OBJS)

# PGXS tracks no header dependencies.
$(OBJS) $(METRICS_OBJS): $(wildcard $(ALL_ROOMS:%=src/%/*.h))

CLANG_FORMAT ?= clang-format
CPPCHECK ?= cppcheck
SCAN_BUILD ?= scan-build
SOURCES = $(sort $(wildcard src/*.c $(ALL_ROOMS:%=src/%/*.[ch])))

.PHONY: format format-check lint check-symbols check-layers check-version dist

format:
	$(CLANG_FORMAT) -i $(SOURCES)

format-check:
	$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)

# cppcheck reads our files without PostgreSQL's headers, so it is told about
# macros that would look like syntax errors, and about those that do not return.
# scan-build works in a copy, since it must compile everything anew and leave
# the objects here alone.  It names its compiler in the environment, where PGXS
# does not look.
CPPCHECK_FLAGS = --quiet --error-exitcode=1 --inline-suppr --std=c99 \
	--enable=warning,performance,portability --suppress=missingInclude \
	'-DPG_FUNCTION_INFO_V1(f)=extern int f' '-DPG_MODULE_MAGIC=extern int magic' \
	-DERROR=21 -DFATAL=22 -DPANIC=23 \
	'-Dereport(level,...)=while ((level) >= ERROR) abort()' \
	'-Delog(level,...)=while ((level) >= ERROR) abort()' \
	'-DPG_RE_THROW()=abort()' -DPG_VERSION_NUM=150000 -DLIBPQ_HAS_PIPELINING

lint:
	$(CPPCHECK) $(CPPCHECK_FLAGS) src
	@copy=$$(mktemp -d) && trap 'rm -rf "$$copy"' EXIT && \
	cp -R Makefile *.control sql src "$$copy" && \
	$(MAKE) -s -C "$$copy" clean && \
	$(SCAN_BUILD) --status-bugs -o "$$copy/report" \
		sh -c '$(MAKE) -s -C "$$1" CC="$$CC" with_llvm=no' sh "$$copy"

# Symbols of ours must not collide with those of other libraries in the server,
# and each must tell the file that has it: pool_FILE or pool_FILE_...; the
# functions that SQL calls are pool_sql_..., whichever file of src/sql has them, and
# pool_dblink_... in src/dblink.
check-symbols: all
	@bad=$$(for object in $(filter-out src/pool.o, $(OBJS)) \
		$(if $(filter yes, $(with_metrics)), $(METRICS_OBJS)); do \
		file=$$(basename $$object .o); \
		nm -g --defined-only $$object | awk 'NF == 3 { print $$3 }' | \
			sed 's/^pg_finfo_//' | \
			case $$object in \
				src/sql/*) grep -Ev "^pool_(sql|$$file)_" ;; \
				src/dblink/*) grep -Ev "^pool_(dblink_|$$file(_|$$))" ;; \
				src/http/http.o) grep -Ev "^(Pg_magic_func|pool_http_main)$$" ;; \
				*) grep -Ev "^pool_$$file(_|$$)" ;; \
			esac | sed "s|^|$$object: |"; \
	done; \
	nm -g --defined-only src/pool.o | awk 'NF == 3 { print $$3 }' | \
		grep -Ev '^(Pg_magic_func|_PG_init)$$'); \
	if [ -n "$$bad" ]; then \
		echo "global symbols without the prefix of their file:"; echo "$$bad"; exit 1; \
	fi; \
	echo "every global symbol has the prefix of its file"

# Which rooms of src each room may use, besides itself; pool.c may use all.
USES_base =
USES_options = base
USES_shared = options base
USES_metrics = shared options base
USES_http = metrics base
USES_statement = options base
USES_session = statement shared options base
USES_worker = shared options base
USES_sql = session statement metrics shared options base
USES_dblink = session statement shared options base

check-layers:
	@bad=$$($(foreach room,$(ALL_ROOMS), \
		grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src/$(room)/*.[ch] | \
			awk -F'"' -v rooms='$(ALL_ROOMS)' -v allowed='$(room) $(USES_$(room))' ' \
				BEGIN { split(rooms, r, " "); for (i in r) own[r[i]]; \
					split(allowed, a, " "); for (i in a) may[a[i]] } \
				{ split($$2, part, "/"); parent = $$2 ~ /(^|\/)\.\.?\// } \
				parent || (part[1] in own && !(part[1] in may)) { print }';)); \
	flat=$$(ls src/*.[ch] | grep -vx src/pool.c); \
	if [ -n "$$bad$$flat" ]; then \
		echo "includes that go upwards or sideways, and files outside the rooms:"; \
		printf '%s\n' "$$bad" "$$flat"; exit 1; \
	fi; \
	echo "every include goes downwards"

# The version is that of pool.control.  What is published elsewhere has a third number
# (META.json, as PGXN wants it) or one of its own for the packaging (debian/changelog).
VERSION = $(shell sed -n "s/^default_version = '\(.*\)'$$/\1/p" $(srcdir)/pool.control)

check-version:
	@version='$(VERSION)'; bad=; \
	is() { \
		[ "$$2" = "$$3" ] || bad="$$bad$$1 has '$$2' instead of '$$3'; "; \
	}; \
	is META.json "$$(sed -n '/meta-spec/,$$d; s/.*"version": "\(.*\)".*/\1/p' META.json | \
		sort -u)" "$$version.0"; \
	is CHANGELOG.md "$$(sed -n '1s/^# \([^ ]*\) (.*)$$/\1/p' CHANGELOG.md)" "$$version"; \
	is debian/changelog "$$(sed -n '1s/.*(\(.*\)-[^-]*).*/\1/p' debian/changelog)" "$$version"; \
	is sql "$$(ls sql/pool--*--"$$version".sql 2>/dev/null | wc -l) steps" '1 steps'; \
	is pool_dblink.control "$$(sed -n "s/^default_version = '\(.*\)'$$/\1/p" \
		pool_dblink.control)" "$$version"; \
	is sql "$$(ls sql/pool_dblink--"$$version".sql 2>/dev/null | wc -l) scripts" '1 scripts'; \
	if [ -n "$$bad" ]; then \
		echo "pool.control has version $$version, but $$bad"; exit 1; \
	fi; \
	echo "every file has version $$version"

# What is committed, for PGXN and as the sources of a package
dist: check-version
	git archive --format=zip --prefix=pool-$(VERSION)/ -o pool-$(VERSION).zip HEAD
	git archive --format=tar.gz --prefix=pool-$(VERSION)/ -o pool-$(VERSION).tar.gz HEAD

# make -s print-REGRESS: a variable's value, for test/run.sh
print-%:
	@echo '$($*)'
