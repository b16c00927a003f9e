//! Effects that were made elsewhere.

use crate::hash::Hash;
use todana_engine::applying::{ApplyOne, ApplyUnit, keys_of};
use todana_engine::{Effect, Engine, Error};
use todana_record::Timestamp;

pub(crate) fn apply(hash: &Hash, effect: &Effect<'_>, now: Timestamp) -> Result<(), Error> {
    match effect {
        Effect::Flush { .. } => hash.flush(None, now).map(|_| ()),
        Effect::FlushDue { at } if at.is_never() => hash.flush_not_due(now),
        Effect::FlushDue { at } => hash.flush(Some(Timestamp::from_ms(at.ms())), now).map(|_| ()),
        Effect::Unit(effects) => {
            let keys = keys_of(effect);
            let mut unit = ApplyUnit::new(effects);
            hash.update_many(&keys, now, &mut unit)?;
            unit.result()
        }
        Effect::Put { key, .. }
        | Effect::Append { key, .. }
        | Effect::Touch { key, .. }
        | Effect::Remove { key }
        | Effect::Evict { key } => {
            let mut one = ApplyOne::new(effect);
            hash.update(key, now, &mut one)?;
            one.result()
        }
    }
}
