//! Every operation: the bytes that it sends and what it makes of the reply.

use std::ops::ControlFlow;
use std::time::Duration;

use todana_client::{Error, Expiry, Outcome, RawEnd, Stored, Value};

use crate::fake::{Fake, Step, drip, talk};

const TEN: Expiry = Expiry::In(Duration::from_secs(10));

fn value(data: &str, flags: u32, cas: Option<u64>) -> Value {
    Value { data: data.into(), flags, cas }
}

#[test]
fn reads() {
    let fake = Fake::start(vec![vec![
        drip("get a\r\n", "VALUE a 7 4\r\n1\r\n2\r\nEND\r\n"),
        talk("get a\r\n", "END\r\n"),
        talk("gets a\r\n", "VALUE a 0 1 99\r\nx\r\nEND\r\n"),
        drip("mg YSBi v f b\r\n", "VA 1 f5\r\nx\r\n"),
        talk("gat 10 a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n"),
        talk("touch a 10\r\n", "TOUCHED\r\n"),
        talk("version\r\n", "VERSION 1.6.18\r\n"),
        talk("stats\r\n", "STAT pid 1\r\nSTAT ssl_ciphers a b\r\nSTAT empty\r\nEND\r\n"),
        talk("stats reset\r\n", "RESET\r\n"),
    ]]);
    let client = fake.client();
    assert_eq!(client.get("a").unwrap(), Some(value("1\r\n2", 7, None)));
    assert_eq!(client.get("a").unwrap(), None);
    assert_eq!(client.gets("a").unwrap(), Some(value("x", 0, Some(99))));
    assert_eq!(client.get("a b").unwrap(), Some(value("x", 5, None)));
    assert_eq!(client.get_and_touch("a", TEN).unwrap(), Some(value("x", 0, None)));
    assert!(client.touch("a", TEN).unwrap());
    assert_eq!(client.version().unwrap(), "1.6.18");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let want = [pair("pid", "1"), pair("ssl_ciphers", "a b"), pair("empty", "")];
    assert_eq!(client.stats("").unwrap(), want);
    assert_eq!(client.stats("reset").unwrap(), []);
    fake.finish();
}

#[test]
fn writes() {
    let fake = Fake::start(vec![vec![
        talk("set a 7 10 2\r\nxy\r\n", "STORED\r\n"),
        talk("add a 0 0 0\r\n\r\n", "NOT_STORED\r\n"),
        talk("replace a 0 0 1\r\nx\r\n", "STORED\r\n"),
        talk("append a 0 0 1\r\nx\r\n", "NOT_STORED\r\n"),
        talk("prepend a 0 0 1\r\nx\r\n", "STORED\r\n"),
        talk("cas a 0 0 1 99\r\nx\r\n", "EXISTS\r\n"),
        talk("cas a 0 0 1 99\r\nx\r\n", "NOT_FOUND\r\n"),
        talk("incr a 5\r\n", "12\r\n"),
        talk("decr a 5\r\n", "NOT_FOUND\r\n"),
        talk("ma a v D5 J1 N10\r\n", "VA 1\r\n1\r\n"),
        talk("delete a\r\n", "DELETED\r\n"),
        talk("flush_all\r\n", "OK\r\n"),
        talk("flush_all 2\r\n", "OK\r\n"),
        talk("ms AA== 1 F0 T0 b\r\nx\r\n", "HD\r\n"),
    ]]);
    let client = fake.client();
    client.set("a", "xy", 7, TEN).unwrap();
    assert!(!client.add("a", "", 0, Expiry::Never).unwrap());
    assert!(client.replace("a", "x", 0, Expiry::Never).unwrap());
    assert!(!client.append("a", "x").unwrap());
    assert!(client.prepend("a", "x").unwrap());
    assert_eq!(client.cas("a", "x", 0, Expiry::Never, 99).unwrap(), Stored::Changed);
    assert_eq!(client.cas("a", "x", 0, Expiry::Never, 99).unwrap(), Stored::Missing);
    assert_eq!(client.incr("a", 5).unwrap(), Some(12));
    assert_eq!(client.decr("a", 5).unwrap(), None);
    assert_eq!(client.incr_or("a", 5, 1, TEN).unwrap(), 1);
    assert!(client.delete("a").unwrap());
    client.flush_all(Duration::ZERO).unwrap();
    client.flush_all(Duration::from_millis(1_500)).unwrap();
    client.set([0], "x", 0, Expiry::Never).unwrap();
    fake.finish();
}

#[test]
fn many_keys_in_their_order() {
    let fake = Fake::start(vec![vec![
        drip(
            "get a b a\r\nmg YyBk v f b\r\nget e f\r\n",
            "VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n2\r\nEND\r\nVA 1 f0\r\n3\r\n\
             VALUE f 0 1\r\n5\r\nVALUE e 0 1\r\n4\r\nEND\r\n",
        ),
        talk("gets a\r\n", "VALUE a 0 1 7\r\n1\r\nEND\r\n"),
    ]]);
    let client = fake.client();
    let values = client.get_many(&["a", "b", "a", "c d", "e", "f"]).unwrap();
    let data: Vec<Option<&[u8]>> = values.iter().map(|v| v.as_ref().map(|v| &*v.data)).collect();
    let want = [Some("1"), None, Some("2"), Some("3"), Some("4"), Some("5")];
    assert_eq!(data, want.map(|text| text.map(str::as_bytes)));
    assert_eq!(client.gets_many(&["a"]).unwrap(), [Some(value("1", 0, Some(7)))]);
    assert_eq!(client.get_many::<&str>(&[]).unwrap(), []);
    fake.finish();
}

#[test]
fn a_pipeline_answers_in_order() {
    let fake = Fake::start(vec![vec![drip(
        "set a 0 0 1\r\nx\r\nget a\r\nincr a 1\r\ntouch a 0\r\nmd YyBk b\r\n",
        "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n\
         CLIENT_ERROR cannot increment or decrement non-numeric value\r\nTOUCHED\r\nNF\r\n",
    )]]);
    let client = fake.client();
    let mut pipeline = client.pipeline();
    pipeline.set("a", "x", 0, Expiry::Never).get("a").get("").incr("a", 1);
    pipeline.touch("a", Expiry::Never).delete("c d");
    assert_eq!(pipeline.len(), 6);
    let results = pipeline.run().unwrap();
    assert!(matches!(results[0], Ok(Outcome::Stored(Stored::Yes))));
    assert!(matches!(&results[1], Ok(Outcome::Value(Some(value))) if value.data == b"x"));
    assert!(matches!(results[2], Err(Error::Key { len: 0, .. })));
    assert!(matches!(results[3], Err(Error::NotNumeric)));
    assert!(matches!(results[4], Ok(Outcome::Touched(true))));
    assert!(matches!(results[5], Ok(Outcome::Deleted(false))));
    assert!(client.pipeline().run().unwrap().is_empty());
    fake.finish();
}

#[test]
fn raw_replies_come_as_they_are() {
    let fake = Fake::start(vec![
        vec![
            talk("me a\r\n", "ME a exp=-1\r\n"),
            talk("mg a v\r\nmn\r\n", "VA 1\r\nx\r\nMN\r\n"),
            talk("what\r\n", "ERROR\r\n"),
        ],
        vec![talk("version\r\n", "VERSION 1\r\n")],
    ]);
    let client = fake.client();
    assert_eq!(client.raw(b"me a\r\n", RawEnd::One).unwrap(), b"ME a exp=-1\r\n");
    let reply = client.raw(b"mg a v\r\nmn\r\n", RawEnd::Word("MN")).unwrap();
    assert_eq!(reply, b"VA 1\r\nx\r\nMN\r\n");
    assert_eq!(client.raw(b"what\r\n", RawEnd::Word("END")).unwrap(), b"ERROR\r\n");
    // An error line leaves the connection in doubt.
    assert_eq!(client.version().unwrap(), "1");
    fake.finish();
}

#[test]
fn watching_streams_lines_until_either_side_ends_it() {
    // The first connection of every script is the client's idle one.
    let lines = talk("watch fetchers mutations\r\n", "OK\r\nts=1 VALUE\nVALUE x\n");
    let fake = Fake::start(vec![vec![], vec![lines, Step::Wait]]);
    let mut seen = Vec::new();
    let watched = fake.client().watch(&["fetchers", "mutations"], |line| {
        seen.push(String::from_utf8_lossy(line).into_owned());
        if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    watched.unwrap();
    assert_eq!(seen, ["ts=1 VALUE", "VALUE x"]);
    fake.finish();

    let fake = Fake::start(vec![vec![], vec![talk("watch\r\n", "OK\r\nonly\n")]]);
    let mut count = 0;
    let watched = fake.client().watch(&[], |_| {
        count += 1;
        ControlFlow::Continue(())
    });
    watched.unwrap();
    assert_eq!(count, 1);
    fake.finish();

    let fake = Fake::start(vec![vec![], vec![talk("watch x\r\n", "ERROR\r\n")]]);
    let refused = fake.client().watch(&["x"], |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(Error::UnknownCommand)));
    fake.finish();
}
