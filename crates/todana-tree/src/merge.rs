//! Making a leaf's block anew with the changes since: one block, or several where it has become too long.

use crate::block::{self, Block, Builder, common_len};
use crate::delta::{Change, Sorted};
use crate::leaf::LEAF_LEN;
use crate::walk::Part;
use std::ops::Range;

/// What stands in the new order.
#[derive(Debug, Clone)]
enum Item<'d> {
    /// Keys of the block, as they are.
    Old(Range<usize>),
    /// A new key, or a new record of one.
    New(&'d Change<'d>),
}

/// The blocks of a leaf's records; none when there are none. `at_end` says that nothing is behind
/// the leaf: what comes in order then leaves full blocks.
pub(crate) fn merge(
    block: &Block,
    changes: &Sorted<'_>,
    at_end: bool,
    builder: &mut Builder,
) -> Vec<Block> {
    let items = items(block, changes.iter());
    let len = items.iter().map(|item| item_len(item, block)).sum::<usize>();
    if len <= LEAF_LEN {
        return piece(&items, block, false, builder).into_iter().collect();
    }
    let in_order = at_end && changes.iter().all(|change| change.seat == Err(block.count()));
    let count = len.div_ceil(LEAF_LEN);
    let wanted = if in_order { LEAF_LEN } else { len.div_ceil(count) };
    let pieces = cut(items, block, wanted);
    pieces.iter().filter_map(|items| piece(items, block, true, builder)).collect()
}

/// What the block has and changes have made of it, in order.
fn items<'d>(block: &Block, changes: impl Iterator<Item = &'d Change<'d>>) -> Vec<Item<'d>> {
    let mut items = Vec::with_capacity(2 * changes.size_hint().1.unwrap_or_default() + 1);
    let mut next = 0;
    for change in changes {
        if change.place() > next {
            items.push(Item::Old(next..change.place()));
        }
        next = change.place() + usize::from(change.seat.is_ok());
        if change.record.is_some() {
            items.push(Item::New(change));
        }
    }
    if block.count() > next {
        items.push(Item::Old(next..block.count()));
    }
    items
}

/// The block of a leaf's records but for a part.
pub(crate) fn without(part: &Part<'_>, builder: &mut Builder) -> Block {
    let block = &part.leaf.block;
    let changes = part.changes.iter().flat_map(Sorted::iter).enumerate();
    let left = changes.filter(|(number, _)| !part.numbers.contains(number));
    let all = items(block, left.map(|(_, change)| change));
    let mut items = Vec::with_capacity(all.len() + 1);
    for item in all {
        match item {
            Item::Old(range) => {
                let before = range.start..range.end.min(part.places.start);
                let behind = range.start.max(part.places.end)..range.end;
                let pieces = [before, behind].into_iter().filter(|piece| !piece.is_empty());
                items.extend(pieces.map(Item::Old));
            }
            Item::New(change) => items.push(Item::New(change)),
        }
    }
    piece(&items, block, false, builder).unwrap_or_else(Block::empty)
}

/// Bytes that an item will take, about.
fn item_len(item: &Item<'_>, block: &Block) -> usize {
    match item {
        Item::Old(range) => block.len_of(range.clone()),
        Item::New(change) => {
            let rest_len = change.key.len().saturating_sub(block.prefix().len());
            let value_len = change.record.map_or(0, |record| record.value.len());
            block::len_of(rest_len, change.fields.len() + value_len)
        }
    }
}

/// Items in pieces of about `wanted` bytes.
fn cut<'d>(items: Vec<Item<'d>>, block: &Block, wanted: usize) -> Vec<Vec<Item<'d>>> {
    let mut pieces = vec![Vec::new()];
    let mut room = wanted;
    for mut item in items {
        loop {
            let len = item_len(&item, block);
            let Some(piece) = pieces.last_mut() else { break };
            if len <= room {
                room -= len;
                piece.push(item);
                break;
            }
            let is_empty = piece.is_empty();
            let (fits, rest) = match &item {
                Item::Old(range) => split(range, block, room, is_empty),
                // Alone it is too long for any piece.
                Item::New(_) if is_empty => (Some(item.clone()), None),
                Item::New(_) => (None, Some(item)),
            };
            piece.extend(fits);
            pieces.push(Vec::new());
            room = wanted;
            match rest {
                Some(rest) => item = rest,
                None => break,
            }
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// A range in what fits, at least one key if `at_least_one`, and the rest.
fn split<'d>(
    range: &Range<usize>,
    block: &Block,
    room: usize,
    at_least_one: bool,
) -> (Option<Item<'d>>, Option<Item<'d>>) {
    let (mut low, mut high) = (range.start + usize::from(at_least_one), range.end);
    while low < high {
        let middle = low.midpoint(high) + 1;
        match block.len_of(range.start..middle) <= room {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    let item = |range: Range<usize>| (!range.is_empty()).then_some(Item::Old(range));
    (item(range.start..low), item(low..range.end))
}

/// The first or last key of an item.
fn key(item: &Item<'_>, block: &Block, is_last: bool) -> Vec<u8> {
    match item {
        Item::Old(range) if is_last => block.key(range.end - 1),
        Item::Old(range) => block.key(range.start),
        Item::New(change) => change.key.to_vec(),
    }
}

/// A block of items. Its prefix is the old one if that still fits, unless it is made `anew`.
fn piece(items: &[Item<'_>], block: &Block, anew: bool, builder: &mut Builder) -> Option<Block> {
    let (first, last) = (key(items.first()?, block, false), key(items.last()?, block, true));
    let common = common_len(&first, &last);
    let old = block.prefix().len();
    let prefix_len = if !anew && common >= old && block.count() > 0 { old } else { common };
    for item in items {
        match item {
            Item::Old(range) => builder.push_from(block, range.clone(), prefix_len),
            Item::New(change) => {
                let value = change.record.map_or(&[][..], |record| record.value);
                let rest = change.key.get(prefix_len..).unwrap_or_default();
                builder.push(rest, change.fields, value);
            }
        }
    }
    Some(builder.finish(first.get(..prefix_len).unwrap_or_default()))
}

/// Two neighbours as one.
pub(crate) fn join(left: &Block, right: &Block, builder: &mut Builder) -> Block {
    if left.count() == 0 || right.count() == 0 {
        return if left.count() == 0 { right.clone() } else { left.clone() };
    }
    let first = left.key(0);
    let prefix_len = common_len(&first, &right.key(right.count() - 1));
    builder.push_from(left, 0..left.count(), prefix_len);
    builder.push_from(right, 0..right.count(), prefix_len);
    builder.finish(first.get(..prefix_len).unwrap_or_default())
}
