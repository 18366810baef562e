/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012), with the length as a last word: a sum that nobody makes who has not the key. What a state holds becomes an address when
 * it is stepped, so a checkpoint is believed only from one's own hand.
 *
 * Offers begin_seal, add_to_seal and end_seal.
 */
struct seal {
	uint64_t v[4], bytes;
};

static uint64_t turned(uint64_t word, unsigned bits) { return word << bits | word >> (64 - bits); }

static void mix(uint64_t v[4], unsigned rounds)
{
	while (rounds--) {
		v[0] += v[1], v[1] = turned(v[1], 13) ^ v[0], v[0] = turned(v[0], 32);
		v[2] += v[3], v[3] = turned(v[3], 16) ^ v[2];
		v[0] += v[3], v[3] = turned(v[3], 21) ^ v[0];
		v[2] += v[1], v[1] = turned(v[1], 17) ^ v[2], v[2] = turned(v[2], 32);
	}
}

static struct seal begin_seal(const uint8_t *key)
{
	uint64_t k[2];

	memcpy(k, key, sizeof k);
	return (struct seal){ .v = { k[0] ^ 0x736f6d6570736575, k[1] ^ 0x646f72616e646f6d,
				       k[0] ^ 0x6c7967656e657261, k[1] ^ 0x7465646279746573 } };
}

static void seal_word(struct seal *seal, uint64_t word)
{
	seal->v[3] ^= word;
	mix(seal->v, 2);
	seal->v[0] ^= word;
}

/* All parts but the last have a multiple of 8 bytes. */
static void add_to_seal(struct seal *seal, const void *from, size_t bytes)
{
	const uint8_t *at = from;

	seal->bytes += bytes;
	for (; bytes; at += 8) {
		uint64_t word = 0;
		size_t part = bytes < 8 ? bytes : 8;

		memcpy(&word, at, part);
		bytes -= part;
		seal_word(seal, word);
	}
}

static uint64_t end_seal(struct seal seal)
{
	seal_word(&seal, seal.bytes);
	seal.v[2] ^= 0xff;
	mix(seal.v, 4);
	return seal.v[0] ^ seal.v[1] ^ seal.v[2] ^ seal.v[3];
}
