//! How quick the tree is in memory, alone, in million operations a second of CPU time.
//!
//! `cargo run --release -p todana-tree --example speed -- RECORDS VALUE_LEN`

use std::time::Duration;
use todana_engine::{Cursor, Edit, Engine, Found, Look, Mutation, Put, View};
use todana_io::Generator;
use todana_record::Timestamp;
use todana_tree::{Tree, TreeOptions};

struct Set<'a>(&'a [u8]);

impl Mutation for Set<'_> {
    fn is_blind(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, _: Option<&'s View<'s>>) -> Edit<'s> {
        Edit::Put(Put::bytes(self.0))
    }
}

fn key(number: usize) -> [u8; 8] {
    let mut key = [b'0'; 8];
    let mut rest = number;
    for digit in key.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    key
}

/// CPU time of this process.
fn cpu() -> Duration {
    let path = std::path::Path::new("/proc/self/schedstat");
    let text = todana_io::files::read_small(path).unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
    Duration::from_nanos(ns)
}

fn timed(what: &str, count: usize, work: impl FnOnce()) {
    let start = cpu();
    work();
    let ns = (cpu() - start).as_nanos();
    let count = count as u128;
    println!("{what:12} {:>7.2} M/s {:>6} ns", count as f64 * 1_000.0 / ns as f64, ns / count);
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let records = arguments.next().and_then(Result::ok).unwrap_or(1_000_000);
    let value_len = arguments.next().and_then(Result::ok).unwrap_or(8);
    let value = vec![7; value_len];
    let now = Timestamp::from_ms(1);
    let mut order: Vec<[u8; 8]> = (0..records).map(key).collect();
    let options = TreeOptions { versions: false, ..TreeOptions::default() };
    let fill = |tree: &Tree, order: &[[u8; 8]]| {
        for key in order {
            tree.update(key, now, &mut Set(&value)).expect("memory");
        }
    };
    let tree = Tree::new(options);
    timed("put-seq", records, || fill(&tree, &order));
    let bytes = tree.statistics(now).memory_bytes / records as u64;
    println!("{bytes} B a record");
    drop(tree);
    let mut random = Generator::new(7);
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap_or_default());
    }
    let tree = Tree::new(options);
    timed("put-random", records, || fill(&tree, &order));
    let bytes = tree.statistics(now).memory_bytes / records as u64;
    println!("{bytes} B a record");
    for at in (1..order.len()).rev() {
        order.swap(at, usize::try_from(random.below(at as u64 + 1)).unwrap_or_default());
    }
    let mut sum = 0_u64;
    let mut look = |found: Found<'_>| {
        if let Found::Record(view) = found {
            let bytes = view.value.as_bytes().unwrap_or_default();
            sum += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
        Look::Peeked
    };
    timed("get-random", records, || {
        order.iter().for_each(|key| tree.get(key, now, &mut look));
    });
    timed("get-bulk-32", records, || {
        for group in order.chunks(32) {
            let mut keys: [&[u8]; 32] = [&[]; 32];
            keys.iter_mut().zip(group).for_each(|(to, from)| *to = from);
            tree.get_many(&keys[..group.len()], now, &mut |_, found| look(found));
        }
    });
    timed("scan", records, || {
        let mut count = 0;
        let mut cursor = Some(Cursor::START);
        while let Some(from) = cursor {
            let next = tree.scan(&from, 10_000, now, &mut |view| {
                count += 1;
                let bytes = view.value.as_bytes().unwrap_or_default();
                let all = view.key.iter().chain(bytes);
                sum += all.map(|byte| u64::from(*byte)).sum::<u64>();
            });
            cursor = next.expect("memory");
        }
        assert_eq!(count, records);
    });
    timed("overwrite", records, || fill(&tree, &order));
    println!("{sum}");
}
