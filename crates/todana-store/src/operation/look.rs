//! Gets that change something: touch, and recaching without a stampede.
//!
//! A record is *stale* when it was invalidated, and *won* when somebody was told to compute its value
//! anew. The first to ask for a stale record, for one that is nearly at its end, or for one that is not
//! there, wins; everybody else is told that somebody has, until the value is written.

use super::version_from;
use todana_engine::{Edit, Mutation, Put, Touch, View};
use todana_record::{Expiry, Timestamp};

/// What a client is told about recaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// You have won.
    pub won: bool,
    /// The value is stale.
    pub stale: bool,
    /// Somebody else has won.
    pub sent: bool,
}

/// How a get takes part in recaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recache {
    /// Make an empty record that ends then, when there is none.
    pub vivify: Option<Expiry>,
    /// Win when the record has less than this many seconds left.
    pub below_s: Option<u64>,
    /// Whether that is judged by the expiry that the same get has just given.
    pub after_touch: bool,
    /// Whether the expiry of a record that is made stands against one that the same get gives.
    pub vivify_last: bool,
    /// Version of a record that is made.
    pub version: Option<u64>,
}

/// A get that may change what it looks at. `see` is called once with what is there (an empty record if
/// one is made), before the change is applied: whoever answers must take it back if the update fails.
pub struct Look<'f> {
    /// Let the record end then.
    pub expiry: Option<Expiry>,
    /// Take part in recaching.
    pub recache: Option<Recache>,
    /// Leave no trace in accesses.
    pub peek: bool,
    /// The time.
    pub now: Timestamp,
    /// Called with what is there and the marks; without a record, `won` tells that one is made.
    pub see: &'f mut dyn FnMut(Option<&View<'_>>, Marks),
}

impl Look<'_> {
    /// Whether a record can be shown as it is, without an update: the fast path of gets.
    #[inline]
    pub fn is_plain(
        view: &View<'_>,
        expiry: Option<Expiry>,
        recache: Option<&Recache>,
        now: Timestamp,
    ) -> bool {
        let Some(recache) = recache else { return expiry.is_none() };
        expiry.is_none() && !wins(view, recache, view.meta.expiry, now)
    }

    /// What a client is told about a record that is shown as it is.
    #[inline]
    pub fn plain_marks(view: &View<'_>) -> Marks {
        Marks { won: false, stale: view.meta.stale, sent: view.meta.won }
    }
}

fn wins(view: &View<'_>, recache: &Recache, expiry: Expiry, now: Timestamp) -> bool {
    if view.meta.won {
        return false;
    }
    let near_end = recache
        .below_s
        .is_some_and(|seconds| super::ttl_s(expiry, now).is_some_and(|left| left < seconds));
    view.meta.stale || near_end
}

impl Mutation for Look<'_> {
    fn needs_value(&self) -> bool {
        true
    }

    fn evaluate<'s>(&'s mut self, current: Option<&'s View<'s>>) -> Edit<'s> {
        let Some(view) = current else {
            let recache = self.recache.unwrap_or_default();
            let Some(expiry) = recache.vivify else {
                (self.see)(None, Marks::default());
                return Edit::Keep;
            };
            let expiry = self.expiry.filter(|_| !recache.vivify_last).unwrap_or(expiry);
            (self.see)(None, Marks { won: true, ..Marks::default() });
            return Edit::Put(Put {
                expiry,
                version: version_from(recache.version),
                won: true,
                ..Put::bytes(b"")
            });
        };
        let expiry_after = self.expiry.unwrap_or(view.meta.expiry);
        let won = self.recache.is_some_and(|recache| {
            let judged = if recache.after_touch { expiry_after } else { view.meta.expiry };
            wins(view, &recache, judged, self.now)
        });
        let marks = match self.recache {
            Some(_) => Marks { won, ..Look::plain_marks(view) },
            None => Marks::default(),
        };
        (self.see)(Some(view), marks);
        Edit::Touch(Touch {
            expiry: self.expiry,
            won: won.then_some(true),
            fetch: !self.peek,
            ..Touch::default()
        })
    }
}
