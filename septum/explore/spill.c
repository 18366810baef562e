/*
 * The part of the frontier that lies on disk, where memory holds no more of it: one file that the next level goes to, and one
 * that this level comes from. Every batch has a slot, so workers write and read without waiting for each other.
 *
 * Offers spill_batch, read_spilled and turn_over, from one level to the next; write_at, read_at and checksum for whoever writes
 * a file.
 */
struct spill {
	unsigned reading;		/* which of run->spill_files; the other one is written */
	uint64_t written;		/* batches of the next level */
	uint64_t readable, taken;	/* batches of this level; `taken` is under the lock */
};

/* Tells damage, not malice. */
static uint64_t checksum(uint64_t sum, const void *from, size_t bytes)
{
	const uint8_t *at = from;
	uint64_t word;

	for (; bytes >= 8; bytes -= 8, at += 8) {
		memcpy(&word, at, 8);
		sum = (sum ^ word) * 0x9e3779b97f4a7c15;
		sum ^= sum >> 32;
	}
	for (; bytes; bytes--, at++)
		sum = (sum ^ *at) * 0x9e3779b97f4a7c15;
	return sum;
}

static int write_at(int file, const void *from, size_t bytes, uint64_t place)
{
	while (bytes) {
		ssize_t done = pwrite(file, from, bytes, (off_t)place);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return 0;
		from = (const uint8_t *)from + done;
		place += (uint64_t)done;
		bytes -= (size_t)done;
	}
	return 1;
}

/* How many bytes there were, up to `bytes`. */
static size_t read_at(int file, void *to, size_t bytes, uint64_t place)
{
	size_t got = 0;

	while (got < bytes) {
		ssize_t done = pread(file, (uint8_t *)to + got, bytes - got, (off_t)(place + got));

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			break;
		got += (size_t)done;
	}
	return got;
}

static size_t batch_bytes(const struct batch *batch)
{
	return offsetof(struct batch, body) + batch->used;
}

static uint64_t batch_checksum(const struct batch *batch)
{
	return checksum(batch->count, batch->body, batch->used);
}

/* Whether what was read into the batch is one. */
static int is_sound(const struct batch *batch, size_t bytes)
{
	return bytes >= offsetof(struct batch, body) && batch->used <= BODY_BYTES && bytes >= batch_bytes(batch) &&
	       batch->checksum == batch_checksum(batch);
}

static int spill_batch(struct septum_run *run, struct spill *spill, struct batch *batch)
{
	uint64_t slot = __atomic_fetch_add(&spill->written, 1, __ATOMIC_RELAXED);

	__atomic_add_fetch(&run->spilled_bytes, batch_bytes(batch), __ATOMIC_RELAXED);
	batch->checksum = batch_checksum(batch);
	return write_at(run->spill_files[!spill->reading], batch, batch_bytes(batch), slot * sizeof *batch);
}

static int read_slot(int file, uint64_t slot, struct batch *batch)
{
	return is_sound(batch, read_at(file, batch, sizeof *batch, slot * sizeof *batch));
}

static int read_spilled(const struct septum_run *run, const struct spill *spill, uint64_t slot, struct batch *batch)
{
	return read_slot(run->spill_files[spill->reading], slot, batch);
}

/* What was the next level is this one; the disk gets back what was read. */
static void turn_over(struct septum_run *run, struct spill *spill)
{
	if (!spill->written && !spill->readable)
		return;
	spill->readable = spill->written;
	spill->written = spill->taken = 0;
	spill->reading = !spill->reading;
	if (ftruncate(run->spill_files[!spill->reading], 0))
		return;		/* then it is written over */
}
