/*
 * staging.c
 *		Rows of a remote result as they came, to be read later.
 *
 * The rows are one stream of bytes.  Each begins with its length and has for each
 * field its length, or -1 for a null, and its bytes with a zero byte after them.
 * The stream is kept in a buffer.  When that has as much as it may have, it is
 * written to a temporary file and begins anew, so the file has the beginning of
 * the stream and the buffer its end.  To be read, all of it is written if there
 * is a file at all, and the buffer has one piece of the file after another.
 *
 * It can be read as often as one likes; then no row can be added but after
 * pool_staging_clear().
 *
 * This is no tuplestore, since what is kept for a request may outlive the
 * transaction, so that nobody but its owner closes the file, and that happens in
 * clean-up, where nothing may raise.  tuplestore_end() writes the last block
 * first, and on a full disk raises, with the file open.  Here pool_staging_destroy()
 * writes nothing.  Besides, bytes need no tuple made of them, and a row can be
 * longer than one.
 *
 * A file that is not lasting belongs to the resource owner of the moment, which
 * closes it after an error; of a lasting one the session's end does, if nobody
 * has before.
 */
#include "postgres.h"

#include "storage/fd.h"
#include "storage/ipc.h"

#include "base/compat.h"
#include "statement/staging.h"

#define FIRST_SIZE 8192

/* Bytes that are written or read at once, at most: the server takes an int. */
#define MAX_PIECE (1024 * 1024)

struct PoolStaging
{
	bool lasting; /* may outlive the transaction */
	Size limit;	  /* of the buffer, unless one row is longer */
	int64 bytes;  /* all of the stream */

	File file; /* 0: there is none */
	int64 file_size;

	char *buffer;
	Size size;
	Size used;

	/* Being read */
	bool reading;
	int64 file_next; /* where the buffer ends in the file */
	Size buffer_next;
};

/* Keeps up to so many kB in memory, in the current memory context. */
PoolStaging *
pool_staging_create(int max_kb, bool lasting)
{
	PoolStaging *staging = palloc0(sizeof(PoolStaging));

	staging->lasting = lasting;
	staging->limit = max_kb * (Size) 1024;
	staging->size = FIRST_SIZE;
	staging->buffer = palloc(staging->size);
	return staging;
}

/* Closes the file, if there is one, with which it is gone.  Raises nothing. */
static void
close_file(PoolStaging *staging)
{
	/* At the session's end all files are closed, and may be already. */
	if (staging->file != 0 && !proc_exit_inprogress)
		FileClose(staging->file);
	staging->file = 0;
	staging->file_size = 0;
}

/* Forgets all rows. */
void
pool_staging_clear(PoolStaging *staging)
{
	close_file(staging);
	staging->bytes = 0;
	staging->used = 0;
	staging->reading = false;
}

/*
 * Writes the buffer to the file, and leaves it empty.  Raises 53100 and the like if
 * that cannot be, 53400 beyond temp_file_limit; then nothing has changed.
 */
static void
write_buffer(PoolStaging *staging)
{
	Size written = 0;

	if (staging->file == 0)
		staging->file = OpenTemporaryFile(staging->lasting);
	while (written < staging->used)
	{
		int piece = (int) Min(staging->used - written, MAX_PIECE);
		int done;

		errno = 0;
		done = (int) FileWrite(staging->file, staging->buffer + written, piece,
							   staging->file_size + written,
							   WAIT_EVENT_BUFFILE_WRITE);
		if (done <= 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not write to file \"%s\": %m",
								   FilePathName(staging->file))));
		written += done;
	}
	staging->file_size += written;
	staging->used = 0;
}

static void
resize(PoolStaging *staging, Size size)
{
	staging->buffer = repalloc_huge(staging->buffer, size);
	staging->size = size;
}

/* Sees to it that there are so many bytes free in the buffer. */
static void
make_room(PoolStaging *staging, Size length)
{
	Size wanted = staging->used + length;

	if (wanted > staging->limit && staging->used > 0)
	{
		write_buffer(staging);
		wanted = length;
	}
	if (wanted > staging->size)
		resize(staging, Max(wanted, Min(2 * staging->size, staging->limit)));
}

/* Adds a row of so many fields.  One that is too long does not stay in memory. */
void
pool_staging_put(PoolStaging *staging, const PoolField *fields, int count)
{
	Size length = sizeof(Size);
	char *end;

	Assert(!staging->reading);
	for (int i = 0; i < count; i++)
	{
		length += sizeof(int);
		if (fields[i].bytes != NULL)
			length += (Size) fields[i].length + 1;
	}
	if (length > staging->size - staging->used)
		make_room(staging, length);

	end = staging->buffer + staging->used;
	memcpy(end, &length, sizeof(Size));
	end += sizeof(Size);
	for (int i = 0; i < count; i++)
	{
		int field_length = fields[i].bytes != NULL ? fields[i].length : -1;

		memcpy(end, &field_length, sizeof(int));
		end += sizeof(int);
		if (field_length >= 0)
		{
			memcpy(end, fields[i].bytes, (Size) field_length + 1);
			end += (Size) field_length + 1;
		}
	}
	staging->used += length;
	staging->bytes += length;
	if (staging->used > staging->limit)
	{
		write_buffer(staging);
		resize(staging, staging->limit);
	}
}

/* No row is added any more: gives back what is free of the buffer. */
void
pool_staging_finish(PoolStaging *staging)
{
	if (staging->file == 0)
		resize(staging, Max(staging->used, 1));
}

/* How much memory and disk the rows take, lengths of fields included. */
int64
pool_staging_bytes(const PoolStaging *staging)
{
	return staging->bytes;
}

/* Begins to read, with the first row.  Raises what writing to a file can. */
void
pool_staging_rewind(PoolStaging *staging)
{
	if (staging->file != 0 && !staging->reading)
		write_buffer(staging);
	staging->reading = true;
	staging->file_next = 0;
	staging->buffer_next = 0;
	if (staging->file != 0)
		staging->used = 0;
}

/* Fills the buffer from the file, as far as there is room and something left. */
static void
read_file(PoolStaging *staging)
{
	while (staging->used < staging->size &&
		   staging->file_next < staging->file_size)
	{
		int64 left = Min((int64) (staging->size - staging->used),
						 staging->file_size - staging->file_next);
		int piece = (int) Min(left, MAX_PIECE);
		int done;

		errno = 0;
		done =
			(int) FileRead(staging->file, staging->buffer + staging->used,
						   piece, staging->file_next, WAIT_EVENT_BUFFILE_READ);
		if (done < 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not read file \"%s\": %m",
								   FilePathName(staging->file))));
		if (done == 0)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("could not read file \"%s\": it is too short",
								   FilePathName(staging->file))));
		staging->used += done;
		staging->file_next += done;
	}
}

/*
 * Sees to it that so many bytes, which are not read yet, are in the buffer.
 * Returns false at the end of the stream.
 */
static bool
have(PoolStaging *staging, Size length)
{
	Size unread = staging->used - staging->buffer_next;

	if (unread >= length)
		return true;
	if (staging->file == 0 || staging->file_next == staging->file_size)
		return false;
	memmove(staging->buffer, staging->buffer + staging->buffer_next, unread);
	staging->buffer_next = 0;
	staging->used = unread;
	if (length > staging->size)
		resize(staging, length);
	read_file(staging);
	return staging->used >= length;
}

/*
 * Reads the next row, which has so many fields.  Returns false if there is none.
 * The fields are there until the next call.
 */
bool
pool_staging_get(PoolStaging *staging, PoolField *fields, int count)
{
	Size length;
	char *next;

	Assert(staging->reading);
	if (!have(staging, sizeof(Size)))
		return false;
	memcpy(&length, staging->buffer + staging->buffer_next, sizeof(Size));
	if (!have(staging, length))
		elog(ERROR, "a row that was put aside is not whole");

	next = staging->buffer + staging->buffer_next + sizeof(Size);
	for (int i = 0; i < count; i++)
	{
		PoolField *field = &fields[i];

		memcpy(&field->length, next, sizeof(int));
		next += sizeof(int);
		field->bytes = field->length >= 0 ? next : NULL;
		if (field->length >= 0)
			next += (Size) field->length + 1;
	}
	staging->buffer_next += length;
	Assert(next == staging->buffer + staging->buffer_next);
	return true;
}

/* Frees it, and closes its file.  Raises nothing. */
void
pool_staging_destroy(PoolStaging *staging)
{
	close_file(staging);
	pfree(staging->buffer);
	pfree(staging);
}
