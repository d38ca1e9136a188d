//! Prefix codes: lengths from counts, canonical codes from lengths, and how both are told to the decoder.

use super::bits::BitWriter;
use crate::vp8l::LENGTHS_ORDER;

/// Longest code of a symbol.
const LONGEST: usize = 15;
/// Longest code of a code length.
const LONGEST_META: usize = 7;

/// A code's bits, in the order of writing, and how many they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) len: u16,
}

impl Code {
    /// The bits, with others after them.
    pub(super) fn with(self, extra: u32) -> u64 {
        u64::from(self.bits) | u64::from(extra) << self.len
    }
}

/// The codes of one alphabet.
#[derive(Debug)]
pub(super) struct PrefixCode {
    codes: Vec<Code>,
}

impl PrefixCode {
    /// The codes with the fewest bits for symbols that occur so often.
    pub(super) fn new(counts: &[u32]) -> Self {
        Self {
            codes: canonical(&lengths(counts, LONGEST)),
        }
    }

    /// Each symbol's code. Where one symbol is all there is, it takes no bits.
    pub(super) fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// The codes of literal values.
    pub(super) fn literals(&self) -> &[Code; 256] {
        const NONE: &[Code; 256] = &[Code { bits: 0, len: 0 }; 256];
        self.codes.first_chunk().unwrap_or(NONE)
    }

    /// Bits of symbols that occur so often.
    pub(super) fn bits_of(&self, counts: &[u32]) -> u64 {
        let each = self.codes.iter().zip(counts);
        each.map(|(code, count)| u64::from(code.len) * u64::from(*count))
            .sum()
    }
}

/// Writes codes' lengths for symbols that occur so often, and returns the codes.
pub(super) fn write(counts: &[u32], out: &mut BitWriter) -> PrefixCode {
    let mut used = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let symbols =
        [used.next(), used.next(), used.next()].map(|s| s.map(|(symbol, _)| symbol as u32));
    match symbols {
        [first, second, None] if second.or(first).is_none_or(|last| last < 256) => {
            let first = first.unwrap_or(0);
            out.put(1_u8, 1);
            out.put(u8::from(second.is_some()), 1);
            if first < 2 {
                out.put(first << 1, 2);
            } else {
                out.put(first << 1 | 1, 9);
            }
            if let Some(second) = second {
                out.put(second, 8);
            }
            PrefixCode::new(counts)
        }
        _ => {
            let lengths = lengths(counts, LONGEST);
            out.put(0_u8, 1);
            write_lengths(&lengths, out);
            PrefixCode {
                codes: canonical(&lengths),
            }
        }
    }
}

/// How a run of code lengths is told: a symbol and the value of its extra bits.
type Run = (u8, u8);

const fn extra_bits(symbol: u8) -> u32 {
    match symbol {
        16 => 2,
        17 => 3,
        18 => 7,
        _ => 0,
    }
}

fn runs(lengths: &[u8]) -> Vec<Run> {
    let mut runs = Vec::with_capacity(lengths.len());
    // What a decoder repeats before it has seen a length.
    let mut previous = 8;
    for same in lengths.chunk_by(|a, b| a == b) {
        let (value, mut left) = (same[0], same.len());
        if value == 0 {
            while left >= 3 {
                let taken = left.min(138);
                runs.push(match taken {
                    11.. => (18, taken as u8 - 11),
                    _ => (17, taken as u8 - 3),
                });
                left -= taken;
            }
        } else {
            if value != previous {
                runs.push((value, 0));
                left -= 1;
                previous = value;
            }
            while left >= 3 {
                let taken = left.min(6);
                runs.push((16, taken as u8 - 3));
                left -= taken;
            }
        }
        runs.extend(std::iter::repeat_n((value, 0), left));
    }
    runs
}

fn write_lengths(symbol_lengths: &[u8], out: &mut BitWriter) {
    let runs = runs(symbol_lengths);
    let mut counts = [0; 19];
    for &(symbol, _) in &runs {
        counts[usize::from(symbol)] += 1;
    }
    let meta = lengths(&counts, LONGEST_META);
    let told = LENGTHS_ORDER.iter().rposition(|&i| meta[i] > 0);
    let told = told.map_or(4, |last| (last + 1).max(4));
    out.put(told as u32 - 4, 4);
    for &i in &LENGTHS_ORDER[..told] {
        out.put(meta[i], 3);
    }
    // All of the alphabet follows.
    out.put(0_u8, 1);
    let codes = canonical(&meta);
    for (symbol, extra) in runs {
        let code = codes[usize::from(symbol)];
        out.put(code.bits, code.len.into());
        out.put(extra, extra_bits(symbol));
    }
}

/// Code lengths with the fewest bits in all, or close to it where `longest` stands in the way. A lone symbol has length 1.
fn lengths(counts: &[u32], longest: usize) -> Vec<u8> {
    let mut lengths = vec![0; counts.len()];
    // Rarest first; equal ones in the order of symbols, so that sorting has one result.
    let mut used: Vec<u64> = counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(symbol, count)| u64::from(*count) << 16 | symbol as u64)
        .collect();
    used.sort_unstable();
    let symbol = |key: u64| (key & 0xFFFF) as usize;
    match used[..] {
        [] => return lengths,
        [only] => {
            lengths[symbol(only)] = 1;
            return lengths;
        }
        _ => {}
    }
    let mut weights: Vec<usize> = used.iter().map(|key| (key >> 16) as usize).collect();
    let mut leaves = leaves_by_depth(&mut weights, longest);
    let mut rarest = used.iter();
    for depth in (1..=longest).rev() {
        for &key in rarest.by_ref().take(std::mem::take(&mut leaves[depth])) {
            lengths[symbol(key)] = depth as u8;
        }
    }
    lengths
}

/// How many leaves Huffman's tree over ascending weights has at each depth, with none below `longest`.
///
/// Moffat and Katajainen, "In-place calculation of minimum-redundancy codes", 1995.
fn leaves_by_depth(weights: &mut [usize], longest: usize) -> [usize; LONGEST + 1] {
    let a = weights;
    let n = a.len();
    // First: inner nodes' weights, then the indices of their parents.
    a[0] += a[1];
    let (mut root, mut leaf) = (0, 2);
    for next in 1..n - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf >= n || (root < next && a[root] < a[leaf]) {
                weight += std::mem::replace(&mut a[root], next);
                root += 1;
            } else {
                weight += a[leaf];
                leaf += 1;
            }
        }
        a[next] = weight;
    }
    // Second: inner nodes' depths.
    a[n - 2] = 0;
    for next in (0..n - 2).rev() {
        a[next] = a[a[next]] + 1;
    }
    // Third: leaves are what inner nodes leave free.
    let mut leaves = [0; LONGEST + 1];
    let (mut free, mut depth, mut inner) = (1, 0, n - 1);
    while free > 0 {
        let mut used = 0;
        while inner > 0 && a[inner - 1] == depth {
            used += 1;
            inner -= 1;
        }
        leaves[depth.min(longest)] += free - used;
        free = 2 * used;
        depth += 1;
    }
    // Leaves that were pulled up take more than all of the code space: lengthen the codes of others until it fits.
    let mut space: usize = (1..=longest).map(|d| leaves[d] << (longest - d)).sum();
    while space > 1 << longest {
        leaves[longest] -= 1;
        if let Some(d) = (1..longest).rev().find(|&d| leaves[d] > 0) {
            leaves[d] -= 1;
            leaves[d + 1] += 2;
        }
        space -= 1;
    }
    leaves
}

/// The canonical codes of these lengths.
fn canonical(lengths: &[u8]) -> Vec<Code> {
    let mut codes = vec![Code::default(); lengths.len()];
    let mut count = [0_u16; LONGEST + 1];
    for &len in lengths {
        count[usize::from(len)] += 1;
    }
    count[0] = 0;
    if count.iter().sum::<u16>() < 2 {
        return codes;
    }
    let mut next = [0_u16; LONGEST + 2];
    for len in 1..=LONGEST {
        next[len + 1] = (next[len] + count[len]) << 1;
    }
    for (code, &len) in codes.iter_mut().zip(lengths) {
        if len > 0 {
            let bits = &mut next[usize::from(len)];
            code.bits = bits.reverse_bits() >> (16 - len);
            code.len = len.into();
            *bits = bits.wrapping_add(1);
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of the code space is taken, in parts of the longest code.
    fn space(lengths: &[u8], longest: usize) -> usize {
        lengths
            .iter()
            .filter(|len| **len > 0)
            .map(|len| 1 << (longest - usize::from(*len)))
            .sum()
    }

    #[test]
    fn codes_fill_their_space_and_are_no_longer_than_they_may_be() {
        // Fibonacci's numbers make the deepest trees.
        let mut fibonacci = vec![1, 1];
        while fibonacci.len() < 40 {
            fibonacci.push(fibonacci[fibonacci.len() - 1] + fibonacci[fibonacci.len() - 2]);
        }
        for n in 2..fibonacci.len() {
            for longest in [LONGEST_META, LONGEST] {
                if n <= 1 << longest {
                    let lengths = lengths(&fibonacci[..n], longest);
                    assert!(
                        lengths
                            .iter()
                            .all(|len| (1..=longest).contains(&usize::from(*len)))
                    );
                    assert_eq!(space(&lengths, longest), 1 << longest, "{n} symbols");
                    assert!(lengths.is_sorted_by(|rare, common| rare >= common));
                }
            }
        }
        assert_eq!(lengths(&[1; 256], LONGEST), [8; 256]);
    }

    #[test]
    fn lengths_are_those_of_huffman() {
        assert_eq!(
            lengths(&[5, 0, 9, 12, 13, 16, 45], LONGEST),
            [4, 0, 4, 3, 3, 3, 1]
        );
        assert_eq!(lengths(&[0, 7, 0], LONGEST), [0, 1, 0]);
        assert_eq!(lengths(&[0, 0], LONGEST), [0, 0]);
    }

    #[test]
    fn runs_of_lengths_add_up() {
        let samples: [Vec<u8>; 5] = [
            vec![8; 20],
            vec![0; 300],
            [vec![3; 2], vec![0; 2], vec![3; 7], vec![0; 11], vec![5]].concat(),
            vec![1, 1],
            (0..16).cycle().take(280).collect(),
        ];
        for lengths in samples {
            let (mut read, mut previous) = (Vec::new(), 8);
            for (symbol, extra) in runs(&lengths) {
                assert!(u32::from(extra) < 1 << extra_bits(symbol));
                match symbol {
                    16 => read.extend(vec![previous; usize::from(extra) + 3]),
                    17 => read.extend(vec![0; usize::from(extra) + 3]),
                    18 => read.extend(vec![0; usize::from(extra) + 11]),
                    len => {
                        read.push(len);
                        previous = if len > 0 { len } else { previous };
                    }
                }
            }
            assert_eq!(read, lengths);
        }
    }
}
