/*
 * targets.h
 *	  What is fuzzed.
 */
#ifndef FUZZ_TARGETS_H
#define FUZZ_TARGETS_H

typedef struct FuzzTarget
{
	const char *name;
	void (*prepare)(void); /* once; or NULL */
	void (*run)(const uint8 *data, size_t size);
} FuzzTarget;

/* Ends with a name of NULL. */
extern const FuzzTarget fuzz_targets[];

/* What libFuzzer takes for a crash, with the input that has led to it. */
#define FUZZ_EXPECT(condition) \
	do \
	{ \
		if (!(condition)) \
		{ \
			fprintf(stderr, "not so: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
			abort(); \
		} \
	} while (0)

extern void fuzz_prepare_pool(void);
extern void fuzz_messages(const uint8 *data, size_t size);
extern void fuzz_prepare_reply(void);
extern void fuzz_reply(const uint8 *data, size_t size);
extern void fuzz_answer(const uint8 *data, size_t size);
extern void fuzz_prepare_connect(void);
extern void fuzz_connect(const uint8 *data, size_t size);
extern void fuzz_prepare_result(void);
extern void fuzz_result(const uint8 *data, size_t size);
extern void fuzz_hosts(const uint8 *data, size_t size);
extern void fuzz_options(const uint8 *data, size_t size);
extern char *fuzz_string(const uint8 **data, size_t *size);

#endif /* FUZZ_TARGETS_H */
