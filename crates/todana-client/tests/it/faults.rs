//! Servers that break off, say nonsense, or say nothing.

use std::time::Duration;

use todana_client::{Client, Credentials, Error, Expiry, Options};

use crate::fake::{Fake, Step, talk};

/// What a get makes of these bytes, after which the next operation has a connection of its own.
fn after(say: &str) -> Error {
    let fake =
        Fake::start(vec![vec![talk("get a\r\n", say)], vec![talk("version\r\n", "VERSION 1\r\n")]]);
    let client = fake.client_with(Options { value_len_max: 1_000, ..Options::default() });
    let error = client.get("a").unwrap_err();
    assert_eq!(client.version().unwrap(), "1");
    fake.finish();
    error
}

#[test]
fn replies_that_are_none() {
    assert!(matches!(after("HTTP/1.1 400 Bad Request\r\n"), Error::UnexpectedReply { .. }));
    assert!(matches!(after("VALUE a 0 x\r\n"), Error::UnexpectedReply { .. }));
    assert!(matches!(after("VALUE a 0 1\r\nxy\r\nEND\r\n"), Error::UnexpectedReply { .. }));
    assert!(matches!(after("CLIENT_ERROR bad command line format\r\n"), Error::Client { .. }));
    assert!(matches!(after("VALUE a 0 1\r\n"), Error::Closed { .. }));
    let huge = after("VALUE a 0 9999999999999\r\n");
    assert!(matches!(huge, Error::ValueTooLong { claimed: 9_999_999_999_999, max: 1_000 }));
    assert!(matches!(after(&"x".repeat(70_000)), Error::LineTooLong { .. }));
}

#[test]
fn bytes_after_a_reply_spoil_the_connection() {
    let fake = Fake::start(vec![
        vec![talk("get a\r\n", "END\r\nEND\r\n")],
        vec![talk("get b\r\n", "END\r\n")],
    ]);
    let client = fake.client();
    assert_eq!(client.get("a").unwrap(), None);
    assert_eq!(client.get("b").unwrap(), None);
    fake.finish();
}

#[test]
fn a_server_error_keeps_the_connection() {
    let fake = Fake::start(vec![vec![
        talk("set a 0 0 1\r\nx\r\n", "SERVER_ERROR out of memory storing object\r\n"),
        talk("get a\r\n", "END\r\n"),
    ]]);
    let client = fake.client();
    let error = client.set("a", "x", 0, Expiry::Never).unwrap_err();
    assert_eq!(error.to_string(), "the server failed: out of memory storing object");
    assert_eq!(client.get("a").unwrap(), None);
    fake.finish();
}

#[test]
fn silence_is_a_timeout() {
    let fake = Fake::start(vec![vec![talk("get a\r\n", "VALUE a 0 5\r\n"), Step::Wait]]);
    let read_timeout = Some(Duration::from_millis(30));
    let options = Options { read_timeout, ..Options::default() };
    let client = Client::connect_with(&fake.address, options).unwrap();
    let error = client.get("a").unwrap_err();
    assert!(matches!(error, Error::Timeout { doing: "waiting for a reply", .. }), "{error}");
    fake.finish();
}

#[test]
fn a_pipeline_says_which_operation_broke_it() {
    let fake = Fake::start(vec![vec![talk("get a\r\ndelete b\r\nget c\r\n", "END\r\n")]]);
    let client = fake.client();
    let mut pipeline = client.pipeline();
    pipeline.get("a").delete("b").get("c");
    let results = pipeline.run().unwrap();
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(Error::Closed { .. } | Error::Broken { .. })));
    assert!(matches!(results[2], Err(Error::Unanswered)));
    fake.finish();
}

#[test]
fn credentials_go_first_and_may_be_refused() {
    let credentials = Some(Credentials { user: "ann".to_owned(), password: "a secret".to_owned() });
    let login = "set auth 0 0 12\r\nann a secret\r\n";
    let fake = Fake::start(vec![
        vec![talk(login, "STORED\r\n"), talk("get a\r\n", "END\r\n")],
        vec![talk(login, "CLIENT_ERROR authentication failure\r\n")],
    ]);
    let options = Options { credentials, ..Options::default() };
    let client = fake.client_with(options.clone());
    assert_eq!(client.get("a").unwrap(), None);
    let error = Client::connect_with(&fake.address, options).unwrap_err();
    assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");
    fake.finish();
}

#[test]
fn nobody_listens() {
    let fake = Fake::start(vec![]);
    let address = fake.address.clone();
    fake.finish();
    let error = Client::connect(&address).unwrap_err().to_string();
    let want = format!("cannot connect to {address}: connection refused; is the server running?");
    assert_eq!(error, want);
    let error = Client::connect("/nonexistent/socket").unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to /nonexistent/socket: no such file"), "{error}");
    assert!(matches!(Client::connect("nowhere"), Err(Error::Address { .. })));
}

#[test]
fn nothing_is_sent_for_bad_arguments() {
    let fake = Fake::start(vec![vec![talk("get a\r\n", "END\r\n")]]);
    let client = fake.client();
    assert!(matches!(client.get("k".repeat(251)), Err(Error::Key { len: 251, max: 250 })));
    assert!(matches!(client.get_many(&["a", ""]), Err(Error::Key { len: 0, .. })));
    assert!(matches!(client.stats("a\r\nflush_all"), Err(Error::Argument { .. })));
    let month = Duration::from_secs(86_400 * 31);
    assert!(matches!(client.flush_all(month), Err(Error::Argument { .. })));
    assert_eq!(client.get("a").unwrap(), None);
    fake.finish();
}
