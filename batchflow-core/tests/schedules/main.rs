//! Seeded schedules: what submitters, faults, cancellations and closes do to one another, under
//! tokio's paused clock, judged by the promises.
//!
//! `BATCHFLOW_SCHEDULES` sets how many there are, `BATCHFLOW_SEED` the first, which alone runs if
//! nothing else is said: `cargo xtask replay SEED`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod actors;
mod plan;
mod users;
mod verdict;
mod world;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::Duration;

use plan::Plan;
use verdict::Tally;
use world::World;

/// How many schedules there are unless told otherwise.
const SCHEDULES: u64 = 10_000;

/// How often a replay plays its schedule: see [`a_seed_plays_one_schedule`].
const REPLAYS: u32 = 20;

/// After so many failures the rest is not worth waiting for.
const ENOUGH: usize = 5;

/// Longer than anything here can take, were every await to end.
const FOREVER: Duration = Duration::from_secs(30 * 24 * 3_600);

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Panics that a schedule ordered are not worth a line each.
fn hush_ordered_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !text_of(panic.payload()).contains("that the test ordered") {
                default(panic);
            }
        }));
    });
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()
}

/// Runs one schedule; the error says which promise it broke, and how.
fn run(seed: u64, tally: &Mutex<Tally>) -> Result<(), String> {
    let plan = Plan::of(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let judged = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let schedule = schedule(plan.clone(), tally);
            match tokio::time::timeout(FOREVER, schedule).await {
                Ok(judged) => judged,
                Err(_) => Err("promise 9: an await never ended".to_owned()),
            }
        })
    }));
    let judged = judged.unwrap_or_else(|panic| Err(format!("panicked: {}", text_of(&*panic))));
    judged.map_err(|why| format!("{why}\nof {plan:#?}"))
}

async fn schedule(plan: Plan, tally: &Mutex<Tally>) -> Result<(), String> {
    let world = World::new(&plan);
    let ended = actors::play(&plan, &world).await;
    // Whatever still hangs on the server commits now or never.
    tokio::time::sleep(plan.longest_delay * 2 + Duration::from_secs(1)).await;
    verdict::judge(&plan, &world, ended.as_ref(), tally)
}

#[test]
fn every_promise_holds_over_seeded_schedules() {
    hush_ordered_panics();
    let seed = number("BATCHFLOW_SEED");
    let count = number("BATCHFLOW_SCHEDULES").unwrap_or(if seed.is_some() { 1 } else { SCHEDULES });
    let first = seed.unwrap_or(0);
    let plays = if seed.is_some() && count == 1 { REPLAYS } else { 1 };
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let tally = Mutex::new(Tally::default());
    let work = || {
        while failures.lock().unwrap().len() < ENOUGH {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            if let Err(why) = (0..plays).try_for_each(|_| run(seed, &tally)) {
                failures.lock().unwrap().push((seed, why));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count as usize) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    let tally = tally.into_inner().unwrap();
    println!("{count} schedules from {first}: {tally:?}");
    let undecided = tally.undecided;
    assert!(undecided <= 1 + count / 100, "{undecided} of {count} were too tangled to judge");
    for (seed, why) in &failures {
        eprintln!("schedule {seed}: {why}\nreplay it: cargo xtask replay {seed}\n");
    }
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    assert!(seeds.is_empty(), "schedules {seeds:?} broke a promise; see above");
}

/// What a replay rests on: the same seed plays the same schedule, but for the few in which it
/// matters whom of many waiters tokio's `watch` wakes first, which it draws by dice of its own.
#[test]
fn a_seed_plays_one_schedule() {
    hush_ordered_panics();
    let play = |seed| {
        let tally = Mutex::new(Tally::default());
        let judged = run(seed, &tally);
        (judged, tally.into_inner().unwrap())
    };
    let count = number("BATCHFLOW_SCHEDULES").unwrap_or(SCHEDULES) / 50;
    let differ: Vec<u64> = (0..count).filter(|&seed| play(seed) != play(seed)).collect();
    assert!(differ.len() as u64 <= count / 20, "these seeds play two schedules: {differ:?}");
}
