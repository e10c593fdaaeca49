//! What production does to a service, done to Samplit on purpose: processes killed and stopped,
//! PostgreSQL crashed, networks that swallow and cut, a full disk, a clock that jumps, crowds.
//!
//! Each fault runs real server processes under load, keeps a history of every request with its
//! answer, and afterwards holds the history against the database (`check.rs`). The moments of the
//! faults and the requests of the clients follow from `SAMPLIT_FAULT_SEED`; the scheduler's part is
//! not repeatable. `SAMPLIT_FAULTS=long` runs the figures of docs/RELIABILITY.md and writes its
//! table; without it each fault takes seconds.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod check;
mod client;
mod clock;
mod crowd;
mod disk;
mod history;
mod hostile;
mod kill;
mod load;
mod migration;
mod network;
mod plan;
mod postgres;
mod proxy;
mod replica;
mod report;
mod rollout;
mod server;
mod stage;
mod stopped;
mod vitals;

use std::process::ExitCode;
use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Conclusion, Trial};

use crate::plan::Plan;

/// One fault: its name on the command line, what it does, and the code.
struct Fault {
    name: &'static str,
    what: &'static str,
    run: fn(Plan) -> BoxFuture<'static, ()>,
}

macro_rules! faults {
    ($($module:ident::$name:ident $what:literal)+) => {
        const FAULTS: &[Fault] = &[$(Fault {
            name: stringify!($name),
            what: $what,
            run: |plan| Box::pin($module::$name(plan)),
        }),+];
    };
}

faults! {
    kill::server_killed_before_insert "kill -9 of a server before it has sent anything"
    kill::server_killed_after_insert "kill -9 of a server after the INSERT, before the lock"
    kill::server_killed_under_lock "kill -9 of a server that holds the head lock"
    kill::server_killed_before_commit "kill -9 of a server before COMMIT"
    kill::server_killed_after_commit "kill -9 of a server after COMMIT, before the answer"
    kill::server_killed_at_random "kill -9 of a server at random"
    postgres::connections_terminated "connections terminated in the middle of their work"
    postgres::postgresql_crashed "kill -9 of a backend or immediate restart of PostgreSQL"
    postgres::postgresql_stopped "SIGSTOP of PostgreSQL"
    stopped::replica_stopped_with_lock "SIGSTOP of a replica that holds the head lock, and its waking"
    crowd::small_pool "a pool of 2 under 500 clients"
    network::network_swallows "the network to PostgreSQL swallows everything; old connections stay dead"
    network::network_delays "the network to PostgreSQL delays"
    network::network_resets "the network to PostgreSQL resets"
    network::commit_answer_cut "the answer to a COMMIT is cut in its middle"
    disk::disk_full "the disk of PostgreSQL is full"
    clock::clock_jumps "the clock of a replica goes one hour forward, and back"
    crowd::same_visitor_at_once "the same visitor 100 times at once over 3 replicas"
    crowd::same_conversion_at_once "the same conversion 100 times at once over 3 replicas"
    crowd::retry_storm "a storm of retries after an outage"
    rollout::rolling_restart "rolling restart with SIGTERM under load"
    migration::migration_under_load "a migration under load"
    hostile::hostile_half_open "2,000 sockets that never end a head, half of them drip by drip"
    hostile::hostile_endless_bodies "bodies that never end, by drops and by floods"
    hostile::hostile_pipelining "requests in a row, without waiting for answers"
    hostile::hostile_never_reading "clients that ask for large answers and never read"
    hostile::hostile_overload "ten times as many clients as are served well"
}

/// Every fault runs on it: what stands between faults, like the cluster, belongs to its tasks.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
});

fn main() -> ExitCode {
    // The servers are this program, too, so that they have failpoints and cost no second build.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(server::COMMAND) {
        return server::main(&arguments.next().unwrap());
    }
    let mut arguments = Arguments::from_args();
    // They crash the cluster that they share.
    arguments.test_threads = Some(1);
    let is_whole = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
    let trials = FAULTS.iter().map(|fault| {
        Trial::test(fault.name, || {
            let plan = Plan::of(fault);
            RUNTIME.block_on((fault.run)(plan));
            Ok(())
        })
    });
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials.collect());
    report::print();
    if is_whole && !conclusion.has_failed() && plan::is_long() {
        report::write();
    }
    conclusion.exit_code()
}
