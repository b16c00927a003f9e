//! Rings over pairs of sockets.
#![expect(clippy::disallowed_methods, reason = "the tests' other ends, and their pauses")]

use crate::{Event, Ring, SocketId};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// A ring, or nothing where the system has none: then there is nothing to test.
fn ring() -> Option<Ring> {
    Ring::new().inspect_err(|error| eprintln!("no rings here: {error}")).ok()
}

fn enter(ring: &mut Ring) -> Vec<Event> {
    let mut events = Vec::new();
    ring.enter(SOON, &mut events).unwrap();
    events
}

fn pair(ring: &mut Ring, key: usize) -> (UnixStream, SocketId) {
    let (theirs, ours) = UnixStream::pair().unwrap();
    // As sockets come from a listener that does not block.
    ours.set_nonblocking(true).unwrap();
    (theirs, ring.add(OwnedFd::from(ours), key))
}

fn pattern(len: usize) -> Vec<u8> {
    (0..=250_u8).flat_map(|byte| [byte; 7]).cycle().take(len).collect()
}

/// Everything that comes until nothing does.
fn read_all(ring: &mut Ring, id: SocketId) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 50_000];
    for _ in 0..3 {
        loop {
            enter(ring);
            match ring.read(id, &mut buffer) {
                Ok(0) => return all,
                Ok(len) => all.extend_from_slice(&buffer[..len]),
                Err(_) => break,
            }
        }
    }
    all
}

#[test]
fn a_trial_says_whether_rings_work() {
    assert_eq!(Ring::try_out().is_ok(), Ring::new().is_ok());
}

#[test]
fn bytes_come_and_go() {
    let Some(mut ring) = ring() else { return };
    let (mut theirs, id) = pair(&mut ring, 7);
    enter(&mut ring);
    assert!(enter(&mut ring).is_empty(), "nothing happens on an idle socket");
    let mut buffer = [0; 64];
    assert_eq!(ring.read(id, &mut buffer).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    for round in 0..100_u32 {
        theirs.write_all(&round.to_le_bytes()).unwrap();
        let events = enter(&mut ring);
        assert!(matches!(events[..], [Event::Readable(7)]), "{events:?}");
        assert!(ring.has_input(id));
        // In two pieces.
        assert_eq!(ring.read(id, &mut buffer[..3]).unwrap(), 3);
        assert_eq!(ring.read(id, &mut buffer[3..]).unwrap(), 1);
        assert!(!ring.has_input(id));
        assert_eq!(ring.send(id, &buffer[..2]), 2);
        assert_eq!(ring.send(id, &buffer[2..4]), 2);
        assert!(ring.is_sending(id));
        ring.enter(Duration::ZERO, &mut Vec::new()).unwrap();
        let mut answer = [0; 4];
        theirs.read_exact(&mut answer).unwrap();
        assert_eq!(answer, round.to_le_bytes());
    }
    drop(theirs);
    assert!(matches!(enter(&mut ring)[..], [Event::Readable(7)]));
    assert_eq!(ring.read(id, &mut buffer).unwrap(), 0);
    assert_eq!(ring.read(id, &mut buffer).unwrap(), 0, "the end stays");
}

#[test]
fn a_client_that_does_not_read_gets_everything_in_order_later() {
    let Some(mut ring) = ring() else { return };
    let (theirs, id) = pair(&mut ring, 1);
    let (mut other, other_id) = pair(&mut ring, 2);
    let sent: Vec<u8> = pattern(3_000_000);
    let mut unsent = sent.clone();
    let mut received = Vec::new();
    let mut theirs = Some(theirs);
    theirs.as_ref().unwrap().set_nonblocking(true).unwrap();
    let mut may_send = true;
    let mut waits = 0;
    let begun = std::time::Instant::now();
    while received.len() < sent.len() {
        assert!(begun.elapsed() < Duration::from_secs(20), "a wait that nothing ends");
        if may_send && !unsent.is_empty() {
            let chunk = unsent.len().min(700_000);
            let first = ring.send(id, &unsent[..chunk]);
            // Others meanwhile, so that a second send is not next to the first.
            assert_eq!(ring.send(other_id, b"x"), 1);
            let second = ring.send(id, &unsent[first..chunk]);
            unsent.drain(..first + second);
        }
        for event in enter(&mut ring) {
            match event {
                Event::Unsent(1, mut rest) => {
                    may_send = false;
                    waits += 1;
                    rest.append(&mut unsent);
                    unsent = rest;
                }
                Event::Writable(1) => may_send = true,
                other => panic!("{other:?}"),
            }
        }
        let mut buffer = [0; 30_000];
        if let Ok(len) = theirs.as_mut().unwrap().read(&mut buffer) {
            received.extend_from_slice(&buffer[..len]);
        }
    }
    assert!(waits > 1 && received == sent);
    let mut x = [0];
    other.read_exact(&mut x).unwrap();
    // And one that goes away.
    theirs.take();
    ring.send(id, b"more");
    let events: Vec<_> = enter(&mut ring).into_iter().chain(enter(&mut ring)).collect();
    assert!(events.iter().any(|event| matches!(event, Event::Broken(1))), "{events:?}");
}

#[test]
fn what_does_not_leave_at_once_is_not_waited_for() {
    let Some(mut ring) = ring() else { return };
    let (mut theirs, id) = pair(&mut ring, 1);
    let reader = std::thread::spawn(move || {
        let mut all = vec![0; 6_000_000];
        theirs.read_exact(&mut all).unwrap();
        all
    });
    let sent = pattern(6_000_000);
    let mut unsent = sent.clone();
    let begun = std::time::Instant::now();
    while !unsent.is_empty() {
        // As much as it takes, which is more than leaves with a call, or than there is room for.
        let taken = ring.send(id, &unsent);
        unsent.drain(..taken);
        let mut events = Vec::new();
        ring.enter(Duration::from_secs(5), &mut events).unwrap();
        for event in events {
            if let Event::Unsent(_, mut rest) = event {
                rest.append(&mut unsent);
                unsent = rest;
            }
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "nothing ended a wait");
    assert!(reader.join().unwrap() == sent);
}

#[test]
fn a_socket_that_is_not_read_stops_receiving_and_costs_others_nothing() {
    let Some(mut ring) = ring() else { return };
    let (mut flood, id) = pair(&mut ring, 1);
    let (mut calm, calm_id) = pair(&mut ring, 2);
    let sent: Vec<u8> = pattern(8_000_000);
    let all = sent.clone();
    let writer = std::thread::spawn(move || {
        flood.write_all(&all).unwrap();
    });
    for _ in 0..20 {
        enter(&mut ring);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(!writer.is_finished(), "the sender is held back");
    for _ in 0..50 {
        calm.write_all(b"ping").unwrap();
        let mut buffer = [0; 8];
        while ring.read(calm_id, &mut buffer).is_err() {
            enter(&mut ring);
        }
        assert_eq!(&buffer[..4], b"ping");
    }
    assert!(read_all(&mut ring, id) == sent);
    writer.join().unwrap();
}

#[test]
fn more_sockets_than_buffers() {
    let Some(mut ring) = ring() else { return };
    let mut clients: Vec<_> = (0..400).map(|key| pair(&mut ring, key)).collect();
    for round in 0..3_u8 {
        for (stream, _) in &mut clients {
            stream.write_all(&[round; 100]).unwrap();
        }
        let mut missing = clients.len();
        let mut buffer = [0; 100];
        while missing > 0 {
            for event in enter(&mut ring) {
                let Event::Readable(key) = event else { panic!("{event:?}") };
                match ring.read(clients[key].1, &mut buffer) {
                    Ok(len) => {
                        assert_eq!(buffer[..len], [round; 100][..len]);
                        missing -= 1;
                    }
                    Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                }
            }
        }
    }
}

#[test]
fn closed_sockets_are_closed_and_their_places_used_again() {
    let Some(mut ring) = ring() else { return };
    for round in 0..50 {
        let (mut theirs, id) = pair(&mut ring, round);
        if round % 2 == 0 {
            enter(&mut ring);
        }
        theirs.write_all(b"unread").unwrap();
        if round % 3 == 0 {
            enter(&mut ring);
        }
        ring.send(id, b"bye");
        ring.close(id);
        enter(&mut ring);
        enter(&mut ring);
        let mut last = Vec::new();
        let _ = theirs.read_to_end(&mut last);
        assert_eq!(last, b"bye");
        assert!(id.0 < 3, "places are used again");
    }
}

#[test]
fn listeners_accept_pause_and_go_on() {
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let id = ring.listen(OwnedFd::from(listener), 9);
    enter(&mut ring);
    let accepted = |ring: &mut Ring| {
        let events = enter(ring);
        events.into_iter().filter(|event| matches!(event, Event::Accepted(9, _))).count()
    };
    let _first: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut count = 0;
    while count < 5 {
        count += accepted(&mut ring);
    }
    ring.pause(id);
    enter(&mut ring);
    enter(&mut ring);
    let _second: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(accepted(&mut ring) + accepted(&mut ring), 0);
    ring.resume(id);
    while count < 10 {
        count += accepted(&mut ring);
    }
}

#[test]
fn a_ring_is_woken_from_another_thread() {
    let Some(mut ring) = ring() else { return };
    let waker = ring.waker();
    enter(&mut ring);
    let thread = std::thread::spawn(move || {
        for _ in 0..10 {
            waker.wake().unwrap();
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    let mut woken = 0;
    while woken < 5 {
        let mut events = Vec::new();
        ring.enter(Duration::from_secs(10), &mut events).unwrap();
        woken += events.iter().filter(|event| matches!(event, Event::Woken)).count();
    }
    thread.join().unwrap();
}
