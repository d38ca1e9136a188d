use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::*;
use crate::decode::jpeg::testing::noise;
use crate::{Format, ImageErrorKind, Limits};

const WIDTH: u16 = 83;
/// Whole MCUs: rows below the image are not defined.
const HEIGHT: u16 = 64;

/// Smooth on the left, noise on the right.
fn pixels() -> Vec<u8> {
    let mut seed = 88_172_645_463_325_252;
    (0..usize::from(WIDTH) * usize::from(HEIGHT) * 3)
        .map(|i| {
            let (x, y) = (i / 3 % usize::from(WIDTH), i / 3 / usize::from(WIDTH));
            let rough = (noise(&mut seed) as usize % 256) * x / usize::from(WIDTH);
            (x * 2 + y + rough) as u8
        })
        .collect()
}

fn encode(sampling: SamplingFactor, quality: u8, restarts: u16) -> Vec<u8> {
    let pixels = pixels();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(sampling);
    if restarts > 0 {
        encoder.set_restart_interval(restarts);
    }
    let encoded = encoder.encode(&pixels, WIDTH, HEIGHT, ColorType::Rgb);
    encoded.expect("sound settings");
    bytes
}

/// All samples, and whether our own decoder gave them.
fn samples(bytes: &[u8], own: bool) -> (Result<Vec<u8>, String>, bool) {
    let read = || -> Result<(Vec<u8>, bool), ImageError> {
        let limits = Limits::default();
        let budget = Budget::new(Format::Jpeg, &limits, &|| false, None);
        let (mut decoder, header) = Decoder::open(bytes, &budget)?;
        if own {
            decoder.start()?;
        } else {
            decoder.start_libjpeg()?;
            decoder.scan = None;
        }
        let mut all = Vec::new();
        let extents = decoder.extents().to_vec();
        for _ in 0..header.height.div_ceil(8 * header.max.v) {
            let mut planes: Vec<Vec<u8>> = extents
                .iter()
                .map(|(width, rows)| vec![0; width * rows])
                .collect();
            let mut targets: Vec<PlaneMut<'_>> = planes
                .iter_mut()
                .zip(&extents)
                .map(|(data, &(stride, _))| PlaneMut { data, stride })
                .collect();
            decoder.read(&mut targets)?;
            all.extend(planes.concat());
        }
        Ok((all, decoder.scan.is_some() || decoder.blocks.is_some()))
    };
    match read() {
        Ok((samples, own)) => (Ok(samples), own),
        Err(error) => (Err(error.to_string()), false),
    }
}

fn files() -> Vec<Vec<u8>> {
    use SamplingFactor::{R_4_2_0, R_4_2_2, R_4_4_0, R_4_4_4};
    let mut files = Vec::new();
    for sampling in [R_4_4_4, R_4_2_2, R_4_2_0, R_4_4_0] {
        for quality in [5, 75, 100] {
            for restarts in [0, 1, 7] {
                files.push(encode(sampling, quality, restarts));
            }
        }
    }
    files
}

/// A script of scans: components, first and last coefficient, and the bits before and after.
type Script = &'static [(&'static [i32], [i32; 4])];

/// Everything exact at once, by bands; and bit by bit, with components together and apart.
const SCRIPTS: [Script; 3] = [
    &[
        (&[0, 1, 2], [0, 0, 0, 0]),
        (&[0], [1, 5, 0, 0]),
        (&[2], [1, 63, 0, 0]),
        (&[1], [1, 63, 0, 0]),
        (&[0], [6, 63, 0, 0]),
    ],
    &[
        (&[0, 1, 2], [0, 0, 0, 1]),
        (&[0], [1, 5, 0, 2]),
        (&[2], [1, 63, 0, 1]),
        (&[1], [1, 63, 0, 1]),
        (&[0], [6, 63, 0, 2]),
        (&[0], [1, 63, 2, 1]),
        (&[0, 1, 2], [0, 0, 1, 0]),
        (&[2], [1, 63, 1, 0]),
        (&[1], [1, 63, 1, 0]),
        (&[0], [1, 63, 1, 0]),
    ],
    &[
        (&[0], [0, 0, 0, 3]),
        (&[1, 2], [0, 0, 0, 0]),
        (&[0], [1, 1, 0, 3]),
        (&[0], [0, 0, 3, 2]),
        (&[0], [0, 0, 2, 1]),
        (&[0], [1, 1, 3, 2]),
        (&[0], [2, 63, 0, 3]),
        (&[0], [1, 1, 2, 1]),
        (&[0], [2, 63, 3, 2]),
        (&[0], [0, 0, 1, 0]),
        (&[0], [1, 1, 1, 0]),
        (&[0], [2, 40, 2, 1]),
        (&[0], [41, 63, 2, 1]),
        (&[0], [2, 63, 1, 0]),
        (&[1], [1, 63, 0, 0]),
        (&[2], [1, 9, 0, 0]),
    ],
];

/// A progressive file by libjpeg's encoder.
#[allow(unsafe_code)]
fn encode_progressively(
    script: Script,
    sampling: (i32, i32),
    quality: i32,
    restarts: u32,
) -> Vec<u8> {
    use mozjpeg_sys::*;
    let scans: Vec<jpeg_scan_info> = (script.iter())
        .map(|&(components, [start, end, before, low])| {
            let mut component_index = [0; 4];
            component_index[..components.len()].copy_from_slice(components);
            jpeg_scan_info {
                comps_in_scan: components.len() as i32,
                component_index,
                Ss: start,
                Se: end,
                Ah: before,
                Al: low,
            }
        })
        .collect();
    let pixels = pixels();
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: the calls are in libjpeg's order, the pointers live until the last one; the data is copied before it is freed.
    unsafe {
        let mut error: jpeg_error_mgr = std::mem::zeroed();
        let mut jpeg: jpeg_compress_struct = std::mem::zeroed();
        jpeg.common.err = jpeg_std_error(&mut error);
        jpeg_create_compress(&mut jpeg);
        jpeg_mem_dest(&mut jpeg, &mut data, &mut len);
        (jpeg.image_width, jpeg.image_height) = (WIDTH.into(), HEIGHT.into());
        (jpeg.input_components, jpeg.in_color_space) = (3, J_COLOR_SPACE::JCS_RGB);
        jpeg_c_set_int_param(
            &mut jpeg,
            J_INT_PARAM::JINT_COMPRESS_PROFILE,
            JCP_FASTEST as i32,
        );
        jpeg_set_defaults(&mut jpeg);
        jpeg_set_quality(&mut jpeg, quality, 1);
        let luma = &mut *jpeg.comp_info;
        (luma.h_samp_factor, luma.v_samp_factor) = sampling;
        (jpeg.scan_info, jpeg.num_scans) = (scans.as_ptr(), scans.len() as i32);
        jpeg.restart_interval = restarts;
        jpeg_start_compress(&mut jpeg, 1);
        for row in pixels.chunks_exact(usize::from(WIDTH) * 3) {
            let mut row = row.as_ptr();
            jpeg_write_scanlines(&mut jpeg, &raw mut row, 1);
        }
        jpeg_finish_compress(&mut jpeg);
        jpeg_destroy_compress(&mut jpeg);
        let bytes = std::slice::from_raw_parts(data, len as usize).to_vec();
        libc_free(data.cast());
        bytes
    }
}

#[allow(unsafe_code)]
unsafe extern "C" {
    #[link_name = "free"]
    fn libc_free(pointer: *mut std::ffi::c_void);
}

fn progressive_files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for script in SCRIPTS {
        for sampling in [(1, 1), (2, 1), (2, 2), (1, 2)] {
            for quality in [5, 75, 100] {
                for restarts in [0, 1, 7] {
                    files.push(encode_progressively(script, sampling, quality, restarts));
                }
            }
        }
    }
    files
}

#[test]
fn sound_files_are_decoded_here_and_as_libjpeg_does() {
    for bytes in files().into_iter().chain(progressive_files()) {
        let (ours, own) = samples(&bytes, true);
        assert!(own, "libjpeg was needed");
        assert_eq!(ours, samples(&bytes, false).0);
    }
}

#[test]
fn damaged_files_are_decoded_as_libjpeg_does() {
    let mut seed = 3_141_592_653;
    let (mut own, mut fell_back) = (0, 0);
    for bytes in files().into_iter().chain(progressive_files()) {
        let start = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]);
        let start = start.expect("a scan");
        for _ in 0..40 {
            let mut bytes = bytes.clone();
            let at = start + noise(&mut seed) as usize % (bytes.len() - start);
            match noise(&mut seed) % 4 {
                0 => bytes.truncate(at),
                1 => bytes[at] = 0xFF,
                2 => bytes[at] ^= 1 << (noise(&mut seed) % 8),
                _ => drop(bytes.drain(at..bytes.len().min(at + 9))),
            }
            let (ours, by_us) = samples(&bytes, true);
            assert_eq!(ours, samples(&bytes, false).0, "damaged at {at}");
            own += usize::from(by_us);
            fell_back += usize::from(!by_us);
        }
    }
    assert!(own > 100 && fell_back > 100, "{own} and {fell_back}");
}

#[test]
fn processes_and_depths_without_a_decoder_are_unsupported_and_not_corrupt() {
    let sound = encode(SamplingFactor::R_4_4_4, 75, 0);
    let frame = sound.windows(2).position(|pair| pair == [0xFF, 0xC0]);
    let frame = frame.expect("a frame header");
    for (place, value) in [(1, 0xC3), (1, 0xC5), (1, 0xCB), (4, 12)] {
        let mut bytes = sound.clone();
        bytes[frame + place] = value;
        let error = crate::decode(&bytes, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ImageErrorKind::Unsupported, "{error}");
    }
}
