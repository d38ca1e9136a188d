"""Writes tests/fixtures: a small choice of the corpus, with what OpenCV makes of it.

Usage: python fixtures.py          (from this folder; needs requirements.txt, and tiffcp for some of the TIFF files)
"""

import fnmatch
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "tests", "fixtures")
LARGEST = 20_000

CHOSEN = """
avif_420_limited_75_17x13.avif avif_422_full_75_17x13.avif avif_444_limited_75_17x13.avif avif_400_full_75_17x13.avif
avif_alpha_17x13.avif avif_exif[68]_17x13.avif avif_grain5_17x13.avif avif_sequence*_17x13.avif avif_cv_1[02]_80_bgra_17x13.avif
avif_ic_1[02]_4??_17x13.avif avif_grid_420_64_32_172x118.avif avif_grid_420_64_21_*.avif
avif_grid_444_64_irot?.avif avif_greyalpha_17x13.avif avif_444_limited_75_63x47_matrix[18]_1_*.avif
bmp_17x13_[148].bmp bmp_17x13_4_os2.bmp bmp_17x13_8_used.bmp bmp_17x13_8_v5.bmp bmp_17x13_rle[48]_?1.bmp
bmp_17x13_24.bmp bmp_17x13_24_down.bmp bmp_17x13_32.bmp bmp_17x13_32_rgba108.bmp bmp_17x13_32_ten124.bmp
bmp_17x13_555.bmp bmp_17x13_16_565*.bmp bmp_17x13_rle8_01_broken0[0-3].bmp bmp_header16.bmp
gif_17x13_[28]_[01].gif gif_17x13_trans3_5.gif gif_17x13_local.gif gif_17x13_offset7.gif gif_17x13_animated[13].gif
gif_17x13_notable.gif gif_17x13_smalltable.gif gif_17x13_no_end.gif gif_17x13_early_end.gif gif_17x13_pixels*.gif
gif_17x13_loop.gif gif_17x13_noend.gif gif_17x13_code11.gif gif_17x13_clears_broken0[0-5].gif
hdr_17x13_1.0_?.hdr hdr_17x13_3000.0_1.hdr hdr_17x13_1.0_1.pic hdr_mixed.hdr hdr_head_xyze.hdr hdr_size_plusy.hdr
hdr_17x13_0.2_1_broken0[0-3].hdr
jpeg_17x13_[12][12]_11_11.jpg jpeg_17x13_41_11_11.jpg jpeg_17x13_12_11_11_restart.jpg jpeg_17x13_31_11_11.jpg
jpeg_17x13_cmyk_adobe2_22.jpg jpeg_17x13_cmyk_plain_11.jpg jpeg_17x13_grey11.jpg jpeg_17x13_adobe0_.jpg
jpeg_17x13_arith.jpg jpeg_61x47_q75_420_prog.jpg jpeg_exif[2-8]_0.jpg jpeg_17x13_junk.jpg jpeg_17x13_noend.jpg
jpeg_17x13_21_11_11_split.jpg jpeg_17x13_22_11_11_broken0[0-7].jpg
pfm_17x13_[13]_?.pfm pfm_special.pfm pfm_head_third.pfm pfm_head_zero.pfm pfm_7x5_3_0_broken0[0-3].pfm
png_17x13_[0-9]_*_0.png png_17x13_2_8_1.png png_17x13_3_4_1.png png_2_8_filter[34].png png_2_8_trns.png
png_3_8_exif[2-8].png png_2_8_crc.png png_2_8_critical.png png_2_8_stream_[!w]*.png png_2_8_after_crc.png
png_6_8_apng_partfirst.png png_2_8_apng000.png png_2_16_apng000.png png_2_8_noend.png png_2_8_split7_broken0[0-7].png
pnm_17x13_p[14].pbm pnm_17x13_p[25]_100.pgm pnm_17x13_p[36]_255.ppm pnm_17x13_p[25]_4095.pgm pnm_17x13_p6_65535.ppm
pnm_17x13_p7_[13]_*.pam pnm_head_comments.ppm pnm_text_*.pnm pnm_17x13_p6_255_broken0[0-3].ppm
sun_17x13_1_1.ras sun_17x13_8_1.ras sun_17x13_24_1.ras sun_17x13_32_1.ras sun_17x13_8_1_map256_?.ras sun_17x13_8_2.ras
tiff_white_1_23x17_le.tif tiff_black_8_23x17_be.tif tiff_black_16_23x17_be_tiles.tif tiff_palette_[148]_23x17_le.tif
tiff_rgb_8_23x17_le*.tif tiff_rgb_16_23x17_be.tif tiff_rgba?[12]?_8_23x17_le.tif tiff_rgba?2?_16_23x17_be_planar.tif
tiff_cmyk_8_23x17_le.tif tiff_lab_8_23x17_le.tif tiff_lab_16_23x17_be.tif tiff_ycc22_23_1.tif tiff_ycc41_23_5.tif
tiff_c5_8_23_le_p2_.tif tiff_c8_16_23_be_p2_*.tif tiff_c32773_8_23_le_p1_.tif tiff_o[2-8]_.tif tiff_o6_rows4.tif
tiff_big1_be.tif tiff_lzw_c_old_0_300.tif tiff_lzw_c_old_noend_*.tif tiff_lzw_c_old_mixed1_?.tif tiff_lzw_c_new_1_9999.tif tiff_fill2_lzw.tif tiff_tag_no*.tif tiff_fax_g3-1d_64_w_.tif tiff_fax_g3-2d_64_b_-r7.tif
tiff_fax_g4_97_w_-flsb2msb.tif tiff_pillow_tiff_ccitt_64.tif tiff_jpeg_jpeg_64_-r16.tif tiff_jpeg_jpeg-r_64_.tif
tiff_jpeg_grey_64_.tif tiff_pillow_CMYK_64_jpeg.tif tiff_rgb_32_23x17_le.tif tiff_format3_8_23x17_le.tif tiff_pages_8.tif tiff_c5_8_23_le_p1__broken0[0-4].tif
webp_17x13_lossy40.webp webp_17x13_alpha80.webp webp_17x13_lossless3.webp webp_17x13_losslessalpha6.webp
webp_17x13_exif[368].webp webp_17x13_animated.webp webp_17x13_animatedlossless.webp webp_17x13_offset[02]1.webp
webp_17x13_few.webp webp_17x13_none.webp webp_17x13_sizebig.webp webp_17x13_lossy80_broken0[0-5].webp
""".split()


def main():
    shutil.rmtree(FIXTURES, ignore_errors=True)
    os.makedirs(FIXTURES)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "corpus", folder], cwd=HERE, check=True)
        names = os.listdir(folder)
        for pattern in CHOSEN:
            matching = fnmatch.filter(names, pattern)
            if "broken" not in pattern:
                matching = [name for name in matching if "_broken" not in name]
            if not matching:
                print("nothing matches", pattern)
            for name in matching:
                if os.path.getsize(os.path.join(folder, name)) <= LARGEST:
                    shutil.copy(os.path.join(folder, name), FIXTURES)
    subprocess.run([sys.executable, os.path.join(HERE, "golden.py"), FIXTURES], check=True)


if __name__ == "__main__":
    main()
