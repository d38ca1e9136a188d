//! One source for each hot loop, compiled twice.
//!
//! A kernel is ordinary safe code, written so that the compiler vectorises it. [`kernel!`] compiles it for the baseline of
//! the target (NEON is part of AArch64's) and, on x86-64, once more for AVX2, and picks one at run time. Integers and
//! strictly ordered floats make all versions bit-identical.
//!
//! Slices are arguments of their own, many as they may be: of those the compiler knows that they do not overlap.

/// Defines a function with an AVX2 version; `name::portable` is the other one, for tests.
macro_rules! kernel {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $visibility fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
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
            #[allow(clippy::needless_range_loop, clippy::too_many_arguments)]
            #[inline(always)]
            pub(super) fn portable($($argument: $type),*) $body
        }
    };
}

pub(crate) use kernel;

/// What the tests of kernels share.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) mod testing {
    /// Below, at and above the widths of vectors, and those of real rows.
    pub(crate) const LENGTHS: [usize; 25] = [
        1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 127, 129, 447, 448, 449,
        1344, 1999,
    ];

    /// Rows of values: the least, the greatest, both in turns, and what `noise` makes of random bits.
    pub(crate) fn rows<T: Copy>(
        len: usize,
        least: T,
        greatest: T,
        noise: impl Fn(u32) -> T,
    ) -> [Vec<T>; 4] {
        let mut state = len as u32;
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise(state ^ (state >> 16))
        });
        [
            vec![least; len],
            vec![greatest; len],
            [least, greatest].into_iter().cycle().take(len).collect(),
            random.take(len).collect(),
        ]
    }

    /// Rows of bytes.
    pub(crate) fn bytes(len: usize) -> [Vec<u8>; 4] {
        rows(len, 0, 255, |bits| bits as u8)
    }

    /// What both versions of a kernel write over the last argument.
    macro_rules! both {
        ($kernel:ident($($argument:expr),* ; $out:expr)) => {{
            let (mut dispatched, mut portable) = ($out, $out);
            $kernel($($argument,)* &mut dispatched);
            $kernel::portable($($argument,)* &mut portable);
            (dispatched, portable)
        }};
    }

    /// Asserts that both versions of a kernel write the same.
    macro_rules! assert_same {
        ($kernel:ident $arguments:tt) => {{
            let (dispatched, portable) = $crate::simd::testing::both!($kernel $arguments);
            assert_eq!(dispatched, portable, "{}", stringify!($kernel));
        }};
    }

    pub(crate) use {assert_same, both};
}
