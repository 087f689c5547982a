//! How many streams are open in which lane, and which lane the next one enters.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Counts open streams by lane.
///
/// A stream enters the *first* lane with room, not the emptiest: so the lanes of a burst fall empty after it, and
/// their connections are closed when they have been idle for long enough.
#[derive(Debug)]
pub(crate) struct Lanes {
    open: Box<[AtomicUsize]>,
    room: usize,
}

impl Lanes {
    /// Up to `lanes` lanes, at least one, with room for `room` streams each.
    pub(crate) fn new(lanes: usize, room: usize) -> Self {
        Self { open: (0..lanes.max(1)).map(|_| AtomicUsize::new(0)).collect(), room }
    }

    /// Enters the first lane with room; when all are full, the one with the fewest streams.
    pub(crate) fn enter(lanes: &Arc<Self>) -> Slot {
        let with_room = lanes.open.iter().position(|open| {
            open.fetch_update(Relaxed, Relaxed, |streams| (streams < lanes.room).then(|| streams + 1)).is_ok()
        });
        let lane = with_room.unwrap_or_else(|| {
            let by_load = lanes.open.iter().enumerate().min_by_key(|(_, open)| open.load(Relaxed));
            let (lane, open) = by_load.expect("there is at least one lane");
            open.fetch_add(1, Relaxed);
            lane
        });
        Slot { lanes: Arc::clone(lanes), lane }
    }

    /// The number of open streams in all lanes.
    pub(crate) fn open(&self) -> usize {
        self.open.iter().map(|open| open.load(Relaxed)).sum()
    }
}

/// One open stream's place in its lane, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    lanes: Arc<Lanes>,
    lane: usize,
}

impl Slot {
    /// Which lane, from 0.
    pub(crate) fn lane(&self) -> usize {
        self.lane
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lanes.open[self.lane].fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(lanes: &Arc<Lanes>, times: usize) -> Vec<Slot> {
        (0..times).map(|_| Lanes::enter(lanes)).collect()
    }

    #[test]
    fn a_lane_is_filled_before_the_next_is_opened() {
        let lanes = Arc::new(Lanes::new(3, 2));
        let slots = enter(&lanes, 5);
        assert_eq!(slots.iter().map(Slot::lane).collect::<Vec<_>>(), [0, 0, 1, 1, 2]);
    }

    #[test]
    fn a_place_given_back_is_taken_next() {
        let lanes = Arc::new(Lanes::new(3, 2));
        let mut slots = enter(&lanes, 5);
        slots.remove(1);
        assert_eq!(Lanes::enter(&lanes).lane(), 0);
        slots.clear();
        assert_eq!(lanes.open(), 0);
    }

    #[test]
    fn when_all_are_full_streams_are_spread_evenly() {
        let lanes = Arc::new(Lanes::new(2, 1));
        let slots = enter(&lanes, 6);
        assert_eq!(slots.iter().filter(|slot| slot.lane() == 0).count(), 3);
        assert_eq!(lanes.open(), 6);
    }
}
