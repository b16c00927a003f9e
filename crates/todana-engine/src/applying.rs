//! Effects as mutations: how an engine applies what was made elsewhere.

use crate::{
    Cursor, Edit, Effect, Engine, Error, Mutation, NewVersion, Payload, Put, Range, Touch,
    UnitMutation, View,
};
use todana_record::Timestamp;

/// Keys of an effect, those of units within units included.
fn keys_of<'e>(effect: &'e Effect<'e>) -> Vec<&'e [u8]> {
    match effect {
        Effect::Put { key, .. }
        | Effect::Append { key, .. }
        | Effect::Touch { key, .. }
        | Effect::Remove { key }
        | Effect::Evict { key } => vec![key],
        Effect::Flush { .. } | Effect::FlushDue { .. } | Effect::RemoveRange { .. } => Vec::new(),
        Effect::Unit(effects) => effects.iter().flat_map(keys_of).collect(),
    }
}

/// The edit that makes the record what the effect says; `None` when the effect builds on another
/// record than the present one.
fn edit_of<'e>(effect: &'e Effect<'e>, current: Option<&View<'_>>) -> Option<Edit<'e>> {
    let edit = match effect {
        Effect::Put { meta, value, .. } => Edit::Put(Put {
            value: Payload::Bytes(value),
            flags: meta.flags,
            expiry: meta.expiry,
            kind: meta.kind,
            version: NewVersion::Given(meta.version),
            stale: meta.stale,
            won: meta.won,
        }),
        Effect::Append { previous_version, previous_len, meta, bytes, .. } => {
            let current = current?;
            let done = previous_len + bytes.len() as u64;
            if current.meta.version == meta.version && current.value.len() == done {
                return Some(Edit::Keep);
            }
            let same = current.meta.version == *previous_version;
            if !same || current.value.len() != *previous_len {
                return None;
            }
            let version = NewVersion::Given(meta.version);
            Edit::Append { bytes, expiry: Some(meta.expiry), version }
        }
        Effect::Touch { previous_version, meta, .. } => {
            let current = current?;
            let version = current.meta.version;
            if version != *previous_version && version != meta.version {
                return None;
            }
            Edit::Touch(Touch {
                expiry: Some(meta.expiry),
                stale: Some(meta.stale),
                won: Some(meta.won),
                version: (version != meta.version).then_some(NewVersion::Given(meta.version)),
                fetch: false,
            })
        }
        Effect::Remove { .. } | Effect::Evict { .. } => Edit::Remove,
        Effect::Flush { .. }
        | Effect::FlushDue { .. }
        | Effect::RemoveRange { .. }
        | Effect::Unit(_) => Edit::Keep,
    };
    Some(edit)
}

/// Applies an effect on records through an engine's own updates; flushes, which are an engine's own
/// business, do nothing here.
///
/// # Errors
/// [`Error::NeedsRecord`], and as [`Engine::update`].
pub fn apply(engine: &dyn Engine, effect: &Effect<'_>, now: Timestamp) -> Result<(), Error> {
    match effect {
        Effect::Flush { .. } | Effect::FlushDue { .. } => Ok(()),
        Effect::RemoveRange { range } => remove_range(engine, range, now),
        Effect::Unit(effects) => {
            let keys = keys_of(effect);
            let mut unit = ApplyUnit::new(effects);
            engine.update_many(&keys, now, &mut unit)?;
            unit.result()
        }
        Effect::Put { key, .. }
        | Effect::Append { key, .. }
        | Effect::Touch { key, .. }
        | Effect::Remove { key }
        | Effect::Evict { key } => {
            let mut one = ApplyOne { effect, refused: false };
            engine.update(key, now, &mut one)?;
            one.result()
        }
    }
}

/// Removes a range; where keys are in no order, by looking through all of them.
fn remove_range(engine: &dyn Engine, range: &Range<'_>, now: Timestamp) -> Result<(), Error> {
    if let Some(ordered) = engine.ordered() {
        return ordered.remove_range(range, now).map(drop);
    }
    let (mut keys, mut cursor) = (Vec::new(), Some(Cursor::START));
    while let Some(from) = cursor {
        cursor = engine.scan(&from, 1_000, now, &mut |view| {
            if range.contains(view.key) {
                keys.push(view.key.to_vec());
            }
        })?;
    }
    keys.iter().try_for_each(|key| apply(engine, &Effect::Remove { key }, now))
}

/// Applies an effect on one key.
#[derive(Debug)]
struct ApplyOne<'e> {
    effect: &'e Effect<'e>,
    refused: bool,
}

impl ApplyOne<'_> {
    /// Whether it was applied.
    ///
    /// # Errors
    /// [`Error::NeedsRecord`].
    fn result(&self) -> Result<(), Error> {
        if self.refused { Err(Error::NeedsRecord) } else { Ok(()) }
    }
}

impl Mutation for ApplyOne<'_> {
    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        edit_of(self.effect, current).unwrap_or_else(|| {
            self.refused = true;
            Edit::Keep
        })
    }
}

/// Applies a unit: all of its effects, or none when one builds on another record.
#[derive(Debug)]
struct ApplyUnit<'e> {
    effects: Vec<&'e Effect<'e>>,
    refused: bool,
}

impl<'e> ApplyUnit<'e> {
    /// Applies this effect.
    /// Applies these effects together.
    fn new(effects: &'e [Effect<'e>]) -> ApplyUnit<'e> {
        let mut flat = Vec::new();
        flatten(effects, &mut flat);
        ApplyUnit { effects: flat, refused: false }
    }

    /// Whether it was applied.
    ///
    /// # Errors
    /// [`Error::NeedsRecord`].
    fn result(&self) -> Result<(), Error> {
        if self.refused { Err(Error::NeedsRecord) } else { Ok(()) }
    }
}

fn flatten<'e>(effects: &'e [Effect<'e>], out: &mut Vec<&'e Effect<'e>>) {
    for effect in effects {
        match effect {
            Effect::Unit(inner) => flatten(inner, out),
            Effect::Flush { .. } | Effect::FlushDue { .. } | Effect::RemoveRange { .. } => {}
            _ => out.push(effect),
        }
    }
}

impl UnitMutation for ApplyUnit<'_> {
    fn evaluate<'s>(&'s mut self, current: &'s [Option<View<'s>>]) -> Vec<Edit<'s>> {
        let edits: Option<Vec<Edit<'s>>> = self
            .effects
            .iter()
            .zip(current)
            .map(|(effect, current)| edit_of(effect, current.as_ref()))
            .collect();
        self.refused = edits.is_none();
        edits.unwrap_or_default()
    }
}
