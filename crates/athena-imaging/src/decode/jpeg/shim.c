/*
 * libjpeg behind a few calls that return a status.
 *
 * libjpeg reports errors by longjmp (or by never returning), which must not cross Rust frames; here it crosses C frames
 * only. The source manager suspends at the end of the data, as OpenCV's does: that is how a file that ends too early is
 * told from one that is merely odd. Warnings are ignored, as OpenCV ignores them.
 */
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JPEG_INTERNALS
#include "jpeglib.h"

/* Mirrors `Status` in libjpeg.rs. */
enum { STATUS_OK = 0, STATUS_SUSPENDED = 1, STATUS_ERROR = 2, STATUS_TOO_MANY_SCANS = 3 };

/* Dequantises and transforms one 8 x 8 block. */
typedef void (*athena_idct)(const uint16_t *quant, const int16_t *block, uint8_t *out, size_t stride);

/* Mirrors `RawHeader` in libjpeg.rs. */
struct athena_jpeg_header {
  uint32_t width, height;
  uint32_t components;
  uint32_t color_space;
  uint32_t precision;
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

struct athena_jpeg {
  struct jpeg_decompress_struct cinfo;
  struct jpeg_error_mgr error;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  jmp_buf failed;
  int status;
  int max_scans;
  athena_idct idct;
};

static void fail(j_common_ptr cinfo)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  jpeg->status = STATUS_ERROR;
  longjmp(jpeg->failed, 1);
}

static void ignore_message(j_common_ptr cinfo, int level) { (void)cinfo; (void)level; }
static void ignore_source(j_decompress_ptr cinfo) { (void)cinfo; }
static boolean suspend(j_decompress_ptr cinfo) { (void)cinfo; return FALSE; }

static void skip(j_decompress_ptr cinfo, long count)
{
  struct jpeg_source_mgr *source = cinfo->src;
  size_t step = count < 0 ? 0 : (size_t)count;
  if (step > source->bytes_in_buffer)
    step = source->bytes_in_buffer;
  source->next_input_byte += step;
  source->bytes_in_buffer -= step;
}

static void limit_scans(j_common_ptr cinfo)
{
  struct athena_jpeg *jpeg = (struct athena_jpeg *)cinfo;
  if (jpeg->cinfo.input_scan_number > jpeg->max_scans) {
    jpeg->status = STATUS_TOO_MANY_SCANS;
    longjmp(jpeg->failed, 1);
  }
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
  jpeg->error.emit_message = ignore_message;
  if (setjmp(jpeg->failed))
    return jpeg->status;
  jpeg_create_decompress(&jpeg->cinfo);
  return STATUS_OK;
}

struct athena_jpeg *athena_jpeg_new(const uint8_t *data, size_t len)
{
  struct athena_jpeg *jpeg = calloc(1, sizeof *jpeg);
  if (jpeg == NULL)
    return NULL;
  if (create(jpeg) != STATUS_OK) {
    free(jpeg);
    return NULL;
  }
  jpeg->source.next_input_byte = data;
  jpeg->source.bytes_in_buffer = len;
  jpeg->source.init_source = ignore_source;
  jpeg->source.fill_input_buffer = suspend;
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
  jpeg_save_markers(cinfo, JPEG_APP0 + 1, 0xFFFF);
  if (jpeg_read_header(cinfo, TRUE) != JPEG_HEADER_OK)
    return STATUS_SUSPENDED;
  memset(header, 0, sizeof *header);
  header->width = cinfo->image_width;
  header->height = cinfo->image_height;
  header->components = (uint32_t)cinfo->num_components;
  header->color_space = (uint32_t)cinfo->jpeg_color_space;
  header->precision = (uint32_t)cinfo->data_precision;
  for (int i = 0; i < cinfo->num_components && i < 4; i++) {
    header->h[i] = (uint32_t)cinfo->comp_info[i].h_samp_factor;
    header->v[i] = (uint32_t)cinfo->comp_info[i].v_samp_factor;
    if (header->h[i] > header->max_h) header->max_h = header->h[i];
    if (header->v[i] > header->max_v) header->max_v = header->v[i];
  }
  for (jpeg_saved_marker_ptr marker = cinfo->marker_list; marker != NULL; marker = marker->next)
    if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && memcmp(marker->data, "Exif\0\0", 6) == 0) {
      header->exif = marker->data + 6;
      header->exif_len = marker->data_length - 6;
      break;
    }
  return STATUS_OK;
}

int athena_jpeg_start(struct athena_jpeg *jpeg, athena_idct idct, int max_scans, long max_memory)
{
  j_decompress_ptr cinfo = &jpeg->cinfo;
  if (setjmp(jpeg->failed))
    return jpeg->status;
  jpeg->idct = idct;
  jpeg->max_scans = max_scans;
  jpeg->progress.progress_monitor = limit_scans;
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
  scan->data_len = cinfo->src->bytes_in_buffer;
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
