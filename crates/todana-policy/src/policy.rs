//! What a cache policy is.

/// Decides which objects a cache of so many bytes holds.
///
/// 1. It never holds more bytes than its capacity.
/// 2. An object that was just asked for is held, unless it is larger than the capacity: such a one is never
///    taken in, and nobody has to go for it.
/// 3. An object keeps the size that it was taken in with.
pub trait Policy {
    /// Asks for an object; `true` when it was held. If it was not, it is taken in.
    fn request(&mut self, key: u64, size: u32) -> bool;

    /// Lets go of an object, if it is held: it has expired.
    fn remove(&mut self, key: u64);

    /// Bytes of the objects that are held.
    fn bytes(&self) -> u64;
}

/// So many hundredths of a number, rounded down.
pub(crate) fn percent(percent: u64, of: u64) -> u64 {
    of / 100 * percent + of % 100 * percent / 100
}
