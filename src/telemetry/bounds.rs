//! Where the buckets of a histogram end.

/// The upper bounds of `N` buckets, rising; what is above the last has a bucket of
/// its own. Values are whole numbers, so that counting them needs no arithmetic.
#[derive(Debug)]
pub(super) struct Bounds<const N: usize> {
    /// In the unit of the values.
    at: [f64; N],
    /// The unit of the values in what is told: 1e9 for nanoseconds told in seconds.
    per: f64,
    /// The largest value within each bound.
    most: [u64; N],
    /// By the number of bits of a value: the first bound that it may be within.
    first: [u8; 65],
}

impl<const N: usize> Bounds<N> {
    const fn of(at: [f64; N], per: f64) -> Self {
        assert!(N < 256, "a place fits one byte");
        let (mut most, mut first) = ([0; N], [0; 65]);
        let mut i = 0;
        while i < N {
            assert!(i == 0 || at[i] > at[i - 1], "bounds rise");
            most[i] = at[i] as u64;
            i += 1;
        }
        let mut bits = 1;
        while bits < 65 {
            let least = 1u64 << (bits - 1);
            let mut place = first[bits - 1];
            while (place as usize) < N && most[place as usize] < least {
                place += 1;
            }
            first[bits] = place;
            bits += 1;
        }
        Self { at, per, most, first }
    }

    /// `scale`, and each next one `growth` times as much.
    /// Source: TensorFlow, `monitoring::Buckets::Exponential`.
    const fn exponential(scale: f64, growth: f64) -> Self {
        let (mut at, mut bound, mut i) = ([0.0; N], scale, 0);
        while i < N {
            at[i] = bound;
            bound *= growth;
            i += 1;
        }
        Self::of(at, 1.0)
    }

    /// The first bucket that this value is within; `N` when it is above all.
    pub(super) fn place(&self, value: u64) -> usize {
        let mut place = usize::from(self.first[(u64::BITS - value.leading_zeros()) as usize]);
        while place < N && value > self.most[place] {
            place += 1;
        }
        place
    }

    /// The bounds, as they are told.
    pub(super) fn told(&self) -> impl Iterator<Item = f64> {
        self.at.iter().map(|bound| bound / self.per)
    }

    /// What stands for one of a value's unit, as it is told.
    pub(super) fn per(&self) -> f64 {
        self.per
    }
}

/// Microseconds, as the reference counts the time of requests.
pub(super) static MICROS: Bounds<33> = Bounds::exponential(10.0, 1.8);
/// Microseconds, as the reference counts the wait for a batch.
pub(super) static QUEUING_MICROS: Bounds<52> = Bounds::exponential(100.0, 1.2);
/// Rows of a batch, as the reference counts them.
pub(super) static BATCH_ROWS: Bounds<14> = Bounds::exponential(1.0, 2.0);
/// Examples of a request, as the reference counts them.
pub(super) static EXAMPLES: Bounds<15> = Bounds::exponential(1.0, 2.0);
/// Nanoseconds, told in seconds: 10 µs to 10 s.
pub(super) static SECONDS: Bounds<19> = Bounds::of(
    [
        1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 2.5e8, 5e8, 1e9, 2.5e9, 5e9,
        1e10,
    ],
    1e9,
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_search<const N: usize>(bounds: &Bounds<N>, value: u64) -> usize {
        bounds.at.iter().position(|&bound| value as f64 <= bound).unwrap_or(N)
    }

    proptest! {
        #[test]
        fn the_place_is_the_first_bound_that_is_not_less(shift in 0u32..64, noise: u64) {
            // Beyond 2^53 a double is no whole number any more, and no bound is there.
            let value = (noise >> shift).min(1 << 50);
            prop_assert_eq!(MICROS.place(value), by_search(&MICROS, value));
            prop_assert_eq!(QUEUING_MICROS.place(value), by_search(&QUEUING_MICROS, value));
            prop_assert_eq!(BATCH_ROWS.place(value), by_search(&BATCH_ROWS, value));
            prop_assert_eq!(SECONDS.place(value), by_search(&SECONDS, value));
        }
    }

    #[test]
    fn a_value_on_a_bound_is_within_it() {
        assert_eq!(
            (EXAMPLES.place(0), EXAMPLES.place(1), EXAMPLES.place(2), EXAMPLES.place(3)),
            (0, 0, 1, 2)
        );
        assert_eq!((MICROS.place(10), MICROS.place(11), MICROS.place(u64::MAX)), (0, 1, 33));
        assert_eq!((SECONDS.place(10_000_000_000), SECONDS.place(10_000_000_001)), (18, 19));
    }

    #[test]
    fn bounds_are_the_references() {
        let told: Vec<f64> = MICROS.told().collect();
        assert_eq!(told[..4], [10.0, 18.0, 32.4, 58.32]);
        assert_eq!(told[32].round(), 1_474_755_971.0);
        assert_eq!(EXAMPLES.told().last(), Some(16384.0));
        assert_eq!(BATCH_ROWS.told().last(), Some(8192.0));
        assert_eq!(SECONDS.told().next(), Some(1e-5));
    }
}
