# pool, a connection pool inside PostgreSQL
#
# make, make install, make installcheck work as for every PGXS extension
# (installcheck needs a server with shared_preload_libraries = 'pool');
# test/run.sh does all of it in throw-away clusters of its own.

MODULE_big = pool
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))

EXTENSION = pool
DATA = sql/pool--1.0.sql
PGFILEDESC = "pool - connection pool inside the server"

REGRESS = init options params result query lease stats security

ISOLATION = $(basename $(notdir $(sort $(wildcard test/isolation/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=pool

TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

PG_CPPFLAGS = -I$(libpq_srcdir)
SHLIB_LINK_INTERNAL = $(libpq)

# The same OpenSSL as libpq, for relay.c; threads, for lookup.c.
SHLIB_LINK = $(filter -lssl -lcrypto, $(LIBS)) -lpthread

# PostgreSQL's own headers have unused parameters, as has every function whose
# signature a callback type prescribes; all else that -Wextra finds is ours.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS tracks no header dependencies.
$(OBJS): $(wildcard src/*.h)

CLANG_FORMAT ?= clang-format
CPPCHECK ?= cppcheck
SCAN_BUILD ?= scan-build
SOURCES = $(sort $(wildcard src/*.[ch]))

.PHONY: format format-check lint check-symbols

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
	cp -R Makefile pool.control sql src "$$copy" && \
	$(MAKE) -s -C "$$copy" clean && \
	$(SCAN_BUILD) --status-bugs -o "$$copy/report" \
		sh -c '$(MAKE) -s -C "$$1" CC="$$CC" with_llvm=no' sh "$$copy"

# Symbols of ours must not collide with those of other libraries in the server.
check-symbols: all
	@bad=$$(nm -g --defined-only $(OBJS) | awk 'NF == 3 { print $$3 }' | \
		grep -Ev '^(pool_.*|pg_finfo_pool_.*|Pg_magic_func|_PG_init)$$'); \
	if [ -n "$$bad" ]; then \
		echo "global symbols without the prefix pool_:"; echo "$$bad"; exit 1; \
	fi; \
	echo "every global symbol starts with pool_"

# make -s print-REGRESS: a variable's value, for test/run.sh
print-%:
	@echo '$($*)'
