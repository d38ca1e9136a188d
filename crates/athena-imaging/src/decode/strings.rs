//! Copying of strings within the output of a dictionary coder.

/// Copies forward, so that a string may run into its own copy.
#[inline]
pub(super) fn copy_forward(output: &mut [u8], from: usize, to: usize, len: usize) {
    const WORD: usize = 8;
    if len <= WORD && from + WORD <= to && to + WORD <= output.len() {
        let mut word = [0; WORD];
        word.copy_from_slice(&output[from..from + WORD]);
        output[to..to + WORD].copy_from_slice(&word);
    } else if from + len <= to {
        output.copy_within(from..from + len, to);
    } else {
        // What was copied is copied with it the next time.
        let (mut to, mut left) = (to, len);
        while left > 0 {
            let some = left.min(to - from);
            output.copy_within(from..from + some, to);
            to += some;
            left -= some;
        }
    }
}
