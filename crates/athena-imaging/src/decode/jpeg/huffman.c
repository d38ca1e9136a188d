/*
 * A quicker way through the entropy-coded data of baseline files.
 *
 * libjpeg-turbo's `decode_mcu_fast` takes a code off its bit buffer and then the value that follows. Here one look-up tells how
 * far both go, so that the next code does not wait for the value, and the buffer is filled by six bytes at once where
 * they hold no marker. The buffer is filled
 * at the very places and by the very amounts of the original, so the state after every MCU is the same: whatever is out
 * of the ordinary (markers, invalid codes, the last bytes) is left to the original, from where the MCU began.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JPEG_INTERNALS
#include "jpeglib.h"
#include "jconfigint.h"
#include "jdhuff.h"

#include "huffman.h"

/* The private state of jdhuff.c, whose version Cargo.toml pins. */
struct entropy {
  struct jpeg_entropy_decoder pub;
  bitread_perm_state bitstate;
  int last_dc_val[MAX_COMPS_IN_SCAN];
  unsigned int restarts_to_go;
  d_derived_tbl *dc_derived_tbls[NUM_HUFF_TBLS];
  d_derived_tbl *ac_derived_tbls[NUM_HUFF_TBLS];
  d_derived_tbl *dc_cur_tbls[D_MAX_BLOCKS_IN_MCU];
  d_derived_tbl *ac_cur_tbls[D_MAX_BLOCKS_IN_MCU];
  boolean dc_needed[D_MAX_BLOCKS_IN_MCU];
  boolean ac_needed[D_MAX_BLOCKS_IN_MCU];
};

/* Bits that index a table: longer codes are rare. */
#define PEEK 9
/* What the original demands of the source for each block, and what is read beyond it at most. */
#define BYTES_PER_BLOCK (DCTSIZE2 * 8)
#define BYTES_BEYOND 16

/* A code: the zeroes and the bits of the value that it announces, its own bits and both together; or 0. */
struct code {
  uint8_t run, size, bits, total;
};

struct athena_huffman {
  boolean (*original)(j_decompress_ptr, JBLOCKROW *);
  struct code tables[NUM_HUFF_TBLS][1 << PEEK];
  /* The table of each block of an MCU. */
  const struct code *blocks[D_MAX_BLOCKS_IN_MCU];
};

/* The signed value behind `size` bits, without a branch: its sign is noise (ITU-T T.81, figure F.12). */
static inline int extend(int value, int size)
{
  return value + (((value - (1 << (size - 1))) >> 31) & (int)((~0u << size) + 1));
}

static void fill_table(const d_derived_tbl *codes, struct code *table)
{
  memset(table, 0, sizeof *table << PEEK);
  for (int bits = 0; bits < 1 << PEEK; bits++) {
    int found = codes->lookup[bits >> (PEEK - HUFF_LOOKAHEAD)];
    int length = found >> HUFF_LOOKAHEAD, symbol = found & ((1 << HUFF_LOOKAHEAD) - 1);
    if (length == PEEK) {
      if (bits > codes->maxcode[PEEK])
        continue;
      symbol = codes->pub->huffval[(bits + (int)codes->valoffset[PEEK]) & 0xFF];
    }
    int run = symbol >> 4, size = symbol & 15;
    if (size != 0)
      table[bits] = (struct code){ (uint8_t)run, (uint8_t)size, (uint8_t)length, (uint8_t)(length + size) };
  }
}

/* Six bytes into the bit buffer, stuffing removed; 0 at a marker. */
static inline int fill(bit_buf_type *buffer, const JOCTET **next)
{
  const JOCTET *in = *next;
  uint64_t word = (uint64_t)in[0] << 56 | (uint64_t)in[1] << 48 | (uint64_t)in[2] << 40 | (uint64_t)in[3] << 32 |
                  (uint64_t)in[4] << 24 | (uint64_t)in[5] << 16 | (uint64_t)in[6] << 8 | in[7];
  /* No byte of the word is 0xFF: no byte of its complement is 0. */
  if (((~word - 0x0101010101010101u) & word & 0x8080808080808080u) == 0) {
    *buffer = *buffer << 48 | word >> 16;
    *next = in + 6;
    return 1;
  }
  for (int i = 0; i < 6; i++) {
    JOCTET byte = *in++;
    if (byte == 0xFF && *in++ != 0)
      return 0;
    *buffer = *buffer << 8 | byte;
  }
  *next = in;
  return 1;
}

#define FILL() \
  if (left <= 16) { \
    if (!fill(&buffer, &next)) \
      return FALSE; \
    left += 48; \
  }

/* The symbol of the next code; leaves the function at an invalid one. */
#define DECODE(symbol, codes) \
  do { \
    FILL(); \
    int found = (codes)->lookup[buffer >> (left - HUFF_LOOKAHEAD) & ((1 << HUFF_LOOKAHEAD) - 1)]; \
    int length = found >> HUFF_LOOKAHEAD; \
    left -= length; \
    symbol = found & ((1 << HUFF_LOOKAHEAD) - 1); \
    if (length > HUFF_LOOKAHEAD) { \
      JLONG code = (JLONG)(buffer >> left & ((1 << length) - 1)); \
      while (code > (codes)->maxcode[length]) { \
        if (++length > 16) \
          return FALSE; \
        code = code << 1 | (JLONG)(buffer >> --left & 1); \
      } \
      symbol = (codes)->pub->huffval[(int)(code + (codes)->valoffset[length]) & 0xFF]; \
    } \
  } while (0)

static boolean decode_fast(j_decompress_ptr cinfo, struct entropy *entropy, const struct athena_huffman *huffman,
                           JBLOCKROW *blocks)
{
  const JOCTET *next = cinfo->src->next_input_byte;
  bit_buf_type buffer = entropy->bitstate.get_buffer;
  int left = entropy->bitstate.bits_left;
  int last_dc[MAX_COMPS_IN_SCAN];
  memcpy(last_dc, entropy->last_dc_val, sizeof last_dc);

  for (int i = 0; i < cinfo->blocks_in_MCU; i++) {
    const d_derived_tbl *codes = entropy->ac_cur_tbls[i];
    const struct code *table = huffman->blocks[i];
    JCOEF *block = blocks[i][0];
    int symbol, value = 0;

    DECODE(symbol, entropy->dc_cur_tbls[i]);
    if (symbol != 0) {
      FILL();
      left -= symbol;
      value = extend((int)(buffer >> left & (((bit_buf_type)1 << symbol) - 1)), symbol);
    }
    int component = cinfo->MCU_membership[i];
    last_dc[component] = (int)((unsigned int)last_dc[component] + (unsigned int)value);
    block[0] = (JCOEF)last_dc[component];

    for (int k = 1; k < DCTSIZE2; k++) {
      FILL();
      struct code found = table[buffer >> (left - PEEK) & ((1 << PEEK) - 1)];
      /* Between code and value the original would fill its buffer if it had to. */
      if (found.size != 0 && left - found.bits > 16) {
        left -= found.total;
        k += found.run;
        value = (int)(buffer >> left) & ((1 << found.size) - 1);
        block[jpeg_natural_order[k]] = (JCOEF)extend(value, found.size);
        continue;
      }
      DECODE(symbol, codes);
      int run = symbol >> 4, size = symbol & 15;
      if (size != 0) {
        k += run;
        FILL();
        left -= size;
        value = extend((int)(buffer >> left & ((1 << size) - 1)), size);
        block[jpeg_natural_order[k]] = (JCOEF)value;
      } else if (run == 15) {
        k += 15;
      } else {
        break;
      }
    }
  }

  cinfo->src->bytes_in_buffer -= (size_t)(next - cinfo->src->next_input_byte);
  cinfo->src->next_input_byte = next;
  entropy->bitstate.get_buffer = buffer;
  entropy->bitstate.bits_left = left;
  memcpy(entropy->last_dc_val, last_dc, sizeof last_dc);
  return TRUE;
}

static boolean decode_mcu(j_decompress_ptr cinfo, JBLOCKROW *blocks)
{
  struct entropy *entropy = (struct entropy *)cinfo->entropy;
  const struct athena_huffman *huffman = athena_huffman_of(cinfo);
  size_t enough = BYTES_PER_BLOCK * (size_t)cinfo->blocks_in_MCU + BYTES_BEYOND;
  if (blocks != NULL && cinfo->src->bytes_in_buffer >= enough && cinfo->unread_marker == 0 &&
      !entropy->pub.insufficient_data && decode_fast(cinfo, entropy, huffman, blocks))
    return TRUE;
  return huffman->original(cinfo, blocks);
}

struct athena_huffman *athena_huffman_install(j_decompress_ptr cinfo)
{
  /* The original takes its own fast path only on 64-bit machines in these steps, and never between restart markers. */
  if (sizeof(bit_buf_type) != 8 || cinfo->progressive_mode || cinfo->arith_code || cinfo->restart_interval != 0 ||
      cinfo->inputctl->has_multiple_scans)
    return NULL;
  struct entropy *entropy = (struct entropy *)cinfo->entropy;
  for (int i = 0; i < cinfo->blocks_in_MCU; i++)
    if (!entropy->dc_needed[i] || !entropy->ac_needed[i])
      return NULL;
  struct athena_huffman *huffman = malloc(sizeof *huffman);
  if (huffman == NULL)
    return NULL;
  for (int t = 0; t < NUM_HUFF_TBLS; t++) {
    int filled = 0;
    for (int i = 0; i < cinfo->blocks_in_MCU; i++) {
      if (entropy->ac_cur_tbls[i] != entropy->ac_derived_tbls[t])
        continue;
      if (!filled)
        fill_table(entropy->ac_cur_tbls[i], huffman->tables[t]);
      filled = 1;
      huffman->blocks[i] = huffman->tables[t];
    }
  }
  huffman->original = entropy->pub.decode_mcu;
  entropy->pub.decode_mcu = decode_mcu;
  return huffman;
}
