//! One source for each hot loop, compiled twice.
//!
//! A kernel is ordinary safe code, written so that the compiler vectorises it. [`kernel!`] compiles it for the baseline of
//! the target (NEON is part of AArch64's) and, on x86-64, once more for AVX2, and picks one at run time. Integers and
//! strictly ordered floats make all versions bit-identical.

/// Defines a function with an AVX2 version; `name::portable` is the other one, for tests.
macro_rules! kernel {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code)]
        $visibility fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2($($argument: $type),*) {
                    $name::portable($($argument),*);
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    return unsafe { avx2($($argument),*) };
                }
            }
            $name::portable($($argument),*);
        }

        mod $name {
            #[allow(unused_imports)]
            use super::*;

            // Indices and not iterators: an iterator's methods may stay calls, compiled for the baseline.
            #[allow(clippy::needless_range_loop)]
            #[inline(always)]
            pub(super) fn portable($($argument: $type),*) $body
        }
    };
}

pub(crate) use kernel;
