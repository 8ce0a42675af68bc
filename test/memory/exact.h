/*
 * exact.h
 *	  Allocations whose end AddressSanitizer or valgrind can see.  Put in front
 *	  of each source file by test/run.sh --sanitize and --valgrind.
 *
 * PostgreSQL cuts its allocations out of blocks of several kB, which are all
 * that either tool knows of: who writes past the end of an allocation, or uses
 * it when it is freed, does so in a block that is valid.  But what is larger
 * than 8 kB gets a block of its own, which goes back to free() with it.  So ask
 * for that much, and forbid the rest.  Whoever frees the memory, the server or
 * its context's end, need not know.
 */
#ifndef TEST_MEMORY_EXACT_H
#define TEST_MEMORY_EXACT_H

#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__clang__)
#include <sanitizer/asan_interface.h>
#define EXACT_FORBID(at, size) __asan_poison_memory_region(at, size)
#define EXACT_ALLOW(at, size) ((void) 0)

/* What stands before an allocation only the server reads, which is not looked at. */
#define EXACT_FORBID_BEFORE(chunk) __asan_poison_memory_region((char *) (chunk) - 8, 8)
#else
#include <valgrind/memcheck.h>
#define EXACT_FORBID(at, size) VALGRIND_MAKE_MEM_NOACCESS(at, size)
#define EXACT_ALLOW(at, size) VALGRIND_MAKE_MEM_DEFINED(at, size)
#define EXACT_FORBID_BEFORE(chunk) ((void) 0)
#endif

/* ALLOC_CHUNK_LIMIT of aset.c is 8192, and generation.c has less. */
#define EXACT_BLOCK ((Size) 8256)

static inline Size
exact_size(Size size)
{
	return Max(size + sizeof(void *), EXACT_BLOCK);
}

static inline void *
exact_end(void *chunk, Size size)
{
	if (chunk != NULL)
	{
		EXACT_FORBID((char *) chunk + size, MAXALIGN(exact_size(size)) - size);
		EXACT_FORBID_BEFORE(chunk);
	}
	return chunk;
}

static inline void *
exact_alloc(MemoryContext context, Size size, int flags)
{
	return exact_end(MemoryContextAllocExtended(context, exact_size(size), flags), size);
}

static inline void *
exact_realloc(void *chunk, Size size)
{
	chunk = repalloc(chunk, exact_size(size));
	EXACT_ALLOW(chunk, exact_size(size));
	return exact_end(chunk, size);
}

static inline char *
exact_copy(MemoryContext context, const char *string, Size length)
{
	char *copy = exact_alloc(context, length + 1, 0);

	memcpy(copy, string, length);
	copy[length] = '\0';
	return copy;
}

static inline char *
exact_string(MemoryContext context, const char *string)
{
	return exact_copy(context, string, strlen(string));
}

/* as much of it as there is, and no more is read */
static inline char *
exact_start(const char *string, Size limit)
{
	return exact_copy(CurrentMemoryContext, string, strnlen(string, limit));
}

/* the same string in memory of its own size; the old one is freed */
static inline char *
exact_again(char *string)
{
	char *copy = exact_string(CurrentMemoryContext, string);

	pfree(string);
	return copy;
}

#undef pstrdup
#define palloc(size) exact_alloc(CurrentMemoryContext, size, 0)
#define palloc0(size) exact_alloc(CurrentMemoryContext, size, MCXT_ALLOC_ZERO)
#define palloc_extended(size, flags) exact_alloc(CurrentMemoryContext, size, flags)
#define MemoryContextAlloc(context, size) exact_alloc(context, size, 0)
#define MemoryContextAllocZero(context, size) exact_alloc(context, size, MCXT_ALLOC_ZERO)
#define repalloc(chunk, size) exact_realloc(chunk, size)
#define pstrdup(string) exact_string(CurrentMemoryContext, string)
#define pnstrdup(string, length) exact_start(string, length)
#define MemoryContextStrdup(context, string) exact_string(context, string)
#define psprintf(...) exact_again(psprintf(__VA_ARGS__))
#define text_to_cstring(text) exact_again(text_to_cstring(text))

#endif							/* TEST_MEMORY_EXACT_H */
