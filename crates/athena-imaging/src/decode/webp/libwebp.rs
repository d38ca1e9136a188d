//! A safe hold on libwebp.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::slice;

use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPAnimDecoder, WebPAnimDecoderDelete, WebPAnimDecoderGetInfo,
    WebPAnimDecoderGetNext, WebPAnimDecoderNew, WebPAnimDecoderOptionsInit, WebPBitstreamFeatures,
    WebPChunkIterator, WebPData, WebPDecodeBGRAInto, WebPDecodeBGRInto, WebPDemuxDelete,
    WebPDemuxGetChunk, WebPDemuxInternal, WebPDemuxReleaseChunkIterator, WebPGetFeatures,
    WebPIDecoder, WebPIDelete, WebPINewRGB, WebPIUpdate,
};

/// The interface that the bindings declare; libwebp refuses to work if its own is another.
const DEMUX_ABI_VERSION: c_int = libwebp_sys::WEBP_DEMUX_ABI_VERSION as c_int;

pub(super) struct Features {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) alpha: bool,
    pub(super) animated: bool,
}

impl Features {
    /// Memory that decoding takes for a pixel, at its peak.
    pub(super) fn bytes_per_pixel(&self) -> u64 {
        const FRAME: u64 = 3;
        const CANVAS: u64 = 4;
        match (self.animated, self.alpha) {
            // A canvas, the one before it, and the pixels of a frame.
            (true, _) => 3 * CANVAS,
            // Lossless images are decoded to pixels of four bytes first.
            (false, true) => 2 * CANVAS,
            (false, false) => FRAME + CANVAS,
        }
    }
}

/// What the start of a file says of the image.
pub(super) fn features(start: &[u8]) -> Option<Features> {
    let features = bitstream_features(start)?;
    Some(Features {
        width: u32::try_from(features.width).ok()?,
        height: u32::try_from(features.height).ok()?,
        alpha: features.has_alpha != 0,
        animated: features.has_animation == 1,
    })
}

/// Whether a still image is lossy, which the start of a file need not say.
pub(super) fn is_lossy(bytes: &[u8]) -> bool {
    const LOSSY: c_int = 1;
    bitstream_features(bytes).is_some_and(|features| features.format == LOSSY)
}

fn bitstream_features(bytes: &[u8]) -> Option<WebPBitstreamFeatures> {
    let mut features = MaybeUninit::<WebPBitstreamFeatures>::zeroed();
    // SAFETY: the pointer and the length are those of one slice, all zeroes is a valid value of the plain struct.
    unsafe {
        let status = WebPGetFeatures(bytes.as_ptr(), bytes.len(), features.as_mut_ptr());
        (status == VP8StatusCode::VP8_STATUS_OK).then(|| features.assume_init())
    }
}

type DecodeInto = unsafe extern "C" fn(*const u8, usize, *mut u8, usize, c_int) -> *mut u8;

/// Decodes a still image into `output`, rows of `width` pixels with no gap.
pub(super) fn decode_bgr(bytes: &[u8], output: &mut [u8], width: u32) -> Option<()> {
    decode_into(WebPDecodeBGRInto, 3, bytes, output, width)
}

/// As [`decode_bgr`] for a lossy image, but shows libwebp the file in pieces and asks between them whether to go on.
pub(super) fn decode_bgr_in_pieces<E>(
    bytes: &[u8],
    output: &mut [u8],
    width: u32,
    pieces: usize,
    go_on: impl Fn() -> Result<(), E>,
) -> Result<Option<()>, E> {
    let Some(stride) = width
        .checked_mul(3)
        .and_then(|len| c_int::try_from(len).ok())
    else {
        return Ok(None);
    };
    let output: *mut [u8] = output;
    // SAFETY: pointer and length are those of one slice; libwebp checks size and stride against the image.
    let decoder =
        unsafe { WebPINewRGB(WEBP_CSP_MODE::MODE_BGR, output.cast(), output.len(), stride) };
    let Some(decoder) = NonNull::new(decoder).map(Incremental) else {
        return Ok(None);
    };
    let mut shown = 0;
    loop {
        shown = bytes.len().min(shown + bytes.len().div_ceil(pieces.max(1)));
        // SAFETY: the decoder is alive, the bytes outlive it and stay where they are, as each update asks for.
        let status = unsafe { WebPIUpdate(decoder.0.as_ptr(), bytes.as_ptr(), shown) };
        match status {
            VP8StatusCode::VP8_STATUS_OK => return Ok(Some(())),
            VP8StatusCode::VP8_STATUS_SUSPENDED if shown < bytes.len() => go_on()?,
            _ => return Ok(None),
        }
    }
}

struct Incremental(NonNull<WebPIDecoder>);

impl Drop for Incremental {
    fn drop(&mut self) {
        // SAFETY: the decoder came from WebPINewRGB and is deleted once.
        unsafe { WebPIDelete(self.0.as_ptr()) }
    }
}

/// As [`decode_bgr`], with alpha.
pub(super) fn decode_bgra(bytes: &[u8], output: &mut [u8], width: u32) -> Option<()> {
    decode_into(WebPDecodeBGRAInto, 4, bytes, output, width)
}

fn decode_into(
    decode: DecodeInto,
    channels: u32,
    bytes: &[u8],
    output: &mut [u8],
    width: u32,
) -> Option<()> {
    let stride = c_int::try_from(width.checked_mul(channels)?).ok()?;
    // SAFETY: pointers and lengths are those of one slice each; libwebp checks size and stride against the image.
    let done = unsafe {
        decode(
            bytes.as_ptr(),
            bytes.len(),
            output.as_mut_ptr(),
            output.len(),
            stride,
        )
    };
    (!done.is_null()).then_some(())
}

/// An animation being decoded. It refers to the file's bytes.
pub(super) struct Animation<'a> {
    decoder: NonNull<WebPAnimDecoder>,
    _bytes: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> Animation<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut options = MaybeUninit::zeroed();
        // SAFETY: the options are plain data that the call fills in; the decoder keeps the pointer to the bytes, which
        // the lifetime holds in place.
        let decoder = unsafe {
            if WebPAnimDecoderOptionsInit(options.as_mut_ptr()) == 0 {
                return None;
            }
            let mut options = options.assume_init();
            options.color_mode = WEBP_CSP_MODE::MODE_BGRA;
            WebPAnimDecoderNew(&data(bytes), &options)
        };
        Some(Self {
            decoder: NonNull::new(decoder)?,
            _bytes: std::marker::PhantomData,
        })
    }

    /// Composes the next frame and shows its pixels (blue, green, red, alpha) to `use_canvas`.
    pub(super) fn with_next_frame<R>(
        &mut self,
        width: u32,
        height: u32,
        use_canvas: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let mut info = MaybeUninit::zeroed();
        let (mut canvas, mut timestamp) = (null_mut(), 0);
        // SAFETY: the decoder is alive; the canvas that it gives has as many pixels as its own information says and
        // stays until the next call.
        unsafe {
            let decoder = self.decoder.as_ptr();
            if WebPAnimDecoderGetInfo(decoder, info.as_mut_ptr()) == 0 {
                return None;
            }
            let info = info.assume_init();
            if (info.canvas_width, info.canvas_height) != (width, height)
                || WebPAnimDecoderGetNext(decoder, &mut canvas, &mut timestamp) == 0
            {
                return None;
            }
            let len = width as usize * height as usize * 4;
            Some(use_canvas(slice::from_raw_parts(canvas, len)))
        }
    }
}

impl Drop for Animation<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder came from WebPAnimDecoderNew and is deleted once.
        unsafe { WebPAnimDecoderDelete(self.decoder.as_ptr()) }
    }
}

/// Shows the EXIF block of a complete file, if it has one.
pub(super) fn with_exif<R>(bytes: &[u8], use_exif: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let mut chunk = MaybeUninit::<WebPChunkIterator>::zeroed();
    // SAFETY: the demuxer and the iterator are released before the bytes go; the chunk that the iterator gives lies
    // within them.
    unsafe {
        let demuxer = NonNull::new(WebPDemuxInternal(
            &data(bytes),
            0,
            null_mut(),
            DEMUX_ABI_VERSION,
        ))?;
        let found = WebPDemuxGetChunk(demuxer.as_ptr(), c"EXIF".as_ptr(), 1, chunk.as_mut_ptr());
        let result = (found != 0).then(|| {
            let exif = chunk.assume_init_ref().chunk;
            let result = use_exif(slice::from_raw_parts(exif.bytes, exif.size));
            WebPDemuxReleaseChunkIterator(chunk.as_mut_ptr());
            result
        });
        WebPDemuxDelete(demuxer.as_ptr());
        result
    }
}

fn data(bytes: &[u8]) -> WebPData {
    WebPData {
        bytes: bytes.as_ptr(),
        size: bytes.len(),
    }
}
