//! JPEG: exact with the feature `native`, close to it without.

#[cfg(feature = "native")]
mod colour;
#[cfg(feature = "native")]
mod components;
#[cfg(feature = "native")]
mod decoder;
#[cfg(feature = "native")]
mod entropy;
#[cfg(feature = "native")]
mod header;
#[cfg(feature = "native")]
mod idct;
#[cfg(feature = "native")]
mod libjpeg;
#[cfg(feature = "native")]
mod native;
#[cfg(feature = "native")]
mod progressive;
#[cfg(not(feature = "native"))]
mod pure;
#[cfg(feature = "native")]
mod rows;
#[cfg(feature = "native")]
mod upsample;

#[cfg(feature = "native")]
pub(super) use components::components;
#[cfg(feature = "native")]
pub(super) use native::{decode, decode_needed};
#[cfg(not(feature = "native"))]
pub(super) use pure::{decode, decode_needed};

#[cfg(all(test, feature = "native"))]
mod testing {
    /// A small generator of reproducible noise (Marsaglia's xorshift).
    pub(super) fn noise(seed: &mut u64) -> u64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed
    }
}
