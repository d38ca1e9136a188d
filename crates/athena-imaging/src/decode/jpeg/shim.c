/*
 * libjpeg behind a few calls that return a status.
 *
 * libjpeg reports errors by longjmp (or by never returning), which must not cross Rust frames; here it crosses C frames
 * only. The source manager suspends at the end of the data, as OpenCV's does: that is how a file that ends too early is
 * told from one that is merely odd.
 *
 * Work is paid for as it is done: headers window by window, as libjpeg asks for them; coefficients, and the bytes behind the
 * headers, row by row and marker by marker, as its progress monitor and its messages tell of them. Whoever is asked for
 * payment may also stop the work. Entropy-coded data are never shown in windows: libjpeg has a quicker and a slower way
 * through them, chosen by what is left in the buffer, and damaged data come out of the two differently.
 */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JPEG_INTERNALS
#include "jpeglib.h"
#include "jerror.h"

/* Mirrors `Status` in libjpeg.rs. */
enum { STATUS_OK = 0, STATUS_SUSPENDED = 1, STATUS_ERROR = 2, STATUS_STOPPED = 3, STATUS_UNSUPPORTED = 4 };

/* Bytes of the headers that libjpeg is shown at a time. */
enum { WINDOW = 128 << 10 };

/*
 * Units of work. A coefficient is one: an empty pass over it takes 0.6 ns. Huffman codes take 5 to 15 ns for a byte, but what
 * is dense is rarely scanned often; arithmetic decoding takes up to 40 ns for a coefficient, whatever the bytes; a scan's
 * tables take microseconds.
 */
enum { WORK_OF_BYTE = 4, WORK_OF_ARITHMETIC = 16, WORK_OF_SCAN = 8192 };

/* Pays for work; not 0 stops it. */
typedef int32_t (*athena_work)(void *context, uint64_t units);

/* Dequantises and transforms one 8 x 8 block. */
typedef void (*athena_idct)(const uint16_t *quant, const int16_t *block, uint8_t *out, size_t stride);

/* Mirrors `RawHeader` in libjpeg.rs. */
struct athena_jpeg_header {
  uint32_t width, height;
  uint32_t components;
  uint32_t colour_space;
  uint32_t precision;
  uint32_t multiple_scans;
  uint32_t max_h, max_v;
  uint32_t h[4], v[4];
  const uint8_t *exif;
  size_t exif_len;
};

/* A Huffman table: 16 counts, up to 256 symbols. Mirrors `RawTable` in libjpeg.rs, as the next two do theirs. */
struct athena_jpeg_table {
  const uint8_t *counts, *symbols;
};

struct athena_jpeg_scan_component {
  uint32_t index, h, v, dc, ac;
  const uint16_t *quant;
};

struct athena_jpeg_scan {
  uint32_t count, restart_interval, mcus_per_row, rows;
  struct athena_jpeg_scan_component components[MAX_COMPS_IN_SCAN];
  struct athena_jpeg_table dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
  const uint8_t *data;
  size_t data_len;
};

/* Mirrors `RawFrameComponent` and `RawFrame` in libjpeg.rs. */
struct athena_jpeg_frame_component {
  uint32_t id, h, v;
  const uint16_t *quant;
};

struct athena_jpeg_frame {
  uint32_t count, restart_interval;
  struct athena_jpeg_frame_component components[MAX_COMPS_IN_SCAN];
  struct athena_jpeg_table dc[NUM_HUFF_TBLS], ac[NUM_HUFF_TBLS];
  const uint8_t *data;
  size_t data_len;
};

struct athena_jpeg {
  struct jpeg_decompress_struct cinfo;
  struct jpeg_error_mgr error;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  int status;
  /* The end of what libjpeg has been shown, of what has been paid for, and of the file. */
  const uint8_t *shown, *paid, *end;
  /* The first EXIF block. */
  const uint8_t *exif;
  size_t exif_len;
  /* The scan that was last paid for. */
  int scan;
  /* Whether samples are being read, rather than coefficients collected. */
  int reading;
  athena_work work;
  void *context;
  athena_idct idct;
};

static void fail(j_common_ptr cinfo)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  int code = cinfo->err->msg_code;
  int unsupported = code == JERR_SOF_UNSUPPORTED || code == JERR_BAD_PRECISION;
  jpeg->status = unsupported ? STATUS_UNSUPPORTED : STATUS_ERROR;
  longjmp(jpeg->failed, 1);
}

static void pay(struct athena_jpeg *jpeg, uint64_t units)
{
  if (jpeg->work(jpeg->context, units) != 0) {
    jpeg->status = STATUS_STOPPED;
    longjmp(jpeg->failed, 1);
  }
}

/* Pays for the bytes that libjpeg has read since. */
static void pay_for_bytes(struct athena_jpeg *jpeg)
{
  const uint8_t *next = jpeg->source.next_input_byte;
  if (next > jpeg->paid) {
    uint64_t bytes = (uint64_t)(next - jpeg->paid);
    jpeg->paid = next;
    pay(jpeg, WORK_OF_BYTE * bytes);
  }
}

/* Warnings are ignored, as OpenCV ignores them. But every marker is worth a message, and so a payment. */
static void count_message(j_common_ptr cinfo, int level)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  (void)level;
  if (jpeg->work != NULL)
    pay_for_bytes(jpeg);
}

static void ignore_source(j_decompress_ptr cinfo) { (void)cinfo; }

/* Shows the next window, once the last one is used up. Windows lie side by side, so pointers into one stay good. */
static boolean show_more(j_decompress_ptr cinfo)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  size_t left = (size_t)(jpeg->end - jpeg->shown);
  size_t size = left < WINDOW ? left : WINDOW;
  if (size == 0)
    return FALSE;
  cinfo->src->next_input_byte = jpeg->shown;
  cinfo->src->bytes_in_buffer = size;
  pay_for_bytes(jpeg);
  jpeg->shown += size;
  return TRUE;
}

static void show_all(struct athena_jpeg *jpeg)
{
  jpeg->source.bytes_in_buffer = (size_t)(jpeg->end - jpeg->source.next_input_byte);
  jpeg->shown = jpeg->end;
}

static void skip(j_decompress_ptr cinfo, long count)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  struct jpeg_source_mgr *source = cinfo->src;
  size_t left = (size_t)(jpeg->end - source->next_input_byte);
  size_t step = count < 0 ? 0 : (size_t)count;
  if (step > left)
    step = left;
  /* What is skipped costs nothing. */
  pay_for_bytes(jpeg);
  source->next_input_byte += step;
  jpeg->paid = source->next_input_byte;
  if (step < source->bytes_in_buffer) {
    source->bytes_in_buffer -= step;
  } else {
    source->bytes_in_buffer = 0;
    jpeg->shown = source->next_input_byte;
  }
}

/*
 * Notes the first EXIF block and passes the others. libjpeg's own way to save markers walks the list of those that it has for
 * each that it adds, and keeps them all.
 */
static boolean read_app1(j_decompress_ptr cinfo)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  const uint8_t *segment = cinfo->src->next_input_byte;
  size_t left = (size_t)(jpeg->end - segment);
  if (left < 2)
    return FALSE;
  size_t len = (size_t)segment[0] << 8 | segment[1];
  if (len > left)
    return FALSE;
  if (jpeg->exif == NULL && len > 2 + 6 && memcmp(segment + 2, "Exif\0\0", 6) == 0) {
    jpeg->exif = segment + 2 + 6;
    jpeg->exif_len = len - 2 - 6;
  }
  skip(cinfo, len < 2 ? 2 : (long)len);
  return TRUE;
}

/* Coefficients of a row of MCUs of the scan, or of the whole image while samples are read. */
static uint64_t coefficients(j_decompress_ptr cinfo, int reading)
{
  uint64_t blocks = 0;
  if (reading)
    for (int i = 0; i < cinfo->num_components; i++)
      blocks += (uint64_t)cinfo->comp_info[i].width_in_blocks * cinfo->comp_info[i].v_samp_factor;
  else if (cinfo->comps_in_scan == 1)
    blocks = (uint64_t)cinfo->MCUs_per_row * cinfo->cur_comp_info[0]->v_samp_factor;
  else
    blocks = (uint64_t)cinfo->MCUs_per_row * cinfo->blocks_in_MCU;
  return blocks * DCTSIZE2;
}

/* libjpeg is about to decode a row of MCUs, of coefficients or of samples. */
static void pay_for_row(j_common_ptr common)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)common;
  j_decompress_ptr cinfo = &jpeg->cinfo;
  show_all(jpeg);
  pay_for_bytes(jpeg);
  uint64_t work = coefficients(cinfo, jpeg->reading);
  if (cinfo->arith_code && !(jpeg->reading && cinfo->inputctl->has_multiple_scans))
    work *= WORK_OF_ARITHMETIC;
  if (cinfo->input_scan_number != jpeg->scan) {
    jpeg->scan = cinfo->input_scan_number;
    work += WORK_OF_SCAN;
  }
  pay(jpeg, work);
}

static void inverse_dct(j_decompress_ptr cinfo, jpeg_component_info *component, JCOEFPTR block, JSAMPARRAY out,
                        JDIMENSION column)
{
  /* A component whose scan is missing has no table: libjpeg then multiplies by zeroes. */
  static const uint16_t missing[DCTSIZE2];
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  const uint16_t *quant = component->quant_table != NULL ? component->quant_table->quantval : missing;
  jpeg->idct(quant, block, out[0] + column, (size_t)(out[1] - out[0]));
}

static int create(struct athena_jpeg *jpeg)
{
  jpeg->cinfo.err = jpeg_std_error(&jpeg->error);
  jpeg->error.error_exit = fail;
  jpeg->error.emit_message = count_message;
  if (setjmp(jpeg->failed))
    return jpeg->status;
  jpeg_create_decompress(&jpeg->cinfo);
  return STATUS_OK;
}

struct athena_jpeg *athena_jpeg_new(const uint8_t *data, size_t len, athena_work work, void *context)
{
  struct athena_jpeg *jpeg = calloc(1, sizeof *jpeg);
  if (jpeg == NULL)
    return NULL;
  if (create(jpeg) != STATUS_OK) {
    free(jpeg);
    return NULL;
  }
  jpeg->shown = data;
  jpeg->paid = data;
  jpeg->end = data + len;
  jpeg->work = work;
  jpeg->context = context;
  jpeg->source.next_input_byte = data;
  jpeg->source.bytes_in_buffer = 0;
  jpeg->source.init_source = ignore_source;
  jpeg->source.fill_input_buffer = show_more;
  jpeg->source.skip_input_data = skip;
  jpeg->source.resync_to_restart = jpeg_resync_to_restart;
  jpeg->source.term_source = ignore_source;
  jpeg->cinfo.src = &jpeg->source;
  return jpeg;
}

void athena_jpeg_free(struct athena_jpeg *jpeg)
{
  if (setjmp(jpeg->failed) == 0)
    jpeg_destroy_decompress(&jpeg->cinfo);
  free(jpeg);
}

int athena_jpeg_read_header(struct athena_jpeg *jpeg, struct athena_jpeg_header *header)
{
  j_decompress_ptr cinfo = &jpeg->cinfo;
  if (setjmp(jpeg->failed))
    return jpeg->status;
  jpeg_set_marker_processor(cinfo, JPEG_APP0 + 1, read_app1);
  if (jpeg_read_header(cinfo, TRUE) != JPEG_HEADER_OK)
    return STATUS_SUSPENDED;
  memset(header, 0, sizeof *header);
  header->width = cinfo->image_width;
  header->height = cinfo->image_height;
  header->components = (uint32_t)cinfo->num_components;
  header->colour_space = (uint32_t)cinfo->jpeg_color_space;
  header->precision = (uint32_t)cinfo->data_precision;
  header->multiple_scans = jpeg_has_multiple_scans(cinfo);
  for (int i = 0; i < cinfo->num_components && i < 4; i++) {
    header->h[i] = (uint32_t)cinfo->comp_info[i].h_samp_factor;
    header->v[i] = (uint32_t)cinfo->comp_info[i].v_samp_factor;
    if (header->h[i] > header->max_h) header->max_h = header->h[i];
    if (header->v[i] > header->max_v) header->max_v = header->v[i];
  }
  header->exif = jpeg->exif;
  header->exif_len = jpeg->exif_len;
  return STATUS_OK;
}

int athena_jpeg_start(struct athena_jpeg *jpeg, athena_idct idct, long max_memory)
{
  j_decompress_ptr cinfo = &jpeg->cinfo;
  if (setjmp(jpeg->failed))
    return jpeg->status;
  jpeg->idct = idct;
  jpeg->progress.progress_monitor = pay_for_row;
  cinfo->progress = &jpeg->progress;
  cinfo->mem->max_memory_to_use = max_memory;
  cinfo->raw_data_out = TRUE;
  cinfo->dct_method = JDCT_ISLOW;
  if (!jpeg_start_decompress(cinfo))
    return STATUS_SUSPENDED;
  for (int i = 0; i < cinfo->num_components; i++)
    cinfo->idct->inverse_DCT[i] = inverse_dct;
  return STATUS_OK;
}

/* The entropy-coded data of a baseline file in one scan, and what it takes to decode it; 0 for all others. */
int athena_jpeg_scan(struct athena_jpeg *jpeg, struct athena_jpeg_scan *scan)
{
  j_decompress_ptr cinfo = &jpeg->cinfo;
  memset(scan, 0, sizeof *scan);
  if (cinfo->progressive_mode || cinfo->arith_code || jpeg_has_multiple_scans(cinfo) ||
      cinfo->comps_in_scan != cinfo->num_components)
    return 0;
  for (int i = 0; i < cinfo->comps_in_scan; i++) {
    const jpeg_component_info *component = cinfo->cur_comp_info[i];
    const JHUFF_TBL *dc = cinfo->dc_huff_tbl_ptrs[component->dc_tbl_no];
    const JHUFF_TBL *ac = cinfo->ac_huff_tbl_ptrs[component->ac_tbl_no];
    if (component->quant_table == NULL || dc == NULL || ac == NULL)
      return 0;
    scan->components[i] = (struct athena_jpeg_scan_component){
      .index = (uint32_t)component->component_index,
      .h = (uint32_t)component->MCU_width,
      .v = (uint32_t)component->MCU_height,
      .dc = (uint32_t)component->dc_tbl_no,
      .ac = (uint32_t)component->ac_tbl_no,
      .quant = component->quant_table->quantval,
    };
    scan->dc[component->dc_tbl_no] = (struct athena_jpeg_table){ dc->bits + 1, dc->huffval };
    scan->ac[component->ac_tbl_no] = (struct athena_jpeg_table){ ac->bits + 1, ac->huffval };
  }
  scan->count = (uint32_t)cinfo->comps_in_scan;
  scan->restart_interval = cinfo->restart_interval;
  scan->mcus_per_row = cinfo->MCUs_per_row;
  scan->rows = cinfo->MCU_rows_in_scan;
  scan->data = cinfo->src->next_input_byte;
  scan->data_len = (size_t)(jpeg->end - scan->data);
  return 1;
}

static struct athena_jpeg_table table(const JHUFF_TBL *table)
{
  return table == NULL ? (struct athena_jpeg_table){ NULL, NULL }
                       : (struct athena_jpeg_table){ table->bits + 1, table->huffval };
}

/*
 * A progressive file with Huffman codes, from the header of its first scan on, which has been read; 0 for all others. To be
 * asked before athena_jpeg_start.
 */
int athena_jpeg_frame(struct athena_jpeg *jpeg, struct athena_jpeg_frame *frame)
{
  j_decompress_ptr cinfo = &jpeg->cinfo;
  memset(frame, 0, sizeof *frame);
  if (!cinfo->progressive_mode || cinfo->arith_code || cinfo->data_precision != 8 ||
      cinfo->num_components > MAX_COMPS_IN_SCAN)
    return 0;
  for (int i = 0; i < cinfo->num_components; i++) {
    const jpeg_component_info *component = &cinfo->comp_info[i];
    if (component->quant_tbl_no < 0 || component->quant_tbl_no >= NUM_QUANT_TBLS ||
        cinfo->quant_tbl_ptrs[component->quant_tbl_no] == NULL)
      return 0;
    frame->components[i] = (struct athena_jpeg_frame_component){
      .id = (uint32_t)component->component_id,
      .h = (uint32_t)component->h_samp_factor,
      .v = (uint32_t)component->v_samp_factor,
      .quant = cinfo->quant_tbl_ptrs[component->quant_tbl_no]->quantval,
    };
  }
  for (int i = 0; i < NUM_HUFF_TBLS; i++) {
    frame->dc[i] = table(cinfo->dc_huff_tbl_ptrs[i]);
    frame->ac[i] = table(cinfo->ac_huff_tbl_ptrs[i]);
  }
  frame->count = (uint32_t)cinfo->num_components;
  frame->restart_interval = cinfo->restart_interval;
  /* Length, number of components, two bytes for each, and three: they lie before what comes next. */
  frame->data = cinfo->src->next_input_byte - (2 + 1 + 2 * cinfo->comps_in_scan + 3);
  frame->data_len = (size_t)(jpeg->end - frame->data);
  return 1;
}

/* Decodes the next row of MCUs: 8 * v rows of samples into each plane. */
int athena_jpeg_read(struct athena_jpeg *jpeg, uint8_t *const planes[4], const size_t strides[4])
{
  j_decompress_ptr cinfo = &jpeg->cinfo;
  JSAMPROW rows[4][DCTSIZE * MAX_SAMP_FACTOR];
  JSAMPARRAY arrays[4];
  if (setjmp(jpeg->failed))
    return jpeg->status;
  jpeg->reading = 1;
  for (int i = 0; i < cinfo->num_components; i++) {
    for (int y = 0; y < DCTSIZE * cinfo->comp_info[i].v_samp_factor; y++)
      rows[i][y] = planes[i] + (size_t)y * strides[i];
    arrays[i] = rows[i];
  }
  JDIMENSION lines = (JDIMENSION)(DCTSIZE * cinfo->max_v_samp_factor);
  return jpeg_read_raw_data(cinfo, arrays, lines) == lines ? STATUS_OK : STATUS_SUSPENDED;
}

/* The text of the last error. */
void athena_jpeg_message(struct athena_jpeg *jpeg, char *text, size_t len)
{
  char buffer[JMSG_LENGTH_MAX];
  jpeg->error.format_message((j_common_ptr)&jpeg->cinfo, buffer);
  snprintf(text, len, "%s", buffer);
}
