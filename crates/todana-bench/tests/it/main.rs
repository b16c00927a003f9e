//! The generator against a tiny server of its own, in this process.

mod fake;

use std::ops::ControlFlow;

use fake::Fake;
use todana_bench::{Amount, Dialect, Error, Plan, Progress, Target, preload, run};

fn plan(fake: &Fake) -> Plan {
    Plan {
        target: Target::Tcp(fake.address.clone()),
        connections: 4,
        keys: 1_000,
        amount: Amount::Requests(2_000),
        warm_up_ms: 0,
        timeout_ms: 5_000,
        ..Plan::default()
    }
}

fn go(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn every_request_is_answered_and_counted() {
    let fake = Fake::start();
    for (pipeline, keys_per_get, threads) in [(1, 1, 1), (50, 1, 2), (3, 7, 1)] {
        let plan = Plan { preload: true, pipeline, keys_per_get, threads, ..plan(&fake) };
        let report = run(&plan, go).unwrap();
        assert_eq!(report.requests, 2_000);
        assert_eq!(report.hits + report.stored, report.keys);
        assert_eq!((report.misses, report.errors), (0, 0));
        assert!(report.stored > 100 && report.stored < 300, "a tenth of 2000 are sets");
        assert!(report.latency.batches >= (2_000 / pipeline) as u64);
        assert!(report.latency.p50_us <= report.latency.max_us);
        let json = report.to_json().unwrap();
        let back: todana_bench::Report = serde_json::from_str(&json).unwrap();
        assert_eq!((back.plan, back.requests), (plan, 2_000));
        assert!(report.to_string().contains("requests/s"));
    }
}

#[test]
fn a_miss_is_refilled_once() {
    let fake = Fake::start();
    let gets = Plan { get_ratio: 1.0, refill: true, ..plan(&fake) };
    let first = run(&Plan { keys_per_get: 5, ..gets.clone() }, go).unwrap();
    assert_eq!(first.hits + first.misses, 10_000);
    assert_eq!((first.refills, first.stored), (first.misses, first.misses));
    let second = run(&Plan { seed: 2, pipeline: 9, ..gets }, go).unwrap();
    assert_eq!((second.misses, second.refills), (0, 0), "10 000 draws had met all 1 000 keys");
}

#[test]
fn the_open_loop_keeps_its_rate() {
    let fake = Fake::start();
    let plan = Plan {
        preload: true,
        rate: Some(2_000.0),
        amount: Amount::DurationMs(500),
        warm_up_ms: 50,
        pipeline: 2,
        ..plan(&fake)
    };
    let mut measuring = 0;
    let report = run(&plan, |progress| {
        measuring += u32::from(matches!(progress, Progress::Measuring { .. }));
        assert!((0.0..=1.0).contains(&progress.fraction()));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(report.requests + report.unsent, 1_000, "all that fell due in half a second");
    assert!(measuring >= 3);
}

#[test]
fn a_run_may_be_stopped() {
    let fake = Fake::start();
    let plan = Plan { amount: Amount::DurationMs(600_000), ..plan(&fake) };
    let mut ticks = 0;
    let report = run(&plan, |_| {
        ticks += 1;
        if ticks > 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert!(report.requests > 0 && report.wall_seconds < 60.0);
}

#[test]
fn failures_say_what_to_do() {
    let fake = Fake::start();
    let nobody = Plan { target: Target::Tcp(fake::unused_address()), ..plan(&fake) };
    let error = run(&nobody, go).unwrap_err().to_string();
    assert!(error.ends_with("connection refused; is the server running?"), "{error}");

    let meta = Plan { dialect: Dialect::Meta, get_ratio: 1.0, ..plan(&fake) };
    let report = run(&meta, go).unwrap();
    assert_eq!((report.errors, report.first_error.as_deref()), (2_000, Some("ERROR")));

    let refused = preload(&meta, go).unwrap_err();
    assert!(matches!(refused, Error::UnexpectedReply { .. } | Error::PreloadRefused { .. }));

    let silent = Fake::silent();
    let error = run(&Plan { timeout_ms: 200, ..plan(&silent) }, go).unwrap_err();
    assert!(matches!(error, Error::Silent { outstanding: 4, .. }), "{error}");
}
