use crate::{Budget, ImageError};

/// Bytes that are read before they are paid for.
const PIECE: usize = 64 << 10;

/// Expands run lengths into `output`; `false` if there were too few, and the rest is zero.
pub(super) fn decode(
    mut bytes: &[u8],
    output: &mut [u8],
    budget: &Budget<'_>,
) -> Result<bool, ImageError> {
    budget.charge(output.len() as u64)?;
    let mut rest = output;
    // Runs of nothing cost as much as others.
    let mut paid = bytes.len();
    while !rest.is_empty() {
        if paid - bytes.len() >= PIECE {
            budget.charge((paid - bytes.len()) as u64)?;
            paid = bytes.len();
        }
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
    budget.charge((paid - bytes.len()) as u64)?;
    Ok(complete)
}

fn take<'a>(rest: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    rest.split_off_mut(..len).unwrap_or_default()
}
