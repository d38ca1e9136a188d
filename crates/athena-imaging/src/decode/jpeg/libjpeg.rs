//! A safe hold on the C shim.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

// Links the library that the shim calls.
use mozjpeg_sys as _;

use super::header::{Definition, FrameComponent, FrameHeader, PlaneMut, ScanComponent, ScanHeader};
use super::idct;
use crate::{Budget, Format, ImageError};

#[repr(C)]
struct Raw {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn athena_jpeg_new(
        data: *const u8,
        len: usize,
        work: unsafe extern "C" fn(*const c_void, u64) -> i32,
        context: *const c_void,
    ) -> *mut Raw;
    fn athena_jpeg_free(jpeg: *mut Raw);
    fn athena_jpeg_read_header(jpeg: *mut Raw, header: *mut RawHeader) -> c_int;
    fn athena_jpeg_start(jpeg: *mut Raw, idct: idct::Callback, max_memory: c_long) -> c_int;
    fn athena_jpeg_scan(jpeg: *mut Raw, scan: *mut RawScan) -> c_int;
    fn athena_jpeg_frame(jpeg: *mut Raw, frame: *mut RawFrame) -> c_int;
    fn athena_jpeg_read(jpeg: *mut Raw, planes: *const *mut u8, strides: *const usize) -> c_int;
    fn athena_jpeg_message(jpeg: *mut Raw, text: *mut c_char, len: usize);
}

#[repr(C)]
struct RawHeader {
    width: u32,
    height: u32,
    components: u32,
    colour_space: u32,
    precision: u32,
    multiple_scans: u32,
    max_h: u32,
    max_v: u32,
    h: [u32; 4],
    v: [u32; 4],
    exif: *const u8,
    exif_len: usize,
}

#[repr(C)]
struct RawTable {
    counts: *const [u8; 16],
    symbols: *const [u8; 256],
}

impl RawTable {
    fn definition(&self) -> Option<Definition> {
        // SAFETY: null, or libjpeg's arrays of these sizes, kept until another table takes their place.
        let (counts, symbols) = unsafe { (self.counts.as_ref()?, self.symbols.as_ref()?) };
        Some(Definition {
            counts: *counts,
            symbols: *symbols,
        })
    }
}

#[repr(C)]
struct RawScanComponent {
    index: u32,
    h: u32,
    v: u32,
    dc: u32,
    ac: u32,
    quant: *const [u16; 64],
}

#[repr(C)]
struct RawScan {
    count: u32,
    restart_interval: u32,
    mcus_per_row: u32,
    rows: u32,
    components: [RawScanComponent; 4],
    dc: [RawTable; 4],
    ac: [RawTable; 4],
    data: *const u8,
    data_len: usize,
}

#[repr(C)]
struct RawFrameComponent {
    id: u32,
    h: u32,
    v: u32,
    quant: *const [u16; 64],
}

#[repr(C)]
struct RawFrame {
    count: u32,
    restart_interval: u32,
    components: [RawFrameComponent; 4],
    dc: [RawTable; 4],
    ac: [RawTable; 4],
    data: *const u8,
    data_len: usize,
}

/// How components become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColourSpace {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// Sampling factors of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampling {
    pub(super) h: usize,
    pub(super) v: usize,
}

/// What a JPEG file's headers say.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) colour_space: ColourSpace,
    pub(super) components: Vec<Sampling>,
    pub(super) max: Sampling,
    /// Whether the coefficients of the whole image are collected before samples are made of them.
    pub(super) multiple_scans: bool,
    /// The first EXIF block, a TIFF structure.
    pub(super) exif: Vec<u8>,
}

impl Header {
    /// Memory for the coefficients of a file whose scans are collected first.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        // The coefficients of a block, and what our own decoder knows of it besides.
        const BLOCK: u64 = (64 * size_of::<i16>() + size_of::<u64>() + size_of::<i16>()) as u64;
        let (across, down) = (
            self.width.div_ceil(8 * self.max.h),
            self.height.div_ceil(8 * self.max.v),
        );
        let in_mcu: usize = self.components.iter().map(|c| c.h * c.v).sum();
        if self.multiple_scans {
            BLOCK * (across * down * in_mcu) as u64
        } else {
            0
        }
    }
}

/// A JPEG file in libjpeg's hands.
pub(super) struct LibJpeg<'a> {
    raw: NonNull<Raw>,
    /// At one address as long as `raw` lives.
    account: Box<Account<'a>>,
    /// Plane sizes that the next read will write, as (bytes of a row, rows).
    extents: Vec<(usize, usize)>,
    bytes: PhantomData<&'a [u8]>,
}

/// Where the shim pays, and why it was stopped.
struct Account<'a> {
    budget: &'a Budget<'a>,
    refusal: Cell<Option<ImageError>>,
}

/// # Safety
///
/// `account` points to a live account.
unsafe extern "C" fn pay(account: *const c_void, units: u64) -> i32 {
    // SAFETY: as the caller promises.
    let account = unsafe { &*account.cast::<Account<'_>>() };
    // The caller's own question whether to go on may panic, which must not cross C.
    let paid = catch_unwind(AssertUnwindSafe(|| account.budget.charge(units)));
    let paid = paid.unwrap_or_else(|_| {
        let message = "the question whether to go on panicked";
        Err(ImageError::internal(Some(Format::Jpeg), message))
    });
    let stop = paid.is_err();
    account.refusal.set(paid.err());
    stop.into()
}

impl<'a> LibJpeg<'a> {
    /// Reads the headers.
    pub(super) fn open(
        bytes: &'a [u8],
        budget: &'a Budget<'a>,
    ) -> Result<(Self, Header), ImageError> {
        let account = Box::new(Account {
            budget,
            refusal: Cell::new(None),
        });
        let context = (&raw const *account).cast();
        // SAFETY: the bytes outlive the decoder by its lifetime, the account is dropped after it.
        let raw = unsafe { athena_jpeg_new(bytes.as_ptr(), bytes.len(), pay, context) };
        let raw = NonNull::new(raw)
            .ok_or_else(|| ImageError::internal(Some(Format::Jpeg), "out of memory"))?;
        let mut decoder = Self {
            raw,
            account,
            extents: Vec::new(),
            bytes: PhantomData,
        };
        let mut header = std::mem::MaybeUninit::<RawHeader>::zeroed();
        // SAFETY: the handle is live, the header's layout is the shim's.
        let status = unsafe { athena_jpeg_read_header(raw.as_ptr(), header.as_mut_ptr()) };
        decoder.check(status, "the file ends within its headers")?;
        // SAFETY: all zeroes is a valid header, and the shim has filled it.
        let header = decoder.header(&unsafe { header.assume_init() })?;
        decoder.extents = header
            .components
            .iter()
            .map(|sampling| {
                let width = (header.width * sampling.h).div_ceil(header.max.h * 8) * 8;
                (width, sampling.v * 8)
            })
            .collect();
        Ok((decoder, header))
    }

    fn header(&self, raw: &RawHeader) -> Result<Header, ImageError> {
        let colour_space = match (raw.components, raw.colour_space) {
            (1, 1) => ColourSpace::Grey,
            (3, 2) => ColourSpace::Rgb,
            (3, 3) => ColourSpace::YCbCr,
            (4, 4) => ColourSpace::Cmyk,
            (4, 5) => ColourSpace::Ycck,
            (components, _) => {
                let message = format!("{components} components of an unknown colour space");
                return Err(ImageError::unsupported(Format::Jpeg, message));
            }
        };
        let sampling = |(&h, &v): (&u32, &u32)| Sampling {
            h: h as usize,
            v: v as usize,
        };
        let exif = if raw.exif.is_null() {
            Vec::new()
        } else {
            // SAFETY: a part of the bytes that `open` was given.
            unsafe { std::slice::from_raw_parts(raw.exif, raw.exif_len) }.to_vec()
        };
        Ok(Header {
            width: raw.width as usize,
            height: raw.height as usize,
            colour_space,
            components: raw
                .h
                .iter()
                .zip(&raw.v)
                .take(raw.components as usize)
                .map(sampling)
                .collect(),
            max: sampling((&raw.max_h, &raw.max_v)),
            multiple_scans: raw.multiple_scans != 0,
            exif,
        })
    }

    /// Prepares to read samples; a progressive file is decoded to coefficients here.
    pub(super) fn start(&mut self) -> Result<(), ImageError> {
        let memory = self.account.budget.limits().max_decoded_bytes;
        let memory = c_long::try_from(memory).unwrap_or(c_long::MAX);
        // SAFETY: the handle is live; the transform only touches what it is handed.
        let status = unsafe { athena_jpeg_start(self.raw.as_ptr(), idct::callback(), memory) };
        self.check(status, "the file ends before its image data does")
    }

    /// The entropy-coded data that comes next, if it is a baseline scan of all components.
    pub(super) fn scan(&self) -> Option<ScanHeader<'a>> {
        let mut raw = std::mem::MaybeUninit::<RawScan>::zeroed();
        // SAFETY: the handle is live, the layout is the shim's.
        if unsafe { athena_jpeg_scan(self.raw.as_ptr(), raw.as_mut_ptr()) } == 0 {
            return None;
        }
        // SAFETY: the shim has filled it; all zeroes are valid for what it has left out.
        let raw = unsafe { raw.assume_init() };
        let component = |raw: &RawScanComponent| ScanComponent {
            index: raw.index as usize,
            h: raw.h as usize,
            v: raw.v as usize,
            dc: raw.dc as usize,
            ac: raw.ac as usize,
            // SAFETY: libjpeg keeps the tables of a component until the decoder is freed.
            quant: unsafe { *raw.quant },
        };
        Some(ScanHeader {
            components: raw.components[..raw.count as usize]
                .iter()
                .map(component)
                .collect(),
            dc: raw.dc.each_ref().map(RawTable::definition),
            ac: raw.ac.each_ref().map(RawTable::definition),
            restart_interval: raw.restart_interval,
            mcus_per_row: raw.mcus_per_row as usize,
            rows: raw.rows as usize,
            // SAFETY: the rest of the bytes that `open` was given.
            data: unsafe { std::slice::from_raw_parts(raw.data, raw.data_len) },
        })
    }

    /// A progressive file from its first scan on, if it has Huffman codes. To be asked before [`start`](Self::start).
    pub(super) fn frame(&self, width: usize, height: usize) -> Option<FrameHeader<'a>> {
        let mut raw = std::mem::MaybeUninit::<RawFrame>::zeroed();
        // SAFETY: the handle is live, the layout is the shim's.
        if unsafe { athena_jpeg_frame(self.raw.as_ptr(), raw.as_mut_ptr()) } == 0 {
            return None;
        }
        // SAFETY: the shim has filled it; all zeroes are valid for what it has left out.
        let raw = unsafe { raw.assume_init() };
        let component = |raw: &RawFrameComponent| FrameComponent {
            id: raw.id as u8,
            h: raw.h as usize,
            v: raw.v as usize,
            // SAFETY: libjpeg keeps a table until another takes its place, which takes a call.
            quant: unsafe { *raw.quant },
        };
        Some(FrameHeader {
            width,
            height,
            components: (raw.components[..raw.count as usize].iter())
                .map(component)
                .collect(),
            dc: raw.dc.each_ref().map(RawTable::definition),
            ac: raw.ac.each_ref().map(RawTable::definition),
            restart_interval: raw.restart_interval,
            // SAFETY: a part of the bytes that `open` was given, with the header that libjpeg has just read.
            data: unsafe { std::slice::from_raw_parts(raw.data, raw.data_len) },
        })
    }

    /// Bytes of a row and number of rows that [`read`](Self::read) writes, by component.
    pub(super) fn extents(&self) -> &[(usize, usize)] {
        &self.extents
    }

    /// Decodes the next row of MCUs into the planes, one for each component.
    pub(super) fn read(&mut self, planes: &mut [PlaneMut<'_>]) -> Result<(), ImageError> {
        assert_eq!(planes.len(), self.extents.len());
        let mut pointers = [std::ptr::null_mut(); 4];
        let mut strides = [0; 4];
        for (i, (plane, &(width, rows))) in planes.iter_mut().zip(&self.extents).enumerate() {
            assert!(plane.stride >= width && plane.data.len() >= plane.stride * rows);
            pointers[i] = plane.data.as_mut_ptr();
            strides[i] = plane.stride;
        }
        // SAFETY: the shim writes `rows` rows of `width` bytes into each plane: the assertion above.
        let status =
            unsafe { athena_jpeg_read(self.raw.as_ptr(), pointers.as_ptr(), strides.as_ptr()) };
        self.check(status, "the file ends before its image data does")
    }

    fn check(&self, status: c_int, truncated: &'static str) -> Result<(), ImageError> {
        match status {
            0 => Ok(()),
            1 => Err(ImageError::truncated(Format::Jpeg, truncated)),
            3 => Err(self.account.refusal.take().unwrap_or_else(|| {
                ImageError::internal(Some(Format::Jpeg), "stopped without a reason")
            })),
            4 => Err(ImageError::unsupported(Format::Jpeg, self.message())),
            _ => Err(ImageError::corrupt(Format::Jpeg, self.message())),
        }
    }

    fn message(&self) -> String {
        let mut text = [0; 200];
        // SAFETY: the shim ends the text within its length.
        unsafe { athena_jpeg_message(self.raw.as_ptr(), text.as_mut_ptr(), text.len()) };
        // SAFETY: as above.
        unsafe { CStr::from_ptr(text.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    }
}

impl Drop for LibJpeg<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is live and not used again.
        unsafe { athena_jpeg_free(self.raw.as_ptr()) };
    }
}
