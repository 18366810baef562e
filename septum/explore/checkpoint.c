/*
 * A run on disk, as it stands between two batches, so that one that was killed, or that a limit ended, goes on from there.
 *
 * A checkpoint is written under another name, forced to disk and renamed: there is the old one or the new one, and always a
 * whole one. Its header comes last. The file stays open, locked and so nobody else's, and a note in it says how far the run has
 * come since: what is lost when it is killed.
 *
 * Offers save_if_due, save_at_end and note_progress; refill, get, header_seal and open_alone to who reads one.
 */
enum { CHECKPOINT_VERSION = 4, BUFFER_BYTES = 1 << 20 };

#define SECONDS_BETWEEN_NOTES 0.25
#define STOPPED_BYTES (256ull << 20)
#define PAUSE 10	/* so many times as long as a checkpoint took, the search goes on before the next one */

struct checkpoint {
	uint64_t version;
	uint8_t identity[IDENTITY_BYTES];
	uint64_t state_size, coverage;
	struct septum_progress progress;
	double seconds;
	struct race race;
	uint64_t witnesses, deeper, crowded, slots, chunks;
	uint64_t batches[2];		/* of this level, not yet expanded, and of the next one */
	uint64_t body_bytes, body_seal;
	uint64_t seal;			/* of what stands above */
	struct note {
		uint64_t states, depth;
		double seconds;
	} note;
};

/* The body of a checkpoint on its way to or from the file. */
struct stream {
	int file, failed;
	uint64_t place;
	struct seal seal;		/* of what left the buffer, or came into it */
	size_t next, filled;
};

static _Alignas(64) uint8_t stream_buffer[BUFFER_BYTES];

static void flush(struct stream *to)
{
	add_to_seal(&to->seal, stream_buffer, to->filled);
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
	add_to_seal(&from->seal, stream_buffer, from->filled);
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

/* How many there are. */
static uint64_t put_batches(struct stream *to, const struct batch *batch)
{
	uint64_t batches = 0;

	for (; batch; batch = batch->next, batches++)
		put_batch(to, batch);
	return batches;
}

/* From `slot` on; how many there are. */
static uint64_t put_spilled(struct stream *to, const struct explorer *x, unsigned file, uint64_t slot, uint64_t end)
{
	struct batch *spilled = &x->worker[0].spilled;
	uint64_t batches = slot < end ? end - slot : 0;

	for (; slot < end && !to->failed; slot++) {
		to->failed |= !read_slot(x->run->spill_files[file], slot, spilled);
		if (!to->failed)
			put_batch(to, spilled);
	}
	return batches;
}

/* Between two levels, there are none of the next one. */
static void put_levels(struct stream *to, const struct explorer *x, uint64_t batches[2])
{
	batches[0] = put_batches(to, x->level);
	batches[0] += put_spilled(to, x, x->spill.reading, x->spill.taken, x->spill.readable);
	batches[1] = 0;
	for (unsigned i = 0; i < x->workers; i++)
		batches[1] += put_batches(to, x->worker[i].produced);
	batches[1] += put_spilled(to, x, !x->spill.reading, 0, x->spill.written);
}

static struct checkpoint describe(const struct explorer *x)
{
	const struct septum_run *run = x->run;
	struct checkpoint header = {
		.version = CHECKPOINT_VERSION, .state_size = STATE_SIZE, .coverage = sizeof model_covered, .progress = run->progress,
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

static uint64_t header_seal(const struct checkpoint *header, const uint8_t *key)
{
	struct seal seal = begin_seal(key);

	add_to_seal(&seal, header, offsetof(struct checkpoint, seal));
	return end_seal(seal);
}

static int write_checkpoint(const struct explorer *x, int file)
{
	struct stream to = { .file = file, .seal = begin_seal(x->run->key) };
	struct checkpoint header = describe(x);

	put(&to, model_covered, sizeof model_covered);
	for (uint64_t number = 0; number < x->log.chunks; number++)
		put(&to, x->log.chunk[number], CHUNK_BYTES);
	put_table(&to, &x->table);
	put_levels(&to, x, header.batches);
	flush(&to);
	header.body_bytes = to.place;
	header.body_seal = end_seal(to.seal);
	header.seal = header_seal(&header, x->run->key);
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

/* A checkpoint that cannot be written is done without: the one before it is still there. */
static void try_to_save(struct explorer *x)
{
	if (save(x))
		x->run->checkpoints++;
	else
		x->run->failed_checkpoints++;
}

/* Memory that ends does so in the middle of a batch, where nothing can be saved: so save once the end is near. */
static int memory_is_short(const struct septum_run *run)
{
	return run->keep_at_end && run->most_bytes && run->progress.bytes >= run->most_bytes / 2;
}

/* Between two levels, while all wait. */
static void save_if_due(struct explorer *x)
{
	struct septum_run *run = x->run;
	double began = now();

	if (!run->checkpoint || (began < x->next_save && !(memory_is_short(run) && began >= x->soonest_save)))
		return;
	try_to_save(x);
	double ended = now(), pause = (ended - began) * PAUSE;
	x->soonest_save = ended + pause;
	if (pause < run->checkpoint_seconds || run->checkpoint_seconds <= 0)
		pause = run->checkpoint_seconds;
	x->next_save = ended + pause;
}

/* Whether the state between two batches is to be kept, after a limit or a stop ended the search. Who stops it does not wait for long. */
static int is_worth_keeping(const struct explorer *x)
{
	const struct septum_run *run = x->run;
	uint64_t bytes = run->progress.states * sizeof(struct fingerprint) + x->log.chunks * CHUNK_BYTES + run->frontier_bytes;

	if (!run->checkpoint || !run->keep_at_end || x->torn || run->progress.states == 0)
		return 0;
	for (unsigned i = 0; i < x->workers; i++)
		if (x->worker[i].finding.outcome)
			return 0;
	return x->ending == RUN_OUT_OF_TIME || x->ending == RUN_OUT_OF_STATES || (x->ending == RUN_STOPPED && bytes < STOPPED_BYTES);
}

static void save_at_end(struct explorer *x)
{
	if (is_worth_keeping(x))
		try_to_save(x);
}

/* By one worker, between two batches. A note that cannot be written is no loss of work. */
static void note_progress(struct explorer *x)
{
	const struct septum_run *run = x->run;
	double time = now();

	if (x->checkpoint_file < 0 || time < x->next_note)
		return;
	x->next_note = time + SECONDS_BETWEEN_NOTES;
	uint64_t states = __atomic_load_n(&run->progress.states, __ATOMIC_RELAXED);
	struct note note = { states, run->progress.depth, x->earlier + time - x->began };
	if (!write_at(x->checkpoint_file, &note, sizeof note, offsetof(struct checkpoint, note)))
		return;
}
