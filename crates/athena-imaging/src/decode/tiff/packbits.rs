/// Expands run lengths into `output`; `false` if there were too few, and the rest is zero.
pub(super) fn decode(mut bytes: &[u8], output: &mut [u8]) -> bool {
    let mut rest = output;
    while !rest.is_empty() {
        let Some((&count, after)) = bytes.split_first() else {
            break;
        };
        bytes = after;
        match count as i8 {
            -128 => {}
            repeat @ ..0 => {
                let Some((&value, after)) = bytes.split_first() else {
                    break;
                };
                bytes = after;
                let count = (1 - isize::from(repeat)) as usize;
                let len = count.min(rest.len());
                take(&mut rest, len).fill(value);
            }
            literal => {
                let count = (literal as usize + 1).min(rest.len());
                let Some((run, after)) = bytes.split_at_checked(count) else {
                    break;
                };
                bytes = after;
                take(&mut rest, count).copy_from_slice(run);
            }
        }
    }
    let complete = rest.is_empty();
    rest.fill(0);
    complete
}

fn take<'a>(rest: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    rest.split_off_mut(..len).unwrap_or_default()
}
