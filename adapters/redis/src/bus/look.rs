//! Where a member has to look for deliveries.

use crate::keys::Partition;

/// The partitions in which there may be something, one bit each. Of those each has its turn.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Looks {
    waiting: u16,
    turn: u8,
}

impl Looks {
    /// Whether there is any.
    pub(super) fn any(self) -> bool {
        self.waiting != 0
    }

    /// There may be something here.
    pub(super) fn add(&mut self, partition: Partition) {
        self.waiting |= 1_u16.checked_shl(partition.0.into()).unwrap_or(0);
    }

    /// The next one. Nobody else looks there until it is added again.
    pub(super) fn pick(&mut self) -> Option<Partition> {
        let ahead = self.waiting.rotate_right(self.turn.into()).trailing_zeros() as u8;
        let picked = (self.waiting != 0).then_some(self.turn.wrapping_add(ahead) % 16)?;
        self.waiting &= !(1 << picked);
        self.turn = (picked + 1) % 16;
        Some(Partition(picked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_turn() {
        let mut looks = Looks::default();
        assert_eq!((looks.pick(), looks.any()), (None, false));
        [0, 3, 15].map(Partition).into_iter().for_each(|partition| looks.add(partition));
        let mut picked = Vec::new();
        for _ in 0..7 {
            let partition = looks.pick().unwrap();
            picked.push(partition.0);
            looks.add(partition);
        }
        assert_eq!(picked, [0, 3, 15, 0, 3, 15, 0], "a busy one is not looked at twice before the others");
    }
}
