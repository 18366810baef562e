/*
 * A run on disk, as it stands between two levels, so that one that was killed goes on from there.
 *
 * A checkpoint is written under another name, forced to disk and renamed: there is the old one or the new one, and always a
 * whole one. Its header comes last. The file stays open, locked and so nobody else's, and a note in it says how far the run has
 * come since: what is lost when it is killed.
 */
enum { CHECKPOINT_VERSION = 3, BUFFER_BYTES = 1 << 20 };

#define SECONDS_BETWEEN_NOTES 0.25
#define PAUSE 10	/* so many times as long as a checkpoint took, the search goes on before the next one */

struct checkpoint {
	uint64_t version;
	uint8_t identity[IDENTITY_BYTES];
	uint64_t state_size, coverage;
	struct septum_progress progress;
	double seconds;
	struct race race;
	uint64_t witnesses, deeper, crowded, slots, chunks, batches;
	uint64_t body_bytes, body_checksum;
	uint64_t checksum;		/* of what stands above */
	struct note {
		uint64_t states, depth;
		double seconds;
	} note;
};

/* The body of a checkpoint on its way to or from the file. */
struct stream {
	int file, failed;
	uint64_t place, checksum;	/* of what left the buffer, or came into it */
	size_t next, filled;
};

static _Alignas(64) uint8_t stream_buffer[BUFFER_BYTES];

static void flush(struct stream *to)
{
	to->checksum = checksum(to->checksum, stream_buffer, to->filled);
	to->failed |= !write_at(to->file, stream_buffer, to->filled, sizeof(struct checkpoint) + to->place);
	to->place += to->filled;
	to->filled = 0;
}

static void put(struct stream *to, const void *from, size_t bytes)
{
	while (bytes && !to->failed) {
		size_t part = bytes < BUFFER_BYTES - to->filled ? bytes : BUFFER_BYTES - to->filled;

		memcpy(stream_buffer + to->filled, from, part);
		to->filled += part;
		from = (const uint8_t *)from + part;
		bytes -= part;
		if (to->filled == BUFFER_BYTES)
			flush(to);
	}
}

static void refill(struct stream *from)
{
	from->filled = read_at(from->file, stream_buffer, BUFFER_BYTES, sizeof(struct checkpoint) + from->place);
	from->checksum = checksum(from->checksum, stream_buffer, from->filled);
	from->place += from->filled;
	from->next = 0;
	from->failed |= !from->filled;
}

static void get(struct stream *from, void *to, size_t bytes)
{
	while (bytes && !from->failed) {
		size_t part = bytes < from->filled - from->next ? bytes : from->filled - from->next;

		memcpy(to, stream_buffer + from->next, part);
		from->next += part;
		to = (uint8_t *)to + part;
		bytes -= part;
		if (bytes)
			refill(from);
	}
}

static void put_table(struct stream *to, const struct table *table)
{
	for (uint64_t slot = 0; slot < table->count; slot++)
		if (table->slots[slot].first)
			put(to, &table->slots[slot], sizeof(struct fingerprint));
}

static void put_batch(struct stream *to, const struct batch *batch)
{
	put(to, &batch->count, sizeof batch->count);
	put(to, &batch->used, sizeof batch->used);
	put(to, batch->body, batch->used);
}

/* The level that comes next; how many batches it has. */
static uint64_t put_level(struct stream *to, const struct explorer *x)
{
	struct batch *batch = x->level, *spilled = &x->worker[0].spilled;
	uint64_t batches = 0;

	for (; batch; batch = batch->next, batches++)
		put_batch(to, batch);
	for (uint64_t slot = 0; slot < x->spill.readable; slot++, batches++) {
		to->failed |= !read_spilled(x->run, &x->spill, slot, spilled);
		if (!to->failed)
			put_batch(to, spilled);
	}
	return batches;
}

static struct checkpoint describe(const struct explorer *x)
{
	const struct septum_run *run = x->run;
	struct checkpoint header = {
		.version = CHECKPOINT_VERSION, .state_size = STATE_SIZE, .coverage = COVERAGE, .progress = run->progress,
		.seconds = x->earlier + now() - x->began, .deeper = (uint64_t)x->deeper, .crowded = (uint64_t)x->table.crowded,
		.slots = x->table.count, .chunks = x->log.chunks,
	};

	memcpy(header.identity, run->identity, IDENTITY_BYTES);
	for (unsigned i = 0; i < x->workers; i++) {
		const struct watcher *watcher = x->worker[i].watcher;

		header.witnesses |= x->worker[i].step.witnesses;
		if (watcher && races_less(&watcher->race, &header.race))
			header.race = watcher->race;
	}
	header.note = (struct note){ run->progress.states, run->progress.depth, header.seconds };
	return header;
}

static int write_checkpoint(const struct explorer *x, int file)
{
	struct stream to = { .file = file };
	struct checkpoint header = describe(x);

	put(&to, model_covered, COVERAGE);
	for (uint64_t number = 0; number < x->log.chunks; number++)
		put(&to, x->log.chunk[number], CHUNK_BYTES);
	put_table(&to, &x->table);
	header.batches = put_level(&to, x);
	flush(&to);
	header.body_bytes = to.place;
	header.body_checksum = to.checksum;
	header.checksum = checksum(0, &header, offsetof(struct checkpoint, checksum));
	return !to.failed && write_at(file, &header, sizeof header, 0) && !fsync(file);
}

/* Nobody else's file, or -1. */
static int open_alone(const char *path, int flags)
{
	int file = open(path, flags | O_RDWR | O_CLOEXEC, 0600);

	if (file >= 0 && flock(file, LOCK_EX | LOCK_NB)) {
		close(file);
		errno = EWOULDBLOCK;
		return -1;
	}
	return file;
}

/* A rename is on disk when the directory is. */
static int sync_directory_of(const char *path)
{
	const char *end = strrchr(path, '/');
	char *directory = end && end > path ? strndup(path, (size_t)(end - path)) : strdup(end ? "/" : ".");
	int file = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int synced = file >= 0 && !fsync(file);

	free(directory);
	if (file >= 0)
		close(file);
	return synced;
}

static int save(struct explorer *x)
{
	const struct septum_run *run = x->run;
	int file = open_alone(run->unfinished_checkpoint, O_CREAT);

	if (file < 0)
		return 0;
	if (ftruncate(file, 0) || !write_checkpoint(x, file) || rename(run->unfinished_checkpoint, run->checkpoint)) {
		unlink(run->unfinished_checkpoint);
		close(file);
		return 0;
	}
	if (x->checkpoint_file >= 0)
		close(x->checkpoint_file);
	x->checkpoint_file = file;
	return sync_directory_of(run->checkpoint);
}

/* Between two levels, while all wait. A checkpoint that cannot be written is done without: the one before it is still there. */
static void save_if_due(struct explorer *x)
{
	struct septum_run *run = x->run;
	double began = now();

	if (!run->checkpoint || began < x->next_save)
		return;
	if (save(x))
		run->checkpoints++;
	else
		run->failed_checkpoints++;
	double ended = now(), pause = (ended - began) * PAUSE;
	if (pause < run->checkpoint_seconds || run->checkpoint_seconds <= 0)
		pause = run->checkpoint_seconds;
	x->next_save = ended + pause;
}

/* By one worker, between two batches. A note that cannot be written is no loss of work. */
static void note_progress(struct explorer *x)
{
	const struct septum_run *run = x->run;
	double time = now();

	if (x->checkpoint_file < 0 || time < x->next_note)
		return;
	x->next_note = time + SECONDS_BETWEEN_NOTES;
	struct note note = { run->progress.states, run->progress.depth, x->earlier + time - x->began };
	if (!write_at(x->checkpoint_file, &note, sizeof note, offsetof(struct checkpoint, note)))
		return;
}
