//! Where blocks of a tar end: where its content says so, so that what follows a change is cut as it was before.
//!
//! Content-defined chunking, on the 512-byte blocks that a tar consists of instead of every byte: files begin at those,
//! and what moves, moves by whole ones.

use libdeflater::Crc;

/// The unit of a tar (POSIX.1-2017, `pax`, "ustar Interchange Format").
const UNIT: usize = 512;

/// How large blocks are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutter {
    /// No block but the last is smaller.
    min: usize,
    /// Beyond that, one unit among so many ends a block.
    one_among: u32,
    /// No block is larger.
    max: usize,
}

impl Cutter {
    /// For gzip, whose window is 32 KiB: small blocks cost next to nothing.
    pub(super) const SMALL: Self = Self { min: 512 << 10, one_among: 1024, max: 2 << 20 };
    /// For zstd, which sees further back.
    pub(super) const LARGE: Self = Self { min: 2 << 20, one_among: 4096, max: 8 << 20 };

    /// How many bytes to reserve for a block.
    pub(super) fn capacity(&self) -> usize {
        self.max
    }

    /// Moves bytes from the beginning of `bytes` to the end of `block`; how many, and whether the block ends there. Where
    /// `bytes` end does not matter.
    pub(super) fn fill(&self, block: &mut Vec<u8>, bytes: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        while taken < bytes.len() {
            let next = if block.len() < self.min { self.min } else { (block.len() / UNIT + 1) * UNIT };
            let length = (next - block.len()).min(bytes.len() - taken);
            block.extend_from_slice(&bytes[taken..taken + length]);
            taken += length;
            if block.len() == next && self.ends(block) {
                return (taken, true);
            }
        }
        (taken, false)
    }

    fn ends(&self, block: &[u8]) -> bool {
        let mut crc = Crc::new();
        crc.update(&block[block.len() - UNIT..]);
        block.len() >= self.max || crc.sum() % self.one_among == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn cut(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let mut blocks = vec![Vec::new()];
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let (taken, ends) = Cutter::SMALL.fill(blocks.last_mut().unwrap(), piece);
                piece = &piece[taken..];
                if ends {
                    blocks.push(Vec::new());
                }
            }
        }
        blocks
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).to_le_bytes()
        };
        (0..length / 8).flat_map(|_| next()).collect()
    }

    #[test]
    fn where_writes_end_does_not_matter() {
        let bytes = noise(8 << 20);
        let blocks = cut(&bytes, usize::MAX);
        assert!(blocks.len() > 4 && blocks.concat() == bytes);
        assert!(blocks.iter().all(|block| block.len() <= 2 << 20));
        assert!(cut(&bytes, 1000) == blocks && cut(&bytes, 70_001) == blocks);
    }

    #[test]
    fn a_change_changes_the_blocks_around_it_alone() {
        let before = noise(24 << 20);
        let mut after = before.clone();
        after.splice(9 << 20..(9 << 20) + 512, noise(2048));
        let before: HashSet<_> = cut(&before, usize::MAX).into_iter().collect();
        let after: HashSet<_> = cut(&after, usize::MAX).into_iter().collect();
        let changed = after.difference(&before).count();
        assert!((1..=3).contains(&changed), "{changed} of {}", after.len());
    }

    #[test]
    fn nothing_but_zeros_is_cut_at_the_largest_size() {
        let blocks = cut(&vec![0; 5 << 20], usize::MAX);
        assert_eq!(blocks.iter().map(Vec::len).collect::<Vec<_>>(), [2 << 20, 2 << 20, 1 << 20]);
    }
}
