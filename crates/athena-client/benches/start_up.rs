//! How soon a process has a client: the first `build` of a process, the next one, and, for
//! comparison, the roots of trust, which the first connection reads.
//!
//! `cargo bench -p athena-client --bench start_up`. Each round is a process of its own: this
//! program, started again.

use std::process::Command;
use std::time::{Duration, Instant};

use athena_client::auth::Network;
use athena_client::{Client, environment};

const ROUNDS: usize = 21;
const ROUND: &str = "--one-round";

fn main() {
    if std::env::args().any(|argument| argument == ROUND) {
        return one_round();
    }
    let program = std::env::current_exe().expect("this program");
    let rounds: Vec<[f64; 3]> = (0..ROUNDS)
        .map(|_| {
            let output = Command::new(&program).arg(ROUND).output();
            let text = String::from_utf8(output.expect("it starts").stdout).expect("text");
            let times: Vec<f64> = text
                .split_whitespace()
                .map(|time| time.parse().expect("a time"))
                .collect();
            times.try_into().expect("three times")
        })
        .collect();
    let median = |of: usize| {
        let mut times: Vec<_> = rounds.iter().map(|round| round[of]).collect();
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    println!("median of {ROUNDS} processes, in ms");
    println!("  first build of a client   {:8.3}", median(0));
    println!("  second build              {:8.3}", median(1));
    println!("  roots of trust, once      {:8.3}", median(2));
}

fn one_round() {
    let first = timed(build);
    let second = timed(build);
    let network = Network::builder().build().expect("good settings");
    let roots = timed(|| network.tls());
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{} {} {}", ms(first), ms(second), ms(roots));
}

fn build() -> Client {
    Client::builder()
        .credentials(environment::credentials("my-id", "my-secret"))
        .affiliate("acme")
        .build()
        .expect("good settings")
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    let result = work();
    let time = begin.elapsed();
    drop(result);
    time
}
